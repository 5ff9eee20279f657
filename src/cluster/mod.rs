//! What the nodes of one service share beside each other: who they are, who waits for a partner, where
//! each session is, how often an address did what is limited. Nothing that is said.
//!
//! Owns: the [`Cluster`] trait, its records and errors, and the choice of the backend. A backend is one
//! file; the suite in `conformance.rs` holds all of them to the same behaviour. Without a backend a node is
//! alone, and asks nobody.
//!
//! Must not know: sessions, links, the rules of a conversation, what a ticket's combinations mean, and how
//! nodes reach each other (that is `nodes`).
//!
//! Nothing here is asked for on the way of a message. Each call ends within [`DEADLINE`], and one that
//! fails says [`Error::Away`]: every caller knows how to go on alone.

#[cfg(test)]
mod conformance;
mod local;
mod redis;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use self::local::{Local, World};
use crate::config::Config;
use crate::protocol::{ConversationId, NodeId, SessionId, Sha256, UserId};

/// Longest any call takes before it counts as failed.
pub const DEADLINE: Duration = Duration::from_millis(500);
/// How often a node says that it lives.
pub const BEAT: Duration = Duration::from_secs(1);
/// A node that has said nothing for so long is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(3);
/// How long a record of a session is kept that nobody renews: longer than any resume window.
pub const RECORD_LIFE: Duration = Duration::from_secs(3_600);

/// A node that has said nothing for so long is forgotten, with what it has put.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Most notes that wait for one node; one more, and the oldest is lost: a node that has not read so many
/// is as good as dead, and what it was to bring is asked for again.
const MOST_NOTES: usize = 4_096;
/// Shortest time between two failures of [`Cluster::notes`].
const RETRY: Duration = Duration::from_millis(50);
/// Most tickets of one combination that a search looks at: more than the sessions of all recent partners.
const MOST_LOOKED_AT: usize = 512;

/// Why the others could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What they share cannot be reached, or has failed, or took too long.
    #[error("the cluster cannot be reached: {0}")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The settings do not fit.
    #[error("{0}")]
    Settings(String),
}

/// What a call yields.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// A node as the others know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its name: new at each start.
    pub node: NodeId,
    /// Where other nodes reach it (UDP).
    pub address: SocketAddr,
    /// The SHA-256 of the certificate that it shows to other nodes, and they to it.
    pub fingerprint: Sha256,
    /// Where clients reach it: what `/api/connect` says; opaque here.
    pub doors: Doors,
    /// Whether it takes newcomers.
    pub serving: bool,
    /// How many sessions it has.
    pub sessions: u64,
    /// What it has counted, for the pages of numbers.
    pub counts: Counts,
}

/// A node's own public address, where it has one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// Host name or address; `None`: clients come to all nodes by one name.
    pub host: Option<String>,
    /// TCP port of HTTPS and WebSocket.
    pub https_port: Option<u16>,
    /// UDP port of WebTransport.
    pub quic_port: Option<u16>,
    /// TCP port of plain HTTP, for development.
    pub http_port: Option<u16>,
    /// SHA-256 of a development certificate.
    pub certificate: Option<Sha256>,
}

/// Sums over all nodes are what the service has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// People online; someone with sessions on two nodes counts on both.
    pub online: u64,
    /// Of them, those in no conversation.
    pub available: u64,
    /// Who waits for a partner.
    pub waiting: u64,
    /// Conversations.
    pub conversations: u64,
}

/// What a heartbeat yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Everyone else who lives.
    pub others: Vec<Card>,
    /// This node was not known (any more): what it has put there before is gone, and is to be put again.
    pub forgotten: bool,
}

/// Someone who waits, in the words of all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The client; it stands there at most once.
    pub session: SessionId,
    /// The person: never found for themselves.
    pub user: UserId,
    /// Two people suit each other exactly if they share one of these. Made by `chat`.
    pub combinations: Vec<u64>,
    /// Last partners: not found, unless both accept anyone.
    pub recent: Vec<UserId>,
    /// Accepts anyone, even a recent partner who does so too.
    pub anyone: bool,
    /// How long they have waited: who has waited longest is found first.
    pub waited: Duration,
}

/// What a search has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// Nobody suits: the ticket stands there until it is withdrawn, found, or put again.
    Waits,
    /// This one, who stands there no more. Where it is not of this node, its node has a
    /// [`Note::Found`] in its inbox.
    Found {
        /// Whose ticket it was.
        session: SessionId,
        /// Where.
        node: NodeId,
    },
}

/// What a node tells another, or all, by their inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "lowercase")]
pub enum Note {
    /// A ticket of yours was taken: bring its session to this node, for the one that sought.
    Found {
        /// Your session.
        session: SessionId,
        /// Theirs.
        seeker: SessionId,
        /// Where the seeker is.
        node: NodeId,
    },
    /// A session of yours gives way to a newer one of the same person.
    Superseded {
        /// Which.
        session: SessionId,
    },
    /// Whoever you have found does not come: look on.
    Sorry {
        /// Your session.
        seeker: SessionId,
        /// Theirs.
        found: SessionId,
    },
    /// A conversation of yours goes on at another node, which took yours for dead: whoever is still here
    /// has to come there.
    Adopted {
        /// Which.
        conversation: ConversationId,
    },
    /// All sessions of this person end: the account is gone, or its tokens are void.
    Revoked {
        /// Whose.
        user: UserId,
    },
}

/// Where a session is, and what must be known of it if its node dies. No content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The node that has it.
    pub node: NodeId,
    /// How many nodes have had it before.
    pub hops: u32,
    /// Whose it is.
    pub user: UserId,
    /// The SHA-256 of its key.
    pub key: Sha256,
    /// Its conversation; opaque here: `session` writes and reads it.
    pub talk: Option<TalkRecord>,
}

