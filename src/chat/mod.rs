//! The rules of a conversation: what REST and sessions may ask for, each rule once.
//!
//! Owns: the lobby (who waits), the conversations with the transfers in them, and through [`Hub`], the
//! register of who is here.
//!
//! Must not know: transports, HTTP, links, sequence numbers. What it has to say to a client it posts
//! into that client's [`Outbox`], which never waits.
//!
//! Locks, in the order in which they may be held together: lobby, a conversation's gate, a person's
//! state, a transfer, an outbox. None is held across an await.

pub mod accounts;
mod calls;
mod carrier;
mod cleaning;
mod conversation;
mod exchange;
mod files;
mod flow;
mod http;
mod kept;
mod lobby;
mod matchmaker;
mod transfer;
mod travel;
mod whence;

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::accounts::Accounts;
pub use self::calls::{CallCounts, Calls};
pub use self::carrier::{Carrier, Intake, Outlet};
use self::conversation::{Talk, no_conversation};
pub use self::files::Cargo;
use self::files::Files;
pub use self::flow::Over;
use self::flow::Taker;
pub use self::http::{Download, Upload, UploadForm};
use self::lobby::Lobby;
pub use self::travel::{Companion, Luggage, TalkLuggage, Talker};
pub use self::whence::{browser, platform};
use crate::cluster::Cluster;
use crate::config;
use crate::hub::{Door, Hub, Member, Seat};
use crate::outbox::Outbox;
use crate::place::Places;
use crate::protocol::{
    About, CallId, Complete, Doing, Ending, ErrorCode, GoOn, HeldTransfer, Matched, Message, Nothing, Offer, Presence,
    Progress, PublicUser, Refusal, ServerEvent, SessionId, TransferId, Typing, UserId, Wish,
};

pub use crate::hub::{Census, Here};

/// What the service does. Clones are the same service.
#[derive(Clone)]
pub struct Chat {
    accounts: Accounts,
    hub: Hub,
    lobby: Lobby,
    files: Files,
    calls: Calls,
    places: Places,
    avoid_last: usize,
}

impl Chat {
    /// A service that nobody uses yet.
    pub fn new(accounts: Accounts, matching: &config::Matching, files: &config::Files) -> Self {
        let (lobby, files) = (Lobby::new(matching, None), Files::new(files));
        let (calls, places) = (Calls::default(), Places::none());
        Self { accounts, hub: Hub::default(), lobby, files, calls, places, avoid_last: matching.avoid_last }
    }

    /// The same, where addresses are looked up in `places`.
    pub fn looking_up(self, places: Places) -> Self {
        Self { places, ..self }
    }

    /// The same, whose calls are as these settings want them.
    pub fn calling(self, calls: config::Calls) -> Self {
        Self { calls: Calls::new(calls), ..self }
    }

    /// The same, where partners are sought on all nodes of a cluster. `seed` keys the hashing of wishes: the
    /// same on all nodes.
    pub fn among(self, matching: &config::Matching, cluster: Arc<dyn Cluster>, seed: u64) -> Self {
        Self { lobby: Lobby::new(matching, Some((cluster, seed))), ..self }
    }

    /// Registering, logging in, and who a token belongs to.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Lets a client in. It is gone when the participant is dropped.
    pub fn join(&self, session: SessionId, user: PublicUser, outbox: Outbox) -> Participant {
        let seat = self.hub.enter(Member::new(session, user, outbox));
        let person = Arc::new(Person {
            member: Arc::clone(seat.member()),
            state: Mutex::default(),
            pace: Notify::new(),
            carry: Notify::new(),
            incoming: Arc::default(),
            files: self.files.clone(),
            calls: self.calls.clone(),
            places: self.places.clone(),
            avoid_last: self.avoid_last,
        });
        Participant { chat: self.clone(), person, _seat: seat }
    }

    /// Everyone who is here, once each.
    pub fn online(&self) -> Vec<Here> {
        self.hub.people()
    }

