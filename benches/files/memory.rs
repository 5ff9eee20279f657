//! What a server keeps of files whose receivers stand still. The server is a process of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use duologue::client::{Client, File, Rest};
use duologue::hub::Door;
use duologue::load::content;
use duologue::protocol::{About, CHUNK, ChunkHeader, ClientEvent, TRANSFER_WINDOW, TransferId};

use super::{DOORS, MIB, meet, settings, until};

const TRANSFERS: usize = 100;
/// What is asked of the system is seen, and what is freed is given back, after this long.
const REST: Duration = Duration::from_secs(3);

/// As it is, and made to give back at once what is freed: the rest is what the server still holds.
const ALLOCATORS: [(&[(&str, &str)], &str); 2] =
    [(&[], "as it is"), (&[("MALLOC_MMAP_THRESHOLD_", "16384")], "MALLOC_MMAP_THRESHOLD_=16384")];

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn resident(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
    }
}

pub(super) async fn stalled(folder: &Path) {
    println!(
        "\n| {TRANSFERS} files to receivers that stand still | before | at a standstill | called off | again | called off |"
    );
    println!("|---|---|---|---|---|---|");
    for door in DOORS {
        for (number, (allocator, what)) in ALLOCATORS.iter().enumerate() {
            let seen = watch(&folder.join(format!("{door:?} {number}")), door, allocator).await;
            let more = |kib: &f64| format!("+ {:.0} KiB each", (kib - seen[0]) / TRANSFERS as f64);
            let more: Vec<String> = seen[1..].iter().map(more).collect();
            println!("| {door:?}, {what} | {:.1} MiB | {} |", seen[0] / 1024.0, more.join(" | "));
        }
    }
}

/// Resident KiB before, and then at a standstill and after it, twice.
async fn watch(folder: &Path, door: Door, allocator: &[(&str, &str)]) -> Vec<f64> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    std::fs::create_dir_all(folder).unwrap();
    let process = Process(
        Command::new(env!("CARGO_BIN_EXE_duologue"))
            .current_dir(folder)
            .envs(settings(folder))
            .envs(allocator.iter().copied())
            .env("DUOLOGUE_LISTEN_HTTP", format!("127.0.0.1:{port}"))
            .env("DUOLOGUE_LISTEN_QUIC", format!("127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let rest = loop {
        match Rest::at(&format!("http://127.0.0.1:{port}")).await {
            Ok(rest) if rest.target().await.is_ok() => break rest,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let target = rest.target().await.unwrap();
    let mut pairs = Vec::new();
    for number in 0..TRANSFERS {
        pairs.push(meet(&rest, &target, door, &format!("stalled {number}")).await);
    }
    tokio::time::sleep(REST).await;
    let mut seen = vec![process.resident()];
    let file = File::new("big.bin", "application/octet-stream", content(2, 10 * MIB));
    for round in 0..2 {
        let id = TransferId::new(&format!("big-{round}")).unwrap();
        for pair in &mut pairs {
            begin(pair, &id, &file).await;
        }
        tokio::time::sleep(REST).await;
        seen.push(process.resident());
        for [one, other] in &mut pairs {
            one.call_off(&id).await.unwrap();
            until_cancelled(other).await;
        }
        tokio::time::sleep(REST).await;
        seen.push(process.resident());
        // Nobody is to be taken for dead.
        for client in pairs.iter_mut().flatten() {
            let _ = client.next(Duration::from_millis(1)).await;
        }
    }
    seen
}

/// A receiver accepts and does no more; a sender sends as much as it may.
async fn begin([one, other]: &mut [Client; 2], id: &TransferId, file: &File) {
    one.send(&ClientEvent::Offer(file.offer(id.clone()))).await.unwrap();
    until(other, "file:offer").await;
    other.send(&ClientEvent::Accept(About { transfer: id.clone() })).await.unwrap();
    until(one, "file:accept").await;
    for offset in (0..TRANSFER_WINDOW).step_by(CHUNK) {
        let start = usize::try_from(offset).unwrap();
        let header = ChunkHeader { transfer: id.clone(), offset };
        one.wire().send_bytes(&header, file.bytes.slice(start..start + CHUNK), false).await.unwrap();
    }
}

/// Its link stood still too; what came meanwhile is passed over.
async fn until_cancelled(client: &mut Client) {
    loop {
        if client.next(super::WAIT).await.unwrap().name() == "file:cancel" {
            return;
        }
    }
}
