//! The backend against real servers, which each test starts for itself: the suite on one and on a cluster of
//! three, and what happens when Redis dies, starts again empty, or stands still.
//!
//! They need `redis-server` and `redis-cli` in the PATH: `tests/run redis` installs and runs them.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::{Client, RedisResult, cmd};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::Redis;
use crate::cluster::conformance::{self, Backend, beat, card, ticket};
use crate::cluster::{
    BEAT, Cluster, DEADLINE, Error, FORGOTTEN_AFTER, Local, Note, Record, Sought, Ticket, Whereabouts,
};
use crate::config::{self, Config};
use crate::protocol::{NodeId, SessionId, Sha256, UserId};

/// A server starts within this, or the test fails.
const STARTED: Duration = Duration::from_secs(10);
/// Within this it is noticed that Redis is back.
const RECOVERED: Duration = Duration::from_secs(1);
/// What a test may take beside what it measures, on a machine that does other things too.
const SLACK: Duration = Duration::from_millis(400);

/// One `redis-server`.
struct Server {
    port: u16,
    arguments: Vec<String>,
    process: Child,
    folder: TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut arguments: Vec<String> = ["--save", "", "--bind", "127.0.0.1"].map(str::to_owned).into();
        arguments.extend(["--port".to_owned(), port.to_string()]);
        arguments.extend(more.iter().map(|it| (*it).to_owned()));
        let process = Self::launch(&arguments, &folder);
        let server = Self { port, arguments, process, folder };
        server.answers().await;
        server
    }

    fn launch(arguments: &[String], folder: &TempDir) -> Child {
        Command::new("redis-server")
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is in the PATH: tests/run redis installs it")
    }

    async fn answers(&self) {
        let answers = async {
            loop {
                match self.say::<String>(&["PING"]).await {
                    // One with a password has answered too.
                    Err(error) if error.is_io_error() => sleep(Duration::from_millis(5)).await,
                    Ok(_) | Err(_) => break,
                }
            }
        };
        timeout(STARTED, answers).await.expect("redis-server answers");
    }

    /// A command on a connection of its own.
    async fn say<T: ::redis::FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut line = client.get_multiplexed_async_connection().await?;
        cmd(words[0]).arg(&words[1..]).query_async(&mut line).await
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts again, with nothing.
    async fn restart(&mut self) {
        self.process = Self::launch(&self.arguments, &self.folder);
        self.answers().await;
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn settings(url: &str) -> config::Cluster {
    let variables = [("DUOLOGUE_CLUSTER_REDIS", url), ("JWT_SECRET", "correct-horse-battery-staple-0123456789")];
    let folder = tempfile::tempdir().unwrap();
    let data = ("DUOLOGUE_SERVER_DATA".to_owned(), folder.path().display().to_string());
    let all = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).chain([data]);
    let config: Config = config::load(None, all).unwrap();
    config.cluster.unwrap()
}

async fn join(url: &str) -> Arc<dyn Cluster> {
    Arc::new(Redis::join(&settings(url), NodeId::from_bytes(rand::random())).await.unwrap())
}

async fn silence(line: &mut impl ::redis::aio::ConnectionLike, node: NodeId, time: Duration) {
    let earlier = -i64::try_from(time.as_micros()).unwrap();
    let key = "{duologue:lobby}:alive";
    cmd("ZINCRBY").arg(key).arg(earlier).arg(node.to_string()).query_async::<f64>(line).await.unwrap();
}

impl Backend for Server {
    fn join(&self) -> BoxFuture<'_, Arc<dyn Cluster>> {
        Box::pin(async { join(&self.url()).await })
    }

    fn silence(&self, node: NodeId, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let client = Client::open(self.url()).unwrap();
            silence(&mut client.get_multiplexed_async_connection().await.unwrap(), node, time).await;
        })
    }
}

/// Three servers that are one Redis Cluster.
struct Three([Server; 3]);

