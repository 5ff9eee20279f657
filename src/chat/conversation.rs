//! A pair: what two people may say to each other, and how their talk ends.
//!
//! Owns: whether the conversation still stands, and the transfers in it. Everything that one side posts to the other goes
//! through one gate, so that nothing of a conversation reaches a person after its end was told:
//! a late message can never appear inside the next conversation.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Person;
use super::calls::Calling;
use super::flow::Over;
use super::transfer::Transfer;
use super::travel::{self, TalkLuggage, flags};
use crate::hub::Member;
use crate::outbox::{Outbox, Receipt};
use crate::protocol::{
    Cleared, ConversationId, Doing, Ending, ErrorCode, Matched, Message, MessageOut, PartnerStatus, Presence, Refusal,
    Role, ServerEvent, StandingCall, TransferEnd, TransferId, Typing, Unmatched, millis,
};

/// A talk of two. Made when they are matched, shared by both.
pub(super) struct Conversation {
    id: ConversationId,
    /// The polite one first.
    people: [Arc<Person>; 2],
    common: Vec<String>,
    /// Raised for each side once its client has acknowledged `user:matched`.
    told: [Arc<AtomicBool>; 2],
    standing: Mutex<Standing>,
}

/// What the gate guards.
#[derive(Default)]
pub(super) struct Standing {
    over: bool,
    /// Those under way, both ways.
    pub(super) transfers: Vec<Arc<Transfer>>,
    /// The last that ended, and whether whoever sent on was told.
    pub(super) ended: VecDeque<(TransferId, bool)>,
    /// Their call.
    pub(super) calling: Calling,
}

/// One side's view of a conversation.
#[derive(Clone)]
pub(super) struct Talk {
    conversation: Arc<Conversation>,
    side: usize,
}

impl Conversation {
    /// Brings two people together and tells both.
    pub(super) fn begin(id: ConversationId, people: [Arc<Person>; 2], common: Vec<String>) {
        let told = [Arc::default(), Arc::default()];
        let conversation = Arc::new(Self { id, people, common, told, standing: Mutex::default() });
        // Held while both are told, so that nothing is said in it before.
        let gate = conversation.gate();
        for side in 0..2 {
            let talk = Talk { conversation: Arc::clone(&conversation), side };
            let matched = ServerEvent::Matched(talk.matched());
            let person = Arc::clone(talk.me());
            person.met(talk.partner().member.user.id);
            person.begin_talk(talk);
            let flag = Arc::clone(&conversation.told[side]);
            person.member.outbox.post_with(&matched, Receipt::Flag(flag));
        }
        for side in 0..2 {
            let talk = Talk { conversation: Arc::clone(&conversation), side };
            let status = talk.partner().member.presence();
            // Whoever has no link is not matched; one that is lost in this moment is told of by itself.
            if status == Presence::Away {
                talk.me().member.outbox.post(&ServerEvent::Status(PartnerStatus { status }));
            }
        }
        drop(gate);
    }

    /// Lets two go on with a talk that was elsewhere before; nobody is told anything.
    pub(super) fn go_on(people: [Arc<Person>; 2], luggage: TalkLuggage) {
        let TalkLuggage { id, common, told, calling } = luggage;
        let standing = Mutex::new(Standing { calling, ..Standing::default() });
        let conversation = Arc::new(Self { id, people, common, told: flags(told), standing });
        let mut gate = conversation.gate();
        for side in 0..2 {
            let talk = Talk { conversation: Arc::clone(&conversation), side };
            Arc::clone(talk.me()).begin_talk(talk);
        }
        Talk::of(Arc::clone(&conversation), 0).calls_on(&mut gate);
        drop(gate);
    }

    /// Which it is.
    pub(super) fn id(&self) -> ConversationId {
        self.id
    }

    /// Both people's clients, the polite one's first.
    pub(super) fn members(&self) -> [&Member; 2] {
        self.people.each_ref().map(|person| &*person.member)
    }

    /// What goes with it to another node.
    pub(super) fn luggage(&self) -> TalkLuggage {
        self.luggage_of(&self.gate())
    }

    fn luggage_of(&self, standing: &Standing) -> TalkLuggage {
        let (common, calling) = (self.common.clone(), standing.calling.clone());
        TalkLuggage { id: self.id, common, told: travel::read(&self.told), calling }
    }

    /// Whether files are on their way in it.
    pub(super) fn carries(&self) -> bool {
        !self.gate().transfers.is_empty()
    }

    fn gate(&self) -> MutexGuard<'_, Standing> {
        // Should code ever panic while it holds this: the talk ends by drops, and these must not panic in turn.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether both have a link.
    pub(super) fn is_linked(&self) -> bool {
        self.people.iter().all(|person| person.member.door().is_some())
    }

    /// The mail of a transfer's receiver.
    pub(super) fn receiver(&self, transfer: &Transfer) -> &Outbox {
        &self.people[1 - transfer.from].member.outbox
    }

    /// The mail of a transfer's sender.
    pub(super) fn sender(&self, transfer: &Transfer) -> &Outbox {
        &self.people[transfer.from].member.outbox
    }
}

impl Talk {
    /// One side's view.
    pub(super) fn of(conversation: Arc<Conversation>, side: usize) -> Self {
        Self { conversation, side }
    }

    pub(super) fn conversation(&self) -> &Arc<Conversation> {
        &self.conversation
    }

    /// 0: the polite one's.
    pub(super) fn side(&self) -> usize {
        self.side
    }

    /// The one whose view it is.
    pub(super) fn me(&self) -> &Arc<Person> {
        &self.conversation.people[self.side]
    }

