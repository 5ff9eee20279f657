//! The files of one client, both ways: what was sent of each, what has come, and what to say of it.
//! Knows the rules of the wire; reads and writes nothing itself.

use std::time::Duration;

use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::pace::Pace;
use crate::protocol::{
    CHUNK, ChunkHeader, ClientEvent, Complete, Established, FileKind, HeldTransfer, Offer, Offered, PROGRESS_EVERY,
    Progress, ServerEvent, Sha256, TransferId,
};

/// The receiver says how far it is at the latest so long after the last byte.
const PROGRESS_AFTER: Duration = Duration::from_millis(50);

/// Something to send.
#[derive(Debug, Clone)]
pub struct File {
    /// File or voice note.
    pub kind: FileKind,
    /// Its name.
    pub name: String,
    /// Its media type.
    pub mime: String,
    /// How long a voice note plays.
    pub duration_ms: Option<u64>,
    /// All of it.
    pub bytes: Bytes,
}

impl File {
    /// A file.
    pub fn new(name: &str, mime: &str, bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: FileKind::File,
            name: name.to_owned(),
            mime: mime.to_owned(),
            duration_ms: None,
            bytes: bytes.into(),
        }
    }

    /// The offer of it, under this name.
    pub fn offer(&self, transfer: TransferId) -> Offer {
        Offer {
            transfer,
            kind: self.kind,
            name: self.name.clone(),
            size: self.bytes.len() as u64,
            mime: self.mime.clone(),
            duration_ms: self.duration_ms,
            sha256: None,
        }
    }
}

struct Outgoing {
    id: TransferId,
    bytes: Bytes,
    accepted: bool,
    /// `acked <= sent`.
    sent: u64,
    acked: u64,
    pace: Pace,
    /// `file:complete` was said.
    told: bool,
}

struct Incoming {
    offered: Offered,
    accepted: bool,
    bytes: BytesMut,
    said: u64,
    heard_at: Instant,
    /// The server has said that this is all: it may have overtaken the last bytes.
    complete: Option<Complete>,
}

impl Incoming {
    fn is_whole(&self) -> bool {
        self.complete.as_ref().is_some_and(|complete| complete.size == self.bytes.len() as u64)
    }
}

/// All files under way.
#[derive(Default)]
pub(super) struct Carrying {
    window: u64,
    outgoing: Vec<Outgoing>,
    incoming: Vec<Incoming>,
}

/// What to write next.
pub(super) enum Next {
    /// Bytes; the last ones of their file or not.
    Bytes(ChunkHeader, Bytes, bool),
    /// An event.
    Say(ClientEvent),
}

impl Carrying {
    /// A link begins: what goes on does so from where the server is.
    pub(super) fn linked(&mut self, established: &Established, now: Instant) {
        self.window = established.limits.transfer_window;
        if !established.resumed {
            self.outgoing.clear();
            self.incoming.clear();
            return;
        }
        for outgoing in &mut self.outgoing {
            outgoing.pace = Pace::new(self.window);
            if let Some(going_on) = established.transfers.iter().find(|it| it.transfer == outgoing.id) {
                outgoing.accepted = true;
                outgoing.sent = going_on.received;
                outgoing.acked = going_on.acknowledged;
            }
        }
        for incoming in &mut self.incoming {
            incoming.said = incoming.bytes.len() as u64;
            incoming.heard_at = now;
        }
    }

    /// How much of a file has come.
    pub(super) fn has(&self, id: &TransferId) -> u64 {
        let incoming = self.incoming.iter().find(|it| it.offered.transfer == *id);
        incoming.map_or(0, |it| it.bytes.len() as u64)
    }

    /// What a hello names.
    pub(super) fn held(&self) -> Vec<HeldTransfer> {
        let outgoing = self.outgoing.iter().map(|it| HeldTransfer { transfer: it.id.clone(), received: None });
        let incoming = self.incoming.iter().map(|it| HeldTransfer {
            transfer: it.offered.transfer.clone(),
            received: it.accepted.then_some(it.bytes.len() as u64),
        });
        outgoing.chain(incoming).collect()
    }

    /// Will send this once it is accepted.
    pub(super) fn offer(&mut self, id: TransferId, bytes: Bytes) {
        let pace = Pace::new(self.window);
        self.outgoing.push(Outgoing { id, bytes, accepted: false, sent: 0, acked: 0, pace, told: false });
    }

    /// Wants what was offered.
    pub(super) fn accept(&mut self, id: &TransferId) {
        if let Some(incoming) = self.incoming(id) {
            incoming.accepted = true;
        }
    }

    /// Has nothing to do with it any more.
    pub(super) fn forget(&mut self, id: &TransferId) {
        self.outgoing.retain(|it| it.id != *id);
        self.incoming.retain(|it| it.offered.transfer != *id);
    }

    /// What came of a file that is complete now, if it came whole.
    pub(super) fn collect(&mut self, complete: &Complete) -> Option<(Offered, Bytes)> {
        let at = self.incoming.iter().position(|it| it.offered.transfer == complete.transfer)?;
        let right = self.incoming[at].bytes.len() as u64 == complete.size
            && sha256(&self.incoming[at].bytes) == complete.sha256;
        right.then(|| {
            let Incoming { offered, bytes, .. } = self.incoming.remove(at);
            (offered, bytes.freeze())
        })
    }

