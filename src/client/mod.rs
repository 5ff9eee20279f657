//! A client of this server, over WebTransport or WebSocket: what the tests drive it with, and what
//! the program's own tools are built on.
//!
//! Owns: one session as its client sees it (numbers, acknowledgements, resume), on a [`Wire`] that
//! can be replaced. The wire alone is public too, for those who want to break the rules.
//!
//! A [`Keeper`] keeps such a session on the best link there is, as the browser SDK does.
//!
//! Must not know: the server's parts. It speaks through `protocol` only.

mod carrying;
mod keeper;
mod keeping;
#[cfg(test)]
mod keeping_tests;
mod nodes;
mod pace;
mod race;
mod rest;
mod streams;
mod talk;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use self::carrying::{Carrying, Next};
pub use self::carrying::{File, sha256};
pub use self::keeper::{Cut, Habits, Keeper, News};
pub use self::nodes::{Nodes, addresses};
pub use self::rest::{Account, Rest};
pub use self::wire::{Ended, Heard, Server, Target, Wire};
use crate::hub::Door;
use crate::protocol::{
    About, Arrival, Beat, ClientEvent, ClientInfo, Closing, Complete, Encoded, Established, HeldTransfer, Hello,
    Inbound, Lane, Offered, Outbound, PROTOCOL, Refusal, Resume, ServerEvent, ServerFrame, TransferId,
};

/// What went wrong on this side of the wire.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The link could not be opened.
    #[error("could not connect: {0}")]
    Connect(String),
    /// What is no address of a server.
    #[error("{address} cannot be used as a server's address: {why}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server refused a request.
    #[error("{message} ({code}, HTTP {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The link is gone.
    #[error("the link ended: {0:?}")]
    Ended(Ended),
    /// The server closed the link and said why.
    #[error("the server closed the link: {} {}", .0.code, .0.message)]
    Closing(Closing),
    /// The server sent what this client cannot read.
    #[error("the server sent an unreadable frame: {}", .0.message)]
    Frame(Refusal),
    /// The server left a number out.
    #[error("the server sent seq {0} where {1} was due")]
    Gap(u64, u64),
    /// Nothing came in time.
    #[error("nothing came within {0:?}")]
    Timeout(Duration),
}

/// One session, on the link of the moment.
pub struct Client {
    target: Target,
    token: String,
    device: Option<String>,
    wire: Wire,
    outbound: Outbound<Encoded>,
    inbound: Inbound,
    /// What of `inbound` the server was told.
    acknowledged: u64,
    established: Established,
    carrying: Carrying,
}

impl Client {
    /// Opens a link by `door` and begins a session.
    ///
    /// # Errors
    /// Whatever keeps it from being established.
    pub async fn connect(target: &Target, door: Door, token: &str, device: Option<&str>) -> Result<Self, Error> {
        Self::begin(target, Wire::open(target, door).await?, token, device).await
    }

    /// Begins a session on a link that is open.
    ///
    /// # Errors
    /// Whatever keeps it from being established.
    pub async fn begin(target: &Target, mut wire: Wire, token: &str, device: Option<&str>) -> Result<Self, Error> {
        let established = greet(&mut wire, hello(token, device, None)).await?;
        let mut carrying = Carrying::default();
        carrying.linked(&established, Instant::now());
        Ok(Self {
            target: target.clone(),
            token: token.to_owned(),
            device: device.map(str::to_owned),
            wire,
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            acknowledged: 0,
            established,
            carrying,
        })
    }

    /// What the server said when the link was established.
    pub fn established(&self) -> &Established {
        &self.established
    }

    /// The link itself, to break or to send what a good client would not.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// The highest `seq` received so far.
    pub fn received(&self) -> u64 {
        self.inbound.received()
    }

    /// Events that were sent and are not acknowledged yet.
    pub fn pending(&self) -> usize {
        self.outbound.pending()
    }

    /// Sends an event; a reliable one is numbered and kept until it is acknowledged.
    ///
    /// # Errors
    /// The link is gone; the event is sent again after [`resume`](Self::resume).
    pub async fn send(&mut self, event: &ClientEvent) -> Result<(), Error> {
        let event = Encoded::from(event);
        if event.lane == Lane::Reliable {
            self.outbound.push(event);
            self.write_pending().await
        } else {
            self.wire.send_event(&event, None, None).await
        }
    }

    /// Keeps an event for the next link without writing it: what an app says while it has none.
    pub fn queue(&mut self, event: &ClientEvent) {
        self.outbound.push(Encoded::from(event));
    }

