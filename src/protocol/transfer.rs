//! Files and voice notes on the wire: the events about them, and the header before their bytes.
//!
//! A transfer's bytes travel beside the frames: on a unidirectional stream of their own
//! (WebTransport), or as binary messages (WebSocket). Before them stands the same header on both:
//! `u16 length of id | id | u64 offset`, big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::event::Check;
use super::ids::{TransferId, UserId};
use super::reason::{ErrorCode, Refusal};

/// Most bytes of a transfer that are on the way, from the sender to what the receiver has acknowledged.
pub const TRANSFER_WINDOW: u64 = 192 * 1024;
/// A receiver says how much it has at the latest after this many bytes more.
pub const PROGRESS_EVERY: u64 = 16 * 1024;
/// Bytes of a transfer in one binary message of ours.
pub const CHUNK: usize = 16 * 1024;
/// Longest name of a file, in bytes as a client writes it; it is shortened and cleaned.
pub const MAX_NAME: usize = 1024;
/// Longest media type.
const MAX_MIME: usize = 128;
/// Most transfers that a hello may name.
pub const MAX_HELD: usize = 64;
/// Longest header: a length, an id of 64 characters, an offset.
pub const MAX_CHUNK_HEADER: usize = 2 + 4 * super::ids::MAX_CLIENT_ID + 8;

/// What a transfer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Any file of an allowed type.
    File,
    /// A voice note: sound of a limited length.
    Voice,
}

/// Something to send to the partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offer {
    /// Made by the sender.
    pub transfer: TransferId,
    /// File or voice note.
    pub kind: FileKind,
    /// The file's name.
    pub name: String,
    /// Its size in bytes, at least 1.
    pub size: u64,
    /// Its media type (RFC 6838), parameters and all.
    pub mime: String,
    /// How long a voice note plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The SHA-256 of it all, if it is known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

impl Check for Offer {
    fn check(&self) -> Result<(), Refusal> {
        let invalid =
            |message: &str| Err(Refusal::new(ErrorCode::InvalidData, message).with_id(self.transfer.as_str()));
        if self.size == 0 {
            let refusal = Refusal::new(ErrorCode::FileEmpty, "The file is empty: there is nothing to send.");
            return Err(refusal.with_id(self.transfer.as_str()));
        }
        if self.name.len() > MAX_NAME {
            return invalid("name has at most 1024 bytes");
        }
        check_mime(&self.mime).map_err(|refusal| refusal.with_id(self.transfer.as_str()))
    }
}

/// Whether this is a media type at all.
///
/// # Errors
/// [`ErrorCode::InvalidData`].
pub fn check_mime(mime: &str) -> Result<(), Refusal> {
    let fits = mime.len() <= MAX_MIME && mime.contains('/') && mime.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if fits { Ok(()) } else { Err(Refusal::new(ErrorCode::InvalidData, "mime is a media type such as image/png")) }
}

/// What the partner would like to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offered {
    /// The sender's name for it.
    pub transfer: TransferId,
    /// Who offers it.
    pub from: UserId,
    /// File or voice note.
    pub kind: FileKind,
    /// The name, cleaned: no path, no control characters, at most 128 characters.
    pub name: String,
    /// Its size in bytes; absent: not known before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its media type, as declared.
    pub mime: String,
    /// How long a voice note plays, as claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The SHA-256 of it all, as claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// A path of this server where it can be had once over HTTP, in place of `file:accept`.
    pub link: String,
    /// When it was offered, in milliseconds since 1970.
    pub timestamp: u64,
}

/// An event that says nothing but which transfer it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Which.
    pub transfer: TransferId,
}

/// How much the receiver has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Of which transfer.
    pub transfer: TransferId,
    /// Bytes from the start.
    pub received: u64,
}

/// Everything was sent (from the sender), or everything is there (from the server).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// Of which transfer.
    pub transfer: TransferId,
    /// How many bytes there were.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: Sha256,
}

/// A transfer is over before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Which.
    pub transfer: TransferId,
    /// The stable code.
    pub code: TransferEnd,
    /// A sentence for people.
    pub message: String,
}

impl Cancelled {
    /// The usual sentence.
    pub fn new(transfer: TransferId, code: TransferEnd) -> Self {
        Self { transfer, code, message: code.message().to_owned() }
    }
}

/// Why a transfer ended before its end. The kebab-case name is the stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferEnd {
    /// The other one called it off.
    Cancelled,
    /// Nobody answered the offer.
    Unanswered,
    /// Nothing moved for too long.
    Stalled,
    /// More or fewer bytes than offered.
    SizeMismatch,
    /// More bytes than any file may have.
    TooBig,
    /// The first bytes are of another type than declared.
    TypeMismatch,
    /// Files of this type may not be sent here.
    TypeNotAllowed,
    /// The voice note plays longer than any may.
    VoiceTooLong,
    /// The voice note plays longer than it claims.
    VoiceMismatch,
    /// No duration can be read from the voice note.
    VoiceUnreadable,
    /// The bytes that came are not those that were hashed.
    HashMismatch,
    /// More was sent than the window lets pass.
    CreditExceeded,
    /// Bytes that do not follow those before.
    OffsetMismatch,
    /// A side does not have it any more.
    Lost,
    /// The server has no room for it at the moment.
    Busy,
}

