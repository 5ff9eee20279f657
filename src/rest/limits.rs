//! What is limited, for whom: one layer before everything that costs anything.
//!
//! It runs before a body is read and before a password is hashed, and says in every answer of a limited
//! route where the address stands, whatever else the answer says.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{self, ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::rates::Rate;
use super::{Error, State};
use crate::cluster::Cluster;
use crate::config::{Limits, client_address};

const MINUTE: Duration = Duration::from_secs(60);
const QUARTER: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The limits of the HTTP face. Clones count together.
#[derive(Clone)]
pub struct Rates {
    auth: Rate,
    requests: Rate,
    uploads: Rate,
    handshakes: Rate,
    /// The other nodes, where there are any.
    pub(super) cluster: Option<Arc<dyn Cluster>>,
}

impl Rates {
    /// Nobody has asked for anything yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            auth: Rate::new(limits.auth_per_quarter_hour, QUARTER),
            requests: Rate::new(limits.requests_per_quarter_hour, QUARTER),
            uploads: Rate::new(limits.uploads_per_hour, HOUR),
            handshakes: Rate::new(limits.handshakes_per_minute, MINUTE),
            cluster: None,
        }
    }

    pub(super) fn of(&self, limit: Limit) -> &Rate {
        match limit {
            Limit::Auth => &self.auth,
            Limit::Requests => &self.requests,
            Limit::Uploads => &self.uploads,
            Limit::Handshakes => &self.handshakes,
        }
    }
}

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Coming in: it may cost a password's hash.
    Auth,
    /// All else below `/api`, also what is not there; and guests, who cost no hash.
    Requests,
    /// A file, from when it is offered: what is refused before that does not count.
    Uploads,
    /// A connection of Socket.IO: the library keeps one for a while, whoever asked for it.
    Handshakes,
}

impl Limit {
    /// That of a request; `None`: it does not count. A client that comes back asks where the doors are
    /// each time, and the link of a file is good for one request anyway.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match path {
            "/api/auth/register" | "/api/auth/login" if *method == Method::POST => Some(Self::Auth),
            "/api/files" if *method == Method::POST => Some(Self::Uploads),
            "/api/connect" | "/api/openapi.json" | "/api/docs" if reads => None,
            _ if reads && (path.starts_with("/api/files/") || path.starts_with("/api/docs/")) => None,
            _ => (path == "/api" || path.starts_with("/api/")).then_some(Self::Requests),
        }
    }
}

impl Limit {
    /// What its windows are called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Requests => "requests",
            Self::Uploads => "uploads",
            Self::Handshakes => "handshakes",
        }
    }

    /// Whether a request counts whatever becomes of it; else whoever answers knows when it does.
    pub(super) fn counts_at_once(self) -> bool {
        match self {
            Self::Auth | Self::Requests | Self::Handshakes => true,
            Self::Uploads => false,
        }
    }
}

/// Whether a request opens a connection of Socket.IO: all others name theirs.
fn is_handshake(uri: &Uri) -> bool {
    let named = || uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("sid=")));
    uri.path().starts_with("/socket.io") && !named()
}

/// Counts a request, and refuses it where its address is over a limit.
pub async fn hold(
    extract::State(state): extract::State<State>,
    Peer(peer): Peer,
    mut request: Request,
    next: Next,
) -> Response {
    let limit = match is_handshake(request.uri()) {
        true => Some(Limit::Handshakes),
        false => Limit::of(request.method(), request.uri().path()),
    };
    let Some(limit) = limit else { return next.run(request).await };
    let (mut answer, standing) = match state.rates.take(limit, counted_as(peer)).await {
        Ok(pass) => {
            request.extensions_mut().insert(pass.spent());
            pass.run(next.run(request)).await
        }
        Err(standing) => (Error::TooFast(standing.reset).into_response(), standing),
    };
    standing.write(answer.headers_mut());
    answer
}

/// Whose request it is: the address at the other end, or that which a listed proxy tells. Requests
/// that came over no connection are all of one.
pub struct Peer(pub IpAddr);

impl FromRequestParts<State> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip());
        Ok(Self(client_address(peer, &parts.headers, &state.config.limits.trusted_proxies)))
    }
}

/// An IPv4 address as it is, also where it is written as IPv6 (RFC 4291 section 2.5.5.2); of IPv6 the
/// first 64 bits, since the rest is the client's to choose (RFC 4291 section 2.5.4).
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_client_count_as_one() {
        let counted = |text: &str| counted_as(text.parse().unwrap());
        assert_eq!(counted("::ffff:192.0.2.7"), counted("192.0.2.7"));
        assert_ne!(counted("192.0.2.7"), counted("192.0.2.8"));
        assert_eq!(counted("2001:db8:1:2::1"), counted("2001:db8:1:2:ffff::9"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
    }

    #[test]
    fn each_request_counts_once_or_not_at_all() {
        let (get, post) = (Method::GET, Method::POST);
        for (method, path, limit) in [
            (&post, "/api/auth/register", Some(Limit::Auth)),
            (&post, "/api/auth/login", Some(Limit::Auth)),
            (&post, "/api/auth/guest", Some(Limit::Requests)),
            (&get, "/api/auth/login", Some(Limit::Requests)),
            (&get, "/api/auth/me", Some(Limit::Requests)),
            (&post, "/api/users/device", Some(Limit::Requests)),
            (&get, "/api/socket/stats", Some(Limit::Requests)),
            (&get, "/api/nowhere", Some(Limit::Requests)),
            (&get, "/api", Some(Limit::Requests)),
            (&post, "/api/connect", Some(Limit::Requests)),
            (&post, "/api/files", Some(Limit::Uploads)),
            (&get, "/api/files", Some(Limit::Requests)),
            (&get, "/api/files/ticket", None),
            (&post, "/api/files/ticket", Some(Limit::Requests)),
            (&get, "/api/connect", None),
            (&get, "/api/docs", None),
            (&get, "/api/docs/page.js", None),
            (&get, "/api/openapi.json", None),
            (&get, "/", None),
            (&get, "/health", None),
            (&get, "/sdk/duologue.js", None),
            (&get, "/app/main.js", None),
            (&get, "/apis", None),
            (&post, "/socket.io/", None),
            (&get, "/realtime", None),
        ] {
            assert_eq!(Limit::of(method, path), limit, "{method} {path}");
        }
    }

    #[test]
    fn a_connection_of_socketio_counts_once() {
        for (uri, counts) in [
            ("/socket.io/?EIO=4&transport=polling", true),
            ("/socket.io/", true),
            ("/socket.io/?EIO=4&transport=polling&sid=abc", false),
            ("/api/connect?sid=1", false),
            ("/api/connect", false),
        ] {
            assert_eq!(is_handshake(&uri.parse().unwrap()), counts, "{uri}");
        }
    }
}
