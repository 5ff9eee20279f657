//! How often each address did one thing that is limited: windows, counted and bounded.
//!
//! A window begins with an address's first request and lasts as long as the limit says; a request
//! after its end begins another. So no window holds more than the limit ("10 an hour").

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, HeaderValue};
use tokio::sync::Notify;
use tracing::info;

use crate::logs::truncated;

/// Most addresses that one limit remembers. One more, and the one whose window began first is
/// forgotten: whoever has so many is not held by a limit on addresses.
const MOST_ADDRESSES: usize = 65_536;

/// What answers of a limited route say of the limit (draft-ietf-httpapi-ratelimit-headers-07).
pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
/// How many requests are left in this window.
pub const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
/// When this window ends, in seconds.
pub const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// One limit, and who has used how much of it. Clones count together.
#[derive(Clone)]
pub(super) struct Rate(Arc<Inner>);

struct Inner {
    most: u32,
    window: Duration,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    windows: HashMap<IpAddr, Window>,
    /// The same, by their beginning: all last equally long, so the first ends first.
    order: VecDeque<(Instant, IpAddr)>,
    /// Requests under way.
    held: HashMap<IpAddr, u32>,
}

struct Window {
    began: Instant,
    used: u32,
    /// The log has it that it is used up.
    told: bool,
}

/// Where an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Requests in a window.
    pub(super) most: u32,
    /// Of them, those that are left.
    pub(super) left: u32,
    /// Until the window ends.
    pub(super) reset: Duration,
}

impl Rate {
    pub(super) fn new(most: u32, window: Duration) -> Self {
        Self(Arc::new(Inner { most, window, table: Mutex::default() }))
    }

    /// Takes one request of an address's window. Unless it is spent, it is given back.
    ///
    /// # Errors
    /// There is none left: after `reset` there will be.
    pub(super) fn take(&self, address: IpAddr, now: Instant) -> Result<Permit, Standing> {
        let began = {
            let mut table = self.table();
            table.forget_ended(now, self.0.window);
            let window = table.window(address, now);
            if window.used >= self.0.most {
                self.tell(address, window);
                return Err(self.standing(window, now));
            }
            window.used += 1;
            let began = window.began;
            *table.held.entry(address).or_default() += 1;
            began
        };
        Ok(Permit { rate: self.clone(), address, began, spent: Spent::default() })
    }

    /// Counts a request that another window has let through, whatever is left in this one.
    pub(super) fn let_through(&self, address: IpAddr, now: Instant) -> Permit {
        let mut table = self.table();
        table.forget_ended(now, self.0.window);
        let window = table.window(address, now);
        window.used = window.used.saturating_add(1);
        let began = window.began;
        *table.held.entry(address).or_default() += 1;
        Permit { rate: self.clone(), address, began, spent: Spent::default() }
    }

    /// Notes that a window is full, for the log.
    pub(super) fn note_full(&self, address: IpAddr, now: Instant) {
        let mut table = self.table();
        table.forget_ended(now, self.0.window);
        self.tell(address, table.window(address, now));
    }

    /// Requests of an address that are under way.
    pub(super) fn held(&self, address: IpAddr) -> u32 {
        self.table().held.get(&address).copied().unwrap_or_default()
    }

    /// Requests in a window.
    pub(super) fn most(&self) -> u32 {
        self.0.most
    }

    /// How long a window lasts.
    pub(super) fn window(&self) -> Duration {
        self.0.window
    }

    /// Once for each window: a flood of requests must not become a flood of lines.
    fn tell(&self, address: IpAddr, window: &mut Window) {
        if !std::mem::replace(&mut window.told, true) {
            info!(address = %truncated(address), most = self.0.most, "a rate limit was hit");
        }
    }

    fn standing(&self, window: &Window, now: Instant) -> Standing {
        let Inner { most, window: length, .. } = *self.0;
        let reset = (window.began + length).saturating_duration_since(now);
        Standing { most, left: most.saturating_sub(window.used), reset }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().expect("no code panics while it holds this lock")
    }
}

impl Table {
    fn forget_ended(&mut self, now: Instant, window: Duration) {
        while self.order.front().is_some_and(|(began, _)| *began + window <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, address)) = self.order.pop_front() {
            self.windows.remove(&address);
        }
    }

    fn window(&mut self, address: IpAddr, now: Instant) -> &mut Window {
        if !self.windows.contains_key(&address) {
            if self.windows.len() >= MOST_ADDRESSES {
                self.forget_first();
            }
            self.order.push_back((now, address));
        }
        self.windows.entry(address).or_insert(Window { began: now, used: 0, told: false })
    }
}

/// One request that is let through.
pub(super) struct Permit {
    rate: Rate,
    address: IpAddr,
    began: Instant,
    spent: Spent,
}

/// Whether a request counts. Clones say it of the same request: whoever answers it may know it first.
#[derive(Clone, Default)]
pub(super) struct Spent(Arc<Word>);

#[derive(Default)]
struct Word {
    spent: AtomicBool,
    bell: Notify,
}

