//! Several nodes of one service: people who are on different ones talk, sessions go from node to node, and
//! nodes stop in good order, or not.
//!
//! Each node runs on a runtime of its own, so that it can be killed: nothing of it says a word then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use duologue::client::{self, Client, Rest, Target, Wire};
use duologue::cluster::{Cluster, Local, World as Shared};
use duologue::hub::Door;
use duologue::protocol::{ClientEvent, Doing, Ending, Matched, NodeId, ServerEvent, Typing, Wish};
use duologue::server::{Addresses, Server};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::files::{file, receive, send};
use crate::world::*;

over_every_pair_of_doors! {
    two_on_different_nodes_talk_and_part,
    files_cross_nodes,
    a_client_goes_on_at_another_node,
    a_node_that_stops_hands_over_its_talks,
    a_talk_outlives_its_node,
}

/// The secret that all nodes share.
const SECRET: &str = "a secret of all nodes that is long enough";

/// Nodes of one service.
pub struct Service {
    shared: Shared,
    nodes: Vec<Option<Node>>,
}

struct Node {
    addresses: Addresses,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
    stopped: Option<oneshot::Receiver<()>>,
    _folder: TempDir,
}

impl Node {
    fn start(shared: &Shared, number: u8, settings: &[(&str, &str)]) -> Self {
        let common = [("DUOLOGUE_AUTH_JWT_SECRET", SECRET), ("DUOLOGUE_SESSION_DRAIN_MS", "8000")];
        let (folder, config) = settled(&[&common, settings].concat());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cluster: Arc<dyn Cluster> = shared.join(NodeId::from_bytes([number; 8]));
        let (stop, stopping) = oneshot::channel::<()>();
        let (tell, stopped) = oneshot::channel();
        let (bound, addresses) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let server = Server::bind_among(config, Some(cluster)).await.unwrap();
            bound.send(server.addresses()).unwrap();
            server.run(async move { drop(stopping.await) }).await;
            let _ = tell.send(());
        });
        let addresses = addresses.recv_timeout(WAIT).expect("a node starts in time");
        Self { addresses, stop: Some(stop), runtime: Some(runtime), stopped: Some(stopped), _folder: folder }
    }
}

impl Service {
    /// So many nodes, which know of each other.
    pub async fn of(count: u8) -> Self {
        Self::with(count, &[]).await
    }

    /// The same, with these settings.
    pub async fn with(count: u8, settings: &'static [(&str, &str)]) -> Self {
        let shared = Local::world();
        let nodes: Vec<_> = {
            let shared = shared.clone();
            let start = move || (1..=count).map(|it| Some(Node::start(&shared, it, settings))).collect();
            tokio::task::spawn_blocking(start).await.unwrap()
        };
        let service = Self { shared, nodes };
        // Each hears of the others with its next beat.
        timeout(WAIT, service.shared.all_know(count.into())).await.expect("all know of all");
        service
    }

    /// Where a node speaks HTTP.
    pub fn http(&self, node: usize) -> SocketAddr {
        self.nodes[node].as_ref().unwrap().addresses.http.unwrap()
    }

    pub async fn target(&self, node: usize) -> Target {
        Rest::at(&format!("http://{}", self.http(node))).await.unwrap().target().await.unwrap()
    }

    pub async fn token(&self, node: usize) -> String {
        let http = self.http(node);
        let answer = reqwest::Client::new().post(format!("http://{http}/api/auth/guest")).send().await.unwrap();
        answer.json::<serde_json::Value>().await.unwrap()["data"]["token"].as_str().unwrap().to_owned()
    }

    async fn client(&self, node: usize, door: Door) -> Client {
        Client::connect(&self.target(node).await, door, &self.token(node).await, None).await.unwrap()
    }

    /// Two who share an interest, each on a node of its own, in a conversation.
    pub async fn pair(&self, nodes: [usize; 2], doors: [Door; 2]) -> (Client, Client) {
        let mut one = self.client(nodes[0], doors[0]).await;
        let mut other = self.client(nodes[1], doors[1]).await;
        one.send(&find()).await.unwrap();
        other.send(&find()).await.unwrap();
        let (first, second) = (met(&mut one).await, met(&mut other).await);
        assert_eq!(first.conversation, second.conversation);
        assert_eq!(first.matched_user.user, other.established().user.user);
        assert_eq!(second.matched_user.user, one.established().user.user);
        assert_ne!(first.role, second.role);
        (one, other)
    }

