//! The half of a link that writes: numbers are taken off, and what is for clients of ours alone stays here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::shared::{RECEIPT_EVENT, RECEIPTS, Shared};
use super::words::{self, Sender};
use crate::outbox::Batch;
use crate::protocol::{ChunkHeader, CloseReason, Closing, Encoded};
use crate::session::{LinkEnd, Writer};

/// The library tells nobody when there is room again: it is asked so often.
const FULL: Duration = Duration::from_millis(5);
/// How long what a client that is far too fast still says is passed over, before it is seen off.
const FLOOD: Duration = Duration::from_secs(1);

/// The half that writes.
pub(super) struct SocketIoWriter {
    pub(super) socket: Arc<Socket>,
    pub(super) shared: Arc<Shared>,
    pub(super) opened: Option<oneshot::Sender<Result<(), String>>>,
    pub(super) partner: Option<Sender>,
    pub(super) base: String,
}

impl SocketIoWriter {
    /// Lets the client in, and waits until it was told.
    async fn open(&mut self) -> Result<(), LinkEnd> {
        let Some(opened) = self.opened.take() else { return Ok(()) };
        if opened.send(Ok(())).is_err() {
            return Err(LinkEnd::Lost("nobody waits to be let in".to_owned()));
        }
        tokio::select! {
            () = self.shared.connected.cancelled() => Ok(()),
            () = self.shared.gone.cancelled() => Err(LinkEnd::Closed),
        }
    }

    async fn write(&mut self, event: &Encoded) -> Result<(), LinkEnd> {
        let data = std::str::from_utf8(&event.data).expect("data is JSON, and so UTF-8");
        let unreadable = |error: serde_json::Error| LinkEnd::Lost(format!("{}: {error}", event.name));
        match event.name {
            "connection:ping" => {
                self.shared.pinged.store(true, Ordering::Release);
                self.shared.bell.notify_one();
                Ok(())
            }
            RECEIPT_EVENT if self.shared.receipts().len() < RECEIPTS => {
                self.shared.receipts().push(event.data.clone());
                self.shared.bell.notify_one();
                Ok(())
            }
            // Only a client of ours could make anything of them.
            "connection:pong" | "ack" | "file:progress" => Ok(()),
            "webrtc:candidates" | "call:ring" | "call:accept" | "call:ended" | "call:join" | "ice:renewed" => Ok(()),
            "connection:established" => {
                let greeting = words::greet(data, &self.socket.id.to_string()).map_err(unreadable)?;
                self.shared.received.store(greeting.received, Ordering::Release);
                self.emit(event.name, &greeting.established).await?;
                let Some(matched) = greeting.matched else { return Ok(()) };
                self.matched(matched.get());
                self.emit("user:matched", &matched).await
            }
            "chat:message" => {
                let message = words::tell_message(data, self.partner.as_ref()).map_err(unreadable)?;
                self.emit(event.name, &message).await
            }
            "file:offer" => {
                let message = words::tell_file(data, self.partner.as_ref(), &self.base).map_err(unreadable)?;
                self.emit("chat:message", &message).await
            }
            name => {
                match name {
                    "user:matched" => self.matched(data),
                    "user:unmatched" | "user:idle" | "user:matching" => {
                        self.shared.talking.store(false, Ordering::Release);
                    }
                    _ => {}
                }
                let data: &RawValue = serde_json::from_str(data).map_err(unreadable)?;
                self.emit(name, data).await
            }
        }
    }

    fn matched(&mut self, matched: &str) {
        self.partner = words::partner(matched);
        self.shared.talking.store(true, Ordering::Release);
    }

    /// Gives an event to the library, once it has room for it.
    async fn emit(&self, name: &str, data: &RawValue) -> Result<(), LinkEnd> {
        loop {
            match self.socket.emit(name, data) {
                Ok(()) => {
                    self.shared.write_receipts(&self.socket);
                    return Ok(());
                }
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {}
                Err(SendError::Socket(SocketError::Closed)) => return Err(LinkEnd::Closed),
                Err(SendError::Serialize(error)) => return Err(LinkEnd::Lost(error.to_string())),
            }
            tokio::select! {
                () = self.shared.gone.cancelled() => return Err(LinkEnd::Closed),
                () = sleep(FULL) => {}
            }
        }
    }
}

impl Writer for SocketIoWriter {
    async fn send(&mut self, batch: &Batch) -> Result<(), LinkEnd> {
        self.open().await?;
        for (event, seq) in &batch.events {
            self.write(event).await?;
            if let Some(seq) = seq {
                self.shared.written.store(*seq, Ordering::Release);
                self.shared.bell.notify_one();
            }
        }
        Ok(())
    }

    async fn send_chunks(&mut self, _: &[(ChunkHeader, Bytes)]) -> Result<(), LinkEnd> {
        // Nobody can accept a file here, so there are none.
        Err(LinkEnd::Lost("this door carries no bytes of files".to_owned()))
    }

    async fn close(mut self, closing: &Closing) {
        if let Some(opened) = self.opened.take() {
            // Whoever waited for it has gone, or is told.
            let _ = opened.send(Err(closing.message.clone()));
            return self.shared.gone.cancel();
        }
        self.shared.write_receipts(&self.socket);
        let Ok(data) = serde_json::value::to_raw_value(closing) else { return };
        let said = self.emit("connection:closing", &data).await;
        // A client that is disconnected by name does not come back by itself. When the server goes, the
        // connection ends with it, and the client looks for the next one.
        if closing.code == CloseReason::Draining.code() {
            self.shared.stays.store(true, Ordering::Release);
        } else if said.is_ok() {
            if closing.code == CloseReason::TooFast.code() {
                // The library breaks a connection on which someone who was seen off goes on, with what it has
                // to send: nobody in the middle of a flood would hear why.
                tokio::select! {
                    () = self.shared.gone.cancelled() => {}
                    () = sleep(FLOOD) => {}
                }
            }
            drop(self.socket.disconnect());
        }
    }
}
