//! How long a frame of AAC plays, by the description of its decoder in an MP4 file: the elementary
//! stream descriptor (ISO/IEC 14496-1 section 7.2.6) around an AudioSpecificConfig (14496-3 section 1.6.2.1).

/// Samples in a frame, and samples a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) samples: u64,
    pub(super) rate: u64,
}

const RATES: [u64; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What the sample entry of a track says of its frames: `entry` is all that follows its fixed
/// fields, `rate` what those state. `None` when it is of a kind whose frames vary.
///
/// The descriptor is searched, not walked to: QuickTime keeps it at another place. Should there be
/// several, the slowest counts.
pub(super) fn frame(entry: &[u8], rate: u64) -> Option<Frame> {
    let mut found = entry.windows(4).enumerate().filter(|(_, name)| name == b"esds").peekable();
    if found.peek().is_none() {
        return Some(Frame { samples: 1_024, rate }).filter(|_| rate > 0);
    }
    found.filter_map(|(at, _)| decoder(entry.get(at + 8..)?, rate)).max_by_key(|it| it.samples * 1_000_000 / it.rate)
}

fn decoder(mut bytes: &[u8], rate: u64) -> Option<Frame> {
    let stream = enter(&mut bytes, 3)?;
    let flags = *stream.get(2)?;
    let url = if flags & 0x40 == 0 { 0 } else { 1 + usize::from(*stream.get(3)?) };
    let skip = 3 + if flags & 0x80 == 0 { 0 } else { 2 } + url + if flags & 0x20 == 0 { 0 } else { 2 };
    let mut inner = stream.get(skip..)?;
    let config = enter(&mut inner, 4)?;
    // MPEG-4 audio, and the profiles of MPEG-2 AAC.
    if !matches!(config.first()?, 0x40 | 0x66 | 0x67 | 0x68) {
        return None;
    }
    let mut inner = config.get(13..)?;
    match enter(&mut inner, 5) {
        Some(specific) => specified(specific),
        None => Some(Frame { samples: 1_024, rate }).filter(|_| rate > 0),
    }
}

/// What is inside the next descriptor, if it has this tag.
fn enter<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut size = 0;
    for _ in 0..4 {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    (first == tag).then(|| &rest[..size.min(rest.len())])
}

fn specified(config: &[u8]) -> Option<Frame> {
    let mut bits = Bits { bytes: config, at: 0 };
    let mut kind = bits.take(5)?;
    if kind == 31 {
        kind = 32 + bits.take(6)?;
    }
    let rate = match bits.take(4)? {
        15 => bits.take(24)?,
        index => *RATES.get(index as usize)?,
    };
    let _channels = bits.take(4)?;
    // With spectral band replication the core plays at this rate, and its own kind follows.
    let kind = if matches!(kind, 5 | 29) {
        if bits.take(4)? == 15 {
            bits.take(24)?;
        }
        bits.take(5)?
    } else {
        kind
    };
    let short = bits.take(1)? == 1;
    let samples = match (kind, short) {
        (1..=4 | 6 | 17, false) => 1_024,
        (1..=4 | 6 | 17, true) => 960,
        (23 | 39, _) => 480,
        _ => return None,
    };
    (rate > 0).then_some(Frame { samples, rate })
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u64> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoder_decides_not_what_is_stated_beside_it() {
        // As ffmpeg writes it: AAC-LC, 44.1 kHz.
        let entry = b"\0\0\0\x33esds\0\0\0\0\x03\x80\x80\x80\x22\0\x01\0\x04\x80\x80\x80\x14\x40\x15\0\0\0\0\0\
            \xfa\0\0\0\xfa\0\x05\x80\x80\x80\x02\x12\x08\x06\x80\x80\x80\x01\x02";
        assert_eq!(frame(entry, 96_000), Some(Frame { samples: 1_024, rate: 44_100 }));
        assert_eq!(frame(b"", 48_000), Some(Frame { samples: 1_024, rate: 48_000 }));
        assert_eq!(frame(b"", 0), None);
        for cut in 8..40 {
            frame(&entry[..cut], 0);
        }
    }

    #[test]
    fn the_core_of_band_replication_counts() {
        // HE-AAC: the core at 22.05 kHz (index 7), played at 44.1 (index 4).
        let config = [0b0010_1011, 0b1000_1010, 0b0000_1000, 0];
        assert_eq!(specified(&config), Some(Frame { samples: 1_024, rate: 22_050 }));
        // Unified speech and audio coding: frames vary.
        assert_eq!(specified(&[0xf9, 0x46, 0x40, 0]), None);
    }
}
