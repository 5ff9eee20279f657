//! The life of one link: hello, then reading and writing side by side until one of them ends, then
//! what becomes of the session.
//!
//! Reading and writing are two loops that run together (`join!`), never two arms of one `select!`: a
//! link that is lost in the middle of a command must not leave half of it done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span};

use super::carry::carry;
use super::company::{Carried, Elsewhere, Going, Over, Road};
use super::core::Core;
use super::dispatch;
use super::entry::{Entry, Grace, Held};
use super::hello::{Refused, first_hello, later, protocol_error, unidentified};
use super::link::{Answer, Heard, Link, LinkEnd, Peer, Reader, Replayed, Streams, Writer};
use super::parting::part;
use super::pulse::{Due, Pulse};
use super::register::{NotTaken, Sessions};
use super::writing::{long_after_the_end, write, write_on};
use crate::hub::Door;
use crate::outbox::{Batch, Kin};
use crate::protocol::{
    Arrival, Beat, ClientFrame, ClientLimits, CloseReason, Closing, Established, FILE_CHUNK, IceRenewed, Inbound, Lost,
    MAX_FRAME, MAX_TEXT, Refusal, Resume, ServerEvent, TRANSFER_WINDOW, Whence, millis,
};

/// How long a link that was asked to give its session away waits for the taker before it counts
/// the session as unlinked.
const HANDED_OVER: Duration = Duration::from_secs(3);

/// How long a client without a link may leave a partner waiting of whom it does not know.
const MISSING: Duration = Duration::from_secs(2);

/// Why a link's loops have ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The link carries nothing any more; the session waits for another.
    Lost(LinkEnd),
    /// Another link wants the session.
    Wanted,
    /// The session is over; its outbox knows the farewell.
    Over,
    /// The link is another node's, and the session goes there.
    Home,
}

/// Why no more is read.
#[derive(Debug)]
enum Quit {
    Link(LinkEnd),
    Home,
}

/// A link, in its parts.
pub(super) struct LinkEnds<R, W, S> {
    pub(super) reader: Replayed<R>,
    pub(super) writer: W,
    pub(super) streams: Option<S>,
    pub(super) door: Door,
    /// Of a link that is carried here: by which the session goes to the link's own node.
    pub(super) road: Option<Road>,
}

/// Where the session of a link is.
pub(super) enum At {
    /// Here, and its client has had the answer to its hello, or could not be told.
    Here(Held, Result<(), LinkEnd>),
    /// At another node.
    There(Carried),
}

/// How a hello was answered.
enum Begun {
    Here(Held, Box<Established>),
    There(Carried),
}

impl Sessions {
    /// Serves one link from its hello to its end, and the session behind it until another link
    /// takes it or nobody comes back for it.
    pub async fn serve<L: Link>(self, link: L) {
        let (door, grace, peer) = (link.door(), link.grace(), link.peer());
        let (reader, mut writer, streams) = link.split();
        let mut reader = Replayed::from(reader);
        let way = (door, streams.is_some());
        let begun = timeout(
            self.0.settings.session.hello_timeout,
            Box::pin(self.begin_or_resume(&mut reader, grace, peer, way)),
        );
        let begun = match begun.await {
            Ok(Ok(begun)) => begun,
            Ok(Err(Refused::Say(closing))) => {
                info!(?door, reason = closing.reason, "a client was not let in");
                return part(reader, writer, &closing).await;
            }
            Ok(Err(Refused::Gone)) => return,
            Err(_late) => return Box::pin(part(reader, writer, &Closing::new(CloseReason::HelloTimeout))).await,
        };
        let (held, established) = match begun {
            Begun::Here(held, established) => (held, established),
            Begun::There(carried) => {
                let ends = LinkEnds { reader, writer, streams, door, road: None };
                return Box::pin(self.carry_on(At::There(carried), ends)).await;
            }
        };
        let span = info_span!("session", id = %held.entry.id, user = %held.core.identity.id, ?door);
        async {
            held.core.participant.linked(door);
            if established.resumed {
                debug!("link established");
            } else {
                info!("session began");
            }
            let hello = Batch::of(&ServerEvent::Established(established));
            let greeted = write(writer.send(&hello), self.0.settings.session.write_timeout).await;
            self.carry_on(At::Here(held, greeted), LinkEnds { reader, writer, streams, door, road: None }).await;
        }
        .instrument(span)
        .await;
    }

