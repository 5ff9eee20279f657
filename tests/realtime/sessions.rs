//! Sessions and links: who may resume, who gives way, what ends.

use std::time::{Duration, Instant};

use duologue::client::{self, Client, Wire};
use duologue::hub::Door;
use duologue::protocol::{ClientEvent, Doing, Renew, ServerEvent};

use crate::world::*;

over_every_door! {
    a_second_session_of_a_device_takes_the_place_of_the_first,
    the_link_that_was_taken_over_is_closed_as_superseded,
    a_session_is_resumed_only_with_its_key_and_by_its_person,
    over_the_bound_of_those_who_wait_the_longest_wait_ends,
    what_waits_for_someone_absent_is_bounded,
    a_duplicate_is_dropped_and_acknowledged_again,
    someone_who_waits_keeps_waiting_over_a_lost_link,
    a_silent_link_is_pinged_and_then_given_up,
    a_client_that_never_reads_is_ended_as_slow,
    what_is_queued_for_a_slow_reader_is_written_at_a_shutdown,
    a_token_is_renewed_in_band_and_ends_the_session_when_it_expires,
    a_shutdown_tells_every_client_when_to_come_back,
    frames_are_acknowledged_in_time,
}

async fn a_second_session_of_a_device_takes_the_place_of_the_first(door: Door) {
    let world = World::new().await;
    let (target, token) = (world.target().await, world.token().await);
    let connect = async |device| Client::connect(&target, door, &token, Some(device)).await.unwrap();
    let (mut phone, mut desk) = (connect("phone").await, connect("desk").await);
    let _again = connect("phone").await;
    assert_eq!(closed(&mut phone).await, 4409);
    desk.send(&find()).await.unwrap();
    expect(&mut desk, "user:matching").await;
    world.stop().await;
}

async fn the_link_that_was_taken_over_is_closed_as_superseded(door: Door) {
    let world = World::new().await;
    let mut client = world.client(door).await;
    let target = world.target().await;
    let mut first = std::mem::replace(client.wire(), Wire::open(&target, door).await.unwrap());
    client.resume(door).await.unwrap();
    assert!(client.established().resumed);
    loop {
        match tokio::time::timeout(WAIT, first.recv()).await.expect("in time") {
            Ok(frame) => {
                if let Some(ServerEvent::Closing(closing)) = frame.event {
                    assert_eq!((closing.code, closing.reconnect), (4409, false));
                }
            }
            Err(client::Error::Ended(ended)) => break assert_eq!(ended, client::Ended::Code(4409)),
            Err(other) => panic!("{other}"),
        }
    }
    world.stop().await;
}

async fn a_session_is_resumed_only_with_its_key_and_by_its_person(door: Door) {
    let world = World::new().await;
    let victim = world.client(door).await;
    let target = world.target().await;
    let resume = |key, received| {
        Some(duologue::protocol::Resume { session: victim.established().session, key, received, transfers: None })
    };
    let key = victim.established().key;
    let wrong = duologue::protocol::SessionKey::from_bytes([7; 32]);
    let thief = world.token().await;
    for (token, resume) in [(thief, resume(key, 0)), (world.token().await, resume(wrong, 0))] {
        let mut wire = Wire::open(&target, door).await.unwrap();
        let established = client::greet(&mut wire, client::hello(&token, None, resume)).await.unwrap();
        assert!(!established.resumed);
        assert_eq!(serde_json::to_value(established.lost).unwrap(), "unknown", "and no hint which it was");
        assert_ne!(established.session, victim.established().session);
    }
    world.stop().await;
}

/// Why the session of this client does not go on, as it hears when it asks.
async fn lost(client: &mut Client, door: Door) -> String {
    client.resume(door).await.unwrap();
    assert!(!client.established().resumed);
    serde_json::to_value(client.established().lost).unwrap().as_str().unwrap().to_owned()
}

/// Waits until so many sessions have no link, and there are no others.
async fn parked(world: &World, count: u64) {
    let deadline = Instant::now() + WAIT;
    loop {
        let stats = world.stats().await;
        if stats["connections"]["parked"] == count && stats["onlineUsers"] == count {
            return;
        }
        assert!(Instant::now() < deadline, "never {count} parked: {stats}");
        tokio::task::yield_now().await;
    }
}

async fn over_the_bound_of_those_who_wait_the_longest_wait_ends(door: Door) {
    let world = World::with(&[("DUOLOGUE_LIMITS_MAX_PARKED", "2")]).await;
    let mut clients = Vec::new();
    for count in [1, 2, 2] {
        let mut client = world.client(door).await;
        client.cut();
        clients.push(client);
        parked(&world, count).await;
    }
    assert_eq!(lost(&mut clients[0], door).await, "crowded");
    for client in &mut clients[1..] {
        client.resume(door).await.unwrap();
        assert!(client.established().resumed, "whose links were lost later");
    }
    world.stop().await;
}

