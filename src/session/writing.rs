//! The writing loop of a link: frames first, then the bytes of transfers where the link has no streams
//! for them.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::link::{LinkEnd, Writer};
use super::parting::FAREWELL;
use crate::chat::Carrier;
use crate::outbox::{Batch, Outbox};
use crate::protocol::CHUNK;

/// Most chunks that are written in one go, between frames.
const CHUNKS: usize = 3;

/// Writes until the link or the session ends; yields why, if it was the link's own doing. `gently`: whether
/// the session goes on elsewhere by this very link. What was taken to be written is written then: nobody will
/// ask for it again.
pub(super) async fn write_on<W: Writer>(
    outbox: &Outbox,
    writer: &mut W,
    carrier: Option<&Carrier>,
    wanted: &CancellationToken,
    over: &CancellationToken,
    gently: impl Fn() -> bool,
    deadline: Duration,
) -> Option<LinkEnd> {
    let mut batch = Batch::default();
    let mut chunks = Vec::new();
    loop {
        if (wanted.is_cancelled() || over.is_cancelled()) && gently() {
            return None;
        }
        // Frames go before chunks, and after each few.
        let frames = outbox.take(&mut batch);
        if !frames && outbox.has_ended() {
            return None;
        }
        chunks.clear();
        if let Some(carrier) = carrier.filter(|_| !frames) {
            chunks.extend(std::iter::from_fn(|| carrier.take(CHUNK)).take(CHUNKS));
        }
        if frames || !chunks.is_empty() {
            let writing = async {
                match frames {
                    true => write(writer.send(&batch), deadline).await,
                    false => write(writer.send_chunks(&chunks), deadline).await,
                }
            };
            tokio::select! {
                biased; // a stuck write must not hide that the session is wanted elsewhere
                () = unless(wanted.cancelled(), &gently) => return None,
                () = unless(over_unless_ended(outbox, over), &gently) => return None,
                written = writing => match written {
                    Ok(()) => continue,
                    Err(end) => return Some(end),
                }
            }
        }
        tokio::select! {
            biased;
            () = wanted.cancelled() => return None,
            () = over.cancelled() => return None,
            () = outbox.ready() => {}
        }
    }
}

/// Waits for an end, unless it is one that lets a write be finished, which has a deadline of its own.
async fn unless(end: impl Future<Output = ()>, gently: &impl Fn() -> bool) {
    end.await;
    if gently() {
        std::future::pending::<()>().await;
    }
}

/// Waits for the other loop's end; if the session itself is what ended, what is queued is written.
async fn over_unless_ended(outbox: &Outbox, over: &CancellationToken) {
    over.cancelled().await;
    if outbox.has_ended() {
        std::future::pending::<()>().await;
    }
}

pub(super) async fn long_after_the_end(outbox: &Outbox) {
    outbox.ended().await;
    sleep(FAREWELL).await;
}

pub(super) async fn write(
    writing: impl Future<Output = Result<(), LinkEnd>>,
    deadline: Duration,
) -> Result<(), LinkEnd> {
    match timeout(deadline, writing).await {
        Ok(written) => written,
        Err(_late) => Err(LinkEnd::Lost("a write took too long".to_owned())),
    }
}
