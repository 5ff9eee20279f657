//! The task behind a keeper: reads, writes, beats, and mends the link.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::keeper::{Cut, Habits, News, Order};
use super::nodes::{Opened, open};
use super::race::OPEN_DEADLINE;
use super::talk::{Talk, Went};
use super::{Client, Error, Heard, Wire};
use crate::hub::Door;
use crate::protocol::{About, Beat, ClientEvent, Closing, Encoded, Lane, ServerEvent};

/// An acknowledgement goes out this long after the frame it is for (the contract's number) ...
const ACK_AFTER: Duration = Duration::from_millis(50);
/// ... or at once with so many owed.
const ACK_EVERY: u64 = 32;
/// Waits between attempts: up to the first, then doubling up to the last, with full jitter.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(10);
/// An abandoned link is kept open, and unread, for so long.
const ABANDONED: Duration = Duration::from_secs(10);
/// After a door that did not open beside a silent link, the next is tried so much later.
const AGAIN_BESIDE: Duration = Duration::from_millis(500);
/// A silent link is dead after so many beats; others are tried beside it a little before.
const DEAD: f64 = 2.25;
const SUSPECT: f64 = 1.5;

type Opening = Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send>>;

/// What is known of the link of the moment.
struct Link {
    heard: Instant,
    pinged: Instant,
    since: Instant,
}

/// A keeper at work.
pub(super) struct Keeping {
    client: Client,
    dice: StdRng,
    habits: Habits,
    orders: mpsc::Receiver<Order>,
    news: mpsc::Sender<News>,
    linked: bool,
    door: Door,
    /// Another link on its way, beside the one of the moment or in place of it.
    opening: Option<Opening>,
    link: Link,
    ack_at: Option<Instant>,
    lost_at: Instant,
    /// Links tried in vain since the last that stood.
    attempts: u32,
    look_back_at: Option<Instant>,
    /// No other door is tried beside the link before.
    not_before: Instant,
    abandoned: Vec<(Instant, Wire)>,
    began: Instant,
    /// What is kept in case the node is lost.
    talk: Talk,
    /// The node of the link before wants to be left alone.
    leave: bool,
}

/// Why a keeper's work ends.
enum Stop {
    /// Nobody holds the handle any more.
    Dropped,
    /// The session cannot go on.
    Over(Error),
}

impl Keeping {
    pub(super) fn new(
        client: Client,
        habits: Habits,
        door: Door,
        orders: mpsc::Receiver<Order>,
        news: mpsc::Sender<News>,
    ) -> Self {
        let now = Instant::now();
        Self {
            client,
            dice: habits.seed.map_or_else(|| StdRng::from_rng(&mut rand::rng()), StdRng::seed_from_u64),
            habits,
            orders,
            news,
            linked: true,
            door,
            opening: None,
            link: Link { heard: now, pinged: now, since: now },
            ack_at: None,
            lost_at: now,
            attempts: 0,
            look_back_at: None,
            not_before: now,
            abandoned: Vec::new(),
            began: now,
            talk: Talk::default(),
            leave: false,
        }
    }

    /// Until the session is over or nobody holds the handle.
    pub(super) async fn run(mut self) {
        loop {
            let stopped = match self.step().await {
                Ok(()) => continue,
                Err(stopped) => stopped,
            };
            if let Stop::Over(error) = stopped {
                // A handle that is gone needs no last words.
                let _ = self.news.send(News::Over(error)).await;
            }
            return;
        }
    }

    async fn step(&mut self) -> Result<(), Stop> {
        self.act().await?;
        if !self.linked {
            return Ok(());
        }
        let carried = timeout(OPEN_DEADLINE, self.client.carry()).await;
        self.written(carried).await
    }

