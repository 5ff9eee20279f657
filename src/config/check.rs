//! From what was written to what the rest of the crate may rely on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::{self, Layers};
use super::{
    Auth, Config, Environment, Error, Files, Limits, Listen, Log, LogFiles, Matching, Mongo, Networks, Origins, Place,
    Public, Secret, Session, ShowPlace, Store, Tls,
};
use crate::media::Types;

/// Fewest bytes of a secret that production accepts.
const SECRET_BYTES: usize = 32;

/// Makes settings of what was written.
pub(super) fn check(layers: Layers) -> Result<Config, Error> {
    let mut warnings = Vec::new();
    let port = layers.port;
    let raw = layers.read();
    let environment = match raw.server.environment.as_deref() {
        None | Some("development" | "test") => Environment::Development,
        Some("production") => Environment::Production,
        Some(other) => {
            return Err(Error::value("server.environment (NODE_ENV)", other, "use development or production"));
        }
    };
    let data = PathBuf::from(raw.server.data.as_deref().unwrap_or("data"));
    let listen = listen(&raw.listen, port, &mut warnings)?;
    let tls = tls(&raw.tls, environment, &listen)?;
    let public = public(&raw.public)?;
    let origins = origins(&raw.origins, environment, &public)?;
    let auth = auth(&raw.auth, environment, &data, &mut warnings)?;
    let limits = limits(&raw.limits)?;
    proxies(environment, &listen, &limits.trusted_proxies, &mut warnings);
    Ok(Config {
        environment,
        listen,
        public,
        tls,
        origins,
        auth,
        store: store(&raw.store, &data)?,
        forget_after: forget_after(&raw.store)?,
        session: session(&raw.session)?,
        limits,
        matching: matching(&raw.matching)?,
        files: files(&raw.files)?,
        calls: super::calls::check(&raw.calls, &mut warnings)?,
        cluster: super::cluster::check(&raw.cluster, environment, raw.auth.jwt_secret.as_ref())?,
        place: place(&raw.place)?,
        log: log(&raw.log)?,
        data,
        warnings,
    })
}

fn listen(raw: &raw::Listen, port: Option<u16>, warnings: &mut Vec<String>) -> Result<Listen, Error> {
    let address = |key: &str, value: &Option<String>, port: u16| -> Result<Option<SocketAddr>, Error> {
        let local = |port| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        match value.as_deref() {
            None => Ok(local(port)),
            Some("off") => Ok(None),
            Some(text) => match (text.parse::<u16>(), text.parse()) {
                (Ok(port), _) => Ok(local(port)),
                (_, Ok(address)) => Ok(Some(address)),
                _ => {
                    Err(Error::value(key, text, "use ADDRESS:PORT such as 127.0.0.1:3001 or [::]:443, a port, or off"))
                }
            },
        }
    };
    let mut listen = Listen {
        http: address("listen.http", &raw.http, 3001)?,
        https: address("listen.https", &raw.https, 3443)?,
        quic: address("listen.quic", &raw.quic, 3443)?,
    };
    if listen.http.is_none() && listen.https.is_none() {
        return Err(Error::value("listen", "off", "at least one of listen.http and listen.https must be on"));
    }
    match (&mut listen.http, port) {
        (Some(http), Some(port)) => http.set_port(port),
        (None, Some(_)) => warnings.push("PORT is set, but listen.http is off; it is not used".to_owned()),
        (_, None) => {}
    }
    Ok(listen)
}

