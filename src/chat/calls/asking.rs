//! What a client may ask of its conversation's call.

use crate::chat::Participant;
use crate::protocol::{
    AcceptCall, CallAnswer, CallCandidate, CallCandidates, CallOffer, CallReport, DeclineCall, EndCall, JoinCall,
    Refusal, Ring, ServerEvent,
};

impl Participant {
    /// The client understands `call:*`, or does not.
    pub fn knows_calls(&self, knows: bool) {
        self.person.member.set_knows_calls(knows);
    }

    /// Calls the partner.
    ///
    /// # Errors
    /// [`CallExists`](crate::protocol::ErrorCode::CallExists), `CallUnsupported`, `RelayUnavailable`, `NoConversation`.
    pub fn ring(&self, ring: Ring) -> Result<(), Refusal> {
        let talk = self.talk()?;
        let partner = &talk.partner().member;
        let busy = self.chat.hub.calls_elsewhere(partner.user.id, partner.session);
        talk.ring(ring, busy)
    }

    /// Takes the partner's call.
    ///
    /// # Errors
    /// [`CallUnknown`](crate::protocol::ErrorCode::CallUnknown), `RelayUnavailable`, `NoConversation`.
    pub fn accept_call(&self, accept: AcceptCall) -> Result<(), Refusal> {
        self.talk()?.accept_call(accept)
    }

    /// Does not take the partner's call.
    ///
    /// # Errors
    /// [`CallUnknown`](crate::protocol::ErrorCode::CallUnknown), `NoConversation`.
    pub fn decline_call(&self, decline: &DeclineCall) -> Result<(), Refusal> {
        self.talk()?.decline_call(decline)
    }

    /// Ends the call.
    ///
    /// # Errors
    /// [`CallUnknown`](crate::protocol::ErrorCode::CallUnknown), `NoConversation`.
    pub fn end_call(&self, end: &EndCall) -> Result<(), Refusal> {
        self.talk()?.end_call(end)
    }

    /// Is still in the call, or again.
    ///
    /// # Errors
    /// [`CallUnknown`](crate::protocol::ErrorCode::CallUnknown), `RelayUnavailable`, `NoConversation`.
    pub fn join_call(&self, join: JoinCall) -> Result<(), Refusal> {
        self.talk()?.join_call(join)
    }

    /// Passes on an offer, of a call or alone.
    ///
    /// # Errors
    /// [`CallUnknown`](crate::protocol::ErrorCode::CallUnknown), `CandidateRefused`, `InvalidData`, `NoConversation`.
    pub fn offer_call(&self, offer: CallOffer) -> Result<(), Refusal> {
        self.talk()?.offer_call(offer)
    }

    /// Passes on an answer.
    ///
    /// # Errors
    /// [`OfferUnknown`](crate::protocol::ErrorCode::OfferUnknown), and those of an offer.
    pub fn answer_call(&self, answer: CallAnswer) -> Result<(), Refusal> {
        self.talk()?.answer_call(answer)
    }

    /// Passes on candidates of a call.
    ///
    /// # Errors
    /// [`CandidateLimit`](crate::protocol::ErrorCode::CandidateLimit), `OfferUnknown`, and those of an offer.
    pub fn candidates(&self, candidates: CallCandidates) -> Result<(), Refusal> {
        self.talk()?.candidates(candidates)
    }

    /// Passes on a candidate that names no call.
    ///
    /// # Errors
    /// [`CandidateLimit`](crate::protocol::ErrorCode::CandidateLimit), `CandidateRefused`, `NoConversation`.
    pub fn candidate(&self, candidate: CallCandidate) -> Result<(), Refusal> {
        self.talk()?.candidate(candidate)
    }

    /// Tells the client anew what helps to find a way to its partner.
    pub fn renew_ice(&self) {
        self.post(&ServerEvent::IceRenewed(self.chat.calls.ice()));
    }

    /// Says how a call was; counted once.
    pub fn report_call(&self, report: &CallReport) {
        let over = {
            let mut state = self.person.state();
            let at = state.to_report.iter().position(|call| *call == report.call);
            at.and_then(|at| state.to_report.remove(at)).is_some()
        };
        if over || self.person.talk().is_some_and(|talk| talk.reports(&report.call)) {
            self.chat.calls.tally().report(report);
        }
    }
}
