//! Against a real server; `tests/run mongo` runs those that need one. What it lends them: `tests/mongo`.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime};

use super::*;
use crate::config::{Config, load};
use crate::store::{conformance, new_user_id};

#[path = "../../../tests/mongo/database.rs"]
#[allow(dead_code, reason = "others kill it")]
mod database;
use database::Database;

/// Longest time to wait for a server that is there: it has answered before.
const SOON: Duration = Duration::from_secs(5);

fn settings(uri: &str) -> config::Mongo {
    let folder = tempfile::tempdir().unwrap();
    let data = ("DUOLOGUE_SERVER_DATA".to_owned(), folder.path().display().to_string());
    let Config { store, .. } = load(None, [data, ("MONGODB_URI".to_owned(), uri.to_owned())]).unwrap();
    let config::Store::Mongo(settings) = store else { panic!("{store:?}") };
    settings
}

async fn open(database: &Database) -> Result<Mongo, OpenError> {
    Mongo::open(&settings(&database.uri), SOON).await
}

fn account(name: &str) -> User {
    let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let (username, email) = (name.to_owned(), format!("{name}@example.org"));
    User { id: new_user_id(at), username, email, password_hash: "$x".into(), created_at: at, last_seen: at }
}

#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn it_conforms() {
    let database = Database::any().await;
    let kept = conformance::run(Arc::new(open(&database).await.unwrap())).await;
    let reopened = open(&database).await.unwrap();
    assert_eq!(reopened.user(kept.id).await.unwrap(), Some(kept), "kept from start to start");
    database.done().await;
}

#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn a_collection_of_mongoose_is_used_as_it_is() {
    let database = Database::any().await;
    let users = database.users().await;
    let id = |n: u8| ObjectId::from_bytes([0x64, 0xb0, 0xc0, 0xde, 0, 0, 0, 0, 0, 0, 0, n]);
    let seen = DateTime::from_millis(1_700_000_000_456);
    let theirs = [
        doc! {
            "_id": id(1), "username": "Ada", "email": "Ada@Example.org", "password": "$2b$10$ada", "isOnline": true,
            "createdAt": DateTime::from_millis(1_672_531_200_123_i64), "lastSeen": seen, "__v": 0,
            "devices": [{ "deviceId": "x", "type": "ios" }], "profile": { "color": "red" },
        },
        doc! { "_id": id(2), "name": "Ben", "email": "ben@example.org", "passwordHash": "$2b$10$ben", "lastActive": seen },
        doc! { "_id": id(3), "username": "cleo", "email": "cleo@example.org", "hash": "$2b$10$cleo" },
        doc! { "_id": id(4), "email": "dora@example.org" },
        doc! { "_id": "settings", "username": "x", "email": "x" },
    ];
    users.insert_many(theirs.clone()).await.unwrap();

    let store = open(&database).await.unwrap();
    let by_id = |n| UserId::from_bytes(id(n).bytes());
    let ada = store.user_by_email("ada@EXAMPLE.org").await.unwrap().unwrap();
    assert_eq!(store.user(by_id(1)).await.unwrap().as_ref(), Some(&ada));
    assert_eq!((ada.username.as_str(), ada.email.as_str()), ("Ada", "Ada@Example.org"), "as she wrote it");
    assert_eq!((ada.password_hash.as_str(), date(ada.last_seen)), ("$2b$10$ada", seen));
    let ben = store.user_by_email("BEN@example.org").await.unwrap().unwrap();
    assert_eq!((ben.username.as_str(), ben.password_hash.as_str(), date(ben.last_seen)), ("Ben", "$2b$10$ben", seen));
    let cleo = store.user_by_email("cleo@example.org").await.unwrap().unwrap();
    assert!(cleo.last_seen > ada.last_seen, "who was never seen is not to be forgotten for it");
    assert_eq!(store.user_by_email("dora@example.org").await.unwrap(), None, "no account");
    assert_eq!(store.user(by_id(4)).await.unwrap(), None);
    let mine = |name: &str, email: &str| User { email: email.into(), ..account(name) };
    assert!(matches!(store.create_user(mine("ADA", "new@example.org")).await, Err(Error::UsernameTaken)));
    assert!(matches!(store.create_user(mine("new", "BEN@example.org")).await, Err(Error::EmailTaken)));

    // Whatever is changed, the rest stays.
    let later = ada.last_seen + Duration::from_secs(1);
    let device = Device { id: "a.$b".into(), name: "n".into(), platform: "p".into(), last_seen: later };
    store.touch(ada.id, later).await.unwrap();
    store.remember_device(ada.id, device.clone()).await.unwrap();
    for (user, old) in [(&ada, "$2b$10$ada"), (&ben, "$2b$10$ben"), (&cleo, "$2b$10$cleo")] {
        assert!(store.replace_password_hash(user.id, old, "$new".into()).await.unwrap());
        assert_eq!(store.user(user.id).await.unwrap().unwrap().password_hash, "$new", "by whichever name");
    }
    assert_eq!(store.devices(ada.id).await.unwrap(), [device]);
    // A second start finds all as it is, and who came meanwhile.
    users.insert_one(doc! { "_id": id(9), "username": "Eve", "email": "Eve@example.org" }).await.unwrap();
    let store = open(&database).await.unwrap();
    assert_eq!(store.user_by_email("eve@example.org").await.unwrap().unwrap().id, by_id(9));
    assert_eq!(store.list_users(None, 9).await.unwrap().len(), 4, "accounts alone");
    let all_but = |n: u8, theirs: &Document, changed: &[&str]| {
        let (users, mut expected) = (users.clone(), theirs.clone());
        let changed: Vec<_> = changed.iter().map(|name| (*name).to_owned()).collect();
        async move {
            let mut now = users.find_one(doc! { "_id": id(n) }).await.unwrap().unwrap();
            for name in changed {
                assert!(now.remove(&name).is_some(), "{name}");
                expected.remove(&name);
            }
            // Servers need not keep the order of fields that were changed.
            assert_eq!(sorted(now), sorted(expected));
        }
    };
    all_but(1, &theirs[0], &["duologue", "password", "lastSeen"]).await;
    all_but(2, &theirs[1], &["duologue", "passwordHash", "lastSeen"]).await;
    all_but(3, &theirs[2], &["duologue", "hash", "lastSeen"]).await;
    all_but(4, &theirs[3], &[]).await;
    assert_eq!(users.count_documents(doc! {}).await.unwrap(), 6, "nothing is lost");
    let long_after = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    assert_eq!(store.count_unseen(long_after).await.unwrap(), 4, "what is no account is never deleted");
    database.done().await;
}

