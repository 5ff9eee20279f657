//! The one UDP port: our own quinn endpoint, so that we decide whom to let in before any TLS work.
//!
//! Owns: quinn's settings, its keys that outlive a restart, and the choice for each newcomer: accept,
//! ask to prove the address (Retry, RFC 9000 section 8.1.2), or refuse.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{hkdf, hmac};
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::webtransport;
use crate::config::Origins;
use crate::session::{Peer, Sessions};
use crate::tls::Certificates;

/// Streams a client may have open at once, of each kind.
const STREAMS: u32 = 16;
/// Flow control windows and buffers, in bytes: what a client can make this server hold.
const STREAM_WINDOW: u32 = 256 * 1024;
const WINDOW: u32 = 1024 * 1024;
const DATAGRAM_BUFFER: usize = 64 * 1024;
/// QUIC's own idle timeout. Dead links are found long before, by the session's heartbeat.
const IDLE: Duration = Duration::from_secs(40);
/// Handshakes under way at once: over the first bound a newcomer must prove its address, over the
/// second it is refused.
const HANDSHAKES_BEFORE_RETRY: usize = 128;
const HANDSHAKES: usize = 1024;
/// Time for a handshake, and then for the CONNECT request.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// What quinn keeps of handshakes that were not looked at yet.
const INCOMING: usize = 1024;
const INCOMING_BYTES: u64 = 64 * 1024;
const INCOMING_BYTES_TOTAL: u64 = 16 * 1024 * 1024;
/// Kernel buffers of the socket, as far as the system allows.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Bytes of secret kept in the data folder: for stateless resets, and for address tokens.
const KEY_BYTES: usize = 64;

/// Binds the UDP port. Newcomers are only queued until [`serve`] runs.
///
/// # Errors
/// The port is taken or not allowed, or the keys in the data folder cannot be read or made.
pub fn bind(address: SocketAddr, certificates: &Certificates, data: &Path) -> io::Result<Endpoint> {
    let keys = keys(&data.join("quic-keys"))?;
    let (reset, token) = keys.split_at(KEY_BYTES / 2);
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
    socket.bind(&address.into())?;
    // As large as the system allows: a small buffer costs packets, not correctness.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);

    let crypto = QuicServerConfig::try_from(certificates.quic_config()).map_err(io::Error::other)?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server
        .transport_config(Arc::new(transport()))
        .max_incoming(INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL)
        .token_key(Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(token)));
    let endpoint = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, reset)));
    Endpoint::new(endpoint, Some(server), socket.into(), Arc::new(TokioRuntime))
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(STREAMS.into())
        .max_concurrent_uni_streams(STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(WINDOW.into())
        .send_window(WINDOW.into())
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .max_idle_timeout(Some(IDLE.try_into().expect("40 s fit a QUIC idle timeout")))
        .congestion_controller_factory(Arc::new(CubicConfig::default()));
    transport
}

/// Lets clients in until the endpoint is closed.
pub async fn serve(endpoint: Endpoint, sessions: Sessions, origins: Arc<Origins>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    while let Some(incoming) = endpoint.accept().await {
        let busy = HANDSHAKES - handshakes.available_permits();
        if busy >= HANDSHAKES_BEFORE_RETRY && !incoming.remote_address_validated() {
            // It may retry: that was just asked.
            let _ = incoming.retry();
            continue;
        }
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let (sessions, origins) = (sessions.clone(), Arc::clone(&origins));
        let tasks = sessions.tasks().clone();
        tasks.spawn(async move {
            let opened = timeout(2 * HANDSHAKE, open(incoming)).await;
            drop(permit);
            match opened {
                Ok(Ok(Some(Opened { connection, origin, peer }))) => {
                    let allowed = origins.allows(origin.as_deref());
                    webtransport::serve(connection, peer, sessions, allowed).await;
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => debug!(%error, "no session was opened"),
                Err(_late) => debug!("a handshake or CONNECT request took too long"),
            }
        });
    }
}

/// A WebTransport session, and what its CONNECT request said.
struct Opened {
    connection: wtransport::Connection,
    origin: Option<String>,
    peer: Peer,
}

/// The handshake and the CONNECT request (RFC 9114 section 4.4, as WebTransport extends it).
async fn open(incoming: Incoming) -> Result<Option<Opened>, wtransport::error::ConnectionError> {
    let Ok(connecting) = incoming.accept() else { return Ok(None) };
    let request = wtransport::endpoint::IncomingSessionFuture::with_quic_connecting(connecting).await?;
    if request.path().split('?').next() != Some("/realtime") {
        request.not_found().await;
        return Ok(None);
    }
    let origin = request.origin().map(str::to_owned);
    let peer = Peer::new(Some(request.remote_address().ip()), request.user_agent());
    Ok(Some(Opened { connection: request.accept().await?, origin, peer }))
}

/// Stops letting clients in and tells quinn's connections that are left.
pub fn close(endpoint: &Endpoint) {
    endpoint.close(VarInt::from_u32(0), b"");
}

/// The endpoint's secrets: kept, so that after a restart a client of the old process is told at
/// once that its connection is gone (RFC 9000 section 10.3).
fn keys(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Ok(keys) if keys.len() == KEY_BYTES => Ok(keys),
        Ok(_) => make_keys(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_keys(path),
        Err(error) => Err(error),
    }
}

fn make_keys(path: &Path) -> io::Result<Vec<u8>> {
    let keys: [u8; KEY_BYTES] = rand::random();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    crate::tls::write_secret(path, &keys)?;
    Ok(keys.to_vec())
}
