//! What setting up calls costs a node: `cargo bench --bench calls`. Prints a table of docs/benchmarks.md.
//!
//! A real server and real clients in one process. Pairs call each other over and over, with descriptions and
//! candidates as large as browsers make them; no media flows. Direct and relayed calls by turns, so that the ratio
//! of what the server looks through holds.
#![allow(missing_docs, clippy::unwrap_used, reason = "a program for its own tables")]

mod common;

use std::time::{Duration, Instant};

use duologue::client::{Client, Rest, Target};
use duologue::config;
use duologue::hub::Door::{self, WebSocket, WebTransport};
use duologue::protocol::{ClientEvent, ServerEvent, Wish};
use duologue::server::Server;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use common::variables;

const PAIRS: usize = 32;
const TIME: Duration = Duration::from_secs(4);
const ROUNDS: usize = 5;
const WAIT: Duration = Duration::from_secs(20);
/// Descriptions of a video call have about so many bytes in Chromium.
const SDP: usize = 6_500;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::bind(config::load(None, variables(folder.path(), &SETTINGS)).unwrap()).await.unwrap();
        let address = server.addresses().http.unwrap();
        let stop = CancellationToken::new();
        let (running, stopped) = (TaskTracker::new(), stop.clone());
        running.spawn(async move { server.run(stopped.cancelled_owned()).await });
        running.close();
        let rest = Rest::at(&format!("http://{address}")).await.unwrap();
        let target = rest.target().await.unwrap();
        println!(
            "calls set up and ended in a second, {PAIRS} pairs at once, median of {ROUNDS} rounds of {} s",
            TIME.as_secs()
        );
        for door in [WebTransport, WebSocket] {
            let mut pairs = Vec::new();
            for _ in 0..PAIRS {
                pairs.push(meet(&rest, &target, door).await);
            }
            let (mut direct, mut relayed) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                direct.push(call_all(&mut pairs, false).await);
                relayed.push(call_all(&mut pairs, true).await);
            }
            println!("  {door:?}: direct {:.0}, relayed {:.0}", median(direct), median(relayed));
        }
        stop.cancel();
        running.wait().await;
    });
}

const SETTINGS: [(&str, &str); 5] = [
    ("DUOLOGUE_LIMITS_SIGNALS_PER_MINUTE", "100000000"),
    ("DUOLOGUE_LIMITS_CANDIDATES_PER_MINUTE", "100000000"),
    ("DUOLOGUE_CALLS_TURN", "turn:turn.example:3478"),
    ("DUOLOGUE_CALLS_TURN_SECRET", "north-north-north"),
    ("DUOLOGUE_CALLS_RELAY_ONLY", "false"),
];

async fn meet(rest: &Rest, target: &Target, door: Door) -> [Client; 2] {
    let mut people = Vec::new();
    for _ in 0..2 {
        let token = rest.guest().await.unwrap().token;
        let mut client = Client::connect(target, door, &token, None).await.unwrap();
        client.send(&ClientEvent::Match(Wish::default())).await.unwrap();
        people.push(client);
    }
    for client in &mut people {
        until(client, "user:matched").await;
    }
    people.try_into().unwrap_or_else(|_| unreachable!("two of them"))
}

/// All pairs call over and over; yields how many calls a second they had.
async fn call_all(pairs: &mut [[Client; 2]], relay: bool) -> f64 {
    let began = Instant::now();
    let calls = futures_util::future::join_all(pairs.iter_mut().map(async |pair| {
        let mut calls = 0;
        while began.elapsed() < TIME {
            call(pair, &format!("{relay}-{calls}-{}", began.elapsed().as_nanos()), relay).await;
            calls += 1;
        }
        calls
    }));
    let calls: usize = calls.await.into_iter().sum();
    calls as f64 / began.elapsed().as_secs_f64()
}

/// One call, from its ring to its end, as the SDK says it.
async fn call([one, other]: &mut [Client; 2], call: &str, relay: bool) {
    let sdp = |kind: &str| json!({"type": kind, "sdp": description()});
    let mut ring = json!({"call": call, "type": "video"});
    if relay {
        ring["relay"] = json!(true);
    }
    say(one, "call:ring", ring).await;
    until(other, "call:ring").await;
    say(other, "call:accept", json!({"call": call})).await;
    until(one, "call:accept").await;
    say(one, "webrtc:offer", json!({"offer": sdp("offer"), "type": "video", "call": call, "id": "o"})).await;
    say(one, "webrtc:candidates", candidates(call)).await;
    until(other, "webrtc:candidates").await;
    say(other, "webrtc:answer", json!({"answer": sdp("answer"), "call": call, "id": "o"})).await;
    say(other, "webrtc:candidates", candidates(call)).await;
    until(one, "webrtc:candidates").await;
    say(one, "call:end", json!({"call": call})).await;
    until(other, "call:ended").await;
}

fn description() -> String {
    let mut sdp =
        "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n".to_owned();
    while sdp.len() < SDP {
        sdp.push_str("a=extmap:1 urn:ietf:params:rtp-hdrext:toffset\r\n");
    }
    sdp
}

fn candidates(call: &str) -> Value {
    let line =
        "candidate:2 1 udp 41885439 8.8.4.4 50001 typ relay raddr 198.51.100.4 rport 46154 generation 0 ufrag Hq3f";
    let candidates = vec![json!({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}); 6];
    json!({"call": call, "id": "o", "candidates": candidates, "end": true})
}

async fn say(client: &mut Client, name: &str, data: Value) {
    let event = ClientEvent::parse(name, &data.to_string()).unwrap().unwrap();
    client.send(&event).await.unwrap();
}

async fn until(client: &mut Client, name: &str) {
    loop {
        let event = client.next(WAIT).await.unwrap();
        assert!(!matches!(event, ServerEvent::Error(_)), "{event:?}");
        if event.name() == name {
            return;
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
