//! Files over HTTP that do not arrive: what is refused, with which status and code, and what the
//! receiver learns of it.

use std::time::Duration;

use bytes::Bytes;
use duologue::client::{Client, File};
use duologue::hub::Door::WebSocket;
use duologue::protocol::{About, ClientEvent};
use reqwest::multipart::{Form, Part};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::files::{file, noise};
use crate::http_files::{beside, cancelled, form, get, offered, pair, part, upload, world};
use crate::world::*;

fn small() -> File {
    File::new("note.txt", "text/plain", &b"small enough"[..])
}

/// What the receiver's client says to the next offer, once.
async fn answer(client: &mut Client, reply: impl FnOnce(About) -> ClientEvent) {
    let offered = offered(client).await;
    client.send(&reply(About { transfer: offered.transfer })).await.unwrap();
}

#[tokio::test]
async fn without_a_partner_no_byte_is_read() {
    let world = world().await;
    let token = world.token().await;
    let file = form(&file(9_000_000));
    assert_eq!(upload(&world, &token, file).await.code(), (409, "no-conversation"));
    let bare = world.http.post(world.url("/api/files")).multipart(form(&small())).send().await.unwrap();
    assert_eq!(bare.status(), 401);

    // A client that writes everything before it reads hears the answer too.
    let mut client = TcpStream::connect(world.addresses.http.unwrap()).await.unwrap();
    let head = format!(
        "POST /api/files HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-length: 9000000\r\ncontent-type: multipart/form-data; boundary=b\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&noise(9_000_000)).await.unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 409 ") && heard.contains("no-conversation"), "{heard}");
    world.stop().await;
}

#[tokio::test]
async fn what_the_partner_does_not_take_is_told() {
    let world = World::with(&[("DUOLOGUE_FILES_OFFER_MS", "300"), ("DUOLOGUE_FILES_STALL_MS", "300")]).await;
    let (mut one, token, mut other, _) = pair(&world, [WebSocket, WebSocket]).await;
    let sending = beside(&mut one, upload(&world, &token, form(&file(5_000_000))));
    let ((refused, _), ()) = tokio::join!(sending, answer(&mut other, ClientEvent::Reject));
    assert_eq!(refused.code(), (409, "rejected"), "{}", refused.body);

    let sending = beside(&mut one, upload(&world, &token, form(&small())));
    let ((refused, _), ()) = tokio::join!(sending, answer(&mut other, ClientEvent::Cancel));
    assert_eq!(refused.code(), (409, "cancelled"), "{}", refused.body);

    let sending = beside(&mut one, upload(&world, &token, form(&small())));
    let ((refused, _), code) = tokio::join!(sending, cancelled(&mut other));
    assert_eq!((refused.code(), code.as_str()), ((409, "unanswered"), "unanswered"));

    // Accepts, and takes nothing.
    let sending = beside(&mut one, upload(&world, &token, form(&file(5_000_000))));
    let ((refused, _), ()) = tokio::join!(sending, answer(&mut other, ClientEvent::Accept));
    assert_eq!((refused.code(), cancelled(&mut other).await.as_str()), ((408, "stalled"), "stalled"));
    world.stop().await;
}

