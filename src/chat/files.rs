//! What all transfers of this process share: their limits, the bytes they may keep together, the
//! tickets by which HTTP finds one, and the agenda on which each that stands still is found.
//!
//! Must not know: what a transfer's events are, or whom they are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Person;
use super::conversation::Talk;
use super::flow::Phase;
use super::transfer::Transfer;
use crate::config;
use crate::media::{Inspector, Kind};
use crate::outbox::{Budget, Share};
use crate::protocol::{ErrorCode, FileKind, Refusal, SessionId, TRANSFER_WINDOW, Ticket, TransferEnd, UserId};

/// What one transfer may keep.
#[expect(clippy::cast_possible_truncation, reason = "it fits in any memory")]
const WINDOW: usize = TRANSFER_WINDOW as usize;

/// Files on the way, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cargo {
    /// Offers without an answer.
    pub offered: usize,
    /// Transfers of which bytes may flow.
    pub moving: usize,
    /// Bytes set aside for them.
    pub reserved_bytes: usize,
}

/// The handle. Clones are the same.
#[derive(Clone)]
pub(super) struct Files(Arc<Inner>);

struct Inner {
    settings: config::Files,
    budget: Budget,
    tickets: Mutex<HashMap<Ticket, Weak<Transfer>>>,
    agenda: Mutex<Agenda>,
    /// Rung when the first entry of the agenda is earlier than it was.
    sooner: Notify,
    entries: AtomicU64,
    /// Who is in a conversation, the latest last: HTTP knows people by their account alone.
    talking: Mutex<HashMap<UserId, Vec<Weak<Person>>>>,
}

type Agenda = BTreeMap<(Instant, u64), Weak<Transfer>>;

impl Files {
    pub(super) fn new(settings: &config::Files) -> Self {
        Self(Arc::new(Inner {
            settings: settings.clone(),
            budget: Budget::new(settings.buffer_bytes),
            tickets: Mutex::default(),
            agenda: Mutex::default(),
            sooner: Notify::new(),
            entries: AtomicU64::new(0),
            talking: Mutex::default(),
        }))
    }

    /// The most bytes of one file.
    pub(super) fn max_bytes(&self) -> u64 {
        self.0.settings.max_bytes
    }

    /// How many one person may send at once.
    pub(super) fn at_once(&self) -> usize {
        self.0.settings.at_once
    }

    /// How many there are.
    pub(super) fn cargo(&self) -> Cargo {
        let reserved_bytes = self.0.settings.buffer_bytes - self.0.budget.left();
        let moving = reserved_bytes / WINDOW;
        Cargo { offered: lock(&self.0.tickets).len(), moving, reserved_bytes }
    }

    /// A number after all before it.
    pub(super) fn next_turn(&self) -> u64 {
        self.0.entries.fetch_add(1, Ordering::Relaxed)
    }

    /// Room for one transfer's bytes, if there is any.
    pub(super) fn room(&self) -> Option<Share> {
        self.0.budget.share(WINDOW)
    }

    /// What looks at the bytes of a file that is offered so; or why it may not be sent at all.
    pub(super) fn inspect(
        &self,
        kind: FileKind,
        size: Option<u64>,
        mime: &str,
        claimed: Option<Duration>,
    ) -> Result<Inspector, Refusal> {
        let config::Files { max_bytes, max_voice, types, .. } = &self.0.settings;
        if size.is_some_and(|size| size > *max_bytes) {
            let message = format!("A file has at most {max_bytes} bytes here.");
            return Err(Refusal::new(ErrorCode::FileTooBig, message));
        }
        let kind = match kind {
            FileKind::File => Kind::File,
            FileKind::Voice => Kind::Voice,
        };
        Inspector::new(kind, mime, types, claimed, *max_voice).map_err(|fault| match fault.into() {
            TransferEnd::VoiceTooLong => {
                let message = format!("A voice note is at most {} seconds long here.", max_voice.as_secs());
                Refusal::new(ErrorCode::VoiceTooLong, message)
            }
            other => Refusal::new(ErrorCode::TypeNotAllowed, other.message()),
        })
    }

