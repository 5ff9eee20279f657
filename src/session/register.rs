//! The sessions of this node: who may resume which, one a device, so many a person.
//!
//! One short lock, taken when a session begins, resumes or ends; never by a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use rand::RngExt;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::core::{Core, public};
use super::limits::Limits;
use super::notes::Notes;
use super::parking::{Parking, crowded};
use crate::auth::Identity;
use crate::chat::Chat;
use crate::config;
use crate::outbox::{Budget, Outbox};
use crate::protocol::{CloseReason, Closing, Inbound, Lost, Resume, SessionId, SessionKey, UserId};

/// How long a link that was asked to give its session away may take: it only finishes one command.
const HANDOVER: Duration = Duration::from_secs(2);
/// Clients of a draining server come back within this time, each at a moment of its own.
const DRAIN_SPREAD_MS: u64 = 2_000;

/// What sessions must know of the settings.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Deadlines and sizes.
    pub session: config::Session,
    /// Rates.
    pub limits: config::Limits,
    /// Files and voice notes.
    pub files: config::Files,
}

/// All sessions of this node, and what a door needs to serve one. Clones are the same.
#[derive(Clone)]
pub struct Sessions(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) chat: Chat,
    pub(super) settings: Settings,
    pub(super) parking: Parking,
    /// For what waits for those without a link.
    pub(super) kept: Budget,
    pub(super) notes: Notes,
    pub(super) tasks: TaskTracker,
    register: Mutex<Register>,
}

#[derive(Default)]
struct Register {
    sessions: HashMap<SessionId, Arc<Entry>>,
    /// Each person's sessions, oldest first.
    people: HashMap<UserId, Vec<Arc<Entry>>>,
    draining: bool,
}

/// One session as the register knows it.
pub(super) struct Entry {
    pub(super) id: SessionId,
    pub(super) key: SessionKey,
    pub(super) user: UserId,
    /// Nothing of them is kept.
    pub(super) guest: bool,
    device: Option<String>,
    /// Of a session whose client cannot show its key.
    grace: Option<Grace>,
    outbox: Outbox,
    begun: Instant,
    slot: Mutex<Slot>,
    /// Rung when the slot changes.
    changed: Notify,
}

/// How a client comes back that cannot show its session's key.
pub(super) struct Grace {
    /// How long its session waits for it.
    pub(super) window: Duration,
    /// What it is told by from others of the same person: what it calls its device, or else itself.
    pub(super) device: Option<String>,
}

/// Where a session's core is.
enum Slot {
    /// With a link; cancelling the token asks it to give the core away.
    Running(CancellationToken),
    /// Here, until the token's owner gives up waiting; taking it cancels the token.
    Parked(Box<Core>, CancellationToken),
    /// The session is over.
    Over,
}

/// A session in the hands of a link.
pub(super) struct Held {
    pub(super) entry: Arc<Entry>,
    pub(super) core: Box<Core>,
    /// Cancelled when another link wants the session.
    pub(super) wanted: CancellationToken,
}

impl Sessions {
    /// An empty register. Every link's task runs on `tasks`.
    pub fn new(chat: Chat, settings: Settings, tasks: TaskTracker) -> Self {
        let parking = Parking::new(settings.limits.max_parked);
        let kept = Budget::new(settings.limits.parked_bytes);
        Self(Arc::new(Inner {
            chat,
            settings,
            parking,
            kept,
            notes: Notes::default(),
            tasks,
            register: Mutex::default(),
        }))
    }

    /// Where doors put the tasks of their links, so that a shutdown can wait for them.
    pub fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// Ends every session with [`CloseReason::Draining`]; new ones are refused from now on.
    pub fn drain(&self) {
        let entries: Vec<_> = {
            let mut register = self.register();
            register.draining = true;
            register.sessions.values().cloned().collect()
        };
        let closing = || {
            let wait = rand::rng().random_range(0..DRAIN_SPREAD_MS);
            Closing::new(CloseReason::Draining).retry_after_ms(wait)
        };
        // All are sealed before one ends: nobody is to hear that their partner left, when in truth
        // both are asked to come back.
        for entry in &entries {
            entry.outbox.seal(closing());
        }
        for entry in &entries {
            entry.outbox.end(closing());
        }
    }