impl Three {
    async fn start() -> Self {
        let mut servers = Vec::new();
        for _ in 0..3 {
            let bus = free_port().to_string();
            servers.push(Server::with(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await);
        }
        let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .arg("--cluster-yes")
            .output()
            .expect("redis-cli is in the PATH");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let three = Self(servers.try_into().unwrap_or_else(|_| unreachable!()));
        for server in &three.0 {
            let up = async {
                while !server.say::<String>(&["CLUSTER", "INFO"]).await.unwrap().contains("cluster_state:ok") {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(STARTED, up).await.expect("the cluster is up");
        }
        three
    }

    fn url(&self) -> String {
        let urls: Vec<_> = self.0.iter().map(Server::url).collect();
        urls.join(",")
    }
}

impl Backend for Three {
    fn join(&self) -> BoxFuture<'_, Arc<dyn Cluster>> {
        Box::pin(async { join(&self.url()).await })
    }

    fn silence(&self, node: NodeId, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let client = ::redis::cluster::ClusterClient::new(vec![self.0[0].url()]).unwrap();
            silence(&mut client.get_async_connection().await.unwrap(), node, time).await;
        })
    }
}

/// Waits until Redis serves this node; yields how long that took.
async fn recovered(node: &Arc<dyn Cluster>) -> Duration {
    let began = Instant::now();
    let back = async {
        while node.ping().await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(STARTED, back).await.expect("Redis is noticed");
    began.elapsed()
}

/// The next notes, after what failed while Redis was away.
async fn heard(node: &Arc<dyn Cluster>) -> Vec<Note> {
    let heard = async {
        loop {
            if let Ok(notes) = node.notes().await {
                break notes;
            }
        }
    };
    timeout(STARTED, heard).await.expect("notes come again")
}

/// Every call fails, and at once.
async fn fails_at_once(node: &Arc<dyn Cluster>) {
    let began = Instant::now();
    let calls = join_all((0..200).map(async |_| node.seek(&ticket(1)).await)).await;
    assert!(calls.iter().all(|call| matches!(call, Err(Error::Away(_)))));
    let here = Whereabouts {
        session: SessionId::from_bytes(rand::random()),
        node: node.node(),
        device: None,
        grace: None,
        began: 0,
    };
    assert!(node.arrive(UserId::from_bytes(rand::random()), &here, 5).await.is_err());
    assert!(node.beat(&card(node.node())).await.is_err() && node.withdraw(here.session).await.is_err());
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run redis"]
async fn one_server() {
    conformance::run(&Server::start().await).await;
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run redis"]
async fn a_cluster_of_three() {
    let three = Three::start().await;
    conformance::run(&three).await;
    // Any of its nodes is enough to find the others.
    let node = join(&three.0[2].url().replace("redis://", "redis+cluster://")).await;
    assert!(!beat(&node).await.forgotten);
    let mut used = 0;
    for server in &three.0 {
        used += u32::from(server.say::<u64>(&["DBSIZE"]).await.unwrap() > 0);
    }
    assert!(used > 1, "keys lie on several of its nodes");
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run redis"]
async fn the_same_pairs_as_in_one_process() {
    let server = Server::start().await;
    for seed in 0..10 {
        conformance::same_pairs(seed, &Local::world(), &server).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run redis"]
async fn nothing_is_left_of_those_who_are_gone() {
    let server = Server::start().await;
    let [one, other] = [server.join().await, server.join().await];
    beat(&one).await;
    for it in [&one, &other] {
        beat(it).await;
        for _ in 0..super::MOST_CLEARED + 50 {
            it.seek(&ticket(rand::random())).await.unwrap();
        }
    }
    one.farewell().await.unwrap();
    server.silence(other.node(), FORGOTTEN_AFTER).await;
    drop((one, other));
    let last = server.join().await;
    // One heartbeat clears so many tickets, and of one node.
    for _ in 0..8 {
        beat(&last).await;
    }
    last.farewell().await.unwrap();
    let left: Vec<String> = server.say(&["KEYS", "*"]).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: tests/run redis"]
async fn redis_is_killed_and_starts_again_with_nothing() {
    let mut server = Server::start().await;
    let node = server.join().await;
    beat(&node).await;
    let waits = ticket(rand::random());
    assert_eq!(node.seek(&waits).await.unwrap(), Sought::Waits);
    server.kill();
    let began = Instant::now();
    assert!(node.ping().await.is_err());
    assert!(began.elapsed() < DEADLINE + SLACK);
    fails_at_once(&node).await;
    // Whoever waits for notes hears of it, and again, but not without a pause.
    assert!(timeout(STARTED, node.notes()).await.unwrap().is_err());
    let began = Instant::now();
    for _ in 0..5 {
        assert!(timeout(STARTED, node.notes()).await.unwrap().is_err());
    }
    assert!(began.elapsed() > Duration::from_millis(100), "{:?}", began.elapsed());

    server.restart().await;
    let took = recovered(&node).await;
    assert!(took < RECOVERED + SLACK, "{took:?}");
    assert!(beat(&node).await.forgotten, "all is to be put again");
    assert!(!beat(&node).await.forgotten);
    assert!(!node.withdraw(waits.session).await.unwrap());
    let note = Note::Superseded { session: waits.session };
    node.tell(node.node(), &note).await.unwrap();
    assert_eq!(heard(&node).await, [note]);
    println!("killed and started again: noticed after {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: tests/run redis"]
async fn redis_stands_still_for_three_seconds() {
    let server = Server::start().await;
    let [node, other] = [server.join().await, server.join().await];
    for it in [&node, &other] {
        beat(it).await;
    }
    let waits = ticket(rand::random());
    assert_eq!(node.seek(&waits).await.unwrap(), Sought::Waits);
    server.signal("-STOP");
    let began = Instant::now();
    let all = join_all((0..50).map(async |_| node.ping().await)).await;
    assert!(all.iter().all(Result::is_err));
    assert!(began.elapsed() < DEADLINE + SLACK, "{:?}", began.elapsed());
    fails_at_once(&node).await;
    sleep(BEAT * 3).await;
    fails_at_once(&node).await;
    server.signal("-CONT");
    let took = recovered(&node).await;
    assert!(took < RECOVERED + SLACK, "{took:?}");
    assert!(!beat(&node).await.forgotten, "nothing is lost");
    recovered(&other).await;
    beat(&other).await;
    let sought = other.seek(&ticket(waits.combinations[0])).await.unwrap();
    assert_eq!(sought, Sought::Found { session: waits.session, node: node.node() });
    assert!(matches!(heard(&node).await[..], [Note::Found { session, .. }] if session == waits.session));
    println!("stood still for three seconds: noticed after {took:?}");
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run redis"]
async fn a_password_that_is_wrong_is_told_without_it() {
    let server = Server::with(&["--requirepass", "hunter2"]).await;
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port);
    join(&url("hunter2")).await.ping().await.unwrap();
    let error = Redis::join(&settings(&url("hunter3")), NodeId::from_bytes([1; 8])).await.err().unwrap();
    let text = super::line::because(&error);
    assert!(text.contains("cannot be reached") && !text.contains("hunter"), "{text}");
}

/// What a step costs Redis, as it counts commands itself; and how many searches it does in a second.
/// `cargo test --release --lib figures -- --ignored --nocapture` prints it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: tests/run redis"]
async fn figures() {
    const WAITING: u64 = 10_000;
    let server = Server::start().await;
    let [one, other] = [server.join().await, server.join().await];
    for it in [&one, &other] {
        beat(it).await;
    }
    // Each script is loaded once, which is no part of what follows.
    let here = |node: &Arc<dyn Cluster>| Whereabouts {
        session: SessionId::from_bytes(rand::random()),
        node: node.node(),
        device: Some("phone".to_owned()),
        grace: None,
        began: 1,
    };
    let record = |node: &Arc<dyn Cluster>| Record {
        node: node.node(),
        hops: 0,
        user: UserId::from_bytes([1; 12]),
        key: Sha256::from_bytes([2; 32]),
        talk: None,
    };
    let begin = async |user, here: &Whereabouts| {
        one.arrive(user, here, 5).await.unwrap();
        one.record(vec![(here.session, record(&one))]).await.unwrap();
    };
    let end = async |user, here: &Whereabouts| {
        one.depart(user, here.session).await.unwrap();
        one.forget(vec![here.session]).await.unwrap();
    };
    let four = |shared: u64| Ticket { combinations: (shared..shared + 4).collect(), ..ticket(0) };
    let (user, it) = (UserId::from_bytes(rand::random()), here(&one));
    begin(user, &it).await;
    end(user, &it).await;
    one.seek(&four(0)).await.unwrap();
    assert!(matches!(other.seek(&four(0)).await.unwrap(), Sought::Found { .. }));
    one.withdraw(it.session).await.unwrap();

    println!("| step | commands sent | commands inside scripts | Redis's time, us |");
    println!("|---|---|---|---|");
    let (waits, finds) = (four(100), four(100));
    costs(&server, "a search that waits, 4 combinations", &[], async {
        assert_eq!(one.seek(&waits).await.unwrap(), Sought::Waits);
    })
    .await;
    costs(&server, "a match with someone of another node, told to it", &[], async {
        assert!(matches!(other.seek(&finds).await.unwrap(), Sought::Found { .. }));
    })
    .await;
    costs(&server, "a search given up", &[], async {
        one.seek(&waits).await.unwrap();
        assert!(one.withdraw(waits.session).await.unwrap());
    })
    .await;
    costs(&server, "a session begins (where it is, its record)", &["set"], begin(user, &it)).await;
    costs(&server, "a session ends", &["hdel"], end(user, &it)).await;
    costs(&server, "a heartbeat beside one other node", &[], async { drop(beat(&one).await) }).await;

    // Where nobody suits: each waits under combinations of their own.
    let put = async |from: u64, count: u64| {
        let began = Instant::now();
        let searches = (from..from + count).map(|number| {
            let node = if number % 2 == 0 { &one } else { &other };
            async move { node.seek(&Ticket { combinations: vec![1 << 32 | number], ..ticket(0) }).await.unwrap() }
        });
        stream::iter(searches).for_each_concurrent(64, async |search| assert_eq!(search.await, Sought::Waits)).await;
        count as f64 / began.elapsed().as_secs_f64()
    };
    put(0, WAITING).await;
    // Nobody may be taken for dead meanwhile.
    beat(&one).await;
    beat(&other).await;
    let each_second = put(WAITING, WAITING).await;
    println!(
        "{each_second:.0} searches a second with {WAITING} to {} who wait, each in a queue of their own",
        2 * WAITING
    );
}

/// Prints what Redis has done for a step, which sends scripts and these commands.
async fn costs(server: &Server, name: &str, direct: &[&str], step: impl Future<Output = ()>) {
    server.say::<String>(&["CONFIG", "RESETSTAT"]).await.unwrap();
    step.await;
    let stats: String = server.say(&["INFO", "commandstats"]).await.unwrap();
    let (mut outside, mut all, mut time) = (0, 0, 0);
    for line in stats.lines() {
        let Some((command, rest)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(":calls=")) else {
            continue;
        };
        let fields: Vec<&str> = rest.split([',', '=']).collect();
        let (calls, usec): (u32, u32) = (fields[0].parse().unwrap(), fields[2].parse().unwrap());
        match command {
            // What counts, and the blocking reads of inboxes, which do not belong to the step.
            "config|resetstat" | "info" | "xread" | "client|setinfo" | "ping" => {}
            "evalsha" => (outside, all, time) = (outside + calls, all + calls, time + usec),
            _ if direct.contains(&command) => (outside, all, time) = (outside + calls, all + calls, time + usec),
            _ => all += calls,
        }
    }
    println!("| {name} | {outside} | {} | {time} |", all - outside);
}

/// With `rediss://`. The test runs itself again, with its certificate among those that are trusted.
#[tokio::test]
#[ignore = "needs redis-server: tests/run redis"]
async fn tls_is_spoken_to_whom_is_trusted() {
    if let Ok(url) = std::fs::read_to_string("url-of-the-trusted") {
        return join(&url).await.ping().await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("c.pem", &made.cert.pem()), file("k.pem", &made.signing_key.serialize_pem()));
    let port = free_port().to_string();
    let server = Server::with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let url = format!("rediss://localhost:{port}");
    let error = Redis::join(&settings(&url), NodeId::from_bytes([1; 8])).await.err().unwrap();
    assert!(super::line::because(&error).contains("certificate"), "{}", super::line::because(&error));
    file("url-of-the-trusted", &url);
    let trusting = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["tls_is_spoken_to_whom_is_trusted", "--ignored"])
        .env("SSL_CERT_FILE", &certificate)
        .current_dir(folder.path())
        .output()
        .await
        .unwrap();
    assert!(trusting.status.success(), "{}", String::from_utf8_lossy(&trusting.stdout));
    drop(server);
}
