//! Files over HTTP at a node that is not the one of the conversation: they go on to it, and come back from it,
//! as if the client had reached it.

use std::time::{Duration, Instant};

use duologue::client::{Client, Error, File};
use duologue::hub::Door::{self, WebSocket};
use duologue::protocol::{CloseReason, ServerEvent, TransferId};
use reqwest::multipart::Form;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::files::{file, send};
use crate::http_files::{Answer, beside, beside_to_the_end, cancelled, form, offered, receive};
use crate::nodes::{Service, met};
use crate::world::*;

over_every_door! {
    files_are_sent_and_fetched_at_every_node,
}

async fn service(count: u8) -> Service {
    Service::with(count, &[("DUOLOGUE_LIMITS_UPLOADS_PER_HOUR", "1000")]).await
}

/// Two people in a conversation, each with a link to a node of its own, and their tokens.
async fn pair(service: &Service, nodes: [usize; 2], doors: [Door; 2]) -> (Client, String, Client, String) {
    let tokens = [service.token(nodes[0]).await, service.token(nodes[1]).await];
    let connect = async |it: usize| {
        Client::connect(&service.target(nodes[it]).await, doors[it], &tokens[it], None).await.unwrap()
    };
    let (mut one, mut other) = (connect(0).await, connect(1).await);
    one.send(&find()).await.unwrap();
    other.send(&find()).await.unwrap();
    assert_eq!(met(&mut one).await.conversation, met(&mut other).await.conversation);
    let [mine, theirs] = tokens;
    (one, mine, other, theirs)
}

async fn upload(service: &Service, node: usize, token: &str, form: Form) -> Answer {
    let request = reqwest::Client::new().post(format!("http://{}/api/files", service.http(node)));
    let answer = request.bearer_auth(token).multipart(form).send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.json().await.unwrap() }
}

async fn get(service: &Service, node: usize, link: &str, token: Option<&str>) -> reqwest::Response {
    let request = reqwest::Client::new().get(format!("http://{}{link}", service.http(node)));
    let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
    request.send().await.unwrap()
}

/// A form by hand, whose body is written by whoever calls.
async fn begin(service: &Service, node: usize, token: &str, more: &str) -> (TcpStream, [Vec<u8>; 3]) {
    let file = file(4_000_000).bytes.to_vec();
    let before = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n".to_vec();
    let after = b"\r\n--b--\r\n".to_vec();
    let length = before.len() + file.len() + after.len();
    let mut stream = TcpStream::connect(service.http(node)).await.unwrap();
    let head = format!(
        "POST /api/files HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\
         content-type: multipart/form-data; boundary=b\r\n{more}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    (stream, [before, file, after])
}

/// Reads a head, or an answer without a body.
async fn head(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        heard.push(tokio::time::timeout(WAIT, stream.read_u8()).await.expect("it answers in time").unwrap());
    }
    String::from_utf8(heard).unwrap()
}

async fn files_are_sent_and_fetched_at_every_node(door: Door) {
    let service = service(3).await;
    let (mut one, token, mut other, theirs) = pair(&service, [0, 1], [WebSocket, door]).await;
    for node in 0..3 {
        let file = file(10_485_760);
        let sending = upload(&service, node, &token, form(&file));
        let ((answer, _), (_, bytes)) = tokio::join!(beside(&mut one, sending), receive(&mut other));
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert!(bytes == file.bytes);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers.get_all("vary").iter().count(), 1, "{:?}", answer.headers);
        assert!(!answer.headers.contains_key("connection"), "it goes on: {:?}", answer.headers);

        let fetching = async {
            let offered = offered(&mut other).await;
            let (fetched, _) = beside(&mut other, async {
                let answer = get(&service, node, &offered.link, Some(&theirs)).await;
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.headers()["content-length"], "10485760");
                answer.bytes().await.unwrap()
            })
            .await;
            fetched
        };
        let id = format!("to-{node}");
        let (_, bytes) = tokio::join!(send(&mut one, &id, &file), fetching);
        assert!(bytes == file.bytes);
    }
}

#[tokio::test]
async fn a_form_at_one_node_is_an_answer_at_another() {
    let service = service(3).await;
    let (mut one, token, mut other, _) = pair(&service, [0, 0], [WebSocket; 2]).await;
    for known in [true, false] {
        let file = file(3_000_000);
        let said = if known { Form::new().text("size", "3000000") } else { Form::new() };
        let said = said.part("file", crate::http_files::part(&file));
        let fetching = async {
            let offered = offered(&mut other).await;
            let (bytes, _) = beside(&mut other, async {
                let answer = get(&service, 2, &offered.link, None).await;
                assert_eq!(answer.headers().contains_key("content-length"), known);
                answer.bytes().await.unwrap()
            })
            .await;
            bytes
        };
        let ((answer, _), bytes) = tokio::join!(beside(&mut one, upload(&service, 1, &token, said)), fetching);
        assert_eq!((answer.status, bytes), (201, file.bytes));
    }
}

