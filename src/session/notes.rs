//! What is written down of people who come and go: when they were here, and with which device.
//!
//! Beside the sessions, on the same tracker, so that no session waits for the store and a shutdown
//! waits for what is under way.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Semaphore;
use tracing::debug;

use super::entry::Entry;
use super::register::Sessions;
use crate::auth::Identity;
use crate::chat::accounts::{self, Device};
use crate::protocol::Whence;

/// Most notes under way at once. One more is not made: a store that is so far behind needs rest more
/// than it needs to know the minute.
const MOST_NOTES: usize = 1024;

/// Room for the notes under way.
pub(super) struct Notes(Arc<Semaphore>);

impl Default for Notes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_NOTES)))
    }
}

impl Sessions {
    /// Someone has begun a session. Their device is remembered if their client names one.
    pub(super) fn note_arrival(&self, person: &Identity, whence: &Whence) {
        if person.guest {
            return;
        }
        let device = whence.device.as_ref().and_then(|device| {
            let id = device.id.clone()?;
            let (name, platform) = (device.browser.clone(), device.platform.clone());
            Some(Device { id, name, platform, last_seen: SystemTime::now() })
        });
        let (accounts, person) = (self.0.chat.accounts().clone(), person.clone());
        self.note(async move { accounts.has_come(&person, device).await });
    }

    /// A session is over. If it was its person's last, they were here until now.
    pub(super) fn note_departure(&self, entry: &Entry) {
        if entry.guest || self.0.chat.is_online(entry.user) {
            return;
        }
        let (accounts, person) = (self.0.chat.accounts().clone(), entry.user);
        self.note(async move { accounts.was_here(person).await });
    }

    /// Writes a note, which ends within the accounts' own deadline.
    fn note(&self, note: impl Future<Output = Result<(), accounts::Error>> + Send + 'static) {
        let Ok(room) = Arc::clone(&self.0.notes.0).try_acquire_owned() else {
            debug!("the store is behind: who came or went is not noted");
            return;
        };
        self.0.tasks.spawn(async move {
            if let Err(error) = note.await {
                debug!(%error, "who came or went was not noted");
            }
            drop(room);
        });
    }
}
