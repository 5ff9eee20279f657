//! Nodes joined in one process: what they share is a value behind a lock. For tests of several nodes; it
//! can be away on purpose, and forget everything, as Redis can.

mod lobby;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use self::lobby::Lobby;
use super::{
    Answer, Beat, Card, Cluster, Counted, DEAD_AFTER, Error, FORGOTTEN_AFTER, MOST_NOTES, Note, RECORD_LIFE, RETRY,
    Record, Sought, Ticket, Whereabouts, give_way,
};
use crate::protocol::{ConversationId, NodeId, SessionId, UserId};

/// One node's handle of a [`World`].
pub struct Local {
    node: NodeId,
    world: World,
    /// Whether this handle has said that it lives.
    beaten: Mutex<bool>,
}

/// What nodes of one process share. Clones are the same.
#[derive(Clone, Default)]
pub struct World(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Rings when there is a note, and when the world goes away.
    news: Notify,
    /// Rings when a node has beaten, and when records are written.
    told: Notify,
}

#[derive(Default)]
struct State {
    away: bool,
    nodes: HashMap<NodeId, Node>,
    lobby: Lobby,
    records: HashMap<SessionId, (Record, Instant)>,
    homes: HashMap<ConversationId, NodeId>,
    people: HashMap<UserId, BTreeMap<SessionId, (Whereabouts, Instant)>>,
    windows: HashMap<(&'static str, String), (u32, Instant)>,
}

struct Node {
    card: Card,
    spoke: Instant,
    /// How many others its last beat has named.
    others: usize,
    inbox: VecDeque<Note>,
}

impl Local {
    /// A world without nodes.
    pub fn world() -> World {
        World::default()
    }

    /// What a step on the state yields, unless the world is away.
    fn ask<T>(&self, step: impl FnOnce(&mut State, Instant) -> T) -> Result<T, Error> {
        let mut state = self.world.state();
        if state.away { Err(Error::Away("away on purpose".into())) } else { Ok(step(&mut state, Instant::now())) }
    }

    fn answer<T: Send + 'static>(&self, step: impl FnOnce(&mut State, Instant) -> T) -> Answer<'_, T> {
        let answer = self.ask(step);
        Box::pin(async move { answer })
    }
}

impl World {
    /// The handle of a node of this name.
    pub fn join(&self, node: NodeId) -> Arc<Local> {
        Arc::new(Local { node, world: self.clone(), beaten: Mutex::default() })
    }

    /// From now on every call fails, or none does.
    pub fn away(&self, away: bool) {
        self.state().away = away;
        self.0.news.notify_waiters();
    }

    /// Forgets everything, as a Redis that was started again and kept nothing.
    pub fn forget(&self) {
        let mut state = self.state();
        *state = State { away: state.away, ..State::default() };
    }

    /// Yields when so many nodes are there, and each has been told of all others.
    pub async fn all_know(&self, nodes: usize) {
        self.until(|state| state.nodes.len() == nodes && state.nodes.values().all(|it| it.others + 1 == nodes)).await;
    }

    /// Yields when records of these sessions are there.
    pub async fn has_records(&self, sessions: &[SessionId]) {
        self.until(|state| sessions.iter().all(|session| state.records.contains_key(session))).await;
    }

    async fn until(&self, so: impl Fn(&State) -> bool) {
        loop {
            let mut told = std::pin::pin!(self.0.told.notified());
            told.as_mut().enable();
            if so(&self.state()) {
                return;
            }
            told.await;
        }
    }

    /// Takes a node for one that has spoken so much earlier than it has.
    #[cfg(test)]
    pub(super) fn silence(&self, node: NodeId, time: Duration) {
        let mut state = self.state();
        let node = state.nodes.get_mut(&node).expect("it lives");
        node.spoke -= time;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no code panics while it holds this lock")
    }
}

impl State {
    fn living(&self, now: Instant) -> HashSet<NodeId> {
        let lives = |node: &Node| now.duration_since(node.spoke) < DEAD_AFTER;
        self.nodes.iter().filter(|(_, node)| lives(node)).map(|(id, _)| *id).collect()
    }

