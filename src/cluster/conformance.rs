//! What every backend must do, run on each of them: a few nodes, each with a handle of its own.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{sleep, timeout};

use super::local::World;
use super::{
    Beat, Card, Cluster, Counts, DEAD_AFTER, Doors, Error, FORGOTTEN_AFTER, Local, Note, Record, Sought, TalkRecord,
    Ticket, Whereabouts,
};
use crate::protocol::{ConversationId, NodeId, SessionId, Sha256, UserId};

/// A note that has not come by then does not come.
const SOON: Duration = Duration::from_secs(5);

/// What the suite runs on.
pub(super) trait Backend: Sync {
    /// A handle of a new node.
    fn join(&self) -> BoxFuture<'_, Arc<dyn Cluster>>;
    /// A node has spoken so much earlier than it has.
    fn silence(&self, node: NodeId, time: Duration) -> BoxFuture<'_, ()>;
}

type Node = Arc<dyn Cluster>;

/// Runs the suite.
pub(super) async fn run(backend: &dyn Backend) {
    life_and_death(backend).await;
    notes(backend).await;
    whom_one_finds(backend).await;
    who_is_nearby(backend).await;
    nobody_is_found_twice(backend).await;
    the_dead_are_not_found(backend).await;
    a_node_dies_between_found_and_fetched(backend).await;
    records(backend).await;
    one_adopts(backend).await;
    sessions_of_a_person(backend).await;
    windows(backend).await;
}

impl Backend for World {
    fn join(&self) -> BoxFuture<'_, Node> {
        Box::pin(async { World::join(self, node_id()) as Node })
    }

    fn silence(&self, node: NodeId, time: Duration) -> BoxFuture<'_, ()> {
        World::silence(self, node, time);
        Box::pin(async {})
    }
}

fn node_id() -> NodeId {
    NodeId::from_bytes(rand::random())
}

fn session() -> SessionId {
    SessionId::from_bytes(rand::random())
}

fn user() -> UserId {
    UserId::from_bytes(rand::random())
}

pub(super) fn card(node: NodeId) -> Card {
    Card {
        node,
        address: SocketAddr::from(([127, 0, 0, 1], 7443)),
        fingerprint: Sha256::from_bytes([7; 32]),
        doors: Doors { host: Some("one.example".to_owned()), https_port: Some(443), ..Doors::default() },
        serving: true,
        sessions: 3,
        counts: Counts { online: 3, available: 2, waiting: 1, conversations: 0 },
    }
}

pub(super) async fn beat(node: &Node) -> Beat {
    node.beat(&card(node.node())).await.unwrap()
}

/// So many nodes that live.
async fn nodes(backend: &dyn Backend, count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let node = backend.join().await;
        beat(&node).await;
        nodes.push(node);
    }
    nodes
}

/// Someone new, who waits under this combination alone.
pub(super) fn ticket(combination: u64) -> Ticket {
    Ticket {
        session: session(),
        user: user(),
        combinations: vec![combination],
        recent: vec![],
        anyone: false,
        waited: Duration::ZERO,
    }
}

pub(super) async fn next(node: &Node) -> Vec<Note> {
    timeout(SOON, node.notes()).await.expect("notes come").unwrap()
}

/// Nothing is in the inbox: what is put there now comes first.
async fn nothing_came(node: &Node) {
    let mark = Note::Revoked { user: user() };
    node.tell(node.node(), &mark).await.unwrap();
    assert_eq!(next(node).await, [mark]);
}