    async fn act(&mut self) -> Result<(), Stop> {
        let due = self.due();
        tokio::select! {
            biased; // orders are few and must not wait behind a flood of frames
            // With so much on its way that more could not be told apart, no more is taken.
            order = self.orders.recv(), if !self.talk.is_full() => match order {
                None => Err(Stop::Dropped),
                Some(Order::Say(event)) => self.said(&event).await,
                Some(Order::Cut(how)) => self.cut(how).await,
                Some(Order::Move(doors)) => {
                    self.habits.doors = doors;
                    self.reach(Duration::ZERO);
                    Ok(())
                }
                Some(Order::Offer(id, file)) => {
                    let offer = file.offer(id);
                    self.client.carrying.offer(offer.clone(), file.bytes.clone());
                    self.said(&ClientEvent::Offer(offer)).await
                }
                Some(Order::Accept(id)) => {
                    if self.client.carrying.accept(&id) {
                        self.said(&ClientEvent::Accept(About { transfer: id })).await?;
                    }
                    Ok(())
                }
                Some(Order::Reject(id)) => {
                    self.client.carrying.forget(&id);
                    self.said(&ClientEvent::Reject(About { transfer: id })).await
                }
                Some(Order::CallOff(id)) => {
                    self.client.let_go(&id);
                    self.said(&ClientEvent::Cancel(About { transfer: id })).await
                }
            },
            opened = async { self.opening.as_mut().expect("looked at below").await }, if self.opening.is_some() => {
                self.opening = None;
                match opened {
                    Ok(opened) => self.adopt(opened).await,
                    Err(error) => self.failed(&error).await,
                }
            }
            heard = self.client.wire.hear(), if self.linked => {
                let mut heard = heard;
                // Bytes that are here already are taken in before anything is said of them.
                loop {
                    let goes_on = matches!(heard, Ok(Heard::Bytes(..)));
                    self.heard(heard).await?;
                    if !goes_on || self.client.carrying.is_pressing() {
                        return Ok(());
                    }
                    match self.client.wire.hear().now_or_never() {
                        Some(next) => heard = next,
                        None => return Ok(()),
                    }
                }
            }
            () = sleep_until(due) => self.tick().await,
        }
    }

    /// When the next tick is needed.
    fn due(&self) -> Instant {
        let mut due = self.abandoned.first().map_or(Instant::now() + Duration::from_secs(3600), |(until, _)| *until);
        if self.linked {
            let beat = self.habits.beat;
            due = due.min(self.next_ping()).min(self.link.heard + beat.mul_f64(DEAD));
            if self.opening.is_none() {
                due = due.min((self.link.heard + beat.mul_f64(SUSPECT)).max(self.not_before));
            }
            for at in [self.ack_at, self.client.carrying.due()].into_iter().flatten() {
                due = due.min(at);
            }
            if let Some(at) = self.look_back_at {
                due = due.min(at);
            }
        }
        due
    }

    /// After a whole beat of silence, then each quarter of one: pings go as datagrams, and each may
    /// be lost.
    fn next_ping(&self) -> Instant {
        let beat = self.habits.beat;
        (self.link.heard + beat).max(self.link.pinged + beat / 4)
    }

