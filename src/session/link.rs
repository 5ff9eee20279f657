//! What a door offers to a session: frames in, batches out, a farewell.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::hub::Door;
use crate::outbox::Batch;
use crate::protocol::{ChunkHeader, ClientFrame, Closing, Refusal};

/// The carrier of the moment. Split once, so that reading and writing never wait for each other.
pub trait Link: Send + 'static {
    /// The half that reads.
    type Reader: Reader;
    /// The half that writes.
    type Writer: Writer;
    /// Where the bytes of transfers go beside the frames; [`NoStreams`]: they go as chunks, in between.
    type Streams: Streams;

    /// Which door it came through.
    fn door(&self) -> Door;

    /// `None`: its clients resume with their session's name and key. Otherwise they know of neither, and
    /// whoever comes back by such a link within this time goes on with the session that their last one left.
    fn grace(&self) -> Option<Duration> {
        None
    }

    /// Who is at its other end.
    fn peer(&self) -> Peer;

    /// Its two halves, and its streams if it has any.
    fn split(self) -> (Self::Reader, Self::Writer, Option<Self::Streams>);
}

/// Where it is told what became of a frame.
pub type Answer = oneshot::Sender<Result<(), Refusal>>;

/// Most bytes that are looked at of a User-Agent.
const MOST_AGENT: usize = 512;

/// Who is at the other end of a link. It lives no longer than the link's beginning: what is kept of
/// it is less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The client's address, as far as it is known.
    pub address: Option<IpAddr>,
    /// How the client's program names itself: its User-Agent (RFC 9110 section 10.1.5), cut to 512 bytes.
    pub agent: Option<String>,
}

impl Peer {
    /// An IPv4 address that is written as IPv6 is taken as what it is (RFC 4291 section 2.5.5.2).
    pub fn new(address: Option<IpAddr>, agent: Option<&str>) -> Self {
        let agent = agent.map(|agent| agent[..agent.floor_char_boundary(MOST_AGENT)].to_owned());
        Self { address: address.map(|address| address.to_canonical()), agent }
    }
}

/// What comes in.
#[derive(Debug)]
pub enum Heard {
    /// A frame, or why it is refused.
    Frame(Result<ClientFrame, Refusal>),
    /// A frame whose sender wants to know what became of it; no `error` is told besides.
    Asked(Result<ClientFrame, Refusal>, Answer),
    /// Bytes of a transfer.
    Chunk(ChunkHeader, Bytes),
}

/// The half of a link that reads.
pub trait Reader: Send {
    /// The next frame or chunk, in the order of arrival. Cancel safe.
    ///
    /// # Errors
    /// Why there will be no more.
    fn recv(&mut self) -> impl Future<Output = Result<Heard, LinkEnd>> + Send;

    /// Says what became of the last frame, if whoever sent it waits for that; the next [`recv`](Self::recv)
    /// would do so.
    ///
    /// # Errors
    /// As for `recv`.
    fn answer(&mut self) -> impl Future<Output = Result<(), LinkEnd>> + Send {
        std::future::ready(Ok(()))
    }
}

/// A reader that first yields what came before, while the session was elsewhere.
pub(super) struct Replayed<R> {
    before: VecDeque<Heard>,
    reader: R,
}

impl<R> From<R> for Replayed<R> {
    fn from(reader: R) -> Self {
        Self { before: VecDeque::new(), reader }
    }
}

impl<R> Replayed<R> {
    /// This came before all else.
    pub(super) fn first(&mut self, before: VecDeque<Heard>) {
        self.before = before;
    }
}

impl<R: Reader> Reader for Replayed<R> {
    async fn recv(&mut self) -> Result<Heard, LinkEnd> {
        match self.before.pop_front() {
            Some(heard) => Ok(heard),
            None => self.reader.recv().await,
        }
    }

    async fn answer(&mut self) -> Result<(), LinkEnd> {
        self.reader.answer().await
    }
}

