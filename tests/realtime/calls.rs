//! Calls as two clients meet them: what rings, what passes, what does not, and what each hears of it.

use duologue::client::{self, Client, Wire};
use duologue::hub::Door;
use duologue::protocol::{ClientEvent, ServerEvent};
use serde_json::{Value, json};

use crate::nodes::Service;
use crate::world::*;

over_every_pair_of_doors! {
    a_call_rings_is_answered_set_up_and_ended,
    both_ring_at_the_same_moment,
    a_bare_offer_passes_without_a_ring,
}

const SDP: &str = "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const HOST: &str = "candidate:1 1 udp 2130706431 192.168.1.7 50000 typ host";
const RELAY: &str = "candidate:2 1 udp 41885439 203.0.113.9 50001 typ relay raddr 198.51.100.4 rport 46154";

/// TURN servers, and relays that are where no public address is.
const TURN: [(&str, &str); 3] = [
    ("DUOLOGUE_CALLS_TURN", "turn:turn.example:3478?transport=udp"),
    ("DUOLOGUE_CALLS_TURN_SECRET", "north-north-north"),
    ("DUOLOGUE_CALLS_RELAY_NETWORKS", "203.0.113.0/24"),
];

/// Says an event by its name.
async fn say(client: &mut Client, name: &str, data: Value) {
    let event = ClientEvent::parse(name, &data.to_string()).expect("a name of ours").expect("data that fits");
    client.send(&event).await.unwrap();
}

/// The data of the next event, which must have this name.
async fn heard(client: &mut Client, name: &str) -> Value {
    serde_json::from_slice(&expect(client, name).await.data().unwrap()).unwrap()
}

/// A call that was answered; both have heard of it.
async fn in_a_call(one: &mut Client, other: &mut Client, relay: bool) {
    let ring = if relay {
        json!({"call": "c", "type": "video", "relay": true})
    } else {
        json!({"call": "c", "type": "video"})
    };
    say(one, "call:ring", ring).await;
    heard(other, "call:ring").await;
    say(other, "call:accept", json!({"call": "c"})).await;
    assert_eq!(heard(one, "call:accept").await["call"], "c");
    heard(other, "call:accept").await;
}

fn offer(id: &str, sdp: &str) -> Value {
    json!({"offer": {"type": "offer", "sdp": sdp}, "type": "video", "call": "c", "id": id})
}

fn answer(id: &str, sdp: &str) -> Value {
    json!({"answer": {"type": "answer", "sdp": sdp}, "call": "c", "id": id})
}

fn candidates(id: &str, lines: &[&str]) -> Value {
    let candidates: Vec<_> = lines.iter().map(|line| json!({"candidate": line, "sdpMid": "0"})).collect();
    json!({"call": "c", "id": id, "candidates": candidates})
}

/// Shows that nothing else has come to the partner: what is said now is heard next.
async fn nothing_came(one: &mut Client, other: &mut Client, id: &str) {
    one.send(&message(id, "still here")).await.unwrap();
    assert_eq!(hear(other).await.0, id);
    assert_eq!(delivered(one).await, id);
}