    /// Begins a session for someone, or says why not.
    pub(super) fn begin(
        &self,
        identity: Identity,
        expires: SystemTime,
        device: Option<String>,
        grace: Option<Grace>,
    ) -> Result<Held, Closing> {
        let Settings { session, limits, .. } = &self.0.settings;
        let mut random = rand::rng();
        let (id, key) = (SessionId::from_bytes(random.random()), SessionKey::from_bytes(random.random()));
        let outbox = Outbox::new(session.outbox_bytes);
        let wanted = CancellationToken::new();
        let entry = Arc::new(Entry {
            id,
            key,
            user: identity.id,
            guest: identity.guest,
            device,
            grace,
            outbox: outbox.clone(),
            begun: Instant::now(),
            slot: Mutex::new(Slot::Running(wanted.clone())),
            changed: Notify::new(),
        });
        for superseded in self.register().admit(&entry, session.per_user, limits.max_sessions)? {
            let message = "Another session of yours took this one's place.";
            superseded.outbox.end(Closing::because(CloseReason::Superseded, message));
        }
        let participant = self.0.chat.join(id, public(&identity), outbox.clone());
        let limits = Limits::new(limits, Instant::now());
        let core = Core { identity, expires, participant, outbox, inbound: Inbound::default(), limits };
        Ok(Held { entry, core: Box::new(core), wanted })
    }

    /// Takes over the session that a client wants to go on with, or says why there is none for this
    /// person and key.
    pub(super) async fn take_over(&self, user: UserId, resume: &Resume) -> Result<Held, Lost> {
        let entry = self.register().sessions.get(&resume.session).cloned();
        let Some(entry) = entry.filter(|entry| entry.user == user && entry.key == resume.key) else {
            return Err(self.0.parking.why(user, resume));
        };
        match timeout(HANDOVER, entry.claim()).await {
            Ok(Some(held)) if held.core.outbox.has_ended() => {
                // It ended while nobody had it; whoever parked it has left that to the taker.
                self.close(&held.entry, None);
                Err(self.0.parking.why(user, resume))
            }
            Ok(Some(held)) => Ok(held),
            Ok(None) | Err(_) => Err(self.0.parking.why(user, resume)),
        }
    }

    /// The session that someone's last link without a key has left, if there is one, on this device. Where
    /// one is in a conversation it is taken over even if it has its link: of a client that has changed its
    /// network, that is known to be dead long after it is back.
    pub(super) async fn left_by(&self, user: UserId, grace: &Grace) -> Option<Held> {
        let theirs = self.register().people.get(&user).cloned().unwrap_or_default();
        let same = |entry: &&Arc<Entry>| entry.grace.as_ref().is_some_and(|other| other.device == grace.device);
        for entry in theirs.iter().rev().filter(same) {
            let held = match self.0.chat.talks(user, entry.id) {
                true => timeout(HANDOVER, entry.claim()).await.ok().flatten(),
                false => entry.take_parked(),
            };
            match held {
                // It ended while nobody had it; whoever parked it has left that to the taker.
                Some(held) if held.core.outbox.has_ended() => self.close(&held.entry, None),
                Some(held) => return Some(held),
                None => {}
            }
        }
        None
    }

    /// How long a session waits for its client.
    pub(super) fn window(&self, entry: &Entry) -> Duration {
        entry.grace.as_ref().map_or(self.0.settings.session.resume_window, |grace| grace.window)
    }

    /// Ends a session: its core is dropped, its name forgotten, but for why it ended: `why`, or what
    /// its farewell says.
    pub(super) fn close(&self, entry: &Arc<Entry>, why: Option<Lost>) {
        self.remember(entry, why);
        entry.over();
        self.register().remove(entry);
        self.note_departure(entry);
        let closing = entry.outbox.closing().map(|closing| closing.reason.clone());
        let reason = closing.unwrap_or_else(|| why.map_or_else(String::new, |why| format!("{why:?}").to_lowercase()));
        let seconds = entry.begun.elapsed().as_secs();
        info!(session = %entry.id, user = %entry.user, reason, seconds, "session ended");
    }

    /// Keeps why a session ends, if that is worth telling.
    pub(super) fn remember(&self, entry: &Entry, why: Option<Lost>) {
        let why = why.or_else(|| match entry.outbox.closing()?.code {
            code if code == CloseReason::Slow.code() => Some(Lost::Slow),
            code if code == CloseReason::Draining.code() => Some(Lost::Crowded),
            _ => None,
        });
        if let Some(why) = why {
            self.0.parking.remember(entry.id, entry.user, entry.key, why);
        }
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.0.register.lock().expect("no code panics while it holds this lock")
    }
}

