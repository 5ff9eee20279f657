//! A client that keeps its session on the best link there is: what the browser SDK does, for the
//! tests, `duologue load` and `duologue chat`.
//!
//! Owns: one [`Client`] on a task of its own; when a link counts as silent, which door is tried and
//! when, how long to wait between attempts. Doors are raced, the preferred one with a head start. A
//! link that has been silent for a while is not yet given up when others are tried beside it; the
//! first that opens takes the session over.
//!
//! Must not know: what is said. Events go in by [`Keeper::say`] and come out as [`News`].

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{Client, Error, Target, Wire};
use crate::hub::Door;
use crate::protocol::{Beat, ClientEvent, Encoded, Established, Lost, ServerEvent};

/// How much later the next door is tried while the one before has not opened.
const HEAD_START: Duration = Duration::from_millis(500);
/// A door that is not open by then is given up, and so is a hello that is not answered.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);
/// An acknowledgement goes out this long after the frame it is for (the contract's number) ...
const ACK_AFTER: Duration = Duration::from_millis(50);
/// ... or at once with so many owed.
const ACK_EVERY: u64 = 32;
/// Waits between attempts: up to the first, then doubling up to the last, with full jitter.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(10);
/// Orders and news that wait at most. A full queue of orders refuses; a full queue of news makes the
/// keeper wait, and with it the server.
const QUEUE: usize = 1024;
/// An abandoned link is kept open, and unread, for so long.
const ABANDONED: Duration = Duration::from_secs(10);
/// A silent link is dead after so many beats; others are tried beside it a little before.
const DEAD: f64 = 2.25;
const SUSPECT: f64 = 1.5;

/// How a keeper behaves.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Doors it may use, the one it prefers first.
    pub doors: Vec<Door>,
    /// Silence after which it pings.
    pub beat: Duration,
    /// How long it stays with a door that it does not prefer before it looks for the preferred one
    /// again; `None`: for good.
    pub look_back: Option<Duration>,
    /// Where the chance in its waits comes from; `None`: from the system.
    pub seed: Option<u64>,
}

impl Habits {
    /// These doors, with the pace of a conversation.
    pub fn new(doors: &[Door]) -> Self {
        Self {
            doors: doors.to_vec(),
            beat: Duration::from_secs(2),
            look_back: Some(Duration::from_secs(15)),
            seed: None,
        }
    }
}

/// How to lose a link on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The sockets are closed.
    Closed,
    /// The sockets stay open for a while, but nobody reads or writes there: the server must find out
    /// by itself, or be told by the next link.
    Abandoned,
    /// Nothing is read or written for this long, as by a machine that sleeps.
    Asleep(Duration),
}

/// What a keeper tells.
#[derive(Debug)]
pub enum News {
    /// An event, once and in order.
    Heard(ServerEvent),
    /// The session is on this link now. `was`: it was on another before, and there was no gap if
    /// `gap` is zero.
    Linked {
        /// The door.
        door: Door,
        /// The door before.
        was: Option<Door>,
        /// How long there was no link.
        gap: Duration,
    },
    /// The link is lost; others are tried.
    Unlinked {
        /// For people.
        why: String,
    },
    /// The server did not know the session any more: a new one has begun.
    Anew(Option<Lost>),
    /// A round trip was measured.
    RoundTrip(Duration),
    /// There will be nothing more.
    Over(Error),
}

enum Order {
    Say(Box<ClientEvent>),
    Cut(Cut),
    Move(Vec<Door>),
}

/// The handle. Dropping it ends the session's link, and the session with its window.
pub struct Keeper {
    orders: mpsc::Sender<Order>,
    news: mpsc::Receiver<News>,
    established: Established,
    door: Door,
    _task: AbortOnDropHandle<()>,
}

impl Keeper {
    /// Opens the first door that answers and begins a session.
    ///
    /// # Errors
    /// No door opens, or the server refuses.
    pub async fn start(target: &Target, token: &str, device: Option<&str>, habits: Habits) -> Result<Self, Error> {
        let (wire, door) = race(target.clone(), habits.doors.clone(), Duration::ZERO).await?;
        let begun = timeout(OPEN_DEADLINE, Client::begin(target, wire, token, device)).await;
        let client = begun.map_err(|_| Error::Timeout(OPEN_DEADLINE))??;
        let established = client.established().clone();
        let (orders, taken) = mpsc::channel(QUEUE);
        let (tell, news) = mpsc::channel(QUEUE);
        let now = Instant::now();
        let keeping = Keeping {
            client,
            dice: habits.seed.map_or_else(|| StdRng::from_rng(&mut rand::rng()), StdRng::seed_from_u64),
            habits,
            orders: taken,
            news: tell,
            linked: true,
            door,
            opening: None,
            link: Link { heard: now, pinged: now, since: now },
            ack_at: None,
            lost_at: now,
            attempts: 0,
            look_back_at: None,
            abandoned: Vec::new(),
            began: now,
        };
        let task = TaskTracker::new().spawn(keeping.run());
        Ok(Self { orders, news, established, door, _task: AbortOnDropHandle::new(task) })
    }

    /// What the server said when the session began.
    pub fn established(&self) -> &Established {
        &self.established
    }

    /// The door by which the session began.
    pub fn first_door(&self) -> Door {
        self.door
    }

    /// Says an event; a reliable one is kept until the server has it, over however many links. False:
    /// too much waits already, or the keeper has ended.
    pub fn say(&self, event: ClientEvent) -> bool {
        self.orders.try_send(Order::Say(Box::new(event))).is_ok()
    }

    /// Loses the link.
    pub fn cut(&self, how: Cut) -> bool {
        self.orders.try_send(Order::Cut(how)).is_ok()
    }

