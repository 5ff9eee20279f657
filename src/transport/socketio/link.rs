//! A Socket.IO connection as a link: numbers are put on what comes in and taken off what goes out.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketioxide::extract::AckSender;
use socketioxide::socket::Socket;
use socketioxide_core::Str;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Porch;
use super::shared::{Call, Shared};
use super::words;
use super::writing::SocketIoWriter;
use crate::hub::Door;
use crate::protocol::{Beat, ClientEvent, ClientFrame, ErrorCode, Hello, Lane, Nothing, Refusal, Wish};
use crate::session::{Heard, Link, LinkEnd, NoStreams, Peer, Reader};

/// How long a receipt waits for something else to go with: alone it would double what a message costs.
const RECEIPT: Duration = Duration::from_millis(10);
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
        // Whoever was not let in is seen off where that was refused.
        let let_in = self.shared.connected.is_cancelled();
        if !let_in || self.shared.ended.is_cancelled() || self.shared.stays.load(Ordering::Acquire) {
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
        let spare = || format!("{:016x}-{}", self.prefix, self.number() + 1);
        let event = read(said.as_ref(), spare);
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
fn read(said: Option<&Str>, spare: impl FnOnce() -> String) -> Result<ClientEvent, Refusal> {
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
