//! How long an Opus packet plays, by its first two bytes (RFC 6716 section 3.1). What the packets
//! play is what a listener hears, whatever the container's timestamps say.

/// Opus always counts in 48 000 samples a second.
pub(super) const RATE: u64 = 48_000;

/// No packet plays longer than 120 ms (RFC 6716 section 3.4).
const LONGEST: u64 = 5_760;

/// How many samples a packet plays, of which at least the first two bytes are handed in, or all.
pub(super) fn samples(packet: &[u8]) -> u64 {
    let Some(&toc) = packet.first() else { return 0 };
    let config = toc >> 3;
    let frame = match config {
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u64::from(count & 0x3f)),
    };
    (frame * frames).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::samples;

    #[test]
    fn a_packet_plays_what_its_first_bytes_say() {
        assert_eq!(samples(&[]), 0);
        assert_eq!(samples(&[0x78, 0]), 960); // hybrid, 20 ms
        assert_eq!(samples(&[0xfc]), 960); // CELT, 20 ms
        assert_eq!(samples(&[0x18]), 2_880); // SILK, 60 ms
        assert_eq!(samples(&[0x80]), 120); // CELT, 2.5 ms
        assert_eq!(samples(&[0x19]), 5_760); // two of 60 ms
        assert_eq!(samples(&[0xff, 0x83]), 2_880); // three of 20 ms
        assert_eq!(samples(&[0xff, 0x3f]), 5_760); // more than there may be
        assert_eq!(samples(&[0xff]), 0);
    }
}
