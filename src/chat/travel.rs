//! People as they travel from node to node: one alone, or two with their talk.
//!
//! Owns: what of a person goes with them. A talk is never torn: it is on one node, with both people.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calls::Calling;
use super::conversation::{Conversation, Talk};
use super::{Chat, Participant};
use crate::outbox::{Kin, Outbox};
use crate::protocol::{ConversationId, PublicUser, SessionId, TransferId, UserId, Whence, Wish, millis};

/// What goes with a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Luggage {
    wish: Wish,
    /// How long they have been looking, in milliseconds; `None`: they are not.
    waited: Option<u64>,
    recent: Vec<UserId>,
    late: Vec<TransferId>,
    away: bool,
    /// Their client understands `call:*`.
    calls: bool,
    whence: Whence,
}

impl Luggage {
    /// Of someone who has come fresh, and looks for nobody.
    pub fn none(whence: Whence) -> Self {
        Self {
            wish: Wish::default(),
            waited: None,
            recent: Vec::new(),
            late: Vec::new(),
            away: false,
            calls: false,
            whence,
        }
    }

    /// The same, of a client that understands `call:*`, or does not.
    pub fn of_client(self, calls: bool) -> Self {
        Self { calls, ..self }
    }

    /// Whether they are looking for a partner.
    pub fn is_waiting(&self) -> bool {
        self.waited.is_some()
    }
}

/// What goes with a talk: the polite one is the first of two.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TalkLuggage {
    /// Which.
    pub id: ConversationId,
    /// The interests both named.
    pub common: Vec<String>,
    /// Whose clients have heard of it.
    pub told: [bool; 2],
    pub(super) calling: Calling,
}

impl TalkLuggage {
    /// Of a talk that was lost with its node, but for its name: whoever is left has heard of it.
    pub fn of_lost(id: ConversationId, common: Vec<String>) -> Self {
        Self { id, common, told: [true, true], calling: Calling::lost() }
    }
}

impl Participant {
    /// What goes with them. They look for nobody here any more, and tell nobody that they are gone. `None`: they are
    /// in a talk, which may have begun in this very moment; it is not torn.
    pub fn pack(&self) -> Option<Luggage> {
        let waited = self.chat.lobby.pack(&self.person);
        // From here on nobody finds them.
        if self.person.talk().is_some() {
            return None;
        }
        let state = self.person.state();
        Some(Luggage {
            wish: state.wish.clone(),
            waited: waited.map(millis),
            recent: state.recent.iter().copied().collect(),
            late: state.late.iter().cloned().collect(),
            away: self.person.member.is_away(),
            calls: self.person.member.knows_calls(),
            whence: (*self.person.member.whence()).clone(),
        })
    }

    /// They have not travelled after all: whoever was looking goes on at their place.
    pub fn unpack(&self, luggage: &Luggage) {
        if let Some(waited) = luggage.waited {
            self.chat.lobby.wait_again(&self.person, Duration::from_millis(waited));
        }
    }

    /// The talk they are in.
    pub fn talk_with(&self) -> Option<Companion> {
        self.person.talk().map(|talk| talk.companion())
    }

    /// The talk they are in, and whose it is: the polite one first.
    pub fn talk_of_two(&self) -> Option<(TalkLuggage, [Talker; 2])> {
        let talk = self.person.talk()?;
        let people = talk.conversation().members().map(|member| Talker {
            session: member.session,
            user: member.user.clone(),
            calls: member.knows_calls(),
        });
        Some((talk.conversation().luggage(), people))
    }

    /// To whom the receipts in their mail go.
    pub fn kin(&self) -> Kin {
        self.person.talk().map(|talk| talk.kin()).unwrap_or_default()
    }

    /// Takes the talk apart without a word, so that it goes on elsewhere. `None`: there is none any more.
    pub fn pack_talk(&self) -> Option<TalkLuggage> {
        self.person.talk()?.pack()
    }
}

/// One of two who talk.
#[derive(Debug, Clone)]
pub struct Talker {
    /// Their session.
    pub session: SessionId,
    /// Who it is.
    pub user: PublicUser,
    /// Their client understands `call:*`.
    pub calls: bool,
}

/// A talk as one of its two sees it.
#[derive(Debug, Clone, Copy)]
pub struct Companion {
    /// Which.
    pub conversation: ConversationId,
    /// The partner's session.
    pub partner: SessionId,
    /// This one is the polite one.
    pub polite: bool,
    /// Files are on their way in it.
    pub carries: bool,
}

impl Chat {
    /// Lets someone in who comes from another node, with what they have. Whoever was looking has yet to
    /// [`settle`](Participant::settle).
    pub fn welcome(&self, session: SessionId, user: PublicUser, outbox: Outbox, luggage: &Luggage) -> Participant {
        let participant = self.join(session, user, outbox);
        {
            let mut state = participant.person.state();
            state.wish = luggage.wish.clone();
            state.recent = luggage.recent.iter().copied().collect();
            state.late = luggage.late.iter().cloned().collect();
        }
        participant.person.member.set_away(luggage.away);
        participant.person.member.set_knows_calls(luggage.calls);
        participant.person.member.set_whence(luggage.whence.clone());
        participant
    }

    /// Lets two go on with their talk who came from another node; nobody is told anything.
    pub fn reunite(&self, polite: &Participant, impolite: &Participant, talk: TalkLuggage) {
        let people = [Arc::clone(&polite.person), Arc::clone(&impolite.person)];
        Conversation::go_on(people, talk);
    }

    /// Brings someone who has come from another node together with whoever sought them and waits here for
    /// them. False: nobody does any more; they look on.
    pub fn meet(&self, seeker: SessionId, found: &Participant, luggage: &Luggage) -> bool {
        let waited = Duration::from_millis(luggage.waited.unwrap_or_default());
        self.lobby.meet(seeker, &found.person, waited)
    }
}

impl Participant {
    /// Someone who has come from another node looks on, at the place they had.
    pub fn settle(&self, luggage: &Luggage) {
        self.unpack(luggage);
    }
}

impl Chat {
    /// The talk that someone's session is in, if it is in one.
    pub fn talk_of_session(&self, user: UserId, session: SessionId) -> Option<Companion> {
        Some(self.files.talk_of(user, session)?.companion())
    }
}

impl Talk {
    fn companion(&self) -> Companion {
        Companion {
            conversation: self.conversation().id(),
            partner: self.partner().member.session,
            polite: self.side() == 0,
            carries: self.conversation().carries(),
        }
    }

    fn kin(&self) -> Kin {
        Kin { partner: Some(self.partner().member.outbox.clone()), told: Some(self.told_flag()) }
    }
}

pub(super) fn flags(told: [bool; 2]) -> [Arc<AtomicBool>; 2] {
    told.map(|told| Arc::new(AtomicBool::new(told)))
}

pub(super) fn read(flags: &[Arc<AtomicBool>; 2]) -> [bool; 2] {
    [flags[0].load(Ordering::Acquire), flags[1].load(Ordering::Acquire)]
}
