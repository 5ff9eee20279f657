//! The WebSocket stack against RFC 6455: the 301 cases of the Autobahn test suite that concern what we
//! speak (1 to 11; 12 and 13 are compression, which is off), with an echo over the settings of our door.
//!
//! `tests/run autobahn` makes the suite run in `target/autobahn` (`setup.sh`) and calls this.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use duologue::transport::websocket::configured;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

/// The largest message that a case sends is of 16 MiB.
const LARGEST: usize = 17 * 1024 * 1024;
const CASES: usize = 301;
/// Time for all of them, in seconds.
const LONG: &str = "170";

#[derive(Debug, Deserialize)]
struct Outcome {
    behavior: Option<String>,
    #[serde(rename = "behaviorClose")]
    close: Option<String>,
    error: Option<String>,
    #[serde(rename = "result")]
    _result: Option<String>,
}

impl Outcome {
    fn is_good(&self) -> bool {
        // Informational: the standard leaves it open, as what becomes of data after a close.
        let behavior = matches!(self.behavior.as_deref(), Some("OK" | "NON-STRICT" | "INFORMATIONAL"));
        let close = matches!(self.close.as_deref(), Some("OK" | "INFORMATIONAL"));
        behavior && close && self.error.is_none()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python and target/autobahn: tests/run autobahn"]
async fn every_case_of_the_suite_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/autobahn");
    let report = folder.join("report.json");
    assert!(folder.join("pkg").exists(), "tests/autobahn/setup.sh target/autobahn was not run");
    let _ = std::fs::remove_file(&report);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let serving = axum::serve(listener, Router::new().route("/", any(upgrade)));
    let mut driver = Command::new("timeout");
    driver
        .args([Path::new(LONG), &folder.join("venv/bin/python"), &root.join("tests/autobahn/driver.py")])
        .args([url.as_str(), report.to_str().unwrap(), "*", "-12.*", "-13.*"])
        .env("ATS_PKG", folder.join("pkg"))
        .stdin(Stdio::null());
    let driven = tokio::select! {
        driven = spawn_blocking(move || driver.output()) => driven.unwrap().unwrap(),
        served = serving => panic!("the echo ended: {served:?}"),
    };
    let said = String::from_utf8_lossy(&driven.stderr);
    assert!(driven.status.success(), "{} (124: not within {LONG} s): {said}", driven.status);

    let outcomes: BTreeMap<String, Outcome> = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let bad: Vec<_> = outcomes.iter().filter(|(_, outcome)| !outcome.is_good()).collect();
    assert!(bad.is_empty(), "{bad:#?}\n{said}");
    assert_eq!(outcomes.len(), CASES);
    let mut counts = BTreeMap::new();
    outcomes.values().for_each(|outcome| *counts.entry(outcome.behavior.clone().unwrap()).or_insert(0) += 1);
    println!("{CASES} of {CASES} cases pass: {counts:?}");
}

async fn upgrade(upgrade: WebSocketUpgrade) -> axum::response::Response {
    configured(upgrade, LARGEST).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let data = matches!(message, Message::Text(_) | Message::Binary(_));
        if data && socket.send(message).await.is_err() {
            return;
        }
    }
}
