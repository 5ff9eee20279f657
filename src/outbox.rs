//! Mail for one client: everything that waits to be written to it, whoever wrote it.
//!
//! Owns: two bounded lanes. The *reliable* lane numbers each event and keeps it until the client
//! has acknowledged it, so that it outlives the link. The *volatile* lane keeps the newest event of
//! each name. It also owns what to do when a lane is full (here and nowhere else, for every door):
//! the volatile lane forgets the older event, the reliable lane ends the session with
//! [`CloseReason::Slow`].
//!
//! Must not know: sessions, links, chat. It stands below them all, because a conversation posts
//! into it and a session reads from it. Posting never waits: one short lock, one wake-up.

mod image;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

pub use self::image::{Kept, Kin};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::protocol::{CloseReason, Closing, Delivered, Encoded, Lane, MessageId, Outbound, ServerEvent};

/// Received frames after which an acknowledgement is due at once (the contract's number).
const ACK_EVERY: u64 = 32;
/// Most bytes of events that one batch takes: what a writer holds beside the outbox.
const BATCH_BYTES: usize = 64 * 1024;

/// The handle: clones post into, and read from, the same lanes.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    lanes: Mutex<Lanes>,
    /// Rung when there may be something to write. One reader at a time: the link of the moment.
    bell: Notify,
    closing: OnceLock<Closing>,
    ended: CancellationToken,
    /// Most bytes the reliable lane keeps; one more event ends the session.
    limit: usize,
}

