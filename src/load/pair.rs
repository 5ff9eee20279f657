//! Two people who talk, both ends in one hand: everything that one says is checked where the other
//! hears it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::files::Files;
use super::gaps::Gaps;
use super::ledger::{Broken, Ledger};
use crate::client::{Error, File, Habits, Keeper, News, Target};
use crate::hub::Door;
use crate::protocol::{
    ClientEvent, ErrorCode, Message, MessageId, MessageKind, Nothing, Presence, Refusal, ServerEvent, UserId, Wish,
};

/// How long a match may take.
const MATCH: Duration = Duration::from_secs(20);

/// One of the two, before they meet.
#[derive(Debug, Clone)]
pub struct Party {
    /// Where the server is, perhaps behind a network of its own.
    pub target: Target,
    /// Who it is.
    pub token: String,
    /// How it keeps its link.
    pub habits: Habits,
}

/// Two people in a conversation.
pub struct Pair {
    sides: [Side; 2],
    began: Instant,
    size: usize,
    turn: bool,
    files: Files,
}

struct Side {
    keeper: Keeper,
    user: UserId,
    /// What this side says.
    ledger: Ledger,
    door: Door,
    story: Story,
}

/// What happened to one side's link.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// Links lost.
    pub lost: usize,
    /// Links made again after a loss, and how long there was none.
    pub gaps: Vec<Duration>,
    /// Moves without a gap.
    pub moves: usize,
    /// Nodes lost with the session, after which the talk went on.
    pub nodes: usize,
    /// Messages that came again after that, and were dropped.
    pub repeated: usize,
    /// What it heard of its partner's link.
    pub statuses: Vec<Presence>,
    /// The last round trip.
    pub round_trip: Option<Duration>,
}

/// What one piece of news was worth measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// A message was heard, so long after it was said.
    Heard(Duration),
    /// Its sender was told so.
    Told(Duration),
    /// A file came, so long after it was offered, and so many bytes.
    Arrived(Duration, usize),
    /// There was no link for so long.
    Gap(Duration),
    /// A move without a gap.
    Moved,
    /// A link was lost.
    Lost,
    /// A node was lost, and the talk goes on.
    WentOn,
    /// A message came again after that, and was dropped.
    Repeated,
    /// Nothing of these.
    Nothing,
}

impl Pair {
    /// Lets two people meet; the interest is theirs alone. `size`: bytes of each message.
    ///
    /// # Errors
    /// Whatever keeps them from connecting or meeting.
    pub async fn meet(parties: [Party; 2], interest: &str, size: usize) -> Result<Self, Error> {
        let [one, other] = parties;
        let (one, other) = tokio::try_join!(Side::start(one), Side::start(other))?;
        let mut sides = [one, other];
        let wish = Wish { interests: vec![interest.to_owned()], ..Wish::default() };
        for side in &mut sides {
            side.keeper.say(ClientEvent::Match(wish.clone()));
            side.until("user:matching").await?;
        }
        for side in &mut sides {
            side.until("user:matched").await?;
        }
        let pair = Self { sides, began: Instant::now(), size, turn: false, files: Files::default() };
        Ok(pair)
    }

    /// Says the next message of this side. False: too much waits already.
    pub fn say(&mut self, side: usize) -> bool {
        let now = self.began.elapsed();
        let ledger = &mut self.sides[side].ledger;
        let number = ledger.said();
        let id = MessageId::new(&format!("{side}-{number}")).expect("a short id");
        let content = content(side, number, self.size);
        let message = ClientEvent::Message(Message { id, kind: MessageKind::Text, content, timestamp: None });
        let said = self.sides[side].keeper.say(message);
        if said {
            self.sides[side].ledger.say(now);
        }
        said
    }

    /// Offers the other side a file with these bytes. False: too much waits already.
    pub fn send(&mut self, side: usize, bytes: Bytes) -> bool {
        let id = self.files.next(side);
        let file = File::new(&format!("{}.bin", id.as_str()), "application/octet-stream", bytes.clone());
        let offered = self.sides[side].keeper.offer(id.clone(), file);
        if offered {
            self.files.send(id, bytes, self.began.elapsed());
        }
        offered
    }

