//! Two real clients and the real session core on links that suffer, in time that is not waited for:
//! thousands of talks in seconds, each drawn from a seed that replays it.
//!
//! `DUOLOGUE_SEEDS=100000 cargo test --release simulation` plays more of them; `DUOLOGUE_SEED=17` plays
//! that one alone.

mod air;
pub(crate) mod link;
mod nodes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::link::{Faults, Net};
use crate::chat::{Accounts, Chat};
use crate::client::{Cut, Habits, Target};
use crate::config;
use crate::hub::Door;
use crate::load::Broken;
use crate::load::pair::{Pair, Party};
use crate::protocol::Presence;
use crate::session::{Sessions, Settings};

const SEEDS: u64 = 2_000;

/// What a talk came to; the same seed must always come to the same.
#[derive(Debug, PartialEq)]
struct Outcome {
    heard: usize,
    broken: Broken,
    gaps: [Vec<Duration>; 2],
    statuses: [Vec<Presence>; 2],
    settled: bool,
}

/// Accounts cost a thread and a file: all talks share them.
async fn accounts(folder: &std::path::Path) -> Accounts {
    let data = ("DUOLOGUE_SERVER_DATA".to_owned(), folder.display().to_string());
    let config = config::load(None, [data]).unwrap();
    Accounts::new(crate::store::open(&config).await.unwrap(), &config).unwrap()
}

/// One talk, from meeting to rest.
async fn play(accounts: Accounts, seed: u64, resume_window: Duration) -> Outcome {
    let mut dice = StdRng::seed_from_u64(seed);
    let chat = Chat::new(accounts.clone(), &config::Matching::default(), &config::Files::default());
    let session = config::Session { resume_window, ..config::Session::default() };
    let limits = config::Limits { events_per_minute: 1_000_000, ..config::Limits::default() };
    let tasks = TaskTracker::new();
    let sessions =
        Sessions::new(chat.clone(), Settings { session, limits, files: config::Files::default() }, tasks.clone());
    let net = Net::new(sessions.clone(), dice.random());
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tasks.spawn(async move { chat.keep_matching(stopped).await });

    let party = |doors: &[Door]| Party {
        target: Target::simulated(net.clone()),
        token: accounts.guest().unwrap().token,
        habits: Habits { look_back: Some(Duration::from_secs(5)), seed: Some(net.seed()), ..Habits::new(doors) },
    };
    let mut draw = || -> &[Door] {
        match dice.random_range(0..3) {
            0 => &[Door::WebTransport],
            1 => &[Door::WebSocket],
            _ => &[Door::WebTransport, Door::WebSocket],
        }
    };
    let parties = [party(draw()), party(draw())];
    let mut pair = Pair::meet(parties, "a simulated talk", 20).await.unwrap();
    // What was said before the first fault tells both that the other has heard of the match.
    pair.talk(Duration::from_secs(2), Duration::from_millis(200)).await.unwrap();
    net.suffer(Some(Faults {
        cut_after: Duration::from_millis(dice.random_range(300..10_000)),
        stall_after: Duration::from_millis(dice.random_range(300..20_000)),
        shut: dice.random_range(0.0..0.5),
        loss: dice.random_range(0.0..0.4),
    }));
    for _ in 0..dice.random_range(1..25) {
        let side = dice.random_range(0..2);
        match dice.random_range(0..6) {
            0 => drop(pair.keeper(side).use_doors(&[Door::WebTransport, Door::WebSocket])),
            1 => drop(pair.keeper(side).use_doors(&[Door::WebSocket, Door::WebTransport])),
            2 => drop(pair.keeper(side).cut(Cut::Closed)),
            3 => drop(pair.keeper(side).cut(Cut::Abandoned)),
            4 => drop(pair.keeper(side).cut(Cut::Asleep(Duration::from_millis(dice.random_range(1..7_000))))),
            _ => {
                pair.keeper(0).cut(Cut::Closed);
                pair.keeper(1).cut(Cut::Closed);
            }
        }
        let (length, pause) = (dice.random_range(1..3_000), dice.random_range(5..400));
        pair.talk(Duration::from_millis(length), Duration::from_millis(pause)).await.unwrap();
    }
    net.suffer(None);
    // The links that still suffer are lost within that time, and those after them are well.
    pair.listen(Duration::from_secs(120)).await.unwrap();
    let settled = pair.is_settled();
    let outcome = Outcome {
        heard: pair.heard(),
        broken: pair.broken(),
        gaps: [0, 1].map(|side| pair.story(side).gaps.clone()),
        statuses: [0, 1].map(|side| pair.story(side).statuses.clone()),
        settled,
    };
    drop(pair);
    stop.cancel();
    sessions.drain();
    tasks.close();
    tasks.wait().await;
    outcome
}

/// In time that stands still until everyone waits for it.
fn in_no_time<T>(play: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(play)
}

/// Names a seed that fails, wherever it does.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay it with: DUOLOGUE_SEED={} cargo test --release simulation", self.0);
        }
    }
}

/// Plays every seed on as many threads as there are processors; `count` of them, unless another number is asked for.
/// Yields how many that were.
fn every_seed(count: u64, check: impl Fn(Accounts, u64) + Sync) -> u64 {
    let number = |name| {
        let (_, text) = std::env::vars().find(|(known, _)| known == name)?;
        Some(text.parse::<u64>().unwrap())
    };
    let (first, count) = match number("DUOLOGUE_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("DUOLOGUE_SEEDS").unwrap_or(count)),
    };
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let accounts = runtime.block_on(accounts(folder.path()));
    let next = Arc::new(AtomicU64::new(first));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let _named = Named(seed);
                    check(accounts.clone(), seed);
                }
            });
        }
    });
    count
}

#[test]
fn nothing_is_lost_doubled_or_reordered_whatever_links_suffer() {
    every_seed(SEEDS, |accounts, seed| {
        let outcome = in_no_time(play(accounts, seed, Duration::from_secs(600)));
        let replay = format!("DUOLOGUE_SEED={seed} cargo test --release simulation: {outcome:?}");
        assert!(outcome.settled && outcome.broken == Broken::default(), "{replay}");
        assert!(outcome.heard >= 20, "they talked. {replay}");
        for heard in &outcome.statuses {
            let turns = (0..heard.len()).map(|index| [Presence::Reconnecting, Presence::Online][index % 2]);
            let true_view = heard.iter().copied().eq(turns) && heard.last() != Some(&Presence::Reconnecting);
            assert!(true_view, "the partner's view. {replay}");
        }
    });
}

#[test]
fn after_the_window_both_are_told_and_what_was_told_stays_true() {
    every_seed(SEEDS, |accounts, seed| {
        let outcome = in_no_time(play(accounts, seed, Duration::from_secs(2)));
        let Broken { doubled, reordered, untrue, untold, invented, lost, ended, .. } = outcome.broken;
        let replay = format!("DUOLOGUE_SEED={seed} cargo test --release simulation: {outcome:?}");
        assert_eq!((doubled, reordered, untrue, invented), (0, 0, 0, 0), "{replay}");
        if ended == 0 {
            assert_eq!((lost, untold), (0, 0), "without an end nothing is lost. {replay}");
        }
    });
}

#[test]
fn a_seed_replays() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let accounts = runtime.block_on(accounts(folder.path()));
    for seed in 0..20 {
        let window = Duration::from_secs(600);
        let outcomes = [(); 2].map(|()| in_no_time(play(accounts.clone(), seed, window)));
        assert_eq!(outcomes[0], outcomes[1], "seed {seed}");
    }
}
