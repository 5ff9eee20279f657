//! A Socket.IO connection as a link: numbers are put on what comes in and taken off what goes out.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketioxide::extract::AckSender;
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};
use socketioxide_core::Str;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Porch;
use super::words::{self, Sender};
use crate::hub::Door;
use crate::outbox::Batch;
use crate::protocol::{
    Beat, ChunkHeader, ClientEvent, ClientFrame, CloseReason, Closing, Encoded, ErrorCode, Hello, Lane, Nothing,
    Refusal, Wish,
};
use crate::session::{Heard, Link, LinkEnd, NoStreams, Peer, Reader, Writer};

/// The library tells nobody when there is room again: it is asked so often.
const FULL: Duration = Duration::from_millis(5);
/// Bytes of events that wait for the session, each with what it costs to keep it, before more are
/// refused: the session is far behind then, as the library reads on whatever we do.
const HEARD: usize = 2 * 1024 * 1024;
/// How long a receipt waits for something else to go with: alone it would double what a message costs.
const RECEIPT: Duration = Duration::from_millis(10);
/// Receipts that wait so, at most: the next waits for room with the library as all else does.
const RECEIPTS: usize = 64;
/// What an event costs to keep beside its bytes.
const KEPT: usize = 256;
/// How long what a client that is far too fast still says is passed over, before it is seen off.
const FLOOD: Duration = Duration::from_secs(1);
/// The name of a receipt.
const RECEIPT_EVENT: &str = "chat:delivered";
/// What a client that is far too fast should wait before it says more.
const CALM_DOWN: Duration = Duration::from_secs(1);

/// A connection that is about to be let in.
pub(super) struct SocketIoLink {
    pub(super) socket: Arc<Socket>,
    pub(super) hello: Hello,
    pub(super) shared: Arc<Shared>,
    /// Told once the session has begun, or why it has not.
    pub(super) opened: oneshot::Sender<Result<(), String>>,
    pub(super) peer: Peer,
    /// What the links to files begin with.
    pub(super) base: String,
    pub(super) grace: Duration,
    /// Where the client came in, and is seen off.
    pub(super) porch: Porch,
}

/// One event of the client.
pub(super) struct Call {
    /// The JSON of `[name, ...arguments]`; `None`: it came with binary data.
    pub(super) said: Option<Str>,
    /// Its acknowledgement callback, if it has one.
    pub(super) answer: Option<AckSender>,
}

/// What the two halves and the library's handlers tell each other.
#[derive(Default)]
pub(super) struct Shared {
    heard: Mutex<Queue>,
    /// The data of receipts (`chat:delivered`) that go with the next event, or after [`RECEIPT`].
    receipts: Mutex<Vec<Bytes>>,
    /// The number of the last reliable event that the library has to send.
    written: AtomicU64,
    /// How far the session had counted this client's events when the link began.
    received: AtomicU64,
    /// The session wants a sign of life.
    pinged: AtomicBool,
    /// Whether the conversation stands, as far as the client was told.
    talking: AtomicBool,
    /// The server goes, and ends the connection with all others.
    stays: AtomicBool,
    /// Rung for the reading half.
    bell: Notify,
    /// The client was told that it is connected.
    connected: CancellationToken,
    /// It is not any more ...
    pub(super) gone: CancellationToken,
    /// ... and the engine's connection has ended, too.
    pub(super) ended: CancellationToken,
}

/// Events in the order in which they came.
#[derive(Default)]
struct Queue {
    calls: VecDeque<Call>,
    bytes: usize,
    /// Nobody reads any more.
    closed: bool,
}

impl Call {
    fn cost(&self) -> usize {
        self.said.as_ref().map_or(0, |text| text.len()) + KEPT
    }
}

impl Shared {
    /// Takes an event in, or gives it back if too many wait. Never waits.
    pub(super) fn hear(&self, call: Call) -> Result<(), Call> {
        {
            let mut heard = self.heard();
            let bytes = heard.bytes + call.cost();
            if heard.closed {
                return Ok(());
            }
            if bytes > HEARD {
                return Err(call);
            }
            heard.bytes = bytes;
            heard.calls.push_back(call);
        }
        self.bell.notify_one();
        Ok(())
    }

    fn next(&self) -> Option<Call> {
        let mut heard = self.heard();
        let call = heard.calls.pop_front()?;
        heard.bytes -= call.cost();
        Some(call)
    }

    /// What waits refers to the connection, which refers to this.
    fn close(&self) {
        *self.heard() = Queue { closed: true, ..Queue::default() };
    }

    fn receipts(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.receipts.lock().expect("no code panics while it holds this lock")
    }