    /// The next event that is not the session's own business (acknowledgements, pings). What is
    /// reliable comes once and in order, and is acknowledged.
    ///
    /// # Errors
    /// The link ended, or nothing came within `wait`.
    pub async fn next(&mut self, wait: Duration) -> Result<ServerEvent, Error> {
        let deadline = Instant::now() + wait;
        let mut ready = None;
        loop {
            let heard = if let Some(heard) = ready.take() {
                Ok(heard)
            } else {
                self.carry().await?;
                let due = self.carrying.due().map_or(deadline, |due| due.min(deadline));
                timeout_at(due, self.wire.hear()).await
            };
            match heard {
                Ok(Ok(Heard::Bytes(header, bytes))) => {
                    if let Some(complete) = self.carrying.bring(&header, &bytes, Instant::now()) {
                        self.carry().await?;
                        return Ok(ServerEvent::Complete(complete));
                    }
                    // What is here already is taken in before anything is said of it.
                    if !self.carrying.is_pressing() {
                        ready = self.wire.hear().now_or_never();
                    }
                }
                Ok(Ok(Heard::Frame(frame))) => {
                    let event = self.take(frame).await?;
                    self.acknowledge().await?;
                    if let Some(event) = event {
                        // Whoever waits for nothing more has said what there was to say.
                        self.carry().await?;
                        return Ok(event);
                    }
                }
                Ok(Err(error)) => return Err(error),
                Err(_) if Instant::now() < deadline => {}
                Err(_) => return Err(Error::Timeout(wait)),
            }
        }
    }

    /// Offers the partner a file; its bytes go out while [`next`](Self::next) waits.
    ///
    /// # Errors
    /// The link is gone; the offer is made again after [`resume`](Self::resume).
    pub async fn offer(&mut self, id: &str, file: &File) -> Result<(), Error> {
        let id = TransferId::new(id).expect("an id has 1 to 64 characters");
        let offer = file.offer(id);
        self.carrying.offer(offer.clone(), file.bytes.clone());
        self.send(&ClientEvent::Offer(offer)).await
    }

    /// Wants a file that the partner has offered.
    ///
    /// # Errors
    /// The link is gone; it is said again after [`resume`](Self::resume).
    pub async fn accept(&mut self, id: &TransferId) -> Result<(), Error> {
        if self.carrying.accept(id) {
            self.send(&ClientEvent::Accept(About { transfer: id.clone() })).await?;
        }
        Ok(())
    }

    /// Does not want a file, one's own or the partner's, any more.
    ///
    /// # Errors
    /// The link is gone; it is said again after [`resume`](Self::resume).
    pub async fn call_off(&mut self, id: &TransferId) -> Result<(), Error> {
        self.let_go(id);
        self.send(&ClientEvent::Cancel(About { transfer: id.clone() })).await
    }

    /// Has nothing to do with a file any more, and neither has the link.
    fn let_go(&mut self, id: &TransferId) {
        self.carrying.forget(id);
        self.wire.abort_bytes(id);
    }

    /// A file that has come, whole and as it was sent; once, after its `file:complete`.
    pub fn collect(&mut self, complete: &Complete) -> Option<(Offered, Bytes)> {
        self.carrying.collect(complete)
    }

    /// Writes what of the files may be written now.
    async fn carry(&mut self) -> Result<(), Error> {
        let mut fed = false;
        while let Some(next) = self.carrying.next(Instant::now()) {
            match next {
                Next::Bytes(header, bytes, last) => {
                    fed = true;
                    self.wire.feed_bytes(&header, bytes, last).await?;
                }
                Next::Say(event) => self.send(&event).await?,
            }
        }
        if fed { self.wire.flush().await } else { Ok(()) }
    }

    /// Lets the link go without a word, as a network does.
    pub fn cut(&mut self) {
        self.wire.cut();
    }

    /// Opens a new link by `door` and goes on with the session there; what was not acknowledged is
    /// sent again. The old link may still stand: then the server closes it.
    ///
    /// # Errors
    /// Whatever keeps the new link from being established. `established().resumed` says whether the
    /// session went on; if not, a new one has begun.
    pub async fn resume(&mut self, door: Door) -> Result<(), Error> {
        self.go_on(Wire::open(&self.target, door).await?).await
    }

    /// How much of a file has come.
    pub fn has(&self, id: &TransferId) -> u64 {
        self.carrying.has(id)
    }