    /// Everyone who is here and in no conversation, but for the caller.
    pub fn available(&self, caller: UserId) -> Vec<Here> {
        self.hub.people().into_iter().filter(|here| !here.talking && here.user.id != caller).collect()
    }

    /// What calls of all conversations have in common.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Whether a person is here.
    pub fn is_online(&self, user: UserId) -> bool {
        self.hub.is_online(user)
    }

    /// Whether a session of a person is in a conversation.
    pub fn talks(&self, user: UserId, session: SessionId) -> bool {
        self.hub.talks(user, session)
    }

    /// How many there are of what.
    pub fn census(&self) -> Census {
        self.hub.census()
    }

    /// How many files there are on the way.
    pub fn cargo(&self) -> Cargo {
        self.files.cargo()
    }

    /// Widens the searches of those who wait, when it is time, until `stop`.
    pub async fn keep_matching(&self, stop: CancellationToken) {
        self.lobby.keep_widening(stop).await;
    }

    /// Looks for partners on other nodes, until `stop`.
    pub async fn keep_seeking(&self, stop: CancellationToken) {
        self.lobby.keep_seeking(stop).await;
    }

    /// Someone who waits here was found from elsewhere: they are to be brought there. False: they do not
    /// wait any more, or others have found them first.
    pub fn promise(&self, session: SessionId) -> bool {
        self.lobby.promise(session)
    }

    /// Whoever was found elsewhere does not come: the one here who sought goes on at their place.
    pub fn sorry(&self, seeker: SessionId, found: SessionId) {
        self.lobby.sorry(seeker, found);
    }

    /// The cluster has forgotten who waits here: they are put there again.
    pub fn seek_all_again(&self) {
        self.lobby.seek_all_again();
    }

    /// Whether those who wait are matched on this node alone, because the cluster is away.
    pub fn seeks_alone(&self) -> bool {
        self.lobby.is_alone()
    }

    /// Ends transfers that stand still, until `stop`.
    pub async fn keep_reclaiming(&self, stop: CancellationToken) {
        self.files.keep_reclaiming(stop).await;
    }
}

/// One client of one person, as the rules see it.
struct Person {
    member: Arc<Member>,
    state: Mutex<State>,
    /// Rung when a conversation begins or ends: a link then has to be watched more, or less, closely.
    pace: Notify,
    /// Rung when there is something new to carry to them.
    carry: Notify,
    /// Transfers to them: none, most of the time, and then nothing else is looked at.
    incoming: Arc<AtomicUsize>,
    files: Files,
    calls: Calls,
    places: Places,
    avoid_last: usize,
}

#[derive(Default)]
struct State {
    talk: Option<Talk>,
    /// Whom they looked for last: a skip looks for the same.
    wish: Wish,
    /// Since when they have been looking, on the lobby's clock.
    since: Duration,
    /// Their client's session is over: they must not enter the lobby any more.
    gone: bool,
    /// Their last partners, newest last; at most `avoid_last`.
    recent: VecDeque<UserId>,
    /// What they were sending when talks ended, newest last; at most [`LATE`].
    late: VecDeque<TransferId>,
    /// Calls that are over, of which they may say once how they were, newest last; at most [`REPORTS`].
    to_report: VecDeque<CallId>,
}

/// Transfers of talks that are over whose bytes may still be on their way.
const LATE: usize = 16;
/// Calls that are over and that were not reported.
const REPORTS: usize = 4;

impl Person {
    fn state(&self) -> MutexGuard<'_, State> {
        // As a conversation's gate: what is dropped when code panics must not panic in turn.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what they were sending when a talk ended.
    fn was_sending(&self, id: TransferId) {
        let mut state = self.state();
        if state.late.len() == LATE {
            state.late.pop_front();
        }
        state.late.push_back(id);
    }

    /// They may say how this call was, now that it is over.
    fn may_report(&self, call: &CallId) {
        let mut state = self.state();
        if state.to_report.len() == REPORTS {
            state.to_report.pop_front();
        }
        state.to_report.push_back(call.clone());
    }

