//! The running process: builds every part in order, binds all, serves, and stops in good order.
//!
//! The only part that knows every other part. Nothing is served before everything is bound.

mod passing;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::header::UPGRADE;
use axum::http::{Extensions, HeaderMap};
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::FutureExt;
use tokio::net::{TcpListener, lookup_host};
use tokio::time::{MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use self::passing::Passing;
use crate::chat::{Accounts, Chat};
use crate::cluster::{self, Cluster, Doors};
use crate::config::{self, Config};
use crate::nodes::Nodes;
use crate::place::{self, Places};
use crate::protocol::Sha256;
use crate::session::{Company, ServeWeb, Sessions, Settings};
use crate::tls::{self, Certificates, Secure};
use crate::transport::socketio::SocketIoDoor;
use crate::transport::{quic, tcp, websocket};
use crate::{rest, store};

/// How often certificates are looked at.
const RENEWAL: Duration = Duration::from_secs(10 * 60);
/// How long QUIC may take to say its last goodbyes, after all else has stopped.
const QUIC_GOODBYE: Duration = Duration::from_secs(1);
/// What links have at the least for what is still to be written, when handing sessions over has taken all the time.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part refused its settings.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// What the nodes share cannot be reached.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The name that other nodes are to dial is not known.
    #[error("cluster.advertise: {0} cannot be resolved; use HOST:PORT as other nodes reach this one")]
    Advertise(String),
    /// The store could not be opened.
    #[error("the store could not be opened: {0}")]
    Store(#[from] store::OpenError),
    /// A certificate could not be loaded or made.
    #[error("{0}")]
    Tls(#[from] tls::Error),
    /// The database of places could not be read.
    #[error(transparent)]
    Place(#[from] place::Error),
    /// A part of the accounts could not start.
    #[error("{0}")]
    Accounts(#[source] anyhow::Error),
    /// A port could not be had.
    #[error("{what} cannot listen on {address}: {source}. Is another server running there? Set {key} to another port.")]
    Bind {
        /// Which listener.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The setting that changes it.
        key: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Everything bound, nothing served yet.
pub struct Server {
    config: Arc<Config>,
    chat: Chat,
    places: Places,
    sessions: Sessions,
    certificates: Option<Certificates>,
    http: Option<TcpListener>,
    https: Option<TcpListener>,
    quic: Option<quinn::Endpoint>,
    addresses: Addresses,
}

/// Where a server listens, with the real ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Plain HTTP: the demo, REST, WebSocket.
    pub http: Option<SocketAddr>,
    /// The same over TLS.
    pub https: Option<SocketAddr>,
    /// UDP: WebTransport.
    pub quic: Option<SocketAddr>,
}

/// Reads the files that the settings name and that [`Server::bind`] would read, and makes none.
///
/// # Errors
/// The first that cannot be used.
pub fn check(config: &Config) -> Result<(), Error> {
    Places::open(&config.place)?;
    store::check(config)?;
    let encrypted = config.listen.https.is_some() || config.listen.quic.is_some();
    if encrypted && config.tls.own.is_some() {
        Certificates::open(config, SystemTime::now())?;
    }
    Ok(())
}

impl Server {
    /// Opens the store, loads the certificate, binds every socket.
    ///
    /// # Errors
    /// Whichever of these fails first; nothing is left open then.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let cluster = cluster::connect(&config).await?;
        Self::bind_among(config, cluster).await
    }

    /// The same, as a node of this cluster.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_among(config: Config, cluster: Option<Arc<dyn Cluster>>) -> Result<Self, Error> {
        let config = Arc::new(config);
        let places = Places::open(&config.place)?;
        let store = store::open(&config).await?;
        let accounts = Accounts::new(store, &config).map_err(|error| Error::Accounts(error.into()))?;
        let mut chat = Chat::new(accounts, &config.matching, &config.files)
            .looking_up(places.clone())
            .calling(config.calls.clone());
        let tasks = TaskTracker::new();
        if let Some(cluster) = &cluster {
            chat = chat.among(&config.matching, Arc::clone(cluster), seed(&config));
        }

        let listen = &config.listen;
        let certificates = match (listen.https, listen.quic) {
            (None, None) => None,
            _ => Some(Certificates::open(&config, SystemTime::now())?),
        };
        let http = tcp_listener("HTTP", listen.http, "listen.http (or PORT)").await?;
        let https = tcp_listener("HTTPS", listen.https, "listen.https").await?;
        let quic = match (listen.quic, &certificates) {
            (Some(address), Some(certificates)) => {
                let bound = quic::bind(address, certificates, &config.data);
                Some(bound.map_err(|source| Error::Bind { what: "QUIC (UDP)", address, key: "listen.quic", source })?)
            }
            _ => None,
        };
        let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|it| it.local_addr().ok());
        let addresses = Addresses {
            http: address(&http),
            https: address(&https),
            quic: quic.as_ref().and_then(|endpoint| endpoint.local_addr().ok()),
        };
        let company = match cluster {
            Some(cluster) => {
                let doors = doors(&config, addresses, certificates.as_ref());
                Some(company(cluster, config.cluster.as_ref(), doors, &tasks).await?)
            }
            None => None,
        };
        let settings =
            Settings { session: config.session.clone(), limits: config.limits.clone(), files: config.files.clone() };
        let sessions = Sessions::among(chat.clone(), settings, tasks, company);
        // From now on what other nodes tell this one waits for it.
        sessions.join_company().await?;
        Ok(Self { config, chat, places, sessions, certificates, http, https, quic, addresses })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What a person who has just started it wants to know.
    pub fn banner(&self) -> String {
        Banner { config: &self.config, addresses: self.addresses }.to_string()
    }

    /// Serves until `stop` resolves, then tells every client, writes what is queued, and ends
    /// within the time that `session.drain_ms` gives.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { config, chat, places, sessions, certificates, http, https, quic, addresses } = self;
        let tasks = sessions.tasks().clone();
        let stopping = CancellationToken::new();
        let draining = Arc::new(AtomicBool::new(false));
        let origins = Arc::new(config.origins.clone());

        let state = rest::State {
            chat: chat.clone(),
            config: Arc::clone(&config),
            certificates: certificates.clone(),
            rates: rest::Rates::new(&config.limits).among(sessions.cluster()),
            started: Instant::now(),
            ports: rest::Ports {
                https: addresses.https.map(|address| address.port()),
                quic: addresses.quic.map(|address| address.port()),
            },
            http: addresses.http.map(|address| address.port()),
            sessions: sessions.clone(),
            draining: Arc::clone(&draining),
        };
        let passing = Passing { chat: chat.clone(), sessions: sessions.clone() };
        let (router, for_nodes) = rest::routers(state.clone(), |router| passing.around(router));
        let web: ServeWeb = {
            let stopping = stopping.clone();
            Arc::new(move |stream, peer, secure| {
                tcp::carried(stream, (peer, Secure(secure)), for_nodes.clone(), stopping.clone()).boxed()
            })
        };
        let (socketio, polling) = SocketIoDoor::open(
            sessions.clone(),
            Arc::clone(&origins),
            config.public.clone(),
            config.limits.trusted_proxies.clone(),
        );
        let realtime = realtime(sessions.clone(), Arc::clone(&origins), config.limits.trusted_proxies.clone());
        let router = rest::dressed(realtime.merge(polling), state).merge(router);

        if let Some(listener) = http {
            let router = router.clone();
            tasks.spawn(tcp::serve(listener, None, router, tasks.clone(), stopping.clone()));
        }
        if let (Some(listener), Some(certificates)) = (https, &certificates) {
            let tls = Some(certificates.tcp_config());
            tasks.spawn(tcp::serve(listener, tls, router, tasks.clone(), stopping.clone()));
        }
        if let Some(endpoint) = &quic {
            let serving = quic::serve(endpoint.clone(), sessions.clone(), origins);
            let stopping = stopping.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = serving => {}
                }
            });
        }
        {
            let (chat, stopping) = (chat.clone(), stopping.clone());
            tasks.spawn(async move { chat.keep_matching(stopping).await });
        }
        {
            let (chat, stopping) = (chat.clone(), stopping.clone());
            tasks.spawn(async move { chat.keep_seeking(stopping).await });
        }
        {
            let (sessions, stopping) = (sessions.clone(), stopping.clone());
            tasks.spawn(async move { sessions.keep_company(web, stopping).await });
        }
        {
            let (chat, stopping) = (chat.clone(), stopping.clone());
            tasks.spawn(async move { chat.keep_reclaiming(stopping).await });
        }
        {
            let stopping = stopping.clone();
            tasks.spawn(async move { places.keep_fresh(stopping).await });
        }
        if let Some(after) = config.forget_after {
            let (chat, stopping) = (chat.clone(), stopping.clone());
            tasks.spawn(async move { chat.keep_forgetting(after, stopping).await });
        }
        if let Some(certificates) = certificates {
            tasks.spawn(keep_renewing(certificates, stopping.clone()));
        }

        let listens = |address: Option<SocketAddr>| address.map_or_else(|| "off".to_owned(), |it| it.to_string());
        let Addresses { http, https, quic: udp } = addresses;
        info!(
            version = env!("CARGO_PKG_VERSION"),
            http = listens(http),
            https = listens(https),
            quic = listens(udp),
            "started"
        );
        stop.await;
        info!("stopping: clients are told, what is queued is written");
        draining.store(true, Ordering::Relaxed);
        if let Some(endpoint) = &quic {
            // Connections that stand go on; new ones are refused.
            endpoint.set_server_config(None);
        }
        let until = Instant::now() + config.session.drain;
        let left = sessions.hand_over_all(config.session.drain).await;
        info!(left, "what is left here ends");
        sessions.drain();
        stopping.cancel();
        tasks.close();
        let over = async { tokio::join!(socketio.close(), tasks.wait()) };
        if timeout_at(until.max(Instant::now() + LAST_WORDS).into(), over).await.is_err() {
            warn!(left = tasks.len(), "some connections did not end in time and are cut");
        }
        sessions.leave_company().await;
        if let Some(endpoint) = quic {
            quic::close(&endpoint);
            // Nothing depends on the peers having heard it.
            let _ = timeout(QUIC_GOODBYE, endpoint.wait_idle()).await;
        }
        info!("stopped");
    }
}