async fn life_and_death(backend: &dyn Backend) {
    let [one, other] = [backend.join().await, backend.join().await];
    one.ping().await.unwrap();
    let first = beat(&one).await;
    assert!(!first.forgotten, "it was never known");
    let seen = |beat: &Beat, node: &Node| beat.others.iter().find(|card| card.node == node.node()).cloned();
    assert_eq!((seen(&first, &one), seen(&first, &other)), (None, None));
    assert_eq!(seen(&beat(&other).await, &one), Some(card(one.node())), "comes back as it went in");
    assert_eq!(seen(&beat(&one).await, &other), Some(card(other.node())));
    let mut leaving = card(other.node());
    (leaving.serving, leaving.sessions) = (false, 0);
    assert!(!other.beat(&leaving).await.unwrap().forgotten);
    assert_eq!(seen(&beat(&one).await, &other), Some(leaving), "the last card counts");

    backend.silence(other.node(), DEAD_AFTER).await;
    assert_eq!(seen(&beat(&one).await, &other), None);
    assert!(!beat(&other).await.forgotten, "dead, but not forgotten");
    assert!(seen(&beat(&one).await, &other).is_some(), "and back");

    // Forgotten with its tickets and its inbox.
    let waits = ticket(rand::random());
    let suits = ticket(waits.combinations[0]);
    assert_eq!(other.seek(&waits).await.unwrap(), Sought::Waits);
    other.tell(other.node(), &Note::Superseded { session: session() }).await.unwrap();
    assert_eq!(next(&other).await.len(), 1);
    backend.silence(other.node(), FORGOTTEN_AFTER).await;
    beat(&one).await;
    one.tell(other.node(), &Note::Superseded { session: session() }).await.unwrap();
    let back = beat(&other).await;
    assert!(back.forgotten && seen(&back, &one).is_some());
    assert!(!beat(&other).await.forgotten, "told once");
    assert_eq!(one.seek(&suits).await.unwrap(), Sought::Waits, "its ticket is gone");
    nothing_came(&other).await;

    other.farewell().await.unwrap();
    assert_eq!(seen(&beat(&one).await, &other), None);
    one.farewell().await.unwrap();
}

async fn notes(backend: &dyn Backend) {
    let [one, other] = &nodes(backend, 2).await[..] else { unreachable!() };
    let all = [
        Note::Found { session: session(), seeker: session(), node: one.node() },
        Note::Superseded { session: session() },
        Note::Adopted { conversation: ConversationId::from_bytes(rand::random()) },
        Note::Revoked { user: user() },
    ];
    for note in &all {
        one.tell(other.node(), note).await.unwrap();
    }
    let mut came = Vec::new();
    while came.len() < all.len() {
        came.extend(next(other).await);
    }
    assert_eq!(came, all, "in order, once each");
    // A wait that was given up loses nothing.
    assert!(timeout(Duration::from_millis(20), other.notes()).await.is_err());
    let waiting = other.notes();
    let (came, told) = tokio::join!(waiting, one.tell(other.node(), &all[1]));
    told.unwrap();
    assert_eq!(came.unwrap(), [all[1].clone()]);
    for it in [one, other] {
        nothing_came(it).await;
    }
    one.tell_all(&all[3]).await.unwrap();
    for it in [one, other] {
        assert_eq!(next(it).await, [all[3].clone()], "who tells it hears it too");
    }
    one.tell(node_id(), &all[0]).await.expect("to nobody");
    // One who is silent for a while has not lost what was told meanwhile.
    backend.silence(other.node(), DEAD_AFTER * 2).await;
    one.tell(other.node(), &all[2]).await.unwrap();
    assert_eq!(next(other).await, [all[2].clone()]);
    for it in [one, other] {
        it.farewell().await.unwrap();
    }
}

