//! The streams of one connection that carry transfers, both ways, as a client sees them.

use std::collections::HashMap;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use wtransport::error::ConnectionError;
use wtransport::{Connection, RecvStream, SendStream};

use super::Error;
use super::wire::lost;
use crate::protocol::{ChunkHeader, TransferId};
use crate::transport::streams::mapped;

/// Most packets whose bytes are read in one go.
const PACKETS: usize = 32;
/// Behind the control stream.
const PRIORITY: i32 = -10;

/// Open streams.
#[derive(Default)]
pub(super) struct Streams {
    up: HashMap<TransferId, SendStream>,
    down: FuturesUnordered<Reading>,
}

/// A stream while it is read: yields what came, and itself.
type Reading = Pin<Box<dyn Future<Output = Option<(Down, Bytes)>> + Send + Sync>>;

struct Down {
    stream: RecvStream,
    header: ChunkHeader,
}

impl Streams {
    /// Sends bytes on the stream of their transfer, which is opened when there is none yet.
    pub(super) async fn send(
        &mut self,
        connection: &Connection,
        header: &ChunkHeader,
        bytes: Bytes,
        last: bool,
    ) -> Result<(), Error> {
        if !self.up.contains_key(&header.transfer) {
            let opened = async { connection.open_uni().await?.await.map_err(|_| ConnectionError::TimedOut) };
            let mut stream = opened.await.map_err(|error| lost(&error))?;
            stream.set_priority(PRIORITY);
            let mut head = BytesMut::new();
            header.write(&mut head);
            write(&mut stream, head.freeze()).await?;
            self.up.insert(header.transfer.clone(), stream);
        }
        if let Some(stream) = self.up.get_mut(&header.transfer) {
            write(stream, bytes).await?;
        }
        if last && let Some(mut stream) = self.up.remove(&header.transfer) {
            // Fails only on a stream that the server has stopped; an event says why.
            let _ = stream.quic_stream_mut().finish();
        }
        Ok(())
    }

    /// Resets the stream of a transfer.
    pub(super) fn abort(&mut self, id: &TransferId) {
        if let Some(mut stream) = self.up.remove(id) {
            // As above.
            let _ = stream.reset(mapped(0));
        }
    }

    /// The next bytes of whichever transfer. Cancel safe; waits for ever on a connection that is gone.
    pub(super) async fn hear(&mut self, connection: &Connection) -> (ChunkHeader, Bytes) {
        loop {
            tokio::select! {
                opened = connection.accept_uni() => match opened {
                    Ok(stream) => self.down.push(Box::pin(begin(stream))),
                    Err(_) => std::future::pending().await,
                },
                Some(read) = self.down.next() => if let Some((mut down, bytes)) = read {
                    let header = down.header.clone();
                    down.header.offset += bytes.len() as u64;
                    self.down.push(Box::pin(go_on(down)));
                    return (header, bytes);
                },
            }
        }
    }
}

async fn begin(mut stream: RecvStream) -> Option<(Down, Bytes)> {
    let mut head = BytesMut::new();
    loop {
        if let Some(header) = ChunkHeader::take(&mut head).ok()? {
            return Some((Down { stream, header }, head.freeze()));
        }
        head.extend_from_slice(&read(&mut stream).await?);
    }
}

async fn go_on(mut down: Down) -> Option<(Down, Bytes)> {
    let bytes = read(&mut down.stream).await?;
    Some((down, bytes))
}

/// What has come, in one piece: packets are small, and each would be a turn of its own.
async fn read(stream: &mut RecvStream) -> Option<Bytes> {
    let mut packets = [const { Bytes::new() }; PACKETS];
    let count = stream.quic_stream_mut().read_chunks(&mut packets).await.ok()??;
    let [one, more @ ..] = &packets[..count] else { return None };
    if more.is_empty() {
        return Some(one.clone());
    }
    Some(packets[..count].concat().into())
}

/// A stream that the server has stopped swallows what is written: an event says why.
async fn write(stream: &mut SendStream, bytes: Bytes) -> Result<(), Error> {
    match stream.quic_stream_mut().write_chunk(bytes).await {
        Ok(()) => Ok(()),
        Err(error) if error.to_string().contains("stopped") => Ok(()),
        Err(error) => Err(lost(&error)),
    }
}
