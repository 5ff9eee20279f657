//! How long people waited for an answer: the time in which something was said and nothing came back, neither
//! for it nor for what was said before it. Pure: times are passed in.

use std::time::Duration;

use serde::Serialize;

/// Up to where each class of gaps goes, in milliseconds; the last one is for all that are longer.
const CLASSES: [u64; 8] = [100, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 30_000];

/// The gaps of one direction, of a pair, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    counts: [usize; CLASSES.len() + 1],
    longest: Duration,
}

/// One class of gaps, as it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Class {
    /// No longer than this, in milliseconds; `None`: longer than all others.
    pub up_to_ms: Option<u64>,
    /// How many.
    pub count: usize,
}

impl Gaps {
    /// Notes one.
    pub fn note(&mut self, gap: Duration) {
        let class = CLASSES.iter().position(|most| gap <= Duration::from_millis(*most));
        self.counts[class.unwrap_or(CLASSES.len())] += 1;
        self.longest = self.longest.max(gap);
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.longest = self.longest.max(other.longest);
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// How many there are of each class, the shortest first.
    pub fn classes(&self) -> Vec<Class> {
        let most = CLASSES.iter().copied().map(Some).chain([None]);
        most.zip(self.counts).map(|(up_to_ms, count)| Class { up_to_ms, count }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_is_in_its_class_and_the_longest_is_known() {
        let ms = Duration::from_millis;
        let mut gaps = Gaps::default();
        [0, 100, 101, 5_000, 31_000].into_iter().for_each(|gap| gaps.note(ms(gap)));
        let mut all = Gaps::default();
        all.note(ms(5_001));
        all.add(&gaps);
        assert_eq!(all.longest(), ms(31_000));
        let counts: Vec<_> = all.classes().iter().map(|class| class.count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 1, 1, 0, 1]);
        assert_eq!(all.classes().last().map(|class| class.up_to_ms), Some(None));
    }
}
