//! One file or voice note on its way from one person to the other.
//!
//! Owns: what has come, what was acknowledged, and the bytes in between, at most
//! [`TRANSFER_WINDOW`]; the checks that every byte passes on its way.
//!
//! Must not know: what carries the bytes, and whom to tell. Its lock is taken for each piece of bytes
//! and held for a moment; whoever changes whether it stands does so under its conversation's gate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::conversation::Conversation;
use super::files::Files;
use super::kept::Kept;
use crate::media::{Fault, Inspector};
use crate::outbox::{Outbox, Share};
use crate::protocol::{Offered, PROGRESS_EVERY, Sha256, TRANSFER_WINDOW, Ticket, TransferEnd, TransferId};

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

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The receiver has not answered.
    Offered,
    /// Bytes may flow.
    Moving,
    /// Nothing flows any more.
    Over(Over),
}

/// How a transfer is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The receiver has it all.
    Done,
    /// The receiver does not want it.
    Rejected,
    /// It ended before its end.
    Ended(TransferEnd),
    /// The conversation is over.
    Left,
}

/// Who takes the bytes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taker {
    /// The receiver's link, whichever it is.
    Link,
    /// A stream of that link.
    Stream,
    /// The answer to an HTTP request.
    Http,
}

pub(super) struct Flow {
    pub(super) phase: Phase,
    /// `None`: not known yet.
    size: Option<u64>,
    inspector: Inspector,
    /// Of all that was received.
    hash: digest::Context,
    /// What the sender says of all it sent.
    claim: Option<Sha256>,
    /// All is here, and is what the sender says it is.
    pub(super) verified: Option<Sha256>,
    kept: Kept,
    /// `acked <= sent <= received <= acked + window`, all counted from the file's start.
    pub(super) received: u64,
    sent: u64,
    /// The most that was ever sent: a receiver may have more than was sent on its link of the moment.
    shown: u64,
    pub(super) acked: u64,
    /// Of `acked`, what the sender was told.
    told: u64,
    /// Someone brings the bytes.
    pub(super) brought: bool,
    pub(super) taker: Taker,
    pub(super) share: Option<Share>,
    /// When it last moved; before it did, when it was offered. A trickle is no movement.
    pub(super) moved: Instant,
    /// Bytes brought and acknowledged when it last moved.
    mark: u64,
    /// Its turn among those to the same receiver: the least goes first.
    pub(super) turn: u64,
    /// Its entry in the agenda.
    pub(super) agenda: Option<(Instant, u64)>,
}

/// What came of bytes that were brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brought {
    /// More is to come.
    More,
    /// All is here and right: both may be told.
    All,
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
        let flow = Flow {
            phase: Phase::Offered,
            size: offered.size,
            inspector,
            hash: digest::Context::new(&digest::SHA256),
            claim: None,
            verified: None,
            kept: Kept::default(),
            received: 0,
            sent: 0,
            shown: 0,
            acked: 0,
            told: 0,
            brought: false,
            taker: Taker::Link,
            share: None,
            moved: Instant::now(),
            mark: 0,
            turn: 0,
            agenda: None,
        };
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

    /// When to look again whether it has come to a standstill; `None`: it has, or is over.
    /// `linked`: whether both people have a link.
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

impl Flow {
    /// How many more bytes may come now.
    pub(super) fn room(&self) -> usize {
        let room = (self.acked + TRANSFER_WINDOW).saturating_sub(self.received);
        usize::try_from(room).unwrap_or(0)
    }

    /// Whether all bytes are here.
    fn is_full(&self) -> bool {
        self.size == Some(self.received)
    }