#[tokio::test]
async fn sizes_are_counted_and_not_believed() {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [WebSocket, WebSocket]).await;
    const MOST: usize = 10_485_760;
    let over = [
        (None, MOST + 1, (413, "too-big")),
        (Some(MOST), MOST + 1, (413, "too-big")),
        (Some(1_000), 1_001, (422, "size-mismatch")),
        (Some(1_000), 999, (422, "size-mismatch")),
        (Some(1_000_000), 999_999, (422, "size-mismatch")),
    ];
    for (claimed, real, outcome) in over {
        let said = claimed.map_or(Form::new(), |size| Form::new().text("size", size.to_string()));
        let receiving = async {
            let offered = offered(&mut other).await;
            other.accept(&offered.transfer).await.unwrap();
            cancelled(&mut other).await
        };
        let sending = beside(&mut one, upload(&world, &token, said.part("file", part(&file(real)))));
        let ((refused, _), code) = tokio::join!(sending, receiving);
        // Which of the two is seen first, where both are true, is the server's to choose.
        let code = (refused.code(), code);
        if claimed == Some(MOST) {
            assert!(["too-big", "size-mismatch"].contains(&code.1.as_str()), "{code:?}");
        } else {
            assert_eq!(code, (outcome, outcome.1.to_owned()), "{claimed:?} of {real}");
        }
    }
    // Nobody is asked whether they want these.
    let claims = Form::new().text("size", (MOST + 1).to_string()).part("file", part(&small()));
    let large = form(&File::new("a.bin", "application/octet-stream", noise(MOST + 200_000)));
    let nothing = form(&File::new("a.bin", "application/octet-stream", Bytes::new()));
    let says_nothing = Form::new().text("size", "0").part("file", part(&small()));
    let page = form(&File::new("a.html", "text/html", &b"<html>"[..]));
    let long = Form::new().text("kind", "voice").text("durationMs", "300001");
    let long = long.part("file", part(&File::new("a.mp3", "audio/mpeg", noise(100))));
    for (form, outcome) in [
        (claims, (413, "file-too-big")),
        (large, (413, "file-too-big")),
        (nothing, (422, "file-empty")),
        (says_nothing, (422, "file-empty")),
        (page, (415, "type-not-allowed")),
        (long, (413, "voice-too-long")),
    ] {
        assert_eq!(upload(&world, &token, form).await.code(), outcome);
    }
    assert!(other.next(Duration::from_millis(100)).await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn a_type_that_is_not_true_is_an_answer_at_both_ends() {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [WebSocket, WebSocket]).await;
    for (known, length) in [(true, 100), (false, 100), (true, 500_000), (false, 500_000)] {
        let lie = File::new("a.png", "image/png", noise(length));
        let said = if known { Form::new().text("size", length.to_string()) } else { Form::new() };
        let fetching = async {
            let offered = offered(&mut other).await;
            let answer = get(&world, &offered.link, None).await;
            let status = answer.status().as_u16();
            let body: serde_json::Value = answer.json().await.unwrap();
            assert_eq!((status, body["error"]["code"].as_str().unwrap()), (415, "type-mismatch"));
            cancelled(&mut other).await
        };
        let sending = beside(&mut one, upload(&world, &token, said.part("file", part(&lie))));
        let ((refused, _), code) = tokio::join!(sending, fetching);
        assert_eq!((refused.code(), code.as_str()), ((415, "type-mismatch"), "type-mismatch"));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_ticket_is_good_once_and_for_one() {
    let world = world().await;
    let (mut one, token, mut other, theirs) = pair(&world, [WebSocket, WebSocket]).await;
    let stranger = world.token().await;
    let gone = async |link: &str, token: Option<&str>| {
        let answer = get(&world, link, token).await;
        assert_eq!(answer.status(), 404, "{link}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "transfer-unknown");
    };
    let fetching = async {
        let offered = offered(&mut other).await;
        let ((), _) = beside(&mut other, async {
            for link in ["/api/files/x", "/api/files/0123456789abcdef0123456789abcdef"] {
                gone(link, None).await;
            }
            for wrong in [stranger.as_str(), token.as_str(), "a.b.c"] {
                gone(&offered.link, Some(wrong)).await;
            }
            let head = world.http.head(world.url(&offered.link)).send().await.unwrap();
            assert_eq!((head.status().as_u16(), &head.headers()["allow"]), (405, &"GET".parse().unwrap()));
            let answer = get(&world, &offered.link, Some(&theirs)).await;
            assert_eq!(answer.bytes().await.unwrap(), small().bytes);
            gone(&offered.link, None).await;
        })
        .await;
    };
    let ((sent, _), ()) = tokio::join!(beside(&mut one, upload(&world, &token, form(&small()))), fetching);
    assert_eq!(sent.status, 201, "{}", sent.body);

    // Accepted in the session, rejected, and called off: the ticket is void.
    for (reply, id) in [(ClientEvent::Accept as fn(About) -> ClientEvent, "a"), (ClientEvent::Reject, "b")] {
        one.offer(id, &small()).await.unwrap();
        let offered = offered(&mut other).await;
        other.send(&reply(About { transfer: offered.transfer })).await.unwrap();
        until(&mut one, if id == "a" { "file:accept" } else { "file:reject" }).await;
        gone(&offered.link, Some(&theirs)).await;
    }
    one.offer("c", &small()).await.unwrap();
    let offered = offered(&mut other).await;
    one.call_off(&offered.transfer).await.unwrap();
    cancelled(&mut other).await;
    gone(&offered.link, None).await;
    world.stop().await;
}

#[tokio::test]
async fn names_and_types_cannot_trick_a_browser() {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [WebSocket, WebSocket]).await;
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..], &[0; 64]].concat();
    let cases = [
        ("../../etc/passwd", "text/plain", "attachment; filename=\"passwd\"; filename*=UTF-8''passwd"),
        ("C:\\a\\b.txt", "text/plain", "attachment; filename=\"b.txt\"; filename*=UTF-8''b.txt"),
        (
            "in\u{202e}gpj.exe",
            "application/octet-stream",
            "attachment; filename=\"ingpj.exe\"; filename*=UTF-8''ingpj.exe",
        ),
        ("a\"; x=\"b.txt", "text/plain", "attachment; filename=\"a_; x=_b.txt\"; filename*=UTF-8''a_%3B%20x%3D_b.txt"),
        ("100%41 é.png", "image/png", "inline; filename=\"100_41 _.png\"; filename*=UTF-8''100%2541%20%C3%A9.png"),
    ];
    for (name, mime, disposition) in cases {
        let bytes = if mime == "image/png" { png.clone() } else { b"plain words".to_vec() };
        one.offer(&format!("t-{}", name.len()), &File::new(name, mime, bytes)).await.unwrap();
        let offered = offered(&mut other).await;
        let answer = get(&world, &offered.link, None);
        let ((answer, _), _) = tokio::join!(beside(&mut other, answer), until(&mut one, "file:complete"));
        let headers = answer.headers();
        assert_eq!(headers["content-disposition"], disposition);
        let shown = if mime == "image/png" { mime } else { "application/octet-stream" };
        assert_eq!(headers["content-type"], shown);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox; default-src 'none'"),
            ("cache-control", "no-store"),
            // A page that may call may show a picture by its link, which nobody else knows.
            ("cross-origin-resource-policy", "cross-origin"),
            ("accept-ranges", "none"),
        ] {
            assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
    }
    // A name in a form passes the same way, here as browsers write quotes and the ends of lines in it.
    let part =
        Part::bytes(&b"plain words"[..]).file_name("a%0D%0Aset-cookie: b%22.txt").mime_str("text/plain").unwrap();
    let fetching = async {
        let offered = offered(&mut other).await;
        let (answer, _) = beside(&mut other, get(&world, &offered.link, None)).await;
        assert!(!answer.headers().contains_key("set-cookie"));
        let name = "attachment; filename=\"a_0D_0Aset-cookie_ b_22.txt\"; filename*=UTF-8''";
        assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with(name));
    };
    let sending = beside(&mut one, upload(&world, &token, Form::new().part("file", part)));
    let ((sent, _), ()) = tokio::join!(sending, fetching);
    assert_eq!(sent.status, 201, "{}", sent.body);
    world.stop().await;
}

