//! The ends of a transfer for those who speak HTTP: a request's body in, an answer's body out.

use std::collections::VecDeque;

use bytes::Bytes;
use rand::RngExt;

use super::Chat;
use super::carrier::{Intake, Outlet};
use super::conversation::{Talk, no_conversation};
use super::exchange::{Proposal, unknown};
use super::flow::{Over, Taker};
use crate::protocol::{FileKind, Offered, Refusal, Ticket, TransferEnd, TransferId, UserId};

/// What a request would like to send.
#[derive(Debug, Clone)]
pub struct UploadForm {
    /// File or voice note.
    pub kind: FileKind,
    /// The file's name.
    pub name: String,
    /// Its size, if the request says it.
    pub size: Option<u64>,
    /// Its media type.
    pub mime: String,
    /// How long a voice note plays, if the request says it.
    pub duration_ms: Option<u64>,
}

impl Chat {
    /// Whether there is anyone to take this account's files: to be asked before reading one.
    ///
    /// # Errors
    /// [`ErrorCode::NoConversation`](crate::protocol::ErrorCode::NoConversation).
    pub fn may_upload(&self, user: UserId) -> Result<(), Refusal> {
        self.talk_of(user).map(drop)
    }

    /// Offers a file to whomever this account talks with. Nobody there: no bytes are wanted.
    ///
    /// # Errors
    /// Whatever speaks against it.
    pub fn upload(&self, user: UserId, form: UploadForm) -> Result<Upload, Refusal> {
        let talk = self.talk_of(user)?;
        let UploadForm { kind, name, size, mime, duration_ms } = form;
        let id: [u8; 16] = rand::rng().random();
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let id = TransferId::new(&id).expect("32 digits are an id");
        let transfer = talk.offer(Proposal { id, kind, name, size, mime, duration_ms, sha256: None, by_http: true })?;
        Intake::new(transfer, 0).map(|intake| Upload { intake, bytes: 0 })
    }

    /// Whether a ticket stands for anything.
    pub fn offers(&self, ticket: Ticket) -> bool {
        self.files.find(ticket).is_some()
    }

    /// Takes up what a ticket stands for, once; the bytes then go this way and no other. `caller`: who
    /// asks, where that is known. `sized`: only what says its size beforehand.
    ///
    /// # Errors
    /// [`ErrorCode::TransferUnknown`](crate::protocol::ErrorCode::TransferUnknown).
    pub fn download(&self, ticket: Ticket, caller: Option<UserId>, sized: bool) -> Result<Download, Refusal> {
        let transfer = self.files.find(ticket).filter(|it| !sized || it.offered.size.is_some()).ok_or_else(unknown)?;
        let conversation = transfer.conversation.upgrade().ok_or_else(unknown)?;
        let talk = Talk::of(conversation, 1 - transfer.from);
        if caller.is_some_and(|caller| caller != talk.me().member.user.id) {
            return Err(unknown());
        }
        let transfer = talk.accept(&transfer.id().clone(), Taker::Http)?;
        Ok(Download { outlet: Outlet::new(transfer), first: VecDeque::new(), taken: 0, handed: 0 })
    }

    fn talk_of(&self, user: UserId) -> Result<Talk, Refusal> {
        self.files.talker(user).and_then(|person| person.talk()).ok_or_else(no_conversation)
    }
}

/// A request's body on its way to the partner. Dropped before its end, the transfer is called off.
pub struct Upload {
    intake: Intake,
    bytes: u64,
}

impl Upload {
    /// The transfer's name.
    pub fn id(&self) -> &TransferId {
        self.intake.id()
    }

    /// Waits until the partner has accepted and so many bytes may come. Cancel safe.
    ///
    /// # Errors
    /// How the transfer ended.
    pub async fn room(&self) -> Result<usize, Over> {
        self.intake.room().await
    }

    /// Brings what follows; not more than there is room for.
    pub fn bring(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.intake.bring(bytes);
    }

    /// Waits for the transfer's end. Cancel safe.
    pub async fn over(&self) -> Over {
        self.intake.over().await
    }

    /// Ends the transfer before its end, and tells both why.
    pub fn fail(self, end: TransferEnd) {
        self.intake.fail(end);
    }

    /// How much was brought.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The body has ended: waits until the partner has it all.
    ///
    /// # Errors
    /// How the transfer ended instead.
    pub async fn finish(self) -> Result<u64, Over> {
        self.intake.end_of_body();
        match self.intake.over().await {
            Over::Done => Ok(self.bytes),
            other => Err(other),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Nothing, once it is over.
        self.intake.fail(TransferEnd::Cancelled);
    }
}

/// An answer's body, as it comes from the partner. Dropped before its end, the transfer is called off.
pub struct Download {
    outlet: Outlet,
    /// Taken, and not handed over.
    first: VecDeque<Bytes>,
    taken: u64,
    handed: u64,
}

impl Download {
    /// What comes.
    pub fn offered(&self) -> &Offered {
        self.outlet.offered()
    }

    /// Waits until so many bytes are here, or all: then it is known whether they are what they should be.
    ///
    /// # Errors
    /// How the transfer ended before that.
    pub async fn ready(&mut self, least: u64, most: usize) -> Result<(), Over> {
        while self.taken < least && self.outlet.offered().size != Some(self.taken) {
            let Some(bytes) = self.take(most).await? else { break };
            self.first.push_back(bytes);
        }
        Ok(())
    }

    async fn take(&mut self, most: usize) -> Result<Option<Bytes>, Over> {
        let next = self.outlet.next(most).await?;
        Ok(next.map(|(_, bytes)| {
            self.taken += bytes.len() as u64;
            bytes
        }))
    }

    /// The next bytes; `None`: that was all. To ask for more says that those before are gone.
    ///
    /// # Errors
    /// How the transfer ended before its end.
    pub async fn next(&mut self, most: usize) -> Result<Option<Bytes>, Over> {
        if self.handed > 0 {
            self.outlet.acknowledge(self.handed);
        }
        let bytes = match self.first.pop_front() {
            Some(bytes) => Some(bytes),
            None => self.take(most).await?,
        };
        self.handed += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(bytes)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // An answer whose length was said is not asked for more after its last byte.
        if self.outlet.offered().size == Some(self.handed) {
            self.outlet.acknowledge(self.handed);
        }
        // Nothing, once it is over.
        self.outlet.fail(TransferEnd::Cancelled);
    }
}
