//! Forgetting accounts that nobody uses: at start, then once a day, in small steps.

use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Chat, accounts};

/// How often it is looked for those who were not here for long.
const EVERY: Duration = Duration::from_secs(86_400);
/// Accounts in one step of the store. Between two steps others have their turn.
const STEP: usize = 500;

impl Chat {
    /// Deletes accounts that were not used for `after`, until `stop`. Someone who is online counts as seen.
    pub async fn keep_forgetting(&self, after: Duration, stop: CancellationToken) {
        let mut days = interval(EVERY);
        days.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = days.tick() => {}
            }
            let now = SystemTime::now();
            let Some(before) = now.checked_sub(after) else { return };
            // Each step is short; a shutdown need not cut one in its middle.
            let forgotten = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                forgotten = self.forget(before, now) => forgotten,
            };
            let days = after.as_secs() / 86_400;
            match forgotten {
                Ok(count) => info!(count, days, "accounts that were not seen for so many days are deleted"),
                Err(error) => warn!(%error, "accounts that were not seen for long stay until tomorrow"),
            }
        }
    }

    /// Deletes all who were last seen before that; yields how many.
    ///
    /// # Errors
    /// [`accounts::Error::Unavailable`]; what is deleted by then stays deleted.
    async fn forget(&self, before: SystemTime, now: SystemTime) -> Result<u64, accounts::Error> {
        let mut forgotten = 0;
        loop {
            let people = self.accounts.unseen(before, STEP).await?;
            if people.is_empty() {
                return Ok(forgotten);
            }
            let (here, gone): (Vec<_>, Vec<_>) = people.into_iter().partition(|person| self.is_online(*person));
            for person in here {
                self.accounts.seen(person, now).await?;
            }
            // Who came meanwhile was noted on the way in, and stays.
            forgotten += self.accounts.forget_unseen(gone, before).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::outbox::Outbox;
    use crate::protocol::{PublicUser, SessionId};
    use crate::store::{self, Store, User, new_user_id};

    const DAY: Duration = Duration::from_secs(86_400);

    fn user(number: usize, seen: SystemTime) -> User {
        User {
            id: new_user_id(seen),
            username: format!("Ada {number}"),
            email: format!("ada{number}@example.org"),
            password_hash: "$argon2id$...".into(),
            created_at: seen,
            last_seen: seen,
        }
    }

    async fn service(folder: &tempfile::TempDir) -> (Config, Arc<dyn Store>, Chat) {
        let data = folder.path().display().to_string();
        let config = crate::config::load(None, [("DUOLOGUE_SERVER_DATA".to_owned(), data)]).unwrap();
        let store = store::open(&config).await.unwrap();
        let accounts = accounts::Accounts::new(Arc::clone(&store), &config).unwrap();
        let chat = Chat::new(accounts, &config.matching, &config.files);
        (config, store, chat)
    }

    #[tokio::test]
    async fn the_unseen_are_deleted_and_who_is_online_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (_, store, chat) = service(&folder).await;
        let now = SystemTime::now();
        let old = now - 31 * DAY;
        let users: Vec<_> =
            (0..2 * STEP + 7).map(|number| user(number, old + Duration::from_secs(number as u64))).collect();
        let (online, recent) = (users[3].clone(), user(9_999_999, now - 29 * DAY));
        assert!(store.import_users(users, true).await.unwrap().is_empty());
        store.create_user(recent.clone()).await.unwrap();
        let public = PublicUser { id: online.id, username: online.username.clone(), guest: false };
        let here = chat.join(SessionId::from_bytes([1; 16]), public, Outbox::new(100_000));

        let stop = CancellationToken::new();
        let forgetting = chat.keep_forgetting(30 * DAY, stop.clone());
        let all_gone = async {
            let gone = tokio::time::timeout(Duration::from_secs(20), async {
                while store.count_users().await.unwrap() > 2 {
                    tokio::task::yield_now().await;
                }
            });
            gone.await.expect("they go in time");
            stop.cancel();
        };
        tokio::join!(forgetting, all_gone);
        assert!(store.user(online.id).await.unwrap().is_some(), "who is online stays");
        assert!(store.user(recent.id).await.unwrap().is_some(), "29 days are not 30");

        drop(here);
        assert_eq!(chat.forget(now - 30 * DAY, now).await.unwrap(), 0, "who was online was seen");
        assert_eq!(chat.forget(now + DAY, now).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn whoever_shows_a_token_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (config, store, chat) = service(&folder).await;
        let new = accounts::NewAccount {
            username: "Ada".into(),
            email: "ada@example.org".into(),
            password: "Password123".into(),
        };
        let entered = chat.accounts().register(new).await.unwrap();
        // An account that was last seen long ago, with a token that is still good.
        let old =
            User { last_seen: SystemTime::now() - 31 * DAY, ..store.user(entered.account.id).await.unwrap().unwrap() };
        store.delete_user(old.id).await.unwrap();
        store.create_user(old.clone()).await.unwrap();
        chat.accounts().identify(&entered.token).await.unwrap();
        let before = SystemTime::now() - 30 * DAY;
        assert_eq!(chat.forget(before, SystemTime::now()).await.unwrap(), 0);
        assert!(config.forget_after.is_none(), "nobody is forgotten unless it is asked for");
    }
}