#[tokio::test]
async fn a_form_that_makes_no_sense_bothers_nobody() {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [WebSocket, WebSocket]).await;
    let file = || part(&small());
    let cases = [
        (Form::new().text("size", "1"), "file", "required"),
        (Form::new().text("color", "red").part("file", file()), "color", "unknown"),
        (Form::new().text("size", "-1").part("file", file()), "size", "type"),
        (Form::new().text("kind", "film").part("file", file()), "kind", "type"),
        (Form::new().text("durationMs", "").part("file", file()), "durationMs", "type"),
        (Form::new().part("file", file().file_name("x".repeat(1_025))), "file", "name"),
    ];
    for (form, field, code) in cases {
        let answer = upload(&world, &token, form).await;
        assert_eq!(answer.code(), (422, "invalid-data"), "{}", answer.body);
        let detail = &answer.body["error"]["details"][0];
        assert_eq!((detail["field"].as_str(), detail["code"].as_str()), (Some(field), Some(code)));
    }
    let long = upload(&world, &token, Form::new().text("size", "1".repeat(70_000)).part("file", file())).await;
    assert_eq!(long.code(), (400, "malformed-form"), "{}", long.body);
    let post = |query: &str| world.http.post(world.url(&format!("/api/files{query}"))).bearer_auth(&token);
    let raw = |body: &'static str| post("").header("content-type", "multipart/form-data; boundary=b").body(body);
    for (request, status) in [
        (post("").body("no form"), 415),
        (post("").header("content-type", "multipart/form-data").body("no boundary"), 415),
        (post("?size=x").multipart(form(&small())), 422),
        (post("?colour=red").multipart(form(&small())), 422),
        (raw("nothing of a form"), 400),
        (raw("--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhello"), 400),
        (raw("--b\r\ncontent-disposition: form-data; name=\"file\"\r\n"), 400),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    assert!(other.next(Duration::from_millis(100)).await.is_err());

    // What is wrong after the file is seen after it: it does not arrive.
    let two = post("").multipart(Form::new().part("file", file()).part("file", file()));
    let late = post("").multipart(Form::new().part("file", file()).text("size", "12"));
    for (request, status) in [(two, 422), (late, 422)] {
        let receiving = async {
            let offered = offered(&mut other).await;
            other.accept(&offered.transfer).await.unwrap();
            cancelled(&mut other).await
        };
        let ((answer, _), code) = tokio::join!(beside(&mut one, request.send()), receiving);
        assert_eq!((answer.unwrap().status().as_u16(), code.as_str()), (status, "cancelled"));
    }
    world.stop().await;
}