impl TransferEnd {
    /// The stable code.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Unanswered => "unanswered",
            Self::Stalled => "stalled",
            Self::SizeMismatch => "size-mismatch",
            Self::TooBig => "too-big",
            Self::TypeMismatch => "type-mismatch",
            Self::TypeNotAllowed => "type-not-allowed",
            Self::VoiceTooLong => "voice-too-long",
            Self::VoiceMismatch => "voice-mismatch",
            Self::VoiceUnreadable => "voice-unreadable",
            Self::HashMismatch => "hash-mismatch",
            Self::CreditExceeded => "credit-exceeded",
            Self::OffsetMismatch => "offset-mismatch",
            Self::Lost => "lost",
            Self::Busy => "busy",
        }
    }

    /// What happened, for people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Cancelled => "The other one called it off.",
            Self::Unanswered => "The offer was not answered in time.",
            Self::Stalled => "Nothing moved for too long.",
            Self::SizeMismatch => "The file is not as large as it was said to be.",
            Self::TooBig => "The file is larger than files may be here.",
            Self::TypeMismatch => "The file is not of the type it was said to be.",
            Self::TypeNotAllowed => "Files of this type may not be sent here.",
            Self::VoiceTooLong => "The voice note is longer than voice notes may be here.",
            Self::VoiceMismatch => "The voice note is longer than it was said to be.",
            Self::VoiceUnreadable => "The voice note cannot be read.",
            Self::HashMismatch => "The file did not arrive as it was sent.",
            Self::CreditExceeded => "More was sent than the receiver had asked for.",
            Self::OffsetMismatch => "A part of the file is missing.",
            Self::Lost => "One side does not have the file any more.",
            Self::Busy => "The server carries too many files at the moment. Try again soon.",
        }
    }
}

/// A transfer that a client still has, as it tells when it resumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldTransfer {
    /// Which.
    pub transfer: TransferId,
    /// Of one that is coming in: the bytes that were received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
}

/// Where a transfer goes on, as its sender is told when it resumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoOn {
    /// Which.
    pub transfer: TransferId,
    /// The server has so many bytes: send what follows.
    pub received: u64,
    /// The partner has so many.
    pub acknowledged: u64,
}

/// What stands before bytes: whose they are, and where they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Which transfer's.
    pub transfer: TransferId,
    /// How many bytes of it come before these.
    pub offset: u64,
}

impl ChunkHeader {
    /// Cuts a header off `bytes`; `None`: it is not all there yet.
    ///
    /// # Errors
    /// [`ErrorCode::ChunkMalformed`].
    pub fn take(bytes: &mut BytesMut) -> Result<Option<Self>, Refusal> {
        let Some(length) = bytes.first_chunk::<2>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length + 10 > MAX_CHUNK_HEADER {
            return Err(malformed());
        }
        if bytes.len() < length + 10 {
            return Ok(None);
        }
        bytes.advance(2);
        let id = bytes.split_to(length);
        let transfer = std::str::from_utf8(&id).ok().and_then(|id| TransferId::new(id).ok()).ok_or_else(malformed)?;
        Ok(Some(Self { transfer, offset: bytes.get_u64() }))
    }

    /// Reads a binary message.
    ///
    /// # Errors
    /// [`ErrorCode::ChunkMalformed`].
    pub fn split(message: Bytes) -> Result<(Self, Bytes), Refusal> {
        let mut head = BytesMut::from(&message[..message.len().min(MAX_CHUNK_HEADER)]);
        let before = head.len();
        let header = Self::take(&mut head)?.ok_or_else(malformed)?;
        let length = before - head.len();
        Ok((header, message.slice(length..)))
    }

    /// Appends it.
    pub fn write(&self, out: &mut BytesMut) {
        let id = self.transfer.as_str().as_bytes();
        out.put_u16(u16::try_from(id.len()).expect("ids are short"));
        out.put_slice(id);
        out.put_u64(self.offset);
    }
}

fn malformed() -> Refusal {
    let message = "Bytes of a transfer begin with its id, two bytes of length before it, and an offset of eight bytes.";
    Refusal::new(ErrorCode::ChunkMalformed, message).of(FILE_CHUNK)
}

/// What refusals call the bytes of a transfer, though they are no event.
pub const FILE_CHUNK: &str = "file:chunk";

/// A SHA-256, written as 64 lower-case hex digits.
pub use super::ids::Sha256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_wherever_they_are_chopped() {
        let header = ChunkHeader { transfer: TransferId::new("é-1").unwrap(), offset: u64::MAX - 1 };
        let mut whole = BytesMut::new();
        header.write(&mut whole);
        whole.put_slice(b"payload");
        let (read, rest) = ChunkHeader::split(whole.clone().freeze()).unwrap();
        assert_eq!((read, &rest[..]), (header.clone(), &b"payload"[..]));
        for cut in 0..whole.len() - 7 {
            assert_eq!(ChunkHeader::take(&mut BytesMut::from(&whole[..cut])), Ok(None), "{cut}");
        }
        let mut bytes = whole;
        assert_eq!(ChunkHeader::take(&mut bytes), Ok(Some(header)));
        assert_eq!(&bytes[..], b"payload");
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bad in [&b""[..], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0], &[0xff; 400]] {
            let refusal = ChunkHeader::split(Bytes::copy_from_slice(bad)).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::ChunkMalformed, "{bad:?}");
        }
    }

    #[test]
    fn every_end_is_named_as_the_wire_has_it() {
        use TransferEnd as E;
        for end in [
            E::Cancelled,
            E::Unanswered,
            E::Stalled,
            E::SizeMismatch,
            E::TooBig,
            E::TypeMismatch,
            E::TypeNotAllowed,
            E::VoiceTooLong,
            E::VoiceMismatch,
            E::VoiceUnreadable,
            E::HashMismatch,
            E::CreditExceeded,
            E::OffsetMismatch,
            E::Lost,
            E::Busy,
        ] {
            assert_eq!(serde_json::to_value(end).unwrap(), end.name());
        }
    }
}
