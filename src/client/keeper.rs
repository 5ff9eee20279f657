//! A client that keeps its session on the best link there is: what the browser SDK does, for the
//! tests, `duologue load` and `duologue chat`.
//!
//! Owns: one [`Client`] on a task of its own; when a link counts as silent, which door is tried and
//! when, how long to wait between attempts. Doors are raced, the preferred one with a head start. A
//! link that has been silent for a while is not yet given up when others are tried beside it; the
//! first that opens takes the session over.
//!
//! Must not know: what is said. Events go in by [`Keeper::say`] and come out as [`News`].

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::keeping::Keeping;
use super::nodes::{Opened, open};
use super::race::OPEN_DEADLINE;
use super::{Client, Error, File, Nodes, Target};
use crate::hub::Door;
use crate::protocol::{ClientEvent, Established, Lost, MessageId, Offered, ServerEvent, TransferId};

/// Orders and news that wait at most. A full queue of orders refuses; a full queue of news makes the
/// keeper wait, and with it the server.
const QUEUE: usize = 1024;
/// A first link that does not come about is tried again so often, each time after so much more: one
/// that is lost in its first moment says nothing of the server.
const TRIES: u32 = 2;
const AGAIN: Duration = Duration::from_millis(250);

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
    /// Where else its session can go on; `None`: nowhere.
    pub nodes: Option<Nodes>,
}

impl Habits {
    /// These doors, with the pace of a conversation.
    pub fn new(doors: &[Door]) -> Self {
        Self {
            doors: doors.to_vec(),
            beat: Duration::from_secs(2),
            look_back: Some(Duration::from_secs(15)),
            seed: None,
            nodes: None,
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
    /// The server did not know the session any more: a new one has begun. What was searched for is
    /// searched for again; a conversation that it begins in is told next, as [`Heard`](Self::Heard).
    Anew(Option<Lost>),
    /// A node was lost with the session, and the conversation goes on in a new one: what was not delivered
    /// is said again.
    GoesOn,
    /// The partner's message came again, and was dropped.
    Repeated(MessageId),
    /// A file has come, whole and as it was sent.
    Received(Box<Offered>, Bytes),
    /// A round trip was measured.
    RoundTrip(Duration),
    /// There will be nothing more.
    Over(Error),
}

/// What a keeper is asked for.
pub(super) enum Order {
    Say(Box<ClientEvent>),
    Cut(Cut),
    Move(Vec<Door>),
    Offer(TransferId, File),
    Accept(TransferId),
    Reject(TransferId),
    CallOff(TransferId),
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
        let mut tries = 0;
        let mut habits = habits;
        let (client, door) = loop {
            match Self::begin(target, token, device, &habits, AGAIN * tries).await {
                Ok((client, door, nodes)) => {
                    habits.nodes = nodes;
                    break (client, door);
                }
                Err(error @ (Error::Connect(_) | Error::Ended(_) | Error::Timeout(_))) if tries == TRIES => {
                    return Err(error);
                }
                Err(Error::Connect(_) | Error::Ended(_) | Error::Timeout(_)) => tries += 1,
                Err(refused) => return Err(refused),
            }
        };
        let established = client.established().clone();
        let (orders, taken) = mpsc::channel(QUEUE);
        let (tell, news) = mpsc::channel(QUEUE);
        let keeping = Keeping::new(client, habits, door, taken, tell);
        let task = TaskTracker::new().spawn(keeping.run());
        Ok(Self { orders, news, established, door, _task: AbortOnDropHandle::new(task) })
    }

    async fn begin(
        target: &Target,
        token: &str,
        device: Option<&str>,
        habits: &Habits,
        wait: Duration,
    ) -> Result<(Client, Door, Option<Nodes>), Error> {
        let opened = open(target.clone(), habits.nodes.clone(), habits.doors.clone(), wait, false).await?;
        let Opened { wire, door, target, nodes } = opened;
        let begun = timeout(OPEN_DEADLINE, Client::begin(&target, wire, token, device)).await;
        Ok((begun.map_err(|_| Error::Timeout(OPEN_DEADLINE))??, door, nodes))
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

    /// Offers the partner a file under this name, and sends it once it is wanted.
    pub fn offer(&self, id: TransferId, file: File) -> bool {
        self.orders.try_send(Order::Offer(id, file)).is_ok()
    }

    /// Wants what the partner has offered; [`News::Received`] brings it.
    pub fn accept(&self, id: TransferId) -> bool {
        self.orders.try_send(Order::Accept(id)).is_ok()
    }

    /// Does not want what the partner has offered.
    pub fn reject(&self, id: TransferId) -> bool {
        self.orders.try_send(Order::Reject(id)).is_ok()
    }

    /// Calls a file off, one's own or the partner's.
    pub fn call_off(&self, id: TransferId) -> bool {
        self.orders.try_send(Order::CallOff(id)).is_ok()
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