    /// Opens a new link at another node and goes on there, however long that takes to be possible.
    pub async fn go_on(&self, client: &mut Client, node: usize, door: Door) {
        let target = self.target(node).await;
        let until = Instant::now() + WAIT;
        loop {
            let wire = Wire::open(&target, door).await.unwrap();
            match client.go_on(wire).await {
                Ok(()) => return,
                Err(client::Error::Closing(closing)) if closing.reconnect && Instant::now() < until => {
                    // As the protocol wants it: the server says when, and nothing else tells.
                    let wait = closing.retry_after_ms.expect("the server says when to come back");
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Asks a node to stop, as SIGTERM does.
    pub fn stop(&mut self, node: usize) -> oneshot::Receiver<()> {
        let node = self.nodes[node].as_mut().unwrap();
        node.stop.take().unwrap().send(()).unwrap();
        node.stopped.take().unwrap()
    }

    /// Kills a node: none of its tasks runs another step.
    pub async fn kill(&mut self, node: usize) {
        let mut node = self.nodes[node].take().unwrap();
        let runtime = node.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_millis(50))).await.unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub async fn met(client: &mut Client) -> Matched {
    match until(client, "user:matched").await {
        ServerEvent::Matched(matched) => matched,
        other => unreachable!("{other:?}"),
    }
}

/// Says something and waits until the other has it and the sender knows.
async fn say(from: &mut Client, to: &mut Client, id: &str) {
    from.send(&message(id, "hello")).await.unwrap();
    assert_eq!(heard(to).await, id);
    // What is acknowledged is acknowledged as the receiver goes on reading.
    let told = async {
        loop {
            match until(from, "chat:delivered").await {
                ServerEvent::Delivered(delivered) if delivered.id.as_str() == id => return,
                _ => {}
            }
        }
    };
    tokio::join!(told, async {
        let _ = to.next(Duration::from_millis(300)).await;
    });
}

async fn heard(client: &mut Client) -> String {
    match until(client, "chat:message").await {
        ServerEvent::Message(message) => message.id.as_str().to_owned(),
        other => unreachable!("{other:?}"),
    }
}

async fn two_on_different_nodes_talk_and_part(doors: [Door; 2]) {
    let service = Service::of(2).await;
    let (mut one, mut other) = service.pair([0, 1], doors).await;
    for round in 0..5 {
        say(&mut one, &mut other, &format!("there-{round}")).await;
        say(&mut other, &mut one, &format!("back-{round}")).await;
    }
    one.send(&ClientEvent::Typing(Typing { typing: true })).await.unwrap();
    assert!(matches!(until(&mut other, "chat:typing").await, ServerEvent::Typing(Typing { typing: true })));
    one.send(&leave()).await.unwrap();
    until(&mut one, "user:idle").await;
    match until(&mut other, "user:unmatched").await {
        ServerEvent::Unmatched(unmatched) => assert_eq!(unmatched.reason, Ending::Left),
        event => unreachable!("{event:?}"),
    }
    // Whoever was carried is at home again, and finds someone there.
    let mut third = service.client(1, doors[1]).await;
    third.send(&find()).await.unwrap();
    other.send(&find()).await.unwrap();
    assert_eq!(met(&mut third).await.conversation, met(&mut other).await.conversation);
    say(&mut third, &mut other, "third").await;
    say(&mut other, &mut third, "other").await;
}

async fn files_cross_nodes(doors: [Door; 2]) {
    let service = Service::of(2).await;
    let (mut one, mut other) = service.pair([0, 1], doors).await;
    for length in [1, 196_609, 10_485_760] {
        let file = file(length);
        let (there, back) = (format!("there-{length}"), format!("back-{length}"));
        let (sent, (_, bytes)) = tokio::join!(send(&mut one, &there, &file), receive(&mut other));
        assert!(bytes == file.bytes && sent == length as u64, "{length} bytes there");
        let (sent, (_, bytes)) = tokio::join!(send(&mut other, &back, &file), receive(&mut one));
        assert!(bytes == file.bytes && sent == length as u64, "{length} bytes back");
    }
}

async fn a_client_goes_on_at_another_node(doors: [Door; 2]) {
    let service = Service::of(3).await;
    let (mut one, mut other) = service.pair([0, 0], doors).await;
    say(&mut one, &mut other, "at home").await;
    let conversation = one.established().conversation.clone();
    assert!(conversation.is_none(), "the hello was before");
    // What is said while nobody carries it waits.
    one.cut();
    other.send(&message("meanwhile", "are you there?")).await.unwrap();
    service.go_on(&mut one, 1, doors[0]).await;
    assert!(one.established().resumed, "{:?}", one.established());
    assert_eq!(one.established().state, Doing::Talking);
    assert_eq!(heard(&mut one).await, "meanwhile");
    say(&mut one, &mut other, "carried").await;
    say(&mut other, &mut one, "carried back").await;
    // Both are elsewhere than their talk, and one goes on to yet another.
    service.go_on(&mut other, 2, doors[1]).await;
    assert!(other.established().resumed);
    say(&mut one, &mut other, "both carried").await;
    service.go_on(&mut one, 2, doors[0]).await;
    assert!(one.established().resumed);
    say(&mut other, &mut one, "and moved on").await;
    one.send(&ClientEvent::Skip(duologue::protocol::Nothing {})).await.unwrap();
    until(&mut one, "user:matching").await;
    until(&mut other, "user:unmatched").await;
    let mut third = service.client(0, doors[0]).await;
    third.send(&ClientEvent::Match(Wish::default())).await.unwrap();
    assert_eq!(met(&mut third).await.conversation, met(&mut one).await.conversation, "who skips waits at home");
    say(&mut one, &mut third, "again").await;
}

async fn a_node_that_stops_hands_over_its_talks(doors: [Door; 2]) {
    let mut service = Service::of(3).await;
    let (mut one, mut other) = service.pair([0, 0], doors).await;
    say(&mut one, &mut other, "before").await;
    let mut waits = service.client(0, doors[0]).await;
    waits.send(&ClientEvent::Match(Wish { interests: vec!["chess".into()], ..Wish::default() })).await.unwrap();
    until(&mut waits, "user:matching").await;
    other.cut();
    one.send(&message("on its way", "while the node stops")).await.unwrap();
    let stopped = service.stop(0);
    assert_eq!(closed(&mut one).await, 4503);
    assert_eq!(closed(&mut waits).await, 4503);
    service.go_on(&mut one, 1, doors[0]).await;
    service.go_on(&mut other, 2, doors[1]).await;
    assert!(one.established().resumed && other.established().resumed);
    assert_eq!(heard(&mut other).await, "on its way");
    say(&mut one, &mut other, "after").await;
    say(&mut other, &mut one, "and back").await;
    service.go_on(&mut waits, 1, doors[0]).await;
    assert!(waits.established().resumed);
    assert_eq!(waits.established().state, Doing::Waiting, "and keeps their place");
    let mut finds = service.client(2, doors[1]).await;
    finds.send(&ClientEvent::Match(Wish { interests: vec!["chess".into()], ..Wish::default() })).await.unwrap();
    assert_eq!(met(&mut finds).await.conversation, met(&mut waits).await.conversation);
    tokio::time::timeout(WAIT, stopped).await.expect("it stops in time").unwrap();
}

async fn a_talk_outlives_its_node(doors: [Door; 2]) {
    let mut service = Service::of(3).await;
    let (mut one, mut other) = service.pair([0, 1], doors).await;
    say(&mut one, &mut other, "before").await;
    // Whose home it is, only one of them hears by the other's node.
    let before = Instant::now();
    service.kill(0).await;
    service.go_on(&mut one, 2, doors[0]).await;
    if one.established().resumed {
        // The talk was at the other node.
        assert_eq!(one.established().state, Doing::Talking);
    } else {
        assert_eq!(serde_json::to_value(one.established().lost).unwrap(), "node");
        let talk = one.established().conversation.clone().expect("the talk stands");
        service.go_on(&mut other, 1, doors[1]).await;
        assert_eq!(other.established().conversation.as_ref().unwrap().conversation, talk.conversation);
        assert_ne!(other.established().conversation.as_ref().unwrap().role, talk.role);
    }
    assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
    say(&mut one, &mut other, "after").await;
    say(&mut other, &mut one, "and back").await;
    // And once more, with all that was built again.
    service.kill(if one.established().resumed { 1 } else { 2 }).await;
    let left = if service.nodes[1].is_some() { 1 } else { 2 };
    service.go_on(&mut other, left, doors[1]).await;
    service.go_on(&mut one, left, doors[0]).await;
    say(&mut one, &mut other, "at the last").await;
}

#[tokio::test]
async fn nodes_that_cannot_reach_the_cluster_match_their_own_and_all_again_once_they_can() {
    let service = Service::of(2).await;
    service.shared.away(true);
    let doors = [Door::WebTransport, Door::WebSocket];
    let mut far = service.client(1, Door::WebSocket).await;
    far.send(&find()).await.unwrap();
    until(&mut far, "user:matching").await;
    let (mut one, mut other) = service.pair([0, 0], doors).await;
    say(&mut one, &mut other, "alone").await;
    let mut late = service.client(0, Door::WebTransport).await;
    late.send(&find()).await.unwrap();
    until(&mut late, "user:matching").await;
    service.shared.away(false);
    let began = Instant::now();
    assert_eq!(met(&mut late).await.conversation, met(&mut far).await.conversation);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    say(&mut late, &mut far, "together").await;
}

#[tokio::test]
async fn all_that_was_forgotten_is_told_again() {
    let mut service = Service::of(3).await;
    let doors = [Door::WebTransport, Door::WebSocket];
    let (mut one, mut other) = service.pair([0, 0], doors).await;
    let mut waits = service.client(1, Door::WebSocket).await;
    waits.send(&find()).await.unwrap();
    until(&mut waits, "user:matching").await;
    service.shared.forget();
    let sessions = [&one, &other, &waits].map(|client| client.established().session);
    timeout(WAIT, service.shared.has_records(&sessions)).await.expect("all is told again");
    service.kill(0).await;
    service.go_on(&mut one, 2, doors[0]).await;
    service.go_on(&mut other, 1, doors[1]).await;
    assert!(one.established().conversation.is_some(), "{:?}", one.established());
    say(&mut one, &mut other, "still here").await;
    let mut finds = service.client(2, Door::WebTransport).await;
    finds.send(&find()).await.unwrap();
    assert_eq!(met(&mut finds).await.conversation, met(&mut waits).await.conversation);
}

#[tokio::test]
async fn a_second_session_of_a_device_takes_the_place_of_one_on_another_node() {
    let service = Service::of(2).await;
    let token = service.token(0).await;
    let connect = async |node: usize| {
        Client::connect(&service.target(node).await, Door::WebSocket, &token, Some("phone")).await.unwrap()
    };
    let mut first = connect(0).await;
    let _second = connect(1).await;
    assert_eq!(closed(&mut first).await, 4409);
}

#[tokio::test]
async fn many_on_three_nodes_are_each_matched_once() {
    const PEOPLE: usize = 60;
    let service = Service::of(3).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(service.client(number % 3, Door::WebSocket).await);
    }
    let matching = people.iter_mut().map(async |client| {
        client.send(&find()).await.unwrap();
        met(client).await
    });
    let matches = futures_util::future::join_all(matching).await;
    let mut talks = std::collections::HashMap::new();
    for (client, matched) in people.iter().zip(&matches) {
        talks.entry(matched.conversation).or_insert_with(Vec::new).push((client.established().user.user.id, matched));
    }
    assert_eq!(talks.len(), PEOPLE / 2);
    for pair in talks.values() {
        let [(one, first), (other, second)] = &pair[..] else { panic!("{} in a talk", pair.len()) };
        assert_eq!((first.matched_user.user.id, second.matched_user.user.id), (*other, *one));
    }
}