    /// Writes the receipts that wait. What the library has no room for goes on waiting.
    fn write_receipts(&self, socket: &Socket) {
        let mut receipts = self.receipts();
        let written = receipts.iter().position(|data| {
            let data = serde_json::from_slice::<&RawValue>(data).expect("data is JSON");
            socket.emit(RECEIPT_EVENT, data).is_err()
        });
        match written {
            None => receipts.clear(),
            Some(written) => drop(receipts.drain(..written)),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Queue> {
        self.heard.lock().expect("no code panics while it holds this lock")
    }

    pub(super) fn connected(&self) {
        self.connected.cancel();
    }
}

impl Link for SocketIoLink {
    type Reader = SocketIoReader;
    type Writer = SocketIoWriter;
    type Streams = NoStreams;

    fn door(&self) -> Door {
        Door::SocketIo
    }

    fn grace(&self) -> Option<Duration> {
        Some(self.grace)
    }

    fn peer(&self) -> Peer {
        self.peer.clone()
    }

    fn split(self) -> (SocketIoReader, SocketIoWriter, Option<NoStreams>) {
        let Self { socket, hello, shared, opened, base, porch, peer: _, grace: _ } = self;
        let reader = SocketIoReader {
            socket: Arc::clone(&socket),
            hello: Some(hello),
            prefix: rand::random(),
            porch,
            shared: Arc::clone(&shared),
            asked: None,
            receipts_at: None,
            seq: 0,
            acknowledged: 0,
        };
        (reader, SocketIoWriter { socket, shared, opened: Some(opened), partner: None, base }, None)
    }
}

/// The half that reads.
pub(super) struct SocketIoReader {
    socket: Arc<Socket>,
    hello: Option<Hello>,
    /// Of the ids of messages that come without one. The connection's own id is a secret: who knows it can
    /// poll it.
    prefix: u64,
    porch: Porch,
    shared: Arc<Shared>,
    /// The event that the session has before it.
    asked: Option<Asked>,
    /// When the receipts that wait have waited long enough.
    receipts_at: Option<Instant>,
    /// The client's events that were numbered here.
    seq: u64,
    /// Told to the session as having arrived.
    acknowledged: u64,
}

/// An event whose outcome is of interest.
struct Asked {
    outcome: oneshot::Receiver<Result<(), Refusal>>,
    answer: Option<AckSender>,
    id: Option<String>,
    /// What to do in place of it where there is no conversation.
    otherwise: Option<Wish>,
}

impl Reader for SocketIoReader {
    async fn recv(&mut self) -> Result<Heard, LinkEnd> {
        loop {
            // Whoever asks for the next has done with the last.
            if let Some(event) = self.asked.take().and_then(|asked| self.settle(asked)) {
                return Ok(event);
            }
            if let Some(hello) = self.hello.take() {
                return Ok(bare(ClientEvent::Hello(hello), None));
            }
            let written = self.shared.written.load(Ordering::Acquire);
            if written > self.acknowledged {
                self.acknowledged = written;
                return Ok(bare(ClientEvent::Ack(Nothing {}), Some(written)));
            }
            if self.shared.pinged.swap(false, Ordering::AcqRel) {
                return Ok(bare(ClientEvent::Pong(Beat { t: 0.0 }), None));
            }
            // Looked at before: what was said before the connection was lost is still heard.
            let gone = self.shared.gone.is_cancelled();
            if let Some(call) = self.shared.next() {
                return Ok(self.hear(call));
            }
            if gone {
                return Err(LinkEnd::Closed);
            }
            let waits = !self.shared.receipts().is_empty();
            self.receipts_at = waits.then(|| self.receipts_at.unwrap_or_else(|| Instant::now() + RECEIPT));
            let due = async {
                match self.receipts_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = self.shared.bell.notified() => {}
                () = self.shared.gone.cancelled() => {}
                () = due => {
                    self.shared.write_receipts(&self.socket);
                    self.receipts_at = None;
                }
            }
        }
    }
}

impl Drop for SocketIoReader {
    fn drop(&mut self) {
        self.shared.close();
        if self.shared.ended.is_cancelled() || self.shared.stays.load(Ordering::Acquire) {
            return;
        }
        // The library may believe in a connection that the session has given up.
        if !self.shared.gone.is_cancelled() {
            drop(Arc::clone(&self.socket).disconnect());
        }
        self.porch.see_off(Arc::clone(&self.socket), self.shared.ended.clone());
    }
}

/// What the client did not say, but would if it knew how.
fn bare(event: ClientEvent, ack: Option<u64>) -> Heard {
    Heard::Frame(Ok(ClientFrame { seq: None, ack, event: Ok(event) }))
}

impl SocketIoReader {
    fn hear(&mut self, call: Call) -> Heard {
        let Call { said, answer } = call;
        let spare = format!("{:016x}-{}", self.prefix, self.number() + 1);
        let event = read(said.as_ref(), &spare);
        if let Ok(ClientEvent::Match(wish)) = &event
            && self.shared.talking.load(Ordering::Acquire)
        {
            // There is no other way to ask for the next one in the original API.
            let wish = wish.clone();
            return self.ask(Ok(ClientEvent::Skip(Nothing {})), answer, Some(wish));
        }
        match answer {
            None => Heard::Frame(Ok(self.numbered(event))),
            answer => self.ask(event, answer, None),
        }
    }

    /// The next number less one.
    fn number(&self) -> u64 {
        self.seq + self.shared.received.load(Ordering::Acquire)
    }

    fn numbered(&mut self, event: Result<ClientEvent, Refusal>) -> ClientFrame {
        let reliable = event.as_ref().is_ok_and(|event| event.lane() == Lane::Reliable);
        self.seq += u64::from(reliable);
        ClientFrame { seq: reliable.then(|| self.number()), ack: None, event }
    }

    fn ask(
        &mut self,
        event: Result<ClientEvent, Refusal>,
        answer: Option<AckSender>,
        otherwise: Option<Wish>,
    ) -> Heard {
        let id = match &event {
            Ok(ClientEvent::Message(message)) => Some(message.id.as_str().to_owned()),
            _ => None,
        };
        let (told, outcome) = oneshot::channel();
        self.asked = Some(Asked { outcome, answer, id, otherwise });
        Heard::Asked(Ok(self.numbered(event)), told)
    }

    /// Tells the client what became of its event; yields what is to be done in place of it.
    fn settle(&mut self, asked: Asked) -> Option<Heard> {
        let Asked { mut outcome, answer, id, otherwise } = asked;
        // Nothing was told where the session's end came first: there is nothing to tell then.
        let outcome = outcome.try_recv().ok()?;
        if let (Err(Refusal { code: ErrorCode::NoConversation, .. }), Some(wish)) = (&outcome, otherwise) {
            // They left in this very moment.
            return Some(self.ask(Ok(ClientEvent::Match(wish)), answer, None));
        }
        match (answer, &outcome) {
            (Some(answer), outcome) => acknowledge(answer, outcome, id.as_deref()),
            (None, Err(refusal)) => drop(self.socket.emit("error", refusal)),
            (None, Ok(())) => {}
        }
        None
    }
}

/// The event that an array of a name and arguments is.
fn read(said: Option<&Str>, spare: &str) -> Result<ClientEvent, Refusal> {
    let invalid = |message: &str| Refusal::new(ErrorCode::InvalidData, message);
    let Some(text) = said else {
        return Err(invalid("Events carry no binary data here. Send files with POST /api/files."));
    };
    let said: Said<'_> = serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
    words::heard(&said.0, said.1, spare)
}

/// A name and its first argument; others are passed over.
struct Said<'a>(String, Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut said: Vec<&'de RawValue> = Vec::deserialize(deserializer)?;
        said.truncate(2);
        let data = said.get(1).copied();
        let name = said.first().map(|name| serde_json::from_str(name.get()));
        let name = name.unwrap_or_else(|| Ok(String::new())).map_err(serde::de::Error::custom)?;
        Ok(Self(name, data))
    }
}

