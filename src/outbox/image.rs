//! An outbox as it travels: what waits in it, and its numbers, so that another node goes on with them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Lanes, Letter, Outbox, Receipt};
use crate::protocol::{Encoded, MessageId, Outbound, TransferId};

/// What an outbox keeps. What is volatile stays behind.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    letters: Vec<KeptLetter>,
    acked: u64,
    written: u64,
    shown: u64,
    received: u64,
    acknowledged: u64,
    ack_now: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptLetter {
    name: String,
    data: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<TransferId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receipt: Option<KeptReceipt>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeptReceipt {
    /// For the partner's mail.
    Delivered(MessageId),
    /// Raises the flag of the talk.
    Told,
}

/// To whom receipts go that travel: those of a talk that is over have nobody who waits for them.
#[derive(Clone, Default)]
pub struct Kin {
    /// The partner's mail.
    pub partner: Option<Outbox>,
    /// Raised once this client has heard of its talk.
    pub told: Option<Arc<AtomicBool>>,
}

impl Outbox {
    /// What it keeps.
    pub fn kept(&self, kin: &Kin) -> Kept {
        let lanes = self.lanes();
        let (letters, acked, written, shown) = lanes.reliable.parts();
        Kept {
            letters: letters.map(|letter| letter.kept(kin)).collect(),
            acked,
            written,
            shown,
            received: lanes.received,
            acknowledged: lanes.acknowledged,
            ack_now: lanes.ack_now,
        }
    }

    /// All numbers begin anew, for a client that has lost count: everything kept will be written to it.
    pub fn restart(&self) {
        let mut lanes = self.lanes();
        let reliable = std::mem::take(&mut lanes.reliable);
        let reliable_bytes = lanes.reliable_bytes;
        *lanes =
            Lanes { reliable: Outbound::going_on(reliable.into_kept(), 0, 0, 0), reliable_bytes, ..Lanes::default() };
        drop(lanes);
        self.0.bell.notify_one();
    }

    /// Fills an empty outbox with what another kept. `None`: it holds an event that is not known here.
    pub fn refill(&self, kept: Kept, kin: &Kin) -> Option<()> {
        let Kept { letters, acked, written, shown, received, acknowledged, ack_now } = kept;
        let letters: VecDeque<_> = letters.into_iter().map(|letter| letter.letter(kin)).collect::<Option<_>>()?;
        let reliable_bytes = letters.iter().map(|letter| letter.event.cost()).sum();
        *self.lanes() = Lanes {
            reliable: Outbound::going_on(letters, acked, written, shown),
            reliable_bytes,
            received,
            acknowledged,
            ack_now,
            ..Lanes::default()
        };
        self.0.bell.notify_one();
        Some(())
    }
}

impl Letter {
    fn kept(&self, kin: &Kin) -> KeptLetter {
        let receipt = match &self.receipt {
            Some(Receipt::Delivered { to, id }) if kin.partner.as_ref().is_some_and(|it| Arc::ptr_eq(&it.0, &to.0)) => {
                Some(KeptReceipt::Delivered(id.clone()))
            }
            Some(Receipt::Flag(flag)) if kin.told.as_ref().is_some_and(|it| Arc::ptr_eq(it, flag)) => {
                Some(KeptReceipt::Told)
            }
            Some(Receipt::Delivered { .. } | Receipt::Flag(_)) | None => None,
        };
        let data = String::from_utf8_lossy(&self.event.data).into_owned();
        KeptLetter {
            name: self.event.name.to_owned(),
            data: RawValue::from_string(data).expect("an event's data is JSON"),
            topic: self.event.topic.clone(),
            receipt,
        }
    }
}

impl KeptLetter {
    fn letter(self, kin: &Kin) -> Option<Letter> {
        let data = Box::<str>::from(self.data).into_string();
        let event = Encoded::of_server(&self.name, data.into(), self.topic)?;
        let receipt = match self.receipt {
            Some(KeptReceipt::Delivered(id)) => kin.partner.clone().map(|to| Receipt::Delivered { to, id }),
            Some(KeptReceipt::Told) => kin.told.clone().map(Receipt::Flag),
            None => None,
        };
        Some(Letter { event, receipt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Batch;
    use crate::protocol::{Nothing, ServerEvent};

    #[test]
    fn what_was_written_is_not_written_again_and_what_waits_is_with_its_receipts() {
        let (mine, partner) = (Outbox::new(10_000), Outbox::new(10_000));
        let told: Arc<AtomicBool> = Arc::default();
        let kin = Kin { partner: Some(partner.clone()), told: Some(Arc::clone(&told)) };
        let idle = ServerEvent::Idle(Nothing {});
        let id = |text| MessageId::new(text).unwrap();
        mine.post_with(&idle, Receipt::Flag(told));
        mine.post_with(&idle, Receipt::Delivered { to: partner.clone(), id: id("m") });
        mine.post_with(&idle, Receipt::Delivered { to: Outbox::new(9), id: id("of an older talk") });
        let mut batch = Batch::default();
        assert!(mine.take(&mut batch));
        mine.post(&idle);
        mine.received(7);
        let kept = serde_json::to_string(&mine.kept(&kin)).unwrap();

        let (there, other) = (Outbox::new(10_000), Outbox::new(10_000));
        let flag: Arc<AtomicBool> = Arc::default();
        let kin = Kin { partner: Some(other.clone()), told: Some(Arc::clone(&flag)) };
        there.refill(serde_json::from_str(&kept).unwrap(), &kin).unwrap();
        assert!(there.take(&mut batch));
        let seqs: Vec<_> = batch.events.iter().map(|(_, seq)| *seq).collect();
        assert_eq!((seqs, batch.ack), (vec![Some(4)], Some(7)), "on the same link the rest has gone already");
        assert!(there.acknowledge(3));
        assert!(flag.load(std::sync::atomic::Ordering::Acquire));
        assert!(other.take(&mut batch));
        assert_eq!(batch.events.len(), 1, "the message of this talk was delivered, and no other is told of");
        assert!(there.resume(3), "and on another link what is not acknowledged comes again");
        assert!(there.take(&mut batch));
        assert_eq!(batch.events[0].1, Some(4));
    }
}
