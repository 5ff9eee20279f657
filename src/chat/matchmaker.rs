//! Who is paired with whom. A pure value: no clock, no lock, no IO; time is handed in.
//!
//! Owns: the people who wait, what each will accept by now, and the order of fairness (who has
//! waited longest goes first).
//!
//! How it stays fast. A wish has four parts (interests, languages, region, media). In each part a
//! person has *keys*: the tags they named, and "any" when they do not insist on a shared one. Two
//! people suit each other in a part exactly when they share a key, so they suit each other exactly
//! when they share one *combination* of keys. Everyone who waits stands in the bucket of each of
//! their combinations, and whoever enters looks only into their own buckets. Two people in one
//! bucket suit each other, so the first was paired when the second came: a bucket holds more than
//! one only while those in it avoid each other. A step therefore costs the number of the person's
//! combinations (1 to 264, by the limits of the wire), however many people wait.
//!
//! Wishes relax with waiting: after `wider_after` interests and region need not be shared, after
//! `anyone_after` nothing need be, and a recent partner is better than nobody. There is no tick:
//! [`next_widening`](Matchmaker::next_widening) says when to call [`widen`](Matchmaker::widen).

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::protocol::{SessionId, Stage, UserId, Wish};

/// Someone who wants to be matched.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The client; it stands here at most once.
    pub session: SessionId,
    /// The person; never paired with themselves.
    pub user: UserId,
    /// Whom they would like to meet.
    pub wish: Wish,
    /// Their last partners; not met again before both sides accept anyone.
    pub recent: Vec<UserId>,
    /// Since when they have been waiting, on the caller's clock. Earlier goes first.
    pub since: Duration,
}

/// Two people who were taken out of the queue together.
#[derive(Debug)]
pub struct Pair {
    /// The one who has waited longer.
    pub first: Ticket,
    /// The other.
    pub second: Ticket,
    /// The interests both named, as the first wrote them.
    pub common: Vec<String>,
}

/// What widening the searches that were due has brought.
#[derive(Debug)]
pub enum Widened {
    /// This client's search is wider now, and still goes on.
    Still(SessionId),
    /// A wider search found someone.
    Pair(Box<Pair>),
}

/// When a search becomes wider, counted from its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From [`Stage::Exact`] to [`Stage::Wider`].
    pub wider_after: Duration,
    /// To [`Stage::Anyone`]; not before `wider_after`.
    pub anyone_after: Duration,
}

impl Patience {
    /// How narrow a search that began at `since` is at `now`, and when it widens next.
    pub fn stage(&self, since: Duration, now: Duration) -> (Stage, Option<Duration>) {
        let (wider, anyone) = (since + self.wider_after, since + self.anyone_after);
        if now < wider {
            (Stage::Exact, Some(wider))
        } else if now < anyone {
            (Stage::Wider, Some(anyone))
        } else {
            (Stage::Anyone, None)
        }
    }
}

/// The queue.
pub struct Matchmaker {
    seed: u64,
    patience: Patience,
    waiting: HashMap<SessionId, Waiting>,
    /// Who stands under each combination of keys, longest waiting first.
    buckets: HashMap<u64, Vec<SessionId>>,
    /// When which search widens next.
    widenings: BTreeSet<(Duration, SessionId)>,
}

struct Waiting {
    ticket: Ticket,
    stage: Stage,
    combinations: Vec<u64>,
    widens: Option<Duration>,
}

impl Matchmaker {
    /// An empty queue. The seed keys its hashing, so that nobody can aim at one bucket.
    pub fn new(seed: u64, patience: Patience) -> Self {
        Self { seed, patience, waiting: HashMap::new(), buckets: HashMap::new(), widenings: BTreeSet::new() }
    }

    /// Enters someone, in the place of an older ticket of the same client. A pair leaves the queue.
    pub fn enter(&mut self, ticket: Ticket, now: Duration) -> Option<Pair> {
        self.cancel(ticket.session);
        let (stage, widens) = self.patience.stage(ticket.since, now);
        let combinations = self.combinations(&ticket.wish, stage);
        let entrant = Waiting { ticket, stage, combinations, widens };
        match self.best_for(&entrant) {
            Some(partner) => Some(self.pair(entrant, partner)),
            None => {
                self.insert(entrant);
                None
            }
        }
    }

    /// Takes a client out of the queue; its ticket can be entered again and keeps its place.
    pub fn cancel(&mut self, session: SessionId) -> Option<Ticket> {
        self.remove(session).map(|waiting| waiting.ticket)
    }

    /// When [`widen`](Self::widen) should be called next.
    pub fn next_widening(&self) -> Option<Duration> {
        self.widenings.first().map(|(when, _)| *when)
    }

