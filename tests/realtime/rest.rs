//! Accounts and the rest over HTTP.

use serde_json::{Value, json};

use crate::world::*;
use duologue::hub::Door;

fn ada() -> Value {
    json!({"username": "Ada", "email": "ada@example.org", "password": "Password123"})
}

#[tokio::test]
async fn someone_registers_logs_in_and_is_who_they_are() {
    let world = World::new().await;
    let (status, answer) = world.post("/api/auth/register", &ada()).await;
    assert_eq!(
        (status, &answer["success"], &answer["message"]),
        (201, &json!(true), &json!("User registered successfully"))
    );
    let user = &answer["data"]["user"];
    let mut keys: Vec<_> = user.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["createdAt", "email", "id", "isOnline", "username"]);
    let id = user["id"].as_str().unwrap();
    assert!(id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()), "{id}");
    let created = user["createdAt"].as_str().unwrap();
    assert!(created.len() == 24 && created.ends_with('Z') && &created[19..20] == ".", "{created}");

    let (status, answer) =
        world.post("/api/auth/login", &json!({"email": "ADA@Example.org", "password": "Password123"})).await;
    assert_eq!((status, &answer["data"]["user"]["id"]), (200, &json!(id)));
    let token = answer["data"]["token"].as_str().unwrap();
    let me: Value =
        world.http.get(world.url("/api/auth/me")).bearer_auth(token).send().await.unwrap().json().await.unwrap();
    for key in ["id", "username", "email", "isOnline", "createdAt"] {
        assert_eq!(me["data"]["user"][key], user[key], "{key}");
    }
    assert_eq!(me["data"]["user"]["devices"], json!([]));
    world.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_with_a_stable_code() {
    let world = World::new().await;
    assert_eq!(world.post("/api/auth/register", &ada()).await.0, 201);
    let with = |field: &str, value: Value| {
        let mut form = json!({"username": "Bob", "email": "bob@example.org", "password": "Password123"});
        form[field] = value;
        form
    };
    let register = "/api/auth/register";
    for (path, body, status, code) in [
        (register, with("username", json!("ADA")), 409, "username-taken"),
        (register, with("email", json!("ADA@EXAMPLE.ORG")), 409, "email-taken"),
        (register, with("password", json!("short")), 422, "invalid-data"),
        (register, with("username", json!({"$gt": ""})), 422, "invalid-data"),
        (register, with("admin", json!(true)), 422, "invalid-data"),
        ("/api/auth/login", json!({"email": "ada@example.org", "password": "wrong-one"}), 401, "credentials-wrong"),
        ("/api/auth/login", json!({"email": "nobody@example.org", "password": "wrong-one"}), 401, "credentials-wrong"),
        ("/api/no/such", json!({}), 404, "not-found"),
        ("/health", json!({}), 405, "method-not-allowed"),
    ] {
        let (got, answer) = world.post(path, &body).await;
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(code)), "{path} {body} {answer}");
        assert_eq!(answer["success"], json!(false));
        assert!(answer["message"].as_str().is_some_and(|sentence| sentence.len() > 8), "{answer}");
    }
    let (_, answer) = world.post(register, &json!({"username": "x", "email": "x", "password": "x"})).await;
    let fields: Vec<_> = answer["error"]["details"].as_array().unwrap().iter().map(|it| it["field"].clone()).collect();
    assert_eq!(fields, ["username", "email", "password"], "every problem at once");

    let get = async |path: &str, token: &str| {
        let answer = world.http.get(world.url(path)).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["error"]["code"].clone())
    };
    assert_eq!(get("/api/auth/me", "forged").await, (401, json!("token-invalid")));
    let bare = world.http.get(world.url("/api/auth/me")).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    let raw = |body: &'static str, kind: &'static str| {
        world.http.post(world.url(register)).header("content-type", kind).body(body).send()
    };
    assert_eq!(raw("{", "application/json").await.unwrap().status(), 400);
    assert_eq!(raw("a=b", "text/plain").await.unwrap().status(), 415);
    let huge = world
        .http
        .post(world.url(register))
        .header("content-type", "application/json")
        .body("x".repeat(100_000))
        .send()
        .await
        .unwrap();
    assert_eq!(huge.status(), 413);
    world.stop().await;
}

