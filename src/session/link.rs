//! What a door offers to a session: frames in, batches out, a farewell.

use std::future::Future;

use crate::hub::Door;
use crate::outbox::Batch;
use crate::protocol::{ClientFrame, Closing, Refusal};

/// The carrier of the moment. Split once, so that reading and writing never wait for each other.
pub trait Link: Send + 'static {
    /// The half that reads.
    type Reader: Reader;
    /// The half that writes.
    type Writer: Writer;

    /// Which door it came through.
    fn door(&self) -> Door;

    /// Its two halves.
    fn split(self) -> (Self::Reader, Self::Writer);
}

/// The half of a link that reads.
pub trait Reader: Send {
    /// The next frame, or why it is refused, in the order of arrival. Cancel safe.
    ///
    /// # Errors
    /// Why there will be no more.
    fn recv(&mut self) -> impl Future<Output = Result<Result<ClientFrame, Refusal>, LinkEnd>> + Send;
}

/// The half of a link that writes.
pub trait Writer: Send {
    /// Writes all of a batch in one go. When it is cancelled, what it has begun is finished by the
    /// next call of either method, so that a frame is never left half written.
    ///
    /// # Errors
    /// Why nothing can be written any more.
    fn send(&mut self, batch: &Batch) -> impl Future<Output = Result<(), LinkEnd>> + Send;

    /// Says `connection:closing`, sees it off, and closes the link with the same code.
    fn close(self, closing: &Closing) -> impl Future<Output = ()> + Send;
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
