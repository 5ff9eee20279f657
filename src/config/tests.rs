//! What the settings promise: the shipped file changes nothing, an error names key and remedy,
//! production forgives nothing, secrets are not shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Config, Environment, Error, Store, lay, load, with_env_file};

const SECRET: &str = "correct-horse-battery-staple-0123456789";

/// A folder of its own for each test, so that no test finds another's secret.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn load(&self, file: Option<&Path>, variables: &[(&str, &str)]) -> Result<Config, Error> {
        let data = self.0.path().join("data").display().to_string();
        let own = [("DUOLOGUE_SERVER_DATA".to_owned(), data)];
        let more = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(file, own.into_iter().chain(more))
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn with(variables: &[(&str, &str)]) -> Result<Config, Error> {
    Home::new().load(None, variables)
}

/// What production needs at least, and more.
fn production(more: &[(&str, &str)]) -> Result<Config, Error> {
    let needed = [
        ("NODE_ENV", "production"),
        ("JWT_SECRET", SECRET),
        ("DUOLOGUE_TLS_CERTIFICATE", "a"),
        ("DUOLOGUE_TLS_KEY", "b"),
    ];
    with(&[&needed[..], more].concat())
}

fn assert_says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn the_shipped_file_says_what_holds_without_it() {
    let home = Home::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/duologue.toml");
    let with_file = home.load(Some(&shipped), &[]).unwrap();
    let without = home.load(None, &[]).unwrap();
    assert_eq!(format!("{with_file:#?}"), format!("{without:#?}"));
    assert!(without.warnings.is_empty());
}

