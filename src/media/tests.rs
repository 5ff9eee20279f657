//! Verdicts of the whole inspector, for pieces of every size.

use std::time::Duration;

use proptest::prelude::*;

use super::fixtures::{self, Codec, Webm};
use super::{Fault, HEAD, Inspector, Kind, Types};

const LONGEST: Duration = Duration::from_secs(300);
/// Packets of 20 ms in a minute.
const MINUTE: u64 = 3_000;

fn types(list: &[&str]) -> Types {
    Types::parse(&list.iter().map(|&it| it.to_owned()).collect::<Vec<_>>()).unwrap()
}

/// What comes of it: the duration, or the fault and how many bytes had passed before it.
fn judge(mut inspector: Inspector, bytes: &[u8], piece: usize) -> Result<Option<Duration>, (Fault, usize)> {
    for (index, piece_of) in bytes.chunks(piece).enumerate() {
        inspector.feed(piece_of).map_err(|fault| (fault, index * piece))?;
        let held = inspector.voice.as_ref().map_or(0, |voice| voice.held());
        assert!(held <= 512, "{held} bytes held");
    }
    inspector.finish().map_err(|fault| (fault, bytes.len()))?;
    Ok(inspector.duration())
}

/// The same for pieces of all sizes; one byte at a time, it is known when it was found.
fn all(make: impl Fn() -> Inspector, bytes: &[u8]) -> Result<Option<Duration>, (Fault, usize)> {
    let verdict = judge(make(), bytes, 1);
    for piece in [7, 1_000, 65_536] {
        let other = judge(make(), bytes, piece);
        assert_eq!(other.map_err(|it| it.0), verdict.map_err(|it| it.0), "in pieces of {piece}");
    }
    verdict
}

fn file_with(types: &Types, mime: &str, bytes: &[u8]) -> Result<(), Fault> {
    Inspector::new(Kind::File, mime, types, None, LONGEST)?;
    let make = || Inspector::new(Kind::File, mime, types, None, LONGEST).unwrap();
    match all(make, bytes) {
        Ok(duration) => assert_eq!(duration, None),
        Err((fault, passed)) => {
            assert!(passed <= HEAD, "{passed} bytes of {mime} passed");
            return Err(fault);
        }
    }
    Ok(())
}

fn file(mime: &str, bytes: &[u8]) -> Result<(), Fault> {
    file_with(&Types::default(), mime, bytes)
}

fn voice(mime: &str, claim: u64, bytes: &[u8]) -> Result<f64, (Fault, usize)> {
    let claim = Duration::from_secs(claim);
    let make = || Inspector::new(Kind::Voice, mime, &Types::default(), Some(claim), LONGEST).unwrap();
    all(make, bytes).map(|length| length.unwrap().as_secs_f64())
}

