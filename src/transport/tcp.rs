//! HTTP/1.1 over TCP, plain and TLS: where REST, the demo and WebSocket upgrades come in.
//!
//! Owns: accepting, the TLS handshake, and the deadlines that keep idle or slow openers from
//! holding a connection. What is asked for is the router's business.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::header::{ORIGIN, USER_AGENT};
use axum::http::{Extensions, HeaderMap};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

pub use super::lingering::Hangup;
use super::lingering::Lingering;
use crate::config::{Networks, client_address};
use crate::session::Peer;
use crate::tls::Secure;

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Time for the head of a request; also how long a kept-alive connection may be idle.
const REQUEST_HEAD: Duration = Duration::from_secs(30);
/// Bytes of a request's head, and of what is buffered for each connection.
pub(super) const HEAD_BYTES: usize = 16 * 1024;
/// Bytes that the system takes ahead of what it can send.
const UNSENT: u32 = 64 * 1024;
/// A pause when the system has no more sockets to give.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Who asks for something over HTTP: by the connection's address, where a listener of ours has noted
/// it, and by what the client says of itself.
pub fn peer(extensions: &Extensions, headers: &HeaderMap, trusted: &Networks) -> Peer {
    let address = extensions.get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| client_address(address.ip(), headers, trusted));
    Peer::new(address, headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()))
}

/// The page that asks (RFC 6454); what cannot be read is none that could be allowed.
pub fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("?"))
}

/// Accepts connections until `stop`, each on a task of its own.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let tls = tls.map(TlsAcceptor::from);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if is_the_listeners(&error) {
                    warn!(%error, "no connection could be accepted; trying again");
                    sleep(EXHAUSTED).await;
                }
                continue;
            }
        };
        let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = connection(stream, peer, tls, router, stop).await {
                debug!(%error, "an HTTP connection ended early");
            }
        });
    }
}

/// Whether accepting failed for a reason of this machine, not of the one connection.
fn is_the_listeners(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    // What the system keeps for the client is out of our hands: little of it should be. A system that
    // does not know of this keeps more.
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    match tls {
        Some(tls) => {
            let stream = timeout(HANDSHAKE, tls.accept(stream)).await??;
            http(stream, (peer, Secure(true)), router, stop).await
        }
        None => http(stream, (peer, Secure(false)), router, stop).await,
    }
}

/// Serves a connection that a node of ours has taken for this one, and carries here on `stream`.
pub async fn carried<S>(stream: S, from: (SocketAddr, Secure), router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Err(error) = http(stream, from, router, stop).await {
        debug!(%error, "an HTTP connection by way of another node ended early");
    }
}

async fn http<S>(
    stream: S,
    (peer, secure): (SocketAddr, Secure),
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let hangup = Hangup::default();
    let stream = Lingering::new(stream, hangup.clone());
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(secure);
        request.extensions_mut().insert(hangup.clone());
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        served = connection.as_mut() => return Ok(served?),
    }
    // The request under way is still answered.
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}
