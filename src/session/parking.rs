//! Sessions that wait for their client after a lost link: how many, in which order, and what is
//! remembered of those that waited in vain.
//!
//! Owns: the bound on their number (over it, whoever has waited longest is ended: the links lost last
//! are the likeliest to come back), and a bounded memory of why sessions ended, so that a client that
//! comes too late is told. The bound on the bytes kept for them is each outbox's claim on one
//! [`Budget`](crate::outbox::Budget).
//!
//! Must not know: links, and what a session holds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::protocol::{CloseReason, Closing, Lost, Resume, SessionId, SessionKey, UserId};

/// Sessions of which is remembered why they ended; some 100 bytes each.
const REMEMBERED: usize = 16 * 1024;

/// Everyone who waits. Clones are the same.
#[derive(Clone)]
pub(super) struct Parking(Arc<Inner>);

struct Inner {
    most: usize,
    waiting: Mutex<Waiting>,
    gone: Mutex<Gone>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// Oldest first.
    sessions: BTreeMap<u64, Box<dyn Fn() -> bool + Send>>,
}

#[derive(Default)]
struct Gone {
    reasons: HashMap<SessionId, (UserId, SessionKey, Lost)>,
    oldest_first: VecDeque<SessionId>,
}

/// A place among those who wait. Dropped = the wait is over.
pub(super) struct Place {
    parking: Parking,
    number: u64,
}

impl Parking {
    /// Room for `most`.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, waiting: Mutex::default(), gone: Mutex::default() }))
    }

    /// Takes a place for a session. `give_way` ends it with [`crowded`], unless its client has come
    /// back in this very moment (false).
    pub(super) fn enter(&self, give_way: impl Fn() -> bool + Send + 'static) -> Place {
        let number = {
            let mut waiting = self.waiting();
            let number = waiting.next;
            waiting.next += 1;
            waiting.sessions.insert(number, Box::new(give_way));
            number
        };
        loop {
            // Outside the lock: giving way takes the session's own.
            let longest = {
                let mut waiting = self.waiting();
                let over = waiting.sessions.len() > self.0.most;
                over.then(|| waiting.sessions.pop_first()).flatten()
            };
            match longest {
                // Whoever has come back is not among those who wait any more.
                Some((_, give_way)) if !give_way() => {}
                _ => break,
            }
        }
        Place { parking: self.clone(), number }
    }

    /// Remembers why a session ended.
    pub(super) fn remember(&self, session: SessionId, user: UserId, key: SessionKey, why: Lost) {
        let mut gone = self.gone();
        if gone.reasons.insert(session, (user, key, why)).is_none() {
            gone.oldest_first.push_back(session);
        }
        while gone.oldest_first.len() > REMEMBERED {
            if let Some(oldest) = gone.oldest_first.pop_front() {
                gone.reasons.remove(&oldest);
            }
        }
    }

    /// Why the session that is asked for is not there; told only to whom it belonged.
    pub(super) fn why(&self, user: UserId, resume: &Resume) -> Lost {
        match self.gone().reasons.get(&resume.session) {
            Some((theirs, key, why)) if *theirs == user && *key == resume.key => *why,
            _ => Lost::Unknown,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().expect("no code panics while it holds this lock")
    }

    fn gone(&self) -> MutexGuard<'_, Gone> {
        self.0.gone.lock().expect("no code panics while it holds this lock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.parking.waiting().sessions.remove(&self.number);
    }
}

/// The farewell of whoever has to give way.
pub(super) fn crowded() -> Closing {
    Closing::because(CloseReason::Draining, "Too many sessions wait for their clients; this one waited longest.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outbox;

    #[test]
    fn over_the_bound_whoever_has_waited_longest_is_ended() {
        let parking = Parking::new(2);
        let outboxes = [(); 6].map(|()| Outbox::new(1000));
        let enter = |index: usize| {
            let outbox = outboxes[index].clone();
            parking.enter(move || {
                outbox.end(crowded());
                true
            })
        };
        let first = enter(0);
        let _second = enter(1);
        drop(first);
        let _third = enter(2);
        assert!(outboxes.iter().all(|outbox| !outbox.has_ended()));
        let _fourth = enter(3);
        assert_eq!(outboxes.each_ref().map(Outbox::has_ended), [false, true, false, false, false, false]);
    }

    #[test]
    fn whoever_comes_back_in_that_moment_is_not_ended() {
        let parking = Parking::new(1);
        let _back = parking.enter(|| false);
        let outbox = Outbox::new(1000);
        let theirs = outbox.clone();
        let _waits = parking.enter(move || {
            theirs.end(crowded());
            true
        });
        assert!(!outbox.has_ended(), "with the first gone there is room");
    }

    #[test]
    fn the_reason_is_told_to_its_owner_alone_and_forgotten_in_the_end() {
        let parking = Parking::new(1);
        let session = |number: u32| SessionId::from_bytes([number.to_be_bytes(); 4].concat().try_into().unwrap());
        let (user, key) = (UserId::from_bytes([1; 12]), SessionKey::from_bytes([2; 32]));
        let ask = |number, key| Resume { session: session(number), key, received: 0, transfers: None };
        parking.remember(session(0), user, key, Lost::Expired);
        assert_eq!(parking.why(user, &ask(0, key)), Lost::Expired);
        assert_eq!(parking.why(user, &ask(0, SessionKey::from_bytes([3; 32]))), Lost::Unknown);
        assert_eq!(parking.why(UserId::from_bytes([9; 12]), &ask(0, key)), Lost::Unknown);
        for number in 1..=u32::try_from(REMEMBERED).unwrap() {
            parking.remember(session(number), user, key, Lost::Slow);
        }
        assert_eq!(parking.why(user, &ask(0, key)), Lost::Unknown);
        assert_eq!(parking.why(user, &ask(1, key)), Lost::Slow);
    }
}
