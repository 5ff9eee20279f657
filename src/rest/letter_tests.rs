//! HTTP to the letter: the limits, every kind of refusal, the headers, and the document of it all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::stream;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::tests::{Answer, Service, ada};
use crate::tls::Secure;

fn number(headers: &HeaderMap, name: &str) -> u64 {
    headers[name].to_str().unwrap().parse().unwrap()
}

/// A request as it comes from an address, perhaps by way of others.
async fn from(service: &Service, address: &str, forwarded: &str, request: Request<Body>) -> Answer {
    let (mut parts, body) = request.into_parts();
    let peer: SocketAddr = format!("{address}:4711").parse().unwrap();
    parts.extensions.insert(ConnectInfo(peer));
    if !forwarded.is_empty() {
        parts.headers.insert("x-forwarded-for", forwarded.parse().unwrap());
    }
    service.send(Request::from_parts(parts, body)).await
}

fn login(body: Body) -> Request<Body> {
    Request::post("/api/auth/login").header("content-type", "application/json").body(body).unwrap()
}

fn wrong() -> Request<Body> {
    login(Body::from(json!({"email": "nobody@example.org", "password": "Violet-Engine-1843"}).to_string()))
}

/// A body that never comes to its end.
fn endless() -> Body {
    Body::from_stream(stream::pending::<Result<&'static str, std::io::Error>>())
}

#[tokio::test]
async fn the_sixth_who_comes_in_waits_and_nothing_of_theirs_is_read() {
    let service = Service::with(&[("DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR", "5")]).await;
    let register = Request::post("/api/auth/register").header("content-type", "application/json");
    let bare = |path: &str| Request::post(path).body(Body::empty()).unwrap();
    let requests = [
        (register.body(Body::from(ada())).unwrap(), 201),
        (wrong(), 401),
        (login(Body::from("{")), 400),
        (bare("/api/auth/login"), 415),
        (login(Body::from(r#"{"email": 1}"#)), 422),
    ];
    for (used, (request, status)) in (1..).zip(requests) {
        let answer = from(&service, "192.0.2.1", "", request).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
        assert_eq!(number(&answer.headers, "ratelimit-limit"), 5);
        assert_eq!(number(&answer.headers, "ratelimit-remaining"), 5 - used);
        assert!((1..=900).contains(&number(&answer.headers, "ratelimit-reset")));
    }
    let refused = from(&service, "192.0.2.1", "", login(endless())).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]["code"]), (429, &json!("too-fast")));
    let wait = number(&refused.headers, "retry-after");
    assert!((895..=900).contains(&wait) && wait == number(&refused.headers, "ratelimit-reset"), "{wait}");
    assert_eq!(number(&refused.headers, "ratelimit-remaining"), 0);
    assert_eq!(refused.headers["x-content-type-options"], "nosniff");
    assert_eq!(refused.headers["connection"], "close", "what was not read must not become the next request");
    // Others come in, and whoever is in goes on.
    assert_eq!(from(&service, "192.0.2.2", "", wrong()).await.status.as_u16(), 401);
    let me = Request::get("/api/auth/me").body(Body::empty()).unwrap();
    let me = from(&service, "192.0.2.1", "", me).await;
    assert_eq!((me.status.as_u16(), number(&me.headers, "ratelimit-limit")), (401, 100_000));
}

#[tokio::test]
async fn the_hundred_and_first_request_waits_whatever_the_others_asked() {
    let service = Service::with(&[("DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR", "100")]).await;
    let get = |path: &str| Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
    for used in 1..=100 {
        let (path, status) = [("/api/auth/me", 401), ("/api/nowhere", 404), ("/api/users/device", 405)][used % 3];
        let answer = from(&service, "192.0.2.1", "", get(path)).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(number(&answer.headers, "ratelimit-remaining"), 100 - used as u64, "{path}");
    }
    assert_eq!(from(&service, "192.0.2.1", "", get("/api/auth/me")).await.status.as_u16(), 429);
    // A client that comes back, and whoever looks whether all is well, is not held.
    for path in ["/api/connect", "/health", "/health/live", "/", "/sdk/duologue.js", "/api/docs", "/api/openapi.json"] {
        let answer = from(&service, "192.0.2.1", "", get(path)).await;
        assert_eq!((answer.status.as_u16(), answer.headers.contains_key("ratelimit-limit")), (200, false), "{path}");
    }
    // Nor is a page that asks whether it may ask.
    let preflight = Request::options("/api/auth/me").header("origin", "http://localhost");
    let preflight = preflight.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
    assert_eq!(from(&service, "192.0.2.1", "", preflight).await.status.as_u16(), 200);
}

#[tokio::test]
async fn behind_a_listed_proxy_each_is_counted_apart() {
    let settings = [("DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR", "1"), ("DUOLOGUE_LIMITS_TRUSTED_PROXIES", "10.0.0.0/8")];
    let service = Service::with(&settings).await;
    for (address, forwarded, status) in [
        ("10.0.0.1", "198.51.100.7", 401),
        ("10.0.0.2", "198.51.100.8", 401),
        ("10.0.0.2", "198.51.100.7", 429),
        // What the client itself writes changes nothing.
        ("10.0.0.2", "203.0.113.9, 198.51.100.7", 429),
        ("192.0.2.1", "203.0.113.1", 401),
        ("192.0.2.1", "203.0.113.2", 429),
        // One network of IPv6 is one client.
        ("10.0.0.1", "2001:db8:1:2::1", 401),
        ("10.0.0.1", "2001:db8:1:2:3::4", 429),
    ] {
        let answer = from(&service, address, forwarded, wrong()).await;
        assert_eq!(answer.status.as_u16(), status, "{address} {forwarded}");
    }
}

#[tokio::test]
async fn whatever_is_sent_is_refused_in_one_shape() {
    let service = Service::with(&[]).await;
    let guest = service.post("/api/auth/guest", "", "{}").await.body["data"]["token"].take();
    let token = guest.as_str().unwrap();
    let deep = format!("{{\"email\": {}{}, \"password\": \"x\"}}", "[".repeat(5_000), "]".repeat(5_000));
    let nested = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let name = |name: &str| {
        json!({"username": name, "email": "eve@example.org", "password": "Violet-Engine-1843"}).to_string()
    };
    let email = |email: &str| json!({"username": "Eve", "email": email, "password": "Violet-Engine-1843"}).to_string();
    let password = |it: &str| json!({"username": "Eve", "email": "eve@example.org", "password": it}).to_string();
    let device = |id: &str| json!({ "deviceId": id }).to_string();
    let (register, enter, devices) = ("/api/auth/register", "/api/auth/login", "/api/users/device");
    let invalid = "invalid-data";
    for (path, body, status, code, field, why) in [
        // No JSON.
        (enter, String::new(), 400, "malformed-json", "", ""),
        (enter, "{".into(), 400, "malformed-json", "", ""),
        (enter, "\u{feff}{}".into(), 400, "malformed-json", "", ""),
        (enter, r#"{"email": "a@b.c", "password": "x"} {}"#.into(), 400, "malformed-json", "", ""),
        (enter, r#"{"email": "\ud800", "password": "x"}"#.into(), 400, "malformed-json", "", ""),
        (enter, r#"{"email": 1e999999, "password": "x"}"#.into(), 400, "malformed-json", "", ""),
        (enter, r#"{"email": NaN, "password": "x"}"#.into(), 400, "malformed-json", "", ""),
        (enter, "[".repeat(60_000), 422, invalid, "", "type"),
        (enter, deep, 422, invalid, "email", "type"),
        (enter, nested, 422, invalid, "a", "unknown"),
        // Of a wrong type.
        (enter, "[]".into(), 422, invalid, "", "type"),
        (enter, r#"["a@b.c", "x"]"#.into(), 422, invalid, "", "type"),
        (enter, "null".into(), 422, invalid, "", "type"),
        (enter, "\"a\"".into(), 422, invalid, "", "type"),
        (enter, r#"{"email": {"$gt": ""}, "password": "x"}"#.into(), 422, invalid, "email", "type"),
        (enter, r#"{"email": "a@b.c", "password": {"$ne": null}}"#.into(), 422, invalid, "password", "type"),
        (enter, r#"{"email": ["a@b.c"], "password": "x"}"#.into(), 422, invalid, "email", "type"),
        (enter, r#"{"email": null, "password": "x"}"#.into(), 422, invalid, "email", "type"),
        (enter, r#"{"email": true, "password": "x"}"#.into(), 422, invalid, "email", "type"),
        (enter, r#"{"email": 123456789012345678901234567890, "password": "x"}"#.into(), 422, invalid, "email", "type"),
        (devices, r#"{"deviceId": {"$gt": ""}}"#.into(), 422, invalid, "deviceId", "type"),
        ("/api/auth/guest", "[]".into(), 422, invalid, "", "type"),
        // Too little, too much, twice.
        (enter, "{}".into(), 422, invalid, "email", "required"),
        (enter, r#"{"email": "a@b.c", "password": "x", "$where": "1"}"#.into(), 422, invalid, "$where", "unknown"),
        (enter, r#"{"email": "a@b.c", "password": "x", "__proto__": {}}"#.into(), 422, invalid, "__proto__", "unknown"),
        (enter, r#"{"email": "a@b.c", "password": "x", "email": "b"}"#.into(), 422, invalid, "email", "duplicate"),
        ("/api/auth/guest", r#"{"username": "root"}"#.into(), 422, invalid, "username", "unknown"),
        // Of a wrong length.
        (register, name("ab"), 422, invalid, "username", "length"),
        (register, name(&"x".repeat(33)), 422, invalid, "username", "length"),
        (register, password("seven77"), 422, invalid, "password", "length"),
        (register, password(&"é".repeat(129)), 422, invalid, "password", "length"),
        (register, password("PassWord1"), 422, invalid, "password", "common"),
        (register, email(&format!("{}@example.org", "x".repeat(250))), 422, invalid, "email", "format"),
        (devices, device(""), 422, invalid, "deviceId", "length"),
        (devices, device(&"x".repeat(65)), 422, invalid, "deviceId", "length"),
        // With what cannot be seen, or turns the direction of writing.
        (register, name("E\0ve"), 422, invalid, "username", "characters"),
        (register, name("Eve\u{202e}x"), 422, invalid, "username", "characters"),
        (register, name("E\u{200b}ve"), 422, invalid, "username", "characters"),
        (register, name("\u{3164}\u{3164}\u{3164}"), 422, invalid, "username", "characters"),
        (register, name(" Eve"), 422, invalid, "username", "characters"),
        (register, name("<b>Eve"), 422, invalid, "username", "characters"),
        (register, email("e\u{202e}ve@example.org"), 422, invalid, "email", "format"),
        (register, email("eve\0@example.org"), 422, invalid, "email", "format"),
        (register, email("eve"), 422, invalid, "email", "format"),
        (devices, device("a\u{2066}b"), 422, invalid, "deviceId", "characters"),
        (devices, device("a\u{7f}b"), 422, invalid, "deviceId", "characters"),
        // Too large.
        (enter, format!("{{\"email\": \"{}\"}}", "x".repeat(super::MAX_BODY)), 413, "body-too-large", "", ""),
    ] {
        let answer = service.post(path, token, body.clone()).await;
        let shown: String = body.chars().take(80).collect();
        refused(&answer, status, code, &shown);
        let detail = &answer.body["error"]["details"][0];
        let said = (detail["field"].as_str().unwrap_or_default(), detail["code"].as_str().unwrap_or_default());
        assert_eq!(said, (field, why), "{shown}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_other_refusal_has_that_shape_too() {
    let service = Service::with(&[("DUOLOGUE_AUTH_GUESTS", "false")]).await;
    let bare = |method: &str, path: &str| Request::builder().method(method).uri(path.to_owned());
    let with = |name: &'static str, value: &'static str| bare("GET", "/api/auth/me").header(name, value);
    let json = |it: axum::http::request::Builder| it.header("content-type", "application/json");
    let long = format!("/api/{}", "x".repeat(8_000));
    for (request, status, code) in [
        (bare("GET", "/api/auth/me"), 401, "token-missing"),
        (with("authorization", "Basic YTpi"), 401, "token-missing"),
        (with("authorization", "Bearer "), 401, "token-missing"),
        (with("authorization", "Bearer a.b.c"), 401, "token-invalid"),
        (json(bare("POST", "/api/auth/guest")), 403, "guests-disabled"),
        (bare("GET", "/api"), 404, "not-found"),
        (bare("GET", "/api/"), 404, "not-found"),
        (bare("GET", "/api/auth/me/"), 404, "not-found"),
        (bare("GET", "//api/auth/me"), 404, "not-found"),
        (bare("GET", "/API/auth/me"), 404, "not-found"),
        (bare("GET", "/api/%61uth/me"), 404, "not-found"),
        (bare("GET", "/nowhere"), 404, "not-found"),
        (bare("GET", &long), 404, "not-found"),
        (bare("GET", "/api/files/no-such-ticket"), 404, "transfer-unknown"),
        (bare("GET", "/api/files/%ff"), 404, "transfer-unknown"),
        (bare("GET", "/api/docs/../../../Cargo.toml"), 404, "not-found"),
        (bare("GET", "/api/docs/tsconfig.json"), 404, "not-found"),
        (bare("GET", "/api/auth/login"), 405, "method-not-allowed"),
        (bare("DELETE", "/api/auth/me"), 405, "method-not-allowed"),
        (bare("PUT", "/api/files"), 405, "method-not-allowed"),
        (bare("TRACE", "/health"), 405, "method-not-allowed"),
        (bare("BREW", "/api/connect"), 405, "method-not-allowed"),
        (bare("POST", "/"), 405, "method-not-allowed"),
        (bare("POST", "/api/openapi.json"), 405, "method-not-allowed"),
        (bare("POST", "/api/auth/login"), 415, "unsupported-media-type"),
        (bare("POST", "/api/auth/login").header("content-type", "text/plain"), 415, "unsupported-media-type"),
        (bare("GET", "/api/connect"), 400, "host-unknown"),
    ] {
        let request = request.body(Body::empty()).unwrap();
        let shown: String = format!("{} {}", request.method(), request.uri()).chars().take(80).collect();
        let answer = service.send(request).await;
        refused(&answer, status, code, &shown);
    }
    // What is asked of the head alone is answered by it.
    let head = service.send(bare("HEAD", "/health").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.body), (200, Value::Null));
    let head = service.send(bare("HEAD", "/api/auth/me").body(Body::empty()).unwrap()).await;
    assert_eq!(head.status.as_u16(), 401);
    let used = service.send(bare("HEAD", "/api/files/ticket").body(Body::empty()).unwrap()).await;
    assert_eq!((used.status.as_u16(), &used.headers["allow"]), (405, &"GET".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let service = Service::with(&[]).await;
    refused(&service.send(login(endless())).await, 408, "body-too-slow", "endless");
}

/// One shape for all.
fn refused(answer: &Answer, status: u16, code: &str, of: &str) {
    let Answer { status: got, headers, body } = answer;
    assert_eq!((got.as_u16(), &body["error"]["code"]), (status, &json!(code)), "{of}: {body}");
    assert_eq!(body["success"], false, "{of}");
    assert!(body["message"].as_str().is_some_and(|it| it.ends_with('.') && it.len() < 400), "{of}: {body}");
    assert_eq!(headers["content-type"], "application/json", "{of}");
    assert_eq!(headers["x-content-type-options"], "nosniff", "{of}");
    assert_eq!(headers.contains_key("www-authenticate"), status == 401, "{of}");
    assert_eq!(headers.contains_key("allow"), status == 405, "{of}");
    assert!(!headers.contains_key("x-powered-by") && !headers.contains_key("server"), "{of}");
    let keys: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["error", "message", "success"]), "{of}");
}

#[tokio::test]
async fn every_answer_has_the_headers_of_helmet() {
    let service = Service::with(&[]).await;
    let policy = "default-src 'self'; script-src 'self'; script-src-attr 'none'; style-src 'self'; font-src 'self'; \
                  img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self' https: http: wss: ws:; \
                  object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";
    let always = [
        ("content-security-policy", policy),
        ("cross-origin-opener-policy", "same-origin"),
        ("origin-agent-cluster", "?1"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-dns-prefetch-control", "off"),
        ("x-download-options", "noopen"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-permitted-cross-domain-policies", "none"),
        ("x-xss-protection", "0"),
        ("permissions-policy", "camera=(self), microphone=(self), display-capture=(self)"),
    ];
    for (path, status, shared) in [
        ("/", 200, "same-origin"),
        ("/app/main.js", 200, "same-origin"),
        ("/health", 200, "same-origin"),
        ("/health/live", 200, "same-origin"),
        ("/nowhere", 404, "same-origin"),
        ("/sdk/duologue.js", 200, "cross-origin"),
        ("/api/connect", 200, "cross-origin"),
        ("/api/auth/me", 401, "cross-origin"),
        ("/api/docs", 200, "cross-origin"),
    ] {
        for secure in [false, true] {
            let router = service.router.clone().layer(Extension(Secure(secure)));
            let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            let headers = response.headers();
            assert_eq!(response.status(), status, "{path}");
            for (name, value) in always {
                assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{path} {name}");
            }
            assert_eq!(headers["cross-origin-resource-policy"], shared, "{path}");
            let strict = headers.get("strict-transport-security").map(|it| it.to_str().unwrap());
            assert_eq!(strict, secure.then_some("max-age=31536000; includeSubDomains"), "{path}");
            assert!(!headers.contains_key("x-powered-by"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_elsewhere_may_ask_and_read() {
    let service = Service::with(&[("CORS_ORIGIN", "https://chat.example")]).await;
    let asks = Request::options("/api/users/device").header("origin", "https://chat.example");
    let asks = asks
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "authorization,content-type,x-requested-with");
    let allowed = service.send(asks.body(Body::empty()).unwrap()).await;
    let list = |name: &str| allowed.headers[name].to_str().unwrap().to_lowercase();
    assert_eq!(allowed.status, StatusCode::OK);
    assert_eq!(list("access-control-allow-origin"), "https://chat.example");
    for method in ["get", "head", "post", "put", "patch", "delete"] {
        assert!(list("access-control-allow-methods").contains(method), "{method}");
    }
    assert_eq!(list("access-control-allow-headers"), "authorization,content-type,x-requested-with");
    assert!(list("vary").contains("origin"));
    for (origin, may) in [("https://chat.example", true), ("https://evil.example", false)] {
        let request = Request::get("/api/auth/me").header("origin", origin).body(Body::empty()).unwrap();
        let answer = service.send(request).await;
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), may, "{origin}");
        let told = answer.headers["access-control-expose-headers"].to_str().unwrap();
        for name in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"] {
            assert!(told.contains(name), "{told}");
        }
    }
}

/// Method and path of each operation, and what the document says of it.
fn operations(document: &Value) -> BTreeMap<(String, String), &Value> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |it| (path, it)));
    operations.map(|(path, (method, said))| ((path.clone(), method.to_uppercase()), said)).collect()
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let service = Service::with(&[]).await;
    let answer = service.get("/api/openapi.json", None).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    let document = answer.body;
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    let listed: Vec<_> = operations.keys().map(|(path, method)| format!("{method} {path}")).collect();
    let expected = [
        "POST /api/auth/guest",
        "POST /api/auth/login",
        "GET /api/auth/me",
        "POST /api/auth/register",
        "GET /api/connect",
        "POST /api/files",
        "GET /api/files/{ticket}",
        "GET /api/socket/stats",
        "GET /api/users/available",
        "POST /api/users/device",
        "GET /api/users/online",
        "GET /api/users/stats",
        "GET /health",
        "GET /health/live",
    ];
    assert_eq!(listed, expected);
    // What the router has beside them is named here: routes outside of `routes!` are pages.
    let router = include_str!("mod.rs").split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let pages = ["/", "/api/docs", "/api/docs/{*path}", "/api/files/{ticket}", "/api/openapi.json", "/app/{*path}"];
    let pages = BTreeSet::from(pages).into_iter().chain(["/sdk/{*path}"]).collect::<BTreeSet<_>>();
    assert_eq!(router.collect::<BTreeSet<_>>(), pages);

    for ((path, method), said) in &operations {
        // It is routed, and answers with a status and headers that the document has.
        let request = Request::builder().method(method.as_str()).uri(path.replace(['{', '}'], ""));
        let request = request.header("host", "localhost").header("content-type", "application/json");
        let answer = service.send(request.body(Body::from("?")).unwrap()).await;
        assert!(answer.body["error"]["code"] != "not-found" && answer.status.as_u16() != 405, "{method} {path}");
        let told = &said["responses"][answer.status.as_str()];
        assert!(told.is_object(), "{method} {path} answers {}, which is not in the document", answer.status);
        assert_eq!(answer.headers.contains_key("ratelimit-limit"), told.get("headers").is_some(), "{method} {path}");
        assert_eq!(said["responses"]["429"].is_object(), told.get("headers").is_some(), "{method} {path}");
        assert!(said["summary"].as_str().is_some_and(|it| it.len() > 5) && said["tags"][0].is_string(), "{path}");
    }
}

#[tokio::test]
async fn answers_have_what_the_document_says_and_nothing_else() {
    let service = Service::with(&[]).await;
    let document = service.get("/api/openapi.json", None).await.body;
    let registered = service.post("/api/auth/register", "", ada()).await;
    let token = registered.body["data"]["token"].as_str().unwrap().to_owned();
    let answers = [
        ("/api/auth/register", "post", registered),
        ("/api/auth/guest", "post", service.post("/api/auth/guest", "", "{}").await),
        ("/api/auth/login", "post", service.post("/api/auth/login", "", r#"{"email": 1}"#).await),
        ("/api/auth/me", "get", service.get("/api/auth/me", Some(&token)).await),
        ("/api/users/online", "get", service.get("/api/users/online", Some(&token)).await),
        ("/api/users/stats", "get", service.get("/api/users/stats", Some(&token)).await),
        ("/api/users/device", "post", service.post("/api/users/device", &token, r#"{"deviceId": "d"}"#).await),
        ("/api/socket/stats", "get", service.get("/api/socket/stats", None).await),
        ("/api/connect", "get", service.get("/api/connect", None).await),
        ("/health", "get", service.get("/health", None).await),
        ("/health/live", "get", service.get("/health/live", None).await),
    ];
    for (path, method, answer) in answers {
        let said = &document["paths"][path][method]["responses"][answer.status.as_str()];
        let schema = &said["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path} {}", answer.status);
        assert_eq!(unsaid(&document, schema, &answer.body, path), Vec::<String>::new(), "{}", answer.body);
    }
}

/// Fields of an answer that its schema does not know, and those that it wants and are not there.
fn unsaid(document: &Value, schema: &Value, answer: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is nowhere"));
        return unsaid(document, schema, answer, at);
    }
    if let (Some(items), Some(answers)) = (schema.get("items"), answer.as_array()) {
        return answers.iter().flat_map(|it| unsaid(document, items, it, at)).collect();
    }
    let (Some(fields), Some(answers)) = (schema["properties"].as_object(), answer.as_object()) else {
        return Vec::new();
    };
    let wanted = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = wanted.filter(|name| !answers.contains_key(*name)).map(|name| format!("{at} lacks {name}"));
    let more = answers.iter().flat_map(|(name, value)| match fields.get(name) {
        Some(schema) => unsaid(document, schema, value, &format!("{at}/{name}")),
        None => vec![format!("{at} has {name}")],
    });
    missing.chain(more).collect()
}

#[tokio::test]
async fn the_page_to_try_the_api_is_whole() {
    let service = Service::with(&[]).await;
    for (path, kind) in [
        ("/api/docs", "text/html; charset=utf-8"),
        ("/api/docs/page.css", "text/css; charset=utf-8"),
        ("/api/docs/page.js", "text/javascript; charset=utf-8"),
        ("/api/docs/call.js", "text/javascript; charset=utf-8"),
        ("/api/docs/schema.js", "text/javascript; charset=utf-8"),
        ("/app/dom.js", "text/javascript; charset=utf-8"),
        ("/app/style.css", "text/css; charset=utf-8"),
    ] {
        let answer = service.get(path, None).await;
        assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &kind.parse().unwrap()), "{path}");
    }
}

#[tokio::test]
async fn windows_last_a_quarter_of_an_hour() {
    let service = Service::with(&[]).await;
    let guest = service.post("/api/auth/guest", "", "{}").await;
    let me = service.get("/api/auth/me", None).await;
    let quarter = Duration::from_secs(15 * 60).as_secs();
    for headers in [guest.headers, me.headers] {
        assert!((quarter - 5..=quarter).contains(&number(&headers, "ratelimit-reset")));
    }
}
