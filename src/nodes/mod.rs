//! The way from node to node: QUIC connections with certificates on both sides, and streams of messages on
//! them.
//!
//! Owns: the UDP socket for nodes, this node's certificate (made at each start), the connections to others
//! and who they are. A node is trusted by its certificate's SHA-256, which its card in the cluster names:
//! whoever can write there may join.
//!
//! Must not know: sessions, what the messages mean.
//!
//! A connection is dialled when it is first needed and kept; each side opens streams on those that it has
//! dialled. A peer that says nothing for [`IDLE`] is gone, and with it all streams on its connections.

mod stream;
mod trust;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AsyncUdpSocket, ClientConfig, Connection, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

pub use self::stream::{Bare, Beside, Broken, Incoming, MAX_MESSAGE, Outgoing, Wire};
use self::trust::Identity;
use crate::cluster::Card;
use crate::protocol::{NodeId, Sha256};

/// A node that says nothing for so long is gone.
pub const IDLE: Duration = Duration::from_secs(3);
/// How often a connection without traffic is kept alive.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Time to reach another node.
const DIAL: Duration = Duration::from_secs(2);
/// How long a node that was not heard of yet waits to be known: cards are read once a second.
const UNKNOWN: Duration = Duration::from_secs(3);
/// How long a node that is to be reached, and was not heard of yet, is waited for: somewhat longer than a beat.
const BEGINS: Duration = Duration::from_millis(1_500);
/// How often someone who waits for a node looks whether it still lives.
const LOOK: Duration = Duration::from_millis(50);
/// Streams that a peer may have open at once, of each kind: links that it carries for us.
const STREAMS: u32 = 16_384;
/// Flow control windows and buffers, in bytes: of one stream, and of all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const WINDOW: u32 = 64 * 1024 * 1024;
/// Streams that wait to be looked at by whoever owns their link.
const STREAMS_WAITING: usize = 64;

/// Why another node was not reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No card of it is known.
    #[error("node {0} is not known")]
    Unknown(NodeId),
    /// It does not answer, or not as it should.
    #[error("node {node} cannot be reached: {why}")]
    Unreachable {
        /// Which.
        node: NodeId,
        /// For the log.
        why: String,
    },
}

/// The other nodes, as far as they are known. Clones are the same.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    identity: Identity,
    known: Mutex<HashMap<NodeId, Card>>,
    /// Of them, those that the cluster has named last.
    listed: Mutex<HashSet<NodeId>>,
    /// Rung when `known` has changed.
    news: Notify,
    /// To each node, what was dialled last. The lock is held while one is dialled: the others who want it wait.
    dialled: Mutex<HashMap<NodeId, Arc<tokio::sync::Mutex<Option<Peer>>>>>,
    /// Connections that stand, dialled or taken: a node at the other end of one lives, whatever the cluster says.
    standing: Mutex<HashMap<NodeId, Vec<Connection>>>,
    tasks: TaskTracker,
    /// Cancelled when this node says no more to others.
    over: CancellationToken,
}

/// A connection to a node, dialled or taken.
#[derive(Clone)]
pub struct Peer {
    node: NodeId,
    connection: Connection,
    /// Whose streams of bytes are whose: by the number that the dialling side gave the link.
    links: Arc<Mutex<HashMap<u64, mpsc::Sender<quinn::RecvStream>>>>,
}

