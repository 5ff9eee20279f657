//! The nodes of one service, joined by Redis.
//!
//! Owns: the keys, and the scripts that make each step atomic. All keys of the lobby share one hash tag, so
//! that one script may use them on a Redis Cluster too; records, whereabouts and windows have one each.

mod inbox;
mod line;
#[cfg(test)]
mod server_tests;

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ::redis::{FromRedisValue, RedisResult, Script, ScriptInvocation, ToRedisArgs, cmd};
use futures_util::future::try_join_all;
use futures_util::stream::{self, TryStreamExt as _};
use tokio_util::task::TaskTracker;
use tracing::warn;

use self::inbox::Inbox;
use self::line::{Failure, Line, Source, Wire, probe};
use super::{
    Answer, Beat, Card, Cluster, Counted, DEAD_AFTER, Error, FORGOTTEN_AFTER, MOST_LOOKED_AT, MOST_NOTES, NEARBY, Note,
    RECORD_LIFE, Record, Sought, Ticket, Whereabouts,
};
use crate::config;
use crate::protocol::{ConversationId, NodeId, SessionId, UserId, millis};

/// Tickets of nodes that are no more which one heartbeat clears: some milliseconds of Redis's time.
const MOST_CLEARED: usize = 200;
/// Commands of one call that are under way at once.
const AT_ONCE: usize = 256;

/// Joins.
pub(super) async fn connect(settings: &config::Cluster, node: NodeId) -> Result<Arc<dyn Cluster>, Error> {
    Ok(Arc::new(Redis::join(settings, node).await?))
}

/// One node's handle.
struct Redis {
    node: NodeId,
    prefix: String,
    /// What the lobby's keys begin with.
    lobby: String,
    wire: Wire,
    inbox: Inbox,
    scripts: Scripts,
    /// Whether this handle has said that it lives.
    beaten: AtomicBool,
    /// Who lived at the last heartbeat.
    living: Mutex<HashSet<NodeId>>,
}

macro_rules! scripts {
    ($($name:ident: $($file:literal)+,)*) => {
        struct Scripts { $($name: Script,)* }

        impl Scripts {
            fn new() -> Self {
                Self { $($name: Script::new(concat!($(include_str!($file), "\n"),+)),)* }
            }
        }
    };
}

scripts! {
    beat: "lobby.lua" "beat.lua",
    farewell: "lobby.lua" "farewell.lua",
    tell: "lobby.lua" "tell.lua",
    seek: "lobby.lua" "seek.lua",
    withdraw: "lobby.lua" "withdraw.lua",
    adopt: "lobby.lua" "adopt.lua",
    arrive: "arrive.lua",
    stays: "stays.lua",
    whereabouts: "whereabouts.lua",
    record: "record.lua",
    forget: "forget.lua",
    count: "count.lua",
}

/// The arguments of a script, as Redis takes them.
#[derive(Default)]
struct Args(Vec<Vec<u8>>);

impl Args {
    fn with(mut self, argument: impl ToRedisArgs) -> Self {
        self.0.extend(argument.to_redis_args());
        self
    }

    fn text(self, argument: impl ToString) -> Self {
        self.with(argument.to_string())
    }

    fn micros(self, time: Duration) -> Self {
        self.text(time.as_micros())
    }
}

impl Redis {
    async fn join(settings: &config::Cluster, node: NodeId) -> Result<Self, Error> {
        let url = String::from_utf8_lossy(settings.redis.expose()).into_owned();
        let source = Source::parse(&url)?;
        let prefix = settings.prefix.clone();
        let lobby = format!("{{{prefix}lobby}}:");
        let tasks = TaskTracker::new();
        let wire = Wire::open(source.clone(), lobby.clone(), &tasks).await?;
        let inbox = Inbox::open(source, format!("{lobby}inbox:{node}"), &tasks);
        let living = Mutex::new(HashSet::from([node]));
        Ok(Self { node, prefix, lobby, wire, inbox, scripts: Scripts::new(), beaten: AtomicBool::default(), living })
    }

    fn args(&self) -> Args {
        Args::default().text(self.node)
    }

    fn session(&self, session: SessionId) -> String {
        format!("{}session:{{{session}}}", self.prefix)
    }

    fn user(&self, user: UserId) -> String {
        format!("{}user:{{{user}}}", self.prefix)
    }