#[test]
fn the_shipped_file_names_every_key() {
    let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/duologue.toml")).unwrap();
    // `section!(Listen { http: String, ... });` declares the keys of [listen].
    let declared = include_str!("raw.rs").split("\nsection!(").skip(1).map(|rest| rest.split(");").next().unwrap());
    let mut keys = 0;
    for (section, fields) in declared.map(|text| text.split_once(" {").unwrap()) {
        let heading = format!("\n[{}]\n", section.to_lowercase());
        let (_, rest) = shipped.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
        let text = rest.split("\n[").next().unwrap();
        for key in fields.split(',').filter_map(|field| Some(field.split_once(':')?.0.trim())) {
            let shown = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
            assert!(text.lines().any(shown), "config/duologue.toml does not show {section}.{key}");
            keys += 1;
        }
    }
    assert!(keys > 30, "only {keys} keys were found in raw.rs");
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_place() {
    let home = Home::new();
    for (text, says) in [
        ("[server]\ndate = \"x\"", &["settings.toml", "line 2", "date", "data"][..]),
        ("[sever]\ndata = \"x\"", &["settings.toml", "line 1", "sever", "server"]),
        ("[session]\nper_user = \"five\"", &["settings.toml", "line 2", "per_user"]),
        ("[limits]\nevents_per_minute = -1", &["settings.toml", "line 2", "events_per_minute"]),
        ("[listen]\nhttp = 3001", &["settings.toml", "line 2", "http", "string"]),
        ("[listen\n", &["settings.toml", "line 1"]),
    ] {
        let path = home.file(text);
        assert_says(&home.load(Some(&path), &[]).unwrap_err(), says);
    }
    let missing = home.0.path().join("none.toml");
    assert_says(&home.load(Some(&missing), &[]).unwrap_err(), &["none.toml"]);
}

#[test]
fn a_value_that_makes_no_sense_is_named_with_its_remedy() {
    for (name, value, says) in [
        ("NODE_ENV", "prod", &["NODE_ENV", "prod", "development or production"][..]),
        ("PORT", "http", &["PORT", "http", "0 to 65535"]),
        ("PORT", "70000", &["PORT", "70000", "0 to 65535"]),
        ("DUOLOGUE_LISTEN_HTTPS", "localhost:443", &["listen.https", "localhost:443", "ADDRESS:PORT"]),
        ("DUOLOGUE_SESSION_PER_USER", "five", &["DUOLOGUE_SESSION_PER_USER", "five", "session.per_user"]),
        ("DUOLOGUE_SESSION_PER_USER", "0", &["session.per_user", "at least 1"]),
        ("DUOLOGUE_SESSION_OUTBOX_BYTES", "100", &["session.outbox_bytes", "100", "66560"]),
        ("DUOLOGUE_SESSION_DEAD_TALKING_MS", "2000", &["session.dead_talking_ms", "longer than the ping's 2000 ms"]),
        ("DUOLOGUE_SESSION_PING_IDLE_MS", "0", &["session.dead_idle_ms", "neither may be 0"]),
        ("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "0", &["limits.events_per_minute", "at least 1"]),
        ("DUOLOGUE_LIMITS_UPLOADS_PER_HOUR", "0", &["limits.uploads_per_hour", "at least 1"]),
        ("DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR", "0", &["limits.auth_per_quarter_hour", "at least 1"]),
        ("DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR", "0", &["limits.requests_per_quarter_hour", "at least 1"]),
        ("DUOLOGUE_LIMITS_TRUSTED_PROXIES", "10.0.0.1,all", &["limits.trusted_proxies", "all", "10.0.0.0/8"]),
        ("DUOLOGUE_LIMITS_MAX_SESSIONS", "0", &["limits.max_sessions", "at least 1"]),
        ("DUOLOGUE_MATCHING_ANYONE_AFTER_MS", "10", &["matching.anyone_after_ms", "wider_after_ms"]),
        ("DUOLOGUE_MATCHING_AVOID_LAST", "17", &["matching.avoid_last", "at most 16"]),
        ("DUOLOGUE_PLACE_SHOW", "street", &["place.show", "street", "country, city or nothing"]),
        ("DUOLOGUE_LOG_LEVEL", "duologue=loud", &["log.level", "duologue=loud", "debug"]),
        ("DUOLOGUE_LOG_FILE_LEVEL", "loud", &["log.file_level", "loud", "debug"]),
        ("DUOLOGUE_LOG_FOLDER", "", &["log.folder", "off"]),
        ("DUOLOGUE_LOG_MAX_BYTES", "1", &["log.max_bytes", "at least 65536"]),
        ("DUOLOGUE_LOG_KEEP", "101", &["log.keep", "101", "at most 100"]),
        ("DUOLOGUE_STORE_MONGODB", "db:27017", &["store.mongodb (MONGODB_URI) = (not shown)", "mongodb://HOST"]),
        ("MONGODB_URI", "mongodb://a:b/c@db/chat", &["store.mongodb (MONGODB_URI)", "percent-encoded"]),
        ("DUOLOGUE_STORE_FORGET_AFTER_DAYS", "0", &["store.forget_after_days", "1 to 36500"]),
        ("DUOLOGUE_PUBLIC_HOST", "https://chat.example", &["public.host", "without scheme"]),
        ("DUOLOGUE_TLS_KEY", "key.pem", &["tls.certificate", "must be too"]),
        ("DUOLOGUE_TLS_CERTIFICATE", "chain.pem", &["tls.key", "must be too"]),
        ("JWT_EXPIRES_IN", "7 weeks", &["JWT_EXPIRES_IN", "7 weeks", "7d"]),
        ("JWT_EXPIRES_IN", "0", &["JWT_EXPIRES_IN", "7d"]),
        ("JWT_EXPIRES_IN", "", &["JWT_EXPIRES_IN", "7d"]),
        ("JWT_EXPIRES_IN", "99999999999999999999d", &["JWT_EXPIRES_IN", "7d"]),
        ("CORS_ORIGIN", "https://chat.example/", &["CORS_ORIGIN", "https://chat.example/", "no slash"]),
        ("CORS_ORIGIN", "chat.example", &["CORS_ORIGIN", "chat.example", "scheme"]),
        ("MAX_FILE_SIZE", "10MB", &["MAX_FILE_SIZE", "10MB", "files.max_bytes"]),
        ("MAX_VOICE_DURATION", "-1", &["MAX_VOICE_DURATION", "files.max_voice_seconds"]),
        ("DUOLOGUE_CLUSTER_PREFIX", "two words", &["cluster.prefix", "two words", "letters, digits"]),
        ("DUOLOGUE_CLUSTER_LISTEN", "here", &["cluster.listen", "here", "10.0.0.7:7443"]),
        ("DUOLOGUE_CLUSTER_ADVERTISE", "10.0.0.7", &["cluster.advertise", "10.0.0.7", "HOST:PORT"]),
        ("DUOLOGUE_CLUSTER_ADVERTISE", "0.0.0.0:7443", &["cluster.advertise", "0.0.0.0:7443", "HOST:PORT"]),
        ("REDIS_URL", "localhost:6379", &["cluster.redis", "REDIS_URL", "14 bytes", "redis://HOST:PORT"]),
        ("REDIS_URL", "redis://localhost", &["JWT_SECRET", "not set", "cluster.redis", "openssl rand -hex 32"]),
        ("DUOLOGUE_AUTH_GUESTS", "maybe", &["DUOLOGUE_AUTH_GUESTS", "maybe", "auth.guests"]),
    ] {
        let error = with(&[(name, value)]).err().unwrap_or_else(|| panic!("{name}={value} was taken"));
        assert_says(&error, says);
    }
    let off = [("DUOLOGUE_LISTEN_HTTP", "off"), ("DUOLOGUE_LISTEN_HTTPS", "off")];
    assert_says(&with(&off).unwrap_err(), &["listen.http", "listen.https", "must be on"]);
}

#[test]
fn production_makes_nothing_up() {
    assert!(production(&[]).is_ok());
    let (environment, tls) =
        (("NODE_ENV", "production"), [("DUOLOGUE_TLS_CERTIFICATE", "a"), ("DUOLOGUE_TLS_KEY", "b")]);
    let error = with(&[environment, tls[0], tls[1]]).unwrap_err();
    assert_says(&error, &["JWT_SECRET", "not set", "openssl rand -hex 32"]);
    let error = production(&[("JWT_SECRET", "short")]).unwrap_err();
    assert_says(&error, &["JWT_SECRET", "5 bytes", "32 bytes", "openssl rand -hex 32"]);
    assert!(!error.to_string().contains("short"), "{error}");
    let no_certificate = [environment, ("JWT_SECRET", SECRET)];
    assert_says(&with(&no_certificate).unwrap_err(), &["tls.certificate", "tls.key", "listen.https", "off"]);
    let behind_a_proxy = [("DUOLOGUE_LISTEN_HTTPS", "off"), ("DUOLOGUE_LISTEN_QUIC", "off")];
    assert!(with(&[&no_certificate[..], &behind_a_proxy].concat()).is_ok());
    assert!(with(&[&no_certificate[..], &behind_a_proxy[..1]].concat()).is_err(), "QUIC needs one too");
    assert!(!production(&[]).unwrap().auth.guests, "guests come in when they are asked in");
    assert!(production(&[("DUOLOGUE_AUTH_GUESTS", "true")]).unwrap().auth.guests);
}

#[test]
fn development_keeps_the_secret_it_makes_and_warns_of_a_short_one() {
    let home = Home::new();
    let first = home.load(None, &[]).unwrap();
    assert_eq!(first.environment, Environment::Development);
    assert!(first.auth.secret.expose().len() >= 32);
    assert_eq!(first.auth.secret, home.load(None, &[]).unwrap().auth.secret, "kept from start to start");
    assert_ne!(first.auth.secret, with(&[]).unwrap().auth.secret, "each installation has its own");
    let short = home.load(None, &[("JWT_SECRET", "short")]).unwrap();
    assert!(short.warnings.iter().any(|warning| warning.contains("JWT_SECRET")), "{:?}", short.warnings);
    assert!(home.load(None, &[("JWT_SECRET", "")]).is_err(), "an empty one signs nothing");
}

#[test]
fn the_original_names_and_forms_are_understood() {
    let http = |port| with(&[("PORT", port)]).unwrap().listen.http.unwrap().to_string();
    assert_eq!(http("8080"), "127.0.0.1:8080");
    assert_eq!(http("0"), "127.0.0.1:0");
    let listen = with(&[("DUOLOGUE_LISTEN_HTTP", "[::]:80"), ("DUOLOGUE_LISTEN_QUIC", "off")]).unwrap().listen;
    assert_eq!((listen.http, listen.quic), (Some("[::]:80".parse().unwrap()), None));
    for (text, seconds) in [("3600", 3_600), ("45s", 45), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800)] {
        let life = with(&[("JWT_EXPIRES_IN", text)]).unwrap().auth.token_life;
        assert_eq!(life, Duration::from_secs(seconds), "{text}");
    }
    let origins = production(&[("CORS_ORIGIN", "https://a.example, https://b.example:8443,")]).unwrap().origins;
    assert!(origins.allows(Some("https://a.example")) && origins.allows(Some("https://b.example:8443")));
    let files = with(&[("MAX_FILE_SIZE", "2048"), ("MAX_VOICE_DURATION", "60")]).unwrap().files;
    assert_eq!((files.max_bytes, files.max_voice), (2_048, Duration::from_secs(60)));
    let cluster = with(&[("REDIS_URL", "redis://a"), ("JWT_SECRET", SECRET)]).unwrap().cluster.unwrap();
    assert_eq!(cluster.redis.expose(), b"redis://a");
    let store = with(&[("MONGODB_URI", "mongodb://ada:s3cret@db:27017/chat")]).unwrap().store;
    let Store::Mongo(mongo) = &store else { panic!("{store:?}") };
    assert_eq!((mongo.place(), mongo.database()), ("mongodb://db:27017/chat", "chat"));
    assert!(!format!("{store:?}").contains("s3cret"), "{store:?}");
}

#[test]
fn nodes_of_one_service_can_reach_each_other() {
    assert!(with(&[]).unwrap().cluster.is_none());
    let many = "redis://:hunter2@10.0.0.1:7000, redis://:hunter2@10.0.0.2:7000";
    let shared = [("DUOLOGUE_CLUSTER_REDIS", many), ("JWT_SECRET", SECRET)];
    let development = with(&shared).unwrap().cluster.unwrap();
    assert_eq!((development.listen, &development.prefix[..]), ("127.0.0.1:0".parse().unwrap(), "duologue:"));
    assert!(!format!("{development:?}").contains("hunter2"));
    let error = with(&[("DUOLOGUE_CLUSTER_REDIS", "http://:hunter2@x"), shared[1]]).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    // A wildcard tells nobody where to dial.
    assert_says(&production(&shared).unwrap_err(), &["cluster.advertise", "not set", "0.0.0.0:7443"]);
    let wildcard = [shared[0], shared[1], ("DUOLOGUE_CLUSTER_LISTEN", "[::]:7443")];
    assert_says(&with(&wildcard).unwrap_err(), &["cluster.advertise", "not set", "[::]:7443"]);
    let told = [shared[0], ("DUOLOGUE_CLUSTER_ADVERTISE", "node-1.internal:7443")];
    let production = production(&told).unwrap().cluster.unwrap();
    assert_eq!(production.listen, "0.0.0.0:7443".parse().unwrap());
    assert_eq!(production.advertise.as_deref(), Some("node-1.internal:7443"));
}

#[test]
fn an_env_file_of_the_original_starts() {
    let theirs = [
        ("PORT", "3001"),
        ("CORS_ORIGIN", "http://localhost:3000"),
        ("MONGODB_URI", "mongodb://localhost:27017/chat"),
        ("JWT_SECRET", "your-secret-key"),
        ("JWT_EXPIRES_IN", "7d"),
        ("REDIS_URL", "redis://localhost:6379"),
        ("MAX_FILE_SIZE", "10485760"),
        ("MAX_VOICE_DURATION", "300"),
    ];
    let development = with(&[&theirs[..], &[("NODE_ENV", "development")]].concat()).unwrap();
    assert_eq!(development.warnings.len(), 1, "{:?}", development.warnings);
    // What docs/migrating.md says of production, one after the other.
    let mut so_far = [&theirs[..], &[("NODE_ENV", "production")]].concat();
    assert_says(&with(&so_far).unwrap_err(), &["tls.certificate", "listen.https and listen.quic to off"]);
    so_far.extend([("DUOLOGUE_LISTEN_HTTPS", "off"), ("DUOLOGUE_LISTEN_QUIC", "off")]);
    assert_says(&with(&so_far).unwrap_err(), &["JWT_SECRET", "at least 32 bytes", "openssl rand -hex 32"]);
    so_far.extend([("JWT_SECRET", SECRET), ("DUOLOGUE_LISTEN_HTTP", "0.0.0.0:3001")]);
    assert_says(&with(&so_far).unwrap_err(), &["cluster.advertise", "not set"]);
    so_far.push(("DUOLOGUE_CLUSTER_ADVERTISE", "10.0.0.7:7443"));
    assert_eq!(with(&so_far).unwrap().listen.http, Some("0.0.0.0:3001".parse().unwrap()));
}

/// An `.env` as people write them for Node.
const THEIRS: &str = "\u{feff}# Server Configuration\r
APP_NAME=Realtime Chat Backend\r
PORT=3001 # as in the docs\r
NODE_ENV=\r
\r
export CORS_ORIGIN=http://localhost:3000, http://localhost:5173\r
MONGODB_URI = 'mongodb://localhost:27017/chat'\r
JWT_SECRET=it's-$HOME-\\d-and-more-than-32-bytes\r
JWT_EXPIRES_IN=\"7d\"\r
MAX_FILE_SIZE=\r
MAX_VOICE_DURATION: 300\r
REDIS_URL=\r
PATTERN=^\\d+$\r
SMTP_KEY=\"-----BEGIN KEY-----\r
PORT=1\r
-----END KEY-----\"\r
EMPTY\r
";

#[test]
fn an_env_file_in_the_dialect_of_node_starts() {
    let home = Home::new();
    let data = vec![("DUOLOGUE_SERVER_DATA".to_owned(), home.0.path().display().to_string())];
    let start = |more: &str| with_env_file(None, format!("{THEIRS}{more}").as_bytes(), data.clone());
    let config = start("").unwrap();
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.listen.http, Some("127.0.0.1:3001".parse().unwrap()));
    assert!(config.origins.allow.iter().eq(["http://localhost:3000", "http://localhost:5173"]));
    assert_eq!(config.auth.secret.expose(), br"it's-$HOME-\d-and-more-than-32-bytes");
    assert_eq!((config.files.max_bytes, config.files.max_voice), (10 * 1024 * 1024, Duration::from_secs(300)));
    let [passed_over] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
    assert!(passed_over.starts_with("line 17 of .env"), "{:?}", config.warnings);
    assert!(matches!(&config.store, Store::Mongo(mongo) if mongo.database() == "chat"), "{:?}", config.store);
    // Later in the file wins; an empty one does not.
    assert_eq!(start("PORT=8080\nPORT=").unwrap().listen.http, Some("127.0.0.1:8080".parse().unwrap()));
    assert_says(&start("PORT 8080 secret").unwrap_err(), &[".env", "line 18", "PORT=value"]);
    assert_says(&start("DUOLOGUE_LOG_LEVEL").unwrap_err(), &[".env", "line 18", "DUOLOGUE_LOG_LEVEL=value"]);
    assert_says(&start("DUOLOGUE_LOG_LEVLE=info").unwrap_err(), &["DUOLOGUE_LOG_LEVLE", "config/duologue.toml"]);
    let error = start("JWT_SECRET correct-horse").unwrap_err().to_string();
    assert!(!error.contains("horse"), "{error}");
}

