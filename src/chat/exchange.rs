//! What two people may do with files: offer, accept, refuse, acknowledge, complete, call off. All of
//! it passes the conversation's gate, so that nothing of a transfer is told after the talk's end.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::conversation::{Standing, Talk, unix_millis};
use super::flow::{Brought, Over, Phase, Taker};
use super::transfer::{Counted, Transfer};
use crate::media::clean_name;
use crate::protocol::{
    About, Cancelled, Complete, ErrorCode, FileKind, GoOn, HeldTransfer, Offer, Offered, Progress, Refusal,
    ServerEvent, Sha256, Ticket, TransferEnd, TransferId,
};

/// What is offered, from whatever end.
pub(super) struct Proposal {
    pub(super) id: TransferId,
    pub(super) kind: FileKind,
    pub(super) name: String,
    pub(super) size: Option<u64>,
    pub(super) mime: String,
    pub(super) duration_ms: Option<u64>,
    pub(super) sha256: Option<Sha256>,
    pub(super) by_http: bool,
}

impl From<Offer> for Proposal {
    fn from(offer: Offer) -> Self {
        let Offer { transfer: id, kind, name, size, mime, duration_ms, sha256 } = offer;
        Self { id, kind, name, size: Some(size), mime, duration_ms, sha256, by_http: false }
    }
}

impl Talk {
    /// Offers the partner something.
    pub(super) fn offer(&self, proposal: Proposal) -> Result<Arc<Transfer>, Refusal> {
        let Proposal { id, kind, name, size, mime, duration_ms, sha256, by_http } = proposal;
        let files = &self.me().files;
        let inspector = files.inspect(kind, size, &mime, duration_ms.map(Duration::from_millis))?;
        let ticket = Ticket::from_bytes(rand::rng().random());
        let offered = Offered {
            transfer: id.clone(),
            from: self.me().member.user.id,
            kind,
            name: clean_name(&name),
            size,
            mime,
            duration_ms,
            sha256,
            link: format!("/api/files/{ticket}"),
            timestamp: unix_millis(),
        };
        let event = ServerEvent::Offer(offered.clone());
        let receiver = self.partner().member.outbox.clone();
        let conversation = Arc::downgrade(self.conversation());
        let counted = Counted::new(&self.partner().incoming);
        let (side, files_too) = (self.side(), files.clone());
        let transfer =
            Transfer::new(offered, ticket, side, by_http, inspector, conversation, files_too, receiver, counted);
        self.through(|standing| {
            if standing.transfers.iter().any(|other| *other.id() == id) {
                let message = "A transfer of this name is under way. Give each a name of its own.";
                return Err(Refusal::new(ErrorCode::TransferExists, message));
            }
            let mine = standing.transfers.iter().filter(|other| other.from == self.side()).count();
            if mine >= files.at_once() {
                let message = format!("At most {} files at once. Wait until one has arrived.", files.at_once());
                return Err(Refusal::new(ErrorCode::TransferLimit, message));
            }
            standing.transfers.push(Arc::clone(&transfer));
            files.issue(&transfer);
            self.partner().member.outbox.post(&event);
            Ok(())
        })?;
        files.watch(&transfer, false);
        Ok(transfer)
    }

    /// Lets the partner send what they offered, to whoever takes the bytes away.
    pub(super) fn accept(&self, id: &TransferId, taker: Taker) -> Result<Arc<Transfer>, Refusal> {
        let transfer = self.find_offered(id)?;
        let Some(share) = transfer.files.room() else {
            self.drop_transfer(&transfer, TransferEnd::Busy);
            return Ok(transfer);
        };
        self.through(|_| {
            {
                let mut flow = transfer.flow();
                if flow.phase != Phase::Offered {
                    return Err(unknown());
                }
                flow.phase = Phase::Moving;
                flow.taker = taker;
                flow.share = Some(share);
                flow.moved = tokio::time::Instant::now();
            }
            let accepted = ServerEvent::Accept(About { transfer: id.clone() });
            self.tell_sender(&transfer, &accepted);
            if taker == Taker::Http {
                // Whoever was asked is told that it was taken another way.
                self.conversation().receiver(&transfer).post(&accepted);
            }
            Ok(())
        })?;
        transfer.files.forget(transfer.ticket);
        transfer.files.watch(&transfer, true);
        transfer.room.notify_one();
        self.me().carry.notify_one();
        Ok(transfer)
    }

    /// Declines what the partner offered.
    pub(super) fn reject(&self, id: &TransferId) -> Result<(), Refusal> {
        let transfer = self.find_offered(id)?;
        self.through(|standing| {
            if standing.close(&transfer, Over::Rejected) {
                self.tell_sender(&transfer, &ServerEvent::Reject(About { transfer: id.clone() }));
            }
            Ok(())
        })
    }

