//! The files and voice notes of a talk, as a person at a terminal sees them. Pure: what is read and
//! written is asked for.

use std::path::{Path, PathBuf};

use super::room::{Order, clean, show};
use crate::client::File;
use crate::protocol::{Cancelled, FileKind, Offered, Progress, Refusal, SessionId, TransferEnd, TransferId};

/// All that are offered or under way.
pub(super) struct Files {
    /// Names of our own begin so: unlike any of the partner's.
    session: SessionId,
    offered: u64,
    list: Vec<Entry>,
    /// Everything is accepted, and saved here.
    folder: Option<PathBuf>,
}

struct Entry {
    id: TransferId,
    /// What it is called in commands.
    number: usize,
    way: Way,
    name: String,
    size: u64,
    /// Quarters that were told of.
    quarters: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Way {
    Out,
    /// Offered, and not answered.
    Asked,
    /// Accepted.
    In(PathBuf),
}

impl Files {
    pub(super) fn new(session: SessionId, folder: Option<PathBuf>) -> Self {
        Self { session, offered: 0, list: Vec::new(), folder }
    }

    /// `/send PATH` and `/voice PATH`.
    pub(super) fn send(&self, path: &str, kind: FileKind) -> Vec<Order> {
        let path = ['"', '\''].iter().find_map(|quote| path.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(path);
        if path.is_empty() {
            return vec![show("Which file? /send PATH, or /voice PATH for a recording.")];
        }
        vec![Order::Read(PathBuf::from(path), kind)]
    }

    /// The file was read: it is offered.
    pub(super) fn offer(&mut self, file: File) -> Vec<Order> {
        self.offered += 1;
        let id = TransferId::new(&format!("{}-{}", self.session, self.offered)).expect("not too long");
        let (name, bytes) = (clean(&file.name), file.bytes.len() as u64);
        let words = format!("* Sending {name} ({})\u{2026}", size(bytes));
        self.enter(id.clone(), Way::Out, name, bytes);
        vec![Order::Offer(id, file), Order::Show(words)]
    }

    fn enter(&mut self, id: TransferId, way: Way, name: String, size: u64) -> usize {
        let number = self.list.iter().map(|entry| entry.number).max().unwrap_or(0) + 1;
        self.list.push(Entry { id, number, way, name, size, quarters: 0 });
        number
    }

    /// The partner offers something.
    pub(super) fn offered(&mut self, offered: &Offered) -> Vec<Order> {
        let name = clean(&offered.name);
        let bytes = offered.size.unwrap_or(0);
        let long = offered.size.map_or_else(|| "size unknown".to_owned(), size);
        let what = match offered.kind {
            FileKind::File => format!("{name} ({long}, {})", clean(&offered.mime)),
            FileKind::Voice => format!("a voice note ({long}, {})", clean(&offered.mime)),
        };
        let id = offered.transfer.clone();
        if let Some(folder) = self.folder.clone() {
            self.enter(id.clone(), Way::In(folder), name, bytes);
            return vec![Order::Accept(id), Order::Show(format!("* They send {what}."))];
        }
        let number = self.enter(id, Way::Asked, name, bytes);
        let which = if self.list.len() > 1 { format!(" {number}") } else { String::new() };
        vec![Order::Show(format!("* They offer {what}. /accept{which} or /reject{which}"))]
    }

    /// `/accept [N] [FOLDER|FILE]`. `here`: whether something can be saved in a place, and why not.
    pub(super) fn accept(&mut self, rest: &str, here: impl Fn(&Path) -> Result<(), String>) -> Vec<Order> {
        let (number, place) = number(rest);
        let entry = match self.choose(number, "accept", |way| *way == Way::Asked) {
            Ok(entry) => entry,
            Err(words) => return vec![Order::Show(words)],
        };
        let place = PathBuf::from(if place.is_empty() { "." } else { place });
        if let Err(words) = here(&place) {
            return vec![Order::Show(clean(&words))];
        }
        entry.way = Way::In(place);
        vec![Order::Accept(entry.id.clone())]
    }

    /// `/reject [N]`.
    pub(super) fn reject(&mut self, rest: &str) -> Vec<Order> {
        self.let_go(rest, "reject", |way| *way == Way::Asked, Order::Reject, "You do not want")
    }

    /// `/cancel [N]`.
    pub(super) fn cancel(&mut self, rest: &str) -> Vec<Order> {
        self.let_go(rest, "cancel", |way| *way != Way::Asked, Order::CallOff, "You called off")
    }

    fn let_go(
        &mut self,
        rest: &str,
        command: &str,
        fits: impl Fn(&Way) -> bool,
        order: fn(TransferId) -> Order,
        words: &str,
    ) -> Vec<Order> {
        let (id, words) = match self.choose(number(rest).0, command, fits) {
            Ok(entry) => (entry.id.clone(), format!("{words} {}.", entry.name)),
            Err(words) => return vec![Order::Show(words)],
        };
        self.remove(&id);
        vec![order(id), Order::Show(words)]
    }

    /// The one that is meant: by its number, or because there is no other.
    fn choose(
        &mut self,
        number: Option<usize>,
        command: &str,
        fits: impl Fn(&Way) -> bool,
    ) -> Result<&mut Entry, String> {
        let which: Vec<usize> = (0..self.list.len()).filter(|&at| fits(&self.list[at].way)).collect();
        let meant = |at: &&usize| number.is_none_or(|number| self.list[**at].number == number);
        let found: Vec<usize> = which.iter().filter(meant).copied().collect();
        match (found[..].first(), found.len()) {
            (Some(&at), 1) => Ok(&mut self.list[at]),
            _ if which.is_empty() => Err(format!("There is nothing to {command}.")),
            _ => {
                let name = |&at: &usize| format!("/{command} {} for {}", self.list[at].number, self.list[at].name);
                Err(format!("Which one? {}.", which.iter().map(name).collect::<Vec<_>>().join(", ")))
            }
        }
    }

    /// The partner has so much of ours.
    pub(super) fn progress(&mut self, progress: &Progress) -> Option<String> {
        let entry = self.list.iter_mut().find(|entry| entry.id == progress.transfer)?;
        let quarters = progress.received * 4 / entry.size.max(1);
        let fresh = quarters > entry.quarters;
        entry.quarters = entry.quarters.max(quarters);
        // All of it has a line of its own.
        (fresh && quarters < 4).then(|| format!("* {}: {} %", entry.name, quarters * 25))
    }

    /// The partner wants ours.
    pub(super) fn accepted(&self, id: &TransferId) -> Option<String> {
        let entry = self.list.iter().find(|entry| entry.id == *id)?;
        Some(match entry.way {
            Way::Out => format!("* They want {}.", entry.name),
            Way::Asked | Way::In(_) => format!("* {} is fetched by its link.", entry.name),
        })
    }

    /// The partner does not want ours.
    pub(super) fn rejected(&mut self, id: &TransferId) -> Option<String> {
        Some(format!("* They do not want {}.", self.remove(id)?.name))
    }

    /// The partner has ours; or one of theirs came and is not what it should be.
    pub(super) fn complete(&mut self, id: &TransferId) -> Option<String> {
        let entry = self.remove(id)?;
        Some(match entry.way {
            Way::Out => format!("* They have {}.", entry.name),
            Way::Asked => format!("* {} was fetched by its link.", entry.name),
            Way::In(_) => format!("* {} did not arrive as it was sent.", entry.name),
        })
    }

    /// One of theirs is here: where it is to be saved.
    pub(super) fn received(&mut self, offered: &Offered) -> PathBuf {
        match self.remove(&offered.transfer) {
            Some(Entry { way: Way::In(place), .. }) => place,
            _ => PathBuf::from("."),
        }
    }

    /// One ended before its end.
    pub(super) fn cancelled(&mut self, cancelled: &Cancelled) -> Option<String> {
        let entry = self.remove(&cancelled.transfer)?;
        Some(match (cancelled.code, &entry.way) {
            (TransferEnd::Cancelled, _) => format!("* They called off {}.", entry.name),
            (_, Way::Out) => format!("* {} did not get there. {}", entry.name, clean(&cancelled.message)),
            (_, Way::Asked | Way::In(_)) => format!("* {} did not arrive. {}", entry.name, clean(&cancelled.message)),
        })
    }

    /// The server did not take an offer of ours.
    pub(super) fn refused(&mut self, refusal: &Refusal) -> Option<String> {
        let id = TransferId::new(refusal.id.as_deref()?).ok()?;
        if refusal.event.as_deref() != Some("file:offer") {
            return None;
        }
        let entry = self.remove(&id)?;
        Some(format!("* {} was not sent. {}", entry.name, clean(&refusal.message)))
    }

    /// The talk is over, and with it all of them.
    pub(super) fn over(&mut self) -> Vec<String> {
        let gone = std::mem::take(&mut self.list).into_iter();
        gone.map(|entry| format!("* {} did not arrive: the talk is over.", entry.name)).collect()
    }

    fn remove(&mut self, id: &TransferId) -> Option<Entry> {
        let at = self.list.iter().position(|entry| entry.id == *id)?;
        Some(self.list.remove(at))
    }
}

/// A number first, perhaps, and the rest.
fn number(text: &str) -> (Option<usize>, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    first.parse().map_or((None, text), |number| (Some(number), rest.trim()))
}

/// So many bytes, for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
