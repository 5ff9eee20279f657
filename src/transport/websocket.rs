//! WebSocket (RFC 6455): one text message is one frame, one binary message one chunk of a transfer.
//!
//! Refusals come after the upgrade, as `connection:closing` and the close code: a page cannot read
//! the status of a failed upgrade.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;

use super::tcp;
use crate::config::Origins;
use crate::hub::Door;
use crate::outbox::Batch;
use crate::protocol::{
    ChunkHeader, ClientFrame, CloseReason, Closing, Lane, MAX_CHUNK_HEADER, MAX_FRAME, ServerEvent, write_ack,
    write_frame,
};
use crate::session::{Heard, Link, LinkEnd, NoStreams, Peer, Reader, Sessions, Writer};

/// Bytes that wait for a slow socket before writing fails.
const WRITE_BUFFER: usize = 1024 * 1024;
/// tungstenite allocates this for each connection.
const READ_BUFFER: usize = 4 * 1024;
/// Time to answer a client's close frame.
const CLOSE_ANSWER: Duration = Duration::from_secs(1);

/// Answers an upgrade that `peer` asks for, and serves the session on its own task.
pub fn upgrade(
    upgrade: WebSocketUpgrade,
    headers: &HeaderMap,
    peer: Peer,
    sessions: Sessions,
    origins: &Origins,
) -> Response {
    let allowed = origins.allows(tcp::origin(headers));
    configured(upgrade, MAX_FRAME).on_upgrade(move |socket| async move {
        let link = WebSocketLink { socket, peer };
        let tasks = sessions.tasks().clone();
        let served = async move {
            if allowed {
                sessions.serve(link).await;
            } else {
                Sessions::refuse(link, Closing::new(CloseReason::Forbidden)).await;
            }
        };
        // On the tracker, so that a shutdown waits for it.
        tasks.track_future(served).await;
    })
}

/// The settings of every WebSocket, for messages of up to `most` bytes. Public for `tests/autobahn`,
/// which holds what they make against RFC 6455.
pub fn configured(upgrade: WebSocketUpgrade, most: usize) -> WebSocketUpgrade {
    upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER.max(2 * most))
}

/// A WebSocket as a link.
pub struct WebSocketLink {
    socket: WebSocket,
    peer: Peer,
}

impl Link for WebSocketLink {
    type Reader = WebSocketReader;
    type Writer = WebSocketWriter;
    type Streams = NoStreams;

    fn door(&self) -> Door {
        Door::WebSocket
    }

    fn peer(&self) -> Peer {
        self.peer.clone()
    }

    fn split(self) -> (WebSocketReader, WebSocketWriter, Option<NoStreams>) {
        let (sink, stream) = self.socket.split();
        (WebSocketReader(stream), WebSocketWriter { sink, frame: BytesMut::new() }, None)
    }
}

/// The half that reads.
pub struct WebSocketReader(SplitStream<WebSocket>);

impl Reader for WebSocketReader {
    async fn recv(&mut self) -> Result<Heard, LinkEnd> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Heard::Frame(ClientFrame::decode(text.as_bytes()))),
                Some(Ok(Message::Binary(message))) => {
                    return Ok(match ChunkHeader::split(message) {
                        Ok((header, bytes)) => Heard::Chunk(header, bytes),
                        Err(refusal) => Heard::Frame(Err(refusal)),
                    });
                }
                // tungstenite answers pings itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) => {
                    // Reading on is what sends the answering close frame (RFC 6455 section 5.5.1).
                    let _ = timeout(CLOSE_ANSWER, self.0.next()).await;
                    return Err(LinkEnd::Closed);
                }
                None => return Err(LinkEnd::Closed),
                Some(Err(error)) => return Err(ended(error)),
            }
        }
    }
}

/// The half that writes.
pub struct WebSocketWriter {
    sink: SplitSink<WebSocket, Message>,
    frame: BytesMut,
}

impl WebSocketWriter {
    async fn feed(&mut self) -> Result<(), LinkEnd> {
        let text = self.frame.split().freeze();
        self.sink.feed(text_message(text)).await.map_err(ended)
    }
}

impl Writer for WebSocketWriter {
    async fn send(&mut self, batch: &Batch) -> Result<(), LinkEnd> {
        let carrier = batch.ack.and(batch.events.iter().rposition(|(event, _)| event.lane != Lane::Volatile));
        for (index, (event, seq)) in batch.events.iter().enumerate() {
            let ack = batch.ack.filter(|_| carrier == Some(index));
            write_frame(&mut self.frame, event, *seq, ack);
            self.feed().await?;
        }
        if let (Some(ack), None) = (batch.ack, carrier) {
            write_ack(&mut self.frame, ack);
            self.feed().await?;
        }
        self.sink.flush().await.map_err(ended)
    }

    async fn send_chunks(&mut self, chunks: &[(ChunkHeader, Bytes)]) -> Result<(), LinkEnd> {
        for (header, bytes) in chunks {
            self.frame.reserve(bytes.len() + MAX_CHUNK_HEADER);
            header.write(&mut self.frame);
            self.frame.extend_from_slice(bytes);
            let message = self.frame.split().freeze();
            self.sink.feed(Message::Binary(message)).await.map_err(ended)?;
        }
        self.sink.flush().await.map_err(ended)
    }

    async fn close(mut self, closing: &Closing) {
        let said = self.send(&Batch::of(&ServerEvent::Closing(closing.clone()))).await;
        if said.is_ok() {
            let frame = CloseFrame { code: closing.code, reason: closing.reason.as_str().into() };
            // A client that is gone needs no close frame.
            let _ = self.sink.send(Message::Close(Some(frame))).await;
            let _ = self.sink.close().await;
        }
    }
}

fn text_message(text: Bytes) -> Message {
    // Frames are written by serde_json and `write_frame`: always UTF-8.
    Message::Text(text.try_into().expect("frames are UTF-8"))
}

fn ended(error: axum::Error) -> LinkEnd {
    let text = error.to_string();
    let too_long = error
        .into_inner()
        .downcast_ref::<tokio_tungstenite::tungstenite::Error>()
        .is_some_and(|error| matches!(error, tokio_tungstenite::tungstenite::Error::Capacity(_)));
    if too_long { LinkEnd::TooBig } else { LinkEnd::Lost(text) }
}
