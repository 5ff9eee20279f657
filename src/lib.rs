//! Duologue
pub mod protocol;
