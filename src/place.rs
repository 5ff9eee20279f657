//! Where in the world an address is: a country and perhaps a city, from a database on this machine.
//!
//! Owns: the mmdb file, read into memory once and again when it has changed. Nobody else is asked.
//! Addresses are looked at and not kept.
//!
//! Must not know: whose address it is.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use maxminddb::{Reader, geoip2};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{self, ShowPlace};
use crate::protocol::Place;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(10 * 60);
/// Longest name that is taken over, in bytes: what the file holds is not ours.
const MOST_NAME: usize = 128;

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
#[error(
    "place.database = {path}: {why}. Name an mmdb file such as GeoLite2-City.mmdb, or leave the key out",
    path = path.display()
)]
pub struct Error {
    path: PathBuf,
    why: maxminddb::MaxMindDbError,
}

/// The database, if there is one. Clones share it.
#[derive(Clone)]
pub struct Places {
    database: Option<Arc<Database>>,
    show: ShowPlace,
}

struct Database {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    reader: Arc<Reader<Vec<u8>>>,
    stamp: Stamp,
}

/// What differs when a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Places {
    /// Reads the configured file, where there is one.
    ///
    /// # Errors
    /// It cannot be read, or is no mmdb file.
    pub fn open(config: &config::Place) -> Result<Self, Error> {
        let database = match &config.database {
            None => None,
            Some(path) => {
                let loaded = load(path).map_err(|why| Error { path: path.clone(), why })?;
                Some(Arc::new(Database { path: path.clone(), loaded: Mutex::new(loaded) }))
            }
        };
        Ok(Self { database, show: config.show })
    }

    /// No database: everyone is nowhere.
    pub fn none() -> Self {
        Self { database: None, show: ShowPlace::default() }
    }

    /// Where an address is. `None`: not known, as for addresses of private networks, which no public
    /// database has.
    pub fn of(&self, address: IpAddr) -> Option<Place> {
        let reader = Arc::clone(&self.database.as_ref()?.loaded().reader);
        // An entry that cannot be read is as good as none.
        let found = reader.lookup(address).ok()?.decode::<geoip2::City<'_>>().ok()??;
        let country = found.country.iso_code.filter(|code| is_code(code))?;
        Some(Place {
            country: country.to_owned(),
            country_name: found.country.names.english.and_then(name),
            city: found.city.names.english.and_then(name),
        })
    }

    /// What a partner may see of a place.
    pub fn shown(&self, place: Option<&Place>) -> Option<Place> {
        let place = place?;
        match self.show {
            ShowPlace::Nothing => None,
            ShowPlace::Country => Some(Place { city: None, ..place.clone() }),
            ShowPlace::City => Some(place.clone()),
        }
    }

    /// Looks every ten minutes whether the file has changed, until `stop`. One that cannot be read
    /// leaves the one before in use.
    pub async fn keep_fresh(&self, stop: CancellationToken) {
        let Some(database) = self.database.clone() else { return };
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let database = Arc::clone(&database);
            // Reading takes a moment: such files have some 60 MB.
            let looked = tokio::task::spawn_blocking(move || database.refresh()).await;
            match looked {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => info!("the database of places was read again"),
                Ok(Err(error)) => warn!(%error, "the database of places cannot be read again; the old one stays"),
                Err(error) => warn!(%error, "the database of places could not be looked at; the old one stays"),
            }
        }
    }
}

impl Database {
    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().expect("no code panics while it holds this lock")
    }

    /// Reads the file again if it has changed. True: it had.
    fn refresh(&self) -> Result<bool, maxminddb::MaxMindDbError> {
        let stamp = stamp(&self.path)?;
        if stamp == self.loaded().stamp {
            return Ok(false);
        }
        let newer = load(&self.path)?;
        *self.loaded() = newer;
        Ok(true)
    }
}

