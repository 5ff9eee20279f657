//! What a bad client gets: a stable code and a sentence; its partner notices nothing.

use duologue::client::{self, Client, Wire};
use duologue::hub::Door;
use duologue::protocol::ServerEvent;
use serde_json::json;

use crate::world::*;

over_every_door! {
    a_refused_event_leaves_the_session_and_the_partner_alone,
    what_breaks_the_protocol_closes_the_link,
    a_bad_first_frame_is_told_why,
    a_bad_token_is_told_why,
    a_late_hello_is_closed,
    a_foreign_origin_is_closed,
    too_many_events_are_refused_with_the_time_to_wait,
    a_flood_is_closed_and_hears_why,
}

async fn a_refused_event_leaves_the_session_and_the_partner_alone(door: Door) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair([door, Door::WebSocket]).await;
    let long = "x".repeat(8 * 1024 + 1);
    // Each with the number it should have, if any; what has a number has been received.
    let table = [
        ("{".to_owned(), "malformed-frame"),
        ("[]".to_owned(), "malformed-frame"),
        (json!({"event": "no:such", "seq": 2}).to_string(), "unknown-event"),
        (json!({"event": "chat:clear", "data": {"x": 1}, "seq": 3}).to_string(), "invalid-data"),
        (json!({"event": "chat:clear", "data": {}, "seq": 4, "x": 1}).to_string(), "invalid-data"),
        (json!({"event": "chat:message", "data": {"id": "a", "type": "text", "content": 7}, "seq": 5}).to_string(), "invalid-data"),
        (json!({"event": "chat:message", "data": {"id": "a", "type": "text", "content": {"$gt": ""}}, "seq": 6}).to_string(), "invalid-data"),
        (json!({"event": "chat:message", "data": {"id": "a", "type": "text", "content": long}, "seq": 7}).to_string(), "text-too-long"),
        (json!({"event": "chat:message", "data": {"id": "a", "type": "text", "content": "x"}}).to_string(), "seq-missing"),
        (json!({"event": "user:match", "data": {}, "seq": 8}).to_string(), "already-talking"),
        (json!({"event": "user:match:cancel", "seq": 9}).to_string(), "not-waiting"),
        (json!({"event": "connection:hello", "data": {"protocol": 1, "token": "x", "client": {"name": "x", "version": "1"}}}).to_string(), "already-established"),
    ];
    for (frame, code) in table {
        one.wire().send(frame.clone().into()).await.unwrap();
        assert_eq!(raw_refusal(&mut one).await, code, "{frame}");
    }
    one.wire()
        .send(
            json!({"event": "chat:message", "data": {"id": "m", "type": "text", "content": "still here"}, "seq": 10})
                .to_string()
                .into(),
        )
        .await
        .unwrap();
    assert_eq!(hear(&mut other).await, ("m".into(), "still here".into()), "and nothing came before it");
    if door == Door::WebSocket {
        one.wire().send_binary(vec![1, 2, 3].into()).await.unwrap();
        assert_eq!(raw_refusal(&mut one).await, "chunk-malformed");
    } else {
        // A stray stream is stopped; datagrams carry volatile events only.
        one.wire().send_binary(vec![1; 100_000].into()).await.unwrap();
        assert_eq!(raw_refusal(&mut one).await, "chunk-malformed");
        one.wire().send_volatile(r#"{"event":"chat:clear","data":{}}"#.into()).await.unwrap();
        assert_eq!(raw_refusal(&mut one).await, "invalid-data");
    }
    world.stop().await;
}

/// The code of the next refusal, read off the wire: these frames were numbered by hand.
async fn raw_refusal(client: &mut Client) -> String {
    loop {
        let frame = tokio::time::timeout(WAIT, client.wire().recv()).await.expect("an answer").unwrap();
        if let Some(ServerEvent::Error(refusal)) = frame.event {
            assert!(refusal.message.len() > 10, "a sentence: {refusal:?}");
            return serde_json::to_value(refusal.code).unwrap().as_str().unwrap().to_owned();
        }
    }
}