    /// Widens every search that is due at `now`, in the order in which they became due.
    pub fn widen(&mut self, now: Duration) -> Vec<Widened> {
        let mut news = Vec::new();
        while let Some((_, session)) = self.widenings.first().copied().filter(|(when, _)| *when <= now) {
            let mut entrant = self.remove(session).expect("whoever has a widening waits");
            (entrant.stage, entrant.widens) = self.patience.stage(entrant.ticket.since, now);
            entrant.combinations = self.combinations(&entrant.ticket.wish, entrant.stage);
            match self.best_for(&entrant) {
                Some(partner) => news.push(Widened::Pair(Box::new(self.pair(entrant, partner)))),
                None => {
                    news.push(Widened::Still(session));
                    self.insert(entrant);
                }
            }
        }
        news
    }

    /// Of all who suit the entrant, the one who has waited longest.
    fn best_for(&self, entrant: &Waiting) -> Option<SessionId> {
        let suitable = entrant.combinations.iter().filter_map(|combination| {
            let bucket = self.buckets.get(combination)?;
            bucket.iter().map(|session| &self.waiting[session]).find(|other| !avoid(entrant, other))
        });
        suitable.min_by_key(|other| (other.ticket.since, other.ticket.session)).map(|other| other.ticket.session)
    }

    fn pair(&mut self, entrant: Waiting, partner: SessionId) -> Pair {
        let partner = self.remove(partner).expect("a partner was found among those who wait");
        let (first, second) = if partner.ticket.since <= entrant.ticket.since {
            (partner.ticket, entrant.ticket)
        } else {
            (entrant.ticket, partner.ticket)
        };
        let common = common(&first.wish, &second.wish);
        Pair { first, second, common }
    }

    fn insert(&mut self, entrant: Waiting) {
        let session = entrant.ticket.session;
        let place = (entrant.ticket.since, session);
        for combination in &entrant.combinations {
            let bucket = self.buckets.entry(*combination).or_default();
            let at = bucket.partition_point(|other| (self.waiting[other].ticket.since, *other) < place);
            bucket.insert(at, session);
        }
        if let Some(when) = entrant.widens {
            self.widenings.insert((when, session));
        }
        self.waiting.insert(session, entrant);
    }

    fn remove(&mut self, session: SessionId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&session)?;
        for combination in &waiting.combinations {
            if let Some(bucket) = self.buckets.get_mut(combination) {
                bucket.retain(|other| *other != session);
                if bucket.is_empty() {
                    self.buckets.remove(combination);
                }
            }
        }
        if let Some(when) = waiting.widens {
            self.widenings.remove(&(when, session));
        }
        Some(waiting)
    }

    fn combinations(&self, wish: &Wish, stage: Stage) -> Vec<u64> {
        combinations(wish, stage, self.seed, |so_far, part, key| {
            let mut hasher = DefaultHasher::new();
            (so_far, part, key).hash(&mut hasher);
            hasher.finish()
        })
    }
}

/// The combinations under which someone with this wish stands at this stage. Sorted, distinct. `hash` says
/// what becomes of one when a part's key, or none, is added.
pub(super) fn combinations(
    wish: &Wish,
    stage: Stage,
    seed: u64,
    hash: impl Fn(u64, u8, Option<&str>) -> u64,
) -> Vec<u64> {
    let mut combinations = vec![seed];
    for (part, tags, insists) in parts(wish, stage) {
        let mut keys: Vec<Option<&str>> = tags.iter().map(|tag| Some(tag.as_str())).collect();
        if tags.is_empty() || !insists {
            keys.push(None);
        }
        let hash = &hash;
        combinations =
            combinations.iter().flat_map(|so_far| keys.iter().map(move |key| hash(*so_far, part, *key))).collect();
    }
    combinations.sort_unstable();
    combinations.dedup();
    combinations
}

/// The interests both named, as the first wrote them.
pub(super) fn common(first: &Wish, second: &Wish) -> Vec<String> {
    let theirs: Vec<String> = second.interests.iter().map(|interest| folded(interest)).collect();
    let common = first.interests.iter().filter(|interest| theirs.contains(&folded(interest)));
    common.map(|interest| interest.trim().to_owned()).collect()
}

/// The four parts of a wish: a number, the tags named, and whether one must be shared.
fn parts(wish: &Wish, stage: Stage) -> [(u8, Vec<String>, bool); 4] {
    let narrow = stage == Stage::Exact;
    let firm = stage < Stage::Anyone;
    let fold = |tags: &[String]| tags.iter().map(|tag| folded(tag)).collect();
    let media = wish.media.iter().map(|media| format!("{media:?}")).collect();
    [
        (0, fold(&wish.interests), narrow),
        (1, fold(&wish.languages), firm),
        (2, wish.region.iter().map(|region| folded(region)).collect(), narrow),
        (3, media, firm),
    ]
}

fn folded(tag: &str) -> String {
    tag.trim().to_lowercase()
}

/// Whether two people must not be paired whatever they wish for.
fn avoid(one: &Waiting, other: &Waiting) -> bool {
    let met = one.ticket.recent.contains(&other.ticket.user) || other.ticket.recent.contains(&one.ticket.user);
    let forgiven = one.stage == Stage::Anyone && other.stage == Stage::Anyone;
    one.ticket.user == other.ticket.user || (met && !forgiven)
}

#[cfg(test)]
#[path = "matchmaker_tests.rs"]
mod tests;
