//! The matcher against a crowd that is drawn from a seed, beside a rule written a second time in
//! the plainest way: compare everyone with everyone.

use std::collections::{HashMap, HashSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::protocol::Media;

const PATIENCE: Patience = Patience { wider_after: Duration::from_secs(5), anyone_after: Duration::from_secs(15) };
const SEEDS: u64 = 10_000;

/// Whether two who wait suit each other, straight from the words of the wish.
fn suit(one: &Ticket, other: &Ticket, now: Duration) -> bool {
    let (a, b) = (PATIENCE.stage(one.since, now).0, PATIENCE.stage(other.since, now).0);
    let shares = |one: &[String], other: &[String]| {
        one.iter().any(|tag| other.iter().any(|theirs| theirs.to_lowercase() == tag.to_lowercase()))
    };
    // A side that named something and still insists on it accepts only someone who shares it.
    let content = |ours: &[String], theirs: &[String], ours_insist: bool, theirs_insist: bool| {
        let wanted = (ours_insist && !ours.is_empty()) || (theirs_insist && !theirs.is_empty());
        !wanted || shares(ours, theirs)
    };
    let list = |text: &Option<String>| text.iter().cloned().collect::<Vec<_>>();
    let media = |media: &Option<Media>| media.iter().map(|media| format!("{media:?}")).collect::<Vec<_>>();
    let (narrow_a, narrow_b) = (a == Stage::Exact, b == Stage::Exact);
    let (firm_a, firm_b) = (a < Stage::Anyone, b < Stage::Anyone);
    let met = one.recent.contains(&other.user) || other.recent.contains(&one.user);
    one.user != other.user
        && (!met || (!firm_a && !firm_b))
        && content(&one.wish.interests, &other.wish.interests, narrow_a, narrow_b)
        && content(&one.wish.languages, &other.wish.languages, firm_a, firm_b)
        && content(&list(&one.wish.region), &list(&other.wish.region), narrow_a, narrow_b)
        && content(&media(&one.wish.media), &media(&other.wish.media), firm_a, firm_b)
}

/// A crowd, as one who watches from outside sees it.
struct Crowd {
    rng: StdRng,
    now: Duration,
    matchmaker: Matchmaker,
    /// Who waits, by the watcher's own account.
    waiting: HashMap<SessionId, Ticket>,
    talking: HashSet<SessionId>,
    users: HashMap<SessionId, UserId>,
    recent: HashMap<UserId, Vec<UserId>>,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let people = rng.random_range(2..14u8);
        let users = (0..people)
            .map(|person| {
                // Some people have two sessions.
                let user = if rng.random_bool(0.15) { person / 2 } else { person };
                (SessionId::from_bytes([person; 16]), UserId::from_bytes([user; 12]))
            })
            .collect();
        Self {
            rng,
            now: Duration::ZERO,
            matchmaker: Matchmaker::new(seed, PATIENCE),
            waiting: HashMap::new(),
            talking: HashSet::new(),
            users,
            recent: HashMap::new(),
        }
    }

    fn wish(&mut self) -> Wish {
        let rng = &mut self.rng;
        let mut some = |names: &[&str], chance| {
            names.iter().filter(|_| rng.random_bool(chance)).map(|name| (*name).to_owned()).collect::<Vec<_>>()
        };
        let interests = some(&["rust", "Rust", "music", "chess", "tea"], 0.25);
        let languages = some(&["en", "fr", "pt-BR"], 0.3);
        let region = some(&["EU"], 0.2).pop();
        let media = [None, None, Some(Media::Audio), Some(Media::Video)][self.rng.random_range(0..4)];
        Wish { interests, languages, region, media }
    }

    fn paired(&mut self, pair: Pair) {
        let (one, other) = (&pair.first, &pair.second);
        assert!(one.since <= other.since, "who has waited longer comes first");
        assert!(suit(one, other, self.now), "{one:?} and {other:?} do not suit each other");
        for ticket in [one, other] {
            assert!(self.waiting.remove(&ticket.session).is_some(), "paired without waiting");
            assert!(self.talking.insert(ticket.session), "in two conversations");
        }
        for (user, partner) in [(one.user, other.user), (other.user, one.user)] {
            let recent = self.recent.entry(user).or_default();
            recent.push(partner);
            if recent.len() > 3 {
                recent.remove(0);
            }
        }
    }

    fn step(&mut self) {
        let sessions = self.users.len();
        let session = SessionId::from_bytes([self.rng.random_range(0..sessions as u8); 16]);
        let user = self.users[&session];
        match self.rng.random_range(0..10) {
            0..=4 if !self.talking.contains(&session) => {
                let since = match self.waiting.get(&session) {
                    Some(older) => older.since,
                    None => self.now,
                };
                let recent = self.recent.get(&user).cloned().unwrap_or_default();
                let ticket = Ticket { session, user, wish: self.wish(), recent, since };
                self.waiting.insert(session, ticket.clone());
                if let Some(pair) = self.matchmaker.enter(ticket, self.now) {
                    self.paired(pair);
                }
            }
            5 => {
                let ticket = self.matchmaker.cancel(session);
                assert_eq!(ticket.is_some(), self.waiting.remove(&session).is_some(), "lost, or left over");
            }
            6..=7 => {
                self.talking.remove(&session);
            }
            _ => {
                self.now += Duration::from_millis(self.rng.random_range(0..4_000));
                for news in self.matchmaker.widen(self.now) {
                    match news {
                        Widened::Pair(pair) => self.paired(*pair),
                        Widened::Still(session) => assert!(self.waiting.contains_key(&session)),
                    }
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.matchmaker.waiting.len(), self.waiting.len(), "someone was lost");
        assert!(self.matchmaker.next_widening().is_none_or(|when| when > self.now));
        let waiting: Vec<_> = self.waiting.values().collect();
        for (index, one) in waiting.iter().enumerate() {
            for other in &waiting[index + 1..] {
                assert!(!suit(one, other, self.now), "both wait, though they suit each other: {one:?} {other:?}");
            }
        }
    }
}

#[test]
fn nobody_is_lost_doubled_or_kept_waiting_in_ten_thousand_crowds() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut crowd = Crowd::new(seed);
            (0..60).for_each(|_| crowd.step());
        });
        assert!(outcome.is_ok(), "seed {seed} fails; Crowd::new({seed}) replays it");
    }
}

