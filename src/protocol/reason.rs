//! The two closed vocabularies of failure. An [`ErrorCode`] is told and the session goes on; a
//! [`CloseReason`] ends the link, and its number says whether to come back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What can be refused while the session goes on. The kebab-case name is the stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The bytes are not a JSON object with the fields of an envelope.
    MalformedFrame,
    /// No event has this name.
    UnknownEvent,
    /// The event's `data` has an unknown, missing or mistyped field, or a value out of its range.
    InvalidData,
    /// A reliable event came without its `seq`.
    SeqMissing,
    /// A message's text is over 8 KiB.
    TextTooLong,
    /// An event is over 64 KiB, where that does not end the link.
    EventTooBig,
    /// Bytes of a transfer without a header that can be read.
    ChunkMalformed,
    /// No such transfer of this person's, or none for which this makes sense now.
    TransferUnknown,
    /// A transfer of this name is under way.
    TransferExists,
    /// As many transfers as one may have at once are under way.
    TransferLimit,
    /// Bytes for a transfer that is over. Told once.
    TransferOver,
    /// Someone brings this transfer's bytes already.
    TransferBusy,
    /// The file is over the size limit.
    FileTooBig,
    /// The file has no bytes.
    FileEmpty,
    /// Files of this type may not be sent here.
    TypeNotAllowed,
    /// The voice note is over the limit.
    VoiceTooLong,
    /// `connection:hello` on a link that has had one.
    AlreadyEstablished,
    /// The event needs a partner and there is none.
    NoConversation,
    /// `user:match` while a conversation stands.
    AlreadyTalking,
    /// `user:match:cancel` while not waiting.
    NotWaiting,
    /// No such call in this conversation.
    CallUnknown,
    /// `call:ring` while a call stands.
    CallExists,
    /// The partner's client knows no `call:*`: an offer without a call is all it understands.
    CallUnsupported,
    /// A relayed call was asked for, and this service has no TURN server.
    RelayUnavailable,
    /// An answer to, or candidates for, an offer that the partner has not made.
    OfferUnknown,
    /// A description that is no SDP (RFC 8866).
    SdpInvalid,
    /// A candidate that is none (RFC 8839).
    CandidateInvalid,
    /// In a relayed call: a relayed candidate whose address is no relay's.
    CandidateRefused,
    /// More candidates than one side may have for one offer.
    CandidateLimit,
    /// Over a rate limit; `retryAfterMs` says when to try again.
    TooFast,
    /// `auth:renew` with a token that is invalid, expired, or another person's.
    TokenInvalid,
    /// A part of the service is away; try again after `retryAfterMs`.
    Unavailable,
}

/// One refusal of one event: the code for programs, the sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The stable code.
    pub code: ErrorCode,
    /// A sentence that says what is wrong and what to do.
    pub message: String,
    /// The event that was refused, if its name could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The id inside the refused event, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When to try again, in milliseconds; absent: the same request will be refused again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal with no more than its code and sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), event: None, id: None, retry_after_ms: None }
    }

    /// Names the event that was refused.
    pub fn of(mut self, event: &str) -> Self {
        self.event = Some(event.to_owned());
        self
    }

    /// Names the client's id inside the refused event.
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Says when the same request may be made again.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_ms = Some(super::millis(wait));
        self
    }
}

/// Why a link is closed by the server: the same list, and the same numbers, on every door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client broke the protocol: a first frame that is not a hello, a gap in `seq`, ...
    ProtocolError,
    /// The token is missing, forged, expired, or its user is gone.
    TokenInvalid,
    /// The page's origin, or the person, is not allowed here.
    Forbidden,
    /// No hello within the deadline.
    HelloTimeout,
    /// Another link, or another session of the same device, took this one's place.
    Superseded,
    /// A frame over the size limit.
    TooBig,
    /// Far over the rate limits.
    TooFast,
    /// A fault of the server.
    Internal,
    /// The server is going down or being replaced.
    Draining,
    /// The client does not read what is sent to it.
    Slow,
}

impl CloseReason {
    /// Every reason, in the order of its code.
    pub const ALL: [Self; 10] = [
        Self::ProtocolError,
        Self::TokenInvalid,
        Self::Forbidden,
        Self::HelloTimeout,
        Self::Superseded,
        Self::TooBig,
        Self::TooFast,
        Self::Internal,
        Self::Draining,
        Self::Slow,
    ];

    /// The number: a WebSocket close code (RFC 6455 section 7.4.2, private range), and the QUIC
    /// application error code of a WebTransport session.
    pub const fn code(self) -> u16 {
        match self {
            Self::ProtocolError => 4400,
            Self::TokenInvalid => 4401,
            Self::Forbidden => 4403,
            Self::HelloTimeout => 4408,
            Self::Superseded => 4409,
            Self::TooBig => 4413,
            Self::TooFast => 4429,
            Self::Internal => 4500,
            Self::Draining => 4503,
            Self::Slow => 4508,
        }
    }

    /// The stable name, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProtocolError => "protocol-error",
            Self::TokenInvalid => "token-invalid",
            Self::Forbidden => "forbidden",
            Self::HelloTimeout => "hello-timeout",
            Self::Superseded => "superseded",
            Self::TooBig => "too-big",
            Self::TooFast => "too-fast",
            Self::Internal => "internal",
            Self::Draining => "draining",
            Self::Slow => "slow",
        }
    }

    /// Whether a client should come back by itself: the 45xx, and 4429 after its wait.
    pub const fn reconnect(self) -> bool {
        self.code() >= 4500 || matches!(self, Self::TooFast)
    }

    /// What happened and what to do, for people, when nothing more exact is known.
    pub const fn message(self) -> &'static str {
        match self {
            Self::ProtocolError => "The client did not follow the protocol. Update it, or see docs/protocol.md.",
            Self::TokenInvalid => "The token is not valid any more. Log in again.",
            Self::Forbidden => "This site or person may not connect here.",
            Self::HelloTimeout => "No connection:hello came within the deadline.",
            Self::Superseded => "This session goes on over a newer connection.",
            Self::TooBig => "A frame was larger than 64 KiB.",
            Self::TooFast => "Too many events in too short a time. Wait, then connect again.",
            Self::Internal => "The server met a fault of its own. Connect again.",
            Self::Draining => "The server is being replaced. Connect again in a moment.",
            Self::Slow => "Too much was waiting to be read by this client. Connect again.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_are_distinct_and_their_range_says_what_to_do() {
        let mut codes: Vec<u16> = CloseReason::ALL.iter().map(|reason| reason.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), CloseReason::ALL.len());
        for reason in CloseReason::ALL {
            assert!((4400..4600).contains(&reason.code()));
            assert_eq!(reason.reconnect(), reason.code() >= 4500 || reason.code() == 4429, "{reason:?}");
        }
    }
}
