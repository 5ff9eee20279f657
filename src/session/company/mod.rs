//! Sessions among nodes: where each is, how it goes to another node, and how its client's link is carried
//! between the two.
//!
//! A session is on one node, its *home*; both sessions of a conversation are on the same, so that nothing of
//! a conversation crosses nodes. The client's link may be at another node, its *edge*, which carries it to
//! the home frame by frame. There are never more than two nodes on the way: a session that is in no
//! conversation goes home to its edge.
//!
//! Owns: what the cluster is told of this node's sessions, the notes that it brings, and the streams between
//! nodes. Must not know: doors, and what the frames say.

mod draining;
mod edge;
mod home;
mod ledger;
mod moving;
mod people;
mod rebuilding;
mod web;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub(super) use self::edge::Over;
pub(super) use self::home::Road;
use self::ledger::Ledger;
pub(super) use self::moving::{Carried, Elsewhere, Going};
pub use self::people::Others;
pub use self::web::{Search, ServeWeb};
use self::words::{Ask, Reply};
use super::register::Sessions;
use crate::cluster::{BEAT, Card, Cluster, Counts, Doors, Note};
use crate::nodes::{Beside, Error, Nodes, Peer, Wire};
use crate::protocol::{CloseReason, Closing, NodeId, SessionId};

/// How long another node may take to answer.
const REPLY: Duration = Duration::from_secs(3);
/// How long to wait before the notes of a cluster that is away are asked for again.
const NOTES_AGAIN: Duration = Duration::from_millis(500);

/// The other nodes, and what this one shares with them. Clones are the same.
#[derive(Clone)]
pub struct Company(Arc<Inner>);

struct Inner {
    cluster: Arc<dyn Cluster>,
    nodes: Nodes,
    ledger: Ledger,
    doors: Doors,
    /// Where other nodes reach this one.
    address: std::net::SocketAddr,
    serving: AtomicBool,
    /// The last beat was not heard.
    away: AtomicBool,
    /// Cancelled when this node drains: links that are carried elsewhere are let go.
    draining: CancellationToken,
    rebuilding: tokio::sync::Mutex<()>,
    /// How many may look for the node that has something.
    searches: Semaphore,
}

impl Company {
    /// This node among others, who reach it at `address`; its clients reach it at `doors`.
    pub fn new(cluster: Arc<dyn Cluster>, nodes: Nodes, address: std::net::SocketAddr, doors: Doors) -> Self {
        Self(Arc::new(Inner {
            cluster,
            nodes,
            ledger: Ledger::default(),
            doors,
            address,
            serving: AtomicBool::new(true),
            away: AtomicBool::new(false),
            draining: CancellationToken::new(),
            rebuilding: tokio::sync::Mutex::default(),
            searches: Semaphore::new(web::SEARCHES),
        }))
    }

    /// The other nodes that live, as far as it is known here.
    pub fn others(&self) -> Vec<Card> {
        self.0.nodes.others()
    }

    /// Whether what the nodes share cannot be reached at the moment, or has lost what this one had put there
    /// and lacks it yet.
    pub fn is_away(&self) -> bool {
        self.0.away.load(Ordering::Relaxed) || self.0.ledger.is_behind()
    }

    /// What the nodes share.
    pub fn cluster(&self) -> &Arc<dyn Cluster> {
        &self.0.cluster
    }

    fn node(&self) -> NodeId {
        self.0.cluster.node()
    }

    fn card(&self, sessions: usize, counts: Counts) -> Card {
        Card {
            node: self.node(),
            address: self.0.address,
            fingerprint: self.0.nodes.fingerprint(),
            doors: self.0.doors.clone(),
            serving: self.0.serving.load(Ordering::Relaxed),
            sessions: sessions as u64,
            counts,
        }
    }

    /// Asks another node for something; where that is granted, the stream is for what comes after. With
    /// `streams`, those of the link of that number come beside it.
    async fn ask(&self, node: NodeId, ask: &Ask, streams: Option<u64>) -> Result<(Wire, Option<Beside>, Reply), Error> {
        let asking = async {
            let peer = self.0.nodes.reach(node).await?;
            let beside = streams.map(|number| peer.beside(number));
            let unreachable = |why: String| Error::Unreachable { node, why };
            let mut wire = peer.open().await?;
            let message = words::json(ask);
            if message.len() > crate::nodes::MAX_MESSAGE {
                return Err(unreachable("the session is too large to travel".to_owned()));
            }
            wire.out.send(words::ASK, &[&message]).await.map_err(|broken| unreachable(broken.to_string()))?;
            let reply = wire.come.next().await.map_err(|broken| unreachable(broken.to_string()))?;
            let reply = reply.filter(|(kind, _)| *kind == words::REPLY);
            let reply = reply.and_then(|(_, reply)| serde_json::from_slice(&reply).ok());
            let reply = reply.ok_or_else(|| unreachable("it speaks another language".to_owned()))?;
            Ok((wire, beside, reply))
        };
        let unheard = |why: &str| Err(Error::Unreachable { node, why: why.to_owned() });
        tokio::select! {
            biased;
            asked = timeout(REPLY, asking) => asked.unwrap_or_else(|_late| unheard("it did not answer in time")),
            () = self.0.nodes.gone(node) => unheard("it is gone"),
        }
    }
}

