//! Accounts: registering, logging in, guests, and who a token belongs to.
//!
//! Guests are never stored: a guest is what its token says, for as long as the token lives.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rand::RngExt;
use rand::seq::IndexedRandom;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::auth::password::{self, Hasher};
use crate::auth::{Identity, token};
use crate::config::{self, Config};
use crate::media::is_invisible;
use crate::protocol::{MAX_CLIENT_ID, UserId};
pub use crate::store::Device;
use crate::store::{self, Store, User, new_user_id};

/// Length of a username, in characters.
const USERNAME: std::ops::RangeInclusive<usize> = 3..=32;
/// Longest email address (RFC 5321 section 4.5.3.1.3, less the brackets).
const EMAIL: usize = 254;
/// Longest any call to the store may take before it counts as away.
const STORE_DEADLINE: Duration = Duration::from_secs(3);
/// A login that fails says so after this time at the earliest: hashes of a Node backend take longer than
/// ours, and how long a refusal takes must not tell whose there is.
const REFUSAL: Duration = Duration::from_millis(400);
/// An account that is used is noted as seen no more often than this.
const SEEN_EVERY: Duration = Duration::from_secs(3_600);

const ADJECTIVES: [&str; 24] = [
    "Amber", "Bold", "Bright", "Calm", "Clever", "Coral", "Curious", "Gentle", "Golden", "Honest", "Jolly", "Kind",
    "Lively", "Lucky", "Mellow", "Merry", "Nimble", "Patient", "Quiet", "Silver", "Sunny", "Swift", "Warm", "Witty",
];
const ANIMALS: [&str; 24] = [
    "Badger", "Beaver", "Crane", "Deer", "Dolphin", "Falcon", "Finch", "Fox", "Hare", "Heron", "Koala", "Lark", "Lynx",
    "Marten", "Otter", "Owl", "Panda", "Puffin", "Raven", "Robin", "Seal", "Swan", "Tern", "Wren",
];

/// What is wrong with one field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field.
    pub field: &'static str,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Why someone was not let in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The form is not filled in right.
    #[error("Some fields need another look.")]
    Invalid(Vec<Problem>),
    /// Someone has this name.
    #[error("This username is taken. Choose another.")]
    UsernameTaken,
    /// Someone has this address.
    #[error("This email address is registered already. Log in instead.")]
    EmailTaken,
    /// No such person, or not their password: which of the two is not told.
    #[error("The email address or the password is wrong.")]
    CredentialsWrong,
    /// Guests are not let in here.
    #[error("Guests are not let in here. Sign up instead.")]
    GuestsDisabled,
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] token::Error),
    /// Too many log in at once.
    #[error(transparent)]
    Busy(#[from] password::Error),
    /// The store is away.
    #[error("{0}")]
    Unavailable(#[source] store::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::UsernameTaken => Self::UsernameTaken,
            store::Error::EmailTaken => Self::EmailTaken,
            // Ids are made here, and are new.
            store::Error::IdTaken => Self::Unavailable(error),
            store::Error::NoSuchUser => Self::Token(token::Error::UserGone),
            store::Error::Unavailable(_) => Self::Unavailable(error),
        }
    }
}

/// A form to register with.
pub struct NewAccount {
    /// 3 to 32 characters.
    pub username: String,
    /// At most 254 characters.
    pub email: String,
    /// 8 to 128 characters.
    pub password: String,
}

/// A person as they see themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The id.
    pub id: UserId,
    /// The name.
    pub username: String,
    /// The address; guests have none.
    pub email: Option<String>,
    /// A throw-away account.
    pub guest: bool,
    /// When it was made.
    pub created_at: SystemTime,
    /// When they were last here, as far as it is kept; of guests it is not.
    pub last_seen: Option<SystemTime>,
}

/// Someone who was let in.
#[derive(Debug)]
pub struct Entered {
    /// Their access token.
    pub token: String,
    /// Who they are.
    pub account: Account,
}

/// The accounts of this service. Clones are the same.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    hasher: Hasher,
    tokens: token::Tokens,
    policy: config::Auth,
}

