//! The settings as they are written, unchecked. Each key of the file is also a variable:
//! `listen.https` is `DUOLOGUE_LISTEN_HTTPS`. The original API's own names are mapped onto keys.

use serde::Deserialize;
use toml::{Table, Value};

use super::Error;

/// What the names of our variables begin with.
const PREFIX: &str = "DUOLOGUE_";

/// Declares a section whose every key is optional, and the list of their names.
macro_rules! section {
    ($section:ident { $($key:ident: $type:ty),* $(,)? }) => {
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $section { $(pub(super) $key: Option<$type>,)* }
        impl $section { const KEYS: &[&str] = &[$(stringify!($key)),*]; }
    };
}

section!(Server { environment: String, data: String });
section!(Listen { http: String, https: String, quic: String });
section!(Public { host: String, https_port: u16, quic_port: u16, stats_token: String });
section!(Tls { certificate: String, key: String, folder: String });
section!(Origins { allow: Vec<String>, allow_absent: bool, });
section!(Auth { jwt_secret: String, token_life: String, guests: bool, guest_life: String });
section!(Session {
    hello_timeout_ms: u64,
    resume_window_ms: u64,
    outbox_bytes: u64,
    per_user: u64,
    ping_talking_ms: u64,
    dead_talking_ms: u64,
    ping_idle_ms: u64,
    dead_idle_ms: u64,
    write_timeout_ms: u64,
    drain_ms: u64,
});
section!(Limits {
    events_per_minute: u32,
    matches_per_minute: u32,
    typing_per_minute: u32,
    candidates_per_minute: u32,
    signals_per_minute: u32,
    uploads_per_hour: u32,
    handshakes_per_minute: u32,
    auth_per_quarter_hour: u32,
    requests_per_quarter_hour: u32,
    trusted_proxies: Vec<String>,
    max_sessions: u64,
    max_parked: u64,
    parked_bytes: u64
});
section!(Matching { wider_after_ms: u64, anyone_after_ms: u64, avoid_last: u64 });
section!(Files {
    max_bytes: u64,
    max_voice_seconds: u64,
    types: Vec<String>,
    at_once: u64,
    offer_ms: u64,
    stall_ms: u64,
    buffer_bytes: u64,
});
section!(Calls {
    stun: Vec<String>,
    turn: Vec<String>,
    turn_secret: String,
    turn_life: String,
    relay_only: bool,
    relay_networks: Vec<String>,
    ring_ms: u64,
});
section!(Cluster { redis: String, prefix: String, listen: String, advertise: String });
section!(Place { database: String, show: String });
section!(Store { mongodb: String, forget_after_days: u64 });
section!(Log { level: String, folder: String, file_level: String, max_bytes: u64, keep: u32 });

macro_rules! raw {
    ($($name:ident: $section:ident,)*) => {
        /// All sections.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct Raw { $(pub(super) $name: $section,)* }

        /// Every key there is.
        const KEYS: &[(&str, &[&str])] = &[$((stringify!($name), $section::KEYS)),*];
    };
}

raw! {
    server: Server, listen: Listen, public: Public, tls: Tls, origins: Origins, auth: Auth, store: Store,
    session: Session, limits: Limits, matching: Matching, files: Files, calls: Calls, cluster: Cluster, place: Place,
    log: Log,
}

/// What a name of the original's settings means here.
enum Older {
    /// The same as a key.
    Key(&'static str, &'static str),
    /// The port of `listen.http`, and not its address.
    Port,
}

fn older(name: &str) -> Option<Older> {
    Some(match name {
        "NODE_ENV" => Older::Key("server", "environment"),
        "CORS_ORIGIN" => Older::Key("origins", "allow"),
        "JWT_SECRET" => Older::Key("auth", "jwt_secret"),
        "JWT_EXPIRES_IN" => Older::Key("auth", "token_life"),
        "MAX_FILE_SIZE" => Older::Key("files", "max_bytes"),
        "MAX_VOICE_DURATION" => Older::Key("files", "max_voice_seconds"),
        "REDIS_URL" => Older::Key("cluster", "redis"),
        "PORT" => Older::Port,
        "MONGODB_URI" => Older::Key("store", "mongodb"),
        _ => return None,
    })
}

/// Whether the original has a setting of this name, too.
pub(super) fn is_older(name: &str) -> bool {
    older(name).is_some()
}

/// Whether a variable of this name is meant for us.
pub(super) fn is_ours(name: &str) -> bool {
    is_older(name) || name.starts_with(PREFIX)
}

/// The file's settings with variables laid over them.
#[derive(Default)]
pub(super) struct Layers {
    table: Table,
    /// What `PORT` says, unless a layer above it has `listen.http`.
    pub(super) port: Option<u16>,
}

impl Layers {
    /// Begins with the text of a file.
    pub(super) fn of_file(text: &str) -> Result<Self, toml::de::Error> {
        // Read as settings too, for an error that shows the line.
        toml::from_str::<Raw>(text)?;
        Ok(Self { table: toml::from_str(text)?, ..Self::default() })
    }

    /// All layers as one.
    pub(super) fn read(self) -> Raw {
        Raw::deserialize(self.table).expect("the file and each variable were read before")
    }

    /// Lays the variables of one place over what is there; those that are none of ours are passed over.
    ///
    /// How they are sorted means nothing: an environment has no order. A key's own name wins over its
    /// older one, and `PORT` over the port in the same place. Of one name the last counts.
    pub(super) fn lay(&mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), Error> {
        let mut own = Vec::new();
        let mut port = None;
        for (name, value) in variables {
            match older(&name) {
                Some(Older::Key(section, key)) => self.put(&name, section, key, &value)?,
                Some(Older::Port) => {
                    let number = value.parse::<u16>();
                    port = Some(number.map_err(|_| Error::value(&name, value, "a port is a number from 0 to 65535"))?);
                }
                None => own.push((name, value)),
            }
        }
        for (name, value) in own {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let (section, key) = known(&rest.to_lowercase()).ok_or_else(|| Error::UnknownVariable(name.clone()))?;
            self.put(&name, section, key, &value)?;
            if (section, key) == ("listen", "http") {
                self.port = None;
            }
        }
        self.port = port.or(self.port);
        Ok(())
    }

    /// Reads one value as its key wants it, by way of the same rules as the file's.
    fn put(&mut self, name: &str, section: &'static str, key: &'static str, value: &str) -> Result<(), Error> {
        let list =
            || Value::Array(value.split(',').map(str::trim).filter(|it| !it.is_empty()).map(Value::from).collect());
        let candidates = [
            Some(Value::String(value.to_owned())),
            value.parse().ok().map(Value::Integer),
            value.parse().ok().map(Value::Boolean),
            Some(list()),
        ];
        for candidate in candidates.into_iter().flatten() {
            let table = Table::from_iter([(key.to_owned(), candidate.clone())]);
            let alone = Table::from_iter([(section.to_owned(), Value::Table(table))]);
            if Raw::deserialize(alone).is_ok() {
                let table = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                table.as_table_mut().expect("sections are tables").insert(key.to_owned(), candidate);
                return Ok(());
            }
        }
        Err(Error::value(name, value, format!("not a value for {section}.{key}; see config/duologue.toml")))
    }
}

/// `listen_https` -> `("listen", "https")`, if there is such a key.
fn known(name: &str) -> Option<(&'static str, &'static str)> {
    KEYS.iter().find_map(|(section, keys)| {
        let key = name.strip_prefix(section)?.strip_prefix('_')?;
        keys.iter().find(|known| **known == key).map(|key| (*section, *key))
    })
}