async fn what_waits_for_someone_absent_is_bounded(door: Door) {
    let world = World::with(&[("DUOLOGUE_LIMITS_PARKED_BYTES", "70000")]).await;
    let (mut one, mut other) = world.pair([Door::WebSocket, door]).await;
    one.send(&message("m", "so that both are known to have heard of the match")).await.unwrap();
    hear(&mut other).await;
    delivered(&mut one).await;
    other.cut();
    until(&mut one, "user:status").await;
    let text = "x".repeat(8_000);
    for index in 0..13 {
        one.send(&message(&format!("m{index}"), &text)).await.unwrap();
    }
    let ServerEvent::Unmatched(unmatched) = until(&mut one, "user:unmatched").await else { unreachable!() };
    assert_eq!(serde_json::to_value(unmatched.reason).unwrap(), "disconnected");
    assert_eq!(lost(&mut other, door).await, "slow");
    world.stop().await;
}

async fn a_duplicate_is_dropped_and_acknowledged_again(door: Door) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair([door, door]).await;
    one.send(&message("m1", "once")).await.unwrap();
    hear(&mut other).await;
    delivered(&mut one).await;
    let again = r#"{"event":"chat:message","data":{"id":"m1","type":"text","content":"once"},"seq":2}"#;
    one.wire().send(again.into()).await.unwrap();
    let frame = tokio::time::timeout(WAIT, one.wire().recv()).await.unwrap().unwrap();
    assert_eq!((frame.ack, frame.event), (Some(2), Some(ServerEvent::Ack(Default::default()))));
    one.send(&message("m2", "next")).await.unwrap();
    assert_eq!(hear(&mut other).await.0, "m2", "the duplicate went no further");
    world.stop().await;
}

async fn someone_who_waits_keeps_waiting_over_a_lost_link(door: Door) {
    let world = World::new().await;
    let mut first = world.client(door).await;
    first.send(&find()).await.unwrap();
    expect(&mut first, "user:matching").await;
    first.cut();
    // While the link is lost nobody is matched with a ghost.
    parked(&world, 1).await;
    let mut second = world.client(door).await;
    second.send(&find()).await.unwrap();
    expect(&mut second, "user:matching").await;
    first.resume(door).await.unwrap();
    assert_eq!(first.established().state, Doing::Waiting);
    until(&mut first, "user:matched").await;
    matched(&mut second).await;
    world.stop().await;
}

async fn a_silent_link_is_pinged_and_then_given_up(door: Door) {
    let settings = [
        ("DUOLOGUE_SESSION_PING_TALKING_MS", "200"),
        ("DUOLOGUE_SESSION_DEAD_TALKING_MS", "500"),
        ("DUOLOGUE_SESSION_PING_IDLE_MS", "60000"),
        ("DUOLOGUE_SESSION_DEAD_IDLE_MS", "90000"),
    ];
    let world = World::with(&settings).await;
    let (mut one, mut other) = world.pair([door, Door::WebSocket]).await;
    // The other one's client works on, and so answers the server's pings.
    let watching = async { until(&mut other, "user:status").await };
    let silent = async {
        loop {
            let frame = one.wire().recv().await.unwrap();
            if let Some(ServerEvent::Ping(_)) = frame.event {
                return std::future::pending::<()>().await;
            }
        }
    };
    let began = Instant::now();
    tokio::select! {
        ServerEvent::Status(status) = watching => {
            assert_eq!(serde_json::to_value(status.status).unwrap(), "reconnecting");
        }
        () = silent => unreachable!("stays silent"),
    }
    assert!(began.elapsed() >= Duration::from_millis(400), "given up before its time");
    world.stop().await;
}

