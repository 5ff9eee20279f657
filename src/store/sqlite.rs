//! The embedded store: one SQLite file, one thread, one process.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_rusqlite::rusqlite::{self, Connection as Blocking, OptionalExtension, Row, ffi, params};
use tokio_rusqlite::{Connection, Error as ConnectionError};

use super::{Device, Error, MAX_DEVICES, Store, User, folded};
use crate::protocol::UserId;

/// The schema, as steps: `PRAGMA user_version` says how many a file has seen.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE users (
        id BLOB PRIMARY KEY,
        username TEXT NOT NULL,
        username_folded TEXT NOT NULL UNIQUE,
        email TEXT NOT NULL,
        email_folded TEXT NOT NULL UNIQUE,
        password_hash TEXT NOT NULL,
        created_at INTEGER NOT NULL, -- milliseconds since 1970
        last_seen INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE devices (
        user BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        platform TEXT NOT NULL,
        last_seen INTEGER NOT NULL,
        PRIMARY KEY (user, id)
    ) WITHOUT ROWID;
",
    // For those who were not here for long.
    "CREATE INDEX users_last_seen ON users (last_seen);",
];
/// How long a statement waits for another process that holds the file (a backup, say).
const BUSY: Duration = Duration::from_secs(2);
const USER: &str = "SELECT id, username, email, password_hash, created_at, last_seen FROM users";

pub(super) struct Sqlite(Connection);

impl Sqlite {
    pub(super) async fn open(path: &Path) -> Result<Self, Error> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::Unavailable(error.into()))?;
        }
        create(path).map_err(|error| Error::Unavailable(error.into()))?;
        let connection = Connection::open(path).await.map_err(|error| Error::Unavailable(error.into()))?;
        let store = Self(connection);
        store.call(prepare).await?;
        Ok(store)
    }

    /// Runs `act` on the connection's own thread.
    async fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Blocking) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.call(act).await.map_err(|error| match error {
            ConnectionError::Error(error) => refined(error),
            other => Error::Unavailable(other.to_string().into()),
        })
    }
}

/// Makes the file for its owner alone, if there is none: SQLite would let everyone read it. Those beside it
/// (-wal, -shm) take after it. A file that is there keeps what its owner has given it, and is not opened: to
/// close it would undo SQLite's locks of this process.
fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn prepare(connection: &mut Blocking) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let done: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (step, sql) in (1..).zip(STEPS).skip(done as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", step)?;
        transaction.commit()?;
    }
    Ok(())
}

