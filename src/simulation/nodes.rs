//! Three nodes, the real client and the real core of each, in time that is not waited for: people look for partners
//! and talk while a node is drained, and one dies at a step that the dice say: between any two datagrams that it
//! sends, and between a question to what is shared and its answer.
//!
//! Names and keys are made by chance, so that a seed says what is done to whom and when, and not each datagram.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::air::{Air, Life, Mortal};
use super::link::Net;
use super::{every_seed, in_no_time};
use crate::chat::{Accounts, Chat};
use crate::client::{Cut, Habits, Keeper, News, Target};
use crate::cluster::{Cluster, Doors, Local, World};
use crate::config;
use crate::hub::Door;
use crate::load::Broken;
use crate::load::pair::{Pair, Party, Story};
use crate::nodes::Nodes;
use crate::protocol::{ClientEvent, ConversationId, NodeId, ServerEvent, UserId, Wish};
use crate::session::{Company, Sessions, Settings};

const SEEDS: u64 = 300;
const NODES: usize = 3;
/// How long people talk.
const TALK: Duration = Duration::from_secs(20);
/// What a node does in the seconds that are looked at is within so many steps.
const STEPS: u64 = 400;

/// One node.
struct Node {
    sessions: Sessions,
    life: Life,
    stop: CancellationToken,
}

impl Node {
    async fn begin(accounts: &Accounts, world: &World, air: &Air, latency: Duration, number: u8) -> Self {
        let (life, stop, tasks) = (Life::default(), CancellationToken::new(), TaskTracker::new());
        let address = SocketAddr::from(([10, 0, 0, number], 1));
        let nodes = Nodes::on(air.socket(address, life.clone()), tasks.clone()).unwrap();
        let shared = world.join(NodeId::from_bytes([number; 8]));
        let cluster: Arc<dyn Cluster> = Arc::new(Mortal { shared, life: life.clone(), latency });
        let company = Company::new(Arc::clone(&cluster), nodes, address, Doors::default());
        let matching = config::Matching::default();
        let chat = Chat::new(accounts.clone(), &matching, &config::Files::default()).among(&matching, cluster, 7);
        let limits = config::Limits { events_per_minute: 1_000_000, ..config::Limits::default() };
        let settings = Settings { session: config::Session::default(), limits, files: config::Files::default() };
        let sessions = Sessions::among(chat.clone(), settings, tasks.clone(), Some(company));
        sessions.join_company().await.unwrap();
        let (kept, seeking, stopping) = (sessions.clone(), chat.clone(), stop.clone());
        tasks.spawn(async move {
            let web: crate::session::ServeWeb = Arc::new(|_, _, _| Box::pin(async {}));
            tokio::join!(
                kept.keep_company(web, stopping.clone()),
                seeking.keep_matching(stopping.clone()),
                seeking.keep_seeking(stopping.clone()),
            );
        });
        Self { sessions, life, stop }
    }

    /// As the process does on SIGTERM.
    async fn drain(&self) {
        self.sessions.hand_over_all(Duration::from_secs(8)).await;
        self.sessions.drain();
        self.stop.cancel();
        self.sessions.leave_company().await;
        // What is left of it is said within that time.
        sleep(Duration::from_secs(1)).await;
        self.life.end();
    }
}

/// A service of several nodes, and how its clients get there.
struct Service {
    nodes: Vec<Node>,
    net: Net,
    accounts: Accounts,
}

impl Service {
    async fn begin(accounts: &Accounts, dice: &mut StdRng) -> Self {
        let mut latency = || Duration::from_micros(dice.random_range(500..50_000));
        let (world, air, latency) = (Local::world(), Air::new(latency()), latency());
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            nodes.push(Node::begin(accounts, &world, &air, latency, u8::try_from(number).unwrap()).await);
        }
        // All know of all.
        sleep(Duration::from_secs(2)).await;
        let servers = nodes.iter().map(|node| (node.sessions.clone(), node.life.down())).collect();
        Self { nodes, net: Net::among(servers, dice.random()), accounts: accounts.clone() }
    }

    fn party(&self, dice: &mut StdRng) -> Party {
        let doors: &[Door] = match dice.random_range(0..3) {
            0 => &[Door::WebTransport],
            1 => &[Door::WebSocket],
            _ => &[Door::WebTransport, Door::WebSocket],
        };
        Party {
            target: Target::simulated(self.net.clone()),
            token: self.accounts.guest().unwrap().token,
            habits: Habits { look_back: None, seed: Some(self.net.seed()), ..Habits::new(doors) },
        }
    }

    /// What befalls it: perhaps one of them is drained, and perhaps one dies.
    async fn suffer(&self, drained: Option<usize>, dies: Option<(usize, u64)>) {
        if let Some((node, steps)) = dies {
            self.nodes[node].life.ends_in(steps);
        }
        if let Some(node) = drained {
            self.nodes[node].drain().await;
        }
    }
}

