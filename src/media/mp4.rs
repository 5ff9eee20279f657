//! MP4 (ISO/IEC 14496-12) with one track of sound, whole (its index first or last) or in fragments.
//! Boxes that lead to the times of samples are entered, all others passed over, the sound among
//! them; tables are summed up as they stream by. Of Opus the first packet of a file or a fragment is
//! looked at, and taken for what all of them play: recorders do not change it.

use std::time::Duration;

use super::voice::{MOST, Meter, Next, Parser, number, time};
use super::{Fault, Fault::VoiceUnreadable, aac, opus};

/// The head of a box: its size and its name.
const BOX: usize = 8;
/// The fixed fields of a sound's sample entry (section 12.2.3).
const ENTRY: usize = 28;
/// How many entries of a table are looked at together.
const BATCH: usize = 16;
/// More tracks than this have no defaults for their fragments.
const MOST_DEFAULTS: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mp4 {
    state: State,
    /// The track that is described.
    track: Track,
    /// The one that is heard.
    sound: Option<Track>,
    /// The length of a sample in fragments, for each track.
    defaults: Vec<(u64, u64)>,
    run: Run,
    /// Where the next byte to look at is, and where the fragment begins.
    at: u64,
    moof: u64,
    /// Samples that are announced, and where the first of them is.
    announced: Option<(u64, u64)>,
    /// A packet that came before the index: where, and how long it plays if it is Opus.
    early: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Box,
    /// A box of which the beginning is read.
    Leaf { name: [u8; 4], left: u64 },
    /// The first of so many samples; `left` of the box's bytes with it.
    Sample { count: u64, left: u64 },
    /// The entries of a table, `left` of the box's bytes among them.
    Table { runs: bool, size: usize, count: u64, left: u64 },
}

#[derive(Debug, Default)]
struct Track {
    id: u64,
    handler: Option<[u8; 4]>,
    /// Ticks a second.
    scale: u64,
    /// What the header says, in ticks.
    stated: u64,
    /// The sum of the samples' lengths, in ticks, and how many there are by either table.
    summed: u64,
    timed: u64,
    sized: u64,
    frame: Option<aac::Frame>,
    opus: bool,
    /// Where the first sample is.
    chunk: Option<u64>,
    /// What the packets of Opus play.
    played: u64,
    /// In fragments: when the first sample begins and the last ends, and how many there are.
    begin: Option<u64>,
    end: u64,
    fragmented: u64,
}

/// The run of samples in a fragment that is read.
#[derive(Debug, Default)]
struct Run {
    track: u64,
    /// The length of a sample that has none of its own.
    default: u64,
    at: Option<u64>,
    /// From where its place in the file is counted.
    base: u64,
}

impl Parser for Mp4 {
    fn step(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        let next = match std::mem::take(&mut self.state) {
            State::Box => self.enter(here, meter),
            State::Leaf { name, left } => self.leaf(name, left, here, meter),
            State::Sample { count, left } => self.sample(count, left, here, meter),
            State::Table { runs, size, count, left } => self.table(runs, size, count, left, here, meter),
        }?;
        self.at = self.at.saturating_add(next.skipped());
        Ok(next)
    }

    fn finish(&mut self, meter: &mut Meter) -> Result<(), Fault> {
        self.settle(meter)?;
        match &self.sound {
            Some(sound) if sound.samples() > 0 => meter.reach(sound.length()),
            _ => Err(VoiceUnreadable),
        }
    }
}

