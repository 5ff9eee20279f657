//! The sessions of this node: who may resume which, one a device, so many a person.
//!
//! One short lock, taken when a session begins, resumes or ends; never by a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use rand::RngExt;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::company::Company;
use super::core::{Core, public};
use super::entry::{Entry, Grace, Held, Named};
use super::image::Image;
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
    /// The other nodes, where there are any.
    pub(super) company: Option<Company>,
    register: Mutex<Register>,
}

#[derive(Default)]
struct Register {
    sessions: HashMap<SessionId, Arc<Entry>>,
    /// Each person's sessions, oldest first.
    people: HashMap<UserId, Vec<Arc<Entry>>>,
    draining: bool,
}

/// Why a client does not get its session.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// There is none to be had.
    Lost(Lost),
    /// It is there, and whoever has it does not let go: it is to be asked for again.
    Busy,
}

impl Sessions {
    /// An empty register. Every link's task runs on `tasks`.
    pub fn new(chat: Chat, settings: Settings, tasks: TaskTracker) -> Self {
        Self::among(chat, settings, tasks, None)
    }

    /// The same, among other nodes.
    pub fn among(chat: Chat, settings: Settings, tasks: TaskTracker, company: Option<Company>) -> Self {
        let parking = Parking::new(settings.limits.max_parked);
        let kept = Budget::new(settings.limits.parked_bytes);
        Self(Arc::new(Inner {
            chat,
            settings,
            parking,
            kept,
            notes: Notes::default(),
            tasks,
            company,
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
        let (user, guest) = (identity.id, identity.guest);
        let named = Named { id, key, user, guest, device, grace, lost_key: None, hops: 0 };
        let entry = Arc::new(Entry::new(named, outbox.clone(), Instant::now(), wanted.clone()));
        for superseded in self.register().admit(&entry, session.per_user, limits.max_sessions)? {
            let message = "Another session of yours took this one's place.";
            superseded.outbox.end(Closing::because(CloseReason::Superseded, message));
        }
        let participant = self.0.chat.join(id, public(&identity), outbox.clone());
        let limits = Limits::new(limits, Instant::now());
        let core = Core { identity, expires, participant, outbox, inbound: Inbound::default(), limits };
        self.arrived(&entry, &core);
        Ok(Held { entry, core: Box::new(core), wanted })
    }

    /// Enters a session that comes from another node, with nothing in its mail yet. An older one of this
    /// name is what was left of it here.
    pub(super) fn enter(&self, image: &Image) -> Held {
        let Settings { session, limits, .. } = &self.0.settings;
        let outbox = Outbox::new(session.outbox_bytes);
        let wanted = CancellationToken::new();
        let identity = image.identity();
        let named = Named {
            id: image.id,
            key: image.key,
            user: identity.id,
            guest: identity.guest,
            device: image.device.clone(),
            grace: image.grace(),
            lost_key: image.lost_key,
            hops: image.hops.saturating_add(1),
        };
        let entry = Arc::new(Entry::new(named, outbox.clone(), image.begun(), wanted.clone()));
        if let Some(left) = self.register().replace(&entry) {
            left.over();
        }
        let participant = self.0.chat.welcome(image.id, image.user.clone(), outbox.clone(), &image.luggage);
        let mut limits = Limits::new(limits, Instant::now());
        limits.go_on(image.levels);
        let inbound = Inbound::starting_after(image.received);
        let core = Core { identity, expires: image.expires(), participant, outbox, inbound, limits };
        Held { entry, core: Box::new(core), wanted }
    }

    /// Forgets a session that has gone elsewhere.
    pub(super) fn forget(&self, entry: &Arc<Entry>) {
        entry.over();
        self.register().remove(entry);
    }

    /// A session that is here.
    pub(super) fn entry(&self, session: SessionId) -> Option<Arc<Entry>> {
        self.register().sessions.get(&session).cloned()
    }

    /// All sessions that are here.
    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        self.register().sessions.values().cloned().collect()
    }

    /// The sessions of a person that are here.
    pub(super) fn of(&self, user: UserId) -> Vec<SessionId> {
        self.register().people.get(&user).into_iter().flatten().map(|entry| entry.id).collect()
    }

    /// How many there are here.
    pub(super) fn count(&self) -> usize {
        self.register().sessions.len()
    }

    /// Ends a session that is here.
    pub(super) fn end(&self, session: SessionId, closing: Closing) {
        if let Some(entry) = self.entry(session) {
            entry.outbox.end(closing);
        }
    }

    /// Whether this node is about to stop.
    pub(super) fn is_draining(&self) -> bool {
        self.register().draining
    }

    /// Takes no newcomers any more.
    pub(super) fn refuse_newcomers(&self) {
        self.register().draining = true;
    }

    /// Takes a session for a client that shows its key, or else has none and is known by its person.
    pub(super) async fn take_back(
        &self,
        user: UserId,
        session: SessionId,
        resume: Option<&Resume>,
    ) -> Result<Held, NotTaken> {
        match resume {
            Some(resume) => self.take_over(user, resume).await,
            None => self.take_keyless(user, session).await,
        }
    }

    /// Takes over the session that a client wants to go on with, or says why there is none for this
    /// person and key.
    pub(super) async fn take_over(&self, user: UserId, resume: &Resume) -> Result<Held, NotTaken> {
        let entry = self.entry(resume.session).filter(|entry| entry.user == user && entry.is_shown(&resume.key));
        let held = match entry {
            Some(entry) => self.claim(&entry, HANDOVER).await?,
            None => None,
        };
        held.ok_or_else(|| NotTaken::Lost(self.0.parking.why(user, resume)))
    }

    /// The same for a client that has no key to show, and is known by its person.
    async fn take_keyless(&self, user: UserId, session: SessionId) -> Result<Held, NotTaken> {
        let entry = self.entry(session).filter(|entry| entry.user == user && entry.grace.is_some());
        let held = match entry {
            Some(entry) => self.claim(&entry, HANDOVER).await?,
            None => None,
        };
        held.ok_or(NotTaken::Lost(Lost::Unknown))
    }

    /// Takes a session from whatever has it, which is asked to let go and may take so long. `None`: it is over.
    pub(super) async fn claim(&self, entry: &Arc<Entry>, within: Duration) -> Result<Option<Held>, NotTaken> {
        let held = timeout(within, entry.claim()).await.map_err(|_late| NotTaken::Busy)?;
        match held {
            Some(held) if held.core.outbox.has_ended() => {
                // It ended while nobody had it; whoever parked it has left that to the taker.
                self.close(&held.entry, None);
                Ok(None)
            }
            held => Ok(held),
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
        // What is left of one that has come back here since is nothing that others are to know of.
        if self.register().remove(entry) {
            self.departed(entry);
        }
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
            // Not of those that go on elsewhere.
            _ if entry.outbox.closing()? == &crowded() => Some(Lost::Crowded),
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

    /// Enters a session without asking whether there is room; yields what stood in its place.
    fn replace(&mut self, entry: &Arc<Entry>) -> Option<Arc<Entry>> {
        let left = self.sessions.get(&entry.id).cloned();
        if let Some(left) = &left {
            self.remove(left);
        }
        self.people.entry(entry.user).or_default().push(Arc::clone(entry));
        self.sessions.insert(entry.id, Arc::clone(entry));
        left
    }

    /// True: it was the one of its name.
    fn remove(&mut self, entry: &Arc<Entry>) -> bool {
        let same = self.sessions.get(&entry.id).is_some_and(|other| Arc::ptr_eq(other, entry));
        if same {
            self.sessions.remove(&entry.id);
        }
        if let Some(theirs) = self.people.get_mut(&entry.user) {
            theirs.retain(|other| !Arc::ptr_eq(other, entry));
            if theirs.is_empty() {
                self.people.remove(&entry.user);
            }
        }
        same
    }
}
