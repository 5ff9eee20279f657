//! A node that is about to stop: its sessions go to others, and its clients after them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use rand::RngExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::words::{Ask, Reply};
use super::{Company, Going};
use crate::cluster::Card;
use crate::outbox::Kin;
use crate::protocol::{CloseReason, Closing, NodeId, SessionId};
use crate::session::entry::{Entry, Held};
use crate::session::image::Image;
use crate::session::register::Sessions;

/// Sessions that are on their way at once.
const AT_ONCE: usize = 64;
/// How long a node may take to say that it would have sessions: one that is about to be known as dead says nothing.
const ROOM: Duration = Duration::from_millis(500);
/// How long a link may take to give its session up.
const CLAIM: Duration = Duration::from_secs(2);
/// How often a talk with files on their way is looked at again.
const AGAIN: Duration = Duration::from_millis(100);
/// Kept of the time that a shutdown has, for what comes after the files.
const RESERVE: Duration = Duration::from_secs(3);
/// Clients come back within this time at the least, each at a moment of its own ...
const SPREAD: Duration = Duration::from_secs(1);
/// ... and no more of them than these in a second.
const A_SECOND: usize = 500;

/// A node that has said that it would have sessions.
struct Taker {
    card: Card,
    /// Something that was sent there came to nothing.
    failed: AtomicBool,
}

impl Sessions {
    /// Sends every session to another node, and its client after it; yields how many are left here. Nobody is
    /// asked after `grace`; what was asked before is waited for, which is 3 s and a question to the cluster at the
    /// most.
    pub async fn hand_over_all(&self, grace: Duration) -> usize {
        let Some(company) = self.0.company.clone() else { return self.count() };
        self.refuse_newcomers();
        company.0.serving.store(false, Ordering::Relaxed);
        // From now on nobody is sent here.
        if let Err(error) = company.0.cluster.beat(&self.card(&company)).await {
            debug!(%error, "the cluster was not told that this node stops");
        }
        let until = Instant::now() + grace;
        info!(sessions = self.count(), others = company.others().len(), "sessions go to other nodes");
        company.0.draining.cancel();
        let mut tried = HashSet::new();
        loop {
            let takers = takers(&company).await;
            let late = Instant::now() + RESERVE >= until;
            let mut waits = false;
            let mut moves = Vec::new();
            for entry in self.entries() {
                if tried.contains(&entry.id) {
                    continue;
                }
                let partner = match self.0.chat.talk_of_session(entry.user, entry.id) {
                    // Of two who talk the polite one takes both along.
                    Some(talk) if !talk.polite && self.entry(talk.partner).is_some() => {
                        waits = true;
                        continue;
                    }
                    // Files that are on their way arrive first, while there is time.
                    Some(talk) if talk.carries && !late => {
                        waits = true;
                        continue;
                    }
                    Some(talk) if talk.polite => self.entry(talk.partner),
                    Some(_) | None => None,
                };
                tried.extend([Some(entry.id), partner.as_ref().map(|partner| partner.id)].into_iter().flatten());
                moves.push(self.hand_over(&company, &takers, entry, partner, (late, until)));
            }
            let mut moved = false;
            // What has begun is not left half done: each step of it has a deadline of its own.
            let mut moves = stream::iter(moves).buffer_unordered(AT_ONCE);
            while let Some(stay) = moves.next().await {
                moved |= stay.is_empty();
                for session in stay {
                    tried.remove(&session);
                    waits = true;
                }
            }
            // Alone, it has nobody to send them to; among others, one may be about to come back.
            if Instant::now() >= until || (!moved && !waits) || company.others().is_empty() {
                break;
            }
            if !moved {
                sleep(AGAIN).await;
            }
        }
        self.count()
    }

    /// Sends one session, or two that talk, to another node. Yields those that are to be tried again.
    async fn hand_over(
        &self,
        company: &Company,
        takers: &[Taker],
        entry: Arc<Entry>,
        partner: Option<Arc<Entry>>,
        (late, until): (bool, Instant),
    ) -> Vec<SessionId> {
        if Instant::now() >= until {
            return self.still_here(&[entry]);
        }
        match partner {
            Some(partner) => self.hand_over_pair(company, takers, [entry, partner], (late, until)).await,
            None => self.hand_over_one(company, takers, entry, until).await,
        }
    }

