//! What is known of a conversation's call.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use crate::protocol::{CallId, CallKind, ErrorCode, JoinCall, OfferId, Refusal, StandingCall};

/// Calls that are remembered after their end.
const ENDED: usize = 8;

/// What a conversation has of calls. It travels with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::chat) struct Calling {
    pub(super) call: Option<Call>,
    /// The last that ended, newest last.
    pub(super) ended: VecDeque<CallId>,
    /// Candidates of each side since its last description, where no call is named.
    pub(super) bare: [u32; 2],
    /// What there was went with a node: a call that both still have goes on.
    pub(super) lost: bool,
    /// What each side says that it has.
    pub(super) claims: [Option<JoinCall>; 2],
}

/// A call that rings or stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) kind: CallKind,
    /// The side that rang.
    pub(super) by: usize,
    pub(super) relay: bool,
    pub(super) accepted: bool,
    /// How often its media was set up anew.
    pub(super) generation: u32,
    /// Newest last.
    pub(super) offers: VecDeque<Offered>,
    #[serde(skip)]
    pub(super) timer: Timer,
    /// Who has said already how it was.
    pub(super) reported: [bool; 2],
}

/// What ends a call that nobody answers, as long as it is there.
#[derive(Debug, Default)]
pub(super) struct Timer(
    #[expect(dead_code, reason = "what it is there for is to be dropped")] pub(super) Option<AbortOnDropHandle<()>>,
);

impl Clone for Timer {
    /// Of a call that goes elsewhere: its time begins anew there.
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Offered {
    pub(super) id: OfferId,
    pub(super) by: usize,
    pub(super) answered: bool,
    /// A newer one, or that of the partner, has taken its place.
    pub(super) replaced: bool,
    pub(super) candidates: [u32; 2],
}

impl Calling {
    /// Of a conversation of which only that it stands is known.
    pub(in crate::chat) fn lost() -> Self {
        Self { lost: true, ..Self::default() }
    }

    /// Nothing is lost any more: it is known which call they are in.
    pub(super) fn found(&mut self) {
        self.claims = [None, None];
        self.lost = false;
    }

    /// The call as one side has it.
    pub(in crate::chat) fn standing(&self, side: usize) -> Option<StandingCall> {
        let Call { id, kind, by, relay, accepted, generation, .. } = self.call.as_ref()?;
        let (relay, accepted, generation) = (*relay, *accepted, *generation);
        Some(StandingCall { call: id.clone(), kind: *kind, mine: *by == side, accepted, relay, generation })
    }

    /// The call of this name. `None`: it has ended, and what is said of it is late.
    pub(super) fn find(&mut self, id: &CallId) -> Result<Option<&mut Call>, Refusal> {
        match &mut self.call {
            Some(call) if call.id == *id => Ok(Some(call)),
            _ if self.ended.contains(id) => Ok(None),
            // Too early: the partner has yet to say that they have it, too.
            _ if self.claims.iter().flatten().any(|claim| claim.call == *id) => Ok(None),
            _ => Err(unknown()),
        }
    }

    /// The same, once it was answered.
    pub(super) fn find_answered(&mut self, id: &CallId) -> Result<Option<&mut Call>, Refusal> {
        match self.find(id)? {
            Some(call) if !call.accepted => {
                Err(Refusal::new(ErrorCode::CallUnknown, "This call was not answered yet. Wait for call:accept."))
            }
            found => Ok(found),
        }
    }

    pub(super) fn take(&mut self) -> Option<Call> {
        let call = self.call.take()?;
        self.remember(call.id.clone());
        Some(call)
    }

    pub(super) fn remember(&mut self, id: CallId) {
        if self.ended.len() == ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }
}

impl Call {
    /// A ring of one side, or what becomes of it elsewhere.
    pub(super) fn new(id: CallId, kind: CallKind, by: usize, relay: bool) -> Self {
        let (offers, timer) = (VecDeque::new(), Timer::default());
        Self { id, kind, by, relay, accepted: false, generation: 0, offers, timer, reported: [false; 2] }
    }

    /// Its media is set up anew: what is for the one before is late.
    pub(super) fn begin_anew(&mut self) {
        self.generation = self.generation.saturating_add(1);
        self.offers.iter_mut().for_each(|offer| offer.replaced = true);
    }

    /// An offer of this name. `None`: what is said of it is late.
    pub(super) fn offer(&mut self, id: &OfferId) -> Result<Option<&mut Offered>, Refusal> {
        let found = self.offers.iter_mut().find(|offer| offer.id == *id);
        let offer = found.ok_or_else(|| {
            Refusal::new(ErrorCode::OfferUnknown, "There is no such offer in this call to say this of.")
        })?;
        Ok((!offer.replaced).then_some(offer))
    }
}

/// The refusal of what names no call that is there.
pub(super) fn unknown() -> Refusal {
    Refusal::new(ErrorCode::CallUnknown, "There is no such call, or none of which this can be said.")
}
