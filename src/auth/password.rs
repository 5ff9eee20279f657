//! Passwords: argon2id on one thread of its own, behind a short queue, so that a flood of logins
//! costs one core and not the service. Of each account one password is looked at at a time, so that
//! nobody holds the thread with an account of their own.
//!
//! Hashes that Node backends keep (bcrypt: `$2a$`, `$2b$`, `$2y$`; argon2id of other parameters) are verified
//! where they take no longer than a login may, and never made.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// Memory of one hash, KiB; passes; lanes. (OWASP's second choice; some 30 ms a hash.)
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes that may wait; one more is refused at once.
const QUEUE: usize = 32;
/// Longest wait for an answer, the hash itself included.
const DEADLINE: Duration = Duration::from_secs(2);
/// The costs of a bcrypt hash that is verified: of each, the time is twice that of the one before. 12 takes
/// about a quarter of a second of the one thread.
const FOREIGN_COSTS: std::ops::RangeInclusive<u32> = 4..=12;
/// The most memory of an argon2id hash that is verified, KiB; the most passes, and lanes. All three together
/// take about as long as the dearest of bcrypt.
const FOREIGN_MEMORY_KIB: u32 = 64 * 1024;
const FOREIGN_PASSES: u32 = 4;
const FOREIGN_LANES: u32 = 4;
/// Bytes of a password that bcrypt looks at; what comes after does not count.
pub const FOREIGN_BYTES: usize = 72;
/// Length of a password, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;
/// The commonest passwords of 8 and more characters, refused.
const COMMON: &str = include_str!("common_passwords.txt");

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too many wait, or it took too long; or another one for the same account is not answered yet.
    #[error("Too many people are logging in at this moment. Try again in a few seconds.")]
    Busy,
    /// The hash could not be made.
    #[error("The password could not be hashed.")]
    Failed,
}

/// Why a password will not do; `None`: it will.
pub fn weakness(password: &str) -> Option<(&'static str, String)> {
    let length = password.chars().count();
    if !LENGTH.contains(&length) {
        let (least, most) = (LENGTH.start(), LENGTH.end());
        return Some(("length", format!("A password has {least} to {most} characters; this one has {length}.")));
    }
    let lower = password.to_lowercase();
    let common = common().any(|line| line == lower);
    common.then(|| ("common", "This password is among the most used ones. Choose another.".to_owned()))
}

/// Those that are refused, in small letters.
pub fn common() -> impl Iterator<Item = &'static str> {
    COMMON.lines()
}

/// Whether a hash is another backend's: good to log in with, and better made anew.
pub fn is_foreign(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind))
}

/// Why nobody could log in with this hash; `None`: they could.
pub fn unusable(hash: &str) -> Option<String> {
    if !is_foreign(hash) {
        return unusable_argon2id(hash);
    }
    let (least, most) = (FOREIGN_COSTS.start(), FOREIGN_COSTS.end());
    match hash.parse::<bcrypt::HashParts>() {
        Err(_) => Some("begins as a bcrypt hash, but is none".to_owned()),
        Ok(parts) if !FOREIGN_COSTS.contains(&parts.get_cost()) => {
            Some(format!("is a bcrypt hash of cost {}; {least} to {most} are verified", parts.get_cost()))
        }
        Ok(_) => None,
    }
}

fn unusable_argon2id(hash: &str) -> Option<String> {
    let parsed = hash.starts_with("$argon2id$").then(|| PasswordHash::new(hash).ok()).flatten();
    let Some(parsed) = parsed else {
        return Some("is no bcrypt hash ($2a$, $2b$ or $2y$) and no argon2id hash".to_owned());
    };
    let of_a_known_version = parsed.version.is_none_or(|version| Version::try_from(version).is_ok());
    let params = match Params::try_from(&parsed) {
        Ok(params) if of_a_known_version && parsed.hash.is_some() => params,
        _ => return Some("begins as an argon2id hash, but is no whole one".to_owned()),
    };
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    let is_dear = memory > FOREIGN_MEMORY_KIB || passes > FOREIGN_PASSES || lanes > FOREIGN_LANES;
    is_dear.then(|| {
        format!(
            "is an argon2id hash of m={memory},t={passes},p={lanes}; up to \
             m={FOREIGN_MEMORY_KIB},t={FOREIGN_PASSES},p={FOREIGN_LANES} are verified"
        )
    })
}

/// The thread that hashes. Clones send to the same.
#[derive(Clone)]
pub struct Hasher {
    jobs: SyncSender<Job>,
    asked: Asked,
}

/// The accounts of which a password waits or is looked at: no more than the queue holds, and the one that
/// is at work.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<HashSet<String>>>);

impl Asked {
    /// `None`: it is held.
    fn hold(&self, account: String) -> Option<Held> {
        self.accounts().insert(account.clone()).then(|| Held { asked: self.clone(), account })
    }