    /// Says `closing` on a link that will have no session.
    pub async fn refuse<L: Link>(link: L, closing: Closing) {
        let (reader, writer, _) = link.split();
        part(reader, writer, &closing).await;
    }

    /// Reads the hello and finds or makes its session.
    async fn begin_or_resume<R: Reader>(
        &self,
        reader: &mut R,
        grace: Option<Duration>,
        peer: Peer,
        way: (Door, bool),
    ) -> Result<Begun, Refused> {
        let hello = first_hello(reader).await?;
        let identified = self.0.chat.accounts().identify(&hello.token).await;
        let (identity, expires) = identified.map_err(|error| Refused::Say(unidentified(&error)))?;
        let (device, calls) = (hello.client.device_id, hello.client.calls);
        let whence = self.0.chat.whence(peer.address, peer.agent.as_deref(), device.clone());
        let mut lost = None;
        if let Some(resume) = &hello.resume {
            let held = match self.take_over(identity.id, resume).await {
                Ok(held) => Ok(held),
                Err(NotTaken::Busy) => return Err(Refused::Say(later())),
                Err(NotTaken::Lost(Lost::Unknown)) => {
                    match self.look_elsewhere(&identity, expires, resume.session, Some(resume), &whence, way).await {
                        Elsewhere::Carried(carried) => return Ok(Begun::There(carried)),
                        Elsewhere::Here(held) => Ok(held),
                        Elsewhere::Later(closing) => return Err(Refused::Say(closing)),
                        Elsewhere::Lost(why) => Err(why),
                        Elsewhere::Nowhere => Err(Lost::Unknown),
                    }
                }
                Err(NotTaken::Lost(why)) => Err(why),
            };
            match held.and_then(|held| self.resumed(held, expires, whence.clone(), Some(resume))) {
                Ok((held, established)) => {
                    held.core.participant.knows_calls(calls);
                    return Ok(Begun::Here(held, established));
                }
                Err(why) => lost = Some(why),
            }
        }
        let grace = grace.map(|window| Grace { window, device: device.clone().or_else(|| peer.agent.clone()) });
        if let Some(grace) = &grace {
            let held = match self.left_by(identity.id, grace).await {
                Some(held) => Some(held),
                None => match self.left_elsewhere(&identity, expires, grace, &whence, way).await {
                    Elsewhere::Carried(carried) => return Ok(Begun::There(carried)),
                    Elsewhere::Here(held) => Some(held),
                    Elsewhere::Later(_) | Elsewhere::Lost(_) | Elsewhere::Nowhere => None,
                },
            };
            if let Some(held) = held
                && let Ok((held, established)) = self.resumed(held, expires, whence.clone(), None)
            {
                return Ok(Begun::Here(held, established));
            }
        }
        let held = self.begin(identity, expires, device, grace).map_err(Refused::Say)?;
        self.note_arrival(&held.core.identity, &whence);
        held.core.participant.comes_from(whence);
        held.core.participant.knows_calls(calls);
        let established = self.established(&held, false, lost);
        Ok(Begun::Here(held, established))
    }

    /// Lets a client go on with a session that was taken for it; or says why it is lost after all. Without
    /// `resume`: one that has no key, and of which nothing is known to have arrived that it has not acknowledged.
    pub(super) fn resumed(
        &self,
        mut held: Held,
        expires: SystemTime,
        whence: Whence,
        resume: Option<&Resume>,
    ) -> Result<(Held, Box<Established>), Lost> {
        let rebuilt = resume.is_some_and(|resume| held.entry.is_rebuilt_for(&resume.key));
        if rebuilt {
            held.core.outbox.restart();
            held.core.inbound = Inbound::default();
        } else if !held.core.outbox.resume(resume.map_or(0, |resume| resume.received)) {
            self.close(&held.entry, Some(Lost::Mismatch));
            return Err(Lost::Mismatch);
        }
        held.core.expires = expires;
        held.core.participant.comes_from(whence);
        let mut established = self.established(&held, !rebuilt, rebuilt.then_some(Lost::Node));
        established.transfers = match resume {
            // What the partner has offered meanwhile stands.
            Some(_) if rebuilt => held.core.participant.go_on(Some(&[])),
            Some(resume) => held.core.participant.go_on(resume.transfers.as_deref()),
            // Its files come and go over HTTP.
            None => held.core.participant.go_on(Some(&[])),
        };
        Ok((held, established))
    }