impl Accounts {
    /// Accounts kept in `store`.
    ///
    /// # Errors
    /// The thread for passwords cannot be started.
    pub fn new(store: Arc<dyn Store>, config: &Config) -> std::io::Result<Self> {
        let tokens = token::Tokens::new(&config.auth.secret);
        Ok(Self(Arc::new(Inner { store, hasher: Hasher::start()?, tokens, policy: config.auth.clone() })))
    }

    /// Makes an account and lets its owner in.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every problem at once, [`Error::UsernameTaken`], [`Error::EmailTaken`],
    /// [`Error::Busy`], [`Error::Unavailable`].
    pub async fn register(&self, new: NewAccount) -> Result<Entered, Error> {
        let NewAccount { username, email, password } = new;
        let problems: Vec<_> = [
            username_problem(&username),
            email_problem(&email),
            password::weakness(&password).map(|(code, message)| Problem { field: "password", code, message }),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        // Before the hash: it is not made where it cannot be kept.
        if within(self.0.store.user_by_email(&email)).await?.is_some() {
            return Err(Error::EmailTaken);
        }
        let password_hash = self.0.hasher.hash(password).await?;
        let now = to_millis(SystemTime::now());
        let id = new_user_id(now);
        let user = User { id, username, email, password_hash, created_at: now, last_seen: now };
        within(self.0.store.create_user(user.clone())).await?;
        info!(user = %id, "an account was made");
        self.enter(account(user), self.0.policy.token_life)
    }

    /// Lets someone in who has an account.
    ///
    /// # Errors
    /// [`Error::CredentialsWrong`], after the same time whatever was wrong; [`Error::Busy`], also while the
    /// last password for this address is looked at; [`Error::Unavailable`].
    pub async fn login(&self, email: &str, password: &str) -> Result<Entered, Error> {
        let asked = Instant::now();
        let user = within(self.0.store.user_by_email(email)).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let known = user.as_ref().map(|user| user.id);
        let matches = self.0.hasher.verify(store::folded(email), password.to_owned(), hash).await?;
        let Some(user) = user.filter(|_| matches) else {
            info!(user = known.map(tracing::field::display), "a login was refused");
            sleep_until(asked + REFUSAL).await;
            return Err(Error::CredentialsWrong);
        };
        within(self.0.store.touch(user.id, SystemTime::now())).await?;
        if password::is_foreign(&user.password_hash) {
            self.hash_anew(&user, password).await;
        }
        self.enter(account(user), self.0.policy.token_life)
    }

    /// Puts a hash of ours in the place of another backend's. That may fail: the old one goes on.
    async fn hash_anew(&self, user: &User, password: &str) {
        // Of longer ones bcrypt has seen the beginning only; what follows may be mistyped.
        if password.len() > password::FOREIGN_BYTES {
            return;
        }
        let hash = match self.0.hasher.hash(password.to_owned()).await {
            Ok(hash) => hash,
            Err(error) => return debug!(user = %user.id, %error, "a password keeps its old hash for now"),
        };
        match within(self.0.store.replace_password_hash(user.id, &user.password_hash, hash)).await {
            Ok(true) => info!(user = %user.id, "a password of another backend was hashed anew"),
            Ok(false) => {} // Changed meanwhile.
            Err(error) => warn!(user = %user.id, %error, "a password keeps its old hash for now"),
        }
    }

    /// Lets anyone in under a made-up name, where that is allowed.
    ///
    /// # Errors
    /// [`Error::GuestsDisabled`].
    pub fn guest(&self) -> Result<Entered, Error> {
        if !self.0.policy.guests {
            return Err(Error::GuestsDisabled);
        }
        let mut random = rand::rng();
        let mut word = |words: &[&'static str]| words.choose(&mut random).copied().unwrap_or_default();
        let (adjective, animal) = (word(&ADJECTIVES), word(&ANIMALS));
        let username = format!("{adjective} {animal} {}", random.random_range(10..100));
        let account = Account {
            // Random throughout: an ObjectId's counter would tell how many came before.
            id: UserId::from_bytes(random.random()),
            username,
            email: None,
            guest: true,
            created_at: to_millis(SystemTime::now()),
            last_seen: None,
        };
        self.enter(account, self.0.policy.guest_life)
    }

    /// Whom a token belongs to, and when it ends. An account must still exist.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::Unavailable`].
    pub async fn identify(&self, token: &str) -> Result<(Identity, SystemTime), Error> {
        let (identity, expires) = self.0.tokens.verify(token, SystemTime::now())?;
        if identity.guest {
            return Ok((identity, expires));
        }
        let user = self.current(identity.id).await?;
        Ok((Identity { username: user.username, ..identity }, expires))
    }

    /// The account that a token belongs to.
    ///
    /// # Errors
    /// As [`identify`](Self::identify).
    pub async fn me(&self, token: &str) -> Result<Account, Error> {
        let (identity, expires) = self.0.tokens.verify(token, SystemTime::now())?;
        if identity.guest {
            let Identity { id, username, guest } = identity;
            let created_at = expires.checked_sub(self.0.policy.guest_life).unwrap_or(expires);
            return Ok(Account { id, username, email: None, guest, created_at, last_seen: None });
        }
        Ok(account(self.current(identity.id).await?))
    }

    /// Someone who shows a token, and so is here.
    async fn current(&self, id: UserId) -> Result<User, Error> {
        let user = within(self.0.store.user(id)).await?.ok_or(token::Error::UserGone)?;
        let now = SystemTime::now();
        if now.duration_since(user.last_seen).is_ok_and(|since| since >= SEEN_EVERY) {
            self.seen(id, now).await?;
        }
        Ok(user)
    }

    /// Notes that someone was here.
    pub(super) async fn seen(&self, id: UserId, now: SystemTime) -> Result<(), Error> {
        within(self.0.store.touch(id, now)).await
    }

    /// As the store has it.
    pub(super) async fn unseen(&self, before: SystemTime, limit: usize) -> Result<Vec<UserId>, Error> {
        within(self.0.store.unseen(before, limit)).await
    }

    /// As the store has it.
    pub(super) async fn forget_unseen(&self, people: Vec<UserId>, before: SystemTime) -> Result<u64, Error> {
        within(self.0.store.forget_unseen(people, before)).await
    }

    /// Notes a device of whoever a token belongs to; a guest's is not kept.
    ///
    /// # Errors
    /// [`Error::Invalid`], and as [`identify`](Self::identify).
    pub async fn remember_device(&self, token: &str, device: Device) -> Result<Device, Error> {
        let (identity, _) = self.identify(token).await?;
        let length = device.id.chars().count();
        let problem = |code, message: &str| {
            Err(Error::Invalid(vec![Problem { field: "deviceId", code, message: message.to_owned() }]))
        };
        if length == 0 || length > MAX_CLIENT_ID {
            return problem("length", "A device id has 1 to 64 characters.");
        }
        if !is_device_id(&device.id) {
            return problem("characters", "A device id has no characters that cannot be seen.");
        }
        if !identity.guest {
            within(self.0.store.remember_device(identity.id, device.clone())).await?;
        }
        Ok(device)
    }

    /// Notes that someone has come, with a device if their client names one: one step of the store. Of a
    /// guest nothing is kept.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Token`]: the account is gone.
    pub async fn has_come(&self, person: &Identity, device: Option<Device>) -> Result<(), Error> {
        match device {
            _ if person.guest => Ok(()),
            Some(device) if is_device_id(&device.id) => within(self.0.store.remember_device(person.id, device)).await,
            _ => self.was_here(person.id).await,
        }
    }

    /// Notes that someone with an account was here until now.
    ///
    /// # Errors
    /// As [`has_come`](Self::has_come).
    pub async fn was_here(&self, person: UserId) -> Result<(), Error> {
        within(self.0.store.touch(person, SystemTime::now())).await
    }

    /// The devices of someone with an account, the newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn devices(&self, person: UserId) -> Result<Vec<Device>, Error> {
        within(self.0.store.devices(person)).await
    }

    /// How many accounts there are.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count(&self) -> Result<u64, Error> {
        within(self.0.store.count_users()).await
    }

