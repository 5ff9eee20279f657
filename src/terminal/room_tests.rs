//! What people at a terminal read, and what comes of what they type.

use super::*;
use crate::protocol::{
    About, CallId, CallKind, Cancelled, Complete, ConversationId, Delivered, FileKind, Lost, Matched, MessageOut,
    Offered, Partner, PartnerStatus, Progress, PublicUser, Refusal, Rings, Role, SessionId, Sha256, TransferEnd,
    Unmatched, UserId,
};
use std::time::Duration;

fn room() -> Room {
    room_that_accepts(None)
}

fn room_that_accepts(folder: Option<&str>) -> Room {
    let files = Files::new(SessionId::from_bytes([7; 16]), folder.map(PathBuf::from));
    Room::new("Ann", vec![Door::WebTransport, Door::WebSocket], Door::WebTransport, Wish::default(), files)
}

/// What is shown; anything else as it is written for us.
fn lines(orders: Vec<Order>) -> Vec<String> {
    let line = |order| match order {
        Order::Show(line) => line,
        other => format!("{other:?}"),
    };
    orders.into_iter().map(line).collect()
}

fn news(room: &mut Room, news: News) -> Vec<String> {
    lines(room.hear(news).unwrap())
}

fn heard(room: &mut Room, event: ServerEvent) -> Vec<String> {
    news(room, News::Heard(event))
}

fn meet(room: &mut Room, name: &str) -> Vec<String> {
    let user = PublicUser { id: UserId::from_bytes([1; 12]), username: name.to_owned(), guest: true };
    heard(
        room,
        ServerEvent::Matched(Matched {
            conversation: ConversationId::from_bytes([1; 16]),
            matched_user: Partner { user, place: None },
            role: Role::Polite,
            common: vec!["jazz".to_owned()],
            call: None,
            status: None,
        }),
    )
}

fn message(content: &str) -> ServerEvent {
    ServerEvent::Message(MessageOut {
        id: MessageId::new("m").unwrap(),
        from: UserId::from_bytes([1; 12]),
        kind: MessageKind::Text,
        content: content.to_owned(),
        timestamp: 0,
        sent: None,
    })
}

#[test]
fn a_talk_from_looking_to_the_end() {
    let mut room = room();
    assert_eq!(lines(room.typed("hello?")), [NOBODY]);
    let Order::Say(ClientEvent::Match(wish)) = &room.typed("/find jazz, rust")[0] else { panic!() };
    assert_eq!(wish.interests, ["jazz", "rust"]);
    assert_eq!(meet(&mut room, "Ben"), ["* You are talking with Ben. You both like jazz."]);
    assert_eq!(room.prompt(), "[WebTransport] Ben > ");
    let orders = room.typed("hello");
    assert!(matches!(&orders[0], Order::Say(ClientEvent::Message(message)) if message.content == "hello"));
    assert!(matches!(&orders[1], Order::Show(line) if line == "you: hello"));
    assert_eq!(room.prompt(), "[WebTransport] Ben 1 on the way > ");
    assert_eq!(heard(&mut room, message("hi")), ["Ben: hi"]);
    heard(&mut room, ServerEvent::Delivered(Delivered { id: MessageId::new("t1").unwrap() }));
    assert_eq!(room.prompt(), "[WebTransport] Ben \u{2713}\u{2713} > ");
    heard(&mut room, ServerEvent::Status(PartnerStatus { status: Presence::Reconnecting }));
    assert!(room.prompt().contains("Ben (reconnecting)"));
    heard(&mut room, ServerEvent::Status(PartnerStatus { status: Presence::Away }));
    assert!(room.prompt().contains("Ben (away)"));
    for (typed, says) in [("/away", Attention::Away), ("/back", Attention::Online)] {
        let Order::Say(ClientEvent::Presence(own)) = &room.typed(typed)[0] else { panic!("{typed}") };
        assert_eq!(own.status, says);
    }
    let unmatched = Unmatched { conversation: ConversationId::from_bytes([1; 16]), reason: Ending::Left };
    assert_eq!(heard(&mut room, ServerEvent::Unmatched(unmatched)), ["* They left. /find looks for someone else."]);
    assert_eq!(room.prompt(), "[WebTransport] nobody > ");
}