    /// The files that were sent.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The next news of either side. Cancel safe.
    pub async fn news(&mut self) -> (usize, News) {
        let [one, other] = &mut self.sides;
        self.turn = !self.turn;
        let over = || News::Over(Error::Connect("the keeper has ended".to_owned()));
        // By turns, so that neither waits behind the other, and the same seed does the same.
        if self.turn {
            tokio::select! {
                biased;
                news = one.keeper.next() => (0, news.unwrap_or_else(over)),
                news = other.keeper.next() => (1, news.unwrap_or_else(over)),
            }
        } else {
            tokio::select! {
                biased;
                news = other.keeper.next() => (1, news.unwrap_or_else(over)),
                news = one.keeper.next() => (0, news.unwrap_or_else(over)),
            }
        }
    }

    /// Checks one piece of news against what was said.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn take(&mut self, side: usize, news: News) -> Result<Measured, Error> {
        let now = self.began.elapsed();
        let size = self.size;
        match news {
            News::Heard(ServerEvent::Message(message)) => {
                let partner = &mut self.sides[1 - side];
                let number = number(message.id.as_str(), 1 - side).filter(|number| {
                    message.from == partner.user && message.content == content(1 - side, *number, size)
                });
                let heard = partner.ledger.hear(number.unwrap_or(usize::MAX), now);
                return Ok(heard.map_or(Measured::Nothing, Measured::Heard));
            }
            News::Heard(ServerEvent::Delivered(delivered)) => {
                let number = number(delivered.id.as_str(), side).unwrap_or(usize::MAX);
                let told = self.sides[side].ledger.tell(number, now);
                return Ok(told.map_or(Measured::Nothing, Measured::Told));
            }
            News::GoesOn => {
                self.sides[side].story.nodes += 1;
                return Ok(Measured::WentOn);
            }
            News::Repeated(id) => return Ok(self.repeated(side, id.as_str())),
            News::Heard(ServerEvent::Status(status)) => self.sides[side].story.statuses.push(status.status),
            News::Heard(ServerEvent::Unmatched(_)) | News::Anew(_) => self.sides[side].ledger.note_end(),
            // Said before the end of the talk was heard.
            News::Heard(ServerEvent::Error(Refusal { code: ErrorCode::NoConversation, .. })) if self.is_over() => {}
            News::Heard(ServerEvent::Error(refusal)) => {
                return Err(Error::Connect(format!("the server refused: {}", refusal.message)));
            }
            News::Received(offered, bytes) => {
                let arrived = self.files.arrive(&offered.transfer, &bytes, now);
                return Ok(arrived.map_or(Measured::Nothing, |time| Measured::Arrived(time, bytes.len())));
            }
            News::Heard(event) => self.file(side, &event),
            News::RoundTrip(trip) => self.sides[side].story.round_trip = Some(trip),
            News::Unlinked { .. } => {
                self.sides[side].story.lost += 1;
                return Ok(Measured::Lost);
            }
            News::Linked { door, gap, .. } => {
                let side = &mut self.sides[side];
                side.door = door;
                if gap.is_zero() {
                    side.story.moves += 1;
                    return Ok(Measured::Moved);
                }
                side.story.gaps.push(gap);
                return Ok(Measured::Gap(gap));
            }
            News::Over(error) => return Err(error),
        }
        Ok(Measured::Nothing)
    }

    /// Only what a lost node may have swallowed the word of may come again.
    fn repeated(&mut self, side: usize, id: &str) -> Measured {
        let excused = self.sides.iter().any(|side| side.story.nodes > 0);
        let number = number(id, 1 - side).unwrap_or(usize::MAX);
        if !self.sides[1 - side].ledger.repeat(number, excused) {
            return Measured::Nothing;
        }
        self.sides[side].story.repeated += 1;
        Measured::Repeated
    }

    fn file(&mut self, side: usize, event: &ServerEvent) {
        match event {
            ServerEvent::Offer(offered) => drop(self.sides[side].keeper.accept(offered.transfer.clone())),
            // The receiver hears so only if it is not what was sent.
            ServerEvent::Complete(complete) if complete.transfer.as_str().starts_with(&format!("{side}-")) => {
                self.files.tell(&complete.transfer);
            }
            ServerEvent::Complete(complete) => self.files.damage(&complete.transfer),
            ServerEvent::Reject(about) => self.files.cancel(&about.transfer),
            ServerEvent::Cancel(cancelled) => self.files.cancel(&cancelled.transfer),
            _ => {}
        }
    }

    /// Takes news until all that was said was heard and told. False: not within `wait`.
    ///
    /// # Errors
    /// The session cannot go on.
    pub async fn settle(&mut self, wait: Duration) -> Result<bool, Error> {
        let deadline = Instant::now() + wait;
        // Where one has heard of an end, the other has yet to.
        while !self.is_settled() && !self.sides.iter().all(|side| side.ledger.has_ended()) {
            let Ok((side, news)) = timeout_at(deadline, self.news()).await else { return Ok(false) };
            self.take(side, news)?;
        }
        Ok(self.is_settled())
    }

    /// Both are silent, and take news, for so long.
    ///
    /// # Errors
    /// The session cannot go on.
    pub async fn listen(&mut self, length: Duration) -> Result<(), Error> {
        let end = Instant::now() + length;
        while let Ok((side, news)) = timeout_at(end, self.news()).await {
            self.take(side, news)?;
        }
        Ok(())
    }

    /// Both say a message each `pause`, and take news, for so long.
    ///
    /// # Errors
    /// The session cannot go on.
    pub async fn talk(&mut self, length: Duration, pause: Duration) -> Result<(), Error> {
        let end = Instant::now() + length;
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased; // what is due is due, however much is heard
                () = sleep_until(next.min(end)) => {
                    if Instant::now() >= end {
                        return Ok(());
                    }
                    self.say(0);
                    self.say(1);
                    next += pause;
                }
                (side, news) = self.news() => drop(self.take(side, news)?),
            }
        }
    }

    /// Whether all that was said was heard and all that was sent came, and its sender told.
    pub fn is_settled(&self) -> bool {
        self.files.is_settled() && self.sides.iter().all(|side| side.ledger.is_settled())
    }

    /// How many messages were heard.
    pub fn heard(&self) -> usize {
        self.sides.iter().map(|side| side.ledger.heard()).sum()
    }

    /// Whether the conversation has ended, though neither left.
    pub fn is_over(&self) -> bool {
        self.sides.iter().any(|side| side.ledger.has_ended())
    }

    /// What was broken, if nothing more is to come. Where the conversation was lost that is what is counted,
    /// and not each message that was on its way.
    pub fn broken(&self) -> Broken {
        let mut broken = self.files.close();
        self.sides.iter().for_each(|side| broken.add(&side.ledger.close()));
        if self.is_over() {
            (broken.lost, broken.untold) = (0, 0);
        }
        broken
    }

    /// How long the two waited for answers.
    pub fn gaps(&self) -> Gaps {
        let mut gaps = Gaps::default();
        self.sides.iter().for_each(|side| gaps.add(&side.ledger.gaps(self.began.elapsed())));
        gaps
    }

    /// This side's keeper.
    pub fn keeper(&self, side: usize) -> &Keeper {
        &self.sides[side].keeper
    }

    /// The door that this side's link goes through, or went through last.
    pub fn door(&self, side: usize) -> Door {
        self.sides[side].door
    }

    /// What happened to this side's link.
    pub fn story(&self, side: usize) -> &Story {
        &self.sides[side].story
    }

    /// Both leave in good order.
    pub async fn part(mut self) {
        self.sides[0].keeper.say(ClientEvent::Leave(Nothing {}));
        // A server that is gone need not be waited for.
        let _ = timeout(Duration::from_secs(2), self.sides[1].until("user:unmatched")).await;
    }
}

