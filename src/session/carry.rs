//! The bytes of transfers on a link that has streams: one stream for each transfer and direction, all
//! of them run beside the frames. A link without streams carries chunks between its frames instead.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::link::{LinkEnd, Sink, Source, StreamEnd, Streams};
use crate::chat::{Carrier, Intake, Outlet};
use crate::outbox::Outbox;
use crate::protocol::{ChunkHeader, ErrorCode, FILE_CHUNK, Refusal, ServerEvent, TransferEnd};

/// Time for a stream's header.
const HEADER: Duration = Duration::from_secs(5);
/// A stream that the client aborts may be the first sign of a link that it closes: its transfer is
/// called off only if the link outlives it by so much.
const PARTING: Duration = Duration::from_secs(2);
/// Most bytes that are read in one go: what an upload holds beside its transfer ...
const READ: usize = 16 * 1024;
/// ... and that are written.
const PIECE: usize = 32 * 1024;
/// Streams that belong nowhere, after which the link is given up.
const STRAYS: u32 = 64;

/// Carries until the link ends; yields why, if it was the link's own doing. Dropped, every stream is
/// let go, and its transfer waits for the next link.
pub(super) async fn carry<S: Streams>(carrier: &Carrier, streams: Option<&S>, outbox: &Outbox) -> LinkEnd {
    let Some(streams) = streams else { return std::future::pending().await };
    let mut uploads = FuturesUnordered::new();
    let mut downloads = FuturesUnordered::new();
    let mut strays = 0;
    loop {
        tokio::select! {
            source = streams.accept() => match source {
                Ok(source) => uploads.push(upload(carrier, source)),
                Err(end) => return end,
            },
            outlet = carrier.next_outlet() => downloads.push(download(streams, outlet)),
            // Whatever came of it: a branch that does not match would leave the others unread.
            Some(ended) = uploads.next() => match ended {
                Ok(()) => strays = 0,
                Err(_) if strays == STRAYS => {
                    return LinkEnd::Lost("too many streams that belong nowhere".to_owned());
                }
                Err(refusal) => {
                    strays += 1;
                    if let Some(refusal) = refusal {
                        outbox.post(&ServerEvent::Error(refusal));
                    }
                }
            },
            Some(end) = downloads.next() => if let Err(end) = end {
                return end;
            },
        }
    }
}

/// Reads one stream into its transfer. An error says that it belongs nowhere, and what to tell of it.
async fn upload<S: Source>(carrier: &Carrier, mut source: S) -> Result<(), Option<Refusal>> {
    let mut buffer = vec![0; READ];
    let mut head = BytesMut::new();
    let header = match timeout(HEADER, header(&mut source, &mut buffer, &mut head)).await {
        Ok(Ok(Some(header))) => header,
        // It ended, with or without the link.
        Ok(Ok(None)) => return Err(None),
        Ok(Err(refusal)) => {
            source.stop();
            return Err(Some(refusal));
        }
        Err(_late) => {
            source.stop();
            let message = "A stream must say soon whose bytes it carries.";
            return Err(Some(Refusal::new(ErrorCode::ChunkMalformed, message).of(FILE_CHUNK)));
        }
    };
    let id = header.transfer.clone();
    let intake = match carrier.intake(header) {
        Ok(Some(intake)) => intake,
        Ok(None) => {
            source.stop();
            return Ok(());
        }
        Err(refusal) => {
            source.stop();
            return Err(Some(refusal.of(FILE_CHUNK).with_id(id.as_str())));
        }
    };
    bring(intake, source, &head, &mut buffer).await;
    Ok(())
}

async fn header<S: Source>(
    source: &mut S,
    buffer: &mut [u8],
    head: &mut BytesMut,
) -> Result<Option<ChunkHeader>, Refusal> {
    loop {
        if let Some(header) = ChunkHeader::take(head)? {
            return Ok(Some(header));
        }
        match source.read(buffer).await {
            Ok(Some(read)) => head.extend_from_slice(&buffer[..read]),
            Ok(None) | Err(_) => return Ok(None),
        }
    }
}

/// Brings the bytes of a stream to where they belong, as fast as there is room for them.
async fn bring<S: Source>(mut intake: Intake, mut source: S, first: &[u8], buffer: &mut [u8]) {
    if !first.is_empty() {
        intake.bring(first);
    }
    loop {
        let Ok(room) = intake.room().await else { return source.stop() };
        let read = tokio::select! {
            biased; // an end of the transfer that is known is better than more bytes
            _ = intake.over() => return source.stop(),
            read = source.read(&mut buffer[..room.min(READ)]) => read,
        };
        match read {
            Ok(Some(read)) => intake.bring(&buffer[..read]),
            Ok(None) => {
                intake.end();
                return;
            }
            Err(StreamEnd::Aborted) => {
                let end = intake.abandon();
                sleep(PARTING).await;
                return end();
            }
            // Another link will bring the rest.
            Err(StreamEnd::Lost) => return,
        }
    }
}

/// Writes the bytes of one transfer to a stream of their own; to another, where the receiver turns out
/// to have more than this one has brought it.
async fn download<S: Streams>(streams: &S, mut outlet: Outlet) -> Result<(), LinkEnd> {
    let mut stream: Option<(S::Sink, u64)> = None;
    loop {
        let (offset, bytes) = match outlet.next(PIECE).await {
            Ok(Some(next)) => next,
            Ok(None) => {
                if let Some((sink, _)) = stream {
                    sink.finish();
                }
                return Ok(());
            }
            Err(_over) => {
                if let Some((sink, _)) = stream {
                    sink.reset();
                }
                return Ok(());
            }
        };
        let written = offset + bytes.len() as u64;
        let (mut sink, header) = match stream.take() {
            Some((sink, at)) if at == offset => (sink, None),
            before => {
                if let Some((sink, _)) = before {
                    sink.finish();
                }
                let mut header = BytesMut::new();
                ChunkHeader { transfer: outlet.id().clone(), offset }.write(&mut header);
                let opened = tokio::select! {
                    biased;
                    opened = streams.open() => opened?,
                    // A client that lets no stream be opened must not keep it.
                    _ = outlet.over() => return Ok(()),
                };
                (opened, Some(header.freeze()))
            }
        };
        for bytes in header.into_iter().chain([bytes]) {
            match write(&mut sink, bytes, &outlet).await {
                Ok(()) => {}
                Err(StreamEnd::Aborted) => {
                    sleep(PARTING).await;
                    outlet.fail(TransferEnd::Cancelled);
                    return Ok(());
                }
                Err(StreamEnd::Lost) => return Ok(()),
            }
        }
        stream = Some((sink, written));
    }
}

/// Writes until it is written, or not wanted any more: a client that reads none of it must not keep it.
async fn write<K: Sink>(sink: &mut K, bytes: Bytes, outlet: &Outlet) -> Result<(), StreamEnd> {
    tokio::select! {
        biased; // what can be written is written: the end is looked at before the next bytes
        written = sink.write(bytes) => written,
        _ = outlet.over() => Ok(()),
    }
}
