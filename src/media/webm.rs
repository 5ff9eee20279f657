//! WebM (Matroska, RFC 9559, in EBML, RFC 8794) with one track of Opus, as `MediaRecorder` writes it:
//! a segment and clusters without a size, simple blocks. Blocks in groups and laced ones are read
//! as well. Elements that hold others are entered, whatever their size; all others are passed over.

use std::time::Duration;

use super::opus;
use super::voice::{Meter, Next, Parser, number, time};
use super::{Fault, Fault::VoiceUnreadable};

const EBML: u64 = 0x1A45_DFA3;
const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_A966;
const TIMESTAMP_SCALE: u64 = 0x2A_D7B1;
const DURATION: u64 = 0x4489;
const TRACKS: u64 = 0x1654_AE6B;
const TRACK_ENTRY: u64 = 0xAE;
const TRACK_NUMBER: u64 = 0xD7;
const TRACK_TYPE: u64 = 0x83;
const CODEC_ID: u64 = 0x86;
/// Compressed or encrypted blocks: nothing can be read in them.
const CONTENT_ENCODINGS: u64 = 0x6D80;
const CLUSTER: u64 = 0x1F43_B675;
const TIMESTAMP: u64 = 0xE7;
const SIMPLE_BLOCK: u64 = 0xA3;
const BLOCK_GROUP: u64 = 0xA0;
const BLOCK: u64 = 0xA1;
const BLOCK_DURATION: u64 = 0x9B;

/// The head of an element: four bytes of id, eight of size.
const ELEMENT: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Webm {
    state: State,
    begun: bool,
    /// Nanoseconds for each tick.
    scale: u64,
    /// What the file says of its length, in ticks.
    stated: f64,
    entry: Entry,
    track: Option<u64>,
    /// When the cluster begins, in ticks.
    cluster: Option<u64>,
    /// The earliest and the latest block.
    blocks: Option<(u64, u64)>,
    /// What the packets play.
    samples: u64,
}

#[derive(Debug)]
enum State {
    Element,
    Value { id: u64, size: usize },
    Block { size: u64 },
    Sizes { kind: u8, left: u64, frames: usize, sizes: Vec<u64> },
    Frames { sizes: Vec<u64>, next: usize },
}

/// The track that is described.
#[derive(Debug, Default)]
struct Entry {
    number: u64,
    audio: bool,
    opus: bool,
}

impl Default for Webm {
    fn default() -> Self {
        Self {
            state: State::Element,
            begun: false,
            scale: 1_000_000,
            stated: 0.0,
            entry: Entry::default(),
            track: None,
            cluster: None,
            blocks: None,
            samples: 0,
        }
    }
}

impl Parser for Webm {
    fn step(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        match std::mem::replace(&mut self.state, State::Element) {
            State::Element => self.element(here, meter),
            State::Value { id, size } => {
                self.value(id, &here[..size], meter)?;
                Ok(Next::skip(size as u64, ELEMENT))
            }
            State::Block { size } => self.block(size, here, meter),
            State::Sizes { kind, left, frames, sizes } => self.lace(kind, left, frames, sizes, here),
            State::Frames { sizes, next } => self.frame(sizes, next, here, meter),
        }
    }

    fn finish(&mut self, meter: &mut Meter) -> Result<(), Fault> {
        self.settle(meter)?;
        match (self.track, self.blocks) {
            (Some(_), Some(_)) => Ok(()),
            _ => Err(VoiceUnreadable),
        }
    }
}

