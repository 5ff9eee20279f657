//! What clients of the original API say, as events of ours, and what we say, as they know it. Pure.
//!
//! Owns: every difference in names and shapes. What has none passes as it is, so that an event that is
//! new to the service is one here, too.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::protocol::{
    ClientEvent, ErrorCode, MAX_FRAME, Message, MessageId, MessageKind, Offered, Refusal, Timestamp, read_event,
};

/// What belongs to a link, or needs a stream of bytes: the door does it itself, or HTTP does. And what the original API
/// has no word for: its calls begin with `webrtc:offer`.
const NOT_HERE: [&str; 16] = [
    "connection:hello",
    "connection:ping",
    "connection:pong",
    "ack",
    "file:offer",
    "file:accept",
    "file:progress",
    "file:complete",
    "webrtc:candidates",
    "call:ring",
    "call:accept",
    "call:decline",
    "call:end",
    "call:join",
    "call:report",
    "ice:renew",
];

/// What an event may say; what else an app adds for itself is passed over. Those that are not named
/// here say nothing.
const FIELDS: [(&str, &[&str]); 9] = [
    ("user:match", &["interests", "languages", "region", "media"]),
    ("user:presence", &["status"]),
    ("chat:typing", &["typing"]),
    ("auth:renew", &["token"]),
    ("file:reject", &["transfer"]),
    ("file:cancel", &["transfer"]),
    ("webrtc:offer", &["offer", "type"]),
    ("webrtc:answer", &["answer"]),
    ("webrtc:ice-candidate", &["candidate"]),
];

/// Reads the event called `name` from its first argument. A message without an id gets `spare`.
///
/// # Errors
/// The refusal to tell the client.
pub(super) fn heard(
    name: &str,
    data: Option<&RawValue>,
    spare: impl FnOnce() -> String,
) -> Result<ClientEvent, Refusal> {
    let text = data.map_or("null", RawValue::get);
    if text.len() > MAX_FRAME {
        let message = format!("An event has at most {MAX_FRAME} bytes. Send files with POST /api/files.");
        return Err(Refusal::new(ErrorCode::EventTooBig, message).of(&cut(name)));
    }
    if NOT_HERE.contains(&name) {
        let message = "This event is not for Socket.IO. Files go over HTTP: POST and GET /api/files.";
        return Err(Refusal::new(ErrorCode::UnknownEvent, message).of(name));
    }
    if name == "chat:message" {
        return message(text, spare).map_err(|refusal| refusal.of(name));
    }
    read_event(name, &known_fields(name, text))
}

/// The fields of `data` that the event has.
fn known_fields(name: &str, text: &str) -> String {
    let fields = FIELDS.iter().find(|(event, _)| *event == name).map_or(&[][..], |(_, fields)| fields);
    // What is no object says nothing, as where no argument was given.
    let mut said: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    said.retain(|field, _| fields.contains(&field.as_str()));
    Value::Object(said).to_string()
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(default)]
    id: Option<MessageId>,
    #[serde(rename = "type")]
    kind: MessageKind,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(default)]
    timestamp: Option<Timestamp>,
}

fn message(text: &str, spare: impl FnOnce() -> String) -> Result<ClientEvent, Refusal> {
    let invalid = |error: serde_json::Error| Refusal::new(ErrorCode::InvalidData, error.to_string());
    let said: Said<'_> = serde_json::from_str(text).map_err(invalid)?;
    let raw = said.content.get();
    let content = match (said.kind, raw.as_bytes().first()) {
        (_, Some(b'"')) => serde_json::from_str(raw).map_err(invalid)?,
        // What describes a file is an object to those who know it as one, and its JSON to the others.
        (MessageKind::File | MessageKind::Voice, Some(b'{')) => raw.to_owned(),
        _ => return Err(Refusal::new(ErrorCode::InvalidData, "content is a string")),
    };
    let id = match said.id {
        Some(id) => id,
        None => MessageId::new(&spare()).expect("the door makes ids that are short"),
    };
    let message = Message { id, kind: said.kind, content, timestamp: said.timestamp };
    let event = ClientEvent::Message(message);
    event.check()?;
    Ok(event)
}

/// The partner as a message names them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sender {
    id: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<Box<RawValue>>,
}

impl Sender {
    /// The partner, if it is them; else all that is known of who it was: what they said before they left
    /// may be heard after that.
    fn of(partner: Option<&Self>, from: &RawValue) -> Self {
        match partner {
            Some(partner) if partner.id.get() == from.get() => partner.clone(),
            Some(_) | None => Self { id: from.to_owned(), username: None },
        }
    }
}

