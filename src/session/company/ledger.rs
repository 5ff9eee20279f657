//! What the cluster is to know of this node's sessions: where they are, whose, and in which conversation.
//!
//! Owns: the truth of it, and which of it has yet to be told. Telling is one task's work: it takes all that
//! has changed since it looked last, so that many changes cost few round trips, and none waits for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::cluster::{Cluster, RECORD_LIFE, Record, Whereabouts};
use crate::protocol::{ConversationId, SessionId, UserId};

/// Sessions that are told of in one go.
const BATCH: usize = 512;
/// Calls that are out at once.
const AT_ONCE: usize = 32;
/// How long to wait before a cluster that is away is told again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is known of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) record: Record,
    pub(super) person: Whereabouts,
}

/// All of it.
#[derive(Default)]
pub(super) struct Ledger {
    pages: Mutex<Pages>,
    bell: Notify,
    /// The cluster has lost what it was told, and has not been told all of it again.
    behind: AtomicBool,
    /// It is back: what could not be told is not to wait any longer.
    hurry: Notify,
}

#[derive(Default)]
struct Pages {
    truth: HashMap<SessionId, Known>,
    /// Yet to be told; those that are not in `truth` are over. True: also to whom it belongs.
    untold: HashMap<SessionId, bool>,
    /// Whose sessions those are that are over.
    gone: HashMap<SessionId, UserId>,
}

impl Ledger {
    /// A session is here, and so. `person`: to whom it belongs is to be told as well.
    pub(super) fn note(&self, known: Known, person: bool) {
        let mut pages = self.pages();
        let session = known.person.session;
        pages.gone.remove(&session);
        if person || pages.truth.get(&session) != Some(&known) {
            pages.truth.insert(session, known);
            *pages.untold.entry(session).or_default() |= person;
            self.bell.notify_one();
        }
    }

    /// A session is over.
    pub(super) fn over(&self, session: SessionId) {
        let mut pages = self.pages();
        if let Some(known) = pages.truth.remove(&session) {
            pages.gone.insert(session, known.record.user);
            pages.untold.insert(session, true);
            self.bell.notify_one();
        }
    }

    /// A session is elsewhere: that node tells of it.
    pub(super) fn moved(&self, session: SessionId) {
        let mut pages = self.pages();
        pages.truth.remove(&session);
        pages.untold.remove(&session);
    }

    /// Everything is to be told again.
    pub(super) fn all_again(&self) {
        let mut pages = self.pages();
        let all: Vec<_> = pages.truth.keys().copied().collect();
        pages.untold.extend(all.into_iter().map(|session| (session, true)));
        self.bell.notify_one();
    }

    /// The cluster has lost what it was told: everything is to be told again, without delay.
    pub(super) fn lost(&self) {
        self.behind.store(true, Ordering::Relaxed);
        self.all_again();
        self.hurry.notify_one();
    }

    /// Whether the cluster still lacks what it has lost.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// The sessions of a conversation.
    pub(super) fn in_conversation(&self, conversation: ConversationId) -> Vec<SessionId> {
        let pages = self.pages();
        let talks = |known: &Known| known.record.talk.as_ref().is_some_and(|talk| talk.conversation == conversation);
        pages.truth.iter().filter(|(_, known)| talks(known)).map(|(session, _)| *session).collect()
    }

    /// Tells the cluster, until `stop`.
    pub(super) async fn keep_writing(&self, cluster: &Arc<dyn Cluster>, stop: &CancellationToken) {
        // What is not renewed is forgotten there.
        let mut renewals = interval(RECORD_LIFE / 3);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewals.reset();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = renewals.tick() => self.all_again(),
                () = self.bell.notified() => {}
            }
            while let Some(page) = self.turn() {
                if let Err(error) = write(cluster, &page).await {
                    debug!(%error, "the cluster was not told where sessions are");
                    self.keep(page);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.hurry.notified() => {}
                        () = sleep(AGAIN) => {}
                    }
                }
            }
            self.behind.store(false, Ordering::Relaxed);
        }
    }

    fn turn(&self) -> Option<Page> {
        let mut pages = self.pages();
        let sessions: Vec<_> = pages.untold.iter().take(BATCH).map(|(session, person)| (*session, *person)).collect();
        let mut page = Page::default();
        for (session, person) in sessions {
            pages.untold.remove(&session);
            match pages.truth.get(&session) {
                Some(known) => page.here.push((known.clone(), person)),
                None => {
                    if let Some(user) = pages.gone.remove(&session) {
                        page.gone.push((session, user));
                    }
                }
            }
        }
        (!page.here.is_empty() || !page.gone.is_empty()).then_some(page)
    }

    /// Puts back what was not told.
    fn keep(&self, page: Page) {
        let mut pages = self.pages();
        let Page { here, gone } = page;
        for (known, person) in here {
            *pages.untold.entry(known.person.session).or_default() |= person;
        }
        for (session, user) in gone {
            if !pages.truth.contains_key(&session) {
                pages.gone.insert(session, user);
                pages.untold.insert(session, true);
            }
        }
        self.bell.notify_one();
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("no code panics while it holds this lock")
    }
}

#[derive(Default)]
struct Page {
    here: Vec<(Known, bool)>,
    gone: Vec<(SessionId, UserId)>,
}

async fn write(cluster: &Arc<dyn Cluster>, page: &Page) -> Result<(), crate::cluster::Error> {
    if !page.here.is_empty() {
        let records = page.here.iter().map(|(known, _)| (known.person.session, known.record.clone()));
        cluster.record(records.collect()).await?;
    }
    if !page.gone.is_empty() {
        cluster.forget(page.gone.iter().map(|(session, _)| *session).collect()).await?;
    }
    let mut calls = Vec::new();
    for (known, person) in &page.here {
        if *person {
            calls.push(cluster.stays(known.record.user, &known.person));
        }
    }
    for (session, user) in &page.gone {
        calls.push(cluster.depart(*user, *session));
    }
    let mut calls = stream::iter(calls).buffered(AT_ONCE);
    while let Some(told) = calls.next().await {
        told?;
    }
    Ok(())
}
