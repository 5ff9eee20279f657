//! How much of a file may be on the way, so that it does not delay what is said beside it: the idea of
//! LEDBAT (RFC 6817). A window grows while acknowledgements come as fast as the fastest did, and
//! shrinks when they come later: then the file has begun to queue somewhere.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::CHUNK;

/// What the window grows by: a chunk.
const STEP: u64 = CHUNK as u64;
/// The least window: with one chunk alone, the server would keep the end of it until more comes, and the
/// acknowledgement would come late for that.
const LEAST: u64 = 2 * STEP;
/// The queue that is put up with.
const TARGET: Duration = Duration::from_millis(10);

/// A receiver that has less than a step more waits so long for the rest before it says so: no queue.
const SLACK: Duration = Duration::from_millis(50);

/// The window of one transfer on one link.
#[derive(Debug)]
pub(super) struct Pace {
    window: u64,
    most: u64,
    base: Option<Duration>,
    /// Still doubling with each round trip.
    young: bool,
    /// Up to which byte each was sent, and when.
    sent: VecDeque<(u64, Instant)>,
    shrunk: Option<Instant>,
}

impl Pace {
    pub(super) fn new(most: u64) -> Self {
        let window = LEAST.min(most);
        Self { window, most, base: None, young: true, sent: VecDeque::new(), shrunk: None }
    }

    /// Bytes that may be on the way.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Bytes up to here were handed to the link.
    pub(super) fn sent(&mut self, upto: u64, now: Instant) {
        self.sent.push_back((upto, now));
    }

    /// The receiver has everything up to here, `fresh` bytes more than before.
    pub(super) fn acknowledged(&mut self, upto: u64, fresh: u64, now: Instant) {
        let mut sent = None;
        while let Some((end, at)) = self.sent.front().copied()
            && end <= upto
        {
            sent = Some(at);
            self.sent.pop_front();
        }
        let Some(sent) = sent else { return };
        let delay = now - sent;
        let base = self.base.map_or(delay, |base| base.min(delay));
        self.base = Some(base);
        let slack = if fresh < STEP { SLACK } else { Duration::ZERO };
        if delay - base > TARGET + slack {
            self.young = false;
            // Once a round trip: what is on its way was sent before.
            if self.shrunk.is_none_or(|at| now - at > delay) {
                self.shrunk = Some(now);
                self.window = (self.window * 7 / 10).max(LEAST.min(self.most));
            }
        } else if self.young {
            self.window = (self.window + fresh).min(self.most);
        } else {
            self.window = (self.window + (STEP * fresh / self.window).max(1)).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that carries so many bytes a millisecond, after a delay of its own.
    fn settle(per_ms: u64, delay: Duration) -> (u64, Duration) {
        let mut pace = Pace::new(192 * 1024);
        let start = Instant::now();
        let (mut sent, mut acked, mut now, mut free) = (0_u64, 0_u64, start, start);
        let mut flying = VecDeque::new();
        let mut queue = Duration::ZERO;
        for _ in 0..4_000 {
            while sent + STEP <= acked + pace.window() {
                sent += STEP;
                pace.sent(sent, now);
                free = free.max(now) + Duration::from_millis(STEP / per_ms);
                flying.push_back((sent, free + delay));
            }
            let (upto, at) = flying.pop_front().unwrap();
            queue = (free - now.min(free)).min(Duration::from_secs(9));
            now = now.max(at);
            pace.acknowledged(upto, upto - acked, now);
            acked = upto;
        }
        (pace.window(), queue)
    }

    #[test]
    fn a_narrow_line_keeps_a_short_queue_and_a_wide_one_the_whole_window() {
        // 5 Mbit/s, 20 ms.
        let (window, queue) = settle(625, Duration::from_millis(20));
        assert!(window < 96 * 1024, "{window}");
        assert!(queue < Duration::from_millis(120), "{queue:?}");
        let (window, _) = settle(100_000, Duration::from_millis(1));
        assert_eq!(window, 192 * 1024);
    }
}