async fn a_call_rings_is_answered_set_up_and_ended(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    say(&mut one, "call:ring", json!({"call": "c", "type": "video"})).await;
    let rings = heard(&mut other, "call:ring").await;
    assert_eq!(rings, json!({"call": "c", "type": "video", "relay": false, "ringMs": 45_000}));
    say(&mut other, "call:accept", json!({"call": "c"})).await;
    let accepted = json!({"call": "c", "relay": false});
    assert_eq!(heard(&mut one, "call:accept").await, accepted);
    assert_eq!(heard(&mut other, "call:accept").await, accepted);
    say(&mut one, "webrtc:offer", offer("o", SDP)).await;
    assert_eq!(heard(&mut other, "webrtc:offer").await, offer("o", SDP));
    say(&mut one, "webrtc:candidates", candidates("o", &[HOST, RELAY])).await;
    assert_eq!(heard(&mut other, "webrtc:candidates").await["candidates"].as_array().unwrap().len(), 2);
    say(&mut other, "webrtc:answer", answer("o", SDP)).await;
    assert_eq!(heard(&mut one, "webrtc:answer").await, answer("o", SDP));
    say(&mut other, "webrtc:candidates", json!({"call": "c", "id": "o", "candidates": [], "end": true})).await;
    assert_eq!(heard(&mut one, "webrtc:candidates").await["end"], true);
    assert_eq!(world.stats().await["calls"]["standing"], 1);
    // It may overtake the end of the call.
    say(&mut other, "call:report", json!({"call": "c", "setupMs": 430, "path": "relay"})).await;
    say(&mut other, "call:end", json!({"call": "c"})).await;
    assert_eq!(heard(&mut one, "call:ended").await, json!({"call": "c", "reason": "hung-up"}));
    say(&mut other, "call:report", json!({"call": "c", "path": "relay"})).await;
    say(
        &mut one,
        "call:report",
        json!({"call": "c", "setupMs": 420, "path": "direct", "rttMs": 3.5, "lossPercent": 0}),
    )
    .await;
    // Of one call each says it once, and of no other.
    for call in ["c", "d"] {
        say(&mut one, "call:report", json!({"call": call, "setupMs": 1})).await;
    }
    // What is late is no fault, and is not passed on.
    say(&mut one, "webrtc:candidates", candidates("o", &[HOST])).await;
    say(&mut one, "call:end", json!({"call": "c"})).await;
    nothing_came(&mut one, &mut other, "m").await;
    let calls = world.stats().await["calls"].take();
    assert_eq!((&calls["standing"], &calls["rung"], &calls["ended"]["hungUp"]), (&json!(0), &json!(1), &json!(1)));
    let reports = &calls["reports"];
    let counted = ["direct", "relayed", "unconnected"].map(|way| reports[way].as_u64().unwrap());
    assert_eq!(counted, [1, 1, 0], "once for each of the two");
    world.stop().await;
}

async fn both_ring_at_the_same_moment(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    say(&mut one, "call:ring", json!({"call": "first", "type": "audio"})).await;
    heard(&mut other, "call:ring").await;
    // As if it had been on its way meanwhile.
    say(&mut other, "call:ring", json!({"call": "second", "type": "video"})).await;
    assert_eq!(heard(&mut one, "call:accept").await, json!({"call": "first", "relay": false}));
    let instead = json!({"call": "first", "relay": false, "instead": "second"});
    assert_eq!(heard(&mut other, "call:accept").await, instead);
    say(&mut other, "call:ring", json!({"call": "third", "type": "video"})).await;
    assert_eq!(refused(&mut other).await, ("call-exists".into(), Some("third".into())));
    say(&mut one, "user:leave", json!({})).await;
    expect(&mut one, "user:idle").await;
    expect(&mut other, "user:unmatched").await;
    let calls = world.stats().await["calls"].take();
    assert_eq!((&calls["standing"], &calls["ended"]["conversation"]), (&json!(0), &json!(1)));
    world.stop().await;
}

async fn a_bare_offer_passes_without_a_ring(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    let bare = json!({"offer": {"type": "offer", "sdp": SDP}, "type": "audio"});
    say(&mut one, "webrtc:offer", bare.clone()).await;
    assert_eq!(heard(&mut other, "webrtc:offer").await, bare);
    for _ in 0..50 {
        say(&mut one, "webrtc:ice-candidate", json!({"candidate": {"candidate": HOST}})).await;
        heard(&mut other, "webrtc:ice-candidate").await;
    }
    say(&mut one, "webrtc:ice-candidate", json!({"candidate": {"candidate": HOST}})).await;
    assert_eq!(refused(&mut one).await.0, "candidate-limit");
    say(&mut one, "webrtc:ice-candidate", json!({"candidate": null})).await;
    assert_eq!(heard(&mut other, "webrtc:ice-candidate").await, json!({"candidate": null}));
    let bare = json!({"answer": {"type": "answer", "sdp": SDP}});
    say(&mut other, "webrtc:answer", bare.clone()).await;
    assert_eq!(heard(&mut one, "webrtc:answer").await, bare);
    world.stop().await;
}

