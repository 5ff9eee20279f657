//! The call of a conversation, step by step: who may do what, when, and what the partner hears of it.

use std::sync::Arc;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::Calls;
use super::state::{Call, Calling, Timer, unknown};
use crate::chat::conversation::{Standing, Talk};
use crate::protocol::{
    AcceptCall, Accepted, CallEnded, CallEnding, CallId, DeclineCall, Declining, EndCall, ErrorCode, HangingUp,
    JoinCall, Joined, Refusal, Ring, Rings, ServerEvent, millis,
};

impl Talk {
    /// Calls the partner. `busy`: they are in another call.
    pub(in crate::chat) fn ring(&self, ring: Ring, busy: bool) -> Result<(), Refusal> {
        let calls = self.calls();
        let relay = self.relayed(ring.relay)?;
        if !self.partner().member.knows_calls() {
            let message = "Your partner's app takes no rings. Send webrtc:offer without a call.";
            return Err(Refusal::new(ErrorCode::CallUnsupported, message));
        }
        self.through(|standing| {
            let mine = self.side();
            match &mut standing.calling.call {
                // Both at the same moment: that is as good as an answer.
                Some(call) if call.by != mine && !call.accepted => {
                    let instead = (ring.call != call.id).then_some(ring.call);
                    self.accepted(call, relay, instead.clone());
                    if let Some(instead) = instead {
                        standing.calling.remember(instead);
                    }
                }
                Some(call) if call.by == mine && call.id == ring.call && !call.accepted => {}
                Some(_) => {
                    let message = "There is a call already. End it before you ring anew.";
                    return Err(Refusal::new(ErrorCode::CallExists, message));
                }
                None => {
                    calls.tally().rings();
                    if busy {
                        calls.tally().ends(Some(CallEnding::Busy));
                        self.hears_end(&ring.call, CallEnding::Busy, true);
                        standing.calling.remember(ring.call);
                        return Ok(());
                    }
                    let Ring { call: id, kind, .. } = ring;
                    let rings = Rings { call: id.clone(), kind, relay, ring_ms: millis(calls.ring()) };
                    let call = Call::new(id.clone(), kind, mine, relay);
                    // Whoever rings has no other call.
                    standing.calling.found();
                    standing.calling.call = Some(Call { timer: self.time(id), ..call });
                    calls.tally().stands();
                    self.partner().member.outbox.post(&ServerEvent::Rings(rings));
                }
            }
            Ok(())
        })
    }

    /// Takes the partner's call.
    pub(in crate::chat) fn accept_call(&self, accept: AcceptCall) -> Result<(), Refusal> {
        let relay = self.relayed(accept.relay)?;
        self.through(|standing| {
            let Some(call) = standing.calling.find(&accept.call)? else { return Ok(()) };
            if call.by == self.side() {
                return Err(unknown());
            }
            if !call.accepted {
                self.accepted(call, relay, None);
            }
            Ok(())
        })
    }

    /// Does not take the partner's call.
    pub(in crate::chat) fn decline_call(&self, decline: &DeclineCall) -> Result<(), Refusal> {
        let reason = match decline.reason {
            None | Some(Declining::Declined) => CallEnding::Declined,
            Some(Declining::Busy) => CallEnding::Busy,
        };
        self.through(|standing| {
            let Some(call) = standing.calling.find(&decline.call)? else { return Ok(()) };
            if call.by == self.side() || call.accepted {
                return Err(unknown());
            }
            self.over(standing, reason, false);
            Ok(())
        })
    }

    /// Ends the call, whoever has begun it, and wherever it is.
    pub(in crate::chat) fn end_call(&self, end: &EndCall) -> Result<(), Refusal> {
        self.through(|standing| {
            let calling = &mut standing.calling;
            if calling.lost && calling.call.is_none() && !calling.ended.contains(&end.call) {
                // Said again, as the first time it went with the node: the partner may not have joined yet.
                calling.remember(end.call.clone());
            }
            let Some(call) = calling.find(&end.call)? else { return Ok(()) };
            let reason = match (call.accepted, call.by == self.side(), end.reason) {
                (false, true, _) => CallEnding::Cancelled,
                (false, false, _) => CallEnding::Declined,
                (true, _, Some(HangingUp::Failed)) => CallEnding::Failed,
                (true, _, None | Some(HangingUp::HungUp)) => CallEnding::HungUp,
            };
            self.over(standing, reason, false);
            Ok(())
        })
    }

    /// Is still in the call, or again.
    pub(in crate::chat) fn join_call(&self, join: JoinCall) -> Result<(), Refusal> {
        let relay = self.relayed(join.relay)?;
        self.through(|standing| {
            let calling = &mut standing.calling;
            if calling.lost && calling.call.is_none() {
                self.claim(calling, join, relay);
                return Ok(());
            }
            let Some(call) = calling.find_answered(&join.call)? else { return Ok(()) };
            let news = join.fresh || (relay && !call.relay);
            call.relay |= relay;
            if join.fresh {
                call.begin_anew();
            }
            if news {
                self.both_hear(&joined(call));
            }
            Ok(())
        })
    }

