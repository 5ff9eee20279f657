//! The breaker alone, and in front of a store that fails, hangs and comes back, in paused time.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const ID: UserId = UserId::from_bytes([7; 12]);

#[test]
fn it_opens_after_failures_in_a_row_and_a_probe_closes_it() {
    let mut breaker = Breaker::Closed { failures: 0 };
    let now = Instant::now();
    for _ in 1..FAILURES {
        assert!(!breaker.called(false, now));
    }
    assert!(!breaker.called(true, now), "one that goes well begins the count anew");
    for _ in 1..FAILURES {
        assert!(!breaker.called(false, now));
    }
    assert!(!breaker.is_open());
    assert!(breaker.called(false, now), "told once");
    assert!(breaker.is_open() && !breaker.called(false, now));
    assert!(!breaker.called(true, now) && breaker.is_open(), "a call that began before closes nothing");
    assert_eq!(breaker.probed(false, now), None);
    let later = now + Duration::from_secs(9);
    assert_eq!(breaker.probed(true, later), Some(Duration::from_secs(9)));
    assert!(!breaker.is_open());
    assert_eq!(breaker.probed(true, later), None, "it is closed");
    assert!(!breaker.called(false, later), "the count begins anew");
}

/// What a store of this test does.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Failing,
    Hanging,
}

struct Moody {
    mood: Arc<Mutex<Mood>>,
    calls: Arc<AtomicU32>,
}

impl Moody {
    fn answer<T: Send + 'static>(&self, well: Result<T, Error>) -> BoxFuture<'static, Result<T, Error>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock().unwrap();
        async move {
            match mood {
                Mood::Well => well,
                Mood::Failing => Err(Error::Unavailable("refused".into())),
                Mood::Hanging => std::future::pending().await,
            }
        }
        .boxed()
    }
}

impl Store for Moody {
    fn create_user(&self, _: User) -> BoxFuture<'_, Result<(), Error>> {
        self.answer(Err(Error::EmailTaken))
    }
    fn user(&self, _: UserId) -> BoxFuture<'_, Result<Option<User>, Error>> {
        self.answer(Ok(None))
    }
    fn user_by_email(&self, _: &str) -> BoxFuture<'_, Result<Option<User>, Error>> {
        self.answer(Ok(None))
    }
    fn count_users(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.answer(Ok(0))
    }
    fn list_users(&self, _: Option<UserId>, _: usize) -> BoxFuture<'_, Result<Vec<User>, Error>> {
        self.answer(Ok(Vec::new()))
    }
    fn touch(&self, _: UserId, _: SystemTime) -> BoxFuture<'_, Result<(), Error>> {
        self.answer(Err(Error::NoSuchUser))
    }
    fn remember_device(&self, _: UserId, _: Device) -> BoxFuture<'_, Result<(), Error>> {
        self.answer(Ok(()))
    }
    fn devices(&self, _: UserId) -> BoxFuture<'_, Result<Vec<Device>, Error>> {
        self.answer(Ok(Vec::new()))
    }
    fn replace_password_hash(&self, _: UserId, _: &str, _: String) -> BoxFuture<'_, Result<bool, Error>> {
        self.answer(Ok(false))
    }
    fn import_users(&self, _: Vec<User>, _: bool) -> BoxFuture<'_, Result<Vec<(usize, Error)>, Error>> {
        self.answer(Ok(Vec::new()))
    }
    fn unseen(&self, _: SystemTime, _: usize) -> BoxFuture<'_, Result<Vec<UserId>, Error>> {
        self.answer(Ok(Vec::new()))
    }
    fn count_unseen(&self, _: SystemTime) -> BoxFuture<'_, Result<u64, Error>> {
        self.answer(Ok(0))
    }
    fn forget_unseen(&self, _: Vec<UserId>, _: SystemTime) -> BoxFuture<'_, Result<u64, Error>> {
        self.answer(Ok(0))
    }
    fn delete_user(&self, _: UserId) -> BoxFuture<'_, Result<bool, Error>> {
        self.answer(Ok(false))
    }
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.answer(Ok(()))
    }
}

struct Scene {
    guarded: Guarded,
    mood: Arc<Mutex<Mood>>,
    calls: Arc<AtomicU32>,
}

impl Scene {
    fn new() -> Self {
        let (mood, calls) = (Arc::new(Mutex::new(Mood::Well)), Arc::default());
        let guarded = Guarded::new(Moody { mood: Arc::clone(&mood), calls: Arc::clone(&calls) });
        Self { guarded, mood, calls }
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How long a call took, and whether it was answered.
    async fn ask(&self) -> (Duration, bool) {
        let asked = Instant::now();
        let outcome = self.guarded.user(ID).await;
        (asked.elapsed(), answered(&outcome))
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_its_deadline_a_few_times_and_then_nothing() {
    let scene = Scene::new();
    assert_eq!(scene.ask().await, (Duration::ZERO, true));
    scene.becomes(Mood::Hanging);
    for _ in 0..FAILURES {
        let (took, well) = scene.ask().await;
        assert!(!well && took >= DEADLINE && took < DEADLINE + Duration::from_millis(5), "{took:?}");
    }
    let before = scene.calls();
    for _ in 0..100 {
        assert_eq!(scene.ask().await, (Duration::ZERO, false));
    }
    assert_eq!(scene.calls(), before, "nobody asks the store");

    // It is asked while nobody calls, and used again soon after it is back.
    sleep(Duration::from_secs(60)).await;
    let probes = scene.calls() - before;
    assert!((30..=60).contains(&probes), "{probes}");
    scene.becomes(Mood::Well);
    sleep(PROBE_EVERY + DEADLINE).await;
    assert_eq!(scene.ask().await, (Duration::ZERO, true));

    // And once more: the prober waits for the next time.
    scene.becomes(Mood::Failing);
    for _ in 0..FAILURES {
        assert_eq!(scene.ask().await, (Duration::ZERO, false));
    }
    let before = scene.calls();
    assert_eq!(scene.ask().await, (Duration::ZERO, false));
    assert_eq!(scene.calls(), before);
    scene.becomes(Mood::Well);
    sleep(PROBE_EVERY + Duration::from_millis(1)).await;
    assert_eq!(scene.ask().await, (Duration::ZERO, true));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer() {
    let scene = Scene::new();
    for _ in 0..=FAILURES {
        assert!(matches!(scene.guarded.touch(ID, SystemTime::UNIX_EPOCH).await, Err(Error::NoSuchUser)));
    }
    assert_eq!(scene.ask().await, (Duration::ZERO, true));
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_asks_for_may_take_longer() {
    let scene = Scene::new();
    scene.becomes(Mood::Hanging);
    let asked = Instant::now();
    assert!(scene.guarded.unseen(SystemTime::UNIX_EPOCH, 1).await.is_err());
    assert!(asked.elapsed() >= LONG_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn the_prober_ends_with_the_store() {
    let scene = Scene::new();
    scene.becomes(Mood::Failing);
    for _ in 0..FAILURES {
        scene.ask().await;
    }
    let calls = Arc::clone(&scene.calls);
    drop(scene);
    let before = calls.load(Ordering::Relaxed);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(calls.load(Ordering::Relaxed), before);
    assert_eq!(Arc::strong_count(&calls), 1, "and the store with it");
}
