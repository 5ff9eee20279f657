//! What files cost: `cargo bench --bench files`. Prints the tables of docs/benchmarks.md.
//!
//! Each thing is measured beside what it is compared with, by turns in one run: ratios hold when the
//! machine's speed does not.
#![allow(missing_docs, clippy::unwrap_used, reason = "a program for its own tables")]

#[path = "files/bare.rs"]
mod bare;
#[path = "files/beside.rs"]
mod beside;
mod common;
#[path = "files/memory.rs"]
mod memory;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use duologue::client::{Client, File, Rest, Target, sha256};
use duologue::config;
use duologue::hub::Door::{self, WebSocket, WebTransport};
use duologue::load::content;
use duologue::protocol::{ClientEvent, ServerEvent, Wish};
use duologue::server::Server;
use duologue::tls::Certificates;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DOORS: [Door; 2] = [WebTransport, WebSocket];
const MIB: usize = 1024 * 1024;
/// What is relayed in one go.
const WHOLE: usize = 64 * MIB;
const ROUNDS: usize = 9;
/// Longer than anything here takes.
const WAIT: Duration = Duration::from_secs(60);

fn main() {
    // One part alone: `cargo bench --bench files -- relay`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        if wants("memory") {
            memory::stalled(folder.path()).await;
        }
        let config = config::load(None, settings(folder.path())).unwrap();
        let certificates = Certificates::open(&config, SystemTime::now()).unwrap();
        let server = Server::bind(config).await.unwrap();
        let address = server.addresses().http.unwrap();
        let stop = CancellationToken::new();
        let (tasks, stopped) = (TaskTracker::new(), stop.clone());
        tasks.spawn(async move { server.run(stopped.cancelled_owned()).await });
        let rest = Rest::at(&format!("http://{address}")).await.unwrap();
        let target = rest.target().await.unwrap();
        if wants("relay") {
            relay(&rest, &target, &certificates, &tasks).await;
        }
        if wants("beside") {
            beside::chat(&rest, &target).await;
        }
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    });
}

fn settings(folder: &Path) -> Vec<(String, String)> {
    let most = WHOLE.to_string();
    common::variables(folder, &[("DUOLOGUE_LISTEN_HTTPS", "off"), ("DUOLOGUE_FILES_MAX_BYTES", most.as_str())])
}

/// Two people who talk.
async fn meet(rest: &Rest, target: &Target, door: Door, interest: &str) -> [Client; 2] {
    let mut clients = Vec::new();
    for _ in 0..2 {
        let token = rest.guest().await.unwrap().token;
        let mut client = Client::connect(target, door, &token, None).await.unwrap();
        let wish = Wish { interests: vec![interest.to_owned()], ..Wish::default() };
        client.send(&ClientEvent::Match(wish)).await.unwrap();
        until(&mut client, "user:matching").await;
        clients.push(client);
    }
    for client in &mut clients {
        until(client, "user:matched").await;
    }
    clients.try_into().unwrap_or_else(|_| unreachable!())
}

async fn until(client: &mut Client, name: &str) -> ServerEvent {
    loop {
        match client.next(WAIT).await.unwrap() {
            event if event.name() == name => return event,
            ServerEvent::Error(refusal) => panic!("{refusal:?}"),
            ServerEvent::Cancel(cancelled) => panic!("{cancelled:?}"),
            _ => {}
        }
    }
}

/// One large file from client to client, beside a pipe that only copies.
async fn relay(rest: &Rest, target: &Target, certificates: &Certificates, tasks: &TaskTracker) {
    let whole = content(1, WHOLE);
    let mut lines = Vec::new();
    for door in DOORS {
        let mut pair = meet(rest, target, door, &format!("relay {door:?}")).await;
        let mut times = [const { Vec::new() }; 3];
        for round in 0..=ROUNDS {
            let taken;
            (taken, pair) = through_the_server(pair, &whole, round, tasks).await;
            let mut taken = vec![taken];
            for hashing in [false, true] {
                taken.push(match door {
                    WebTransport => bare::webtransport(certificates, &whole, hashing, tasks).await,
                    WebSocket => bare::websocket(&whole, hashing, tasks).await,
                    Door::SocketIo => unreachable!("carries no bytes of files"),
                });
            }
            // The first of each warms up.
            if round > 0 {
                times.iter_mut().zip(taken).for_each(|(times, taken)| times.push(taken));
            }
        }
        let [ours, bare, hashed] = times.map(rate);
        let (ratio, fair) = (ours / bare, ours / hashed);
        lines.push(format!(
            "| {door:?} | {ours:.0} MB/s | {bare:.0} MB/s | {ratio:.2} | {hashed:.0} MB/s | {fair:.2} |"
        ));
    }
    println!(
        "\n| 64 MiB from client to client, median of {ROUNDS} | Duologue | a bare pipe | ratio | one that hashes | ratio |"
    );
    println!("|---|---|---|---|---|---|");
    lines.iter().for_each(|line| println!("{line}"));
    let began = Instant::now();
    std::hint::black_box(sha256(&whole));
    println!("\nSHA-256 of it, once: {:.0} ms", began.elapsed().as_secs_f64() * 1000.0);
}

/// Megabytes a second, at the median.
fn rate(mut times: Vec<Duration>) -> f64 {
    times.sort();
    WHOLE as f64 / 1e6 / times[times.len() / 2].as_secs_f64()
}

async fn through_the_server(
    pair: [Client; 2],
    whole: &Bytes,
    round: usize,
    tasks: &TaskTracker,
) -> (Duration, [Client; 2]) {
    let [mut one, mut other] = pair;
    let file = File::new("whole.bin", "application/octet-stream", whole.clone());
    let began = Instant::now();
    let sending = tasks.spawn(async move {
        one.offer(&format!("whole-{round}"), &file).await.unwrap();
        until(&mut one, "file:complete").await;
        one
    });
    let receiving = tasks.spawn(async move {
        let ServerEvent::Offer(offered) = until(&mut other, "file:offer").await else { unreachable!() };
        other.accept(&offered.transfer).await.unwrap();
        let ServerEvent::Complete(complete) = until(&mut other, "file:complete").await else { unreachable!() };
        let (_, bytes) = other.collect(&complete).unwrap();
        (Instant::now(), bytes, other)
    });
    let (ended, bytes, mut other) = {
        let (ended, bytes, other) = receiving.await.unwrap();
        assert!(bytes == *whole);
        (ended, bytes, other)
    };
    drop(bytes);
    // What is still to be said about it is said.
    let one = sending.await.unwrap();
    let _ = other.next(Duration::from_millis(20)).await;
    (ended - began, [one, other])
}