/// What an acknowledgement callback is told.
#[derive(Serialize)]
struct Acknowledged<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Refusal>,
}

fn acknowledge(answer: AckSender, outcome: &Result<(), Refusal>, id: Option<&str>) {
    let error = outcome.as_ref().err();
    // A client that is too slow to be told is found out by the engine's ping.
    drop(answer.send(&Acknowledged { ok: error.is_none(), id, error }));
}

/// Refuses an event for which the session had no time.
pub(super) fn too_fast(socket: &Socket, call: Call) {
    let message = "That was too fast. Wait a moment, then try again.";
    let refusal = Refusal::new(ErrorCode::TooFast, message).retry_after(CALM_DOWN);
    match call.answer {
        Some(answer) => acknowledge(answer, &Err(refusal), None),
        None => drop(socket.emit("error", &refusal)),
    }
}

/// The half that writes.
pub(super) struct SocketIoWriter {
    socket: Arc<Socket>,
    shared: Arc<Shared>,
    opened: Option<oneshot::Sender<Result<(), String>>>,
    partner: Option<Sender>,
    base: String,
}

impl SocketIoWriter {
    /// Lets the client in, and waits until it was told.
    async fn open(&mut self) -> Result<(), LinkEnd> {
        let Some(opened) = self.opened.take() else { return Ok(()) };
        if opened.send(Ok(())).is_err() {
            return Err(LinkEnd::Lost("nobody waits to be let in".to_owned()));
        }
        tokio::select! {
            () = self.shared.connected.cancelled() => Ok(()),
            () = self.shared.gone.cancelled() => Err(LinkEnd::Closed),
        }
    }

