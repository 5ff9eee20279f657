//! One link, seen from the client's end: frames out, frames in, no rules.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_util::either::Either;
use wtransport::endpoint::ConnectOptions;
use wtransport::error::ConnectionError;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, VarInt};

use super::Error;
use super::streams::Streams;
use crate::hub::Door;
use crate::protocol::{ChunkHeader, Encoded, Lane, MAX_CHUNK_HEADER, ServerFrame, TransferId, write_ack, write_frame};
use crate::transport::webtransport::{next_frame, put_frame};

/// How this client names itself where it opens a link.
const AGENT: &str = concat!("duologue-rust/", env!("CARGO_PKG_VERSION"));

/// One address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where packets go.
    pub address: SocketAddr,
    /// Host and perhaps port, as the server's certificate and its `Host` header have them.
    pub authority: String,
    /// Whether TLS is spoken. QUIC always does.
    pub secure: bool,
}

impl Server {
    /// A server that is known by its address alone, without TLS.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, authority: address.to_string(), secure: false }
    }

    /// The name that its certificate must have.
    fn name(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => &self.authority,
        }
    }
}

/// Where a server's doors are and how to trust it.
#[derive(Debug, Clone)]
pub struct Target {
    /// WebSocket.
    pub websocket: Server,
    /// WebTransport; `None`: that door is off.
    pub quic: Option<Server>,
    /// The SHA-256 of the development certificate, as `GET /api/connect` tells it; `None`: the
    /// system's authorities are trusted.
    pub certificate: Option<[u8; 32]>,
    /// The page that a browser would name.
    pub origin: Option<String>,
    /// In place of all that.
    #[cfg(test)]
    pub(crate) net: Option<crate::simulation::link::Net>,
}

#[cfg(test)]
impl Target {
    /// A server in memory.
    pub(crate) fn simulated(net: crate::simulation::link::Net) -> Self {
        let nowhere = Server::plain(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self { websocket: nowhere, quic: None, certificate: None, origin: None, net: Some(net) }
    }
}

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The server closed it with this code.
    Code(u16),
    /// It ended without one.
    Lost(String),
}

/// One link.
pub enum Wire {
    /// Over QUIC.
    WebTransport(Box<WebTransportWire>),
    /// Over TCP.
    WebSocket(Box<WebSocketStream<Stream>>),
    /// In memory.
    #[cfg(test)]
    Memory(Box<crate::simulation::link::MemoryWire>),
    /// Cut by this side.
    Cut,
}

/// What comes over a link.
#[derive(Debug)]
pub enum Heard {
    /// A frame.
    Frame(ServerFrame),
    /// Bytes of a transfer.
    Bytes(ChunkHeader, Bytes),
}

/// The control stream, the datagrams and the streams of one connection.
pub struct WebTransportWire {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    partial: BytesMut,
    streams: Streams,
    // Kept: dropping it would close the connection.
    _endpoint: Endpoint<wtransport::endpoint::endpoint_side::Client>,
}