    /// The sender says that all was sent.
    pub(super) fn complete(&self, complete: &Complete) -> Result<(), Refusal> {
        let transfer = self.find(&complete.transfer, true)?;
        if transfer.flow().phase != Phase::Moving {
            return Err(unknown());
        }
        let claimed = transfer.claim(complete.size, complete.sha256);
        self.settle(&transfer, claimed);
        Ok(())
    }

    /// The receiver has so much.
    pub(super) fn progress(&self, progress: &Progress) {
        // It may have been on its way when the transfer ended.
        if let Ok(transfer) = self.find(&progress.transfer, false) {
            let told = transfer.acknowledge(progress.received);
            self.progressed(&transfer, told);
        }
    }

    /// Calls a transfer off, one's own or the partner's.
    pub(super) fn call_off(&self, id: &TransferId) -> Result<(), Refusal> {
        self.through(|standing| {
            let transfer = standing.transfers.iter().find(|other| other.id() == id).cloned().ok_or_else(unknown)?;
            if standing.close(&transfer, Over::Ended(TransferEnd::Cancelled)) {
                let event = cancelled(&transfer, TransferEnd::Cancelled);
                if transfer.from == self.side() {
                    self.partner().member.outbox.post(&event);
                } else {
                    self.tell_sender(&transfer, &event);
                }
            }
            Ok(())
        })
    }

    /// This side is on a new link and has these transfers left: the others are over. Yields where its
    /// own go on.
    pub(super) fn go_on(&self, held: Option<&[HeldTransfer]>) -> Vec<GoOn> {
        let mut going_on = Vec::new();
        for transfer in self.transfers() {
            let name = |held: &&HeldTransfer| held.transfer == *transfer.id();
            let named = held.and_then(|held| held.iter().find(name));
            let (phase, taker) = {
                let flow = transfer.flow();
                (flow.phase, flow.taker)
            };
            if transfer.from == self.side() {
                match (named, phase) {
                    _ if transfer.by_http => {}
                    (None, _) => self.drop_transfer(&transfer, TransferEnd::Lost),
                    (Some(_), Phase::Moving) => {
                        let mut flow = transfer.flow();
                        flow.moved = tokio::time::Instant::now();
                        let (received, acknowledged) = (flow.received, flow.acked);
                        going_on.push(GoOn { transfer: transfer.id().clone(), received, acknowledged });
                    }
                    (Some(_), _) => {}
                }
            } else {
                match (named, phase) {
                    // Its bytes go elsewhere.
                    _ if taker == Taker::Http => {}
                    (Some(held), Phase::Moving) => {
                        let told = transfer.rewind(held.received.unwrap_or(0));
                        self.progressed(&transfer, told);
                    }
                    (None, Phase::Offered) if held.is_some() => {}
                    (None, _) => self.drop_transfer(&transfer, TransferEnd::Lost),
                    (Some(_), _) => {}
                }
            }
        }
        self.me().carry.notify_one();
        going_on
    }

    /// Acts on what came of bytes, or of a claim about them.
    pub(super) fn settle(&self, transfer: &Arc<Transfer>, brought: Result<Brought, TransferEnd>) {
        match brought {
            Ok(Brought::More) => {}
            Ok(Brought::All) => {
                let event = completed(transfer);
                // Over meanwhile: then both know.
                let _ = self.through(|_| {
                    self.conversation().receiver(transfer).post(&event);
                    Ok(())
                });
                self.finish(transfer);
            }
            Err(end) => self.drop_transfer(transfer, end),
        }
    }

    /// Tells the sender how far the receiver is, and ends what is done.
    pub(super) fn progressed(&self, transfer: &Arc<Transfer>, told: Result<Option<u64>, TransferEnd>) {
        match told {
            Ok(None) => {}
            Ok(Some(received)) => {
                let progress = Progress { transfer: transfer.id().clone(), received };
                let _ = self.through(|_| {
                    self.tell_sender(transfer, &ServerEvent::Progress(progress));
                    Ok(())
                });
            }
            Err(end) => return self.drop_transfer(transfer, end),
        }
        self.finish(transfer);
    }

    /// Tells the sender that the receiver has it all, once that is so.
    fn finish(&self, transfer: &Arc<Transfer>) {
        if !transfer.flow().is_done() {
            return;
        }
        let event = completed(transfer);
        let _ = self.through(|standing| {
            if standing.close(transfer, Over::Done) {
                self.tell_sender(transfer, &event);
            }
            Ok(())
        });
    }

    /// Ends a transfer before its end and tells both.
    pub(super) fn drop_transfer(&self, transfer: &Arc<Transfer>, end: TransferEnd) {
        let _ = self.through(|standing| {
            if standing.close(transfer, Over::Ended(end)) {
                let event = cancelled(transfer, end);
                self.conversation().receiver(transfer).post(&event);
                self.tell_sender(transfer, &event);
            }
            Ok(())
        });
    }