#[test]
fn the_links_life_is_shown() {
    let mut room = room();
    room.hear(News::RoundTrip(Duration::from_micros(300))).unwrap();
    assert_eq!(room.prompt(), "[WebTransport 1 ms] nobody > ");
    room.hear(News::Unlinked { why: "cut".into() }).unwrap();
    assert_eq!(room.prompt(), "[reconnecting] nobody > ");
    let moved = News::Linked { door: Door::WebSocket, was: Some(Door::WebTransport), gap: Duration::ZERO };
    assert_eq!(news(&mut room, moved), ["* Moved to WebSocket. Nothing is lost."]);
    meet(&mut room, "Ben");
    let before = room.prompt();
    assert_eq!(news(&mut room, News::GoesOn), ["* Back. Your conversation goes on."]);
    assert_eq!(room.prompt(), before);
    assert_eq!(news(&mut room, News::Anew(Some(Lost::Expired))).len(), 1);
    assert_eq!(room.prompt(), "[WebSocket] nobody > ");
    assert!(matches!(&room.typed("/door websocket")[..], [Order::Doors(doors)] if doors[..] == [Door::WebSocket]));
    assert!(matches!(&room.typed("/door auto")[..], [Order::Doors(doors)] if doors.len() == 2));
    assert!(matches!(&room.typed("/door moon")[..], [Order::Show(_)]));
}

#[test]
fn nothing_that_others_write_reaches_the_terminal_raw() {
    let mut room = room();
    let lines = meet(&mut room, "Mal\x1b[2J\u{202e}lory");
    assert!(lines[0].contains("Mal\u{fffd}[2J\u{fffd}lory"), "{lines:?}");
    for attack in ["\x1b]0;title\x07", "\u{9b}31m", "\r\n> root", "a\u{2066}b", "\x08\x7f"] {
        let lines = heard(&mut room, message(attack));
        assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{lines:?}");
    }
}

fn offered(id: &str, name: &str) -> Offered {
    Offered {
        transfer: TransferId::new(id).unwrap(),
        from: UserId::from_bytes([1; 12]),
        kind: FileKind::File,
        name: name.to_owned(),
        size: Some(1_234_567),
        mime: "image/png".to_owned(),
        duration_ms: None,
        sha256: None,
        link: String::new(),
        timestamp: 0,
    }
}

fn offer(room: &mut Room, id: &str, name: &str) -> Vec<String> {
    heard(room, ServerEvent::Offer(offered(id, name)))
}

/// Sends a file of 1000 bytes; yields its id.
fn send(room: &mut Room) -> TransferId {
    let mut orders = room.files.offer(File::new("a.txt", "text/plain", vec![b'a'; 1000]));
    assert_eq!(lines(orders.split_off(1)), ["* Sending a.txt (1.0 kB)\u{2026}"]);
    let Some(Order::Offer(id, _)) = orders.pop() else { panic!() };
    id
}

