//! Where the realtime doors are: of this node, or of another that has fewer sessions.

use std::net::Ipv6Addr;
use std::sync::atomic::Ordering;

use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::{Extension, extract};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Failure, Success, ok};
use super::{Error, Ports, State};
use crate::cluster::{Card, Doors};
use crate::config::Public;
use crate::protocol::{PROTOCOL, Sha256};
use crate::tls::Secure;

/// The path of the realtime doors.
const REALTIME: &str = "/realtime";
/// Other nodes that are named at the most.
const MOST_NODES: usize = 8;

/// Where the realtime doors are
///
/// `GET /api/connect`. Of several nodes it names one that takes newcomers and has few, and the others to ask
/// where this one does not answer.
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
    let own = addresses(&state.config.public, state.ports, reached).ok_or(Error::HostUnknown)?;
    let hash = state.certificates.as_ref().and_then(|certificates| certificates.sha256());
    let own = Doorway { addresses: own, certificate: hash.map(Sha256::from_bytes) };
    let draining = state.draining.load(Ordering::Relaxed);
    let others = state.sessions.others(draining);
    let there = |card: &Card| doorway(card, state.ports, state.http, reached);
    let named = others.better.as_ref().and_then(there).unwrap_or(own);
    let nodes = others.all.iter().filter_map(there).take(MOST_NODES).map(|there| origin(&there.addresses.websocket));
    let nodes: Vec<_> = nodes.collect();
    let Doorway { addresses, certificate } = named;
    let hashes =
        certificate.map(|hash| vec![CertificateHash { algorithm: "sha-256", value: STANDARD.encode(hash.as_bytes()) }]);
    Ok(ok(Directions {
        protocol: PROTOCOL,
        webtransport: addresses.webtransport.map(|url| WebTransport { url, server_certificate_hashes: hashes }),
        socketio: SocketIo { url: origin(&addresses.websocket), path: "/socket.io" },
        websocket: WebSocket { url: addresses.websocket },
        nodes: (!nodes.is_empty()).then_some(nodes),
    }))
}

/// Where the doors of a node are, and what browsers must know of its certificate.
struct Doorway {
    addresses: Addresses,
    certificate: Option<Sha256>,
}

/// Where the doors of another node are, for a client that has reached this one so. `None`: there is but one
/// name for all of them, and whatever stands behind it chooses.
fn doorway(card: &Card, own: Ports, http: Option<u16>, reached: Reached<'_>) -> Option<Doorway> {
    let Doors { host, https_port, quic_port, http_port, certificate } = &card.doors;
    let addresses = match host {
        Some(name) => {
            let authority = match https_port {
                None | Some(443) => name.clone(),
                Some(port) => format!("{name}:{port}"),
            };
            Addresses {
                webtransport: quic_port.map(|port| format!("https://{name}:{port}{REALTIME}")),
                websocket: format!("wss://{authority}{REALTIME}"),
            }
        }
        None => {
            // It came to this very node if by its own port: the others then have theirs, at the same name.
            let host = reached.host.filter(|host| is_plain(host))?;
            let name = name_of(host);
            let port = host[name.len()..].strip_prefix(':').and_then(|port| port.parse().ok())?;
            let (mine, theirs) = if reached.secure { (own.https, *https_port) } else { (http, *http_port) };
            let theirs = theirs.filter(|_| mine == Some(port))?;
            let scheme = if reached.secure { "wss" } else { "ws" };
            let quic_name = loopback_by_number(name);
            Addresses {
                webtransport: quic_port.map(|port| format!("https://{quic_name}:{port}{REALTIME}")),
                websocket: format!("{scheme}://{name}:{theirs}{REALTIME}"),
            }
        }
    };
    Some(Doorway { addresses, certificate: *certificate })
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
            (loopback_by_number(name_of(host)).to_owned(), format!("{scheme}://{host}{REALTIME}"))
        }
    };
    Some(Addresses { webtransport: quic.map(|port| format!("https://{name}:{port}{REALTIME}")), websocket })
}

/// Browsers try ::1 first for localhost, and there is nothing there to refuse a UDP packet.
fn loopback_by_number(name: &str) -> &str {
    match name {
        "localhost" | "127.0.0.1" | "[::1]" => "127.0.0.1",
        name => name,
    }
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

/// Where the doors are.
#[derive(Serialize, ToSchema)]
struct Directions {
    protocol: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = WebTransport, required = false)]
    webtransport: Option<WebTransport>,
    websocket: WebSocket,
    socketio: SocketIo,
    /// The HTTP origins of other nodes: to be asked the same where this one does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<String>, required = false)]
    nodes: Option<Vec<String>>,
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
