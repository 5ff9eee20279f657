//! `duologue chat` as it is used from a script: the real program, two people, one server.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use duologue::hub::Door::{WebSocket, WebTransport};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::files::noise;
use crate::world::*;

/// Someone at a terminal.
struct Person {
    child: Child,
    types: ChildStdin,
    reads: mpsc::Receiver<String>,
}

impl Person {
    fn sits_down(server: &str, door: &str) -> Self {
        Self::sits_in(Path::new("."), server, door, &[])
    }

    /// In a folder of their own.
    fn sits_in(folder: &Path, server: &str, door: &str, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_duologue"))
            .current_dir(folder)
            .args(["chat", server, "--door", door, "--interests", "terminals"])
            .args(more)
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

    async fn meets(&mut self, other: &mut Self) {
        for person in [&mut *self, &mut *other] {
            person.reads("You are").await;
            person.types("/find");
            person.reads("Looking for someone").await;
        }
        self.reads("You are talking with").await;
        other.reads("You are talking with").await;
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
    ann.meets(&mut ben).await;
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
async fn files_go_from_terminal_to_terminal() {
    let world = World::new().await;
    let server = world.url("");
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("ann"), folder.path().join("ben"));
    std::fs::create_dir_all(there.join("kept")).unwrap();
    std::fs::create_dir_all(&here).unwrap();
    let picture = noise(300_000);
    std::fs::write(here.join("a picture.bin"), &picture).unwrap();
    std::fs::write(here.join("empty.txt"), "").unwrap();
    let mut ann = Person::sits_in(&here, &server, "webtransport", &[]);
    let mut ben = Person::sits_in(&there, &server, "websocket", &[]);
    ann.meets(&mut ben).await;

    ann.types("/send a picture.bin");
    ann.reads("* Sending a picture.bin (300.0 kB)").await;
    ben.reads("* They offer a picture.bin (300.0 kB, application/octet-stream). /accept or /reject").await;
    ben.types("/accept");
    for line in ["They want a picture.bin.", "a picture.bin: 25 %", "They have a picture.bin."] {
        ann.reads(line).await;
    }
    ben.reads("a picture.bin is saved as ./a picture.bin.").await;
    assert_eq!(std::fs::read(there.join("a picture.bin")).unwrap(), picture);

    // Again: what is there stays, and the new one gets a number.
    for (accept, saved) in [("/accept", "a picture-1.bin"), ("/accept kept", "kept/a picture.bin")] {
        ann.types("/send a picture.bin");
        ben.reads("They offer").await;
        ben.types(accept);
        ben.reads(&format!("{saved}.")).await;
        ann.reads("They have").await;
        assert_eq!(std::fs::read(there.join(saved)).unwrap(), picture);
    }

    ann.types("/send a picture.bin");
    ben.reads("They offer").await;
    ben.types("/reject");
    ben.reads("You do not want a picture.bin.").await;
    ann.reads("They do not want a picture.bin.").await;
    ann.types("/send nothing.bin");
    ann.reads("There is no file nothing.bin.").await;
    ann.types("/send empty.txt");
    ann.reads("empty.txt is empty").await;
    ann.types("/voice a picture.bin");
    ann.reads("a picture.bin is no voice note").await;
    ben.types("/accept");
    ben.reads("There is nothing to accept.").await;
    ann.types("/send a picture.bin");
    ben.reads("They offer").await;
    ann.types("/cancel");
    ben.reads("They called off a picture.bin.").await;
    assert!(ann.gets_up().await && ben.gets_up().await);
    world.stop().await;
}

#[tokio::test]
async fn a_file_outlives_links_that_are_cut_in_its_middle() {
    let world = World::new().await;
    let server = world.url("");
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("ann"), folder.path().join("ben"));
    for place in [&here, &there] {
        std::fs::create_dir_all(place).unwrap();
    }
    let film = noise(10_000_000);
    std::fs::write(here.join("film.bin"), &film).unwrap();
    let mut ann = Person::sits_in(&here, &server, "webtransport", &[]);
    let mut ben = Person::sits_in(&there, &server, "websocket", &["--accept", "."]);
    ann.meets(&mut ben).await;
    ann.types("/send film.bin");
    ann.reads("film.bin: 25 %").await;
    ann.types("/cut");
    ann.reads("film.bin: 50 %").await;
    ben.types("/cut");
    ben.reads("film.bin is saved as ./film.bin.").await;
    ann.reads("They have film.bin.").await;
    assert_eq!(std::fs::read(there.join("film.bin")).unwrap(), film);
    assert!(ann.gets_up().await && ben.gets_up().await);
    world.stop().await;
}

#[tokio::test]
async fn without_a_server_it_says_what_to_do() {
    let asked = Command::new(env!("CARGO_BIN_EXE_duologue")).args(["chat", "http://127.0.0.1:9"]).output().unwrap();
    assert!(!asked.status.success());
    let words = String::from_utf8(asked.stderr).unwrap();
    assert!(words.contains("http://127.0.0.1:9") && words.contains("Is a Duologue server running there?"), "{words}");
}
