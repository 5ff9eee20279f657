//! Streams between nodes: messages with a length and a kind, and bare bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use super::Peer;

/// Largest message, in bytes: two whole sessions with all that waits for their clients fit.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// Most bytes that are read in one go.
const READ: usize = 64 * 1024;
/// What a stream is reset or stopped with that nobody wants any more. Any other code: whoever had it is gone, as
/// with a link that is lost.
pub(super) const UNWANTED: u32 = 1;
/// A length, and a kind.
const HEAD: usize = 5;

/// Why a stream carries nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The other side ended it on purpose.
    #[error("the other side ended the stream")]
    Aborted,
    /// The way to the other node is gone.
    #[error("the way to the other node is gone: {0}")]
    Lost(String),
}

/// A stream of messages, both ways.
pub struct Wire {
    /// What goes out.
    pub out: Outgoing,
    /// What comes in.
    pub come: Incoming,
}

impl Wire {
    pub(super) fn new(send: SendStream, receive: RecvStream) -> Self {
        Self {
            out: Outgoing { stream: Sending { quic: send, whole: false }, waiting: BytesMut::new() },
            come: Incoming { stream: receive, read: BytesMut::new() },
        }
    }

    /// The same stream for what is no messages, from behind the last that was read. What waits is written
    /// first.
    ///
    /// # Errors
    /// As [`flush`](Outgoing::flush).
    pub async fn bare(mut self) -> Result<Bare, Broken> {
        self.out.flush().await?;
        Ok(Bare { send: self.out.stream, receive: self.come.stream, read: self.come.read })
    }
}

/// A stream of bytes, both ways, as a connection is one. Dropped, what was written is still delivered, and
/// nothing more is read.
pub struct Bare {
    send: Sending,
    receive: RecvStream,
    /// Came with the last message.
    read: BytesMut,
}

impl AsyncRead for Bare {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return AsyncRead::poll_read(Pin::new(&mut self.receive), cx, into);
        }
        let now = self.read.len().min(into.remaining());
        into.put_slice(&self.read.split_to(now));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bare {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send.quic), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send.quic), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.send.quic), cx)
    }
}

/// A stream of quinn's, which when dropped is finished.
struct Sending {
    quic: SendStream,
    /// Its end says that this was all: dropped before, it is reset.
    whole: bool,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.whole {
            // Fails where the way is gone, too.
            let _ = self.quic.reset(VarInt::from_u32(0));
        }
    }
}

/// The half of a stream that writes.
pub struct Outgoing {
    stream: Sending,
    /// What is to be written, also of a call that was cancelled.
    waiting: BytesMut,
}

impl Outgoing {
    /// Puts a message behind those that wait; [`flush`](Self::flush) writes them. `parts` are one after the
    /// other.
    pub fn put(&mut self, kind: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.waiting.reserve(HEAD + length);
        // Frames and chunks are bounded far below this, and images are looked at before.
        self.waiting.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        self.waiting.put_u8(kind);
        parts.iter().for_each(|part| self.waiting.put_slice(part));
    }

    /// Writes all that waits. Cancelled, the rest is written by the next call.
    ///
    /// # Errors
    /// Why nothing can be written any more.
    pub async fn flush(&mut self) -> Result<(), Broken> {
        while !self.waiting.is_empty() {
            let written = self.stream.quic.write(&self.waiting).await.map_err(unwritten)?;
            self.waiting.advance(written);
        }
        Ok(())
    }

    /// Writes a message and all before it.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn send(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), Broken> {
        self.put(kind, parts);
        self.flush().await
    }

    /// Writes bare bytes: for streams that carry no messages.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn bytes(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.flush().await?;
        self.stream.quic.write_chunk(bytes).await.map_err(unwritten)
    }

    /// Waits until the other side wants no more of it, or the way to it is gone.
    pub async fn unwanted(&mut self) {
        // Whatever it says: it is over.
        let _ = self.stream.quic.stopped().await;
    }

    /// That was all.
    pub fn finish(mut self) {
        // Fails only where the other side has stopped it.
        let _ = self.stream.quic.finish();
        self.stream.whole = false;
    }

    /// There will be no more.
    pub fn reset(mut self) {
        // As above.
        let _ = self.stream.quic.reset(VarInt::from_u32(UNWANTED));
        self.stream.whole = false;
    }
}

/// The half of a stream that reads.
pub struct Incoming {
    stream: RecvStream,
    read: BytesMut,
}

impl Incoming {
    /// The next message: its kind, and the rest. `None`: that was all. Cancel safe.
    ///
    /// # Errors
    /// Why there will be no more.
    pub async fn next(&mut self) -> Result<Option<(u8, Bytes)>, Broken> {
        loop {
            if let Some(head) = self.read.first_chunk::<HEAD>() {
                let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
                if length > MAX_MESSAGE {
                    return Err(Broken::Lost(format!("a message of {length} bytes")));
                }
                let kind = head[4];
                if self.read.len() >= HEAD + length {
                    self.read.advance(HEAD);
                    return Ok(Some((kind, self.read.split_to(length).freeze())));
                }
            }
            match self.stream.read_chunk(READ, true).await.map_err(unread)? {
                Some(chunk) => self.read.extend_from_slice(&chunk.bytes),
                None => return Ok(None),
            }
        }
    }

    /// Reads bare bytes; none: that was all. Cancel safe.
    ///
    /// # Errors
    /// Why there will be no more.
    pub async fn read(&mut self, into: &mut [u8]) -> Result<Option<usize>, Broken> {
        self.stream.read(into).await.map_err(unread)
    }

    /// Wants no more of it.
    pub fn stop(mut self) {
        // Fails only where all was read.
        let _ = self.stream.stop(VarInt::from_u32(UNWANTED));
    }
}

/// The streams of bytes of one link that is carried between two nodes.
pub struct Beside {
    peer: Peer,
    link: u64,
    come: tokio::sync::Mutex<mpsc::Receiver<RecvStream>>,
}

impl Beside {
    pub(super) fn new(peer: Peer, link: u64, come: mpsc::Receiver<RecvStream>) -> Self {
        Self { peer, link, come: tokio::sync::Mutex::new(come) }
    }

    /// The next stream that the other side opens. Cancel safe.
    ///
    /// # Errors
    /// There will be no more.
    pub async fn accept(&self) -> Result<Incoming, Broken> {
        let stream = self.come.lock().await.recv().await;
        let stream = stream.ok_or_else(|| Broken::Lost("the link is over".to_owned()))?;
        Ok(Incoming { stream, read: BytesMut::new() })
    }

    /// Opens a stream to the other side.
    ///
    /// # Errors
    /// The way is gone.
    pub async fn open(&self) -> Result<Outgoing, Broken> {
        let stream = self.peer.connection.open_uni().await.map_err(|error| Broken::Lost(error.to_string()))?;
        let mut out = Outgoing { stream: Sending { quic: stream, whole: true }, waiting: BytesMut::new() };
        out.waiting.put_u64(self.link);
        // At once: the other side waits for it.
        out.flush().await?;
        Ok(out)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.peer.links().remove(&self.link);
    }
}

fn unwritten(error: WriteError) -> Broken {
    match error {
        WriteError::Stopped(code) if code == VarInt::from_u32(UNWANTED) => Broken::Aborted,
        other => Broken::Lost(other.to_string()),
    }
}

fn unread(error: ReadError) -> Broken {
    match error {
        ReadError::Reset(code) if code == VarInt::from_u32(UNWANTED) => Broken::Aborted,
        other => Broken::Lost(other.to_string()),
    }
}