/// What keys the hashing of wishes: known to all nodes of a service, and to nobody else.
fn seed(config: &Config) -> u64 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, config.auth.secret.expose());
    let tag = hmac::sign(&key, b"duologue lobby");
    u64::from_be_bytes(*tag.as_ref().first_chunk().expect("an HMAC-SHA256 has 32 bytes"))
}

/// Where this node's own clients reach it.
fn doors(config: &Config, addresses: Addresses, certificates: Option<&Certificates>) -> Doors {
    let port = |address: Option<SocketAddr>| address.map(|address| address.port());
    let host = config.public.name();
    Doors {
        https_port: if host.is_some() { config.public.https_port } else { port(addresses.https) },
        host,
        quic_port: port(addresses.quic).map(|port| config.public.quic_port.unwrap_or(port)),
        http_port: port(addresses.http),
        certificate: certificates.and_then(Certificates::sha256).map(Sha256::from_bytes),
    }
}

/// This node among the others.
async fn company(
    cluster: Arc<dyn Cluster>,
    settings: Option<&config::Cluster>,
    doors: Doors,
    tasks: &TaskTracker,
) -> Result<Company, Error> {
    let address = settings.map_or((Ipv4Addr::LOCALHOST, 0).into(), |settings| settings.listen);
    let bind = |source| Error::Bind { what: "node link (UDP)", address, key: "cluster.listen", source };
    let nodes = Nodes::bind(address, tasks.clone()).map_err(bind)?;
    let address = match settings.and_then(|settings| settings.advertise.as_ref()) {
        None => nodes.address().map_err(bind)?,
        Some(name) => {
            let found = lookup_host(name).await.ok().and_then(|mut found| found.next());
            found.ok_or_else(|| Error::Advertise(name.clone()))?
        }
    };
    Ok(Company::new(cluster, nodes, address, doors))
}

