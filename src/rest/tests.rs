//! Tests of the HTTP face: its pure parts, and the whole router without a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::assets::{content_type, has_it};
use super::connect::{Addresses, Reached, addresses};
use super::users::timestamp;
use super::{Error, Ports, Rates, State, router};
use crate::auth::{password, token};
use crate::chat::accounts::{self, Problem};
use crate::chat::{Accounts, Chat};
use crate::cluster::Local;
use crate::config::Public;
use crate::protocol::NodeId;
use crate::session::{Sessions, Settings};
use crate::tls::Secure;
use crate::{config, store};

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

pub struct Service {
    pub router: Router,
    draining: Arc<AtomicBool>,
    _data: TempDir,
}

impl Service {
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        let (state, data) = Self::state(variables).await;
        let draining = Arc::clone(&state.draining);
        Self { router: router(state), draining, _data: data }
    }

    async fn among(node: Arc<Local>, variables: &[(&str, &str)]) -> Self {
        let (mut state, data) = Self::state(variables).await;
        state.rates = state.rates.among(Some(node));
        let draining = Arc::clone(&state.draining);
        Self { router: router(state), draining, _data: data }
    }

    async fn state(variables: &[(&str, &str)]) -> (State, TempDir) {
        let data = TempDir::new().unwrap();
        let mut all = vec![("DUOLOGUE_SERVER_DATA".to_owned(), data.path().to_str().unwrap().to_owned())];
        // Everyone of a test has one address.
        for limit in ["AUTH", "REQUESTS"] {
            all.push((format!("DUOLOGUE_LIMITS_{limit}_PER_QUARTER_HOUR"), "100000".to_owned()));
        }
        all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Arc::new(config::load(None, all).unwrap());
        let accounts = Accounts::new(store::open(&config).await.unwrap(), &config).unwrap();
        let chat = Chat::new(accounts, &config.matching, &config.files);
        let state = State {
            sessions: Sessions::new(chat.clone(), Settings::default(), TaskTracker::new()),
            http: Some(3001),
            chat,
            rates: Rates::new(&config.limits),
            config,
            certificates: None,
            started: Instant::now(),
            ports: Ports { https: Some(3443), quic: Some(3443) },
            draining: Arc::new(AtomicBool::new(false)),
        };
        (state, data)
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let request = Request::get(path).header("host", "localhost:3001");
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, token: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("authorization", format!("bearer {token}"))
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
        self.send(request.body(body.into()).unwrap()).await
    }
}

pub fn ada() -> String {
    json!({"username": "Ada", "email": "ada@example.org", "password": "Violet-Engine-1843"}).to_string()
}

#[tokio::test]
async fn an_account_comes_in_by_every_way() {
    let service = Service::with(&[]).await;
    let registered = service.post("/api/auth/register", "", ada()).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.body);
    assert_eq!(registered.body["message"], "User registered successfully");
    let user = &registered.body["data"]["user"];
    assert_eq!(user["username"], "Ada");
    assert_eq!(user["email"], "ada@example.org");
    assert_eq!(user["isOnline"], false);
    assert_eq!(user["id"].as_str().unwrap().len(), 24);
    assert_eq!(user["createdAt"].as_str().unwrap().len(), "2023-01-01T00:00:00.000Z".len());
    assert!(user.get("guest").is_none());
    assert_eq!(registered.headers[CACHE_CONTROL], "no-store");

    for (taken, other) in [("username", "ada@example.org"), ("email", "Ada")] {
        let body = ada().replace(other, if taken == "email" { "Eda" } else { "eda@example.org" });
        let again = service.post("/api/auth/register", "", body).await;
        let code = json!(format!("{taken}-taken"));
        assert_eq!((again.status, &again.body["error"]["code"]), (StatusCode::CONFLICT, &code));
        assert_eq!(again.body["error"]["details"][0]["field"], taken);
    }

    let body = json!({"email": "ada@example.org", "password": "Violet-Engine-1843"}).to_string();
    let login = service.post("/api/auth/login", "", body).await;
    assert_eq!((login.status, &login.body["message"]), (StatusCode::OK, &json!("Login successful")));
    let token = login.body["data"]["token"].as_str().unwrap();

    let me = service.get("/api/auth/me", Some(token)).await;
    let known = &me.body["data"]["user"];
    for key in ["id", "username", "email", "isOnline", "createdAt"] {
        assert_eq!((me.status, &known[key]), (StatusCode::OK, &user[key]), "{key}");
    }
    assert_eq!((known["lastSeen"].as_str().map(str::len), known.get("address")), (Some(24), None));
    let online = service.get("/api/users/online", Some(token)).await;
    assert_eq!(online.body, json!({"success": true, "data": {"users": [], "count": 0}}));
    let stats = service.get("/api/users/stats", Some(token)).await;
    let numbers = json!({"totalUsers": 1, "onlineUsers": 0, "availableUsers": 0, "inConversation": 0});
    assert_eq!(stats.body["data"], numbers);
    let device = service.post("/api/users/device", token, r#"{"deviceId": "d-1"}"#).await;
    assert_eq!(device.status, StatusCode::OK, "{}", device.body);
    let device = &device.body["data"]["device"];
    assert_eq!((&device["deviceId"], &device["name"]), (&json!("d-1"), &json!("Firefox")));
    assert_eq!(device["platform"], "Linux");
    let me = service.get("/api/auth/me", Some(token)).await;
    assert_eq!(me.body["data"]["user"]["devices"], json!([device]));
}

