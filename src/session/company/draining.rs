//! A node that is about to stop: its sessions go to others, and its clients after them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use rand::RngExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::words::{Ask, Reply};
use super::{Company, Going};
use crate::cluster::Card;
use crate::outbox::Kin;
use crate::protocol::{CloseReason, Closing, NodeId};
use crate::session::entry::{Entry, Held};
use crate::session::image::Image;
use crate::session::register::Sessions;

/// Sessions that are on their way at once.
const AT_ONCE: usize = 64;
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

impl Sessions {
    /// Sends every session to another node, and its client after it; yields how many are left here. What
    /// takes longer than `grace` is left.
    pub async fn hand_over_all(&self, grace: Duration) -> usize {
        let Some(company) = self.0.company.clone() else { return self.count() };
        self.refuse_newcomers();
        company.0.serving.store(false, std::sync::atomic::Ordering::Relaxed);
        // From now on nobody is sent here.
        if let Err(error) = company.0.cluster.beat(&self.card(&company)).await {
            debug!(%error, "the cluster was not told that this node stops");
        }
        let until = Instant::now() + grace;
        info!(sessions = self.count(), others = company.others().len(), "sessions go to other nodes");
        company.0.draining.cancel();
        let mut tried = HashSet::new();
        loop {
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
                moves.push(self.hand_over(&company, entry, partner));
            }
            let moved = !moves.is_empty();
            // What has begun is not left half done: each step of it has a deadline of its own.
            stream::iter(moves).buffer_unordered(AT_ONCE).for_each(|()| std::future::ready(())).await;
            if Instant::now() >= until || (!moved && !waits) {
                break;
            }
            if !moved {
                sleep(AGAIN).await;
            }
        }
        self.count()
    }

    /// Sends one session, or two that talk, to another node.
    async fn hand_over(&self, company: &Company, entry: Arc<Entry>, partner: Option<Arc<Entry>>) {
        match partner {
            Some(partner) => self.hand_over_pair(company, [entry, partner]).await,
            None => self.hand_over_one(company, entry).await,
        }
    }

    async fn hand_over_pair(&self, company: &Company, entries: [Arc<Entry>; 2]) {
        let moved = CancellationToken::new();
        let [one, other] = &entries;
        let (one, other) = tokio::join!(claim(one, &moved), claim(other, &moved));
        let (mut one, mut other) = match (one, other) {
            (Some(one), Some(other)) => (one, other),
            (Some(alone), None) | (None, Some(alone)) => {
                moved.cancel();
                return self.hand_over_held(company, alone).await;
            }
            (None, None) => return,
        };
        let kin = [one.core.participant.kin(), other.core.participant.kin()];
        let Some(talk) = one.core.participant.pack_talk() else {
            moved.cancel();
            self.hand_over_held(company, one).await;
            return self.hand_over_held(company, other).await;
        };
        let images = Box::new([
            Image::take(&one.entry, &mut one.core, &kin[0]),
            Image::take(&other.entry, &mut other.core, &kin[1]),
        ]);
        let ask = Ask::Pair { images, talk: talk.clone() };
        match self.send(company, &ask).await {
            Some(to) => {
                self.has_left(&one.entry, one.core, to);
                self.has_left(&other.entry, other.core, to);
            }
            None => {
                // They stay together until the end.
                self.0.chat.reunite(&one.core.participant, &other.core.participant, talk);
                self.park_aside(one);
                self.park_aside(other);
            }
        }
        moved.cancel();
    }

    async fn hand_over_one(&self, company: &Company, entry: Arc<Entry>) {
        let moved = CancellationToken::new();
        if let Some(held) = claim(&entry, &moved).await {
            self.hand_over_held(company, held).await;
        }
        moved.cancel();
    }

    async fn hand_over_held(&self, company: &Company, mut held: Held) {
        let image = Box::new(Image::take(&held.entry, &mut held.core, &Kin::default()));
        let luggage = image.luggage.clone();
        match self.send(company, &Ask::Single { image }).await {
            Some(to) => self.has_left(&held.entry, held.core, to),
            None => {
                held.core.participant.unpack(&luggage);
                self.park_aside(held);
            }
        }
    }

    /// Asks one node after the other, the one with the fewest sessions first.
    async fn send(&self, company: &Company, ask: &Ask) -> Option<NodeId> {
        let mut nodes: Vec<Card> = company.others().into_iter().filter(|card| card.serving).collect();
        // Not all to the same, which has yet to say how many it has by now.
        nodes.sort_by_key(|card| (card.sessions / 64, rand::rng().random::<u32>()));
        for card in nodes {
            match company.ask(card.node, ask, None).await {
                Ok((_, _, Reply::Granted)) => return Some(card.node),
                Ok((_, _, reply)) => debug!(?reply, node = %card.node, "a session was not taken"),
                Err(error) => debug!(%error, "a session could not be sent"),
            }
        }
        None
    }

    /// Takes two in who talk, and whose clients have yet to come. False: they cannot be had.
    pub(super) fn take_pair(&self, images: [Image; 2], talk: crate::chat::TalkLuggage) -> bool {
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
        for held in held {
            self.write_down(&held.entry, &held.core, true);
            self.await_client(held);
        }
        true
    }

    /// Takes one in whose client has yet to come. False: it cannot be had.
    pub(super) fn take_single(&self, image: Image) -> bool {
        if self.is_draining() {
            return false;
        }
        let Some((held, luggage)) = self.install(image, &Kin::default()) else { return false };
        self.write_down(&held.entry, &held.core, true);
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

    fn park_aside(&self, held: Held) {
        held.entry.park(held.core);
    }
}

/// Takes a session from whatever has it.
async fn claim(entry: &Arc<Entry>, moved: &CancellationToken) -> Option<Held> {
    if let Some(held) = entry.take_parked() {
        return Some(held).filter(|held| !held.core.outbox.has_ended());
    }
    entry.ask_to_go(Going::Drained(moved.clone()));
    timeout(CLAIM, entry.claim()).await.ok().flatten().filter(|held| !held.core.outbox.has_ended())
}
