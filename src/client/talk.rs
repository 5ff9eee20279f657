//! What a client keeps in case the node that has its session is lost: the rules of `docs/protocol.md`,
//! section 5. Pure; says and hears nothing itself.

use std::collections::{HashSet, VecDeque};

use crate::protocol::{
    Attention, ClientEvent, ConversationId, Established, Matched, Message, MessageId, Nothing, OwnPresence, Refusal,
    ServerEvent, Wish,
};

/// Messages that may be on their way, and ids of the partner's that are remembered: what may come again
/// is known.
pub(super) const MOST: usize = 1000;

/// What was asked for and has no answer yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    Match,
    Skip,
    Cancel,
    Leave,
}

/// One client's conversation, or its way to one.
#[derive(Debug, Default)]
pub(super) struct Talk {
    conversation: Option<ConversationId>,
    /// Said and not known to have arrived, oldest first.
    open: VecDeque<Message>,
    /// The partner's, oldest first; and the same, to be found.
    heard: VecDeque<MessageId>,
    known: HashSet<MessageId>,
    asked: Asked,
    /// The conversation that was left, or skipped, last.
    left: Option<ConversationId>,
    wish: Wish,
    away: bool,
}

/// What a new session comes to, after a node was lost with the one before.
#[derive(Debug, PartialEq)]
pub(super) enum Went {
    /// The conversation goes on.
    On,
    /// It does not, and another may have begun.
    Anew(Option<Box<Matched>>),
}

