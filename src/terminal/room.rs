//! The terminal client without its terminal: news in, lines out; a typed line in, orders out. Pure.

use crate::client::News;
use crate::hub::Door;
use crate::protocol::{
    ClientEvent, Ending, ErrorCode, Message, MessageId, MessageKind, Nothing, Presence, ServerEvent, Wish,
};

/// What can be typed, as `/help` shows it.
const HELP: &str = "\
/find [interests]   look for someone (separate interests by commas)
/skip               leave, and look for the next one
/leave              leave the talk, or stop looking
/clear              clear the messages on both sides
/door NAME          webtransport, websocket, or auto
/cut                lose the link on purpose: nothing else is lost
/quit               leave and close";

/// What a typed line asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    /// Say this to the server.
    Say(ClientEvent),
    /// Use these doors from now on.
    Doors(Vec<Door>),
    /// Lose the link.
    Cut,
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
}

struct Partner {
    name: String,
    status: Presence,
    typing: bool,
}

impl Room {
    pub(super) fn new(me: &str, doors: Vec<Door>, door: Door, wish: Wish) -> Self {
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
            "clear" => vec![Order::Say(ClientEvent::Clear(Nothing {})), show("You cleared the messages.")],
            "door" => match rest {
                "webtransport" => vec![Order::Doors(vec![Door::WebTransport, Door::WebSocket])],
                "websocket" => vec![Order::Doors(vec![Door::WebSocket])],
                "auto" => vec![Order::Doors(self.doors.clone())],
                _ => vec![show("Which door? /door webtransport, /door websocket, or /door auto.")],
            },
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
            return vec![show("Nobody is there to hear it. /find looks for someone.")];
        }
        self.said += 1;
        self.on_the_way += 1;
        let id = MessageId::new(&format!("t{}", self.said)).expect("a short id");
        let message = Message { id, kind: MessageKind::Text, content: text.to_owned(), timestamp: None };
        vec![Order::Say(ClientEvent::Message(message)), show(&format!("you: {}", clean(text)))]
    }

    /// Takes news; yields what is to be shown. `Err`: the end, and why.
    pub(super) fn hear(&mut self, news: News) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        match news {
            News::Heard(event) => lines.extend(self.event(event)),
            News::Received(..) => {}
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
                if self.partner.take().is_some() {
                    lines.push("* We were away too long, and the talk has ended. /find looks for someone.".to_owned());
                }
                self.looking = false;
                self.on_the_way = 0;
            }
            News::Over(error) => return Err(clean(&error.to_string())),
        }
        Ok(lines)
    }

    fn event(&mut self, event: ServerEvent) -> Option<String> {
        match event {
            ServerEvent::Matching(_) if !self.looking => {
                self.looking = true;
                self.partner = None;
                Some("* Looking for someone.".to_owned())
            }
            ServerEvent::Matched(matched) => {
                let name = clean(&matched.matched_user.username);
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
            ServerEvent::Error(refusal) => {
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
fn clean(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(harmless).collect()
}

fn show(text: &str) -> Order {
    Order::Show(text.to_owned())
}

fn name(door: Door) -> &'static str {
    match door {
        Door::WebTransport => "WebTransport",
        Door::WebSocket => "WebSocket",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        ConversationId, Delivered, Lost, Matched, MessageOut, PartnerStatus, PublicUser, Role, Unmatched, UserId,
    };
    use std::time::Duration;

    fn room() -> Room {
        Room::new("Ann", vec![Door::WebTransport, Door::WebSocket], Door::WebTransport, Wish::default())
    }

    fn heard(room: &mut Room, event: ServerEvent) -> Vec<String> {
        room.hear(News::Heard(event)).unwrap()
    }

    fn meet(room: &mut Room, name: &str) -> Vec<String> {
        let user = PublicUser { id: UserId::from_bytes([1; 12]), username: name.to_owned(), guest: true };
        heard(
            room,
            ServerEvent::Matched(Matched {
                conversation: ConversationId::from_bytes([1; 16]),
                matched_user: user,
                role: Role::Polite,
                common: vec!["jazz".to_owned()],
            }),
        )
    }

    fn message(content: &str) -> ServerEvent {
        ServerEvent::Message(MessageOut {
            id: MessageId::new("m").unwrap(),
            from: UserId::from_bytes([1; 12]),
            kind: MessageKind::Text,
            content: content.to_owned(),
            timestamp: 0,
        })
    }

    #[test]
    fn a_talk_from_looking_to_the_end() {
        let mut room = room();
        assert_eq!(room.typed("hello?"), [show("Nobody is there to hear it. /find looks for someone.")]);
        let Order::Say(ClientEvent::Match(wish)) = &room.typed("/find jazz, rust")[0] else { panic!() };
        assert_eq!(wish.interests, ["jazz", "rust"]);
        assert_eq!(meet(&mut room, "Ben"), ["* You are talking with Ben. You both like jazz."]);
        assert_eq!(room.prompt(), "[WebTransport] Ben > ");
        let orders = room.typed("hello");
        assert!(matches!(&orders[0], Order::Say(ClientEvent::Message(message)) if message.content == "hello"));
        assert_eq!(orders[1], show("you: hello"));
        assert_eq!(room.prompt(), "[WebTransport] Ben 1 on the way > ");
        assert_eq!(heard(&mut room, message("hi")), ["Ben: hi"]);
        heard(&mut room, ServerEvent::Delivered(Delivered { id: MessageId::new("t1").unwrap() }));
        assert_eq!(room.prompt(), "[WebTransport] Ben \u{2713}\u{2713} > ");
        heard(&mut room, ServerEvent::Status(PartnerStatus { status: Presence::Reconnecting }));
        assert!(room.prompt().contains("Ben (reconnecting)"));
        let unmatched = Unmatched { conversation: ConversationId::from_bytes([1; 16]), reason: Ending::Left };
        assert_eq!(heard(&mut room, ServerEvent::Unmatched(unmatched)), ["* They left. /find looks for someone else."]);
        assert_eq!(room.prompt(), "[WebTransport] nobody > ");
    }

    #[test]
    fn the_links_life_is_shown() {
        let mut room = room();
        room.hear(News::RoundTrip(Duration::from_micros(300))).unwrap();
        assert_eq!(room.prompt(), "[WebTransport 1 ms] nobody > ");
        room.hear(News::Unlinked { why: "cut".into() }).unwrap();
        assert_eq!(room.prompt(), "[reconnecting] nobody > ");
        let moved = News::Linked { door: Door::WebSocket, was: Some(Door::WebTransport), gap: Duration::ZERO };
        assert_eq!(room.hear(moved).unwrap(), ["* Moved to WebSocket. Nothing is lost."]);
        meet(&mut room, "Ben");
        assert_eq!(room.hear(News::Anew(Some(Lost::Expired))).unwrap().len(), 1);
        assert_eq!(room.prompt(), "[WebSocket] nobody > ");
        assert_eq!(room.typed("/door websocket"), [Order::Doors(vec![Door::WebSocket])]);
        assert_eq!(room.typed("/door auto"), [Order::Doors(vec![Door::WebTransport, Door::WebSocket])]);
        assert!(matches!(&room.typed("/door moon")[..], [Order::Show(_)]));
    }

    #[test]
    fn nothing_that_others_write_reaches_the_terminal_raw() {
        let mut room = room();
        let lines = meet(&mut room, "Mal\x1b[2J\u{202e}lory");
        assert!(lines[0].contains("Mal\u{fffd}[2J\u{fffd}lory"), "{lines:?}");
        for attack in ["\x1b]0;title\x07", "\u{9b}31m", "\r\n> root", "a\u{2066}b", "\x08\x7f"] {
            let lines = heard(&mut room, message(attack));
            assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{lines:?}");
        }
    }
}