#[tokio::test]
async fn a_call_is_declined_cancelled_or_rings_out() {
    let world = World::with(&[("DUOLOGUE_CALLS_RING_MS", "600")]).await;
    let (mut one, mut other) = world.pair([Door::WebTransport, Door::WebSocket]).await;
    for (said, reason) in [(json!({"call": "a"}), "declined"), (json!({"call": "a", "reason": "busy"}), "busy")] {
        say(&mut one, "call:ring", json!({"call": "a", "type": "audio"})).await;
        heard(&mut other, "call:ring").await;
        say(&mut other, "call:decline", said).await;
        assert_eq!(heard(&mut one, "call:ended").await["reason"], reason);
    }
    say(&mut one, "call:ring", json!({"call": "b", "type": "audio"})).await;
    heard(&mut other, "call:ring").await;
    say(&mut one, "call:end", json!({"call": "b"})).await;
    assert_eq!(heard(&mut other, "call:ended").await["reason"], "cancelled");
    say(&mut one, "call:ring", json!({"call": "c", "type": "audio"})).await;
    heard(&mut other, "call:ring").await;
    assert_eq!(heard(&mut other, "call:ended").await["reason"], "no-answer");
    assert_eq!(heard(&mut one, "call:ended").await["reason"], "no-answer");
    say(&mut other, "call:accept", json!({"call": "c"})).await;
    nothing_came(&mut other, &mut one, "late").await;
    world.stop().await;
}

#[tokio::test]
async fn someone_in_a_call_with_another_device_is_busy() {
    let world = World::new().await;
    let target = world.target().await;
    let token = world.token().await;
    let mut people = Vec::new();
    for device in ["desk", "phone"] {
        let mut ann = Client::connect(&target, Door::WebSocket, &token, Some(device)).await.unwrap();
        let mut ben = world.client(Door::WebSocket).await;
        for client in [&mut ann, &mut ben] {
            client.send(&find()).await.unwrap();
        }
        until(&mut ann, "user:matched").await;
        until(&mut ben, "user:matched").await;
        people.push((ann, ben));
    }
    let (mut phone, mut cleo) = people.pop().unwrap();
    let (mut desk, mut ben) = people.pop().unwrap();
    in_a_call(&mut ben, &mut desk, false).await;
    say(&mut cleo, "call:ring", json!({"call": "x", "type": "audio"})).await;
    assert_eq!(heard(&mut cleo, "call:ended").await, json!({"call": "x", "reason": "busy"}));
    nothing_came(&mut cleo, &mut phone, "m").await;
    say(&mut ben, "call:end", json!({"call": "c"})).await;
    heard(&mut desk, "call:ended").await;
    say(&mut cleo, "call:ring", json!({"call": "y", "type": "audio"})).await;
    heard(&mut phone, "call:ring").await;
    world.stop().await;
}

#[tokio::test]
async fn in_a_relayed_call_no_address_passes_but_that_of_a_relay() {
    let world = World::with(&[&TURN[..], &[("DUOLOGUE_CALLS_RELAY_ONLY", "false")]].concat()).await;
    let (mut one, mut other) = world.pair([Door::WebTransport, Door::WebSocket]).await;
    in_a_call(&mut one, &mut other, true).await;
    let sdp = format!("{SDP}m=audio 46154 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 198.51.100.4\r\na={HOST}\r\na={RELAY}\r\n");
    say(&mut one, "webrtc:offer", offer("o", &sdp)).await;
    let passed = heard(&mut other, "webrtc:offer").await;
    let passed = passed["offer"]["sdp"].as_str().unwrap();
    assert!(passed.contains("203.0.113.9"), "{passed}");
    say(&mut other, "webrtc:answer", answer("o", &sdp)).await;
    let answered = heard(&mut one, "webrtc:answer").await;
    let hidden = "candidate:1 1 udp 2130706431 4e5b2f30.local 50000 typ host";
    let reflexive = "candidate:3 1 udp 1677729535 198.51.100.4 46154 typ srflx raddr 192.168.1.7 rport 50000";
    say(&mut one, "webrtc:candidates", candidates("o", &[HOST, hidden, reflexive])).await;
    say(&mut one, "webrtc:candidates", candidates("o", &[HOST, RELAY])).await;
    let tried = heard(&mut other, "webrtc:candidates").await;
    for told in [passed, answered["answer"]["sdp"].as_str().unwrap(), &tried.to_string()] {
        assert!(!told.contains("192.168.") && !told.contains("198.51.100.4") && !told.contains(".local"), "{told}");
    }
    assert_eq!(tried["candidates"].as_array().unwrap().len(), 1);
    for address in ["192.168.1.7", "0.0.0.0", "198.51.100.4", "::1"] {
        let line = format!("candidate:4 1 udp 1 {address} 50000 typ relay raddr 0.0.0.0 rport 0");
        say(&mut one, "webrtc:candidates", candidates("o", &[&line])).await;
        assert_eq!(refused(&mut one).await, ("candidate-refused".into(), Some("c".into())), "{address}");
    }
    nothing_came(&mut one, &mut other, "m").await;
    world.stop().await;
}

