//! What two nodes say to each other about a session: the first message of a stream asks for something, and
//! once that is granted, the stream carries the link of a client from the node at which it is (its *edge*)
//! to the node at which the session is (its *home*).

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::chat::TalkLuggage;
use crate::hub::{Door, Here};
use crate::nodes::Outgoing;
use crate::outbox::Batch;
use crate::protocol::{
    ChunkHeader, ClientFrame, Closing, Encoded, Lost, PublicUser, Refusal, Resume, SessionId, Ticket, TransferId,
    UserId, Whence, write_frame,
};
use crate::session::Heard;
use crate::session::image::Image;

/// The first message of a stream.
pub(super) const ASK: u8 = b'A';
/// Its answer.
pub(super) const REPLY: u8 = b'R';

/// From the edge: a frame that the client sent, as it sent it.
pub(super) const FRAME: u8 = b'f';
/// From the edge: a frame that could not be read.
pub(super) const ODD: u8 = b'o';
/// Either way: bytes of a transfer.
pub(super) const CHUNK: u8 = b'c';
/// From the edge: the link is over.
pub(super) const END: u8 = b'x';
/// From the edge: the session is here now, and nothing more comes.
pub(super) const DONE: u8 = b'd';
/// From home: events for the client.
pub(super) const BATCH: u8 = b'b';
/// From home: what became of a frame whose sender asked.
pub(super) const ANSWER: u8 = b'a';
/// From home: the session's farewell.
pub(super) const CLOSING: u8 = b'z';
/// From home: the session goes to its edge.
pub(super) const HOME: u8 = b'h';
/// From home: a message of the edge's that came too late, handed back.
pub(super) const BACK: u8 = b'r';

/// What one node asks of another. Its variant is its outermost name: raw JSON, which mail is kept as, can be
/// read from there only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ask {
    /// Have this session; its link stays here, and comes with the stream.
    Move { image: Box<Image>, link: LinkCard, seeker: SessionId },
    /// Would you have sessions of a node that stops?
    Room,
    /// Have these two, with their talk; their clients have no link.
    Pair { images: Box<[Image; 2]>, talk: TalkLuggage },
    /// Have this one, whose client has no link.
    Single { image: Box<Image> },
    /// A client that is here would go on with a session that is there.
    Resume(Box<Back>),
    /// Who is there?
    People,
    /// Does this person talk there?
    Talker { user: UserId },
    /// Is a file offered there by this ticket?
    Ticket { ticket: Ticket },
    /// Serve a request of a client that is here, at this address, and came by TLS or not. Once that is
    /// granted, the stream is its connection.
    Web { peer: SocketAddr, secure: bool },
}

impl Ask {
    /// The sessions that are sent.
    pub(super) fn images(&self) -> &[Image] {
        match self {
            Self::Pair { images, .. } => &images[..],
            Self::Move { image, .. } | Self::Single { image } => std::slice::from_ref(image),
            _ => &[],
        }
    }

    pub(super) fn images_mut(&mut self) -> &mut [Image] {
        match self {
            Self::Pair { images, .. } => &mut images[..],
            Self::Move { image, .. } | Self::Single { image } => std::slice::from_mut(image),
            _ => &mut [],
        }
    }
}

/// A client that would go on with its session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Back {
    pub(super) user: UserId,
    /// Milliseconds since 1970.
    pub(super) expires: u64,
    pub(super) session: SessionId,
    /// What it has shown; `None`: a client that has no key, which is known by its person.
    pub(super) resume: Option<Resume>,
    pub(super) whence: Whence,
    pub(super) link: LinkCard,
}

/// A link that is carried.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct LinkCard {
    /// By which its streams are known.
    pub(super) number: u64,
    pub(super) door: Door,
    /// The bytes of transfers go on streams of their own.
    pub(super) streams: bool,
}

/// What was granted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reply {
    /// All that was asked for.
    Granted,
    /// There is no such session to go on with, for this reason.
    Lost { why: Lost },
    /// It cannot be had now.
    Refused { why: String },
    /// These are there.
    People { people: Vec<Person> },
}

/// Someone who is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Person {
    user: PublicUser,
    talking: bool,
    status: crate::protocol::Presence,
}

impl From<Here> for Person {
    fn from(Here { user, talking, status }: Here) -> Self {
        Self { user, talking, status }
    }
}

impl From<Person> for Here {
    fn from(Person { user, talking, status }: Person) -> Self {
        Self { user, talking, status }
    }
}

/// A frame that could not be read.
#[derive(Serialize, Deserialize)]
struct Odd {
    seq: Option<u64>,
    ack: Option<u64>,
    refusal: Refusal,
}

/// What became of a frame whose sender asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Told {
    /// Nothing was told: the session's end came first.
    Nothing,
    Done,
    Refused(Refusal),
}