    /// All transfers under way, either way.
    pub(super) fn transfers(&self) -> Vec<Arc<Transfer>> {
        self.through(|standing| Ok(standing.transfers.clone())).unwrap_or_default()
    }

    /// A transfer of this side's (`mine`), or to it.
    pub(super) fn find(&self, id: &TransferId, mine: bool) -> Result<Arc<Transfer>, Refusal> {
        self.through(|standing| {
            let ours = |other: &&Arc<Transfer>| other.id() == id && (other.from == self.side()) == mine;
            match standing.transfers.iter().find(ours) {
                Some(transfer) => Ok(Arc::clone(transfer)),
                None => Err(if standing.ended.iter().any(|(ended, _)| ended == id) { over() } else { unknown() }),
            }
        })
    }

    /// A transfer of this side's whose bytes have come. `None`: it is over, and that was said.
    pub(super) fn find_for_bytes(&self, id: &TransferId) -> Result<Arc<Transfer>, Option<Refusal>> {
        let found = self.through(|standing| {
            let mine = |other: &&Arc<Transfer>| other.id() == id && other.from == self.side();
            match standing.transfers.iter().find(mine) {
                Some(transfer) => Ok(Ok(Arc::clone(transfer))),
                None => Ok(Err(standing.gone(id))),
            }
        });
        match found {
            Ok(Ok(transfer)) if transfer.flow().phase == Phase::Offered => Err(Some(unknown())),
            Ok(Ok(transfer)) => Ok(transfer),
            Ok(Err((_, true))) => Err(None),
            Ok(Err((refusal, false))) | Err(refusal) => Err(Some(refusal)),
        }
    }

    /// An offer to this side that has no answer yet.
    fn find_offered(&self, id: &TransferId) -> Result<Arc<Transfer>, Refusal> {
        let transfer = self.find(id, false).map_err(|_| unknown())?;
        if transfer.flow().phase == Phase::Offered { Ok(transfer) } else { Err(unknown()) }
    }

    fn tell_sender(&self, transfer: &Transfer, event: &ServerEvent) {
        if !transfer.by_http {
            self.conversation().sender(transfer).post(event);
        }
    }
}

impl Standing {
    /// Ends a transfer, if it has not ended. What is late for it is answered once.
    fn close(&mut self, transfer: &Arc<Transfer>, over: Over) -> bool {
        if !transfer.close(over) {
            return false;
        }
        self.transfers.retain(|other| !Arc::ptr_eq(other, transfer));
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((transfer.id().clone(), false));
        true
    }

    /// Why there is no such transfer, and whether that was said before: much may have been on its
    /// way when it ended.
    fn gone(&mut self, id: &TransferId) -> (Refusal, bool) {
        match self.ended.iter_mut().find(|(ended, _)| ended == id) {
            None => (unknown(), false),
            Some((_, told)) => (over(), std::mem::replace(told, true)),
        }
    }
}

/// Transfers that are remembered after their end, in each conversation.
const REMEMBERED: usize = 16;

impl Transfer {
    /// Whether both people have a link.
    pub(super) fn is_linked(&self) -> bool {
        self.conversation.upgrade().is_some_and(|conversation| conversation.is_linked())
    }

    /// Ends it before its end, and tells both.
    pub(super) fn fail(self: &Arc<Self>, end: TransferEnd) {
        if let Some(talk) = self.talk() {
            talk.drop_transfer(self, end);
        }
    }

    /// The sender's side of its conversation.
    pub(super) fn talk(&self) -> Option<Talk> {
        Some(Talk::of(self.conversation.upgrade()?, self.from))
    }

    /// How it ended, once it has.
    pub(super) fn over(&self) -> Option<Over> {
        match self.flow().phase {
            Phase::Over(over) => Some(over),
            Phase::Offered | Phase::Moving => None,
        }
    }
}

fn cancelled(transfer: &Transfer, end: TransferEnd) -> ServerEvent {
    ServerEvent::Cancel(Cancelled::new(transfer.id().clone(), end))
}

fn completed(transfer: &Transfer) -> ServerEvent {
    let flow = transfer.flow();
    let sha256 = flow.verified.unwrap_or(Sha256::from_bytes([0; 32]));
    ServerEvent::Complete(Complete { transfer: transfer.id().clone(), size: flow.received, sha256 })
}

fn over() -> Refusal {
    Refusal::new(ErrorCode::TransferOver, "This transfer is over.")
}

pub(super) fn unknown() -> Refusal {
    let message = "There is no such transfer, or none for which this makes sense now.";
    Refusal::new(ErrorCode::TransferUnknown, message)
}