    /// Takes note of an event. False: it is told later, by [`bring`](Self::bring).
    pub(super) fn hear(&mut self, event: &ServerEvent, now: Instant) -> bool {
        match event {
            ServerEvent::Offer(offered) => {
                let offered = offered.clone();
                self.incoming.push(Incoming {
                    offered,
                    accepted: false,
                    bytes: BytesMut::new(),
                    said: 0,
                    heard_at: now,
                    complete: None,
                });
            }
            ServerEvent::Accept(about) => {
                if let Some(outgoing) = self.outgoing(&about.transfer) {
                    outgoing.accepted = true;
                }
            }
            ServerEvent::Progress(progress) => {
                if let Some(outgoing) = self.outgoing(&progress.transfer)
                    && progress.received > outgoing.acked
                {
                    let fresh = progress.received - outgoing.acked;
                    outgoing.acked = progress.received;
                    outgoing.pace.acknowledged(progress.received, fresh, now);
                }
            }
            ServerEvent::Complete(complete) => {
                self.outgoing.retain(|it| it.id != complete.transfer);
                // One that was not accepted here was fetched over HTTP.
                self.incoming.retain(|it| it.accepted || it.offered.transfer != complete.transfer);
                if let Some(incoming) = self.incoming(&complete.transfer) {
                    incoming.complete = Some(complete.clone());
                    return incoming.is_whole();
                }
            }
            ServerEvent::Reject(about) => self.forget(&about.transfer),
            ServerEvent::Cancel(cancelled) => self.forget(&cancelled.transfer),
            ServerEvent::Unmatched(_) | ServerEvent::Idle(_) => {
                self.outgoing.clear();
                self.incoming.clear();
            }
            _ => {}
        }
        true
    }

    /// Takes bytes in; yields a `file:complete` that had overtaken them.
    pub(super) fn bring(&mut self, header: &ChunkHeader, bytes: &[u8], now: Instant) -> Option<Complete> {
        let incoming = self.incoming(&header.transfer)?;
        let known = (incoming.bytes.len() as u64).checked_sub(header.offset).and_then(|it| usize::try_from(it).ok());
        if let Some(fresh) = known.and_then(|known| bytes.get(known..)) {
            incoming.bytes.extend_from_slice(fresh);
            incoming.heard_at = now;
        }
        incoming.complete.clone().filter(|_| incoming.is_whole())
    }

    /// What may be written now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Next> {
        for incoming in &mut self.incoming {
            let received = incoming.bytes.len() as u64;
            let due = received - incoming.said >= PROGRESS_EVERY
                || incoming.offered.size == Some(received)
                || incoming.complete.is_some()
                || now >= incoming.heard_at + PROGRESS_AFTER;
            if received > incoming.said && due {
                incoming.said = received;
                let transfer = incoming.offered.transfer.clone();
                return Some(Next::Say(ClientEvent::Progress(Progress { transfer, received })));
            }
        }
        for outgoing in &mut self.outgoing {
            let size = outgoing.bytes.len() as u64;
            if outgoing.accepted && outgoing.sent < size {
                let window = self.window.min(outgoing.pace.window());
                let room = (outgoing.acked + window).saturating_sub(outgoing.sent);
                let take = room.min(size - outgoing.sent).min(CHUNK as u64);
                // Whole chunks, but for the last.
                if take < CHUNK as u64 && take < size - outgoing.sent {
                    continue;
                }
                let header = ChunkHeader { transfer: outgoing.id.clone(), offset: outgoing.sent };
                let start = usize::try_from(outgoing.sent).expect("it is in memory");
                let bytes = outgoing.bytes.slice(start..start + usize::try_from(take).expect("a chunk"));
                outgoing.sent += take;
                outgoing.pace.sent(outgoing.sent, now);
                return Some(Next::Bytes(header, bytes, outgoing.sent == size));
            }
            if outgoing.accepted && !outgoing.told {
                outgoing.told = true;
                let sha256 = sha256(&outgoing.bytes);
                return Some(Next::Say(ClientEvent::Complete(Complete {
                    transfer: outgoing.id.clone(),
                    size,
                    sha256,
                })));
            }
        }
        None
    }

    /// When to look again, though nothing was heard.
    pub(super) fn due(&self) -> Option<Instant> {
        let owed = self.incoming.iter().filter(|it| it.bytes.len() as u64 > it.said);
        owed.map(|it| it.heard_at + PROGRESS_AFTER).min()
    }

    fn outgoing(&mut self, id: &TransferId) -> Option<&mut Outgoing> {
        self.outgoing.iter_mut().find(|it| it.id == *id)
    }

    fn incoming(&mut self, id: &TransferId) -> Option<&mut Incoming> {
        self.incoming.iter_mut().find(|it| it.offered.transfer == *id)
    }
}

/// The SHA-256 of these bytes.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    let digest = digest::digest(&digest::SHA256, bytes);
    Sha256::from_bytes(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}
