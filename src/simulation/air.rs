//! What nodes reach each other by, in memory: datagrams, and what they share. A node lives for so many steps: each
//! datagram that it sends is one, and so are each question to the others and each answer. Where its steps are over
//! nothing of it is heard any more, as of a process that was killed.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Answer, Beat, Card, Cluster, Counted, Error, Local, Note, Record, Sought, Ticket, Whereabouts};
use crate::protocol::{ConversationId, NodeId, SessionId, UserId};

/// How long a node lives. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Life(Arc<Steps>);

#[derive(Debug)]
struct Steps {
    made: AtomicU64,
    last: AtomicU64,
    down: CancellationToken,
}

impl Default for Steps {
    fn default() -> Self {
        Self { made: AtomicU64::new(0), last: AtomicU64::new(u64::MAX), down: CancellationToken::new() }
    }
}

impl Life {
    /// It ends with the so manieth step from now.
    pub(super) fn ends_in(&self, steps: u64) {
        self.0.last.store(self.0.made.load(Ordering::Relaxed) + steps, Ordering::Relaxed);
    }

    /// It ends now.
    pub(super) fn end(&self) {
        self.0.down.cancel();
    }

    /// Cancelled when it is over.
    pub(super) fn down(&self) -> CancellationToken {
        self.0.down.clone()
    }

    /// Makes a step. False: it is over, and the step was not made.
    fn step(&self) -> bool {
        if self.0.made.fetch_add(1, Ordering::Relaxed) + 1 >= self.0.last.load(Ordering::Relaxed) {
            self.end();
        }
        !self.0.down.is_cancelled()
    }
}

type Datagram = (Instant, SocketAddr, Bytes);

/// Where datagrams are carried. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Air {
    sockets: Arc<Mutex<HashMap<SocketAddr, UnboundedSender<Datagram>>>>,
    latency: Duration,
}

impl Air {
    /// Each datagram takes so long.
    pub(super) fn new(latency: Duration) -> Self {
        Self { sockets: Arc::default(), latency }
    }

    /// A socket at this address, for as long as its node lives.
    pub(super) fn socket(&self, address: SocketAddr, life: Life) -> Arc<dyn AsyncUdpSocket> {
        let (send, receive) = unbounded_channel();
        self.sockets.lock().unwrap().insert(address, send);
        let inbox = Inbox { receive, head: None, timer: Box::pin(sleep(Duration::ZERO)) };
        Arc::new(Socket { address, air: self.clone(), life, inbox: Mutex::new(inbox) })
    }
}

#[derive(Debug)]
struct Socket {
    address: SocketAddr,
    air: Air,
    life: Life,
    inbox: Mutex<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    receive: UnboundedReceiver<Datagram>,
    head: Option<Datagram>,
    timer: Pin<Box<Sleep>>,
}

impl Inbox {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Datagram>> {
        if self.head.is_none() {
            self.head = ready!(self.receive.poll_recv(cx));
        }
        let Some((due, ..)) = &self.head else { return Poll::Ready(None) };
        self.timer.as_mut().reset(*due);
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(self.head.take())
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Always)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.life.step()
            && let Some(other) = self.air.sockets.lock().unwrap().get(&transmit.destination)
        {
            // Whoever reads there may have gone.
            let _ = other.send((
                Instant::now() + self.air.latency,
                self.address,
                Bytes::copy_from_slice(transmit.contents),
            ));
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let Some((_, addr, bytes)) = ready!(self.inbox.lock().unwrap().poll(cx)) else { return Poll::Pending };
            if self.life.down().is_cancelled() {
                continue;
            }
            let len = bytes.len();
            bufs[0][..len].copy_from_slice(&bytes);
            meta[0] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
            return Poll::Ready(Ok(1));
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// What can always be written to.
#[derive(Debug)]
struct Always;

impl UdpPoller for Always {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What is shared, for a node that lives so long.
pub(super) struct Mortal {
    pub(super) shared: Arc<Local>,
    pub(super) life: Life,
    /// An answer takes so long.
    pub(super) latency: Duration,
}

impl Mortal {
    fn ask<'a, T: Send + 'a>(&'a self, ask: impl FnOnce(&'a Local) -> Answer<'a, T>) -> Answer<'a, T> {
        let over = || Error::Away("this node is no more".into());
        if !self.life.step() {
            return Box::pin(async move { Err(over()) });
        }
        let answer = ask(&self.shared);
        Box::pin(async move {
            sleep(self.latency).await;
            let answer = answer.await;
            if self.life.step() { answer } else { Err(over()) }
        })
    }
}

impl Cluster for Mortal {
    fn node(&self) -> NodeId {
        self.shared.node()
    }

    fn beat(&self, card: &Card) -> Answer<'_, Beat> {
        self.ask(|shared| shared.beat(card))
    }

    fn farewell(&self) -> Answer<'_, ()> {
        self.ask(|shared| shared.farewell())
    }

    fn notes(&self) -> Answer<'_, Vec<Note>> {
        let down = self.life.down();
        Box::pin(async move {
            tokio::select! {
                biased;
                () = down.cancelled() => {
                    sleep(Duration::from_millis(50)).await;
                    Err(Error::Away("this node is no more".into()))
                }
                notes = self.shared.notes() => notes,
            }
        })
    }

    fn tell(&self, node: NodeId, note: &Note) -> Answer<'_, ()> {
        self.ask(|shared| shared.tell(node, note))
    }

    fn tell_all(&self, note: &Note) -> Answer<'_, ()> {
        self.ask(|shared| shared.tell_all(note))
    }

    fn seek(&self, ticket: &Ticket) -> Answer<'_, Sought> {
        self.ask(|shared| shared.seek(ticket))
    }

    fn withdraw(&self, session: SessionId) -> Answer<'_, bool> {
        self.ask(|shared| shared.withdraw(session))
    }

    fn record(&self, records: Vec<(SessionId, Record)>) -> Answer<'_, ()> {
        self.ask(|shared| shared.record(records))
    }

    fn find(&self, session: SessionId) -> Answer<'_, Option<Record>> {
        self.ask(|shared| shared.find(session))
    }

    fn forget(&self, sessions: Vec<SessionId>) -> Answer<'_, ()> {
        self.ask(|shared| shared.forget(sessions))
    }

    fn adopt(&self, conversation: ConversationId, dead: NodeId) -> Answer<'_, NodeId> {
        self.ask(|shared| shared.adopt(conversation, dead))
    }

    fn arrive(&self, user: UserId, here: &Whereabouts, most: usize) -> Answer<'_, Vec<Whereabouts>> {
        self.ask(|shared| shared.arrive(user, here, most))
    }

    fn stays(&self, user: UserId, here: &Whereabouts) -> Answer<'_, ()> {
        self.ask(|shared| shared.stays(user, here))
    }

    fn depart(&self, user: UserId, session: SessionId) -> Answer<'_, ()> {
        self.ask(|shared| shared.depart(user, session))
    }

    fn whereabouts(&self, user: UserId) -> Answer<'_, Vec<Whereabouts>> {
        self.ask(|shared| shared.whereabouts(user))
    }

    fn count(&self, limit: &'static str, who: &str, window: Duration, spend: bool) -> Answer<'_, Counted> {
        self.ask(|shared| shared.count(limit, who, window, spend))
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.ask(|shared| shared.ping())
    }
}