impl Spent {
    /// It does.
    pub(super) fn spend(&self) {
        self.0.spent.store(true, Ordering::Release);
        self.0.bell.notify_one();
    }

    /// Whether it is said already.
    pub(super) fn is_spent(&self) -> bool {
        self.0.spent.load(Ordering::Acquire)
    }

    /// Waits until it is said. One waits.
    pub(super) async fn is_so(&self) {
        while !self.is_spent() {
            self.0.bell.notified().await;
        }
    }
}

impl Permit {
    /// What says whether the request counts.
    pub(super) fn spent(&self) -> Spent {
        self.spent.clone()
    }

    /// Where its address stands now, whether this one counts or not.
    pub(super) fn standing(self, now: Instant) -> Standing {
        self.give_back();
        let whole = Window { began: now, used: 0, told: false };
        let table = self.rate.table();
        self.rate.standing(table.windows.get(&self.address).unwrap_or(&whole), now)
    }

    fn give_back(&self) {
        if self.spent.0.spent.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut table = self.rate.table();
        // Another window, where this one ended meanwhile, owes nothing.
        if let Some(window) = table.windows.get_mut(&self.address).filter(|window| window.began == self.began) {
            window.used -= 1;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back();
        let mut table = self.rate.table();
        if let Some(held) = table.held.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                table.held.remove(&self.address);
            }
        }
    }
}

impl Standing {
    /// Says so in an answer.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.most));
        headers.insert(REMAINING, HeaderValue::from(self.left));
        headers.insert(RESET, HeaderValue::from(seconds(self.reset)));
    }
}

/// Whole seconds, rounded up: not too early.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    fn spend(rate: &Rate, address: IpAddr, now: Instant) -> Result<Standing, Standing> {
        let permit = rate.take(address, now)?;
        permit.spent().spend();
        Ok(permit.standing(now))
    }

    #[test]
    fn a_window_begins_with_the_first_request_and_ends_with_its_time() {
        let rate = Rate::new(3, HOUR);
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        for used in 1..=3 {
            let now = start + minute * (used - 1);
            let reset = HOUR - minute * (used - 1);
            assert_eq!(spend(&rate, address(1), now), Ok(Standing { most: 3, left: 3 - used, reset }));
        }
        let late = start + HOUR - Duration::from_millis(1);
        let refused = spend(&rate, address(1), late).unwrap_err();
        assert_eq!((refused.left, seconds(refused.reset)), (0, 1), "rounded up");
        assert_eq!(spend(&rate, address(2), late).map(|it| it.left), Ok(2), "others count apart");
        assert_eq!(spend(&rate, address(1), start + HOUR), Ok(Standing { most: 3, left: 2, reset: HOUR }));
        assert_eq!(spend(&rate, address(2), start + HOUR).map(|it| it.left), Ok(1), "theirs began later");
    }

    #[test]
    fn what_is_not_spent_is_given_back() {
        let rate = Rate::new(2, HOUR);
        let now = Instant::now();
        let (held, other) = (rate.take(address(1), now).ok().unwrap(), rate.take(address(1), now).ok().unwrap());
        assert!(rate.take(address(1), now).is_err(), "also while it is not known whether it counts");
        assert_eq!(other.standing(now).left, 1);
        drop(held);
        assert_eq!(rate.take(address(1), now).ok().unwrap().standing(now).left, 2);
        // Given back after its window: the next one does not gain by it.
        let held = rate.take(address(1), now).ok().unwrap();
        assert_eq!(spend(&rate, address(1), now + HOUR).map(|it| it.left), Ok(1));
        drop(held);
        assert_eq!(spend(&rate, address(1), now + HOUR).map(|it| it.left), Ok(0));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let rate = Rate::new(1, HOUR);
        let start = Instant::now();
        let most = u32::try_from(MOST_ADDRESSES).unwrap();
        for number in 0..most {
            spend(&rate, address(number), start).unwrap();
        }
        assert!(spend(&rate, address(0), start).is_err());
        spend(&rate, address(most), start).unwrap();
        assert!(spend(&rate, address(1), start).is_err(), "only the oldest is forgotten");
        assert!(spend(&rate, address(0), start).is_ok(), "and that puts out the next");
        assert!(spend(&rate, address(1), start).is_ok());
        {
            let table = rate.table();
            assert_eq!((table.windows.len(), table.order.len()), (MOST_ADDRESSES, MOST_ADDRESSES));
        }
        spend(&rate, address(7), start + HOUR).unwrap();
        assert_eq!(rate.table().windows.len(), 1, "what has ended is gone");
    }

    #[test]
    fn an_answer_says_where_one_stands() {
        let mut headers = HeaderMap::new();
        Standing { most: 10, left: 3, reset: Duration::from_millis(90_001) }.write(&mut headers);
        assert_eq!(
            (&headers[LIMIT], &headers[REMAINING], &headers[RESET]),
            (&"10".parse().unwrap(), &"3".parse().unwrap(), &"91".parse().unwrap())
        );
    }
}