    async fn hand_over_pair(
        &self,
        company: &Company,
        takers: &[Taker],
        entries: [Arc<Entry>; 2],
        (late, until): (bool, Instant),
    ) -> Vec<SessionId> {
        // Their links wait until this is known, whatever becomes of it.
        let moved = CancellationToken::new();
        let _told = moved.clone().drop_guard();
        let [one, other] = &entries;
        let (one, other) = tokio::join!(self.take_along(one, &moved), self.take_along(other, &moved));
        // They still have the talk in which they were found, and no file was offered meanwhile.
        let ready = |one: &Held, other: &Held| {
            one.core
                .participant
                .talk_with()
                .is_some_and(|talk| talk.polite && talk.partner == other.entry.id && (late || !talk.carries))
        };
        let (mut one, mut other) = match (one, other) {
            (Some(one), Some(other)) if ready(&one, &other) => (one, other),
            // Whoever was not to be had may be later, or is over. A talk is not torn.
            (one, other) => {
                one.into_iter().chain(other).for_each(|held| self.park_aside(held));
                return self.still_here(&entries);
            }
        };
        let kin = [one.core.participant.kin(), other.core.participant.kin()];
        let Some(talk) = one.core.participant.pack_talk() else {
            // It is over. Each goes alone.
            self.park_aside(one);
            self.park_aside(other);
            return self.still_here(&entries);
        };
        let images =
            (Image::take(&one.entry, &mut one.core, &kin[0]), Image::take(&other.entry, &mut other.core, &kin[1]));
        // They are in no talk any more, and nobody finds who does not look.
        let (Some(polite), Some(impolite)) = images else { unreachable!("a talk begins with someone who looks") };
        let mut ask = Ask::Pair { images: Box::new([polite, impolite]), talk: talk.clone() };
        match self.send(company, takers, &mut ask, one.entry.id, until).await {
            Some(to) => {
                self.has_left(&one.entry, one.core, to);
                self.has_left(&other.entry, other.core, to);
                Vec::new()
            }
            None => {
                // They stay together, and are tried again.
                self.0.chat.reunite(&one.core.participant, &other.core.participant, talk);
                for held in [one, other] {
                    self.stays_here(&ask, held);
                }
                self.still_here(&entries)
            }
        }
    }

    fn still_here(&self, entries: &[Arc<Entry>]) -> Vec<SessionId> {
        entries.iter().map(|entry| entry.id).filter(|id| self.entry(*id).is_some()).collect()
    }

    async fn hand_over_one(
        &self,
        company: &Company,
        takers: &[Taker],
        entry: Arc<Entry>,
        until: Instant,
    ) -> Vec<SessionId> {
        let moved = CancellationToken::new();
        let _told = moved.clone().drop_guard();
        if let Some(mut held) = self.take_along(&entry, &moved).await {
            let Some(image) = Image::take(&held.entry, &mut held.core, &Kin::default()) else {
                // A partner was found in this moment: they go together.
                self.park_aside(held);
                return self.still_here(&[entry]);
            };
            let luggage = image.luggage.clone();
            let mut ask = Ask::Single { image: Box::new(image) };
            match self.send(company, takers, &mut ask, held.entry.id, until).await {
                Some(to) => self.has_left(&held.entry, held.core, to),
                None => {
                    held.core.participant.unpack(&luggage);
                    self.stays_here(&ask, held);
                }
            }
        }
        self.still_here(&[entry])
    }