fn tls(raw: &raw::Tls, environment: Environment, listen: &Listen) -> Result<Tls, Error> {
    let own = match (&raw.certificate, &raw.key) {
        (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
        (None, None) => None,
        (Some(_), None) => return Err(Error::value("tls.key", "", "tls.certificate is set, so its key must be too")),
        (None, Some(_)) => {
            return Err(Error::value("tls.certificate", "", "tls.key is set, so its certificate must be too"));
        }
    };
    let needed = listen.https.is_some() || listen.quic.is_some();
    if environment == Environment::Production && needed && own.is_none() {
        let remedy = "production makes no certificate of its own: name your PEM files in tls.certificate and tls.key, \
                      or set listen.https and listen.quic to off behind a proxy that speaks TLS";
        return Err(Error::value("tls.certificate", "(not set)", remedy));
    }
    Ok(Tls { own, folder: raw.folder.as_deref().unwrap_or("certs").into() })
}

fn public(raw: &raw::Public) -> Result<Public, Error> {
    if let Some(host) = &raw.host {
        let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-[]:".contains(c));
        if !plain {
            return Err(Error::value(
                "public.host",
                host,
                "use a host name or an address, without scheme, port or path",
            ));
        }
    }
    Ok(Public {
        host: raw.host.clone(),
        https_port: raw.https_port,
        quic_port: raw.quic_port,
        stats_token: raw.stats_token.as_ref().map(|token| Secret(token.clone().into_bytes())),
    })
}

fn origins(raw: &raw::Origins, environment: Environment, public: &Public) -> Result<Origins, Error> {
    let development = environment == Environment::Development;
    let mut allow = raw.allow.clone().unwrap_or_default();
    let any = allow.iter().any(|origin| origin == "*");
    if any && !development {
        return Err(Error::value(
            "origins.allow (CORS_ORIGIN)",
            "*",
            "name the pages that may connect, such as https://chat.example",
        ));
    }
    for origin in allow.iter().filter(|origin| *origin != "*") {
        let host = origin.split_once("://").map(|(_, host)| host);
        if host.is_none_or(|host| host.is_empty() || host.contains('/')) {
            let remedy =
                "an origin is a scheme and a host, perhaps a port, and no slash at the end: https://chat.example";
            return Err(Error::value("origins.allow (CORS_ORIGIN)", origin, remedy));
        }
    }
    allow.extend(public.authority().map(|authority| format!("https://{authority}")));
    Ok(Origins { allow, any, local: development, absent: raw.allow_absent.unwrap_or(true) })
}

fn auth(raw: &raw::Auth, environment: Environment, data: &Path, warnings: &mut Vec<String>) -> Result<Auth, Error> {
    let production = environment == Environment::Production;
    let key = "auth.jwt_secret (JWT_SECRET)";
    let secret = match &raw.jwt_secret {
        Some(secret) if secret.len() >= SECRET_BYTES => secret.clone().into_bytes(),
        Some(secret) if production || secret.is_empty() => {
            let remedy = format!("at least {SECRET_BYTES} bytes are needed; make one with: openssl rand -hex 32");
            return Err(Error::value(key, format!("({} bytes)", secret.len()), remedy));
        }
        Some(secret) => {
            warnings.push(format!("{key} is shorter than {SECRET_BYTES} bytes; production will refuse it"));
            secret.clone().into_bytes()
        }
        None if production => {
            return Err(Error::value(key, "(not set)", "production needs one; make it with: openssl rand -hex 32"));
        }
        None => kept_secret(&data.join("jwt-secret"))?,
    };
    Ok(Auth {
        secret: Secret(secret),
        token_life: life("auth.token_life (JWT_EXPIRES_IN)", raw.token_life.as_deref().unwrap_or("7d"))?,
        guests: raw.guests.unwrap_or(!production),
        guest_life: life("auth.guest_life", raw.guest_life.as_deref().unwrap_or("24h"))?,
    })
}

/// The development secret: made once, so that tokens stay valid from start to start.
fn kept_secret(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    match std::fs::read(path) {
        Ok(secret) if secret.len() >= SECRET_BYTES => return Ok(secret),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(error)),
    }
    let bytes: [u8; SECRET_BYTES] = rand::random();
    let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    crate::tls::write_secret(path, secret.as_bytes()).map_err(unreadable)?;
    Ok(secret.into_bytes())
}

