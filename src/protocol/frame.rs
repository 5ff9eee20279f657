//! Bytes to events and back. A frame is one JSON object in UTF-8:
//! `{"event": "chat:message", "data": {...}, "seq": 12, "ack": 7}`, with `seq` on reliable events and
//! `ack` on any. Doors add their own edges: a WebSocket message is one frame; on a WebTransport
//! control stream each frame has its length before it, four bytes, big-endian.

use std::fmt;
use std::io::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::event::{ClientEvent, Lane, ServerEvent};
use super::ids::TransferId;
use super::reason::{ErrorCode, Refusal};

/// Largest frame either side may send, in bytes.
pub const MAX_FRAME: usize = 64 * 1024;

/// An event in the form that every recipient shares: its data is written as JSON once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The name on the wire.
    pub name: &'static str,
    /// The `data` of the envelope.
    pub data: Bytes,
    /// Whether it gets a number.
    pub lane: Lane,
    /// What of several of its name it is about.
    pub topic: Option<TransferId>,
}

impl Encoded {
    /// An event of the server that was encoded elsewhere; `None`: there is none of this name.
    pub fn of_server(name: &str, data: Bytes, topic: Option<TransferId>) -> Option<Self> {
        let (name, lane) = ServerEvent::known(name)?;
        Some(Self { name, data, lane, topic })
    }

    /// What it costs to keep, in bytes.
    pub fn cost(&self) -> usize {
        self.data.len() + size_of::<Self>()
    }
}

impl From<&ServerEvent> for Encoded {
    fn from(event: &ServerEvent) -> Self {
        Self { topic: event.topic().cloned(), ..encoded(event.name(), event.lane(), event.data()) }
    }
}

impl From<&ClientEvent> for Encoded {
    fn from(event: &ClientEvent) -> Self {
        encoded(event.name(), event.lane(), event.data())
    }
}

fn encoded(name: &'static str, lane: Lane, data: serde_json::Result<Vec<u8>>) -> Encoded {
    // Structs of strings, numbers and lists: serde_json has nothing to refuse in them.
    let data = data.expect("wire types are always valid JSON");
    Encoded { name, data: data.into(), lane, topic: None }
}

/// Appends the frame of an event to `out`, with its number and an acknowledgement where given.
pub fn write_frame(out: &mut BytesMut, event: &Encoded, seq: Option<u64>, ack: Option<u64>) {
    out.reserve(event.data.len() + event.name.len() + 72);
    out.put_slice(b"{\"event\":\"");
    out.put_slice(event.name.as_bytes());
    out.put_slice(b"\",\"data\":");
    out.put_slice(&event.data);
    write_field(out, "seq", seq);
    write_field(out, "ack", ack);
    out.put_u8(b'}');
}

/// Appends the frame that does nothing but acknowledge everything up to `ack`.
pub fn write_ack(out: &mut BytesMut, ack: u64) {
    out.put_slice(b"{\"event\":\"ack\"");
    write_field(out, "ack", Some(ack));
    out.put_u8(b'}');
}

fn write_field(out: &mut BytesMut, name: &str, number: Option<u64>) {
    if let Some(number) = number {
        write!(out.writer(), ",\"{name}\":{number}").expect("writing to memory does not fail");
    }
}

/// A frame of a client whose envelope could be read, even if its event could not.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientFrame {
    /// The event's number, on reliable ones.
    pub seq: Option<u64>,
    /// Everything of the other side's up to here has arrived.
    pub ack: Option<u64>,
    /// The event, or why it is refused.
    pub event: Result<ClientEvent, Refusal>,
}

