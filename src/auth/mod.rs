//! Who someone is: passwords and tokens.
//!
//! Owns: the hashing of passwords on its own thread, the signing and checking of tokens. Must not
//! know: accounts, the store, how a token arrives.

pub mod password;
pub mod token;

use crate::protocol::UserId;

/// Who a token was issued to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The person.
    pub id: UserId,
    /// The name they go by.
    pub username: String,
    /// A throw-away account, which exists in its token only.
    pub guest: bool,
}