#[test]
fn empty_settings_of_an_env_file_are_not_set() {
    let home = Home::new();
    let data = ("DUOLOGUE_SERVER_DATA".to_owned(), home.0.path().display().to_string());
    let text = "PORT=\nNODE_ENV=\nCORS_ORIGIN=\nMONGODB_URI=\nJWT_SECRET=\nJWT_EXPIRES_IN=''\nREDIS_URL=\n\
                MAX_FILE_SIZE= # none\nMAX_VOICE_DURATION=";
    let empty = with_env_file(None, text.as_bytes(), vec![data.clone()]).unwrap();
    let none = with_env_file(None, b"", vec![data.clone()]).unwrap();
    assert_eq!(format!("{empty:?}"), format!("{none:?}"));
    assert_eq!(empty.auth.secret, none.auth.secret);
    let production = [data, ("NODE_ENV".to_owned(), "production".to_owned())];
    let behind = format!("{text}\nDUOLOGUE_LISTEN_HTTPS=off\nDUOLOGUE_LISTEN_QUIC=off");
    let error = with_env_file(None, behind.as_bytes(), production.to_vec()).unwrap_err();
    assert_says(&error, &["JWT_SECRET", "not set"]);
}

#[test]
fn an_unknown_variable_of_ours_is_refused_and_others_are_passed_over() {
    for name in ["DUOLOGUE_LISTEN_HTTP3", "DUOLOGUE_SESSION", "DUOLOGUE_", "DUOLOGUE_SESSIONPER_USER"] {
        assert_says(&with(&[(name, "1")]).unwrap_err(), &[name, "config/duologue.toml"]);
    }
    assert!(with(&[("PATH", "/bin"), ("LISTEN_HTTP", "x"), ("duologue_log_level", "loud")]).is_ok());
}

