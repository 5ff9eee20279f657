//! One run: people arrive, talk while faults are done to them, come to rest, and are counted.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Barrier;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout_at};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::gaps::Gaps;
use super::ledger::Broken;
use super::memory::resident;
use super::network::{Network, Weather};
use super::pair::{Measured, Pair, Party};
use super::report::{FilesReport, Report, Times};
use super::{Doors, Options, Plan, content, seconds};
use crate::client::{self, Cut, Habits, Nodes, Target};
use crate::hub::Door;

/// How long people may take to come to rest after the last message: longer than any fault lasts.
const REST: Duration = Duration::from_secs(40);
/// A person whose UDP is blocked again and again looks for it again after this long.
const LOOK_BACK: Duration = Duration::from_secs(5);
/// On average so long between two blocks of UDP.
const BLOCK_EVERY: f64 = 10.0;
/// Most sessions that are set up at once.
const ARRIVING: usize = 64;

/// Why a run could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server is away, or refuses.
    #[error("{address} does not serve: {source}")]
    Server {
        /// Where.
        address: String,
        /// What happened.
        source: client::Error,
    },
    /// The server lets fewer guests in than are needed.
    #[error(
        "{address} lets no more guests of one address in ({source}). Start it with \
         DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR={needed} or more, or bring tokens with --tokens"
    )]
    Guests {
        /// Where.
        address: String,
        /// What it said.
        source: client::Error,
        /// How many are needed.
        needed: usize,
    },
    /// The tokens cannot be used.
    #[error("the tokens in {0}")]
    Tokens(String),
    /// What was asked for is over the server's limits.
    #[error(
        "{rate} messages a second{} are more than the server allows ({limit} events a minute for each person). Start it \
         with DUOLOGUE_LIMITS_EVENTS_PER_MINUTE={needed}, or ask for less with --rate{}",
        if *.files > 0 { format!(" and {files} files") } else { String::new() },
        if *.files > 0 { " or --files" } else { "" },
    )]
    Limit {
        /// Asked for.
        rate: f64,
        /// Files of each pair.
        files: usize,
        /// Allowed.
        limit: u32,
        /// What would do.
        needed: u32,
    },
    /// So are the files.
    #[error("a file has at most {limit} bytes there. Start the server with MAX_FILE_SIZE={size}, or send smaller ones")]
    TooLarge {
        /// Asked for.
        size: usize,
        /// Allowed.
        limit: u64,
    },
}

/// What all pairs add to.
#[derive(Default)]
struct Tally {
    times: Mutex<AllTimes>,
    met: AtomicUsize,
    said: AtomicUsize,
    heard: AtomicUsize,
    lost: AtomicUsize,
    moves: AtomicUsize,
    files_sent: AtomicUsize,
    file_bytes: AtomicUsize,
    over: AtomicUsize,
    went_on: AtomicUsize,
    repeated: AtomicUsize,
}

#[derive(Default)]
struct AllTimes {
    heard: Times,
    arrived: Times,
    /// The last file.
    last: Option<Instant>,
    told: Times,
    gap: Times,
    /// Of each pair the longest wait for an answer; and all waits.
    longest: Times,
    gaps: Gaps,
}

impl Tally {
    fn times(&self) -> MutexGuard<'_, AllTimes> {
        self.times.lock().expect("no code panics while it holds this lock")
    }

    fn note(&self, measured: Measured) {
        match measured {
            Measured::Heard(time) => {
                self.heard.fetch_add(1, Ordering::Relaxed);
                self.times().heard.note(time);
            }
            Measured::Told(time) => self.times().told.note(time),
            Measured::Arrived(time, bytes) => {
                self.file_bytes.fetch_add(bytes, Ordering::Relaxed);
                let mut times = self.times();
                times.arrived.note(time);
                times.last = Some(Instant::now());
            }
            Measured::Gap(time) => self.times().gap.note(time),
            Measured::Moved => drop(self.moves.fetch_add(1, Ordering::Relaxed)),
            Measured::Lost => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
            Measured::WentOn => drop(self.went_on.fetch_add(1, Ordering::Relaxed)),
            Measured::Repeated => drop(self.repeated.fetch_add(1, Ordering::Relaxed)),
            Measured::Nothing => {}
        }
    }

    /// What a pair comes to that will say nothing more.
    fn close(&self, pair: &Pair) {
        self.over.fetch_add(usize::from(pair.is_over()), Ordering::Relaxed);
        let gaps = pair.gaps();
        let mut times = self.times();
        // Whoever said nothing waited for nothing.
        if pair.heard() > 0 || !gaps.longest().is_zero() {
            times.longest.note(gaps.longest());
        }
        times.gaps.add(&gaps);
    }
}

