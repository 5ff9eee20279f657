//! What sets up a call's media: which offers, answers and candidates pass, and what of them.

use super::relay;
use super::state::Offered;
use crate::chat::conversation::Talk;
use crate::protocol::{
    CallAnswer, CallCandidate, CallCandidates, CallOffer, Description, DescriptionKind, ErrorCode, MAX_CANDIDATES,
    Refusal, ServerEvent, too_many_candidates,
};

/// Offers that are remembered in a call: what is late for them is dropped, and no fault.
const OFFERS: usize = 16;

impl Talk {
    /// Passes on an offer.
    pub(in crate::chat) fn offer_call(&self, mut offer: CallOffer) -> Result<(), Refusal> {
        self.through(|standing| {
            let Some((id, name)) = offer.call.as_ref().zip(offer.id.as_ref()) else {
                self.calls().tally().bare_offer();
                standing.calling.bare[self.side()] = 0;
                offer.offer = self.bare(offer.offer)?;
                return self.pass(ServerEvent::CallOffer(offer));
            };
            is_a(offer.offer.kind == DescriptionKind::Offer, "an offer")?;
            let Some(call) = standing.calling.find_answered(id)? else { return Ok(()) };
            if offer.generation != call.generation {
                return Ok(());
            }
            if call.offers.iter().any(|other| other.id == *name) {
                return Err(Refusal::new(ErrorCode::InvalidData, "Each offer has an id of its own."));
            }
            if call.relay {
                offer.offer = relay::description(offer.offer, self.calls().relay_networks())?;
            }
            call.offers.iter_mut().filter(|other| other.by == self.side()).for_each(|other| other.replaced = true);
            if call.offers.len() == OFFERS {
                call.offers.pop_front();
            }
            let (id, by) = (name.clone(), self.side());
            call.offers.push_back(Offered { id, by, answered: false, replaced: false, candidates: [0; 2] });
            self.pass(ServerEvent::CallOffer(offer))
        })
    }

    /// Passes on an answer.
    pub(in crate::chat) fn answer_call(&self, mut answer: CallAnswer) -> Result<(), Refusal> {
        self.through(|standing| {
            let Some((id, name)) = answer.call.as_ref().zip(answer.id.as_ref()) else {
                standing.calling.bare[self.side()] = 0;
                answer.answer = self.bare(answer.answer)?;
                return self.pass(ServerEvent::CallAnswer(answer));
            };
            let last = answer.answer.kind == DescriptionKind::Answer;
            is_a(last || answer.answer.kind == DescriptionKind::Pranswer, "an answer")?;
            let mine = self.side();
            let Some(call) = standing.calling.find_answered(id)? else { return Ok(()) };
            let relay = call.relay;
            let Some(offer) = call.offer(name)? else { return Ok(()) };
            if offer.by == mine {
                return Err(Refusal::new(ErrorCode::OfferUnknown, "This offer is your own; your partner answers it."));
            }
            if offer.answered {
                return Ok(());
            }
            if relay {
                answer.answer = relay::description(answer.answer, self.calls().relay_networks())?;
            }
            offer.answered = last;
            // Whoever answers has taken their own offer back.
            let open = |other: &&mut Offered| other.by == mine && !other.answered;
            call.offers.iter_mut().filter(open).for_each(|other| other.replaced = true);
            self.pass(ServerEvent::CallAnswer(answer))
        })
    }

    /// Passes on candidates of a call.
    pub(in crate::chat) fn candidates(&self, mut said: CallCandidates) -> Result<(), Refusal> {
        self.through(|standing| {
            let Some(call) = standing.calling.find_answered(&said.call)? else { return Ok(()) };
            let relay = call.relay;
            let Some(offer) = call.offer(&said.id)? else { return Ok(()) };
            let count = &mut offer.candidates[self.side()];
            *count = more(*count, said.candidates.len())?;
            if relay {
                let relays = self.calls().relay_networks();
                let passed = said.candidates.into_iter().filter_map(|one| relay::candidate(one, relays).transpose());
                said.candidates = passed.collect::<Result<_, _>>()?;
            }
            if said.candidates.is_empty() && !said.end {
                return Ok(());
            }
            self.pass(ServerEvent::CallCandidates(said))
        })
    }

    /// Passes on a candidate that names no call.
    pub(in crate::chat) fn candidate(&self, said: CallCandidate) -> Result<(), Refusal> {
        self.through(|standing| {
            let count = &mut standing.calling.bare[self.side()];
            let candidate = match said.candidate {
                Some(candidate) => {
                    *count = more(*count, 1)?;
                    if self.calls().relay_only() {
                        match relay::candidate(candidate, self.calls().relay_networks())? {
                            Some(candidate) => Some(candidate),
                            None => return Ok(()),
                        }
                    } else {
                        Some(candidate)
                    }
                }
                None => None,
            };
            self.pass(ServerEvent::CallCandidate(CallCandidate { candidate }))
        })
    }

    /// What passes of a description that names no call.
    fn bare(&self, description: Description) -> Result<Description, Refusal> {
        if self.calls().relay_only() {
            return relay::description(description, self.calls().relay_networks());
        }
        Ok(description)
    }

    fn pass(&self, event: ServerEvent) -> Result<(), Refusal> {
        self.partner().member.outbox.post(&event);
        Ok(())
    }
}

/// So many candidates more than before.
fn more(count: u32, by: usize) -> Result<u32, Refusal> {
    let count = count.saturating_add(u32::try_from(by).unwrap_or(u32::MAX));
    if count > MAX_CANDIDATES { Err(too_many_candidates()) } else { Ok(count) }
}

fn is_a(fits: bool, what: &str) -> Result<(), Refusal> {
    if fits {
        Ok(())
    } else {
        Err(Refusal::new(ErrorCode::InvalidData, format!("the description's type says it is not {what}")))
    }
}
