//! How long a voice note is: one meter for all containers, and the driver of their parsers.

use std::fmt;
use std::time::Duration;

use super::{Fault, mp3, mp4, ogg, wav, webm};

/// The most bytes that a parser may ask for at once; so much is ever held back.
pub(super) const MOST: usize = 512;

/// How much longer than the limit a note may be: recorders stop late.
const LATE: Duration = Duration::from_secs(1);

/// A parser of one container. It looks at exactly as many bytes as it asked for, so that it cannot
/// tell how they came; it begins with [`Next::need`]`(1)`.
pub(super) trait Parser: fmt::Debug + Send + Sync {
    /// Looks at the bytes asked for last.
    fn step(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault>;

    /// There are no more bytes.
    fn finish(&mut self, meter: &mut Meter) -> Result<(), Fault>;
}

/// What a parser wants next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    /// It is done with so many bytes, from the first it saw; they may not all be here yet.
    skip: u64,
    /// It wants to see so many after them, 1 to [`MOST`].
    need: usize,
}

impl Next {
    /// More of the same bytes.
    pub(super) fn need(need: usize) -> Self {
        Self { skip: 0, need }
    }

    /// Others.
    pub(super) fn skip(skip: u64, need: usize) -> Self {
        Self { skip, need }
    }

    /// How many bytes it is done with.
    pub(super) fn skipped(&self) -> u64 {
        self.skip
    }
}

/// How long the note is by now, and how long it may be.
#[derive(Debug)]
pub(super) struct Meter {
    known: Option<Duration>,
    longest: Duration,
    claimed: Option<Duration>,
}

impl Meter {
    /// The note is at least so long.
    pub(super) fn reach(&mut self, length: Duration) -> Result<(), Fault> {
        let known = self.known.map_or(length, |known| known.max(length));
        self.known = Some(known);
        // A claim may be rounded, and a recorder may count its silence at the ends.
        let honest = |claim: Duration| claim.saturating_add(claim / 10).saturating_add(Duration::from_secs(2));
        if known > self.longest.saturating_add(LATE) {
            Err(Fault::VoiceTooLong)
        } else if self.claimed.is_some_and(|claim| known > honest(claim)) {
            Err(Fault::VoiceMismatch)
        } else {
            Ok(())
        }
    }
}

/// A voice note of which the bytes stream by.
#[derive(Debug)]
pub(super) struct Voice {
    parser: Box<dyn Parser>,
    meter: Meter,
    /// Bytes that come and are of no interest.
    skip: u64,
    need: usize,
    held: Vec<u8>,
}

impl Voice {
    /// A note of this type (an essence, in lower case).
    pub(super) fn new(mime: &str, claimed: Option<Duration>, longest: Duration) -> Result<Self, Fault> {
        let parser: Box<dyn Parser> = match mime {
            "audio/webm" => Box::new(webm::Webm::default()),
            "audio/ogg" | "application/ogg" | "audio/opus" => Box::new(ogg::Ogg::default()),
            "audio/mp4" | "audio/m4a" | "audio/x-m4a" => Box::new(mp4::Mp4::default()),
            "audio/mpeg" | "audio/mp3" => Box::new(mp3::Mp3::default()),
            "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => Box::new(wav::Wav::default()),
            _ => return Err(Fault::TypeNotAllowed),
        };
        if claimed.is_some_and(|claim| claim > longest) {
            return Err(Fault::VoiceTooLong);
        }
        let meter = Meter { known: None, longest, claimed };
        Ok(Self { parser, meter, skip: 0, need: 1, held: Vec::new() })
    }

    /// How long it is by now.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.meter.known
    }

    /// How many bytes are held back.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        loop {
            let gone = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= gone as u64;
            bytes = &bytes[gone..];
            let missing = self.need.saturating_sub(self.held.len());
            if self.skip > 0 || bytes.len() < missing {
                self.held.extend_from_slice(bytes);
                return Ok(());
            }
            let (more, rest) = bytes.split_at(missing);
            self.held.extend_from_slice(more);
            bytes = rest;
            self.step()?;
        }
    }

    /// One look of the parser at what it asked for.
    fn step(&mut self) -> Result<(), Fault> {
        let next = self.parser.step(&self.held[..self.need], &mut self.meter)?;
        let still = next.skip == 0 && next.need <= self.need;
        if still || next.need == 0 || next.need > MOST {
            return Err(Fault::VoiceUnreadable);
        }
        let gone = usize::try_from(next.skip).unwrap_or(usize::MAX).min(self.held.len());
        self.held.drain(..gone);
        self.skip = next.skip - gone as u64;
        self.need = next.need;
        Ok(())
    }

    /// There are no more bytes.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.parser.finish(&mut self.meter)?;
        match self.meter.known {
            Some(length) if !length.is_zero() => Ok(()),
            _ => Err(Fault::VoiceUnreadable),
        }
    }
}

/// So many ticks at so many a second.
pub(super) fn time(ticks: u64, rate: u64) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The big-endian number in up to eight bytes.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, &b| sum << 8 | u64::from(b))
}

/// The little-endian number in up to eight bytes.
pub(super) fn number_le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, &b| sum << 8 | u64::from(b))
}
