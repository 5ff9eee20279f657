//! A network between clients and a server that behaves as badly as it is told to: a relay for UDP and
//! one for TCP, both on loopback.
//!
//! Owns: what happens to each packet (UDP) and each piece of a stream (TCP): delay, jitter, loss,
//! doubling, reordering, a narrow line, a black hole in one or both directions, a client's address
//! that changes, connections that are cut or left half open. What is random comes from a seed.
//!
//! Must not know: what is carried. TCP mends its own losses, so a piece that is "lost" there comes
//! late, and holds up what is behind it.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::client::{Server, Target};

/// Largest packet, and largest piece of a stream.
const PIECE: usize = 16 * 1024;
/// Pieces on their way in one direction of a stream; more wait in the sender's kernel.
const ON_THE_WAY: usize = 64;
/// A UDP client of whom nothing came back for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// A packet that would wait longer than this before a narrow line is dropped.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);
/// What a loss costs a stream beside the round trip: TCP's shortest retransmission timeout.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// How a path behaves, in both directions unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Weather {
    /// One way.
    pub delay: Duration,
    /// At most so much more, evenly spread.
    pub jitter: Duration,
    /// Share of packets that vanish.
    pub loss: f64,
    /// Share of packets that come twice. UDP only.
    pub doubled: f64,
    /// Share of packets that are overtaken by later ones. UDP only.
    pub reordered: f64,
    /// Bytes a second, each way; `None`: no limit. What comes faster waits in a queue: half a second's
    /// worth of packets, after which they are dropped; of a stream, a megabyte at most.
    pub bandwidth: Option<u64>,
    /// Nothing passes from clients to the server.
    pub up_blocked: bool,
    /// Nothing passes from the server to clients.
    pub down_blocked: bool,
}

impl Weather {
    /// Nothing passes at all, and nobody is told.
    pub const BLACK_HOLE: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        doubled: 0.0,
        reordered: 0.0,
        bandwidth: None,
        up_blocked: true,
        down_blocked: true,
    };

    fn blocks(&self, way: Way) -> bool {
        match way {
            Way::Up => self.up_blocked,
            Way::Down => self.down_blocked,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// What happens to the streams that stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    None,
    /// Both ends see the end.
    Cut,
    /// Nothing passes any more, not even an end.
    HalfOpen,
}

/// The network. Dropping it ends everything on it.
pub struct Network {
    shared: Arc<Shared>,
    udp: SocketAddr,
    tcp: SocketAddr,
    blows: watch::Sender<(u64, Blow)>,
    _ends: DropGuard,
}

struct Shared {
    udp: watch::Sender<Weather>,
    tcp: watch::Sender<Weather>,
    dice: Mutex<StdRng>,
    /// When the line is free again, for each protocol and way.
    lines: Mutex<[Option<Instant>; 4]>,
    backs: Mutex<HashMap<SocketAddr, Back>>,
    /// The last byte of the address that clients have towards the server.
    host: AtomicU8,
    tasks: TaskTracker,
    over: CancellationToken,
}

/// The side of a UDP client that faces the server.
struct Back {
    socket: Arc<UdpSocket>,
    _pump: DropGuard,
}

impl Network {
    /// A network in fine weather before the doors of `target`.
    ///
    /// # Errors
    /// No sockets are to be had.
    pub async fn before(target: &Target, seed: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(seed));
        let over = shared.over.clone();
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (udp, tcp) = (front.local_addr()?, listener.local_addr()?);
        let blows = watch::Sender::new((0, Blow::None));
        if let Some(quic) = &target.quic {
            shared.spawn(relay_packets(Arc::clone(&shared), front, quic.address));
        }
        shared.spawn(relay_streams(Arc::clone(&shared), listener, target.websocket.address, blows.subscribe()));
        Ok(Self { shared, udp, tcp, blows, _ends: over.drop_guard() })
    }

    /// The same doors, through this network.
    pub fn target(&self, target: &Target) -> Target {
        Target {
            websocket: Server { address: self.tcp, ..target.websocket.clone() },
            quic: target.quic.as_ref().map(|_| Server::plain(self.udp)),
            ..target.clone()
        }
    }

    /// How UDP fares from now on.
    pub fn udp(&self, weather: Weather) {
        self.shared.udp.send_replace(weather);
    }

    /// How TCP fares from now on.
    pub fn tcp(&self, weather: Weather) {
        self.shared.tcp.send_replace(weather);
    }

    /// How both fare from now on.
    pub fn both(&self, weather: Weather) {
        self.udp(weather);
        self.tcp(weather);
    }

    /// Every UDP client has another address and port from now on, as after a NAT's rebinding.
    pub fn rebind(&self) {
        self.shared.host.fetch_add(1, Ordering::Relaxed);
        // The next packet of each client makes it a new way out.
        self.shared.backs().clear();
    }

    /// Every TCP connection ends, for both sides.
    pub fn cut_streams(&self) {
        self.blow(Blow::Cut);
    }

    /// Nothing passes any more on the TCP connections that stand: when the client closes its end, the
    /// server hears nothing of it.
    pub fn leave_streams_half_open(&self) {
        self.blow(Blow::HalfOpen);
    }

    fn blow(&self, blow: Blow) {
        self.blows.send_modify(|(count, last)| (*count, *last) = (*count + 1, blow));
    }
}