    /// Moves to one of these doors, and uses no others from now on. The link of the moment is given
    /// up when the next one stands.
    pub fn use_doors(&self, doors: &[Door]) -> bool {
        self.orders.try_send(Order::Move(doors.to_vec())).is_ok()
    }

    /// The next news. After [`News::Over`] there is none. Cancel safe.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<(Wire, Door), Error>> + Send>>;

/// What is known of the link of the moment.
struct Link {
    heard: Instant,
    pinged: Instant,
    since: Instant,
}

struct Keeping {
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
    abandoned: Vec<(Instant, Wire)>,
    began: Instant,
}

/// Why a keeper's work ends.
enum Stop {
    /// Nobody holds the handle any more.
    Dropped,
    /// The session cannot go on.
    Over(Error),
}

impl Keeping {
    async fn run(mut self) {
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
        let due = self.due();
        tokio::select! {
            biased; // orders are few and must not wait behind a flood of frames
            order = self.orders.recv() => match order {
                None => Err(Stop::Dropped),
                Some(Order::Say(event)) => self.said(&event).await,
                Some(Order::Cut(how)) => self.cut(how).await,
                Some(Order::Move(doors)) => {
                    self.habits.doors = doors;
                    self.reach(Duration::ZERO);
                    Ok(())
                }
            },
            opened = async { self.opening.as_mut().expect("looked at below").await }, if self.opening.is_some() => {
                self.opening = None;
                match opened {
                    Ok((wire, door)) => self.adopt(wire, door).await,
                    Err(error) => self.failed(&error).await,
                }
            }
            frame = self.client.wire.recv(), if self.linked => self.frame(frame).await,
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
                due = due.min(self.link.heard + beat.mul_f64(SUSPECT));
            }
            if let Some(at) = self.ack_at {
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
        if silent >= beat.mul_f64(SUSPECT) && self.opening.is_none() {
            // Another door first: what is silent is more likely the path than the server.
            let mut doors = self.habits.doors.clone();
            doors.sort_by_key(|door| *door == self.door);
            self.opening = Some(Box::pin(race(self.client.target.clone(), doors, Duration::ZERO)));
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
                self.opening = Some(Box::pin(race(self.client.target.clone(), preferred, Duration::ZERO)));
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
        if !self.linked {
            let event = Encoded::from(event);
            if event.lane == crate::protocol::Lane::Reliable {
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
            Ok(Err(_)) => match timeout(ACK_AFTER, self.client.wire.recv()).await {
                Ok(frame) => self.frame(frame).await,
                Err(_nothing) => self.lost("nothing can be written").await,
            },
            Err(_late) => self.lost("a write took too long").await,
        }
    }

    async fn frame(&mut self, frame: Result<crate::protocol::ServerFrame, Error>) -> Result<(), Stop> {
        let taken = match frame {
            Ok(frame) => {
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
                    Some(event) => self.tell(News::Heard(event)).await,
                    None => Ok(()),
                }
            }
            Err(error @ (Error::Gap(..) | Error::Frame(_))) => Err(Stop::Over(error)),
            Err(Error::Closing(closing)) if closing.reconnect => {
                let wait = Duration::from_millis(closing.retry_after_ms.unwrap_or(0));
                self.parted(closing.message, wait).await
            }
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
        let wait = at_least.max(self.backoff());
        self.reach(wait);
        self.tell(News::Unlinked { why }).await
    }

    fn reach(&mut self, wait: Duration) {
        self.opening = Some(Box::pin(race(self.client.target.clone(), self.habits.doors.clone(), wait)));
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
            return Ok(());
        }
        self.parted(error.to_string(), Duration::ZERO).await
    }

    /// The session goes on over a link that is open now.
    async fn adopt(&mut self, wire: Wire, door: Door) -> Result<(), Stop> {
        let greeted = timeout(OPEN_DEADLINE, self.client.go_on(wire)).await;
        match greeted {
            Ok(Ok(())) => {}
            Ok(Err(Error::Closing(closing))) if !closing.reconnect => return Err(Stop::Over(Error::Closing(closing))),
            Ok(Err(Error::Closing(closing))) => {
                let wait = Duration::from_millis(closing.retry_after_ms.unwrap_or(0));
                return self.parted(closing.message, wait).await;
            }
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
            let lost = self.client.established().lost;
            self.tell(News::Anew(lost)).await?;
        }
        self.tell(News::Linked { door, was: Some(was), gap }).await
    }

    async fn tell(&mut self, news: News) -> Result<(), Stop> {
        self.news.send(news).await.map_err(|_| Stop::Dropped)
    }
}

/// Opens these doors side by side, each a little after the one before; the first that is open wins.
async fn race(target: Target, doors: Vec<Door>, wait: Duration) -> Result<(Wire, Door), Error> {
    sleep(wait).await;
    let open = |door: Door| {
        let target = &target;
        async move {
            let opened = timeout(OPEN_DEADLINE, Wire::open(target, door)).await;
            opened.map_err(|_| Error::Timeout(OPEN_DEADLINE))?.map(|wire| (wire, door))
        }
    };
    let mut rest = doors.into_iter();
    let mut lanes = FuturesUnordered::new();
    let mut failure = Error::Connect("no door may be used".to_owned());
    loop {
        if lanes.is_empty() {
            match rest.next() {
                Some(door) => lanes.push(open(door)),
                None => return Err(failure),
            }
        }
        tokio::select! {
            biased; // a door that is open wins over one more that could be tried
            Some(opened) = lanes.next() => match opened {
                Ok(won) => return Ok(won),
                Err(error) => {
                    failure = error;
                    lanes.extend(rest.next().map(&open));
                }
            },
            () = sleep(HEAD_START), if rest.len() > 0 => lanes.extend(rest.next().map(&open)),
        }
    }
}