async fn whom_one_finds(backend: &dyn Backend) {
    let [one, other] = &nodes(backend, 2).await[..] else { unreachable!() };
    let combination = rand::random();
    let found = |ticket: &Ticket, node: &Node| Sought::Found { session: ticket.session, node: node.node() };

    // Not oneself, on whatever device.
    let ada = ticket(combination);
    assert_eq!(one.seek(&ada).await.unwrap(), Sought::Waits);
    let again = Ticket { session: session(), ..ada.clone() };
    assert_eq!(other.seek(&again).await.unwrap(), Sought::Waits);
    assert_eq!(one.seek(&ada).await.unwrap(), Sought::Waits, "in the place of the older ticket");
    assert!(!one.withdraw(again.session).await.unwrap(), "it is the other's");
    assert!(other.withdraw(again.session).await.unwrap());
    assert!(!other.withdraw(again.session).await.unwrap(), "it is there no more");

    // Whoever shares no combination is not found, and both go when one does.
    assert_eq!(one.seek(&ticket(rand::random())).await.unwrap(), Sought::Waits);
    let mut bob = ticket(rand::random());
    bob.combinations.push(combination);
    assert_eq!(one.seek(&bob).await.unwrap(), found(&ada, one));
    assert!(!one.withdraw(ada.session).await.unwrap() && !one.withdraw(bob.session).await.unwrap());
    nothing_came(one).await;

    // Another's node is told.
    assert_eq!(one.seek(&ada).await.unwrap(), Sought::Waits);
    assert_eq!(other.seek(&bob).await.unwrap(), found(&ada, one));
    let note = Note::Found { session: ada.session, seeker: bob.session, node: other.node() };
    assert_eq!(next(one).await, [note]);

    // Recent partners, as either sees it, unless both accept anyone.
    for (theirs, mine) in [(true, false), (false, true), (true, true)] {
        let cara = Ticket { recent: if theirs { vec![user(), bob.user] } else { vec![] }, ..ticket(combination) };
        let met = Ticket { recent: if mine { vec![cara.user] } else { vec![] }, ..bob.clone() };
        assert_eq!(one.seek(&cara).await.unwrap(), Sought::Waits);
        assert_eq!(one.seek(&met).await.unwrap(), Sought::Waits, "{theirs} {mine}");
        assert_eq!(one.seek(&Ticket { anyone: true, ..met.clone() }).await.unwrap(), Sought::Waits);
        assert_eq!(one.seek(&Ticket { anyone: true, ..cara.clone() }).await.unwrap(), found(&met, one));
    }

    // Whoever has waited longest, in whichever combination.
    let waits = |combination, seconds| Ticket { waited: Duration::from_secs(seconds), ..ticket(combination) };
    let (second, wide) = (rand::random(), |mine: &Ticket, more| Ticket {
        combinations: vec![mine.combinations[0], more],
        ..mine.clone()
    });
    let queue = [waits(combination, 10), waits(second, 40), waits(combination, 30)];
    for it in &queue {
        // Of one person, so that they do not find each other.
        assert_eq!(one.seek(&Ticket { user: ada.user, ..it.clone() }).await.unwrap(), Sought::Waits);
    }
    for longest in [&queue[1], &queue[2], &queue[0]] {
        let seeker = wide(&ticket(combination), second);
        assert_eq!(other.seek(&seeker).await.unwrap(), found(longest, one));
    }
    for it in [one, other] {
        it.farewell().await.unwrap();
    }
}

async fn who_is_nearby(backend: &dyn Backend) {
    let [one, other] = &nodes(backend, 2).await[..] else { unreachable!() };
    for (longer, expected) in [(Duration::from_millis(100), one), (Duration::from_secs(60), other)] {
        let combination = rand::random();
        let near = ticket(combination);
        assert_eq!(one.seek(&near).await.unwrap(), Sought::Waits);
        let far = Ticket { user: near.user, waited: longer, ..ticket(combination) };
        assert_eq!(other.seek(&far).await.unwrap(), Sought::Waits);
        let sought = one.seek(&ticket(combination)).await.unwrap();
        assert!(matches!(sought, Sought::Found { node, .. } if node == expected.node()), "{longer:?}: {sought:?}");
    }
    for it in [one, other] {
        it.farewell().await.unwrap();
    }
}