impl Shared {
    fn new(seed: u64) -> Self {
        Self {
            udp: watch::Sender::new(Weather::default()),
            tcp: watch::Sender::new(Weather::default()),
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
            lines: Mutex::default(),
            backs: Mutex::default(),
            host: AtomicU8::new(1),
            tasks: TaskTracker::new(),
            over: CancellationToken::new(),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let over = self.over.clone();
        self.tasks.spawn(async move { over.run_until_cancelled(task).await });
    }

    fn backs(&self) -> MutexGuard<'_, HashMap<SocketAddr, Back>> {
        self.backs.lock().expect("no code panics while it holds this lock")
    }

    fn dice(&self) -> MutexGuard<'_, StdRng> {
        self.dice.lock().expect("no code panics while it holds this lock")
    }

    fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.dice().random_bool(share.min(1.0))
    }

    /// When what is sent now arrives; `None`: the line's queue is full.
    fn arrival(&self, weather: &Weather, line: usize, bytes: usize) -> Option<Instant> {
        let now = Instant::now();
        let mut from = now;
        if let Some(bandwidth) = weather.bandwidth {
            let mut lines = self.lines.lock().expect("no code panics while it holds this lock");
            let free = lines[line].map_or(now, |free| free.max(now));
            if line < 2 && free - now > LONGEST_QUEUE {
                return None;
            }
            from = free + Duration::from_secs_f64(bytes as f64 / bandwidth.max(1) as f64);
            lines[line] = Some(from);
        }
        let jitter =
            if weather.jitter.is_zero() { Duration::ZERO } else { weather.jitter.mul_f64(self.dice().random()) };
        Some(from + weather.delay + jitter)
    }

    /// Sends a packet on, or not, or twice, now or later.
    fn forward(self: &Arc<Self>, way: Way, socket: &Arc<UdpSocket>, to: SocketAddr, packet: &[u8]) {
        let weather = *self.udp.borrow();
        if weather.blocks(way) || self.chance(weather.loss) {
            return;
        }
        let copies = 1 + usize::from(self.chance(weather.doubled));
        for _ in 0..copies {
            let Some(mut due) = self.arrival(&weather, way as usize, packet.len()) else { return };
            if self.chance(weather.reordered) {
                due += weather.delay.max(Duration::from_millis(5));
            }
            // A socket that was just made does not know yet that it can send: then it is waited for.
            if due <= Instant::now() && socket.try_send_to(packet, to).is_ok() {
                continue;
            }
            let (socket, packet) = (Arc::clone(socket), Bytes::copy_from_slice(packet));
            self.spawn(async move {
                sleep_until(due).await;
                let _ = socket.send_to(&packet, to).await;
            });
        }
    }
}

async fn relay_packets(shared: Arc<Shared>, front: Arc<UdpSocket>, server: SocketAddr) {
    let mut packet = vec![0; PIECE];
    loop {
        let Ok((length, client)) = front.recv_from(&mut packet).await else { continue };
        let known = shared.backs().get(&client).map(|back| Arc::clone(&back.socket));
        let back = match known {
            Some(back) => back,
            None => match way_out(&shared, &front, client).await {
                Ok(back) => back,
                Err(_no_socket) => continue,
            },
        };
        shared.forward(Way::Up, &back, server, &packet[..length]);
    }
}

/// A socket towards the server for one client, and the task that carries the answers back.
async fn way_out(shared: &Arc<Shared>, front: &Arc<UdpSocket>, client: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let host = shared.host.load(Ordering::Relaxed);
    let back = Arc::new(UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).await?);
    let gone = CancellationToken::new();
    shared.backs().insert(client, Back { socket: Arc::clone(&back), _pump: gone.clone().drop_guard() });
    let (pump, front, answers) = (Arc::clone(shared), Arc::clone(front), Arc::clone(&back));
    shared.spawn(async move {
        let carry = async {
            let mut packet = vec![0; PIECE];
            while let Ok(Ok((length, _))) = timeout(FORGOTTEN, answers.recv_from(&mut packet)).await {
                pump.forward(Way::Down, &front, client, &packet[..length]);
            }
        };
        if gone.run_until_cancelled(carry).await.is_some() {
            pump.backs().remove(&client);
        }
    });
    Ok(back)
}