/// The half of a link that writes.
pub trait Writer: Send {
    /// Writes all of a batch in one go. When it is cancelled, what it has begun is finished by the
    /// next call of either method, so that a frame is never left half written.
    ///
    /// # Errors
    /// Why nothing can be written any more.
    fn send(&mut self, batch: &Batch) -> impl Future<Output = Result<(), LinkEnd>> + Send;

    /// Writes chunks of transfers in one go; only where there are no streams. Cancelled as
    /// [`send`](Self::send).
    ///
    /// # Errors
    /// Why nothing can be written any more.
    fn send_chunks(&mut self, chunks: &[(ChunkHeader, Bytes)]) -> impl Future<Output = Result<(), LinkEnd>> + Send;

    /// Says `connection:closing`, sees it off, and closes the link with the same code.
    fn close(self, closing: &Closing) -> impl Future<Output = ()> + Send;
}

/// Streams beside the frames, one for each transfer and direction.
pub trait Streams: Send + Sync + 'static {
    /// A stream that the client opened.
    type Source: Source;
    /// A stream that we opened.
    type Sink: Sink;

    /// The next stream that the client opens. Cancel safe.
    ///
    /// # Errors
    /// Why there will be no more.
    fn accept(&self) -> impl Future<Output = Result<Self::Source, LinkEnd>> + Send;

    /// Opens a stream to the client.
    ///
    /// # Errors
    /// Why there can be none.
    fn open(&self) -> impl Future<Output = Result<Self::Sink, LinkEnd>> + Send;
}

/// Bytes that come in.
pub trait Source: Send {
    /// Reads as much as has come and fits; none: that was all. Cancel safe.
    ///
    /// # Errors
    /// Why there will be no more.
    fn read(&mut self, into: &mut [u8]) -> impl Future<Output = Result<Option<usize>, StreamEnd>> + Send;

    /// Wants no more of it.
    fn stop(self);
}

/// Bytes that go out.
pub trait Sink: Send {
    /// Writes all of them.
    ///
    /// # Errors
    /// Why no more can be written.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), StreamEnd>> + Send;

    /// That was all.
    fn finish(self);

    /// There will be no more.
    fn reset(self);
}

/// Why a stream carries nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The other side ended it on purpose (RESET_STREAM or STOP_SENDING).
    Aborted,
    /// The link is gone.
    Lost,
}

/// The streams of a door that has none.
pub enum NoStreams {}

impl Streams for NoStreams {
    type Source = Infallible;
    type Sink = Infallible;

    async fn accept(&self) -> Result<Infallible, LinkEnd> {
        match *self {}
    }

    async fn open(&self) -> Result<Infallible, LinkEnd> {
        match *self {}
    }
}

impl Source for Infallible {
    async fn read(&mut self, _: &mut [u8]) -> Result<Option<usize>, StreamEnd> {
        match *self {}
    }

    fn stop(self) {
        match self {}
    }
}

impl Sink for Infallible {
    async fn write(&mut self, _: Bytes) -> Result<(), StreamEnd> {
        match *self {}
    }

    fn finish(self) {
        match self {}
    }

    fn reset(self) {
        match self {}
    }
}

/// Why a link carries nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// The client closed it.
    #[error("closed by the client")]
    Closed,
    /// It broke; the text is for the log.
    #[error("lost: {0}")]
    Lost(String),
    /// A frame over the size limit was on its way.
    #[error("a frame over the size limit")]
    TooBig,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_cut_to_size() {
        let mapped = "::ffff:192.0.2.7".parse().ok();
        let long = format!("{}\u{e9}\u{e9}", "x".repeat(MOST_AGENT - 1));
        let peer = Peer::new(mapped, Some(&long));
        assert_eq!(peer.address, "192.0.2.7".parse().ok());
        assert_eq!(peer.agent.as_deref(), Some(&long[..MOST_AGENT - 1]), "never half a character");
        assert_eq!(Peer::new(None, Some("curl/8")).agent.as_deref(), Some("curl/8"));
        assert_eq!(Peer::new(None, None), Peer::default());
    }
}