/// `7d`, `12h`, `30m`, `45s`, or seconds.
pub(super) fn life(key: &str, text: &str) -> Result<Duration, Error> {
    let wrong = || Error::value(key, text, "use a number of seconds, or one with d, h, m or s: 7d, 12h, 3600");
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .filter(|life| (1..=10 * 365 * 86_400).contains(life))
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

fn session(raw: &raw::Session) -> Result<Session, Error> {
    let usual = Session::default();
    let ms = |value: Option<u64>, usual: Duration| value.map_or(usual, Duration::from_millis);
    let session = Session {
        hello_timeout: ms(raw.hello_timeout_ms, usual.hello_timeout),
        resume_window: ms(raw.resume_window_ms, usual.resume_window),
        outbox_bytes: raw.outbox_bytes.map_or(Ok(usual.outbox_bytes), |bytes| size("session.outbox_bytes", bytes))?,
        per_user: raw.per_user.map_or(Ok(usual.per_user), |count| size("session.per_user", count))?,
        ping_talking: ms(raw.ping_talking_ms, usual.ping_talking),
        dead_talking: ms(raw.dead_talking_ms, usual.dead_talking),
        ping_idle: ms(raw.ping_idle_ms, usual.ping_idle),
        dead_idle: ms(raw.dead_idle_ms, usual.dead_idle),
        write_timeout: ms(raw.write_timeout_ms, usual.write_timeout),
        drain: ms(raw.drain_ms, usual.drain),
    };
    let pairs = [
        ("session.dead_talking_ms", session.ping_talking, session.dead_talking),
        ("session.dead_idle_ms", session.ping_idle, session.dead_idle),
    ];
    for (key, ping, dead) in pairs {
        if ping.is_zero() || dead <= ping {
            let remedy = format!("must be longer than the ping's {} ms, and neither may be 0", ping.as_millis());
            return Err(Error::value(key, dead.as_millis().to_string(), remedy));
        }
    }
    let ms = Duration::from_millis;
    let bounds = [
        ("session.hello_timeout_ms", session.hello_timeout, ms(100), ms(60_000)),
        ("session.drain_ms", session.drain, ms(100), ms(600_000)),
        ("session.write_timeout_ms", session.write_timeout, ms(100), ms(60_000)),
    ];
    for (key, value, least, most) in bounds {
        if !(least..=most).contains(&value) {
            let remedy = format!("from {} to {}", least.as_millis(), most.as_millis());
            return Err(Error::value(key, value.as_millis().to_string(), remedy));
        }
    }
    let least = 64 * 1024 + 1024;
    if session.outbox_bytes < least {
        let remedy = format!("one frame must fit: at least {least}");
        return Err(Error::value("session.outbox_bytes", session.outbox_bytes.to_string(), remedy));
    }
    Ok(session)
}

fn limits(raw: &raw::Limits) -> Result<Limits, Error> {
    let usual = Limits::default();
    let rate = |key: &str, value: Option<u32>, usual: u32| match value {
        Some(0) => Err(Error::value(key, "0", "at least 1")),
        Some(rate) => Ok(rate),
        None => Ok(usual),
    };
    let proxies = raw.trusted_proxies.as_deref().unwrap_or_default();
    let trusted_proxies = Networks::parse(proxies).map_err(|wrong| {
        Error::value("limits.trusted_proxies", wrong, "use addresses and networks such as 127.0.0.1 or 10.0.0.0/8")
    })?;
    let count = |key: &str, value: Option<u64>, usual: usize| value.map_or(Ok(usual), |count| size(key, count));
    Ok(Limits {
        events_per_minute: rate("limits.events_per_minute", raw.events_per_minute, usual.events_per_minute)?,
        matches_per_minute: rate("limits.matches_per_minute", raw.matches_per_minute, usual.matches_per_minute)?,
        typing_per_minute: rate("limits.typing_per_minute", raw.typing_per_minute, usual.typing_per_minute)?,
        candidates_per_minute: rate(
            "limits.candidates_per_minute",
            raw.candidates_per_minute,
            usual.candidates_per_minute,
        )?,
        signals_per_minute: rate("limits.signals_per_minute", raw.signals_per_minute, usual.signals_per_minute)?,
        uploads_per_hour: rate("limits.uploads_per_hour", raw.uploads_per_hour, usual.uploads_per_hour)?,
        handshakes_per_minute: rate(
            "limits.handshakes_per_minute",
            raw.handshakes_per_minute,
            usual.handshakes_per_minute,
        )?,
        auth_per_quarter_hour: rate(
            "limits.auth_per_quarter_hour",
            raw.auth_per_quarter_hour,
            usual.auth_per_quarter_hour,
        )?,
        requests_per_quarter_hour: rate(
            "limits.requests_per_quarter_hour",
            raw.requests_per_quarter_hour,
            usual.requests_per_quarter_hour,
        )?,
        trusted_proxies,
        max_sessions: count("limits.max_sessions", raw.max_sessions, usual.max_sessions)?,
        max_parked: count("limits.max_parked", raw.max_parked, usual.max_parked)?,
        parked_bytes: count("limits.parked_bytes", raw.parked_bytes, usual.parked_bytes)?,
    })
}

/// What is likely to be a slip in who may say for whom they speak.
fn proxies(environment: Environment, listen: &Listen, trusted: &Networks, warnings: &mut Vec<String>) {
    if environment == Environment::Production && listen.https.is_none() && trusted.is_empty() {
        warnings.push(
            "listen.https is off and limits.trusted_proxies is empty: all who come through a proxy share one address \
             and its limits; list the proxy's address"
                .to_owned(),
        );
    }
    if trusted.is_everyone() {
        warnings.push(
            "limits.trusted_proxies lists all addresses: anyone may claim any address in X-Forwarded-For, and the \
             limits hold nobody; list the proxies alone"
                .to_owned(),
        );
    }
}

fn matching(raw: &raw::Matching) -> Result<Matching, Error> {
    let usual = Matching::default();
    let matching = Matching {
        wider_after: raw.wider_after_ms.map_or(usual.wider_after, Duration::from_millis),
        anyone_after: raw.anyone_after_ms.map_or(usual.anyone_after, Duration::from_millis),
        avoid_last: usize::try_from(raw.avoid_last.unwrap_or(usual.avoid_last as u64)).unwrap_or(usize::MAX),
    };
    if matching.anyone_after < matching.wider_after {
        let value = matching.anyone_after.as_millis().to_string();
        return Err(Error::value("matching.anyone_after_ms", value, "not before matching.wider_after_ms"));
    }
    if matching.avoid_last > 16 {
        return Err(Error::value("matching.avoid_last", matching.avoid_last.to_string(), "at most 16"));
    }
    Ok(matching)
}

fn files(raw: &raw::Files) -> Result<Files, Error> {
    let usual = Files::default();
    let types = match &raw.types {
        None => usual.types,
        Some(list) => Types::parse(list).map_err(|wrong| {
            Error::value("files.types", wrong, "use media types such as image/png, or audio/* for all of a kind")
        })?,
    };
    let files = Files {
        max_bytes: raw.max_bytes.unwrap_or(usual.max_bytes),
        max_voice: raw.max_voice_seconds.map_or(usual.max_voice, Duration::from_secs),
        types,
        at_once: raw.at_once.map_or(Ok(usual.at_once), |count| size("files.at_once", count))?,
        offer: raw.offer_ms.map_or(usual.offer, Duration::from_millis),
        stall: raw.stall_ms.map_or(usual.stall, Duration::from_millis),
        buffer_bytes: raw.buffer_bytes.map_or(Ok(usual.buffer_bytes), |bytes| size("files.buffer_bytes", bytes))?,
    };
    if files.at_once > 16 {
        return Err(Error::value("files.at_once", files.at_once.to_string(), "at most 16"));
    }
    for (key, value) in [("files.offer_ms", files.offer), ("files.stall_ms", files.stall)] {
        if value < Duration::from_millis(100) {
            return Err(Error::value(key, value.as_millis().to_string(), "at least 100"));
        }
    }
    // One transfer must fit.
    let least = 1024 * 1024;
    if files.buffer_bytes < least {
        return Err(Error::value("files.buffer_bytes", files.buffer_bytes.to_string(), format!("at least {least}")));
    }
    Ok(files)
}

fn place(raw: &raw::Place) -> Result<Place, Error> {
    let show = match raw.show.as_deref() {
        None | Some("country") => ShowPlace::Country,
        Some("city") => ShowPlace::City,
        Some("nothing") => ShowPlace::Nothing,
        Some(other) => return Err(Error::value("place.show", other, "use country, city or nothing")),
    };
    Ok(Place { database: raw.database.as_ref().map(PathBuf::from), show })
}

fn store(raw: &raw::Store, data: &Path) -> Result<Store, Error> {
    match &raw.mongodb {
        // The value may hold a password.
        Some(uri) => Mongo::parse(uri)
            .map(Store::Mongo)
            .map_err(|remedy| Error::value("store.mongodb (MONGODB_URI)", "(not shown)", remedy)),
        None => Ok(Store::Sqlite { path: data.join("duologue.sqlite") }),
    }
}

fn forget_after(raw: &raw::Store) -> Result<Option<Duration>, Error> {
    let Some(days) = raw.forget_after_days else { return Ok(None) };
    match days {
        1..=36_500 => Ok(Some(Duration::from_secs(days * 86_400))),
        _ => Err(Error::value(
            "store.forget_after_days",
            days.to_string(),
            "from 1 to 36500; leave it out to keep all accounts",
        )),
    }
}

fn log(raw: &raw::Log) -> Result<Log, Error> {
    let level = |key: &str, value: &Option<String>| {
        let level = value.clone().unwrap_or_else(|| "info".to_owned());
        // A bare word is read as a target's name: a misspelt level would silence the rest.
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let plain = level.split(',').filter(|part| !part.contains('=')).all(|part| levels.contains(&part.trim()));
        match level.parse::<tracing_subscriber::filter::Targets>() {
            Ok(_) if plain => Ok(level),
            _ => Err(Error::value(key, level, "use error, warn, info, debug or trace, or info,duologue=debug")),
        }
    };
    let (max_bytes, keep) = (raw.max_bytes.unwrap_or(10 * 1024 * 1024), raw.keep.unwrap_or(5));
    // Less than some hundred lines is no log.
    let least = 64 * 1024;
    if max_bytes < least {
        return Err(Error::value("log.max_bytes", max_bytes.to_string(), format!("at least {least}")));
    }
    if keep > 100 {
        return Err(Error::value("log.keep", keep.to_string(), "at most 100"));
    }
    let file_level = level("log.file_level", &raw.file_level)?;
    let files = match raw.folder.as_deref().unwrap_or("logs") {
        "" => return Err(Error::value("log.folder", "", "name a folder, or off for no files")),
        "off" => None,
        folder => Some(LogFiles { folder: folder.into(), level: file_level, max_bytes, keep }),
    };
    Ok(Log { level: level("log.level", &raw.level)?, files })
}

fn size(key: &str, value: u64) -> Result<usize, Error> {
    usize::try_from(value)
        .ok()
        .filter(|size| *size > 0)
        .ok_or_else(|| Error::value(key, value.to_string(), "at least 1"))
}
