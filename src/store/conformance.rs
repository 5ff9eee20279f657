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
    hashes_are_replaced_once(&*store, &ada).await;
    imports_are_whole_or_nothing(&*store, &ada).await;
    only_the_unseen_are_forgotten(&*store).await;
    pages_hold_everyone_once(&*store).await;
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

async fn hashes_are_replaced_once(store: &dyn Store, owner: &User) {
    let (old, new) = (owner.password_hash.as_str(), "$argon2id$new");
    assert!(!store.replace_password_hash(owner.id, "another", "x".into()).await.unwrap(), "not theirs");
    assert!(!store.replace_password_hash(user("x").id, old, "x".into()).await.unwrap(), "nobody");
    assert!(store.replace_password_hash(owner.id, old, new.into()).await.unwrap());
    assert!(!store.replace_password_hash(owner.id, old, "x".into()).await.unwrap(), "theirs no more");
    assert_eq!(store.user(owner.id).await.unwrap().unwrap().password_hash, new);
    assert!(store.replace_password_hash(owner.id, new, old.into()).await.unwrap(), "as it was");
}

async fn imports_are_whole_or_nothing(store: &dyn Store, there: &User) {
    let before = store.count_users().await.unwrap();
    let (one, two) = (user("Imported1"), user("Imported2"));
    let clashing = vec![
        one.clone(),
        User { id: there.id, ..user("Imported3") },
        User { username: "ADA".into(), ..user("Imported4") },
        two.clone(),
        User { email: "imported1@EXAMPLE.org".into(), ..user("Imported5") },
    ];
    let clashes = store.import_users(clashing, true).await.unwrap();
    assert!(
        matches!(clashes[..], [(1, Error::IdTaken), (2, Error::UsernameTaken), (4, Error::EmailTaken)]),
        "{clashes:?}"
    );
    assert_eq!(store.count_users().await.unwrap(), before, "nothing is half done");
    let both = vec![one.clone(), two.clone()];
    assert!(store.import_users(both.clone(), false).await.unwrap().is_empty());
    assert_eq!(store.count_users().await.unwrap(), before, "only tried");
    assert!(store.import_users(both, true).await.unwrap().is_empty());
    for user in [one, two] {
        assert_eq!(store.user(user.id).await.unwrap().as_ref(), Some(&user), "as it was given");
        assert!(store.delete_user(user.id).await.unwrap());
    }
}

async fn only_the_unseen_are_forgotten(store: &dyn Store) {
    let day = Duration::from_secs(86_400);
    let seen = |name: &str, days: u32| User { last_seen: UNIX_EPOCH + day * days, ..user(name) };
    let (oldest, older, back, fresh) = (seen("Oldest", 1), seen("Older", 2), seen("Back", 3), seen("Fresh", 5));
    for user in [&back, &oldest, &fresh, &older] {
        store.create_user(user.clone()).await.unwrap();
    }
    let device = Device { id: "d".into(), name: "n".into(), platform: "p".into(), last_seen: back.last_seen };
    store.remember_device(older.id, device).await.unwrap();
    let before = UNIX_EPOCH + day * 5;
    assert_eq!(store.unseen(before, 2).await.unwrap(), [oldest.id, older.id], "longest first, and no more");
    assert_eq!(store.count_unseen(before).await.unwrap(), 3);
    assert_eq!(store.unseen(before, 9).await.unwrap(), [oldest.id, older.id, back.id], "not who was here just then");
    // Someone comes back between the question and the deed.
    store.touch(back.id, before).await.unwrap();
    let people = vec![oldest.id, older.id, back.id, fresh.id, user("x").id];
    assert_eq!(store.forget_unseen(people, before).await.unwrap(), 2);
    assert!(store.user(older.id).await.unwrap().is_none() && store.devices(older.id).await.unwrap().is_empty());
    for stays in [&back, &fresh] {
        assert!(store.user(stays.id).await.unwrap().is_some());
        assert!(store.delete_user(stays.id).await.unwrap());
    }
}

async fn pages_hold_everyone_once(store: &dyn Store) {
    let everyone = store.list_users(None, 1_000).await.unwrap();
    assert_eq!(everyone.len() as u64, store.count_users().await.unwrap());
    assert!(everyone.len() > 2 && everyone.is_sorted_by_key(|user| *user.id.as_bytes()), "by their ids");
    let mut paged: Vec<User> = Vec::new();
    loop {
        let page = store.list_users(paged.last().map(|user| user.id), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, everyone);
}