impl Store for Sqlite {
    fn create_user(&self, user: User) -> BoxFuture<'_, Result<(), Error>> {
        let insert = move |connection: &mut Blocking| insert(connection, &user);
        self.call(insert).boxed()
    }

    fn user(&self, id: UserId) -> BoxFuture<'_, Result<Option<User>, Error>> {
        let find = move |connection: &mut Blocking| {
            connection.prepare_cached(&format!("{USER} WHERE id = ?1"))?.query_row([id.as_bytes()], user).optional()
        };
        self.call(find).boxed()
    }

    fn user_by_email(&self, email: &str) -> BoxFuture<'_, Result<Option<User>, Error>> {
        let email = folded(email);
        let find = move |connection: &mut Blocking| {
            connection.prepare_cached(&format!("{USER} WHERE email_folded = ?1"))?.query_row([email], user).optional()
        };
        self.call(find).boxed()
    }

    fn count_users(&self) -> BoxFuture<'_, Result<u64, Error>> {
        let count = |connection: &mut Blocking| {
            connection.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0))
        };
        self.call(count).map(|count| count.map(i64::cast_unsigned)).boxed()
    }

    fn list_users(&self, after: Option<UserId>, limit: usize) -> BoxFuture<'_, Result<Vec<User>, Error>> {
        let list = move |connection: &mut Blocking| {
            // Every id comes after the empty one.
            let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
            connection
                .prepare_cached(&format!("{USER} WHERE id > ?1 ORDER BY id LIMIT ?2"))?
                .query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], user)?
                .collect()
        };
        self.call(list).boxed()
    }

    fn touch(&self, id: UserId, now: SystemTime) -> BoxFuture<'_, Result<(), Error>> {
        let touch = move |connection: &mut Blocking| {
            let sql = "UPDATE users SET last_seen = max(last_seen, ?2) WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![id.as_bytes(), millis(now)])
        };
        self.call(touch).map(|touched| if touched? == 1 { Ok(()) } else { Err(Error::NoSuchUser) }).boxed()
    }

    fn remember_device(&self, id: UserId, device: Device) -> BoxFuture<'_, Result<(), Error>> {
        let remember = move |connection: &mut Blocking| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO devices VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (user, id)
                 DO UPDATE SET name = ?3, platform = ?4, last_seen = ?5",
                params![id.as_bytes(), device.id, device.name, device.platform, millis(device.last_seen)],
            )?;
            transaction.execute(
                "DELETE FROM devices WHERE user = ?1 AND id NOT IN
                 (SELECT id FROM devices WHERE user = ?1 ORDER BY last_seen DESC LIMIT ?2)",
                params![id.as_bytes(), MAX_DEVICES as i64],
            )?;
            let seen = "UPDATE users SET last_seen = max(last_seen, ?2) WHERE id = ?1";
            transaction.execute(seen, params![id.as_bytes(), millis(device.last_seen)])?;
            transaction.commit()
        };
        self.call(remember).boxed()
    }

    fn devices(&self, id: UserId) -> BoxFuture<'_, Result<Vec<Device>, Error>> {
        let list = move |connection: &mut Blocking| {
            let sql = "SELECT id, name, platform, last_seen FROM devices WHERE user = ?1 ORDER BY last_seen DESC";
            let mut statement = connection.prepare_cached(sql)?;
            statement
                .query_map([id.as_bytes()], |row| {
                    let (id, name, platform) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(Device { id, name, platform, last_seen: time(row.get(3)?) })
                })?
                .collect()
        };
        self.call(list).boxed()
    }

    fn replace_password_hash(&self, id: UserId, old: &str, new: String) -> BoxFuture<'_, Result<bool, Error>> {
        let old = old.to_owned();
        let replace = move |connection: &mut Blocking| {
            let sql = "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
            connection.prepare_cached(sql)?.execute(params![id.as_bytes(), old, new])
        };
        self.call(replace).map(|replaced| Ok(replaced? == 1)).boxed()
    }

    fn import_users(&self, users: Vec<User>, keep: bool) -> BoxFuture<'_, Result<Vec<(usize, Error)>, Error>> {
        let import = move |connection: &mut Blocking| {
            // Undone when it is dropped.
            let transaction = connection.transaction()?;
            let mut clashes = Vec::new();
            for (place, user) in users.iter().enumerate() {
                match insert(&transaction, user).map_err(refined) {
                    Ok(()) => {}
                    Err(Error::Unavailable(error)) => return Ok(Err(Error::Unavailable(error))),
                    Err(clash) => clashes.push((place, clash)),
                }
            }
            if keep && clashes.is_empty() {
                transaction.commit()?;
            }
            Ok(Ok(clashes))
        };
        self.call(import).map(|outcome| outcome?).boxed()
    }

    fn unseen(&self, before: SystemTime, limit: usize) -> BoxFuture<'_, Result<Vec<UserId>, Error>> {
        let list = move |connection: &mut Blocking| {
            let sql = "SELECT id FROM users WHERE last_seen < ?1 ORDER BY last_seen LIMIT ?2";
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            connection
                .prepare_cached(sql)?
                .query_map(params![millis(before), limit], |row| Ok(UserId::from_bytes(row.get(0)?)))?
                .collect()
        };
        self.call(list).boxed()
    }

    fn count_unseen(&self, before: SystemTime) -> BoxFuture<'_, Result<u64, Error>> {
        let count = move |connection: &mut Blocking| {
            let sql = "SELECT count(*) FROM users WHERE last_seen < ?1";
            connection.query_row(sql, [millis(before)], |row| row.get::<_, i64>(0))
        };
        self.call(count).map(|count| count.map(i64::cast_unsigned)).boxed()
    }

    fn forget_unseen(&self, people: Vec<UserId>, before: SystemTime) -> BoxFuture<'_, Result<u64, Error>> {
        let forget = move |connection: &mut Blocking| {
            let transaction = connection.transaction()?;
            let mut forgotten = 0;
            for id in people {
                forgotten += transaction
                    .prepare_cached("DELETE FROM users WHERE id = ?1 AND last_seen < ?2")?
                    .execute(params![id.as_bytes(), millis(before)])?;
            }
            transaction.commit()?;
            Ok(forgotten as u64)
        };
        self.call(forget).boxed()
    }

    fn delete_user(&self, id: UserId) -> BoxFuture<'_, Result<bool, Error>> {
        let delete =
            move |connection: &mut Blocking| connection.execute("DELETE FROM users WHERE id = ?1", [id.as_bytes()]);
        self.call(delete).map(|deleted| Ok(deleted? == 1)).boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.call(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).boxed()
    }
}

fn insert(connection: &Blocking, user: &User) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            user.id.as_bytes(),
            user.username,
            folded(&user.username),
            user.email,
            folded(&user.email),
            user.password_hash,
            millis(user.created_at),
            millis(user.last_seen),
        ])
        .map(drop)
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId::from_bytes(row.get(0)?),
        username: row.get(1)?,
        email: row.get(2)?,
        password_hash: row.get(3)?,
        created_at: time(row.get(4)?),
        last_seen: time(row.get(5)?),
    })
}

/// A broken constraint says which rule it was; anything else is the store's own trouble.
fn refined(error: rusqlite::Error) -> Error {
    if let rusqlite::Error::SqliteFailure(failure, Some(message)) = &error {
        match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE if message.contains("username_folded") => return Error::UsernameTaken,
            ffi::SQLITE_CONSTRAINT_UNIQUE if message.contains("email_folded") => return Error::EmailTaken,
            ffi::SQLITE_CONSTRAINT_PRIMARYKEY if message.contains("users.id") => return Error::IdTaken,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Error::NoSuchUser,
            _ => {}
        }
    }
    Error::Unavailable(error.into())
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(i64::MAX)
}

fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn it_conforms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/duologue.sqlite");
        let store = Arc::new(Sqlite::open(&path).await.unwrap());
        let kept = conformance::run(store).await;
        let reopened = Sqlite::open(&path).await.unwrap();
        assert_eq!(reopened.user(kept.id).await.unwrap(), Some(kept), "kept from start to start");
    }

    #[tokio::test]
    async fn its_files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("duologue.sqlite");
        let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        let store = Sqlite::open(&path).await.unwrap();
        for name in ["duologue.sqlite", "duologue.sqlite-wal", "duologue.sqlite-shm"] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
        drop(store);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        Sqlite::open(&path).await.unwrap();
        assert_eq!(mode("duologue.sqlite"), 0o640, "as its owner has it");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("duologue.sqlite");
        std::fs::write(&path, "this is no database, however long one looks at it").unwrap();
        assert!(matches!(Sqlite::open(&path).await, Err(Error::Unavailable(_))));
    }
}
