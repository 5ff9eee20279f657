//! How sessions go from node to node: to a partner who is elsewhere, home to their edge, after a client that
//! has come back elsewhere, and away from a node that is about to stop.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use super::home::CarriedLink;
use super::ledger::Known;
use super::rebuilding::Rebuilt;
use super::words::{self, Ask, Back, LinkCard, Reply};
use super::{Company, Over, REPLY, Road, ServeWeb, edge};
use crate::auth::Identity;
use crate::chat::Luggage;
use crate::cluster::{Record, TalkRecord, Whereabouts};
use crate::hub::Door;
use crate::nodes::{Beside, Peer, Wire};
use crate::outbox::{Batch, Kin};
use crate::protocol::{Closing, Lost, NodeId, Resume, ServerEvent, SessionId, Whence};
use crate::session::core::Core;
use crate::session::entry::{Entry, Grace, Held};
use crate::session::hello::later;
use crate::session::image::{Image, unix_millis};
use crate::session::register::{NotTaken, Sessions};
use crate::session::run::{At, LinkEnds};
use crate::session::{Link, Reader, Streams, Writer};

/// How long a session that is between two nodes takes to arrive.
const MOVING: Duration = Duration::from_millis(100);

/// Why a link is asked to give its session up, other than for another link of the same client.
pub(in crate::session) enum Going {
    /// It goes to another node, for someone who has found it from there; the link stays and carries it.
    Away { to: NodeId, seeker: SessionId },
    /// This node is about to stop: the client comes back elsewhere, once this is cancelled.
    Drained(CancellationToken),
}

/// A link whose session is elsewhere.
pub(in crate::session) struct Carried {
    pub(super) wire: Wire,
    pub(super) beside: Option<Beside>,
    pub(super) node: NodeId,
}

/// How a client that is here would go on with a session that is elsewhere.
pub(in crate::session) enum Elsewhere {
    /// It is carried there.
    Carried(Carried),
    /// It is lost, for this reason.
    Lost(Lost),
    /// It is here: it has come meanwhile, or was built again since its node is gone.
    Here(Held),
    /// Its node does not answer: to be tried again.
    Later(Closing),
    /// Nobody knows of it.
    Nowhere,
}

impl Sessions {
    /// Has a session go to another node. False: it is not with a link of this node.
    pub(super) fn go_away(&self, session: SessionId, to: NodeId, seeker: SessionId) -> bool {
        self.entry(session).is_some_and(|entry| entry.ask_to_go(Going::Away { to, seeker }))
    }

    /// Sends a session to another node; its link, which stays here, is carried there. It stays where that
    /// fails.
    pub(in crate::session) async fn send_away(
        &self,
        entry: &Arc<Entry>,
        core: &mut Core,
        (to, seeker): (NodeId, SessionId),
        (door, streams): (Door, bool),
    ) -> Option<Carried> {
        let company = self.0.company.as_ref()?;
        let Some(image) = Image::take(entry, core, &Kin::default()) else {
            // A partner was found here in this moment.
            self.say_sorry(company, to, seeker, entry.id);
            return None;
        };
        let (luggage, hops) = (image.luggage.clone(), image.hops);
        let link = LinkCard { number: rand::random(), door, streams };
        let ask = Ask::Move { image: Box::new(image), link, seeker };
        match company.ask(to, &ask, streams.then_some(link.number)).await {
            Ok((wire, beside, Reply::Granted)) => Some(Carried { wire, beside, node: to }),
            Ok((_, _, reply)) => {
                debug!(?reply, node = %to, "a session was not taken");
                self.stays(company, entry, core, (to, seeker), (&luggage, hops));
                None
            }
            Err(error) => {
                debug!(%error, "a session could not be sent");
                self.stays(company, entry, core, (to, seeker), (&luggage, hops));
                None
            }
        }
    }

    /// A session was not taken, or it is not known whether it was: it is here.
    fn stays(
        &self,
        company: &Company,
        entry: &Entry,
        core: &Core,
        (to, seeker): (NodeId, SessionId),
        (luggage, hops): (&Luggage, u32),
    ) {
        self.say_sorry(company, to, seeker, entry.id);
        entry.stays_after(hops.saturating_add(1));
        self.write_down(entry, core, true);
        core.participant.unpack(luggage);
    }

    /// Whether a session is at that node, by its record.
    pub(super) async fn has_come(&self, company: &Company, session: SessionId, node: NodeId) -> bool {
        matches!(company.0.cluster.find(session).await, Ok(Some(record)) if record.node == node)
    }