    fn bring(&mut self, offset: u64, bytes: &[u8], most: u64) -> Result<Brought, TransferEnd> {
        if self.phase != Phase::Moving || offset > self.received {
            return Err(TransferEnd::OffsetMismatch);
        }
        let known = usize::try_from(self.received - offset).unwrap_or(usize::MAX);
        let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) else { return Ok(Brought::More) };
        if fresh.len() > self.room() {
            return Err(TransferEnd::CreditExceeded);
        }
        self.received += fresh.len() as u64;
        if self.size.is_some_and(|size| self.received > size) {
            return Err(TransferEnd::SizeMismatch);
        }
        if self.received > most {
            return Err(TransferEnd::TooBig);
        }
        self.inspector.feed(fresh)?;
        self.hash.update(fresh);
        self.kept.push(fresh);
        self.has_moved();
        self.verify()
    }

    fn claim(&mut self, size: u64, sha256: Sha256) -> Result<Brought, TransferEnd> {
        if self.size != Some(size) {
            return Err(TransferEnd::SizeMismatch);
        }
        self.claim = Some(sha256);
        self.verify()
    }

    fn end_of_body(&mut self) -> Result<Brought, TransferEnd> {
        if self.size.is_some_and(|size| size != self.received) || self.received == 0 {
            return Err(TransferEnd::SizeMismatch);
        }
        self.size = Some(self.received);
        self.claim = Some(self.hashed());
        self.verify()
    }

    /// Once all is here and the sender has said what it should be: whether it is.
    fn verify(&mut self) -> Result<Brought, TransferEnd> {
        let Some(claim) = self.claim.filter(|_| self.is_full() && self.verified.is_none()) else {
            return Ok(Brought::More);
        };
        self.inspector.finish()?;
        if self.hashed() != claim {
            return Err(TransferEnd::HashMismatch);
        }
        self.verified = Some(claim);
        Ok(Brought::All)
    }

    fn hashed(&self) -> Sha256 {
        let digest = self.hash.clone().finish();
        Sha256::from_bytes(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    fn take(&mut self, most: usize) -> Option<(u64, Bytes)> {
        if self.phase != Phase::Moving || self.sent == self.received {
            return None;
        }
        let offset = self.sent;
        // An answer whose length was said is whole with its last byte: that waits for all to be right.
        let held = self.taker == Taker::Http && self.is_full() && self.verified.is_none();
        let left = usize::try_from(self.received - offset - u64::from(held)).unwrap_or(usize::MAX);
        if left == 0 {
            return None;
        }
        // Small pieces are kept for more to come, but not while the receiver has nothing else to wait for.
        let last = self.is_full() || self.sent == self.acked;
        let bytes = self.kept.slice(offset, most.min(left), last)?;
        self.sent += bytes.len() as u64;
        self.shown = self.shown.max(self.sent);
        Some((offset, bytes))
    }

    /// Notes that something moves, if it is worth the name.
    fn has_moved(&mut self) {
        let mark = self.received + self.acked;
        if mark >= self.mark + PROGRESS_EVERY || self.is_full() {
            (self.mark, self.moved) = (mark, Instant::now());
        }
    }

    /// Whether the receiver was handed all there will be.
    pub(super) fn is_drained(&self) -> bool {
        self.is_full() && self.sent == self.received
    }

    /// Whether the receiver has all, and it is right.
    pub(super) fn is_done(&self) -> bool {
        self.verified.is_some() && self.acked == self.received
    }

    fn acknowledge(&mut self, received: u64) -> Result<Option<u64>, TransferEnd> {
        if received > self.shown {
            return Err(TransferEnd::OffsetMismatch);
        }
        if received > self.acked {
            self.acked = received;
            self.sent = self.sent.max(received);
            self.kept.forget(received);
            self.has_moved();
        }
        let tell = self.acked > self.told && (self.acked - self.told >= PROGRESS_EVERY || self.acked == self.sent);
        if tell {
            self.told = self.acked;
        }
        Ok(tell.then_some(self.told))
    }
}

impl From<Fault> for TransferEnd {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TypeMismatch => Self::TypeMismatch,
            Fault::TypeNotAllowed => Self::TypeNotAllowed,
            Fault::VoiceTooLong => Self::VoiceTooLong,
            Fault::VoiceMismatch => Self::VoiceMismatch,
            Fault::VoiceUnreadable => Self::VoiceUnreadable,
        }
    }
}
