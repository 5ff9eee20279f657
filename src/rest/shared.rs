//! Limits where there are several nodes: counted in one window for all, and in this node's own beside it,
//! which counts alone while the others cannot be asked.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use tokio::time::timeout;

use super::limits::{Limit, Rates};
use super::rates::{Permit, Rate, Spent, Standing};
use crate::cluster::{Cluster, Counted};

/// Longest that a request waits for the others' windows: a limit is not worth more of anyone's time.
const PATIENCE: Duration = Duration::from_millis(100);

/// One request that is let through.
pub(super) struct Pass<'a> {
    rates: &'a Rates,
    limit: Limit,
    address: IpAddr,
    permit: Permit,
    /// Where the shared window stands, and since when; `None`: this node's own counts.
    shared: Option<(Counted, Instant)>,
}

impl Rates {
    /// The same, counted over all nodes.
    #[must_use]
    pub fn among(mut self, cluster: Option<Arc<dyn Cluster>>) -> Self {
        self.cluster = cluster;
        self
    }

    /// Takes one request of an address's window.
    ///
    /// # Errors
    /// There is none left: after `reset` there will be.
    pub(super) async fn take(&self, limit: Limit, address: IpAddr) -> Result<Pass<'_>, Standing> {
        let at_once = limit.counts_at_once();
        let shared = self.ask(limit, address, at_once).await;
        let (rate, now) = (self.of(limit), Instant::now());
        let permit = match &shared {
            None => rate.take(address, now)?,
            Some((counted, _)) => {
                // Those of this node that may yet count do: else many at once would all find one left.
                let used = if at_once { counted.used } else { counted.used.saturating_add(1 + rate.held(address)) };
                if used > rate.most() {
                    rate.note_full(address, now);
                    return Err(Standing { most: rate.most(), left: 0, reset: counted.reset });
                }
                rate.let_through(address, now)
            }
        };
        if at_once {
            permit.spent().spend();
        }
        Ok(Pass { rates: self, limit, address, permit, shared })
    }

    /// The window of all nodes, if it can be had soon.
    async fn ask(&self, limit: Limit, address: IpAddr, spend: bool) -> Option<(Counted, Instant)> {
        let cluster = self.cluster.as_ref()?;
        let (name, window, who) = (limit.name(), self.of(limit).window(), address.to_string());
        let counted = timeout(PATIENCE, cluster.count(name, &who, window, spend)).await.ok()?.ok()?;
        Some((counted, Instant::now()))
    }
}

impl Pass<'_> {
    /// What says whether the request counts.
    pub(super) fn spent(&self) -> Spent {
        self.permit.spent()
    }

    /// Waits for the answer, and yields it with where the address stands then.
    pub(super) async fn run(self, answer: impl Future<Output = Response>) -> (Response, Standing) {
        let Self { rates, limit, address, permit, mut shared } = self;
        let spent = permit.spent();
        let later = shared.is_some() && !limit.counts_at_once();
        // Counted when it is known to count, not with the answer: a client that leaves before would not be.
        let counting = async {
            spent.is_so().await;
            rates.ask(limit, address, true).await
        };
        let (mut answer, mut counting) = (pin!(answer), pin!(counting));
        let answer = tokio::select! {
            // An answer that is there ends the wait, unless it is known by then that the request counts.
            biased;
            counted = &mut counting, if later => {
                shared = counted.or(shared);
                answer.await
            }
            answer = &mut answer => {
                if later && spent.is_spent() {
                    shared = counting.await.or(shared);
                }
                answer
            }
        };
        let now = Instant::now();
        let own = permit.standing(now);
        (answer, shared.map_or(own, |(counted, since)| standing(rates.of(limit), counted, now - since)))
    }
}

fn standing(rate: &Rate, counted: Counted, later: Duration) -> Standing {
    let most = rate.most();
    Standing { most, left: most.saturating_sub(counted.used), reset: counted.reset.saturating_sub(later) }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::net::Ipv4Addr;

    use axum::response::IntoResponse as _;

    use super::*;
    use crate::cluster::{Local, World};
    use crate::config::Limits;
    use crate::protocol::NodeId;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn node(world: &World, number: u8) -> Rates {
        let limits = Limits { uploads_per_hour: 2, ..Limits::default() };
        Rates::new(&limits).among(Some(world.join(NodeId::from_bytes([number; 8]))))
    }

    async fn finish(pass: Pass<'_>) -> u32 {
        pass.run(ready(().into_response())).await.1.left
    }

    #[tokio::test]
    async fn what_counts_later_is_held_until_then() {
        let world = Local::world();
        let [one, other] = [node(&world, 1), node(&world, 2)];
        let take = async |rates| Rates::take(rates, Limit::Uploads, ADDRESS).await;
        let (first, second) = (take(&one).await.ok().unwrap(), take(&one).await.ok().unwrap());
        assert!(take(&one).await.is_err(), "both may yet count");
        assert_eq!(finish(second).await, 2, "not spent, and given back");
        first.spent().spend();
        assert_eq!(finish(first).await, 1);
        let third = take(&other).await.ok().unwrap();
        third.spent().spend();
        assert_eq!(finish(third).await, 0, "counted over both");
        assert_eq!(take(&one).await.err().unwrap().left, 0);
        // Alone, each has what it has let through itself.
        world.away(true);
        assert_eq!(finish(take(&one).await.ok().unwrap()).await, 1);
        world.away(false);
        assert!(take(&other).await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_leaves_early_is_counted() {
        let world = Local::world();
        let rates = node(&world, 1);
        let pass = rates.take(Limit::Uploads, ADDRESS).await.ok().unwrap();
        let spent = pass.spent();
        let never = async {
            spent.spend();
            std::future::pending().await
        };
        let run = pass.run(never);
        assert!(timeout(Duration::from_millis(20), run).await.is_err());
        let pass = rates.take(Limit::Uploads, ADDRESS).await.ok().unwrap();
        assert_eq!(finish(pass).await, 1);
    }
}
