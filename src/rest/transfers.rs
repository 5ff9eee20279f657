//! What an answer says of a file that may not be sent, or was not sent to its end: a status and a
//! code for each reason. The codes are those of `error` and `file:cancel` on the wire.

use axum::http::StatusCode;

use crate::chat::Over;
use crate::protocol::{ErrorCode, TransferEnd};

/// Of a refusal.
pub fn refused(code: ErrorCode) -> (StatusCode, &'static str) {
    match code {
        ErrorCode::InvalidData => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-data"),
        ErrorCode::FileEmpty => (StatusCode::UNPROCESSABLE_ENTITY, "file-empty"),
        ErrorCode::FileTooBig => (StatusCode::PAYLOAD_TOO_LARGE, "file-too-big"),
        ErrorCode::VoiceTooLong => (StatusCode::PAYLOAD_TOO_LARGE, "voice-too-long"),
        ErrorCode::TypeNotAllowed => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "type-not-allowed"),
        ErrorCode::NoConversation => (StatusCode::CONFLICT, "no-conversation"),
        ErrorCode::TransferLimit => (StatusCode::CONFLICT, "transfer-limit"),
        ErrorCode::TransferExists => (StatusCode::CONFLICT, "transfer-exists"),
        ErrorCode::TransferBusy => (StatusCode::CONFLICT, "transfer-busy"),
        ErrorCode::TransferUnknown | ErrorCode::TransferOver => (StatusCode::NOT_FOUND, "transfer-unknown"),
        // Said of frames only.
        ErrorCode::MalformedFrame
        | ErrorCode::UnknownEvent
        | ErrorCode::SeqMissing
        | ErrorCode::TextTooLong
        | ErrorCode::EventTooBig
        | ErrorCode::ChunkMalformed
        | ErrorCode::AlreadyEstablished
        | ErrorCode::AlreadyTalking
        | ErrorCode::NotWaiting
        | ErrorCode::CallUnknown
        | ErrorCode::CallExists
        | ErrorCode::CallUnsupported
        | ErrorCode::RelayUnavailable
        | ErrorCode::OfferUnknown
        | ErrorCode::SdpInvalid
        | ErrorCode::CandidateInvalid
        | ErrorCode::CandidateRefused
        | ErrorCode::CandidateLimit
        | ErrorCode::TooFast
        | ErrorCode::TokenInvalid
        | ErrorCode::Unavailable => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

/// Of an end before the end.
pub fn ended(over: Over) -> (StatusCode, &'static str) {
    let end = match over {
        Over::Rejected => return (StatusCode::CONFLICT, "rejected"),
        Over::Left => return (StatusCode::CONFLICT, "no-conversation"),
        // No answer says that something went wrong then.
        Over::Done => return (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        Over::Ended(end) => end,
    };
    let status = match end {
        TransferEnd::SizeMismatch
        | TransferEnd::VoiceMismatch
        | TransferEnd::VoiceUnreadable
        | TransferEnd::HashMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        TransferEnd::TooBig | TransferEnd::VoiceTooLong => StatusCode::PAYLOAD_TOO_LARGE,
        TransferEnd::TypeMismatch | TransferEnd::TypeNotAllowed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        TransferEnd::Stalled => StatusCode::REQUEST_TIMEOUT,
        TransferEnd::Busy => StatusCode::SERVICE_UNAVAILABLE,
        // Unanswered too: a browser may send again by itself what was answered with 408.
        TransferEnd::Cancelled
        | TransferEnd::Unanswered
        | TransferEnd::CreditExceeded
        | TransferEnd::OffsetMismatch
        | TransferEnd::Lost => StatusCode::CONFLICT,
    };
    (status, end.name())
}

/// For people.
pub fn farewell(over: Over) -> &'static str {
    match over {
        Over::Done => "The file has arrived.",
        Over::Rejected => "The other one does not want the file.",
        Over::Left => "The conversation is over.",
        Over::Ended(end) => end.message(),
    }
}
