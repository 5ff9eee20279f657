//! Opening: the connection, what documents of another backend lack, and the indexes.

use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::{ClientOptions, ConnectionString, IndexOptions};
use mongodb::{Client, Collection, Database, IndexModel};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::document::{EMAIL_KEY, LAST_SEEN, USERNAME_KEY, lacking};
use super::is_duplicate;
use crate::config;
use crate::store::OpenError;

/// Where the original keeps its users, and so do we.
const COLLECTION: &str = "users";
/// Longest that the driver looks for a server. Below the deadline of a call, so that it says what is wrong.
const SELECTION: Duration = Duration::from_millis(400);
/// Longest that a connection takes to be made, TLS included. It may be over the deadline of a call: the
/// driver makes it beside the call, and the next one has it.
const CONNECT: Duration = Duration::from_secs(2);
/// How often the driver looks whether its servers are well, unless a call asks before.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Time between two tries at the start.
const AGAIN: Duration = Duration::from_millis(500);
/// Longest that one step of the preparation takes.
const STEP: Duration = Duration::from_secs(30);
/// The same of an index: that of many million users takes minutes.
const INDEX: Duration = Duration::from_secs(1_800);
/// Documents that are read at once.
const PAGE: i64 = 500;
/// Documents of a page that are written side by side: as many as the driver has connections.
const WRITERS: usize = 10;
/// Accounts that clash and are told.
const MOST_TOLD: i64 = 20;

/// What the driver thinks of a URI, without asking anybody.
pub(in crate::store) fn check(settings: &config::Mongo) -> Result<(), OpenError> {
    parsed(settings).map(drop)
}

fn parsed(settings: &config::Mongo) -> Result<ConnectionString, OpenError> {
    ConnectionString::parse(settings.uri()).map_err(|error| refused(settings, &error))
}

/// The driver's words, unless they quote what is secret.
fn refused(settings: &config::Mongo, error: &DriverError) -> OpenError {
    let said = error.kind.to_string();
    let quotes = settings.password().is_some_and(|password| !password.is_empty() && said.contains(password));
    OpenError::Uri(if quotes { "the password in it must be percent-encoded".to_owned() } else { said })
}

/// Connects, waits for an answer as long as `patience` has it, and makes the collection ready.
pub(super) async fn open(
    settings: &config::Mongo,
    patience: Duration,
) -> Result<(Database, Collection<Document>), OpenError> {
    let until = Instant::now() + patience;
    // With mongodb+srv the names of the servers come from DNS.
    let parsing = timeout(patience, ClientOptions::parse(parsed(settings)?)).await;
    let away = |why: String| OpenError::Away { place: settings.place().to_owned(), why };
    let mut options = match parsing {
        Ok(Ok(options)) => options,
        Ok(Err(error)) => match *error.kind {
            ErrorKind::DnsResolve { .. } => return Err(away(error.kind.to_string())),
            _ => return Err(refused(settings, &error)),
        },
        Err(_) => return Err(away("its name is not resolved in time".to_owned())),
    };
    options.server_selection_timeout = Some(SELECTION);
    options.connect_timeout = Some(CONNECT);
    options.heartbeat_freq.get_or_insert(HEARTBEAT);
    options.app_name.get_or_insert_with(|| "duologue".to_owned());
    let client = Client::with_options(options).map_err(|error| refused(settings, &error))?;
    let database = client.database(settings.database());
    wait_for(&database, settings.place(), until).await.map_err(away)?;
    let users = database.collection(COLLECTION);
    Preparation { users: &users, place: settings.place() }.run().await?;
    Ok((database, users))
}

async fn wait_for(database: &Database, place: &str, until: Instant) -> Result<(), String> {
    let mut told = false;
    loop {
        let why = match timeout(CONNECT + SELECTION, database.run_command(doc! { "ping": 1 })).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => {
                let why = error.kind.to_string();
                // Waiting makes a password no better.
                if matches!(*error.kind, ErrorKind::Authentication { .. }) {
                    return Err(why);
                }
                why
            }
            Err(_) => "no answer in time".to_owned(),
        };
        let now = Instant::now();
        if now >= until {
            return Err(why);
        }
        if !told {
            let seconds = (until - now).as_secs() + 1;
            warn!(place, seconds, why, "MongoDB does not answer yet; it is waited for");
            told = true;
        }
        sleep(AGAIN).await;
    }
}

struct Preparation<'a> {
    users: &'a Collection<Document>,
    place: &'a str,
}