/// A conversation, as both of its sessions' records have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalkRecord {
    /// Which.
    pub conversation: ConversationId,
    /// All else, as JSON.
    pub rest: String,
}

/// A session of someone, somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// Which.
    pub session: SessionId,
    /// Where it is.
    pub node: NodeId,
    /// What its client calls its device.
    pub device: Option<String>,
    /// Of a client that cannot show its session's key: what it is told by from others of its person.
    pub grace: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
}

/// One request counted against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Requests of this window, this one included.
    pub used: u32,
    /// Until the window ends.
    pub reset: Duration,
}

/// What nodes share. Clones of the `Arc` are the same node.
pub trait Cluster: Send + Sync {
    /// This node.
    fn node(&self) -> NodeId;

    /// Says that this node lives, as the card has it, and asks who else does. Who has been dead for a
    /// minute is forgotten, with its tickets and its inbox.
    fn beat(&self, card: &Card) -> Answer<'_, Beat>;
    /// This node is about to stop: nobody is to look for it any more. Its tickets and inbox go.
    fn farewell(&self) -> Answer<'_, ()>;

    /// Waits for the next notes to this node, oldest first, and takes them. What was put while the cluster
    /// could not be reached is there afterwards. One caller at a time; cancel safe. It has no deadline; while
    /// the cluster is away it fails, and waits a moment first, so that it may be called again at once.
    fn notes(&self) -> Answer<'_, Vec<Note>>;
    /// Puts a note into the inbox of a node. One to a node that is not known (it has said farewell, or nothing
    /// for a minute) is dropped.
    fn tell(&self, node: NodeId, note: &Note) -> Answer<'_, ()>;
    /// Puts a note into the inbox of every node that is known, this one included.
    fn tell_all(&self, note: &Note) -> Answer<'_, ()>;

    /// Looks for the one who suits and has waited longest, in the place of an older ticket of the same
    /// session; one of this node is preferred to one of another who has waited no more than
    /// [`NEARBY`] longer. Atomic: nobody is found twice. Tickets of dead nodes are passed over.
    fn seek(&self, ticket: &Ticket) -> Answer<'_, Sought>;
    /// Takes a ticket out that this node has put: its session may have gone to another, which has put another.
    /// False: it was not there (any more).
    fn withdraw(&self, session: SessionId) -> Answer<'_, bool>;

    /// Writes down where sessions are, for [`RECORD_LIFE`]; what was there before is gone, unless that is of more
    /// hops: what a node has written late does not hide where the session has gone meanwhile.
    fn record(&self, records: Vec<(SessionId, Record)>) -> Answer<'_, ()>;
    /// Where a session is.
    fn find(&self, session: SessionId) -> Answer<'_, Option<Record>>;
    /// Forgets sessions, where this node is the one that has them.
    fn forget(&self, sessions: Vec<SessionId>) -> Answer<'_, ()>;
    /// This node would have a conversation whose node (`dead`) is gone. Yields who has it now: the first
    /// that asked.
    fn adopt(&self, conversation: ConversationId, dead: NodeId) -> Answer<'_, NodeId>;

    /// Someone has a session here. At most `most` of theirs stand, and one a device: those that give way
    /// are told so by a note to their node; yields them.
    fn arrive(&self, user: UserId, here: &Whereabouts, most: usize) -> Answer<'_, Vec<Whereabouts>>;
    /// Keeps what [`arrive`](Self::arrive) has written from expiring (after [`RECORD_LIFE`]), or
    /// says where the session is now, without any giving way.
    fn stays(&self, user: UserId, here: &Whereabouts) -> Answer<'_, ()>;
    /// A session is over.
    fn depart(&self, user: UserId, session: SessionId) -> Answer<'_, ()>;
    /// The sessions of someone, on nodes that live, oldest first.
    fn whereabouts(&self, user: UserId) -> Answer<'_, Vec<Whereabouts>>;

    /// Counts one request of `who` against the limit called `limit`, whose window is so long and begins
    /// with the first. `spend`: if not, the window is only looked at.
    fn count(&self, limit: &'static str, who: &str, window: Duration, spend: bool) -> Answer<'_, Counted>;

    /// Whether it can be reached.
    fn ping(&self) -> Answer<'_, ()>;
}

/// How much longer someone of another node must have waited than someone of this one to be found first.
pub const NEARBY: Duration = Duration::from_millis(250);

/// Joins the configured cluster; `None`: the settings name none, and this node is alone.
///
/// # Errors
/// It cannot be reached, or the settings do not fit.
pub async fn connect(config: &Config) -> Result<Option<Arc<dyn Cluster>>, Error> {
    Ok(match &config.cluster {
        None => None,
        Some(settings) => Some(redis::connect(settings, NodeId::from_bytes(rand::random())).await?),
    })
}

/// Of the sessions of one person, `here` among them, those that give way to it: of the same device; and
/// over `most` first those of nodes that are not known to live, then the oldest.
fn give_way(
    mut all: Vec<Whereabouts>,
    here: &Whereabouts,
    most: usize,
    lives: impl Fn(NodeId) -> bool,
) -> Vec<Whereabouts> {
    all.retain(|it| it.session != here.session);
    let same = |it: &Whereabouts| here.device.is_some() && it.device == here.device;
    all.sort_by_key(|it| (!same(it), lives(it.node), it.began, it.session));
    let same = all.iter().filter(|it| same(it)).count();
    let over = (all.len() + 1).saturating_sub(most.max(1));
    all.truncate(same.max(over));
    all
}
