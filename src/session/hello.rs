//! The first frame of a link: a hello, or why there will be no session.

use super::link::{Heard, LinkEnd, Reader};
use crate::chat::accounts;
use crate::protocol::{ClientEvent, CloseReason, Closing, Hello, PROTOCOL};

/// How long a client waits before it asks again for a session that cannot be had.
const LATER_MS: u64 = 500;

/// Why a link gets no session.
pub(super) enum Refused {
    Say(Closing),
    /// It is gone; nobody is there to be told.
    Gone,
}

pub(super) async fn first_hello<R: Reader>(reader: &mut R) -> Result<Hello, Refused> {
    let say = |closing| Err(Refused::Say(closing));
    let frame = match reader.recv().await {
        Ok(Heard::Frame(frame) | Heard::Asked(frame, _)) => frame,
        Ok(Heard::Chunk(..)) => return say(protocol_error("the first frame must be connection:hello".to_owned())),
        Err(LinkEnd::TooBig) => return say(Closing::new(CloseReason::TooBig)),
        Err(LinkEnd::Closed | LinkEnd::Lost(_)) => return Err(Refused::Gone),
    };
    match frame.and_then(|frame| frame.event) {
        Ok(ClientEvent::Hello(hello)) if hello.protocol == PROTOCOL => Ok(hello),
        Ok(ClientEvent::Hello(hello)) => {
            say(protocol_error(format!("this server speaks protocol {PROTOCOL}, not {}", hello.protocol)))
        }
        Ok(other) => say(protocol_error(format!("the first frame must be connection:hello, not {}", other.name()))),
        Err(refusal) => say(protocol_error(format!("the hello was refused: {}", refusal.message))),
    }
}

/// The farewell of a client whose session cannot be had now: its node may be about to be known as dead, or the session
/// be on its way.
pub(super) fn later() -> Closing {
    let message = "Your session cannot be had at the moment. Come back.";
    Closing::because(CloseReason::Draining, message).retry_after_ms(LATER_MS)
}

pub(super) fn protocol_error(what: String) -> Closing {
    Closing::because(CloseReason::ProtocolError, format!("The client broke the protocol: {what}."))
}

pub(super) fn unidentified(error: &accounts::Error) -> Closing {
    match error {
        accounts::Error::Token(_) => Closing::because(CloseReason::TokenInvalid, error.to_string()),
        _ => Closing::because(CloseReason::Internal, error.to_string()).retry_after_ms(2_000),
    }
}
