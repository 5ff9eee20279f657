//! The files of one client, both ways: what was sent of each, what has come, and what to say of it.
//! Knows the rules of the wire; reads and writes nothing itself.

use std::collections::VecDeque;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::pace::Pace;
use crate::protocol::{
    About, CHUNK, ChunkHeader, ClientEvent, Complete, ErrorCode, Established, FileKind, HeldTransfer, Offer, Offered,
    PROGRESS_EVERY, Progress, Refusal, ServerEvent, Sha256, TransferId,
};

/// The receiver says how far it is at the latest so long after the last byte.
const PROGRESS_AFTER: Duration = Duration::from_millis(50);

/// Room that is made for a file before it comes, at most: what it will be is only claimed.
const MOST_AHEAD: usize = 16 * 1024 * 1024;

/// Files that came and are remembered.
const DONE: usize = 16;

/// So little may wait at the server for more.
const NEXT_TO_NOTHING: u64 = 4 * 1024;

/// What comes at once is acknowledged at once, but for so much: the sender would come to a stop.
const PRESSING: u64 = 4 * PROGRESS_EVERY;

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
    /// Said again where a node was lost.
    offer: Offer,
    bytes: Bytes,
    accepted: bool,
    /// `acked <= sent`.
    sent: u64,
    acked: u64,
    pace: Pace,
    hash: Hash,
    /// `file:complete` was said.
    told: bool,
}

impl Outgoing {
    /// What is said of it once all was sent.
    fn claim(&mut self) -> Complete {
        self.hash.reach(&self.bytes);
        Complete { transfer: self.id.clone(), size: self.bytes.len() as u64, sha256: self.hash.finish() }
    }
}

struct Incoming {
    offered: Offered,
    accepted: bool,
    /// It was handed over before; it comes again as its sender was not told.
    had: bool,
    /// Its node is gone, and it was not offered again yet.
    orphan: bool,
    bytes: BytesMut,
    hash: Hash,
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

/// A SHA-256 that is reckoned while the bytes go by: at once, it would hold up what is said beside them.
struct Hash {
    digest: digest::Context,
    upto: usize,
}

impl Hash {
    fn new() -> Self {
        Self { digest: digest::Context::new(&digest::SHA256), upto: 0 }
    }

    /// Goes on to the end of `bytes`, which begin where all began.
    fn reach(&mut self, bytes: &[u8]) {
        if let Some(fresh) = bytes.get(self.upto..) {
            self.digest.update(fresh);
            self.upto = bytes.len();
        }
    }

    fn finish(&self) -> Sha256 {
        wrap(&self.digest.clone().finish())
    }
}

/// All files under way.
#[derive(Default)]
pub(super) struct Carrying {
    window: u64,
    outgoing: Vec<Outgoing>,
    incoming: Vec<Incoming>,
    /// Handed over lately, and their sizes. The server may not know it yet: they are named on the next
    /// link, or it would tell the sender that they are lost.
    done: VecDeque<(TransferId, u64)>,
    /// What is to be said of these.
    owed: Vec<Progress>,
    /// What is to be said again, and when.
    later: Vec<(Instant, ClientEvent)>,
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
            match established.conversation {
                Some(_) => self.restore(now),
                None => self.clear(),
            }
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

