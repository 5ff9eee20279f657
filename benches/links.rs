//! What a bad network costs: `cargo bench --bench links`. Prints the tables of docs/benchmarks.md.
//!
//! A real server in this process, real clients, and the misbehaving network of the tests between
//! them. Both doors are measured in one run, so that their ratio holds when the machine's speed does
//! not.
#![allow(missing_docs, clippy::unwrap_used, reason = "a program for its own tables")]

mod common;

use std::time::{Duration, Instant};

use duologue::client::{Cut, Habits, Keeper, Rest, Target};
use duologue::config;
use duologue::hub::Door::{self, WebSocket, WebTransport};
use duologue::load::Times;
use duologue::load::network::{Network, Weather};
use duologue::load::pair::{Measured, Pair, Party};
use duologue::server::Server;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use common::variables;

const BLOCKS: usize = 25;
const CUTS: usize = 200;
const TALK: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::bind(
            config::load(None, variables(folder.path(), &[("DUOLOGUE_LIMITS_MAX_PARKED", "100000")])).unwrap(),
        )
        .await
        .unwrap();
        let address = server.addresses().http.unwrap();
        let stop = CancellationToken::new();
        let (running, stopped) = (TaskTracker::new(), stop.clone());
        running.spawn(async move { server.run(stopped.cancelled_owned()).await });
        running.close();
        let rest = Rest::at(&format!("http://{address}")).await.unwrap();
        let target = rest.target().await.unwrap();
        // First, while nothing that was freed can be taken again.
        parked(&rest, &target).await;
        udp_block(&rest, &target).await;
        resume(&rest, &target).await;
        loss(&rest, &target).await;
        idle(&rest, &target).await;
        stop.cancel();
        running.wait().await;
    });
}

/// Two people; the first has this network before the server.
async fn meet(rest: &Rest, target: &Target, network: &Network, doors: &[Door], interest: &str) -> Pair {
    let habits = Habits { look_back: Some(Duration::from_secs(1)), ..Habits::new(doors) };
    let near = Party { target: network.target(target), token: rest.guest().await.unwrap().token, habits };
    let far =
        Party { target: target.clone(), habits: Habits::new(&[WebSocket]), token: rest.guest().await.unwrap().token };
    Pair::meet([near, far], interest, 64).await.unwrap()
}

async fn udp_block(rest: &Rest, target: &Target) {
    let network = Network::before(target, 1).await.unwrap();
    let mut pair = meet(rest, target, &network, &[WebTransport, WebSocket], "block").await;
    let mut times = Times::default();
    for _ in 0..BLOCKS {
        while pair.door(0) != WebTransport {
            pair.talk(PAUSE, PAUSE).await.unwrap();
        }
        pair.settle(Duration::from_secs(20)).await.unwrap();
        network.udp(Weather::BLACK_HOLE);
        let blocked = Instant::now();
        // Said while UDP is blocked; heard over WebSocket.
        pair.say(0);
        assert!(pair.settle(Duration::from_secs(20)).await.unwrap());
        assert_eq!(pair.door(0), WebSocket);
        times.note(blocked.elapsed());
        network.udp(Weather::default());
    }
    println!("from a UDP block to the first message delivered over WebSocket ({BLOCKS} blocks)");
    println!("  {}", times.quantiles());
}

async fn resume(rest: &Rest, target: &Target) {
    println!(
        "from a link lost to the session on the next one ({CUTS} cuts; the first wait, at random up to 100 ms, is part of it)"
    );
    for door in [WebTransport, WebSocket] {
        let network = Network::before(target, 2).await.unwrap();
        let mut pair = meet(rest, target, &network, &[door], &format!("cut {door:?}")).await;
        let mut times = Times::default();
        for _ in 0..CUTS {
            let before = pair.story(0).gaps.len();
            pair.keeper(0).cut(Cut::Closed);
            while pair.story(0).gaps.len() == before {
                let (side, news) = pair.news().await;
                if let Measured::Gap(gap) = pair.take(side, news).unwrap() {
                    times.note(gap);
                }
            }
        }
        println!("  {door:?}: {}", times.quantiles());
    }
}

async fn loss(rest: &Rest, target: &Target) {
    println!("from said to heard, 20 ms each way on one side, 100 messages a second in all, {} s each", TALK.as_secs());
    for loss in [0.0, 0.01, 0.05, 0.10] {
        let measured = [WebTransport, WebSocket].map(async |door| {
            let network = Network::before(target, 3).await.unwrap();
            let mut pair = meet(rest, target, &network, &[door], &format!("loss {door:?} {loss}")).await;
            network.both(Weather { loss, delay: Duration::from_millis(20), ..Weather::default() });
            let mut times = Times::default();
            let end = Instant::now() + TALK;
            let mut ticks = tokio::time::interval(PAUSE);
            while Instant::now() < end {
                tokio::select! {
                    _ = ticks.tick() => {
                        pair.say(0);
                        pair.say(1);
                    }
                    (side, news) = pair.news() => {
                        if let Measured::Heard(time) = pair.take(side, news).unwrap() {
                            times.note(time);
                        }
                    }
                }
            }
            assert!(pair.settle(Duration::from_secs(30)).await.unwrap());
            assert_eq!(pair.broken().total(), 0);
            times.quantiles()
        });
        let [webtransport, websocket] = measured;
        let (webtransport, websocket) = tokio::join!(webtransport, websocket);
        println!("  {:>4.0} % WebTransport: {webtransport}", loss * 100.0);
        println!("         WebSocket:    {websocket}");
    }
}

/// Bytes and processor time that idle sessions cost, clients and server together.
async fn idle(rest: &Rest, target: &Target) {
    const SESSIONS: usize = 200;
    println!(
        "what an idle session costs in a minute, client and server together ({SESSIONS} of them, watched for half of one)"
    );
    for door in [WebTransport, WebSocket] {
        let mut keepers = Vec::new();
        for _ in 0..SESSIONS {
            let token = rest.guest().await.unwrap().token;
            let beat = Duration::from_secs(12);
            keepers.push(Keeper::start(target, &token, None, Habits { beat, ..Habits::new(&[door]) }).await.unwrap());
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let before = (cpu_seconds(), loopback_bytes());
        tokio::time::sleep(Duration::from_secs(30)).await;
        let (cpu, bytes) = (cpu_seconds() - before.0, loopback_bytes() - before.1);
        let each = |total: f64| total * 2.0 / SESSIONS as f64;
        println!("  {door:?}: {:.2} ms of processor and {:.0} bytes each", each(cpu * 1000.0), each(bytes as f64));
        drop(keepers);
    }
}

/// What a session keeps while its client is away.
async fn parked(rest: &Rest, target: &Target) {
    const SESSIONS: usize = 1_000;
    for door in [WebSocket, WebTransport] {
        let before = resident_bytes();
        for _ in 0..SESSIONS {
            let token = rest.guest().await.unwrap().token;
            drop(Keeper::start(target, &token, None, Habits::new(&[door])).await.unwrap());
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        let each = (resident_bytes().saturating_sub(before)) as f64 / SESSIONS as f64 / 1024.0;
        println!("{SESSIONS} parked sessions that came by {door:?}: {each:.1} KiB resident each");
    }
}

fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of 10 ms.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// All that passed the loopback interface, headers included: nothing else should run beside this.
fn loopback_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/net/dev").unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("lo:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}