#[test]
fn a_later_layer_wins() {
    let home = Home::new();
    let path =
        home.file("[session]\nper_user = 2\nresume_window_ms = 1000\n[origins]\nallow = [\"https://file.example\"]");
    let file = home.load(Some(&path), &[]).unwrap();
    assert_eq!((file.session.per_user, file.session.resume_window), (2, Duration::from_secs(1)));
    let both = [
        ("DUOLOGUE_SESSION_PER_USER", "3"),
        ("DUOLOGUE_SESSION_PER_USER", "4"),
        ("CORS_ORIGIN", "https://env.example"),
    ];
    let over = home.load(Some(&path), &both).unwrap();
    assert_eq!((over.session.per_user, over.session.resume_window), (4, Duration::from_secs(1)));
    assert!(over.origins.allows(Some("https://env.example")) && !over.origins.allows(Some("https://file.example")));
}

#[test]
fn the_order_of_variables_in_one_place_means_nothing() {
    let listen = |variables: [(&'static str, &'static str); 2]| {
        let there = with(&variables).unwrap().listen.http.unwrap().to_string();
        let back = with(&[variables[1], variables[0]]).unwrap().listen.http.unwrap().to_string();
        assert_eq!(there, back, "{variables:?}");
        there
    };
    assert_eq!(listen([("DUOLOGUE_LISTEN_HTTP", "0.0.0.0:4201"), ("PORT", "4201")]), "0.0.0.0:4201");
    assert_eq!(listen([("DUOLOGUE_LISTEN_HTTP", "0.0.0.0:3001"), ("PORT", "8080")]), "0.0.0.0:8080");
    assert_eq!(listen([("DUOLOGUE_LISTEN_HTTP", "[::]:3001"), ("PORT", "0")]), "[::]:0");
    assert_eq!(listen([("DUOLOGUE_LISTEN_HTTP", "3001"), ("PORT", "8080")]), "127.0.0.1:8080");
    let allows = |config: &Config, origin| config.origins.allows(Some(origin));
    let origins = [("DUOLOGUE_ORIGINS_ALLOW", "https://own.example"), ("CORS_ORIGIN", "https://older.example")];
    for origins in [origins, [origins[1], origins[0]]] {
        let config = with(&origins).unwrap();
        assert!(allows(&config, "https://own.example") && !allows(&config, "https://older.example"), "{origins:?}");
    }
    let off = with(&[("PORT", "8080"), ("DUOLOGUE_LISTEN_HTTP", "off")]).unwrap();
    assert_eq!(off.listen.http, None, "a port alone turns nothing on");
    assert!(off.warnings.iter().any(|warning| warning.contains("PORT")), "{:?}", off.warnings);
}

