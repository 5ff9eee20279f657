//! Duologue with its accounts in MongoDB: the users of a Node backend, the operator's tools, and a database
//! that is killed while people talk.
//!
//! `tests/run mongo` makes a server to be had (`setup.sh`, unless there is one) and calls this.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod database;
#[allow(dead_code, unused_imports, unused_macros, reason = "what other tests need of it, too")]
#[path = "../realtime/world.rs"]
mod world;

use std::process::{Command, Output};
use std::time::Duration;

use database::Database;
use duologue::client::Client;
use duologue::hub::Door;
use duologue::protocol::ServerEvent;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, doc};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use world::{WAIT, World, find, message, until};

/// What a call costs while the database is known to be away.
const AWAY: Duration = Duration::from_millis(100);
/// Time from the moment at which the database answers again to the first login.
const BACK: Duration = Duration::from_secs(5);
/// "Password123", by npm's bcrypt.
const HASH: &str = "$2b$10$ap399CPFWNI.ZAoI8eJ1Q.qT7roR93SRMhy3EpM7cYG3TmlDL4b2y";

async fn world(database: &Database) -> World {
    World::with(&[("MONGODB_URI", &database.uri)]).await
}

fn ada() -> Value {
    json!({ "username": "Ada", "email": "ada@example.org", "password": "Password123" })
}

fn login() -> Value {
    json!({ "email": "Ada@Example.org", "password": "Password123" })
}

/// One says it, the other hears it, and the first hears that.
async fn says(from: &mut Client, to: &mut Client, id: &str) {
    from.send(&message(id, id)).await.unwrap();
    let heard = until(to, "chat:message").await;
    assert!(matches!(&heard, ServerEvent::Message(heard) if heard.content == id), "{heard:?}");
    until(from, "chat:delivered").await;
}

/// The status, `Retry-After`, and how long it took.
async fn ask(request: reqwest::RequestBuilder) -> (u16, Option<String>, Duration) {
    let asked = Instant::now();
    let answer = request.send().await.unwrap();
    let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    answer.bytes().await.unwrap();
    (status, retry, asked.elapsed())
}

#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn the_database_is_killed_and_the_talks_go_on() {
    let mut database = Database::own().await;
    let world = world(&database).await;
    let (status, answer) = world.post("/api/auth/register", &ada()).await;
    assert_eq!(status, 201, "{answer}");
    let token = answer["data"]["token"].as_str().unwrap().to_owned();
    let (mut one, mut other) = world.pair([Door::WebSocket, Door::WebTransport]).await;
    // Someone with an account talks, too.
    let target = world.target().await;
    let mut with_account = Client::connect(&target, Door::WebSocket, &token, None).await.unwrap();
    let mut partner = world.client(Door::WebSocket).await;
    for client in [&mut with_account, &mut partner] {
        client.send(&find()).await.unwrap();
    }
    for client in [&mut with_account, &mut partner] {
        until(client, "user:matched").await;
    }

    database.kill().await;
    let health = || ask(world.http.get(world.url("/health")));
    let log_in = || ask(world.http.post(world.url("/api/auth/login")).json(&login()));
    let register = || {
        let eve = json!({ "username": "Eve", "email": "eve@example.org", "password": "Password123" });
        ask(world.http.post(world.url("/api/auth/register")).json(&eve))
    };
    let me = || ask(world.http.get(world.url("/api/auth/me")).bearer_auth(&token));
    // The first ones find it out, and wait for that no longer than the deadline of a call.
    for _ in 0..3 {
        let (status, _, took) = log_in().await;
        assert!(status == 503 && took < Duration::from_secs(2), "{status} after {took:?}");
    }
    for name in ["login", "register", "me", "health"] {
        let mut times = Vec::new();
        for _ in 0..9 {
            let (status, retry, took) = match name {
                "login" => log_in().await,
                "register" => register().await,
                "me" => me().await,
                _ => health().await,
            };
            // Talks go on: whoever asks after the node's health is not to be sent away.
            assert_eq!(status, if name == "health" { 200 } else { 503 }, "{name}");
            assert!(name == "health" || retry.is_some(), "{name} says when to come back");
            times.push(took);
        }
        times.sort();
        println!("{name}, the database away: median {:?}, longest {:?}", times[4], times[8]);
        assert!(times[4] < AWAY, "{name} takes {times:?}");
    }
    for n in 0..20 {
        says(&mut one, &mut other, &format!("guests {n}")).await;
        says(&mut partner, &mut with_account, &format!("account {n}")).await;
    }
    // New guests come in and are matched.
    let (mut late, mut later) = world.pair([Door::WebSocket, Door::WebSocket]).await;
    says(&mut late, &mut later, "late").await;

    database.start().await;
    let back = Instant::now();
    let recovered = timeout(WAIT, async {
        while log_in().await.0 != 200 {
            sleep(Duration::from_millis(50)).await;
        }
        back.elapsed()
    });
    let took = recovered.await.expect("people log in again");
    println!("logins again {took:?} after the database was back");
    assert!(took <= BACK, "{took:?}");
    assert_eq!(me().await.0, 200);
    assert_eq!(health().await.0, 200);
    says(&mut with_account, &mut partner, "still here").await;
    world.stop().await;
}