impl Sessions {
    /// Lives among the other nodes until `stop`: says that this one lives, reads what they tell it, writes
    /// down where its sessions are, and serves their streams; those that are connections of clients, by `web`.
    pub async fn keep_company(&self, web: ServeWeb, stop: CancellationToken) {
        let Some(company) = self.0.company.clone() else { return };
        let sessions = self.clone();
        let serve = move |peer: Peer, wire: Wire| sessions.clone().serve_node(peer, wire, Arc::clone(&web));
        tokio::join!(
            self.keep_beating(&company, &stop),
            self.keep_reading(&company, &stop),
            company.0.ledger.keep_writing(&company.0.cluster, &stop),
            company.0.nodes.serve(serve, stop.clone()),
        );
    }

    /// Joins the others: from then on they know of this node. To be called before clients are let in.
    ///
    /// # Errors
    /// The cluster cannot be reached.
    pub async fn join_company(&self) -> Result<(), crate::cluster::Error> {
        let Some(company) = &self.0.company else { return Ok(()) };
        let beat = company.0.cluster.beat(&self.card(company)).await?;
        info!(node = %company.node(), others = beat.others.len(), "joined the cluster");
        company.0.nodes.know(&beat.others);
        Ok(())
    }

    /// The others are to look for this node no more.
    pub async fn leave_company(&self) {
        let Some(company) = &self.0.company else { return };
        if let Err(error) = company.0.cluster.farewell().await {
            debug!(%error, "no farewell to the cluster");
        }
        company.0.nodes.close().await;
    }

    fn card(&self, company: &Company) -> Card {
        company.card(self.count(), self.counts())
    }

    async fn keep_beating(&self, company: &Company, stop: &CancellationToken) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = beats.tick() => {}
            }
            match company.0.cluster.beat(&self.card(company)).await {
                Ok(beat) => {
                    company.0.nodes.know(&beat.others);
                    company.0.nodes.reach_all();
                    let was_away = company.0.away.load(Ordering::Relaxed);
                    if was_away || beat.forgotten {
                        info!(forgotten = beat.forgotten, "the cluster is back: it is told again what is here");
                        company.0.ledger.lost();
                        company.0.away.store(false, Ordering::Relaxed);
                        self.0.chat.seek_all_again();
                    }
                }
                // Whoever lived is taken to live on: links to them say if they do not.
                Err(error) => {
                    if !company.0.away.swap(true, Ordering::Relaxed) {
                        warn!(%error, "the cluster is away: this node goes on with what it has");
                    }
                }
            }
        }
    }

    async fn keep_reading(&self, company: &Company, stop: &CancellationToken) {
        loop {
            let notes = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                notes = company.0.cluster.notes() => notes,
            };
            match notes {
                Ok(notes) => notes.into_iter().for_each(|note| self.read_note(company, note)),
                Err(_) => sleep(NOTES_AGAIN).await,
            }
        }
    }

    /// Tells a node that whoever it has found does not come.
    fn say_sorry(&self, company: &Company, node: NodeId, seeker: SessionId, found: SessionId) {
        let company = company.clone();
        // Where that is not heard, the seeker looks on by itself after a while.
        self.0.tasks.spawn(async move {
            if let Err(error) = company.0.cluster.tell(node, &Note::Sorry { seeker, found }).await {
                debug!(%error, "a node was not told that someone does not come");
            }
        });
    }

    fn read_note(&self, company: &Company, note: Note) {
        match note {
            Note::Found { session, seeker, node } => {
                if !(self.0.chat.promise(session) && self.go_away(session, node, seeker)) {
                    self.say_sorry(company, node, seeker, session);
                }
            }
            Note::Sorry { seeker, found } => self.0.chat.sorry(seeker, found),
            Note::Superseded { session } => {
                let message = "Another session of yours took this one's place.";
                self.end(session, Closing::because(CloseReason::Superseded, message));
            }
            Note::Adopted { conversation } => {
                for session in company.0.ledger.in_conversation(conversation) {
                    let message = "Your conversation goes on at another node. Come back.";
                    self.end(session, Closing::because(CloseReason::Draining, message).retry_after_ms(0));
                }
            }
            Note::Revoked { user } => {
                let message = "This account is gone, or its tokens are void. Log in again.";
                for session in self.of(user) {
                    self.end(session, Closing::because(CloseReason::TokenInvalid, message));
                }
            }
        }
    }
}
