//! `duologue chat` as it is used from a script: the real program, two people, one server.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use duologue::hub::Door::{WebSocket, WebTransport};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::world::*;

/// Someone at a terminal.
struct Person {
    child: Child,
    types: ChildStdin,
    reads: mpsc::Receiver<String>,
}

impl Person {
    fn sits_down(server: &str, door: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_duologue"))
            .args(["chat", server, "--door", door, "--interests", "terminals"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (types, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (line, reads) = mpsc::channel(100);
        std::thread::spawn(move || {
            BufReader::new(output).lines().try_for_each(|text| line.blocking_send(text.unwrap()))
        });
        Self { child, types, reads }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.types, "{line}").unwrap();
    }

    async fn reads(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|line: &String| !line.contains(wanted)) {
            match timeout(WAIT, self.reads.recv()).await {
                Ok(Some(line)) => seen.push(line),
                ended => panic!("never read {wanted:?} ({ended:?}), but {seen:#?}"),
            }
        }
    }

    /// Closes the input, as Ctrl-D does.
    async fn gets_up(self) -> bool {
        let Self { mut child, types, .. } = self;
        drop(types);
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap());
        timeout(WAIT, status).await.expect("it ends").unwrap().success()
    }
}

#[tokio::test]
async fn two_people_talk_from_their_terminals() {
    let world = World::new().await;
    let server = world.url("");
    let (mut ann, mut ben) = (Person::sits_down(&server, "webtransport"), Person::sits_down(&server, "websocket"));
    for person in [&mut ann, &mut ben] {
        person.reads("You are").await;
        person.types("/find");
        person.reads("Looking for someone").await;
    }
    for person in [&mut ann, &mut ben] {
        person.reads("You are talking with").await;
    }
    ann.types("hello from a terminal");
    ben.reads(": hello from a terminal").await;
    ben.types("/cut");
    ben.types("back again");
    ann.reads(": back again").await;
    ben.types("/door webtransport");
    ben.reads("Moved to WebTransport. Nothing is lost.").await;
    ben.types("/nonsense");
    ben.reads("There is no /nonsense").await;
    assert!(ben.gets_up().await);
    ann.reads("They left.").await;
    ann.types("/quit");
    assert!(ann.gets_up().await);
    world.stop().await;
}

#[tokio::test]
async fn someone_at_a_terminal_meets_any_other_client() {
    let world = World::new().await;
    let mut ann = Person::sits_down(&world.url(""), "websocket");
    let mut other = world.client(WebTransport).await;
    ann.types("/find");
    ann.reads("Looking").await;
    other.send(&find()).await.unwrap();
    ann.reads("You are talking with").await;
    other.send(&message("m", "\u{1b}[2Jhidden\u{202e}")).await.unwrap();
    ann.reads(": \u{fffd}[2Jhidden\u{fffd}").await;
    until(&mut other, "user:matched").await;
    assert_eq!(delivered(&mut other).await, "m");
    ann.types("/skip");
    until(&mut other, "user:unmatched").await;
    assert!(ann.gets_up().await);
    other.resume(WebSocket).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn without_a_server_it_says_what_to_do() {
    let asked = Command::new(env!("CARGO_BIN_EXE_duologue")).args(["chat", "http://127.0.0.1:9"]).output().unwrap();
    assert!(!asked.status.success());
    let words = String::from_utf8(asked.stderr).unwrap();
    assert!(words.contains("http://127.0.0.1:9") && words.contains("Is a Duologue server running there?"), "{words}");
}