/// Worse than one that is gone: connections stand, and nothing is refused.
#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn a_database_that_hangs_costs_a_few_half_seconds_and_then_nothing() {
    let database = Database::own().await;
    let world = world(&database).await;
    assert_eq!(world.post("/api/auth/register", &ada()).await.0, 201);
    let log_in = || ask(world.http.post(world.url("/api/auth/login")).json(&login()));
    database.signal("-STOP").await;
    for _ in 0..3 {
        let (status, _, took) = log_in().await;
        let deadline = Duration::from_millis(350)..Duration::from_secs(2);
        assert!(status == 503 && deadline.contains(&took), "{status} after {took:?}");
    }
    let mut times = Vec::new();
    // Longer than it takes to ask once whether it is back: nobody waits for that.
    let until = Instant::now() + Duration::from_millis(2_500);
    while Instant::now() < until {
        let (status, _, took) = log_in().await;
        assert_eq!(status, 503);
        times.push(took);
        sleep(Duration::from_millis(50)).await;
    }
    times.sort();
    println!("login, the database hanging: median {:?}, longest {:?}", times[times.len() / 2], times[times.len() - 1]);
    assert!(times[times.len() / 2] < AWAY, "{times:?}");
    database.signal("-CONT").await;
    let back = Instant::now();
    let recovered = timeout(WAIT, async {
        while log_in().await.0 != 200 {
            sleep(Duration::from_millis(50)).await;
        }
    });
    recovered.await.expect("people log in again");
    assert!(back.elapsed() <= BACK, "{:?}", back.elapsed());
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn users_of_the_node_backend_log_in_where_they_are() {
    let database = Database::any().await;
    let users = database.users().await;
    let id = ObjectId::from_bytes([0x64, 0xb0, 0xc0, 0xde, 0, 0, 0, 0, 0, 0, 0, 1]);
    let theirs = doc! {
        "_id": id, "username": "Ada", "email": "ada@example.org", "password": HASH, "isOnline": false,
        "createdAt": DateTime::from_millis(1_672_531_200_000), "profile": { "color": "red" }, "__v": 0,
    };
    users.insert_one(theirs).await.unwrap();
    let world = world(&database).await;
    let (status, answer) = world.post("/api/auth/login", &login()).await;
    assert_eq!(status, 200, "{answer}");
    let user = &answer["data"]["user"];
    assert_eq!((&user["id"], &user["createdAt"]), (&json!(id.to_hex()), &json!("2023-01-01T00:00:00.000Z")));
    let token = answer["data"]["token"].as_str().unwrap();
    let me = world.http.get(world.url("/api/auth/me")).bearer_auth(token);
    assert_eq!(ask(me).await.0, 200);
    let device = world.http.post(world.url("/api/users/device")).bearer_auth(token).json(&json!({ "deviceId": "a.b" }));
    assert_eq!(ask(device).await.0, 200);
    let now = users.find_one(doc! { "_id": id }).await.unwrap().unwrap();
    assert!(now.get_str("password").unwrap().starts_with("$argon2id$"), "hashed anew");
    assert_eq!(now.get_document("profile").unwrap(), &doc! { "color": "red" });
    assert_eq!(world.post("/api/auth/login", &login()).await.0, 200);
    let (status, answer) = world.post("/api/auth/register", &ada()).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("email-taken")));
    world.stop().await;
    database.done().await;
}

