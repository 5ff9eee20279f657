//! Looking for partners beyond this node: what each of those who wait has asked of the cluster, and what is
//! to come of it.
//!
//! Owns: the state of each search, and the errands to the cluster. The people who wait here are the truth:
//! their tickets there are brought into line with it, one errand for each change. Where the cluster cannot
//! be asked, the matchmaker of this node does what it can, and all is asked again once it is back.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::digest;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Lobby, Queue, matchmaker};
use crate::chat::Person;
use crate::chat::matchmaker::{Patience, Ticket};
use crate::cluster::{self, Cluster, Sought};
use crate::protocol::{NodeId, SessionId, Stage};

/// Errands that are out at once.
const AT_ONCE: usize = 64;
/// How long someone who was found elsewhere may take to come here, and someone of this node to be fetched.
const COMING: Duration = Duration::from_secs(3);
/// How often the cluster is tried again while it is away.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the ticket of someone is put again whose search grows no wider: whatever has gone wrong with it
/// costs them no more than this.
const RENEWAL: Duration = Duration::from_secs(15);

/// The searches of those who wait here.
#[derive(Default)]
pub(super) struct Far {
    searches: HashMap<SessionId, Search>,
    /// Whose ticket there may not be as it should, in the order in which that came about.
    stale: VecDeque<SessionId>,
    listed: HashSet<SessionId>,
    /// Whose errand is out: one at a time for each.
    out: HashSet<SessionId>,
    /// When something is to be done about a search.
    due: BTreeSet<(Duration, SessionId)>,
}

struct Search {
    state: State,
    due: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Their ticket stands there, or is about to.
    Stands,
    /// The cluster is away: the matchmaker of this node has them.
    Here,
    /// This one was found elsewhere and is on the way here.
    Awaits(SessionId),
    /// Was found from elsewhere and is on the way there.
    Leaves,
}

/// What the cluster is asked for.
enum Errand {
    Seek(cluster::Ticket),
    Withdraw(SessionId),
}

enum Outcome {
    Sought(SessionId, Result<Sought, cluster::Error>),
    Withdrawn(SessionId),
}

impl Far {
    /// Notes that a session's ticket may not be as it should.
    pub(super) fn touch(&mut self, session: SessionId) {
        if self.listed.insert(session) {
            self.stale.push_back(session);
        }
    }

    /// Someone begins to wait, or waits for something else. Whoever is about to leave is left alone.
    pub(super) fn enter(&mut self, session: SessionId, due: Duration) {
        if self.searches.get(&session).is_some_and(|search| search.state == State::Leaves) {
            return;
        }
        self.set(session, State::Stands, Some(due));
        self.touch(session);
    }

    /// Someone waits no more.
    pub(super) fn leave(&mut self, session: SessionId) {
        if let Some(Search { due: Some(due), .. }) = self.searches.remove(&session) {
            self.due.remove(&(due, session));
        }
        self.touch(session);
    }

    /// Someone was matched: their ticket was taken already.
    pub(super) fn met(&mut self, session: SessionId) {
        let Some(Search { due, state }) = self.searches.remove(&session) else { return };
        if let Some(due) = due {
            self.due.remove(&(due, session));
        }
        // Matched on this node alone, while a ticket of theirs may stand elsewhere.
        if state == State::Here {
            self.touch(session);
        }
    }

    fn set(&mut self, session: SessionId, state: State, due: Option<Duration>) {
        let before = self.searches.insert(session, Search { state, due });
        if let Some(Search { due: Some(due), .. }) = before {
            self.due.remove(&(due, session));
        }
        if let Some(due) = due {
            self.due.insert((due, session));
        }
    }

    fn state(&self, session: SessionId) -> Option<State> {
        self.searches.get(&session).map(|search| search.state)
    }

    /// Whether someone who waits here would have that one: whom they have found may be here before the answer
    /// that says so.
    pub(super) fn takes(&self, seeker: SessionId, found: SessionId) -> bool {
        match self.state(seeker) {
            Some(State::Awaits(awaited)) => awaited == found,
            Some(State::Stands | State::Here) => true,
            Some(State::Leaves) | None => false,
        }
    }

    /// Whether someone waits here for that one.
    fn awaits(&self, seeker: SessionId, found: SessionId) -> bool {
        self.state(seeker) == Some(State::Awaits(found))
    }

    fn next_stale(&mut self) -> Option<SessionId> {
        let at = self.stale.iter().position(|session| !self.out.contains(session))?;
        let session = self.stale.remove(at)?;
        self.listed.remove(&session);
        Some(session)
    }
}

