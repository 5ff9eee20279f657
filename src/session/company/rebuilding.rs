//! What is left of a session whose node is gone: its record says whose it was and with whom they talked. The
//! first of the two who comes back has the talk built again at its node, and the other is brought there.
//! What was on its way between them is lost, and their clients, who are told so, send it again.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tracing::info;

use super::words::{Ask, Back, LinkCard, Reply};
use super::{Carried, Company, Elsewhere};
use crate::auth::Identity;
use crate::chat::{Luggage, TalkLuggage, Talker};
use crate::cluster::{Note, Record};
use crate::hub::Door;
use crate::protocol::{Lost, NodeId, PublicUser, Resume, SessionId, Sha256, Whence};
use crate::session::core::Core;
use crate::session::entry::proof;
use crate::session::hello::later;
use crate::session::image::Image;
use crate::session::register::Sessions;

/// A conversation as the records of both its sessions have it.
#[derive(Debug, Serialize, Deserialize)]
struct Remains {
    common: Vec<String>,
    /// The polite one first.
    people: [Who; 2],
}

/// One of the two.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Who {
    session: SessionId,
    user: PublicUser,
    /// The SHA-256 of the session's key.
    key: Sha256,
    device: Option<String>,
    /// Of one without a key: how long it is waited for (milliseconds), and what it is told by.
    grace: Option<(u64, Option<String>)>,
    /// Whether its client understands `call:*`.
    calls: bool,
}

/// What became of a conversation whose node is gone.
pub(super) enum Rebuilt {
    /// It is here.
    Here,
    /// That node has it, or is to have it.
    At(NodeId),
    /// To be asked again.
    Later,
    /// There is nothing to build it from.
    No,
}

impl Sessions {
    /// What the others need to build the conversation of a session again.
    pub(super) fn talk_record(&self, core: &Core) -> String {
        let Some((talk, people)) = core.participant.talk_of_two() else { return String::new() };
        let who = |session| {
            let entry = self.entry(session)?;
            let grace = entry.grace.as_ref();
            Some((
                entry.proof(),
                entry.device.clone(),
                grace.map(|it| (crate::protocol::millis(it.window), it.device.clone())),
            ))
        };
        let people = people.map(|Talker { session, user, calls }| {
            who(session).map(|(key, device, grace)| Who { session, user, key, device, grace, calls })
        });
        match people {
            [Some(polite), Some(impolite)] => {
                let remains = Remains { common: talk.common, people: [polite, impolite] };
                serde_json::to_string(&remains).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    /// Builds again what was lost with a node, or finds where that was done.
    #[expect(clippy::too_many_arguments, reason = "all of what a hello says")]
    pub(super) async fn rebuild(
        &self,
        company: &Company,
        identity: &Identity,
        expires: SystemTime,
        session: SessionId,
        record: Record,
        resume: Option<&Resume>,
        whence: &Whence,
        (door, streams): (Door, bool),
    ) -> Elsewhere {
        if resume.is_some_and(|resume| proof(&resume.key) != record.key) {
            return Elsewhere::Nowhere;
        }
        let home = match self.rebuild_here(company, session, &record).await {
            Rebuilt::Here => {
                let held = self.take_back(identity.id, session, resume).await;
                return held.map_or_else(|_| Elsewhere::Later(later()), Elsewhere::Here);
            }
            Rebuilt::At(home) => home,
            Rebuilt::Later => return Elsewhere::Later(later()),
            Rebuilt::No => return Elsewhere::Lost(Lost::Node),
        };
        let link = LinkCard { number: rand::random(), door, streams };
        let expires = crate::session::image::unix_millis(expires);
        let (resume, whence) = (resume.cloned(), whence.clone());
        let back = Back { user: identity.id, expires, session, resume, whence, link };
        match company.ask(home, &Ask::Resume(Box::new(back)), streams.then_some(link.number)).await {
            Ok((wire, beside, Reply::Granted)) => Elsewhere::Carried(Carried { wire, beside, node: home }),
            // It is over, or about to go on from there.
            Ok((_, _, Reply::Lost { why })) if why != Lost::Unknown => Elsewhere::Lost(why),
            Ok(_) | Err(_) => Elsewhere::Later(later()),
        }
    }

    /// The same for a client of another node, which was told that this one would build it.
    pub(super) async fn rebuild_for(&self, company: &Company, session: SessionId) -> Rebuilt {
        match company.0.cluster.find(session).await {
            Ok(Some(record)) if record.node != company.node() && company.0.nodes.card(record.node).is_none() => {
                self.rebuild_here(company, session, &record).await
            }
            Ok(_) | Err(_) => Rebuilt::No,
        }
    }

    /// Builds a session's conversation again, if that is this node's to do. `record`: of the session, from a node
    /// that is gone.
    async fn rebuild_here(&self, company: &Company, session: SessionId, record: &Record) -> Rebuilt {
        if self.is_draining() {
            // It would be lost again: others are there.
            return Rebuilt::Later;
        }
        let Some(talk) = &record.talk else { return Rebuilt::No };
        let Ok(remains) = serde_json::from_str::<Remains>(&talk.rest) else { return Rebuilt::No };
        match company.0.cluster.adopt(talk.conversation, record.node).await {
            Ok(home) if home == company.node() => {}
            Ok(home) => return Rebuilt::At(home),
            Err(_) => return Rebuilt::Later,
        }
        // One at a time: the partner may come here in this very moment.
        let _one = company.0.rebuilding.lock().await;
        if self.entry(session).is_some() {
            return Rebuilt::Here;
        }
        let partner = remains.people.iter().find(|who| who.session != session);
        let Some(partner) = partner else { return Rebuilt::No };
        // They may have left, and the end of the talk have reached their record alone.
        let Ok(theirs) = company.0.cluster.find(partner.session).await else { return Rebuilt::Later };
        let same = |it: &Record| it.talk.as_ref().is_some_and(|it| it.conversation == talk.conversation);
        let Some(theirs) = theirs.filter(same) else { return Rebuilt::No };
        if theirs.node != company.node() && company.0.nodes.card(theirs.node).is_some() {
            // Both are there, and that is about to be written down.
            return Rebuilt::Later;
        }
        info!(conversation = %talk.conversation, lost = %record.node, "a conversation is built again after its node was lost");
        self.raise(talk.conversation, record.hops.max(theirs.hops), remains);
        let adopted = Note::Adopted { conversation: talk.conversation };
        // A node that is gone reads nothing; one that was only cut off has to know.
        let _ = company.0.cluster.tell(record.node, &adopted).await;
        Rebuilt::Here
    }

    /// Makes the two sessions of a conversation anew. Their clients have yet to come.
    fn raise(&self, id: crate::protocol::ConversationId, hops: u32, remains: Remains) {
        let Remains { common, people } = remains;
        let held = people.map(|who| {
            let image = Image::anew(
                who.session,
                hops,
                who.user,
                who.device,
                who.grace,
                who.key,
                Luggage::none(Whence::default()).of_client(who.calls),
            );
            self.enter(&image)
        });
        let talk = TalkLuggage::of_lost(id, common);
        self.0.chat.reunite(&held[0].core.participant, &held[1].core.participant, talk);
        for held in held {
            self.write_down(&held.entry, &held.core, true);
            self.await_client(held);
        }
    }
}