#[test]
fn a_file_of_ours_from_the_offer_to_the_end() {
    let mut room = room();
    assert_eq!(lines(room.typed("/send a.txt")), [NOBODY]);
    meet(&mut room, "Ben");
    assert!(lines(room.typed("/send"))[0].contains("Which file?"));
    for (typed, wanted, kind) in [
        ("/send a b.txt", "a b.txt", FileKind::File),
        ("/send 'a b.txt'", "a b.txt", FileKind::File),
        ("/voice \"a\"", "a", FileKind::Voice),
    ] {
        let [Order::Read(path, as_what)] = &room.typed(typed)[..] else { panic!("{typed}") };
        assert_eq!((path.to_str(), *as_what), (Some(wanted), kind));
    }
    let id = send(&mut room);
    assert_eq!(heard(&mut room, ServerEvent::Accept(About { transfer: id.clone() })), ["* They want a.txt."]);
    let mut told = Vec::new();
    for received in [100, 250, 260, 800, 760, 1000] {
        told.extend(heard(&mut room, ServerEvent::Progress(Progress { transfer: id.clone(), received })));
    }
    assert_eq!(told, ["* a.txt: 25 %", "* a.txt: 75 %"]);
    let complete = Complete { transfer: id.clone(), size: 1000, sha256: Sha256::from_bytes([0; 32]) };
    assert_eq!(heard(&mut room, ServerEvent::Complete(complete)), ["* They have a.txt."]);
    assert_eq!(lines(room.typed("/cancel")), ["There is nothing to cancel."]);

    let id = send(&mut room);
    assert_eq!(heard(&mut room, ServerEvent::Reject(About { transfer: id })), ["* They do not want a.txt."]);
    let id = send(&mut room);
    let stalled = Cancelled::new(id, TransferEnd::Stalled);
    let words = heard(&mut room, ServerEvent::Cancel(stalled));
    assert_eq!(words, ["* a.txt did not get there. Nothing moved for too long."]);
    let id = send(&mut room);
    let refusal = Refusal::new(ErrorCode::TypeNotAllowed, "Not here.").of("file:offer").with_id(id.as_str());
    assert_eq!(heard(&mut room, ServerEvent::Error(refusal)), ["* a.txt was not sent. Not here."]);
    let id = send(&mut room);
    let orders = room.typed("/cancel");
    assert!(matches!(&orders[0], Order::CallOff(off) if *off == id));
    assert_eq!(lines(orders)[1], "You called off a.txt.");
    send(&mut room);
    let unmatched = Unmatched { conversation: ConversationId::from_bytes([1; 16]), reason: Ending::Left };
    let words = heard(&mut room, ServerEvent::Unmatched(unmatched));
    assert_eq!(words[0], "* a.txt did not arrive: the talk is over.");
}

#[test]
fn files_of_theirs_are_taken_or_not_by_number_or_alone() {
    let mut room = room();
    meet(&mut room, "Ben");
    assert_eq!(lines(room.typed("/accept")), ["There is nothing to accept."]);
    let words = offer(&mut room, "a", "a\u{1b}[2J.png");
    assert_eq!(words, ["* They offer a\u{fffd}[2J.png (1.2 MB, image/png). /accept or /reject"]);
    assert!(lines(room.typed("/accept no/where"))[0].contains("There is no folder"));
    assert!(offer(&mut room, "b", "b.png")[0].ends_with("/accept 2 or /reject 2"));
    let words = lines(room.typed("/accept"));
    assert_eq!(words, ["Which one? /accept 1 for a\u{fffd}[2J.png, /accept 2 for b.png."]);
    assert!(matches!(&room.typed("/reject 1")[..], [Order::Reject(id), Order::Show(_)] if id.as_str() == "a"));
    assert!(matches!(&room.typed("/accept 2 mine.png")[..], [Order::Accept(id)] if id.as_str() == "b"));
    let orders = room.hear(News::Received(Box::new(offered("b", "b.png")), Bytes::from_static(b"b"))).unwrap();
    let [Order::Save(place, name, bytes)] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!((place.to_str(), name.as_str(), &bytes[..]), (Some("mine.png"), "b.png", &b"b"[..]));
    offer(&mut room, "c", "c.png");
    let gone = Cancelled::new(TransferId::new("c").unwrap(), TransferEnd::Cancelled);
    assert_eq!(heard(&mut room, ServerEvent::Cancel(gone)), ["* They called off c.png."]);

    let mut room = room_that_accepts(Some("in/here"));
    meet(&mut room, "Ben");
    let orders = room.hear(News::Heard(ServerEvent::Offer(offered("d", "d.png")))).unwrap();
    assert!(matches!(&orders[0], Order::Accept(id) if id.as_str() == "d"));
    let orders = room.hear(News::Received(Box::new(offered("d", "d.png")), Bytes::from_static(b"d"))).unwrap();
    assert!(matches!(&orders[..], [Order::Save(place, ..)] if place.to_str() == Some("in/here")));
}

#[test]
fn a_call_is_declined_and_told() {
    let mut room = room();
    meet(&mut room, "Ben");
    let rings = Rings { call: CallId::new("c").unwrap(), kind: CallKind::Audio, relay: false, ring_ms: 45_000 };
    let orders = room.hear(News::Heard(ServerEvent::Rings(rings))).unwrap();
    let [Order::Say(ClientEvent::DeclineCall(decline)), Order::Show(words)] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!((decline.call.as_str(), words.starts_with("* They called.")), ("c", true));
}