impl Talk {
    /// Whether so much is on its way that nothing more may be said.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= MOST
    }

    /// Takes note of what is being said.
    pub(super) fn say(&mut self, event: &ClientEvent) {
        match event {
            ClientEvent::Message(message) => self.open.push_back(message.clone()),
            ClientEvent::Match(wish) => (self.asked, self.wish) = (Asked::Match, wish.clone()),
            ClientEvent::Skip(_) => (self.asked, self.left) = (Asked::Skip, self.conversation),
            ClientEvent::MatchCancel(_) => self.asked = Asked::Cancel,
            ClientEvent::Leave(_) => (self.asked, self.left) = (Asked::Leave, self.conversation),
            ClientEvent::Presence(own) => self.away = own.status == Attention::Away,
            _ => {}
        }
    }

    /// Takes note of what is heard. False: it was heard before, and is dropped.
    pub(super) fn hear(&mut self, event: &ServerEvent) -> bool {
        match event {
            ServerEvent::Message(message) => return self.is_new(&message.id),
            ServerEvent::Delivered(delivered) => self.settle(delivered.id.as_str()),
            ServerEvent::Matched(matched) => self.meet(matched),
            ServerEvent::Unmatched(unmatched) if self.conversation == Some(unmatched.conversation) => self.over(),
            ServerEvent::Idle(_) => {
                self.over();
                if self.asked != Asked::Match {
                    self.asked = Asked::Nothing;
                }
            }
            ServerEvent::Matching(_) if self.asked == Asked::Skip => {
                self.over();
                self.asked = Asked::Match;
            }
            ServerEvent::Error(Refusal { event: Some(event), id, .. }) => match (event.as_str(), id) {
                ("chat:message", Some(id)) => self.settle(id),
                ("user:match" | "user:match:cancel" | "user:skip" | "user:leave", _) => self.asked = Asked::Nothing,
                _ => {}
            },
            _ => {}
        }
        true
    }

    /// A new session began; yields what to say in it, in order.
    pub(super) fn lost(&mut self, established: &Established) -> (Went, Vec<ClientEvent>) {
        let mut says = Vec::new();
        if self.away {
            says.push(ClientEvent::Presence(OwnPresence { status: Attention::Away }));
        }
        let stands = established.conversation.as_ref();
        let asked = std::mem::take(&mut self.asked);
        let unwanted = stands.is_some_and(|matched| asked == Asked::Cancel || self.left == Some(matched.conversation));
        if !unwanted && stands.is_some_and(|matched| self.conversation == Some(matched.conversation)) {
            says.extend(self.open.iter().cloned().map(ClientEvent::Message));
            return (Went::On, says);
        }
        self.over();
        if unwanted {
            // The word that it was left went with the node.
            self.asked = Asked::Leave;
            says.push(ClientEvent::Leave(Nothing {}));
        }
        let met = stands.filter(|_| !unwanted).cloned();
        match &met {
            Some(matched) => self.meet(matched),
            None if matches!(asked, Asked::Match | Asked::Skip) => {
                self.asked = Asked::Match;
                says.push(ClientEvent::Match(self.wish.clone()));
            }
            None => {}
        }
        (Went::Anew(met.map(Box::new)), says)
    }

    fn meet(&mut self, matched: &Matched) {
        self.asked = Asked::Nothing;
        if self.conversation != Some(matched.conversation) {
            self.over();
            self.conversation = Some(matched.conversation);
        }
    }

    fn over(&mut self) {
        self.conversation = None;
        self.open.clear();
        self.heard.clear();
        self.known.clear();
    }

    fn settle(&mut self, id: &str) {
        if let Some(at) = self.open.iter().position(|message| message.id.as_str() == id) {
            self.open.remove(at);
        }
    }

    fn is_new(&mut self, id: &MessageId) -> bool {
        if !self.known.insert(id.clone()) {
            return false;
        }
        self.heard.push_back(id.clone());
        if self.heard.len() > MOST
            && let Some(oldest) = self.heard.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Delivered, MessageKind, ServerFrame};

    fn established(conversation: Option<&str>) -> Established {
        let frame = include_str!("../../tests/golden/server/connection-established.node.json");
        let Some(ServerEvent::Established(told)) = ServerFrame::decode(frame.trim().as_bytes()).unwrap().event else {
            panic!("the golden frame is an answer to a hello")
        };
        let mut told = *told;
        match (conversation, &mut told.conversation) {
            (Some(id), Some(matched)) => matched.conversation = id.parse().unwrap(),
            (_, conversation) => *conversation = None,
        }
        told
    }

    const OURS: &str = "7d1f3b5a9c2e4860b1d3f5a7c9e0b2d4";
    const OTHER: &str = "00000000000000000000000000000001";

    fn message(id: &str) -> ClientEvent {
        let id = MessageId::new(id).unwrap();
        ClientEvent::Message(Message { id, kind: MessageKind::Text, content: "x".to_owned(), timestamp: None })
    }

    fn wish() -> Wish {
        Wish { interests: vec!["chess".to_owned()], ..Wish::default() }
    }

    /// Someone who talks, and has said these.
    fn talking(said: &[&str]) -> Talk {
        let mut talk = Talk::default();
        talk.say(&ClientEvent::Match(wish()));
        talk.hear(&ServerEvent::Matched(established(Some(OURS)).conversation.unwrap()));
        said.iter().for_each(|id| talk.say(&message(id)));
        talk
    }

    #[test]
    fn what_is_not_delivered_is_said_again_in_its_order() {
        let mut talk = talking(&["a", "b", "c", "d"]);
        talk.hear(&ServerEvent::Delivered(Delivered { id: MessageId::new("b").unwrap() }));
        let refused = ServerEvent::Error(Refusal {
            event: Some("chat:message".to_owned()),
            id: Some("c".to_owned()),
            ..Refusal::new(crate::protocol::ErrorCode::TooFast, "")
        });
        talk.hear(&refused);
        assert_eq!(talk.lost(&established(Some(OURS))), (Went::On, vec![message("a"), message("d")]));
        // And again, should that node be lost too.
        assert_eq!(talk.lost(&established(Some(OURS))).1.len(), 2);
        assert_eq!(talk.lost(&established(None)), (Went::Anew(None), vec![]));
        assert_eq!(talk.lost(&established(Some(OURS))).1, vec![], "that talk was over");
    }

    #[test]
    fn a_message_is_heard_once_as_far_back_as_any_may_come_again() {
        let mut talk = talking(&[]);
        let id = |number: usize| MessageId::new(&number.to_string()).unwrap();
        assert!((0..=MOST).all(|number| talk.is_new(&id(number))));
        assert!((1..=MOST).all(|number| !talk.is_new(&id(number))));
        assert!(talk.is_new(&id(0)), "memory is bounded");
        // The ids of the two sides are apart, and so are those of two talks.
        let mut talk = talking(&["1"]);
        assert!(talk.is_new(&id(1)) && !talk.is_new(&id(1)));
        talk.hear(&ServerEvent::Matched(established(Some(OTHER)).conversation.unwrap()));
        assert!(talk.is_new(&id(1)));
    }

    #[test]
    fn no_more_is_on_its_way_than_can_be_told_apart() {
        let mut talk = talking(&["x"; MOST - 1]);
        assert!(!talk.is_full());
        talk.say(&message("last"));
        assert!(talk.is_full());
        talk.hear(&ServerEvent::Delivered(Delivered { id: MessageId::new("last").unwrap() }));
        assert!(!talk.is_full());
    }

    #[test]
    fn a_search_is_asked_for_again_and_what_was_left_is_left_again() {
        let leave = || ClientEvent::Leave(Nothing {});
        let again = || ClientEvent::Match(wish());
        let other = || Went::Anew(established(Some(OTHER)).conversation.map(Box::new));
        let waiting = || {
            let mut talk = Talk::default();
            talk.say(&again());
            talk
        };
        assert_eq!(waiting().lost(&established(None)), (Went::Anew(None), vec![again()]));
        assert_eq!(waiting().lost(&established(Some(OTHER))), (other(), vec![]), "matched meanwhile");
        let mut talk = waiting();
        talk.say(&ClientEvent::MatchCancel(Nothing {}));
        assert_eq!(talk.lost(&established(Some(OTHER))), (Went::Anew(None), vec![leave()]));

        let mut talk = talking(&["a"]);
        talk.say(&leave());
        assert_eq!(talk.lost(&established(Some(OURS))), (Went::Anew(None), vec![leave()]));
        talk = talking(&["a"]);
        talk.say(&leave());
        talk.say(&again());
        assert_eq!(talk.lost(&established(Some(OURS))), (Went::Anew(None), vec![leave(), again()]));
        let mut talk = talking(&["a"]);
        talk.say(&ClientEvent::Skip(Nothing {}));
        assert_eq!(talk.lost(&established(Some(OURS))), (Went::Anew(None), vec![leave(), again()]));
        let mut talk = talking(&["a"]);
        talk.say(&ClientEvent::Skip(Nothing {}));
        assert_eq!(talk.lost(&established(Some(OTHER))), (other(), vec![]));
        let mut talk = talking(&["a"]);
        assert_eq!(talk.lost(&established(Some(OTHER))), (other(), vec![]));
        let mut talk = talking(&[]);
        talk.say(&ClientEvent::Presence(OwnPresence { status: Attention::Away }));
        let away = ClientEvent::Presence(OwnPresence { status: Attention::Away });
        assert_eq!(talk.lost(&established(Some(OURS))), (Went::On, vec![away]));
    }
}