/// Runs it, with a line that is alive on stderr.
///
/// # Errors
/// It could not be begun. Promises that were broken are in the report.
pub async fn run(options: &Options) -> Result<Report, Error> {
    let server = |source| Error::Server { address: options.servers().join(", "), source };
    let nodes = Nodes::at(&options.servers()).await.map_err(server)?;
    let targets = targets(&nodes).await.map_err(server)?;
    let tokens = tokens(options, &nodes).await?;
    allowed(options, &targets[0], &tokens[0]).await?;
    let address = nodes.all()[0].address();
    let before = resident(address);

    let tally = Arc::new(Tally::default());
    let tasks = TaskTracker::new();
    // All have met, or failed, before anyone talks: what is measured is a service with all its people.
    let all_here = Arc::new(Barrier::new(options.pairs + 1));
    let arriving = Arc::new(tokio::sync::Semaphore::new(ARRIVING));
    let began = Instant::now();
    let pairs: Vec<_> = (0..options.pairs)
        .map(|index| {
            let one = Couple {
                index,
                options: options.clone(),
                nodes: nodes.clone(),
                targets: targets.clone(),
                tokens: [tokens[2 * index].clone(), tokens[2 * index + 1].clone()],
                dice: StdRng::seed_from_u64(options.seed.wrapping_mul(1_000_003).wrapping_add(index as u64)),
                networks: Vec::new(),
            };
            let (tally, all_here, arriving) = (Arc::clone(&tally), Arc::clone(&all_here), Arc::clone(&arriving));
            tasks.spawn(async move { one.live(&tally, &all_here, &arriving).await })
        })
        .collect();
    let live = AbortOnDropHandle::new(tasks.spawn(live_line(Arc::clone(&tally), began, options.clone())));
    all_here.wait().await;
    let here = began.elapsed();
    let talking = Instant::now();
    let mut broken = Broken::default();
    let mut failures = Vec::new();
    let mut at_work = None;
    sleep(seconds(options.duration).saturating_sub(Duration::from_millis(200))).await;
    if let Some(bytes) = resident(address) {
        at_work = Some(bytes);
    }
    for pair in pairs {
        match pair.await {
            Ok(Ok(theirs)) => broken.add(&theirs),
            Ok(Err(error)) => failures.push(error.to_string()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    drop(live);
    let talked = talking.elapsed().min(seconds(options.duration)).as_secs_f64();
    let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
    let times = tally.times();
    let met = count(&tally.met);
    let files = options.files.map(|plan| {
        let time = times.arrived.quantiles();
        let until = times.last.map_or(0.0, |last| (last - talking).as_secs_f64());
        FilesReport {
            asked: plan.count * met,
            sent: count(&tally.files_sent),
            arrived: usize::try_from(time.count).unwrap_or(usize::MAX),
            megabytes_per_second: count(&tally.file_bytes) as f64 / 1e6 / until.max(0.001),
            time,
        }
    });
    Ok(Report {
        pairs: met,
        seconds: talked,
        said: count(&tally.said),
        heard: count(&tally.heard),
        messages_per_second: count(&tally.heard) as f64 / talked.max(0.001),
        setups_per_second: (2 * met) as f64 / here.as_secs_f64().max(0.001),
        latency: times.heard.quantiles(),
        delivered: times.told.quantiles(),
        files,
        links_lost: count(&tally.lost),
        moves: count(&tally.moves),
        without_link: times.gap.quantiles(),
        conversations_lost: count(&tally.over),
        nodes_lost: count(&tally.went_on),
        repeated: count(&tally.repeated),
        longest_gap: times.longest.quantiles(),
        gaps: times.gaps.classes(),
        max_gap_ms: options.max_gap.map(|most| most * 1000.0),
        server_bytes: at_work,
        server_bytes_before: before,
        broken,
        failures,
    })
}

/// Where the doors of each node are. One that is away for now may be back later: its people begin elsewhere.
async fn targets(nodes: &Nodes) -> Result<Vec<Target>, client::Error> {
    let mut targets = Vec::new();
    for number in 0..nodes.all().len() {
        targets.push(nodes.beginning(number).target().await?);
    }
    Ok(targets)
}

async fn tokens(options: &Options, nodes: &Nodes) -> Result<Vec<String>, Error> {
    let needed = 2 * options.pairs.max(1);
    if let Some(file) = &options.tokens {
        let wrong = |why: String| Error::Tokens(format!("{} cannot be used: {why}", file.display()));
        let text =
            tokio::task::block_in_place(|| std::fs::read_to_string(file)).map_err(|error| wrong(error.to_string()))?;
        let tokens: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if tokens.len() < needed {
            return Err(wrong(format!("there are {}, and {needed} are needed", tokens.len())));
        }
        return Ok(tokens);
    }
    let mut tokens = Vec::with_capacity(needed);
    for _ in 0..needed {
        let guest = nodes.guest().await;
        let guest = guest.map_err(|source| {
            let address = options.servers().join(", ");
            match &source {
                client::Error::Refused { code, .. } if code == "too-fast" => Error::Guests { address, source, needed },
                _ => Error::Server { address, source },
            }
        })?;
        tokens.push(guest.token);
    }
    Ok(tokens)
}

/// Whether the server lets people talk so fast.
async fn allowed(options: &Options, target: &Target, token: &str) -> Result<(), Error> {
    let first = client::Keeper::start(target, token, None, Habits::new(&[Door::WebSocket])).await;
    let first = first.map_err(|source| Error::Server { address: options.servers().join(", "), source })?;
    let limits = &first.established().limits;
    let Plan { count: files, size } = options.files.unwrap_or(Plan { count: 0, size: 0 });
    if size as u64 > limits.file_bytes {
        return Err(Error::TooLarge { size, limit: limits.file_bytes });
    }
    let limit = limits.events_per_minute;
    // Each talk also takes a match and a leave; a file an offer and its end from one side, and a yes from
    // the other. All of them may go within a minute.
    let needed = options.rate * 60.0 + 4.0 + files as f64 * 1.5;
    if needed <= f64::from(limit) {
        return Ok(());
    }
    Err(Error::Limit { rate: options.rate, files, limit, needed: (needed * 2.0) as u32 })
}

async fn live_line(tally: Arc<Tally>, began: Instant, options: Options) {
    if options.json || !std::io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let mut ticks = interval(Duration::from_secs(1));
    let mut before = 0;
    loop {
        ticks.tick().await;
        let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        let heard = count(&tally.heard);
        let p99 = tally.times().heard.quantiles().p99;
        let line = format!(
            "{:>4} s   {} pairs   {} messages a second   p99 {p99:.2} ms   {} links lost   {} moves",
            began.elapsed().as_secs(),
            count(&tally.met),
            heard - before,
            count(&tally.lost),
            count(&tally.moves),
        );
        before = heard;
        // A terminal that is gone needs no line.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }
}

/// One pair's life.
struct Couple {
    index: usize,
    options: Options,
    nodes: Nodes,
    /// Of each node.
    targets: Vec<Target>,
    tokens: [String; 2],
    dice: StdRng,
    /// Networks of those whose UDP is blocked now and then.
    networks: Vec<Network>,
}

impl Couple {
    async fn live(
        mut self,
        tally: &Tally,
        all_here: &Barrier,
        arriving: &tokio::sync::Semaphore,
    ) -> Result<Broken, client::Error> {
        let late = seconds(self.options.ramp).mul_f64(self.index as f64 / self.options.pairs.max(1) as f64);
        sleep(late).await;
        let met = {
            let _place = arriving.acquire().await;
            self.meet().await
        };
        if met.is_ok() {
            tally.met.fetch_add(1, Ordering::Relaxed);
        }
        all_here.wait().await;
        let mut pair = met?;
        self.talk(&mut pair, tally).await?;
        // Whatever was blocked is open again: what is said must arrive now.
        self.networks.iter().for_each(|network| network.udp(Weather::default()));
        let deadline = Instant::now() + REST;
        while !pair.is_settled() && !pair.is_over() {
            let (side, news) = tokio::select! {
                news = pair.news() => news,
                () = sleep_until(deadline) => break,
            };
            tally.note(pair.take(side, news)?);
        }
        // Whatever came twice or too much comes by now.
        let end = Instant::now() + Duration::from_millis(500);
        while let Ok((side, news)) = timeout_at(end, pair.news()).await {
            tally.note(pair.take(side, news)?);
        }
        tally.close(&pair);
        let broken = pair.broken();
        pair.part().await;
        Ok(broken)
    }

    async fn meet(&mut self) -> Result<Pair, client::Error> {
        let tokens = self.tokens.clone();
        let doors = match (self.options.doors, self.index % 3) {
            (Doors::Webtransport, _) | (Doors::Mix, 0) => [Door::WebTransport; 2],
            (Doors::Websocket, _) | (Doors::Mix, 1) => [Door::WebSocket; 2],
            (Doors::Crossed | Doors::Mix, _) => [Door::WebTransport, Door::WebSocket],
        };
        let mut parties = Vec::with_capacity(2);
        for (side, (door, token)) in doors.into_iter().zip(tokens).enumerate() {
            let at = self.index + if self.options.spread { side } else { 0 };
            let mut target = self.targets[at % self.targets.len()].clone();
            // With one address there is nowhere else to go.
            let nodes = (self.targets.len() > 1).then(|| self.nodes.beginning(at));
            let mut habits = Habits { nodes, ..Habits::new(&[door]) };
            if door == Door::WebTransport && self.dice.random_bool(self.options.block_udp.clamp(0.0, 1.0)) {
                let failed = |error: std::io::Error| client::Error::Connect(error.to_string());
                let network = Network::before(&target, self.dice.random()).await.map_err(failed)?;
                target = network.target(&target);
                self.networks.push(network);
                habits = Habits { look_back: Some(LOOK_BACK), doors: vec![door, Door::WebSocket], ..habits };
            }
            parties.push(Party { target, token, habits });
        }
        let parties = parties.try_into().unwrap_or_else(|_| unreachable!("two doors make two parties"));
        Pair::meet(parties, &format!("load {} {}", self.options.seed, self.index), self.options.size).await
    }

    async fn talk(&mut self, pair: &mut Pair, tally: &Tally) -> Result<(), client::Error> {
        let end = Instant::now() + seconds(self.options.duration);
        let every = if self.options.rate > 0.0 { seconds(1.0 / self.options.rate) } else { seconds(f64::MAX) };
        let mut next_word = [(); 2].map(|()| Instant::now() + every.mul_f64(self.dice.random()));
        let mut next_cut = [(); 2].map(|()| self.sometime(self.options.cut_every));
        let mut next_pause = [(); 2].map(|()| self.sometime(self.options.pause_every));
        let blocks = (!self.networks.is_empty()).then_some(BLOCK_EVERY);
        let mut next_block = self.sometime(blocks);
        let mut open_again = None;
        loop {
            if let Some(plan) = self.options.files
                && pair.files().sent() < plan.count
                && pair.files().is_settled()
            {
                let bytes = content(self.dice.random(), plan.size);
                let sent = pair.send(pair.files().sent() % 2, bytes);
                tally.files_sent.fetch_add(usize::from(sent), Ordering::Relaxed);
            }
            let words = next_word.iter().chain(&next_cut).chain(&next_pause);
            let due = words.chain([&next_block, &end]).chain(&open_again).min().copied().unwrap_or(end);
            tokio::select! {
                biased; // what is due is due, however much is heard
                () = sleep_until(due) => {}
                (side, news) = pair.news() => {
                    tally.note(pair.take(side, news)?);
                    continue;
                }
            }
            let now = Instant::now();
            // Who is alone has nobody to talk to.
            if now >= end || pair.is_over() {
                return Ok(());
            }
            for side in 0..2 {
                if now >= next_word[side] {
                    tally.said.fetch_add(usize::from(pair.say(side)), Ordering::Relaxed);
                    next_word[side] += every;
                }
                if now >= next_cut[side] {
                    let how = if self.dice.random_bool(0.5) { Cut::Closed } else { Cut::Abandoned };
                    pair.keeper(side).cut(how);
                    next_cut[side] = self.sometime(self.options.cut_every);
                }
                if now >= next_pause[side] {
                    pair.keeper(side).cut(Cut::Asleep(seconds(self.dice.random_range(3.0..8.0))));
                    next_pause[side] = self.sometime(self.options.pause_every) + seconds(8.0);
                }
            }
            if now >= next_block {
                self.networks.iter().for_each(|network| network.udp(Weather::BLACK_HOLE));
                let open = now + seconds(self.dice.random_range(2.0..8.0));
                open_again = Some(open);
                next_block = open + (self.sometime(blocks) - now);
            }
            if open_again.is_some_and(|at| now >= at) {
                open_again = None;
                self.networks.iter().for_each(|network| network.udp(Weather::default()));
            }
        }
    }

    /// A moment from now, on average so many seconds away (exponentially spread).
    fn sometime(&mut self, every: Option<f64>) -> Instant {
        let Some(every) = every else { return Instant::now() + Duration::from_secs(365 * 24 * 3600) };
        let uniform: f64 = self.dice.random();
        Instant::now() + seconds(-(1.0 - uniform).ln() * every)
    }
}
