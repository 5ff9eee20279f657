//! WAV (RIFF) of samples that are not compressed. They are counted, or their size is believed where
//! it is written down; streamed files leave it at zero or at the largest number.

use super::voice::{Meter, Next, Parser, number_le, time};
use super::{Fault, Fault::VoiceUnreadable};

/// `RIFF`, a size, `WAVE`.
const RIFF: usize = 12;
/// A chunk's name and its size.
const CHUNK: usize = 8;
/// What every format begins with, and as much as tells what an extended one is.
const FORMAT: usize = 16;
const EXTENDED: usize = 26;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Wav {
    state: State,
    /// Bytes a second.
    rate: u64,
    /// Bytes of sound.
    bytes: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Begin,
    Chunk,
    Format {
        size: u64,
    },
    /// Sound to the end of the file.
    Endless,
}

impl Parser for Wav {
    fn step(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        match self.state {
            State::Begin if here.len() < RIFF => Ok(Next::need(RIFF)),
            State::Begin if here.starts_with(b"RIFF") && here.ends_with(b"WAVE") => {
                self.state = State::Chunk;
                Ok(Next::skip(RIFF as u64, CHUNK))
            }
            State::Begin => Err(VoiceUnreadable),
            State::Chunk => self.chunk(here, meter),
            State::Format { size } => {
                self.rate = rate(here).ok_or(VoiceUnreadable)?;
                self.state = State::Chunk;
                Ok(Next::skip(size, CHUNK))
            }
            State::Endless => {
                self.sound(here.len() as u64, meter)?;
                Ok(Next::skip(here.len() as u64, here.len()))
            }
        }
    }

    fn finish(&mut self, _meter: &mut Meter) -> Result<(), Fault> {
        if self.bytes > 0 { Ok(()) } else { Err(VoiceUnreadable) }
    }
}

impl Wav {
    fn chunk(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        let (name, size) = (&here[..4], number_le(&here[4..8]));
        // Chunks begin at even places.
        let whole = size + (size & 1);
        match name {
            b"fmt " if size >= FORMAT as u64 && self.rate == 0 => {
                self.state = State::Format { size: whole };
                Ok(Next::skip(CHUNK as u64, size.min(EXTENDED as u64) as usize))
            }
            b"data" if self.rate == 0 => Err(VoiceUnreadable),
            b"data" if matches!(size, 0 | 0x7fff_ff00..=0x7fff_ffff | 0xffff_ff00..=0xffff_ffff) => {
                self.state = State::Endless;
                Ok(Next::skip(CHUNK as u64, 64))
            }
            b"data" => {
                self.sound(size, meter)?;
                Ok(Next::skip(CHUNK as u64 + whole, CHUNK))
            }
            b"fmt " => Err(VoiceUnreadable),
            name if name.iter().all(|b| b.is_ascii_graphic() || *b == b' ') => {
                Ok(Next::skip(CHUNK as u64 + whole, CHUNK))
            }
            _ => Err(VoiceUnreadable),
        }
    }

    fn sound(&mut self, bytes: u64, meter: &mut Meter) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        meter.reach(time(self.bytes, self.rate))
    }
}

/// Bytes a second, of formats in which every sample has its size: players count by that, and not by
/// the rate that is stated.
fn rate(format: &[u8]) -> Option<u64> {
    let field = |from: usize, to: usize| format.get(from..to).map(number_le);
    let (tag, channels, rate, bits) = (field(0, 2)?, field(2, 4)?, field(4, 8)?, field(14, 16)?);
    let tag = if tag == 0xfffe { field(24, 26)? } else { tag };
    // PCM, floats, A-law and mu-law.
    matches!(tag, 1 | 3 | 6 | 7).then(|| rate * channels * bits.div_ceil(8)).filter(|rate| *rate > 0)
}
