//! The doors: bytes in, bytes out, one file each.
//!
//! Owns: sockets, partial frames, the settings of quinn and tungstenite, whom to let in (origins),
//! and how a door closes. Each door implements [`session::Link`](crate::session::Link).
//!
//! Must not know: what an event means. Whatever frame arrives is handed to the session.

mod lingering;
pub mod passing;
pub mod quic;
pub mod socketio;
pub mod streams;
pub mod tcp;
pub mod websocket;
pub mod webtransport;