    fn established(&self, held: &Held, resumed: bool, lost: Option<Lost>) -> Box<Established> {
        let settings = &self.0.settings;
        let (state, conversation) = held.core.participant.doing();
        let IceRenewed { ice_servers, ttl_ms: ice_ttl_ms } = self.0.chat.calls().ice();
        Box::new(Established {
            session: held.entry.id,
            key: held.entry.key,
            resumed,
            received: held.core.inbound.received(),
            lost,
            user: held.core.user(),
            limits: ClientLimits {
                frame: MAX_FRAME,
                text: MAX_TEXT,
                events_per_minute: settings.limits.events_per_minute,
                file_bytes: settings.files.max_bytes,
                voice_ms: millis(settings.files.max_voice),
                transfers: settings.files.at_once,
                transfer_window: TRANSFER_WINDOW,
            },
            heartbeat_ms: millis(settings.session.ping_idle),
            resume_window_ms: millis(self.window(&held.entry)),
            state,
            conversation,
            transfers: Vec::new(),
            ice_servers,
            ice_ttl_ms,
            relay_only: self.0.chat.calls().relay_only(),
        })
    }

    /// Serves a link, wherever its session is and goes, until one of the two ends or they part.
    pub(super) async fn carry_on<R: Reader, W: Writer, S: Streams>(&self, at: At, ends: LinkEnds<R, W, S>) {
        let LinkEnds { mut reader, mut writer, streams, door, road } = ends;
        let mut at = at;
        loop {
            let (held, greeted) = match at {
                At::Here(held, greeted) => (held, greeted),
                At::There(carried) => {
                    let deadline = self.0.settings.session.write_timeout;
                    match Box::pin(self.carry(carried, &mut reader, &mut writer, streams.as_ref(), deadline)).await {
                        // What was on its way to it comes first.
                        Over::Here(image, first) => match self.install(*image, &Kin::default()) {
                            Some((held, luggage)) => {
                                reader.first(first);
                                held.core.participant.linked(door);
                                self.write_down(&held.entry, &held.core, true);
                                held.core.participant.settle(&luggage);
                                at = At::Here(held, Ok(()));
                                continue;
                            }
                            None => return,
                        },
                        Over::Link | Over::Home => return,
                        Over::Said(closing) => {
                            drop(streams);
                            return Box::pin(part(reader, writer, &closing)).await;
                        }
                        Over::Stopping => {
                            drop(streams);
                            return Box::pin(part(reader, writer, &self.moved_on())).await;
                        }
                    }
                }
            };
            let (entry, mut core, end) =
                self.attend(held, &mut reader, &mut writer, streams.as_ref(), greeted, road.is_some()).await;
            debug!(?end, "link ended");
            match end {
                End::Over => {
                    drop(streams);
                    let outbox = core.outbox.clone();
                    // The place in the service is given up before the farewell: it may take a while.
                    drop(core);
                    self.close(&entry, None);
                    let closing = outbox.closing().cloned().unwrap_or_else(|| Closing::new(CloseReason::Internal));
                    return Box::pin(part(reader, writer, &closing)).await;
                }
                End::Wanted => match entry.take_going() {
                    Some(Going::Away { to, seeker }) if road.is_none() => {
                        let way = (door, streams.is_some());
                        at = match Box::pin(self.send_away(&entry, &mut core, (to, seeker), way)).await {
                            Some(carried) => {
                                self.has_left(&entry, core, to);
                                At::There(carried)
                            }
                            None => {
                                let wanted = entry.run_on();
                                At::Here(Held { entry, core, wanted }, Ok(()))
                            }
                        };
                    }
                    // It is about to go home to its edge anyway, and is found there.
                    Some(Going::Away { .. }) => {
                        let wanted = entry.run_on();
                        at = At::Here(Held { entry, core, wanted }, Ok(()));
                    }
                    Some(Going::Drained(moved)) => {
                        drop(streams);
                        entry.park(core);
                        // What waits for an answer has a deadline of its own. It may stay here after all: what was
                        // cut off of this link is said again on the next.
                        moved.cancelled().await;
                        return Box::pin(part(reader, writer, &self.moved_on())).await;
                    }
                    None => {
                        drop(streams);
                        let taken = entry.park(core);
                        let closing = Closing::new(CloseReason::Superseded);
                        let handed = timeout(HANDED_OVER, taken.cancelled());
                        let (handed, _) = tokio::join!(handed, Box::pin(part(reader, writer, &closing)));
                        if handed.is_err() {
                            Box::pin(self.wait_for_link(&entry, taken)).await;
                        }
                        return;
                    }
                },
                End::Lost(_) => {
                    // The carrier is of no more use; what it holds is freed while the session waits.
                    drop((reader, writer, streams, road));
                    let taken = entry.park(core);
                    return Box::pin(self.wait_for_link(&entry, taken)).await;
                }
                // A partner was found here in this moment: it stays, and so does its link.
                End::Home if core.participant.is_talking() => {
                    let wanted = entry.run_on();
                    at = At::Here(Held { entry, core, wanted }, Ok(()));
                }
                End::Home => {
                    let Some(road) = road else { return };
                    let left = Box::pin(self.send_home(&entry, &mut core, &road, &mut reader)).await;
                    drop((reader, writer, streams, road));
                    match left {
                        Some(node) => self.has_left(&entry, core, node),
                        None => {
                            let taken = entry.park(core);
                            Box::pin(self.wait_for_link(&entry, taken)).await;
                        }
                    }
                    return;
                }
            }
        }
    }

