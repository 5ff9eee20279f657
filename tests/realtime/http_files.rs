//! Files over HTTP: a form as the sender's end, an answer's body as the receiver's, whatever the other
//! end speaks.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use duologue::client::{Client, Error, File, sha256};
use duologue::hub::Door;
use duologue::protocol::{About, ClientEvent, Offered, ServerEvent, TransferId};
use reqwest::header::HeaderMap;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::files::{file, noise};
use crate::world::*;

over_every_door! {
    files_of_all_sizes_arrive_in_a_session,
    files_of_all_sizes_are_fetched,
    a_receiver_who_leaves_in_the_middle_is_told_of,
    a_reader_that_stands_still_stops_the_sender_alone,
}

/// A server on which one address may send all that a test sends.
pub async fn world() -> World {
    World::with(&[("DUOLOGUE_LIMITS_UPLOADS_PER_HOUR", "1000")]).await
}

/// Two people in a conversation, and the token of the first.
pub async fn pair(world: &World, doors: [Door; 2]) -> (Client, String, Client, String) {
    let (token, others) = (world.token().await, world.token().await);
    let target = world.target().await;
    let mut one = Client::connect(&target, doors[0], &token, None).await.unwrap();
    let mut other = Client::connect(&target, doors[1], &others, None).await.unwrap();
    for client in [&mut one, &mut other] {
        client.send(&find()).await.unwrap();
        expect(client, "user:matching").await;
    }
    matched(&mut one).await;
    matched(&mut other).await;
    (one, token, other, others)
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }
}

pub fn part(file: &File) -> Part {
    let part = Part::stream_with_length(file.bytes.clone(), file.bytes.len() as u64);
    part.file_name(file.name.clone()).mime_str(&file.mime).unwrap()
}

pub fn form(file: &File) -> Form {
    Form::new().part("file", part(file))
}

pub async fn upload(world: &World, token: &str, form: Form) -> Answer {
    let request = world.http.post(world.url("/api/files")).bearer_auth(token).multipart(form);
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.json().await.unwrap() }
}

pub async fn get(world: &World, link: &str, token: Option<&str>) -> reqwest::Response {
    let request = world.http.get(world.url(link));
    let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
    request.send().await.unwrap()
}

/// Keeps a session alive beside some work, and yields what it heard.
pub async fn beside<T>(client: &mut Client, work: impl Future<Output = T>) -> (T, Vec<ServerEvent>) {
    let (out, heard, ended) = beside_to_the_end(client, work).await;
    ended.unwrap();
    (out, heard)
}

/// The same, where the link may end meanwhile: also yields how.
pub async fn beside_to_the_end<T>(
    client: &mut Client,
    work: impl Future<Output = T>,
) -> (T, Vec<ServerEvent>, Result<(), Error>) {
    let done = Cell::new(false);
    let work = async {
        let out = work.await;
        done.set(true);
        out
    };
    let listening = async {
        let mut heard = Vec::new();
        loop {
            match client.next(Duration::from_millis(50)).await {
                Ok(event) => heard.push(event),
                Err(Error::Timeout(_)) if done.get() => return (heard, Ok(())),
                Err(Error::Timeout(_)) => {}
                Err(error) => return (heard, Err(error)),
            }
        }
    };
    let (out, (heard, ended)) = tokio::join!(work, listening);
    (out, heard, ended)
}

pub async fn offered(client: &mut Client) -> Offered {
    match until(client, "file:offer").await {
        ServerEvent::Offer(offered) => offered,
        other => unreachable!("{other:?}"),
    }
}

/// The code with which the next transfer ends.
pub async fn cancelled(client: &mut Client) -> String {
    match until(client, "file:cancel").await {
        ServerEvent::Cancel(cancelled) => cancelled.code.name().to_owned(),
        other => unreachable!("{other:?}"),
    }
}

pub async fn receive(client: &mut Client) -> (Offered, Bytes) {
    let offered = offered(client).await;
    client.accept(&offered.transfer).await.unwrap();
    match until(client, "file:complete").await {
        ServerEvent::Complete(complete) => client.collect(&complete).expect("whole, and as it was sent"),
        other => unreachable!("{other:?}"),
    }
}