async fn what_breaks_the_protocol_closes_the_link(door: Door) {
    let world = World::new().await;
    let gap = r#"{"event":"chat:clear","data":{},"seq":7}"#.to_owned();
    let ack = r#"{"event":"ack","ack":99}"#.to_owned();
    // Of a length over the limit no more than its prefix is read on a stream; a message comes whole.
    let huge = "x".repeat(if door == Door::WebSocket { 3_000_000 } else { 70_000 });
    let big = format!(r#"{{"event":"x","data":"{}"}}"#, "x".repeat(64 * 1024));
    for (frame, code) in [(gap, 4400), (ack, 4400), (big, 4413), (huge, 4413)] {
        let (mut bad, mut partner) = world.pair([door, Door::WebSocket]).await;
        bad.wire().send(frame.into()).await.unwrap();
        assert_eq!(closed(&mut bad).await, code);
        let ServerEvent::Unmatched(_) = expect(&mut partner, "user:unmatched").await else { unreachable!() };
    }
    world.stop().await;
}

/// Opens a link, says this first, and yields the code it is closed with.
async fn first_words(world: &World, door: Door, words: String) -> u16 {
    let mut wire = Wire::open(&world.target().await, door).await.unwrap();
    wire.send(words.into()).await.unwrap();
    let mut said = None;
    loop {
        match tokio::time::timeout(WAIT, wire.recv()).await.expect("closed in time") {
            Ok(frame) => match frame.event {
                Some(ServerEvent::Closing(closing)) => said = Some(closing),
                other => panic!("{other:?}"),
            },
            Err(client::Error::Ended(client::Ended::Code(code))) => {
                let said = said.expect("connection:closing comes first");
                assert_eq!(said.code, code);
                assert!(said.message.len() > 10, "{said:?}");
                return code;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn a_bad_first_frame_is_told_why(door: Door) {
    let world = World::new().await;
    let token = world.token().await;
    let client = json!({"name": "x", "version": "1"});
    for (frame, code) in [
        ("no json".to_owned(), 4400),
        (json!({"event": "user:match", "data": {}, "seq": 1}).to_string(), 4400),
        (
            json!({"event": "connection:hello", "data": {"protocol": 2, "token": token, "client": client}}).to_string(),
            4400,
        ),
        (json!({"event": "connection:hello", "data": {"protocol": 1, "token": token}}).to_string(), 4400),
        (
            json!({"event": "connection:hello", "data": {"protocol": 1, "token": token, "client": client, "x": 1}})
                .to_string(),
            4400,
        ),
        ("x".repeat(64 * 1024 + 1), 4413),
    ] {
        assert_eq!(first_words(&world, door, frame.clone()).await, code, "{:.80}", frame);
    }
    world.stop().await;
}

async fn a_bad_token_is_told_why(door: Door) {
    let world = World::new().await;
    let good = world.token().await;
    let forged = format!("{}x", &good[..good.len() - 1]);
    for token in ["", "nonsense", &forged] {
        let hello = json!({"event": "connection:hello", "data": {"protocol": 1, "token": token, "client": {"name": "x", "version": "1"}}});
        assert_eq!(first_words(&world, door, hello.to_string()).await, 4401, "{token}");
    }
    world.stop().await;
}

async fn a_late_hello_is_closed(door: Door) {
    let world = World::with(&[("DUOLOGUE_SESSION_HELLO_TIMEOUT_MS", "300")]).await;
    let mut wire = Wire::open(&world.target().await, door).await.unwrap();
    if door == Door::WebTransport {
        // A stream that nothing was written on does not exist for the other side: a length alone.
        wire.send_partial(&[0, 0]).await.unwrap();
    }
    let frame = tokio::time::timeout(WAIT, wire.recv()).await.unwrap().unwrap();
    let Some(ServerEvent::Closing(closing)) = frame.event else { panic!("{frame:?}") };
    assert_eq!(closing.code, 4408);
    world.stop().await;
}

async fn a_foreign_origin_is_closed(door: Door) {
    let world = World::new().await;
    for (origin, allowed) in [
        ("https://evil.example", false),
        ("http://localhost.evil.example", false),
        ("null", false),
        ("http://localhost:5173", true),
    ] {
        let mut target = world.target().await;
        target.origin = Some(origin.to_owned());
        match Client::connect(&target, door, &world.token().await, None).await {
            Ok(_) => assert!(allowed, "{origin} was let in"),
            Err(client::Error::Closing(closing)) => assert_eq!((closing.code, allowed), (4403, false), "{origin}"),
            Err(error) => panic!("{origin}: {error}"),
        }
    }
    world.stop().await;
}

async fn too_many_events_are_refused_with_the_time_to_wait(door: Door) {
    let world = World::with(&[("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "10")]).await;
    let (mut one, mut other) = world.pair([door, Door::WebSocket]).await;
    for index in 0..12 {
        one.send(&message(&format!("m{index}"), "x")).await.unwrap();
    }
    let mut refused = Vec::new();
    let mut told = 0;
    while told + refused.len() < 12 {
        match next(&mut one).await {
            ServerEvent::Delivered(_) => told += 1,
            ServerEvent::Error(refusal) => {
                assert_eq!(serde_json::to_value(refusal.code).unwrap(), "too-fast");
                assert!(refusal.retry_after_ms.is_some_and(|wait| (1..=6_000).contains(&wait)), "{refusal:?}");
                refused.push(refusal.id.unwrap());
            }
            event => panic!("{event:?}"),
        }
        while other.next(std::time::Duration::from_millis(1)).await.is_ok() {}
    }
    // The tenth event was the ninth message: looking for a partner counts too.
    assert_eq!(refused, ["m9", "m10", "m11"]);
    world.stop().await;
}

async fn a_flood_is_closed_and_hears_why(door: Door) {
    let world = World::new().await;
    for frame in [r#"{"event":"nope"}"#, "{", r#"{"event":"user:match:cancel"}"#] {
        let mut client = world.client(door).await;
        // Errors are not had for nothing: a hundred are told, then it is too fast, then it is over.
        for _ in 0..400 {
            if client.wire().send(frame.into()).await.is_err() {
                break;
            }
        }
        assert_eq!(closed(&mut client).await, 4429, "{frame}");
    }
    world.stop().await;
}
