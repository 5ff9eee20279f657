//! The wire: every word that crosses a link, and nothing else.
//!
//! Owns: the ids, the two event vocabularies ([`ClientEvent`], [`ServerEvent`]), the frame that
//! carries them, the numbering that makes them reliable, and the two closed lists of what can go
//! wrong ([`ErrorCode`]: the session goes on; [`CloseReason`]: it ends).
//!
//! Must not know: IO, clocks, tokio, or any other module of this crate. Everything here is a pure
//! function or a plain value, so that it is tested without a network. `docs/protocol.md` is the same
//! contract in prose; its examples are the golden files of `tests/golden`.

mod call;
mod event;
mod frame;
#[cfg(test)]
mod golden;
mod heard;
mod ids;
mod numbering;
mod people;
mod reason;
mod signal;
mod transfer;

pub use call::*;
pub use event::*;
pub use frame::{ClientFrame, Encoded, MAX_FRAME, ServerFrame, read_event, write_ack, write_frame};
pub use heard::*;
pub use ids::*;
pub use numbering::{Arrival, Inbound, Outbound};
pub use people::{Device, Myself, Partner, Place, Whence};
pub use reason::{CloseReason, ErrorCode, Refusal};
pub use signal::*;
pub use transfer::*;

/// The version of the wire that this build speaks; `connection:hello` must name it.
pub const PROTOCOL: u32 = 1;

/// A length of time as the wire has it: whole milliseconds.
pub fn millis(duration: std::time::Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
