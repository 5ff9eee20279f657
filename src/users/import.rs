//! `duologue users import FILE`: accounts of a Node backend, as `mongoexport` writes them, into the store.
//!
//! What a line of the usual Mongoose schema says, and what is told of lines that will not do. All of a file is
//! taken or none of it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Error;
use crate::auth::password;
use crate::chat::accounts;
use crate::protocol::UserId;
use crate::store::{Store, User};

/// Longest line that is read, in bytes: a user is some hundred.
const MOST_BYTES: u64 = 1024 * 1024;
/// Lines that will not do and are told one by one; the rest are counted.
const MOST_TOLD: usize = 100;
/// The last millisecond of the year 9999 since 1970: what comes after has no date in RFC 3339.
pub(super) const LAST: Duration = Duration::from_millis(253_402_300_799_999);

/// What a file holds, to be taken over.
pub(super) fn open(file: &Path) -> Result<Lines, Error> {
    let unreadable = |source| Error::Unreadable { path: file.to_owned(), source };
    read(BufReader::new(File::open(file).map_err(unreadable)?), SystemTime::now()).map_err(unreadable)
}

/// What a file holds.
pub(super) struct Lines {
    /// Users and the numbers of their lines.
    pub(super) good: Vec<(usize, User)>,
    pub(super) bad: Bad,
}

/// Lines that will not do, by their numbers, and why.
#[derive(Default)]
pub(super) struct Bad(Vec<(usize, String)>);

impl Bad {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn told(&self) -> String {
        let mut text = String::new();
        for (number, why) in self.0.iter().take(MOST_TOLD) {
            let _ = writeln!(text, "line {number}: {why}");
        }
        if self.0.len() > MOST_TOLD {
            let _ = writeln!(text, "... and {} more", self.0.len() - MOST_TOLD);
        }
        text
    }
}

/// What was done, or would be.
pub(super) struct Taken {
    pub(super) count: usize,
    pub(super) bad: Bad,
}

/// Takes them over, or none of them; those that clash, and the lines that will not do, are left out with `skip`.
pub(super) async fn import(store: &dyn Store, lines: Lines, skip: bool, dry_run: bool) -> Result<Taken, Error> {
    let Lines { mut good, mut bad } = lines;
    loop {
        let users = good.iter().map(|(_, user)| user.clone()).collect();
        let keep = !dry_run && (skip || bad.0.is_empty());
        let clashes = store.import_users(users, keep).await?;
        if clashes.is_empty() {
            break;
        }
        // Again without them: those that clash with a line that is left out do not clash any more.
        for (place, why) in clashes.into_iter().rev() {
            let (number, _) = good.remove(place);
            bad.0.push((number, why.to_string()));
        }
    }
    bad.0.sort();
    if bad.0.is_empty() || skip || dry_run {
        return Ok(Taken { count: good.len(), bad });
    }
    Err(Error::Lines(bad.0.len(), bad.told().trim_end().to_owned()))
}

pub(super) fn read(mut file: impl BufRead, now: SystemTime) -> io::Result<Lines> {
    let mut lines = Lines { good: Vec::new(), bad: Bad::default() };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if io::Read::take(&mut file, MOST_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        if line.len() as u64 == MOST_BYTES {
            lines.bad.0.push((number, "is over 1 MiB; what follows was not read".to_owned()));
            break;
        }
        match user(text, now) {
            Ok(user) => lines.good.push((number, user)),
            Err(why) => lines.bad.0.push((number, why)),
        }
    }
    Ok(lines)
}

/// A document of the usual Mongoose schema. What it holds besides is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "_id")]
    id: Id,
    #[serde(alias = "name")]
    username: String,
    email: String,
    #[serde(alias = "passwordHash", alias = "hash")]
    password: String,
    created_at: Option<Date>,
    #[serde(alias = "lastActive", alias = "lastSeenAt")]
    last_seen: Option<Date>,
}

/// MongoDB Extended JSON, or the id alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Extended {
        #[serde(rename = "$oid")]
        oid: String,
    },
    Plain(String),
}

/// MongoDB Extended JSON (relaxed, canonical, version 1), or RFC 3339 alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Date {
    Extended {
        #[serde(rename = "$date")]
        date: Moment,
    },
    Plain(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Text(String),
    Millis(i64),
    Long {
        #[serde(rename = "$numberLong")]
        millis: String,
    },
}

fn user(line: &[u8], now: SystemTime) -> Result<User, String> {
    if line.starts_with(b"[") {
        return Err("is a list; export without --jsonArray, one document a line".to_owned());
    }
    // The reader's own words may quote a value.
    let document: Document = serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => missing(&error.to_string()),
        _ => format!("is no JSON document (column {})", error.column()),
    })?;
    let Document { id, username, email, password: password_hash, created_at, last_seen } = document;
    let (Id::Extended { oid: id } | Id::Plain(id)) = id;
    let id: UserId = id.to_lowercase().parse().map_err(|_| "_id is no ObjectId: 24 hex digits".to_owned())?;
    if let Some(problem) = accounts::problems(&username, &email).into_iter().next() {
        return Err(format!("{}: {}", problem.field, problem.message));
    }
    if let Some(why) = password::unusable(&password_hash) {
        return Err(format!("password {why}"));
    }
    let created_at = match created_at {
        Some(date) => moment(date).ok_or("createdAt is no date between the years 1970 and 9999")?,
        // The first four bytes of an ObjectId are its second.
        None => UNIX_EPOCH + Duration::from_secs(seconds(id)),
    };
    // Who was never seen is not to be forgotten for it at once, and who was seen in a time to come is not
    // to be kept until then.
    let last_seen = match last_seen {
        Some(date) => moment(date).ok_or("lastSeen is no date between the years 1970 and 9999")?.min(now),
        None => now,
    };
    Ok(User { id, username, email, password_hash, created_at, last_seen })
}

/// Names the field, without its value.
fn missing(said: &str) -> String {
    for field in ["_id", "username", "email", "password"] {
        if said.contains(&format!("missing field `{field}`")) {
            return format!("has no {field}");
        }
        if said.contains(&format!("duplicate field `{field}`")) {
            return format!("has {field} twice, perhaps by another name");
        }
    }
    "has a field of a wrong type: _id, username, email, password, createdAt or lastSeen".to_owned()
}

fn seconds(id: UserId) -> u64 {
    let [a, b, c, d, ..] = id.as_bytes();
    u32::from_be_bytes([*a, *b, *c, *d]).into()
}

fn moment(date: Date) -> Option<SystemTime> {
    let millis = match date {
        Date::Extended { date: Moment::Millis(millis) } => millis,
        Date::Extended { date: Moment::Long { millis } } => millis.parse().ok()?,
        Date::Extended { date: Moment::Text(text) } | Date::Plain(text) => {
            let time = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
            i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()?
        }
    };
    let since = Duration::from_millis(u64::try_from(millis).ok()?);
    (since <= LAST).then(|| UNIX_EPOCH + since)
}
