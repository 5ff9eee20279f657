//! `duologue users import FILE`: accounts of a Node backend, as `mongoexport` writes them, into the store.
//!
//! Owns: what a line of the usual Mongoose schema says, and what is told of lines that will not do. All of
//! a file is taken or none of it; nothing that is said holds a name, an address or a hash.
//!
//! Must not know: how accounts are kept, and what makes a hash good.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::auth::password;
use crate::chat::accounts;
use crate::config::Config;
use crate::protocol::UserId;
use crate::store::{self, Store, User};

/// Longest line that is read, in bytes: a user is some hundred.
const MOST_BYTES: u64 = 1024 * 1024;
/// Lines that will not do and are told one by one; the rest are counted.
const MOST_TOLD: usize = 100;
/// The last millisecond of the year 9999 since 1970: what comes after has no date in RFC 3339.
const LAST: Duration = Duration::from_millis(253_402_300_799_999);

/// What `duologue users` is asked for.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Takes over the users of a Node backend, one JSON document a line, as mongoexport writes them.
    Import {
        /// The file, made with: mongoexport --uri ... --collection users --out users.json
        file: PathBuf,
        /// Only says what would happen.
        #[arg(long)]
        dry_run: bool,
        /// Leaves out the lines that will not do, instead of taking none.
        #[arg(long)]
        skip: bool,
    },
}

/// Why nobody was taken over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Some lines will not do.
    #[error("{0} of the lines will not do, so nobody was taken over. Mend them, or leave them out with --skip:\n{1}")]
    Lines(usize, String),
    /// The store cannot be opened.
    #[error("the store: {0}")]
    Open(#[from] store::OpenError),
    /// The store.
    #[error("the store: {0}")]
    Store(#[from] store::Error),
}

/// Does it, and says on stdout what was done.
///
/// # Errors
/// Nothing was changed then.
pub async fn run(command: &Command, config: &Config) -> Result<(), Error> {
    let Command::Import { file, dry_run, skip } = command;
    let unreadable = |source| Error::Unreadable { path: file.clone(), source };
    let lines = read(BufReader::new(File::open(file).map_err(unreadable)?), SystemTime::now()).map_err(unreadable)?;
    let store = store::open(config).await?;
    let taken = import(&*store, lines, *skip, *dry_run).await?;
    print!("{}", taken.bad.told());
    let would = if *dry_run { "would be" } else { "were" };
    println!("{} users {would} taken over, {} lines {would} left out.", taken.count, taken.bad.0.len());
    Ok(())
}

/// What a file holds.
struct Lines {
    /// Users and the numbers of their lines.
    good: Vec<(usize, User)>,
    bad: Bad,
}

/// Lines that will not do, by their numbers, and why.
#[derive(Default)]
struct Bad(Vec<(usize, String)>);

impl Bad {
    fn told(&self) -> String {
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
struct Taken {
    count: usize,
    bad: Bad,
}

async fn import(store: &dyn Store, lines: Lines, skip: bool, dry_run: bool) -> Result<Taken, Error> {
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

fn read(mut file: impl BufRead, now: SystemTime) -> io::Result<Lines> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

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

    async fn store(folder: &tempfile::TempDir) -> Arc<dyn Store> {
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
        let text =
            [line(1, "ada", ""), line(2, "ben", ""), line(3, "ADA", ""), "{".into(), line(2, "cleo", "")].join("\n");
        let Err(Error::Lines(3, told)) = import(&*store, lines(&text), false, false).await else {
            panic!("it was taken")
        };
        assert!(
            told.contains("line 3: This email address is registered already.") && told.contains("line 4: is no JSON"),
            "{told}"
        );
        assert!(told.contains("line 5: An account of this id is there already."), "{told}");
        assert_eq!(count().await, 0);

        let tried = import(&*store, lines(&text), true, true).await.unwrap();
        assert_eq!((tried.count, tried.bad.0.len(), count().await), (2, 3, 0), "only tried");
        let tried = import(&*store, lines(&text), false, true).await.unwrap();
        assert_eq!((tried.count, tried.bad.0.len(), count().await), (2, 3, 0), "only tried");
        let taken = import(&*store, lines(&text), true, false).await.unwrap();
        assert_eq!((taken.count, taken.bad.0.len(), count().await), (2, 3, 2));
        let again = import(&*store, lines(&text), true, false).await.unwrap();
        assert_eq!((again.count, again.bad.0.len(), count().await), (0, 5, 2), "nobody twice");
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
}
