//! Small writers of what browsers and phones record, honest or not.

/// A packet of Opus that plays 20 ms.
pub(super) const PACKET: [u8; 24] = [0xf8; 24];

/// How a WebM is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Webm {
    /// As `MediaRecorder` does.
    Live,
    /// With sizes and block groups.
    Sized,
    /// Four packets in each block, in one of three ways.
    Xiph,
    Ebml,
    Fixed,
    /// With a track of film as well.
    Film,
    /// With no track.
    Silent,
    /// With clusters that do not say when they begin.
    Timeless,
}

fn element(id: u32, body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|&b| b == 0).collect();
    out.extend((1 << 56 | body.len() as u64).to_be_bytes());
    out.extend(body);
    out
}

/// So many packets of 20 ms, at the times (in ms) that `clock` gives them.
pub(super) fn webm(style: Webm, packets: u64, clock: impl Fn(u64) -> u64) -> Vec<u8> {
    let track = |number: u8, kind: u8, codec: &[u8]| {
        let parts = [element(0xd7, &[number]), element(0x83, &[kind]), element(0x86, codec)];
        element(0xae, &parts.concat())
    };
    let mut tracks = Vec::new();
    if style == Webm::Film {
        tracks.extend(track(2, 1, b"V_VP8"));
    }
    if style != Webm::Silent {
        tracks.extend(track(1, 2, b"A_OPUS"));
    }
    let mut body = element(0x1549_a966, &element(0x2a_d7b1, &1_000_000_u32.to_be_bytes()));
    body.extend(element(0x1654_ae6b, &tracks));
    let laced: u64 = if matches!(style, Webm::Xiph | Webm::Ebml | Webm::Fixed) { 4 } else { 1 };
    for first in (0..packets).step_by(100) {
        let start = clock(first);
        let mut cluster = Vec::new();
        if style != Webm::Timeless {
            cluster.extend(element(0xe7, &start.to_be_bytes()));
        }
        for packet in (first..packets.min(first + 100)).step_by(laced as usize) {
            let frames = laced.min(packets - packet) as u8;
            let relative = (clock(packet) - start) as i16;
            let mut block = vec![0x81];
            block.extend(relative.to_be_bytes());
            match style {
                Webm::Xiph => block.extend([2, frames - 1].iter().chain(&vec![24; usize::from(frames) - 1])),
                Webm::Ebml if frames == 1 => block.extend([6, 0]),
                Webm::Ebml => {
                    block.extend([6, frames - 1, 0x80 | 24]);
                    block.extend(vec![0x80 | 63; usize::from(frames) - 2]);
                }
                Webm::Fixed => block.extend([4, frames - 1]),
                _ => block.push(0),
            }
            block.extend(PACKET.repeat(usize::from(frames)));
            if style == Webm::Sized {
                cluster.extend(element(0xa0, &[element(0xa1, &block), element(0x9b, &[20])].concat()));
            } else {
                cluster.extend(element(0xa3, &block));
            }
        }
        if style == Webm::Sized {
            body.extend(element(0x1f43_b675, &cluster));
        } else {
            body.extend([0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
            body.extend(cluster);
        }
    }
    let mut out = element(0x1a45_dfa3, &[element(0x4286, &[1]), element(0x4282, b"webm")].concat());
    out.extend(element(0xec, &[0; 40]));
    if style == Webm::Sized {
        out.extend(element(0x1853_8067, &body));
    } else {
        out.extend([0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        out.extend(body);
    }
    out
}

/// One page of Ogg.
pub(super) fn page(flags: u8, granule: u64, serial: u32, table: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = b"OggS\0".to_vec();
    out.push(flags);
    out.extend(granule.to_le_bytes());
    out.extend(serial.to_le_bytes());
    out.extend([0; 8]);
    out.push(table.len() as u8);
    out.extend(table);
    out.extend(body);
    out
}

/// So many packets of 20 ms, fifty on a page, at the granule that `clock` gives the last of a page.
pub(super) fn ogg(packets: u64, clock: impl Fn(u64) -> u64) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend([0x38, 0x01, 0x80, 0xbb, 0, 0, 0, 0, 0]);
    let mut out = page(2, 0, 7, &[19], &head);
    // Tags of 600 bytes, over two pages.
    let mut tags = b"OpusTags".to_vec();
    tags.resize(600, 0);
    out.extend(page(0, u64::MAX, 7, &[255], &tags[..255]));
    out.extend(page(1, 0, 7, &[255, 90], &tags[255..]));
    for first in (0..packets).step_by(50) {
        let count = 50.min(packets - first) as usize;
        let body = PACKET.repeat(count);
        out.extend(page(0, clock(first + count as u64), 7, &vec![24; count], &body));
    }
    out
}

fn atom(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend(name);
    out.extend(body);
    out
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// What the sound of an MP4 is coded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// At 48 kHz.
    Aac,
    Opus,
}

/// A track of which the samples are `delta` ticks of 1/48 000 s each, and the first is at `chunk`.
fn trak(codec: Codec, handler: &[u8; 4], samples: u32, delta: u32, chunk: u32) -> Vec<u8> {
    let mut entry = vec![0; 16];
    entry.extend([0, 1, 0, 16, 0, 0, 0, 0]);
    entry.extend(words(&[48_000 << 16]));
    let config = [&[4, 18, 0x40, 0x15][..], &[0; 11], &[5, 2, 0x11, 0x88, 6]].concat();
    entry.extend(atom(b"esds", &[&[0; 4][..], &[3, 24, 0, 0, 0], &config].concat()));
    // What the shortened descriptor lacks is made up for by its size.
    let name = if codec == Codec::Aac { b"mp4a" } else { b"Opus" };
    let stsd = [words(&[0, 1]), atom(name, &entry)].concat();
    let stbl = [
        atom(b"stsd", &stsd),
        atom(b"stts", &if samples > 0 { words(&[0, 1, samples, delta]) } else { words(&[0, 0]) }),
        atom(b"stsz", &words(&[0, 4, samples])),
        atom(b"stco", &words(&[0, u32::from(samples > 0), chunk])),
    ];
    let hdlr = [&words(&[0, 0])[..], handler, &[0; 13]].concat();
    let mdia = [
        atom(b"mdhd", &words(&[0, 0, 0, 48_000, samples * delta, 0])),
        atom(b"hdlr", &hdlr),
        atom(b"minf", &atom(b"stbl", &stbl.concat())),
    ];
    atom(b"trak", &[atom(b"tkhd", &words(&[0, 0, 0, 1, 0, 0])), atom(b"mdia", &mdia.concat())].concat())
}

fn ftyp() -> Vec<u8> {
    atom(b"ftyp", b"M4A \0\0\x02\0M4A mp42isom")
}

/// Samples of four bytes; as Opus, each plays 20 ms.
fn mdat(samples: u32) -> Vec<u8> {
    atom(b"mdat", &vec![0xf8; samples as usize * 4])
}

/// A whole file, its index before the sound or after it.
pub(super) fn mp4(codec: Codec, samples: u32, delta: u32, index_last: bool) -> Vec<u8> {
    let mvhd = atom(b"mvhd", &[0; 100]);
    let moov = |chunk| atom(b"moov", &[mvhd.clone(), trak(codec, b"soun", samples, delta, chunk)].concat());
    let ahead = ftyp().len() as u32 + 8;
    if index_last {
        [ftyp(), mdat(samples), moov(ahead)].concat()
    } else {
        let moov = moov(ahead + moov(0).len() as u32);
        [ftyp(), moov, mdat(samples)].concat()
    }
}

/// A file with film and sound.
pub(super) fn film() -> Vec<u8> {
    let tracks = [b"soun", b"vide"].map(|handler| trak(Codec::Aac, handler, 10, 1_024, 0));
    [ftyp(), atom(b"moov", &tracks.concat())].concat()
}

/// A file in fragments of so many samples, of which `delta` is the default or written with each.
pub(super) fn fragments(codec: Codec, fragments: u32, samples: u32, delta: u32, each: bool) -> Vec<u8> {
    let trex = atom(b"trex", &words(&[0, 1, 1, delta, 4, 0]));
    let moov = [trak(codec, b"soun", 0, 0, 0), atom(b"mvex", &trex)].concat();
    let mut out = [ftyp(), atom(b"moov", &moov)].concat();
    for index in 0..fragments {
        let moof = |offset: u32| {
            let trun = if each {
                let entries: Vec<u32> = (0..samples).flat_map(|_| [delta, 4]).collect();
                [words(&[0x301, samples, offset]), words(&entries)].concat()
            } else {
                words(&[0x1, samples, offset])
            };
            let traf = [
                atom(b"tfhd", &words(&[0x2_0000, 1])),
                atom(b"tfdt", &words(&[0, index * samples * delta])),
                atom(b"trun", &trun),
            ];
            atom(b"moof", &[atom(b"mfhd", &words(&[0, index + 1])), atom(b"traf", &traf.concat())].concat())
        };
        out.extend(moof(moof(0).len() as u32 + 8));
        out.extend(mdat(samples));
    }
    out
}

/// Frames of 24 ms (48 kHz, 32 kb/s) behind a tag, and a tag at the end.
pub(super) fn mp3(frames: usize) -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x14, 0xc0];
    frame.resize(96, 0);
    let tag = [&b"ID3\x04\0\0\0\0\x02\0"[..], &[0xff; 256]].concat();
    [tag, frame.repeat(frames), [&b"TAG"[..], &[0xff; 125]].concat()].concat()
}

/// Seconds of mu-law at 8 kHz; the size of the sound as written down.
pub(super) fn wav(seconds: u32, size: Option<u32>) -> Vec<u8> {
    let mut out = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x12\0\0\0\x07\0\x01\0".to_vec();
    out.extend([8_000_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat());
    out.extend([1, 0, 8, 0, 0, 0]);
    out.extend(b"data");
    out.extend(size.unwrap_or(seconds * 8_000).to_le_bytes());
    out.extend(vec![0xff; seconds as usize * 8_000]);
    out
}