impl Lobby {
    /// Looks for partners beyond this node, until `stop`. Without a cluster there is nothing to do.
    pub(in crate::chat) async fn keep_seeking(&self, stop: CancellationToken) {
        let Some(cluster) = self.0.cluster.clone() else { return };
        let mut out = FuturesUnordered::new();
        loop {
            while out.len() < AT_ONCE
                && let Some(errand) = self.next_errand()
            {
                out.push(run(Arc::clone(&cluster), errand));
            }
            let next = self.queue().far.due.first().map(|(due, _)| *due);
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(self.0.began + next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased; // stopping first; what is asked for is not waited for
                () = stop.cancelled() => return,
                Some(outcome) = out.next() => self.take_in(outcome, cluster.node()),
                () = due => self.act_on_due(),
                () = self.0.errands.notified() => {}
            }
        }
    }

    /// Someone who waits here was found from elsewhere: they are to be brought there. False: they do not
    /// wait any more, or others have found them first.
    pub(in crate::chat) fn promise(&self, session: SessionId) -> bool {
        let mut queue = self.queue();
        let linked = queue.people.get(&session).is_some_and(|person| person.member.door().is_some());
        let stands = matches!(queue.far.state(session), Some(State::Stands));
        if linked && stands {
            let due = self.now() + COMING;
            queue.far.set(session, State::Leaves, Some(due));
            self.0.errands.notify_one();
        }
        linked && stands
    }

    /// Whoever was found elsewhere does not come: the one who sought goes on at their place.
    pub(in crate::chat) fn sorry(&self, seeker: SessionId, found: SessionId) {
        let mut queue = self.queue();
        if queue.far.awaits(seeker, found) {
            self.seek_again(&mut queue, seeker);
        }
    }

    /// The cluster has forgotten all tickets: they are put again.
    pub(in crate::chat) fn seek_all_again(&self) {
        let mut queue = self.queue();
        let all: Vec<_> = queue.people.keys().copied().collect();
        for session in all {
            queue.far.touch(session);
        }
        self.0.errands.notify_one();
    }

    /// Whether those who wait are matched on this node alone, because the cluster is away.
    pub(in crate::chat) fn is_alone(&self) -> bool {
        self.0.alone.load(Ordering::Relaxed)
    }

    fn seek_again(&self, queue: &mut Queue, session: SessionId) {
        let Some(person) = queue.people.get(&session) else { return };
        let since = person.state().since;
        let due = self.next_step(since);
        queue.far.set(session, State::Stands, Some(due));
        queue.far.touch(session);
        self.0.errands.notify_one();
    }

    /// When something is to be done about a search that began then.
    pub(super) fn next_step(&self, since: Duration) -> Duration {
        let now = self.now();
        let (_, widens) = self.0.patience.stage(since, now);
        widens.unwrap_or(Duration::MAX).min(now + RENEWAL)
    }

    /// The next thing to ask the cluster for.
    fn next_errand(&self) -> Option<Errand> {
        let mut queue = self.queue();
        loop {
            let session = queue.far.next_stale()?;
            let errand = match queue.people.get(&session) {
                None => Errand::Withdraw(session),
                Some(person) => match queue.far.state(session) {
                    Some(State::Awaits(_) | State::Leaves) | None => continue,
                    Some(State::Stands | State::Here) => {
                        Errand::Seek(ticket(person, self.0.patience, self.0.seed, self.now()))
                    }
                },
            };
            queue.far.out.insert(session);
            // While it is asked for elsewhere it is not to be found here.
            queue.matchmaker.cancel(session);
            return Some(errand);
        }
    }