    /// Whether accounts can be reached.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<(), Error> {
        within(self.0.store.ping()).await
    }

    fn enter(&self, account: Account, life: Duration) -> Result<Entered, Error> {
        let identity = Identity { id: account.id, username: account.username.clone(), guest: account.guest };
        let token = self.0.tokens.issue(&identity, life, SystemTime::now());
        let token = token.map_err(|error| Error::Unavailable(store::Error::Unavailable(error.into())))?;
        Ok(Entered { token, account })
    }
}

async fn within<T>(call: impl Future<Output = Result<T, store::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(STORE_DEADLINE, call).await {
        Ok(answer) => Ok(answer?),
        Err(late) => Err(Error::Unavailable(store::Error::Unavailable(late.into()))),
    }
}

/// Whether a device may be remembered under this name.
pub(super) fn is_device_id(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= MAX_CLIENT_ID && !id.chars().any(|c| c.is_control() || is_invisible(c))
}

fn account(user: User) -> Account {
    let User { id, username, email, created_at, last_seen, .. } = user;
    Account { id, username, email: Some(email), guest: false, created_at, last_seen: Some(last_seen) }
}

fn to_millis(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_millis(since.as_millis().try_into().unwrap_or(u64::MAX))
}

/// What is wrong with an account that comes from elsewhere, by the rules that hold for new ones.
pub fn problems(username: &str, email: &str) -> Vec<Problem> {
    username_problem(username).into_iter().chain(email_problem(email)).collect()
}

