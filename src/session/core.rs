//! What makes a session: everything that goes on from link to link.

use std::time::SystemTime;

use super::limits::Limits;
use crate::auth::Identity;
use crate::chat::Participant;
use crate::outbox::Outbox;
use crate::protocol::{Inbound, Myself, PublicUser};

/// One session's state. Owned by the link that runs it, or by the register while it is parked.
/// Dropping it ends the session: the participant leaves, the partner is told.
pub(super) struct Core {
    pub(super) identity: Identity,
    /// When the token ends, and with it the session, unless it is renewed.
    pub(super) expires: SystemTime,
    pub(super) participant: Participant,
    pub(super) outbox: Outbox,
    pub(super) inbound: Inbound,
    pub(super) limits: Limits,
}

impl Core {
    /// The person as they see themselves.
    pub(super) fn user(&self) -> Myself {
        Myself { user: public(&self.identity), whence: (*self.participant.whence()).clone() }
    }
}

/// The person behind an identity as others see them.
pub(super) fn public(identity: &Identity) -> PublicUser {
    PublicUser { id: identity.id, username: identity.username.clone(), guest: identity.guest }
}
