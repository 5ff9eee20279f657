//! WebTransport over HTTP/3 (draft-ietf-webtrans-http3): the first bidirectional stream, opened by
//! the client, is the control stream; datagrams carry volatile events; each transfer has a
//! unidirectional stream of its own.
//!
//! Browsers hide the status of a refused CONNECT, so a refusal is said on the control stream.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::time::timeout;
use wtransport::error::{ConnectionError, StreamReadError, StreamWriteError};
use wtransport::{Connection, RecvStream, SendStream, VarInt};

use super::streams::{TransferStreams, mapped};
use crate::hub::Door;
use crate::outbox::Batch;
use crate::protocol::{
    ChunkHeader, ClientEvent, ClientFrame, CloseReason, Closing, ErrorCode, Lane, MAX_FRAME, Refusal, ServerEvent,
    write_ack, write_frame,
};
use crate::session::{Heard, Link, LinkEnd, Peer, Reader, Sessions, Writer};

/// The length before each frame of the control stream: four bytes, big-endian.
const PREFIX: usize = 4;
/// Largest datagram sent: every browser takes this much.
const MAX_DATAGRAM: usize = 1000;
/// Time for the client to open its control stream.
const CONTROL_STREAM: Duration = Duration::from_secs(5);
/// The control stream goes before anything else of its connection.
const CONTROL_PRIORITY: i32 = 100;
/// Streams that nothing asked for, refused one by one until a client has opened too many.
const STRAY_STREAMS: u32 = 64;
/// What a refused stream is reset with.
const STRAY: u32 = 4400;

/// Serves the session of one connection from its control stream to its end.
pub async fn serve(connection: Connection, peer: Peer, sessions: Sessions, allowed: bool) {
    let Ok(Ok((send, recv))) = timeout(CONTROL_STREAM, connection.accept_bi()).await else {
        connection.close(code(CloseReason::HelloTimeout.code()), b"hello-timeout");
        return;
    };
    send.set_priority(CONTROL_PRIORITY);
    let link = WebTransportLink { connection, peer, send, recv };
    if allowed {
        sessions.serve(link).await;
    } else {
        Sessions::refuse(link, Closing::new(CloseReason::Forbidden)).await;
    }
}

/// A WebTransport session as a link.
pub struct WebTransportLink {
    connection: Connection,
    peer: Peer,
    send: SendStream,
    recv: RecvStream,
}

impl Link for WebTransportLink {
    type Reader = WebTransportReader;
    type Writer = WebTransportWriter;
    type Streams = TransferStreams;

    fn door(&self) -> Door {
        Door::WebTransport
    }

    fn peer(&self) -> Peer {
        self.peer.clone()
    }

    fn split(self) -> (WebTransportReader, WebTransportWriter, Option<TransferStreams>) {
        let Self { connection, peer: _, send, recv } = self;
        (
            WebTransportReader { connection: connection.clone(), recv, partial: BytesMut::new(), strays: 0 },
            WebTransportWriter {
                connection: connection.clone(),
                send,
                unsent: BytesMut::new(),
                datagram: BytesMut::new(),
            },
            Some(TransferStreams(connection)),
        )
    }
}

/// The half that reads.
pub struct WebTransportReader {
    connection: Connection,
    recv: RecvStream,
    /// Bytes of the control stream that are no whole frame yet.
    partial: BytesMut,
    strays: u32,
}

impl Reader for WebTransportReader {
    async fn recv(&mut self) -> Result<Heard, LinkEnd> {
        loop {
            if let Some(frame) = next_frame(&mut self.partial)? {
                return Ok(Heard::Frame(ClientFrame::decode(&frame)));
            }
            tokio::select! {
                biased; // the control stream before datagrams, so that they cannot starve it
                chunk = self.recv.quic_stream_mut().read_chunk(MAX_FRAME, true) => match chunk {
                    Ok(Some(chunk)) => self.partial.extend_from_slice(&chunk.bytes),
                    Ok(None) => return Err(LinkEnd::Closed),
                    Err(error) => return Err(LinkEnd::Lost(error.to_string())),
                },
                datagram = self.connection.receive_datagram() => {
                    return Ok(Heard::Frame(volatile(&datagram.map_err(ended)?.payload())));
                }
                stray = self.connection.accept_bi() => {
                    let (mut send, recv) = stray.map_err(ended)?;
                    // Either fails only when the client has given the stream up already.
                    let _ = send.reset(mapped(STRAY));
                    recv.stop(mapped(STRAY));
                    self.count_stray()?;
                }
            }
        }
    }
}

impl WebTransportReader {
    fn count_stray(&mut self) -> Result<(), LinkEnd> {
        self.strays += 1;
        if self.strays > STRAY_STREAMS {
            return Err(LinkEnd::Lost("too many streams that nothing asked for".to_owned()));
        }
        Ok(())
    }
}

