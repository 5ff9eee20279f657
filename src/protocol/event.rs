//! All a client may say ([`ClientEvent`]) and all it may hear ([`ServerEvent`]).
//!
//! Each vocabulary is one table below: the wire name, the variant, its data, and whether it is
//! reliable (numbered, kept until acknowledged) or volatile (may be lost, the newest wins).

use serde::{Deserialize, Serialize};

use super::call::*;
use super::heard::*;
use super::ids::{CallId, MessageId, SessionId, SessionKey, TransferId};
use super::reason::{ErrorCode, Refusal};
use super::signal::*;
use super::transfer::*;

/// Longest text of a message, in bytes of UTF-8.
pub const MAX_TEXT: usize = 8 * 1024;
/// Most interests a person may name.
pub const MAX_INTERESTS: usize = 10;
/// Most languages a person may name.
pub const MAX_LANGUAGES: usize = 5;
/// Longest interest, language, region or client name, in bytes of UTF-8.
pub const MAX_TAG: usize = 48;

/// How an event travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Arrives exactly once, in order, across links.
    Reliable,
    /// May be lost; never delays a reliable one.
    Volatile,
    /// Belongs to the link itself: not numbered, but never left to a datagram.
    Link,
}

/// A rule that the shape of the data alone does not state.
pub trait Check {
    /// # Errors
    /// The refusal to tell the client, without the event's name.
    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $vocabulary:ident { $($name:literal $variant:ident($data:ty) $lane:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $vocabulary {
            $(#[doc = concat!("`", $name, "`")] $variant($data),)*
        }

        impl $vocabulary {
            /// Every name of the vocabulary, in the order of the table.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The name on the wire.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// Reliable or volatile.
            pub const fn lane(&self) -> Lane {
                match self { $(Self::$variant(_) => Lane::$lane,)* }
            }

            /// The name as the vocabulary has it, and its lane; `None`: no such event.
            pub fn known(name: &str) -> Option<(&'static str, Lane)> {
                match name {
                    $($name => Some(($name, Lane::$lane)),)*
                    _ => None,
                }
            }

            /// The `data` of the envelope, as JSON.
            pub fn data(&self) -> serde_json::Result<Vec<u8>> {
                match self { $(Self::$variant(data) => serde_json::to_vec(data),)* }
            }

            /// Reads the event called `name` from the JSON of its `data`; `None`: no such event.
            pub fn parse(name: &str, data: &str) -> Option<serde_json::Result<Self>> {
                match name {
                    $($name => Some(serde_json::from_str(data).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

vocabulary! {
    /// All a client may say.
    ClientEvent {
        "connection:hello" Hello(Hello) Link,
        "connection:ping" Ping(Beat) Volatile,
        "connection:pong" Pong(Beat) Volatile,
        "ack" Ack(Nothing) Link,
        "auth:renew" Renew(Renew) Reliable,
        "user:match" Match(Wish) Reliable,
        "user:match:cancel" MatchCancel(Nothing) Reliable,
        "user:skip" Skip(Nothing) Reliable,
        "user:leave" Leave(Nothing) Reliable,
        "user:presence" Presence(OwnPresence) Reliable,
        "chat:message" Message(Message) Reliable,
        "chat:typing" Typing(Typing) Volatile,
        "chat:clear" Clear(Nothing) Reliable,
        "file:offer" Offer(Offer) Reliable,
        "file:accept" Accept(About) Reliable,
        "file:reject" Reject(About) Reliable,
        "file:progress" Progress(Progress) Link,
        "file:complete" Complete(Complete) Reliable,
        "file:cancel" Cancel(About) Reliable,
        "webrtc:offer" CallOffer(CallOffer) Reliable,
        "webrtc:answer" CallAnswer(CallAnswer) Reliable,
        "webrtc:ice-candidate" CallCandidate(CallCandidate) Reliable,
        "webrtc:candidates" CallCandidates(CallCandidates) Reliable,
        "call:ring" Ring(Ring) Reliable,
        "call:accept" AcceptCall(AcceptCall) Reliable,
        "call:decline" DeclineCall(DeclineCall) Reliable,
        "call:end" EndCall(EndCall) Reliable,
        "call:join" JoinCall(JoinCall) Reliable,
        "call:report" CallReport(CallReport) Volatile,
        "ice:renew" RenewIce(Nothing) Reliable,
    }
}

vocabulary! {
    /// All a client may hear.
    ServerEvent {
        "connection:established" Established(Box<Established>) Link,
        "connection:closing" Closing(Closing) Link,
        "connection:ping" Ping(Beat) Volatile,
        "connection:pong" Pong(Beat) Volatile,
        "ack" Ack(Nothing) Link,
        "auth:renewed" Renewed(Renewed) Reliable,
        "user:idle" Idle(Nothing) Reliable,
        "user:matching" Matching(Matching) Reliable,
        "user:matched" Matched(Matched) Reliable,
        "user:unmatched" Unmatched(Unmatched) Reliable,
        "user:status" Status(PartnerStatus) Reliable,
        "chat:message" Message(MessageOut) Reliable,
        "chat:delivered" Delivered(Delivered) Reliable,
        "chat:typing" Typing(Typing) Volatile,
        "chat:clear" Clear(Cleared) Reliable,
        "file:offer" Offer(Offered) Reliable,
        "file:accept" Accept(About) Reliable,
        "file:reject" Reject(About) Reliable,
        "file:progress" Progress(Progress) Link,
        "file:complete" Complete(Complete) Reliable,
        "file:cancel" Cancel(Cancelled) Reliable,
        "webrtc:offer" CallOffer(CallOffer) Reliable,
        "webrtc:answer" CallAnswer(CallAnswer) Reliable,
        "webrtc:ice-candidate" CallCandidate(CallCandidate) Reliable,
        "webrtc:candidates" CallCandidates(CallCandidates) Reliable,
        "call:ring" Rings(Rings) Reliable,
        "call:accept" Accepted(Accepted) Reliable,
        "call:ended" CallEnded(CallEnded) Reliable,
        "call:join" Joined(Joined) Reliable,
        "ice:renewed" IceRenewed(IceRenewed) Reliable,
        "error" Error(Refusal) Reliable,
    }
}

impl ClientEvent {
    /// The rules that the shape of the data alone does not state.
    ///
    /// # Errors
    /// The refusal, with the event's name and the id inside it.
    pub fn check(&self) -> Result<(), Refusal> {
        let checked = match self {
            Self::Hello(hello) => hello.check(),
            Self::Match(wish) => wish.check(),
            Self::Message(message) => message.check(),
            Self::Offer(offer) => offer.check(),
            Self::CallOffer(offer) => offer.check(),
            Self::CallAnswer(answer) => answer.check(),
            Self::CallCandidate(candidate) => candidate.check(),
            Self::CallCandidates(candidates) => candidates.check(),
            Self::CallReport(report) => report.check(),
            Self::JoinCall(join) => join.check(),
            Self::Ping(_)
            | Self::Pong(_)
            | Self::Ack(_)
            | Self::Renew(_)
            | Self::MatchCancel(_)
            | Self::Skip(_)
            | Self::Leave(_)
            | Self::Presence(_)
            | Self::Typing(_)
            | Self::Clear(_)
            | Self::Accept(_)
            | Self::Reject(_)
            | Self::Progress(_)
            | Self::Complete(_)
            | Self::Cancel(_)
            | Self::Ring(_)
            | Self::AcceptCall(_)
            | Self::DeclineCall(_)
            | Self::EndCall(_)
            | Self::RenewIce(_) => Ok(()),
        };
        checked.map_err(|refusal| refusal.of(self.name()))
    }

    /// The client's own name for what the event is about.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message(message) => Some(message.id.as_str()),
            Self::Offer(offer) => Some(offer.transfer.as_str()),
            Self::Accept(about) | Self::Reject(about) | Self::Cancel(about) => Some(about.transfer.as_str()),
            Self::Progress(progress) => Some(progress.transfer.as_str()),
            Self::Complete(complete) => Some(complete.transfer.as_str()),
            Self::CallOffer(CallOffer { call, .. }) | Self::CallAnswer(CallAnswer { call, .. }) => {
                call.as_ref().map(CallId::as_str)
            }
            Self::CallCandidates(CallCandidates { call, .. })
            | Self::Ring(Ring { call, .. })
            | Self::AcceptCall(AcceptCall { call, .. })
            | Self::DeclineCall(DeclineCall { call, .. })
            | Self::EndCall(EndCall { call, .. })
            | Self::JoinCall(JoinCall { call, .. })
            | Self::CallReport(CallReport { call, .. }) => Some(call.as_str()),
            _ => None,
        }
    }
}

impl ServerEvent {
    /// What of several of one name it is about: only the newest of each is worth sending.
    pub fn topic(&self) -> Option<&TransferId> {
        match self {
            Self::Progress(progress) => Some(&progress.transfer),
            _ => None,
        }
    }
}

/// `{}`: an event that says everything by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The first frame of every link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hello {
    /// Must be [`PROTOCOL`](super::PROTOCOL).
    pub protocol: u32,
    /// The person's access token.
    pub token: String,
    /// The program that speaks.
    pub client: ClientInfo,
    /// The session to go on with, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// The program that speaks, as it names itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientInfo {
    /// The program's name, at most [`MAX_TAG`] bytes.
    pub name: String,
    /// Its version, at most [`MAX_TAG`] bytes.
    pub version: String,
    /// One session a device: a second one of the same id supersedes the first. At most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// It understands `call:*`, beside the original API's bare `webrtc:*`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls: bool,
}

/// What a client shows to go on with its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resume {
    /// The session's name.
    pub session: SessionId,
    /// Its secret.
    pub key: SessionKey,
    /// The highest `seq` the client has received in it.
    pub received: u64,
    /// The transfers it still has; absent: none, as after a reload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfers: Option<Vec<HeldTransfer>>,
}

impl Check for Hello {
    fn check(&self) -> Result<(), Refusal> {
        let ClientInfo { name, version, device_id, calls: _ } = &self.client;
        tag("client.name", name)?;
        tag("client.version", version)?;
        match device_id {
            Some(id) if id.is_empty() || id.chars().count() > super::ids::MAX_CLIENT_ID => {
                return Err(invalid("client.deviceId has 1 to 64 characters"));
            }
            _ => {}
        }
        match self.resume.as_ref().and_then(|resume| resume.transfers.as_ref()) {
            Some(held) if held.len() > MAX_HELD => Err(invalid(format!("resume.transfers names at most {MAX_HELD}"))),
            _ => Ok(()),
        }
    }
}

/// A beat of the heart: answer a ping with a pong of the same `t`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// Whatever the sender wants back, usually its clock in milliseconds.
    pub t: f64,
}

/// A newer token for the session that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// An access token of the same person.
    pub token: String,
}

/// Whom a person would like to meet. What is absent or empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Someone who shares at least one of these; compared without regard to case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interests: Vec<String>,
    /// Someone who speaks at least one of these (BCP 47, such as `en` or `pt-BR`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Someone in the same region; a name the app chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Someone who wants to talk the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
}

/// How people want to talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// In writing.
    Text,
    /// In an audio call.
    Audio,
    /// In a video call.
    Video,
}

impl Check for Wish {
    fn check(&self) -> Result<(), Refusal> {
        if self.interests.len() > MAX_INTERESTS {
            return Err(invalid(format!("at most {MAX_INTERESTS} interests")));
        }
        if self.languages.len() > MAX_LANGUAGES {
            return Err(invalid(format!("at most {MAX_LANGUAGES} languages")));
        }
        self.interests.iter().try_for_each(|interest| tag("an interest", interest))?;
        self.languages.iter().try_for_each(|language| tag("a language", language))?;
        self.region.iter().try_for_each(|region| tag("region", region))
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Words.
    Text,
    /// A file, named by its content.
    File,
    /// A voice note, named by its content.
    Voice,
}

/// One message to the partner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Made by the sender; comes back in `chat:delivered`.
    pub id: MessageId,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// At most [`MAX_TEXT`] bytes.
    pub content: String,
    /// The sender's clock, as its app writes it; the server stamps its own beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
}

/// A point in time as clients of the original API write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Timestamp {
    /// Milliseconds since 1970.
    Number(f64),
    /// RFC 3339.
    Text(String),
}

impl Check for Message {
    fn check(&self) -> Result<(), Refusal> {
        if self.content.len() > MAX_TEXT {
            let refusal = Refusal::new(
                ErrorCode::TextTooLong,
                format!("A message holds at most {MAX_TEXT} bytes of text; this one has {}.", self.content.len()),
            );
            return Err(refusal.with_id(self.id.as_str()));
        }
        if self.content.is_empty() {
            return Err(invalid("content is empty").with_id(self.id.as_str()));
        }
        Ok(())
    }
}

/// Whether someone is typing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    /// They are, or have stopped.
    pub typing: bool,
}

/// Whether someone looks, as their client says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnPresence {
    /// They do, or look elsewhere.
    pub status: Attention,
}

/// Where someone looks. Whether they can be reached, the server knows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attention {
    /// Here.
    Online,
    /// Elsewhere.
    Away,
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidData, message)
}

fn tag(what: &str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() || text.len() > MAX_TAG || text.chars().any(char::is_control) {
        return Err(invalid(format!("{what} has 1 to {MAX_TAG} bytes and no control characters")));
    }
    Ok(())
}