#[tokio::test]
async fn the_eleventh_file_of_an_hour_waits_over_whichever_node() {
    let service = Service::with(2, &[]).await;
    let (mut one, token, mut other, _) = pair(&service, [0, 0], [WebSocket; 2]).await;
    let left = |answer: &Answer| answer.headers["ratelimit-remaining"].to_str().unwrap().parse::<usize>().unwrap();
    for sent in 1..=10 {
        let sending = beside(&mut one, upload(&service, sent % 2, &token, form(&file(100))));
        let ((answer, _), _) = tokio::join!(sending, receive(&mut other));
        assert_eq!((answer.status, left(&answer)), (201, 10 - sent), "{}", answer.body);
    }
    for node in [1, 0] {
        let refused = upload(&service, node, &token, form(&file(100))).await;
        assert_eq!((refused.code(), left(&refused)), ((429, "too-fast"), 0));
        assert!(refused.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn what_is_refused_is_refused_at_every_node() {
    let service = service(2).await;
    let (_one, token, mut other, _) = pair(&service, [0, 0], [WebSocket; 2]).await;
    let stranger = service.token(1).await;
    for node in 0..2 {
        let page = form(&File::new("a.html", "text/html", &b"<html>"[..]));
        assert_eq!(upload(&service, node, &token, page).await.code(), (415, "type-not-allowed"));
        let large = form(&file(10_485_760 + 200_000));
        assert_eq!(upload(&service, node, &token, large).await.code(), (413, "file-too-big"));
        let nobody = upload(&service, node, &stranger, form(&file(5_000_000))).await;
        assert_eq!(nobody.code(), (409, "no-conversation"));
        assert_eq!(upload(&service, node, "a.b.c", form(&file(100))).await.status, 401);
        let unknown = get(&service, node, "/api/files/0123456789abcdef0123456789abcdef", None).await;
        let status = unknown.status().as_u16();
        let body: Value = unknown.json().await.unwrap();
        assert_eq!((status, body["error"]["code"].as_str()), (404, Some("transfer-unknown")));
        let cut = reqwest::Client::new().post(format!("http://{}/api/files", service.http(node)));
        let cut = cut.bearer_auth(&token).header("content-type", "multipart/form-data; boundary=b").body("--b\r\n");
        assert_eq!(cut.send().await.unwrap().status(), 400);

        // A client that writes everything before it reads hears the answer too.
        let (mut stream, _) = begin(&service, node, &token, "x: y\r\n").await;
        stream.write_all(&vec![b'-'; 4_000_000]).await.unwrap();
        let heard = head(&mut stream).await;
        assert!(heard.starts_with("HTTP/1.1 400 ") && heard.contains("connection: close"), "{heard}");
    }
    assert!(other.next(Duration::from_millis(100)).await.is_err(), "nobody is asked");
}

#[tokio::test]
async fn a_body_is_asked_for_once_it_is_wanted() {
    let service = service(2).await;
    let (mut one, token, mut other, _) = pair(&service, [0, 0], [WebSocket; 2]).await;
    let stranger = service.token(1).await;
    let expect = "expect: 100-continue\r\n";
    // The home reads nothing of it: so the client is not told to send anything.
    let kind = "content-type: text/plain\r\n";
    let bare = format!(
        "POST /api/files HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 9\r\n{kind}{expect}\r\n"
    );
    let mut stream = TcpStream::connect(service.http(1)).await.unwrap();
    stream.write_all(bare.as_bytes()).await.unwrap();
    let heard = head(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 415 "), "{heard}");
    let (mut stream, _) = begin(&service, 1, &stranger, expect).await;
    let heard = head(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 409 "), "{heard}");

    let (mut stream, parts) = begin(&service, 1, &token, expect).await;
    let heard = head(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 100 "), "{heard}");
    let sending = beside(&mut one, async {
        stream.write_all(&parts.concat()).await.unwrap();
        head(&mut stream).await
    });
    let ((heard, _), (_, bytes)) = tokio::join!(sending, receive(&mut other));
    assert!(heard.starts_with("HTTP/1.1 201 "), "{heard}");
    assert!(bytes == parts[1]);
}

#[tokio::test]
async fn whoever_goes_away_in_the_middle_calls_the_file_off() {
    let service = service(2).await;
    let (mut one, token, mut other, _) = pair(&service, [0, 0], [WebSocket; 2]).await;
    let (mut stream, parts) = begin(&service, 1, &token, "").await;
    let dropping = async {
        stream.write_all(&parts[0]).await.unwrap();
        stream.write_all(&parts[1][..100_000]).await.unwrap();
        let offered = offered(&mut other).await;
        other.accept(&offered.transfer).await.unwrap();
        drop(stream);
        cancelled(&mut other).await
    };
    assert_eq!(beside(&mut one, dropping).await.0, "cancelled");

    one.offer("dropped", &file(10_485_760)).await.unwrap();
    let said = offered(&mut other).await;
    let fetching = async {
        let mut answer = get(&service, 1, &said.link, None).await;
        assert!(answer.chunk().await.unwrap().is_some());
    };
    let ((), code) = tokio::join!(fetching, cancelled(&mut one));
    assert_eq!((code.as_str(), cancelled(&mut other).await.as_str()), ("cancelled", "cancelled"));

    one.offer("given up", &file(3_000_000)).await.unwrap();
    let said = offered(&mut other).await;
    let fetching = async {
        let mut answer = get(&service, 1, &said.link, None).await;
        assert_eq!(answer.status(), 200);
        while let Ok(more) = answer.chunk().await {
            assert!(more.is_some(), "a cut file looks whole");
        }
    };
    let giving_up = async {
        until(&mut one, "file:progress").await;
        one.call_off(&TransferId::new("given up").unwrap()).await.unwrap();
    };
    tokio::join!(giving_up, cancelled(&mut other), fetching);
}

#[tokio::test]
async fn a_reader_that_stands_still_stops_the_sender_alone() {
    let service = service(2).await;
    let (mut one, _, mut other, _) = pair(&service, [0, 0], [WebSocket; 2]).await;
    let file = file(10_485_760);
    one.offer("big", &file).await.unwrap();
    let said = offered(&mut other).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut reader = socket.connect(service.http(1)).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", said.link);
    reader.write_all(request.as_bytes()).await.unwrap();
    let mut far = 0;
    loop {
        match one.next(Duration::from_millis(500)).await {
            Ok(ServerEvent::Progress(progress)) => far = progress.received,
            Ok(_) => {}
            Err(Error::Timeout(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(far > 0 && far < 8_000_000, "{far}");
    one.send(&message("m", "and now?")).await.unwrap();
    until(&mut other, "chat:message").await;
    let reading = async {
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let ((answer, _), _) = tokio::join!(beside(&mut other, reading), until(&mut one, "file:complete"));
    assert!(answer.ends_with(&file.bytes));
}

#[tokio::test]
async fn a_node_that_is_killed_in_the_middle_is_an_answer() {
    let mut service = service(2).await;
    let (_one, token, mut other, _) = pair(&service, [0, 0], [WebSocket; 2]).await;
    let (mut stream, parts) = begin(&service, 1, &token, "").await;
    stream.write_all(&parts[0]).await.unwrap();
    stream.write_all(&parts[1][..100_000]).await.unwrap();
    offered(&mut other).await;
    service.kill(0).await;
    let began = Instant::now();
    let heard = head(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 503 ") && heard.contains("retry-after: "), "{heard}");
    assert!(heard.contains("x-content-type-options: nosniff"), "with the headers of every answer: {heard}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // As long as it is not known to be dead, it may yet have the conversation.
    loop {
        let again = upload(&service, 1, &token, form(&file(100))).await;
        match again.code() {
            (409, "no-conversation") => break,
            code => assert_eq!(code, (503, "unavailable")),
        }
        assert!(began.elapsed() < WAIT, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_node_that_stops_lets_a_file_come_to_its_end() {
    // The one that the client has reached, and the one that has the conversation.
    for stops in [1, 0] {
        let mut service = service(2).await;
        let (mut one, token, mut other, _) = pair(&service, [0, 0], [WebSocket; 2]).await;
        let (mut stream, parts) = begin(&service, 1, &token, "").await;
        let (first, rest) = parts[1].split_at(100_000);
        stream.write_all(&[&parts[0], first].concat()).await.unwrap();
        let said = offered(&mut other).await;
        other.accept(&said.transfer).await.unwrap();
        // The first bytes are there: it is under way.
        let under_way = async { while other.next(Duration::from_millis(300)).await.is_ok() {} };
        beside(&mut one, under_way).await;
        let stopped = service.stop(stops);
        let ending = beside_to_the_end(&mut one, async {
            stream.write_all(&[rest, &parts[2]].concat()).await.unwrap();
            head(&mut stream).await
        });
        let ((heard, _, ended), complete) = tokio::join!(ending, until(&mut other, "file:complete"));
        // Once the file has come, the conversation goes, and this client may hear of that first.
        match ended {
            Ok(()) => {}
            Err(Error::Closing(closing)) if stops == 0 => assert_eq!(closing.code, CloseReason::Draining.code()),
            Err(error) => panic!("{stops}: {error}"),
        }
        assert!(heard.starts_with("HTTP/1.1 201 "), "{stops}: {heard}");
        let ServerEvent::Complete(complete) = complete else { unreachable!() };
        assert!(other.collect(&complete).unwrap().1 == parts[1]);
        drop((stream, one, other));
        tokio::time::timeout(WAIT, stopped).await.expect("it stops in time").unwrap();
    }
}