/// The partner whom `user:matched`, or `conversation` in `connection:established`, tells of.
pub(super) fn partner(matched: &str) -> Option<Sender> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Matched<'a> {
        #[serde(borrow)]
        matched_user: Named<'a>,
    }
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(borrow)]
        username: &'a RawValue,
    }
    let Matched { matched_user: Named { id, username } } = serde_json::from_str(matched).ok()?;
    Some(Sender { id: id.to_owned(), username: Some(username.to_owned()) })
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    from: &'a RawValue,
    #[serde(borrow, rename = "type")]
    kind: &'a RawValue,
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow, default)]
    sent: Option<&'a RawValue>,
}

/// A message as the original API tells of one.
#[derive(Serialize)]
struct Tells<'a, C> {
    id: &'a RawValue,
    #[serde(rename = "type")]
    kind: &'a RawValue,
    content: C,
    timestamp: &'a RawValue,
    from: &'a RawValue,
    sender: Sender,
}

/// `chat:message`: with who sent it, and with the sender's own timestamp.
pub(super) fn tell_message(data: &str, partner: Option<&Sender>) -> serde_json::Result<Box<RawValue>> {
    let Told { id, from, kind, content, timestamp, sent } = serde_json::from_str(data)?;
    let (timestamp, sender) = (sent.unwrap_or(timestamp), Sender::of(partner, from));
    if kind.get() != "\"text\""
        && content.starts_with('{')
        && let Ok(content) = serde_json::from_str::<&RawValue>(&content)
    {
        return to_raw_value(&Tells { id, kind, content, timestamp, from, sender });
    }
    to_raw_value(&Tells { id, kind, content, timestamp, from, sender })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileContent<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(rename = "type")]
    mime: &'a str,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

/// `file:offer`: a message of type `file` or `voice`, with where the file can be had once, below `base`.
pub(super) fn tell_file(data: &str, partner: Option<&Sender>, base: &str) -> serde_json::Result<Box<RawValue>> {
    let offered: Offered = serde_json::from_str(data)?;
    let content = FileContent {
        name: &offered.name,
        size: offered.size,
        mime: &offered.mime,
        url: format!("{base}{}", offered.link),
        duration_ms: offered.duration_ms,
    };
    let (id, from) = (to_raw_value(&offered.transfer)?, to_raw_value(&offered.from)?);
    let (kind, timestamp) = (to_raw_value(&offered.kind)?, to_raw_value(&offered.timestamp)?);
    let sender = Sender::of(partner, &from);
    to_raw_value(&Tells { id: &id, kind: &kind, content, timestamp: &timestamp, from: &from, sender })
}

/// `connection:established`, without what only a client of ours could use: the person, the connection,
/// and the conversation that goes on.
pub(super) struct Greeting {
    /// The event's data.
    pub(super) established: Box<RawValue>,
    /// How far the service has counted this client's events.
    pub(super) received: u64,
    /// The conversation, as `user:matched` tells of it once more.
    pub(super) matched: Option<Box<RawValue>>,
}

/// The greeting of a connection called `socket`.
pub(super) fn greet(data: &str, socket: &str) -> serde_json::Result<Greeting> {
    let mut said: Map<String, Value> = serde_json::from_str(data)?;
    let received = said.remove("received").and_then(|received| received.as_u64()).unwrap_or(0);
    for ours in ["key", "heartbeatMs", "transfers", "lost"] {
        said.remove(ours);
    }
    said.insert("socketId".to_owned(), socket.into());
    let matched = said.get("conversation").and_then(Value::as_object).map(|matched| {
        let mut matched = matched.clone();
        matched.insert("resumed".to_owned(), true.into());
        to_raw_value(&matched)
    });
    Ok(Greeting { established: to_raw_value(&said)?, received, matched: matched.transpose()? })
}