    /// [`resume`](Self::resume), saying that less of a file has come than has: what a client says that
    /// goes on reading the link before while it opens another.
    ///
    /// # Errors
    /// As there.
    pub async fn resume_as_of(&mut self, door: Door, id: &TransferId, received: u64) -> Result<(), Error> {
        let mut held = self.carrying.held();
        held.iter_mut().filter(|it| it.transfer == *id).for_each(|it| it.received = Some(received));
        let wire = Wire::open(&self.target, door).await?;
        self.go_on_with(wire, held).await
    }

    /// [`resume`](Self::resume), on a link that is open.
    ///
    /// # Errors
    /// As there.
    pub async fn go_on(&mut self, wire: Wire) -> Result<(), Error> {
        let held = self.carrying.held();
        self.go_on_with(wire, held).await
    }

    async fn go_on_with(&mut self, mut wire: Wire, held: Vec<HeldTransfer>) -> Result<(), Error> {
        let Established { session, key, .. } = self.established;
        let resume = Resume { session, key, received: self.inbound.received(), transfers: Some(held) };
        let hello = hello(&self.token, self.device.as_deref(), Some(resume.clone()));
        self.established = greet(&mut wire, hello).await?;
        self.wire = wire;
        self.acknowledged = resume.received;
        self.carrying.linked(&self.established, Instant::now());
        if self.established.resumed {
            let received = self.established.received;
            let known = self.outbound.resume(received).map(drop);
            known.ok_or(Error::Gap(received, self.outbound.last()))?;
            self.write_pending().await
        } else {
            (self.outbound, self.inbound, self.acknowledged) = (Outbound::default(), Inbound::default(), 0);
            Ok(())
        }
    }

    /// How many frames were received that the server does not know of.
    fn owed(&self) -> u64 {
        self.inbound.received() - self.acknowledged
    }

    /// Tells the server what was received, if it does not know.
    async fn acknowledge(&mut self) -> Result<(), Error> {
        let received = self.inbound.received();
        if received > self.acknowledged {
            self.acknowledged = received;
            self.wire.send_ack(received).await?;
        }
        Ok(())
    }

    async fn take(&mut self, frame: ServerFrame) -> Result<Option<ServerEvent>, Error> {
        if let Some(upto) = frame.ack {
            let known = self.outbound.ack(upto).map(drop);
            known.ok_or(Error::Gap(upto, self.outbound.last()))?;
        }
        if let Some(seq) = frame.seq {
            match self.inbound.accept(seq) {
                Arrival::Fresh => {}
                Arrival::Duplicate => return Ok(None),
                Arrival::Gap => return Err(Error::Gap(seq, self.inbound.received() + 1)),
            }
        }
        match frame.event {
            Some(ServerEvent::Ping(Beat { t })) => {
                let pong = Encoded::from(&ClientEvent::Pong(Beat { t }));
                self.wire.send_event(&pong, None, None).await?;
                Ok(None)
            }
            Some(ServerEvent::Closing(closing)) => Err(Error::Closing(closing)),
            Some(ServerEvent::Ack(_)) | None => Ok(None),
            Some(event) => {
                let told = self.carrying.hear(&event, Instant::now());
                if let ServerEvent::Cancel(cancelled) = &event {
                    self.wire.abort_bytes(&cancelled.transfer);
                }
                Ok(told.then_some(event))
            }
        }
    }

    async fn write_pending(&mut self) -> Result<(), Error> {
        let received = self.inbound.received();
        while let Some((seq, event)) = self.outbound.next_unwritten() {
            let ack = (received > self.acknowledged).then_some(received);
            self.acknowledged = received;
            self.wire.send_event(event, Some(seq), ack).await?;
        }
        Ok(())
    }
}

/// The hello of this client.
pub fn hello(token: &str, device: Option<&str>, resume: Option<Resume>) -> Hello {
    let client = ClientInfo {
        name: "duologue-rust".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device_id: device.map(str::to_owned),
        calls: true,
    };
    Hello { protocol: PROTOCOL, token: token.to_owned(), client, resume }
}

/// Says hello on a fresh wire and waits for the answer.
///
/// # Errors
/// The server's refusal, or a link that ended.
pub async fn greet(wire: &mut Wire, hello: Hello) -> Result<Established, Error> {
    wire.send_event(&Encoded::from(&ClientEvent::Hello(hello)), None, None).await?;
    loop {
        match wire.recv().await?.event {
            Some(ServerEvent::Established(established)) => return Ok(*established),
            Some(ServerEvent::Closing(closing)) => return Err(Error::Closing(closing)),
            _ => {}
        }
    }
}
