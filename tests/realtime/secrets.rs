//! What a full session of use leaves in the logs of the real program, told to say all it can: that which
//! an operator needs, and nothing that people said, sent or signed in with.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use duologue::client::{Client, Error, File, Rest};
use duologue::hub::Door::{self, WebSocket, WebTransport};
use duologue::protocol::{ClientEvent, Nothing, ServerEvent, Typing};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::world::*;

/// All of it said somewhere below, none of it to be found in a log.
const SECRETS: [&str; 13] = [
    "Kestrel-Password-1",
    "Kestrel-Password-2",
    "kestrel@example.org",
    "Kestrel Ann",
    "Kestrel Ben",
    "kestrel said this in confidence",
    "kestrel-over-socket-io",
    "kestrel-diagnosis.txt",
    "kestrel-payslip.txt",
    "contents of kestrel's file",
    "kestrel-candidate",
    "kestrel-forged-token",
    "kestrel:event",
];

/// The program, in a folder of its own.
struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    folder: tempfile::TempDir,
}

impl Program {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_duologue"))
            .current_dir(folder.path())
            .envs([
                ("DUOLOGUE_LISTEN_HTTP", "127.0.0.1:0"),
                ("DUOLOGUE_LISTEN_HTTPS", "127.0.0.1:0"),
                ("DUOLOGUE_LISTEN_QUIC", "127.0.0.1:0"),
                ("DUOLOGUE_LOG_LEVEL", "trace"),
                ("DUOLOGUE_LOG_FILE_LEVEL", "trace"),
                ("DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR", "100"),
                ("DUOLOGUE_LIMITS_UPLOADS_PER_HOUR", "1"),
                ("DUOLOGUE_LIMITS_TYPING_PER_MINUTE", "5"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (line, lines) = channel();
        std::thread::spawn(move || BufReader::new(stderr).lines().try_for_each(|text| line.send(text.unwrap())));
        Self { child, lines, seen: Vec::new(), folder }
    }

    /// Reads its stderr up to a line that says this.
    fn says(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + WAIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("never said {wanted:?} ({error}), but {:#?}", self.seen),
            }
            if let Some(line) = self.seen.last().filter(|line| line.contains(wanted)) {
                return line.clone();
            }
        }
    }

    /// Stops it as an operator does; yields what it said on stderr and in each file.
    fn stop(mut self) -> (String, Vec<(String, String)>) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        let deadline = Instant::now() + WAIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.seen),
            }
        }
        assert!(self.child.wait().unwrap().success());
        let logs = std::fs::read_dir(self.folder.path().join("logs")).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
        });
        let mut logs: Vec<_> = logs.collect();
        logs.sort();
        (self.seen.join("\n"), logs)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

struct Visitor {
    base: String,
    http: reqwest::Client,
    tokens: Vec<String>,
    links: Vec<String>,
}

