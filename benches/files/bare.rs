//! What the doors carry when a server only copies from one client to the other: the same libraries and
//! settings, no rules, no hash, no window of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::Bytes;
use duologue::tls::Certificates;
use futures_util::{SinkExt, StreamExt};
use quinn::crypto::rustls::QuicServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::TaskTracker;
use wtransport::endpoint::IncomingSessionFuture;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint};

/// Whether the three of them also reckon the SHA-256 of what passes, as ours do.
pub(super) type Hashing = bool;

struct Hash(Option<digest::Context>);

impl Hash {
    fn new(hashing: Hashing) -> Self {
        Self(hashing.then(|| digest::Context::new(&digest::SHA256)))
    }

    fn pass(&mut self, bytes: &[u8]) {
        if let Some(context) = &mut self.0 {
            context.update(bytes);
        }
    }
}

/// As the client of ours writes, and as it and the server read.
const CHUNK: usize = 16 * 1024;
const PIECE: usize = 32 * 1024;

/// WebTransport: from one unidirectional stream into another.
pub(super) async fn webtransport(
    certificates: &Certificates,
    whole: &Bytes,
    hashing: Hashing,
    tasks: &TaskTracker,
) -> Duration {
    let crypto = QuicServerConfig::try_from(certificates.quic_config()).unwrap();
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport()));
    let endpoint = quinn::Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = endpoint.local_addr().unwrap();
    let server = tasks.spawn(async move {
        let mut connections = Vec::new();
        for _ in 0..2 {
            let connecting = endpoint.accept().await.unwrap().accept().unwrap();
            let request = IncomingSessionFuture::with_quic_connecting(connecting).await.unwrap();
            connections.push(request.accept().await.unwrap());
        }
        let mut from = connections[0].accept_uni().await.unwrap();
        let mut to = connections[1].open_uni().await.unwrap().await.unwrap();
        let mut hash = Hash::new(hashing);
        while let Some(chunk) = from.quic_stream_mut().read_chunk(PIECE, true).await.unwrap() {
            hash.pass(&chunk.bytes);
            to.quic_stream_mut().write_chunk(chunk.bytes).await.unwrap();
        }
        to.finish().await.unwrap();
        connections[1].closed().await;
        endpoint.close(0_u32.into(), b"");
    });
    let hash = certificates.sha256().unwrap();
    let (sender, _sending_end) = connect(address, hash).await;
    let (receiver, _receiving_end) = connect(address, hash).await;
    let began = Instant::now();
    let (whole, length) = (whole.clone(), whole.len());
    let sending = tasks.spawn(async move {
        let mut stream = sender.open_uni().await.unwrap().await.unwrap();
        let mut hash = Hash::new(hashing);
        for start in (0..whole.len()).step_by(CHUNK) {
            let chunk = whole.slice(start..whole.len().min(start + CHUNK));
            hash.pass(&chunk);
            stream.quic_stream_mut().write_chunk(chunk).await.unwrap();
        }
        stream.finish().await.unwrap();
        sender
    });
    let receiving = tasks.spawn(async move {
        let mut stream = receiver.accept_uni().await.unwrap();
        let (mut received, mut hash) = (0, Hash::new(hashing));
        while let Some(chunk) = stream.quic_stream_mut().read_chunk(PIECE, true).await.unwrap() {
            hash.pass(&chunk.bytes);
            received += chunk.bytes.len();
        }
        assert_eq!(received, length);
        (Instant::now(), receiver)
    });
    let (ended, receiver) = receiving.await.unwrap();
    drop((receiver, sending.await.unwrap()));
    server.await.unwrap();
    ended - began
}

async fn connect(
    address: SocketAddr,
    hash: [u8; 32],
) -> (Connection, Endpoint<wtransport::endpoint::endpoint_side::Client>) {
    let bind = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let config = ClientConfig::builder().with_bind_address(bind);
    let config = config.with_server_certificate_hashes([Sha256Digest::new(hash)]).build();
    let endpoint = Endpoint::client(config).unwrap();
    let connection = endpoint.connect(format!("https://127.0.0.1:{}/", address.port())).await.unwrap();
    (connection, endpoint)
}

/// As src/transport/quic.rs has it.
fn transport() -> quinn::TransportConfig {
    let mut transport = quinn::TransportConfig::default();
    transport
        .stream_receive_window((256_u32 * 1024).into())
        .receive_window((1024_u32 * 1024).into())
        .send_window(1024 * 1024);
    transport
}

/// WebSocket: each binary message from one socket to the other.
pub(super) async fn websocket(whole: &Bytes, hashing: Hashing, tasks: &TaskTracker) -> Duration {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tasks.spawn(async move {
        let mut sockets = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            sockets.push(tokio_tungstenite::accept_async(stream).await.unwrap());
        }
        let [mut from, mut to] = <[_; 2]>::try_from(sockets).unwrap_or_else(|_| unreachable!());
        let mut hash = Hash::new(hashing);
        while let Some(Ok(message)) = from.next().await {
            if let Message::Binary(bytes) = &message {
                hash.pass(bytes);
                to.send(message).await.unwrap();
            }
        }
    });
    let connect = async || {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio_tungstenite::client_async(format!("ws://{address}/"), stream).await.unwrap().0
    };
    let (mut sender, mut receiver) = (connect().await, connect().await);
    let began = Instant::now();
    let (whole, length) = (whole.clone(), whole.len());
    let sending = tasks.spawn(async move {
        let mut hash = Hash::new(hashing);
        for start in (0..whole.len()).step_by(CHUNK) {
            let chunk = whole.slice(start..whole.len().min(start + CHUNK));
            hash.pass(&chunk);
            sender.send(Message::Binary(chunk)).await.unwrap();
        }
        sender
    });
    let receiving = tasks.spawn(async move {
        let (mut received, mut hash) = (0, Hash::new(hashing));
        while received < length {
            if let Message::Binary(bytes) = receiver.next().await.unwrap().unwrap() {
                hash.pass(&bytes);
                received += bytes.len();
            }
        }
        (Instant::now(), receiver)
    });
    let (ended, receiver) = receiving.await.unwrap();
    drop((receiver, sending.await.unwrap()));
    server.await.unwrap();
    ended - began
}