fn load(path: &Path) -> Result<Loaded, maxminddb::MaxMindDbError> {
    // Before the file: what changes while it is read is read again.
    let stamp = stamp(path)?;
    Ok(Loaded { reader: Arc::new(Reader::open_readfile(path)?), stamp })
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let about = fs::metadata(path)?;
    Ok(Stamp { modified: about.modified().ok(), bytes: about.len() })
}

fn is_code(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn name(name: &str) -> Option<String> {
    let fine = !name.is_empty() && name.len() <= MOST_NAME && !name.chars().any(char::is_control);
    fine.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/place/places.mmdb");

    fn places(show: ShowPlace) -> Places {
        Places::open(&config::Place { database: Some(FILE.into()), show }).unwrap()
    }

    fn at(places: &Places, address: &str) -> Option<Place> {
        places.of(address.parse().unwrap())
    }

    fn place(country: &str, country_name: Option<&str>, city: Option<&str>) -> Option<Place> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Place { country: country.to_owned(), country_name: owned(country_name), city: owned(city) })
    }

    #[test]
    fn an_address_is_somewhere_or_nowhere() {
        let places = places(ShowPlace::City);
        assert_eq!(at(&places, "198.51.100.7"), place("DE", Some("Germany"), Some("Görlitz")));
        assert_eq!(at(&places, "2001:db8:7::1"), place("NO", Some("Norway"), Some("Bodø")));
        assert_eq!(at(&places, "203.0.113.200"), place("JP", Some("Japan"), None), "a country alone");
        assert_eq!(at(&places, "203.0.113.1"), place("FR", None, None), "a code alone");
        assert_eq!(at(&places, "192.0.2.1"), None, "an entry without a country");
        assert_eq!(at(&places, "192.0.2.200"), None, "an entry of another shape");
        for nowhere in ["10.0.0.1", "192.168.1.1", "::1", "fe80::1", "fd00::1", "8.8.8.8"] {
            assert_eq!(at(&places, nowhere), None, "{nowhere}");
        }
        assert_eq!(at(&Places::none(), "198.51.100.7"), None);
    }

    #[test]
    fn a_partner_sees_what_is_allowed() {
        let whole = at(&places(ShowPlace::City), "198.51.100.7");
        let seen = |show| places(show).shown(whole.as_ref());
        assert_eq!(seen(ShowPlace::City), whole);
        assert_eq!(seen(ShowPlace::Country), place("DE", Some("Germany"), None));
        assert_eq!(seen(ShowPlace::Nothing), None);
        assert_eq!(places(ShowPlace::City).shown(None), None);
    }

    #[test]
    fn a_file_that_is_none_is_named_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken.mmdb");
        fs::write(&broken, "no map of the world").unwrap();
        for path in [broken, folder.path().join("absent.mmdb")] {
            let config = config::Place { database: Some(path.clone()), show: ShowPlace::Country };
            let error = Places::open(&config).err().unwrap().to_string();
            for part in ["place.database", path.to_str().unwrap(), "GeoLite2-City.mmdb", "leave the key out"] {
                assert!(error.contains(part), "{error:?} does not say {part:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_is_read_again_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("places.mmdb");
        fs::copy(FILE, &path).unwrap();
        let places = Places::open(&config::Place { database: Some(path.clone()), show: ShowPlace::City }).unwrap();
        let database = places.database.clone().unwrap();
        assert!(!database.refresh().unwrap(), "nothing has changed");
        fs::write(&path, "half a file").unwrap();
        assert!(database.refresh().is_err());
        assert!(at(&places, "198.51.100.7").is_some(), "the one before stays in use");
        fs::copy(FILE, &path).unwrap();
        // Clocks of file systems are coarse.
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        // The keeper finds it by itself, and stops when asked to.
        let stop = CancellationToken::new();
        let before = Arc::clone(&database.loaded().reader);
        let renewed = async {
            while Arc::ptr_eq(&before, &database.loaded().reader) {
                tokio::time::sleep(LOOK).await;
            }
            stop.cancel();
        };
        tokio::join!(places.keep_fresh(stop.clone()), renewed);
    }
}
