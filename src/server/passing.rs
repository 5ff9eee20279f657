//! Requests that concern a conversation at another node: they are passed on to it, and answered there as if
//! they had come there.
//!
//! A file goes to, or comes from, a conversation, and that is at one node alone; a client that speaks HTTP may
//! reach any. What was passed on meets a router that passes nothing on, so it goes no further.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tracing::info;

use crate::chat::Chat;
use crate::protocol::{NodeId, Ticket};
use crate::rest;
use crate::session::Sessions;
use crate::tls::Secure;
use crate::transport::passing;

/// Where files go.
const FILES: &str = "/api/files";

/// What it takes to know where a request belongs.
#[derive(Clone)]
pub(super) struct Passing {
    pub(super) chat: Chat,
    pub(super) sessions: Sessions,
}

impl Passing {
    /// The same routes, from which requests are passed on, where there are other nodes.
    pub(super) fn around(self, router: Router) -> Router {
        match self.sessions.cluster() {
            Some(_) => router.layer(from_fn_with_state(self, pass)),
            None => router,
        }
    }

    /// The other node to which a request belongs; `None`: it is answered here.
    async fn elsewhere(&self, parts: &Parts) -> Option<NodeId> {
        match (&parts.method, parts.uri.path().strip_prefix(FILES)?) {
            (&Method::POST, "") => {
                let token = rest::bearer(&parts.headers)?;
                let (identity, _) = self.chat.accounts().identify(token).await.ok()?;
                match self.chat.may_upload(identity.id) {
                    Ok(()) => None,
                    Err(_) => self.sessions.talks_at(identity.id).await,
                }
            }
            (&Method::GET, rest) => {
                let ticket: Ticket = rest.strip_prefix('/')?.parse().ok()?;
                match self.chat.offers(ticket) {
                    true => None,
                    false => self.sessions.offered_at(ticket).await,
                }
            }
            _ => None,
        }
    }

    async fn to(&self, node: NodeId, request: Request) -> Result<Response, rest::Error> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        let secure = request.extensions().get::<Secure>().is_some_and(|secure| secure.0);
        // Every listener of ours notes it.
        let peer = peer.ok_or(rest::Error::NodeAway)?;
        let stream = self.sessions.web(node, peer, secure).await.map_err(|error| {
            info!(%node, %error, "a request could not be passed on");
            rest::Error::NodeAway
        })?;
        passing::pass(stream, request, self.sessions.tasks()).await.map_err(|error| match error {
            passing::Error::Request(error) => rest::Error::MalformedForm(error.to_string()),
            passing::Error::Answer(error) => {
                info!(%node, %error, "a request that was passed on was not answered");
                rest::Error::NodeAway
            }
        })
    }
}

async fn pass(State(passing): State<Passing>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let node = passing.elsewhere(&parts).await;
    let request = Request::from_parts(parts, body);
    match node {
        None => next.run(request).await,
        Some(node) => passing.to(node, request).await.unwrap_or_else(IntoResponse::into_response),
    }
}