impl Side {
    async fn start(party: Party) -> Result<Self, Error> {
        let Party { target, token, habits } = party;
        let keeper = Keeper::start(&target, &token, None, habits).await?;
        let (user, door) = (keeper.established().user.user.id, keeper.first_door());
        Ok(Self { keeper, user, ledger: Ledger::default(), door, story: Story::default() })
    }

    async fn until(&mut self, name: &str) -> Result<(), Error> {
        let heard = async {
            loop {
                match self.keeper.next().await {
                    Some(News::Heard(event)) if event.name() == name => return Ok(()),
                    Some(News::Over(error)) => return Err(error),
                    Some(_) => {}
                    None => return Err(Error::Connect("the keeper has ended".to_owned())),
                }
            }
        };
        timeout(MATCH, heard).await.map_err(|_| Error::Timeout(MATCH))?
    }
}

/// What message `number` of a side says: no two alike, and as long as asked for.
fn content(side: usize, number: usize, size: usize) -> String {
    let mut text = format!("{side}-{number} ");
    while text.len() < size {
        text.push(char::from(b'a' + u8::try_from((number + text.len()) % 26).expect("below 26")));
    }
    text
}

fn number(id: &str, side: usize) -> Option<usize> {
    let (from, number) = id.split_once('-')?;
    if from.parse() == Ok(side) { number.parse().ok() } else { None }
}