/// A client's name for something, short enough to be said back.
fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::{CallKind, Nothing, Wish};

    fn say(name: &str, data: Value) -> Result<ClientEvent, Refusal> {
        heard(name, Some(&to_raw_value(&data).unwrap()), || "spare".to_owned())
    }

    fn code(name: &str, data: Value) -> ErrorCode {
        say(name, data).unwrap_err().code
    }

    #[test]
    fn the_originals_events_are_read_whatever_an_app_adds_to_them() {
        assert_eq!(heard("user:match", None, || unreachable!()), Ok(ClientEvent::Match(Wish::default())));
        assert_eq!(say("user:match", json!("now")), Ok(ClientEvent::Match(Wish::default())));
        assert_eq!(say("chat:clear", json!({"room": 7})), Ok(ClientEvent::Clear(Nothing {})));
        let offer = json!({"offer": {"type": "offer", "sdp": "v=0"}, "type": "audio", "to": "someone"});
        let Ok(ClientEvent::CallOffer(offer)) = say("webrtc:offer", offer) else { panic!("an offer") };
        assert_eq!((offer.kind, offer.offer.sdp.as_str()), (CallKind::Audio, "v=0"));
        let said = json!({"type": "text", "content": "hi", "timestamp": 1_700_000_000_000_u64, "room": 7});
        let Ok(ClientEvent::Message(message)) = say("chat:message", said) else { panic!("a message") };
        assert_eq!((message.id.as_str(), message.content.as_str()), ("spare", "hi"));
        assert_eq!(message.timestamp, Some(Timestamp::Number(1_700_000_000_000.0)));
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        use ErrorCode as E;
        assert_eq!(code("chat:message", json!({"type": "text", "content": {"$gt": ""}})), E::InvalidData);
        assert_eq!(code("chat:message", json!({"type": "poem", "content": "x"})), E::InvalidData);
        assert_eq!(code("chat:message", json!({"type": "text"})), E::InvalidData);
        assert_eq!(code("chat:message", json!({"type": "text", "content": ""})), E::InvalidData);
        assert_eq!(code("chat:message", json!({"type": "text", "content": "x".repeat(8193)})), E::TextTooLong);
        assert_eq!(code("chat:message", json!({"type": "text", "content": "x".repeat(MAX_FRAME)})), E::EventTooBig);
        assert_eq!(code("file:offer", json!({})), E::UnknownEvent);
        assert_eq!(code("no:such", json!({})), E::UnknownEvent);
        assert_eq!(code("webrtc:answer", json!({})), E::InvalidData);
    }

    #[test]
    fn a_description_of_a_file_is_an_object_to_those_who_know_it_as_one() {
        let said = json!({"type": "file", "content": {"name": "a.png", "url": "https://files.example/a.png"}});
        let Ok(ClientEvent::Message(message)) = say("chat:message", said) else { panic!("a message") };
        assert_eq!(message.content, r#"{"name":"a.png","url":"https://files.example/a.png"}"#);
        let partner = partner(r#"{"matchedUser":{"id":"aa","username":"Ann","guest":true},"x":1}"#);
        let told = json!({"id": "m", "from": "aa", "type": "file", "content": message.content, "timestamp": 5});
        let told = tell_message(&told.to_string(), partner.as_ref()).unwrap();
        let told: Value = serde_json::from_str(told.get()).unwrap();
        assert_eq!(
            told,
            json!({"id": "m", "from": "aa", "type": "file", "timestamp": 5, "sender": {"id": "aa", "username": "Ann"},
                "content": {"name": "a.png", "url": "https://files.example/a.png"}})
        );
    }

    #[test]
    fn a_message_has_the_time_its_sender_gave_it() {
        let told = json!({"id": "m", "from": "aa", "type": "text", "content": "{\"x\":\"é\"}\n", "timestamp": 5,
            "sent": "yesterday"});
        let told = tell_message(&told.to_string(), None).unwrap();
        let told: Value = serde_json::from_str(told.get()).unwrap();
        let expected = json!({"id": "m", "from": "aa", "type": "text", "content": "{\"x\":\"é\"}\n",
            "timestamp": "yesterday", "sender": {"id": "aa"}});
        assert_eq!(told, expected);
    }

    #[test]
    fn a_greeting_keeps_the_secret_and_tells_of_the_conversation() {
        let established = json!({"session": "s", "key": "secret", "resumed": true, "received": 7, "user": {"id": "u"},
            "heartbeatMs": 1, "state": "talking", "conversation": {"conversation": "c", "matchedUser": {"id": "p"}}});
        let greeting = greet(&established.to_string(), "sid").unwrap();
        assert_eq!(greeting.received, 7);
        let established: Value = serde_json::from_str(greeting.established.get()).unwrap();
        assert_eq!(established["socketId"], "sid");
        assert!(established.get("key").is_none() && established.get("received").is_none());
        let matched: Value = serde_json::from_str(greeting.matched.unwrap().get()).unwrap();
        assert_eq!(matched, json!({"conversation": "c", "matchedUser": {"id": "p"}, "resumed": true}));
    }
}
