//! Access tokens: JWT (RFC 7519), HS256 and nothing else. Keys are found by `kid` among our own;
//! whatever a token says about where its key is, is not read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::config::Secret;
use crate::protocol::UserId;

const ISSUER: &str = "duologue";
const AUDIENCE: &str = "duologue";
/// The kind of token this is; tickets and refresh tokens are of another.
const KIND: &str = "access";

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its time is over.
    #[error("The token has expired. Log in again.")]
    Expired,
    /// It is not one of ours: forged, cut, of another kind or service, or not valid yet.
    #[error("The token is not valid. Log in again.")]
    Invalid,
    /// Whom it belonged to is not here any more.
    #[error("The account of this token does not exist any more.")]
    UserGone,
}

/// The keys that tokens are signed and checked with. The first signs; all check.
pub struct Tokens {
    keys: Vec<Key>,
}

struct Key {
    id: String,
    sign: EncodingKey,
    check: DecodingKey,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    guest: bool,
    typ: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl Tokens {
    /// Tokens of one secret.
    pub fn new(secret: &Secret) -> Self {
        let secret = secret.expose();
        let hash = digest::digest(&digest::SHA256, secret);
        let id = hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let key = Key { id, sign: EncodingKey::from_secret(secret), check: DecodingKey::from_secret(secret) };
        Self { keys: vec![key] }
    }

    /// A token for someone, valid from `now` for `life`.
    ///
    /// # Errors
    /// Only if the crypto library fails.
    pub fn issue(
        &self,
        identity: &Identity,
        life: Duration,
        now: SystemTime,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let key = &self.keys[0];
        let now = seconds(now);
        let random: [u8; 16] = rand::random();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: identity.id,
            name: identity.username.clone(),
            guest: identity.guest,
            typ: KIND.to_owned(),
            jti: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            iat: now,
            nbf: now,
            exp: now + life.as_secs(),
        };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims, &key.sign)
    }

    /// Whom a token was issued to, and when it ends.
    ///
    /// # Errors
    /// [`Error::Expired`] for a good token whose time is over, else [`Error::Invalid`].
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<(Identity, SystemTime), Error> {
        let header = decode_header(token).map_err(|_| Error::Invalid)?;
        let key = self.keys.iter().find(|key| header.kid.as_deref() == Some(&key.id)).ok_or(Error::Invalid)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are checked below, by the caller's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = decode::<Claims>(token, &key.check, &validation).map_err(|_| Error::Invalid)?.claims;
        let now = seconds(now);
        if claims.typ != KIND || claims.nbf > now + 60 || claims.iat > now + 60 {
            return Err(Error::Invalid);
        }
        if claims.exp <= now {
            return Err(Error::Expired);
        }
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp)).ok_or(Error::Invalid)?;
        Ok((Identity { id: claims.sub, username: claims.name, guest: claims.guest }, expires))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

    fn tokens(secret: &str) -> Tokens {
        let variables = [("JWT_SECRET".to_owned(), secret.repeat(32))];
        Tokens::new(&crate::config::load(None, variables).unwrap().auth.secret)
    }

    fn identity() -> Identity {
        Identity { id: UserId::from_bytes([7; 12]), username: "Zoë".into(), guest: false }
    }

    const LIFE: Duration = Duration::from_secs(100);

    #[test]
    fn a_token_says_who_until_it_expires() {
        let (tokens, now) = (tokens("a"), SystemTime::now());
        let token = tokens.issue(&identity(), LIFE, now).unwrap();
        let (who, expires) = tokens.verify(&token, now).unwrap();
        assert_eq!(who, identity());
        assert_eq!(seconds(expires), seconds(now) + 100);
        assert_eq!(tokens.verify(&token, now + LIFE), Err(Error::Expired));
        assert_eq!(tokens.verify(&token, now - Duration::from_secs(3600)), Err(Error::Invalid), "not yet");
    }

    #[test]
    fn what_is_forged_or_of_another_kind_is_refused() {
        let (tokens, now) = (tokens("a"), SystemTime::now());
        let good = tokens.issue(&identity(), LIFE, now).unwrap();
        let parts: Vec<_> = good.split('.').collect();
        let header = |json: &str| BASE64.encode(json);
        let none = format!("{}.{}.", header(r#"{"alg":"none","typ":"JWT"}"#), parts[1]);
        let kid = &tokens.keys[0].id;
        let hs512 = format!("{}.{}.{}", header(&format!(r#"{{"alg":"HS512","kid":"{kid}"}}"#)), parts[1], parts[2]);
        let other = self::tokens("b").issue(&identity(), LIFE, now).unwrap();
        let cut = &good[..good.len() - 2];
        for token in ["", "x", "a.b.c", &none, &hs512, &other, cut] {
            assert_eq!(tokens.verify(token, now), Err(Error::Invalid), "{token}");
        }
        let key = &tokens.keys[0];
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        for (field, value) in [("iss", "else"), ("aud", "else"), ("typ", "refresh")] {
            let payload = BASE64.decode(parts[1]).unwrap();
            let mut claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            claims[field] = value.into();
            let token = encode(&header, &claims, &key.sign).unwrap();
            assert_eq!(tokens.verify(&token, now), Err(Error::Invalid), "{field}");
        }
    }
}