#[tokio::test]
async fn a_limit_holds_over_all_nodes_and_on_each_while_they_are_apart() {
    let world = Local::world();
    let node = async |number| {
        let node = world.join(NodeId::from_bytes([number; 8]));
        Service::among(node, &[("DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR", "5")]).await
    };
    let (one, other) = (node(1).await, node(2).await);
    let login = async |service: &Service| {
        let body = json!({"email": "ada@example.org", "password": "Violet-Engine-1843"}).to_string();
        let answer = service.post("/api/auth/login", "", body).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap().parse::<u64>().unwrap();
        assert_eq!(header("ratelimit-limit"), 5);
        assert!((1..=900).contains(&header("ratelimit-reset")), "{}", header("ratelimit-reset"));
        (answer.status.as_u16(), header("ratelimit-remaining"))
    };
    for left in [4, 3, 2] {
        assert_eq!(login(&one).await, (401, left));
    }
    for left in [1, 0] {
        assert_eq!(login(&other).await, (401, left));
    }
    assert_eq!(login(&one).await, (429, 0), "of all together");
    assert_eq!(login(&other).await, (429, 0));
    world.away(true);
    assert_eq!(login(&one).await, (401, 1), "this one has let three through");
    assert_eq!(login(&other).await, (401, 2), "and this one two");
    world.away(false);
    assert_eq!(login(&other).await, (429, 0));
    world.forget();
    assert_eq!(login(&other).await, (401, 4), "the window of all decides where it can be asked");
}

