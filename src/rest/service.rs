//! The service itself: whether it can serve, where its doors are, and how much it is used.

use std::net::Ipv6Addr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::envelope::{Failure, Success, bearer, ok};
use super::{Error, Ports, State};
use crate::chat::{Cargo, Census};
use crate::config::{Environment, Public};
use crate::protocol::PROTOCOL;
use crate::tls::Secure;

/// How long the accounts may take to say that they are there.
const PING_DEADLINE: Duration = Duration::from_secs(1);
/// The path of the realtime doors.
const REALTIME: &str = "/realtime";

/// Whether it can serve
///
/// `GET /health`. In no envelope: load balancers read it.
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    responses(
        (status = 200, description = "It can", body = Health),
        (status = 503, description = "It is about to stop, or its accounts cannot be reached", body = Health),
    ),
)]
pub async fn health(extract::State(state): extract::State<State>) -> Response {
    let uptime_seconds = state.started.elapsed().as_secs();
    let answer = |http, status, store| (http, Json(Health { status, uptime_seconds, store })).into_response();
    if state.draining.load(Ordering::Relaxed) {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "draining", None);
    }
    match timeout(PING_DEADLINE, state.chat.accounts().ping()).await {
        Ok(Ok(())) => answer(StatusCode::OK, "ok", Some("ok")),
        Ok(Err(_)) | Err(_) => answer(StatusCode::SERVICE_UNAVAILABLE, "unavailable", Some("unavailable")),
    }
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

/// Where the realtime doors are
///
/// `GET /api/connect`
#[utoipa::path(
    get,
    path = "/api/connect",
    tag = "service",
    responses(
        (status = 200, description = "Their addresses", body = Success<Directions>),
        (status = 400, description = "`host-unknown`", body = Failure),
    ),
)]
pub async fn connect(
    extract::State(state): extract::State<State>,
    secure: Option<Extension<Secure>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let header = headers.get(HOST).and_then(|host| host.to_str().ok());
    let reached = Reached {
        host: uri.authority().map(|authority| authority.as_str()).or(header),
        secure: secure.is_some_and(|Extension(Secure(secure))| secure),
    };
    let addresses = addresses(&state.config.public, state.ports, reached).ok_or(Error::HostUnknown)?;
    let hash = state.certificates.as_ref().and_then(|certificates| certificates.sha256());
    let hashes = hash.map(|hash| vec![CertificateHash { algorithm: "sha-256", value: STANDARD.encode(hash) }]);
    Ok(ok(Directions {
        protocol: PROTOCOL,
        webtransport: addresses.webtransport.map(|url| WebTransport { url, server_certificate_hashes: hashes }),
        socketio: SocketIo { url: origin(&addresses.websocket), path: "/socket.io" },
        websocket: WebSocket { url: addresses.websocket },
    }))
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
        conversations,
        waiting,
        online_users,
        uptime_seconds: state.started.elapsed().as_secs(),
    }))
}

/// How a request reached this server.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'a> {
    /// The name and perhaps port that the client used.
    pub host: Option<&'a str>,
    /// Whether over TLS.
    pub secure: bool,
}

/// Where the doors are, for one client.
#[derive(Debug, PartialEq, Eq)]
pub struct Addresses {
    /// WebTransport; `None`: that door is off.
    pub webtransport: Option<String>,
    /// WebSocket.
    pub websocket: String,
}

/// The doors' addresses, by the public name where there is one, else by the name that the client
/// used. `None`: there is neither.
pub fn addresses(public: &Public, ports: Ports, reached: Reached<'_>) -> Option<Addresses> {
    let quic = ports.quic.map(|port| public.quic_port.unwrap_or(port));
    let (name, websocket) = match public.name().zip(public.authority()) {
        Some((name, authority)) => (name, format!("wss://{authority}{REALTIME}")),
        None => {
            let host = reached.host.filter(|host| is_plain(host))?;
            let scheme = if reached.secure { "wss" } else { "ws" };
            // Browsers try ::1 first for localhost, and there is nothing there to refuse a UDP packet.
            let name = match name_of(host) {
                "localhost" | "127.0.0.1" | "[::1]" => "127.0.0.1",
                name => name,
            };
            (name.to_owned(), format!("{scheme}://{host}{REALTIME}"))
        }
    };
    Some(Addresses { webtransport: quic.map(|port| format!("https://{name}:{port}{REALTIME}")), websocket })
}

/// The HTTP origin at which a WebSocket is: what `io()` is given.
fn origin(websocket: &str) -> String {
    format!("http{}", websocket.trim_start_matches("ws").trim_end_matches(REALTIME))
}

/// Whether a Host header may be put into a URL: a name or an address and perhaps a port, no more.
fn is_plain(host: &str) -> bool {
    let (name, port) = host.split_at(name_of(host).len());
    let name_is_plain = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
    };
    let port_is_plain = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    name_is_plain && port_is_plain
}

/// A Host header without its port.
fn name_of(host: &str) -> &str {
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    &host[..end]
}

/// Whether it can serve.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Health {
    /// `ok`, `draining` or `unavailable`.
    #[schema(example = "ok")]
    status: &'static str,
    uptime_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    store: Option<&'static str>,
}

/// That it lives.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Life {
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    uptime_seconds: u64,
}

/// Where the doors are.
#[derive(Serialize, ToSchema)]
struct Directions {
    protocol: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = WebTransport, required = false)]
    webtransport: Option<WebTransport>,
    websocket: WebSocket,
    socketio: SocketIo,
}

/// Over QUIC.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WebTransport {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<CertificateHash>, required = false)]
    server_certificate_hashes: Option<Vec<CertificateHash>>,
}

/// Of a development certificate, for `serverCertificateHashes`.
#[derive(Serialize, ToSchema)]
struct CertificateHash {
    #[schema(example = "sha-256")]
    algorithm: &'static str,
    /// Base64.
    value: String,
}

/// Over TCP.
#[derive(Serialize, ToSchema)]
struct WebSocket {
    url: String,
}

/// For clients of the API that came before.
#[derive(Serialize, ToSchema)]
struct SocketIo {
    #[schema(example = "http://localhost:3001")]
    url: String,
    #[schema(value_type = String, example = "/socket.io")]
    path: &'static str,
}

/// How much the service is used.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Usage {
    connections: Connections,
    transfers: Transfers,
    conversations: usize,
    waiting: usize,
    online_users: usize,
    uptime_seconds: u64,
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
