//! The rates one session must keep to: a token bucket for each kind of event, so that a flood of
//! one kind (typing, say) does not cut the others. Acknowledgements and beats cost nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::protocol::ClientEvent;

/// Refusals in a row, without one event that passes, after which the session is closed.
const PATIENCE: u32 = 200;

/// What to do with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Within the limits.
    Pass,
    /// Refuse it; it will pass after this time.
    Refuse(Duration),
    /// Far over them: end the session; it may come back after this time.
    Close(Duration),
}

pub(super) struct Limits {
    events: Bucket,
    matches: Bucket,
    typing: Bucket,
    candidates: Bucket,
    signals: Bucket,
    refused: u32,
}

impl Limits {
    pub(super) fn new(limits: &config::Limits, now: Instant) -> Self {
        Self {
            events: Bucket::per_minute(limits.events_per_minute, now),
            matches: Bucket::per_minute(limits.matches_per_minute, now),
            typing: Bucket::per_minute(limits.typing_per_minute, now),
            candidates: Bucket::per_minute(limits.candidates_per_minute, now),
            signals: Bucket::per_minute(limits.signals_per_minute, now),
            refused: 0,
        }
    }

    /// What is left in each bucket, for another node.
    pub(super) fn levels(&mut self, now: Instant) -> [f64; 5] {
        self.all().map(|bucket| {
            bucket.wait(now);
            bucket.level
        })
    }

    /// Goes on with what was left elsewhere.
    pub(super) fn go_on(&mut self, levels: [f64; 5]) {
        for (bucket, level) in self.all().into_iter().zip(levels) {
            bucket.level = level.clamp(0.0, bucket.capacity);
        }
    }

    fn all(&mut self) -> [&mut Bucket; 5] {
        [&mut self.events, &mut self.matches, &mut self.typing, &mut self.candidates, &mut self.signals]
    }

    pub(super) fn judge(&mut self, event: &ClientEvent, now: Instant) -> Verdict {
        let buckets: &mut [&mut Bucket] = match event {
            ClientEvent::Hello(_)
            | ClientEvent::Ping(_)
            | ClientEvent::Pong(_)
            | ClientEvent::Ack(_)
            | ClientEvent::Progress(_) => &mut [],
            // Switching tabs is as free as typing is.
            ClientEvent::Typing(_) | ClientEvent::Presence(_) => &mut [&mut self.typing],
            ClientEvent::CallCandidate(_) | ClientEvent::CallCandidates(_) => &mut [&mut self.candidates],
            ClientEvent::CallOffer(_)
            | ClientEvent::CallAnswer(_)
            | ClientEvent::Ring(_)
            | ClientEvent::AcceptCall(_)
            | ClientEvent::DeclineCall(_)
            | ClientEvent::EndCall(_)
            | ClientEvent::JoinCall(_)
            | ClientEvent::CallReport(_)
            | ClientEvent::RenewIce(_) => &mut [&mut self.signals],
            ClientEvent::Match(_) | ClientEvent::Skip(_) => &mut [&mut self.matches, &mut self.events],
            ClientEvent::Renew(_)
            | ClientEvent::MatchCancel(_)
            | ClientEvent::Leave(_)
            | ClientEvent::Message(_)
            | ClientEvent::Clear(_)
            | ClientEvent::Offer(_)
            | ClientEvent::Accept(_)
            | ClientEvent::Reject(_)
            | ClientEvent::Complete(_)
            | ClientEvent::Cancel(_) => &mut [&mut self.events],
        };
        charge(buckets, &mut self.refused, now)
    }

    /// Whether the last refusal is the first after something passed.
    pub(super) fn refused_first(&self) -> bool {
        self.refused == 1
    }

    /// A frame that is no event: it costs as much as one.
    pub(super) fn judge_unreadable(&mut self, now: Instant) -> Verdict {
        charge(&mut [&mut self.events], &mut self.refused, now)
    }
}

fn charge(buckets: &mut [&mut Bucket], refused: &mut u32, now: Instant) -> Verdict {
    let wait = buckets.iter_mut().map(|bucket| bucket.wait(now)).max().unwrap_or_default();
    if !wait.is_zero() {
        *refused += 1;
        return if *refused > PATIENCE { Verdict::Close(wait) } else { Verdict::Refuse(wait) };
    }
    if !buckets.is_empty() {
        *refused = 0;
        buckets.iter_mut().for_each(|bucket| bucket.take());
    }
    Verdict::Pass
}

/// Holds a minute's worth, filled at an even rate.
struct Bucket {
    capacity: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    fn per_minute(count: u32, now: Instant) -> Self {
        let capacity = f64::from(count.max(1));
        Self { capacity, level: capacity, filled: now }
    }

    /// Zero when there is one to take, else the time until there is.
    fn wait(&mut self, now: Instant) -> Duration {
        let per_second = self.capacity / 60.0;
        let gained = now.duration_since(self.filled).as_secs_f64() * per_second;
        self.level = (self.level + gained).min(self.capacity);
        self.filled = now;
        if self.level >= 1.0 { Duration::ZERO } else { Duration::from_secs_f64((1.0 - self.level) / per_second) }
    }

    fn take(&mut self) {
        self.level -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Nothing, Typing};

    #[test]
    fn each_kind_has_its_own_bucket_and_a_refusal_says_when_to_try_again() {
        let now = Instant::now();
        let mut limits =
            Limits::new(&config::Limits { events_per_minute: 60, typing_per_minute: 2, ..Default::default() }, now);
        let clear = ClientEvent::Clear(Nothing {});
        let typing = ClientEvent::Typing(Typing { typing: true });
        for _ in 0..60 {
            assert_eq!(limits.judge(&clear, now), Verdict::Pass);
        }
        let Verdict::Refuse(wait) = limits.judge(&clear, now) else { panic!("the 61st passed") };
        assert_eq!(wait, Duration::from_secs(1));
        assert_eq!(limits.judge(&typing, now), Verdict::Pass, "typing is counted apart");
        assert_eq!(limits.judge(&clear, now + wait), Verdict::Pass, "as it said");
        let verdicts: Vec<_> = (0..=PATIENCE).map(|_| limits.judge(&clear, now + wait)).collect();
        assert!(matches!(verdicts[PATIENCE as usize - 1], Verdict::Refuse(_)));
        assert!(matches!(verdicts[PATIENCE as usize], Verdict::Close(_)));
    }
}
