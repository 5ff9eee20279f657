//! The golden files hold the wire still: each frame in `tests/golden` is read and written back to
//! the same bytes, every event has one, and `docs/protocol.md` shows them all and nothing else.

use std::fs;
use std::path::Path;

use bytes::BytesMut;

use super::{ClientEvent, ClientFrame, Encoded, ServerEvent, ServerFrame, write_ack, write_frame};

/// One golden file: its path below `tests/golden`, and its one line without the line's end.
struct Golden {
    path: String,
    frame: String,
}

fn golden(side: &str) -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(side);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = format!("{side}/{}", entry.file_name().into_string().unwrap());
            let text = fs::read_to_string(entry.path()).unwrap();
            let frame = text.strip_suffix('\n').unwrap_or(&text).to_owned();
            assert!(!frame.contains('\n'), "{path} is one line");
            Golden { path, frame }
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// The bytes of a frame, as whoever sends it writes them.
fn written(event: &Encoded, seq: Option<u64>, ack: Option<u64>) -> String {
    let mut out = BytesMut::new();
    match (event.name, seq, ack) {
        // An acknowledgement alone has a form of its own, without data.
        ("ack", None, Some(ack)) => write_ack(&mut out, ack),
        (_, seq, ack) => write_frame(&mut out, event, seq, ack),
    }
    String::from_utf8(out.to_vec()).unwrap()
}

/// `user-match.anyone.json` shows `user:match`.
fn assert_named_after(path: &str, event: &str) {
    let file = path.split_once('/').map_or(path, |(_, file)| file);
    let stem = file.split('.').next().unwrap_or_default();
    assert_eq!(stem, event.replace(':', "-"), "{path} is named after its event");
}

fn assert_complete(side: &str, names: &[&str], mut shown: Vec<&str>) {
    shown.sort_unstable();
    shown.dedup();
    let missing: Vec<_> = names.iter().filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "tests/golden/{side} has no frame of {missing:?}");
}

#[test]
fn client_frames_are_read_and_written_back_to_the_same_bytes() {
    let mut shown = Vec::new();
    for Golden { path, frame } in golden("client") {
        let ClientFrame { seq, ack, event } =
            ClientFrame::decode(frame.as_bytes()).unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
        let event = event.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
        assert_named_after(&path, event.name());
        assert_eq!(written(&Encoded::from(&event), seq, ack), frame, "{path}");
        shown.push(event.name());
    }
    assert_complete("client", ClientEvent::NAMES, shown);
}

#[test]
fn server_frames_are_read_and_written_back_to_the_same_bytes() {
    let mut shown = Vec::new();
    for Golden { path, frame } in golden("server") {
        let ServerFrame { seq, ack, event } =
            ServerFrame::decode(frame.as_bytes()).unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
        let event = event.unwrap_or_else(|| panic!("{path} shows no event of ours"));
        assert_named_after(&path, event.name());
        assert_eq!(written(&Encoded::from(&event), seq, ack), frame, "{path}");
        shown.push(event.name());
    }
    assert_complete("server", ServerEvent::NAMES, shown);
}

#[test]
fn the_protocol_page_shows_every_golden_frame_and_no_other() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md")).unwrap();
    // Every line of the page, in a block of JSON or in a transcript behind its arrow.
    let shown: Vec<&str> = page.lines().filter_map(|line| Some(&line[line.find("{\"event\"")?..])).collect();
    let golden: Vec<Golden> = golden("client").into_iter().chain(golden("server")).collect();
    for line in &shown {
        assert!(
            golden.iter().any(|it| it.frame == *line),
            "docs/protocol.md shows a frame that is no golden file: {line}"
        );
    }
    for Golden { path, frame } in &golden {
        assert!(shown.contains(&frame.as_str()), "docs/protocol.md does not show {path}");
    }
}
