//! How a link ends when the server ends it: the farewell is seen off, and never waited for too long.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::link::{Reader, Writer};
use crate::protocol::{CloseReason, Closing};

/// How long a farewell, with what was still queued, may take to be written.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);
/// How long a client has to close its side after the farewell.
const LINGER: Duration = Duration::from_secs(1);

async fn farewell<W: Writer>(writer: W, closing: &Closing) {
    // A client that does not even read its farewell is not waited for.
    let _ = timeout(FAREWELL, writer.close(closing)).await;
}

/// Says farewell, and reads on until the client has closed its side: closing a TCP socket with
/// input unread resets it, and the farewell would be lost on the way. After a frame over the limit
/// a reader can only wait.
pub(super) async fn part<R: Reader, W: Writer>(mut reader: R, writer: W, closing: &Closing) {
    farewell(writer, closing).await;
    if closing.code == CloseReason::TooBig.code() {
        return sleep(LINGER).await;
    }
    let _ = timeout(LINGER, async { while reader.recv().await.is_ok() {} }).await;
}
