//! Where people wait: the matchmaker with a clock, a lock and the people behind its tickets.
//!
//! Owns: the queue, and the step from "found" to "told", which happens under its lock so that nobody
//! can leave in between. The lock is held for one step of the matchmaker, never across an await,
//! and never by a message.
//!
//! Where there is a cluster, it is asked for partners (`far`), and the matchmaker here is only for when it
//! is away.

mod far;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::far::Far;
use super::conversation::Conversation;
use super::matchmaker::{Matchmaker, Pair, Patience, Ticket, Widened};
use super::{Person, matchmaker};
use crate::cluster::Cluster;
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
    cluster: Option<Arc<dyn Cluster>>,
    /// Rung when there may be something to ask the cluster for.
    errands: Notify,
    /// The cluster is away.
    alone: AtomicBool,
    /// Keys the hashing of wishes: the same on all nodes, and nobody else's to know.
    seed: u64,
}

struct Queue {
    matchmaker: Matchmaker,
    people: HashMap<SessionId, Arc<Person>>,
    /// Those who lost their link while waiting: they keep the time they began, and so their place.
    aside: HashSet<SessionId>,
    /// Of those among `people`, where there is a cluster.
    far: Far,
}

impl Lobby {
    /// An empty one. `cluster` comes with the seed that all its nodes share.
    pub(super) fn new(matching: &config::Matching, cluster: Option<(Arc<dyn Cluster>, u64)>) -> Self {
        let patience = Patience { wider_after: matching.wider_after, anyone_after: matching.anyone_after };
        let matchmaker = Matchmaker::new(rand::rng().random(), patience);
        let queue = Queue { matchmaker, people: HashMap::new(), aside: HashSet::new(), far: Far::default() };
        let (cluster, seed) = cluster.map_or((None, 0), |(cluster, seed)| (Some(cluster), seed));
        Self(Arc::new(Inner {
            queue: Mutex::new(queue),
            patience,
            began: Instant::now(),
            sooner: Notify::new(),
            cluster,
            errands: Notify::new(),
            alone: AtomicBool::new(false),
            seed,
        }))
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
        let left = self.take(&mut queue, person.member.session);
        if left {
            person.member.set_doing(Doing::Idle);
        }
        left
    }

    /// Takes someone out for good, wherever they are.
    pub(super) fn forget(&self, person: &Person) {
        let mut queue = self.queue();
        self.take(&mut queue, person.member.session);
        queue.aside.remove(&person.member.session);
        person.state().gone = true;
    }

    /// Takes someone out who has lost their link; their place is kept.
    pub(super) fn step_aside(&self, person: &Person) {
        let mut queue = self.queue();
        if self.take(&mut queue, person.member.session) {
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

    /// Takes someone out who is about to travel to another node; yields how long they have waited, if they
    /// did.
    pub(super) fn pack(&self, person: &Person) -> Option<Duration> {
        let mut queue = self.queue();
        let session = person.member.session;
        let waited = self.take(&mut queue, session) | queue.aside.remove(&session);
        let since = person.state().since;
        waited.then(|| self.now().saturating_sub(since))
    }

    /// Puts someone in the queue who has waited so long already, here or elsewhere.
    pub(super) fn wait_again(&self, person: &Arc<Person>, waited: Duration) {
        // A clock that began later than they did counts from its beginning.
        person.state().since = self.now().saturating_sub(waited);
        self.put_back(person);
    }

    /// Brings someone who has come from another node together with the one who sought them. False: that
    /// one waits for them no more; then they wait on, if they have link.
    pub(super) fn meet(&self, seeker: SessionId, found: &Arc<Person>, waited: Duration) -> bool {
        let mut queue = self.queue();
        found.state().since = self.now().saturating_sub(waited);
        let waits = queue.people.contains_key(&seeker) && queue.far.takes(seeker, found.member.session);
        match waits {
            true => {
                // A ticket of theirs may stand by now that was put since.
                queue.far.touch(seeker);
                self.0.errands.notify_one();
                queue.people.insert(found.member.session, Arc::clone(found));
                queue.bring_two_together(seeker, found.member.session);
                true
            }
            false => {
                let since = found.state().since;
                self.enter_since(&mut queue, found, since);
                false
            }
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
        if self.0.cluster.is_some() {
            queue.far.enter(session, self.next_step(since));
            return self.0.errands.notify_one();
        }
        if let Some(pair) = queue.matchmaker.enter(ticket, now) {
            queue.bring_together(pair);
        }
        if queue.matchmaker.next_widening() < before || before.is_none() {
            self.0.sooner.notify_one();
        }
    }

    /// Takes someone out of the queue. False: they were not in it.
    fn take(&self, queue: &mut Queue, session: SessionId) -> bool {
        queue.matchmaker.cancel(session);
        let was_there = queue.people.remove(&session).is_some();
        if was_there && self.0.cluster.is_some() {
            queue.far.leave(session);
            self.0.errands.notify_one();
        }
        was_there
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
    fn bring_together(&mut self, pair: Pair) {
        let person = |ticket: &Ticket| Arc::clone(&self.people[&ticket.session]);
        let people = [person(&pair.first), person(&pair.second)];
        self.begin(people, pair.common);
    }

    /// Takes two out of the queue and begins their conversation; the one who has waited longer is the first.
    fn begin(&mut self, people: [Arc<Person>; 2], common: Vec<String>) {
        for person in &people {
            let session = person.member.session;
            self.people.remove(&session);
            self.matchmaker.cancel(session);
            self.far.met(session);
        }
        let id = ConversationId::from_bytes(rand::rng().random());
        Conversation::begin(id, people, common);
    }
}
