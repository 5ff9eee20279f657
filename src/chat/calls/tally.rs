//! How many calls there were, and how they were: by what the rules saw, and by what clients report.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use utoipa::ToSchema;

use crate::protocol::{CallEnding, CallPath, CallReport};

/// Upper bounds of the time from the answer to the media, milliseconds.
const SETUP_MS: [u64; 7] = [250, 500, 1_000, 2_000, 5_000, 10_000, 30_000];
/// Upper bounds of the round trip between the two, milliseconds.
const RTT_MS: [u64; 6] = [25, 50, 100, 200, 400, 800];
/// Upper bounds of the loss, of a hundred packets.
const LOSS_PERCENT: [u64; 5] = [1, 2, 5, 10, 20];

/// The counters.
#[derive(Default)]
pub(super) struct Tally {
    standing: AtomicU64,
    rung: AtomicU64,
    accepted: AtomicU64,
    bare: AtomicU64,
    ended: [AtomicU64; 7],
    direct: AtomicU64,
    relayed: AtomicU64,
    unconnected: AtomicU64,
    failed: AtomicU64,
    setup: Histogram<7>,
    rtt: Histogram<6>,
    loss: Histogram<5>,
}

struct Histogram<const N: usize>([AtomicU64; N], AtomicU64);

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)), AtomicU64::new(0))
    }
}

impl<const N: usize> Histogram<N> {
    fn note(&self, bounds: &[u64; N], value: f64) {
        match bounds.iter().position(|bound| value <= *bound as f64) {
            Some(at) => one_more(&self.0[at]),
            None => one_more(&self.1),
        }
    }

    fn buckets(&self, bounds: &[u64; N]) -> Vec<Bucket> {
        let mut buckets: Vec<_> = bounds
            .iter()
            .zip(&self.0)
            .map(|(bound, count)| Bucket { up_to: Some(*bound), count: read(count) })
            .collect();
        buckets.push(Bucket { up_to: None, count: read(&self.1) });
        buckets
    }
}

/// Calls since the start.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallCounts {
    /// That stand at the moment, ringing or answered.
    standing: u64,
    rung: u64,
    accepted: u64,
    /// Offers without a call, as in the original API.
    bare_offers: u64,
    ended: Endings,
    /// What clients have said of calls that are over.
    reports: Reports,
}

/// How calls ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Endings {
    hung_up: u64,
    declined: u64,
    busy: u64,
    cancelled: u64,
    no_answer: u64,
    failed: u64,
    /// With the conversation.
    conversation: u64,
}

/// What clients have said of calls that are over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Reports {
    direct: u64,
    relayed: u64,
    unconnected: u64,
    /// That ended because no way was found, or it was lost for good.
    failed: u64,
    /// From the answer to the media, in milliseconds.
    setup_ms: Vec<Bucket>,
    /// Round trip between the two, in milliseconds.
    rtt_ms: Vec<Bucket>,
    /// Packets that did not arrive, of a hundred.
    loss_percent: Vec<Bucket>,
}

/// How many were above the bucket before, and up to this.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Absent: however many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    up_to: Option<u64>,
    count: u64,
}

impl Tally {
    pub(super) fn rings(&self) {
        one_more(&self.rung);
    }

    pub(super) fn accepts(&self) {
        one_more(&self.accepted);
    }

    pub(super) fn bare_offer(&self) {
        one_more(&self.bare);
    }

    /// A call is here.
    pub(super) fn stands(&self) {
        one_more(&self.standing);
    }

    /// It is not any more.
    pub(super) fn is_gone(&self) {
        self.standing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Why it ended; `None`: its conversation did.
    pub(super) fn ends(&self, reason: Option<CallEnding>) {
        let at = match reason {
            Some(CallEnding::HungUp) => 0,
            Some(CallEnding::Declined) => 1,
            Some(CallEnding::Busy) => 2,
            Some(CallEnding::Cancelled) => 3,
            Some(CallEnding::NoAnswer) => 4,
            Some(CallEnding::Failed) => 5,
            None => 6,
        };
        one_more(&self.ended[at]);
    }

    pub(super) fn report(&self, report: &CallReport) {
        match report.path {
            Some(CallPath::Direct) => one_more(&self.direct),
            Some(CallPath::Relay) => one_more(&self.relayed),
            None => one_more(&self.unconnected),
        }
        if report.reason.as_deref() == Some("failed") {
            one_more(&self.failed);
        }
        if let Some(setup) = report.setup_ms {
            self.setup.note(&SETUP_MS, setup as f64);
        }
        if let Some(rtt) = report.rtt_ms {
            self.rtt.note(&RTT_MS, rtt);
        }
        if let Some(loss) = report.loss_percent {
            self.loss.note(&LOSS_PERCENT, loss);
        }
    }

    pub(super) fn counts(&self) -> CallCounts {
        let [hung_up, declined, busy, cancelled, no_answer, failed, conversation] = self.ended.each_ref().map(read);
        CallCounts {
            standing: read(&self.standing),
            rung: read(&self.rung),
            accepted: read(&self.accepted),
            bare_offers: read(&self.bare),
            ended: Endings { hung_up, declined, busy, cancelled, no_answer, failed, conversation },
            reports: Reports {
                direct: read(&self.direct),
                relayed: read(&self.relayed),
                unconnected: read(&self.unconnected),
                failed: read(&self.failed),
                setup_ms: self.setup.buckets(&SETUP_MS),
                rtt_ms: self.rtt.buckets(&RTT_MS),
                loss_percent: self.loss.buckets(&LOSS_PERCENT),
            },
        }
    }
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::CallId;

    #[test]
    fn a_report_is_counted_in_the_first_bucket_that_holds_it() {
        let tally = Tally::default();
        let report = |setup_ms, path, rtt_ms| CallReport {
            call: CallId::new("c").unwrap(),
            setup_ms,
            path,
            loss_percent: Some(0.0),
            rtt_ms,
            reason: Some("failed".to_owned()),
        };
        tally.report(&report(Some(250), Some(CallPath::Direct), Some(25.1)));
        tally.report(&report(Some(30_001), Some(CallPath::Relay), None));
        tally.report(&report(None, None, None));
        let Reports { direct, relayed, unconnected, failed, setup_ms, rtt_ms, loss_percent } = tally.counts().reports;
        assert_eq!((direct, relayed, unconnected, failed), (1, 1, 1, 3));
        assert_eq!(setup_ms.first(), Some(&Bucket { up_to: Some(250), count: 1 }));
        assert_eq!(setup_ms.last(), Some(&Bucket { up_to: None, count: 1 }));
        assert_eq!(rtt_ms[1], Bucket { up_to: Some(50), count: 1 });
        assert_eq!(loss_percent[0].count, 3);
    }
}
