//! Accounts in MongoDB, or in whatever speaks its protocol: the collection `users`, as the Node backend has
//! it, so that both can have the same one.
//!
//! Owns: what a call is in the driver's words. Only the plain core is used: no transactions, change streams or
//! partial indexes, nothing that asks into lists. A call writes one document in one step, but for an import
//! and for who is forgotten. Deadlines are the [breaker](super::breaker)'s.

mod document;
mod import;
mod prepare;

use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error as DriverError, ErrorKind, WriteFailure};
use mongodb::options::ReturnDocument;
use mongodb::{Collection, Database};
use tracing::warn;

use self::document::{EMAIL_KEY, LAST_SEEN, PASSWORDS, USERNAME_KEY, date, device_path, of_device, of_user, oid};
pub(super) use self::prepare::check;
use super::{Device, Error, MAX_DEVICES, OpenError, Store, User, folded};
use crate::config;
use crate::protocol::UserId;

/// How long a database that does not answer is waited for at the start.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What servers say when a unique index forbids it.
const DUPLICATE: i32 = 11_000;

/// A unique index of someone else's forbids it. The driver's own words would quote the value.
#[derive(Debug, thiserror::Error)]
#[error("a unique index of the collection users that is not Duologue's refuses the document; see its indexes")]
struct ForeignIndex;

pub(super) struct Mongo {
    database: Database,
    users: Collection<Document>,
}

impl Mongo {
    pub(super) async fn open(settings: &config::Mongo, patience: Duration) -> Result<Self, OpenError> {
        let (database, users) = prepare::open(settings, patience).await?;
        Ok(Self { database, users })
    }

    async fn find(&self, filter: Document) -> Result<Option<User>, Error> {
        let document = self.users.find_one(filter).await.map_err(refined)?;
        Ok(document.and_then(|document| {
            let user = document::user(&document);
            if user.is_none() {
                warn!(id = ?document.get("_id"), "a document of the collection users holds no whole account");
            }
            user
        }))
    }

    /// Whether there is such a document.
    async fn is_there(&self, filter: Document) -> Result<bool, Error> {
        Ok(self.users.find_one(filter).projection(doc! { "_id": 1 }).await.map_err(refined)?.is_some())
    }

    /// Of whom an account could not be kept, and why. Servers word it differently, so it is looked for.
    async fn clash(&self, user: &User) -> Error {
        let questions = [
            (doc! { "_id": oid(user.id) }, Error::IdTaken),
            (doc! { EMAIL_KEY: folded(&user.email) }, Error::EmailTaken),
            (doc! { USERNAME_KEY: folded(&user.username) }, Error::UsernameTaken),
        ];
        for (filter, clash) in questions {
            match self.is_there(filter).await {
                Ok(true) => return clash,
                Ok(false) => {}
                Err(error) => return error,
            }
        }
        Error::Unavailable(ForeignIndex.into())
    }

    /// Forgets devices over the bound, those that were not named for longest.
    async fn trim(&self, id: UserId, document: &Document) -> Result<(), Error> {
        let devices = document::devices(document);
        for old in devices.iter().skip(MAX_DEVICES) {
            let path = device_path(&old.id);
            // Unless it was named again meanwhile.
            let filter = doc! { "_id": oid(id), format!("{path}.{LAST_SEEN}"): date(old.last_seen) };
            self.users.update_one(filter, doc! { "$unset": { path: "" } }).await.map_err(refined)?;
        }
        Ok(())
    }

    async fn ids(&self, filter: Document, limit: usize) -> Result<Vec<UserId>, DriverError> {
        let sorted = self.users.find(filter).sort(doc! { LAST_SEEN: 1, "_id": 1 }).limit(bound(limit));
        let documents: Vec<Document> = sorted.projection(doc! { "_id": 1 }).await?.try_collect().await?;
        let id = |document: &Document| document.get_object_id("_id").ok();
        Ok(documents.iter().filter_map(id).map(|id| UserId::from_bytes(id.bytes())).collect())
    }
}