#[tokio::test]
async fn where_calls_can_be_relayed_all_are_unless_it_is_said_otherwise() {
    let world = World::with(&TURN).await;
    let (mut one, mut other) = world.pair([Door::WebTransport, Door::WebSocket]).await;
    let established = one.established();
    assert!(established.relay_only);
    assert_eq!(established.ice_ttl_ms, Some(600_000));
    let before = established.ice_servers.clone();
    assert_eq!(before[0].urls, ["turn:turn.example:3478?transport=udp"]);
    say(&mut one, "ice:renew", json!({})).await;
    let renewed = heard(&mut one, "ice:renewed").await;
    assert_eq!(renewed["ttlMs"], 600_000);
    assert_ne!(renewed["iceServers"][0]["username"], json!(before[0].username), "made anew");
    // Also those that know of no calls.
    say(&mut one, "webrtc:ice-candidate", json!({"candidate": {"candidate": HOST}})).await;
    say(&mut one, "webrtc:ice-candidate", json!({"candidate": {"candidate": RELAY}})).await;
    let passed = heard(&mut other, "webrtc:ice-candidate").await;
    assert_eq!(
        passed["candidate"]["candidate"],
        "candidate:2 1 udp 41885439 203.0.113.9 50001 typ relay raddr 0.0.0.0 rport 0"
    );
    say(&mut one, "call:ring", json!({"call": "c", "type": "audio"})).await;
    assert_eq!(heard(&mut other, "call:ring").await["relay"], true);
    world.stop().await;
}