/// Cuts the next whole frame off the bytes of a control stream. A length over the limit is refused
/// before anything is allocated for it.
///
/// # Errors
/// [`LinkEnd::TooBig`].
pub fn next_frame(bytes: &mut BytesMut) -> Result<Option<Bytes>, LinkEnd> {
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes(*prefix) as usize;
    if length > MAX_FRAME {
        return Err(LinkEnd::TooBig);
    }
    if bytes.len() < PREFIX + length {
        return Ok(None);
    }
    bytes.advance(PREFIX);
    Ok(Some(bytes.split_to(length).freeze()))
}

/// Appends one frame with its length before it, written by `write`.
pub fn put_frame(bytes: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = bytes.len();
    bytes.put_u32(0);
    write(bytes);
    let length = u32::try_from(bytes.len() - start - PREFIX).expect("frames are far below 4 GiB");
    bytes[start..start + PREFIX].copy_from_slice(&length.to_be_bytes());
}

/// A frame that came as a datagram: only what may be lost may come that way.
fn volatile(payload: &[u8]) -> Result<ClientFrame, Refusal> {
    let frame = ClientFrame::decode(payload)?;
    let numbered = frame.seq.is_some() || frame.ack.is_some();
    let event = frame.event?;
    if numbered || event.lane() != Lane::Volatile {
        let message = "A datagram carries volatile events only, without seq and ack.";
        return Err(Refusal::new(ErrorCode::InvalidData, message).of(event.name()));
    }
    Ok(ClientFrame { seq: None, ack: None, event: Ok::<ClientEvent, Refusal>(event) })
}

/// The half that writes.
pub struct WebTransportWriter {
    connection: Connection,
    send: SendStream,
    /// Frames of the control stream that are not, or only half, written.
    unsent: BytesMut,
    datagram: BytesMut,
}

impl WebTransportWriter {
    async fn flush(&mut self) -> Result<(), LinkEnd> {
        while !self.unsent.is_empty() {
            let written = self.send.write(&self.unsent).await.map_err(unwritten)?;
            self.unsent.advance(written);
        }
        Ok(())
    }
}

impl Writer for WebTransportWriter {
    async fn send_chunks(&mut self, _: &[(ChunkHeader, Bytes)]) -> Result<(), LinkEnd> {
        unreachable!("transfers have streams here")
    }

    async fn send(&mut self, batch: &Batch) -> Result<(), LinkEnd> {
        let mut ack = batch.ack;
        for (event, seq) in &batch.events {
            if event.lane == Lane::Volatile {
                self.datagram.clear();
                write_frame(&mut self.datagram, event, None, None);
                let fits = self.datagram.len() <= MAX_DATAGRAM;
                if fits && self.connection.send_datagram(&self.datagram[..]).is_ok() {
                    continue;
                }
            }
            // The first carries the acknowledgement: all of the batch goes out together anyway.
            put_frame(&mut self.unsent, |out| write_frame(out, event, *seq, ack.take()));
        }
        if let Some(ack) = ack {
            put_frame(&mut self.unsent, |out| write_ack(out, ack));
        }
        self.flush().await
    }

    async fn close(mut self, closing: &Closing) {
        if self.send(&Batch::of(&ServerEvent::Closing(closing.clone()))).await.is_ok() {
            // Waits until the client has it all: closing the connection throws the rest away.
            let _ = self.send.finish().await;
        }
        self.connection.close(code(closing.code), closing.reason.as_bytes());
    }
}

fn code(code: u16) -> VarInt {
    VarInt::from_u32(code.into())
}

/// How a connection's end is told.
pub(super) fn ended(error: ConnectionError) -> LinkEnd {
    match error {
        ConnectionError::ApplicationClosed(_) => LinkEnd::Closed,
        other => LinkEnd::Lost(other.to_string()),
    }
}

fn unwritten(error: StreamWriteError) -> LinkEnd {
    LinkEnd::Lost(error.to_string())
}

impl From<StreamReadError> for LinkEnd {
    fn from(error: StreamReadError) -> Self {
        Self::Lost(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_from_a_stream_wherever_it_is_chopped() {
        let mut stream = BytesMut::new();
        for text in ["", "one", "zweiundzwanzig"] {
            put_frame(&mut stream, |out| out.put_slice(text.as_bytes()));
        }
        let stream = stream.freeze();
        for chop in 1..stream.len() {
            let mut partial = BytesMut::new();
            let mut frames = Vec::new();
            for chunk in stream.chunks(chop) {
                partial.extend_from_slice(chunk);
                while let Some(frame) = next_frame(&mut partial).unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, ["", "one", "zweiundzwanzig"]);
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_from_its_prefix_alone() {
        let exact = u32::try_from(MAX_FRAME).unwrap();
        assert_eq!(next_frame(&mut BytesMut::from(&exact.to_be_bytes()[..])), Ok(None));
        assert_eq!(next_frame(&mut BytesMut::from(&(exact + 1).to_be_bytes()[..])), Err(LinkEnd::TooBig));
        assert_eq!(next_frame(&mut BytesMut::from(&[0xff; 4][..])), Err(LinkEnd::TooBig));
    }
}