    /// A node was lost with all it knew of them: what goes out is offered again, what comes in waits for that.
    fn restore(&mut self, now: Instant) {
        self.owed.clear();
        self.later.clear();
        for outgoing in &mut self.outgoing {
            outgoing.pace = Pace::new(self.window);
            (outgoing.accepted, outgoing.sent, outgoing.acked, outgoing.told) = (false, 0, 0, false);
            self.later.push((now, ClientEvent::Offer(outgoing.offer.clone())));
        }
        for incoming in &mut self.incoming {
            (incoming.orphan, incoming.said, incoming.complete) = (true, 0, None);
            (incoming.bytes, incoming.hash) = (BytesMut::new(), Hash::new());
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
        let done = self.done.iter();
        let done = done.map(|(id, size)| HeldTransfer { transfer: id.clone(), received: Some(*size) });
        outgoing.chain(incoming).chain(done).collect()
    }

    /// Will send this once it is accepted.
    pub(super) fn offer(&mut self, offer: Offer, bytes: Bytes) {
        let (id, pace, hash) = (offer.transfer.clone(), Pace::new(self.window), Hash::new());
        self.outgoing.push(Outgoing { id, offer, bytes, accepted: false, sent: 0, acked: 0, pace, hash, told: false });
    }

    /// Whether this was handed over before, and only its end has to be told again.
    pub(super) fn had(&self, id: &TransferId) -> bool {
        self.incoming.iter().any(|it| it.offered.transfer == *id && it.had)
    }

    /// It is offered, or offered again; yields whether it is news.
    fn offered(&mut self, offered: &Offered, now: Instant) -> bool {
        let id = &offered.transfer;
        let known = self.incoming.iter().position(|it| it.offered.transfer == *id).map(|at| self.incoming.remove(at));
        let had = known.as_ref().map_or_else(|| self.done.iter().any(|(done, _)| done == id), |it| it.had);
        let accepted = had || known.as_ref().is_some_and(|it| it.accepted);
        if accepted {
            self.later.push((now, ClientEvent::Accept(About { transfer: id.clone() })));
        }
        self.incoming.push(Incoming {
            offered: offered.clone(),
            accepted,
            had,
            orphan: false,
            bytes: BytesMut::new(),
            hash: Hash::new(),
            said: 0,
            heard_at: now,
            complete: None,
        });
        known.is_none() && !had
    }

    /// Wants what was offered. False: the server is told when it is offered again.
    pub(super) fn accept(&mut self, id: &TransferId) -> bool {
        if let Some(incoming) = self.incoming(id) {
            incoming.accepted = true;
            // Growing would copy it all again and again. What is never written takes no memory.
            let size = incoming.offered.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
            incoming.bytes.reserve(size.min(MOST_AHEAD));
            return !incoming.orphan;
        }
        true
    }

    /// Has nothing to do with it any more.
    pub(super) fn forget(&mut self, id: &TransferId) {
        self.outgoing.retain(|it| it.id != *id);
        self.incoming.retain(|it| it.offered.transfer != *id);
    }

    /// What came of a file that is complete now, if it came whole.
    pub(super) fn collect(&mut self, complete: &Complete) -> Option<(Offered, Bytes)> {
        let at = self.incoming.iter().position(|it| it.offered.transfer == complete.transfer)?;
        let right =
            self.incoming[at].bytes.len() as u64 == complete.size && self.incoming[at].hash.finish() == complete.sha256;
        right.then(|| {
            let Incoming { offered, bytes, said, .. } = self.incoming.remove(at);
            if said < complete.size {
                self.owed.push(Progress { transfer: complete.transfer.clone(), received: complete.size });
            }
            self.done.truncate(DONE - 1);
            self.done.push_front((complete.transfer.clone(), complete.size));
            (offered, bytes.freeze())
        })
    }

    /// What was too fast, to be said again; an offer that was is over.
    fn again(&mut self, refusal: &Refusal, now: Instant) -> Option<()> {
        let wait = Duration::from_millis(refusal.retry_after_ms.filter(|_| refusal.code == ErrorCode::TooFast)?);
        let id = TransferId::new(refusal.id.as_deref()?).ok()?;
        let about = About { transfer: id.clone() };
        let event = match refusal.event.as_deref()? {
            "file:complete" => ClientEvent::Complete(self.outgoing(&id)?.claim()),
            "file:accept" => self.incoming(&id).map(|_| ClientEvent::Accept(about))?,
            "file:cancel" => ClientEvent::Cancel(about),
            _ => return None,
        };
        self.later.push((now + wait, event));
        Some(())
    }

    /// Takes note of an event. False: it is told later, by [`bring`](Self::bring), or not at all.
    pub(super) fn hear(&mut self, event: &ServerEvent, now: Instant) -> bool {
        if let ServerEvent::Error(refusal) = event
            && self.again(refusal, now).is_some()
        {
            return false;
        }
        match event {
            ServerEvent::Offer(offered) => return self.offered(offered, now),
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
            ServerEvent::Error(Refusal { event: Some(event), id: Some(id), .. }) if event == "file:offer" => {
                self.outgoing.retain(|it| it.id.as_str() != id);
            }
            ServerEvent::Unmatched(_) | ServerEvent::Idle(_) => self.clear(),
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
            incoming.hash.reach(&incoming.bytes);
            incoming.heard_at = now;
        }
        incoming.complete.clone().filter(|_| incoming.is_whole())
    }

    /// What may be written now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Next> {
        if let Some(at) = self.later.iter().position(|(at, _)| *at <= now) {
            return Some(Next::Say(self.later.remove(at).1));
        }
        if let Some(progress) = self.owed.pop() {
            return Some(Next::Say(ClientEvent::Progress(progress)));
        }
        for incoming in &mut self.incoming {
            let received = incoming.bytes.len() as u64;
            let all = incoming.offered.size == Some(received)
                || incoming.complete.is_some()
                || now >= incoming.heard_at + PROGRESS_AFTER;
            // Where the sender's chunks end: it takes the time from each to its acknowledgement.
            let upto = if all { received } else { received - received % PROGRESS_EVERY };
            if incoming.accepted && upto > incoming.said {
                incoming.said = upto;
                let transfer = incoming.offered.transfer.clone();
                return Some(Next::Say(ClientEvent::Progress(Progress { transfer, received: upto })));
            }
        }
        for outgoing in &mut self.outgoing {
            let size = outgoing.bytes.len() as u64;
            if outgoing.accepted && outgoing.sent < size {
                let window = self.window.min(outgoing.pace.window());
                let room = (outgoing.acked + window).saturating_sub(outgoing.sent);
                let whole = (size - outgoing.sent).min(CHUNK as u64 - outgoing.sent % CHUNK as u64);
                let take = room.min(whole);
                // Whole chunks, which end at multiples of their size; but for when there is next to nothing on
                // the way, which the server may keep until there is more.
                if take == 0 || (take < whole && outgoing.sent - outgoing.acked >= NEXT_TO_NOTHING) {
                    continue;
                }
                let header = ChunkHeader { transfer: outgoing.id.clone(), offset: outgoing.sent };
                let start = usize::try_from(outgoing.sent).expect("it is in memory");
                let end = start + usize::try_from(take).expect("a chunk");
                let bytes = outgoing.bytes.slice(start..end);
                outgoing.hash.reach(&outgoing.bytes[..end]);
                outgoing.sent += take;
                outgoing.pace.sent(outgoing.sent, now);
                return Some(Next::Bytes(header, bytes, outgoing.sent == size));
            }
            if outgoing.accepted && !outgoing.told {
                outgoing.told = true;
                return Some(Next::Say(ClientEvent::Complete(outgoing.claim())));
            }
        }
        None
    }

