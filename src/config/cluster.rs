//! The nodes of one service: where what they share is, and how they reach each other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Environment, Error, Secret, raw};

/// Where production listens for other nodes (UDP).
const USUAL_PORT: u16 = 7443;

/// Longest beginning of keys, in characters.
const MOST_PREFIX: usize = 64;

/// What `cluster.redis` may begin with.
const SCHEMES: [&str; 4] = ["redis://", "rediss://", "redis+cluster://", "rediss+cluster://"];

/// How this node is one of several.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Where Redis is: a URL, or several with commas, which are nodes of one Redis Cluster. They may hold a
    /// password.
    pub redis: Secret,
    /// What each key in it begins with.
    pub prefix: String,
    /// Where other nodes reach this one (UDP). Port 0: the system chooses.
    pub listen: SocketAddr,
    /// HOST:PORT that other nodes dial; `None`: where it listens, which is no wildcard then.
    pub advertise: Option<String>,
}

/// `None`: this node is alone.
pub(super) fn check(
    raw: &raw::Cluster,
    environment: Environment,
    jwt_secret: Option<&String>,
) -> Result<Option<Cluster>, Error> {
    let prefix = raw.prefix.as_deref().unwrap_or("duologue:");
    let plain = |c: char| c.is_ascii_alphanumeric() || ":_.-".contains(c);
    if prefix.is_empty() || prefix.len() > MOST_PREFIX || !prefix.chars().all(plain) {
        let remedy = format!("1 to {MOST_PREFIX} letters, digits and : _ . -");
        return Err(Error::value("cluster.prefix", prefix, remedy));
    }
    let listen = listen(raw.listen.as_deref(), environment)?;
    if let Some(address) = &raw.advertise {
        let parts = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        let fits = matches!(parts, Some((host, Ok(port))) if !host.is_empty() && port != 0);
        let wildcard = address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified());
        if !fits || wildcard || address.contains('/') {
            let remedy = "use HOST:PORT as other nodes reach this one, such as 10.0.0.7:7443";
            return Err(Error::value("cluster.advertise", address, remedy));
        }
    }
    let Some(redis) = raw.redis.as_deref() else { return Ok(None) };
    let key = "cluster.redis (REDIS_URL)";
    let fits = |url: &str| SCHEMES.iter().any(|scheme| url.trim().starts_with(scheme));
    if !redis.split(',').all(fits) {
        // A URL may hold a password, also one that is misspelt.
        let remedy = "use redis://HOST:PORT, rediss:// for TLS, redis+cluster:// for a Redis Cluster, or several \
                      of its nodes with commas";
        return Err(Error::value(key, format!("({} bytes)", redis.len()), remedy));
    }
    if jwt_secret.is_none() {
        let remedy = "with cluster.redis all nodes must know each other's tokens: set the same on each; make one \
                      with: openssl rand -hex 32";
        return Err(Error::value("auth.jwt_secret (JWT_SECRET)", "(not set)", remedy));
    }
    if listen.ip().is_unspecified() && raw.advertise.is_none() {
        let remedy = format!("other nodes cannot dial {listen}: say HOST:PORT as they reach this one");
        return Err(Error::value("cluster.advertise", "(not set)", remedy));
    }
    let redis = Secret(redis.to_owned().into_bytes());
    Ok(Some(Cluster { redis, prefix: prefix.to_owned(), listen, advertise: raw.advertise.clone() }))
}

fn listen(text: Option<&str>, environment: Environment) -> Result<SocketAddr, Error> {
    let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    match text {
        None => Ok(match environment {
            Environment::Development => local(0),
            Environment::Production => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), USUAL_PORT),
        }),
        Some(text) => text.parse().or_else(|_| text.parse().map(local)).map_err(|_| {
            Error::value("cluster.listen", text, "use ADDRESS:PORT such as 10.0.0.7:7443, or a port (on 127.0.0.1)")
        }),
    }
}
