//! The way to Redis: where it is, one connection for commands that is opened anew when it fails, and what a
//! call hears meanwhile.
//!
//! A call that finds the connection lost fails at once: nobody waits in a queue for a Redis that is not there.
//! One task tries again, and what it brings back is used by the next call.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster::ClusterClient;
use ::redis::cluster_async::ClusterConnection;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, Value, cmd,
};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{info, warn};

use crate::cluster::{DEADLINE, Error};

/// The first pause between two attempts to reach Redis; the next are longer, up to [`LAST_PAUSE`].
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest: with an attempt of [`DEADLINE`] it is noticed within a second that Redis is back.
pub(super) const LAST_PAUSE: Duration = Duration::from_millis(400);

/// Where Redis is.
#[derive(Clone)]
pub(super) enum Source {
    /// One server.
    One(Box<Client>),
    /// A Redis Cluster, known by some of its nodes.
    Many(Vec<ConnectionInfo>),
}

/// A connection. Clones use the same.
#[derive(Clone)]
pub(super) enum Line {
    One(MultiplexedConnection),
    Many(ClusterConnection),
}

impl Source {
    /// Reads `cluster.redis`. What is said of a wrong one holds no password.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |error: &RedisError| {
            let category = error.category();
            Error::Settings(format!("cluster.redis (REDIS_URL): {category}; use redis://USER:PASSWORD@HOST:PORT"))
        };
        let urls: Vec<&str> = text.split(',').map(str::trim).collect();
        let clustered = urls.len() > 1 || urls.iter().any(|url| url.contains("+cluster://"));
        let read = |url: &&str| url.replacen("+cluster://", "://", 1).into_connection_info();
        let infos = urls.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error))?;
        match <[ConnectionInfo; 1]>::try_from(infos) {
            Ok([info]) if clustered => Ok(Self::Many(vec![info])),
            Ok([info]) => Ok(Self::One(Box::new(Client::open(info).map_err(|error| wrong(&error))?))),
            Err(infos) => Ok(Self::Many(infos)),
        }
    }

    /// Opens a connection on which an answer may take so long, and sees that it answers.
    ///
    /// # Errors
    /// Why it does not, or that it has not within [`DEADLINE`].
    pub(super) async fn open(&self, patience: Duration, key: &str) -> Result<Line, Failure> {
        let open = async {
            let mut line = match self {
                Self::One(client) => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(DEADLINE))
                        .set_response_timeout(Some(patience));
                    Line::One(client.get_multiplexed_async_connection_with_config(&config).await?)
                }
                Self::Many(infos) => {
                    let client = ClusterClient::builder(infos.clone())
                        .connection_timeout(DEADLINE)
                        .response_timeout(patience)
                        .retries(2)
                        .build()?;
                    Line::Many(client.get_async_connection().await?)
                }
            };
            probe(key).query_async::<bool>(&mut line).await?;
            Ok(line)
        };
        timeout(DEADLINE, open).await.unwrap_or_else(|_| Err(Failure::Late))
    }
}

impl fmt::Display for Source {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(client) => client.get_connection_info().addr().fmt(f),
            Self::Many(infos) => {
                let addresses: Vec<_> = infos.iter().map(|info| info.addr().to_string()).collect();
                f.write_str(&addresses.join(", "))
            }
        }
    }
}

/// A command that says whether Redis serves: of all there are it is the cheapest that needs its data.
pub(super) fn probe(key: &str) -> Cmd {
    let mut probe = cmd("EXISTS");
    probe.arg(key);
    probe
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(line) => line.req_packed_command(cmd),
            Self::Many(line) => line.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(line) => line.req_packed_commands(pipeline, offset, count),
            Self::Many(line) => line.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(line) => line.get_db(),
            Self::Many(line) => line.get_db(),
        }
    }
}

/// Why Redis did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// It did not answer in time.
    #[error("Redis has not answered in {} ms", DEADLINE.as_millis())]
    Late,
    /// It said so, or the connection is gone.
    #[error("Redis failed")]
    Said(#[from] Arc<RedisError>),
    /// Its answer is none that we know.
    #[error("Redis answered {0:?}, which is not expected")]
    Strange(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Said(Arc::new(error))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Away(Box::new(failure))
    }
}