impl Webm {
    fn element(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        let first = width(here[0]).filter(|width| *width <= 4).ok_or(VoiceUnreadable)?;
        let Some(&second) = here.get(first) else { return Ok(Next::need(first + 1)) };
        let head = first + width(second).ok_or(VoiceUnreadable)?;
        if here.len() < head {
            return Ok(Next::need(head));
        }
        let id = number(&here[..first]);
        let size = vint(&here[first..head]);
        if (id == EBML) == self.begun {
            return Err(VoiceUnreadable);
        }
        self.begun = true;
        match (id, size) {
            (TRACK_ENTRY | CLUSTER, _) => self.settle(meter)?,
            (CONTENT_ENCODINGS, _) => return Err(VoiceUnreadable),
            _ => {}
        }
        match (id, size) {
            (SEGMENT | CLUSTER, _) | (INFO | TRACKS | TRACK_ENTRY | BLOCK_GROUP, Some(_)) => {
                if id == CLUSTER {
                    self.cluster = None;
                }
                Ok(Next::skip(head as u64, ELEMENT))
            }
            (
                TIMESTAMP_SCALE | DURATION | TRACK_NUMBER | TRACK_TYPE | CODEC_ID | TIMESTAMP | BLOCK_DURATION,
                Some(size @ 1..=32),
            ) => {
                let size = size as usize;
                self.state = State::Value { id, size };
                Ok(Next::skip(head as u64, size))
            }
            (SIMPLE_BLOCK | BLOCK, Some(size @ 4..)) => {
                self.state = State::Block { size };
                Ok(Next::skip(head as u64, size.min(16) as usize))
            }
            (SIMPLE_BLOCK | BLOCK, _) | (_, None) => Err(VoiceUnreadable),
            (_, Some(size)) => Ok(Next::skip((head as u64).saturating_add(size), ELEMENT)),
        }
    }

