//! What was said in one direction of a talk, and what became of it: the contract, checked for each
//! message. Pure: times are passed in.

use std::time::Duration;

use super::gaps::Gaps;

/// One direction. Messages have numbers from 0, in the order in which they were said.
#[derive(Debug, Default)]
pub struct Ledger {
    /// When each was said.
    said: Vec<Duration>,
    /// Which were heard, and which the sender was told of.
    heard: Vec<bool>,
    told: Vec<bool>,
    heard_count: usize,
    told_count: usize,
    /// The next to come, if order holds.
    next: usize,
    /// Since when something is said and nothing came back.
    waiting: Option<Duration>,
    gaps: Gaps,
    broken: Broken,
}

/// Broken promises, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// Said and never heard, though the session lived.
    pub lost: usize,
    /// Heard, or told of, more than once.
    pub doubled: usize,
    /// Heard after a later one.
    pub reordered: usize,
    /// Told as delivered and never heard. Which of the two came first cannot be seen from here: each
    /// end has a queue of its own.
    pub untrue: usize,
    /// Heard, and the sender was never told.
    pub untold: usize,
    /// Heard what was never said.
    pub invented: usize,
    /// A session or a talk that ended though every fault was within its window.
    pub ended: usize,
    /// Files that were offered and did not come, or of which the sender was never told.
    pub files_lost: usize,
    /// Files that came otherwise than they were sent, or twice.
    pub files_damaged: usize,
    /// Files that were refused or called off, though both wanted them.
    pub files_cancelled: usize,
}

impl Broken {
    /// All together.
    pub fn total(&self) -> usize {
        let Self { lost, doubled, reordered, untrue, untold, invented, ended, .. } = *self;
        lost + doubled + reordered + untrue + untold + invented + ended + self.files()
    }

    /// Those about files.
    pub fn files(&self) -> usize {
        self.files_lost + self.files_damaged + self.files_cancelled
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.untrue += other.untrue;
        self.untold += other.untold;
        self.invented += other.invented;
        self.ended += other.ended;
        self.files_lost += other.files_lost;
        self.files_damaged += other.files_damaged;
        self.files_cancelled += other.files_cancelled;
    }
}

impl Ledger {
    /// Notes that a message is being said; yields its number.
    pub fn say(&mut self, now: Duration) -> usize {
        self.waiting.get_or_insert(now);
        self.said.push(now);
        self.heard.push(false);
        self.told.push(false);
        self.said.len() - 1
    }

    /// The partner heard this one; yields how long it took, the first time.
    pub fn hear(&mut self, number: usize, now: Duration) -> Option<Duration> {
        let Some(&said) = self.said.get(number) else {
            self.broken.invented += 1;
            return None;
        };
        if std::mem::replace(&mut self.heard[number], true) {
            self.broken.doubled += 1;
            return None;
        }
        self.heard_count += 1;
        if number < self.next {
            self.broken.reordered += 1;
        }
        self.next = self.next.max(number + 1);
        Some(now.saturating_sub(said))
    }

    /// The sender was told that this one was delivered; yields how long that took.
    pub fn tell(&mut self, number: usize, now: Duration) -> Option<Duration> {
        let Some(&said) = self.said.get(number) else {
            self.broken.invented += 1;
            return None;
        };
        if std::mem::replace(&mut self.told[number], true) {
            self.broken.doubled += 1;
            return None;
        }
        self.told_count += 1;
        let open = self.told_count < self.said.len();
        if let Some(since) = std::mem::replace(&mut self.waiting, open.then_some(now)) {
            self.gaps.note(now.saturating_sub(since));
        }
        Some(now.saturating_sub(said))
    }

    /// How many were said.
    pub fn said(&self) -> usize {
        self.said.len()
    }

    /// How many were heard.
    pub fn heard(&self) -> usize {
        self.heard_count
    }

    /// Whether all that was said was heard, and its sender told.
    pub fn is_settled(&self) -> bool {
        self.heard_count == self.said.len() && self.told_count == self.said.len()
    }

    /// This one came a second time, and the partner's client dropped it. `excused`: a node was lost, which may
    /// have swallowed the word that it was delivered; yields whether that is so.
    pub fn repeat(&mut self, number: usize, excused: bool) -> bool {
        let excused = excused && self.heard.get(number) == Some(&true);
        self.broken.doubled += usize::from(!excused);
        excused
    }