    /// Acts on an answer of the cluster.
    fn take_in(&self, outcome: Outcome, here: NodeId) {
        let mut queue = self.queue();
        let (session, sought) = match outcome {
            Outcome::Withdrawn(session) => {
                queue.far.out.remove(&session);
                return;
            }
            Outcome::Sought(session, sought) => (session, sought),
        };
        queue.far.out.remove(&session);
        let waits = queue.people.contains_key(&session)
            && matches!(queue.far.state(session), Some(State::Stands | State::Here));
        match sought {
            Ok(sought) => {
                if self.0.alone.swap(false, Ordering::Relaxed) {
                    info!("the cluster is back: partners are sought on all nodes again");
                }
                match sought {
                    Sought::Waits if waits => {
                        let due = queue.far.searches.get(&session).and_then(|search| search.due);
                        queue.far.set(session, State::Stands, due);
                    }
                    // Whoever has left since is withdrawn: leaving has listed them.
                    Sought::Waits => {}
                    Sought::Found { session: found, node } if node == here => {
                        let there = queue.people.contains_key(&found)
                            && matches!(queue.far.state(found), Some(State::Stands | State::Here));
                        match (waits, there) {
                            (true, true) => queue.bring_two_together(session, found),
                            (true, false) => self.seek_again(&mut queue, session),
                            (false, true) => self.seek_again(&mut queue, found),
                            (false, false) => {}
                        }
                    }
                    Sought::Found { session: found, .. } if waits => {
                        let due = self.now() + COMING;
                        queue.far.set(session, State::Awaits(found), Some(due));
                    }
                    // They come here, find nobody, and look on.
                    Sought::Found { .. } => {}
                }
            }
            Err(error) => {
                if !self.0.alone.swap(true, Ordering::Relaxed) {
                    warn!(%error, "partners are sought on this node alone");
                }
                if waits {
                    let now = self.now();
                    queue.far.set(session, State::Here, Some(now + AGAIN));
                    self.enter_here(&mut queue, session, now);
                }
            }
        }
    }

    /// The matchmaker of this node takes someone.
    fn enter_here(&self, queue: &mut Queue, session: SessionId, now: Duration) {
        let Some(person) = queue.people.get(&session) else { return };
        let (wish, recent, since) = {
            let state = person.state();
            (state.wish.clone(), state.recent.iter().copied().collect(), state.since)
        };
        let ticket = Ticket { session, user: person.member.user.id, wish, recent, since };
        if let Some(pair) = queue.matchmaker.enter(ticket, now) {
            queue.bring_together(pair);
        }
        self.0.sooner.notify_one();
    }

    fn act_on_due(&self) {
        let mut queue = self.queue();
        let now = self.now();
        while let Some((due, session)) = queue.far.due.first().copied().filter(|(due, _)| *due <= now) {
            queue.far.due.remove(&(due, session));
            let Some(state) = queue.far.state(session) else { continue };
            match state {
                State::Stands => {
                    let Some(person) = queue.people.get(&session).cloned() else { continue };
                    let since = person.state().since;
                    let told = self.0.patience.stage(since, due.saturating_sub(Duration::from_millis(1))).0;
                    self.seek_again(&mut queue, session);
                    if told != self.0.patience.stage(since, now).0 {
                        self.tell(&person, since, now);
                    }
                }
                // Nobody came, or nobody fetched them: they go on at their place.
                State::Awaits(_) | State::Leaves => self.seek_again(&mut queue, session),
                State::Here => queue.far.touch(session),
            }
        }
    }
}

impl Queue {
    /// Brings two together who both wait here.
    pub(super) fn bring_two_together(&mut self, one: SessionId, other: SessionId) {
        let (Some(one), Some(other)) = (self.people.get(&one).cloned(), self.people.get(&other).cloned()) else {
            return;
        };
        let since = |person: &Person| (person.state().since, person.member.session);
        let (first, second) = if since(&one) <= since(&other) { (one, other) } else { (other, one) };
        let common = matchmaker::common(&first.state().wish.clone(), &second.state().wish.clone());
        self.begin([first, second], common);
    }
}

async fn run(cluster: Arc<dyn Cluster>, errand: Errand) -> Outcome {
    match errand {
        Errand::Seek(ticket) => Outcome::Sought(ticket.session, cluster.seek(&ticket).await),
        Errand::Withdraw(session) => {
            // Where that fails the ticket is found some day, and whoever finds it is told.
            let _ = cluster.withdraw(session).await;
            Outcome::Withdrawn(session)
        }
    }
}

/// Someone's search in the words of all nodes.
fn ticket(person: &Person, patience: Patience, seed: u64, now: Duration) -> cluster::Ticket {
    let state = person.state();
    let (stage, _) = patience.stage(state.since, now);
    cluster::Ticket {
        session: person.member.session,
        user: person.member.user.id,
        combinations: matchmaker::combinations(&state.wish, stage, seed, hash),
        recent: state.recent.iter().copied().collect(),
        anyone: stage == Stage::Anyone,
        waited: now.saturating_sub(state.since),
    }
}

/// The same on all nodes, whatever they were built with.
fn hash(so_far: u64, part: u8, key: Option<&str>) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&so_far.to_be_bytes());
    context.update(&[part, u8::from(key.is_some())]);
    context.update(key.unwrap_or_default().as_bytes());
    let digest = context.finish();
    let first = digest.as_ref().first_chunk().expect("a SHA-256 has 32 bytes");
    u64::from_be_bytes(*first)
}
