//! A stream that is closed so that its last words are heard, that does not wait for ever for a client
//! that reads nothing, and that can be hung up from afar.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long one write may wait for a client that reads nothing.
const WRITE: Duration = Duration::from_secs(30);
/// How long what still comes is read, after all was written.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that are read, and dropped, at once.
const PIECE: usize = 8 * 1024;

/// Ends a connection that somebody else holds: reading from it comes to its end. An extension of each
/// request of the connection. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Hangup(CancellationToken);

impl Hangup {
    /// Hangs up.
    pub fn now(&self) {
        self.0.cancel();
    }
}

/// Once its writing side is shut down, it reads on for a moment and drops what comes. A request may be
/// answered before all of it has arrived; closed at once, the system would reset the connection, and
/// a client that is still writing would never see the answer (RFC 9112 section 9.6).
pub(super) struct Lingering<S> {
    stream: S,
    /// While a write waits.
    waits: Option<Pin<Box<Sleep>>>,
    /// Set once the writing side is shut down.
    until: Option<Pin<Box<Sleep>>>,
    hangup: Hangup,
    hung_up: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Lingering<S> {
    pub(super) fn new(stream: S, hangup: Hangup) -> Self {
        let hung_up = Box::pin(hangup.0.clone().cancelled_owned());
        Self { stream, waits: None, until: None, hangup, hung_up }
    }

    fn in_time<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let done = in_time(&mut self.waits, cx, done);
        if matches!(&done, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut) {
            // Who only reads would never learn of it.
            self.hangup.now();
        }
        done
    }
}

/// What is done, or an error once it has not been for too long.
fn in_time<T>(
    waits: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
    done: Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    if done.is_ready() {
        *waits = None;
        return done;
    }
    let waits = waits.get_or_insert_with(|| Box::pin(sleep(WRITE)));
    ready!(waits.as_mut().poll(cx));
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let ready @ Poll::Ready(_) = Pin::new(&mut self.stream).poll_read(cx, into) {
            return ready;
        }
        // Nothing was read: the end.
        self.hung_up.as_mut().poll(cx).map(Ok)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, waits, until, .. } = &mut *self;
        if until.is_none() {
            let shut = Pin::new(&mut *stream).poll_shutdown(cx);
            ready!(in_time(waits, cx, shut))?;
        }
        let until = until.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut dropped = [0; PIECE];
        loop {
            if until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut into = ReadBuf::new(&mut dropped);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut into));
            // The client has ended too, or is gone: nobody is left to hear it.
            if read.is_err() || into.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_after_the_end_is_read_for_a_moment() {
        let (near, mut far) = duplex(16);
        let mut near = Lingering::new(near, Hangup::default());
        near.write_all(b"no").await.unwrap();
        let client = async {
            // More than fits: it gets through only if it is read.
            far.write_all(&[7; 100]).await.unwrap();
            let mut heard = Vec::new();
            far.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"no");
            drop(far);
        };
        let began = tokio::time::Instant::now();
        let (closed, ()) = tokio::join!(near.shutdown(), client);
        closed.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "no longer than the client wants");

        let (near, _far) = duplex(16);
        Lingering::new(near, Hangup::default()).shutdown().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), LINGER.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_not_written_to_for_ever() {
        let (near, _far) = duplex(16);
        let began = tokio::time::Instant::now();
        let error = Lingering::new(near, Hangup::default()).write_all(&[7; 100]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, WRITE.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_hung_up_on_reads_to_the_end_and_who_cannot_be_written_to_is() {
        let (near, mut far) = duplex(16);
        let hangup = Hangup::default();
        let mut near = Lingering::new(near, hangup.clone());
        far.write_all(b"last").await.unwrap();
        hangup.now();
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last");

        let (near, _far) = duplex(16);
        let (mut reading, mut writing) = tokio::io::split(Lingering::new(near, Hangup::default()));
        let mut into = [0];
        let (read, written) = tokio::join!(reading.read(&mut into), writing.write_all(&[7; 100]));
        assert_eq!((read.unwrap(), written.unwrap_err().kind()), (0, io::ErrorKind::TimedOut));
    }
}
