//! One session as the register knows it: who may have it, and where its core is.
//!
//! Owns: the slot, in which the core is while no link has it. Whoever has the core acts for the session.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::company::Going;
use super::core::Core;
use super::image::unix_millis;
use super::parking::crowded;
use crate::cluster::Whereabouts;
use crate::outbox::Outbox;
use crate::protocol::{NodeId, SessionId, SessionKey, Sha256, UserId, millis};

/// One session as the register knows it.
pub(super) struct Entry {
    pub(super) id: SessionId,
    pub(super) key: SessionKey,
    pub(super) user: UserId,
    /// Nothing of them is kept.
    pub(super) guest: bool,
    pub(super) device: Option<String>,
    /// Of a session whose client cannot show its key.
    pub(super) grace: Option<Grace>,
    /// What its client may show in place of the key: the SHA-256 of one that a lost node had given it. All
    /// its numbers begin anew then.
    pub(super) lost_key: Option<Sha256>,
    /// How many nodes have had it before, or were offered it.
    hops: AtomicU32,
    pub(super) outbox: Outbox,
    pub(super) begun: Instant,
    /// Why its link is asked to give it up, if not for another link.
    going: Mutex<Option<Going>>,
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

/// Whose a session is, and how its client may come back to it.
pub(super) struct Named {
    pub(super) id: SessionId,
    pub(super) key: SessionKey,
    pub(super) user: UserId,
    pub(super) guest: bool,
    pub(super) device: Option<String>,
    pub(super) grace: Option<Grace>,
    pub(super) lost_key: Option<Sha256>,
    pub(super) hops: u32,
}

impl Entry {
    /// One that a link has, under this token.
    pub(super) fn new(named: Named, outbox: Outbox, begun: Instant, wanted: CancellationToken) -> Self {
        let Named { id, key, user, guest, device, grace, lost_key, hops } = named;
        Self {
            id,
            key,
            user,
            guest,
            device,
            grace,
            lost_key,
            hops: AtomicU32::new(hops),
            outbox,
            begun,
            going: Mutex::default(),
            slot: Mutex::new(Slot::Running(wanted)),
            changed: Notify::new(),
        }
    }

    /// Where it is, for the other nodes.
    pub(super) fn whereabouts(&self, node: NodeId) -> Whereabouts {
        Whereabouts {
            session: self.id,
            node,
            device: self.device.clone(),
            grace: self.grace.as_ref().map(|grace| grace.device.clone().unwrap_or_default()),
            began: unix_millis(SystemTime::now()).saturating_sub(millis(self.begun.elapsed())),
        }
    }

    /// How many nodes have had it before, or were offered it.
    pub(super) fn hops(&self) -> u32 {
        self.hops.load(Ordering::Relaxed)
    }

    /// It stays here after so many hops of its image: what a node that was offered it writes late does not count.
    pub(super) fn stays_after(&self, hops: u32) {
        self.hops.store(hops.saturating_add(1), Ordering::Relaxed);
    }

    /// The SHA-256 of its key.
    pub(super) fn proof(&self) -> Sha256 {
        proof(&self.key)
    }

    /// Whether its client's numbers begin anew: what it shows is from before its node was lost.
    pub(super) fn is_rebuilt_for(&self, key: &SessionKey) -> bool {
        self.lost_key.is_some_and(|lost| lost == proof(key))
    }

    pub(super) fn is_shown(&self, key: &SessionKey) -> bool {
        self.key == *key || self.is_rebuilt_for(key)
    }

    /// Asks the link that runs it to give it up for this reason. False: no link does.
    pub(super) fn ask_to_go(&self, going: Going) -> bool {
        let slot = self.slot();
        let Slot::Running(wanted) = &*slot else { return false };
        *self.going.lock().expect("no code panics while it holds this lock") = Some(going);
        wanted.cancel();
        true
    }

    /// Whether it is asked to go elsewhere by the very link that it has.
    pub(super) fn goes_away(&self) -> bool {
        let going = self.going.lock().expect("no code panics while it holds this lock");
        matches!(&*going, Some(Going::Away { .. }))
    }

    /// Why its link is asked to give it up, if not for another link.
    pub(super) fn take_going(&self) -> Option<Going> {
        self.going.lock().expect("no code panics while it holds this lock").take()
    }

    /// Its link has it again.
    pub(super) fn run_on(&self) -> CancellationToken {
        let wanted = CancellationToken::new();
        *self.slot() = Slot::Running(wanted.clone());
        // Whoever has claimed it meanwhile asks this one.
        self.changed.notify_waiters();
        wanted
    }

    /// Leaves the core here for a link to come. The token is cancelled when one takes it.
    pub(super) fn park(&self, core: Box<Core>) -> CancellationToken {
        let taken = CancellationToken::new();
        let mut slot = self.slot();
        // What it was asked for by then has come too late.
        self.take_going();
        *slot = Slot::Parked(core, taken.clone());
        drop(slot);
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

    pub(super) fn over(&self) {
        let slot = std::mem::replace(&mut *self.slot(), Slot::Over);
        if let Slot::Parked(_, taken) = &slot {
            // Whoever waits for its client waits no more.
            taken.cancel();
        }
        drop(slot);
        self.changed.notify_waiters();
    }

    /// Waits for the core, asking the link that has it to let go.
    pub(super) async fn claim(self: &Arc<Self>) -> Option<Held> {
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
    pub(super) fn take_parked(self: &Arc<Self>) -> Option<Held> {
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

/// What is told of a key to those who must not know it.
pub(super) fn proof(key: &SessionKey) -> Sha256 {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    Sha256::from_bytes(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
}