fn ticket(byte: u8, interests: &[&str], since: u64) -> Ticket {
    Ticket {
        session: SessionId::from_bytes([byte; 16]),
        user: UserId::from_bytes([byte; 12]),
        wish: Wish { interests: interests.iter().map(|&tag| tag.to_owned()).collect(), ..Wish::default() },
        recent: Vec::new(),
        since: Duration::from_secs(since),
    }
}

#[test]
fn common_interests_are_named_and_the_longest_waiting_goes_first() {
    let mut matchmaker = Matchmaker::new(1, PATIENCE);
    let at = Duration::from_secs;
    assert!(matchmaker.enter(ticket(1, &["tea"], 0), at(0)).is_none());
    assert!(matchmaker.enter(ticket(2, &["Rust "], 1), at(1)).is_none());
    let pair = matchmaker.enter(ticket(3, &["tea", "rust"], 2), at(2)).expect("both suit");
    assert_eq!((pair.first.session, pair.common), (SessionId::from_bytes([1; 16]), vec!["tea".to_owned()]));
    assert_eq!(matchmaker.waiting.len(), 1);
}

#[test]
fn someone_who_returns_keeps_the_place_they_had() {
    let mut matchmaker = Matchmaker::new(1, PATIENCE);
    let at = Duration::from_secs;
    let mut first = ticket(1, &[], 0);
    let mut second = ticket(2, &[], 1);
    // They have met, so both can wait at once.
    first.recent.push(second.user);
    second.recent.push(first.user);
    assert!(matchmaker.enter(first, at(0)).is_none());
    assert!(matchmaker.enter(second, at(1)).is_none());
    let first = matchmaker.cancel(SessionId::from_bytes([1; 16])).expect("waits");
    assert!(matchmaker.enter(first, at(2)).is_none());
    let pair = matchmaker.enter(ticket(3, &[], 3), at(3)).expect("anyone will do");
    assert_eq!(pair.first.session, SessionId::from_bytes([1; 16]));
}
