//! Who is connected to this node, and how.
//!
//! Owns: the sharded register of [`Member`]s. Its methods are short, synchronous and verbs; no
//! guard of its locks leaves it. Whoever holds a [`Seat`] is in the register; dropping it is leaving.
//!
//! Must not know: the rules of a conversation, sessions, links.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::outbox::Outbox;
use crate::protocol::{Doing, Presence, PublicUser, SessionId, UserId, Whence};

/// Shards of the register: enough that joins and leaves of many cores seldom meet.
const SHARDS: usize = 64;

/// By which door a client is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// QUIC streams and datagrams.
    WebTransport,
    /// RFC 6455.
    WebSocket,
    /// Socket.IO, as clients of the original API speak it.
    SocketIo,
}

/// One client of one person.
pub struct Member {
    /// Its session.
    pub session: SessionId,
    /// The person.
    pub user: PublicUser,
    /// Where mail for it goes.
    pub outbox: Outbox,
    door: AtomicU8,
    doing: AtomicU8,
    away: AtomicBool,
    knows_calls: AtomicBool,
    calling: AtomicBool,
    whence: Mutex<Arc<Whence>>,
}

/// A person who is here, as others may see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// Who.
    pub user: PublicUser,
    /// Whether one of their sessions is in a conversation.
    pub talking: bool,
    /// How they are by the best of their sessions.
    pub status: Presence,
}

impl Member {
    /// A client that has no link yet and does nothing.
    pub fn new(session: SessionId, user: PublicUser, outbox: Outbox) -> Self {
        Self {
            session,
            user,
            outbox,
            door: AtomicU8::new(0),
            doing: AtomicU8::new(0),
            away: AtomicBool::new(false),
            knows_calls: AtomicBool::new(false),
            calling: AtomicBool::new(false),
            whence: Mutex::default(),
        }
    }

    /// The door of its link; `None` while it has none.
    pub fn door(&self) -> Option<Door> {
        match self.door.load(Ordering::Relaxed) {
            1 => Some(Door::WebTransport),
            2 => Some(Door::WebSocket),
            3 => Some(Door::SocketIo),
            _ => None,
        }
    }

    /// Notes by which door it is linked.
    pub fn set_door(&self, door: Option<Door>) {
        let code = match door {
            None => 0,
            Some(Door::WebTransport) => 1,
            Some(Door::WebSocket) => 2,
            Some(Door::SocketIo) => 3,
        };
        self.door.store(code, Ordering::Relaxed);
    }

    /// Notes whether its person looks elsewhere. True: that is news.
    pub fn set_away(&self, away: bool) -> bool {
        self.away.swap(away, Ordering::Relaxed) != away
    }

    /// Whether its person looks elsewhere.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Notes whether it understands `call:*`.
    pub fn set_knows_calls(&self, knows: bool) {
        self.knows_calls.store(knows, Ordering::Relaxed);
    }

    /// Whether it understands `call:*`.
    pub fn knows_calls(&self) -> bool {
        self.knows_calls.load(Ordering::Relaxed)
    }

    /// Notes whether it is in a call.
    pub fn set_calling(&self, calling: bool) {
        self.calling.store(calling, Ordering::Relaxed);
    }

    /// How its person is.
    pub fn presence(&self) -> Presence {
        match (self.door(), self.away.load(Ordering::Relaxed)) {
            (None, _) => Presence::Reconnecting,
            (Some(_), true) => Presence::Away,
            (Some(_), false) => Presence::Online,
        }
    }

    /// Where its last link came from.
    pub fn whence(&self) -> Arc<Whence> {
        Arc::clone(&self.whence.lock().expect("no code panics while it holds this lock"))
    }

    /// Notes where its link comes from.
    pub fn set_whence(&self, whence: Whence) {
        *self.whence.lock().expect("no code panics while it holds this lock") = Arc::new(whence);
    }

    /// What it does at the moment.
    pub fn doing(&self) -> Doing {
        match self.doing.load(Ordering::Relaxed) {
            1 => Doing::Waiting,
            2 => Doing::Talking,
            _ => Doing::Idle,
        }
    }

    /// Notes what it does.
    pub fn set_doing(&self, doing: Doing) {
        let code = match doing {
            Doing::Idle => 0,
            Doing::Waiting => 1,
            Doing::Talking => 2,
        };
        self.doing.store(code, Ordering::Relaxed);
    }
}

/// How many there are of what, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// People with at least one session here.
    pub online_users: usize,
    /// People online of whom no session is in a conversation.
    pub available_users: usize,
    /// Sessions in a conversation.
    pub in_conversation: usize,
    /// Sessions that wait for a partner.
    pub waiting: usize,
    /// Conversations of which both people are here.
    pub conversations: usize,
    /// Sessions linked over WebTransport.
    pub sessions_webtransport: usize,
    /// Sessions linked over WebSocket.
    pub sessions_websocket: usize,
    /// Sessions linked over Socket.IO.
    pub sessions_socketio: usize,
    /// Sessions whose link is lost and that wait for their client.
    pub parked: usize,
}

/// The register. Clones share it.
#[derive(Clone)]
pub struct Hub(Arc<[Mutex<Shard>]>);

type Shard = HashMap<UserId, Vec<Arc<Member>>>;

