//! One file or voice note on its way from one person to the other.
//!
//! Owns: its [`Flow`] (the bytes between what has come and what was acknowledged, and the checks that
//! each passes), and the bells of those who bring and take them.
//!
//! Must not know: what carries the bytes, and whom to tell. Its lock is taken for each piece of bytes
//! and held for a moment; whoever changes whether it stands does so under its conversation's gate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::conversation::Conversation;
use super::files::Files;
use super::flow::{Brought, Flow, Over, Phase, Taker};
use super::kept::Kept;
use crate::media::Inspector;
use crate::outbox::Outbox;
use crate::protocol::{Offered, Sha256, Ticket, TransferEnd, TransferId};

pub(super) struct Transfer {
    pub(super) ticket: Ticket,
    /// The sender's side of the conversation.
    pub(super) from: usize,
    pub(super) offered: Offered,
    /// Its sender speaks HTTP, and hears no events of it.
    pub(super) by_http: bool,
    pub(super) conversation: Weak<Conversation>,
    pub(super) files: Files,
    /// The receiver's mail: its link is woken when there are bytes.
    pub(super) receiver: Outbox,
    _counted: Counted,
    flow: Mutex<Flow>,
    /// Rung when whoever brings bytes may go on.
    pub(super) room: Notify,
    /// Rung when whoever takes bytes away may go on.
    pub(super) bytes: Notify,
}

/// One of so many, until it is dropped.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Transfer {
    #[expect(clippy::too_many_arguments, reason = "all of them are what it is made of")]
    pub(super) fn new(
        offered: Offered,
        ticket: Ticket,
        from: usize,
        by_http: bool,
        inspector: Inspector,
        conversation: Weak<Conversation>,
        files: Files,
        receiver: Outbox,
        counted: Counted,
    ) -> Arc<Self> {
        let flow = Flow::new(offered.size, inspector);
        Arc::new(Self {
            ticket,
            from,
            offered,
            by_http,
            conversation,
            files,
            receiver,
            _counted: counted,
            flow: Mutex::new(flow),
            room: Notify::new(),
            bytes: Notify::new(),
        })
    }

    pub(super) fn id(&self) -> &TransferId {
        &self.offered.transfer
    }

    pub(super) fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().expect("no code panics while it holds this lock")
    }

    /// Takes bytes in; those that came before are passed over.
    pub(super) fn bring(&self, offset: u64, bytes: &[u8]) -> Result<Brought, TransferEnd> {
        let (brought, taker) = {
            let mut flow = self.flow();
            (flow.bring(offset, bytes, self.files.max_bytes())?, flow.taker)
        };
        match taker {
            Taker::Link => self.receiver.ring(),
            Taker::Stream | Taker::Http => self.bytes.notify_one(),
        }
        Ok(brought)
    }

    /// Takes note of what the sender says of all it sent.
    pub(super) fn claim(&self, size: u64, sha256: Sha256) -> Result<Brought, TransferEnd> {
        if self.offered.sha256.is_some_and(|offered| offered != sha256) {
            return Err(TransferEnd::HashMismatch);
        }
        let brought = self.flow().claim(size, sha256)?;
        self.bytes.notify_one();
        Ok(brought)
    }

    /// The sender, who speaks HTTP, has brought all there is.
    pub(super) fn end_of_body(&self) -> Result<Brought, TransferEnd> {
        let brought = self.flow().end_of_body()?;
        self.ring();
        Ok(brought)
    }

    /// Cuts off the next bytes for the receiver, and where they belong.
    pub(super) fn take(&self, most: usize) -> Option<(u64, Bytes)> {
        self.flow().take(most)
    }

    /// The receiver has so many bytes. Yields what the sender is to be told.
    pub(super) fn acknowledge(&self, received: u64) -> Result<Option<u64>, TransferEnd> {
        let (told, more) = {
            let mut flow = self.flow();
            (flow.acknowledge(received)?, flow.acked == flow.sent && flow.sent < flow.received)
        };
        if told.is_some() {
            self.room.notify_one();
        }
        if more {
            self.ring();
        }
        Ok(told)
    }

    /// There may be bytes to take.
    fn ring(&self) {
        self.bytes.notify_one();
        self.receiver.ring();
    }

    /// The receiver goes on from here on a new link.
    pub(super) fn rewind(&self, received: u64) -> Result<Option<u64>, TransferEnd> {
        let told = {
            let mut flow = self.flow();
            let told = flow.acknowledge(received)?;
            // What was on its way is sent again.
            flow.sent = flow.acked;
            flow.taker = Taker::Link;
            flow.moved = Instant::now();
            told
        };
        self.room.notify_one();
        Ok(told)
    }

    /// Lets everything go that it holds. False: it was over.
    pub(super) fn close(&self, over: Over) -> bool {
        let watched = {
            let mut flow = self.flow();
            if matches!(flow.phase, Phase::Over(_)) {
                return false;
            }
            flow.phase = Phase::Over(over);
            flow.kept = Kept::default();
            flow.share = None;
            flow.agenda.take()
        };
        if let Some(entry) = watched {
            self.files.unwatch(entry);
        }
        self.files.forget(self.ticket);
        self.room.notify_one();
        self.bytes.notify_one();
        true
    }

    /// When to look again whether it stands still. `linked`: whether both people have a link.
    ///
    /// # Errors
    /// What ends it now; `None`: it is over.
    pub(super) fn standstill(
        &self,
        now: Instant,
        linked: bool,
        offer: Duration,
        stall: Duration,
    ) -> Result<Instant, Option<TransferEnd>> {
        let flow = self.flow();
        match flow.phase {
            Phase::Over(_) => Err(None),
            Phase::Offered if now >= flow.moved + offer => Err(Some(TransferEnd::Unanswered)),
            Phase::Offered => Ok(flow.moved + offer),
            Phase::Moving if !linked => Ok(now + stall),
            Phase::Moving if now >= flow.moved + stall => Err(Some(TransferEnd::Stalled)),
            Phase::Moving => Ok(flow.moved + stall),
        }
    }
}
