//! Where people are and how they are: what they see of themselves, what others see, and that it is true
//! when clients crash.

use std::time::{Duration, Instant};

use duologue::client::Client;
use duologue::hub::Door;
use duologue::protocol::{Attention, ClientEvent, Device, OwnPresence, Place, Presence, ServerEvent};
use serde_json::{Value, json};

use crate::world::*;

over_every_pair_of_doors! {
    a_partner_sees_the_country,
    a_partner_hears_of_away_and_back,
    whoever_is_away_when_matched_is_told_of_so,
    after_crashes_every_count_is_true,
}

over_every_door! {
    the_device_of_an_account_is_remembered,
}

const PLACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/place/places.mmdb");

fn place(city: Option<&str>) -> Option<Place> {
    let (country, country_name) = ("NL".to_owned(), Some("Netherlands".to_owned()));
    Some(Place { country, country_name, city: city.map(str::to_owned) })
}

fn present(status: Attention) -> ClientEvent {
    ClientEvent::Presence(OwnPresence { status })
}

async fn status(client: &mut Client) -> Presence {
    match expect(client, "user:status").await {
        ServerEvent::Status(partner) => partner.status,
        other => unreachable!("{other:?}"),
    }
}

async fn get(world: &World, path: &str, token: &str) -> Value {
    let answer = world.http.get(world.url(path)).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json::<Value>().await.unwrap()["data"].take()
}

/// Asks again until the answer is as it should be.
async fn comes_true(what: &str, ask: impl AsyncFn() -> Value, right: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + WAIT;
    loop {
        let answer = ask().await;
        if right(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} never came true: {answer}");
        tokio::task::yield_now().await;
    }
}

/// The token of a new account.
async fn ada(world: &World) -> String {
    let form = json!({"username": "Ada", "email": "ada@example.org", "password": "Violet-Engine-1843"});
    let (status, answer) = world.post("/api/auth/register", &form).await;
    assert_eq!(status, 201, "{answer}");
    answer["data"]["token"].as_str().unwrap().to_owned()
}

async fn a_partner_sees_the_country(doors: [Door; 2]) {
    for (show, seen) in [("country", place(None)), ("city", place(Some("Delft"))), ("nothing", None)] {
        let world = World::with(&[("DUOLOGUE_PLACE_DATABASE", PLACES), ("DUOLOGUE_PLACE_SHOW", show)]).await;
        let (token, mut other) = (world.token().await, world.client(doors[1]).await);
        let mut one = Client::connect(&world.target().await, doors[0], &token, Some("desk")).await.unwrap();
        let mine = one.established().user.whence.clone();
        let device = Device { id: Some("desk".into()), browser: "duologue-rust".into(), platform: "unknown".into() };
        assert_eq!((mine.device, mine.address.as_deref()), (Some(device), Some("127.0.0.0")));
        assert_eq!(mine.place, place(Some("Delft")), "people see their own place whole");

        one.send(&find()).await.unwrap();
        expect(&mut one, "user:matching").await;
        other.send(&find()).await.unwrap();
        expect(&mut other, "user:matching").await;
        assert_eq!(matched(&mut other).await.matched_user.place, seen, "{show}");
        assert_eq!(matched(&mut one).await.matched_user.place, seen, "{show}");

        let me = get(&world, "/api/auth/me", &token).await["user"].take();
        assert_eq!((&me["address"], &me["place"]["city"]), (&json!("127.0.0.0"), &json!("Delft")), "{me}");
        assert_eq!((&me["device"]["id"], &me["devices"]), (&json!("desk"), &json!([])), "a guest's is not kept");
        let online = get(&world, "/api/users/online", &token).await;
        for user in online["users"].as_array().unwrap() {
            let mut keys: Vec<_> = user.as_object().unwrap().keys().collect();
            keys.sort();
            assert_eq!(keys, ["guest", "id", "isOnline", "status", "username"], "no more than that");
        }
        one.cut();
        one.resume(doors[1]).await.unwrap();
        let place = one.established().conversation.as_ref().unwrap().matched_user.place.clone();
        assert_eq!(place, seen, "also after a resume");
        world.stop().await;
    }
}

async fn a_partner_hears_of_away_and_back(doors: [Door; 2]) {
    let world = World::new().await;
    let token = world.token().await;
    let (mut one, mut other) = world.pair(doors).await;
    let statuses = async || {
        let online = get(&world, "/api/users/online", &token).await;
        let mut all: Vec<_> = online["users"].as_array().unwrap().iter().map(|user| user["status"].clone()).collect();
        all.sort_by_key(Value::to_string);
        Value::Array(all)
    };
    one.send(&present(Attention::Away)).await.unwrap();
    one.send(&present(Attention::Away)).await.unwrap();
    assert_eq!(status(&mut other).await, Presence::Away);
    assert_eq!(statuses().await, json!(["away", "online"]));
    // The second said nothing new: what comes next is the message.
    one.send(&message("m", "still here")).await.unwrap();
    hear(&mut other).await;

    // It holds over a lost link, on both sides.
    one.cut();
    assert_eq!(status(&mut other).await, Presence::Reconnecting);
    assert_eq!(statuses().await, json!(["online", "reconnecting"]));
    one.resume(doors[1]).await.unwrap();
    assert_eq!(status(&mut other).await, Presence::Away);
    other.resume(doors[0]).await.unwrap();
    let conversation = other.established().conversation.clone().unwrap();
    assert_eq!(conversation.status, Some(Presence::Away), "who forgot it is told again");
    assert_eq!(one.established().conversation.as_ref().unwrap().status, None, "the other was online all the time");

    // What is said without a link arrives with the next.
    one.cut();
    assert_eq!(status(&mut other).await, Presence::Reconnecting);
    one.queue(&present(Attention::Online));
    one.resume(doors[0]).await.unwrap();
    assert_eq!(status(&mut other).await, Presence::Away);
    assert_eq!(status(&mut other).await, Presence::Online);
    assert_eq!(statuses().await, json!(["online", "online"]));
    world.stop().await;
}

