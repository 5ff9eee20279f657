//! The settings as the rest of the crate sees them: checked, typed, with their units.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{Calls, Cluster, Mongo, Networks};
use crate::media::Types;

/// Every setting of one process.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is forgiven and what is not.
    pub environment: Environment,
    /// The folder for what must outlive the process.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: Listen,
    /// How clients reach this server, where that differs.
    pub public: Public,
    /// Certificates.
    pub tls: Tls,
    /// Whose pages may connect.
    pub origins: Origins,
    /// Tokens.
    pub auth: Auth,
    /// Where accounts are kept.
    pub store: Store,
    /// Accounts not seen for so long are deleted; `None`: never.
    pub forget_after: Option<Duration>,
    /// Deadlines and sizes of a session.
    pub session: Session,
    /// Rates.
    pub limits: Limits,
    /// Patience of the matcher.
    pub matching: Matching,
    /// Files and voice notes.
    pub files: Files,
    /// Audio and video calls.
    pub calls: Calls,
    /// How this node is one of several; `None`: it is alone.
    pub cluster: Option<Cluster>,
    /// Where people are.
    pub place: Place,
    /// Logging.
    pub log: Log,
    /// What a person should know, though it keeps nothing from starting.
    pub warnings: Vec<String>,
}

/// Development forgives; production does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Secrets and certificates are made at first start; pages of this machine may connect.
    Development,
    /// Nothing is made up.
    Production,
}

/// Where to listen; `None`: not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Plain HTTP.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// QUIC (UDP).
    pub quic: Option<SocketAddr>,
}

/// How clients reach this server, where that differs from where it listens.
#[derive(Debug, Clone, Default)]
pub struct Public {
    /// The name in addresses that clients are given.
    pub host: Option<String>,
    /// TCP port of HTTPS as clients see it.
    pub https_port: Option<u16>,
    /// UDP port as clients see it.
    pub quic_port: Option<u16>,
    /// Who shows this may read `/api/socket/stats` in production.
    pub stats_token: Option<Secret>,
}

impl Public {
    /// The name as URLs write it: an address of IPv6 in brackets (RFC 3986 section 3.2.2).
    pub fn name(&self) -> Option<String> {
        let host = self.host.as_ref()?;
        Some(match host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => host.clone(),
        })
    }

    /// The same with the port of HTTPS, unless that goes without saying.
    pub fn authority(&self) -> Option<String> {
        let name = self.name()?;
        Some(match self.https_port {
            None | Some(443) => name,
            Some(port) => format!("{name}:{port}"),
        })
    }
}

/// Certificates.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM chain and key; `None`: a development certificate is made.
    pub own: Option<(PathBuf, PathBuf)>,
    /// The folder of the development certificate.
    pub folder: PathBuf,
}

/// Whose pages may connect and call.
#[derive(Debug, Clone)]
pub struct Origins {
    pub(super) allow: Vec<String>,
    /// Any page at all (`*`, development only).
    pub(super) any: bool,
    /// Pages served from this machine, whatever their port (development).
    pub(super) local: bool,
    pub(super) absent: bool,
}

impl Origins {
    /// Whether a request that names this origin (RFC 6454), or none, may come in.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else { return self.absent };
        self.any || self.allow.iter().any(|allowed| allowed == origin) || (self.local && is_local(origin))
    }
}

fn is_local(origin: &str) -> bool {
    let Some(host) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Tokens.
#[derive(Debug, Clone)]
pub struct Auth {
    /// What tokens are signed with (HMAC-SHA-256).
    pub secret: Secret,
    /// Life of an account's token.
    pub token_life: Duration,
    /// Whether anyone may come in as a guest.
    pub guests: bool,
    /// Life of a guest's token, and so of the guest.
    pub guest_life: Duration,
}

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) Vec<u8>);

impl Secret {
    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where accounts are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In one file, by this process alone.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// In a database that other processes may use too.
    Mongo(Mongo),
}

/// Deadlines and sizes of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Time for the hello.
    pub hello_timeout: Duration,
    /// How long a session waits for its client after a lost link.
    pub resume_window: Duration,
    /// Most bytes kept for a client that does not read or acknowledge.
    pub outbox_bytes: usize,
    /// Most sessions of one person; one more ends the oldest.
    pub per_user: usize,
    /// Silence after which a link is pinged, and after which it is dead: in a conversation ...
    pub ping_talking: Duration,
    /// (dead)
    pub dead_talking: Duration,
    /// ... and outside of one.
    pub ping_idle: Duration,
    /// (dead)
    pub dead_idle: Duration,
    /// Longest one write to a link may take.
    pub write_timeout: Duration,
    /// Time for a shutdown.
    pub drain: Duration,
}

