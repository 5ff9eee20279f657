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
use crate::protocol::{NodeId, UserId};
use crate::rest;
use crate::session::{Search, Sessions};
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

    /// The other node to which a request belongs; nowhere else, if it is to be answered here.
    async fn elsewhere(&self, parts: &Parts) -> Search {
        let path = parts.uri.path().strip_prefix(FILES);
        match (&parts.method, path) {
            (&Method::POST, Some("")) => match self.sender(parts).await {
                Some(user) if self.chat.may_upload(user).is_err() => self.sessions.talks_at(user).await,
                Some(_) | None => Search::Nowhere,
            },
            (&Method::GET, Some(rest)) => match rest.strip_prefix('/').and_then(|ticket| ticket.parse().ok()) {
                Some(ticket) if !self.chat.offers(ticket) => self.sessions.offered_at(ticket).await,
                Some(_) | None => Search::Nowhere,
            },
            _ => Search::Nowhere,
        }
    }

    /// Whose token it is. Without a good one there is nothing to look for, and the answer is the same anywhere.
    async fn sender(&self, parts: &Parts) -> Option<UserId> {
        let token = rest::bearer(&parts.headers)?;
        self.chat.accounts().identify(token).await.ok().map(|(identity, _)| identity.id)
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
    let search = passing.elsewhere(&parts).await;
    let request = Request::from_parts(parts, body);
    match search {
        Search::Nowhere => next.run(request).await,
        Search::Found(node) => passing.to(node, request).await.unwrap_or_else(IntoResponse::into_response),
        Search::Unsure => rest::Error::NodeAway.into_response(),
    }
}