/// What the dice do to a service: a drain, somebody's death, or both.
fn misfortune(dice: &mut StdRng) -> (Option<usize>, Option<(usize, u64)>) {
    let node = |dice: &mut StdRng| dice.random_range(0..NODES);
    let drained = dice.random_bool(0.7).then(|| node(dice));
    let dies = (drained.is_none() || dice.random_bool(0.7)).then(|| (node(dice), dice.random_range(1..STEPS)));
    (drained, dies)
}

/// What became of a pair that talked meanwhile.
struct Talked {
    heard: usize,
    broken: Broken,
    settled: bool,
    /// Links lost, and nodes lost with a session.
    lost: [usize; 2],
}

/// Three pairs talk meanwhile.
async fn talks(accounts: Accounts, seed: u64) -> Vec<Talked> {
    let mut dice = StdRng::seed_from_u64(seed);
    let service = Service::begin(&accounts, &mut dice).await;
    let mut meeting = Vec::new();
    for pair in 0..3 {
        let parties = [service.party(&mut dice), service.party(&mut dice)];
        meeting.push(async move { Pair::meet(parties, &format!("pair {pair}"), 20).await.unwrap() });
    }
    let mut pairs = join_all(meeting).await;
    let (drained, dies) = misfortune(&mut dice);
    let talking = pairs.iter_mut().map(|pair| {
        let mut dice = StdRng::seed_from_u64(dice.random());
        async move {
            let end = Instant::now() + TALK;
            while Instant::now() < end {
                let length = Duration::from_millis(dice.random_range(100..3_000));
                pair.talk(length, Duration::from_millis(200)).await.unwrap();
                // Now and then a link is lost besides.
                if dice.random_bool(0.3) {
                    let how = if dice.random_bool(0.5) { Cut::Closed } else { Cut::Abandoned };
                    pair.keeper(dice.random_range(0..2)).cut(how);
                }
            }
            pair.listen(Duration::from_secs(60)).await.unwrap();
        }
    });
    let talking: Vec<_> = talking.collect();
    let befalls = async {
        // A node whose time is over in the very moment of a match may take it along: both are told.
        sleep(Duration::from_secs(2)).await;
        service.suffer(drained, dies).await;
    };
    tokio::join!(join_all(talking), befalls);
    let talked = pairs.iter().map(|pair| {
        let sum = |of: fn(&Story) -> usize| of(pair.story(0)) + of(pair.story(1));
        let lost = [sum(|story| story.lost), sum(|story| story.nodes)];
        Talked { heard: pair.heard(), broken: pair.broken(), settled: pair.is_settled(), lost }
    });
    talked.collect()
}

#[test]
fn a_talk_outlives_any_step_of_a_node_that_dies_or_is_drained() {
    let lost = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let played = every_seed(SEEDS, |accounts, seed| {
        let log = Log::default();
        for talked in log.of(talks(accounts, seed)) {
            let replay = format!("DUOLOGUE_SEED={seed} cargo test --release simulation::nodes");
            let Talked { heard, broken, settled, lost: those } = talked;
            assert!(settled && broken == Broken::default(), "{broken:?}, settled: {settled}. {replay}");
            assert!(heard >= 200, "they talked: {heard}. {replay}");
            for (sum, lost) in lost.iter().zip(those) {
                sum.fetch_add(lost, Ordering::Relaxed);
            }
        }
    });
    let [links, nodes] = lost.map(AtomicUsize::into_inner);
    eprintln!("{links} links lost, {nodes} sessions lost with their nodes, in {played} seeds");
    // It would be no trial if all were well.
    assert!(played < SEEDS || (links > 100 && nodes > 50), "{links} links, {nodes} sessions");
}