#[tokio::test]
async fn a_guest_needs_no_body() {
    let service = Service::with(&[]).await;
    let bare = service.send(Request::post("/api/auth/guest").body(Body::empty()).unwrap()).await;
    assert_eq!((bare.status, &bare.body["message"]), (StatusCode::CREATED, &json!("Guest created")));
    let user = &bare.body["data"]["user"];
    assert_eq!((&user["email"], &user["guest"]), (&Value::Null, &json!(true)));
    assert_eq!(service.post("/api/auth/guest", "", "{}").await.status, StatusCode::CREATED);
    assert_eq!(service.post("/api/auth/guest", "", r#"{"name": "x"}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_shape() {
    let service = Service::with(&[("DUOLOGUE_AUTH_GUESTS", "false")]).await;
    let large = format!(r#"{{"email": "{}"}}"#, "x".repeat(super::MAX_BODY));
    let cases = [
        (service.post("/api/auth/login", "", "{").await, 400, "malformed-json"),
        (service.post("/api/auth/login", "", "").await, 400, "malformed-json"),
        (service.get("/api/auth/me", None).await, 401, "token-missing"),
        (service.get("/api/auth/me", Some("a.b.c")).await, 401, "token-invalid"),
        (service.post("/api/auth/login", "", r#"{"email":"a@b.c","password":"x"}"#).await, 401, "credentials-wrong"),
        (service.post("/api/auth/guest", "", "{}").await, 403, "guests-disabled"),
        (service.get("/api/nowhere", None).await, 404, "not-found"),
        (service.get("/app/tsconfig.json", None).await, 404, "not-found"),
        (service.get("/app/../Cargo.toml", None).await, 404, "not-found"),
        (service.get("/api/auth/login", None).await, 405, "method-not-allowed"),
        (service.post("/api/auth/login", "", large).await, 413, "body-too-large"),
    ];
    for (answer, status, code) in cases {
        assert_eq!((answer.status.as_u16(), &answer.body["error"]["code"]), (status, &json!(code)));
        assert_eq!(answer.body["success"], false);
        assert!(answer.body["message"].as_str().is_some_and(|message| message.ends_with('.')), "{}", answer.body);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers.contains_key(WWW_AUTHENTICATE), status == 401);
        assert_eq!(answer.headers.contains_key(ALLOW), status == 405);
    }
    let form = Request::post("/api/auth/login").header("content-type", "application/x-www-form-urlencoded");
    let form = service.send(form.body(Body::from("email=a")).unwrap()).await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let service = Service::with(&[]).await;
    let cases = [
        (r#"{"email": "a@b.c", "password": 7}"#, "password", "type"),
        (r#"{"email": "a@b.c", "password": "x", "admin": true}"#, "admin", "unknown"),
        (r#"{"email": "a@b.c"}"#, "password", "required"),
        (r#"{"email": "a@b.c", "email": "a@b.c", "password": "x"}"#, "email", "duplicate"),
        (r#"[]"#, "", "type"),
    ];
    for (body, field, code) in cases {
        let answer = service.post("/api/auth/login", "", body).await;
        let detail = &answer.body["error"]["details"][0];
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!((&detail["field"], &detail["code"]), (&json!(field), &json!(code)), "{body}: {}", answer.body);
    }
    let form = json!({"username": "x", "email": "nowhere", "password": "short"}).to_string();
    let answer = service.post("/api/auth/register", "", form).await;
    let fields: Vec<_> = answer.body["error"]["details"].as_array().unwrap().iter().map(|it| &it["field"]).collect();
    assert_eq!(fields, ["username", "email", "password"]);
}

#[tokio::test]
async fn health_tells_when_to_look_elsewhere() {
    let service = Service::with(&[]).await;
    let healthy = service.get("/health", None).await;
    assert_eq!((healthy.status, &healthy.body["status"]), (StatusCode::OK, &json!("ok")));
    assert_eq!(healthy.body["store"], "ok");
    service.draining.store(true, Ordering::Relaxed);
    let draining = service.get("/health", None).await;
    assert_eq!((draining.status, &draining.body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("draining")));
    // Whoever restarts what does not live lets it drain.
    let alive = service.get("/health/live", None).await;
    assert_eq!((alive.status, &alive.body["status"]), (StatusCode::OK, &json!("ok")));
}

#[tokio::test]
async fn statistics_are_the_operators_in_production() {
    let open = Service::with(&[]).await;
    assert_eq!(open.get("/api/socket/stats", None).await.body["data"]["connections"]["parked"], 0);

    let secret = "0123456789abcdef0123456789abcdef";
    let production = [
        ("NODE_ENV", "production"),
        ("JWT_SECRET", secret),
        ("DUOLOGUE_LISTEN_HTTPS", "off"),
        ("DUOLOGUE_LISTEN_QUIC", "off"),
    ];
    let hidden = Service::with(&production).await;
    assert_eq!(hidden.get("/api/socket/stats", None).await.status, StatusCode::NOT_FOUND);

    let guarded = [&production[..], &[("DUOLOGUE_PUBLIC_STATS_TOKEN", "open-sesame")]].concat();
    let guarded = Service::with(&guarded).await;
    assert_eq!(guarded.get("/api/socket/stats", None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(guarded.get("/api/socket/stats", Some("open-barley")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(guarded.get("/api/socket/stats", Some("open-sesame")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_elsewhere_may_read_what_they_are_allowed_to() {
    let service = Service::with(&[("CORS_ORIGIN", "https://chat.example")]).await;
    for (origin, allowed) in [("https://chat.example", true), ("https://evil.example", false)] {
        let request = Request::builder().method("OPTIONS").uri("/api/auth/login").header("origin", origin);
        let request = request.header("access-control-request-method", "POST").body(Body::empty()).unwrap();
        let answer = service.send(request).await;
        assert_eq!(answer.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|it| it == origin), allowed, "{origin}");
    }
}

#[tokio::test]
async fn files_are_fetched_once() {
    let service = Service::with(&[]).await;
    let page = service.get("/", None).await;
    assert_eq!(
        (page.status, &page.headers[CONTENT_TYPE]),
        (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert_eq!(page.headers[CACHE_CONTROL], "no-cache");
    assert_eq!(page.headers["cross-origin-resource-policy"], "same-origin");
    assert!(!page.headers.contains_key("strict-transport-security"));
    let request = Request::get("/app/index.html").header(IF_NONE_MATCH, &page.headers[ETAG]);
    let again = service.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((again.status, &again.headers[ETAG]), (StatusCode::NOT_MODIFIED, &page.headers[ETAG]));
    let sdk = service.get("/sdk/duologue.js", None).await;
    assert_eq!(sdk.headers["cross-origin-resource-policy"], "cross-origin");
}

#[tokio::test]
async fn files_are_pressed_for_those_who_can_unpress_them() {
    let service = Service::with(&[]).await;
    let fetch = async |encoding: &str| {
        let request = Request::get("/sdk/duologue.js").header("accept-encoding", encoding).body(Body::empty()).unwrap();
        let (parts, body) = service.router.clone().oneshot(request).await.unwrap().into_parts();
        (parts.headers, to_bytes(body, usize::MAX).await.unwrap())
    };
    let (plain, whole) = fetch("gzip, br;q=0").await;
    assert!(!plain.contains_key("content-encoding"));
    for _ in 0..2 {
        let (pressed, less) = fetch("gzip, deflate, br").await;
        assert_eq!(pressed["content-encoding"], "br");
        assert_eq!(pressed["vary"], "accept-encoding");
        assert_ne!(pressed[ETAG], plain[ETAG], "a cache must not take one for the other");
        assert!(less.len() * 2 < whole.len());
        let mut out = Vec::new();
        brotli::BrotliDecompress(&mut &less[..], &mut out).unwrap();
        assert_eq!(out, whole);
    }
}

#[tokio::test]
async fn only_tls_asks_for_tls() {
    let service = Service::with(&[]).await;
    let router = service.router.clone().layer(Extension(Secure(true)));
    let request = Request::get("/api/connect").header("host", "localhost:3443").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert!(response.headers().contains_key("strict-transport-security"));
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let directions = json!({"success": true, "data": {
        "protocol": 1,
        "webtransport": {"url": "https://127.0.0.1:3443/realtime"},
        "websocket": {"url": "wss://localhost:3443/realtime"},
        "socketio": {"url": "https://localhost:3443", "path": "/socket.io"},
    }});
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), directions);
}

#[test]
fn the_doors_are_where_the_client_can_reach_them() {
    let nowhere = Public::default();
    let named = Public { host: Some("chat.example".into()), ..Public::default() };
    let mapped = Public { https_port: Some(8443), quic_port: Some(4433), ..named.clone() };
    let six = Public { host: Some("2001:db8::1".into()), https_port: Some(443), ..Public::default() };
    let cases = [
        (&nowhere, Some("localhost:3001"), false, "https://127.0.0.1:3443", "ws://localhost:3001"),
        (&nowhere, Some("[::1]:3443"), true, "https://127.0.0.1:3443", "wss://[::1]:3443"),
        (&nowhere, Some("192.168.1.5:3001"), false, "https://192.168.1.5:3443", "ws://192.168.1.5:3001"),
        (&nowhere, Some("[2001:db8::2]"), true, "https://[2001:db8::2]:3443", "wss://[2001:db8::2]"),
        (&named, Some("10.0.0.1:3001"), false, "https://chat.example:3443", "wss://chat.example"),
        (&named, None, false, "https://chat.example:3443", "wss://chat.example"),
        (&mapped, None, false, "https://chat.example:4433", "wss://chat.example:8443"),
        (&six, None, true, "https://[2001:db8::1]:3443", "wss://[2001:db8::1]"),
    ];
    let ports = Ports { https: Some(3443), quic: Some(3443) };
    for (public, host, secure, webtransport, websocket) in cases {
        let expected = Addresses {
            webtransport: Some(format!("{webtransport}/realtime")),
            websocket: format!("{websocket}/realtime"),
        };
        assert_eq!(addresses(public, ports, Reached { host, secure }), Some(expected));
    }
    assert_eq!(addresses(&nowhere, ports, Reached { host: None, secure: false }), None);
    for host in ["", ":3001", "a/b", "user@host", "host:80x", "host:", "[::1]x", "[x]"] {
        assert_eq!(addresses(&nowhere, ports, Reached { host: Some(host), secure: false }), None, "{host}");
    }
    let off = addresses(&mapped, Ports::default(), Reached { host: None, secure: false });
    assert_eq!(off.unwrap().webtransport, None);
}

#[test]
fn every_refusal_of_the_accounts_has_its_status() {
    use accounts::Error as E;
    let problem = Problem { field: "email", code: "format", message: "No.".into() };
    let away = || store::Error::Unavailable("gone".into());
    let cases = [
        (E::Invalid(vec![problem]), 422, "invalid-data", 1, None),
        (E::UsernameTaken, 409, "username-taken", 1, None),
        (E::EmailTaken, 409, "email-taken", 1, None),
        (E::CredentialsWrong, 401, "credentials-wrong", 0, None),
        (E::GuestsDisabled, 403, "guests-disabled", 0, None),
        (E::Token(token::Error::Expired), 401, "token-expired", 0, None),
        (E::Token(token::Error::Invalid), 401, "token-invalid", 0, None),
        (E::Token(token::Error::UserGone), 401, "user-unknown", 0, None),
        (E::Busy(password::Error::Busy), 503, "busy", 0, Some("1")),
        (E::Busy(password::Error::Failed), 500, "internal", 0, None),
        (E::Unavailable(away()), 503, "unavailable", 0, Some("5")),
    ];
    for (error, status, code, details, retry) in cases {
        let error = Error::from(error);
        assert_eq!((error.status().as_u16(), error.code(), error.details().len()), (status, code, details));
        let response = error.into_response();
        let retry_after = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
        assert_eq!((response.status().as_u16(), retry_after), (status, retry));
    }
}

#[test]
fn times_have_milliseconds_always() {
    let at = |seconds, millis| timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(millis));
    assert_eq!(at(1_672_531_200, 0), "2023-01-01T00:00:00.000Z");
    assert_eq!(at(1_709_251_199, 7_000), "2024-02-29T23:59:59.007Z");
    assert_eq!(at(1_709_251_199, 999_999), "2024-02-29T23:59:59.999Z");
    assert_eq!(at(253_402_300_799, 999_999), "9999-12-31T23:59:59.999Z");
    assert_eq!(at(253_402_300_800, 0), "9999-12-31T23:59:59.999Z", "no more than four digits of a year");
    assert_eq!(at(i64::MAX.cast_unsigned() / 1000, 0), "9999-12-31T23:59:59.999Z");
    assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn what_other_nodes_bring_is_counted_where_it_is_answered_and_for_nodes_alone() {
    let (state, _data) = Service::state(&[("DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR", "2")]).await;
    let elsewhere =
        |router: Router| router.layer(axum::middleware::from_fn(async |_: Request<Body>, _| StatusCode::IM_A_TEAPOT));
    let (own, theirs) = super::routers(state, elsewhere);
    let ask = async |router: &Router| {
        let request =
            Request::get("/api/nowhere").header("origin", "http://localhost:5173").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    for status in [404, 404, 429] {
        let passed_on = ask(&own).await;
        assert_eq!(passed_on.status(), StatusCode::IM_A_TEAPOT, "what is passed on does not count");
        assert!(passed_on.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "and is readable to pages");
        let brought = ask(&theirs).await;
        assert_eq!(brought.status().as_u16(), status);
        assert_eq!(brought.headers()["x-content-type-options"], "nosniff");
        assert!(!brought.headers().contains_key("vary"), "whoever brought it adds what pages need");
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_that_does_not_tell_what_was_said() {
    let (state, _data) = Service::state(&[]).await;
    let panics = async || -> StatusCode { panic!("what Ada said") };
    let router = super::dressed(Router::new().route("/panics", axum::routing::get(panics)), state);
    let request = Request::get("/panics").header("origin", "http://localhost:5173").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()["x-content-type-options"], "nosniff", "with the headers of every answer");
    assert!(response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "readable to pages");
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap();
    assert_eq!((&body["success"], &body["error"]["code"]), (&json!(false), &json!("internal")));
    assert!(!body.to_string().contains("Ada"), "{body}");
}

#[test]
fn only_what_the_demo_needs_has_a_type() {
    assert_eq!(content_type("app/index.html"), Some("text/html; charset=utf-8"));
    assert_eq!(content_type("sdk/link/race.js"), Some("text/javascript; charset=utf-8"));
    assert_eq!(content_type("app/style.css"), Some("text/css; charset=utf-8"));
    assert_eq!(content_type("app/icon.svg"), Some("image/svg+xml; charset=utf-8"));
    assert_eq!(content_type("app/app.webmanifest"), Some("application/manifest+json; charset=utf-8"));
    for none in ["app/tsconfig.json", "sdk/package.json", "sdk/node_modules/a/b.js", "sdk/README.md", "app/", "app/x"] {
        assert_eq!(content_type(none), None, "{none}");
    }
}

#[test]
fn tags_are_compared_weakly() {
    for yes in [r#""a""#, r#"W/"a""#, r#""b", "a""#, "*"] {
        assert!(has_it(yes, r#""a""#), "{yes}");
    }
    assert!(!has_it(r#""b""#, r#""a""#));
}