impl Failure {
    /// Whether the next call would fail just so: the connection is lost, or the server does not serve now.
    fn lasts(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Strange(_) => false,
            Self::Said(error) => {
                let serves_not = ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "BUSY"];
                let code = error.code().is_some_and(|code| serves_not.contains(&code));
                let lost = error.is_io_error() || error.is_connection_dropped() || error.is_timeout();
                code || lost || error.is_cluster_error() || error.is_unrecoverable_error()
            }
        }
    }
}

/// The connection for commands, which comes back by itself.
pub(super) struct Wire {
    shared: Arc<Shared>,
    _keeper: AbortOnDropHandle<()>,
}

struct Shared {
    source: Source,
    /// What a new connection is probed with.
    key: String,
    state: Mutex<State>,
    lost: Notify,
}

enum State {
    Up {
        line: Line,
        /// Which connection this is: who failed on an older one says nothing of this one.
        number: u64,
    },
    Down(Failure),
}

impl Wire {
    /// Opens it.
    pub(super) async fn open(source: Source, key: String, tasks: &TaskTracker) -> Result<Self, Failure> {
        let line = source.open(DEADLINE, &key).await?;
        let state = Mutex::new(State::Up { line, number: 0 });
        let shared = Arc::new(Shared { source, key, state, lost: Notify::new() });
        let keeper = AbortOnDropHandle::new(tasks.spawn(Arc::clone(&shared).keep()));
        Ok(Self { shared, _keeper: keeper })
    }

    /// Asks something, with a deadline.
    ///
    /// # Errors
    /// At once while Redis is away; else within [`DEADLINE`].
    pub(super) async fn ask<T, F>(&self, ask: impl FnOnce(Line) -> F) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (line, number) = match &*self.shared.state() {
            State::Up { line, number } => (line.clone(), *number),
            State::Down(failure) => return Err(failure.clone().into()),
        };
        let failure = match timeout(DEADLINE, ask(line)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::Late,
        };
        self.shared.failed(number, &failure);
        Err(failure.into())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }

    fn failed(&self, failed: u64, failure: &Failure) {
        let mut state = self.state();
        let current = matches!(&*state, State::Up { number, .. } if *number == failed);
        if current && failure.lasts() {
            *state = State::Down(failure.clone());
            self.lost.notify_one();
            warn!(redis = %self.source, because = %because(failure), "Redis is away; this node goes on alone");
        }
    }

    /// Opens a new connection whenever one is lost.
    async fn keep(self: Arc<Self>) {
        let mut number = 0;
        loop {
            self.lost.notified().await;
            number += 1;
            let mut pause = FIRST_PAUSE;
            let line = loop {
                match self.source.open(DEADLINE, &self.key).await {
                    Ok(line) => break line,
                    Err(failure) => *self.state() = State::Down(failure),
                }
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            };
            *self.state() = State::Up { line, number };
            info!(redis = %self.source, "Redis is back");
        }
    }
}

/// An error with what caused it, in one line.
pub(super) fn because(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_not_shown() {
        for (text, shown, clustered) in [
            ("redis://:hunter2@10.0.0.5:6379/3", "10.0.0.5:6379", false),
            ("rediss://ada:hunter2@redis.example", "redis.example:6379", false),
            ("redis+cluster://:hunter2@10.0.0.5:7000", "10.0.0.5:7000", true),
            ("redis://:hunter2@a:1, redis://:hunter2@b:2", "a:1, b:2", true),
        ] {
            let source = Source::parse(text).unwrap();
            assert_eq!((source.to_string().as_str(), matches!(source, Source::Many(_))), (shown, clustered));
        }
        for text in ["redis://:hunter2@:x", "redis://:hunter2@host:99999", "http://:hunter2@host"] {
            let error = Source::parse(text).err().unwrap_or_else(|| panic!("{text} was taken")).to_string();
            assert!(error.contains("cluster.redis") && !error.contains("hunter2"), "{error}");
        }
    }
}