    /// Forgets who has said nothing for long, and what has expired.
    fn sweep(&mut self, now: Instant) {
        let silent = |node: &Node| now.duration_since(node.spoke) >= FORGOTTEN_AFTER;
        let gone: Vec<_> = self.nodes.iter().filter(|(_, node)| silent(node)).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|node| self.remove(node));
        self.records.retain(|_, (_, until)| *until > now);
        self.people.values_mut().for_each(|sessions| sessions.retain(|_, (_, until)| *until > now));
        self.people.retain(|_, sessions| !sessions.is_empty());
        self.windows.retain(|_, (_, until)| *until > now);
    }

    fn remove(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        self.lobby.remove_all(node);
    }

    /// Whoever is not known gets nothing.
    fn put(&mut self, node: NodeId, note: Note) {
        let Some(node) = self.nodes.get_mut(&node) else { return };
        if node.inbox.len() >= MOST_NOTES {
            node.inbox.pop_front();
        }
        node.inbox.push_back(note);
    }
}

impl Cluster for Local {
    fn node(&self) -> NodeId {
        self.node
    }

    fn beat(&self, card: &Card) -> Answer<'_, Beat> {
        let (node, card) = (self.node, card.clone());
        let answer = self.ask(|state, now| {
            state.sweep(now);
            let known = state.nodes.remove(&node);
            let was_known = known.is_some();
            if !was_known {
                state.lobby.remove_all(node);
            }
            let inbox = known.map(|node| node.inbox).unwrap_or_default();
            let living = state.living(now);
            let others: Vec<_> = living.iter().map(|other| state.nodes[other].card.clone()).collect();
            state.nodes.insert(node, Node { card, spoke: now, others: others.len(), inbox });
            (others, was_known)
        });
        self.world.0.told.notify_waiters();
        Box::pin(async move {
            let (others, was_known) = answer?;
            let beaten = std::mem::replace(&mut *self.beaten.lock().expect("no code panics with it"), true);
            Ok(Beat { others, forgotten: beaten && !was_known })
        })
    }

    fn farewell(&self) -> Answer<'_, ()> {
        self.answer(|state, _| state.remove(self.node))
    }

    fn notes(&self) -> Answer<'_, Vec<Note>> {
        Box::pin(async {
            loop {
                let mut news = std::pin::pin!(self.world.0.news.notified());
                news.as_mut().enable();
                let taken = self.ask(|state, _| match state.nodes.get_mut(&self.node) {
                    Some(node) => node.inbox.drain(..).collect(),
                    None => Vec::new(),
                });
                match taken {
                    Ok(notes) if notes.is_empty() => news.await,
                    Ok(notes) => return Ok(notes),
                    Err(error) => {
                        sleep(RETRY).await;
                        return Err(error);
                    }
                }
            }
        })
    }

    fn tell(&self, node: NodeId, note: &Note) -> Answer<'_, ()> {
        let answer = self.answer(|state, _| state.put(node, note.clone()));
        self.world.0.news.notify_waiters();
        answer
    }

    fn tell_all(&self, note: &Note) -> Answer<'_, ()> {
        let answer = self.answer(|state, _| {
            let all: Vec<_> = state.nodes.keys().copied().collect();
            all.into_iter().for_each(|node| state.put(node, note.clone()));
        });
        self.world.0.news.notify_waiters();
        answer
    }

    fn seek(&self, ticket: &Ticket) -> Answer<'_, Sought> {
        let (here, seeker) = (self.node, ticket.session);
        let answer = self.answer(|state, now| {
            let living = state.living(now);
            let sought = state.lobby.seek(ticket, here, now, |node| node == here || living.contains(&node));
            if let Sought::Found { session, node } = sought
                && node != here
            {
                state.put(node, Note::Found { session, seeker, node: here });
            }
            sought
        });
        self.world.0.news.notify_waiters();
        answer
    }

    fn withdraw(&self, session: SessionId) -> Answer<'_, bool> {
        self.answer(|state, _| state.lobby.withdraw(session, self.node))
    }

    fn record(&self, records: Vec<(SessionId, Record)>) -> Answer<'_, ()> {
        let answer = self.answer(|state, now| {
            for (session, record) in records {
                let newer =
                    state.records.get(&session).is_some_and(|(known, until)| *until > now && known.hops > record.hops);
                if !newer {
                    state.records.insert(session, (record, now + RECORD_LIFE));
                }
            }
        });
        self.world.0.told.notify_waiters();
        answer
    }

    fn find(&self, session: SessionId) -> Answer<'_, Option<Record>> {
        self.answer(|state, now| {
            let found = state.records.get(&session).filter(|(_, until)| *until > now);
            found.map(|(record, _)| record.clone())
        })
    }

    fn forget(&self, sessions: Vec<SessionId>) -> Answer<'_, ()> {
        self.answer(|state, _| {
            for session in sessions {
                if state.records.get(&session).is_some_and(|(record, _)| record.node == self.node) {
                    state.records.remove(&session);
                }
            }
        })
    }

    fn adopt(&self, conversation: ConversationId, dead: NodeId) -> Answer<'_, NodeId> {
        self.answer(|state, now| {
            let living = state.living(now);
            let home = state.homes.entry(conversation).or_insert(self.node);
            if *home == dead || !(living.contains(home)) {
                *home = self.node;
            }
            *home
        })
    }

    fn arrive(&self, user: UserId, here: &Whereabouts, most: usize) -> Answer<'_, Vec<Whereabouts>> {
        let answer = self.answer(|state, now| {
            state.sweep(now);
            let living = state.living(now);
            let sessions = state.people.entry(user).or_default();
            sessions.insert(here.session, (here.clone(), now + RECORD_LIFE));
            let all = sessions.values().map(|(it, _)| it.clone()).collect();
            let gone = give_way(all, here, most, |node| living.contains(&node));
            for it in &gone {
                sessions.remove(&it.session);
            }
            for it in &gone {
                state.put(it.node, Note::Superseded { session: it.session });
            }
            gone
        });
        self.world.0.news.notify_waiters();
        answer
    }

    fn stays(&self, user: UserId, here: &Whereabouts) -> Answer<'_, ()> {
        self.answer(|state, now| {
            let sessions = state.people.entry(user).or_default();
            sessions.insert(here.session, (here.clone(), now + RECORD_LIFE));
        })
    }

    fn depart(&self, user: UserId, session: SessionId) -> Answer<'_, ()> {
        self.answer(|state, _| {
            if let Some(sessions) = state.people.get_mut(&user) {
                sessions.remove(&session);
            }
        })
    }

    fn whereabouts(&self, user: UserId) -> Answer<'_, Vec<Whereabouts>> {
        self.answer(|state, now| {
            state.sweep(now);
            let living = state.living(now);
            let all = state.people.get(&user).into_iter().flatten().map(|(_, (it, _))| it.clone());
            let mut here: Vec<_> = all.filter(|it| it.node == self.node || living.contains(&it.node)).collect();
            here.sort_by_key(|it| (it.began, it.session));
            here
        })
    }

    fn count(&self, limit: &'static str, who: &str, window: Duration, spend: bool) -> Answer<'_, Counted> {
        self.answer(|state, now| {
            let key = (limit, who.to_owned());
            let standing = state.windows.get(&key).filter(|(_, until)| *until > now).copied();
            let (used, until) = standing.unwrap_or((0, now + window));
            let used = if spend { used.saturating_add(1) } else { used };
            if spend {
                state.windows.insert(key, (used, until));
            }
            Counted { used, reset: until.duration_since(now) }
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.answer(|_, _| ())
    }
}
