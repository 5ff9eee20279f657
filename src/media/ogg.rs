//! Ogg (RFC 3533) with one stream of Opus (RFC 7845), as Firefox and messengers write it. Several
//! such streams one after another are read as well; streams side by side are not.

use super::opus;
use super::voice::{Meter, Next, Parser, number_le, time};
use super::{Fault, Fault::VoiceUnreadable};

/// The head of a page, without its table of segments.
const PAGE: usize = 27;
/// The table has a byte that says how long it is.
const TABLE: usize = 26;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ogg {
    state: State,
    stream: Option<u32>,
    /// Which packet of the stream comes next: its head, its tags, then sound.
    packet: Packet,
    pre_skip: u64,
    /// Where on the clock of the stream its sound begins.
    start: Option<u64>,
    /// What the packets of this stream play, and those of all streams.
    samples: u64,
    total: u64,
    page: Page,
    /// The first byte of a packet of which the second is on the next page.
    torn: Option<u8>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Table,
    Packet,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Packet {
    #[default]
    Head,
    Tags,
    Sound,
}

/// The page that is read.
#[derive(Debug, Default)]
struct Page {
    /// Where the last packet that ends on it ends, in samples; `None` when none does.
    granule: Option<u64>,
    table: Vec<u8>,
    /// The next segment in the table.
    at: usize,
    /// Whether the next piece goes on with a packet that was begun.
    continued: bool,
}

impl Parser for Ogg {
    fn step(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        match self.state {
            State::Head if here.len() < PAGE => Ok(Next::need(PAGE)),
            State::Head => self.head(here),
            State::Table => {
                self.page.table = here.to_vec();
                self.page.at = 0;
                self.next(here.len() as u64, meter)
            }
            State::Packet => self.packet(here, meter),
        }
    }

    fn finish(&mut self, _meter: &mut Meter) -> Result<(), Fault> {
        // A stream of which no page tells the time has no timestamps.
        if self.start.is_some() { Ok(()) } else { Err(VoiceUnreadable) }
    }
}

impl Ogg {
    fn head(&mut self, here: &[u8]) -> Result<Next, Fault> {
        if !here.starts_with(b"OggS\0") {
            return Err(VoiceUnreadable);
        }
        let begins = here[5] & 2 != 0;
        let serial = number_le(&here[14..18]) as u32;
        if begins {
            if self.stream.is_some() && self.packet != Packet::Sound {
                return Err(VoiceUnreadable);
            }
            *self = Self { total: self.total, stream: Some(serial), ..Self::default() };
        } else if self.stream != Some(serial) {
            return Err(VoiceUnreadable);
        }
        // A page that goes on with a packet nobody began begins one.
        self.page.continued &= here[5] & 1 != 0;
        // Minus one says that no packet ends here; other negative ones mean nothing.
        self.page.granule = Some(number_le(&here[6..14])).filter(|it| *it <= i64::MAX as u64);
        let segments = usize::from(here[TABLE]);
        if segments == 0 {
            return Ok(Next::skip(PAGE as u64, PAGE));
        }
        self.state = State::Table;
        Ok(Next::skip(PAGE as u64, segments))
    }

    /// The next piece of a packet on this page, if there is one: its size, whether the packet ends
    /// with it, and how many segments it takes.
    fn piece(&self) -> Option<(usize, bool, usize)> {
        let rest = self.page.table.get(self.page.at..).filter(|rest| !rest.is_empty())?;
        let count = rest.iter().position(|&b| b < 255).map_or(rest.len(), |at| at + 1);
        let size = rest[..count].iter().map(|&b| usize::from(b)).sum();
        Some((size, rest[count - 1] < 255, count))
    }

    /// To the next piece that there is something to read in, or to the next page.
    fn next(&mut self, skip: u64, meter: &mut Meter) -> Result<Next, Fault> {
        let mut skip = skip;
        while let Some((size, ends, count)) = self.piece() {
            let begins = !self.page.continued;
            let wanted = match self.packet {
                Packet::Head if !begins || size < 19 => return Err(VoiceUnreadable),
                Packet::Head => 19,
                Packet::Tags if begins && size < 8 => return Err(VoiceUnreadable),
                Packet::Tags if begins => 8,
                Packet::Sound if begins => size.min(2),
                Packet::Sound if self.torn.is_some() => size.min(1),
                _ => 0,
            };
            if wanted > 0 {
                self.state = State::Packet;
                return Ok(Next::skip(skip, wanted));
            }
            self.pass(count, ends);
            skip += size as u64;
        }
        self.state = State::Head;
        self.clock(meter)?;
        Ok(Next::skip(skip, PAGE))
    }

    /// The beginning of a piece that there is something to read in.
    fn packet(&mut self, here: &[u8], meter: &mut Meter) -> Result<Next, Fault> {
        let Some((size, ends, count)) = self.piece() else { return Err(VoiceUnreadable) };
        match self.packet {
            Packet::Head => {
                // Its major version is zero.
                if !here.starts_with(b"OpusHead") || here[8] & 0xf0 != 0 || !ends {
                    return Err(VoiceUnreadable);
                }
                self.pre_skip = number_le(&here[10..12]);
            }
            Packet::Tags if !here.starts_with(b"OpusTags") => return Err(VoiceUnreadable),
            Packet::Tags => {}
            Packet::Sound => {
                let (packet, length) = match self.torn.take() {
                    Some(first) => ([first, here[0]], 2),
                    None => ([here[0], here.get(1).copied().unwrap_or_default()], here.len()),
                };
                if length == 1 && !ends {
                    self.torn = Some(packet[0]);
                } else {
                    let played = opus::samples(&packet[..length]);
                    self.samples = self.samples.saturating_add(played);
                    self.total = self.total.saturating_add(played);
                    meter.reach(time(self.total.saturating_sub(self.pre_skip), opus::RATE))?;
                }
            }
        }
        self.pass(count, ends);
        self.next(size as u64, meter)
    }

    fn pass(&mut self, segments: usize, ends: bool) {
        self.page.at += segments;
        self.page.continued = !ends;
        if ends {
            self.torn = None;
            self.packet = match self.packet {
                Packet::Head => Packet::Tags,
                Packet::Tags | Packet::Sound => Packet::Sound,
            };
        }
    }

    /// What the page says of the time. A recording may begin at any (RFC 7845 section 4.3).
    fn clock(&mut self, meter: &mut Meter) -> Result<(), Fault> {
        let Some(granule) = self.page.granule.take().filter(|_| self.samples > 0) else { return Ok(()) };
        let start = *self.start.get_or_insert(granule.saturating_sub(self.samples));
        meter.reach(time(granule.saturating_sub(start).saturating_sub(self.pre_skip), opus::RATE))
    }
}