async fn nobody_is_found_twice(backend: &dyn Backend) {
    let nodes = nodes(backend, 4).await;
    let shared: u64 = rand::random();
    let people: Vec<Ticket> = (0..200)
        .map(|number| Ticket {
            combinations: vec![shared.wrapping_add(1 + number % 5), shared, shared.wrapping_add(10 + number % 7)],
            ..ticket(shared)
        })
        .collect();
    let searches = people
        .iter()
        .zip(nodes.iter().cycle())
        .map(async |(ticket, node)| (ticket.session, node.node(), node.seek(ticket).await.unwrap()));
    let mut met = HashMap::new();
    let mut elsewhere: HashMap<NodeId, HashSet<SessionId>> = HashMap::new();
    for (seeker, here, sought) in join_all(searches).await {
        if let Sought::Found { session, node } = sought {
            assert_eq!(met.insert(seeker, session), None);
            assert_eq!(met.insert(session, seeker), None);
            if node != here {
                elsewhere.entry(node).or_default().insert(session);
            }
        }
    }
    assert_eq!(met.len(), people.len(), "everyone has met someone");
    assert!(!elsewhere.is_empty(), "people of several nodes met");
    for node in &nodes {
        let told = elsewhere.remove(&node.node()).unwrap_or_default();
        let mut heard = HashSet::new();
        while heard.len() < told.len() {
            for note in next(node).await {
                let Note::Found { session, seeker, .. } = note else { panic!("{note:?}") };
                assert!(met[&session] == seeker && heard.insert(session), "told once, and what is so");
            }
        }
        assert_eq!(heard, told);
        nothing_came(node).await;
    }
    for (ticket, node) in people.iter().zip(nodes.iter().cycle()) {
        assert!(!node.withdraw(ticket.session).await.unwrap());
    }
    for node in nodes {
        node.farewell().await.unwrap();
    }
}

async fn the_dead_are_not_found(backend: &dyn Backend) {
    let [one, dead] = &nodes(backend, 2).await[..] else { unreachable!() };
    let combination = rand::random();
    let oldest = Ticket { waited: Duration::from_secs(60), ..ticket(combination) };
    for number in 0..40 {
        let session = if number == 0 { oldest.session } else { session() };
        assert_eq!(dead.seek(&Ticket { session, ..oldest.clone() }).await.unwrap(), Sought::Waits);
    }
    let living = Ticket { user: oldest.user, ..ticket(combination) };
    assert_eq!(one.seek(&living).await.unwrap(), Sought::Waits);
    backend.silence(dead.node(), DEAD_AFTER).await;
    let sought = one.seek(&ticket(combination)).await.unwrap();
    assert_eq!(sought, Sought::Found { session: living.session, node: one.node() });
    assert!(!dead.withdraw(oldest.session).await.unwrap(), "tickets of the dead are taken out when met");
    // A node that goes takes its tickets along.
    beat(dead).await;
    assert_eq!(dead.seek(&oldest).await.unwrap(), Sought::Waits);
    dead.farewell().await.unwrap();
    assert_eq!(one.seek(&ticket(combination)).await.unwrap(), Sought::Waits);
    one.farewell().await.unwrap();
}

async fn a_node_dies_between_found_and_fetched(backend: &dyn Backend) {
    let [one, dead, third] = &nodes(backend, 3).await[..] else { unreachable!() };
    let combination = rand::random();
    let (found, seeker) = (ticket(combination), ticket(combination));
    assert_eq!(dead.seek(&found).await.unwrap(), Sought::Waits);
    let sought = one.seek(&seeker).await.unwrap();
    assert_eq!(sought, Sought::Found { session: found.session, node: dead.node() });
    backend.silence(dead.node(), DEAD_AFTER).await;
    let others = beat(one).await.others;
    assert!(!others.iter().any(|card| card.node == dead.node()));
    // The seeker is put back at their place, and found by another.
    let again = Ticket { waited: Duration::from_secs(3), ..seeker.clone() };
    assert_eq!(one.seek(&again).await.unwrap(), Sought::Waits);
    let sought = third.seek(&ticket(combination)).await.unwrap();
    assert_eq!(sought, Sought::Found { session: seeker.session, node: one.node() });
    // Had it been slow only, it would hear of it, late.
    let note = Note::Found { session: found.session, seeker: seeker.session, node: one.node() };
    assert_eq!(next(dead).await, [note]);
    for it in [one, dead, third] {
        it.farewell().await.unwrap();
    }
}

