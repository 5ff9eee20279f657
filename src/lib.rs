//! Duologue: a realtime server for conversations between two people.
//!
//! ```text
//! main -> server -> everything            the only part that knows every part
//!
//!   transport        rest                 doors: bytes and HTTP
//!       |             |
//!    session          |                   one client, whatever carries it
//!       |             |
//!       +--> chat <---+                   the rules
//!           |  |  |
//!         hub  |  auth, store             who is here; who they are; what lasts
//!            outbox                       mail for one client
//!
//!   all of them -> protocol               the wire; imports none of ours
//! ```
//!
//! Beside the server, and knowing none of its parts: `client`, a client in Rust; on it stand `load`
//! (pairs who talk and are checked, and the network that misbehaves) and `terminal` (`duologue chat`).
//!
//! Also apart: `media`, which judges what may pass as a file or a voice note, and `place`, which knows where
//! in the world an address is.
//!
//! The laws, held by `tests/tidy.rs`:
//! - `protocol` knows no IO, no clock and no other module.
//! - `media` knows no IO, no clock and no other module either.
//! - `outbox` and `hub` know `protocol` and each other's types, nothing above them.
//! - `chat` knows neither transports nor HTTP; `session` knows no transport.
//! - `rest` and `session` reach `hub` and `store` only through `chat`.
//! - `cluster`, what the nodes of one service share, knows `protocol` and its settings.
//! - `config` is read by whom it concerns; only `config` reads the environment.
//!
//! `ARCHITECTURE.md` walks through a message, a resume and a shutdown.

pub mod auth;
pub mod chat;
pub mod client;
pub mod cluster;
pub mod config;
pub mod hub;
pub mod load;
pub mod logs;
pub mod media;
pub mod nodes;
pub mod outbox;
pub mod place;
pub mod protocol;
pub mod rest;
pub mod server;
pub mod session;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod terminal;
pub mod tls;
pub mod transport;
pub mod users;