/// What the nodes and the clients say meanwhile, at the times of the simulation. It is told if the test fails.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

struct Clock(Instant);

impl Log {
    fn of<T>(&self, play: impl Future<Output = T>) -> T {
        in_no_time(async {
            let writer = self.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::DEBUG)
                .with_ansi(false)
                .with_timer(Clock(Instant::now()))
                .with_writer(move || writer.clone())
                .finish();
            let _logging = tracing::subscriber::set_default(subscriber);
            play.await
        })
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The last of its clones is the one of the test.
        if std::thread::panicking() && Arc::strong_count(&self.0) == 1 {
            eprintln!("{}", String::from_utf8_lossy(&self.0.lock().unwrap()));
        }
    }
}

impl FormatTime for Clock {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        write!(w, "{:>7.3}", self.0.elapsed().as_secs_f64())
    }
}

/// Someone who looks for a partner until they have one.
struct Seeker {
    keeper: Keeper,
    user: UserId,
    /// With whom they talk, and in which conversation.
    talk: Option<(UserId, ConversationId)>,
    /// Matched while they had a partner.
    twice: bool,
}

impl Seeker {
    async fn begin(party: Party) -> Self {
        // A node that is gone or about to stop takes nobody: there are others.
        let keeper = loop {
            match Keeper::start(&party.target, &party.token, None, party.habits.clone()).await {
                Ok(keeper) => break keeper,
                Err(_) => sleep(Duration::from_millis(300)).await,
            }
        };
        let user = keeper.established().user.user.id;
        let seeker = Self { keeper, user, talk: None, twice: false };
        seeker.seek();
        seeker
    }

    fn seek(&self) {
        let wish = Wish { interests: vec!["crashes".to_owned()], ..Wish::default() };
        self.keeper.say(ClientEvent::Match(wish));
    }

    async fn live(&mut self, until: Instant) {
        while let Ok(news) = timeout_at(until, self.keeper.next()).await {
            match news {
                Some(News::Heard(ServerEvent::Matched(matched))) => {
                    let talk = (matched.matched_user.user.id, matched.conversation);
                    self.twice |= self.talk.replace(talk).is_some_and(|had| had != talk);
                }
                // The keeper itself searches again for what was searched for.
                Some(News::Anew(_)) if self.talk.take().is_none() => {}
                Some(News::Heard(ServerEvent::Unmatched(_))) | Some(News::Anew(_)) => {
                    self.talk = None;
                    self.seek();
                }
                Some(News::Over(error)) => panic!("{error}"),
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// Six look for each other meanwhile.
async fn searches(accounts: Accounts, seed: u64) -> Vec<Seeker> {
    let mut dice = StdRng::seed_from_u64(seed);
    let service = Service::begin(&accounts, &mut dice).await;
    let (drained, dies) = misfortune(&mut dice);
    let until = Instant::now() + Duration::from_secs(120);
    let seeking = (0..6).map(|_| {
        let (party, after) = (service.party(&mut dice), Duration::from_millis(dice.random_range(0..3_000)));
        async move {
            sleep(after).await;
            let mut seeker = Seeker::begin(party).await;
            seeker.live(until).await;
            seeker
        }
    });
    let seeking: Vec<_> = seeking.collect();
    let befalls = async {
        sleep(Duration::from_millis(dice.random_range(0..2_000))).await;
        service.suffer(drained, dies).await;
    };
    tokio::join!(join_all(seeking), befalls).0
}

#[test]
fn whoever_searches_has_one_partner_who_has_them_whichever_step_a_node_dies_at() {
    every_seed(SEEDS, |accounts, seed| {
        let replay = format!("DUOLOGUE_SEED={seed} cargo test --release simulation::nodes");
        let log = Log::default();
        let seekers = log.of(searches(accounts, seed));
        for one in &seekers {
            let (partner, conversation) = one.talk.unwrap_or_else(|| panic!("someone is left alone. {replay}"));
            let other = seekers.iter().find(|other| other.user == partner).unwrap();
            assert_eq!(other.talk, Some((one.user, conversation)), "each has the other. {replay}");
            assert!(!one.twice, "nobody has two partners at once. {replay}");
        }
    });
}