impl Register {
    /// Enters a session; yields those that must give way to it.
    fn admit(&mut self, entry: &Arc<Entry>, per_user: usize, most: usize) -> Result<Vec<Arc<Entry>>, Closing> {
        if self.draining {
            return Err(Closing::new(CloseReason::Draining).retry_after_ms(DRAIN_SPREAD_MS));
        }
        if self.sessions.len() >= most {
            let message = "This server is full. Try again in a while.";
            return Err(Closing::because(CloseReason::Draining, message).retry_after_ms(10_000));
        }
        let theirs = self.people.entry(entry.user).or_default();
        let same_device = |other: &Arc<Entry>| entry.device.is_some() && other.device == entry.device;
        let (mut give_way, mut stay): (Vec<_>, Vec<_>) = theirs.drain(..).partition(same_device);
        while stay.len() >= per_user.max(1) {
            give_way.push(stay.remove(0));
        }
        stay.push(Arc::clone(entry));
        *theirs = stay;
        self.sessions.insert(entry.id, Arc::clone(entry));
        Ok(give_way)
    }

    fn remove(&mut self, entry: &Arc<Entry>) {
        self.sessions.remove(&entry.id);
        if let Some(theirs) = self.people.get_mut(&entry.user) {
            theirs.retain(|other| !Arc::ptr_eq(other, entry));
            if theirs.is_empty() {
                self.people.remove(&entry.user);
            }
        }
    }
}

impl Entry {
    /// Leaves the core here for a link to come. The token is cancelled when one takes it.
    pub(super) fn park(&self, core: Box<Core>) -> CancellationToken {
        let taken = CancellationToken::new();
        *self.slot() = Slot::Parked(core, taken.clone());
        self.changed.notify_waiters();
        taken
    }

    /// Runs `act` on the core if it is still parked under this token.
    pub(super) fn while_parked(&self, taken: &CancellationToken, act: impl FnOnce(&Core)) {
        if let Slot::Parked(core, _) = &*self.slot()
            && !taken.is_cancelled()
        {
            act(core);
        }
    }

    /// Ends the session because too many wait, if it is still parked under this token.
    pub(super) fn crowd_out(&self, taken: &CancellationToken) -> bool {
        let mut ended = false;
        self.while_parked(taken, |core| {
            core.outbox.end(crowded());
            ended = true;
        });
        ended
    }

    /// Ends the wait for a link. False: one has come after all.
    pub(super) fn give_up(&self, taken: &CancellationToken) -> bool {
        let mut slot = self.slot();
        // Looked at under the lock: whoever claims cancels the token under it.
        if taken.is_cancelled() {
            return false;
        }
        let core = std::mem::replace(&mut *slot, Slot::Over);
        drop(slot);
        drop(core);
        self.changed.notify_waiters();
        true
    }

    fn over(&self) {
        let slot = std::mem::replace(&mut *self.slot(), Slot::Over);
        drop(slot);
        self.changed.notify_waiters();
    }

    /// Waits for the core, asking the link that has it to let go.
    async fn claim(self: &Arc<Self>) -> Option<Held> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut slot = self.slot();
                match &*slot {
                    Slot::Over => return None,
                    Slot::Running(wanted) => wanted.cancel(),
                    Slot::Parked(..) => return self.take_from(&mut slot),
                }
            }
            changed.await;
        }
    }

    /// Takes the core, if no link has it.
    fn take_parked(self: &Arc<Self>) -> Option<Held> {
        self.take_from(&mut self.slot())
    }

    fn take_from(self: &Arc<Self>, slot: &mut Slot) -> Option<Held> {
        if !matches!(slot, Slot::Parked(..)) {
            return None;
        }
        let wanted = CancellationToken::new();
        let Slot::Parked(core, taken) = std::mem::replace(slot, Slot::Running(wanted.clone())) else { return None };
        // Under the lock: whoever gives up looks at it there.
        taken.cancel();
        Some(Held { entry: Arc::clone(self), core, wanted })
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().expect("no code panics while it holds this lock")
    }
}