    fn accounts(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

/// An account, until this is dropped.
struct Held {
    asked: Asked,
    account: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.asked.accounts().remove(&self.account);
    }
}

struct Job {
    task: Task,
    deadline: Instant,
}

enum Task {
    Hash(String, oneshot::Sender<Result<String, Error>>),
    /// Against `None`, the time is spent and the answer is no.
    Verify(String, Option<String>, Held, oneshot::Sender<bool>),
}

impl Hasher {
    /// Starts the thread. It ends with the last clone.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        std::thread::Builder::new().name("password-hasher".to_owned()).spawn(move || work(&queue))?;
        Ok(Self { jobs, asked: Asked::default() })
    }

    /// The PHC string of a password.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Failed`].
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        self.ask(|answer| Task::Hash(password, answer)).await?
    }

    /// Whether a password is the one of this PHC string; without one, no, after the same time. `account` is
    /// what was asked for, whether it exists or not: that a second one is refused must not tell which.
    ///
    /// # Errors
    /// [`Error::Busy`], at once if the last one for this account is not answered yet.
    pub async fn verify(&self, account: String, password: String, hash: Option<String>) -> Result<bool, Error> {
        let held = self.asked.hold(account).ok_or(Error::Busy)?;
        self.ask(|answer| Task::Verify(password, hash, held, answer)).await
    }

    async fn ask<T>(&self, task: impl FnOnce(oneshot::Sender<T>) -> Task) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + DEADLINE;
        self.jobs.try_send(Job { task: task(answer), deadline }).map_err(|_| Error::Busy)?;
        match timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }
}

fn work(queue: &Receiver<Job>) {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("these parameters are within argon2's bounds");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let dummy = hash(&argon, "a password that nobody has").unwrap_or_default();
    while let Ok(Job { task, deadline }) = queue.recv() {
        // Nobody waits for it any more.
        if Instant::now() >= deadline {
            continue;
        }
        // An answer that nobody takes is no fault: the asker has given up.
        match task {
            Task::Hash(password, answer) => {
                let _ = answer.send(hash(&argon, &password));
            }
            Task::Verify(password, known, held, answer) => {
                let text = known.as_deref().unwrap_or(&dummy);
                let matches = match unusable(text) {
                    Some(_) => false,
                    None if is_foreign(text) => bcrypt::verify(&password, text).unwrap_or(false),
                    None => PasswordHash::new(text)
                        .is_ok_and(|parsed| argon.verify_password(password.as_bytes(), &parsed).is_ok()),
                };
                // Before the answer: who has it may ask again.
                drop(held);
                let _ = answer.send(matches && known.is_some());
            }
        }
    }
}