/// The WebSocket door, at the path that both doors share.
fn realtime(sessions: Sessions, origins: Arc<config::Origins>, trusted: config::Networks) -> Router {
    type Asked = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;
    let upgrade = async move |extensions: Extensions, headers: HeaderMap, upgrade: Asked| {
        let peer = tcp::peer(&extensions, &headers, &trusted);
        match upgrade {
            Ok(upgrade) => websocket::upgrade(upgrade, &headers, peer, sessions.clone(), &origins),
            Err(_) => ([(UPGRADE, "websocket")], rest::Error::UpgradeRequired).into_response(),
        }
    };
    Router::new().route("/realtime", get(upgrade)).method_not_allowed_fallback(async || rest::Error::MethodNotAllowed)
}

async fn tcp_listener(
    what: &'static str,
    address: Option<SocketAddr>,
    key: &'static str,
) -> Result<Option<TcpListener>, Error> {
    let Some(address) = address else { return Ok(None) };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(Error::Bind { what, address, key, source }),
    }
}

async fn keep_renewing(certificates: Certificates, stop: CancellationToken) {
    let mut ticks = interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => match certificates.renew_if_due(SystemTime::now()) {
                Ok(true) => info!("the certificate was renewed"),
                Ok(false) => {}
                Err(error) => warn!(%error, "the certificate could not be renewed; the old one stays"),
            },
        }
    }
}