async fn whoever_is_away_when_matched_is_told_of_so(doors: [Door; 2]) {
    let world = World::with(&[("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "2")]).await;
    let (mut one, mut other) = (world.client(doors[0]).await, world.client(doors[1]).await);
    // Looking elsewhere costs no messages.
    for status in [Attention::Away, Attention::Online, Attention::Away] {
        one.send(&present(status)).await.unwrap();
    }
    one.send(&find()).await.unwrap();
    expect(&mut one, "user:matching").await;
    other.send(&find()).await.unwrap();
    expect(&mut other, "user:matching").await;
    matched(&mut one).await;
    matched(&mut other).await;
    assert_eq!(status(&mut other).await, Presence::Away);
    one.send(&present(Attention::Online)).await.unwrap();
    assert_eq!(status(&mut other).await, Presence::Online);
    other.send(&message("m", "hello")).await.unwrap();
    hear(&mut one).await;
    world.stop().await;
}

async fn the_device_of_an_account_is_remembered(door: Door) {
    let world = World::new().await;
    let (target, token) = (world.target().await, ada(&world).await);
    let me = async || get(&world, "/api/auth/me", &token).await["user"].take();
    let before = me().await;
    assert_eq!((&before["devices"], &before["isOnline"], before.get("device")), (&json!([]), &json!(false), None));
    let mut phone = Client::connect(&target, door, &token, Some("phone")).await.unwrap();
    let known = comes_true("the device is remembered", me, |me| me["devices"][0]["deviceId"] == "phone").await;
    assert_eq!((&known["devices"][0]["name"], &known["isOnline"]), (&json!("duologue-rust"), &json!(true)));
    phone.cut();
    let online = async || get(&world, "/api/users/online", &token).await;
    let her = comes_true("she is missed", online, |online| online["users"][0]["status"] == "reconnecting").await;
    assert_eq!(
        (&her["users"][0]["isOnline"], &me().await["isOnline"]),
        (&json!(true), &json!(true)),
        "she may be back"
    );
    // A name that a list could not show is neither kept nor told.
    let odd = Client::connect(&target, door, &token, Some("bell\u{7}")).await.unwrap();
    assert_eq!(odd.established().user.whence.device.as_ref().unwrap().id.as_deref(), None);
    let desk = Client::connect(&target, door, &token, Some("desk")).await.unwrap();
    assert_eq!(me().await["device"]["id"], "desk", "the newest session's");
    let both = comes_true("both are remembered", me, |me| me["devices"][0]["deviceId"] == "desk").await;
    assert_eq!(both["devices"].as_array().unwrap().len(), 2, "{both}");
    drop((phone, odd, desk));
    world.stop().await;
}

/// Some clients are gone in a moment, some stand still for ever, in the middle of whatever they did.
async fn after_crashes_every_count_is_true(doors: [Door; 2]) {
    let world = World::with(&[
        ("DUOLOGUE_SESSION_RESUME_WINDOW_MS", "300"),
        ("DUOLOGUE_SESSION_PING_TALKING_MS", "100"),
        ("DUOLOGUE_SESSION_DEAD_TALKING_MS", "300"),
        ("DUOLOGUE_SESSION_PING_IDLE_MS", "100"),
        ("DUOLOGUE_SESSION_DEAD_IDLE_MS", "300"),
    ])
    .await;
    let (token, target) = (ada(&world).await, world.target().await);
    let me = async || get(&world, "/api/auth/me", &token).await["user"].take();
    let talking = world.pair(doors).await;
    let (mut gone, still_there) = world.pair(doors).await;
    let idle = world.client(doors[0]).await;
    let mut waiting = world.client(doors[1]).await;
    waiting.send(&find()).await.unwrap();
    let ada = Client::connect(&target, doors[0], &token, None).await.unwrap();
    comes_true("Ada is here", me, |me| me["isOnline"] == true).await;
    let stats = get(&world, "/api/users/stats", &token).await;
    assert_eq!(stats["totalUsers"], 1);
    let began = me().await["lastSeen"].as_str().unwrap().to_owned();

    gone.cut();
    drop(waiting);
    // The others keep their links, and nothing is read from them or written to them any more.
    let crashed = async || json!([world.stats().await, get(&world, "/api/users/stats", &token).await]);
    let nobody = |answer: &Value| {
        let zeros = |value: &Value, keys: &[&str]| keys.iter().all(|key| value[key] == 0);
        zeros(&answer[0], &["conversations", "waiting", "onlineUsers"])
            && zeros(&answer[0]["connections"], &["webtransport", "websocket", "parked"])
            && zeros(&answer[0]["transfers"], &["offered", "moving", "reservedBytes"])
            && zeros(&answer[1], &["onlineUsers", "availableUsers", "inConversation"])
    };
    comes_true("nobody is here", crashed, nobody).await;
    let online = get(&world, "/api/users/online", &token).await;
    assert_eq!(online, json!({"users": [], "count": 0}));
    // RFC 3339 of one length: later is greater.
    let seen = |me: &Value| me["lastSeen"].as_str().is_some_and(|seen| seen >= began.as_str());
    let offline = comes_true("when she left is known", me, seen).await;
    assert_eq!((&offline["isOnline"], offline.get("address")), (&json!(false), None), "{offline}");
    drop((talking, still_there, idle, ada));
    let begun = Instant::now();
    world.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "nothing is left to be waited for");
}