impl Mp4 {
    fn enter(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        let Some((small, name)) = here.split_first_chunk::<4>().and_then(|(a, b)| Some((a, *b.first_chunk::<4>()?)))
        else {
            return Ok(Next::need(BOX));
        };
        let (head, size) = match u64::from(u32::from_be_bytes(*small)) {
            1 if here.len() < 16 => return Ok(Next::need(16)),
            1 => (16, number(&here[8..16])),
            0 => (8, u64::MAX),
            size => (8, size),
        };
        let left = size.checked_sub(head).ok_or(VoiceUnreadable)?;
        match &name {
            b"trak" | b"moof" | b"mdat" => self.settle(meter)?,
            _ => {}
        }
        let need = match &name {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" | b"mvex" | b"traf" => {
                return Ok(Next::skip(head, BOX));
            }
            b"moof" if self.sound.is_none() => return Err(VoiceUnreadable),
            b"moof" => {
                self.moof = self.at;
                self.announced = None;
                return Ok(Next::skip(head, BOX));
            }
            b"mdat" => return self.data(head, left),
            b"Opus" => {
                self.track.opus = true;
                return Ok(Next::skip(head.saturating_add(left), BOX));
            }
            // A version, flags and a count; its entries are boxes.
            b"stsd" if left >= 8 => return Ok(Next::skip(head + 8, BOX)),
            b"mp4a" if left >= ENTRY as u64 => MOST,
            b"tkhd" => 24,
            b"mdhd" => 36,
            b"hdlr" | b"stsz" | b"stz2" => 12,
            b"stts" => 8,
            b"stco" => 12,
            b"co64" => 16,
            b"trex" => 16,
            b"tfhd" => 24,
            b"tfdt" => 12,
            b"trun" => 16,
            _ => return Ok(Next::skip(head.saturating_add(left), BOX)),
        };
        if left < 8 {
            return Err(VoiceUnreadable);
        }
        self.state = State::Leaf { name, left };
        Ok(Next::skip(head, left.min(need as u64) as usize))
    }

    /// The beginning of a box without boxes.
    fn leaf(&mut self, name: [u8; 4], left: u64, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        let field = |from: usize, to: usize| here.get(from..to).map(number).ok_or(VoiceUnreadable);
        let (wide, flags) = (here[0] == 1, number(&here[1..4]));
        let track = &mut self.track;
        match &name {
            b"tkhd" => track.id = if wide { field(20, 24)? } else { field(12, 16)? },
            b"mdhd" if wide => (track.scale, track.stated) = (field(20, 24)?, known(field(24, 32)?, 8)),
            b"mdhd" => (track.scale, track.stated) = (field(12, 16)?, known(field(16, 20)?, 4)),
            // QuickTime has another one deeper inside.
            b"hdlr" if track.handler.is_none() => {
                track.handler = here.get(8..12).and_then(|it| it.try_into().ok());
                if track.handler == Some(*b"vide") {
                    return Err(VoiceUnreadable);
                }
            }
            b"hdlr" => {}
            b"mp4a" => {
                let stated = field(24, 26)?;
                track.frame = track.frame.or_else(|| aac::frame(&here[ENTRY..], stated));
            }
            b"stsz" | b"stz2" => track.sized = field(8, 12)?,
            b"stts" => return self.begin_table(false, 8, field(4, 8)?, left, 8),
            b"stco" if field(4, 8)? > 0 => track.chunk = Some(field(8, 12)?),
            b"co64" if field(4, 8)? > 0 => track.chunk = Some(field(8, 16)?),
            b"trex" if self.defaults.len() < MOST_DEFAULTS => self.defaults.push((field(4, 8)?, field(12, 16)?)),
            b"trex" => {}
            b"tfhd" => {
                let id = field(4, 8)?;
                let at = 8 + if flags & 1 == 0 { 0 } else { 8 } + if flags & 2 == 0 { 0 } else { 4 };
                let default = match flags & 8 {
                    0 => self.defaults.iter().find(|(track, _)| *track == id).map_or(0, |(_, length)| *length),
                    _ => field(at, at + 4)?,
                };
                let base = if flags & 1 == 0 { self.moof } else { field(8, 16)? };
                self.run = Run { track: id, default, at: None, base };
            }
            b"tfdt" => self.run.at = Some(if wide { field(4, 12)? } else { field(4, 8)? }),
            b"trun" => {
                let offset = if flags & 1 == 0 { 0 } else { field(8, 12)? as u32 as i32 };
                return self.trun(flags, field(4, 8)?, offset, left, meter);
            }
            _ => {}
        }
        Ok(Next::skip(left, BOX))
    }

    fn trun(&mut self, flags: u64, count: u64, offset: i32, left: u64, meter: &mut Meter) -> Result<Next, Fault> {
        let Some(sound) = self.sound.as_mut().filter(|it| it.id == self.run.track) else {
            return Ok(Next::skip(left, BOX));
        };
        sound.fragmented = sound.fragmented.saturating_add(count);
        if sound.opus && count > 0 {
            let first = self.run.base.saturating_add_signed(offset.into());
            let (samples, first) = self.announced.unwrap_or((0, first));
            self.announced = Some((samples.saturating_add(count), first));
        }
        let at = *self.run.at.get_or_insert(sound.end);
        sound.begin = Some(sound.begin.map_or(at, |begin| begin.min(at)));
        let size = 4 * (flags >> 8 & 0xf).count_ones() as usize;
        let fixed = 8 + if flags & 1 == 0 { 0 } else { 4 } + if flags & 4 == 0 { 0 } else { 4 };
        if flags & 0x100 != 0 {
            return self.begin_table(true, size, count, left, fixed);
        }
        self.run.at = Some(at.saturating_add(count.saturating_mul(self.run.default)));
        self.fragment(meter)?;
        Ok(Next::skip(left, BOX))
    }

    fn begin_table(&mut self, runs: bool, size: usize, count: u64, left: u64, head: u64) -> Result<Next, Fault> {
        let left = left.checked_sub(head).ok_or(VoiceUnreadable)?;
        if count.saturating_mul(size as u64) > left {
            return Err(VoiceUnreadable);
        }
        self.next_batch(runs, size, count, left, head)
    }

    fn next_batch(&mut self, runs: bool, size: usize, count: u64, left: u64, skip: u64) -> Result<Next, Fault> {
        if count == 0 {
            return Ok(Next::skip(skip.saturating_add(left), BOX));
        }
        self.state = State::Table { runs, size, count, left };
        Ok(Next::skip(skip, size * count.min(BATCH as u64) as usize))
    }

    fn table(
        &mut self,
        runs: bool,
        size: usize,
        count: u64,
        left: u64,
        here: &[u8],
        meter: &mut Meter,
    ) -> Result<Next, Fault> {
        for entry in here.chunks_exact(size) {
            // Either way the first field: how many samples, or how long one is.
            let first = number(&entry[..4]);
            if runs {
                self.run.at = self.run.at.map(|at| at.saturating_add(first));
            } else {
                let length = first.saturating_mul(number(&entry[4..8]));
                self.track.timed = self.track.timed.saturating_add(first);
                self.track.summed = self.track.summed.saturating_add(length);
            }
        }
        if runs {
            self.fragment(meter)?;
        }
        let seen = here.len() as u64;
        self.next_batch(runs, size, count - seen / size as u64, left - seen, seen)
    }

    /// The sound itself: to the first of the samples that are announced or, before the index, to
    /// where they usually begin.
    fn data(&mut self, head: u64, left: u64) -> Result<Next, Fault> {
        let begin = self.at.saturating_add(head);
        let (count, ahead) = match (&self.sound, self.announced.take()) {
            (None, _) if self.early.is_none() => (0, 0),
            (_, Some((count, first))) => (count, first.checked_sub(begin).ok_or(VoiceUnreadable)?),
            _ => return Ok(Next::skip(head.saturating_add(left), BOX)),
        };
        match left.checked_sub(ahead) {
            Some(left @ 2..) => {
                self.state = State::Sample { count, left };
                Ok(Next::skip(head + ahead, 2))
            }
            _ if count > 0 => Err(VoiceUnreadable),
            _ => Ok(Next::skip(head.saturating_add(left), BOX)),
        }
    }

    fn sample(&mut self, count: u64, left: u64, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        let plays = opus::samples(here);
        match &mut self.sound {
            Some(sound) => {
                sound.played = sound.played.saturating_add(count.saturating_mul(plays));
                meter.reach(sound.length())?;
            }
            None => self.early = Some((self.at, plays)),
        }
        Ok(Next::skip(left, BOX))
    }

    /// The run has come so far.
    fn fragment(&mut self, meter: &mut Meter) -> Result<(), Fault> {
        let Some(sound) = &mut self.sound else { return Ok(()) };
        sound.end = sound.end.max(self.run.at.unwrap_or_default());
        meter.reach(sound.length())
    }

    /// What described a track is complete.
    fn settle(&mut self, meter: &mut Meter) -> Result<(), Fault> {
        let mut track = std::mem::take(&mut self.track);
        if track.handler != Some(*b"soun") {
            return Ok(());
        }
        if self.sound.is_some() || track.scale == 0 {
            return Err(VoiceUnreadable);
        }
        if let Some(chunk) = track.chunk.filter(|_| track.opus) {
            match self.early {
                Some((at, plays)) if at == chunk => track.played = track.samples().saturating_mul(plays),
                Some(_) => return Err(VoiceUnreadable),
                None => self.announced = Some((track.samples(), chunk)),
            }
        }
        let length = track.length();
        self.sound = Some(track);
        if length.is_zero() { Ok(()) } else { meter.reach(length) }
    }
}

impl Track {
    fn samples(&self) -> u64 {
        self.timed.max(self.sized).saturating_add(self.fragmented)
    }

    /// The longest of what the file says in its several ways, and of what its frames must play.
    fn length(&self) -> Duration {
        let fragments = self.end.saturating_sub(self.begin.unwrap_or_default());
        let told = self.stated.max(self.summed).max(fragments);
        let played = self.frame.map_or(Duration::ZERO, |it| time(self.samples().saturating_mul(it.samples), it.rate));
        time(told, self.scale).max(played).max(time(self.played, opus::RATE))
    }
}

/// A length of so many bytes; all ones mean that it is not known.
fn known(length: u64, bytes: u32) -> u64 {
    if length == u64::MAX >> (64 - 8 * bytes) { 0 } else { length }
}