impl ClientFrame {
    /// Reads one frame. Unknown fields are refused, in the envelope and in the data.
    ///
    /// # Errors
    /// [`ErrorCode::MalformedFrame`] when not even the envelope can be read; its number is then
    /// not known, and not counted.
    pub fn decode(frame: &[u8]) -> Result<Self, Refusal> {
        let envelope = Envelope::read(frame)?;
        let Envelope { event: name, seq, ack, .. } = envelope;
        let event = match envelope.unknown {
            Some(field) => Err(Refusal::new(
                ErrorCode::InvalidData,
                format!("The envelope has no field \"{field}\"; it has event, data, seq and ack."),
            )
            .of(&name)),
            None => read_event(&name, envelope.data.map_or("{}", RawValue::get)),
        };
        Ok(Self { seq, ack, event })
    }
}

/// Reads and checks the event called `name` from the JSON of its `data`.
///
/// # Errors
/// What is wrong with it, with its name.
pub fn read_event(name: &str, data: &str) -> Result<ClientEvent, Refusal> {
    let event = ClientEvent::parse(name, data)
        .ok_or_else(|| {
            // An unknown name may be anything: what comes back of it is cut.
            let name: String = name.chars().take(super::ids::MAX_CLIENT_ID).collect();
            Refusal::new(ErrorCode::UnknownEvent, "There is no such event.").of(&name)
        })?
        .map_err(|error| Refusal::new(ErrorCode::InvalidData, sentence(&error)).of(name))?;
    event.check()?;
    Ok(event)
}

/// serde's words without the position, which counts inside `data` and would mislead.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A frame of the server, as a client reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerFrame {
    /// The event's number, on reliable ones.
    pub seq: Option<u64>,
    /// Everything of the client's up to here has arrived.
    pub ack: Option<u64>,
    /// The event; `None` when this client does not know it, so that servers can grow.
    pub event: Option<ServerEvent>,
}

impl ServerFrame {
    /// Reads one frame. Unknown events and fields are passed over.
    ///
    /// # Errors
    /// When the envelope, or the data of a known event, cannot be read.
    pub fn decode(frame: &[u8]) -> Result<Self, Refusal> {
        let envelope = Envelope::read(frame)?;
        let event = ServerEvent::parse(&envelope.event, envelope.data.map_or("{}", RawValue::get))
            .transpose()
            .map_err(|error| Refusal::new(ErrorCode::InvalidData, error.to_string()).of(&envelope.event))?;
        Ok(Self { seq: envelope.seq, ack: envelope.ack, event })
    }
}

/// The envelope, its data still unread. `unknown` is the first field that does not belong.
struct Envelope<'a> {
    event: String,
    data: Option<&'a RawValue>,
    seq: Option<u64>,
    ack: Option<u64>,
    unknown: Option<String>,
}

impl<'a> Envelope<'a> {
    fn read(frame: &'a [u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(frame).map_err(|error| {
            Refusal::new(ErrorCode::MalformedFrame, format!("A frame is one JSON object with an event: {error}."))
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

/// By hand, because an unknown field must not hide the number beside it: the number counts.
struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with event, data, seq and ack")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut event, mut data, mut seq, mut ack, mut unknown) = (None, None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "event" => once(&mut event, map.next_value()?, "event")?,
                "data" => once(&mut data, map.next_value()?, "data")?,
                "seq" => once(&mut seq, map.next_value()?, "seq")?,
                "ack" => once(&mut ack, map.next_value()?, "ack")?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    unknown.get_or_insert_with(|| key.chars().take(super::ids::MAX_CLIENT_ID).collect());
                }
            }
        }
        let event = event.ok_or_else(|| de::Error::missing_field("event"))?;
        Ok(Envelope { event, data, seq, ack, unknown })
    }
}