#[test]
fn a_port_alone_leaves_the_address_of_the_places_below() {
    let home = Home::new();
    let file = home.file("[listen]\nhttp = \"0.0.0.0:1\"");
    let own = ("DUOLOGUE_SERVER_DATA".to_owned(), home.0.path().display().to_string());
    let place = |variables: &[(&str, &str)]| -> Vec<(String, String)> {
        let written = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        written.chain([own.clone()]).collect()
    };
    let (port, address) = (("PORT", "2"), ("DUOLOGUE_LISTEN_HTTP", "[::]:3"));
    for (env_file, environment, expected) in [
        (&[][..], &[port][..], "0.0.0.0:2"),
        (&[port], &[], "0.0.0.0:2"),
        (&[address], &[port], "[::]:2"),
        (&[address, port], &[], "[::]:2"),
        (&[port], &[address], "[::]:3"),
        (&[("PORT", "4")], &[port], "0.0.0.0:2"),
        (&[("PORT", "4")], &[address, port], "[::]:2"),
    ] {
        let config = lay(Some(&file), [place(env_file), place(environment)]).unwrap();
        assert_eq!(config.listen.http.unwrap().to_string(), expected, "{env_file:?}, {environment:?}");
    }
}

#[test]
fn development_lets_pages_of_this_machine_in_and_no_lookalikes() {
    let origins = with(&[]).unwrap().origins;
    for local in [
        "http://localhost",
        "http://localhost:3001",
        "https://localhost:5173",
        "http://127.0.0.1:80",
        "https://[::1]:3443",
    ] {
        assert!(origins.allows(Some(local)), "{local}");
    }
    for other in [
        "http://localhost.evil.example",
        "http://localhost.evil.example:3001",
        "http://evil.example:80@localhost",
        "http://localhost@evil.example",
        "http://evil.example/localhost",
        "http://localhost:80.evil.example",
        "http://localhost:",
        "ftp://localhost",
        "http://127.0.0.1.evil.example",
        "http://192.168.0.2",
        "localhost",
        "null",
        "",
    ] {
        assert!(!origins.allows(Some(other)), "{other}");
    }
    assert!(with(&[("CORS_ORIGIN", "*")]).unwrap().origins.allows(Some("https://any.example")));
}

