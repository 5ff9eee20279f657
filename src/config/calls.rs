//! Audio and video calls: what helps two people to find a way to each other, and who may see whose address.

use std::time::Duration;

use super::{Error, Networks, Secret, raw};

/// Fewest bytes of the secret that is shared with the TURN server.
const SECRET_BYTES: usize = 16;

/// Clients give up a ring that nobody ends after two minutes.
const MOST_RING: Duration = Duration::from_secs(100);

/// Audio and video calls.
#[derive(Debug, Clone)]
pub struct Calls {
    /// `stun:` and `stuns:` URLs (RFC 7064).
    pub stun: Vec<String>,
    /// `turn:` and `turns:` URLs (RFC 7065).
    pub turn: Vec<String>,
    /// What credentials for TURN are signed with; there wherever `turn` is.
    pub turn_secret: Option<Secret>,
    /// How long credentials for TURN live.
    pub turn_life: Duration,
    /// In every call, neither person learns the other's address.
    pub relay_only: bool,
    /// Where relayed candidates may lie; empty: at any public address.
    pub relay_networks: Networks,
    /// How long a call rings.
    pub ring: Duration,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            stun: Vec::new(),
            turn: Vec::new(),
            turn_secret: None,
            turn_life: Duration::from_secs(600),
            relay_only: false,
            relay_networks: Networks::default(),
            ring: Duration::from_secs(45),
        }
    }
}

pub(super) fn check(raw: &raw::Calls, warnings: &mut Vec<String>) -> Result<Calls, Error> {
    let usual = Calls::default();
    let stun = urls("calls.stun", raw.stun.as_deref(), &["stun:", "stuns:"], "stun:stun.example:3478")?;
    let turn = urls("calls.turn", raw.turn.as_deref(), &["turn:", "turns:"], "turn:turn.example:3478?transport=udp")?;
    let secret = "calls.turn_secret";
    let turn_secret = match (&raw.turn_secret, turn.is_empty()) {
        (Some(text), _) if text.len() < SECRET_BYTES => {
            let remedy = format!("at least {SECRET_BYTES} bytes; make one with: openssl rand -hex 32");
            return Err(Error::value(secret, format!("({} bytes)", text.len()), remedy));
        }
        (None, false) => {
            let remedy = "calls.turn is set: set this to the TURN server's static-auth-secret (config/turnserver.conf)";
            return Err(Error::value(secret, "(not set)", remedy));
        }
        (Some(_), true) => {
            warnings.push("calls.turn_secret is set, but calls.turn names no server; it is not used".to_owned());
            None
        }
        (text, false) => text.as_ref().map(|text| Secret(text.clone().into_bytes())),
        (None, true) => None,
    };
    let turn_life =
        raw.turn_life.as_deref().map_or(Ok(usual.turn_life), |text| super::check::life("calls.turn_life", text))?;
    if !(Duration::from_secs(2)..=Duration::from_secs(86_400)).contains(&turn_life) {
        return Err(Error::value("calls.turn_life", turn_life.as_secs().to_string(), "from 2 s to 24 h"));
    }
    // Partners are strangers: where calls can be relayed they are, unless it is said otherwise.
    let relay_only = raw.relay_only.unwrap_or(!turn.is_empty());
    if relay_only && turn.is_empty() {
        let remedy = "every call would need a TURN server: name one in calls.turn, or set this to false";
        return Err(Error::value("calls.relay_only", "true", remedy));
    }
    let networks = raw.relay_networks.as_deref().unwrap_or_default();
    let relay_networks = Networks::parse(networks).map_err(|wrong| {
        Error::value("calls.relay_networks", wrong, "use addresses and networks such as 203.0.113.7 or 203.0.113.0/28")
    })?;
    if !turn.is_empty() && relay_networks.is_empty() {
        warnings.push(
            "calls can be relayed, and calls.relay_networks is empty: a relayed candidate may have any public address, also \
             one that a tampered client makes up; list the addresses of your relays"
                .to_owned(),
        );
    }
    let ring = raw.ring_ms.map_or(usual.ring, Duration::from_millis);
    if !(Duration::from_millis(500)..=MOST_RING).contains(&ring) {
        return Err(Error::value("calls.ring_ms", ring.as_millis().to_string(), "from 500 to 100000"));
    }
    Ok(Calls { stun, turn, turn_secret, turn_life, relay_only, relay_networks, ring })
}

fn urls(key: &str, list: Option<&[String]>, schemes: &[&str], example: &str) -> Result<Vec<String>, Error> {
    let list = list.unwrap_or_default();
    let fits = |url: &str| schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|host| !host.is_empty()));
    match list.iter().find(|url| !fits(url) || url.contains("//") || url.contains(char::is_whitespace)) {
        Some(wrong) => Err(Error::value(key, wrong, format!("use URLs such as {example}"))),
        None => Ok(list.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<(Calls, Vec<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        let data = [("DUOLOGUE_SERVER_DATA", folder.path().to_str().unwrap())];
        let variables = data.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = crate::config::load(None, variables).map_err(|error| error.to_string())?;
        Ok((config.calls, config.warnings))
    }

    #[test]
    fn where_calls_can_be_relayed_they_are_unless_it_is_said_otherwise() {
        let turn = [("DUOLOGUE_CALLS_TURN", "turn:t.example"), ("DUOLOGUE_CALLS_TURN_SECRET", "north-north-north")];
        let relays = [("DUOLOGUE_CALLS_RELAY_NETWORKS", "203.0.113.7,2001:db8::/32")];
        let direct = [("DUOLOGUE_CALLS_RELAY_ONLY", "false")];
        let (calls, warnings) = with(&[]).unwrap();
        assert!(!calls.relay_only && calls.turn.is_empty() && warnings.is_empty());
        let (calls, warnings) = with(&turn).unwrap();
        assert!(calls.relay_only && warnings.len() == 1 && warnings[0].contains("relay_networks"), "{warnings:?}");
        let (calls, warnings) = with(&[&turn[..], &relays].concat()).unwrap();
        assert!(calls.relay_only && warnings.is_empty(), "{warnings:?}");
        let (calls, warnings) = with(&[&turn[..], &relays, &direct].concat()).unwrap();
        assert!(!calls.relay_only && warnings.is_empty(), "{warnings:?}");
        let (calls, warnings) = with(&turn[1..]).unwrap();
        assert!(calls.turn_secret.is_none() && warnings.len() == 1, "a secret of nothing");
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_key_and_never_with_the_secret() {
        for (wrong, key) in [
            (&[("DUOLOGUE_CALLS_TURN", "turn:t.example")][..], "calls.turn_secret"),
            (&[("DUOLOGUE_CALLS_TURN_SECRET", "hunter2")], "calls.turn_secret"),
            (&[("DUOLOGUE_CALLS_TURN", "t.example:3478")], "calls.turn"),
            (&[("DUOLOGUE_CALLS_STUN", "stun://s.example")], "calls.stun"),
            (&[("DUOLOGUE_CALLS_RELAY_ONLY", "true")], "calls.relay_only"),
            (&[("DUOLOGUE_CALLS_TURN_LIFE", "1s")], "calls.turn_life"),
            (&[("DUOLOGUE_CALLS_RELAY_NETWORKS", "everywhere")], "calls.relay_networks"),
            (&[("DUOLOGUE_CALLS_RING_MS", "0")], "calls.ring_ms"),
        ] {
            let error = with(wrong).unwrap_err();
            assert!(error.starts_with(key) && !error.contains("hunter2"), "{error}");
        }
    }
}