    /// Lets HTTP find a transfer by its ticket, as long as it stands.
    pub(super) fn issue(&self, transfer: &Arc<Transfer>) {
        lock(&self.0.tickets).insert(transfer.ticket, Arc::downgrade(transfer));
    }

    /// The transfer of a ticket.
    pub(super) fn find(&self, ticket: Ticket) -> Option<Arc<Transfer>> {
        lock(&self.0.tickets).get(&ticket)?.upgrade()
    }

    /// A ticket finds nothing any more.
    pub(super) fn forget(&self, ticket: Ticket) {
        lock(&self.0.tickets).remove(&ticket);
    }

    /// Someone's conversation has begun.
    pub(super) fn talks(&self, person: &Arc<Person>) {
        lock(&self.0.talking).entry(person.member.user.id).or_default().push(Arc::downgrade(person));
    }

    /// Someone's conversation is over.
    pub(super) fn is_free(&self, person: &Person) {
        let mut talking = lock(&self.0.talking);
        if let Some(theirs) = talking.get_mut(&person.member.user.id) {
            theirs.retain(|other| !std::ptr::eq(other.as_ptr(), person));
            if theirs.is_empty() {
                talking.remove(&person.member.user.id);
            }
        }
    }

    /// The client of this account that is in a conversation; of several, the latest.
    pub(super) fn talker(&self, user: UserId) -> Option<Arc<Person>> {
        lock(&self.0.talking).get(&user)?.iter().rev().find_map(Weak::upgrade)
    }

    /// The talk of one session of someone.
    pub(super) fn talk_of(&self, user: UserId, session: SessionId) -> Option<Talk> {
        let theirs: Vec<_> = lock(&self.0.talking).get(&user)?.iter().filter_map(Weak::upgrade).collect();
        // The list is free again: a talk's own lock comes before it.
        theirs.iter().find(|person| person.member.session == session)?.talk()
    }

    /// Looks at a transfer when its offer has been open, or it has not moved, for too long.
    pub(super) fn watch(&self, transfer: &Arc<Transfer>, moving: bool) {
        let config::Files { stall, offer, .. } = &self.0.settings;
        let at = Instant::now() + if moving { *stall } else { *offer };
        self.watch_at(transfer, at);
    }

    fn watch_at(&self, transfer: &Arc<Transfer>, at: Instant) {
        let entry = (at, self.next_turn());
        let before = {
            let mut flow = transfer.flow();
            if matches!(flow.phase, Phase::Over(_)) {
                return;
            }
            flow.agenda.replace(entry)
        };
        let mut agenda = lock(&self.0.agenda);
        if let Some(before) = before {
            agenda.remove(&before);
        }
        let first = agenda.first_key_value().is_none_or(|((first, _), _)| at < *first);
        agenda.insert(entry, Arc::downgrade(transfer));
        drop(agenda);
        if first {
            self.0.sooner.notify_one();
        }
    }

    /// There is nothing to look at any more.
    pub(super) fn unwatch(&self, entry: (Instant, u64)) {
        lock(&self.0.agenda).remove(&entry);
    }

    /// Ends transfers that stand still, until `stop`.
    pub(super) async fn keep_reclaiming(&self, stop: CancellationToken) {
        loop {
            let now = Instant::now();
            while let Some(transfer) = self.due(now) {
                let Some(transfer) = transfer.upgrade() else { continue };
                let config::Files { stall, offer, .. } = &self.0.settings;
                match transfer.standstill(now, transfer.is_linked(), *offer, *stall) {
                    Ok(next) => self.watch_at(&transfer, next),
                    Err(Some(end)) => transfer.fail(end),
                    Err(None) => {}
                }
            }
            let next = lock(&self.0.agenda).first_key_value().map(|((at, _), _)| *at);
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased; // stopping first: whoever stops ends every conversation anyway
                () = stop.cancelled() => return,
                () = self.0.sooner.notified() => {}
                () = due => {}
            }
        }
    }

    fn due(&self, now: Instant) -> Option<Weak<Transfer>> {
        let mut agenda = lock(&self.0.agenda);
        let first = agenda.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds this lock")
}