async fn files_of_all_sizes_arrive_in_a_session(door: Door) {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [Door::WebSocket, door]).await;
    for (length, known) in [(1, true), (1, false), (4_096, false), (196_609, true), (10_485_760, false)] {
        let file = file(length);
        let said = if known { Form::new().text("size", length.to_string()) } else { Form::new() };
        let sending = upload(&world, &token, said.part("file", part(&file)));
        let ((answer, heard), (offered, bytes)) = tokio::join!(beside(&mut one, sending), receive(&mut other));
        assert_eq!(answer.status, 201, "{}", answer.body);
        let name = "noise.bin";
        let data = json!({"transfer": offered.transfer, "name": name, "size": length, "mime": file.mime});
        assert_eq!(answer.body["data"], data);
        assert_eq!((offered.size, offered.name.as_str()), (known.then_some(length as u64), name));
        assert_eq!(bytes, file.bytes);
        assert!(heard.is_empty(), "who speaks HTTP hears the answer: {heard:?}");
    }
    world.stop().await;
}

async fn files_of_all_sizes_are_fetched(door: Door) {
    let world = world().await;
    let (mut one, _, mut other, token) = pair(&world, [door, Door::WebSocket]).await;
    for length in [1, 4_096, 196_609, 10_485_760] {
        let file = file(length);
        one.offer(&format!("t-{length}"), &file).await.unwrap();
        let offered = offered(&mut other).await;
        let fetching = async {
            let answer = get(&world, &offered.link, Some(&token)).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["content-length"], length.to_string());
            answer.bytes().await.unwrap()
        };
        let ((bytes, theirs), mine) = tokio::join!(beside(&mut other, fetching), until(&mut one, "file:complete"));
        let ServerEvent::Complete(complete) = mine else { unreachable!() };
        assert_eq!((complete.size, complete.sha256), (length as u64, sha256(&file.bytes)));
        assert_eq!(bytes, file.bytes);
        let [ServerEvent::Accept(taken), ServerEvent::Complete(it)] = theirs.as_slice() else { panic!("{theirs:?}") };
        assert_eq!((&taken.transfer, it), (&complete.transfer, &complete), "its page hears where the bytes go");
    }
    world.stop().await;
}

async fn a_receiver_who_leaves_in_the_middle_is_told_of(door: Door) {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [Door::WebSocket, door]).await;
    let file = file(5_000_000);
    let leaving = async {
        let offered = offered(&mut other).await;
        // Accepts, and takes no byte.
        other.send(&ClientEvent::Accept(About { transfer: offered.transfer })).await.unwrap();
        other.send(&leave()).await.unwrap();
        until(&mut other, "user:idle").await;
    };
    let ((answer, _), ()) = tokio::join!(beside(&mut one, upload(&world, &token, form(&file))), leaving);
    assert_eq!(answer.code(), (409, "no-conversation"), "{}", answer.body);
    world.stop().await;
}

