//! Audio and video calls between the two of a conversation: whether one stands, and what of its signals passes.
//!
//! Owns: the call of a conversation ([`Calling`], behind the conversation's gate), the credentials for TURN, and the
//! counts. Media never comes here: it goes from one to the other, or through a TURN server.
//!
//! Must not know: what an SDP means. Of descriptions and candidates only addresses are looked at, where they must not
//! pass ([`relay`]).

mod asking;
mod relay;
mod rules;
mod signals;
mod state;
mod tally;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_util::task::TaskTracker;

pub(super) use self::state::Calling;
pub use self::tally::CallCounts;
use self::tally::Tally;
use crate::config;
use crate::protocol::{IceRenewed, IceServer, millis};

/// What calls of all conversations have in common. Clones are the same.
#[derive(Clone, Default)]
pub struct Calls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    settings: config::Calls,
    tally: Tally,
    timers: TaskTracker,
}

impl Calls {
    /// As the settings want them.
    pub fn new(settings: config::Calls) -> Self {
        Self(Arc::new(Inner { settings, ..Inner::default() }))
    }

    /// What helps a client to find a way to its partner: credentials are made anew each time.
    pub fn ice(&self) -> IceRenewed {
        self.ice_at(SystemTime::now(), rand::random())
    }

    fn ice_at(&self, now: SystemTime, chance: u64) -> IceRenewed {
        let settings = &self.0.settings;
        let mut ice_servers = Vec::new();
        if !settings.stun.is_empty() {
            ice_servers.push(IceServer { urls: settings.stun.clone(), username: None, credential: None });
        }
        let Some(secret) = settings.turn_secret.as_ref() else { return IceRenewed { ice_servers, ttl_ms: None } };
        let expires = now + settings.turn_life;
        let expires = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // "A REST API For Access To TURN Services" (draft-uberti-behave-turn-rest-00), as coturn reads it: by its name
        // nobody is known.
        let username = format!("{expires}:{chance:016x}");
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose());
        let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        let (username, credential) = (Some(username), Some(credential));
        ice_servers.push(IceServer { urls: settings.turn.clone(), username, credential });
        IceRenewed { ice_servers, ttl_ms: Some(millis(settings.turn_life)) }
    }

    /// Whether nobody learns the other's address in any call.
    pub fn relay_only(&self) -> bool {
        self.0.settings.relay_only
    }

    /// What was counted.
    pub fn counts(&self) -> CallCounts {
        self.0.tally.counts()
    }

    fn can_relay(&self) -> bool {
        !self.0.settings.turn.is_empty()
    }

    fn ring(&self) -> Duration {
        self.0.settings.ring
    }

    fn relay_networks(&self) -> &config::Networks {
        &self.0.settings.relay_networks
    }

    fn timers(&self) -> &TaskTracker {
        &self.0.timers
    }

    fn tally(&self) -> &Tally {
        &self.0.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_what_coturn_makes_of_the_same_secret() {
        let variables = [
            ("DUOLOGUE_CALLS_STUN", "stun:turn.example:3478"),
            ("DUOLOGUE_CALLS_TURN", "turn:turn.example:3478?transport=udp,turns:turn.example:5349?transport=tcp"),
            ("DUOLOGUE_CALLS_TURN_SECRET", "north-north-north"),
            ("DUOLOGUE_CALLS_TURN_LIFE", "10m"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let data = ("DUOLOGUE_SERVER_DATA".to_owned(), folder.path().to_string_lossy().into_owned());
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let calls = Calls::new(config::load(None, variables.into_iter().chain([data])).unwrap().calls);
        assert!(calls.relay_only(), "partners are strangers");
        let IceRenewed { ice_servers, ttl_ms } = calls.ice_at(UNIX_EPOCH + Duration::from_secs(1_700_000_000), 7);
        assert_eq!(ttl_ms, Some(600_000));
        let [stun, turn] = &ice_servers[..] else { panic!("{ice_servers:?}") };
        assert_eq!((stun.urls.len(), stun.username.as_deref()), (1, None));
        assert_eq!(turn.urls.len(), 2);
        assert_eq!(turn.username.as_deref(), Some("1700000600:0000000000000007"));
        // printf 1700000600:0000000000000007 | openssl dgst -sha1 -hmac north-north-north -binary | base64
        assert_eq!(turn.credential.as_deref(), Some("aFPZWRoMKj68PHeLrlhjpCYqRmI="));
        assert_eq!(Calls::default().ice(), IceRenewed { ice_servers: Vec::new(), ttl_ms: None });
    }
}
