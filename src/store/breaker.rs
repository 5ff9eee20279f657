//! A store that is away costs its callers nothing: a deadline for each call, and a circuit breaker.
//!
//! After [`FAILURES`] in a row every call fails at once, and somebody asks each [`PROBE_EVERY`] whether the
//! store is back. No caller is the one who asks: each of them would wait for the deadline.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{info, warn};

use super::{Device, Error, Store, User};
use crate::protocol::UserId;

/// Longest that one call may take, of those that somebody waits for.
const DEADLINE: Duration = Duration::from_millis(500);
/// The same for what the operator's tools and the daily cleaning ask for, some hundred accounts at a time.
const LONG_DEADLINE: Duration = Duration::from_secs(10);
/// The same for an import: all of it is one call.
const IMPORT_DEADLINE: Duration = Duration::from_secs(600);
/// Failures in a row after which the store counts as away.
const FAILURES: u32 = 3;
/// How often it is asked whether it is back. With the deadline, a store that is back is used within 1.5 s of
/// the moment at which it answers.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// It is known to be away.
#[derive(Debug, thiserror::Error)]
#[error("the last calls failed, so no other is tried until it answers")]
struct Away;

/// It did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} ms", .0.as_millis())]
struct Late(Duration);

/// Whether calls go through. Pure: it is told what happened, and when.
#[derive(Debug)]
enum Breaker {
    Closed {
        /// In a row.
        failures: u32,
    },
    Open {
        since: Instant,
    },
}

impl Breaker {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// A call has ended. True: with this one it opens.
    fn called(&mut self, well: bool, now: Instant) -> bool {
        match self {
            // It began before the breaker opened; whether the store is back is for the probe to say.
            Self::Open { .. } => false,
            Self::Closed { failures } if well => {
                *failures = 0;
                false
            }
            Self::Closed { failures } => {
                *failures += 1;
                let opens = *failures >= FAILURES;
                if opens {
                    *self = Self::Open { since: now };
                }
                opens
            }
        }
    }

    /// A probe has ended. With one that went well it closes, and yields for how long it was open.
    fn probed(&mut self, well: bool, now: Instant) -> Option<Duration> {
        match self {
            Self::Open { since } if well => {
                let away = now - *since;
                *self = Self::Closed { failures: 0 };
                Some(away)
            }
            Self::Open { .. } | Self::Closed { .. } => None,
        }
    }
}

/// A store behind a breaker.
pub(super) struct Guarded {
    inner: Arc<Inner>,
    /// Ends with this.
    _prober: AbortOnDropHandle<()>,
}

struct Inner {
    store: Box<dyn Store>,
    breaker: Mutex<Breaker>,
    /// It has opened.
    opened: Notify,
}

impl Guarded {
    /// Guards this store. Inside a runtime.
    pub(super) fn new(store: impl Store + 'static) -> Self {
        let breaker = Mutex::new(Breaker::Closed { failures: 0 });
        let inner = Arc::new(Inner { store: Box::new(store), breaker, opened: Notify::new() });
        let prober = TaskTracker::new().spawn(probe(Arc::clone(&inner)));
        Self { inner, _prober: AbortOnDropHandle::new(prober) }
    }