async fn a_reader_that_stands_still_stops_the_sender_alone(door: Door) {
    let world = world().await;
    let (mut one, _, mut other, _) = pair(&world, [door, Door::WebSocket]).await;
    let file = file(10_485_760);
    one.offer("big", &file).await.unwrap();
    let offered = offered(&mut other).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut reader = socket.connect(world.addresses.http.unwrap()).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", offered.link);
    reader.write_all(request.as_bytes()).await.unwrap();
    // Until the sockets between are full, it moves; then nothing does.
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
    expect(&mut other, "file:accept").await;
    one.send(&message("m", "and now?")).await.unwrap();
    assert_eq!(hear(&mut other).await.0, "m");
    assert_eq!(delivered(&mut one).await, "m");
    let reading = async {
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let ((answer, _), _) = tokio::join!(beside(&mut other, reading), until(&mut one, "file:complete"));
    assert!(answer.ends_with(&file.bytes));
    world.stop().await;
}

#[tokio::test]
async fn a_form_becomes_an_answer() {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [Door::WebSocket, Door::WebTransport]).await;
    for known in [true, false] {
        let file = file(3_000_000);
        let said = if known { Form::new().text("size", "3000000") } else { Form::new() };
        let fetching = async {
            let offered = offered(&mut other).await;
            let (bytes, _) = beside(&mut other, async {
                let answer = get(&world, &offered.link, None).await;
                assert_eq!(answer.headers().contains_key("content-length"), known);
                answer.bytes().await.unwrap()
            })
            .await;
            bytes
        };
        let sending = upload(&world, &token, said.part("file", part(&file)));
        let ((answer, _), bytes) = tokio::join!(beside(&mut one, sending), fetching);
        assert_eq!((answer.status, bytes), (201, file.bytes));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_voice_note_says_how_long_it_is() {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [Door::WebSocket, Door::WebSocket]).await;
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/firefox.webm")).unwrap();
    let voice = File::new("voice.webm", "audio/webm;codecs=opus", bytes);
    for (claimed, outcome) in [("60000", (201, "")), ("10", (422, "voice-mismatch"))] {
        let form = Form::new().text("kind", "voice").text("durationMs", claimed).part("file", part(&voice));
        let fetching = async {
            let offered = offered(&mut other).await;
            assert_eq!(offered.duration_ms.map(|it| it.to_string()).as_deref(), Some(claimed));
            let ((), _) = beside(&mut other, async {
                let answer = get(&world, &offered.link, None).await;
                if outcome.0 == 201 {
                    assert_eq!(answer.headers()["content-type"], "audio/webm;codecs=opus");
                    assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("inline; "));
                    assert_eq!(answer.bytes().await.unwrap(), voice.bytes);
                } else {
                    assert_eq!(answer.status(), 422);
                }
            })
            .await;
        };
        let ((answer, _), ()) = tokio::join!(beside(&mut one, upload(&world, &token, form)), fetching);
        assert_eq!(answer.code(), outcome, "{}", answer.body);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_drops_its_form_calls_the_file_off() {
    let world = world().await;
    let (mut one, token, mut other, _) = pair(&world, [Door::WebSocket, Door::WebSocket]).await;
    let mut client = TcpStream::connect(world.addresses.http.unwrap()).await.unwrap();
    let head = format!(
        "POST /api/files HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 5000000\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; \
         filename=\"a.bin\"\r\n\r\n"
    );
    let dropping = async {
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&noise(100_000)).await.unwrap();
        let offered = offered(&mut other).await;
        assert_eq!((offered.name.as_str(), offered.mime.as_str()), ("a.bin", "application/octet-stream"));
        other.accept(&offered.transfer).await.unwrap();
        assert!(other.next(Duration::from_millis(200)).await.is_err(), "its bytes are no event");
        drop(client);
        cancelled(&mut other).await
    };
    let (code, _) = beside(&mut one, dropping).await;
    assert_eq!(code, "cancelled");
    world.stop().await;
}

#[tokio::test]
async fn whoever_drops_an_answer_calls_the_file_off() {
    let world = world().await;
    let (mut one, _, mut other, _) = pair(&world, [Door::WebSocket, Door::WebSocket]).await;
    one.offer("big", &file(10_485_760)).await.unwrap();
    let offered = offered(&mut other).await;
    let fetching = async {
        let mut answer = get(&world, &offered.link, None).await;
        assert!(answer.chunk().await.unwrap().is_some());
    };
    let ((), code) = tokio::join!(fetching, cancelled(&mut one));
    assert_eq!((code.as_str(), cancelled(&mut other).await.as_str()), ("cancelled", "cancelled"));
    world.stop().await;
}

#[tokio::test]
async fn a_sender_that_gives_up_cuts_the_answer_off() {
    let world = world().await;
    let (mut one, _, mut other, _) = pair(&world, [Door::WebSocket, Door::WebSocket]).await;
    let file = file(1_000_000);
    one.offer("big", &file).await.unwrap();
    let offered = offered(&mut other).await;
    let fetching = async {
        let mut answer = get(&world, &offered.link, None).await;
        assert_eq!(answer.status(), 200);
        loop {
            match answer.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a cut file looks whole"),
                Err(_) => return,
            }
        }
    };
    let giving_up = async {
        until(&mut one, "file:progress").await;
        one.call_off(&TransferId::new("big").unwrap()).await.unwrap();
    };
    let ((), code, ()) = tokio::join!(giving_up, cancelled(&mut other), fetching);
    assert_eq!(code, "cancelled");
    world.stop().await;
}