#[tokio::test]
async fn the_eleventh_file_of_an_hour_waits() {
    let world = World::new().await;
    let (mut one, token, mut other, _) = pair(&world, [WebSocket, WebSocket]).await;
    let number = |answer: &crate::http_files::Answer, name: &str| -> u64 {
        answer.headers[name].to_str().unwrap().parse().unwrap()
    };
    for sent in 1..=10 {
        // What asks nobody does not count.
        let refused = upload(&world, &token, Form::new().text("size", "0").part("file", part(&small()))).await;
        assert_eq!(refused.code(), (422, "file-empty"));
        assert_eq!(number(&refused, "ratelimit-remaining"), 11 - sent);
        let receiving = async {
            let offered = offered(&mut other).await;
            other.accept(&offered.transfer).await.unwrap();
            until(&mut other, "file:complete").await
        };
        let ((answer, _), _) = tokio::join!(beside(&mut one, upload(&world, &token, form(&small()))), receiving);
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!((number(&answer, "ratelimit-limit"), number(&answer, "ratelimit-remaining")), (10, 10 - sent));
    }
    let refused = upload(&world, &token, form(&small())).await;
    assert_eq!(refused.code(), (429, "too-fast"), "{}", refused.body);
    let (wait, reset) = (number(&refused, "retry-after"), number(&refused, "ratelimit-reset"));
    assert!((3_500..=3_600).contains(&wait) && wait == reset, "{wait} and {reset}");
    assert_eq!((number(&refused, "ratelimit-limit"), number(&refused, "ratelimit-remaining")), (10, 0));
    assert!(other.next(Duration::from_millis(100)).await.is_err(), "nobody is asked");
    world.stop().await;
}

#[tokio::test]
async fn what_follows_a_file_is_hardly_read() {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [WebSocket, WebSocket]).await;
    // A part that never comes to its end, where the form should: it would have to be kept to be understood.
    let mut body = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
        content-type: text/plain\r\n\r\nsmall enough\r\n--b\r\nx: "
        .to_vec();
    body.resize(body.len() + 1_000_000, b'x');
    let sending = async {
        let kind = "multipart/form-data; boundary=b";
        let request = world.http.post(world.url("/api/files")).bearer_auth(&token).header("content-type", kind);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap()["error"]["code"].take())
    };
    let receiving = async {
        let offered = offered(&mut other).await;
        other.accept(&offered.transfer).await.unwrap();
        until(&mut other, "file:cancel").await;
    };
    let ((refused, _), ()) = tokio::join!(beside(&mut one, sending), receiving);
    assert_eq!(refused, (400, serde_json::json!("malformed-form")));
    world.stop().await;
}
