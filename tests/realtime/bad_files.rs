//! Files that are not what they are said to be, and people who do not play by the rules: each ends
//! with a stable code on both sides, gives back what it held, and leaves the talk alone.

use std::time::Duration;

use bytes::Bytes;
use duologue::client::{Client, File, sha256};
use duologue::hub::Door;
use duologue::protocol::{
    About, ChunkHeader, ClientEvent, Complete, FileKind, Offer, Progress, ServerEvent, Sha256, TransferId,
};
use serde_json::json;

use crate::files::{collected, file, noise};
use crate::world::*;

over_every_pair_of_doors! {
    what_is_not_as_it_was_said_ends_for_both,
    bytes_that_belong_nowhere_are_refused,
    whoever_stands_still_is_not_waited_for,
}

over_every_door! {
    what_may_not_be_offered_is_refused,
    offers_are_limited,
}

fn id(name: &str) -> TransferId {
    TransferId::new(name).unwrap()
}

/// A row of the table: what is offered, what is sent, and what comes of it.
struct Bad {
    name: &'static str,
    offer: Offer,
    bytes: Bytes,
    /// What is claimed at the end, if it comes to that.
    claim: (u64, Sha256),
    code: &'static str,
}

impl Bad {
    fn new(name: &'static str, code: &'static str, file: &File) -> Self {
        let claim = (file.bytes.len() as u64, sha256(&file.bytes));
        Self { name, offer: file.offer(id(name)), bytes: file.bytes.clone(), claim, code }
    }

    fn claims(mut self, size: u64) -> Self {
        self.offer.size = size;
        self
    }
}

/// One second of silence has 8,000 bytes.
fn wav(seconds: u32) -> Bytes {
    let data = seconds * 8_000;
    let mut wav = Vec::from(*b"RIFF");
    wav.extend_from_slice(&(36 + data).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&8_000_u32.to_le_bytes());
    wav.extend_from_slice(&8_000_u32.to_le_bytes());
    wav.extend_from_slice(b"\x01\0\x08\0data");
    wav.extend_from_slice(&data.to_le_bytes());
    wav.resize(wav.len() + data as usize, 128);
    wav.into()
}

fn voice(mime: &str, bytes: impl Into<Bytes>, claimed: Duration) -> File {
    let duration_ms = Some(u64::try_from(claimed.as_millis()).unwrap());
    File { kind: FileKind::Voice, duration_ms, ..File::new("note", mime, bytes) }
}

fn table() -> Vec<Bad> {
    let page = Bytes::from_static(b"<!doctype html><script>alert(1)</script>");
    let page: Bytes = page.iter().copied().chain(noise(20_000)).collect();
    let webm: &[u8] = include_bytes!("../media/chromium.webm");
    // All of its head, and no sound.
    let cluster = webm.windows(4).position(|four| four == [0x1f, 0x43, 0xb6, 0x75]).unwrap();
    let minute = Duration::from_secs(60);
    let mut wrong = Bad::new("another hash", "hash-mismatch", &file(50_000));
    wrong.claim.1 = sha256(b"something else");
    let mut short = Bad::new("less claimed at the end", "size-mismatch", &file(50_000));
    short.claim.0 -= 1;
    vec![
        Bad::new("more than offered", "size-mismatch", &file(50_000)).claims(40_000),
        Bad::new("less than offered", "size-mismatch", &file(50_000)).claims(60_000),
        short,
        wrong,
        Bad::new("a page as a picture", "type-mismatch", &File::new("cat.png", "image/png", page.clone())),
        Bad::new("a page as text", "type-mismatch", &File::new("notes.txt", "text/plain", page.clone())),
        Bad::new("a page as anything", "type-not-allowed", &File::new("x.bin", "application/octet-stream", page)),
        Bad::new("noise as a picture", "type-mismatch", &File::new("cat.png", "image/png", noise(20_000))),
        Bad::new("two minutes as one", "voice-mismatch", &voice("audio/wav", wav(120), minute)),
        Bad::new("six minutes as one", "voice-too-long", &voice("audio/wav", wav(360), minute)),
        Bad::new("no sound in it", "voice-unreadable", &voice("audio/webm", webm[..cluster].to_vec(), minute)),
        Bad::new("noise as a note", "type-mismatch", &voice("audio/ogg", noise(20_000), minute)),
        Bad::new("six minutes, no claim", "voice-too-long", &{
            File { duration_ms: None, ..voice("audio/wav", wav(360), minute) }
        }),
    ]
}

