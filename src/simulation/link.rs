//! A link in memory, between a real client and a real session, that suffers what its dice say:
//! frames take their time, stall, and are lost from some moment on, seen or unseen by either end;
//! what may be lost is lost, doubled and overtaken.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::client::{Ended, Error};
use crate::hub::Door;
use crate::outbox::Batch;
use crate::protocol::{ChunkHeader, ClientFrame, Closing, Lane, ServerEvent, ServerFrame, write_ack, write_frame};
use crate::session::{Heard, Link, LinkEnd, NoStreams, Peer, Reader, Sessions, Writer};

/// How the weather is: on average so long until a link is cut, and until it stalls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) cut_after: Duration,
    pub(crate) stall_after: Duration,
    /// Share of openings that fail.
    pub(crate) shut: f64,
    /// Share of volatile frames that are lost; as many are doubled, and as many overtaken.
    pub(crate) loss: f64,
}

/// Where links are made. Clones are the same.
#[derive(Clone)]
pub(crate) struct Net(Arc<Inner>);

struct Inner {
    servers: Vec<Server>,
    state: Mutex<State>,
}

/// A node: its sessions, and a token that is cancelled when all that is there is gone at once.
pub(crate) type Server = (Sessions, CancellationToken);

struct State {
    dice: StdRng,
    /// `None`: all is well with links that are made from now on.
    faults: Option<Faults>,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Net")
    }
}

impl Net {
    pub(crate) fn new(sessions: Sessions, seed: u64) -> Self {
        Self::among(vec![(sessions, CancellationToken::new())], seed)
    }

    /// To one of these servers, by chance.
    pub(crate) fn among(servers: Vec<Server>, seed: u64) -> Self {
        let state = State { dice: StdRng::seed_from_u64(seed), faults: None };
        Self(Arc::new(Inner { servers, state: Mutex::new(state) }))
    }

    /// What links suffer that are made from now on.
    pub(crate) fn suffer(&self, faults: Option<Faults>) {
        self.state().faults = faults;
    }