    async fn write(&mut self, event: &Encoded) -> Result<(), LinkEnd> {
        let data = std::str::from_utf8(&event.data).expect("data is JSON, and so UTF-8");
        let unreadable = |error: serde_json::Error| LinkEnd::Lost(format!("{}: {error}", event.name));
        match event.name {
            "connection:ping" => {
                self.shared.pinged.store(true, Ordering::Release);
                self.shared.bell.notify_one();
                Ok(())
            }
            RECEIPT_EVENT if self.shared.receipts().len() < RECEIPTS => {
                self.shared.receipts().push(event.data.clone());
                self.shared.bell.notify_one();
                Ok(())
            }
            // Only a client of ours could make anything of them.
            "connection:pong" | "ack" | "file:progress" => Ok(()),
            "connection:established" => {
                let greeting = words::greet(data, &self.socket.id.to_string()).map_err(unreadable)?;
                self.shared.received.store(greeting.received, Ordering::Release);
                self.emit(event.name, &greeting.established).await?;
                let Some(matched) = greeting.matched else { return Ok(()) };
                self.matched(matched.get());
                self.emit("user:matched", &matched).await
            }
            "chat:message" => {
                let message = words::tell_message(data, self.partner.as_ref()).map_err(unreadable)?;
                self.emit(event.name, &message).await
            }
            "file:offer" => {
                let message = words::tell_file(data, self.partner.as_ref(), &self.base).map_err(unreadable)?;
                self.emit("chat:message", &message).await
            }
            name => {
                match name {
                    "user:matched" => self.matched(data),
                    "user:unmatched" | "user:idle" | "user:matching" => {
                        self.shared.talking.store(false, Ordering::Release);
                    }
                    _ => {}
                }
                let data: &RawValue = serde_json::from_str(data).map_err(unreadable)?;
                self.emit(name, data).await
            }
        }
    }

    fn matched(&mut self, matched: &str) {
        self.partner = words::partner(matched);
        self.shared.talking.store(true, Ordering::Release);
    }

    /// Gives an event to the library, once it has room for it.
    async fn emit(&self, name: &str, data: &RawValue) -> Result<(), LinkEnd> {
        loop {
            match self.socket.emit(name, data) {
                Ok(()) => {
                    self.shared.write_receipts(&self.socket);
                    return Ok(());
                }
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {}
                Err(SendError::Socket(SocketError::Closed)) => return Err(LinkEnd::Closed),
                Err(SendError::Serialize(error)) => return Err(LinkEnd::Lost(error.to_string())),
            }
            tokio::select! {
                () = self.shared.gone.cancelled() => return Err(LinkEnd::Closed),
                () = sleep(FULL) => {}
            }
        }
    }
}

impl Writer for SocketIoWriter {
    async fn send(&mut self, batch: &Batch) -> Result<(), LinkEnd> {
        self.open().await?;
        for (event, seq) in &batch.events {
            self.write(event).await?;
            if let Some(seq) = seq {
                self.shared.written.store(*seq, Ordering::Release);
                self.shared.bell.notify_one();
            }
        }
        Ok(())
    }

    async fn send_chunks(&mut self, _: &[(ChunkHeader, Bytes)]) -> Result<(), LinkEnd> {
        // Nobody can accept a file here, so there are none.
        Err(LinkEnd::Lost("this door carries no bytes of files".to_owned()))
    }

    async fn close(mut self, closing: &Closing) {
        if let Some(opened) = self.opened.take() {
            // Whoever waited for it has gone, or is told.
            let _ = opened.send(Err(closing.message.clone()));
            return self.shared.gone.cancel();
        }
        self.shared.write_receipts(&self.socket);
        let Ok(data) = serde_json::value::to_raw_value(closing) else { return };
        let said = self.emit("connection:closing", &data).await;
        // A client that is disconnected by name does not come back by itself. When the server goes, the
        // connection ends with it, and the client looks for the next one.
        if closing.code == CloseReason::Draining.code() {
            self.shared.stays.store(true, Ordering::Release);
        } else if said.is_ok() {
            if closing.code == CloseReason::TooFast.code() {
                // The library breaks a connection on which someone who was seen off goes on, with what it has
                // to send: nobody in the middle of a flood would hear why.
                tokio::select! {
                    () = self.shared.gone.cancelled() => {}
                    () = sleep(FLOOD) => {}
                }
            }
            drop(self.socket.disconnect());
        }
    }
}