/// A beginning, and then more than is ever looked at.
fn long(head: &[u8], rest: u8) -> Vec<u8> {
    let mut bytes = head.to_vec();
    bytes.resize(HEAD * 3, rest);
    bytes
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0";
const EXE: &[u8] = b"MZ\x90\0\x03\0\0\0";
const DOCX: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x11\0\0\0word/document.xml";
const DOCX_TYPE: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const HEIC: &[u8] = b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf";
const AVIF: &[u8] = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf";

#[test]
fn first_bytes_must_be_of_the_declared_type() {
    let ok = Ok(());
    let mismatch = Err(Fault::TypeMismatch);
    let refused = Err(Fault::TypeNotAllowed);
    let html = b"\n<!DOCTYPE html><script>alert(1)</script>";
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>";
    for (mime, bytes, verdict) in [
        ("image/png", PNG, ok),
        ("IMAGE/PNG; a=b", PNG, ok),
        ("image/png", html, mismatch),
        ("image/png", svg, mismatch),
        ("image/png", b"hello", mismatch),
        ("image/png", b"", mismatch),
        ("image/png", b"\xff\xd8\xff\xe0", mismatch),
        ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF", ok),
        ("image/jpeg", PNG, mismatch),
        ("image/gif", b"GIF89a\x01\0\x01\0", ok),
        ("image/gif", b"GIF of a cat", mismatch),
        ("image/webp", b"RIFF\x10\0\0\0WEBPVP8 ", ok),
        ("image/webp", b"RIFF\x10\0\0\0WAVEfmt ", mismatch),
        ("image/bmp", b"BM\x10\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", ok),
        ("image/bmp", b"BMW's list of parts", mismatch),
        ("image/heic", HEIC, ok),
        ("image/heif", HEIC, ok),
        ("image/avif", AVIF, ok),
        ("image/avif", HEIC, mismatch),
        ("video/mp4", AVIF, mismatch),
        ("video/mp4", b"\0\0\0\x18ftypisom\0\0\0\0isomavif", ok),
        ("audio/mp4", b"\0\0\0\x14ftypM4A \0\0\0\0", ok),
        ("video/quicktime", b"\0\0\0\x14ftypqt  \0\0\0\0", ok),
        ("video/quicktime", b"\0\0\0\x08wide\0\0\0\0mdat", ok),
        ("video/webm", b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", ok),
        ("audio/webm", b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", ok),
        ("audio/ogg", b"OggS\0\x02", ok),
        ("audio/mpeg", b"ID3\x04\0\0\0\0\0\0", ok),
        ("audio/mp3", b"\xff\xfb\x90\x64", ok),
        ("audio/mpeg", b"OggS\0\x02", mismatch),
        ("audio/x-unheard-of", b"\x01\x02\x03", ok),
        ("audio/x-unheard-of", html, mismatch),
        ("audio/x-unheard-of", ELF, mismatch),
        ("application/pdf", b"%PDF-1.7\n", ok),
        ("application/pdf", html, mismatch),
        ("application/zip", b"PK\x03\x04\x14\0", ok),
        ("application/zip", DOCX, ok),
        (DOCX_TYPE, DOCX, ok),
        (DOCX_TYPE, b"PK\x03\x04\x14\0", ok),
        (XLSX_TYPE, DOCX, mismatch),
        (DOCX_TYPE, PNG, mismatch),
        ("text/plain", b"hello", ok),
        ("text/plain", b"", ok),
        ("text/plain", b"BMW, MZ and GIF89a; get free stuff", ok),
        ("text/plain", b"MZ is what executables begin with", ok),
        ("text/plain", b"Get free stuff", ok),
        ("text/plain", b"#!/bin/sh\necho hello", ok),
        ("text/plain", b"\xff\xfeh\0e\0l\0l\0o\0", ok),
        ("text/plain", b"caf\xe9 and caf\xc3\xa9", ok),
        ("text/plain", html, mismatch),
        ("text/plain", svg, mismatch),
        ("text/plain", b"<?xml version='1.0'?><x/>", mismatch),
        ("text/plain", b"<h1 align=center>x</h1>", mismatch),
        ("text/markdown", b"<h1 align=center>x</h1>", ok),
        ("text/markdown", html, mismatch),
        ("text/plain", b"\xff\xfe<\0s\0c\0r\0i\0p\0t\0>\0", mismatch),
        ("text/plain", PNG, mismatch),
        ("text/plain", b"%PDF-1.7", mismatch),
        ("text/plain", EXE, mismatch),
        ("text/plain", b"\x01\x02\0\0", mismatch),
        ("text/csv", html, mismatch),
        ("application/json", b"{\"a\": 1}", ok),
        ("application/json", svg, mismatch),
        ("application/octet-stream", b"\x01\x02\x03", ok),
        ("application/octet-stream", b"hello", ok),
        ("application/octet-stream", PNG, ok),
        ("application/octet-stream", DOCX, ok),
        ("application/octet-stream", b"\0\x02\0\0\0\0\0\0", ok),
        ("application/octet-stream", b"\x30\x82\x01\x0a", ok),
        ("application/octet-stream", ELF, refused),
        ("application/octet-stream", EXE, refused),
        ("application/octet-stream", html, refused),
        ("application/octet-stream", svg, refused),
        ("application/octet-stream", b"\xca\xfe\xba\xbe\0\0\0\x34", refused),
        ("application/octet-stream", b"#!/bin/sh\n", refused),
        ("text/html", html, refused),
        ("image/svg+xml", svg, refused),
        ("nonsense", b"", refused),
    ] {
        let shown = String::from_utf8_lossy(bytes);
        if !matches!(bytes, ELF) {
            assert_eq!(file(mime, bytes), verdict, "{mime}: {shown:?}");
        }
        if bytes.len() > 2 {
            let rest = if bytes.iter().any(|&b| b < 9) { 0 } else { b' ' };
            assert_eq!(file(mime, &long(bytes, rest)), verdict, "{mime}: {shown:?}, long");
        }
    }
}

#[test]
fn what_the_list_allows_passes_as_what_it_is() {
    let types = types(&["text/html", "image/svg+xml", "application/*", "text/xml"]);
    for (mime, bytes) in [
        ("text/html", &b"<html>"[..]),
        ("image/svg+xml", b"<?xml version='1.0'?><svg/>"),
        ("text/xml", b"<?xml version='1.0'?><x/>"),
        ("application/rss+xml", b"<?xml version='1.0'?><rss/>"),
        ("application/xhtml+xml", b"<?xml version='1.0'?><html>"),
        ("application/vnd.oasis.opendocument.text", b"PK\x03\x04\x14\0"),
        ("application/x-krita", b"PK\x03\x04\x14\0"),
        ("application/octet-stream", b"<html>"),
        ("application/gzip", b"\x1f\x8b\x08\0\0\0\0\0"),
    ] {
        assert_eq!(file_with(&types, mime, bytes), Ok(()), "{mime}");
    }
    assert_eq!(file_with(&types, "text/html", b"<svg/>"), Err(Fault::TypeMismatch));
    assert_eq!(file_with(&types, "image/svg+xml", b"<html>"), Err(Fault::TypeMismatch));
    assert_eq!(file_with(&types, "application/gzip", b"hello"), Err(Fault::TypeMismatch));
    assert_eq!(file_with(&types, "application/x-krita", EXE), Err(Fault::TypeMismatch));
}

#[test]
fn a_wrong_type_is_found_at_once_where_that_is_possible() {
    let mut inspector = Inspector::new(Kind::File, "image/png", &Types::default(), None, LONGEST).unwrap();
    assert_eq!(inspector.feed(&[b' '; 100]), Err(Fault::TypeMismatch));
    assert_eq!(inspector.feed(PNG), Err(Fault::TypeMismatch), "it stays so");
    assert_eq!(inspector.finish(), Err(Fault::TypeMismatch));
}

#[test]
fn a_claim_is_judged_before_any_byte() {
    let new = |mime, claim: u64| {
        let claim = Some(Duration::from_secs(claim));
        Inspector::new(Kind::Voice, mime, &Types::default(), claim, LONGEST).map(|_| ())
    };
    assert_eq!(new("audio/webm;codecs=opus", 300), Ok(()));
    assert_eq!(new("audio/webm", 301), Err(Fault::VoiceTooLong));
    assert_eq!(new("audio/midi", 10), Err(Fault::TypeNotAllowed));
    assert_eq!(new("video/webm", 10), Err(Fault::TypeNotAllowed));
}

/// Makes a note of so many seconds.
type Maker = Box<dyn Fn(u64) -> Vec<u8>>;

/// Each container: its type, an honest note of so many seconds, one of which all times are zero.
fn containers() -> Vec<(&'static str, &'static str, Maker)> {
    fn boxed(make: impl Fn(u64) -> Vec<u8> + 'static) -> Maker {
        Box::new(make)
    }
    let webm = |style| boxed(move |seconds| fixtures::webm(style, seconds * 50, |packet| packet * 20));
    let rate = |codec| if codec == Codec::Aac { 47 } else { 50 };
    let mp4 = move |codec, delta, index_last| {
        boxed(move |seconds| fixtures::mp4(codec, seconds as u32 * rate(codec), delta, index_last))
    };
    let fragments = move |codec, delta, each| {
        boxed(move |seconds| fixtures::fragments(codec, seconds as u32, rate(codec), delta, each))
    };
    vec![
        ("webm", "audio/webm;codecs=opus", webm(Webm::Live)),
        ("webm with sizes", "audio/webm", webm(Webm::Sized)),
        ("webm with xiph lacing", "audio/webm", webm(Webm::Xiph)),
        ("webm with ebml lacing", "audio/webm", webm(Webm::Ebml)),
        ("webm with fixed lacing", "audio/webm", webm(Webm::Fixed)),
        ("webm at no time", "audio/webm", boxed(|seconds| fixtures::webm(Webm::Live, seconds * 50, |_| 0))),
        ("laced webm at no time", "audio/webm", boxed(|seconds| fixtures::webm(Webm::Ebml, seconds * 50, |_| 0))),
        ("ogg", "audio/ogg", boxed(|seconds| fixtures::ogg(seconds * 50, |packet| packet * 960))),
        ("ogg from later on", "audio/ogg", boxed(|seconds| fixtures::ogg(seconds * 50, |it| (1 << 40) + it * 960))),
        ("ogg at no time", "audio/ogg", boxed(|seconds| fixtures::ogg(seconds * 50, |_| 0))),
        ("mp4, index last", "audio/mp4", mp4(Codec::Aac, 1_024, true)),
        ("mp4, index first", "audio/x-m4a", mp4(Codec::Aac, 1_024, false)),
        ("mp4 at no time", "audio/mp4", mp4(Codec::Aac, 0, true)),
        ("mp4 of opus, index last", "audio/mp4", mp4(Codec::Opus, 960, true)),
        ("mp4 of opus, index last, at no time", "audio/mp4", mp4(Codec::Opus, 1, true)),
        ("mp4 of opus, index first, at no time", "audio/mp4", mp4(Codec::Opus, 1, false)),
        ("fragments", "audio/mp4", fragments(Codec::Aac, 1_024, true)),
        ("fragments by default", "audio/mp4", fragments(Codec::Aac, 1_024, false)),
        ("fragments at no time", "audio/mp4", fragments(Codec::Aac, 0, true)),
        ("fragments of opus", "audio/mp4", fragments(Codec::Opus, 960, true)),
        ("fragments of opus at no time", "audio/mp4", fragments(Codec::Opus, 1, true)),
        ("mp3", "audio/mpeg", boxed(|seconds| fixtures::mp3(seconds as usize * 1_000 / 24))),
        ("wav", "audio/wav", boxed(|seconds| fixtures::wav(seconds as u32, None))),
        ("wav, streamed", "audio/x-wav", boxed(|seconds| fixtures::wav(seconds as u32, Some(0)))),
        ("wav, streamed", "audio/wave", boxed(|seconds| fixtures::wav(seconds as u32, Some(u32::MAX)))),
    ]
}

#[test]
fn honest_notes_are_measured() {
    for (name, mime, make) in containers() {
        let length = voice(mime, 60, &make(60)).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert!((length - 60.0).abs() < 0.5, "{name}: {length} s");
    }
}

#[test]
fn a_note_longer_than_it_claims_is_stopped() {
    for (name, mime, make) in containers() {
        let bytes = make(360);
        let (fault, passed) = voice(mime, 60, &bytes).expect_err(name);
        let index = name.contains("mp4") || name == "wav";
        // An index tells all at once; what is counted is stopped when the claim is passed.
        assert_eq!(fault, if index { Fault::VoiceTooLong } else { Fault::VoiceMismatch }, "{name}");
        assert!(index || passed < bytes.len() / 5, "{name}: {passed} of {} bytes passed", bytes.len());
        assert!(name.contains("last") || name.contains("no time") || passed < bytes.len() / 4, "{name}");
        assert_eq!(voice(mime, 300, &bytes).expect_err(name).0, Fault::VoiceTooLong, "{name}");
        // A claim may be a little short.
        assert!(voice(mime, 58, &make(60)).is_ok(), "{name}");
    }
}

#[test]
fn a_note_without_a_claim_is_only_limited() {
    let make = || Inspector::new(Kind::Voice, "audio/ogg", &Types::default(), None, LONGEST).unwrap();
    assert!(all(make, &fixtures::ogg(4 * MINUTE, |it| it * 960)).is_ok());
    assert_eq!(all(make, &fixtures::ogg(6 * MINUTE, |it| it * 960)).unwrap_err().0, Fault::VoiceTooLong);
}

#[test]
fn what_tells_no_duration_is_unreadable() {
    let timed = |packet: u64| packet * 20;
    let mut other_page = fixtures::ogg(100, |it| it * 960);
    other_page.extend(fixtures::page(0, 0, 8, &[24], &fixtures::PACKET));
    let mut compressed = fixtures::wav(1, None);
    let format = compressed.windows(4).position(|it| it == b"fmt ").unwrap() + 8;
    compressed[format] = 0x11;
    for (name, mime, bytes) in [
        ("no timestamps", "audio/webm", fixtures::webm(Webm::Timeless, 100, timed)),
        ("no track", "audio/webm", fixtures::webm(Webm::Silent, 100, timed)),
        ("film", "audio/webm", fixtures::webm(Webm::Film, 100, timed)),
        ("no packets", "audio/webm", fixtures::webm(Webm::Live, 0, timed)),
        ("no granules", "audio/ogg", fixtures::ogg(100, |_| u64::MAX)),
        ("no packets", "audio/ogg", fixtures::ogg(0, |_| 0)),
        ("another stream", "audio/ogg", other_page),
        ("film", "audio/mp4", fixtures::film()),
        ("no samples", "audio/mp4", fixtures::mp4(Codec::Aac, 0, 0, true)),
        ("no samples", "audio/mp4", fixtures::fragments(Codec::Aac, 0, 0, 1_024, true)),
        ("no index", "audio/mp4", b"\0\0\0\x14ftypM4A \0\0\0\0\0\0\0\0\0\0\0\0mdat".to_vec()),
        ("no frames", "audio/mpeg", fixtures::mp3(0)),
        ("junk", "audio/mpeg", [fixtures::mp3(3), vec![0; 10_000]].concat()),
        ("no sound", "audio/wav", fixtures::wav(0, None)),
        ("compressed", "audio/wav", compressed),
    ] {
        assert_eq!(voice(mime, 60, &bytes).map_err(|it| it.0), Err(Fault::VoiceUnreadable), "{mime}: {name}");
    }
    for (name, mime, make) in containers() {
        for (other, _, bytes) in containers() {
            let of = |name: &str| if name.contains("frag") { "mp4".to_owned() } else { name.to_owned() };
            let same =
                ["webm", "ogg", "mp4", "mp3", "wav"].iter().any(|it| of(name).contains(it) && of(other).contains(it));
            if !same {
                let verdict = voice(mime, 60, &bytes(1)).map_err(|it| it.0);
                assert_eq!(verdict, Err(Fault::TypeMismatch), "{other} as {name}");
            }
        }
        let begun = &make(2)[..48];
        assert!(voice(mime, 60, begun).is_err(), "{name}");
    }
}

#[test]
fn opus_packets_torn_between_pages_are_counted() {
    let mut bytes = fixtures::ogg(50, |it| it * 960);
    // Three frames of 20 ms: one byte on this page, the count on the next.
    let packet = [&[0xff, 0x03][..], &[0; 300]].concat();
    for part in 0..2_u64 {
        let last = 960 * 50 + 2_880 * (part + 1);
        bytes.extend(fixtures::page(0, u64::MAX, 7, &[255], &packet[..255]));
        bytes.extend(fixtures::page(1, last, 7, &[47], &packet[255..]));
    }
    let length = voice("audio/ogg", 60, &bytes).unwrap();
    assert!((length - (1.0 + 0.12 - 0.0065)).abs() < 1e-6, "{length}");
}

/// Real recordings; `tests/media/README.md` says how they were made.
#[test]
fn real_recordings_are_measured() {
    for (name, bytes, mime, seconds) in [
        ("chromium.webm", &include_bytes!("../../tests/media/chromium.webm")[..], "audio/webm;codecs=opus", 2.46),
        ("chromium.mp4", include_bytes!("../../tests/media/chromium.mp4"), "audio/mp4;codecs=opus", 2.42),
        ("firefox.ogg", include_bytes!("../../tests/media/firefox.ogg"), "audio/ogg; codecs=opus", 2.51),
        ("firefox.webm", include_bytes!("../../tests/media/firefox.webm"), "audio/webm", 2.52),
        ("ffmpeg.m4a", include_bytes!("../../tests/media/ffmpeg.m4a"), "audio/x-m4a", 3.02),
        ("ffmpeg-fragments.m4a", include_bytes!("../../tests/media/ffmpeg-fragments.m4a"), "audio/mp4", 3.02),
        ("ffmpeg.mp3", include_bytes!("../../tests/media/ffmpeg.mp3"), "audio/mpeg", 3.13),
        ("ffmpeg-piped.wav", include_bytes!("../../tests/media/ffmpeg-piped.wav"), "audio/wav", 1.0),
    ] {
        let length = voice(mime, 5, bytes).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert!((length - seconds).abs() < 0.1, "{name}: {length} s");
        assert_eq!(file(mime, bytes), Ok(()), "{name}");
    }
}

fn any_container() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    (0..containers().len(), 1..4_u64).prop_map(|(index, seconds)| {
        let (_, mime, make) = containers().swap_remove(index);
        (mime, make(seconds))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never a panic, never a difference between pieces, never more held than is promised.
    #[test]
    fn damaged_notes_are_judged_alike_in_any_pieces(
        (mime, mut bytes) in any_container(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        repeat in 1..3_usize,
    ) {
        for (at, value, early) in hits {
            let range = if early { bytes.len().min(400) } else { bytes.len() };
            bytes[at.index(range)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = voice(mime, 60, &bytes.repeat(repeat));
    }

    #[test]
    fn noise_is_judged_alike_in_any_pieces(
        (mime, head) in any_container(),
        from in 0..200_usize,
        noise in prop::collection::vec(any::<u8>(), 0..6_000),
    ) {
        let _ = voice(mime, 60, &[&head[..from.min(head.len())], &noise].concat());
        for mime in ["application/octet-stream", "text/plain", DOCX_TYPE, "image/heic"] {
            let _ = file(mime, &noise);
        }
    }
}
