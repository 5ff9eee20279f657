//! A call of the two: it rings, stands and ends, and each side knows it by one name. What sets up its media is in
//! [`signal`](super::signal).

use serde::{Deserialize, Serialize};

use super::event::Check;
use super::ids::CallId;
use super::reason::{ErrorCode, Refusal};
use super::signal::CallKind;

/// The most often that a call's media may be set up anew.
pub const MAX_GENERATION: u32 = 1_000_000;

/// `call:ring`, from the one who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// The call's name, made by the one who calls.
    pub call: CallId,
    /// What is to be seen or heard.
    #[serde(rename = "type")]
    pub kind: CallKind,
    /// Neither is to learn the other's address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relay: bool,
}

/// `call:accept`, from the one who is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptCall {
    /// Which.
    pub call: CallId,
    /// Neither is to learn the other's address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relay: bool,
}

/// `call:decline`, from the one who is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclineCall {
    /// Which.
    pub call: CallId,
    /// Why not; absent: they do not want to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Declining>,
}

/// Why a call is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Declining {
    /// They do not want to.
    Declined,
    /// They are in another call.
    Busy,
}

/// `call:end`, from either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndCall {
    /// Which.
    pub call: CallId,
    /// Why; absent: they have hung up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<HangingUp>,
}

/// Why a call is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HangingUp {
    /// They have hung up.
    HungUp,
    /// No way between the two was found, or it was lost for good.
    Failed,
}

/// `call:join`, from one whose call goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinCall {
    /// Which.
    pub call: CallId,
    /// What is seen or heard.
    #[serde(rename = "type")]
    pub kind: CallKind,
    /// Neither is to learn the other's address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relay: bool,
    /// Their peer connection is gone, as after a reload: both make a new one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// How often its media was set up anew, as far as they know; at most [`MAX_GENERATION`].
    #[serde(default, skip_serializing_if = "super::signal::is_zero")]
    pub generation: u32,
}

/// `call:report`: how a call was, for the counters; from either, once it is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallReport {
    /// Which.
    pub call: CallId,
    /// From the answer until media flowed, in milliseconds; absent: it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_ms: Option<u64>,
    /// Which way the media went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<CallPath>,
    /// Packets that did not arrive, of a hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_percent: Option<f64>,
    /// Round trip between the two, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// How it ended, as the client names it: at most 32 lower-case letters and hyphens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which way media goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallPath {
    /// From one to the other.
    Direct,
    /// Through a TURN server.
    Relay,
}

impl Check for JoinCall {
    fn check(&self) -> Result<(), Refusal> {
        if self.generation < MAX_GENERATION {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::InvalidData, format!("a generation is below {MAX_GENERATION}")))
    }
}

impl Check for CallReport {
    fn check(&self) -> Result<(), Refusal> {
        let number = |value: Option<f64>, most: f64| value.is_none_or(|value| (0.0..=most).contains(&value));
        let reason = self.reason.as_deref().unwrap_or_default();
        let plain = reason.len() <= 32 && reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if number(self.loss_percent, 100.0) && number(self.rtt_ms, 600_000.0) && plain {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::InvalidData, "a number or the reason of the report is out of its range"))
    }
}

/// `call:ring`, to the one who is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rings {
    /// The call's name.
    pub call: CallId,
    /// What is to be seen or heard.
    #[serde(rename = "type")]
    pub kind: CallKind,
    /// Neither will learn the other's address.
    pub relay: bool,
    /// How long it rings, in milliseconds.
    pub ring_ms: u64,
}

/// `call:accept`, to both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The call that stands.
    pub call: CallId,
    /// Neither will learn the other's address.
    pub relay: bool,
    /// The ring of one's own that crossed the partner's, and is over in favour of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<CallId>,
}

/// `call:ended`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallEnded {
    /// Which.
    pub call: CallId,
    /// Why.
    pub reason: CallEnding,
}

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallEnding {
    /// The partner has hung up.
    HungUp,
    /// The partner does not want to.
    Declined,
    /// The partner is in another call.
    Busy,
    /// The partner does not call any more.
    Cancelled,
    /// Nobody has answered.
    NoAnswer,
    /// No way between the two was found, or it was lost for good.
    Failed,
}

/// `call:join`, to both: their call goes on, with media that is set up anew where the generation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Which.
    pub call: CallId,
    /// How often it was set up anew: signals of an older one are dropped.
    pub generation: u32,
    /// Neither will learn the other's address, from now on.
    pub relay: bool,
}

/// The call of a conversation that a link goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingCall {
    /// Its name.
    pub call: CallId,
    /// What is seen or heard.
    #[serde(rename = "type")]
    pub kind: CallKind,
    /// Whether this side has called.
    pub mine: bool,
    /// Whether it was answered.
    pub accepted: bool,
    /// Neither learns the other's address.
    pub relay: bool,
    /// How often its media was set up anew.
    pub generation: u32,
}

/// An `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// For TURN: when it expires, and for whom it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// `ice:renewed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IceRenewed {
    /// What helps to find a way between the two.
    pub ice_servers: Vec<IceServer>,
    /// How long the credentials in it live, in milliseconds; absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}