    /// Says that it has a call which is not known here. It goes on once both have said so of the same: what one alone
    /// says may be made up, and the partner hears nothing of it.
    fn claim(&self, calling: &mut Calling, join: JoinCall, relay: bool) {
        if calling.ended.contains(&join.call) {
            return self.hears_end(&join.call, CallEnding::HungUp, true);
        }
        let mine = self.side();
        let join = JoinCall { relay, ..join };
        let theirs = calling.claims[1 - mine].take_if(|theirs| theirs.call == join.call);
        let Some(theirs) = theirs else {
            calling.claims[mine] = Some(join);
            return;
        };
        let mut call = Call::new(join.call, join.kind, mine, join.relay || theirs.relay);
        call.accepted = true;
        call.generation = join.generation.max(theirs.generation);
        if join.fresh || theirs.fresh {
            call.begin_anew();
        }
        self.both_hear(&joined(&call));
        calling.found();
        calling.call = Some(call);
        self.calls().tally().stands();
        self.mark(true);
    }

    /// Goes on with the call that has come here with the conversation.
    pub(in crate::chat) fn calls_on(&self, standing: &mut Standing) {
        let Some(call) = &mut standing.calling.call else { return };
        self.calls().tally().stands();
        if call.accepted {
            self.mark(true);
        } else {
            call.timer = self.time(call.id.clone());
        }
    }

    /// The conversation is over here. `moved`: it goes on elsewhere, with what is left to it.
    pub(in crate::chat) fn calls_off(&self, calling: &mut Calling, moved: bool) {
        if calling.call.is_none() {
            return;
        }
        self.calls().tally().is_gone();
        self.mark(false);
        if !moved && let Some(call) = calling.take() {
            self.calls().tally().ends(None);
            self.to_report(&call);
        }
    }

    fn accepted(&self, call: &mut Call, relay: bool, instead: Option<CallId>) {
        call.accepted = true;
        call.timer = Timer::default();
        call.relay |= relay;
        self.calls().tally().accepts();
        self.mark(true);
        let (id, relay) = (call.id.clone(), call.relay);
        self.partner().member.outbox.post(&ServerEvent::Accepted(Accepted { call: id.clone(), relay, instead: None }));
        self.me().member.outbox.post(&ServerEvent::Accepted(Accepted { call: id, relay, instead }));
    }

    /// Ends the call that stands. `both`: this side hears of it, too.
    fn over(&self, standing: &mut Standing, reason: CallEnding, both: bool) {
        let Some(call) = standing.calling.take() else { return };
        self.calls().tally().is_gone();
        self.calls().tally().ends(Some(reason));
        self.mark(false);
        self.to_report(&call);
        self.hears_end(&call.id, reason, false);
        if both {
            self.hears_end(&call.id, reason, true);
        }
    }

    fn hears_end(&self, call: &CallId, reason: CallEnding, me: bool) {
        let person = if me { self.me() } else { self.partner() };
        person.member.outbox.post(&ServerEvent::CallEnded(CallEnded { call: call.clone(), reason }));
    }

    /// Both are in a call, or in none.
    fn mark(&self, calling: bool) {
        self.me().member.set_calling(calling);
        self.partner().member.set_calling(calling);
    }

    /// Who has not said yet how it was may say it.
    fn to_report(&self, call: &Call) {
        for (side, person) in [(self.side(), self.me()), (1 - self.side(), self.partner())] {
            if !call.reported[side] {
                person.may_report(&call.id);
            }
        }
    }

    /// Says how the call is that is about to end: what ends it may be on its way still. False: there is no such call.
    pub(super) fn reports(&self, id: &CallId) -> bool {
        let reported = self.through(|standing| {
            let call = standing.calling.call.as_mut().filter(|call| call.id == *id && call.accepted);
            Ok(call.is_some_and(|call| !std::mem::replace(&mut call.reported[self.side()], true)))
        });
        reported.unwrap_or(false)
    }

    fn both_hear(&self, event: &ServerEvent) {
        self.me().member.outbox.post(event);
        self.partner().member.outbox.post(event);
    }

    /// Ends the call if nobody has answered it in time.
    fn time(&self, id: CallId) -> Timer {
        let (conversation, side) = (Arc::downgrade(self.conversation()), self.side());
        let ring = self.calls().ring();
        let task = self.calls().timers().spawn(async move {
            sleep(ring).await;
            let Some(talk) = conversation.upgrade().map(|conversation| Self::of(conversation, side)) else { return };
            // Over meanwhile: then both know.
            let _ = talk.through(|standing| {
                if standing.calling.call.as_ref().is_some_and(|call| call.id == id && !call.accepted) {
                    talk.over(standing, CallEnding::NoAnswer, true);
                }
                Ok(())
            });
        });
        Timer(Some(AbortOnDropHandle::new(task)))
    }

    /// Whether a call is relayed, that this side would have so or leave.
    fn relayed(&self, asked: bool) -> Result<bool, Refusal> {
        if asked && !self.calls().can_relay() {
            let message =
                "This service has no relay, so calls show each other's addresses. Call without asking for one.";
            return Err(Refusal::new(ErrorCode::RelayUnavailable, message));
        }
        Ok(asked || self.calls().relay_only())
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.me().calls
    }
}

fn joined(call: &Call) -> ServerEvent {
    ServerEvent::Joined(Joined { call: call.id.clone(), generation: call.generation, relay: call.relay })
}
