//! The unidirectional streams of a WebTransport session, which carry the bytes of transfers.

use bytes::Bytes;
use wtransport::{Connection, RecvStream, SendStream, VarInt};

use super::webtransport::ended;
use crate::session::{LinkEnd, Sink, Source, StreamEnd, Streams};

/// Bytes of transfers go after everything else of their connection.
const TRANSFER_PRIORITY: i32 = -10;
/// What a stream is reset or stopped with that nobody wants any more.
const UNWANTED: u32 = 4499;

/// The streams of one connection.
pub struct TransferStreams(pub(super) Connection);

impl Streams for TransferStreams {
    type Source = Incoming;
    type Sink = Outgoing;

    async fn accept(&self) -> Result<Incoming, LinkEnd> {
        self.0.accept_uni().await.map(Incoming).map_err(ended)
    }

    async fn open(&self) -> Result<Outgoing, LinkEnd> {
        let opening = self.0.open_uni().await.map_err(ended)?;
        let stream = opening.await.map_err(|error| LinkEnd::Lost(error.to_string()))?;
        stream.set_priority(TRANSFER_PRIORITY);
        Ok(Outgoing(stream))
    }
}

/// A stream that the client opened.
pub struct Incoming(RecvStream);

impl Source for Incoming {
    async fn read(&mut self, into: &mut [u8]) -> Result<Option<usize>, StreamEnd> {
        match self.0.quic_stream_mut().read(into).await {
            Ok(read) => Ok(read),
            Err(quinn::ReadError::Reset(code)) if is_mapped(code) => Err(StreamEnd::Aborted),
            Err(_) => Err(StreamEnd::Lost),
        }
    }

    fn stop(self) {
        self.0.stop(mapped(UNWANTED));
    }
}

/// A stream that we opened.
pub struct Outgoing(SendStream);

impl Sink for Outgoing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StreamEnd> {
        match self.0.quic_stream_mut().write_chunk(bytes).await {
            Ok(()) => Ok(()),
            Err(quinn::WriteError::Stopped(code)) if is_mapped(code) => Err(StreamEnd::Aborted),
            Err(_) => Err(StreamEnd::Lost),
        }
    }

    fn finish(mut self) {
        // Fails only on a stream that the client has stopped.
        let _ = self.0.quic_stream_mut().finish();
    }

    fn reset(mut self) {
        // As above.
        let _ = self.0.reset(mapped(UNWANTED));
    }
}

/// A WebTransport application error code as HTTP/3 carries it (draft-ietf-webtrans-http3 section
/// 4.4); browsers read 0 for codes outside this range.
pub fn mapped(code: u32) -> VarInt {
    let code = u64::from(code);
    VarInt::try_from_u64(FIRST_CODE + code + code / 0x1e).expect("the range ends below 2^62")
}

/// Whether a stream was ended by the application: all others come with the end of its session.
fn is_mapped(code: quinn::VarInt) -> bool {
    (FIRST_CODE..=LAST_CODE).contains(&code.into_inner())
}

const FIRST_CODE: u64 = 0x52e4_a40f_a8db;
const LAST_CODE: u64 = 0x52e5_ac98_3162;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_codes_are_mapped_as_the_draft_has_it() {
        assert_eq!(mapped(0).into_inner(), FIRST_CODE);
        assert_eq!(mapped(u32::MAX).into_inner(), LAST_CODE);
    }
}