/// Bytes that many may keep together. Clones are the same.
#[derive(Debug, Clone)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes so many bytes of it; given back when the share is dropped. `None`: there are not so many.
    pub fn share(&self, bytes: usize) -> Option<Share> {
        self.take(bytes).then(|| Share { budget: self.clone(), bytes })
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A part of a budget.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that each waiting outbox may keep beside the budget, so that those who keep much cannot take
/// the room of those who keep little.
const FREE_SHARE: usize = 16 * 1024;

/// One outbox's part of a budget; given back when dropped.
struct Claim {
    budget: Budget,
    /// Taken from the budget.
    bytes: usize,
    /// Left of the free share.
    free: usize,
}

impl Claim {
    /// Takes some more. False: there is not so much left.
    fn take(&mut self, bytes: usize) -> bool {
        let free = bytes.min(self.free);
        self.free -= free;
        let bytes = bytes - free;
        let taken = self.budget.take(bytes);
        self.bytes += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Lanes {
    reliable: Outbound<Letter>,
    reliable_bytes: usize,
    /// While there is no link.
    claim: Option<Claim>,
    /// At most one event of each name and topic, so its bound is the number of volatile names, and of
    /// the transfers that may be under way.
    volatile: Vec<Encoded>,
    /// The client's numbers: received so far, and acknowledged to it so far.
    received: u64,
    acknowledged: u64,
    ack_now: bool,
}

struct Letter {
    event: Encoded,
    receipt: Option<Receipt>,
}

/// What to do when the client has acknowledged an event.
pub enum Receipt {
    /// Tell the writer of a message that it has arrived.
    Delivered {
        /// The writer's mail.
        to: Outbox,
        /// The writer's name for the message.
        id: MessageId,
    },
    /// Raise this flag.
    Flag(Arc<AtomicBool>),
}

/// What a link is to write next, in this order. Reused from write to write.
#[derive(Default)]
pub struct Batch {
    /// Events, with the number of each reliable one.
    pub events: Vec<(Encoded, Option<u64>)>,
    /// The acknowledgement that goes with them: on the last one that is not volatile, or alone.
    pub ack: Option<u64>,
}

impl Batch {
    /// A batch of one event that belongs to the link itself.
    pub fn of(event: &ServerEvent) -> Self {
        Self { events: vec![(Encoded::from(event), None)], ack: None }
    }

    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.ack.is_none()
    }
}

impl Outbox {
    /// An empty outbox whose reliable lane keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner {
            lanes: Mutex::default(),
            bell: Notify::new(),
            closing: OnceLock::new(),
            ended: CancellationToken::new(),
            limit,
        }))
    }

    /// Posts an event. Never waits.
    pub fn post(&self, event: &ServerEvent) {
        self.post_encoded(Encoded::from(event), None);
    }

    /// Posts an event, with what to do once it is acknowledged.
    pub fn post_with(&self, event: &ServerEvent, receipt: Receipt) {
        self.post_encoded(Encoded::from(event), Some(receipt));
    }

    fn post_encoded(&self, event: Encoded, receipt: Option<Receipt>) {
        if self.closing().is_some() || self.has_ended() {
            return;
        }
        let full = {
            let mut lanes = self.lanes();
            match event.lane {
                Lane::Reliable => {
                    let cost = event.cost();
                    lanes.reliable_bytes += cost;
                    lanes.reliable.push(Letter { event, receipt });
                    let fits = lanes.claim.as_mut().is_none_or(|claim| claim.take(cost));
                    !fits || lanes.reliable_bytes > self.0.limit
                }
                Lane::Volatile | Lane::Link => {
                    match lanes.volatile.iter_mut().find(|older| older.name == event.name && older.topic == event.topic)
                    {
                        Some(older) => *older = event,
                        None => lanes.volatile.push(event),
                    }
                    false
                }
            }
        };
        if full {
            self.end(Closing::new(CloseReason::Slow));
        }
        self.0.bell.notify_one();
    }

    /// The client has everything up to `upto`; receipts are acted on. False: that was never sent.
    pub fn acknowledge(&self, upto: u64) -> bool {
        let receipts = {
            let mut lanes = self.lanes();
            let Lanes { reliable, reliable_bytes, .. } = &mut *lanes;
            let Some(letters) = reliable.ack(upto) else { return false };
            settle(letters, reliable_bytes)
        };
        act_on(receipts);
        true
    }

    /// There is no link for a while: what is kept counts against this budget until the next one. What
    /// does not fit ends the session.
    pub fn wait_within(&self, budget: &Budget) {
        let fits = {
            let mut lanes = self.lanes();
            let mut claim = Claim { budget: budget.clone(), bytes: 0, free: FREE_SHARE };
            let fits = claim.take(lanes.reliable_bytes);
            lanes.claim = Some(claim);
            fits
        };
        if !fits {
            self.end(Closing::new(CloseReason::Slow));
        }
    }

    /// A new link begins, to a client that has everything up to `received`: what is not
    /// acknowledged will be written again. False: that was never sent.
    pub fn resume(&self, received: u64) -> bool {
        let receipts = {
            let mut lanes = self.lanes();
            lanes.volatile.clear();
            lanes.claim = None;
            // The answer to the hello says how far the client was received.
            lanes.acknowledged = lanes.received;
            lanes.ack_now = false;
            let Lanes { reliable, reliable_bytes, .. } = &mut *lanes;
            let Some(letters) = reliable.resume(received) else { return false };
            settle(letters, reliable_bytes)
        };
        act_on(receipts);
        true
    }

    /// Notes that the client's number `seq` was received. True: the caller should see to it that
    /// [`acknowledge_now`](Self::acknowledge_now) is called within 50 ms.
    pub fn received(&self, seq: u64) -> bool {
        let now = {
            let mut lanes = self.lanes();
            lanes.received = lanes.received.max(seq);
            let now = lanes.received - lanes.acknowledged >= ACK_EVERY;
            lanes.ack_now |= now;
            now
        };
        if now {
            self.0.bell.notify_one();
        }
        !now
    }

    /// Writes the acknowledgement of all that was received, unless one has gone already.
    /// `again`: even then, for a client that repeats itself.
    pub fn acknowledge_now(&self, again: bool) {
        let owed = {
            let mut lanes = self.lanes();
            lanes.ack_now |= again || lanes.acknowledged < lanes.received;
            lanes.ack_now
        };
        if owed {
            self.0.bell.notify_one();
        }
    }

    /// Wakes the link of the moment, which writes more than what is posted here.
    pub fn ring(&self) {
        self.0.bell.notify_one();
    }

    /// Waits until [`take`](Self::take) may find something, or [`ring`](Self::ring). Cancel safe.
    pub async fn ready(&self) {
        self.0.bell.notified().await;
    }

    /// Moves what there is to write into `batch` (emptied first). False: there is nothing.
    pub fn take(&self, batch: &mut Batch) -> bool {
        batch.events.clear();
        let mut lanes = self.lanes();
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let Some((seq, letter)) = lanes.reliable.next_unwritten() else { break };
            bytes += letter.event.cost();
            batch.events.push((letter.event.clone(), Some(seq)));
        }
        let carries = !batch.events.is_empty() || lanes.ack_now;
        batch.ack = (carries && (lanes.ack_now || lanes.acknowledged < lanes.received)).then_some(lanes.received);
        if carries {
            lanes.acknowledged = lanes.received;
            lanes.ack_now = false;
        }
        batch.events.extend(lanes.volatile.drain(..).map(|event| (event, None)));
        !batch.is_empty()
    }

    /// Nothing is taken in any more, though nobody acts on it before [`end`](Self::end): where many
    /// end together, all are sealed before the first is ended, so that no end is told to another.
    pub fn seal(&self, closing: Closing) {
        // The first farewell counts.
        let _ = self.0.closing.set(closing);
    }

    /// Ends the session: what is queued is still written, then `closing`. The first call counts, and
    /// the farewell of a [`seal`](Self::seal) before it.
    pub fn end(&self, closing: Closing) {
        self.seal(closing);
        self.0.ended.cancel();
        self.0.bell.notify_one();
    }

    /// Whether [`end`](Self::end) was called.
    pub fn has_ended(&self) -> bool {
        self.0.ended.is_cancelled()
    }

    /// Waits for [`end`](Self::end). Cancel safe.
    pub fn ended(&self) -> WaitForCancellationFuture<'_> {
        self.0.ended.cancelled()
    }

    /// The farewell, once it is known.
    pub fn closing(&self) -> Option<&Closing> {
        self.0.closing.get()
    }

    /// Nobody reads here any more: drops everything kept and takes nothing in from now on. Mail that
    /// refers to other mail would keep that alive.
    pub fn retire(&self) {
        self.0.ended.cancel();
        *self.lanes() = Lanes::default();
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.0.lanes.lock().expect("no code panics while it holds this lock")
    }
}