    /// A number for whoever needs dice of its own.
    pub(crate) fn seed(&self) -> u64 {
        self.state().dice.random()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Opens a link; a session serves its other end.
    pub(crate) async fn open(&self, door: Door) -> Result<MemoryWire, Error> {
        let (fate, opens_after, shut, number, (sessions, down)) = {
            let mut state = self.state();
            let faults = state.faults;
            // Whoever does not answer is passed over.
            let (first, count) = (state.dice.random_range(0..self.0.servers.len()), self.0.servers.len());
            let up = (first..first + count).map(|at| at % count).find(|at| !self.0.servers[*at].1.is_cancelled());
            let number = up.ok_or_else(|| Error::Connect("nobody answers".to_owned()))?;
            let server = self.0.servers[number].clone();
            let shut = faults.is_some_and(|faults| state.dice.random_bool(faults.shut));
            let delay = Duration::from_micros(state.dice.random_range(500..60_000));
            (Fate::draw(&mut state.dice, faults, server.1.clone()), delay, shut, number + 1, server)
        };
        sleep(opens_after).await;
        if shut || down.is_cancelled() {
            return Err(Error::Connect("shut".to_owned()));
        }
        let (up, from_client) = Pipe::new(&fate, fate.server_sees);
        let (down, from_server) = Pipe::new(&fate, fate.client_sees);
        let link = MemoryLink { door, inlet: from_client, outlet: down };
        let tasks = sessions.tasks().clone();
        let served = tracing::debug_span!("node", number);
        tasks.spawn(sessions.serve(link).instrument(served));
        Ok(MemoryWire { door, inlet: from_server, outlet: up })
    }
}

/// What will happen to one link.
#[derive(Clone)]
struct Fate {
    cut_at: Option<Instant>,
    /// Whether each end notices the cut, or must find out by the silence.
    client_sees: bool,
    server_sees: bool,
    stall: Option<(Instant, Instant)>,
    delay: Duration,
    loss: f64,
    seed: u64,
    /// Of the server.
    down: CancellationToken,
}

impl Fate {
    fn draw(dice: &mut StdRng, faults: Option<Faults>, down: CancellationToken) -> Self {
        let now = Instant::now();
        let mut sometime = |mean: Duration| now + mean.mul_f64(-(1.0 - dice.random::<f64>()).ln());
        let cut_at = faults.map(|faults| sometime(faults.cut_after));
        let stall = faults.map(|faults| sometime(faults.stall_after));
        let stall = stall.map(|from| (from, from + Duration::from_millis(dice.random_range(100..6_000))));
        Self {
            cut_at,
            client_sees: dice.random_bool(0.6),
            server_sees: dice.random_bool(0.6),
            stall,
            delay: Duration::from_micros(dice.random_range(100..150_000)),
            loss: faults.map_or(0.0, |faults| faults.loss),
            seed: dice.random(),
            down,
        }
    }
}

/// What is on its way.
enum Piece {
    Frame(Bytes),
    Chunk(Bytes),
    Close(u16),
}

/// The end of one direction that writes.
struct Pipe {
    pieces: UnboundedSender<(Instant, Piece)>,
    fate: Fate,
    dice: StdRng,
    last: Instant,
}

/// The end that reads.
struct Inlet {
    pieces: UnboundedReceiver<(Instant, Piece)>,
    head: Option<(Instant, Piece)>,
    cut_at: Option<Instant>,
    down: CancellationToken,
    sees: bool,
}

impl Pipe {
    fn new(fate: &Fate, reader_sees: bool) -> (Self, Inlet) {
        let (pieces, arriving) = unbounded_channel();
        let dice = StdRng::seed_from_u64(fate.seed);
        let inlet =
            Inlet { pieces: arriving, head: None, cut_at: fate.cut_at, down: fate.down.clone(), sees: reader_sees };
        (Self { pieces, fate: fate.clone(), dice, last: Instant::now() }, inlet)
    }

    /// In order, however long it takes.
    fn reliable(&mut self, piece: Piece) {
        if self.fate.down.is_cancelled() {
            return;
        }
        let mut due = (Instant::now() + self.fate.delay).max(self.last);
        if let Some((from, until)) = self.fate.stall
            && (from..until).contains(&due)
        {
            due = until;
        }
        self.last = due;
        // Whoever reads may have gone.
        let _ = self.pieces.send((due, piece));
    }

    /// As a datagram. Where it is overtaken, it comes with the next one's delay instead.
    fn volatile(&mut self, frame: &Bytes) {
        let loss = self.fate.loss;
        if loss > 0.0 && self.dice.random_bool(loss) {
            return;
        }
        let copies = 1 + usize::from(loss > 0.0 && self.dice.random_bool(loss));
        for _ in 0..copies {
            self.reliable(Piece::Frame(frame.clone()));
        }
    }
}

impl Inlet {
    /// The next piece. `None`: the end, as far as this side can see. Cancel safe.
    async fn next(&mut self) -> Option<Piece> {
        if self.head.is_none() {
            self.head = tokio::select! {
                biased; // what was cut does not arrive
                () = cut(self.cut_at, &self.down) => None,
                piece = self.pieces.recv() => piece,
            };
            if self.head.is_none() && self.is_cut() {
                return self.end().await;
            }
        }
        let due = self.head.as_ref()?.0;
        tokio::select! {
            biased;
            () = cut(self.cut_at, &self.down) => return self.end().await,
            () = sleep_until(due) => {}
        }
        self.head.take().map(|(_, piece)| piece)
    }

    fn is_cut(&self) -> bool {
        self.down.is_cancelled() || self.cut_at.is_some_and(|cut_at| cut_at <= Instant::now())
    }

