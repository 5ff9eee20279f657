//! One client, whatever carries it, and whichever link it uses at the moment.
//!
//! Owns: the [`Link`] trait (what a door must offer), the register of sessions and who may resume
//! them, the reading and writing of one link, with the bytes of transfers on it, the heartbeat, and one client's rate limits.
//!
//! Must not know: QUIC, WebSocket, HTTP (a new door touches no file here), nor the rules of a
//! conversation, which are `chat`'s.
//!
//! A session outlives its links. Its [`Core`](core::Core) belongs to exactly one task at a time: the
//! link that runs it, or the register where it is parked. A second link takes it over by asking the
//! first to stop, which it does between two commands, never inside one.

mod carry;
mod company;
mod core;
mod dispatch;
mod entry;
mod hello;
mod image;
mod limits;
mod link;
mod notes;
mod parking;
mod parting;
mod pulse;
mod register;
mod run;
mod writing;

pub use self::company::{Company, Others, Search, ServeWeb};
pub use self::link::{Answer, Heard, Link, LinkEnd, NoStreams, Peer, Reader, Sink, Source, StreamEnd, Streams, Writer};
pub use self::register::{Sessions, Settings};