    fn living(&self) -> MutexGuard<'_, HashSet<NodeId>> {
        self.living.lock().expect("no code panics while it holds this lock")
    }

    async fn run<T: FromRedisValue>(&self, script: &Script, key: &str, args: Args) -> Result<T, Error> {
        let mut invocation = script.key(key);
        args.0.into_iter().for_each(|argument| {
            invocation.arg(argument);
        });
        self.invoke(invocation).await
    }

    /// Puts a note into one inbox, or into all.
    fn put(&self, node: Option<NodeId>, note: &Note) -> ScriptInvocation<'_> {
        let mut put = self.scripts.tell.key(&self.lobby);
        put.arg(json(note)).arg(MOST_NOTES);
        if let Some(node) = node {
            put.arg(node.to_string());
        }
        put
    }

    async fn invoke<T: FromRedisValue>(&self, script: ScriptInvocation<'_>) -> Result<T, Error> {
        self.wire.ask(async |mut line: Line| script.invoke_async(&mut line).await).await
    }

    /// One step for each of many, within one deadline.
    async fn each<I, F>(&self, items: Vec<I>, step: impl Fn(Line, I) -> F) -> Result<(), Error>
    where
        F: Future<Output = RedisResult<()>>,
    {
        self.wire
            .ask(|line| {
                let steps = items.into_iter().map(move |item| Ok(step(line.clone(), item)));
                stream::iter(steps).try_for_each_concurrent(AT_ONCE, |step| step)
            })
            .await
    }

    fn here(&self, text: &str) -> Option<Whereabouts> {
        serde_json::from_str(text)
            .inspect_err(|error| warn!(%error, "where a session is cannot be read; it is passed over"))
            .ok()
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("records have string keys alone")
}

fn spaced<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Failure::Strange(text.to_owned()).into())
}

impl Cluster for Redis {
    fn node(&self) -> NodeId {
        self.node
    }