#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn the_tools_of_the_operator_are_the_same_on_both_stores() {
    let database = Database::any().await;
    let line = |id: u8, name: &str, days: u64| {
        let seen = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64 - days * 86_400_000 - 60_000;
        format!(
            r#"{{"_id":{{"$oid":"64b0c0de{id:016x}"}},"username":"{name}","email":"{name}@example.org","password":"{HASH}","lastSeen":{{"$date":{seen}}}}}"#
        )
    };
    for store in [("MONGODB_URI", database.uri.as_str()), ("DUOLOGUE_LOG_LEVEL", "info")] {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| -> (Option<i32>, String, String) {
            let mut command = Command::new(env!("CARGO_BIN_EXE_duologue"));
            command.current_dir(folder.path()).arg("users").args(arguments).env_remove("MONGODB_URI");
            let Output { status, stdout, stderr } = command.env(store.0, store.1).output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (status.code(), text(stdout), text(stderr))
        };
        let file = folder.path().join("users.json");
        let lines = [line(1, "ada", 40), line(2, "ben", 31), line(3, "cleo", 3), line(4, "dora", 0)].join("\n");
        std::fs::write(&file, lines).unwrap();
        let (code, said, error) = run(&["import", "users.json"]);
        assert_eq!((code, said.as_str()), (Some(0), "4 users were taken over, 0 lines were left out.\n"), "{error}");

        let (code, exported, _) = run(&["export"]);
        assert_eq!((code, exported.lines().count()), (Some(0), 4));
        assert!(!exported.contains("$2b$"));
        let (_, exported, _) = run(&["export", "--with-hashes"]);
        assert!(exported.lines().all(|line| line.contains(HASH)));

        let (code, _, error) = run(&["delete", "nobody"]);
        assert!(code == Some(1) && error.contains("neither an id"), "{error}");
        let (code, _, error) = run(&["delete", "nobody@example.org"]);
        assert!(code == Some(1) && error.contains("nobody was deleted"), "{error}");
        let (code, said, _) = run(&["delete", "ADA@example.org"]);
        assert_eq!((code, said.as_str()), (Some(0), "The account 64b0c0de0000000000000001 was deleted.\n"));
        assert_eq!(run(&["delete", "64b0c0de0000000000000001"]).0, Some(1));

        assert_eq!(run(&["clean", "--unseen-days", "0"]).0, Some(2), "usage");
        let (_, said, _) = run(&["clean", "--unseen-days", "30", "--dry-run"]);
        assert_eq!(said, "1 users who were not seen for 30 days would be deleted.\n");
        assert_eq!(run(&["export"]).1.lines().count(), 3);
        let (code, said, _) = run(&["clean", "--unseen-days", "30"]);
        assert_eq!((code, said.as_str()), (Some(0), "1 users who were not seen for 30 days were deleted.\n"));
        assert_eq!(run(&["export"]).1.lines().count(), 2);
    }
    database.done().await;
}

/// Some seconds long: that is how long it waits.
#[test]
#[ignore = "with the others: tests/run mongo"]
fn a_start_without_the_database_ends_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_duologue"));
    command.current_dir(folder.path()).env("MONGODB_URI", "mongodb://ada:s3cret@127.0.0.1:9/chat");
    let began = std::time::Instant::now();
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!((8..20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(said.contains("does not answer yet") && said.contains("mongodb://127.0.0.1:9/chat"), "{said}");
    assert!(said.contains("MONGODB_URI") && !said.contains("s3cret"), "{said}");
}