impl Store for Mongo {
    fn create_user(&self, user: User) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            match self.users.insert_one(of_user(&user)).await {
                Ok(_) => Ok(()),
                Err(error) if is_duplicate(&error) => Err(self.clash(&user).await),
                Err(error) => Err(refined(error)),
            }
        }
        .boxed()
    }

    fn user(&self, id: UserId) -> BoxFuture<'_, Result<Option<User>, Error>> {
        self.find(doc! { "_id": oid(id) }).boxed()
    }

    fn user_by_email(&self, email: &str) -> BoxFuture<'_, Result<Option<User>, Error>> {
        self.find(doc! { EMAIL_KEY: folded(email) }).boxed()
    }

    fn count_users(&self) -> BoxFuture<'_, Result<u64, Error>> {
        // As the server keeps count: to look at all of them would take longer the more there are.
        async { self.users.estimated_document_count().await.map_err(refined) }.boxed()
    }

    fn list_users(&self, after: Option<UserId>, limit: usize) -> BoxFuture<'_, Result<Vec<User>, Error>> {
        let after = oid(after.unwrap_or(UserId::from_bytes([0; 12])));
        let page = doc! { "_id": { "$gt": after }, EMAIL_KEY: { "$exists": true } };
        async move {
            let found = self.users.find(page).sort(doc! { "_id": 1 }).limit(bound(limit)).await.map_err(refined)?;
            let documents: Vec<Document> = found.try_collect().await.map_err(refined)?;
            Ok(documents.iter().filter_map(document::user).collect())
        }
        .boxed()
    }

    fn touch(&self, id: UserId, now: SystemTime) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let before = doc! { "_id": oid(id), LAST_SEEN: { "$lt": date(now) } };
            let touched = self.users.update_one(before, doc! { "$set": { LAST_SEEN: date(now) } }).await;
            if touched.map_err(refined)?.matched_count == 1 || self.is_there(doc! { "_id": oid(id) }).await? {
                return Ok(());
            }
            Err(Error::NoSuchUser)
        }
        .boxed()
    }

    fn remember_device(&self, id: UserId, device: Device) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let seen = date(device.last_seen);
            let only = doc! { device_path(&device.id): of_device(&device) };
            let mut both = only.clone();
            both.insert(LAST_SEEN, seen);
            // When its owner was last here never goes back.
            let earlier = doc! { "_id": oid(id), LAST_SEEN: { "$lt": seen } };
            for (filter, set) in [(earlier, both), (doc! { "_id": oid(id) }, only)] {
                let update = self.users.find_one_and_update(filter, doc! { "$set": set });
                let after = update.return_document(ReturnDocument::After).await.map_err(refined)?;
                if let Some(document) = after {
                    return self.trim(id, &document).await;
                }
            }
            Err(Error::NoSuchUser)
        }
        .boxed()
    }

    fn devices(&self, id: UserId) -> BoxFuture<'_, Result<Vec<Device>, Error>> {
        async move {
            let document = self.users.find_one(doc! { "_id": oid(id) }).await.map_err(refined)?;
            let mut devices = document.as_ref().map(document::devices).unwrap_or_default();
            devices.truncate(MAX_DEVICES);
            Ok(devices)
        }
        .boxed()
    }

    fn replace_password_hash(&self, id: UserId, old: &str, new: String) -> BoxFuture<'_, Result<bool, Error>> {
        let old = old.to_owned();
        async move {
            // By whichever name it is kept.
            for field in PASSWORDS {
                let (theirs, set) = (doc! { "_id": oid(id), field: &old }, doc! { "$set": { field: &new } });
                if self.users.update_one(theirs, set).await.map_err(refined)?.matched_count == 1 {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        .boxed()
    }

    fn import_users(&self, users: Vec<User>, keep: bool) -> BoxFuture<'_, Result<Vec<(usize, Error)>, Error>> {
        self.import(users, keep).boxed()
    }

    fn unseen(&self, before: SystemTime, limit: usize) -> BoxFuture<'_, Result<Vec<UserId>, Error>> {
        async move { self.ids(unseen(before), limit).await.map_err(refined) }.boxed()
    }

    fn count_unseen(&self, before: SystemTime) -> BoxFuture<'_, Result<u64, Error>> {
        async move { self.users.count_documents(unseen(before)).await.map_err(refined) }.boxed()
    }

    fn forget_unseen(&self, people: Vec<UserId>, before: SystemTime) -> BoxFuture<'_, Result<u64, Error>> {
        let mut theirs = unseen(before);
        theirs.insert("_id", doc! { "$in": people.into_iter().map(oid).collect::<Vec<_>>() });
        async move { Ok(self.users.delete_many(theirs).await.map_err(refined)?.deleted_count) }.boxed()
    }

    fn delete_user(&self, id: UserId) -> BoxFuture<'_, Result<bool, Error>> {
        let theirs = doc! { "_id": oid(id) };
        async move { Ok(self.users.delete_one(theirs).await.map_err(refined)?.deleted_count == 1) }.boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        async { self.database.run_command(doc! { "ping": 1 }).await.map(drop).map_err(refined) }.boxed()
    }
}

/// Accounts, and nothing that another backend keeps beside them.
fn unseen(before: SystemTime) -> Document {
    doc! { LAST_SEEN: { "$lt": date(before) }, EMAIL_KEY: { "$exists": true } }
}

/// 0 would mean all.
fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).max(1)
}

fn is_duplicate(error: &DriverError) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE,
        ErrorKind::Command(error) => error.code == DUPLICATE,
        _ => false,
    }
}

fn refined(error: DriverError) -> Error {
    if is_duplicate(&error) { Error::Unavailable(ForeignIndex.into()) } else { Error::Unavailable(error.into()) }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