    async fn tick(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        self.abandoned.retain(|(until, _)| *until > now);
        if !self.linked {
            return Ok(());
        }
        let silent = now - self.link.heard;
        let beat = self.habits.beat;
        if silent >= beat.mul_f64(DEAD) {
            return self.lost("the server is silent").await;
        }
        if silent >= beat.mul_f64(SUSPECT) && self.opening.is_none() && now >= self.not_before {
            // Another door first: what is silent is more likely the path than the server.
            let mut doors = self.habits.doors.clone();
            doors.sort_by_key(|door| *door == self.door);
            self.opening = Some(self.open(doors, Duration::ZERO, false));
        }
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack_at = None;
            let written = timeout(OPEN_DEADLINE, self.client.acknowledge()).await;
            return self.written(written).await;
        }
        if now >= self.next_ping() {
            self.link.pinged = now;
            return self.ping().await;
        }
        if self.look_back_at.is_some_and(|at| at <= now) {
            self.look_back_at = self.habits.look_back.map(|wait| now + wait);
            if self.opening.is_none() {
                let preferred = vec![self.habits.doors[0]];
                let here = open(self.client.target.clone(), None, preferred, Duration::ZERO, false);
                self.opening = Some(Box::pin(here));
            }
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Stop> {
        let t = self.began.elapsed().as_secs_f64() * 1000.0;
        let ping = Encoded::from(&ClientEvent::Ping(Beat { t }));
        let written = timeout(OPEN_DEADLINE, self.client.wire.send_event(&ping, None, None)).await;
        self.written(written).await
    }

    async fn said(&mut self, event: &ClientEvent) -> Result<(), Stop> {
        self.talk.say(event);
        self.send(event).await
    }

    async fn send(&mut self, event: &ClientEvent) -> Result<(), Stop> {
        if !self.linked {
            let event = Encoded::from(event);
            if event.lane == Lane::Reliable {
                self.client.outbound.push(event);
            }
            return Ok(());
        }
        let written = timeout(OPEN_DEADLINE, self.client.send(event)).await;
        self.written(written).await
    }

    async fn written(&mut self, written: Result<Result<(), Error>, impl Sized>) -> Result<(), Stop> {
        match written {
            Ok(Ok(())) => Ok(()),
            // Why it ended is read, not written: a farewell may wait to be read.
            Ok(Err(_)) => match timeout(ACK_AFTER, self.client.wire.hear()).await {
                Ok(heard) => self.heard(heard).await,
                Err(_nothing) => self.lost("nothing can be written").await,
            },
            Err(_late) => self.lost("a write took too long").await,
        }
    }

    async fn heard(&mut self, heard: Result<Heard, Error>) -> Result<(), Stop> {
        let taken = match heard {
            Ok(Heard::Bytes(header, bytes)) => {
                self.link.heard = Instant::now();
                Ok(self.client.carrying.bring(&header, &bytes, Instant::now()).map(ServerEvent::Complete))
            }
            Ok(Heard::Frame(frame)) => {
                self.link.heard = Instant::now();
                // The link is alive after all; what was begun beside it is not needed, unless it is
                // the way back to the preferred door, or one that was asked for.
                if self.opening.is_some() && self.habits.doors.first() == Some(&self.door) {
                    self.opening = None;
                }
                self.client.take(frame).await
            }
            Err(error) => Err(error),
        };
        match taken {
            Ok(event) => {
                if self.client.owed() >= ACK_EVERY {
                    self.ack_at = Some(Instant::now());
                } else if self.client.owed() > 0 && self.ack_at.is_none() {
                    self.ack_at = Some(Instant::now() + ACK_AFTER);
                }
                match event {
                    Some(ServerEvent::Pong(Beat { t })) => {
                        let now = self.began.elapsed().as_secs_f64() * 1000.0;
                        let trip = Duration::try_from_secs_f64((now - t) / 1000.0).unwrap_or_default();
                        self.tell(News::RoundTrip(trip)).await
                    }
                    Some(ServerEvent::Complete(complete)) => {
                        let had = self.client.carrying.had(&complete.transfer);
                        match self.client.collect(&complete) {
                            Some(_) if had => Ok(()),
                            Some((offered, bytes)) => self.tell(News::Received(Box::new(offered), bytes)).await,
                            None => self.tell(News::Heard(ServerEvent::Complete(complete))).await,
                        }
                    }
                    Some(event) => {
                        let fresh = self.talk.hear(&event);
                        match event {
                            ServerEvent::Message(message) if !fresh => self.tell(News::Repeated(message.id)).await,
                            event => self.tell(News::Heard(event)).await,
                        }
                    }
                    None => Ok(()),
                }
            }
            Err(error @ (Error::Gap(..) | Error::Frame(_))) => Err(Stop::Over(error)),
            Err(Error::Closing(closing)) if closing.reconnect => self.refused(closing).await,
            Err(error @ Error::Closing(_)) => Err(Stop::Over(error)),
            Err(error) => self.lost(&error.to_string()).await,
        }
    }

    async fn cut(&mut self, how: Cut) -> Result<(), Stop> {
        if let Cut::Asleep(time) = how {
            sleep(time).await;
            return Ok(());
        }
        if !self.linked {
            return Ok(());
        }
        let wire = std::mem::replace(&mut self.client.wire, Wire::Cut);
        if how == Cut::Abandoned {
            self.abandoned.push((Instant::now() + ABANDONED, wire));
        }
        self.lost("cut on purpose").await
    }

    /// The link is gone without a farewell.
    async fn lost(&mut self, why: &str) -> Result<(), Stop> {
        self.parted(why.to_owned(), Duration::ZERO).await
    }

    async fn parted(&mut self, why: String, at_least: Duration) -> Result<(), Stop> {
        self.client.wire.cut();
        if self.linked {
            self.linked = false;
            self.lost_at = Instant::now();
            // A link that stood for a while proves the service well.
            if self.link.since.elapsed() >= Duration::from_secs(2) {
                self.attempts = 0;
            }
        }
        self.ack_at = None;
        self.look_back_at = None;
        let wait = self.backoff();
        // The server knows best when, and has its own jitter.
        self.reach(if at_least.is_zero() { wait } else { at_least.max(wait.min(2 * at_least)) });
        self.tell(News::Unlinked { why }).await
    }

    /// The server asks to come back later, and perhaps to another node.
    async fn refused(&mut self, closing: Closing) -> Result<(), Stop> {
        if let Some(nodes) = &mut self.habits.nodes {
            nodes.turn();
            self.leave = true;
        }
        self.parted(closing.message, Duration::from_millis(closing.retry_after_ms.unwrap_or(0))).await
    }

    fn reach(&mut self, wait: Duration) {
        let leave = std::mem::take(&mut self.leave);
        self.opening = Some(self.open(self.habits.doors.clone(), wait, leave));
    }

    fn open(&self, doors: Vec<Door>, wait: Duration, leave: bool) -> Opening {
        Box::pin(open(self.client.target.clone(), self.habits.nodes.clone(), doors, wait, leave))
    }

    fn backoff(&mut self) -> Duration {
        let ceiling = FIRST_WAIT.saturating_mul(1 << self.attempts.min(10)).min(LAST_WAIT);
        self.attempts += 1;
        ceiling.mul_f64(self.dice.random())
    }

    /// No door opened, or the hello was not answered.
    async fn failed(&mut self, error: &Error) -> Result<(), Stop> {
        if self.linked {
            // It was tried beside a link that stands; that one is judged by its own silence.
            self.not_before = Instant::now() + AGAIN_BESIDE;
            return Ok(());
        }
        self.parted(error.to_string(), Duration::ZERO).await
    }

    /// The session goes on over a link that is open now.
    async fn adopt(&mut self, opened: Opened) -> Result<(), Stop> {
        let Opened { wire, door, target, nodes } = opened;
        self.client.target = target;
        if nodes.is_some() {
            self.habits.nodes = nodes;
        }
        let greeted = timeout(OPEN_DEADLINE, self.client.go_on(wire)).await;
        match greeted {
            Ok(Ok(())) => {}
            Ok(Err(Error::Closing(closing))) if !closing.reconnect => return Err(Stop::Over(Error::Closing(closing))),
            // Refused for now, beside a link that may be alive.
            Ok(Err(error @ Error::Closing(_))) if self.linked => return self.failed(&error).await,
            Ok(Err(Error::Closing(closing))) => return self.refused(closing).await,
            Ok(Err(error @ Error::Gap(..))) => return Err(Stop::Over(error)),
            // The hello may have been taken: then the link of the moment is closed as superseded,
            // which is no refusal of the session.
            Ok(Err(error)) => return self.lost(&error.to_string()).await,
            Err(_late) => return self.lost("the hello was not answered").await,
        }
        let now = Instant::now();
        let gap = if self.linked { Duration::ZERO } else { now - self.lost_at };
        let was = std::mem::replace(&mut self.door, door);
        self.linked = true;
        self.attempts = 0;
        self.ack_at = None;
        self.link = Link { heard: now, pinged: now, since: now };
        let away = self.habits.doors.first() != Some(&door);
        self.look_back_at = self.habits.look_back.filter(|_| away).map(|wait| now + wait);
        if !self.client.established().resumed {
            self.begun_anew().await?;
        }
        self.tell(News::Linked { door, was: Some(was), gap }).await
    }

    /// A new session has begun, perhaps in the conversation of the one before.
    async fn begun_anew(&mut self) -> Result<(), Stop> {
        let established = self.client.established().clone();
        let (went, says) = self.talk.lost(&established);
        match went {
            Went::On => self.tell(News::GoesOn).await?,
            Went::Anew(matched) => {
                self.client.carrying.clear();
                self.tell(News::Anew(established.lost)).await?;
                if let Some(matched) = matched {
                    self.tell(News::Heard(ServerEvent::Matched(*matched))).await?;
                }
            }
        }
        for event in &says {
            self.send(event).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, news: News) -> Result<(), Stop> {
        self.news.send(news).await.map_err(|_| Stop::Dropped)
    }
}
