//! The service itself: whether it can serve, and how much it is used.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, extract};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::envelope::{Failure, Success, bearer, ok};
use super::{Error, State};
use crate::chat::{CallCounts, Cargo, Census};
use crate::config::Environment;

/// How long the accounts may take to say that they are there.
const PING_DEADLINE: Duration = Duration::from_secs(1);

/// Whether it can serve
///
/// `GET /health`. In no envelope: load balancers read it.
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    responses(
        (status = 200, description = "It can; `degraded`: though a part that it needs is away", body = Health),
        (status = 503, description = "It is about to stop", body = Health),
    ),
)]
pub async fn health(extract::State(state): extract::State<State>) -> Response {
    let uptime_seconds = state.started.elapsed().as_secs();
    let answer =
        |http, status, store, cluster| (http, Json(Health { status, uptime_seconds, store, cluster })).into_response();
    if state.draining.load(Ordering::Relaxed) {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "draining", None, None);
    }
    let store = timeout(PING_DEADLINE, state.chat.accounts().ping()).await.is_ok_and(|pinged| pinged.is_ok());
    let cluster = state.sessions.cluster_is_there();
    let word = |there| if there { "ok" } else { "unavailable" };
    // Talks go on, and people must get back into theirs: nobody is to be sent away for it.
    let status = if store && cluster.unwrap_or(true) { "ok" } else { "degraded" };
    answer(StatusCode::OK, status, Some(word(store)), cluster.map(word))
}

/// Whether it lives
///
/// `GET /health/live`. Nothing is asked but the process: whoever restarts it when this fails must not do
/// so because the accounts are away, or because it drains.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "service",
    responses((status = 200, description = "It answers", body = Life)),
)]
pub async fn live(extract::State(state): extract::State<State>) -> Response {
    Json(Life { status: "ok", uptime_seconds: state.started.elapsed().as_secs() }).into_response()
}

/// How much it is used
///
/// `GET /api/socket/stats`. For everyone in development; for the operator's token in production.
#[utoipa::path(
    get,
    path = "/api/socket/stats",
    tag = "service",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "Counts of this process", body = Success<Usage>),
        (status = 404, description = "`not-found`: the operator has set no token", body = Failure),
    ),
)]
pub async fn stats(extract::State(state): extract::State<State>, headers: HeaderMap) -> Result<Response, Error> {
    let config = &state.config;
    match (config.environment, &config.public.stats_token) {
        (Environment::Development, _) => {}
        (Environment::Production, None) => return Err(Error::NotFound),
        (Environment::Production, Some(expected)) => {
            let token = bearer(&headers).ok_or(Error::TokenMissing)?;
            verify_slices_are_equal(token.as_bytes(), expected.expose()).map_err(|_| Error::StatsToken)?;
        }
    }
    let census = state.chat.census();
    let Cargo { offered, moving, reserved_bytes } = state.chat.cargo();
    let Census { online_users, waiting, conversations, sessions_webtransport, sessions_websocket, parked, .. } = census;
    let socketio = census.sessions_socketio;
    Ok(ok(Usage {
        connections: Connections {
            webtransport: sessions_webtransport,
            websocket: sessions_websocket,
            socketio,
            parked,
        },
        transfers: Transfers { offered, moving, reserved_bytes },
        calls: state.chat.calls().counts(),
        conversations,
        waiting,
        online_users,
        uptime_seconds: state.started.elapsed().as_secs(),
        everywhere: state.sessions.everywhere().map(|(nodes, counts)| Everywhere {
            nodes,
            online_users: counts.online,
            waiting: counts.waiting,
            conversations: counts.conversations,
        }),
    }))
}

/// Whether it can serve.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Health {
    /// `ok`, `degraded` or `draining`.
    #[schema(example = "ok")]
    status: &'static str,
    uptime_seconds: u64,
    /// The accounts: `ok` or `unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    store: Option<&'static str>,
    /// What the nodes share, where there are several: `ok` or `unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    cluster: Option<&'static str>,
}

/// That it lives.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Life {
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    uptime_seconds: u64,
}

/// How much the service is used.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Usage {
    connections: Connections,
    transfers: Transfers,
    calls: CallCounts,
    conversations: usize,
    waiting: usize,
    online_users: usize,
    uptime_seconds: u64,
    /// Of all nodes together, where there are several; up to a second old.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Everywhere, required = false)]
    everywhere: Option<Everywhere>,
}

/// Of all nodes together.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Everywhere {
    nodes: usize,
    /// Someone with sessions on two nodes counts on both.
    online_users: u64,
    waiting: u64,
    conversations: u64,
}

/// Files on their way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Transfers {
    offered: usize,
    moving: usize,
    reserved_bytes: usize,
}

/// Sessions by the door they came in by, and those that wait for their client.
#[derive(Serialize, ToSchema)]
struct Connections {
    webtransport: usize,
    websocket: usize,
    socketio: usize,
    parked: usize,
}
