//! What outlives the process: accounts and their devices. Nothing that is said.
//!
//! Owns: the [`Store`] trait, its records and errors, and the choice of the backend. A backend is
//! one file, or a folder; the suite in `conformance.rs` holds all of them to the same behaviour. What is
//! behind a network stands behind a [`breaker`].
//!
//! Must not know: tokens, passwords in clear, conversations.

mod breaker;
#[cfg(test)]
mod conformance;
mod mongo;
mod sqlite;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;

use crate::config::{self, Config};
use crate::protocol::UserId;

/// Devices kept for each person; the ones not seen for longest are forgotten.
pub const MAX_DEVICES: usize = 20;

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Someone has this name, in whatever case.
    #[error("This username is taken.")]
    UsernameTaken,
    /// Someone has this address, in whatever case.
    #[error("This email address is registered already.")]
    EmailTaken,
    /// There is an account of this id.
    #[error("An account of this id is there already.")]
    IdTaken,
    /// There is no such person.
    #[error("There is no such user.")]
    NoSuchUser,
    /// The store cannot be reached, or has failed.
    #[error("Accounts cannot be reached at the moment. Try again shortly.")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The embedded store cannot be opened.
    #[error(transparent)]
    Store(#[from] Error),
    /// The driver will not take the URI.
    #[error("store.mongodb (MONGODB_URI): {0}")]
    Uri(String),
    /// The database does not answer.
    #[error(
        "MongoDB at {place} cannot be used: {why}. Start it, or mend store.mongodb (MONGODB_URI); without that key \
         accounts are kept in an embedded store"
    )]
    Away {
        /// The URI without its credentials and options.
        place: String,
        /// What the driver said last.
        why: String,
    },
    /// Accounts that are there cannot be told apart without regard to case.
    #[error(
        "users in MongoDB at {place} have the same {what}, which is unique here without regard to case: {ids}. Rename \
         or delete one of each, by its _id, and start again; nothing was lost"
    )]
    Clashing {
        /// The URI without its credentials and options.
        place: String,
        /// Username or email address.
        what: &'static str,
        /// The ids of some of them, in groups.
        ids: String,
    },
}

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// 24 hex digits, made by [`new_user_id`].
    pub id: UserId,
    /// As they wrote it.
    pub username: String,
    /// As they wrote it.
    pub email: String,
    /// A PHC string, or what a Node backend kept: see [`auth::password`](crate::auth::password).
    pub password_hash: String,
    /// When it was made, to the millisecond.
    pub created_at: SystemTime,
    /// When they were last here, to the millisecond.
    pub last_seen: SystemTime,
}

/// A device that a person has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The client's own id of it.
    pub id: String,
    /// The browser, as far as it tells.
    pub name: String,
    /// The operating system, as far as it tells.
    pub platform: String,
    /// When it was last named, to the millisecond.
    pub last_seen: SystemTime,
}

/// A place for accounts. Every method is one atomic step; of those that say otherwise, several.
pub trait Store: Send + Sync {
    /// Keeps a new account. Names and addresses are unique without regard to case.
    fn create_user(&self, user: User) -> BoxFuture<'_, Result<(), Error>>;
    /// The account of this id.
    fn user(&self, id: UserId) -> BoxFuture<'_, Result<Option<User>, Error>>;
    /// The account of this address, in whatever case.
    fn user_by_email(&self, email: &str) -> BoxFuture<'_, Result<Option<User>, Error>>;
    /// How many accounts there are.
    fn count_users(&self) -> BoxFuture<'_, Result<u64, Error>>;
    /// Accounts whose ids come after this one, at most so many, by their ids: a page.
    fn list_users(&self, after: Option<UserId>, limit: usize) -> BoxFuture<'_, Result<Vec<User>, Error>>;
    /// Notes that someone was here. [`Error::NoSuchUser`].
    fn touch(&self, id: UserId, now: SystemTime) -> BoxFuture<'_, Result<(), Error>>;
    /// Notes a device, newest first, at most [`MAX_DEVICES`], and that its owner was here with it.
    /// [`Error::NoSuchUser`].
    fn remember_device(&self, id: UserId, device: Device) -> BoxFuture<'_, Result<(), Error>>;
    /// A person's devices, newest first.
    fn devices(&self, id: UserId) -> BoxFuture<'_, Result<Vec<Device>, Error>>;
    /// Puts another hash in the place of `old`. False: there is no such person, or theirs is not `old` any
    /// more.
    fn replace_password_hash(&self, id: UserId, old: &str, new: String) -> BoxFuture<'_, Result<bool, Error>>;
    /// Keeps all of these accounts, or none: if any clashes with one that is there, or with one before it in
    /// the list, and where `keep` is not set. Yields those that clash, by their place in the list, and why.
    /// MongoDB: a process that dies in the middle leaves some of them.
    fn import_users(&self, users: Vec<User>, keep: bool) -> BoxFuture<'_, Result<Vec<(usize, Error)>, Error>>;
    /// People who were last here before this moment, at most so many, who was not here for longest first.
    fn unseen(&self, before: SystemTime, limit: usize) -> BoxFuture<'_, Result<Vec<UserId>, Error>>;
    /// How many people were last here before this moment.
    fn count_unseen(&self, before: SystemTime) -> BoxFuture<'_, Result<u64, Error>>;
    /// Forgets those of these people who were last here before this moment, and all that belongs to them;
    /// yields how many. Who was here meanwhile stays.
    fn forget_unseen(&self, people: Vec<UserId>, before: SystemTime) -> BoxFuture<'_, Result<u64, Error>>;
    /// Forgets an account and all that belongs to it. False: there was none.
    fn delete_user(&self, id: UserId) -> BoxFuture<'_, Result<bool, Error>>;
    /// Whether the store can be reached.
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// Opens the configured backend.
///
/// # Errors
/// It cannot be opened. A database that does not answer is waited for, some seconds.
pub async fn open(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    match &config.store {
        config::Store::Sqlite { path } => Ok(Arc::new(sqlite::Sqlite::open(path).await?)),
        config::Store::Mongo(settings) => {
            Ok(Arc::new(breaker::Guarded::new(mongo::Mongo::open(settings, mongo::PATIENCE).await?)))
        }
    }
}

/// Looks at the settings of the configured backend, and opens nothing.
///
/// # Errors
/// [`OpenError::Uri`].
pub fn check(config: &Config) -> Result<(), OpenError> {
    match &config.store {
        config::Store::Sqlite { .. } => Ok(()),
        config::Store::Mongo(settings) => mongo::check(settings),
    }
}

/// A new id in the shape of a MongoDB ObjectId: seconds, five random bytes of the process, a counter.
pub fn new_user_id(now: SystemTime) -> UserId {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    static PROCESS: std::sync::OnceLock<([u8; 5], u32)> = std::sync::OnceLock::new();
    let (process, first) = PROCESS.get_or_init(rand::random);
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let count = first.wrapping_add(COUNTER.fetch_add(1, Ordering::Relaxed));
    let mut id = [0; 12];
    id[..4].copy_from_slice(&seconds.to_be_bytes()[4..]);
    id[4..9].copy_from_slice(process);
    id[9..].copy_from_slice(&count.to_be_bytes()[1..]);
    UserId::from_bytes(id)
}

/// Names and addresses are compared in this form.
pub fn folded(text: &str) -> String {
    text.to_lowercase()
}
