//! A server for one test, and the people who use it.

use std::time::Duration;

use duologue::client::{self, Client, Rest, Target};
use duologue::config;
use duologue::hub::Door;
use duologue::protocol::{ClientEvent, Matched, Message, MessageId, MessageKind, Nothing, ServerEvent, Wish};
use duologue::server::{Addresses, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The settings that every test needs, and these, and the folder that they name.
pub fn settled(settings: &[(&str, &str)]) -> (TempDir, config::Config) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut variables: Vec<(String, String)> = [
        ("DUOLOGUE_SERVER_DATA", path("data")),
        ("DUOLOGUE_TLS_FOLDER", path("certs")),
        ("DUOLOGUE_LISTEN_HTTP", "127.0.0.1:0".into()),
        ("DUOLOGUE_LISTEN_HTTPS", "127.0.0.1:0".into()),
        ("DUOLOGUE_LISTEN_QUIC", "127.0.0.1:0".into()),
        // Everyone of a test has one address.
        ("DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR", "100000".into()),
        ("DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR", "100000".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    variables.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    (folder, config::load(None, variables).unwrap())
}

/// Long enough for a loaded machine; a test that waits this long has failed.
pub const WAIT: Duration = Duration::from_secs(20);

pub struct World {
    pub addresses: Addresses,
    pub http: reqwest::Client,
    stop: CancellationToken,
    running: TaskTracker,
    _folder: TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A server with these settings beside those that every test needs.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let (folder, config) = settled(settings);
        let server = Server::bind(config).await.unwrap();
        let addresses = server.addresses();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = TaskTracker::new();
        running.spawn(async move { server.run(stopped.cancelled_owned()).await });
        running.close();
        let http = reqwest::Client::new();
        Self { addresses, http, stop, running, _folder: folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.http.unwrap())
    }

    /// Where the doors are, as `GET /api/connect` tells it.
    pub async fn target(&self) -> Target {
        Rest::at(&self.url("")).await.unwrap().target().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.http.post(self.url(path)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Something of `GET /api/socket/stats`.
    pub async fn stats(&self) -> Value {
        let answer = self.http.get(self.url("/api/socket/stats")).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["data"].take()
    }

    /// A guest's token.
    pub async fn token(&self) -> String {
        let (status, answer) = self.post("/api/auth/guest", &json!({})).await;
        assert_eq!(status, 201, "{answer}");
        answer["data"]["token"].as_str().unwrap().to_owned()
    }

    pub async fn client(&self, door: Door) -> Client {
        Client::connect(&self.target().await, door, &self.token().await, None).await.unwrap()
    }

    /// Two people in a conversation, one by each door.
    pub async fn pair(&self, doors: [Door; 2]) -> (Client, Client) {
        let mut one = self.client(doors[0]).await;
        let mut other = self.client(doors[1]).await;
        one.send(&find()).await.unwrap();
        expect(&mut one, "user:matching").await;
        other.send(&find()).await.unwrap();
        expect(&mut other, "user:matching").await;
        let (first, second) = (matched(&mut one).await, matched(&mut other).await);
        assert_eq!(first.conversation, second.conversation);
        assert_eq!(first.matched_user.user, other.established().user.user);
        assert_eq!(second.matched_user.user, one.established().user.user);
        assert_ne!(first.role, second.role);
        (one, other)
    }

    /// Stops the server as Ctrl-C does, and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(WAIT, self.running.wait()).await.expect("the server stops in time");
    }
}

pub fn find() -> ClientEvent {
    ClientEvent::Match(Wish::default())
}

pub fn leave() -> ClientEvent {
    ClientEvent::Leave(Nothing {})
}

pub fn message(id: &str, content: &str) -> ClientEvent {
    let id = MessageId::new(id).unwrap();
    ClientEvent::Message(Message { id, kind: MessageKind::Text, content: content.to_owned(), timestamp: None })
}

pub async fn next(client: &mut Client) -> ServerEvent {
    client.next(WAIT).await.unwrap()
}

/// The next event, which must have this name.
pub async fn expect(client: &mut Client, name: &str) -> ServerEvent {
    let event = next(client).await;
    assert_eq!(event.name(), name, "{event:?}");
    event
}

/// The next event of this name; others are passed over.
pub async fn until(client: &mut Client, name: &str) -> ServerEvent {
    loop {
        let event = next(client).await;
        if event.name() == name {
            return event;
        }
    }
}

pub async fn matched(client: &mut Client) -> Matched {
    match expect(client, "user:matched").await {
        ServerEvent::Matched(matched) => matched,
        other => unreachable!("{other:?}"),
    }
}

/// The id and text of the next message.
pub async fn hear(client: &mut Client) -> (String, String) {
    match expect(client, "chat:message").await {
        ServerEvent::Message(message) => (message.id.as_str().to_owned(), message.content),
        other => unreachable!("{other:?}"),
    }
}

pub async fn delivered(client: &mut Client) -> String {
    match expect(client, "chat:delivered").await {
        ServerEvent::Delivered(delivered) => delivered.id.as_str().to_owned(),
        other => unreachable!("{other:?}"),
    }
}

/// The code and the named id of the next event, which must be a refusal.
pub async fn refused(client: &mut Client) -> (String, Option<String>) {
    match expect(client, "error").await {
        ServerEvent::Error(refusal) => {
            assert!(refusal.message.len() > 10, "a sentence: {refusal:?}");
            let code = serde_json::to_value(refusal.code).unwrap();
            (code.as_str().unwrap().to_owned(), refusal.id)
        }
        other => unreachable!("{other:?}"),
    }
}

/// The code with which the server closes the link; events before it are passed over.
pub async fn closed(client: &mut Client) -> u16 {
    loop {
        match client.next(WAIT).await {
            Ok(_) => {}
            Err(client::Error::Closing(closing)) => {
                // The same code must come as the link's own.
                let ended = tokio::time::timeout(WAIT, client.wire().recv()).await.expect("closes in time");
                match ended {
                    Err(client::Error::Ended(client::Ended::Code(code))) => assert_eq!(code, closing.code),
                    other => panic!("closing {closing:?} was followed by {other:?}"),
                }
                return closing.code;
            }
            Err(other) => panic!("closed without a word: {other}"),
        }
    }
}

/// Runs each scenario over each pair of doors, as a test of its own.
macro_rules! over_every_pair_of_doors {
    ($($scenario:ident,)*) => {
        $(mod $scenario {
            use duologue::hub::Door::{WebSocket, WebTransport};

            #[tokio::test]
            async fn webtransport() {
                super::$scenario([WebTransport, WebTransport]).await;
            }

            #[tokio::test]
            async fn websocket() {
                super::$scenario([WebSocket, WebSocket]).await;
            }

            #[tokio::test]
            async fn mixed() {
                super::$scenario([WebTransport, WebSocket]).await;
            }
        })*
    };
}

/// Runs each scenario over each door, as a test of its own.
macro_rules! over_every_door {
    ($($scenario:ident,)*) => {
        $(mod $scenario {
            #[tokio::test]
            async fn webtransport() {
                super::$scenario(duologue::hub::Door::WebTransport).await;
            }

            #[tokio::test]
            async fn websocket() {
                super::$scenario(duologue::hub::Door::WebSocket).await;
            }
        })*
    };
}

pub(crate) use {over_every_door, over_every_pair_of_doors};