    /// Carries a link to the node at which its session is.
    pub(in crate::session) async fn carry<R: Reader, W: Writer, S: Streams>(
        &self,
        carried: Carried,
        reader: &mut R,
        writer: &mut W,
        streams: Option<&S>,
        deadline: Duration,
    ) -> Over {
        let never = CancellationToken::new();
        let stopping = self.0.company.as_ref().map_or(&never, |company| &company.0.draining);
        let Carried { wire, beside, node } = carried;
        debug!(%node, "a link is carried to another node");
        edge::carry(reader, writer, streams, wire, beside.as_ref(), stopping, deadline).await
    }

    /// Sends a session to the node of its link. `None`: it stays here after all, without a link.
    pub(in crate::session) async fn send_home<R: Reader>(
        &self,
        entry: &Entry,
        core: &mut Core,
        road: &Road,
        reader: &mut R,
    ) -> Option<NodeId> {
        let image = Image::take(entry, core, &Kin::default())?;
        let arriving = async {
            // Nothing else is heard of the old home after the session.
            reader.answer().await.ok()?;
            road.send(&image).await.ok()?;
            // What was on its way here goes back, in its order.
            while let Ok(heard) = reader.recv().await {
                road.hand_back(&heard).await.ok()?;
            }
            road.has_arrived().then_some(())
        };
        match timeout(REPLY, arriving).await {
            Ok(Some(())) => Some(road.node()),
            Ok(None) | Err(_) => {
                core.participant.unpack(&image.luggage);
                None
            }
        }
    }

    /// Looks beyond this node for the session that someone's last link without a key has left.
    pub(in crate::session) async fn left_elsewhere(
        &self,
        identity: &Identity,
        expires: SystemTime,
        grace: &Grace,
        whence: &Whence,
        way: (Door, bool),
    ) -> Elsewhere {
        let Some(company) = &self.0.company else { return Elsewhere::Nowhere };
        let Ok(theirs) = company.0.cluster.whereabouts(identity.id).await else { return Elsewhere::Nowhere };
        let named = grace.device.clone().unwrap_or_default();
        let same = |it: &&Whereabouts| it.node != company.node() && it.grace.as_ref() == Some(&named);
        match theirs.iter().rev().find(same) {
            Some(last) => self.look_elsewhere(identity, expires, last.session, None, whence, way).await,
            None => Elsewhere::Nowhere,
        }
    }

    /// A session has gone to another node: nothing of it is here any more, and nobody is told of an end.
    pub(in crate::session) fn has_left(&self, entry: &Arc<Entry>, core: Box<Core>, to: NodeId) {
        self.forget(entry);
        drop(core);
        if let Some(company) = &self.0.company {
            company.0.ledger.moved(entry.id);
        }
        debug!(session = %entry.id, node = %to, "the session has gone to another node");
    }

    /// Takes in a session that comes from another node. Its client's link is `door`'s, or it has none.
    pub(in crate::session) fn install(&self, image: Image, kin: &Kin) -> Option<(Held, crate::chat::Luggage)> {
        let held = self.enter(&image);
        let Image { mail, luggage, .. } = image;
        if held.core.outbox.refill(mail, kin).is_none() {
            warn!(session = %held.entry.id, "a session from another node holds what is not known here");
            self.close(&held.entry, Some(Lost::Unknown));
            return None;
        }
        Some((held, luggage))
    }

    /// Serves a stream that another node has opened.
    pub(super) async fn serve_node(self, peer: Peer, mut wire: Wire, web: ServeWeb) {
        let Some(company) = self.0.company.clone() else { return };
        let asked = timeout(REPLY, wire.come.next()).await;
        let Ok(Ok(Some((words::ASK, ask)))) = asked else { return };
        match serde_json::from_slice(&ask) {
            Ok(Ask::Move { image, link, seeker }) => self.take_in(&peer, wire, *image, link, seeker).await,
            Ok(Ask::Room) => {
                reply(&mut wire, &granted(!self.is_draining())).await;
            }
            Ok(Ask::Pair { images, talk }) => {
                let taken = self.take_pair(*images, talk).await;
                reply(&mut wire, &granted(taken)).await;
            }
            Ok(Ask::Single { image }) => {
                let taken = self.take_single(*image).await;
                reply(&mut wire, &granted(taken)).await;
            }
            Ok(Ask::Resume(back)) => self.resume_for(&company, &peer, wire, *back).await,
            Ok(Ask::People) => {
                let people = self.0.chat.online().into_iter().map(Into::into).collect();
                reply(&mut wire, &Reply::People { people }).await;
            }
            Ok(Ask::Talker { user }) => {
                reply(&mut wire, &granted(self.0.chat.may_upload(user).is_ok())).await;
            }
            Ok(Ask::Ticket { ticket }) => {
                reply(&mut wire, &granted(self.0.chat.offers(ticket))).await;
            }
            Ok(Ask::Web { peer, secure }) => {
                if reply(&mut wire, &Reply::Granted).await
                    && let Ok(stream) = wire.bare().await
                {
                    web(stream, peer, secure).await;
                }
            }
            Err(error) => debug!(%error, node = %peer.node(), "another node asks for what is not known here"),
        }
    }