fn username_problem(name: &str) -> Option<Problem> {
    let problem = |code, message: String| Some(Problem { field: "username", code, message });
    let length = name.chars().count();
    if !USERNAME.contains(&length) {
        let (least, most) = (USERNAME.start(), USERNAME.end());
        return problem("length", format!("A username has {least} to {most} characters; this one has {length}."));
    }
    // Some letters are blank (the fillers of Hangul): a name of them looks like nobody's.
    let allowed = |c: char| (c.is_alphanumeric() && !is_invisible(c)) || " ._-'".contains(c);
    if name.trim() != name || !name.chars().all(allowed) {
        return problem("characters", "A username has letters, digits, spaces inside, and . _ - ' only.".to_owned());
    }
    None
}

/// The shape that every address has; whether anyone reads it only a letter can tell.
fn email_problem(email: &str) -> Option<Problem> {
    let well_formed = email.len() <= EMAIL
        && !email
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || is_invisible(c) || "<>(),;:\\\"[]".contains(c))
        && email.rsplit_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && !name.contains('@')
                && host.split('.').count() > 1
                && host.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
        });
    let message = "This is not an email address such as name@example.org.".to_owned();
    (!well_formed).then_some(Problem { field: "email", code: "format", message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_judged_by_their_shape() {
        for good in ["Ada", "Zoë L.", "o'neil_7", "李小龙", "ab-c"] {
            assert_eq!(username_problem(good), None, "{good}");
        }
        for bad in [
            "ab",
            &"x".repeat(33),
            " ada",
            "a\u{202e}da",
            "a\nda",
            "<b>x</b>",
            "a\0da",
            "\u{3164}\u{3164}\u{3164}",
            "a\u{200b}da",
        ] {
            assert!(username_problem(bad).is_some(), "{bad}");
        }
        for good in ["a@b.c", "ada.l+x@sub.example.org", "ö@müller.de"] {
            assert_eq!(email_problem(good), None, "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.c",
            "a@b..c",
            "a b@c.d",
            "a@@b.c",
            "a@-b.c",
            "a@b.c\n",
            "a\u{202e}@b.c",
            "a\0@b.c",
            &format!("{}@b.c", "x".repeat(251)),
        ] {
            assert!(email_problem(bad).is_some(), "{bad}");
        }
    }
}
