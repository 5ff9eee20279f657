//! A link whose client is at another node, as its session's home sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::sync::oneshot::{self, Receiver};

use super::words::{self, Ended, Told};
use crate::hub::Door;
use crate::nodes::{Beside, Broken, Incoming, Outgoing, Wire};
use crate::outbox::Batch;
use crate::protocol::{ChunkHeader, Closing, NodeId, Refusal};
use crate::session::image::Image;
use crate::session::{Heard, Link, LinkEnd, Peer, Reader, Sink, Source, StreamEnd, Streams, Writer};

/// A link that is carried here from its edge.
pub(super) struct CarriedLink {
    door: Door,
    /// Its edge.
    node: NodeId,
    out: Arc<Mutex<Outgoing>>,
    come: Incoming,
    streams: Option<Beside>,
    done: Arc<AtomicBool>,
}

/// By which a session goes to its edge.
#[derive(Clone)]
pub(in crate::session) struct Road {
    out: Arc<Mutex<Outgoing>>,
    /// The edge has it.
    done: Arc<AtomicBool>,
    node: NodeId,
}

impl CarriedLink {
    pub(super) fn new(door: Door, node: NodeId, wire: Wire, streams: Option<Beside>) -> Self {
        Self { door, node, out: Arc::new(Mutex::new(wire.out)), come: wire.come, streams, done: Arc::default() }
    }

    pub(super) fn road(&self) -> Road {
        Road { out: Arc::clone(&self.out), done: Arc::clone(&self.done), node: self.node }
    }
}

impl Road {
    /// Where it leads.
    pub(in crate::session) fn node(&self) -> NodeId {
        self.node
    }

    /// Whether the edge has said that it has the session.
    pub(in crate::session) fn has_arrived(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Sends a session to its edge. Yields once that is written.
    pub(in crate::session) async fn send(&self, image: &Image) -> Result<(), Broken> {
        self.out.lock().await.send(words::HOME, &[&words::json(image)]).await
    }

    /// Hands something back that came after the session had gone.
    pub(in crate::session) async fn hand_back(&self, heard: &Heard) -> Result<(), Broken> {
        let mut out = self.out.lock().await;
        match heard {
            Heard::Frame(frame) | Heard::Asked(frame, _) => {
                let (kind, message) = words::frame(frame, matches!(heard, Heard::Asked(..)));
                out.send(words::BACK, &[&[kind], &message]).await
            }
            Heard::Chunk(header, bytes) => {
                let mut head = bytes::BytesMut::new();
                header.write(&mut head);
                out.send(words::BACK, &[&[words::CHUNK], &head, bytes]).await
            }
        }
    }
}

impl Link for CarriedLink {
    type Reader = CarriedReader;
    type Writer = CarriedWriter;
    type Streams = Beside;

    fn door(&self) -> Door {
        self.door
    }

    fn peer(&self) -> Peer {
        // Its edge has looked at that.
        Peer::default()
    }

    fn split(self) -> (CarriedReader, CarriedWriter, Option<Beside>) {
        let reader =
            CarriedReader { come: self.come, out: Arc::clone(&self.out), done: self.done, asked: None, answer: None };
        (reader, CarriedWriter { out: self.out }, self.streams)
    }
}

/// The half that reads.
pub(in crate::session) struct CarriedReader {
    come: Incoming,
    out: Arc<Mutex<Outgoing>>,
    done: Arc<AtomicBool>,
    /// Of the frame that the session has before it, if its sender asked.
    asked: Option<Receiver<Result<(), Refusal>>>,
    /// What became of it, to be told.
    answer: Option<Vec<u8>>,
}

impl Reader for CarriedReader {
    async fn answer(&mut self) -> Result<(), LinkEnd> {
        // Whoever asks for the next has done with the last.
        if let Some(mut asked) = self.asked.take() {
            self.answer = Some(words::json(&match asked.try_recv() {
                Ok(Ok(())) => Told::Done,
                Ok(Err(refusal)) => Told::Refused(refusal),
                Err(_) => Told::Nothing,
            }));
        }
        if self.answer.is_some() {
            let mut out = self.out.lock().await;
            if let Some(answer) = self.answer.take() {
                out.put(words::ANSWER, &[&answer]);
            }
            out.flush().await.map_err(ended)?;
        }
        Ok(())
    }

    async fn recv(&mut self) -> Result<Heard, LinkEnd> {
        self.answer().await?;
        match self.come.next().await.map_err(ended)? {
            None => Err(LinkEnd::Lost("its edge is gone".to_owned())),
            Some((words::END, code)) => Err(match Ended::of(code.first().copied().unwrap_or(1)) {
                Ended::Closed => LinkEnd::Closed,
                Ended::Lost => LinkEnd::Lost("lost at its edge".to_owned()),
                Ended::TooBig => LinkEnd::TooBig,
            }),
            Some((words::DONE, _)) => {
                self.done.store(true, Ordering::Release);
                Err(LinkEnd::Closed)
            }
            Some((kind, message)) => match words::heard(kind, message) {
                Some((Heard::Frame(frame), true)) => {
                    let (answer, asked) = oneshot::channel();
                    self.asked = Some(asked);
                    Ok(Heard::Asked(frame, answer))
                }
                Some((heard, _)) => Ok(heard),
                None => Err(LinkEnd::Lost("its edge speaks another language".to_owned())),
            },
        }
    }
}

/// The half that writes.
pub(in crate::session) struct CarriedWriter {
    out: Arc<Mutex<Outgoing>>,
}

impl Writer for CarriedWriter {
    async fn send(&mut self, batch: &Batch) -> Result<(), LinkEnd> {
        let mut out = self.out.lock().await;
        words::put_batch(&mut out, batch);
        out.flush().await.map_err(ended)
    }

    async fn send_chunks(&mut self, chunks: &[(ChunkHeader, Bytes)]) -> Result<(), LinkEnd> {
        let mut out = self.out.lock().await;
        for (header, bytes) in chunks {
            words::put_chunk(&mut out, header, bytes);
        }
        out.flush().await.map_err(ended)
    }

    async fn close(self, closing: &Closing) {
        // An edge that is gone has nobody to be told.
        let _ = self.out.lock().await.send(words::CLOSING, &[&words::json(closing)]).await;
    }
}

impl Streams for Beside {
    type Source = Incoming;
    type Sink = Outgoing;

    async fn accept(&self) -> Result<Incoming, LinkEnd> {
        Self::accept(self).await.map_err(ended)
    }

    async fn open(&self) -> Result<Outgoing, LinkEnd> {
        Self::open(self).await.map_err(ended)
    }
}

impl Source for Incoming {
    async fn read(&mut self, into: &mut [u8]) -> Result<Option<usize>, StreamEnd> {
        Self::read(self, into).await.map_err(stream_end)
    }

    fn stop(self) {
        Self::stop(self);
    }
}

impl Sink for Outgoing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StreamEnd> {
        self.bytes(bytes).await.map_err(stream_end)
    }

    fn finish(self) {
        Self::finish(self);
    }

    fn reset(self) {
        Self::reset(self);
    }
}

fn ended(broken: Broken) -> LinkEnd {
    LinkEnd::Lost(broken.to_string())
}

fn stream_end(broken: Broken) -> StreamEnd {
    match broken {
        Broken::Aborted => StreamEnd::Aborted,
        Broken::Lost(_) => StreamEnd::Lost,
    }
}
