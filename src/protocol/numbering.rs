//! The numbering that makes events reliable: what was sent and not yet acknowledged, what was
//! received and must not be received again. Two pure values, one for each direction of a session;
//! both the server and the Rust client are built on them, and the SDK's `session.js` mirrors them.
//!
//! Invariants: numbers start at 1 and have no gaps, for the life of the session, whatever links it
//! uses. After any cut, [`Outbound::resume`] with the peer's [`Inbound::received`] makes both sides
//! agree again, and every item arrives exactly once, in order.

use std::collections::VecDeque;

/// What a number means to the side that receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next one: act on it.
    Fresh,
    /// Had it already: drop it, but acknowledge again.
    Duplicate,
    /// One or more before it are missing: the peer broke the protocol.
    Gap,
}

/// The receiving half: how far the peer's numbers were received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inbound {
    received: u64,
}

impl Inbound {
    /// A half that has received everything up to `received`.
    pub fn starting_after(received: u64) -> Self {
        Self { received }
    }

    /// Takes note of number `seq` and says what to do with what carries it.
    pub fn accept(&mut self, seq: u64) -> Arrival {
        if seq <= self.received {
            Arrival::Duplicate
        } else if seq == self.received + 1 {
            self.received = seq;
            Arrival::Fresh
        } else {
            Arrival::Gap
        }
    }

    /// The highest number received; all below it were received too.
    pub fn received(&self) -> u64 {
        self.received
    }
}

/// The sending half: items that have a number and wait for the peer's acknowledgement.
#[derive(Debug, Clone)]
pub struct Outbound<T> {
    /// Items `acked + 1 ..= last`, oldest first.
    kept: VecDeque<T>,
    acked: u64,
    /// The highest number given to the link of the moment.
    written: u64,
    /// The highest number given to any link: a peer may have all of it, whatever it said at resume.
    shown: u64,
}

impl<T> Default for Outbound<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new(), acked: 0, written: 0, shown: 0 }
    }
}

impl<T> Outbound<T> {
    /// A half whose peer has everything up to `acked`.
    pub fn starting_after(acked: u64) -> Self {
        Self { kept: VecDeque::new(), acked, written: acked, shown: acked }
    }

    /// A half that goes on elsewhere: the peer has acknowledged everything up to `acked`, the link of the
    /// moment was given what is up to `written`, some link what is up to `shown`, and `kept` waits.
    pub fn going_on(kept: VecDeque<T>, acked: u64, written: u64, shown: u64) -> Self {
        let last = acked + kept.len() as u64;
        let written = written.clamp(acked, last);
        Self { kept, acked, written, shown: shown.clamp(written, last) }
    }

    /// What waits, oldest first.
    pub fn into_kept(self) -> VecDeque<T> {
        self.kept
    }

    /// What [`going_on`](Self::going_on) takes: what waits, oldest first, and the three numbers.
    pub fn parts(&self) -> (impl Iterator<Item = &T>, u64, u64, u64) {
        (self.kept.iter(), self.acked, self.written, self.shown)
    }

    /// Keeps `item` under the next number, and returns that number.
    pub fn push(&mut self, item: T) -> u64 {
        self.kept.push_back(item);
        self.last()
    }

    /// The highest number given out.
    pub fn last(&self) -> u64 {
        self.acked + self.kept.len() as u64
    }

    /// How many items wait for an acknowledgement.
    pub fn pending(&self) -> usize {
        self.kept.len()
    }

    /// Whether a call of [`next_unwritten`](Self::next_unwritten) would find an item.
    pub fn has_unwritten(&self) -> bool {
        self.written < self.last()
    }

    /// The next item for the link of the moment, with its number. It stays kept.
    pub fn next_unwritten(&mut self) -> Option<(u64, &T)> {
        let item = self.kept.get(usize::try_from(self.written - self.acked).ok()?)?;
        self.written += 1;
        self.shown = self.shown.max(self.written);
        Some((self.written, item))
    }

    /// The peer has everything up to `upto`: yields, oldest first, the items it had not
    /// acknowledged before. `None` when that number was never written (the peer broke the protocol).
    pub fn ack(&mut self, upto: u64) -> Option<impl Iterator<Item = T>> {
        if upto > self.shown {
            return None;
        }
        let count = usize::try_from(upto.saturating_sub(self.acked)).unwrap_or(usize::MAX);
        self.acked = self.acked.max(upto);
        self.written = self.written.max(upto);
        Some(self.kept.drain(..count))
    }