impl Default for Hub {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Hub {
    /// Enters a client. It leaves when the seat is dropped.
    pub fn enter(&self, member: Member) -> Seat {
        let member = Arc::new(member);
        self.shard(member.user.id).entry(member.user.id).or_default().push(Arc::clone(&member));
        Seat { hub: self.clone(), member }
    }

    /// Whether the person has a session here.
    pub fn is_online(&self, user: UserId) -> bool {
        self.shard(user).contains_key(&user)
    }

    /// Where the newest session of a person comes from; `None`: they have none.
    pub fn whence(&self, user: UserId) -> Option<Arc<Whence>> {
        self.shard(user).get(&user)?.last().map(|member| member.whence())
    }

    /// One entry for each person here.
    pub fn people(&self) -> Vec<Here> {
        let mut people = Vec::new();
        for shard in self.0.iter() {
            let shard = lock(shard);
            people.extend(shard.values().filter_map(|members| {
                let talking = members.iter().any(|member| member.doing() == Doing::Talking);
                // The best comes first in the order of `Presence`.
                let status = members.iter().map(|member| member.presence()).min()?;
                Some(Here { user: members.first()?.user.clone(), talking, status })
            }));
        }
        people
    }

    /// Whether a session of a person is in a conversation.
    pub fn talks(&self, user: UserId, session: SessionId) -> bool {
        let shard = self.shard(user);
        let member = shard.get(&user).and_then(|members| members.iter().find(|member| member.session == session));
        member.is_some_and(|member| member.doing() == Doing::Talking)
    }

    /// Whether a person is in a call with another of their sessions here.
    pub fn calls_elsewhere(&self, user: UserId, session: SessionId) -> bool {
        let shard = self.shard(user);
        let elsewhere = |member: &Arc<Member>| member.session != session && member.calling.load(Ordering::Relaxed);
        shard.get(&user).is_some_and(|members| members.iter().any(elsewhere))
    }

    /// Counts everyone: a walk over the register, for the pages of numbers only.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for shard in self.0.iter() {
            for members in lock(shard).values() {
                census.online_users += 1;
                let mut talking = false;
                for member in members {
                    match member.door() {
                        Some(Door::WebTransport) => census.sessions_webtransport += 1,
                        Some(Door::WebSocket) => census.sessions_websocket += 1,
                        Some(Door::SocketIo) => census.sessions_socketio += 1,
                        None => census.parked += 1,
                    }
                    match member.doing() {
                        Doing::Idle => {}
                        Doing::Waiting => census.waiting += 1,
                        Doing::Talking => {
                            talking = true;
                            census.in_conversation += 1;
                        }
                    }
                }
                census.available_users += usize::from(!talking);
            }
        }
        census.conversations = census.in_conversation / 2;
        census
    }

    fn leave(&self, member: &Arc<Member>) {
        let mut shard = self.shard(member.user.id);
        if let Some(members) = shard.get_mut(&member.user.id) {
            members.retain(|other| !Arc::ptr_eq(other, member));
            if members.is_empty() {
                shard.remove(&member.user.id);
            }
        }
    }

    fn shard(&self, user: UserId) -> MutexGuard<'_, Shard> {
        // The last byte of an ObjectId is a counter's, of a guest's id random: both spread well.
        lock(&self.0[usize::from(user.as_bytes()[11]) % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().expect("no code panics while it holds this lock")
}

/// A place in the register. Dropped = gone.
pub struct Seat {
    hub: Hub,
    member: Arc<Member>,
}

impl Seat {
    /// Who sits here.
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.leave(&self.member);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_a_seat_is_counted_and_no_one_else() {
        let hub = Hub::default();
        let user = |byte| PublicUser { id: UserId::from_bytes([byte; 12]), username: "x".into(), guest: false };
        let member = |byte, session| Member::new(SessionId::from_bytes([session; 16]), user(byte), Outbox::new(1000));
        let first = hub.enter(member(1, 1));
        let second = hub.enter(member(1, 2));
        let third = hub.enter(member(2, 3));
        first.member().set_door(Some(Door::WebTransport));
        first.member().set_doing(Doing::Talking);
        third.member().set_doing(Doing::Talking);
        let census = hub.census();
        assert_eq!((census.online_users, census.available_users, census.conversations), (2, 0, 1));
        assert_eq!((census.sessions_webtransport, census.parked), (1, 2));
        let status = |byte| hub.people().into_iter().find(|here| here.user == user(byte)).unwrap().status;
        assert_eq!((status(1), status(2)), (Presence::Online, Presence::Reconnecting));
        assert!(first.member().set_away(true) && !first.member().set_away(true), "news once");
        assert_eq!(status(1), Presence::Away, "better than the session without a link");
        second.member().set_door(Some(Door::WebSocket));
        assert_eq!(status(1), Presence::Online, "by the best of them");
        second.member().set_whence(Whence { address: Some("198.51.100.0".into()), ..Whence::default() });
        assert_eq!(hub.whence(user(1).id), Some(second.member().whence()), "the newest session's");
        drop(first);
        assert!(hub.is_online(user(1).id), "another session of the same person is there");
        drop(second);
        assert!(!hub.is_online(user(1).id));
        assert_eq!(hub.whence(user(1).id), None);
        assert_eq!(hub.people().len(), 1);
        drop(third);
        assert_eq!(hub.census(), Census::default());
    }
}