async fn records(backend: &dyn Backend) {
    let [one, other] = &nodes(backend, 2).await[..] else { unreachable!() };
    let talk =
        TalkRecord { conversation: ConversationId::from_bytes(rand::random()), rest: r#"{"a":"ü"}"#.to_owned() };
    let record = |node: &Node, talk| {
        let key = Sha256::from_bytes(rand::random());
        Record { node: node.node(), hops: 0, user: user(), key, talk }
    };
    let (ada, bob) = ((session(), record(one, Some(talk))), (session(), record(one, None)));
    assert_eq!(one.find(ada.0).await.unwrap(), None);
    one.record(vec![ada.clone(), bob.clone()]).await.unwrap();
    assert_eq!(other.find(ada.0).await.unwrap().as_ref(), Some(&ada.1));
    assert_eq!(other.find(bob.0).await.unwrap().as_ref(), Some(&bob.1));
    let moved = Record { hops: 1, ..record(other, None) };
    other.record(vec![(bob.0, moved.clone())]).await.unwrap();
    one.record(vec![bob.clone()]).await.unwrap();
    assert_eq!(one.find(bob.0).await.unwrap().as_ref(), Some(&moved), "what was written late is from before");
    let moved = Record { user: user(), ..moved };
    other.record(vec![(bob.0, moved.clone())]).await.unwrap();
    one.forget(vec![ada.0, bob.0, session()]).await.unwrap();
    assert_eq!(one.find(ada.0).await.unwrap(), None);
    assert_eq!(one.find(bob.0).await.unwrap(), Some(moved), "it is the other's now");
    one.record(vec![]).await.unwrap();
    let many: Vec<_> = (0..600).map(|_| (session(), record(one, None))).collect();
    let names: Vec<_> = many.iter().map(|(session, _)| *session).collect();
    one.record(many).await.unwrap();
    assert!(one.find(names[599]).await.unwrap().is_some());
    one.forget(names.clone()).await.unwrap();
    assert!(one.find(names[599]).await.unwrap().is_none());
    for it in [one, other] {
        it.farewell().await.unwrap();
    }
}

async fn one_adopts(backend: &dyn Backend) {
    let nodes = nodes(backend, 3).await;
    let conversation = ConversationId::from_bytes(rand::random());
    let dead = node_id();
    let homes = join_all(nodes.iter().map(async |node| node.adopt(conversation, dead).await.unwrap())).await;
    assert!(homes.iter().all(|home| *home == homes[0]) && nodes.iter().any(|node| node.node() == homes[0]));
    let others: Vec<_> = nodes.iter().filter(|node| node.node() != homes[0]).collect();
    assert_eq!(others[0].adopt(conversation, dead).await.unwrap(), homes[0], "while it lives");
    // It dies in its turn.
    assert_eq!(others[0].adopt(conversation, homes[0]).await.unwrap(), others[0].node());
    assert_eq!(others[1].adopt(conversation, homes[0]).await.unwrap(), others[0].node());
    backend.silence(others[0].node(), DEAD_AFTER).await;
    assert_eq!(others[1].adopt(conversation, dead).await.unwrap(), others[1].node());
    for node in nodes {
        node.farewell().await.unwrap();
    }
}

async fn sessions_of_a_person(backend: &dyn Backend) {
    let [one, other] = &nodes(backend, 2).await[..] else { unreachable!() };
    for it in [one, other] {
        beat(it).await;
    }
    let at = |node: &Node, device: Option<&str>, began| Whereabouts {
        session: session(),
        node: node.node(),
        device: device.map(str::to_owned),
        grace: Some("by \"name\" ü".to_owned()),
        began,
    };
    let gives_way = |it: &Whereabouts| Note::Superseded { session: it.session };
    let ada = user();
    assert_eq!(one.whereabouts(ada).await.unwrap(), []);
    let first = at(one, Some("phone"), 2_000_000_000_001);
    let second = at(other, None, 2_000_000_000_000);
    assert_eq!(one.arrive(ada, &first, 3).await.unwrap(), []);
    assert_eq!(other.arrive(ada, &second, 3).await.unwrap(), []);
    assert_eq!(other.arrive(ada, &second, 3).await.unwrap(), [], "none gives way to itself");
    assert_eq!(one.whereabouts(ada).await.unwrap(), [second.clone(), first.clone()], "oldest first");
    assert_eq!(one.whereabouts(user()).await.unwrap(), []);

    // The same device gives way, and its node is told; none is no device.
    let third = at(other, Some("phone"), 2_000_000_000_002);
    assert_eq!(other.arrive(ada, &third, 3).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(next(one).await, [gives_way(&first)]);
    let fourth = at(one, None, 2_000_000_000_003);
    assert_eq!(one.arrive(ada, &fourth, 3).await.unwrap(), []);
    // Then the oldest over the most.
    let fifth = at(one, Some("tablet"), 2_000_000_000_004);
    assert_eq!(one.arrive(ada, &fifth, 3).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(next(other).await, [gives_way(&second)]);
    assert_eq!(other.whereabouts(ada).await.unwrap(), [third.clone(), fourth.clone(), fifth.clone()]);
    let sixth = at(one, Some("tablet"), 2_000_000_000_005);
    assert_eq!(one.arrive(ada, &sixth, 1).await.unwrap(), [fifth, third.clone(), fourth], "the device first");
    assert_eq!(next(other).await, [gives_way(&third)]);
    let mut heard = 0;
    while heard < 2 {
        heard += next(one).await.len();
    }
    nothing_came(one).await;

    // A session moves, and ends.
    let moved = Whereabouts { node: other.node(), ..sixth.clone() };
    other.stays(ada, &moved).await.unwrap();
    assert_eq!(one.whereabouts(ada).await.unwrap(), [moved]);
    other.depart(ada, sixth.session).await.unwrap();
    assert_eq!(one.whereabouts(ada).await.unwrap(), []);

    // Those of the dead do not count, and go before the living.
    let (alive, dead) = (at(one, None, 2_000_000_000_000), at(other, None, 2_000_000_000_009));
    one.arrive(ada, &alive, 2).await.unwrap();
    other.arrive(ada, &dead, 2).await.unwrap();
    backend.silence(other.node(), DEAD_AFTER).await;
    beat(one).await;
    assert_eq!(one.whereabouts(ada).await.unwrap(), std::slice::from_ref(&alive));
    let newest = at(one, None, 2_000_000_000_010);
    assert_eq!(one.arrive(ada, &newest, 2).await.unwrap(), [dead]);
    assert_eq!(one.whereabouts(ada).await.unwrap(), [alive, newest]);
    for it in [one, other] {
        it.farewell().await.unwrap();
    }
}

async fn windows(backend: &dyn Backend) {
    let [one, other] = &nodes(backend, 2).await[..] else { unreachable!() };
    let hour = Duration::from_secs(3_600);
    let who = format!("2001:db8::{:x}", rand::random::<u16>());
    let looked = one.count("logins", &who, hour, false).await.unwrap();
    assert_eq!((looked.used, looked.reset), (0, hour), "nothing was counted, no window begun");
    for used in 1..=5 {
        let node = if used % 2 == 0 { one } else { other };
        let counted = node.count("logins", &who, hour, true).await.unwrap();
        assert_eq!(counted.used, used);
        assert!(counted.reset <= hour && counted.reset > hour - Duration::from_secs(60), "{counted:?}");
    }
    assert_eq!(one.count("logins", &who, hour, false).await.unwrap().used, 5);
    assert_eq!(one.count("uploads", &who, hour, true).await.unwrap().used, 1, "each limit apart");
    assert_eq!(one.count("logins", "192.0.2.1:x", hour, true).await.unwrap().used, 1, "each one apart");
    // A window begins with its first request and is not made longer by the next.
    let short = Duration::from_millis(300);
    let first = one.count("short", &who, short, true).await.unwrap();
    let second = other.count("short", &who, short, true).await.unwrap();
    assert!(second.used == 2 && second.reset <= first.reset);
    let ends = async {
        while one.count("short", &who, short, false).await.unwrap().used > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, ends).await.expect("the window ends");
    assert_eq!(other.count("short", &who, short, true).await.unwrap().used, 1);
    for it in [one, other] {
        it.farewell().await.unwrap();
    }
}

/// The same searches on two backends find the same pairs.
pub(super) async fn same_pairs(seed: u64, one: &dyn Backend, other: &dyn Backend) {
    let mut random = StdRng::seed_from_u64(seed);
    let [here, there] = [nodes(one, 3).await, nodes(other, 3).await];
    let number = |nodes: &[Node], node| nodes.iter().position(|it| it.node() == node).unwrap();
    let sought = |nodes: &[Node], sought| match sought {
        Sought::Waits => None,
        Sought::Found { session, node } => Some((session, number(nodes, node))),
    };
    let shared: u64 = random.random();
    let people: Vec<UserId> = (0..30).map(|_| UserId::from_bytes(random.random())).collect();
    let sessions: Vec<SessionId> = (0..40).map(|_| SessionId::from_bytes(random.random())).collect();
    let mut found = 0;
    for step in 0..400_u64 {
        let session = sessions[random.random_range(0..sessions.len())];
        let at = random.random_range(0..3);
        if random.random_ratio(1, 8) {
            let gone = (here[at].withdraw(session).await.unwrap(), there[at].withdraw(session).await.unwrap());
            assert_eq!(gone.0, gone.1, "seed {seed}, step {step}");
            continue;
        }
        let ticket = Ticket {
            session,
            user: people[random.random_range(0..people.len())],
            combinations: (0..random.random_range(1..4)).map(|_| shared ^ random.random_range(0..12)).collect(),
            recent: (0..random.random_range(0..6)).map(|_| people[random.random_range(0..people.len())]).collect(),
            anyone: random.random_ratio(1, 3),
            // Never equal, and far apart against the time that all steps take.
            waited: Duration::from_secs(1_000 * random.random_range(0..1_000) + 2 * step),
        };
        let both = (here[at].seek(&ticket).await.unwrap(), there[at].seek(&ticket).await.unwrap());
        let (mine, theirs) = (sought(&here, both.0), sought(&there, both.1));
        assert_eq!(mine, theirs, "seed {seed}, step {step}");
        found += u32::from(mine.is_some());
    }
    assert!(found > 50, "only {found} pairs");
    for node in here.into_iter().chain(there) {
        node.farewell().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_of_one_process() {
    run(&Local::world()).await;
    for seed in 0..20 {
        same_pairs(seed, &Local::world(), &Local::world()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_world_can_be_away_and_forget() {
    let world = Local::world();
    let node: Node = world.join(node_id());
    beat(&node).await;
    let waits = ticket(1);
    assert_eq!(node.seek(&waits).await.unwrap(), Sought::Waits);
    let (came, ()) = tokio::join!(node.notes(), async { world.away(true) });
    assert!(matches!(came, Err(Error::Away(_))), "whoever waits hears of it");
    for failed in
        [node.ping().await.is_err(), node.seek(&waits).await.is_err(), node.beat(&card(node.node())).await.is_err()]
    {
        assert!(failed);
    }
    world.away(false);
    assert!(!beat(&node).await.forgotten && node.withdraw(waits.session).await.unwrap());
    node.seek(&waits).await.unwrap();
    world.forget();
    assert!(beat(&node).await.forgotten && !node.withdraw(waits.session).await.unwrap());
}