fn sorted(document: Document) -> Vec<(String, Bson)> {
    let mut fields: Vec<_> = document.into_iter().collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn many_users_are_folded_page_by_page() {
    let database = Database::any().await;
    let count = 1_203_u64;
    let user = |n: u64| doc! { "username": format!("U{n}"), "email": format!("U{n}@example.org") };
    database.users().await.insert_many((0..count).map(user)).await.unwrap();
    let store = open(&database).await.unwrap();
    assert_eq!(store.list_users(None, 2_000).await.unwrap().len() as u64, count);
    assert!(store.user_by_email(&format!("u{}@example.org", count - 1)).await.unwrap().is_some());
    database.done().await;
}

#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn users_who_clash_are_named_by_id_and_nothing_is_lost() {
    let database = Database::any().await;
    let users = database.users().await;
    let id = |n: u8| ObjectId::from_bytes([n; 12]);
    let insert = |n: u8, name: &str, email: &str| {
        let document = doc! { "_id": id(n), "username": name, "email": email };
        users.insert_one(document).into_future()
    };
    insert(1, "ada", "ada@example.org").await.unwrap();
    insert(2, "other", "ADA@example.org").await.unwrap();
    insert(3, "ben", "ben@example.org").await.unwrap();
    let told = async || {
        let Err(error) = open(&database).await else { panic!("it was opened") };
        assert!(matches!(error, OpenError::Clashing { .. }), "{error}");
        let text = error.to_string();
        assert!(!text.contains("@example"), "no address: {text}");
        text
    };
    for _ in 0..2 {
        let text = told().await;
        assert!(text.contains("email address") && text.contains(&format!("{} and {}", id(1), id(2))), "{text}");
    }
    assert_eq!(users.count_documents(doc! {}).await.unwrap(), 3);
    // As the error says.
    let rename = doc! { "$set": { "email": "other@example.org" } };
    users.update_one(doc! { "_id": id(2) }, rename).await.unwrap();
    let store = open(&database).await.unwrap();
    assert!(store.user_by_email("OTHER@example.org").await.unwrap().is_some());
    drop(store);

    // With the indexes there, who comes beside us may clash as well.
    insert(4, "BEN", "ben4@example.org").await.unwrap();
    for _ in 0..2 {
        let text = told().await;
        assert!(
            text.contains("username") && text.contains(&id(4).to_hex()) && text.contains(&id(3).to_hex()),
            "{text}"
        );
    }
    users.delete_one(doc! { "_id": id(4) }).await.unwrap();
    open(&database).await.unwrap();
    database.done().await;
}

#[tokio::test]
#[ignore = "needs a server: tests/run mongo"]
async fn an_import_that_is_overtaken_is_undone() {
    let database = Database::any().await;
    let store = open(&database).await.unwrap();
    let late = account("late");
    store.create_user(late.clone()).await.unwrap();
    // Past the look whether any clashes, as if it had come after it.
    let mut users: Vec<_> = (0..1_100).map(|n| account(&format!("user{n}"))).collect();
    users[1_003] = User { email: "new@example.org".into(), ..account("LATE") };
    let clashes = store.insert_all(&users).await.unwrap();
    assert!(matches!(clashes[..], [(1_003, Error::UsernameTaken)]), "{clashes:?}");
    assert_eq!(store.list_users(None, 2_000).await.unwrap(), [late], "who was there stays, and nobody else");
    database.done().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_the_password() {
    let uri = "mongodb://ada:s3cret@127.0.0.1:9/chat";
    let Err(error) = Mongo::open(&settings(uri), Duration::from_millis(200)).await else { panic!("it was opened") };
    let text = error.to_string();
    assert!(matches!(error, OpenError::Away { .. }) && text.contains("mongodb://127.0.0.1:9/chat"), "{text}");
    assert!(text.contains("MONGODB_URI") && !text.contains("s3cret"), "{text}");
}

#[test]
fn what_the_driver_will_not_take_is_told_without_the_password() {
    for (uri, says) in [
        ("mongodb://ada:s3cret@h/chat?tls=perhaps", "tls"),
        ("mongodb://ada:s3cret@h:port/chat", "port"),
        ("mongodb://ada:s3cret%zz@h/chat", "unescaped"),
    ] {
        let Err(error) = check(&settings(uri)) else { panic!("{uri} was taken") };
        let text = error.to_string();
        assert!(text.contains("MONGODB_URI") && text.contains(says) && !text.contains("s3cret"), "{text}");
    }
    check(&settings("mongodb://ada:s3cret@h/chat?tls=true&replicaSet=r")).unwrap();
}