impl Default for Session {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            hello_timeout: ms(5_000),
            resume_window: ms(120_000),
            outbox_bytes: 1024 * 1024,
            per_user: 5,
            ping_talking: ms(2_000),
            dead_talking: ms(4_500),
            ping_idle: ms(12_000),
            dead_idle: ms(27_000),
            write_timeout: ms(10_000),
            drain: ms(8_000),
        }
    }
}

/// Rates and bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Events a minute of one session: messages, clears, leaves, ...
    pub events_per_minute: u32,
    /// Of them, looking for a partner.
    pub matches_per_minute: u32,
    /// Notices of typing and of presence a minute, counted apart.
    pub typing_per_minute: u32,
    /// ICE candidates a minute, counted apart.
    pub candidates_per_minute: u32,
    /// All else of calls a minute, counted apart: rings, answers, descriptions.
    pub signals_per_minute: u32,
    /// Files that one address may offer over HTTP in an hour.
    pub uploads_per_hour: u32,
    /// Connections of Socket.IO that one address may open in a minute.
    pub handshakes_per_minute: u32,
    /// Registrations, logins and guests that one address may ask for in 15 minutes.
    pub auth_per_quarter_hour: u32,
    /// Everything else below `/api` that one address may ask for in 15 minutes.
    pub requests_per_quarter_hour: u32,
    /// Proxies whose word is taken for the address that a request comes from.
    pub trusted_proxies: Networks,
    /// Sessions of this process in all.
    pub max_sessions: usize,
    /// Sessions that wait for their client after a lost link; one more ends the one that waited longest.
    pub max_parked: usize,
    /// Bytes kept for all of them together; a session whose mail does not fit is ended.
    pub parked_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events_per_minute: 100,
            matches_per_minute: 30,
            typing_per_minute: 240,
            candidates_per_minute: 300,
            signals_per_minute: 120,
            uploads_per_hour: 10,
            handshakes_per_minute: 600,
            auth_per_quarter_hour: 5,
            requests_per_quarter_hour: 100,
            trusted_proxies: Networks::default(),
            max_sessions: 100_000,
            max_parked: 20_000,
            parked_bytes: 256 * 1024 * 1024,
        }
    }
}

/// Patience of the matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    /// Waiting time after which interests and region need not be shared.
    pub wider_after: Duration,
    /// Waiting time after which anyone will do.
    pub anyone_after: Duration,
    /// How many last partners are not met again at once.
    pub avoid_last: usize,
}

impl Default for Matching {
    fn default() -> Self {
        Self { wider_after: Duration::from_secs(5), anyone_after: Duration::from_secs(15), avoid_last: 3 }
    }
}

/// Files and voice notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Largest file, bytes.
    pub max_bytes: u64,
    /// Longest voice note.
    pub max_voice: Duration,
    /// Types that may be sent.
    pub types: Types,
    /// How many one person may send at once.
    pub at_once: usize,
    /// How long an offer stands without an answer.
    pub offer: Duration,
    /// How long a transfer may stand still while both people have a link.
    pub stall: Duration,
    /// Bytes that all transfers of this process may keep together.
    pub buffer_bytes: usize,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            max_bytes: 10 * 1024 * 1024,
            max_voice: Duration::from_secs(300),
            types: Types::default(),
            at_once: 4,
            offer: Duration::from_secs(120),
            stall: Duration::from_secs(30),
            buffer_bytes: 256 * 1024 * 1024,
        }
    }
}

/// Where people are, on the map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The mmdb file that knows it; `None`: nobody knows.
    pub database: Option<PathBuf>,
    /// What a partner sees.
    pub show: ShowPlace,
}

/// What a partner sees of where someone is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShowPlace {
    /// Nothing.
    Nothing,
    /// The country.
    #[default]
    Country,
    /// The country and the city.
    City,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// What is said on stderr, as tracing's `Targets` reads it: `info`, or `info,duologue=debug`.
    pub level: String,
    /// Lines in files; `None`: none.
    pub files: Option<LogFiles>,
}

/// Lines in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFiles {
    /// The folder of `combined.log` and `error.log`.
    pub folder: PathBuf,
    /// What is said in `combined.log`, written as [`Log::level`].
    pub level: String,
    /// Size over which a file begins anew, bytes.
    pub max_bytes: u64,
    /// How many older ones of each are kept.
    pub keep: u32,
}