/// The short table that is printed at start.
struct Banner<'a> {
    config: &'a Config,
    addresses: Addresses,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Addresses { http, https, quic } = self.addresses;
        let environment = match self.config.environment {
            config::Environment::Development => "development",
            config::Environment::Production => "production",
        };
        writeln!(f, "\n  Duologue {} ({environment})\n", env!("CARGO_PKG_VERSION"))?;
        if let Some(http) = http {
            let host = if http.ip().is_loopback() { "localhost".to_owned() } else { http.ip().to_string() };
            writeln!(f, "  Open   http://{host}:{}   in two windows, and talk\n", http.port())?;
        }
        let mut row = |name: &str, address: Option<SocketAddr>, what: &str| match address {
            Some(address) => writeln!(f, "  {name:<6} {:<22} {what}", address.to_string()),
            None => writeln!(f, "  {name:<6} off"),
        };
        row("HTTP", http, "demo, REST (/api/docs), WebSocket, Socket.IO")?;
        row("HTTPS", https, "the same over TLS")?;
        row("QUIC", quic, "WebTransport (UDP)")?;
        writeln!(f, "\n  Data in {}. Ctrl-C stops.", self.config.data.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_fails_where_a_start_would_and_makes_no_files() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).display().to_string();
        let config = |more: &[(&str, String)]| {
            let data = [("DUOLOGUE_SERVER_DATA", path("data")), ("DUOLOGUE_TLS_FOLDER", path("certs"))];
            let all = data.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.clone()));
            config::load(None, all).unwrap()
        };
        let missing = [("DUOLOGUE_TLS_CERTIFICATE", path("chain.pem")), ("DUOLOGUE_TLS_KEY", path("key.pem"))];
        let error = check(&config(&missing)).unwrap_err().to_string();
        assert!(error.contains("chain.pem"), "{error}");
        let off = ["DUOLOGUE_LISTEN_HTTPS", "DUOLOGUE_LISTEN_QUIC"].map(|name| (name, "off".to_owned()));
        check(&config(&[&missing[..], &off].concat())).unwrap();
        let error = check(&config(&[("DUOLOGUE_PLACE_DATABASE", path("none.mmdb"))])).unwrap_err().to_string();
        assert!(error.contains("none.mmdb"), "{error}");
        check(&config(&[])).unwrap();
        assert!(!home.path().join("certs").exists(), "a development certificate is for a start to make");
    }
}