    /// Asks one node after the other, the one with the fewest sessions first, and none after `until`. `session`: one
    /// of those that are sent.
    async fn send(
        &self,
        company: &Company,
        takers: &[Taker],
        ask: &mut Ask,
        session: SessionId,
        until: Instant,
    ) -> Option<NodeId> {
        let mut nodes: Vec<_> = takers.iter().filter(|taker| !taker.failed.load(Ordering::Relaxed)).collect();
        // Not all to the same, which has yet to say how many it has by now.
        nodes.sort_by_cached_key(|taker| (taker.card.sessions / 64, rand::rng().random::<u32>()));
        for Taker { card, failed } in nodes {
            if Instant::now() >= until {
                return None;
            }
            match company.ask(card.node, ask, None).await {
                Ok((_, _, Reply::Granted)) => return Some(card.node),
                Ok((_, _, reply)) => debug!(?reply, node = %card.node, "a session was not taken"),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    debug!(%error, "a session could not be sent");
                    // Its answer may be lost, and the session be there.
                    if self.has_come(company, session, card.node).await {
                        return Some(card.node);
                    }
                }
            }
            ask.images_mut().iter_mut().for_each(Image::hop);
        }
        None
    }

    /// Takes two in who talk, and whose clients have yet to come. False: they cannot be had.
    pub(super) async fn take_pair(&self, images: [Image; 2], talk: crate::chat::TalkLuggage) -> bool {
        if self.is_draining() {
            return false;
        }
        let [polite, impolite] = images;
        let held = [self.enter(&polite), self.enter(&impolite)];
        self.0.chat.reunite(&held[0].core.participant, &held[1].core.participant, talk);
        let known = held.iter().zip([polite.mail, impolite.mail]).all(|(held, mail)| {
            let kin = held.core.participant.kin();
            held.core.outbox.refill(mail, &kin).is_some()
        });
        if !known {
            held.iter().for_each(|held| self.close(&held.entry, None));
            return false;
        }
        self.write_down_at_once(&held.each_ref()).await;
        held.into_iter().for_each(|held| self.await_client(held));
        true
    }

    /// Takes one in whose client has yet to come. False: it cannot be had.
    pub(super) async fn take_single(&self, image: Image) -> bool {
        if self.is_draining() {
            return false;
        }
        let Some((held, luggage)) = self.install(image, &Kin::default()) else { return false };
        self.write_down_at_once(&[&held]).await;
        held.core.participant.settle(&luggage);
        self.await_client(held);
        true
    }

    /// Keeps a session that has no link until its client comes.
    pub(in crate::session) fn await_client(&self, held: Held) {
        let sessions = self.clone();
        self.0.tasks.spawn(async move { sessions.park(held).await });
    }

    /// The farewell of a client whose session has gone to another node.
    pub(in crate::session) fn moved_on(&self) -> Closing {
        let spread = SPREAD.max(Duration::from_secs((self.count() / A_SECOND) as u64));
        let wait = rand::rng().random_range(0..u64::try_from(spread.as_millis()).unwrap_or(u64::MAX));
        let message = "This server restarts. Your session goes on at another one.";
        Closing::because(CloseReason::Draining, message).retry_after_ms(wait)
    }

    fn stays_here(&self, ask: &Ask, held: Held) {
        let hops = ask.images().iter().map(|image| image.hops).max().unwrap_or_default();
        held.entry.stays_after(hops);
        self.write_down(&held.entry, &held.core, true);
        self.park_aside(held);
    }

    fn park_aside(&self, held: Held) {
        held.entry.park(held.core);
    }

    /// Takes a session from whatever has it; a link is told that its client is to come back elsewhere.
    async fn take_along(&self, entry: &Arc<Entry>, moved: &CancellationToken) -> Option<Held> {
        entry.ask_to_go(Going::Drained(moved.clone()));
        self.claim(entry, CLAIM).await.ok().flatten()
    }
}

/// The other nodes that would have sessions, and say so at once; or all, if none does.
async fn takers(company: &Company) -> Vec<Taker> {
    let others: Vec<_> = company.others().into_iter().filter(|card| card.serving).collect();
    let asked = others.iter().map(|card| timeout(ROOM, company.ask(card.node, &Ask::Room, None)));
    let answers = join_all(asked).await;
    let said: Vec<_> = answers.iter().map(|said| matches!(said, Ok(Ok((_, _, Reply::Granted))))).collect();
    let any = said.contains(&true);
    let takes = others.into_iter().zip(said).filter(|(_, said)| *said || !any);
    takes.map(|(card, _)| Taker { card, failed: AtomicBool::new(false) }).collect()
}