fn once<T, E: de::Error>(slot: &mut Option<T>, value: T, field: &'static str) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(frame: &str) -> ErrorCode {
        match ClientFrame::decode(frame.as_bytes()) {
            Err(refusal) => refusal.code,
            Ok(frame) => frame.event.expect_err("refused").code,
        }
    }

    #[test]
    fn a_bad_frame_is_refused_with_the_code_of_what_is_wrong() {
        for malformed in [
            "",
            "{",
            "[]",
            "7",
            "\"x\"",
            "{}",
            "{\"event\":7}",
            "{\"event\":\"ack\",\"event\":\"ack\"}",
            "{\"event\":\"ack\",\"seq\":-1}",
            "{\"event\":\"ack\",\"seq\":1.5}",
            "{\"event\":\"ack\"} x",
        ] {
            assert_eq!(code(malformed), ErrorCode::MalformedFrame, "{malformed}");
        }
        assert_eq!(code(r#"{"event":"no:such"}"#), ErrorCode::UnknownEvent);
        for invalid in [
            r#"{"event":"ack","extra":1}"#,
            r#"{"event":"chat:typing"}"#,
            r#"{"event":"chat:typing","data":{"typing":"yes"}}"#,
            r#"{"event":"chat:typing","data":{"typing":true,"x":1}}"#,
            r#"{"event":"chat:typing","data":7}"#,
            r#"{"event":"user:match","data":{"interests":[""]}}"#,
            r#"{"event":"user:match","data":{"interests":{"$gt":""}}}"#,
            r#"{"event":"chat:message","data":{"id":"","type":"text","content":"x"}}"#,
            r#"{"event":"chat:message","data":{"id":"a","type":"text","content":""}}"#,
        ] {
            assert_eq!(code(invalid), ErrorCode::InvalidData, "{invalid}");
        }
        let long = "é".repeat(4097);
        let frame =
            format!(r#"{{"event":"chat:message","data":{{"id":"a","type":"text","content":"{long}"}},"seq":3}}"#);
        let frame = ClientFrame::decode(frame.as_bytes()).unwrap();
        assert_eq!(frame.seq, Some(3), "a refused event keeps its number");
        let refusal = frame.event.unwrap_err();
        assert_eq!((refusal.code, refusal.id.as_deref()), (ErrorCode::TextTooLong, Some("a")));
        assert_eq!(refusal.event.as_deref(), Some("chat:message"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let event = ServerEvent::Typing(crate::protocol::Typing { typing: true });
        let mut out = BytesMut::new();
        write_frame(&mut out, &Encoded::from(&event), Some(u64::MAX), Some(0));
        let frame = ServerFrame::decode(&out).unwrap();
        assert_eq!(frame, ServerFrame { seq: Some(u64::MAX), ack: Some(0), event: Some(event) });
        out.clear();
        write_ack(&mut out, 7);
        assert_eq!(&out[..], br#"{"event":"ack","ack":7}"#);
        assert_eq!(ServerFrame::decode(br#"{"event":"new:thing","data":{},"seq":4,"x":1}"#).unwrap().event, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (ClientFrame::decode(&bytes), ServerFrame::decode(&bytes));
        }

        #[test]
        fn no_json_makes_it_panic(text in r#"\{("(event|data|seq|ack|x)":("(chat:message|ack|é|\\u0000)"|[0-9]{1,25}|\{\}|null),?){0,5}\}"#) {
            let _ = (ClientFrame::decode(text.as_bytes()), ServerFrame::decode(text.as_bytes()));
        }

        #[test]
        fn any_text_survives_the_wire(content in "\\PC{1,200}|[\u{0}-\u{1f}\u{202e}\u{2028}]{1,40}", seq in 1u64..) {
            let id = crate::protocol::MessageId::new("m1").unwrap();
            let event = ClientEvent::Message(crate::protocol::Message {
                id, kind: crate::protocol::MessageKind::Text, content, timestamp: None,
            });
            let mut out = BytesMut::new();
            write_frame(&mut out, &Encoded::from(&event), Some(seq), None);
            let frame = ClientFrame::decode(&out).unwrap();
            prop_assert_eq!(frame.event.unwrap(), event);
            prop_assert_eq!(frame.seq, Some(seq));
        }
    }
}