    /// Remembers a partner as one not to meet again at once.
    fn met(&self, partner: UserId) {
        let mut state = self.state();
        state.recent.retain(|other| *other != partner);
        state.recent.push_back(partner);
        while state.recent.len() > self.avoid_last {
            state.recent.pop_front();
        }
    }
}

/// What a client's session holds: its place in the service. Dropped = gone, and the partner is told.
pub struct Participant {
    chat: Chat,
    person: Arc<Person>,
    _seat: Seat,
}

impl Participant {
    /// Looks for a partner; while waiting already, with the new wish from now on.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyTalking`].
    pub fn find(&self, wish: Wish) -> Result<(), Refusal> {
        if self.chat.lobby.enter(&self.person, Some(wish)) {
            return Ok(());
        }
        let message = "You are in a conversation. Leave it, or skip to the next person.";
        Err(Refusal::new(ErrorCode::AlreadyTalking, message))
    }

    /// Stops looking.
    ///
    /// # Errors
    /// [`ErrorCode::NotWaiting`]; also when a partner was found a moment before.
    pub fn cancel(&self) -> Result<(), Refusal> {
        if !self.chat.lobby.leave(&self.person) {
            return Err(Refusal::new(ErrorCode::NotWaiting, "You are not waiting for anyone."));
        }
        self.post(&ServerEvent::Idle(Nothing {}));
        Ok(())
    }

    /// Leaves the partner and looks for another with the same wish.
    ///
    /// # Errors
    /// [`ErrorCode::NoConversation`].
    pub fn skip(&self) -> Result<(), Refusal> {
        self.end(Ending::Skipped)?;
        // Nobody else can have matched them since: only who looks for a partner is matched.
        self.chat.lobby.enter(&self.person, None);
        Ok(())
    }

    /// Leaves the partner.
    ///
    /// # Errors
    /// [`ErrorCode::NoConversation`].
    pub fn leave(&self) -> Result<(), Refusal> {
        self.end(Ending::Left)?;
        self.post(&ServerEvent::Idle(Nothing {}));
        Ok(())
    }

    /// Sends the partner a message.
    ///
    /// # Errors
    /// [`ErrorCode::NoConversation`], with the message's id.
    pub fn message(&self, message: Message) -> Result<(), Refusal> {
        match self.person.talk() {
            Some(talk) => talk.message(message),
            None => Err(no_conversation().with_id(message.id.as_str())),
        }
    }

    /// Shows the partner whether this person is typing.
    ///
    /// # Errors
    /// [`ErrorCode::NoConversation`].
    pub fn typing(&self, typing: Typing) -> Result<(), Refusal> {
        self.talk()?.typing(typing)
    }

    /// Clears the messages on both sides.
    ///
    /// # Errors
    /// [`ErrorCode::NoConversation`].
    pub fn clear(&self) -> Result<(), Refusal> {
        self.talk()?.clear()
    }

    /// Offers the partner a file or a voice note.
    ///
    /// # Errors
    /// Whatever speaks against it; no bytes are wanted then.
    pub fn offer(&self, offer: Offer) -> Result<(), Refusal> {
        self.talk()?.offer(offer.into()).map(drop)
    }

    /// Wants what the partner offered.
    ///
    /// # Errors
    /// [`ErrorCode::TransferUnknown`].
    pub fn accept(&self, about: &About) -> Result<(), Refusal> {
        self.talk()?.accept(&about.transfer, Taker::Link).map(drop)
    }

    /// Does not want what the partner offered.
    ///
    /// # Errors
    /// [`ErrorCode::TransferUnknown`].
    pub fn reject(&self, about: &About) -> Result<(), Refusal> {
        self.talk()?.reject(&about.transfer)
    }

    /// Has so much of what the partner sends. It may have been on its way when that ended.
    pub fn progress(&self, progress: &Progress) {
        if let Some(talk) = self.person.talk() {
            talk.progress(progress);
        }
    }