    fn value(&mut self, id: u64, bytes: &[u8], meter: &mut Meter) -> Result<(), Fault> {
        let value = number(bytes);
        match id {
            TIMESTAMP_SCALE if value > 0 => self.scale = value,
            TIMESTAMP_SCALE => return Err(VoiceUnreadable),
            DURATION => {
                self.stated = match *bytes {
                    [a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
                    [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
                    _ => return Err(VoiceUnreadable),
                }
            }
            TRACK_NUMBER => self.entry.number = value,
            TRACK_TYPE => match value {
                2 => self.entry.audio = true,
                // Video, and complex ones.
                1 | 3 => return Err(VoiceUnreadable),
                _ => {}
            },
            CODEC_ID => self.entry.opus = bytes.strip_suffix(b"\0").unwrap_or(bytes) == b"A_OPUS",
            TIMESTAMP => self.cluster = Some(value),
            BLOCK_DURATION => {
                if let Some((from, to)) = self.blocks {
                    meter.reach(self.ticks((to - from).saturating_add(value)))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What described a track, or the file, is complete.
    fn settle(&mut self, meter: &mut Meter) -> Result<(), Fault> {
        let entry = std::mem::take(&mut self.entry);
        if entry.audio {
            if self.track.is_some() || !entry.opus {
                return Err(VoiceUnreadable);
            }
            self.track = Some(entry.number);
        }
        if self.stated > 0.0 {
            let seconds = self.stated * self.scale as f64 / 1e9;
            meter.reach(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))?;
        }
        Ok(())
    }

    fn ticks(&self, ticks: u64) -> Duration {
        Duration::from_nanos(ticks.saturating_mul(self.scale))
    }

    fn block(&mut self, size: u64, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        let track = width(here[0]).ok_or(VoiceUnreadable)?;
        let (Some(&[high, low, flags]), Some(begin)) = (here.get(track..track + 3), self.cluster) else {
            return Err(VoiceUnreadable);
        };
        let head = track + 3;
        if self.track.is_none() || vint(&here[..track]) != self.track {
            return Ok(Next::skip(size, ELEMENT));
        }
        let at = begin.saturating_add_signed(i16::from_be_bytes([high, low]).into());
        let (from, to) = self.blocks.unwrap_or((at, at));
        self.blocks = Some((from.min(at), to.max(at)));
        let lacing = flags >> 1 & 3;
        if lacing == 0 {
            self.play(&here[head..], meter)?;
            return Ok(Next::skip(size, ELEMENT));
        }
        let Some(&count) = here.get(head) else { return Err(VoiceUnreadable) };
        let frames = usize::from(count) + 1;
        let left = size - head as u64 - 1;
        if lacing == 2 {
            return self.frames_next(vec![left / frames as u64; frames], 0, head as u64 + 1);
        }
        self.state_sizes(lacing, left, frames, Vec::new(), head as u64 + 1)
    }

    /// The sizes of laced frames (RFC 9559 section 10.3): all but the last are written down.
    fn lace(
        &mut self,
        kind: u8,
        mut left: u64,
        frames: usize,
        mut sizes: Vec<u64>,
        here: &[u8],
    ) -> Result<Next, Fault> {
        let (size, taken) = if kind == 1 {
            // Xiph: bytes of 255, and one that is less. A frame of Opus fits into six.
            match here.iter().position(|&b| b < 255) {
                Some(at) => (here[..=at].iter().map(|&b| u64::from(b)).sum(), at + 1),
                None if here.len() < 16 => {
                    self.state = State::Sizes { kind, left, frames, sizes };
                    return Ok(Next::need(here.len() + 1));
                }
                None => return Err(VoiceUnreadable),
            }
        } else {
            let width = width(here[0]).ok_or(VoiceUnreadable)?;
            if here.len() < width {
                self.state = State::Sizes { kind, left, frames, sizes };
                return Ok(Next::need(width));
            }
            let value = vint(&here[..width]).ok_or(VoiceUnreadable)?;
            let size = match sizes.last() {
                None => value,
                // A difference, written with a bias.
                Some(last) => (last + value).checked_sub((1 << (7 * width - 1)) - 1).ok_or(VoiceUnreadable)?,
            };
            (size, width)
        };
        left = left.checked_sub(taken as u64).ok_or(VoiceUnreadable)?;
        sizes.push(size);
        let used = sizes.iter().fold(0_u64, |sum, size| sum.saturating_add(*size));
        if used > left {
            return Err(VoiceUnreadable);
        }
        if sizes.len() + 1 < frames {
            return self.state_sizes(kind, left, frames, sizes, taken as u64);
        }
        sizes.push(left - used);
        self.frames_next(sizes, 0, taken as u64)
    }

    fn state_sizes(&mut self, kind: u8, left: u64, frames: usize, sizes: Vec<u64>, skip: u64) -> Result<Next, Fault> {
        if frames == 1 {
            return self.frames_next(vec![left], 0, skip);
        }
        self.state = State::Sizes { kind, left, frames, sizes };
        Ok(Next::skip(skip, 1))
    }

    fn frame(&mut self, sizes: Vec<u64>, next: usize, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        self.play(here, meter)?;
        let skip = sizes[next];
        self.frames_next(sizes, next + 1, skip)
    }

    /// To the next frame that is not empty, or past the block.
    fn frames_next(&mut self, sizes: Vec<u64>, from: usize, skip: u64) -> Result<Next, Fault> {
        match sizes.iter().skip(from).position(|&size| size > 0) {
            None => Ok(Next::skip(skip, ELEMENT)),
            Some(ahead) => {
                let next = from + ahead;
                let need = sizes[next].min(2) as usize;
                self.state = State::Frames { sizes, next };
                Ok(Next::skip(skip, need))
            }
        }
    }

    fn play(&mut self, packet: &[u8], meter: &mut Meter) -> Result<(), Fault> {
        let played = opus::samples(packet);
        self.samples = self.samples.saturating_add(played);
        let (from, to) = self.blocks.unwrap_or_default();
        let shown = self.ticks(to - from).saturating_add(time(played, opus::RATE));
        meter.reach(shown.max(time(self.samples, opus::RATE)))
    }
}

/// How many bytes a number of variable size has, by its first (RFC 8794 section 4).
fn width(first: u8) -> Option<usize> {
    (first != 0).then(|| first.leading_zeros() as usize + 1)
}

/// Its value without the marker; `None` for "unknown", which is all ones.
fn vint(bytes: &[u8]) -> Option<u64> {
    let ones = (1_u64 << (7 * bytes.len())) - 1;
    Some(number(bytes) & ones).filter(|value| *value != ones)
}