#[tokio::test]
async fn a_bad_signal_has_its_code_and_the_partner_hears_nothing() {
    let world = World::with(&[("DUOLOGUE_LIMITS_SIGNALS_PER_MINUTE", "30")]).await;
    let (mut one, mut other) = world.pair([Door::WebTransport, Door::WebSocket]).await;
    say(&mut one, "call:ring", json!({"call": "r", "type": "audio", "relay": true})).await;
    assert_eq!(refused(&mut one).await, ("relay-unavailable".into(), Some("r".into())));
    say(&mut one, "call:accept", json!({"call": "r"})).await;
    assert_eq!(refused(&mut one).await, ("call-unknown".into(), Some("r".into())));
    say(&mut one, "webrtc:offer", offer("o", SDP)).await;
    assert_eq!(refused(&mut one).await, ("call-unknown".into(), Some("c".into())));
    say(&mut one, "call:join", json!({"call": "c", "type": "audio"})).await;
    assert_eq!(refused(&mut one).await.0, "call-unknown", "nobody has lost it");
    say(&mut one, "call:ring", json!({"call": "c", "type": "audio"})).await;
    heard(&mut other, "call:ring").await;
    say(&mut one, "call:accept", json!({"call": "c"})).await;
    assert_eq!(refused(&mut one).await.0, "call-unknown", "it is one's own");
    say(&mut one, "webrtc:offer", offer("o", SDP)).await;
    assert_eq!(refused(&mut one).await.0, "call-unknown", "it was not answered yet");
    say(&mut other, "call:accept", json!({"call": "c"})).await;
    heard(&mut one, "call:accept").await;
    heard(&mut other, "call:accept").await;
    say(&mut one, "webrtc:answer", answer("o", SDP)).await;
    assert_eq!(refused(&mut one).await.0, "offer-unknown");
    say(&mut one, "webrtc:candidates", candidates("o", &[HOST])).await;
    assert_eq!(refused(&mut one).await.0, "offer-unknown");
    say(&mut one, "webrtc:offer", offer("o", SDP)).await;
    heard(&mut other, "webrtc:offer").await;
    say(&mut one, "webrtc:answer", answer("o", SDP)).await;
    assert_eq!(refused(&mut one).await.0, "offer-unknown", "nobody answers their own");
    for (data, code) in [
        (offer("p", "hello"), "sdp-invalid"),
        (offer("p", &format!("v=0\r\na={}", "x".repeat(48 * 1024))), "invalid-data"),
        (json!({"offer": {"type": "offer", "sdp": SDP}, "type": "video", "call": "c"}), "invalid-data"),
        (json!({"offer": {"type": "answer", "sdp": SDP}, "type": "video", "call": "c", "id": "p"}), "invalid-data"),
    ] {
        say(&mut one, "webrtc:offer", data).await;
        assert_eq!(refused(&mut one).await.0, code);
    }
    say(&mut one, "webrtc:candidates", candidates("o", &["no candidate"])).await;
    assert_eq!(refused(&mut one).await.0, "candidate-invalid");
    say(&mut one, "webrtc:candidates", candidates("o", &[HOST; 500])).await;
    assert_eq!(refused(&mut one).await.0, "candidate-limit");
    say(&mut one, "webrtc:candidates", candidates("o", &[HOST; 50])).await;
    heard(&mut other, "webrtc:candidates").await;
    say(&mut one, "webrtc:candidates", candidates("o", &[HOST])).await;
    assert_eq!(refused(&mut one).await.0, "candidate-limit");
    // What is late: a second answer, candidates of an offer that was replaced, an offer of a media that is no more.
    say(&mut other, "webrtc:answer", answer("o", SDP)).await;
    heard(&mut one, "webrtc:answer").await;
    say(&mut other, "webrtc:answer", answer("o", SDP)).await;
    say(&mut one, "webrtc:offer", offer("q", SDP)).await;
    heard(&mut other, "webrtc:offer").await;
    say(&mut other, "webrtc:candidates", candidates("o", &[HOST])).await;
    say(&mut other, "call:join", json!({"call": "c", "type": "audio", "fresh": true})).await;
    let joined = json!({"call": "c", "generation": 1, "relay": false});
    assert_eq!(heard(&mut one, "call:join").await, joined);
    assert_eq!(heard(&mut other, "call:join").await, joined);
    say(&mut one, "webrtc:offer", offer("s", SDP)).await;
    nothing_came(&mut one, &mut other, "m").await;
    let mut told = "";
    for _ in 0..30 {
        say(&mut one, "ice:renew", json!({})).await;
        told = next(&mut one).await.name();
    }
    assert_eq!(told, "error", "signals have a rate of their own");
    nothing_came(&mut one, &mut other, "n").await;
    say(&mut other, "user:leave", json!({})).await;
    until(&mut one, "user:unmatched").await;
    say(&mut one, "webrtc:ice-candidate", json!({"candidate": null})).await;
    assert_eq!(refused(&mut one).await.0, "no-conversation");
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_knows_no_calls_gets_none_and_whoever_rings_is_told() {
    let world = World::new().await;
    let mut one = world.client(Door::WebTransport).await;
    let mut other = Wire::open(&world.target().await, Door::WebSocket).await.unwrap();
    let mut hello = client::hello(&world.token().await, None, None);
    hello.client.calls = false;
    client::greet(&mut other, hello).await.unwrap();
    other.send(json!({"event": "user:match", "data": {}, "seq": 1}).to_string().into()).await.unwrap();
    one.send(&find()).await.unwrap();
    until(&mut one, "user:matched").await;
    say(&mut one, "call:ring", json!({"call": "c", "type": "audio"})).await;
    assert_eq!(refused(&mut one).await, ("call-unsupported".into(), Some("c".into())));
    let bare = json!({"offer": {"type": "offer", "sdp": SDP}, "type": "audio"});
    say(&mut one, "webrtc:offer", bare.clone()).await;
    loop {
        let frame = tokio::time::timeout(WAIT, other.recv()).await.expect("an offer").unwrap();
        match frame.event {
            Some(ServerEvent::CallOffer(offer)) => break assert_eq!(serde_json::to_value(offer).unwrap(), bare),
            Some(ServerEvent::Rings(rings)) => panic!("{rings:?}"),
            _ => {}
        }
    }
    world.stop().await;
}

/// A call stands while a link is lost, and whoever comes back is told of it.
#[tokio::test]
async fn a_call_outlives_a_link() {
    let world = World::new().await;
    let (mut one, mut other) = world.pair([Door::WebTransport, Door::WebSocket]).await;
    in_a_call(&mut one, &mut other, false).await;
    other.cut();
    expect(&mut one, "user:status").await;
    say(&mut one, "webrtc:offer", offer("o", SDP)).await;
    // Its answer comes after what was said before.
    say(&mut one, "ice:renew", json!({})).await;
    heard(&mut one, "ice:renewed").await;
    other.resume(Door::WebTransport).await.unwrap();
    let call = other.established().conversation.as_ref().unwrap().call.clone();
    let call = serde_json::to_value(call).unwrap();
    let expected =
        json!({"call": "c", "type": "video", "mine": false, "accepted": true, "relay": false, "generation": 0});
    assert_eq!(call, expected);
    let ServerEvent::CallOffer(_) = expect(&mut other, "webrtc:offer").await else { unreachable!() };
    world.stop().await;
}

/// A node that drains hands calls over with their conversations.
#[tokio::test]
async fn a_call_goes_along_to_another_node() {
    let mut service = Service::of(2).await;
    let doors = [Door::WebTransport, Door::WebSocket];
    let (mut one, mut other) = service.pair([0, 0], doors).await;
    in_a_call(&mut one, &mut other, false).await;
    say(&mut one, "webrtc:offer", offer("o", SDP)).await;
    heard(&mut other, "webrtc:offer").await;
    drop(service.stop(0));
    for (client, door) in [(&mut one, doors[0]), (&mut other, doors[1])] {
        assert_eq!(closed(client).await, 4503);
        service.go_on(client, 1, door).await;
        assert!(client.established().resumed);
        let call = client.established().conversation.as_ref().unwrap().call.clone().expect("the call stands");
        assert!(call.accepted);
    }
    say(&mut other, "webrtc:answer", answer("o", SDP)).await;
    until(&mut one, "webrtc:answer").await;
    say(&mut one, "call:end", json!({"call": "c"})).await;
    until(&mut other, "call:ended").await;
}

/// What a node knew of a call is gone with it: it goes on once the two who still have it have both said so.
#[tokio::test]
async fn a_call_outlives_its_node() {
    let mut service = Service::with(2, &TURN).await;
    let doors = [Door::WebTransport, Door::WebSocket];
    let (mut one, mut other) = service.pair([0, 0], doors).await;
    in_a_call(&mut one, &mut other, false).await;
    service.kill(0).await;
    for (client, door) in [(&mut one, doors[0]), (&mut other, doors[1])] {
        service.go_on(client, 1, door).await;
        let talk = client.established().conversation.clone().expect("the talk stands");
        assert_eq!(talk.call, None);
    }
    let again =
        json!({"offer": {"type": "offer", "sdp": SDP}, "type": "video", "call": "c", "id": "o", "generation": 2});
    // What one alone says may be made up: nothing of it passes.
    for call in ["made-up", "c"] {
        say(&mut one, "call:join", json!({"call": call, "type": "video", "relay": true, "generation": 1})).await;
        let mut early = again.clone();
        early["call"] = json!(call);
        say(&mut one, "webrtc:offer", early).await;
    }
    one.send(&message("m", "still here")).await.unwrap();
    loop {
        match next(&mut other).await {
            ServerEvent::Message(_) => break,
            event => assert_eq!(event.name(), "user:status", "{event:?}"),
        }
    }
    say(&mut other, "call:join", json!({"call": "c", "type": "video", "generation": 2})).await;
    let joined = json!({"call": "c", "generation": 2, "relay": true});
    for client in [&mut one, &mut other] {
        let event = until(client, "call:join").await;
        assert_eq!(serde_json::from_slice::<Value>(&event.data().unwrap()).unwrap(), joined);
    }
    say(&mut one, "webrtc:offer", again).await;
    until(&mut other, "webrtc:offer").await;
    say(&mut other, "webrtc:candidates", candidates("o", &[HOST, RELAY])).await;
    let ServerEvent::CallCandidates(tried) = until(&mut one, "webrtc:candidates").await else { unreachable!() };
    assert_eq!(tried.candidates.len(), 1, "it is still a relayed call");
    say(&mut other, "call:end", json!({"call": "c"})).await;
    until(&mut one, "call:ended").await;
    say(&mut one, "call:join", json!({"call": "d", "type": "video"})).await;
    assert_eq!(refused(&mut one).await.0, "call-unknown", "nothing is lost any more");
    // Both are known to understand calls.
    say(&mut one, "call:ring", json!({"call": "d", "type": "audio"})).await;
    until(&mut other, "call:ring").await;
}

/// Whoever ended a call as its node died says so again; the other comes back to a call that is over.
#[tokio::test]
async fn a_call_that_ended_as_its_node_died_is_over() {
    let mut service = Service::of(2).await;
    let doors = [Door::WebTransport, Door::WebSocket];
    let (mut one, mut other) = service.pair([0, 0], doors).await;
    in_a_call(&mut one, &mut other, false).await;
    service.kill(0).await;
    for (client, door) in [(&mut one, doors[0]), (&mut other, doors[1])] {
        service.go_on(client, 1, door).await;
    }
    say(&mut one, "call:end", json!({"call": "c"})).await;
    say(&mut one, "chat:clear", json!({})).await;
    until(&mut other, "chat:clear").await;
    say(&mut other, "call:join", json!({"call": "c", "type": "video"})).await;
    assert_eq!(heard(&mut other, "call:ended").await, json!({"call": "c", "reason": "hung-up"}));
}

/// Text that one reader takes for a relay and another for something else, or for nothing at all.
#[tokio::test]
async fn a_candidate_that_can_be_read_in_two_ways_is_none() {
    let world = World::with(&[&TURN[..], &[("DUOLOGUE_LIMITS_SIGNALS_PER_MINUTE", "1000")]].concat()).await;
    let (mut one, mut other) = world.pair([Door::WebTransport, Door::WebSocket]).await;
    in_a_call(&mut one, &mut other, false).await;
    say(&mut one, "webrtc:offer", offer("o", SDP)).await;
    heard(&mut other, "webrtc:offer").await;
    let hidden = "candidate:1\u{a0}1\u{a0}udp\u{a0}2130706431\u{a0}10.0.0.5\u{a0}5000\u{a0}typ\u{a0}host 1 udp 1 203.0.113.9 5 typ relay";
    for (at, line) in
        [hidden, "candidate:1 1  1 203.0.113.9 5 typ relay", "candidate:1 1 udp 1 203.0.113.9 5 typ relay raddr"]
            .into_iter()
            .enumerate()
    {
        say(&mut one, "webrtc:candidates", candidates("o", &[line])).await;
        assert_eq!(refused(&mut one).await.0, "candidate-invalid", "{line:?}");
        say(&mut one, "webrtc:ice-candidate", json!({"candidate": {"candidate": line}})).await;
        assert_eq!(refused(&mut one).await.0, "candidate-invalid", "{line:?}");
        say(&mut one, "webrtc:offer", offer(&format!("o{at}"), &format!("{SDP}a={line}\r\na=X:1\r\n"))).await;
        let passed = heard(&mut other, "webrtc:offer").await;
        assert_eq!(passed["offer"]["sdp"], format!("{SDP}a=X:1\r\n"));
    }
    nothing_came(&mut one, &mut other, "m").await;
    world.stop().await;
}