    /// Has sent everything.
    ///
    /// # Errors
    /// [`ErrorCode::TransferUnknown`], [`ErrorCode::TransferOver`].
    pub fn complete(&self, complete: &Complete) -> Result<(), Refusal> {
        self.talk()?.complete(complete)
    }

    /// Calls a transfer off, its own or the partner's.
    ///
    /// # Errors
    /// [`ErrorCode::TransferUnknown`].
    pub fn call_off(&self, about: &About) -> Result<(), Refusal> {
        self.talk()?.call_off(&about.transfer)
    }

    /// The client is on a new link and has these transfers left. Yields where its own go on.
    pub fn go_on(&self, held: Option<&[HeldTransfer]>) -> Vec<GoOn> {
        self.person.talk().map(|talk| talk.go_on(held)).unwrap_or_default()
    }

    /// What brings and takes the bytes of this client's transfers.
    pub fn carrier(&self) -> Carrier {
        Carrier::new(Arc::clone(&self.person))
    }

    /// The client has a link by this door. If it had none, its partner is told, or its search goes on.
    pub fn linked(&self, door: Door) {
        let back = self.person.member.door().is_none();
        self.person.member.set_door(Some(door));
        if back {
            match self.person.talk() {
                // The partner may have left in this very moment; then there is nobody to tell.
                Some(talk) => drop(talk.status(self.person.member.presence())),
                None => self.chat.lobby.come_back(&self.person),
            }
        }
    }

    /// The client has lost its link and may come back. Someone who waits is not matched meanwhile,
    /// but keeps their place; a partner is told.
    pub fn unlinked(&self) {
        self.person.member.set_door(None);
        self.chat.lobby.step_aside(&self.person);
        if let Some(talk) = self.person.talk() {
            // The partner may have left in this very moment; then there is nobody to tell.
            drop(talk.status(Presence::Reconnecting));
        }
    }

    /// The client has had no link for a while. A partner of whom it never acknowledged to have heard
    /// is freed and put back at their place in the queue; so is this client when it is back.
    pub fn missing(&self) {
        let Some(talk) = self.person.talk() else { return };
        if !talk.is_told() && talk.end(Ending::Disconnected) {
            self.post(&ServerEvent::Unmatched(talk.unmatched(Ending::Disconnected)));
            self.chat.lobby.put_back(&self.person);
            self.chat.lobby.put_back(talk.partner());
        }
    }

    /// What the client does, and its conversation if it is in one, with how the partner is.
    pub fn doing(&self) -> (Doing, Option<Matched>) {
        match self.person.talk() {
            Some(talk) => {
                let status = Some(talk.partner().member.presence()).filter(|status| *status != Presence::Online);
                let call = talk.standing_call();
                (Doing::Talking, Some(Matched { status, call, ..talk.matched() }))
            }
            None => (self.person.member.doing(), None),
        }
    }

    /// Whether a conversation stands: its link must then be watched closely.
    pub fn is_talking(&self) -> bool {
        self.person.member.doing() == Doing::Talking
    }

    /// Waits until [`is_talking`](Self::is_talking) may have changed. Cancel safe.
    pub async fn pace_changed(&self) {
        self.person.pace.notified().await;
    }

    fn talk(&self) -> Result<Talk, Refusal> {
        self.person.talk().ok_or_else(no_conversation)
    }

    fn end(&self, reason: Ending) -> Result<(), Refusal> {
        if self.talk()?.end(reason) { Ok(()) } else { Err(no_conversation()) }
    }

    fn post(&self, event: &ServerEvent) {
        self.person.member.outbox.post(event);
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        // Out of the lobby first: from then on no new conversation can begin.
        self.chat.lobby.forget(&self.person);
        if let Some(talk) = self.person.talk() {
            talk.end(Ending::Disconnected);
        }
        self.person.member.outbox.retire();
    }
}
