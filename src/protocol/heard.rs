//! The data of what a client may hear, one type for each event of
//! [`ServerEvent`](super::ServerEvent).

use serde::{Deserialize, Serialize};

use super::call::{IceServer, StandingCall};
use super::event::{MessageKind, Timestamp};
use super::ids::{ConversationId, MessageId, SessionId, SessionKey, UserId};
use super::people::{Myself, Partner};
use super::reason::CloseReason;
use super::transfer::GoOn;

/// The answer to a hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Established {
    /// The session's name, for `resume`.
    pub session: SessionId,
    /// Its secret, for `resume`.
    pub key: SessionKey,
    /// Whether the session that was asked for goes on. If not, all numbers start again at 1.
    pub resumed: bool,
    /// The highest `seq` the server has received in this session: send what comes after it.
    pub received: u64,
    /// Why the session that was asked for does not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// Who the token says is speaking, and where this link comes from.
    pub user: Myself,
    /// Sizes and rates this client must keep to.
    pub limits: ClientLimits,
    /// A link that is silent this long is worth a ping, in milliseconds.
    pub heartbeat_ms: u64,
    /// How long the session waits for its client after a lost link, in milliseconds.
    pub resume_window_ms: u64,
    /// What the person was doing when the link was lost; in a new session `idle`, unless it begins in a
    /// conversation that goes on.
    pub state: Doing,
    /// The conversation that goes on; in a new session only after [`Lost::Node`], and by the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Matched>,
    /// This person's transfers to the partner, and where to go on with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<GoOn>,
    /// What helps to find a way for the media of a call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ice_servers: Vec<IceServer>,
    /// How long the credentials in it live, in milliseconds; absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ice_ttl_ms: Option<u64>,
    /// In no call of this service does anyone learn the other's address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relay_only: bool,
}

/// What a person is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doing {
    /// Nothing.
    Idle,
    /// Waiting for a partner.
    Waiting,
    /// In a conversation.
    Talking,
}

/// Why a session could not be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lost {
    /// No such session here for this person and key: it ended long ago, was another's, or never was.
    Unknown,
    /// The client says it has received what was never sent.
    Mismatch,
    /// Nobody came back for it within the resume window.
    Expired,
    /// What waited for its client was over the bound.
    Slow,
    /// Too many sessions waited for their clients, and this one had waited longest.
    Crowded,
    /// The node that had it is gone. The conversation goes on if one is told.
    Node,
}

/// The sizes and rates a client must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientLimits {
    /// Largest frame, bytes.
    pub frame: usize,
    /// Longest text of a message, bytes of UTF-8.
    pub text: usize,
    /// Realtime events a minute, typing, presence and acknowledgements not counted.
    pub events_per_minute: u32,
    /// Largest file, bytes.
    pub file_bytes: u64,
    /// Longest voice note, milliseconds.
    pub voice_ms: u64,
    /// Files and voice notes that may be sent at once.
    pub transfers: usize,
    /// Most bytes of one that may be on the way: beyond what the partner has acknowledged.
    pub transfer_window: u64,
}

/// A person as others may see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicUser {
    /// The account's id.
    pub id: UserId,
    /// The name they go by.
    pub username: String,
    /// A throw-away account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
}

/// The last frame of a link that the server closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Closing {
    /// The number, as in the close code.
    pub code: u16,
    /// Its stable name.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Whether to come back.
    pub reconnect: bool,
    /// When to come back, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Closing {
    /// The farewell for `reason`, with its usual sentence.
    pub fn new(reason: CloseReason) -> Self {
        Self::because(reason, reason.message())
    }

    /// The farewell for `reason`, with a sentence of its own.
    pub fn because(reason: CloseReason, message: impl Into<String>) -> Self {
        Self {
            code: reason.code(),
            reason: reason.name().to_owned(),
            message: message.into(),
            reconnect: reason.reconnect(),
            retry_after_ms: None,
        }
    }

    /// The same, saying when to come back.
    pub fn retry_after_ms(mut self, wait: u64) -> Self {
        self.retry_after_ms = Some(wait);
        self
    }
}

/// The renewed token was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewed {
    /// When it ends, RFC 3339.
    pub expires_at: String,
}

/// A partner is being looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matching {
    /// How narrow the search is by now.
    pub stage: Stage,
    /// How long the person has waited so far, in milliseconds.
    pub waited_ms: u64,
    /// When the search widens next, in milliseconds from now; absent: it is as wide as it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widens_in_ms: Option<u64>,
}

/// How narrow a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// All that was asked for must be shared.
    Exact,
    /// Interests need not be shared any more.
    Wider,
    /// Anyone, a recent partner too.
    Anyone,
}

/// A partner was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matched {
    /// The conversation's name.
    pub conversation: ConversationId,
    /// The partner.
    pub matched_user: Partner,
    /// This side's part in WebRTC's perfect negotiation.
    pub role: Role,
    /// The interests both named.
    pub common: Vec<String>,
    /// How the partner is, in the conversation that a link goes on with, unless they are online. Right
    /// after a match, `user:status` tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Presence>,
    /// The call that stands, in the conversation that a link goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<StandingCall>,
}

/// A side's part in perfect negotiation (WebRTC): the polite one yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Rolls back when offers collide.
    Polite,
    /// Ignores a colliding offer.
    Impolite,
}

/// The conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmatched {
    /// Which one.
    pub conversation: ConversationId,
    /// Why.
    pub reason: Ending,
}

/// Why a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The partner left.
    Left,
    /// The partner looks for someone else.
    Skipped,
    /// The partner did not come back in time.
    Disconnected,
    /// The partner blocked this person.
    Blocked,
    /// The service ended it.
    Ended,
}

/// How the partner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerStatus {
    /// Reachable or not.
    pub status: Presence,
}

/// Whether a person can be reached at the moment; the best comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// They have a link.
    Online,
    /// They have one, and look elsewhere.
    Away,
    /// Their link is lost, their session waits for them.
    Reconnecting,
}

/// A message of the partner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageOut {
    /// The sender's id of it; drop one that was seen.
    pub id: MessageId,
    /// Who wrote it.
    pub from: UserId,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The text.
    pub content: String,
    /// When the server took it, in milliseconds since 1970.
    pub timestamp: u64,
    /// When it was written by the sender's clock, if the sender said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Timestamp>,
}

/// The partner's client has acknowledged a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The message.
    pub id: MessageId,
}

/// The conversation's messages were cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// Who cleared them.
    pub by: UserId,
}