    fn within<'a, T: Send + 'a>(
        &'a self,
        deadline: Duration,
        call: impl FnOnce(&'a dyn Store) -> BoxFuture<'a, Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>> {
        async move {
            if self.inner.breaker().is_open() {
                return Err(Error::Unavailable(Away.into()));
            }
            let outcome = timed(deadline, call(&*self.inner.store)).await;
            if self.inner.breaker().called(answered(&outcome), Instant::now()) {
                let error = outcome.as_ref().err().and_then(std::error::Error::source).map(tracing::field::display);
                warn!(error, "the database is away: accounts cannot be reached until it is back, talks go on");
                self.inner.opened.notify_one();
            }
            outcome
        }
        .boxed()
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce(&'a dyn Store) -> BoxFuture<'a, Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>> {
        self.within(DEADLINE, call)
    }
}

impl Inner {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().expect("no code panics while it holds this lock")
    }
}

async fn timed<T>(deadline: Duration, call: BoxFuture<'_, Result<T, Error>>) -> Result<T, Error> {
    match timeout(deadline, call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Unavailable(Late(deadline).into())),
    }
}

/// A refusal is an answer, too.
fn answered<T>(outcome: &Result<T, Error>) -> bool {
    match outcome {
        Ok(_) | Err(Error::UsernameTaken | Error::EmailTaken | Error::IdTaken | Error::NoSuchUser) => true,
        Err(Error::Unavailable(_)) => false,
    }
}

/// While the breaker is open, asks whether the store is back.
async fn probe(inner: Arc<Inner>) {
    loop {
        inner.opened.notified().await;
        while inner.breaker().is_open() {
            sleep(PROBE_EVERY).await;
            let well = answered(&timed(DEADLINE, inner.store.ping()).await);
            if let Some(away) = inner.breaker().probed(well, Instant::now()) {
                info!(away_seconds = away.as_secs(), "the database is back");
            }
        }
    }
}

impl Store for Guarded {
    fn create_user(&self, user: User) -> BoxFuture<'_, Result<(), Error>> {
        self.call(|store| store.create_user(user))
    }

    fn user(&self, id: UserId) -> BoxFuture<'_, Result<Option<User>, Error>> {
        self.call(move |store| store.user(id))
    }

    fn user_by_email(&self, email: &str) -> BoxFuture<'_, Result<Option<User>, Error>> {
        let email = email.to_owned();
        self.call(move |store| store.user_by_email(&email))
    }

    fn count_users(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.call(|store| store.count_users())
    }

    fn list_users(&self, after: Option<UserId>, limit: usize) -> BoxFuture<'_, Result<Vec<User>, Error>> {
        self.within(LONG_DEADLINE, move |store| store.list_users(after, limit))
    }

    fn touch(&self, id: UserId, now: SystemTime) -> BoxFuture<'_, Result<(), Error>> {
        self.call(move |store| store.touch(id, now))
    }

    fn remember_device(&self, id: UserId, device: Device) -> BoxFuture<'_, Result<(), Error>> {
        self.call(move |store| store.remember_device(id, device))
    }

    fn devices(&self, id: UserId) -> BoxFuture<'_, Result<Vec<Device>, Error>> {
        self.call(move |store| store.devices(id))
    }

    fn replace_password_hash(&self, id: UserId, old: &str, new: String) -> BoxFuture<'_, Result<bool, Error>> {
        let old = old.to_owned();
        self.call(move |store| store.replace_password_hash(id, &old, new))
    }

    fn import_users(&self, users: Vec<User>, keep: bool) -> BoxFuture<'_, Result<Vec<(usize, Error)>, Error>> {
        self.within(IMPORT_DEADLINE, move |store| store.import_users(users, keep))
    }

    fn unseen(&self, before: SystemTime, limit: usize) -> BoxFuture<'_, Result<Vec<UserId>, Error>> {
        self.within(LONG_DEADLINE, move |store| store.unseen(before, limit))
    }

    fn count_unseen(&self, before: SystemTime) -> BoxFuture<'_, Result<u64, Error>> {
        self.within(LONG_DEADLINE, move |store| store.count_unseen(before))
    }

    fn forget_unseen(&self, people: Vec<UserId>, before: SystemTime) -> BoxFuture<'_, Result<u64, Error>> {
        self.within(LONG_DEADLINE, move |store| store.forget_unseen(people, before))
    }

    fn delete_user(&self, id: UserId) -> BoxFuture<'_, Result<bool, Error>> {
        self.call(move |store| store.delete_user(id))
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.call(|store| store.ping())
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
