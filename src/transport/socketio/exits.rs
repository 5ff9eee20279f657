//! How connections end that the library would leave open: it has no way to close one of a client that
//! was refused, or disconnected by name, and that goes on answering its pings.
//!
//! Owns: which engine sessions are shut (whoever polls one is told that there is none, so that its pings
//! go unanswered), and the connections that were upgraded to WebSocket in their middle.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use socketioxide::socket::{Sid, Socket};

use crate::transport::tcp::Hangup;

/// Engine sessions of each kind that are remembered, the latest.
const MOST: usize = 16 * 1024;
/// What the library answers where there is no such session.
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// The exits of this door. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Exits(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    shut: Latest<()>,
    upgraded: Latest<Hangup>,
}

/// What was entered last, at most [`MOST`].
struct Latest<T> {
    entries: HashMap<String, T>,
    /// By age; those that were removed since are still in it.
    order: VecDeque<String>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Latest<T> {
    fn enter(&mut self, name: &str, value: T) {
        if self.entries.insert(name.to_owned(), value).is_none() {
            self.order.push_back(name.to_owned());
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

impl Exits {
    /// Looks at a request on its way in. An answer: it goes no further.
    pub(super) fn pass(&self, request: &Request) -> Option<Response> {
        let sid = query(request.uri().query(), "sid")?;
        let mut inner = self.inner();
        if inner.shut.entries.contains_key(sid) {
            return Some((StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], UNKNOWN).into_response());
        }
        if is_upgrade(request.headers())
            && sid.len() == SID
            && let Some(hangup) = request.extensions().get::<Hangup>()
        {
            inner.upgraded.enter(sid, hangup.clone());
        }
        None
    }

    /// Ends the engine's connection of a client that is not served any more.
    pub(super) fn shut(&self, socket: &Socket) {
        let sid = socket.id.to_string();
        let upgraded = {
            let mut inner = self.inner();
            inner.shut.enter(&sid, ());
            inner.upgraded.entries.remove(&sid)
        };
        if let Some(hangup) = upgraded.or_else(|| own_connection(socket.req_parts())) {
            hangup.now();
        }
    }

    /// The engine's connection has ended by itself.
    pub(super) fn forget(&self, sid: Sid) {
        self.inner().upgraded.entries.remove(&sid.to_string());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

/// Characters of the library's session ids.
const SID: usize = 16;

/// The connection of an engine session that began as a WebSocket. One that polls shares it with others.
fn own_connection(parts: &Parts) -> Option<Hangup> {
    is_upgrade(&parts.headers).then(|| parts.extensions.get::<Hangup>().cloned()).flatten()
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// The first value of a name in a query that needs no decoding.
pub(super) fn query<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
