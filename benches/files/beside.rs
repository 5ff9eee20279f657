//! What is said beside a file on the same link, and how much later it is heard than without one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use duologue::client::{Habits, Rest, Target};
use duologue::hub::Door;
use duologue::load::network::{Network, Weather};
use duologue::load::pair::{Measured, Pair, Party};
use duologue::load::{Quantiles, Times, content};

use super::{DOORS, MIB};

const TALK: Duration = Duration::from_secs(10);
/// Both say something so often.
const PAUSE: Duration = Duration::from_millis(20);
/// 5 Mbit/s and 20 ms, each way.
const NARROW: Weather = Weather {
    delay: Duration::from_millis(20),
    jitter: Duration::ZERO,
    loss: 0.0,
    doubled: 0.0,
    reordered: 0.0,
    bandwidth: Some(625_000),
    up_blocked: false,
    down_blocked: false,
};

/// Whose line is narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Narrow {
    Nobody,
    Sender,
    Receiver,
}

/// Each with what is heard where the file goes to first, then what is heard where it comes from.
struct Row {
    idle: [Quantiles; 2],
    busy: [Quantiles; 2],
    megabytes_per_second: f64,
}

pub(super) async fn chat(rest: &Rest, target: &Target) {
    let file = content(3, 10 * MIB);
    println!("\n| from said to heard | idle p50 | p99 | beside files p50 | p99 | ratio p50 | p99 | files |");
    println!("|---|---|---|---|---|---|---|---|");
    for narrow in [Narrow::Nobody, Narrow::Sender, Narrow::Receiver] {
        let mut rows = Vec::new();
        if narrow == Narrow::Nobody {
            // Both doors at once would measure the processors.
            for door in DOORS {
                rows.push(row(rest, target, door, narrow, &file).await);
            }
        } else {
            let [one, other] = DOORS.map(|door| row(rest, target, door, narrow, &file));
            let (one, other) = tokio::join!(one, other);
            rows.extend([one, other]);
        }
        let line = match narrow {
            Narrow::Nobody => "loopback",
            Narrow::Sender => "5 Mbit/s and 20 ms before the file's sender",
            Narrow::Receiver => "5 Mbit/s and 20 ms before its receiver",
        };
        for (door, Row { idle, busy, megabytes_per_second }) in DOORS.iter().zip(rows) {
            for (way, (idle, busy)) in ["with the file", "against it"].iter().zip(idle.iter().zip(&busy)) {
                let times = [idle.p50, idle.p99, busy.p50, busy.p99].map(|time| format!("{time:.1} ms")).join(" | ");
                let (half, most) = (busy.p50 / idle.p50, busy.p99 / idle.p99);
                let rate = format!("{megabytes_per_second:.2} MB/s");
                println!("| {door:?}, {line}, {way} | {times} | {half:.1} | {most:.1} | {rate} |");
            }
        }
    }
}

async fn row(rest: &Rest, target: &Target, door: Door, narrow: Narrow, file: &Bytes) -> Row {
    let networks = [Network::before(target, 1).await.unwrap(), Network::before(target, 2).await.unwrap()];
    let mut parties = Vec::new();
    for (network, at) in networks.iter().zip([Narrow::Sender, Narrow::Receiver]) {
        let target = if narrow == at { network.target(target) } else { target.clone() };
        parties.push(Party { target, token: rest.guest().await.unwrap().token, habits: Habits::new(&[door]) });
    }
    let parties = parties.try_into().unwrap_or_else(|_| unreachable!());
    let mut pair = Pair::meet(parties, &format!("beside {door:?} {narrow:?}"), 64).await.unwrap();
    networks.iter().for_each(|network| network.both(NARROW));
    let (idle, _) = talk(&mut pair, None).await;
    let (busy, megabytes_per_second) = talk(&mut pair, Some(file)).await;
    Row { idle, busy, megabytes_per_second }
}

/// Talks, with one file after another beside it, until the time is over and the last file has come.
async fn talk(pair: &mut Pair, file: Option<&Bytes>) -> ([Quantiles; 2], f64) {
    let mut times = [Times::default(), Times::default()];
    let mut bytes = 0;
    let began = Instant::now();
    let mut ticks = tokio::time::interval(PAUSE);
    loop {
        if pair.files().is_settled() {
            if began.elapsed() >= TALK {
                break;
            }
            if let Some(file) = file {
                pair.send(0, file.clone());
            }
        }
        tokio::select! {
            _ = ticks.tick() => {
                pair.say(0);
                pair.say(1);
            }
            (side, news) = pair.news() => match pair.take(side, news).unwrap() {
                Measured::Heard(time) => times[1 - side].note(time),
                Measured::Arrived(_, size) => bytes += size,
                _ => {}
            },
        }
    }
    let took = began.elapsed().as_secs_f64();
    assert!(pair.settle(super::WAIT).await.unwrap());
    assert_eq!(pair.broken().total(), 0);
    (times.map(|times| times.quantiles()), bytes as f64 / 1e6 / took)
}
