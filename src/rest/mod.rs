//! The HTTP face: accounts, lists of people, files on their way, the doors' addresses, health, and the demo's files.
//!
//! Owns: routes, the shapes of requests and answers, status codes, headers.
//!
//! Must not know: sessions, frames, how accounts are kept, the register of who is here. It asks
//! [`Chat`] for everything, and no rule of the service is written here.

mod assets;
mod auth;
mod body;
mod connect;
mod envelope;
mod files;
mod form;
mod headers;
#[cfg(test)]
mod letter_tests;
mod limits;
mod openapi;
mod rates;
mod service;
mod shared;
#[cfg(test)]
mod tests;
mod transfers;
mod unread;
mod users;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, head};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::envelope::{Error, bearer};
pub use self::limits::{Peer, Rates};
use crate::chat::Chat;
use crate::config::{Config, Origins};
use crate::session::Sessions;
use crate::tls::Certificates;

/// Largest body of a request, bytes; files apart.
pub const MAX_BODY: usize = 64 * 1024;

/// What the answers are made of. Clones share it.
#[derive(Clone)]
pub struct State {
    /// The service.
    pub chat: Chat,
    /// Its settings.
    pub config: Arc<Config>,
    /// The certificate of the TLS doors, where there is one.
    pub certificates: Option<Certificates>,
    /// How often each address may do what is limited.
    pub rates: Rates,
    /// When the process began to serve.
    pub started: Instant,
    /// Where it listens.
    pub ports: Ports,
    /// TCP port without TLS.
    pub http: Option<u16>,
    /// Everyone who is here, and on the other nodes.
    pub sessions: Sessions,
    /// Whether it is about to stop.
    pub draining: Arc<AtomicBool>,
}

/// The real ports of the doors; `None`: that door is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// TCP, with TLS.
    pub https: Option<u16>,
    /// UDP.
    pub quic: Option<u16>,
}

/// Routes with all that ours have around them; also those of the realtime doors.
pub fn dressed(router: Router, state: State) -> Router {
    let origins = state.config.origins.clone();
    dressed_for_pages(counted(router, state), origins)
}

/// The layer that counts requests, and refuses those that are too many.
fn counted(router: Router, state: State) -> Router {
    router.layer(from_fn_with_state(state, limits::hold))
}

/// What is around all answers that leave this node.
fn dressed_for_pages(router: Router, origins: Origins) -> Router {
    router.layer(CatchPanicLayer::custom(panicked)).layer(headers::cors(origins)).layer(from_fn(headers::guard))
}

/// What is around answers to another node, which adds for pages what its own answers have.
fn dressed_for_nodes(router: Router) -> Router {
    router.layer(CatchPanicLayer::custom(panicked)).layer(from_fn(headers::guard))
}

/// The answer of a handler that panicked. What it died of may hold what somebody said: `logs` notes where,
/// and nobody what.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Error::Panicked.into_response()
}

/// Every route there is, but for the realtime door.
pub fn router(state: State) -> Router {
    dressed(routes(&state), state)
}

/// The same, for a node among others: for its own clients, and for what other nodes pass on to it of theirs.
/// `passing` puts around the first what passes on to others; a request is counted where it is answered.
pub fn routers(state: State, passing: impl FnOnce(Router) -> Router) -> (Router, Router) {
    let origins = state.config.origins.clone();
    let counted = counted(routes(&state), state);
    (dressed_for_pages(passing(counted.clone()), origins), dressed_for_nodes(counted))
}

/// What is not in `routes!` is no part of the API and so not in its document: pages, and the document itself.
fn routes(state: &State) -> Router {
    let (schemas, paths, upload) = routes!(files::upload);
    let (router, document) = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(service::health))
        .routes(routes!(service::live))
        .routes(routes!(connect::connect))
        .routes(routes!(service::stats))
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::guest))
        .routes(routes!(auth::me))
        .routes(routes!(users::online))
        .routes(routes!(users::available))
        .routes(routes!(users::stats))
        .routes(routes!(users::device))
        // A form counts its bytes itself.
        .routes((schemas, paths, upload.layer(DefaultBodyLimit::disable())))
        .routes(routes!(files::download))
        .split_for_parts();
    let document = openapi::whole(&document);
    router
        .route("/api/files/{ticket}", head(files::head))
        .route("/api/openapi.json", get(async move || openapi::answer(document)))
        .route("/api/docs", get(assets::docs))
        .route("/api/docs/{*path}", get(assets::file))
        .route("/", get(assets::index))
        .route("/app/{*path}", get(assets::file))
        .route("/sdk/{*path}", get(assets::file))
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state.clone())
}
