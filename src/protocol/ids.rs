//! Names of things on the wire, as distinct types so that one is never taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest id a client may make, in characters.
pub const MAX_CLIENT_ID: usize = 64;

/// Why a string is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the right number of lower-case hexadecimal digits.
    #[error("an id of {0} lower-case hexadecimal digits is expected here")]
    NotHex(usize),
    /// A client-made id that is empty or longer than [`MAX_CLIENT_ID`].
    #[error("an id is a string of 1 to {MAX_CLIENT_ID} characters")]
    Length,
}

/// Declares an id of `N` random or structured bytes, written as 2*N lower-case hex digits.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id made of these bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes it is made of.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// A person's account: 24 hex digits, the shape of a MongoDB ObjectId.
    UserId, 12
}
hex_id! {
    /// One client's session, which outlives its links: 128 random bits.
    SessionId, 16
}
hex_id! {
    /// The secret that a client shows beside its token to resume a session: 256 random bits.
    SessionKey, 32
}
hex_id! {
    /// One conversation of two people: 128 random bits.
    ConversationId, 16
}
hex_id! {
    /// A way to have one file once over HTTP, which its receiver alone is told: 128 random bits.
    Ticket, 16
}
hex_id! {
    /// One run of one node of a service: 64 random bits.
    NodeId, 8
}
hex_id! {
    /// A SHA-256.
    Sha256, 32
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(IdError::NotHex(2 * N));
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(IdError::NotHex(2 * N)),
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

/// Declares a name that clients make: 1 to [`MAX_CLIENT_ID`] characters.
macro_rules! client_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes a client's id, if its length is allowed.
            ///
            /// # Errors
            /// [`IdError::Length`] when it is empty or too long.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if fits(text) { Ok(Self(text.into())) } else { Err(IdError::Length) }
            }

            /// The id as the client wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    };
}

client_id! {
    /// The caller's name for a call.
    CallId
}
client_id! {
    /// The offerer's name for an offer, and so for what answers it.
    OfferId
}
client_id! {
    /// A message's name, made by the client that sends it.
    MessageId
}
client_id! {
    /// A transfer's name, made by the client that sends it.
    TransferId
}

/// Counting characters costs a walk; bytes bound them from both sides first.
fn fits(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 4 * MAX_CLIENT_ID
        && (text.len() <= MAX_CLIENT_ID || text.chars().count() <= MAX_CLIENT_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_ids_round_trip_and_refuse_other_shapes() {
        let id: UserId = "0123456789abcdef01234567".parse().unwrap();
        assert_eq!(id.to_string(), "0123456789abcdef01234567");
        for bad in ["", "0123", "0123456789ABCDEF01234567", "0123456789abcdef0123456é"] {
            assert_eq!(bad.parse::<UserId>(), Err(IdError::NotHex(24)), "{bad}");
        }
    }

    #[test]
    fn message_ids_are_counted_in_characters() {
        assert!(MessageId::new(&"é".repeat(64)).is_ok());
        assert_eq!(MessageId::new(&"é".repeat(65)), Err(IdError::Length));
        assert_eq!(MessageId::new(""), Err(IdError::Length));
    }
}