    /// How long its sender waited for answers, up to now.
    pub fn gaps(&self, now: Duration) -> Gaps {
        let mut gaps = self.gaps.clone();
        if let Some(since) = self.waiting {
            gaps.note(now.saturating_sub(since));
        }
        gaps
    }

    /// A session or talk ended that should have gone on.
    pub fn note_end(&mut self) {
        self.broken.ended += 1;
    }

    /// Whether one has.
    pub fn has_ended(&self) -> bool {
        self.broken.ended > 0
    }

    /// What was broken so far; what is not settled by now counts as lost.
    pub fn close(&self) -> Broken {
        let lost = self.said.len() - self.heard_count;
        let count =
            |heard, told| self.heard.iter().zip(&self.told).filter(|(h, t)| (**h, **t) == (heard, told)).count();
        Broken { lost, untold: count(true, false), untrue: count(false, true), ..self.broken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(5);

    fn ledger(count: usize) -> Ledger {
        let mut ledger = Ledger::default();
        for _ in 0..count {
            ledger.say(Duration::ZERO);
        }
        ledger
    }

    #[test]
    fn a_talk_that_keeps_its_promises_is_settled_and_unbroken() {
        let mut ledger = ledger(3);
        for number in 0..3 {
            assert!(!ledger.is_settled());
            assert_eq!(ledger.hear(number, NOW), Some(NOW));
            assert_eq!(ledger.tell(number, NOW), Some(NOW));
        }
        assert!(ledger.is_settled());
        assert_eq!(ledger.close(), Broken::default());
    }

    #[test]
    fn only_a_lost_node_excuses_what_comes_again_and_only_if_it_is_dropped() {
        let mut ledger = ledger(2);
        ledger.hear(0, NOW);
        assert!(ledger.repeat(0, true));
        assert_eq!(ledger.close().doubled, 0);
        assert!(!ledger.repeat(0, false), "nothing excuses it");
        assert!(!ledger.repeat(1, true), "it was dropped and never heard");
        assert!(!ledger.repeat(9, true), "it was never said");
        ledger.hear(0, NOW); // it got through
        assert_eq!(ledger.close().doubled, 4);
        assert!(!ledger.has_ended());
        ledger.note_end();
        assert!(ledger.has_ended());
    }

    #[test]
    fn a_gap_is_the_time_in_which_something_was_said_and_nothing_came_back() {
        let at = Duration::from_millis;
        let mut ledger = Ledger::default();
        ledger.say(at(1_000));
        ledger.say(at(1_500));
        assert_eq!(ledger.gaps(at(1_700)).longest(), at(700), "one that is not over counts too");
        ledger.tell(0, at(2_000)); // 1 s after the first was said
        ledger.tell(1, at(2_300)); // 0.3 s after the answer before
        assert_eq!(ledger.gaps(at(9_000)).longest(), at(1_000), "whoever says nothing waits for nothing");
        ledger.say(at(9_000));
        ledger.tell(2, at(13_000));
        let gaps = ledger.gaps(at(20_000));
        assert_eq!(gaps.longest(), at(4_000));
        assert_eq!(gaps.classes().iter().map(|class| class.count).sum::<usize>(), 3);
    }

    #[test]
    fn each_broken_promise_is_seen() {
        let mut ledger = ledger(6);
        ledger.hear(0, NOW);
        ledger.hear(0, NOW); // doubled
        ledger.hear(2, NOW);
        ledger.hear(1, NOW); // reordered
        ledger.tell(3, NOW); // untrue, and 3 is lost
        ledger.tell(0, NOW);
        ledger.tell(0, NOW); // doubled
        ledger.hear(9, NOW); // invented
        let broken = ledger.close();
        // 3, 4 and 5 were never heard; 1 and 2 were heard and their sender never told.
        let expected =
            Broken { lost: 3, doubled: 2, reordered: 1, untrue: 1, untold: 2, invented: 1, ..Broken::default() };
        assert_eq!(broken, expected);
        assert_eq!(broken.total(), 10);
        assert!(!ledger.is_settled());
    }
}