    async fn end(&self) -> Option<Piece> {
        if !self.sees {
            std::future::pending::<()>().await;
        }
        None
    }
}

async fn cut(at: Option<Instant>, down: &CancellationToken) {
    let at = async {
        match at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = down.cancelled() => {}
        () = at => {}
    }
}

/// The client's end.
pub struct MemoryWire {
    door: Door,
    inlet: Inlet,
    outlet: Pipe,
}

impl MemoryWire {
    pub(crate) fn send(&mut self, frame: Bytes, volatile: bool) {
        if volatile && self.door == Door::WebTransport {
            self.outlet.volatile(&frame);
        } else {
            self.outlet.reliable(Piece::Frame(frame));
        }
    }

    pub(crate) async fn recv(&mut self) -> Result<ServerFrame, Error> {
        match self.inlet.next().await {
            Some(Piece::Frame(frame)) => ServerFrame::decode(&frame).map_err(Error::Frame),
            Some(Piece::Chunk(_)) => unreachable!("no simulated client accepts a transfer"),
            Some(Piece::Close(code)) => Err(Error::Ended(Ended::Code(code))),
            None => Err(Error::Ended(Ended::Lost("the end of a simulated link".to_owned()))),
        }
    }
}

/// The server's end.
struct MemoryLink {
    door: Door,
    inlet: Inlet,
    outlet: Pipe,
}

impl Link for MemoryLink {
    type Reader = MemoryReader;
    type Writer = MemoryWriter;
    type Streams = NoStreams;

    fn door(&self) -> Door {
        self.door
    }

    fn peer(&self) -> Peer {
        Peer::default()
    }

    fn split(self) -> (MemoryReader, MemoryWriter, Option<NoStreams>) {
        (MemoryReader(self.inlet), MemoryWriter { door: self.door, outlet: self.outlet }, None)
    }
}

struct MemoryReader(Inlet);

impl Reader for MemoryReader {
    async fn recv(&mut self) -> Result<Heard, LinkEnd> {
        match self.0.next().await {
            Some(Piece::Frame(frame)) => Ok(Heard::Frame(ClientFrame::decode(&frame))),
            Some(Piece::Chunk(chunk)) => Ok(match ChunkHeader::split(chunk) {
                Ok((header, bytes)) => Heard::Chunk(header, bytes),
                Err(refusal) => Heard::Frame(Err(refusal)),
            }),
            Some(Piece::Close(_)) | None => Err(LinkEnd::Closed),
        }
    }
}

struct MemoryWriter {
    door: Door,
    outlet: Pipe,
}

impl Writer for MemoryWriter {
    async fn send(&mut self, batch: &Batch) -> Result<(), LinkEnd> {
        let mut ack = batch.ack;
        for (event, seq) in &batch.events {
            let mut frame = BytesMut::new();
            if event.lane == Lane::Volatile && self.door == Door::WebTransport {
                write_frame(&mut frame, event, None, None);
                self.outlet.volatile(&frame.freeze());
            } else {
                write_frame(&mut frame, event, *seq, ack.take());
                self.outlet.reliable(Piece::Frame(frame.freeze()));
            }
        }
        if let Some(ack) = ack {
            let mut frame = BytesMut::new();
            write_ack(&mut frame, ack);
            self.outlet.reliable(Piece::Frame(frame.freeze()));
        }
        Ok(())
    }

    async fn send_chunks(&mut self, chunks: &[(ChunkHeader, Bytes)]) -> Result<(), LinkEnd> {
        for (header, bytes) in chunks {
            let mut chunk = BytesMut::new();
            header.write(&mut chunk);
            chunk.extend_from_slice(bytes);
            self.outlet.reliable(Piece::Chunk(chunk.freeze()));
        }
        Ok(())
    }

    async fn close(mut self, closing: &Closing) {
        // It cannot fail: a memory link takes everything.
        let _ = self.send(&Batch::of(&ServerEvent::Closing(closing.clone()))).await;
        self.outlet.reliable(Piece::Close(closing.code));
    }
}