    /// Reads and writes a link of a session that is here, until the one or the other ends. `carried`: the
    /// link is another node's, to which the session goes when it is in no conversation.
    async fn attend<R: Reader, W: Writer, S: Streams>(
        &self,
        held: Held,
        reader: &mut R,
        writer: &mut W,
        streams: Option<&S>,
        greeted: Result<(), LinkEnd>,
        carried: bool,
    ) -> (Arc<Entry>, Box<Core>, End) {
        let Held { entry, mut core, wanted } = held;
        if let Err(lost) = greeted {
            return (entry, core, End::Lost(lost));
        }
        let over = CancellationToken::new();
        let outbox = core.outbox.clone();
        let settings = &self.0.settings.session;
        let carrier = core.participant.carrier();
        let chunks = streams.is_none().then_some(&carrier);
        let homeward = AtomicBool::new(false);
        let gently = || homeward.load(Ordering::Acquire) || entry.goes_away();
        let (read, written, streamed) = tokio::join!(
            async {
                let _over = over.clone().drop_guard();
                let quit = self.read(&entry, &mut core, reader, &wanted, &over, carried).await;
                // Before the guard tells the others.
                homeward.store(matches!(quit, Some(Quit::Home)), Ordering::Release);
                quit
            },
            async {
                let _over = over.clone().drop_guard();
                tokio::select! {
                    end = write_on(&outbox, writer, chunks, &wanted, &over, gently, settings.write_timeout) => end,
                    // What is queued when the session ends may be as much as a slow client left.
                    () = long_after_the_end(&outbox) => None,
                }
            },
            async {
                let _over = over.clone().drop_guard();
                tokio::select! {
                    biased;
                    () = over.cancelled() => None,
                    () = outbox.ended() => None,
                    end = carry(&carrier, streams, &outbox) => Some(end),
                }
            },
        );
        let end = if outbox.has_ended() {
            End::Over
        } else if wanted.is_cancelled() {
            End::Wanted
        } else {
            match read {
                Some(Quit::Home) => End::Home,
                Some(Quit::Link(end)) => End::Lost(end),
                None => End::Lost(written.or(streamed).unwrap_or(LinkEnd::Closed)),
            }
        };
        match end {
            End::Lost(LinkEnd::TooBig) => {
                core.outbox.end(Closing::new(CloseReason::TooBig));
                (entry, core, End::Over)
            }
            other => (entry, core, other),
        }
    }

    /// Leaves a session without a link, until one takes it or nobody comes back for it.
    pub(super) async fn park(&self, held: Held) {
        let taken = held.entry.park(held.core);
        self.wait_for_link(&held.entry, taken).await;
    }

    /// Keeps a parked session until a link takes it, it is ended, or the resume window has passed.
    async fn wait_for_link(&self, entry: &Arc<Entry>, taken: CancellationToken) {
        let mut outbox = None;
        entry.while_parked(&taken, |core| {
            core.outbox.wait_within(&self.0.kept);
            core.participant.unlinked();
            outbox = Some(core.outbox.clone());
        });
        let Some(outbox) = outbox else { return };
        let (waiting, token) = (Arc::clone(entry), taken.clone());
        let _place = self.0.parking.enter(move || waiting.crowd_out(&token));
        let window = self.window(entry);
        let missing = window.min(MISSING);
        for (wait, then_missing) in [(missing, true), (window - missing, false)] {
            tokio::select! {
                biased; // a link that has come wins over a window that has just passed
                () = taken.cancelled() => return,
                () = outbox.ended() => break,
                () = sleep(wait) => {}
            }
            if then_missing {
                entry.while_parked(&taken, |core| core.participant.missing());
            }
        }
        // Before it is gone: a client that asks in this moment is told why, too.
        self.remember(entry, outbox.closing().is_none().then_some(Lost::Expired));
        if entry.give_up(&taken) {
            self.close(entry, outbox.closing().is_none().then_some(Lost::Expired));
        }
    }