fn hash(argon: &Argon2<'_>, password: &str) -> Result<String, Error> {
    argon.hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|_| Error::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_verified_against_its_own_hash_only() {
        let hasher = Hasher::start().unwrap();
        let hash = hasher.hash("Password123".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(hasher.verify("ada".into(), "Password123".into(), Some(hash.clone())).await, Ok(true));
        assert_eq!(hasher.verify("ada".into(), "password123".into(), Some(hash)).await, Ok(false));
        assert_eq!(hasher.verify("ada".into(), "a password that nobody has".into(), None).await, Ok(false));
        assert_eq!(hasher.verify("ada".into(), "x".into(), Some("no PHC string".into())).await, Ok(false));
    }

    #[tokio::test]
    async fn hashes_of_node_backends_are_verified() {
        let hasher = Hasher::start().unwrap();
        // Made by npm's bcrypt 6 and bcryptjs 3, of "Password123" and of 80 bytes.
        let long = "x".repeat(80);
        for (password, hash) in [
            ("Password123", "$2b$10$ap399CPFWNI.ZAoI8eJ1Q.qT7roR93SRMhy3EpM7cYG3TmlDL4b2y"),
            ("Password123", "$2a$10$1QtT3/linis9u4/F5uVk8uyzjZ02q1pPIeUKRk702fIOMAosJ9mLi"),
            ("Pässwörd123", "$2b$04$6GiqIQp0oCygOSzJs65BK.Ml3lyuvsDYcchT5BjoItdVG2wWndPiG"),
            (&long, "$2b$04$DBHFWtpo5SKl8mOofnA78evIDFlk5eS8lHp1/fJd/WEXBIksNvu32"),
        ] {
            assert!(is_foreign(hash) && unusable(hash).is_none(), "{hash}");
            assert_eq!(hasher.verify("ada".into(), password.into(), Some(hash.into())).await, Ok(true), "{hash}");
            assert_eq!(hasher.verify("ada".into(), "password123".into(), Some(hash.into())).await, Ok(false), "{hash}");
            let as_y = hash.replacen("$2b$", "$2y$", 1).replacen("$2a$", "$2y$", 1);
            assert_eq!(
                hasher.verify("ada".into(), password.into(), Some(as_y)).await,
                Ok(true),
                "the same as PHP writes it"
            );
        }
        let (_, rest) = "$2b$10$ap399CPFWNI.ZAoI8eJ1Q.qT7roR93SRMhy3EpM7cYG3TmlDL4b2y".split_at(6);
        for (bad, says) in [
            (format!("$2b$13{rest}"), "cost 13; 4 to 12"),
            (format!("$2b$31{rest}"), "cost 31; 4 to 12"),
            (format!("$2b$03{rest}"), "cost 3; 4 to 12"),
            ("$2b$10$short".into(), "but is none"),
            ("$2x$10$abc".into(), "no bcrypt hash"),
            ("Password123".into(), "no bcrypt hash"),
            ("$argon2id$...".into(), "no bcrypt hash"),
            ("".into(), "no bcrypt hash"),
        ] {
            let why = unusable(&bad).unwrap_or_else(|| panic!("{bad} was taken"));
            assert!(why.contains(says) && !why.contains(rest), "{why}");
            let asked = Instant::now();
            assert_eq!(hasher.verify("ada".into(), "Password123".into(), Some(bad.clone())).await, Ok(false), "{bad}");
            assert!(asked.elapsed() < Duration::from_secs(1), "refused without the work: {bad}");
        }
        let ours = hasher.hash("Password123".into()).await.unwrap();
        assert!(!is_foreign(&ours) && unusable(&ours).is_none());
    }

    #[tokio::test]
    async fn argon2id_of_other_parameters_is_verified_within_bounds() {
        let hasher = Hasher::start().unwrap();
        let dearest = Params::new(FOREIGN_MEMORY_KIB, FOREIGN_PASSES, FOREIGN_LANES, None).unwrap();
        let dearest = hash(&Argon2::new(Algorithm::Argon2id, Version::V0x13, dearest), "Password123").unwrap();
        assert!(dearest.starts_with("$argon2id$v=19$m=65536,t=4,p=4$"), "{dearest}");
        assert_eq!(unusable(&dearest), None);
        let verified = hasher.verify("ada".into(), "Password123".into(), Some(dearest.clone())).await;
        assert_eq!(verified, Ok(true));
        let (rest, _) = dearest.rsplit_once('$').unwrap();
        for (bad, says) in [
            (dearest.replace("m=65536", "m=65537"), "m=65537,t=4,p=4; up to m=65536,t=4,p=4"),
            (dearest.replace("m=65536", "m=4294967295"), "m=4294967295,"),
            (dearest.replace("t=4", "t=5"), "t=5,"),
            (dearest.replace("p=4", "p=5"), "p=5;"),
            (dearest.replace("v=19", "v=18"), "no whole one"),
            (dearest.replace("m=65536", "m=1"), "no whole one"),
            (rest.to_owned(), "no whole one"),
        ] {
            let why = unusable(&bad).unwrap_or_else(|| panic!("{bad} was taken"));
            assert!(why.contains(says), "{why}");
            let asked = Instant::now();
            assert_eq!(hasher.verify("ada".into(), "Password123".into(), Some(bad.clone())).await, Ok(false), "{bad}");
            assert!(asked.elapsed() < Duration::from_secs(1), "refused without the work: {bad}");
        }
    }

    #[tokio::test]
    async fn one_password_of_an_account_is_looked_at_at_a_time() {
        // A queue behind which nobody works yet.
        let (jobs, queue) = sync_channel(QUEUE);
        let hasher = Hasher { jobs, asked: Asked::default() };
        let verify = |account: &str| hasher.verify(account.to_owned(), "Password123".into(), None);
        let mut first = std::pin::pin!(verify("ada"));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert_eq!(verify("ada").await, Err(Error::Busy), "at once");
        let mut other = std::pin::pin!(verify("ben"));
        assert!(futures_util::poll!(&mut other).is_pending());
        std::thread::spawn(move || work(&queue));
        assert_eq!((first.await, other.await), (Ok(false), Ok(false)));
        assert_eq!(verify("ada").await, Ok(false), "as soon as the first is answered");
        // Who is not taken into the queue is not held either.
        let (jobs, _queue) = sync_channel(0);
        let full = Hasher { jobs, asked: Asked::default() };
        assert_eq!(full.verify("ada".into(), "Password123".into(), None).await, Err(Error::Busy));
        assert!(full.asked.accounts().is_empty());
    }

    #[tokio::test]
    async fn a_flood_is_refused_and_does_not_pile_up() {
        let hasher = Hasher::start().unwrap();
        let flood = (0..QUEUE * 4).map(|number| hasher.verify(number.to_string(), "Password123".into(), None));
        let answers = futures_util::future::join_all(flood).await;
        assert!(answers.contains(&Err(Error::Busy)) && answers.contains(&Ok(false)));
        assert_eq!(hasher.verify("ada".into(), "Password123".into(), None).await, Ok(false), "works again afterwards");
    }

    #[test]
    fn weak_passwords_are_told_why() {
        assert_eq!(weakness("Password123"), None, "the sample of the original's documentation");
        assert_eq!(weakness("short").map(|(code, _)| code), Some("length"));
        assert_eq!(weakness(&"x".repeat(129)).map(|(code, _)| code), Some("length"));
        assert_eq!(weakness("PassWord1").map(|(code, _)| code), Some("common"));
        assert_eq!(weakness("çççççççç"), None, "counted in characters");
    }
}
