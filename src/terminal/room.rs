//! The terminal client without its terminal: news in, orders out; a typed line in, orders out. Pure,
//! but for a look at whether a folder is there.

use std::path::PathBuf;

use bytes::Bytes;

use super::disk;
use super::files::Files;
use crate::client::{File, News};
use crate::hub::Door;
use crate::protocol::{
    Attention, ClientEvent, DeclineCall, Ending, ErrorCode, FileKind, Message, MessageId, MessageKind, Nothing,
    OwnPresence, Presence, ServerEvent, TransferId, Wish,
};

/// What can be typed, as `/help` shows it.
const HELP: &str = "\
/find [interests]   look for someone (separate interests by commas)
/skip               leave, and look for the next one
/leave              leave the talk, or stop looking
/clear              clear the messages on both sides
/away, /back        tell them whether you are here
/send PATH          send a file
/voice PATH         send a recording as a voice note
/accept [N] [PATH]  take what they offer, into this folder or another, or as a file of that name
/reject [N]         do not take it
/cancel [N]         call off a file that is on its way, yours or theirs
/door NAME          webtransport, websocket, or auto
/cut                lose the link on purpose: nothing else is lost
/quit               leave and close";
/// What is told who speaks to nobody.
const NOBODY: &str = "Nobody is there to hear it. /find looks for someone.";

/// What news or a typed line ask for.
#[derive(Debug)]
pub(super) enum Order {
    /// Say this to the server.
    Say(ClientEvent),
    /// Use these doors from now on.
    Doors(Vec<Door>),
    /// Lose the link.
    Cut,
    /// Read this file, to be sent.
    Read(PathBuf, FileKind),
    /// Offer it.
    Offer(TransferId, File),
    /// Take what they offer.
    Accept(TransferId),
    /// Do not take it.
    Reject(TransferId),
    /// Do not go on with it.
    CallOff(TransferId),
    /// Save what has come, in a place, under what they call it.
    Save(PathBuf, String, Bytes),
    /// The end.
    Quit,
    /// Tell the person this.
    Show(String),
}

/// Who is there and how it stands.
pub(super) struct Room {
    me: String,
    doors: Vec<Door>,
    door: Option<Door>,
    round_trip_ms: Option<u128>,
    partner: Option<Partner>,
    looking: bool,
    wish: Wish,
    said: u64,
    /// Said and not told as delivered.
    on_the_way: usize,
    pub(super) files: Files,
}

struct Partner {
    name: String,
    status: Presence,
    typing: bool,
}

impl Room {
    pub(super) fn new(me: &str, doors: Vec<Door>, door: Door, wish: Wish, files: Files) -> Self {
        Self {
            me: clean(me),
            doors,
            door: Some(door),
            round_trip_ms: None,
            partner: None,
            looking: false,
            wish,
            said: 0,
            on_the_way: 0,
            files,
        }
    }

    /// What is shown first.
    pub(super) fn welcome(&self) -> Vec<String> {
        vec![format!("You are {}. /find looks for someone, /help tells the rest.", self.me)]
    }

    /// What stands before the line that is being typed.
    pub(super) fn prompt(&self) -> String {
        let link = match (self.door, self.round_trip_ms) {
            (Some(door), Some(trip)) => format!("{} {trip} ms", name(door)),
            (Some(door), None) => name(door).to_owned(),
            (None, _) => "reconnecting".to_owned(),
        };
        let who = match &self.partner {
            Some(partner) => {
                let state = match (partner.status, partner.typing) {
                    (Presence::Reconnecting, _) => " (reconnecting)",
                    (Presence::Away, _) => " (away)",
                    (_, true) => " (writing)",
                    _ => "",
                };
                let ticks = match (self.said, self.on_the_way) {
                    (0, _) => String::new(),
                    (_, 0) => " \u{2713}\u{2713}".to_owned(),
                    (_, count) => format!(" {count} on the way"),
                };
                format!("{}{state}{ticks}", partner.name)
            }
            None if self.looking => "looking".to_owned(),
            None => "nobody".to_owned(),
        };
        format!("[{link}] {who} > ")
    }

