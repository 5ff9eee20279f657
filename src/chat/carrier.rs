//! How the bytes of transfers get into a conversation and out of it: one handle for each client, for
//! whatever carries them. Nothing here waits for a network.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Person;
use super::conversation::Talk;
use super::exchange::unknown;
use super::flow::{Brought, Over, Phase, Taker};
use super::transfer::Transfer;
use crate::protocol::{ChunkHeader, ErrorCode, Offered, Refusal, TransferEnd, TransferId};

/// Brings and takes the bytes of one client's transfers. Clones are the same.
#[derive(Clone)]
pub struct Carrier(Arc<Person>);

impl Carrier {
    pub(super) fn new(person: Arc<Person>) -> Self {
        Self(person)
    }

    /// Brings one chunk. What is wrong with the transfer itself, both sides hear.
    ///
    /// # Errors
    /// What to tell the client of a chunk that belongs nowhere.
    pub fn bring(&self, header: &ChunkHeader, bytes: &[u8]) -> Result<(), Refusal> {
        match self.find(&header.transfer)? {
            Some((talk, transfer)) => {
                let brought = transfer.bring(header.offset, bytes);
                talk.settle(&transfer, brought);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Begins to bring a transfer's bytes from this offset on. `None`: nobody wants them any more.
    ///
    /// # Errors
    /// What to tell the client.
    pub fn intake(&self, header: ChunkHeader) -> Result<Option<Intake>, Refusal> {
        let Some((_, transfer)) = self.find(&header.transfer)? else { return Ok(None) };
        Intake::new(transfer, header.offset).map(Some)
    }

    /// The next bytes for this client, of whichever transfer has some.
    pub fn take(&self, most: usize) -> Option<(ChunkHeader, Bytes)> {
        if self.0.incoming.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let talk = self.0.talk()?;
        let incoming = talk.transfers().into_iter().filter(|transfer| transfer.from != talk.side());
        let mut incoming: Vec<_> = incoming.filter(|transfer| transfer.flow().taker == Taker::Link).collect();
        // By turns, so that all move.
        incoming.sort_by_key(|transfer| transfer.flow().turn);
        incoming.iter().find_map(|transfer| {
            let (offset, bytes) = transfer.take(most)?;
            transfer.flow().turn = self.0.files.next_turn();
            Some((ChunkHeader { transfer: transfer.id().clone(), offset }, bytes))
        })
    }

    /// Waits for a transfer to this client that nothing carries yet. Cancel safe.
    pub async fn next_outlet(&self) -> Outlet {
        loop {
            if let Some(outlet) = self.outlet() {
                return outlet;
            }
            self.0.carry.notified().await;
        }
    }

    fn outlet(&self) -> Option<Outlet> {
        let talk = self.0.talk()?;
        talk.transfers().into_iter().find_map(|transfer| {
            {
                let mut flow = transfer.flow();
                let waits = transfer.from != talk.side() && flow.phase == Phase::Moving && flow.taker == Taker::Link;
                if !waits {
                    return None;
                }
                flow.taker = Taker::Stream;
            }
            Some(Outlet { transfer })
        })
    }

    fn find(&self, id: &TransferId) -> Result<Option<(Talk, Arc<Transfer>)>, Refusal> {
        let found = self.0.talk().map(|talk| (talk.find_for_bytes(id), talk));
        match found {
            Some((Ok(transfer), talk)) => Ok(Some((talk, transfer))),
            Some((Err(None), _)) => Ok(None),
            // Of a talk that is over: what was on its way then is nobody's fault.
            _ if self.0.state().late.contains(id) => Ok(None),
            Some((Err(Some(refusal)), _)) => Err(refusal),
            None => Err(unknown()),
        }
    }
}

/// The end of a transfer into which bytes go. One at a time; dropped, another may begin.
pub struct Intake {
    transfer: Arc<Transfer>,
    offset: u64,
}

impl Intake {
    pub(super) fn new(transfer: Arc<Transfer>, offset: u64) -> Result<Self, Refusal> {
        if std::mem::replace(&mut transfer.flow().brought, true) {
            return Err(Refusal::new(ErrorCode::TransferBusy, "This transfer's bytes come another way already."));
        }
        Ok(Self { transfer, offset })
    }

    /// The transfer's name.
    pub fn id(&self) -> &TransferId {
        self.transfer.id()
    }

    /// Waits until so many bytes may come. Cancel safe.
    ///
    /// # Errors
    /// How the transfer ended; no more bytes are wanted.
    pub async fn room(&self) -> Result<usize, Over> {
        loop {
            {
                let flow = self.transfer.flow();
                match flow.phase {
                    Phase::Over(over) => return Err(over),
                    Phase::Moving if flow.room() > 0 => return Ok(flow.room()),
                    Phase::Moving | Phase::Offered => {}
                }
            }
            self.transfer.room.notified().await;
        }
    }

    /// Waits for the transfer's end. Cancel safe.
    pub async fn over(&self) -> Over {
        loop {
            if let Some(over) = self.transfer.over() {
                return over;
            }
            self.transfer.room.notified().await;
        }
    }

    /// Brings what follows.
    pub fn bring(&mut self, bytes: &[u8]) {
        let brought = self.transfer.bring(self.offset, bytes);
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        self.settle(brought);
    }

    /// The sender's side has ended the bytes: there will be no more.
    pub fn end(self) {
        if self.transfer.offered.size.is_some_and(|size| self.offset < size) {
            self.transfer.fail(TransferEnd::SizeMismatch);
        }
    }

    /// An HTTP body has ended: what came is all.
    pub(super) fn end_of_body(&self) {
        let brought = self.transfer.end_of_body();
        self.settle(brought);
    }

    /// Ends the transfer before its end.
    pub fn fail(&self, end: TransferEnd) {
        self.transfer.fail(end);
    }

    /// The sender brings no more this way. What is yielded ends the transfer, if nobody has begun to
    /// bring its bytes another way by then.
    pub fn abandon(self) -> impl FnOnce() + Send {
        let transfer = Arc::clone(&self.transfer);
        drop(self);
        move || {
            if !transfer.flow().brought {
                transfer.fail(TransferEnd::Cancelled);
            }
        }
    }

    fn settle(&self, brought: Result<Brought, TransferEnd>) {
        // Without its conversation it is over.
        if let Some(talk) = self.transfer.talk() {
            talk.settle(&self.transfer, brought);
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.transfer.flow().brought = false;
    }
}

/// The end of a transfer from which bytes come. Only a new link begins another: what was handed out
/// may have arrived.
pub struct Outlet {
    transfer: Arc<Transfer>,
}

impl Outlet {
    pub(super) fn new(transfer: Arc<Transfer>) -> Self {
        Self { transfer }
    }

    /// Whose bytes they are.
    pub fn id(&self) -> &TransferId {
        self.transfer.id()
    }

    /// What is offered.
    pub fn offered(&self) -> &Offered {
        &self.transfer.offered
    }

    /// The next bytes, and how many come before them: not always those that were handed out last, as the
    /// receiver may have more from an earlier link. `None`: that was all. Cancel safe.
    ///
    /// # Errors
    /// How the transfer ended before its end.
    pub async fn next(&mut self, most: usize) -> Result<Option<(u64, Bytes)>, Over> {
        loop {
            if let Some(taken) = self.transfer.take(most) {
                return Ok(Some(taken));
            }
            {
                let flow = self.transfer.flow();
                match flow.phase {
                    Phase::Over(over) if over != Over::Done => return Err(over),
                    Phase::Over(_) => return Ok(None),
                    // The last bytes are not said to be the last before they are known to be right.
                    Phase::Moving if flow.is_drained() && flow.verified.is_some() => return Ok(None),
                    Phase::Moving | Phase::Offered => {}
                }
            }
            self.transfer.bytes.notified().await;
        }
    }

    /// The receiver has all bytes that were handed out, as far as anyone can know.
    pub(super) fn acknowledge(&self, received: u64) {
        let told = self.transfer.acknowledge(received);
        if let Some(talk) = self.transfer.talk() {
            talk.progressed(&self.transfer, told);
        }
    }

    /// Waits for the transfer's end. Cancel safe.
    pub async fn over(&self) -> Over {
        loop {
            if let Some(over) = self.transfer.over() {
                return over;
            }
            self.transfer.bytes.notified().await;
        }
    }

    /// Ends the transfer before its end.
    pub fn fail(&self, end: TransferEnd) {
        self.transfer.fail(end);
    }
}