#[tokio::test]
async fn presence_and_counts_are_true() {
    let world = World::new().await;
    let (_, answer) = world.post("/api/auth/register", &ada()).await;
    let token = answer["data"]["token"].as_str().unwrap().to_owned();
    let get = async |path: &str| -> Value {
        let answer = world.http.get(world.url(path)).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    };
    assert_eq!(get("/api/auth/me").await["data"]["user"]["isOnline"], json!(false));
    let (one, other) = world.pair([Door::WebTransport, Door::WebSocket]).await;
    let third = world.client(Door::WebSocket).await;
    let ada = duologue::client::Client::connect(&world.target().await, Door::WebSocket, &token, None).await.unwrap();
    assert_eq!(get("/api/auth/me").await["data"]["user"]["isOnline"], json!(true));
    assert_eq!(get("/api/users/online").await["data"]["count"], json!(4));
    let available = get("/api/users/available").await;
    assert_eq!(available["data"]["count"], json!(1), "not the caller, none in a conversation");
    assert_eq!(available["data"]["users"][0]["id"], json!(third.established().user.user.id));
    let stats = get("/api/users/stats").await["data"].clone();
    assert_eq!(stats, json!({"totalUsers": 1, "onlineUsers": 4, "availableUsers": 2, "inConversation": 2}));
    let sockets = get("/api/socket/stats").await["data"].clone();
    assert_eq!(sockets["connections"], json!({"webtransport": 1, "websocket": 3, "socketio": 0, "parked": 0}));
    assert_eq!(sockets["conversations"], json!(1));
    drop((one, other, third, ada));
    let (status, device) = {
        let answer = world
            .http
            .post(world.url("/api/users/device"))
            .bearer_auth(&token)
            .json(&json!({"deviceId": "d1"}))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!((status, &device["data"]["device"]["deviceId"]), (200, &json!("d1")), "{device}");
    world.stop().await;
}

#[tokio::test]
async fn the_demo_is_served_whole_and_guarded() {
    let world = World::new().await;
    let page = world.http.get(world.url("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("text/html"));
    assert!(header("content-security-policy").contains("default-src 'self'"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    let tag = header("etag");
    let again = world.http.get(world.url("/")).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let html = page.text().await.unwrap();
    // Everything that the page names, and what those name, is there.
    let mut seen = std::collections::HashSet::new();
    let mut queue = vec![("/".to_owned(), html)];
    while let Some((base, text)) = queue.pop() {
        for piece in text.split(['"', '\'', '(', ')']) {
            let ours = [".js", ".css", ".svg"].iter().any(|end| piece.ends_with(end)) && !piece.contains(' ');
            if !ours || piece.contains("://") {
                continue;
            }
            let url = reqwest::Url::parse(&world.url(&base)).unwrap().join(piece).unwrap();
            if seen.insert(url.path().to_owned()) {
                let answer = world.http.get(url.clone()).send().await.unwrap();
                assert_eq!(answer.status(), 200, "{url}, named by {base}");
                queue.push((url.path().to_owned(), answer.text().await.unwrap()));
            }
        }
    }
    assert!(seen.contains("/sdk/duologue.js") && seen.len() > 8, "{seen:?}");
    let secret = world.http.get(world.url("/sdk/../../Cargo.toml")).send().await.unwrap();
    assert_eq!(secret.status(), 404);
    world.stop().await;
}

#[tokio::test]
async fn the_doors_refuse_in_the_same_shape_and_what_is_not_read_is_not_taken_for_the_next() {
    let world = World::new().await;
    let request = |method: reqwest::Method| world.http.request(method, world.url("/realtime")).send();
    let refused = request(reqwest::Method::GET).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["upgrade"]), (426, &"websocket".parse().unwrap()));
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "upgrade-required");
    let refused = request(reqwest::Method::POST).await.unwrap();
    assert!(refused.headers().contains_key("allow"));
    assert_eq!(refused.status().as_u16(), 405);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "method-not-allowed");

    let early = world.http.post(world.url("/api/auth/me")).body("x".repeat(100_000)).send().await.unwrap();
    assert_eq!((early.status().as_u16(), &early.headers()["connection"]), (405, &"close".parse().unwrap()));
    let whole = world.post("/api/auth/login", &json!({"email": "a@b.example", "password": "x"})).await;
    assert_eq!(whole.0, 401);
    world.stop().await;
}
