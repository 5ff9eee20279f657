//! What others tell this node: a task that reads its stream, a batch ahead of whoever asks.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ::redis::streams::{StreamReadOptions, StreamReadReply};
use ::redis::{AsyncCommands as _, RedisResult};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::warn;

use super::line::{FIRST_PAUSE, Failure, LAST_PAUSE, Line, Source};
use crate::cluster::{DEADLINE, Error, Note};

/// How long Redis holds a read that finds nothing.
const BLOCK: Duration = Duration::from_secs(2);
/// How long it may take then, until the connection counts as lost.
const PATIENCE: Duration = BLOCK.saturating_add(DEADLINE);
/// Most notes read at once.
const BATCH: usize = 256;
/// Before everything in a stream.
const START: &str = "0";

type Batch = Result<Vec<Note>, Error>;

/// The notes to this node.
pub(super) struct Inbox {
    batches: tokio::sync::Mutex<mpsc::Receiver<Batch>>,
    cursor: Cursor,
    _reader: AbortOnDropHandle<()>,
}

/// The id of the last note read. In memory alone: the inbox of a node that starts again is another.
#[derive(Clone)]
struct Cursor(Arc<Mutex<String>>);

impl Cursor {
    fn at(&self) -> MutexGuard<'_, String> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl Inbox {
    pub(super) fn open(source: Source, key: String, tasks: &TaskTracker) -> Self {
        // One batch waits for whoever asks; the next is not read before.
        let (sender, batches) = mpsc::channel(1);
        let cursor = Cursor(Arc::new(Mutex::new(START.to_owned())));
        let reader = tasks.spawn(read(source, key, cursor.clone(), sender));
        Self { batches: tokio::sync::Mutex::new(batches), cursor, _reader: AbortOnDropHandle::new(reader) }
    }

    /// The next notes.
    pub(super) async fn next(&self) -> Batch {
        let mut batches = self.batches.lock().await;
        batches.recv().await.expect("the reader lives as long as this")
    }

    /// The stream is a new one, whose ids may be lower: another Redis has another clock.
    pub(super) fn begin(&self) {
        START.clone_into(&mut self.cursor.at());
    }
}

async fn read(source: Source, key: String, cursor: Cursor, batches: mpsc::Sender<Batch>) {
    let mut pause = FIRST_PAUSE;
    let mut line = None;
    // Nobody asks any more once the receiver is gone.
    while let Ok(place) = batches.reserve().await {
        match next(&source, &key, &mut line, &cursor).await {
            Ok(notes) => {
                pause = FIRST_PAUSE;
                place.send(Ok(notes));
            }
            Err(failure) => {
                line = None;
                place.send(Err(failure.into()));
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

/// Waits for notes behind the cursor, and moves it.
async fn next(source: &Source, key: &str, line: &mut Option<Line>, cursor: &Cursor) -> Result<Vec<Note>, Failure> {
    let line = match line {
        Some(line) => line,
        None => line.insert(source.open(PATIENCE, key).await?),
    };
    let block = usize::try_from(BLOCK.as_millis()).unwrap_or(usize::MAX);
    let options = StreamReadOptions::default().block(block).count(BATCH);
    loop {
        let since = cursor.at().clone();
        let keys = [key];
        let since = [since];
        let read = line.xread_options(&keys, &since, &options);
        let reply: RedisResult<Option<StreamReadReply>> = timeout(PATIENCE, read).await.map_err(|_| Failure::Late)?;
        let entries: Vec<_> = reply?.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect();
        let Some(last) = entries.last() else { continue };
        cursor.at().clone_from(&last.id);
        let text = |entry: &::redis::streams::StreamId| entry.get::<String>("n").unwrap_or_default();
        let notes: Vec<Note> = entries
            .iter()
            .filter_map(|entry| match serde_json::from_str(&text(entry)) {
                Ok(note) => Some(note),
                Err(error) => {
                    // From a node of another version.
                    warn!(%error, "a note of another node is not understood; it is passed over");
                    None
                }
            })
            .collect();
        if !notes.is_empty() {
            return Ok(notes);
        }
    }
}