#[test]
fn production_compares_origins_exactly() {
    let origins = production(&[("CORS_ORIGIN", "https://chat.example")]).unwrap().origins;
    assert!(origins.allows(Some("https://chat.example")));
    for other in [
        "http://chat.example",
        "https://chat.example:8443",
        "https://chat.example.evil.example",
        "https://www.chat.example",
        "HTTPS://CHAT.EXAMPLE",
        "http://localhost:3001",
        "null",
    ] {
        assert!(!origins.allows(Some(other)), "{other}");
    }
    assert!(origins.allows(None), "programs name no origin");
    let strict = production(&[("DUOLOGUE_ORIGINS_ALLOW_ABSENT", "false")]).unwrap().origins;
    assert!(!strict.allows(None));
    assert_says(
        &production(&[("CORS_ORIGIN", "https://a.example,*")]).unwrap_err(),
        &["CORS_ORIGIN", "*", "name the pages"],
    );
    let public = [("DUOLOGUE_PUBLIC_HOST", "chat.example"), ("DUOLOGUE_PUBLIC_HTTPS_PORT", "8443")];
    assert!(production(&public[..1]).unwrap().origins.allows(Some("https://chat.example")));
    assert!(production(&public).unwrap().origins.allows(Some("https://chat.example:8443")));
    let six = [("DUOLOGUE_PUBLIC_HOST", "2001:db8::1"), ("DUOLOGUE_PUBLIC_HTTPS_PORT", "8443")];
    assert!(production(&six).unwrap().origins.allows(Some("https://[2001:db8::1]:8443")), "as browsers write it");
}

