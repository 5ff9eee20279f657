//! A session as it travels from node to node: everything of its core, and nothing of its link.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::core::Core;
use super::entry::{Entry, Grace};
use crate::auth::Identity;
use crate::chat::Luggage;
use crate::outbox::{Kept, Kin};
use crate::protocol::{PublicUser, SessionId, SessionKey, Sha256, millis};

/// How long the token of someone counts who has yet to show it again: longer than they are waited for.
const UNTIL_IT_IS_BACK: Duration = Duration::from_secs(3_600);

/// All of a session.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Image {
    pub(super) id: SessionId,
    pub(super) key: SessionKey,
    pub(super) user: PublicUser,
    /// Milliseconds since 1970.
    expires: u64,
    pub(super) device: Option<String>,
    grace: Option<GraceImage>,
    /// See [`Entry`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lost_key: Option<Sha256>,
    /// How many nodes have had it before the one that has taken this image.
    pub(super) hops: u32,
    /// Milliseconds.
    age: u64,
    /// The client's numbers.
    pub(super) received: u64,
    pub(super) levels: [f64; 5],
    pub(super) luggage: Luggage,
    pub(super) mail: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
struct GraceImage {
    window_ms: u64,
    device: Option<String>,
}

impl Image {
    /// Takes the image of a session. Whoever was looking for a partner looks no more. `None`: they are in a talk.
    pub(super) fn take(entry: &Entry, core: &mut Core, kin: &Kin) -> Option<Self> {
        let luggage = core.participant.pack()?;
        Some(Self {
            id: entry.id,
            key: entry.key,
            user: super::core::public(&core.identity),
            expires: unix_millis(core.expires),
            device: entry.device.clone(),
            grace: entry
                .grace
                .as_ref()
                .map(|grace| GraceImage { window_ms: millis(grace.window), device: grace.device.clone() }),
            lost_key: entry.lost_key,
            hops: entry.hops(),
            age: millis(entry.begun.elapsed()),
            received: core.inbound.received(),
            levels: core.limits.levels(Instant::now()),
            luggage,
            mail: core.outbox.kept(kin),
        })
    }

    /// Of a session that was lost with its node: of what was said nothing is known. `lost_key` is the SHA-256
    /// of the key that its client still has, `hops` those of its record.
    pub(super) fn anew(
        id: SessionId,
        hops: u32,
        user: PublicUser,
        device: Option<String>,
        grace: Option<(u64, Option<String>)>,
        lost_key: Sha256,
        luggage: Luggage,
    ) -> Self {
        Self {
            id,
            key: SessionKey::from_bytes(rand::random()),
            user,
            expires: unix_millis(SystemTime::now() + UNTIL_IT_IS_BACK),
            device,
            grace: grace.map(|(window_ms, device)| GraceImage { window_ms, device }),
            lost_key: Some(lost_key),
            hops,
            age: 0,
            received: 0,
            levels: [f64::MAX; 5],
            luggage,
            mail: Kept::default(),
        }
    }

    /// For the next who is offered it.
    pub(super) fn hop(&mut self) {
        self.hops = self.hops.saturating_add(1);
    }

    pub(super) fn identity(&self) -> Identity {
        let PublicUser { id, username, guest } = self.user.clone();
        Identity { id, username, guest }
    }

    pub(super) fn expires(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.expires)
    }

    pub(super) fn grace(&self) -> Option<Grace> {
        self.grace
            .as_ref()
            .map(|grace| Grace { window: Duration::from_millis(grace.window_ms), device: grace.device.clone() })
    }

    pub(super) fn begun(&self) -> Instant {
        let now = Instant::now();
        now.checked_sub(Duration::from_millis(self.age)).unwrap_or(now)
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_millis(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
