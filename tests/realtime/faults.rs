//! What a bad network does to a talk, through a real one that misbehaves on purpose: nothing is lost,
//! doubled or reordered, *delivered* is told for what was heard and for nothing else, and the partner
//! hears of it no more and no less than is true.

use std::time::{Duration, Instant};

use duologue::client::{Cut, Habits};
use duologue::hub::Door::{self, WebSocket, WebTransport};
use duologue::load::Broken;
use duologue::load::network::{Network, Weather};
use duologue::load::pair::{Pair, Party};
use duologue::protocol::{ClientEvent, Message, MessageId, MessageKind, Presence, ServerEvent, Timestamp};

use crate::world::*;

const PAUSE: Duration = Duration::from_millis(50);
const FAST: &[(&str, &str)] = &[("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "1000000")];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two people, each behind a network of their own.
struct Stage {
    pair: Pair,
    networks: [Network; 2],
    doors: [Door; 2],
}

impl Stage {
    async fn new(world: &World, doors: [Door; 2], weather: Weather) -> Self {
        let target = world.target().await;
        let networks = [Network::before(&target, 1).await.unwrap(), Network::before(&target, 2).await.unwrap()];
        networks[0].udp(weather);
        let mut parties = Vec::new();
        for (network, door) in networks.iter().zip(doors) {
            // Who prefers WebTransport may fall back, as a browser does.
            let allowed: &[Door] = if door == WebTransport { &[WebTransport, WebSocket] } else { &[WebSocket] };
            let habits = Habits { look_back: Some(ms(2_000)), ..Habits::new(allowed) };
            parties.push(Party { target: network.target(&target), token: world.token().await, habits });
        }
        let interest = format!("{doors:?}");
        let parties = parties.try_into().unwrap_or_else(|_| unreachable!());
        Self { pair: Pair::meet(parties, &interest, 100).await.unwrap(), networks, doors }
    }

    async fn talk(&mut self, millis: u64) {
        self.pair.talk(ms(millis), PAUSE).await.unwrap();
    }

    /// They talk until the first of them has lost and mended so many links.
    async fn talk_until_mended(&mut self, count: usize) {
        let deadline = Instant::now() + WAIT;
        while self.pair.story(0).gaps.len() < count {
            self.talk(100).await;
            assert!(Instant::now() < deadline, "{:?}: only {} mended", self.doors, self.pair.story(0).gaps.len());
        }
    }

    /// All that was said is heard and told, no promise is broken, and the partner's view was true.
    async fn ends_well(&mut self) {
        let settled = self.pair.settle(WAIT).await.unwrap();
        // Whatever came twice or too much comes by now.
        self.pair.listen(ms(300)).await.unwrap();
        assert_eq!((self.pair.broken(), settled), (Broken::default(), true), "{:?}", self.doors);
        assert!(self.pair.heard() > 20, "they talked");
        for side in 0..2 {
            let heard = &self.pair.story(side).statuses;
            let expected = (0..heard.len()).map(|index| [Presence::Reconnecting, Presence::Online][index % 2]);
            assert!(heard.iter().copied().eq(expected), "{:?}: side {side} heard {heard:?}", self.doors);
            assert_ne!(heard.last(), Some(&Presence::Reconnecting), "{:?}: and is back", self.doors);
        }
    }
}

/// Plays it for every pair of doors at once; the fault is done to the first of the two.
async fn over_every_pair_of_doors(settings: &[(&str, &str)], play: impl AsyncFn(&World, [Door; 2])) {
    let world = World::with(settings).await;
    let play = |doors| play(&world, doors);
    tokio::join!(
        play([WebTransport, WebTransport]),
        play([WebSocket, WebSocket]),
        play([WebTransport, WebSocket]),
        play([WebSocket, WebTransport]),
    );
    world.stop().await;
}

/// They talk, something is done, they talk on.
async fn a_fault(settings: &[(&str, &str)], fault: impl AsyncFn(&mut Stage)) {
    let settings = [FAST, settings].concat();
    over_every_pair_of_doors(&settings, async |world, doors| {
        let mut stage = Stage::new(world, doors, Weather::default()).await;
        stage.talk(500).await;
        fault(&mut stage).await;
        stage.talk(500).await;
        stage.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_link_cut_without_a_close() {
    a_fault(&[], async |stage| {
        for count in 1..=3 {
            stage.pair.keeper(0).cut(Cut::Abandoned);
            stage.talk_until_mended(count).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_closed_by_the_peer() {
    a_fault(&[], async |stage| {
        for count in 1..=3 {
            stage.pair.keeper(0).cut(Cut::Closed);
            stage.talk_until_mended(count).await;
        }
        stage.talk(500).await;
        let partner = stage.pair.story(1).statuses.len();
        assert!(partner >= 2, "the partner was told: {partner}");
    })
    .await;
}

#[tokio::test]
async fn both_links_cut_at_the_same_moment() {
    a_fault(&[], async |stage| {
        for _ in 0..5 {
            stage.pair.keeper(0).cut(Cut::Closed);
            stage.pair.keeper(1).cut(Cut::Abandoned);
            stage.talk(500).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_servers_socket_paused_for_8_s() {
    a_fault(&[], async |stage| {
        stage.networks[0].both(Weather { down_blocked: true, ..Weather::default() });
        stage.talk(8_000).await;
        stage.networks[0].both(Weather::default());
        stage.talk(3_000).await;
    })
    .await;
}

#[tokio::test]
async fn a_black_hole_of_3_s() {
    a_fault(&[], async |stage| {
        stage.networks[0].both(Weather::BLACK_HOLE);
        stage.talk(3_000).await;
        stage.networks[0].both(Weather::default());
    })
    .await;
}

#[tokio::test]
async fn a_black_hole_of_20_s() {
    a_fault(&[], async |stage| {
        stage.networks[0].both(Weather::BLACK_HOLE);
        let began = Instant::now();
        while !stage.pair.story(1).statuses.contains(&Presence::Reconnecting) {
            stage.talk(100).await;
            assert!(began.elapsed() < ms(6_000), "the partner must know within 5 s of the last sign of life");
        }
        stage.talk(20_000 - u64::try_from(began.elapsed().as_millis()).unwrap()).await;
        stage.networks[0].both(Weather::default());
    })
    .await;
}

#[tokio::test]
async fn a_black_hole_past_the_resume_window() {
    let settings = [FAST, &[("DUOLOGUE_SESSION_RESUME_WINDOW_MS", "1500")]].concat();
    over_every_pair_of_doors(&settings, async |world, doors| {
        let mut stage = Stage::new(world, doors, Weather::default()).await;
        stage.talk(500).await;
        assert!(stage.pair.settle(WAIT).await.unwrap());
        stage.networks[0].both(Weather::BLACK_HOLE);
        // Only who is cut off speaks: the other one hears of the end, and has nobody to speak to.
        for _ in 0..40 {
            stage.pair.say(0);
        }
        let deadline = Instant::now() + WAIT;
        while stage.pair.broken().ended == 0 {
            stage.pair.settle(ms(100)).await.unwrap();
            assert!(Instant::now() < deadline, "the partner was never told");
        }
        stage.networks[0].both(Weather::default());
        // And who was cut off hears it when it is back.
        while stage.pair.broken().ended < 2 {
            stage.pair.settle(ms(100)).await.unwrap();
            assert!(Instant::now() < deadline, "the one who came too late was never told");
        }
        let Broken { doubled, reordered, untrue, untold, invented, .. } = stage.pair.broken();
        assert_eq!((doubled, reordered, untrue, untold, invented), (0, 0, 0, 0, 0), "{doors:?}");
    })
    .await;
}

#[tokio::test]
async fn a_tenth_of_the_packets_lost_and_200_ms_there_and_back() {
    a_fault(&[], async |stage| {
        stage.networks[0].both(Weather { loss: 0.1, delay: ms(100), ..Weather::default() });
        stage.talk(8_000).await;
    })
    .await;
}

#[tokio::test]
async fn packets_out_of_order() {
    a_fault(&[], async |stage| {
        stage.networks[0].both(Weather { reordered: 0.3, delay: ms(10), jitter: ms(10), ..Weather::default() });
        stage.talk(4_000).await;
        assert_eq!(stage.pair.story(0).lost, 0, "that is no reason to give a link up");
    })
    .await;
}

#[tokio::test]
async fn packets_that_come_twice() {
    a_fault(&[], async |stage| {
        stage.networks[0].both(Weather { doubled: 0.5, ..Weather::default() });
        stage.talk(3_000).await;
        assert_eq!(stage.pair.story(0).lost, 0, "that is no reason to give a link up");
    })
    .await;
}

#[tokio::test]
async fn a_clients_port_and_address_change() {
    a_fault(&[], async |stage| {
        for _ in 0..3 {
            stage.networks[0].rebind();
            stage.talk(1_500).await;
        }
        assert_eq!(stage.pair.door(0), stage.doors[0]);
        assert_eq!(stage.pair.story(0).lost, 0, "QUIC moves the connection by itself (RFC 9000 section 9)");
    })
    .await;
}

#[tokio::test]
async fn udp_blocked_from_the_start() {
    over_every_pair_of_doors(FAST, async |world, doors| {
        let began = Instant::now();
        let mut stage = Stage::new(world, doors, Weather::BLACK_HOLE).await;
        assert_eq!(stage.pair.door(0), WebSocket);
        assert!(began.elapsed() < ms(5_000), "{:?}", began.elapsed());
        stage.talk(1_500).await;
        stage.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn udp_blocked_in_mid_talk_and_back() {
    a_fault(&[], async |stage| {
        stage.networks[0].udp(Weather::BLACK_HOLE);
        stage.talk(6_000).await;
        assert_eq!(stage.pair.door(0), WebSocket);
        assert!(stage.pair.settle(ms(1_000)).await.unwrap(), "all of it delivered over WebSocket by now");
        assert_eq!(stage.pair.story(1).statuses, [], "and the partner noticed nothing");
        stage.networks[0].udp(Weather::default());
        let deadline = Instant::now() + WAIT;
        while stage.pair.door(0) != stage.doors[0] {
            stage.talk(200).await;
            assert!(Instant::now() < deadline, "never back on {:?}", stage.doors[0]);
        }
        assert_eq!(stage.pair.story(1).statuses, []);
    })
    .await;
}

#[tokio::test]
async fn fifty_takeovers_in_10_s() {
    a_fault(&[], async |stage| {
        for round in 0..50 {
            let doors = if round / 2 % 2 == 0 { [WebSocket, WebTransport] } else { [WebTransport, WebSocket] };
            stage.pair.keeper(round % 2).use_doors(&doors);
            stage.talk(200).await;
        }
        let moves = stage.pair.story(0).moves + stage.pair.story(1).moves;
        assert!(moves >= 25, "only {moves}");
        assert_eq!(stage.pair.story(1).statuses.len() + stage.pair.story(0).statuses.len(), 0, "nobody noticed");
    })
    .await;
}

#[tokio::test]
async fn a_half_open_tcp_link() {
    a_fault(&[], async |stage| {
        stage.networks[0].leave_streams_half_open();
        stage.pair.keeper(0).cut(Cut::Closed);
        stage.talk_until_mended(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_narrow_line() {
    a_fault(&[], async |stage| {
        stage.networks[0].both(Weather { bandwidth: Some(20_000), delay: ms(30), ..Weather::default() });
        stage.talk(4_000).await;
        assert_eq!(stage.pair.story(0).lost, 0, "slow is not dead");
    })
    .await;
}

#[tokio::test]
async fn a_clients_clock_that_is_off_by_a_day() {
    const DAY: f64 = 86_400_000.0;
    let world = World::new().await;
    let (mut one, mut other) = world.pair([WebTransport, WebSocket]).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as f64;
    for (id, clock) in [("behind", now - DAY), ("ahead", now + DAY)] {
        let timestamp = Some(Timestamp::Number(clock));
        let (kind, content) = (MessageKind::Text, "what time is it?".to_owned());
        one.send(&ClientEvent::Message(Message { id: MessageId::new(id).unwrap(), kind, content, timestamp }))
            .await
            .unwrap();
        let ServerEvent::Message(message) = expect(&mut other, "chat:message").await else { unreachable!() };
        let off = (message.timestamp as f64 - now).abs();
        assert!(off < 60_000.0, "the server's own clock counts: {off} ms off");
        assert_eq!(delivered(&mut one).await, id);
    }
    world.stop().await;
}