impl Wire {
    /// Opens a link; no hello is said.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn open(target: &Target, door: Door) -> Result<Self, Error> {
        #[cfg(test)]
        if let Some(net) = &target.net {
            return net.open(door).await.map(Box::new).map(Self::Memory);
        }
        match door {
            Door::WebTransport => webtransport(target).await.map(Box::new).map(Self::WebTransport),
            Door::WebSocket => websocket(target).await.map(Box::new).map(Self::WebSocket),
            Door::SocketIo => Err(Error::Connect("this client does not speak Socket.IO".to_owned())),
        }
    }

    /// Sends an event, volatile ones as datagrams where the door has them.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn send_event(&mut self, event: &Encoded, seq: Option<u64>, ack: Option<u64>) -> Result<(), Error> {
        let mut frame = BytesMut::new();
        write_frame(&mut frame, event, seq, ack);
        if event.lane == Lane::Volatile {
            self.send_volatile(frame.freeze()).await
        } else {
            self.send(frame.freeze()).await
        }
    }

    /// Acknowledges everything up to `ack`.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn send_ack(&mut self, ack: u64) -> Result<(), Error> {
        let mut frame = BytesMut::new();
        write_ack(&mut frame, ack);
        self.send(frame.freeze()).await
    }

    /// Sends these bytes as one frame, whatever they are.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn send(&mut self, frame: Bytes) -> Result<(), Error> {
        match self {
            Self::WebTransport(wire) => {
                let mut bytes = BytesMut::new();
                put_frame(&mut bytes, |out| out.extend_from_slice(&frame));
                wire.send.write_all(&bytes).await.map_err(|error| lost(&error))
            }
            Self::WebSocket(socket) => {
                let text = String::from_utf8_lossy(&frame).into_owned();
                socket.send(Message::text(text)).await.map_err(|error| lost(&error))
            }
            #[cfg(test)]
            Self::Memory(wire) => {
                wire.send(frame, false);
                Ok(())
            }
            Self::Cut => Err(cut()),
        }
    }

    /// Writes these bytes on the control stream as they are, without a length before them: the
    /// beginning of a frame that never ends. Where messages cannot be halved, nothing is written.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn send_partial(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::WebTransport(wire) => wire.send.write_all(bytes).await.map_err(|error| lost(&error)),
            Self::WebSocket(_) => Ok(()),
            #[cfg(test)]
            Self::Memory(_) => Ok(()),
            Self::Cut => Err(cut()),
        }
    }

    /// Sends these bytes as a datagram, or as a frame where there are none.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn send_volatile(&mut self, frame: Bytes) -> Result<(), Error> {
        match self {
            Self::WebTransport(wire) => wire.connection.send_datagram(frame).map_err(|error| lost(&error)),
            #[cfg(test)]
            Self::Memory(wire) => {
                wire.send(frame, true);
                Ok(())
            }
            Self::WebSocket(_) | Self::Cut => self.send(frame).await,
        }
    }

    /// Sends binary data where text is due: a binary message, or a stray stream.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn send_binary(&mut self, data: Bytes) -> Result<(), Error> {
        match self {
            Self::WebTransport(wire) => {
                let opened = async { wire.connection.open_uni().await?.await.map_err(|_| ConnectionError::TimedOut) };
                let mut stream = opened.await.map_err(|error| lost(&error))?;
                // The server may refuse the stream before it has all of it: that is what is tried.
                let _ = stream.write_all(&data).await;
                Ok(())
            }
            Self::WebSocket(socket) => socket.send(Message::binary(data)).await.map_err(|error| lost(&error)),
            #[cfg(test)]
            Self::Memory(_) => Ok(()),
            Self::Cut => Err(cut()),
        }
    }

    /// Sends bytes of a transfer. `last`: none follow.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn send_bytes(&mut self, header: &ChunkHeader, bytes: Bytes, last: bool) -> Result<(), Error> {
        self.feed_bytes(header, bytes, last).await?;
        self.flush().await
    }

    /// [`send_bytes`](Self::send_bytes), but that they may wait for more, or for [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub(super) async fn feed_bytes(&mut self, header: &ChunkHeader, bytes: Bytes, last: bool) -> Result<(), Error> {
        match self {
            Self::WebTransport(wire) => wire.streams.send(&wire.connection, header, bytes, last).await,
            Self::WebSocket(socket) => {
                let mut chunk = BytesMut::with_capacity(MAX_CHUNK_HEADER + bytes.len());
                header.write(&mut chunk);
                chunk.extend_from_slice(&bytes);
                socket.feed(Message::Binary(chunk.freeze())).await.map_err(|error| lost(&error))
            }
            #[cfg(test)]
            Self::Memory(_) => Ok(()),
            Self::Cut => Err(cut()),
        }
    }

    /// Sends what waits for more.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::WebSocket(socket) => socket.flush().await.map_err(|error| lost(&error)),
            Self::WebTransport(_) => Ok(()),
            #[cfg(test)]
            Self::Memory(_) => Ok(()),
            Self::Cut => Err(cut()),
        }
    }

    /// Ends the bytes of a transfer in the middle, where the door can say so.
    pub fn abort_bytes(&mut self, transfer: &TransferId) {
        if let Self::WebTransport(wire) = self {
            wire.streams.abort(transfer);
        }
    }

    /// The next frame of the server; bytes of transfers are passed over. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Ended`] with the close code, [`Error::Frame`].
    pub async fn recv(&mut self) -> Result<ServerFrame, Error> {
        loop {
            if let Heard::Frame(frame) = self.hear().await? {
                return Ok(frame);
            }
        }
    }

    /// The next frame or bytes of the server. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Ended`] with the close code, [`Error::Frame`].
    pub async fn hear(&mut self) -> Result<Heard, Error> {
        match self {
            Self::WebTransport(wire) => wire.hear().await,
            Self::WebSocket(socket) => loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => return read(text.as_bytes()),
                    Some(Ok(Message::Binary(message))) => {
                        let (header, bytes) = ChunkHeader::split(message).map_err(Error::Frame)?;
                        return Ok(Heard::Bytes(header, bytes));
                    }
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map(|frame| u16::from(frame.code));
                        return Err(Error::Ended(code.map_or_else(|| Ended::Lost("no code".to_owned()), Ended::Code)));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(lost(&error)),
                    None => return Err(Error::Ended(Ended::Lost("end of stream".to_owned()))),
                }
            },
            #[cfg(test)]
            Self::Memory(wire) => wire.recv().await.map(Heard::Frame),
            Self::Cut => Err(cut()),
        }
    }

    /// Lets go of the link without a word: the sockets are dropped.
    pub fn cut(&mut self) {
        *self = Self::Cut;
    }
}

