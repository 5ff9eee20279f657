//! Where people wait: the matchmaker with a clock, a lock and the people behind its tickets.
//!
//! Owns: the queue, and the step from "found" to "told", which happens under its lock so that nobody
//! can leave in between. The lock is held for one step of the matchmaker, never across an await,
//! and never by a message.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Person;
use super::conversation::Conversation;
use super::matchmaker::{Matchmaker, Pair, Patience, Ticket, Widened};
use crate::config;
use crate::protocol::{ConversationId, Doing, Matching, ServerEvent, SessionId, Wish, millis};

#[derive(Clone)]
pub(super) struct Lobby(Arc<Inner>);

struct Inner {
    queue: Mutex<Queue>,
    patience: Patience,
    began: Instant,
    /// Rung when a search may widen earlier than the keeper of time knows.
    sooner: Notify,
}

struct Queue {
    matchmaker: Matchmaker,
    people: HashMap<SessionId, Arc<Person>>,
    /// Those who lost their link while waiting: they keep the time they began, and so their place.
    aside: HashSet<SessionId>,
}

impl Lobby {
    pub(super) fn new(matching: &config::Matching) -> Self {
        let patience = Patience { wider_after: matching.wider_after, anyone_after: matching.anyone_after };
        let matchmaker = Matchmaker::new(rand::rng().random(), patience);
        let queue = Queue { matchmaker, people: HashMap::new(), aside: HashSet::new() };
        Self(Arc::new(Inner { queue: Mutex::new(queue), patience, began: Instant::now(), sooner: Notify::new() }))
    }

    /// Puts someone in the queue with the wish they made last, tells them so, and matches them at once
    /// if someone suits.
    /// Whoever is there already starts their search again. False: they are in a conversation. That
    /// is looked at under the lock, under which conversations begin.
    pub(super) fn enter(&self, person: &Arc<Person>, wish: Option<Wish>) -> bool {
        let mut queue = self.queue();
        if person.talk().is_some() {
            return false;
        }
        if let Some(wish) = wish {
            person.state().wish = wish;
        }
        self.enter_since(&mut queue, person, self.now());
        true
    }

    /// Takes someone out of the queue. False: they were not in it.
    pub(super) fn leave(&self, person: &Person) -> bool {
        let mut queue = self.queue();
        let left = queue.take(person.member.session).is_some();
        if left {
            person.member.set_doing(Doing::Idle);
        }
        left
    }

    /// Takes someone out for good, wherever they are.
    pub(super) fn forget(&self, person: &Person) {
        let mut queue = self.queue();
        queue.take(person.member.session);
        queue.aside.remove(&person.member.session);
        person.state().gone = true;
    }

    /// Takes someone out who has lost their link; their place is kept.
    pub(super) fn step_aside(&self, person: &Person) {
        let mut queue = self.queue();
        if queue.take(person.member.session).is_some() {
            queue.aside.insert(person.member.session);
        }
    }

    /// Lets someone back in who had stepped aside, at the place they had.
    pub(super) fn come_back(&self, person: &Arc<Person>) {
        let mut queue = self.queue();
        if queue.aside.remove(&person.member.session) {
            let since = person.state().since;
            self.enter_since(&mut queue, person, since);
        }
    }

    /// Puts someone back whose partner vanished before the talk began, at the place they had; unless
    /// they have gone too, or have found someone, in the meantime.
    pub(super) fn put_back(&self, person: &Arc<Person>) {
        let mut queue = self.queue();
        let gone = person.state().gone;
        if gone || person.talk().is_some() {
            return;
        }
        if person.member.door().is_some() {
            let since = person.state().since;
            self.enter_since(&mut queue, person, since);
        } else {
            person.member.set_doing(Doing::Waiting);
            queue.aside.insert(person.member.session);
        }
    }

    /// Widens searches when they are due, until `stop`.
    pub(super) async fn keep_widening(&self, stop: CancellationToken) {
        loop {
            let next = {
                let mut queue = self.queue();
                let now = self.now();
                for news in queue.matchmaker.widen(now) {
                    match news {
                        Widened::Still(session) => {
                            let person = &queue.people[&session];
                            let since = person.state().since;
                            self.tell(person, since, now);
                        }
                        Widened::Pair(pair) => queue.bring_together(*pair),
                    }
                }
                queue.matchmaker.next_widening()
            };
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(self.0.began + next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased; // stopping first: nothing is lost by not widening once more
                () = stop.cancelled() => return,
                () = self.0.sooner.notified() => {}
                () = due => {}
            }
        }
    }

    fn enter_since(&self, queue: &mut Queue, person: &Arc<Person>, since: Duration) {
        let now = self.now();
        let session = person.member.session;
        let before = queue.matchmaker.next_widening();
        let (wish, recent) = {
            let mut state = person.state();
            state.since = since;
            (state.wish.clone(), state.recent.iter().copied().collect())
        };
        let ticket = Ticket { session, user: person.member.user.id, wish, recent, since };
        queue.aside.remove(&session);
        queue.people.insert(session, Arc::clone(person));
        person.member.set_doing(Doing::Waiting);
        self.tell(person, since, now);
        if let Some(pair) = queue.matchmaker.enter(ticket, now) {
            queue.bring_together(pair);
        }
        if queue.matchmaker.next_widening() < before || before.is_none() {
            self.0.sooner.notify_one();
        }
    }

    /// Tells someone who waits how their search stands.
    fn tell(&self, person: &Person, since: Duration, now: Duration) {
        let (stage, widens) = self.0.patience.stage(since, now);
        let waited_ms = millis(now.saturating_sub(since));
        let widens_in_ms = widens.map(|when| millis(when.saturating_sub(now)));
        person.member.outbox.post(&ServerEvent::Matching(Matching { stage, waited_ms, widens_in_ms }));
    }

    fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().expect("no code panics while it holds this lock")
    }
}

impl Queue {
    fn take(&mut self, session: SessionId) -> Option<Ticket> {
        self.people.remove(&session);
        self.matchmaker.cancel(session)
    }

    fn bring_together(&mut self, pair: Pair) {
        let person = |queue: &mut Self, ticket: &Ticket| {
            queue.people.remove(&ticket.session).expect("whoever holds a ticket is in the lobby")
        };
        let people = [person(self, &pair.first), person(self, &pair.second)];
        let id = ConversationId::from_bytes(rand::rng().random());
        Conversation::begin(id, people, pair.common);
    }
}
