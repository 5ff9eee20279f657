//! The documentation's own calls, as people copy them: by curl.

use std::process::Output;

use duologue::hub::Door::WebSocket;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::http_files::{beside, offered, pair, receive};
use crate::world::*;

/// What curl says: the status and the body.
async fn curl(world: &World, path: &str, arguments: &[&str]) -> (u16, Value) {
    let run = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"])
        .args(arguments)
        .arg(world.url(path))
        .output();
    let Output { status, stdout, stderr } = run.await.expect("curl is there");
    assert!(status.success(), "{path}: {}", String::from_utf8_lossy(&stderr));
    let said = String::from_utf8(stdout).unwrap();
    let (body, code) = said.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
}

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

#[tokio::test]
async fn an_account_by_the_book() {
    let world = World::new().await;
    let form = r#"{"username": "johndoe", "email": "john@example.com", "password": "Password123"}"#;
    let (status, mut body) =
        curl(&world, "/api/auth/register", &[&["-X", "POST"][..], &JSON, &["-d", form]].concat()).await;
    let data = body["data"].take();
    assert_eq!(
        (status, body),
        (201, json!({"success": true, "message": "User registered successfully", "data": null}))
    );
    let user = data["user"].clone();
    let (id, made) = (user["id"].as_str().unwrap(), user["createdAt"].as_str().unwrap());
    assert!(id.len() == 24 && id.bytes().all(|it| b"0123456789abcdef".contains(&it)), "{id}");
    let shape: String = made.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    let expected = json!({
        "id": id, "username": "johndoe", "email": "john@example.com", "isOnline": false, "createdAt": made,
    });
    assert_eq!(user, expected);
    // A JWT: three parts, and nothing that a shell would mind.
    assert_eq!(data["token"].as_str().unwrap().split('.').count(), 3);

    let form = r#"{"email": "john@example.com", "password": "Password123"}"#;
    let (status, body) = curl(&world, "/api/auth/login", &[&["-X", "POST"][..], &JSON, &["-d", form]].concat()).await;
    assert_eq!((status, &body["success"], &body["data"]["user"]), (200, &json!(true), &user));
    let bearer = format!("Authorization: Bearer {}", body["data"]["token"].as_str().unwrap());

    let with_token = ["-H", bearer.as_str()];
    let (status, mut body) = curl(&world, "/api/auth/me", &with_token).await;
    // What the original does not have stands beside what it has.
    let me = body["data"]["user"].as_object_mut().unwrap();
    assert_eq!(me.remove("devices"), Some(json!([])));
    assert!(me.remove("lastSeen").unwrap().as_str().unwrap().ends_with('Z'));
    assert_eq!((status, body), (200, json!({"success": true, "data": {"user": user}})));
    for path in ["/api/users/online", "/api/users/available"] {
        let (status, body) = curl(&world, path, &with_token).await;
        assert_eq!((status, body), (200, json!({"success": true, "data": {"users": [], "count": 0}})), "{path}");
    }
    let (status, body) = curl(&world, "/api/users/stats", &with_token).await;
    let numbers = json!({"totalUsers": 1, "onlineUsers": 0, "availableUsers": 0, "inConversation": 0});
    assert_eq!((status, &body["data"]), (200, &numbers));
    let device = [&["-X", "POST", "-H", bearer.as_str()][..], &JSON, &["-d", r#"{"deviceId": "device-123"}"#]].concat();
    let (status, body) = curl(&world, "/api/users/device", &device).await;
    let device = &body["data"]["device"];
    assert_eq!((status, &device["deviceId"], &device["name"]), (200, &json!("device-123"), &json!("curl")));

    let (status, body) = curl(&world, "/api/auth/me", &[]).await;
    assert_eq!((status, &body["success"], &body["error"]["code"]), (401, &json!(false), &json!("token-missing")));
    world.stop().await;
}

#[tokio::test]
async fn the_service_by_the_book() {
    let world = World::new().await;
    let (status, body) = curl(&world, "/health", &[]).await;
    assert_eq!((status, &body["status"]), (200, &json!("ok")));
    let (status, body) = curl(&world, "/api/socket/stats", &[]).await;
    assert_eq!((status, &body["success"], &body["data"]["conversations"]), (200, &json!(true), &json!(0)));
    let (status, body) = curl(&world, "/api/connect", &[]).await;
    assert_eq!((status, &body["data"]["protocol"]), (200, &json!(1)));
    let (status, body) = curl(&world, "/api/auth/guest", &["-X", "POST"]).await;
    assert_eq!((status, &body["data"]["user"]["guest"]), (201, &json!(true)));
    let (status, body) = curl(&world, "/api/openapi.json", &[]).await;
    assert_eq!((status, &body["openapi"]), (200, &json!("3.1.0")));
    world.stop().await;
}

#[tokio::test]
async fn a_file_by_the_book() {
    let world = World::new().await;
    let (mut one, token, mut other, _) = pair(&world, [WebSocket, WebSocket]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "plain words").unwrap();
    let (bearer, file) =
        (format!("Authorization: Bearer {token}"), format!("file=@{};type=text/plain", path.display()));
    let arguments = ["-X", "POST", "-H", &bearer, "-F", &file];
    let sending = beside(&mut one, curl(&world, "/api/files", &arguments));
    let (((status, body), _), (said, bytes)) = tokio::join!(sending, receive(&mut other));
    let data = json!({"transfer": said.transfer, "name": "notes.txt", "size": 11, "mime": "text/plain"});
    assert_eq!((status, &body["data"]), (201, &data), "{body}");
    assert_eq!(&bytes[..], b"plain words");

    // And out: by the link that the receiver is told, once.
    let sending = beside(&mut one, curl(&world, "/api/files", &arguments));
    let fetching = async {
        let link = offered(&mut other).await.link;
        let ((fetched, heard), again) = (beside(&mut other, curl(&world, &link, &[])).await, link);
        drop(heard);
        (fetched, again)
    };
    let (((status, _), _), (fetched, link)) = tokio::join!(sending, fetching);
    assert_eq!((status, fetched), (201, (200, json!("plain words"))));
    let (status, body) = curl(&world, &link, &[]).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("transfer-unknown")));
    world.stop().await;
}

#[tokio::test]
async fn what_is_too_long_before_the_body_is_refused_by_the_door() {
    let world = World::new().await;
    let long = "x".repeat(40_000);
    let (status, _) = curl(&world, "/health", &["-H", &format!("x-long: {long}")]).await;
    assert_eq!(status, 431);
    let (status, _) = curl(&world, &format!("/health?{long}"), &[]).await;
    assert!([414, 431].contains(&status), "{status}");
    // The next one is answered.
    assert_eq!(curl(&world, "/health", &[]).await.0, 200);
    world.stop().await;
}