/// How a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Closed,
    Lost,
    TooBig,
}

impl Ended {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Lost => 1,
            Self::TooBig => 2,
        }
    }

    pub(super) fn of(code: u8) -> Self {
        match code {
            0 => Self::Closed,
            2 => Self::TooBig,
            _ => Self::Lost,
        }
    }
}

/// A message of either side as JSON.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of strings, numbers and lists are JSON")
}

/// A frame that the client sent, and whether its sender asked what became of it. Yields its kind and its parts.
pub(super) fn frame(frame: &Result<ClientFrame, Refusal>, asked: bool) -> (u8, BytesMut) {
    let mut out = BytesMut::new();
    out.put_u8(u8::from(asked));
    let odd = |seq, ack, refusal: &Refusal| json(&Odd { seq, ack, refusal: refusal.clone() });
    match frame {
        Ok(ClientFrame { seq, ack, event: Ok(event) }) => {
            write_frame(&mut out, &Encoded::from(event), *seq, *ack);
            return (FRAME, out);
        }
        Ok(ClientFrame { seq, ack, event: Err(refusal) }) => out.extend_from_slice(&odd(*seq, *ack, refusal)),
        Err(refusal) => out.extend_from_slice(&odd(None, None, refusal)),
    }
    (ODD, out)
}

/// What [`frame`] and [`chunk`] wrote. `None`: it is none of theirs.
pub(super) fn heard(kind: u8, mut message: Bytes) -> Option<(Heard, bool)> {
    match kind {
        FRAME | ODD if !message.is_empty() => {
            let asked = message.get_u8() == 1;
            let frame = match kind {
                FRAME => ClientFrame::decode(&message),
                _ => {
                    let Odd { seq, ack, refusal } = serde_json::from_slice(&message).ok()?;
                    Ok(ClientFrame { seq, ack, event: Err(refusal) })
                }
            };
            Some((Heard::Frame(frame), asked))
        }
        CHUNK => {
            let (header, bytes) = ChunkHeader::split(message).ok()?;
            Some((Heard::Chunk(header, bytes), false))
        }
        _ => None,
    }
}

/// Puts bytes of a transfer.
pub(super) fn put_chunk(out: &mut Outgoing, header: &ChunkHeader, bytes: &Bytes) {
    let mut head = BytesMut::new();
    header.write(&mut head);
    out.put(CHUNK, &[&head, bytes]);
}

/// Puts events for the client.
pub(super) fn put_batch(out: &mut Outgoing, batch: &Batch) {
    let mut head = BytesMut::new();
    put_number(&mut head, batch.ack);
    for (event, seq) in &batch.events {
        put_number(&mut head, *seq);
        put_text(&mut head, event.name);
        put_text(&mut head, event.topic.as_ref().map_or("", |topic| topic.as_str()));
        // A frame's size bounds it.
        head.put_u32(u32::try_from(event.data.len()).unwrap_or(u32::MAX));
        head.put_slice(&event.data);
    }
    out.put(BATCH, &[&head]);
}

/// Reads what [`put_batch`] wrote into `batch`. `None`: it is not that.
pub(super) fn read_batch(mut message: Bytes, batch: &mut Batch) -> Option<()> {
    batch.events.clear();
    batch.ack = number(&mut message)?;
    while message.has_remaining() {
        let seq = number(&mut message)?;
        let name = text(&mut message)?;
        let topic = text(&mut message)?;
        let topic = match topic.is_empty() {
            true => None,
            false => Some(TransferId::new(std::str::from_utf8(&topic).ok()?).ok()?),
        };
        let length = usize::try_from(message.try_get_u32().ok()?).ok()?;
        let data = (message.len() >= length).then(|| message.split_to(length))?;
        let event = Encoded::of_server(std::str::from_utf8(&name).ok()?, data, topic)?;
        batch.events.push((event, seq));
    }
    Some(())
}

/// A farewell.
pub(super) fn closing(message: &[u8]) -> Option<Closing> {
    serde_json::from_slice(message).ok()
}

fn put_number(out: &mut BytesMut, number: Option<u64>) {
    // Numbers begin at 1; an acknowledgement of none is as good as none.
    out.put_u64(number.map_or(0, |number| number + 1));
}

fn number(message: &mut Bytes) -> Option<Option<u64>> {
    Some(message.try_get_u64().ok()?.checked_sub(1))
}

fn put_text(out: &mut BytesMut, text: &str) {
    // Names and ids are short: at most 64 characters of 4 bytes.
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

fn text(message: &mut Bytes) -> Option<Bytes> {
    let length = usize::from(message.try_get_u16().ok()?);
    (message.len() >= length).then(|| message.split_to(length))
}