impl Nodes {
    /// Binds the socket and makes a certificate. Nobody is known yet.
    ///
    /// # Errors
    /// The port is taken or not allowed.
    pub fn bind(address: SocketAddr, tasks: TaskTracker) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        Self::on(TokioRuntime.wrap_udp_socket(socket)?, tasks)
    }

    /// The same on a socket that is there.
    pub(crate) fn on(socket: Arc<dyn AsyncUdpSocket>, tasks: TaskTracker) -> io::Result<Self> {
        let identity = Identity::make().map_err(io::Error::other)?;
        let crypto = QuicServerConfig::try_from(identity.server_config()).map_err(io::Error::other)?;
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server.transport_config(Arc::new(transport()));
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new_with_abstract_socket(EndpointConfig::default(), Some(server), socket, runtime)?;
        Ok(Self(Arc::new(Inner {
            endpoint,
            identity,
            known: Mutex::default(),
            listed: Mutex::default(),
            news: Notify::new(),
            dialled: Mutex::default(),
            standing: Mutex::default(),
            tasks,
            over: CancellationToken::new(),
        })))
    }

    /// Where this node listens.
    ///
    /// # Errors
    /// What the system said.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.endpoint.local_addr()
    }

    /// The SHA-256 of this node's certificate.
    pub fn fingerprint(&self) -> Sha256 {
        self.0.identity.fingerprint()
    }

    /// These are the others who live, as the cluster has it; and so does whoever a connection stands to: it
    /// may be that one or the other cannot reach the cluster.
    pub fn know(&self, cards: &[Card]) {
        let mut cards: HashMap<_, _> = cards.iter().map(|card| (card.node, card.clone())).collect();
        *self.listed() = cards.keys().copied().collect();
        let standing = self.standing();
        let mut known = self.known();
        for (node, card) in known.drain() {
            if standing.contains(&node) {
                cards.entry(node).or_insert(card);
            }
        }
        *known = cards;
        drop(known);
        self.0.news.notify_waiters();
    }

    /// Reaches everyone who is known and to whom no connection stands, so that it is known who lives.
    pub fn reach_all(&self) {
        let standing = self.standing();
        for card in self.others().into_iter().filter(|card| !standing.contains(&card.node)) {
            let nodes = self.clone();
            // Who does not answer may be about to be known as dead.
            self.0.tasks.spawn(async move { drop(nodes.reach(card.node).await) });
        }
    }

    /// To whom a connection stands.
    fn standing(&self) -> HashSet<NodeId> {
        let mut standing = self.0.standing.lock().expect("no code panics while it holds this lock");
        standing.retain(|_, connections| {
            connections.retain(|connection| connection.close_reason().is_none());
            !connections.is_empty()
        });
        standing.keys().copied().collect()
    }

    fn stands(&self, peer: &Peer) {
        let mut standing = self.0.standing.lock().expect("no code panics while it holds this lock");
        standing.entry(peer.node).or_default().push(peer.connection.clone());
    }

    /// The others who live, as far as it is known here.
    pub fn others(&self) -> Vec<Card> {
        self.known().values().cloned().collect()
    }

    /// The card of another node; `None`: it does not live, as far as it is known here.
    pub fn card(&self, node: NodeId) -> Option<Card> {
        let lives = self.listed().contains(&node) || self.standing().contains(&node);
        self.known().get(&node).filter(|_| lives).cloned()
    }

    /// A connection to another node: the one that stands, or a new one.
    ///
    /// # Errors
    /// It is not known, or does not answer within [`DIAL`].
    pub async fn reach(&self, node: NodeId) -> Result<Peer, Error> {
        let card = match self.card(node) {
            Some(card) => card,
            None => self.wait_for(node).await.ok_or(Error::Unknown(node))?,
        };
        let slot = Arc::clone(self.dialled().entry(node).or_default());
        let unreachable = |why: String| Error::Unreachable { node, why };
        let dialling = async {
            let mut slot = slot.lock().await;
            if let Some(peer) = slot.as_ref().filter(|peer| peer.connection.close_reason().is_none()) {
                return Ok(peer.clone());
            }
            let crypto = QuicClientConfig::try_from(self.0.identity.client_config(card.fingerprint))
                .map_err(|error| unreachable(error.to_string()))?;
            let mut config = ClientConfig::new(Arc::new(crypto));
            config.transport_config(Arc::new(transport()));
            let connecting = self.0.endpoint.connect_with(config, card.address, trust::NAME);
            let connecting = connecting.map_err(|error| unreachable(error.to_string()))?;
            let connection = connecting.await.map_err(|error| unreachable(error.to_string()))?;
            let peer = Peer { node, connection, links: Arc::default() };
            self.stands(&peer);
            self.0.tasks.spawn(peer.clone().route(self.0.over.clone()));
            debug!(%node, "reached another node");
            *slot = Some(peer.clone());
            Ok(peer)
        };
        timeout(DIAL, dialling).await.unwrap_or_else(|_late| Err(unreachable("it took too long".to_owned())))
    }

    /// Yields when a node that was known to live is so no more. Cancel safe.
    pub async fn gone(&self, node: NodeId) {
        let mut looks = interval(LOOK);
        let mut lived = false;
        loop {
            looks.tick().await;
            match self.card(node) {
                Some(_) => lived = true,
                None if lived => return,
                None => {}
            }
        }
    }

    /// Waits for the card of a node that may have begun a moment ago.
    async fn wait_for(&self, node: NodeId) -> Option<Card> {
        let known = async {
            loop {
                let news = self.0.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                match self.card(node) {
                    Some(card) => return card,
                    None => news.await,
                }
            }
        };
        timeout(BEGINS, known).await.ok()
    }

    /// Takes other nodes' streams until `stop`; each is handed to `serve` with the connection it came by.
    pub async fn serve<F>(&self, serve: impl Fn(Peer, Wire) -> F + Clone + Send + 'static, stop: CancellationToken)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let incoming = tokio::select! {
                biased;
                () = stop.cancelled() => return self.0.over.cancel(),
                incoming = self.0.endpoint.accept() => incoming,
            };
            let Some(incoming) = incoming else { return };
            let (nodes, serve, stop) = (self.clone(), serve.clone(), stop.clone());
            self.0.tasks.spawn(async move {
                let coming = async {
                    let connection = timeout(DIAL, incoming.into_future()).await.ok()?.ok()?;
                    Some((nodes.who_is(&connection).await, connection))
                };
                let come = tokio::select! {
                    biased; // cards come no more, and who it is will not be known
                    () = stop.cancelled() => None,
                    come = coming => come,
                };
                let Some((node, connection)) = come else { return };
                let Some(node) = node else {
                    info!(address = %connection.remote_address().ip(), "someone who is no node of ours was sent away");
                    return connection.close(VarInt::from_u32(1), b"unknown");
                };
                let peer = Peer { node, connection, links: Arc::default() };
                nodes.stands(&peer);
                nodes.0.tasks.spawn(peer.clone().route(nodes.0.over.clone()));
                loop {
                    let accepted = tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        accepted = peer.connection.accept_bi() => accepted,
                    };
                    let Ok((send, receive)) = accepted else { return };
                    nodes.0.tasks.spawn(serve(peer.clone(), Wire::new(send, receive)));
                }
            });
        }
    }

    /// Says goodbye to all and waits a moment for it to be heard.
    pub async fn close(&self) {
        self.0.endpoint.close(VarInt::from_u32(0), b"stopping");
        // Nothing depends on the peers having heard it.
        let _ = timeout(KEEP_ALIVE, self.0.endpoint.wait_idle()).await;
    }

    /// Who is at the other end, by their certificate. Someone who has just started is waited for.
    async fn who_is(&self, connection: &Connection) -> Option<NodeId> {
        let shown = trust::shown(connection)?;
        let known = async {
            loop {
                let news = self.0.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                let found = self.known().values().find(|card| card.fingerprint == shown).map(|card| card.node);
                match found {
                    Some(node) => return node,
                    None => news.await,
                }
            }
        };
        timeout(UNKNOWN, known).await.ok()
    }

    fn listed(&self) -> MutexGuard<'_, HashSet<NodeId>> {
        self.0.listed.lock().expect("no code panics while it holds this lock")
    }

    fn known(&self) -> MutexGuard<'_, HashMap<NodeId, Card>> {
        self.0.known.lock().expect("no code panics while it holds this lock")
    }

    fn dialled(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<tokio::sync::Mutex<Option<Peer>>>>> {
        self.0.dialled.lock().expect("no code panics while it holds this lock")
    }
}

