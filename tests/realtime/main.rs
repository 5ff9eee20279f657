//! The server as its clients meet it: a real one on ports of its own, over every door.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod bad_files;
mod bad_input;
mod calls;
mod curl;
mod faults;
mod files;
mod http_files;
mod http_files_refused;
mod nodes;
mod nodes_http;
mod presence;
mod rest;
mod scenarios;
mod secrets;
mod sessions;
mod terminal;
mod world;
