//! What the two halves of a connection and the library's handlers tell each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use serde_json::value::RawValue;
use socketioxide::extract::AckSender;
use socketioxide::socket::Socket;
use socketioxide_core::Str;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Bytes of events that wait for the session, each with what it costs to keep it, before more are
/// refused: the session is far behind then, as the library reads on whatever we do.
const HEARD: usize = 2 * 1024 * 1024;
/// Receipts that wait so, at most: the next waits for room with the library as all else does.
pub(super) const RECEIPTS: usize = 64;
/// What an event costs to keep beside its bytes.
const KEPT: usize = 256;
/// The name of a receipt.
pub(super) const RECEIPT_EVENT: &str = "chat:delivered";

/// One event of the client.
pub(super) struct Call {
    /// The JSON of `[name, ...arguments]`; `None`: it came with binary data.
    pub(super) said: Option<Str>,
    /// Its acknowledgement callback, if it has one.
    pub(super) answer: Option<AckSender>,
}

/// What the two halves and the library's handlers tell each other.
#[derive(Default)]
pub(super) struct Shared {
    heard: Mutex<Queue>,
    /// The data of receipts (`chat:delivered`) that go with the next event, or after a moment.
    receipts: Mutex<Vec<Bytes>>,
    /// The number of the last reliable event that the library has to send.
    pub(super) written: AtomicU64,
    /// How far the session had counted this client's events when the link began.
    pub(super) received: AtomicU64,
    /// The session wants a sign of life.
    pub(super) pinged: AtomicBool,
    /// Whether the conversation stands, as far as the client was told.
    pub(super) talking: AtomicBool,
    /// The server goes, and ends the connection with all others.
    pub(super) stays: AtomicBool,
    /// Rung for the reading half.
    pub(super) bell: Notify,
    /// The client was told that it is connected.
    pub(super) connected: CancellationToken,
    /// It is not any more ...
    pub(super) gone: CancellationToken,
    /// ... and the engine's connection has ended, too.
    pub(super) ended: CancellationToken,
}

/// Events in the order in which they came.
#[derive(Default)]
struct Queue {
    calls: VecDeque<Call>,
    bytes: usize,
    /// Nobody reads any more.
    closed: bool,
}

impl Call {
    fn cost(&self) -> usize {
        self.said.as_ref().map_or(0, |text| text.len()) + KEPT
    }
}

impl Shared {
    /// Takes an event in, or gives it back if too many wait. Never waits.
    pub(super) fn hear(&self, call: Call) -> Result<(), Call> {
        {
            let mut heard = self.heard();
            let bytes = heard.bytes + call.cost();
            if heard.closed {
                return Ok(());
            }
            if bytes > HEARD {
                return Err(call);
            }
            heard.bytes = bytes;
            heard.calls.push_back(call);
        }
        self.bell.notify_one();
        Ok(())
    }

    pub(super) fn next(&self) -> Option<Call> {
        let mut heard = self.heard();
        let call = heard.calls.pop_front()?;
        heard.bytes -= call.cost();
        Some(call)
    }

    /// What waits refers to the connection, which refers to this.
    pub(super) fn close(&self) {
        *self.heard() = Queue { closed: true, ..Queue::default() };
    }

    pub(super) fn receipts(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.receipts.lock().expect("no code panics while it holds this lock")
    }

    /// Writes the receipts that wait. What the library has no room for goes on waiting.
    pub(super) fn write_receipts(&self, socket: &Socket) {
        let mut receipts = self.receipts();
        let written = receipts.iter().position(|data| {
            let data = serde_json::from_slice::<&RawValue>(data).expect("data is JSON");
            socket.emit(RECEIPT_EVENT, data).is_err()
        });
        match written {
            None => receipts.clear(),
            Some(written) => drop(receipts.drain(..written)),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Queue> {
        self.heard.lock().expect("no code panics while it holds this lock")
    }
}