    /// Whether so much has come that the sender should hear of it before more is taken in.
    pub(super) fn is_pressing(&self) -> bool {
        self.incoming.iter().any(|it| it.bytes.len() as u64 >= it.said + PRESSING)
    }

    /// When to look again, though nothing was heard.
    pub(super) fn due(&self) -> Option<Instant> {
        let owed = self.incoming.iter().filter(|it| it.accepted && it.bytes.len() as u64 > it.said);
        let later = self.later.iter().map(|(at, _)| *at);
        owed.map(|it| it.heard_at + PROGRESS_AFTER).chain(later).min()
    }

    /// Their conversation is over.
    pub(super) fn clear(&mut self) {
        self.outgoing.clear();
        self.incoming.clear();
        self.done.clear();
        self.owed.clear();
        self.later.clear();
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
    wrap(&digest::digest(&digest::SHA256, bytes))
}

fn wrap(digest: &digest::Digest) -> Sha256 {
    Sha256::from_bytes(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ServerFrame;

    /// What is to be said now.
    fn said(carrying: &mut Carrying, now: Instant) -> Vec<ClientEvent> {
        let mut said = Vec::new();
        while let Some(next) = carrying.next(now) {
            if let Next::Say(event) = next {
                said.push(event);
            }
        }
        said
    }

    #[test]
    fn where_a_node_was_lost_files_are_offered_and_taken_again() {
        let now = Instant::now();
        let frame = include_str!("../../tests/golden/server/connection-established.node.json");
        let Some(ServerEvent::Established(lost)) = ServerFrame::decode(frame.trim().as_bytes()).unwrap().event else {
            panic!("the golden frame is an answer to a hello")
        };
        let id = |name: &str| TransferId::new(name).unwrap();
        let bytes = Bytes::from(vec![7; 1000]);
        let file = File::new("a", "text/plain", bytes.clone());
        let offered = |name: &str| {
            let frame = format!(
                r#"{{"event":"file:offer","data":{{"transfer":"{name}","from":"9f8e7d6c5b4a39281706f5e4","kind":"file","name":"a","size":1000,"mime":"text/plain","link":"/api/files/x","timestamp":1}}}}"#
            );
            ServerFrame::decode(frame.as_bytes()).unwrap().event.unwrap()
        };
        let mut carrying = Carrying { window: CHUNK as u64, ..Carrying::default() };
        carrying.offer(file.offer(id("mine")), bytes.clone());
        carrying.hear(&ServerEvent::Accept(About { transfer: id("mine") }), now);
        assert_eq!(said(&mut carrying, now).len(), 1, "all of it went out");
        for name in ["taken", "open", "had"] {
            assert!(carrying.hear(&offered(name), now));
        }
        let complete = |name: &str| Complete { transfer: id(name), size: 1000, sha256: sha256(&bytes) };
        for name in ["taken", "had"] {
            assert!(carrying.accept(&id(name)));
            carrying.bring(&ChunkHeader { transfer: id(name), offset: 0 }, &bytes[..], now);
        }
        carrying.hear(&ServerEvent::Complete(complete("had")), now);
        assert!(carrying.collect(&complete("had")).is_some());

        carrying.linked(&lost, now);
        assert_eq!(said(&mut carrying, now), [ClientEvent::Offer(file.offer(id("mine")))], "and nothing else");
        assert!(!carrying.accept(&id("open")), "nobody there knows it yet");
        for name in ["taken", "open", "had"] {
            assert!(!carrying.hear(&offered(name), now), "{name} is no news");
        }
        let accept = |name: &str| ClientEvent::Accept(About { transfer: id(name) });
        assert_eq!(said(&mut carrying, now), [accept("taken"), accept("open"), accept("had")]);
        assert!(carrying.had(&id("had")) && !carrying.had(&id("taken")));
        // It begins anew, and is whole once all has come.
        carrying.hear(&ServerEvent::Complete(complete("taken")), now);
        assert!(carrying.collect(&complete("taken")).is_none());
        assert!(carrying.bring(&ChunkHeader { transfer: id("taken"), offset: 0 }, &bytes[..], now).is_some());
        assert_eq!(carrying.collect(&complete("taken")).map(|(_, bytes)| bytes), Some(bytes));
        carrying.hear(&ServerEvent::Accept(About { transfer: id("mine") }), now);
        let offset = std::iter::from_fn(|| carrying.next(now)).find_map(|next| match next {
            Next::Bytes(header, ..) => Some(header.offset),
            Next::Say(_) => None,
        });
        assert_eq!(offset, Some(0));
    }

    #[test]
    fn a_narrow_window_does_not_wait_for_what_the_server_keeps_back() {
        let now = Instant::now();
        let id = TransferId::new("a").unwrap();
        let mut carrying = Carrying { window: CHUNK as u64, ..Carrying::default() };
        let bytes = Bytes::from(vec![0; 100_000]);
        carrying.offer(File::new("a", "text/plain", bytes.clone()).offer(id.clone()), bytes);
        carrying.hear(&ServerEvent::Accept(crate::protocol::About { transfer: id.clone() }), now);
        let sent = |carrying: &mut Carrying| match carrying.next(now) {
            Some(Next::Bytes(header, bytes, last)) => Some((header.offset, bytes.len(), last)),
            _ => None,
        };
        assert_eq!(sent(&mut carrying), Some((0, CHUNK, false)));
        assert_eq!(sent(&mut carrying), None, "the window is full");
        // The server has passed on all but 2 000 bytes, which it keeps until there is more.
        let received = CHUNK as u64 - 2_000;
        carrying.hear(&ServerEvent::Progress(Progress { transfer: id.clone(), received: 8_000 }), now);
        assert_eq!(sent(&mut carrying), None, "there is something on the way");
        carrying.hear(&ServerEvent::Progress(Progress { transfer: id, received }), now);
        assert_eq!(sent(&mut carrying), Some((CHUNK as u64, CHUNK - 2_000, false)));
        let received = 2 * CHUNK as u64 - 2_000;
        carrying.hear(&ServerEvent::Progress(Progress { transfer: carrying.outgoing[0].id.clone(), received }), now);
        assert_eq!(sent(&mut carrying), Some((received, 2_000, false)), "up to where a chunk ends");
    }
}