async fn relay_streams(
    shared: Arc<Shared>,
    listener: TcpListener,
    server: SocketAddr,
    blows: watch::Receiver<(u64, Blow)>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // No more sockets: they come back when connections end.
            sleep_until(Instant::now() + RETRANSMISSION).await;
            continue;
        };
        let mut blows = blows.clone();
        blows.mark_unchanged();
        let relay = Arc::clone(&shared);
        shared.spawn(async move {
            // A black hole swallows connection requests too.
            relay.passes(Way::Up).await;
            let Ok(server) = TcpStream::connect(server).await else { return };
            stream(relay, client, server, blows).await;
        });
    }
}

async fn stream(shared: Arc<Shared>, client: TcpStream, server: TcpStream, mut blows: watch::Receiver<(u64, Blow)>) {
    for socket in [&client, &server] {
        // Only latency would suffer.
        let _ = socket.set_nodelay(true);
    }
    // What is cut ends at once, with a reset.
    let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let up = pump(Arc::clone(&shared), Way::Up, client_reads, server_writes);
    let down = pump(Arc::clone(&shared), Way::Down, server_reads, client_writes);
    let (mut up, mut down) = (Box::pin(up), Box::pin(down));
    let (mut up_ended, mut down_ended) = (false, false);
    loop {
        tokio::select! {
            biased; // a blow counts even when there is data
            blown = blows.changed() => {
                if blown.is_ok() && blows.borrow_and_update().1 == Blow::HalfOpen {
                    // Both sockets stay, and nothing passes any more, not even an end.
                    let _kept = (up, down);
                    return std::future::pending().await;
                }
                return;
            }
            () = &mut up, if !up_ended => up_ended = true,
            () = &mut down, if !down_ended => down_ended = true,
        }
        if up_ended && down_ended {
            return;
        }
    }
}

impl Shared {
    /// Waits until TCP passes this way.
    async fn passes(&self, way: Way) {
        let mut weather = self.tcp.subscribe();
        // The sender lives as long as `self`.
        let _ = weather.wait_for(|weather| !weather.blocks(way)).await;
    }
}

/// Carries one direction of a stream to its end.
async fn pump(shared: Arc<Shared>, way: Way, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (pieces, mut arriving) = mpsc::channel::<(Instant, Bytes)>(ON_THE_WAY);
    let reading = async {
        let mut last = Instant::now();
        let mut piece = vec![0; PIECE];
        loop {
            let length = match from.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => length,
            };
            let weather = *shared.tcp.borrow();
            let line = 2 + way as usize;
            let mut due = shared.arrival(&weather, line, length).unwrap_or_else(Instant::now);
            if shared.chance(weather.loss) {
                due += RETRANSMISSION + weather.delay * 2;
            }
            last = last.max(due);
            if pieces.send((last, Bytes::copy_from_slice(&piece[..length]))).await.is_err() {
                break;
            }
        }
        drop(pieces);
    };
    let writing = async {
        while let Some((due, piece)) = arriving.recv().await {
            sleep_until(due).await;
            shared.passes(way).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        shared.passes(way).await;
        // The other side may have gone first.
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_narrow_line_queues_what_comes_faster_and_drops_packets_when_the_queue_is_full() {
        let ms = Duration::from_millis;
        // 5 Mbit/s: a packet of 1250 bytes takes 2 ms.
        let weather = Weather { bandwidth: Some(625_000), delay: ms(20), ..Weather::default() };
        let (shared, now) = (Shared::new(1), Instant::now());
        for number in 1..=251 {
            let due = shared.arrival(&weather, Way::Up as usize, 1250).map(|due| due - now);
            assert_eq!(due, Some(ms(20) + ms(2) * number), "the queue grows, and what waits comes later");
        }
        assert_eq!(shared.arrival(&weather, Way::Up as usize, 1250), None, "half a second waits already");
        let other_way = shared.arrival(&weather, Way::Down as usize, 1250).map(|due| due - now);
        assert_eq!(other_way, Some(ms(22)), "the ways do not wait for each other");
        tokio::time::advance(ms(502)).await;
        let later = shared.arrival(&weather, Way::Up as usize, 1250).map(|due| due - now);
        assert_eq!(later, Some(ms(502 + 22)), "the queue has run empty");
        // A stream loses nothing: its sender has to wait instead.
        let stream = 2 + Way::Up as usize;
        let last = (0..400).map(|_| shared.arrival(&weather, stream, 1250).expect("never dropped")).last();
        assert_eq!(last.map(|due| due - now), Some(ms(502 + 800 + 20)));
    }
}
