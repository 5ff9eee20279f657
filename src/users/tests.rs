//! Users who are taken over, from the line to the login.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::Error;
use super::import::{LAST, Lines, import, read};
use crate::chat::accounts;
use crate::store::{self, Store};

const HASH: &str = "$2b$10$ap399CPFWNI.ZAoI8eJ1Q.qT7roR93SRMhy3EpM7cYG3TmlDL4b2y";
/// In November 2026.
const NOW: Duration = Duration::from_secs(1_795_000_000);

fn line(id: u32, name: &str, more: &str) -> String {
    format!(
        r#"{{"_id":{{"$oid":"64b0c0de{id:016x}"}},"username":"{name}","email":"{name}@example.org","password":"{HASH}","isOnline":true,"__v":0{more}}}"#
    )
}

fn lines(text: &str) -> Lines {
    read(text.as_bytes(), UNIX_EPOCH + NOW).unwrap()
}

pub(super) async fn store(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    let data = folder.path().display().to_string();
    let config = crate::config::load(None, [("DUOLOGUE_SERVER_DATA".to_owned(), data)]).unwrap();
    store::open(&config).await.unwrap()
}

#[test]
fn a_user_comes_as_it_was() {
    let dates =
        r#","createdAt":{"$date":"2023-01-01T00:00:00.123Z"},"lastSeen":{"$date":{"$numberLong":"1700000000456"}}"#;
    let read = lines(&line(1, "ada", dates));
    let (number, user) = &read.good[0];
    let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
    assert_eq!((*number, user.id.to_string()), (1, "64b0c0de0000000000000001".to_owned()));
    assert_eq!((user.username.as_str(), user.email.as_str()), ("ada", "ada@example.org"));
    assert_eq!(user.password_hash, HASH);
    assert_eq!((user.created_at, user.last_seen), (at(1_672_531_200_123), at(1_700_000_000_456)));

    let without = &lines(&line(2, "ben", "")).good[0].1;
    assert_eq!(without.created_at, UNIX_EPOCH + Duration::from_secs(0x64b0_c0de), "as the id has it");
    assert_eq!(without.last_seen, UNIX_EPOCH + NOW);
    let ahead = line(2, "ben", r#","createdAt":{"$date":253402300799999},"lastSeen":{"$date":253402300799999}"#);
    let ahead = &lines(&ahead).good[0].1;
    assert_eq!((ahead.created_at, ahead.last_seen), (UNIX_EPOCH + LAST, UNIX_EPOCH + NOW), "seen by now");
    let other = line(3, "cleo", r#","lastActive":{"$date":1700000000000}"#).replace("password", "passwordHash");
    assert_eq!(lines(&other).good[0].1.last_seen, at(1_700_000_000_000));
}

#[test]
fn lines_that_will_not_do_are_told_without_what_is_in_them() {
    let good = line(1, "ada", "");
    let cut = |from: &str, to: &str| good.replace(from, to);
    let text = [
        good.clone(),
        String::new(),
        "{".into(),
        "[]".into(),
        cut("64b0c0de", "zz"),
        cut(r#""username":"ada","#, ""),
        cut(r#""ada@example.org""#, "17"),
        cut("ada@example.org", "secret-of-ada"),
        cut(r#""ada""#, r#""a""#),
        cut(HASH, "Password123"),
        cut("$2b$10$", "$2b$13$"),
        line(1, "ada", r#","createdAt":{"$date":"yesterday"}"#),
        line(1, "ada", r#","passwordHash":"x""#),
        format!("{good}\r"),
        line(1, "ada", r#","createdAt":{"$date":253402300800000}"#),
        line(1, "ada", r#","createdAt":{"$date":{"$numberLong":"9223372036854775807"}}"#),
        line(1, "ada", r#","createdAt":{"$date":"1969-12-31T23:59:59Z"}"#),
        line(1, "ada", r#","lastSeen":{"$date":-1}"#),
    ]
    .join("\n");
    let read = lines(&text);
    assert_eq!(read.good.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 14]);
    let told = read.bad.told();
    for says in [
        "line 3: is no JSON",
        "line 4: is a list",
        "line 5: _id",
        "line 6: has no username",
        "line 7: has a field of a wrong type",
        "line 8: email: ",
        "line 9: username: ",
        "line 10: password is no bcrypt",
        "line 11: password is a bcrypt hash of cost 13; 4 to 12 are verified",
        "line 12: createdAt",
        "line 13: has password twice",
        "line 15: createdAt is no date between the years 1970 and 9999",
        "line 16: createdAt is no date between",
        "line 17: createdAt is no date between",
        "line 18: lastSeen is no date between",
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
    for secret in ["secret-of-ada", "Password123", "yesterday", "$2b$", "ada@"] {
        assert!(!told.contains(secret) || secret == "$2b$" && told.contains("($2a$, $2b$ or"), "{told}");
    }
}

#[tokio::test]
async fn all_are_taken_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let count = async || store.count_users().await.unwrap();
    let text = [line(1, "ada", ""), line(2, "ben", ""), line(3, "ADA", ""), "{".into(), line(2, "cleo", "")].join("\n");
    let Err(Error::Lines(3, told)) = import(&*store, lines(&text), false, false).await else { panic!("it was taken") };
    assert!(
        told.contains("line 3: This email address is registered already.") && told.contains("line 4: is no JSON"),
        "{told}"
    );
    assert!(told.contains("line 5: An account of this id is there already."), "{told}");
    assert_eq!(count().await, 0);

    let tried = import(&*store, lines(&text), true, true).await.unwrap();
    assert_eq!((tried.count, tried.bad.count(), count().await), (2, 3, 0), "only tried");
    let tried = import(&*store, lines(&text), false, true).await.unwrap();
    assert_eq!((tried.count, tried.bad.count(), count().await), (2, 3, 0), "only tried");
    let taken = import(&*store, lines(&text), true, false).await.unwrap();
    assert_eq!((taken.count, taken.bad.count(), count().await), (2, 3, 2));
    let again = import(&*store, lines(&text), true, false).await.unwrap();
    assert_eq!((again.count, again.bad.count(), count().await), (0, 5, 2), "nobody twice");
}

#[tokio::test]
async fn who_was_taken_over_logs_in_and_is_hashed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    import(&*store, lines(&line(1, "ada", "")), false, false).await.unwrap();
    let data = folder.path().display().to_string();
    let config = crate::config::load(None, [("DUOLOGUE_SERVER_DATA".to_owned(), data)]).unwrap();
    let accounts = accounts::Accounts::new(Arc::clone(&store), &config).unwrap();
    let hash = async || store.user_by_email("ada@example.org").await.unwrap().unwrap().password_hash;
    let wrong = accounts.login("ada@example.org", "Password124").await;
    assert!(matches!(wrong, Err(accounts::Error::CredentialsWrong)));
    assert_eq!(hash().await, HASH, "not before the password was right");
    let entered = accounts.login("ADA@example.org", "Password123").await.unwrap();
    assert_eq!(entered.account.id.to_string(), "64b0c0de0000000000000001", "who they were");
    let anew = hash().await;
    assert!(anew.starts_with("$argon2id$"), "{anew}");
    accounts.login("ada@example.org", "Password123").await.unwrap();
    assert!(accounts.login("ada@example.org", "Password124").await.is_err());
    assert_eq!(hash().await, anew, "once");
}

#[tokio::test]
async fn a_refused_login_takes_as_long_whoever_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    import(&*store, lines(&line(1, "ada", "")), false, false).await.unwrap();
    let data = folder.path().display().to_string();
    let config = crate::config::load(None, [("DUOLOGUE_SERVER_DATA".to_owned(), data)]).unwrap();
    let accounts = accounts::Accounts::new(store, &config).unwrap();
    for email in ["ada@example.org", "nobody@example.org"] {
        let asked = tokio::time::Instant::now();
        assert!(accounts.login(email, "Password124").await.is_err());
        assert!(asked.elapsed() >= Duration::from_millis(400), "{email}");
    }
}