    /// Reads until the link ends; yields why, if it was the link's own doing.
    async fn read<R: Reader>(
        &self,
        entry: &Entry,
        core: &mut Core,
        reader: &mut R,
        wanted: &CancellationToken,
        over: &CancellationToken,
        carried: bool,
    ) -> Option<Quit> {
        let settings = &self.0.settings.session;
        let outbox = core.outbox.clone();
        let carrier = core.participant.carrier();
        let mut pulse = Pulse::new(settings, core.participant.is_talking());
        let timer = sleep_until(pulse.next(core.expires));
        tokio::pin!(timer);
        if carried && !core.participant.is_talking() {
            return Some(Quit::Home);
        }
        loop {
            // Being asked to stop comes first, so that a flood of frames cannot hide it; the timer
            // comes before frames for the same reason.
            tokio::select! {
                biased;
                () = over.cancelled() => return None,
                () = wanted.cancelled() => return None,
                () = outbox.ended() => return None,
                () = core.participant.pace_changed() => {
                    self.write_down(entry, core, false);
                    if carried && !core.participant.is_talking() {
                        return Some(Quit::Home);
                    }
                    pulse.pace(settings, core.participant.is_talking());
                    timer.as_mut().reset(pulse.next(core.expires));
                }
                () = &mut timer => {
                    match pulse.due(core.expires) {
                        Due::Nothing => {}
                        Due::Ack => outbox.acknowledge_now(false),
                        Due::Ping => outbox.post(&ServerEvent::Ping(Beat { t: 0.0 })),
                        Due::Dead => return Some(Quit::Link(LinkEnd::Lost("silent for too long".to_owned()))),
                        Due::Expired => {
                            outbox.end(Closing::because(CloseReason::TokenInvalid, "The token has expired. Log in again."));
                        }
                    }
                    timer.as_mut().reset(pulse.next(core.expires));
                }
                heard = reader.recv() => {
                    pulse.heard();
                    let (frame, answer) = match heard {
                        Ok(Heard::Frame(frame)) => (frame, None),
                        Ok(Heard::Asked(frame, answer)) => (frame, Some(answer)),
                        Ok(Heard::Chunk(header, bytes)) => {
                            if let Err(refusal) = carrier.bring(&header, &bytes) {
                                let refusal = refusal.of(FILE_CHUNK).with_id(header.transfer.as_str());
                                let refusal = dispatch::refuse(core, refusal);
                                dispatch::tell(core, Err(refusal), None);
                            }
                            continue;
                        }
                        Err(end) => return Some(Quit::Link(end)),
                    };
                    if self.frame(core, frame, answer).await && pulse.ack_soon() {
                        timer.as_mut().reset(pulse.next(core.expires));
                    }
                }
            }
        }
    }

    /// Acts on one frame. True: it wants an acknowledgement soon.
    async fn frame(&self, core: &mut Core, frame: Result<ClientFrame, Refusal>, answer: Option<Answer>) -> bool {
        let ClientFrame { seq, ack, event } = match frame {
            Ok(frame) => frame,
            Err(refusal) => {
                let refusal = dispatch::refuse(core, refusal);
                dispatch::tell(core, Err(refusal), answer);
                return false;
            }
        };
        if let Some(upto) = ack
            && !core.outbox.acknowledge(upto)
        {
            core.outbox.end(protocol_error(format!("ack {upto} is for a frame that was never sent")));
            return false;
        }
        let mut soon = false;
        if let Some(seq) = seq {
            match core.inbound.accept(seq) {
                Arrival::Fresh => soon = core.outbox.received(seq),
                Arrival::Duplicate => {
                    core.outbox.acknowledge_now(true);
                    return false;
                }
                Arrival::Gap => {
                    let expected = core.inbound.received() + 1;
                    core.outbox.end(protocol_error(format!("seq {seq} came where {expected} was due")));
                    return false;
                }
            }
        }
        let outcome = dispatch::act(&self.0.chat, core, event, seq.is_some()).await;
        dispatch::tell(core, outcome, answer);
        soon
    }
}
