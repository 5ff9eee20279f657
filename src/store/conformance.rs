//! What every backend must do, run on each of them.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::join_all;

use super::{Device, Error, MAX_DEVICES, Store, User, new_user_id};

fn user(name: &str) -> User {
    let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    User {
        id: new_user_id(at),
        username: name.to_owned(),
        email: format!("{name}@example.org"),
        password_hash: "$argon2id$...".to_owned(),
        created_at: at,
        last_seen: at,
    }
}

/// Runs the suite on an empty store; yields an account that it left there.
pub(super) async fn run(store: Arc<dyn Store>) -> User {
    store.ping().await.unwrap();
    let ada = user("Ada");
    store.create_user(ada.clone()).await.unwrap();
    assert_eq!(store.user(ada.id).await.unwrap().as_ref(), Some(&ada), "comes back as it went in");
    assert_eq!(store.user_by_email("ADA@Example.ORG").await.unwrap().as_ref(), Some(&ada));
    assert_eq!(store.user(user("x").id).await.unwrap(), None);
    assert_eq!(store.user_by_email("ada@example.com").await.unwrap(), None);

    unique_without_regard_to_case(&*store).await;
    one_of_many_wins(&store).await;
    devices(&*store, &ada).await;

    let with_device = ada.created_at + Duration::from_secs(MAX_DEVICES as u64 + 4);
    assert_eq!(store.user(ada.id).await.unwrap().unwrap().last_seen, with_device, "with the last device");
    let later = with_device + Duration::from_secs(5);
    store.touch(ada.id, later).await.unwrap();
    store.touch(ada.id, ada.last_seen).await.unwrap();
    let ada = User { last_seen: later, ..ada };
    assert_eq!(store.user(ada.id).await.unwrap().as_ref(), Some(&ada), "never goes back");
    assert!(matches!(store.touch(user("x").id, later).await, Err(Error::NoSuchUser)));

    let gone = user("Gone");
    store.create_user(gone.clone()).await.unwrap();
    let before = store.count_users().await.unwrap();
    assert!(store.delete_user(gone.id).await.unwrap());
    assert!(!store.delete_user(gone.id).await.unwrap(), "only once");
    assert_eq!(store.count_users().await.unwrap(), before - 1);
    store.create_user(User { id: user("x").id, ..gone }).await.expect("the name is free again");
    ada
}

async fn unique_without_regard_to_case(store: &dyn Store) {
    let zoe = user("Zoë");
    store.create_user(zoe.clone()).await.unwrap();
    let same_name = User { email: "other@example.org".into(), ..user("ZOË") };
    assert!(matches!(store.create_user(same_name).await, Err(Error::UsernameTaken)));
    let same_email = User { email: "ZOË@example.org".into(), ..user("Zoe2") };
    assert!(matches!(store.create_user(same_email).await, Err(Error::EmailTaken)));
}

async fn one_of_many_wins(store: &Arc<dyn Store>) {
    let before = store.count_users().await.unwrap();
    let racers = (0..20).map(|n| User { email: format!("racer{n}@example.org"), ..user("Racer") });
    let outcomes = join_all(racers.map(|racer| store.create_user(racer))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(Error::UsernameTaken))));
    assert_eq!(store.count_users().await.unwrap(), before + 1);
}

async fn devices(store: &dyn Store, owner: &User) {
    let device = |n: usize| Device {
        id: format!("device-{n}"),
        name: "Firefox".into(),
        platform: "Linux".into(),
        last_seen: owner.created_at + Duration::from_secs(n as u64),
    };
    for n in 0..MAX_DEVICES + 5 {
        store.remember_device(owner.id, device(n)).await.unwrap();
    }
    let known = store.devices(owner.id).await.unwrap();
    assert_eq!(known.len(), MAX_DEVICES);
    assert_eq!(known[0], device(MAX_DEVICES + 4), "newest first");
    let again = Device { name: "Chromium".into(), ..device(MAX_DEVICES + 4) };
    store.remember_device(owner.id, again.clone()).await.unwrap();
    let known = store.devices(owner.id).await.unwrap();
    assert_eq!((known.len(), &known[0]), (MAX_DEVICES, &again), "known already");
    assert!(matches!(store.remember_device(user("x").id, device(0)).await, Err(Error::NoSuchUser)));
}