/// Closed before its streams are dropped: each would say first that its file ends here.
impl Drop for WebTransportWire {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

impl WebTransportWire {
    async fn hear(&mut self) -> Result<Heard, Error> {
        loop {
            if let Some(frame) = next_frame(&mut self.partial).map_err(|error| lost(&error))? {
                return read(&frame);
            }
            tokio::select! {
                biased; // in the order in which a reader would want them: control before datagrams
                chunk = self.recv.quic_stream_mut().read_chunk(usize::MAX, true) => match chunk {
                    Ok(Some(chunk)) => self.partial.extend_from_slice(&chunk.bytes),
                    Ok(None) => return Err(self.ended().await),
                    Err(_) => return Err(self.ended().await),
                },
                datagram = self.connection.receive_datagram() => {
                    if let Ok(datagram) = datagram {
                        return read(&datagram.payload());
                    }
                    return Err(self.ended().await);
                }
                (header, bytes) = self.streams.hear(&self.connection) => return Ok(Heard::Bytes(header, bytes)),
            }
        }
    }

    /// The stream is over; the connection's close says why.
    async fn ended(&self) -> Error {
        Error::Ended(match self.connection.closed().await {
            ConnectionError::ApplicationClosed(close) => {
                u16::try_from(close.code().into_inner()).map_or_else(|_| Ended::Lost(close.to_string()), Ended::Code)
            }
            other => Ended::Lost(other.to_string()),
        })
    }
}

async fn webtransport(target: &Target) -> Result<WebTransportWire, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Connect(error.to_string());
    let server = target.quic.as_ref().ok_or_else(|| Error::Connect("this server has no WebTransport".to_owned()))?;
    let config = ClientConfig::builder().with_bind_address(SocketAddr::new(unspecified(server.address), 0));
    let config = match target.certificate {
        Some(hash) => config.with_server_certificate_hashes([Sha256Digest::new(hash)]),
        None => config.with_native_certs(),
    };
    let endpoint = Endpoint::client(config.build()).map_err(|error| failed(&error))?;
    let mut options = ConnectOptions::builder(format!("https://{}/realtime", server.authority));
    options = options.add_header("user-agent", AGENT);
    if let Some(origin) = &target.origin {
        options = options.add_header("origin", origin);
    }
    let connection = endpoint.connect(options.build()).await.map_err(|error| failed(&error))?;
    let opening = connection.open_bi().await.map_err(|error| failed(&error))?;
    let (send, recv) = opening.await.map_err(|error| failed(&error))?;
    Ok(WebTransportWire {
        connection,
        send,
        recv,
        partial: BytesMut::new(),
        streams: Streams::default(),
        _endpoint: endpoint,
    })
}

async fn websocket(target: &Target) -> Result<WebSocketStream<Stream>, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Connect(error.to_string());
    let server = &target.websocket;
    let scheme = if server.secure { "wss" } else { "ws" };
    let url = format!("{scheme}://{}/realtime", server.authority);
    let mut request = url.into_client_request().map_err(|error| failed(&error))?;
    request.headers_mut().insert("user-agent", HeaderValue::from_static(AGENT));
    if let Some(origin) = &target.origin {
        let origin = HeaderValue::from_str(origin).map_err(|error| failed(&error))?;
        request.headers_mut().insert("origin", origin);
    }
    let stream = connect_tcp(server).await?;
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(|error| failed(&error))?;
    Ok(socket)
}

/// A TCP connection, in TLS where the server speaks it.
pub(super) async fn connect_tcp(server: &Server) -> Result<Stream, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Connect(error.to_string());
    let stream = TcpStream::connect(server.address).await.map_err(|error| failed(&error))?;
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    if !server.secure {
        return Ok(Stream::Left(stream));
    }
    let name = ServerName::try_from(server.name().to_owned()).map_err(|error| failed(&error))?;
    let tls = TlsConnector::from(Arc::new(crate::tls::client_config()));
    Ok(Stream::Right(Box::new(tls.connect(name, stream).await.map_err(|error| failed(&error))?)))
}

/// A TCP connection, plain or in TLS.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

fn unspecified(peer: SocketAddr) -> std::net::IpAddr {
    if peer.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() }
}

fn read(frame: &[u8]) -> Result<Heard, Error> {
    ServerFrame::decode(frame).map(Heard::Frame).map_err(Error::Frame)
}

pub(super) fn lost(error: &dyn std::fmt::Display) -> Error {
    Error::Ended(Ended::Lost(error.to_string()))
}

fn cut() -> Error {
    Error::Ended(Ended::Lost("cut by this side".to_owned()))
}
