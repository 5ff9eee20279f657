//! The heartbeat of one link: when to acknowledge, when to ping, when to give up. One timer for all
//! of it, moved as seldom as can be, so that an idle session costs a wake-up in twelve seconds.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::config;

/// An acknowledgement goes out this long after the frame it is for, if nothing carried it before.
const ACK_AFTER: Duration = Duration::from_millis(50);
/// What a link's read loop must do at what time: one timer, moved as seldom as can be.
pub(super) struct Pulse {
    ping_after: Duration,
    dead_after: Duration,
    heard: Instant,
    /// Pings since then: each may be lost, so there is more than one.
    pings: u32,
    ack_at: Option<Instant>,
}

/// What is due.
pub(super) enum Due {
    /// Nothing: the timer was early.
    Nothing,
    /// An acknowledgement.
    Ack,
    /// A ping.
    Ping,
    /// The link's end: nothing was heard for too long.
    Dead,
    /// The session's end: its token has expired.
    Expired,
}

impl Pulse {
    pub(super) fn new(settings: &config::Session, talking: bool) -> Self {
        let mut pulse = Self {
            ping_after: Duration::ZERO,
            dead_after: Duration::ZERO,
            heard: Instant::now(),
            pings: 0,
            ack_at: None,
        };
        pulse.pace(settings, talking);
        pulse
    }

    /// In a conversation a dead link must be known within 5 s; alone, within 30.
    pub(super) fn pace(&mut self, settings: &config::Session, talking: bool) {
        (self.ping_after, self.dead_after) = if talking {
            (settings.ping_talking, settings.dead_talking)
        } else {
            (settings.ping_idle, settings.dead_idle)
        };
        // A silence that was fine at the old pace starts again at the new one.
        self.heard = Instant::now();
        self.pings = 0;
    }

    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
        self.pings = 0;
    }

    /// True: the timer has to be moved for it.
    pub(super) fn ack_soon(&mut self) -> bool {
        let first = self.ack_at.is_none();
        if first {
            self.ack_at = Some(Instant::now() + ACK_AFTER);
        }
        first
    }

    pub(super) fn next(&self, expires: SystemTime) -> Instant {
        let beat = self.next_ping().min(self.heard + self.dead_after);
        let expiry = Instant::now() + expires.duration_since(SystemTime::now()).unwrap_or_default();
        let next = beat.min(expiry);
        self.ack_at.map_or(next, |at| at.min(next))
    }

    /// The first after the whole silence that is worth one, then one each half of it.
    fn next_ping(&self) -> Instant {
        self.heard + self.ping_after + self.ping_after / 2 * self.pings
    }

    pub(super) fn due(&mut self, expires: SystemTime) -> Due {
        let now = Instant::now();
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack_at = None;
            Due::Ack
        } else if expires <= SystemTime::now() {
            Due::Expired
        } else if now >= self.heard + self.dead_after {
            Due::Dead
        } else if now >= self.next_ping() {
            self.pings += 1;
            Due::Ping
        } else {
            Due::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_pinged_more_than_once_and_then_is_the_end() {
        let never = SystemTime::now() + Duration::from_secs(1_000_000);
        let mut pulse = Pulse::new(&config::Session::default(), true);
        let began = Instant::now();
        let mut beats = Vec::new();
        loop {
            tokio::time::sleep_until(pulse.next(never)).await;
            let at = began.elapsed().as_millis();
            match pulse.due(never) {
                Due::Ping => beats.push(at),
                Due::Dead => break beats.push(at),
                Due::Nothing | Due::Ack | Due::Expired => panic!("nothing else is due at {at}"),
            }
        }
        assert_eq!(beats, [2_000, 3_000, 4_000, 4_500]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_heard_begins_the_silence_anew_and_an_acknowledgement_comes_first() {
        let never = SystemTime::now() + Duration::from_secs(1_000_000);
        let mut pulse = Pulse::new(&config::Session::default(), false);
        tokio::time::advance(Duration::from_secs(10)).await;
        pulse.heard();
        assert!(pulse.ack_soon());
        assert!(!pulse.ack_soon(), "the timer stands already");
        assert_eq!(pulse.next(never), Instant::now() + ACK_AFTER);
        tokio::time::advance(ACK_AFTER).await;
        assert!(matches!(pulse.due(never), Due::Ack));
        assert_eq!(pulse.next(never), Instant::now() - ACK_AFTER + Duration::from_secs(12));
    }
}