    fn beat(&self, card: &Card) -> Answer<'_, Beat> {
        let args = self.args().text(json(card)).micros(DEAD_AFTER).micros(FORGOTTEN_AFTER).text(MOST_CLEARED);
        Box::pin(async move {
            let (known, cards): (bool, Vec<String>) =
                self.run(&self.scripts.beat, &self.lobby, args).await.map(split)?;
            if !known {
                self.inbox.begin();
            }
            let forgotten = self.beaten.swap(true, Ordering::Relaxed) && !known;
            let read = |text: &String| {
                serde_json::from_str::<Card>(text)
                    .inspect_err(|error| warn!(%error, "a node's card cannot be read; it is passed over"))
                    .ok()
            };
            let others: Vec<Card> = cards.iter().filter_map(read).collect();
            *self.living() = others.iter().map(|card| card.node).chain([self.node]).collect();
            Ok(Beat { others, forgotten })
        })
    }

    fn farewell(&self) -> Answer<'_, ()> {
        Box::pin(async { self.run(&self.scripts.farewell, &self.lobby, self.args().text(MOST_CLEARED)).await })
    }

    fn notes(&self) -> Answer<'_, Vec<Note>> {
        Box::pin(self.inbox.next())
    }

    fn tell(&self, node: NodeId, note: &Note) -> Answer<'_, ()> {
        let put = self.put(Some(node), note);
        Box::pin(self.invoke(put))
    }

    fn tell_all(&self, note: &Note) -> Answer<'_, ()> {
        let put = self.put(None, note);
        Box::pin(self.invoke(put))
    }

    fn seek(&self, ticket: &Ticket) -> Answer<'_, Sought> {
        let args = self
            .args()
            .text(ticket.session)
            .text(ticket.user)
            .text(u8::from(ticket.anyone))
            .micros(ticket.waited)
            .text(spaced(&ticket.recent))
            .text(spaced(ticket.combinations.iter().map(|it| format!("{it:016x}"))))
            .micros(NEARBY)
            .micros(DEAD_AFTER)
            .text(MOST_LOOKED_AT)
            .text(MOST_NOTES);
        Box::pin(async move {
            let found: Option<(String, String)> = self.run(&self.scripts.seek, &self.lobby, args).await?;
            Ok(match found {
                None => Sought::Waits,
                Some((session, node)) => Sought::Found { session: id(&session)?, node: id(&node)? },
            })
        })
    }

    fn withdraw(&self, session: SessionId) -> Answer<'_, bool> {
        Box::pin(async move { self.run(&self.scripts.withdraw, &self.lobby, self.args().text(session)).await })
    }

    fn record(&self, records: Vec<(SessionId, Record)>) -> Answer<'_, ()> {
        Box::pin(async move {
            self.each(records, |mut line, (session, record)| {
                let mut invocation = self.scripts.record.key(self.session(session));
                // Begins with what the scripts look at, so that they need not read JSON.
                let text = format!("{} {} {}", record.node, record.hops, json(&record));
                invocation.arg(record.hops).arg(text).arg(millis(RECORD_LIFE));
                async move { invocation.invoke_async(&mut line).await }
            })
            .await
        })
    }

    fn find(&self, session: SessionId) -> Answer<'_, Option<Record>> {
        Box::pin(async move {
            let mut get = cmd("GET");
            get.arg(self.session(session));
            let text: Option<String> = self.wire.ask(async |mut line: Line| get.query_async(&mut line).await).await?;
            let Some(text) = text else { return Ok(None) };
            let record = text.splitn(3, ' ').nth(2).and_then(|json| serde_json::from_str(json).ok());
            // Of a node of another version, for all we know: as good as none.
            if record.is_none() {
                warn!(%session, "a session's record cannot be read; it is passed over");
            }
            Ok(record)
        })
    }

    fn forget(&self, sessions: Vec<SessionId>) -> Answer<'_, ()> {
        Box::pin(async move {
            self.each(sessions, |mut line, session| {
                let mut invocation = self.scripts.forget.key(self.session(session));
                invocation.arg(self.node.to_string());
                async move { invocation.invoke_async(&mut line).await }
            })
            .await
        })
    }

    fn adopt(&self, conversation: ConversationId, dead: NodeId) -> Answer<'_, NodeId> {
        let args = self.args().text(conversation).text(dead).micros(DEAD_AFTER).text(millis(RECORD_LIFE));
        Box::pin(async move {
            let home: String = self.run(&self.scripts.adopt, &self.lobby, args).await?;
            id(&home)
        })
    }

    fn arrive(&self, user: UserId, here: &Whereabouts, most: usize) -> Answer<'_, Vec<Whereabouts>> {
        let living = spaced(self.living().iter());
        let mut arrive = self.scripts.arrive.key(self.user(user));
        arrive.arg(here.session.to_string()).arg(json(here)).arg(most).arg(millis(RECORD_LIFE)).arg(living);
        Box::pin(async move {
            let steps = async |mut line: Line| {
                let gone: Vec<String> = arrive.invoke_async(&mut line).await?;
                let gone: Vec<Whereabouts> = gone.iter().filter_map(|text| self.here(text)).collect();
                // Their nodes' inboxes are in another slot, so not in the same script.
                let puts = gone.iter().map(|it| self.put(Some(it.node), &Note::Superseded { session: it.session }));
                let tell = puts.map(|put| {
                    let mut line = line.clone();
                    async move { put.invoke_async::<()>(&mut line).await }
                });
                try_join_all(tell).await?;
                Ok(gone)
            };
            self.wire.ask(steps).await
        })
    }

    fn stays(&self, user: UserId, here: &Whereabouts) -> Answer<'_, ()> {
        let args = Args::default().text(here.session).text(json(here)).text(millis(RECORD_LIFE));
        Box::pin(async move { self.run(&self.scripts.stays, &self.user(user), args).await })
    }

    fn depart(&self, user: UserId, session: SessionId) -> Answer<'_, ()> {
        let mut remove = cmd("HDEL");
        remove.arg(self.user(user)).arg(session.to_string());
        Box::pin(async move { self.wire.ask(async |mut line: Line| remove.query_async(&mut line).await).await })
    }

    fn whereabouts(&self, user: UserId) -> Answer<'_, Vec<Whereabouts>> {
        Box::pin(async move {
            let all: Vec<String> = self.run(&self.scripts.whereabouts, &self.user(user), Args::default()).await?;
            let mut all: Vec<Whereabouts> = all.iter().filter_map(|text| self.here(text)).collect();
            all.retain(|it| self.living().contains(&it.node));
            all.sort_by_key(|it| (it.began, it.session));
            Ok(all)
        })
    }

    fn count(&self, limit: &'static str, who: &str, window: Duration, spend: bool) -> Answer<'_, Counted> {
        let key = format!("{}limit:{limit}:{{{who}}}", self.prefix);
        Box::pin(async move {
            let args = Args::default().text(millis(window)).text(u8::from(spend));
            let (used, left): (u32, u64) = self.run(&self.scripts.count, &key, args).await?;
            Ok(Counted { used, reset: Duration::from_millis(left) })
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let probe = probe(&self.lobby);
            self.wire.ask(async |mut line: Line| probe.query_async::<bool>(&mut line).await.map(drop)).await
        })
    }
}

/// A heartbeat's answer: whether the node was known, then cards.
fn split(answer: Vec<::redis::Value>) -> (bool, Vec<String>) {
    let mut parts = answer.into_iter();
    let known = parts.next().and_then(|it| bool::from_redis_value(it).ok()).unwrap_or_default();
    (known, parts.filter_map(|it| String::from_redis_value(it).ok()).collect())
}