#[test]
fn a_likely_slip_about_proxies_is_warned_of() {
    let behind = [("DUOLOGUE_LISTEN_HTTPS", "off"), ("DUOLOGUE_LISTEN_QUIC", "off")];
    let warnings = |more: &[_]| production(&[&behind[..], more].concat()).unwrap().warnings;
    let [alone] = &warnings(&[])[..] else { panic!("{:?}", warnings(&[])) };
    assert!(alone.contains("trusted_proxies is empty"), "{alone}");
    assert!(warnings(&[("DUOLOGUE_LIMITS_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")]).is_empty());
    for all in ["0.0.0.0/0", "::/0", "127.0.0.1,::/0"] {
        let [all] = &warnings(&[("DUOLOGUE_LIMITS_TRUSTED_PROXIES", all)])[..] else { panic!("{all}") };
        assert!(all.contains("lists all addresses"), "{all}");
    }
    assert!(production(&[]).unwrap().warnings.is_empty(), "with TLS of its own there may be no proxy");
    assert!(with(&behind).unwrap().warnings.is_empty(), "development has one person");
}

#[test]
fn secrets_are_never_shown() {
    let config = production(&[("DUOLOGUE_PUBLIC_STATS_TOKEN", "stats-token-of-the-operator")]).unwrap();
    assert_eq!(config.auth.secret.expose(), SECRET.as_bytes());
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains(SECRET) && !shown.contains("stats-token-of-the-operator"), "{shown}");
    let home = Home::new();
    let made = home.load(None, &[]).unwrap();
    let secret = String::from_utf8(made.auth.secret.expose().to_vec()).unwrap();
    assert!(!format!("{made:?}").contains(&secret));
    for error in [
        production(&[("JWT_SECRET", "too-short-a-secret")]).unwrap_err(),
        production(&[("DUOLOGUE_AUTH_JWT_SECRET", "too-short-a-secret")]).unwrap_err(),
    ] {
        assert!(!format!("{error} {error:?}").contains("too-short-a-secret"), "{error}");
    }
}
