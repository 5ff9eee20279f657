//! What may pass between two people as a file or a voice note, judged while it streams by.
//!
//! Owns: which declared types are allowed, whether the first bytes are of the declared type, how
//! long a voice note really is, and what a file may be called. Sans-IO: bytes are handed in as they
//! come, in pieces of any size, and every verdict depends on the bytes alone, never on the pieces.
//! It knows nothing of transfers, links or clocks.
//!
//! Memory: an [`Inspector`] holds at most the first 4 KiB until they are judged ([`HEAD`]), and for
//! a voice note beside them at most 512 bytes of an unfinished structure and 2 KiB of the sizes of
//! one laced block. Nothing is ever allocated by a length that the file states.

mod aac;
mod allowed;
mod markup;
mod mp3;
mod mp4;
mod name;
mod ogg;
mod opus;
mod sniff;
mod voice;
mod wav;
mod webm;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

pub use allowed::{DEFAULT_TYPES, Types, essence, shown_inline};
pub use name::{LONGEST_NAME, clean_name, is_invisible};
pub use sniff::HEAD;

use std::time::Duration;

use sniff::Sniff;
use voice::Voice;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any file; only its type is looked at.
    File,
    /// A voice note: a recording whose duration is limited.
    Voice,
}

/// Why it may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first bytes are of another type than the declared one.
    #[error("the first bytes are of another type than declared")]
    TypeMismatch,
    /// The type is not in the list of allowed ones.
    #[error("this type is not allowed")]
    TypeNotAllowed,
    /// A voice note that is longer than any may be.
    #[error("the voice note is too long")]
    VoiceTooLong,
    /// A voice note that is longer than it claims.
    #[error("the voice note is longer than it claims")]
    VoiceMismatch,
    /// A voice note of which no duration can be read, or that is more than a voice.
    #[error("the duration of the voice note cannot be read")]
    VoiceUnreadable,
}

/// Judges one file or voice note while its bytes stream by.
#[derive(Debug)]
pub struct Inspector {
    /// The beginning and its judge, until it is judged.
    sniff: Option<Sniff>,
    voice: Option<Voice>,
    /// Once found, the answer to everything.
    fault: Option<Fault>,
}

impl Inspector {
    /// A judge for what is declared as `mime`. `claimed` is the duration that the sender states for
    /// a voice note, `longest` what any voice note may last; a file has no use for either.
    ///
    /// # Errors
    /// [`Fault::TypeNotAllowed`] for a type that is not in the list, or of a voice note in no
    /// container whose duration can be read; [`Fault::VoiceTooLong`] for a claim over `longest`.
    pub fn new(
        kind: Kind,
        mime: &str,
        types: &Types,
        claimed: Option<Duration>,
        longest: Duration,
    ) -> Result<Self, Fault> {
        let declared = essence(mime).to_ascii_lowercase();
        if !types.allows(&declared) {
            return Err(Fault::TypeNotAllowed);
        }
        let voice = match kind {
            Kind::File => None,
            Kind::Voice => Some(Voice::new(&declared, claimed, longest)?),
        };
        Ok(Self { sniff: Some(Sniff::new(declared, types.clone())), voice, fault: None })
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// As soon as they show that it may not pass; the same again from then on.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.guard(|it| it.look(bytes))
    }

    /// There are no more bytes.
    ///
    /// # Errors
    /// As for [`feed`](Self::feed), and whatever only the end can show.
    pub fn finish(&mut self) -> Result<(), Fault> {
        self.guard(Self::end)
    }

    /// How long the voice note is, as far as it is known by now.
    pub fn duration(&self) -> Option<Duration> {
        self.voice.as_ref().and_then(Voice::duration)
    }

    fn guard(&mut self, act: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        act(self).inspect_err(|fault| self.fault = Some(*fault))
    }

    /// The voice is heard only after the type is judged, so that a fault of the type comes first
    /// whatever the pieces.
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        if let Some(sniff) = &mut self.sniff {
            bytes = sniff.feed(bytes)?;
            if !sniff.judged() {
                return Ok(());
            }
            self.hear_head()?;
        }
        self.voice.as_mut().map_or(Ok(()), |voice| voice.feed(bytes))
    }

    fn end(&mut self) -> Result<(), Fault> {
        if let Some(sniff) = &mut self.sniff {
            sniff.finish()?;
            self.hear_head()?;
        }
        self.voice.as_mut().map_or(Ok(()), Voice::finish)
    }

    fn hear_head(&mut self) -> Result<(), Fault> {
        match (self.sniff.take(), &mut self.voice) {
            (Some(sniff), Some(voice)) => voice.feed(sniff.head()),
            _ => Ok(()),
        }
    }
}