async fn what_is_not_as_it_was_said_ends_for_both(doors: [Door; 2]) {
    let world = World::with(&[("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "100000")]).await;
    let (mut one, mut other) = world.pair(doors).await;
    for bad in table() {
        let name = bad.name;
        let sending = async {
            one.send(&ClientEvent::Offer(bad.offer.clone())).await.unwrap();
            expect(&mut one, "file:accept").await;
            // As far as the window goes, the receiver acknowledging: a client that does not stop by itself.
            let mut acked = 0;
            let mut offset = 0;
            for chunk in bad.bytes.chunks(16 * 1024) {
                while offset + chunk.len() as u64 > acked + 196_608 {
                    match next(&mut one).await {
                        ServerEvent::Progress(progress) => acked = progress.received,
                        ServerEvent::Cancel(cancelled) => return cancelled,
                        event => panic!("{name}: {event:?}"),
                    }
                }
                let header = ChunkHeader { transfer: id(name), offset };
                offset += chunk.len() as u64;
                let last = offset == bad.bytes.len() as u64;
                one.wire().send_bytes(&header, Bytes::copy_from_slice(chunk), last).await.unwrap();
            }
            let (size, sha256) = bad.claim;
            one.send(&ClientEvent::Complete(Complete { transfer: id(name), size, sha256 })).await.unwrap();
            loop {
                match next(&mut one).await {
                    ServerEvent::Progress(_) => {}
                    ServerEvent::Cancel(cancelled) => return cancelled,
                    event => panic!("{name}: {event:?}"),
                }
            }
        };
        let receiving = async {
            let ServerEvent::Offer(offered) = expect(&mut other, "file:offer").await else { unreachable!() };
            other.accept(&offered.transfer).await.unwrap();
            match next(&mut other).await {
                ServerEvent::Cancel(cancelled) => cancelled,
                event => panic!("{name}: {event:?}"),
            }
        };
        let (sender, receiver) = tokio::join!(sending, receiving);
        assert_eq!((sender.transfer.as_str(), sender.code.name()), (name, bad.code), "{name}");
        assert_eq!(receiver, sender, "{name}: both hear the same");
        // What comes late for it is refused at most once, and the talk goes on.
        one.send(&message(name, "still here")).await.unwrap();
        until(&mut other, "chat:message").await;
        until(&mut one, "chat:delivered").await;
        assert_eq!(world.stats().await["transfers"], json!({"offered": 0, "moving": 0, "reservedBytes": 0}), "{name}");
    }
    world.stop().await;
}

async fn bytes_that_belong_nowhere_are_refused(doors: [Door; 2]) {
    let world = World::with(&[("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "100000")]).await;
    let (mut one, mut other) = world.pair(doors).await;
    let send = async |client: &mut Client, name: &str, offset: u64, bytes: usize| {
        let header = ChunkHeader { transfer: id(name), offset };
        client.wire().send_bytes(&header, noise(bytes), false).await.unwrap();
    };
    // Each a message, or a stream, of its own.
    let stray = async |client: &mut Client, name: &str, offset: u64| {
        let mut bytes = bytes::BytesMut::new();
        ChunkHeader { transfer: id(name), offset }.write(&mut bytes);
        bytes.extend_from_slice(&noise(100));
        client.wire().send_binary(bytes.freeze()).await.unwrap();
    };
    let refusal = async |client: &mut Client| match until(client, "error").await {
        ServerEvent::Error(refusal) => {
            assert_eq!(refusal.event.as_deref(), Some("file:chunk"));
            (serde_json::to_value(refusal.code).unwrap(), refusal.id.unwrap())
        }
        other => unreachable!("{other:?}"),
    };

    stray(&mut one, "never offered", 0).await;
    assert_eq!(refusal(&mut one).await, (json!("transfer-unknown"), "never offered".into()));

    // Offered, and not accepted.
    one.send(&ClientEvent::Offer(file(100_000).offer(id("early")))).await.unwrap();
    expect(&mut other, "file:offer").await;
    stray(&mut one, "early", 0).await;
    assert_eq!(refusal(&mut one).await, (json!("transfer-unknown"), "early".into()));
    // Of the partner's.
    stray(&mut other, "early", 0).await;
    assert_eq!(refusal(&mut other).await, (json!("transfer-unknown"), "early".into()));

    // A part is missing.
    other.accept(&id("early")).await.unwrap();
    expect(&mut one, "file:accept").await;
    stray(&mut one, "early", 50_000).await;
    for client in [&mut one, &mut other] {
        let ServerEvent::Cancel(cancelled) = until(client, "file:cancel").await else { unreachable!() };
        assert_eq!(cancelled.code.name(), "offset-mismatch");
    }
    // It is over; that is said once.
    for _ in 0..3 {
        stray(&mut one, "early", 0).await;
    }
    assert_eq!(refusal(&mut one).await, (json!("transfer-over"), "early".into()));
    stray(&mut one, "what was that", 0).await;
    assert_eq!(refusal(&mut one).await, (json!("transfer-unknown"), "what was that".into()), "and nothing between");

    // More than the window lets pass, though nothing was acknowledged.
    one.send(&ClientEvent::Offer(file(1_000_000).offer(id("flood")))).await.unwrap();
    expect(&mut other, "file:offer").await;
    let accept = ClientEvent::Accept(About { transfer: id("flood") });
    other.send(&accept).await.unwrap();
    expect(&mut one, "file:accept").await;
    if doors[0] == Door::WebSocket {
        for index in 0..13 {
            send(&mut one, "flood", index * 16_384, 16_384).await;
        }
        let ServerEvent::Cancel(cancelled) = until(&mut one, "file:cancel").await else { unreachable!() };
        assert_eq!(cancelled.code.name(), "credit-exceeded");
    } else {
        // Flow control stops a stream by itself; what can be tried is to bring the bytes twice.
        send(&mut one, "flood", 0, 16_384).await;
        // Once they are there, they are being brought.
        let there = async {
            while other.has(&id("flood")) == 0 {
                let _ = other.next(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(WAIT, there).await.expect("the bytes come");
        stray(&mut one, "flood", 0).await;
        assert_eq!(refusal(&mut one).await, (json!("transfer-busy"), "flood".into()));
        // Reset in the middle.
        one.wire().abort_bytes(&id("flood"));
        let ServerEvent::Cancel(cancelled) = until(&mut one, "file:cancel").await else { unreachable!() };
        assert_eq!(cancelled.code.name(), "cancelled");
    }
    until(&mut other, "file:cancel").await;

    // More acknowledged than was sent.
    one.send(&ClientEvent::Offer(file(1_000_000).offer(id("boast")))).await.unwrap();
    until(&mut other, "file:offer").await;
    other.send(&ClientEvent::Accept(About { transfer: id("boast") })).await.unwrap();
    until(&mut one, "file:accept").await;
    let boast = Progress { transfer: id("boast"), received: 999_999 };
    other.send(&ClientEvent::Progress(boast)).await.unwrap();
    for client in [&mut one, &mut other] {
        let ServerEvent::Cancel(cancelled) = until(client, "file:cancel").await else { unreachable!() };
        assert_eq!(cancelled.code.name(), "offset-mismatch");
    }
    one.send(&message("m", "still here")).await.unwrap();
    until(&mut other, "chat:message").await;
    assert_eq!(world.stats().await["transfers"], json!({"offered": 0, "moving": 0, "reservedBytes": 0}));
    world.stop().await;
}

async fn whoever_stands_still_is_not_waited_for(doors: [Door; 2]) {
    let settings = [("DUOLOGUE_FILES_STALL_MS", "700"), ("DUOLOGUE_FILES_OFFER_MS", "400")];
    let world = World::with(&settings).await;
    let (mut one, mut other) = world.pair(doors).await;
    let ended = async |client: &mut Client| match until(client, "file:cancel").await {
        ServerEvent::Cancel(cancelled) => cancelled.code.name(),
        other => unreachable!("{other:?}"),
    };
    one.send(&ClientEvent::Offer(file(1_000).offer(id("unanswered")))).await.unwrap();
    assert_eq!([ended(&mut one).await, ended(&mut other).await], ["unanswered"; 2]);

    // The sender stops.
    one.send(&ClientEvent::Offer(file(100_000).offer(id("stops")))).await.unwrap();
    until(&mut other, "file:offer").await;
    other.accept(&id("stops")).await.unwrap();
    until(&mut one, "file:accept").await;
    let header = ChunkHeader { transfer: id("stops"), offset: 0 };
    one.wire().send_bytes(&header, noise(20_000), false).await.unwrap();
    assert_eq!([ended(&mut other).await, ended(&mut one).await], ["stalled"; 2]);

    // The receiver never reads.
    one.offer("unread", &file(1_000_000)).await.unwrap();
    until(&mut other, "file:offer").await;
    other.send(&ClientEvent::Accept(About { transfer: id("unread") })).await.unwrap();
    assert_eq!([ended(&mut one).await, ended(&mut other).await], ["stalled"; 2]);

    // Without a link nobody stands still: the time begins when both are there.
    let quick = [("DUOLOGUE_FILES_STALL_MS", "700")];
    drop((one, other));
    world.stop().await;
    let world = World::with(&quick).await;
    let (mut one, mut other) = world.pair(doors).await;
    let file = file(400_000);
    one.offer("waits", &file).await.unwrap();
    let ServerEvent::Offer(offered) = until(&mut other, "file:offer").await else { unreachable!() };
    other.accept(&offered.transfer).await.unwrap();
    other.cut();
    // It must notice; then nothing ends it for longer than the stall.
    until(&mut one, "user:status").await;
    let quiet = tokio::time::Instant::now() + Duration::from_millis(1_500);
    while let Ok(event) = one.next(quiet.saturating_duration_since(tokio::time::Instant::now())).await {
        assert_ne!(event.name(), "file:cancel");
    }
    other.resume(doors[1]).await.unwrap();
    let sending = async { until(&mut one, "file:complete").await };
    let (_, bytes) = tokio::join!(sending, collected(&mut other));
    assert_eq!(bytes, file.bytes);
    world.stop().await;
}

async fn what_may_not_be_offered_is_refused(door: Door) {
    let world = World::with(&[("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "100000")]).await;
    let (mut one, mut other) = world.pair([door, Door::WebSocket]).await;
    let plain = |size| Offer { size, ..file(1).offer(id("t")) };
    let typed = |mime: &str| Offer { mime: mime.to_owned(), ..plain(10) };
    let note = |mime: &str, claimed: u64| Offer { kind: FileKind::Voice, duration_ms: Some(claimed), ..typed(mime) };
    let table = [
        (plain(0), "file-empty"),
        (plain(10_485_761), "file-too-big"),
        (typed("image/svg+xml"), "type-not-allowed"),
        (typed("text/html"), "type-not-allowed"),
        (typed("application/x-msdownload"), "type-not-allowed"),
        (typed("nonsense"), "invalid-data"),
        (note("audio/webm", 301_000), "voice-too-long"),
        (note("image/png", 1_000), "type-not-allowed"),
        (Offer { name: "n".repeat(1_025), ..plain(10) }, "invalid-data"),
    ];
    for (offer, code) in table {
        one.send(&ClientEvent::Offer(offer.clone())).await.unwrap();
        assert_eq!(refused(&mut one).await, (code.into(), Some("t".into())), "{offer:?}");
    }
    // Nobody there.
    let mut alone = world.client(door).await;
    alone.send(&ClientEvent::Offer(plain(10))).await.unwrap();
    assert_eq!(refused(&mut alone).await, ("no-conversation".into(), Some("t".into())));

    // Names arrive without their tricks.
    let names = [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.png", "photo.png"),
        ("harmless\u{202e}gnp.exe", "harmlessgnp.exe"),
        ("a\u{0}b\u{7f}c.txt", "abc.txt"),
        ("", "file"),
    ];
    for (index, (name, clean)) in names.into_iter().enumerate() {
        let transfer = id(&format!("name-{index}"));
        one.send(&ClientEvent::Offer(Offer { name: name.to_owned(), ..file(10).offer(transfer.clone()) }))
            .await
            .unwrap();
        let ServerEvent::Offer(offered) = until(&mut other, "file:offer").await else { unreachable!() };
        assert_eq!(offered.name, clean, "{name:?}");
        // Foreign and unknown ones cannot be answered.
        one.send(&ClientEvent::Accept(About { transfer: transfer.clone() })).await.unwrap();
        assert_eq!(refused(&mut one).await.0, "transfer-unknown", "one's own offer");
        other.send(&ClientEvent::Reject(About { transfer: transfer.clone() })).await.unwrap();
        expect(&mut one, "file:reject").await;
        other.send(&ClientEvent::Accept(About { transfer })).await.unwrap();
        assert_eq!(refused(&mut other).await.0, "transfer-unknown", "answered already");
    }
    world.stop().await;
}

async fn offers_are_limited(door: Door) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair([door, Door::WebTransport]).await;
    for index in 0..100 {
        one.send(&ClientEvent::Offer(file(10).offer(id(&format!("t{index}"))))).await.unwrap();
    }
    let mut codes = std::collections::BTreeMap::new();
    for _ in 0..96 {
        *codes.entry(refused(&mut one).await.0).or_insert(0) += 1;
    }
    assert_eq!(codes.values().sum::<i32>(), 96, "all but four: {codes:?}");
    assert!(codes["transfer-limit"] > 0 && codes.keys().all(|code| ["transfer-limit", "too-fast"].contains(&&**code)));
    for index in 0..4 {
        let ServerEvent::Offer(offered) = expect(&mut other, "file:offer").await else { unreachable!() };
        assert_eq!(offered.transfer.as_str(), format!("t{index}"));
    }
    // The same name again, by either side.
    other.send(&ClientEvent::Offer(file(10).offer(id("t1")))).await.unwrap();
    assert_eq!(refused(&mut other).await, ("transfer-exists".into(), Some("t1".into())));
    // The talk's end takes them along.
    other.send(&leave()).await.unwrap();
    until(&mut one, "user:unmatched").await;
    assert_eq!(world.stats().await["transfers"], json!({"offered": 0, "moving": 0, "reservedBytes": 0}));
    world.stop().await;
}