impl Peer {
    /// Which node it is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Opens a stream of messages.
    ///
    /// # Errors
    /// The connection is gone, or has no room for another stream within [`DIAL`].
    pub async fn open(&self) -> Result<Wire, Error> {
        let unreachable = |why: String| Error::Unreachable { node: self.node, why };
        match timeout(DIAL, self.connection.open_bi()).await {
            Ok(Ok((send, receive))) => Ok(Wire::new(send, receive)),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_late) => Err(unreachable("it lets no more streams be opened".to_owned())),
        }
    }

    /// The streams of bytes that belong to the link of this number: those that the other side opens come
    /// out of it.
    pub fn beside(&self, link: u64) -> Beside {
        let (give, take) = mpsc::channel(STREAMS_WAITING);
        self.links().insert(link, give);
        Beside::new(self.clone(), link, take)
    }

    /// A number that no link on this connection has.
    pub fn number(&self) -> u64 {
        rand::random()
    }

    /// Hands the streams that the other side opens to the links that they belong to.
    async fn route(self, over: CancellationToken) {
        // None waits for the one before it.
        let mut routing = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = over.cancelled() => return,
                accepted = self.connection.accept_uni() => match accepted {
                    Ok(stream) => routing.push(self.route_one(stream)),
                    Err(_) => return,
                },
                Some(()) = routing.next() => {}
            }
        }
    }

    async fn route_one(&self, mut stream: quinn::RecvStream) {
        let mut number = [0; 8];
        // The number is the first thing on it: whoever opens a stream writes that at once.
        let read = timeout(DIAL, stream.read_exact(&mut number)).await;
        let owner = match read {
            Ok(Ok(())) => self.links().get(&u64::from_be_bytes(number)).cloned(),
            Ok(Err(_)) | Err(_) => None,
        };
        let left = match owner {
            Some(owner) => owner.try_send(stream).err().map(|full| full.into_inner()),
            None => Some(stream),
        };
        if let Some(mut stream) = left {
            // It may have been stopped already.
            let _ = stream.stop(VarInt::from_u32(stream::UNWANTED));
        }
    }

    fn links(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<quinn::RecvStream>>> {
        self.links.lock().expect("no code panics while it holds this lock")
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(STREAMS.into())
        .max_concurrent_uni_streams(STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(WINDOW.into())
        .send_window(WINDOW.into())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IDLE.try_into().expect("3 s fit a QUIC idle timeout")))
        .datagram_receive_buffer_size(None);
    transport
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::cluster::{Counts, Doors};

    fn card(nodes: &Nodes, number: u8) -> Card {
        Card {
            node: NodeId::from_bytes([number; 8]),
            address: nodes.address().unwrap(),
            fingerprint: nodes.fingerprint(),
            doors: Doors::default(),
            serving: true,
            sessions: 0,
            counts: Counts::default(),
        }
    }

    #[tokio::test]
    async fn what_follows_a_message_is_not_lost_where_a_stream_goes_bare() {
        let bind = || Nodes::bind((std::net::Ipv4Addr::LOCALHOST, 0).into(), TaskTracker::new()).unwrap();
        let (near, far) = (bind(), bind());
        near.know(&[card(&far, 2)]);
        far.know(&[card(&near, 1)]);
        let stop = CancellationToken::new();
        let echo = async |_: Peer, mut wire: Wire| {
            let first = wire.come.next().await.unwrap();
            assert_eq!(first, Some((b'A', Bytes::from_static(b"first"))));
            let mut bare = wire.bare().await.unwrap();
            let mut heard = Vec::new();
            bare.read_to_end(&mut heard).await.unwrap();
            bare.write_all(&heard).await.unwrap();
        };
        let talking = async {
            let mut wire = near.reach(NodeId::from_bytes([2; 8])).await.unwrap().open().await.unwrap();
            // In one piece, length and kind before it: the bytes come with the message.
            let piece = [&[0, 0, 0, 5, b'A'][..], b"first", b"at once "].concat();
            wire.out.bytes(piece.into()).await.unwrap();
            let mut bare = wire.bare().await.unwrap();
            bare.write_all(b"and later").await.unwrap();
            bare.shutdown().await.unwrap();
            let mut heard = String::new();
            bare.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "at once and later");
            stop.cancel();
        };
        tokio::join!(far.serve(echo, stop.clone()), talking);
    }
}