    /// The other one.
    pub(super) fn partner(&self) -> &Arc<Person> {
        &self.conversation.people[1 - self.side]
    }

    /// Whether the conversation still stands.
    pub(super) fn stands(&self) -> bool {
        !self.conversation.gate().over
    }

    /// Whether this side's client is known to have heard of the match.
    pub(super) fn is_told(&self) -> bool {
        self.conversation.told[self.side].load(Ordering::Acquire)
    }

    /// What [`is_told`](Self::is_told) looks at.
    pub(super) fn told_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.conversation.told[self.side])
    }

    /// Takes the talk apart, for it to go on elsewhere: nobody is told, but for the files that were on
    /// their way. `None`: it is over.
    pub(super) fn pack(&self) -> Option<TalkLuggage> {
        for transfer in self.transfers() {
            self.drop_transfer(&transfer, TransferEnd::Lost);
        }
        let mut standing = self.conversation.gate();
        if std::mem::replace(&mut standing.over, true) {
            return None;
        }
        for transfer in standing.transfers.drain(..) {
            transfer.close(Over::Left);
        }
        for person in &self.conversation.people {
            person.end_talk(self.conversation.id);
        }
        self.calls_off(&mut standing.calling, true);
        Some(self.conversation.luggage_of(&standing))
    }

    /// What this side is told of the match.
    pub(super) fn matched(&self) -> Matched {
        Matched {
            conversation: self.conversation.id,
            matched_user: self.partner().as_partner(),
            role: if self.side == 0 { Role::Polite } else { Role::Impolite },
            common: self.conversation.common.clone(),
            status: None,
            call: None,
        }
    }

    /// Sends a message; the sender hears `chat:delivered` once the partner's client has it.
    pub(super) fn message(&self, message: Message) -> Result<(), Refusal> {
        let Message { id, kind, content, timestamp: sent } = message;
        let from = self.me().member.user.id;
        let receipt = Receipt::Delivered { to: self.me().member.outbox.clone(), id: id.clone() };
        let event = ServerEvent::Message(MessageOut { id, from, kind, content, timestamp: unix_millis(), sent });
        let said = self.say(|| self.partner().member.outbox.post_with(&event, receipt));
        said.map_err(|refusal| match &event {
            ServerEvent::Message(message) => refusal.with_id(message.id.as_str()),
            _ => refusal,
        })
    }

    /// The call that stands, as this side has it.
    pub(super) fn standing_call(&self) -> Option<StandingCall> {
        self.conversation.gate().calling.standing(self.side)
    }

    /// Shows the partner whether this side is typing.
    pub(super) fn typing(&self, typing: Typing) -> Result<(), Refusal> {
        self.post(&ServerEvent::Typing(typing))
    }

    /// Clears the messages on both sides.
    pub(super) fn clear(&self) -> Result<(), Refusal> {
        self.post(&ServerEvent::Clear(Cleared { by: self.me().member.user.id }))
    }

    /// Tells the partner how this side can be reached.
    pub(super) fn status(&self, status: Presence) -> Result<(), Refusal> {
        self.post(&ServerEvent::Status(PartnerStatus { status }))
    }

    /// Ends the conversation, if it still stands, and tells the partner why. Both are free then.
    pub(super) fn end(&self, reason: Ending) -> bool {
        let mut standing = self.conversation.gate();
        if std::mem::replace(&mut standing.over, true) {
            return false;
        }
        for transfer in standing.transfers.drain(..) {
            transfer.close(Over::Left);
            self.conversation.people[transfer.from].was_sending(transfer.id().clone());
        }
        self.calls_off(&mut standing.calling, false);
        // Both are free before either can know of it and look for someone else.
        for person in &self.conversation.people {
            person.end_talk(self.conversation.id);
        }
        self.partner().member.outbox.post(&ServerEvent::Unmatched(self.unmatched(reason)));
        true
    }

    /// What is told of its end.
    pub(super) fn unmatched(&self, reason: Ending) -> Unmatched {
        Unmatched { conversation: self.conversation.id, reason }
    }

    fn post(&self, event: &ServerEvent) -> Result<(), Refusal> {
        self.say(|| self.partner().member.outbox.post(event))
    }

    fn say(&self, post: impl FnOnce()) -> Result<(), Refusal> {
        self.through(|_| {
            post();
            Ok(())
        })
    }

    /// Acts while the conversation stands, with its gate held.
    pub(super) fn through<T>(&self, act: impl FnOnce(&mut Standing) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut standing = self.conversation.gate();
        if standing.over { Err(no_conversation()) } else { act(&mut standing) }
    }
}

/// The refusal of what needs a partner.
pub(super) fn no_conversation() -> Refusal {
    Refusal::new(ErrorCode::NoConversation, "You are not in a conversation. Find someone first.")
}

impl Person {
    /// The conversation that stands, if there is one.
    pub(super) fn talk(&self) -> Option<Talk> {
        // The gate is taken with the state's lock free: elsewhere they are taken the other way round.
        let talk = self.state().talk.clone();
        talk.filter(Talk::stands)
    }

    fn begin_talk(self: &Arc<Self>, talk: Talk) {
        self.files.talks(self);
        self.state().talk = Some(talk);
        self.member.set_doing(Doing::Talking);
        self.pace.notify_one();
    }

    /// Forgets a conversation that is over, unless a newer one has begun.
    fn end_talk(&self, id: ConversationId) {
        let mut state = self.state();
        if state.talk.as_ref().is_some_and(|talk| talk.conversation.id == id) {
            state.talk = None;
            self.files.is_free(self);
            self.member.set_doing(Doing::Idle);
            self.pace.notify_one();
        }
    }
}

/// Now, as the wire has it.
pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}