async fn a_client_that_never_reads_is_ended_as_slow(door: Door) {
    let settings = [("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "1000000"), ("DUOLOGUE_SESSION_OUTBOX_BYTES", "100000")];
    let world = World::with(&settings).await;
    let (mut one, mut other) = world.pair([Door::WebSocket, door]).await;
    let text = "x".repeat(8_000);
    // The other one reads nothing and acknowledges nothing, until the bound is passed.
    for index in 0..20 {
        one.send(&message(&format!("m{index}"), &text)).await.unwrap();
    }
    let ServerEvent::Unmatched(unmatched) = until(&mut one, "user:unmatched").await else { unreachable!() };
    assert_eq!(serde_json::to_value(unmatched.reason).unwrap(), "disconnected");
    let code = loop {
        match other.wire().recv().await {
            Ok(frame) => {
                if let Some(ServerEvent::Closing(closing)) = frame.event {
                    assert!(closing.reconnect);
                    break closing.code;
                }
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(code, 4508);
    world.stop().await;
}

async fn a_token_is_renewed_in_band_and_ends_the_session_when_it_expires(door: Door) {
    let world = World::with(&[("DUOLOGUE_AUTH_GUEST_LIFE", "2")]).await;
    let mut client = world.client(door).await;
    client.send(&ClientEvent::Renew(Renew { token: world.token().await })).await.unwrap();
    assert_eq!(refused(&mut client).await.0, "token-invalid", "another person's");
    client.send(&ClientEvent::Renew(Renew { token: "forged".into() })).await.unwrap();
    assert_eq!(refused(&mut client).await.0, "token-invalid");
    assert_eq!(closed(&mut client).await, 4401);

    let account = serde_json::json!({"username": "Ada", "email": "ada@example.org", "password": "Password123"});
    let (_, answer) = world.post("/api/auth/register", &account).await;
    let token = answer["data"]["token"].as_str().unwrap();
    let mut ada = Client::connect(&world.target().await, door, token, None).await.unwrap();
    let (_, answer) = world
        .post("/api/auth/login", &serde_json::json!({"email": "ADA@example.org", "password": "Password123"}))
        .await;
    let newer = answer["data"]["token"].as_str().unwrap().to_owned();
    ada.send(&ClientEvent::Renew(Renew { token: newer })).await.unwrap();
    let ServerEvent::Renewed(renewed) = expect(&mut ada, "auth:renewed").await else { unreachable!() };
    assert!(renewed.expires_at.starts_with("20") && renewed.expires_at.ends_with('Z'), "{renewed:?}");
    world.stop().await;
}

async fn a_shutdown_tells_every_client_when_to_come_back(door: Door) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair([door, Door::WebSocket]).await;
    one.send(&message("last", "words")).await.unwrap();
    hear(&mut other).await;
    let began = Instant::now();
    let clients = async {
        for client in [&mut one, &mut other] {
            loop {
                match client.next(WAIT).await {
                    Ok(_) => {}
                    Err(client::Error::Closing(closing)) => {
                        assert_eq!((closing.code, closing.reconnect), (4503, true));
                        assert!(closing.retry_after_ms.is_some());
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    };
    tokio::join!(world.stop(), clients);
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// On many threads, as in the real program: on one, sessions could not end while others are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_is_nobodys_partner_leaving() {
    let world = World::new().await;
    let mut listening = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let (one, other) = world.pair([Door::WebSocket, Door::WebSocket]).await;
        for mut person in [one, other] {
            listening.spawn(async move {
                loop {
                    match person.next(WAIT).await {
                        Ok(event) => assert_ne!(event.name(), "user:unmatched", "the server went, not the partner"),
                        Err(client::Error::Closing(closing)) => return assert_eq!(closing.code, 4503),
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    }
    world.stop().await;
    while let Some(heard) = listening.join_next().await {
        heard.unwrap();
    }
}

async fn frames_are_acknowledged_in_time(door: Door) {
    let world = World::new().await;
    let mut client = world.client(door).await;
    // Refused events are received events: each of these is answered, so acknowledged with it.
    client.wire().send(r#"{"event":"chat:clear","data":{},"seq":1}"#.into()).await.unwrap();
    let frame = tokio::time::timeout(WAIT, client.wire().recv()).await.unwrap().unwrap();
    assert_eq!((frame.seq, frame.ack), (Some(1), Some(1)));
    // An event without an answer of its own is acknowledged alone.
    let (mut one, mut other) = world.pair([door, Door::WebSocket]).await;
    one.send(&ClientEvent::Clear(Default::default())).await.unwrap();
    expect(&mut other, "chat:clear").await;
    let frame = tokio::time::timeout(WAIT, one.wire().recv()).await.unwrap().unwrap();
    assert_eq!((frame.ack, frame.event), (Some(2), Some(ServerEvent::Ack(Default::default()))));
    world.stop().await;
}

async fn what_is_queued_for_a_slow_reader_is_written_at_a_shutdown(door: Door) {
    let settings = [("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "1000000"), ("DUOLOGUE_SESSION_OUTBOX_BYTES", "20000000")];
    let world = World::with(&settings).await;
    let (mut one, mut other) = world.pair([Door::WebSocket, door]).await;
    // More than sockets and flow control take at once: the server's write is under way when it stops.
    let text = "x".repeat(8_000);
    for index in 0..1_000 {
        one.send(&message(&format!("m{index}"), &text)).await.unwrap();
    }
    // The answer to the last tells that all of them were taken.
    one.send(&find()).await.unwrap();
    assert_eq!(refused(&mut one).await.0, "already-talking");
    let reading = async {
        let mut heard = 0;
        loop {
            match tokio::time::timeout(WAIT, other.wire().recv()).await.expect("in time").unwrap().event {
                Some(ServerEvent::Message(_)) => heard += 1,
                Some(ServerEvent::Closing(closing)) => break (heard, closing.code),
                _ => {}
            }
        }
    };
    let (_, (heard, code)) = tokio::join!(world.stop(), reading);
    assert_eq!((heard, code), (1_000, 4503));
}
