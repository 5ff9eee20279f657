//! How much memory the server takes, if it runs on this machine: read off the process that listens
//! on its port.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Resident bytes of the process that listens at this address; `None`: not here, or not to be seen.
pub fn resident(address: SocketAddr) -> Option<u64> {
    if !address.ip().is_loopback() {
        return None;
    }
    let inode = listening_inode(address.port())?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let process = processes.map(|entry| entry.path()).find(|process| holds(process, &wanted))?;
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kb| kb * 1024)
}

fn listening_inode(port: u16) -> Option<String> {
    const LISTENING: &str = "0A";
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let local = fields.get(1)?.rsplit_once(':')?.1;
            let here = u16::from_str_radix(local, 16).ok()? == port && fields.get(3) == Some(&LISTENING);
            here.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
        })
    })
}

fn holds(process: &Path, socket: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == socket))
}
