//! MP3: its frames are counted, whatever a summary in the first one says. Tags at either end are
//! passed over.

use std::time::Duration;

use super::voice::{Meter, Next, Parser, number_le, time};
use super::{Fault, Fault::VoiceUnreadable};

/// The head of a frame.
const FRAME: usize = 4;
/// The head of an ID3v2 tag.
const ID3: usize = 10;
/// As much of an APE tag's head as tells its size, and all of it.
const APE: usize = 16;
const APE_HEAD: u64 = 32;
/// So many bytes without a frame are too many. Encoders pad, but not so much.
const MOST_JUNK: u32 = 8 * 1024;

/// Kilobits a second of layer III, of MPEG 1 and of the later ones (ISO/IEC 11172-3, 13818-3).
const RATES: [[u64; 16]; 2] = [
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mp3 {
    length: Duration,
    /// Bytes since the last frame.
    junk: u32,
}

impl Parser for Mp3 {
    fn step(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        match here {
            _ if here.len() < FRAME => return Ok(Next::need(FRAME)),
            [b'I', b'D', b'3', version, ..] if *version < 0xff => {
                if here.len() < ID3 {
                    return Ok(Next::need(ID3));
                }
                // Seven bits of each byte count; a footer is as long as the head.
                let size = here[6..10].iter().fold(0, |sum, &b| sum << 7 | u64::from(b & 0x7f));
                let footer = if here[5] & 0x10 == 0 { 0 } else { ID3 as u64 };
                return Ok(Next::skip(ID3 as u64 + size + footer, FRAME));
            }
            [b'T', b'A', b'G', ..] => return Ok(Next::skip(128, FRAME)),
            [b'A', b'P', b'E', b'T', ..] => {
                if here.len() < APE {
                    return Ok(Next::need(APE));
                }
                return Ok(Next::skip(APE_HEAD + number_le(&here[12..16]), FRAME));
            }
            _ => {}
        }
        let Some((size, length)) = frame(here) else {
            self.junk += 1;
            if self.junk > MOST_JUNK {
                return Err(VoiceUnreadable);
            }
            return Ok(Next::skip(1, FRAME));
        };
        self.junk = 0;
        self.length = self.length.saturating_add(length);
        meter.reach(self.length)?;
        Ok(Next::skip(size, FRAME))
    }

    fn finish(&mut self, _meter: &mut Meter) -> Result<(), Fault> {
        if self.length.is_zero() { Err(VoiceUnreadable) } else { Ok(()) }
    }
}

/// The size of a frame of layer III, and how long it plays.
fn frame(here: &[u8]) -> Option<(u64, Duration)> {
    if here[0] != 0xff || here[1] & 0xe6 != 0xe2 {
        return None;
    }
    // MPEG 1, 2 and 2.5; each halves the rate, and the later ones have half the samples.
    let (later, halved) = match here[1] >> 3 & 3 {
        3 => (0, 0),
        2 => (1, 1),
        0 => (1, 2),
        _ => return None,
    };
    let rate = [44_100, 48_000, 32_000].get(usize::from(here[2] >> 2 & 3))? >> halved;
    let kilobits = RATES[later][usize::from(here[2] >> 4)];
    if kilobits == 0 {
        return None;
    }
    let samples = 1_152 >> later;
    let padding = u64::from(here[2] >> 1 & 1);
    Some((samples / 8 * kilobits * 1_000 / rate + padding, time(samples, rate)))
}
