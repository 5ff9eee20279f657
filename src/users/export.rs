//! Accounts as JSON lines, in MongoDB's Extended JSON, so that `import` and `mongoimport` read them.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use time::OffsetDateTime;

use super::Error;
use super::import::LAST;
use crate::store::{Store, User};

/// Accounts that are asked for at once.
const PAGE: usize = 500;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "_id")]
    id: Oid,
    username: &'a str,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    created_at: Date,
    last_seen: Date,
}

#[derive(Serialize)]
struct Oid {
    #[serde(rename = "$oid")]
    hex: String,
}

#[derive(Serialize)]
struct Date {
    #[serde(rename = "$date")]
    text: String,
}

/// Writes all accounts, by their ids. Those that come while it is at it may be missing.
pub(super) async fn export(store: &dyn Store, with_hashes: bool, out: &mut impl Write) -> Result<(), Error> {
    let mut last = None;
    loop {
        let page = store.list_users(last, PAGE).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.id);
        for user in &page {
            let line =
                serde_json::to_string(&line(user, with_hashes)).map_err(|error| Error::Unwritable(error.into()))?;
            writeln!(out, "{line}").map_err(Error::Unwritable)?;
        }
    }
    out.flush().map_err(Error::Unwritable)
}

fn line(user: &User, with_hashes: bool) -> Line<'_> {
    let User { id, username, email, password_hash, created_at, last_seen } = user;
    Line {
        id: Oid { hex: id.to_string() },
        username,
        email,
        password: with_hashes.then_some(password_hash),
        created_at: date(*created_at),
        last_seen: date(*last_seen),
    }
}

fn date(time: SystemTime) -> Date {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST);
    let time = OffsetDateTime::from(UNIX_EPOCH + since);
    let (hour, minute, second, millis) = time.to_hms_milli();
    Date { text: format!("{}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", time.date()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::new_user_id;
    use crate::users::import;

    #[tokio::test]
    async fn what_is_exported_can_be_imported_and_holds_no_hash_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::users::tests::store(&folder).await;
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_007);
        let hash = "$2b$10$ap399CPFWNI.ZAoI8eJ1Q.qT7roR93SRMhy3EpM7cYG3TmlDL4b2y";
        let users: Vec<_> = (0..PAGE + 3)
            .map(|number| User {
                id: new_user_id(at),
                username: format!("Zoë {number}"),
                email: format!("zoe{number}@example.org"),
                password_hash: hash.into(),
                created_at: at,
                last_seen: at + Duration::from_secs(number as u64),
            })
            .collect();
        assert!(store.import_users(users.clone(), true).await.unwrap().is_empty());

        let mut out = Vec::new();
        export(&*store, false, &mut out).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), users.len());
        assert!(!text.contains("$2b$") && !text.contains("password"));
        let first = format!(
            r#"{{"_id":{{"$oid":"{}"}},"username":"Zoë 0","email":"zoe0@example.org","createdAt":{{"$date":"2023-11-14T22:13:20.007Z"}},"lastSeen":{{"$date":"2023-11-14T22:13:20.007Z"}}}}"#,
            users[0].id
        );
        assert_eq!(text.lines().next(), Some(&*first));

        let mut out = Vec::new();
        export(&*store, true, &mut out).await.unwrap();
        let other = tempfile::tempdir().unwrap();
        let other = crate::users::tests::store(&other).await;
        let lines = import::read(&out[..], SystemTime::now()).unwrap();
        import::import(&*other, lines, false, false).await.unwrap();
        assert_eq!(other.list_users(None, 1_000).await.unwrap(), users);
    }
}
