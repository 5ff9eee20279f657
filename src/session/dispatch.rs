//! From an event to the rule it asks for: one exhaustive match, one short answer for each.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;
use tracing::info;

use super::core::Core;
use super::limits::Verdict;
use super::link::Answer;
use crate::chat::{Chat, accounts};
use crate::protocol::{
    ClientEvent, CloseReason, Closing, ErrorCode, Lane, Refusal, Renew, Renewed, ServerEvent, millis,
};

/// Acts on an event. What is refused is for the caller to tell; the session goes on.
pub(super) async fn act(
    chat: &Chat,
    core: &mut Core,
    event: Result<ClientEvent, Refusal>,
    numbered: bool,
) -> Result<(), Refusal> {
    match event {
        Ok(event) => {
            let name = event.name();
            match allow(core, &event, numbered) {
                Ok(()) => {
                    // A message's refusal has its id already, and progress has none: they are many.
                    let id = match &event {
                        ClientEvent::Message(_) | ClientEvent::Progress(_) => None,
                        other => other.id().map(str::to_owned),
                    };
                    let performed = perform(chat, core, event).await;
                    performed.map_err(|refusal| with_id(refusal.of(name), id.as_deref()))
                }
                Err(refusal) => Err(refusal),
            }
        }
        Err(refusal) => Err(refuse(core, refusal)),
    }
}

/// What to tell a client whose frame could not be read. That counts against its rate as an event does:
/// errors are events too, and must not be had for nothing.
pub(super) fn refuse(core: &mut Core, refusal: Refusal) -> Refusal {
    let verdict = core.limits.judge_unreadable(Instant::now());
    judged(core, verdict, refusal.event.clone()).err().unwrap_or(refusal)
}

/// Tells whoever sent a frame what became of it: the one who asked, or the client at large if it was refused.
pub(super) fn tell(core: &Core, outcome: Result<(), Refusal>, answer: Option<Answer>) {
    match (answer, outcome) {
        // Whoever has asked and is gone needs no answer.
        (Some(answer), outcome) => drop(answer.send(outcome)),
        (None, Err(refusal)) => core.outbox.post(&ServerEvent::Error(refusal)),
        (None, Ok(())) => {}
    }
}

fn allow(core: &mut Core, event: &ClientEvent, numbered: bool) -> Result<(), Refusal> {
    let verdict = core.limits.judge(event, Instant::now());
    let allowed = judged(core, verdict, Some(event.name().to_owned())).and_then(|()| {
        if event.lane() == Lane::Reliable && !numbered {
            let message = "This event needs its seq: 1 for the first of the session, no gaps.";
            return Err(Refusal::new(ErrorCode::SeqMissing, message).of(event.name()));
        }
        Ok(())
    });
    allowed.map_err(|refusal| with_id(refusal, event.id()))
}

fn with_id(refusal: Refusal, id: Option<&str>) -> Refusal {
    match id {
        Some(id) => refusal.with_id(id),
        None => refusal,
    }
}

/// What a verdict of the limits means for the session.
fn judged(core: &Core, verdict: Verdict, event: Option<String>) -> Result<(), Refusal> {
    let refusal = match verdict {
        Verdict::Pass => return Ok(()),
        Verdict::Refuse(wait) => {
            // Once for each time that someone is too fast, not for each event.
            if core.limits.refused_first() {
                info!("a rate limit was hit");
            }
            Refusal::new(ErrorCode::TooFast, "That was too fast. Wait a moment, then try again.").retry_after(wait)
        }
        Verdict::Close(wait) => {
            core.outbox.end(Closing::new(CloseReason::TooFast).retry_after_ms(millis(wait)));
            Refusal::new(ErrorCode::TooFast, CloseReason::TooFast.message())
        }
    };
    Err(Refusal { event, ..refusal })
}

async fn perform(chat: &Chat, core: &mut Core, event: ClientEvent) -> Result<(), Refusal> {
    let participant = &core.participant;
    match event {
        ClientEvent::Hello(_) => {
            Err(Refusal::new(ErrorCode::AlreadyEstablished, "This link has had its hello; there is one for each link."))
        }
        ClientEvent::Ping(beat) => {
            core.outbox.post(&ServerEvent::Pong(beat));
            Ok(())
        }
        // Their work is done by having arrived.
        ClientEvent::Pong(_) | ClientEvent::Ack(_) => Ok(()),
        // Boxed, as all that happens seldom: each session's task has room for whatever it may wait in.
        ClientEvent::Renew(renew) => Box::pin(self::renew(chat, core, renew)).await,
        ClientEvent::Match(wish) => participant.find(wish),
        ClientEvent::MatchCancel(_) => participant.cancel(),
        ClientEvent::Skip(_) => participant.skip(),
        ClientEvent::Leave(_) => participant.leave(),
        ClientEvent::Presence(own) => {
            participant.present(own.status);
            Ok(())
        }
        ClientEvent::Message(message) => participant.message(message),
        ClientEvent::Typing(typing) => participant.typing(typing),
        ClientEvent::Clear(_) => participant.clear(),
        ClientEvent::Offer(offer) => participant.offer(offer),
        ClientEvent::Accept(about) => participant.accept(&about),
        ClientEvent::Reject(about) => participant.reject(&about),
        ClientEvent::Progress(progress) => {
            participant.progress(&progress);
            Ok(())
        }
        ClientEvent::Complete(complete) => participant.complete(&complete),
        ClientEvent::Cancel(about) => participant.call_off(&about),
        ClientEvent::CallOffer(offer) => participant.offer_call(offer),
        ClientEvent::CallAnswer(answer) => participant.answer_call(answer),
        ClientEvent::CallCandidate(candidate) => participant.candidate(candidate),
        ClientEvent::CallCandidates(candidates) => participant.candidates(candidates),
        ClientEvent::Ring(ring) => participant.ring(ring),
        ClientEvent::AcceptCall(accept) => participant.accept_call(accept),
        ClientEvent::DeclineCall(decline) => participant.decline_call(&decline),
        ClientEvent::EndCall(end) => participant.end_call(&end),
        ClientEvent::JoinCall(join) => participant.join_call(join),
        ClientEvent::CallReport(report) => {
            participant.report_call(&report);
            Ok(())
        }
        ClientEvent::RenewIce(_) => {
            participant.renew_ice();
            Ok(())
        }
    }
}

async fn renew(chat: &Chat, core: &mut Core, renew: Renew) -> Result<(), Refusal> {
    let (identity, expires) = chat.accounts().identify(&renew.token).await.map_err(|error| match error {
        accounts::Error::Token(_) => Refusal::new(ErrorCode::TokenInvalid, error.to_string()),
        _ => Refusal::new(ErrorCode::Unavailable, error.to_string()).retry_after(std::time::Duration::from_secs(2)),
    })?;
    if identity.id != core.identity.id {
        return Err(Refusal::new(ErrorCode::TokenInvalid, "This token belongs to someone else."));
    }
    core.expires = expires;
    core.outbox.post(&ServerEvent::Renewed(Renewed { expires_at: rfc3339(expires) }));
    Ok(())
}

fn rfc3339(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}