impl Visitor {
    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.http.post(format!("{}{path}", self.base)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Somebody's token and id.
    async fn enters(&mut self, path: &str, form: &Value) -> (String, String) {
        let (status, answer) = self.post(path, form).await;
        assert!(status < 300, "{answer}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let token = text(&answer["data"]["token"]);
        self.tokens.push(token.clone());
        (token, text(&answer["data"]["user"]["id"]))
    }

    async fn client(&self, door: Door, token: &str) -> Result<Client, Error> {
        let target = Rest::at(&self.base).await.unwrap().target().await.unwrap();
        Client::connect(&target, door, token, Some("kestrel-tablet")).await
    }

    /// One request of Engine.IO's polling.
    async fn polls(&self, session: &str, packet: Option<String>) -> String {
        let url = format!("{}/socket.io/?EIO=4&transport=polling{session}", self.base);
        let request = match packet {
            Some(packet) => self.http.post(url).header("content-type", "text/plain;charset=UTF-8").body(packet),
            None => self.http.get(url),
        };
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Says something by Socket.IO; yields what was answered first.
    async fn socketio(&self, token: &str) -> String {
        let opened = self.polls("", None).await;
        let opened: Value = serde_json::from_str(opened.trim_start_matches('0')).unwrap();
        let session = format!("&sid={}", opened["sid"].as_str().unwrap());
        self.polls(&session, Some(format!("40{}", json!({ "token": token })))).await;
        let said = json!(["chat:message", { "type": "text", "content": "kestrel-over-socket-io" }]);
        // The engine's ping may come first, alone.
        let answer = loop {
            let answer = self.polls(&session, None).await;
            if answer != "2" {
                break answer;
            }
        };
        if answer.contains("40{") {
            self.polls(&session, Some(format!("42{said}"))).await;
            self.polls(&session, Some("41".into())).await;
        }
        answer
    }
}

async fn offered(client: &mut Client) -> duologue::protocol::Offered {
    match until(client, "file:offer").await {
        ServerEvent::Offer(offered) => offered,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_hold_what_happened_and_nothing_that_was_said() {
    let mut program = Program::start();
    let started = program.says("started");
    let (_, address) = started.split_once(" http=\"").unwrap();
    let base = format!("http://{}", address.split('"').next().unwrap());
    let mut visitor = Visitor { base, http: reqwest::Client::new(), tokens: Vec::new(), links: Vec::new() };

    let form = |name: &str, email: &str| json!({"username": name, "email": email, "password": "Kestrel-Password-1"});
    let (_, ann_id) = visitor.enters("/api/auth/register", &form("Kestrel Ann", "kestrel@example.org")).await;
    let login = |password: &str| json!({"email": "kestrel@example.org", "password": password});
    let (status, _) = visitor.post("/api/auth/login", &login("Kestrel-Password-2")).await;
    assert_eq!(status, 401);
    let (ann_token, _) = visitor.enters("/api/auth/login", &login("Kestrel-Password-1")).await;
    let (ben_token, ben_id) =
        visitor.enters("/api/auth/register", &form("Kestrel Ben", "ben.kestrel@example.org")).await;
    for door in [WebSocket, WebTransport] {
        assert!(visitor.client(door, "kestrel-forged-token").await.is_err());
    }
    let me = visitor.http.get(format!("{}/api/auth/me", visitor.base)).bearer_auth("kestrel-forged-token");
    assert_eq!(me.send().await.unwrap().status(), 401);

    let mut ann = visitor.client(WebSocket, &ann_token).await.unwrap();
    let mut ben = visitor.client(WebTransport, &ben_token).await.unwrap();
    let keys = [ann.established().key.to_string(), ben.established().key.to_string()];
    for client in [&mut ann, &mut ben] {
        client.send(&find()).await.unwrap();
    }
    until(&mut ann, "user:matched").await;
    until(&mut ben, "user:matched").await;
    ann.send(&message("m", "kestrel said this in confidence")).await.unwrap();
    until(&mut ben, "chat:message").await;
    until(&mut ann, "chat:delivered").await;
    let offer = r#"{"offer":{"type":"offer","sdp":"v=0\r\ns=kestrel-candidate"},"type":"audio"}"#;
    ben.send(&ClientEvent::parse("webrtc:offer", offer).unwrap().unwrap()).await.unwrap();
    until(&mut ann, "webrtc:offer").await;

    // A file from session to session, one in by HTTP and one out by HTTP with its ticket.
    let file = File::new("kestrel-diagnosis.txt", "text/plain", &b"contents of kestrel's file"[..]);
    ann.offer("t-1", &file).await.unwrap();
    let one = offered(&mut ben).await;
    visitor.links.push(one.link.clone());
    ben.accept(&one.transfer).await.unwrap();
    let (_, _) = tokio::join!(until(&mut ann, "file:complete"), until(&mut ben, "file:complete"));
    ann.offer("t-2", &file).await.unwrap();
    let two = offered(&mut ben).await;
    visitor.links.push(two.link.clone());
    let fetching = visitor.http.get(format!("{}{}", visitor.base, two.link)).bearer_auth(&ben_token);
    let fetched = async { fetching.send().await.unwrap().text().await.unwrap() };
    let (fetched, _) = tokio::join!(fetched, until(&mut ann, "file:complete"));
    assert_eq!(fetched, "contents of kestrel's file");
    let part = || Part::text("contents of kestrel's file").file_name("kestrel-payslip.txt").mime_str("text/plain");
    let upload = || {
        let request = visitor.http.post(format!("{}/api/files", visitor.base)).bearer_auth(&ann_token);
        request.multipart(Form::new().part("file", part().unwrap())).send()
    };
    let receive = async {
        let three = offered(&mut ben).await;
        ben.accept(&three.transfer).await.unwrap();
        until(&mut ben, "file:complete").await;
        three.link
    };
    let (uploaded, link) = tokio::join!(upload(), receive);
    assert_eq!(uploaded.unwrap().status(), 201);
    visitor.links.push(link);
    assert_eq!(upload().await.unwrap().status(), 429, "one an hour");

    // What is wrong with what a client says is told to the client.
    ann.wire()
        .send(r#"{"event":"kestrel:event","data":{"a":"kestrel said this in confidence"}}"#.into())
        .await
        .unwrap();
    until(&mut ann, "error").await;
    for _ in 0..8 {
        ann.send(&ClientEvent::Typing(Typing { typing: true })).await.unwrap();
    }
    until(&mut ann, "error").await;
    let (guest, _) = visitor.enters("/api/auth/guest", &json!({})).await;
    let answer = visitor.socketio(&guest).await;
    assert!(answer.contains("40{"), "{answer}");
    let answer = visitor.socketio("kestrel-forged-token").await;
    assert!(answer.contains("44{"), "{answer}");
    ben.send(&ClientEvent::Leave(Nothing {})).await.unwrap();
    until(&mut ann, "user:unmatched").await;

    let (stderr, files) = program.stop();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["combined.log", "error.log"]);
    let combined = &files[0].1;
    for line in combined.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    assert_eq!(files[1].1, "", "nothing failed");
    assert!(!stderr.contains('\u{1b}'), "colours are for terminals");

    // What must be there, or else the rest would hold of an empty log.
    for text in [&stderr, combined] {
        for wanted in [
            "started",
            "an account was made",
            "a login was refused",
            "a client was not let in",
            "token-invalid",
            "session began",
            "WebSocket",
            "WebTransport",
            "a rate limit was hit",
            "127.0.0.0",
            "session ended",
            "draining",
            "stopped",
            "DEBUG",
            &ann_id,
            &ben_id,
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in {text}");
        }
    }
    let tickets = visitor.links.iter().map(|link| link.rsplit('/').next().unwrap());
    let signatures = visitor.tokens.iter().flat_map(|token| token.split('.').skip(1));
    let secrets = SECRETS.into_iter().chain(tickets).chain(signatures).chain(keys.iter().map(String::as_str));
    for secret in secrets {
        assert!(secret.len() >= 11, "{secret}");
        for (name, text) in files.iter().map(|(name, text)| (name.as_str(), text)).chain([("stderr", &stderr)]) {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{name} says {secret:?}: {line:?}");
        }
    }
}