    /// Takes a typed line.
    pub(super) fn typed(&mut self, line: &str) -> Vec<Order> {
        let line = line.trim();
        let Some(command) = line.strip_prefix('/') else { return self.say(line) };
        let (command, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        match command {
            "find" | "f" => {
                if !rest.is_empty() {
                    self.wish.interests = list(rest);
                }
                vec![Order::Say(ClientEvent::Match(self.wish.clone()))]
            }
            "skip" | "s" => vec![Order::Say(ClientEvent::Skip(Nothing {}))],
            "leave" | "l" if self.looking => vec![Order::Say(ClientEvent::MatchCancel(Nothing {}))],
            "leave" | "l" => vec![Order::Say(ClientEvent::Leave(Nothing {}))],
            "away" => {
                vec![present(Attention::Away), show("They are told that you are away. /back tells that you are here.")]
            }
            "back" => vec![present(Attention::Online), show("They are told that you are here.")],
            "clear" => vec![Order::Say(ClientEvent::Clear(Nothing {})), show("You cleared the messages.")],
            "door" => match rest {
                "webtransport" => vec![Order::Doors(vec![Door::WebTransport, Door::WebSocket])],
                "websocket" => vec![Order::Doors(vec![Door::WebSocket])],
                "auto" => vec![Order::Doors(self.doors.clone())],
                _ => vec![show("Which door? /door webtransport, /door websocket, or /door auto.")],
            },
            "send" | "voice" if self.partner.is_none() => vec![show(NOBODY)],
            "send" => self.files.send(rest, FileKind::File),
            "voice" => self.files.send(rest, FileKind::Voice),
            "accept" => self.files.accept(rest, |place| disk::aim(Some(place), "").map(drop)),
            "reject" => self.files.reject(rest),
            "cancel" => self.files.cancel(rest),
            "cut" => vec![Order::Cut],
            "help" | "h" | "?" => HELP.lines().map(show).collect(),
            "quit" | "q" | "exit" => vec![Order::Quit],
            other => vec![show(&format!("There is no /{}. /help tells what there is.", clean(other)))],
        }
    }

    fn say(&mut self, text: &str) -> Vec<Order> {
        if text.is_empty() {
            return Vec::new();
        }
        if self.partner.is_none() {
            return vec![show(NOBODY)];
        }
        self.said += 1;
        self.on_the_way += 1;
        let id = MessageId::new(&format!("t{}", self.said)).expect("a short id");
        let message = Message { id, kind: MessageKind::Text, content: text.to_owned(), timestamp: None };
        vec![Order::Say(ClientEvent::Message(message)), show(&format!("you: {}", clean(text)))]
    }

    /// Takes news. `Err`: the end, and why.
    pub(super) fn hear(&mut self, news: News) -> Result<Vec<Order>, String> {
        let mut lines = Vec::new();
        match news {
            News::Heard(ServerEvent::Offer(offered)) => return Ok(self.files.offered(&offered)),
            News::Heard(ServerEvent::Rings(rings)) => {
                let decline = ClientEvent::DeclineCall(DeclineCall { call: rings.call, reason: None });
                let note = "* They called. A terminal takes no calls, and has said so.";
                return Ok(vec![Order::Say(decline), Order::Show(note.to_owned())]);
            }
            News::Heard(event) => lines.extend(self.event(event)),
            News::Received(offered, bytes) => {
                let place = self.files.received(&offered);
                return Ok(vec![Order::Save(place, offered.name, bytes)]);
            }
            News::RoundTrip(trip) => self.round_trip_ms = Some(trip.as_millis().max(1)),
            News::Unlinked { .. } => {
                self.door = None;
                self.round_trip_ms = None;
            }
            News::Linked { door, was, .. } => {
                self.door = Some(door);
                self.round_trip_ms = None;
                if was != Some(door) {
                    lines.push(format!("* Moved to {}. Nothing is lost.", name(door)));
                }
            }
            News::Anew(_) => {
                lines.extend(self.files.over());
                if self.partner.take().is_some() {
                    lines.push("* We were away too long, and the talk has ended. /find looks for someone.".to_owned());
                }
                self.looking = false;
                self.on_the_way = 0;
            }
            News::GoesOn => lines.push("* Back. Your conversation goes on.".to_owned()),
            News::Repeated(_) => {}
            News::Over(error) => return Err(clean(&error.to_string())),
        }
        Ok(lines.into_iter().map(Order::Show).collect())
    }

    fn event(&mut self, event: ServerEvent) -> Vec<String> {
        if matches!(event, ServerEvent::Unmatched(_) | ServerEvent::Idle(_)) {
            let mut lines = self.files.over();
            lines.extend(self.line(event));
            return lines;
        }
        self.line(event).into_iter().collect()
    }

    fn line(&mut self, event: ServerEvent) -> Option<String> {
        match event {
            ServerEvent::Matching(_) if !self.looking => {
                self.looking = true;
                self.partner = None;
                Some("* Looking for someone.".to_owned())
            }
            ServerEvent::Matched(matched) => {
                let name = clean(&matched.matched_user.user.username);
                let common = match matched.common.as_slice() {
                    [] => String::new(),
                    common => format!(" You both like {}.", clean(&common.join(", "))),
                };
                self.looking = false;
                (self.said, self.on_the_way) = (0, 0);
                self.partner = Some(Partner { name: name.clone(), status: Presence::Online, typing: false });
                Some(format!("* You are talking with {name}.{common}"))
            }
            ServerEvent::Unmatched(unmatched) => {
                self.partner = None;
                let why = match unmatched.reason {
                    Ending::Left | Ending::Skipped => "They left.",
                    Ending::Disconnected => "They did not come back.",
                    Ending::Blocked | Ending::Ended => "The talk has ended.",
                };
                Some(format!("* {why} /find looks for someone else."))
            }
            ServerEvent::Idle(_) => {
                let words = if self.partner.take().is_some() { "* You left." } else { "* You stopped looking." };
                self.looking = false;
                Some(words.to_owned())
            }
            ServerEvent::Message(message) => {
                let partner = self.partner.as_mut()?;
                partner.typing = false;
                Some(format!("{}: {}", partner.name, clean(&message.content)))
            }
            ServerEvent::Delivered(_) => {
                self.on_the_way = self.on_the_way.saturating_sub(1);
                None
            }
            ServerEvent::Typing(typing) => {
                self.partner.as_mut()?.typing = typing.typing;
                None
            }
            ServerEvent::Status(status) => {
                self.partner.as_mut()?.status = status.status;
                None
            }
            ServerEvent::Clear(_) => Some("* They cleared the messages.".to_owned()),
            ServerEvent::Accept(about) => self.files.accepted(&about.transfer),
            ServerEvent::Reject(about) => self.files.rejected(&about.transfer),
            ServerEvent::Progress(progress) => self.files.progress(&progress),
            ServerEvent::Complete(complete) => self.files.complete(&complete.transfer),
            ServerEvent::Cancel(cancelled) => self.files.cancelled(&cancelled),
            ServerEvent::Error(refusal) => {
                if let Some(line) = self.files.refused(&refusal) {
                    return Some(line);
                }
                if refusal.code == ErrorCode::NoConversation && refusal.id.is_some() {
                    self.on_the_way = self.on_the_way.saturating_sub(1);
                }
                Some(format!("* {}", clean(&refusal.message)))
            }
            _ => None,
        }
    }
}

/// Words separated by commas.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What somebody else wrote, made harmless for a terminal: no control characters, which could move
/// its cursor or worse, and none that turn the direction of what follows.
pub(super) fn clean(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(harmless).collect()
}

fn present(status: Attention) -> Order {
    Order::Say(ClientEvent::Presence(OwnPresence { status }))
}

pub(super) fn show(text: &str) -> Order {
    Order::Show(text.to_owned())
}

fn name(door: Door) -> &'static str {
    match door {
        Door::WebTransport => "WebTransport",
        Door::WebSocket => "WebSocket",
        Door::SocketIo => "Socket.IO",
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
