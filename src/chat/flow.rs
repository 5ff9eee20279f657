//! The bytes of one transfer, counted: what has come, what was handed out, what was acknowledged. A
//! value without a lock or a bell, changed by one caller at a time.

use aws_lc_rs::digest;
use bytes::Bytes;
use tokio::time::Instant;

use super::kept::Kept;
use crate::media::{Fault, Inspector};
use crate::outbox::Share;
use crate::protocol::{PROGRESS_EVERY, Sha256, TRANSFER_WINDOW, TransferEnd};

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
    pub(super) kept: Kept,
    /// `acked <= sent <= received <= acked + window`, all counted from the file's start.
    pub(super) received: u64,
    pub(super) sent: u64,
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

impl Flow {
    /// Nothing has come yet of a file of this size.
    pub(super) fn new(size: Option<u64>, inspector: Inspector) -> Self {
        Self {
            phase: Phase::Offered,
            size,
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
        }
    }

    /// How many more bytes may come now.
    pub(super) fn room(&self) -> usize {
        let room = (self.acked + TRANSFER_WINDOW).saturating_sub(self.received);
        usize::try_from(room).unwrap_or(0)
    }

    /// Whether all bytes are here.
    fn is_full(&self) -> bool {
        self.size == Some(self.received)
    }

    pub(super) fn bring(&mut self, offset: u64, bytes: &[u8], most: u64) -> Result<Brought, TransferEnd> {
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

    pub(super) fn claim(&mut self, size: u64, sha256: Sha256) -> Result<Brought, TransferEnd> {
        if self.size != Some(size) {
            return Err(TransferEnd::SizeMismatch);
        }
        self.claim = Some(sha256);
        self.verify()
    }

    pub(super) fn end_of_body(&mut self) -> Result<Brought, TransferEnd> {
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

    pub(super) fn take(&mut self, most: usize) -> Option<(u64, Bytes)> {
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
        let all = self.is_full() && self.acked == self.received;
        if mark >= self.mark + PROGRESS_EVERY || all {
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

    pub(super) fn acknowledge(&mut self, received: u64) -> Result<Option<u64>, TransferEnd> {
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
