//! The files that two people send each other, and what became of them: the contract, checked for each
//! file. Pure: times are passed in.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::ledger::Broken;
use crate::protocol::TransferId;

/// Files that each pair sends, and their size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many.
    pub count: usize,
    /// Bytes of each.
    pub size: usize,
}

impl FromStr for Plan {
    type Err = String;

    /// Reads `N` or `N:SIZE`; a size is in bytes, or `64k`, or `10M`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not N or N:SIZE, such as 20 or 20:64k");
        let (count, size) = text.split_once(':').unwrap_or((text, "1M"));
        let (digits, unit) = match size.as_bytes().last() {
            Some(b'k' | b'K') => (&size[..size.len() - 1], 1024),
            Some(b'm' | b'M') => (&size[..size.len() - 1], 1024 * 1024),
            _ => (size, 1),
        };
        let size = digits.parse::<usize>().ok().and_then(|size| size.checked_mul(unit)).filter(|size| *size > 0);
        Ok(Self { count: count.parse().map_err(|_| wrong())?, size: size.ok_or_else(wrong)? })
    }
}

/// A file of this size: the same for the same seed, and of no type that anything knows.
pub fn content(seed: u64, size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    // Its first bytes say what a file is.
    let head = b"duologue load ";
    let length = head.len().min(size);
    bytes[..length].copy_from_slice(&head[..length]);
    bytes.into()
}

/// The files of one pair, both ways.
#[derive(Debug, Default)]
pub struct Files {
    sent: Vec<Sent>,
    damaged: usize,
}

#[derive(Debug)]
struct Sent {
    id: TransferId,
    /// Kept until it has come.
    bytes: Option<Bytes>,
    at: Duration,
    /// The sender was told that it came.
    told: bool,
    cancelled: bool,
}

impl Sent {
    fn is_settled(&self) -> bool {
        self.cancelled || (self.bytes.is_none() && self.told)
    }
}

impl Files {
    /// What the next file is called that a side offers.
    pub fn next(&self, side: usize) -> TransferId {
        TransferId::new(&format!("{side}-f{}", self.sent.len())).expect("a short id")
    }

    /// Notes that this is offered.
    pub fn send(&mut self, id: TransferId, bytes: Bytes, now: Duration) {
        self.sent.push(Sent { id, bytes: Some(bytes), at: now, told: false, cancelled: false });
    }

    /// It came; yields how long that took, if it is what was sent. The client has compared its SHA-256
    /// with the server's; this compares the bytes with the sender's.
    pub fn arrive(&mut self, id: &TransferId, bytes: &Bytes, now: Duration) -> Option<Duration> {
        let sent = self.find(id).and_then(|sent| Some((sent.bytes.take()?, sent.at)));
        match sent {
            Some((expected, at)) if expected == bytes => Some(now.saturating_sub(at)),
            _ => {
                self.damaged += 1;
                None
            }
        }
    }

    /// Its sender was told that it came.
    pub fn tell(&mut self, id: &TransferId) {
        match self.find(id).filter(|sent| !sent.told) {
            Some(sent) => sent.told = true,
            None => self.damaged += 1,
        }
    }

    /// It came, and not as it was sent.
    pub fn damage(&mut self, id: &TransferId) {
        self.damaged += 1;
        if let Some(sent) = self.find(id) {
            sent.bytes = None;
        }
    }

    /// It will not come.
    pub fn cancel(&mut self, id: &TransferId) {
        if let Some(sent) = self.find(id) {
            sent.cancelled = true;
        }
    }

    /// How many were offered.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// Whether all have come, and their senders know; or never will.
    pub fn is_settled(&self) -> bool {
        self.sent.iter().all(Sent::is_settled)
    }

    /// What was broken, if nothing more is to come.
    pub fn close(&self) -> Broken {
        let lost = self.sent.iter().filter(|sent| !sent.is_settled()).count();
        let cancelled = self.sent.iter().filter(|sent| sent.cancelled).count();
        Broken { files_lost: lost, files_damaged: self.damaged, files_cancelled: cancelled, ..Broken::default() }
    }

    fn find(&mut self, id: &TransferId) -> Option<&mut Sent> {
        self.sent.iter_mut().find(|sent| sent.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read() {
        let plan = |count, size| Ok(Plan { count, size });
        assert_eq!("20".parse(), plan(20, 1 << 20));
        assert_eq!("3:300".parse(), plan(3, 300));
        assert_eq!("3:64k".parse(), plan(3, 65_536));
        assert_eq!("0:10M".parse(), plan(0, 10 << 20));
        for wrong in ["", "x", "3:", "3:0", "3:k", "3:1G", ":5", "-1"] {
            assert!(wrong.parse::<Plan>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_file() {
        assert_eq!(content(7, 100), content(7, 100));
        assert_ne!(content(7, 100), content(8, 100));
        assert_eq!([content(7, 1).len(), content(7, 14).len(), content(7, 15).len()], [1, 14, 15]);
    }

    #[test]
    fn files_that_come_are_settled_and_each_broken_promise_is_seen() {
        let (at, now) = (Duration::from_secs(1), Duration::from_secs(3));
        let mut files = Files::default();
        let mut ids = Vec::new();
        for number in 0..6 {
            ids.push(files.next(number % 2));
            files.send(ids[number].clone(), content(number as u64, 50), at);
        }
        assert_eq!(files.arrive(&ids[0], &content(0, 50), now), Some(now - at));
        files.tell(&ids[0]);
        assert!(files.sent[0].is_settled() && !files.is_settled());
        assert_eq!(files.arrive(&ids[0], &content(0, 50), now), None); // twice: damaged
        assert_eq!(files.arrive(&ids[1], &content(0, 50), now), None); // another's: damaged
        files.tell(&ids[1]);
        files.damage(&ids[2]);
        files.tell(&ids[2]);
        files.arrive(&ids[3], &content(3, 50), now); // never told: lost
        files.cancel(&ids[4]);
        // 5 never came.
        let broken = Broken { files_lost: 2, files_damaged: 3, files_cancelled: 1, ..Broken::default() };
        assert_eq!(files.close(), broken);
        assert_eq!((broken.files(), broken.total()), (6, 6));
    }
}