    /// Someone comes whom one of ours has found.
    async fn take_in(&self, peer: &Peer, mut wire: Wire, image: Image, link: LinkCard, seeker: SessionId) {
        let beside = link.streams.then(|| peer.beside(link.number));
        if self.is_draining() {
            let why = "this node is about to stop".to_owned();
            reply(&mut wire, &Reply::Refused { why }).await;
            return;
        }
        if !reply(&mut wire, &Reply::Granted).await {
            return;
        }
        let Some((held, luggage)) = self.install(image, &Kin::default()) else { return };
        held.core.participant.linked(link.door);
        self.write_down(&held.entry, &held.core, true);
        if luggage.is_waiting() {
            self.0.chat.meet(seeker, &held.core.participant, &luggage);
        }
        self.run_carried(held, peer.node(), wire, beside, link.door).await;
    }

    async fn run_carried(&self, held: Held, node: NodeId, wire: Wire, beside: Option<Beside>, door: Door) {
        let span = info_span!("session", id = %held.entry.id, user = %held.core.identity.id, ?door);
        let link = CarriedLink::new(door, node, wire, beside);
        let road = link.road();
        let (reader, writer, streams) = link.split();
        let ends = LinkEnds { reader: reader.into(), writer, streams, door, road: Some(road) };
        Box::pin(self.carry_on(At::Here(held, Ok(())), ends)).instrument(span).await;
    }

    /// A client that is at another node would go on with a session that is here.
    async fn resume_for(&self, company: &Company, peer: &Peer, mut wire: Wire, back: Back) {
        let Back { user, expires, session, resume, whence, link } = back;
        let expires = UNIX_EPOCH + Duration::from_millis(expires);
        let beside = link.streams.then(|| peer.beside(link.number));
        let taken = match self.take_back(user, session, resume.as_ref()).await {
            Err(NotTaken::Lost(Lost::Unknown)) => match self.rebuild_for(company, session).await {
                Rebuilt::Here => self.take_back(user, session, resume.as_ref()).await,
                Rebuilt::At(_) | Rebuilt::Later | Rebuilt::No => Err(NotTaken::Lost(Lost::Unknown)),
            },
            taken => taken,
        };
        let resumed = match taken {
            Ok(held) => self.resumed(held, expires, whence, resume.as_ref()),
            Err(NotTaken::Lost(why)) => Err(why),
            Err(NotTaken::Busy) => {
                reply(&mut wire, &Reply::Refused { why: "whoever has it does not let go".to_owned() }).await;
                return;
            }
        };
        let (held, established) = match resumed {
            Ok(resumed) => resumed,
            Err(why) => {
                reply(&mut wire, &Reply::Lost { why }).await;
                return;
            }
        };
        if !reply(&mut wire, &Reply::Granted).await {
            // The client is not there any more; its session waits on.
            return self.park(held).await;
        }
        debug!(session = %held.entry.id, node = %peer.node(), company = %company.node(), "a client is back at another node");
        held.core.participant.linked(link.door);
        let span = info_span!("session", id = %held.entry.id, user = %held.core.identity.id, door = ?link.door);
        let carried = CarriedLink::new(link.door, peer.node(), wire, beside);
        let road = carried.road();
        let (reader, mut writer, streams) = carried.split();
        let greeted = writer.send(&Batch::of(&ServerEvent::Established(established))).await;
        let ends = LinkEnds { reader: reader.into(), writer, streams, door: link.door, road: Some(road) };
        Box::pin(self.carry_on(At::Here(held, greeted), ends)).instrument(span).await;
    }