    /// Begins a new link to a peer that has everything up to `received`: the items up to there are
    /// yielded as acknowledged, the rest will be written again. `None` as for [`ack`](Self::ack).
    pub fn resume(&mut self, received: u64) -> Option<impl Iterator<Item = T>> {
        if received > self.shown {
            return None;
        }
        self.written = self.acked.max(received);
        self.ack(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What can happen between two ends.
    #[derive(Debug, Clone)]
    enum Step {
        /// An end has something to say.
        Say { left: bool },
        /// The link carries up to this many frames, from one end to the other.
        Carry { from_left: bool, count: usize },
        /// An end tells what it has received.
        Acknowledge { left: bool },
        /// The link dies with all it carried, and a new one is made.
        Cut,
        /// The new link is made while the old one still delivers a prefix of what it carried.
        Takeover { still: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => any::<bool>().prop_map(|left| Step::Say { left }),
            5 => (any::<bool>(), 1..6usize).prop_map(|(from_left, count)| Step::Carry { from_left, count }),
            3 => any::<bool>().prop_map(|left| Step::Acknowledge { left }),
            1 => Just(Step::Cut),
            1 => (0..6usize).prop_map(|still| Step::Takeover { still }),
        ]
    }

    #[derive(Debug, Clone, Copy)]
    enum Frame {
        Item(u64, u32),
        Ack(u64),
    }

    #[derive(Default)]
    struct End {
        outbound: Outbound<u32>,
        inbound: Inbound,
        said: u32,
        heard: Vec<u32>,
        /// Items whose acknowledgement arrived: may only hold what the peer has heard.
        confirmed: Vec<u32>,
    }

    impl End {
        fn say(&mut self) {
            self.said += 1;
            self.outbound.push(self.said);
        }

        fn write(&mut self, wire: &mut VecDeque<Frame>) {
            while let Some((seq, item)) = self.outbound.next_unwritten() {
                wire.push_back(Frame::Item(seq, *item));
            }
        }

        fn read(&mut self, frame: Frame) {
            match frame {
                Frame::Item(seq, item) => match self.inbound.accept(seq) {
                    Arrival::Fresh => self.heard.push(item),
                    Arrival::Duplicate => {}
                    Arrival::Gap => panic!("gap at {seq}, received {}", self.inbound.received()),
                },
                Frame::Ack(upto) => {
                    let items = self.outbound.ack(upto).expect("an honest peer acknowledges what was written");
                    self.confirmed.extend(items);
                }
            }
        }

        fn resume(&mut self, peer_received: u64) {
            let items = self.outbound.resume(peer_received).expect("an honest peer");
            self.confirmed.extend(items);
        }
    }

    /// Two ends and the frames under way in each direction.
    #[derive(Default)]
    struct Talk {
        ends: [End; 2],
        wires: [VecDeque<Frame>; 2],
    }

    impl Talk {
        fn carry(&mut self, from: usize, count: usize) {
            let Self { ends, wires } = self;
            ends[from].write(&mut wires[from]);
            for frame in wires[from].drain(..count.min(wires[from].len())) {
                ends[1 - from].read(frame);
            }
        }

        fn relink(&mut self) {
            self.wires.iter_mut().for_each(VecDeque::clear);
            let received = [self.ends[0].inbound.received(), self.ends[1].inbound.received()];
            self.ends[0].resume(received[1]);
            self.ends[1].resume(received[0]);
        }

        fn run(&mut self, step: Step) {
            match step {
                Step::Say { left } => self.ends[usize::from(left)].say(),
                Step::Carry { from_left, count } => self.carry(usize::from(from_left), count),
                Step::Acknowledge { left } => {
                    let end = usize::from(left);
                    let upto = self.ends[end].inbound.received();
                    self.ends[end].write(&mut self.wires[end]);
                    self.wires[end].push_back(Frame::Ack(upto));
                }
                Step::Cut => self.relink(),
                Step::Takeover { still } => {
                    // The newcomer's `received` is read before the old link's last frames arrive.
                    let received = self.ends[0].inbound.received();
                    for end in 0..2 {
                        let late: Vec<_> = self.wires[end].drain(..still.min(self.wires[end].len())).collect();
                        late.into_iter().for_each(|frame| self.ends[1 - end].read(frame));
                    }
                    self.wires.iter_mut().for_each(VecDeque::clear);
                    let other = self.ends[1].inbound.received();
                    self.ends[1].resume(received);
                    self.ends[0].resume(other);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_item_arrives_exactly_once_and_in_order(steps in prop::collection::vec(step(), 0..120)) {
            let mut talk = Talk::default();
            for step in steps {
                talk.run(step);
                for end in 0..2 {
                    let heard = &talk.ends[1 - end].heard;
                    prop_assert!(heard.iter().copied().eq(1..=heard.len() as u32));
                    let confirmed = &talk.ends[end].confirmed;
                    prop_assert!(heard.starts_with(confirmed), "confirmed but never heard");
                }
            }
            // A last good link: nothing may be missing.
            talk.relink();
            talk.carry(0, usize::MAX);
            talk.carry(1, usize::MAX);
            for end in 0..2 {
                prop_assert_eq!(talk.ends[1 - end].heard.len() as u32, talk.ends[end].said);
            }
        }
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_written_is_refused() {
        let mut outbound = Outbound::default();
        outbound.push('a');
        assert!(outbound.ack(1).is_none());
        assert!(outbound.next_unwritten().is_some());
        assert_eq!(outbound.ack(1).expect("written").collect::<Vec<_>>(), ['a']);
        assert!(outbound.resume(2).is_none());
        assert_eq!(outbound.ack(0).expect("old news").count(), 0);
    }
}