impl Preparation<'_> {
    async fn run(&self) -> Result<(), OpenError> {
        self.fold().await?;
        // A document that has not our keys yet (another backend made it meanwhile) is not in these indexes.
        let unique = IndexOptions::builder().unique(true).sparse(true);
        for (key, what, name) in
            [(EMAIL_KEY, "email address", "duologue_email"), (USERNAME_KEY, "username", "duologue_username")]
        {
            let options = unique.clone().name(name.to_owned()).build();
            let index = IndexModel::builder().keys(doc! { key: 1 }).options(options).build();
            if let Err(error) = within(INDEX, self.users.create_index(index)).await {
                // Servers do not agree on the code of this, so it is looked for.
                self.told_apart(key, what).await?;
                return Err(self.failed(error));
            }
        }
        // For those who were not here for long.
        let options = IndexOptions::builder().name("duologue_last_seen".to_owned()).build();
        let index = IndexModel::builder().keys(doc! { LAST_SEEN: 1 }).options(options).build();
        within(INDEX, self.users.create_index(index)).await.map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Gives the keys to documents that have none, a page at a time. May be cut and begun again anywhere.
    async fn fold(&self) -> Result<(), OpenError> {
        let (now, mut after, mut folded, mut passed_over) =
            (SystemTime::now(), ObjectId::from_bytes([0; 12]), 0_u64, 0_u64);
        let mut clash = None;
        loop {
            // Ids of other types do not compare with this one: they are no users of ours.
            let lack = doc! { EMAIL_KEY: { "$exists": false }, "_id": { "$gt": after } };
            let page = async { self.users.find(lack).sort(doc! { "_id": 1 }).limit(PAGE).await?.try_collect().await };
            let page: Vec<Document> = within(STEP, page).await.map_err(|error| self.failed(error))?;
            let Some(last) = page.last().and_then(|last| last.get_object_id("_id").ok()) else { break };
            after = last;
            let mut writing =
                stream::iter(page).map(|document| self.give_keys(document, now)).buffer_unordered(WRITERS);
            while let Some(given) = writing.next().await {
                match given.map_err(|error| self.failed(error))? {
                    Given::Keys => folded += 1,
                    Given::Nothing => passed_over += 1,
                    Given::Clashed(document) => clash = clash.or(Some(document)),
                }
            }
        }
        if folded > 0 {
            info!(folded, place = self.place, "users of another backend can be found without regard to case now");
        }
        if passed_over > 0 {
            warn!(passed_over, place = self.place, "documents without username or email are no users here; they stay");
        }
        match clash {
            Some(document) => Err(self.clashes(&document).await?),
            None => Ok(()),
        }
    }

    async fn give_keys(&self, document: Document, now: SystemTime) -> Result<Given, DriverError> {
        let Some(set) = lacking(&document, now) else { return Ok(Given::Nothing) };
        let (Some(id), Some(email)) = (document.get("_id"), document.get("email")) else { return Ok(Given::Nothing) };
        // Unless it was changed or folded meanwhile.
        let filter = doc! { "_id": id, "email": email, EMAIL_KEY: { "$exists": false } };
        match within(STEP, self.users.update_one(filter, doc! { "$set": set })).await {
            Ok(_) => Ok(Given::Keys),
            Err(error) if is_duplicate(&error) => Ok(Given::Clashed(document)),
            Err(error) => Err(error),
        }
    }

    /// Who has the key already that this document should get.
    async fn clashes(&self, document: &Document) -> Result<OpenError, OpenError> {
        let keys = lacking(document, SystemTime::UNIX_EPOCH).unwrap_or_default();
        for (key, what) in [(EMAIL_KEY, "email address"), (USERNAME_KEY, "username")] {
            let Some(value) = keys.get(key) else { continue };
            let other =
                within(STEP, self.users.find_one(doc! { key: value })).await.map_err(|error| self.failed(error))?;
            if let Some(other) = other {
                let ids = [document, &other].map(|one| one.get_object_id("_id").unwrap_or_default());
                return Ok(self.clashing(what, vec![ids.to_vec()]));
            }
        }
        Ok(OpenError::Away { place: self.place.to_owned(), why: "two users clashed a moment ago".to_owned() })
    }

    /// Fails if some documents have the same key, and takes their keys from them: once they were mended, the
    /// next start makes them anew.
    async fn told_apart(&self, key: &str, what: &'static str) -> Result<(), OpenError> {
        let twice = [
            doc! { "$match": { key: { "$exists": true } } },
            doc! { "$group": { "_id": format!("${key}"), "count": { "$sum": 1 } } },
            doc! { "$match": { "count": { "$gt": 1 } } },
            doc! { "$limit": MOST_TOLD },
        ];
        let list = async { self.users.aggregate(twice).allow_disk_use(true).await?.try_collect().await };
        let twice: Vec<Document> = within(INDEX, list).await.map_err(|error| self.failed(error))?;
        let mut groups = Vec::new();
        for value in twice.iter().filter_map(|group| group.get("_id")) {
            let same = doc! { key: value };
            let list = async { self.users.find(same).limit(MOST_TOLD).await?.try_collect().await };
            let same: Vec<Document> = within(STEP, list).await.map_err(|error| self.failed(error))?;
            groups.push(same.iter().filter_map(|one| one.get_object_id("_id").ok()).collect::<Vec<_>>());
        }
        if groups.is_empty() {
            return Ok(());
        }
        let ids: Vec<Bson> = groups.iter().flatten().map(|id| Bson::ObjectId(*id)).collect();
        let unset = doc! { "$unset": { USERNAME_KEY: "", EMAIL_KEY: "" } };
        let unsetting = self.users.update_many(doc! { "_id": { "$in": ids } }, unset);
        within(STEP, unsetting).await.map_err(|error| self.failed(error))?;
        Err(self.clashing(what, groups))
    }

    fn clashing(&self, what: &'static str, groups: Vec<Vec<ObjectId>>) -> OpenError {
        let group = |ids: &Vec<ObjectId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let ids = groups.iter().map(group).collect::<Vec<_>>().join("; ");
        OpenError::Clashing { place: self.place.to_owned(), what, ids }
    }

    fn failed(&self, error: DriverError) -> OpenError {
        OpenError::Away { place: self.place.to_owned(), why: error.kind.to_string() }
    }
}

/// What became of a document that had no keys.
enum Given {
    Keys,
    /// It holds no account.
    Nothing,
    /// Someone has one of them.
    Clashed(Document),
}

async fn within<T>(
    deadline: Duration,
    step: impl IntoFuture<Output = Result<T, DriverError>>,
) -> Result<T, DriverError> {
    timeout(deadline, step.into_future()).await.unwrap_or_else(|_| Err(DriverError::custom("no answer in time")))
}
