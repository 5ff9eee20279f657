//! A keeper whose node is killed, against nodes of this file: what it says to the next one, and what it tells.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::{Habits, Keeper, News, Nodes};
use crate::hub::Door;
use crate::protocol::{ClientEvent, Message, MessageId, MessageKind, ServerEvent, Wish};

/// Longest wait for anything.
const WAIT: Duration = Duration::from_secs(10);
const CONVERSATION: &str = "7d1f3b5a9c2e4860b1d3f5a7c9e0b2d4";

/// One node: it says where its door is, and hands over the links that come.
struct Node {
    listener: TcpListener,
    base: String,
}

struct Link(WebSocketStream<TcpStream>);

impl Node {
    async fn begin() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, base }
    }

    /// The next link; whoever asks for the doors before that is answered.
    async fn link(&self) -> Link {
        let accepted = async {
            loop {
                let (mut stream, _) = self.listener.accept().await.unwrap();
                let mut head = [0; 16];
                let length = stream.peek(&mut head).await.unwrap();
                if !head[..length].starts_with(b"GET /api/connect") {
                    return Link(accept_async(stream).await.unwrap());
                }
                let url = format!("{}/realtime", self.base.replace("http", "ws"));
                let body =
                    json!({ "success": true, "data": { "protocol": 1, "websocket": { "url": url } } }).to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0, "the request is whole");
                }
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        };
        timeout(WAIT, accepted).await.expect("a link comes")
    }
}

impl Link {
    async fn tell(&mut self, frame: &Value) {
        self.0.send(WsMessage::text(frame.to_string())).await.unwrap();
    }

    /// The next frame that is neither a ping nor an acknowledgement alone.
    async fn hear(&mut self) -> Value {
        loop {
            let message = timeout(WAIT, self.0.next()).await.expect("a frame comes").unwrap().unwrap();
            let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if !matches!(frame["event"].as_str(), Some("connection:ping" | "ack")) {
                return frame;
            }
        }
    }

    async fn established(&mut self, file: &str) -> Value {
        let hello = self.hear().await;
        assert_eq!(hello["event"], "connection:hello");
        self.tell(&serde_json::from_str(file).unwrap()).await;
        hello
    }

    async fn message(&mut self, seq: u64, id: &str) {
        let data =
            json!({ "id": id, "from": "9f8e7d6c5b4a39281706f5e4", "type": "text", "content": "x", "timestamp": 1 });
        self.tell(&json!({ "event": "chat:message", "data": data, "seq": seq })).await;
    }
}

const NEW: &str = include_str!("../../tests/golden/server/connection-established.json");
const LOST: &str = include_str!("../../tests/golden/server/connection-established.node.json");
const GONE: &str = include_str!("../../tests/golden/server/connection-established.lost.json");

/// A keeper of these nodes, on a link to the first.
async fn keep(nodes: &[&Node]) -> (Keeper, Link) {
    let bases: Vec<String> = nodes.iter().map(|node| node.base.clone()).collect();
    let start = async {
        let all = Nodes::at(&bases).await.unwrap();
        let target = all.beginning(0).target().await.unwrap();
        let habits = Habits { nodes: Some(all), ..Habits::new(&[Door::WebSocket]) };
        Keeper::start(&target, "token", None, habits).await.unwrap()
    };
    let first = async {
        let mut link = nodes[0].link().await;
        let hello = link.established(NEW).await;
        assert!(hello["data"]["resume"].is_null());
        link
    };
    tokio::join!(start, first)
}

fn say(keeper: &Keeper, id: &str) {
    let id = MessageId::new(id).unwrap();
    assert!(keeper.say(ClientEvent::Message(Message {
        id,
        kind: MessageKind::Text,
        content: "x".to_owned(),
        timestamp: None
    })));
}

/// What the keeper tells, in words, until such a one.
async fn told(keeper: &mut Keeper, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    while told.last().is_none_or(|it| it != last) {
        told.push(match timeout(WAIT, keeper.next()).await.unwrap_or_else(|_| panic!("{told:?}")).expect("it lives") {
            News::Heard(ServerEvent::Message(message)) => format!("heard {}", message.id.as_str()),
            News::Heard(event) => event.name().to_owned(),
            News::Repeated(id) => format!("repeated {}", id.as_str()),
            News::GoesOn => "goes on".to_owned(),
            News::Anew(_) => "anew".to_owned(),
            News::Linked { .. } => "linked".to_owned(),
            News::Unlinked { .. } => "unlinked".to_owned(),
            News::Over(error) => panic!("{error}"),
            News::Received(..) | News::RoundTrip(_) => continue,
        });
    }
    told
}

#[tokio::test]
async fn a_killed_node_costs_neither_the_talk_nor_a_message() {
    let (one, two) = (Node::begin().await, Node::begin().await);
    let (mut keeper, mut link) = keep(&[&one, &two]).await;
    keeper.say(ClientEvent::Match(Wish::default()));
    assert_eq!(link.hear().await["event"], "user:match");
    let partner = json!({ "id": "9f8e7d6c5b4a39281706f5e4", "username": "Calm Otter 42" });
    let matched = json!({ "conversation": CONVERSATION, "matchedUser": partner, "role": "polite", "common": [] });
    link.tell(&json!({ "event": "user:matched", "data": matched, "seq": 1 })).await;
    link.message(2, "a").await;
    assert_eq!(told(&mut keeper, "heard a").await, ["user:matched", "heard a"]);
    for id in ["0", "1", "2"] {
        say(&keeper, id);
        assert_eq!(link.hear().await["data"]["id"], id);
    }
    // The server has them all, and the partner one.
    link.tell(&json!({ "event": "chat:delivered", "data": { "id": "0" }, "seq": 3, "ack": 4 })).await;
    told(&mut keeper, "chat:delivered").await;
    drop((link, one));

    // The other one does not know yet that it is dead.
    let mut link = two.link().await;
    let hello = link.hear().await;
    let closing =
        json!({ "code": 4503, "reason": "draining", "message": "Soon.", "reconnect": true, "retryAfterMs": 50 });
    link.tell(&json!({ "event": "connection:closing", "data": closing })).await;
    say(&keeper, "3");
    let mut link = two.link().await;
    assert_eq!(link.established(LOST).await["data"]["resume"]["session"], hello["data"]["resume"]["session"]);
    for (seq, id) in [(1, "1"), (2, "2"), (3, "3")] {
        let frame = link.hear().await;
        assert_eq!((&frame["data"]["id"], &frame["seq"]), (&json!(id), &json!(seq)));
    }
    link.message(1, "a").await;
    link.message(2, "b").await;
    let news = told(&mut keeper, "heard b").await;
    let heard: Vec<_> = news.iter().filter(|it| *it != "unlinked").collect();
    assert_eq!(heard, ["goes on", "linked", "repeated a", "heard b"]);
    // What is newer comes after.
    say(&keeper, "4");
    assert_eq!(link.hear().await["seq"], 4);
}

#[tokio::test]
async fn a_search_goes_on_by_itself_at_the_next_node() {
    let (one, two) = (Node::begin().await, Node::begin().await);
    let (mut keeper, mut link) = keep(&[&one, &two]).await;
    let wish = Wish { interests: vec!["chess".to_owned()], ..Wish::default() };
    keeper.say(ClientEvent::Match(wish));
    let asked = link.hear().await;
    drop((link, one));
    let mut link = two.link().await;
    link.established(GONE).await;
    let again = link.hear().await;
    assert_eq!((&again["event"], &again["data"]), (&asked["event"], &asked["data"]));
    assert!(told(&mut keeper, "anew").await.iter().all(|it| it != "goes on"));
}