fn settle(letters: impl Iterator<Item = Letter>, bytes: &mut usize) -> Vec<Receipt> {
    letters
        .filter_map(|letter| {
            *bytes -= letter.event.cost();
            letter.receipt
        })
        .collect()
}

/// Outside the lock: a receipt posts into another outbox, and no two locks are held at once.
fn act_on(receipts: Vec<Receipt>) {
    for receipt in receipts {
        match receipt {
            Receipt::Delivered { to, id } => to.post(&ServerEvent::Delivered(Delivered { id })),
            Receipt::Flag(flag) => flag.store(true, Ordering::Release),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Nothing, Typing};

    fn seqs(outbox: &Outbox) -> (Vec<Option<u64>>, Option<u64>) {
        let mut batch = Batch::default();
        outbox.take(&mut batch);
        (batch.events.iter().map(|(_, seq)| *seq).collect(), batch.ack)
    }

    #[test]
    fn reliable_events_are_kept_until_acknowledged_and_written_again_on_the_next_link() {
        let outbox = Outbox::new(10_000);
        outbox.post(&ServerEvent::Idle(Nothing {}));
        outbox.post(&ServerEvent::Idle(Nothing {}));
        assert_eq!(seqs(&outbox), (vec![Some(1), Some(2)], None));
        assert_eq!(seqs(&outbox), (vec![], None));
        assert!(outbox.acknowledge(1));
        assert!(outbox.resume(1));
        assert_eq!(seqs(&outbox), (vec![Some(2)], None));
        assert!(!outbox.acknowledge(3), "never sent");
        assert!(!outbox.resume(3), "never sent");
    }

    #[test]
    fn the_newest_volatile_event_of_a_name_wins_and_dies_with_the_link() {
        let outbox = Outbox::new(10_000);
        for typing in [true, false, true] {
            outbox.post(&ServerEvent::Typing(Typing { typing }));
        }
        assert_eq!(seqs(&outbox), (vec![None], None));
        outbox.post(&ServerEvent::Typing(Typing { typing: false }));
        outbox.resume(0);
        assert_eq!(seqs(&outbox), (vec![], None));
    }

    #[test]
    fn an_acknowledgement_rides_on_a_reliable_event_or_goes_alone_when_it_must() {
        let outbox = Outbox::new(10_000);
        assert!(outbox.received(1), "due within 50 ms");
        outbox.post(&ServerEvent::Typing(Typing { typing: true }));
        assert_eq!(seqs(&outbox), (vec![None], None), "a datagram carries none");
        outbox.post(&ServerEvent::Idle(Nothing {}));
        assert_eq!(seqs(&outbox), (vec![Some(1)], Some(1)));
        outbox.acknowledge_now(false);
        assert_eq!(seqs(&outbox), (vec![], None), "it has gone already");
        for seq in 2..=33 {
            outbox.received(seq);
        }
        assert_eq!(seqs(&outbox), (vec![], Some(33)), "32 frames make it due at once");
        outbox.acknowledge_now(true);
        assert_eq!(seqs(&outbox), (vec![], Some(33)), "a client that repeats itself is told again");
    }

    #[test]
    fn a_full_reliable_lane_ends_the_session_as_slow() {
        let outbox = Outbox::new(300);
        while !outbox.has_ended() {
            outbox.post(&ServerEvent::Idle(Nothing {}));
        }
        assert_eq!(outbox.closing().map(|closing| closing.code), Some(4508));
    }

    #[test]
    fn what_waits_for_the_absent_is_bounded_for_all_of_them_together() {
        let budget = Budget::new(1_000);
        let absent = [(); 3].map(|()| Outbox::new(100_000));
        let each = Encoded::from(&ServerEvent::Idle(Nothing {})).cost();
        (0..=FREE_SHARE / each).for_each(|_| absent[0].post(&ServerEvent::Idle(Nothing {})));
        absent.iter().for_each(|outbox| outbox.wait_within(&budget));
        let first = budget.left();
        assert!(first < 1_000, "what was kept before counts, beyond the free share");
        while !absent[1].has_ended() {
            absent[1].post(&ServerEvent::Idle(Nothing {}));
        }
        assert_eq!(absent[1].closing().map(|closing| closing.code), Some(4508));
        assert!(!absent[0].has_ended(), "whose mail does not fit is ended, and nobody else");
        absent[2].post(&ServerEvent::Idle(Nothing {}));
        assert!(!absent[2].has_ended(), "a little always fits");
        absent[1].retire();
        assert_eq!(budget.left(), first, "and gives back what it had");
        assert!(absent[0].resume(0));
        assert_eq!(budget.left(), 1_000, "with a link it counts no more");
        absent[0].post(&ServerEvent::Idle(Nothing {}));
        assert_eq!(budget.left(), 1_000);
    }

    #[test]
    fn a_sealed_outbox_takes_nothing_in_and_still_gives_what_it_has() {
        let outbox = Outbox::new(10_000);
        outbox.post(&ServerEvent::Idle(Nothing {}));
        outbox.seal(Closing::new(CloseReason::Draining));
        outbox.post(&ServerEvent::Idle(Nothing {}));
        assert!(!outbox.has_ended());
        outbox.end(Closing::new(CloseReason::Slow));
        assert!(outbox.has_ended());
        assert_eq!(outbox.closing().map(|closing| closing.code), Some(4503), "the first farewell counts");
        assert_eq!(seqs(&outbox), (vec![Some(1)], None));
    }

    #[test]
    fn delivered_is_told_only_when_the_message_is_acknowledged() {
        let (writer, reader) = (Outbox::new(10_000), Outbox::new(10_000));
        let id = MessageId::new("m").unwrap();
        let flag = Arc::new(AtomicBool::new(false));
        reader.post_with(&ServerEvent::Idle(Nothing {}), Receipt::Delivered { to: writer.clone(), id });
        reader.post_with(&ServerEvent::Idle(Nothing {}), Receipt::Flag(Arc::clone(&flag)));
        seqs(&reader);
        assert_eq!(seqs(&writer), (vec![], None));
        reader.acknowledge(1);
        assert_eq!(seqs(&writer), (vec![Some(1)], None));
        assert!(!flag.load(Ordering::Acquire));
        reader.acknowledge(2);
        assert!(flag.load(Ordering::Acquire));
    }
}