    /// Looks beyond this node for the session that a client would go on with.
    pub(in crate::session) async fn look_elsewhere(
        &self,
        identity: &Identity,
        expires: SystemTime,
        session: SessionId,
        resume: Option<&Resume>,
        whence: &Whence,
        (door, streams): (Door, bool),
    ) -> Elsewhere {
        let Some(company) = &self.0.company else { return Elsewhere::Nowhere };
        let back = || Back {
            user: identity.id,
            expires: unix_millis(expires),
            session,
            resume: resume.cloned(),
            whence: whence.clone(),
            link: LinkCard { number: rand::random(), door, streams },
        };
        // Once more: it may be about to move while it is asked for.
        for _ in 0..3 {
            if self.entry(session).is_some() {
                match self.take_back(identity.id, session, resume).await {
                    Ok(held) => return Elsewhere::Here(held),
                    // It may have left in this moment.
                    Err(NotTaken::Lost(Lost::Unknown)) => {}
                    Err(NotTaken::Lost(why)) => return Elsewhere::Lost(why),
                    Err(NotTaken::Busy) => return Elsewhere::Later(later()),
                }
            }
            let record = match company.0.cluster.find(session).await {
                Ok(Some(record)) if record.user == identity.id => record,
                Ok(Some(_)) => return Elsewhere::Nowhere,
                // The cluster may have forgotten, or be away: the nodes themselves know what they have.
                Ok(None) | Err(_) => {
                    let back = back();
                    return self.ask_all(company, &back).await;
                }
            };
            if record.node == company.node() {
                // It is about to come, or to go, or was here and is over.
                tokio::time::sleep(MOVING).await;
                continue;
            }
            if company.0.nodes.card(record.node).is_none() {
                return self
                    .rebuild(company, identity, expires, session, record, resume, whence, (door, streams))
                    .await;
            }
            let back = back();
            let number = streams.then_some(back.link.number);
            match company.ask(record.node, &Ask::Resume(Box::new(back)), number).await {
                Ok((wire, beside, Reply::Granted)) => {
                    return Elsewhere::Carried(Carried { wire, beside, node: record.node });
                }
                Ok((_, _, Reply::Lost { why: Lost::Unknown })) => tokio::time::sleep(MOVING).await,
                Ok((_, _, Reply::Lost { why })) => return Elsewhere::Lost(why),
                Ok((_, _, reply)) => {
                    debug!(?reply, "a session is not given");
                    return Elsewhere::Later(later());
                }
                Err(error) => {
                    info!(%error, "a session's node does not answer");
                    return Elsewhere::Later(later());
                }
            }
        }
        Elsewhere::Lost(Lost::Unknown)
    }

    /// Asks one node after the other for a session of which nothing is written.
    async fn ask_all(&self, company: &Company, back: &Back) -> Elsewhere {
        for card in company.others() {
            let mut back = back.clone();
            back.link.number = rand::random();
            let number = back.link.streams.then_some(back.link.number);
            match company.ask(card.node, &Ask::Resume(Box::new(back)), number).await {
                Ok((wire, beside, Reply::Granted)) => {
                    return Elsewhere::Carried(Carried { wire, beside, node: card.node });
                }
                Ok((_, _, Reply::Lost { why })) if why != Lost::Unknown => return Elsewhere::Lost(why),
                Ok(_) => {}
                Err(error) => debug!(%error, "a node was not asked for a session"),
            }
        }
        Elsewhere::Nowhere
    }

    /// Writes down for the others where a session is, and in which conversation. `person`: also whose it is.
    pub(in crate::session) fn write_down(&self, entry: &Entry, core: &Core, person: bool) {
        let Some(company) = &self.0.company else { return };
        let record = self.record(company, entry, core);
        company.0.ledger.note(Known { record, person: entry.whereabouts(company.node()) }, person);
    }

    /// The same for those who come from a node that may be gone in a moment. Yields when the others can know.
    pub(super) async fn write_down_at_once(&self, held: &[&Held]) {
        let Some(company) = &self.0.company else { return };
        let records = held.iter().map(|it| (it.entry.id, self.record(company, &it.entry, &it.core)));
        let written = company.0.cluster.record(records.collect()).await;
        if let Err(error) = written {
            debug!(%error, "the cluster was not told where sessions have come");
        }
        held.iter().for_each(|it| self.write_down(&it.entry, &it.core, true));
    }

    fn record(&self, company: &Company, entry: &Entry, core: &Core) -> Record {
        let talk = core
            .participant
            .talk_with()
            .map(|companion| TalkRecord { conversation: companion.conversation, rest: self.talk_record(core) });
        Record { node: company.node(), hops: entry.hops(), user: entry.user, key: entry.proof(), talk }
    }
}

/// Answers another node. False: it is not there any more.
async fn reply(wire: &mut Wire, reply: &Reply) -> bool {
    wire.out.send(words::REPLY, &[&words::json(reply)]).await.is_ok()
}

fn granted(taken: bool) -> Reply {
    match taken {
        true => Reply::Granted,
        false => Reply::Refused { why: "this node is about to stop, or does not know what it was given".to_owned() },
    }
}
