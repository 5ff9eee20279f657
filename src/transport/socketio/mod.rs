//! Socket.IO (Engine.IO 4, and 3 for clients of Socket.IO 2), at its usual path on the HTTP ports: for
//! clients of the original API, which know nothing of sessions, numbers or keys.
//!
//! Owns: the handshake with its token, `connect_error`, what stands between a connection of the library
//! and a link of ours ([`link`]), and the difference in words ([`words`]).
//!
//! Must not know: the rules of a conversation. What arrives here becomes a frame as any other; numbers
//! are put on and taken off on the way. An event counts as arrived once the library has it to send, so
//! this door is at most once, as the original: its protocol knows no more.

mod exits;
mod link;
mod shared;
mod words;
mod writing;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use serde::Deserialize;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::message::FromMessageParts;
use socketioxide::handler::{ConnectHandler, MessageHandler};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{ParserConfig, ProtocolVersion, SocketIo};
use socketioxide_core::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::exits::Exits;
use self::link::SocketIoLink;
use self::shared::{Call, Shared};
use super::tcp;
use crate::config::{Networks, Origins, Public};
use crate::protocol::{ClientInfo, Hello, MAX_CLIENT_ID, PROTOCOL};
use crate::session::Sessions;
use crate::tls::Secure;

/// Where clients look for it.
pub const PATH: &str = "/socket.io";
/// How long a session waits for its person after the connection is lost.
const GRACE: Duration = Duration::from_secs(30);
/// Between the engine's pings, and how long one may go unanswered: a dead connection is known after the
/// sum. The session's own heartbeat cannot help, as these clients would not answer it.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(8);
/// Time for the client to ask for the namespace once it is connected.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for the session to begin.
const BEGIN: Duration = Duration::from_secs(10);
/// Time for the body of a polling request.
const BODY: Duration = Duration::from_secs(10);
/// Largest packet, in bytes, as the original's default: over it the connection is closed. Events over
/// [`MAX_FRAME`](crate::protocol::MAX_FRAME) are refused.
const MOST_BYTES: usize = 1_000_000;
/// Packets that wait for a slow connection before writing waits. When they are this many at the moment
/// of a ping, the library closes the connection.
const QUEUE: usize = 256;
/// Binary attachments of a packet and their bytes: more close the connection. They are refused, but the
/// library reads them first, also from whoever was not let in.
const ATTACHMENTS: usize = 4;
/// Time for the attachments to follow their packet.
const ATTACHED: Duration = Duration::from_secs(5);
/// How long a client that is not served any more has to close its connection.
const PARTING: Duration = Duration::from_secs(2);
/// The library's read buffer for each WebSocket, in bytes.
const READ_BUFFER: usize = 2048;

/// The door.
pub struct SocketIoDoor {
    io: SocketIo,
    links: TaskTracker,
}

impl SocketIoDoor {
    /// The door, and its routes.
    pub fn open(sessions: Sessions, origins: Arc<Origins>, public: Public, trusted: Networks) -> (Self, Router) {
        let parser = ParserConfig::common()
            .max_incoming_binaries(ATTACHMENTS)
            .max_incoming_binary_buf_size(MOST_BYTES)
            .packet_completion_timeout(ATTACHED);
        let (service, io) = SocketIo::builder()
            .req_path(PATH)
            .with_parser(parser)
            .ping_interval(PING)
            .ping_timeout(PONG)
            .connect_timeout(CONNECT)
            .max_payload(MOST_BYTES as u64)
            .max_buffer_size(QUEUE)
            .ws_read_buffer_size(READ_BUFFER)
            .ws_max_message_size(MOST_BYTES)
            .ws_max_frame_size(MOST_BYTES)
            .build_svc();
        let links = TaskTracker::new();
        let exits = Exits::default();
        let house = Arc::new(House { origins, public, trusted, exits: exits.clone() });
        io.ns("/", Porch { sessions, house, links: links.clone() });
        let routes = Router::new()
            .route(PATH, routing::any_service(service.clone()))
            .route(&format!("{PATH}/"), routing::any_service(service))
            .layer(from_fn_with_state(exits, in_time));
        (Self { io, links }, routes)
    }

    /// Sees everyone off whose session has ended. To be called once all sessions were told to end.
    pub async fn close(self) {
        self.links.close();
        self.links.wait().await;
        self.io.close().await;
    }
}

/// What the library and this door read of a request. It keeps the request as long as the connection.
const READ: [HeaderName; 13] = [
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    ORIGIN,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING,
    UPGRADE,
    USER_AGENT,
    FORWARDED_FOR,
    FORWARDED_PROTO,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The same request in memory of its own: what was parsed refers to the whole buffer that it was read
/// into, and would keep that.
fn apart(request: Request) -> Request {
    let (mut parts, body) = request.into_parts();
    let mut headers = HeaderMap::with_capacity(READ.len());
    for name in READ {
        for value in parts.headers.get_all(&name) {
            let copied = HeaderValue::from_bytes(value.as_bytes()).expect("it was a value before");
            headers.append(name.clone(), copied);
        }
    }
    parts.headers = headers;
    if let Ok(uri) = parts.uri.to_string().parse() {
        parts.uri = uri;
    }
    Request::from_parts(parts, body)
}

/// A body that trickles in must not hold a connection for ever. Requests without one may wait: that is
/// what long polling is.
async fn in_time(State(exits): State<Exits>, request: Request, next: Next) -> Response {
    if let Some(answer) = exits.pass(&request) {
        return answer;
    }
    let request = apart(request);
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let late = |_| StatusCode::REQUEST_TIMEOUT.into_response();
    timeout(BODY, next.run(request)).await.unwrap_or_else(late)
}

/// Where clients are let in, or told why not.
#[derive(Clone)]
struct Porch {
    sessions: Sessions,
    house: Arc<House>,
    links: TaskTracker,
}

/// What all connections share.
struct House {
    origins: Arc<Origins>,
    public: Public,
    trusted: Networks,
    exits: Exits,
}

/// Tells our handlers from those that the library makes of closures.
struct Ours;

type Admission = Result<(), Box<dyn std::fmt::Display + Send>>;

impl ConnectHandler<LocalAdapter, Ours> for Porch {
    /// The client was let in and is told so; the link may write from now on.
    fn call(&self, socket: Arc<Socket>, _: Option<Value>) {
        if let Some(shared) = socket.extensions.get::<Arc<Shared>>() {
            shared.connected.cancel();
        }
    }

    /// Before it is. Handlers are set here, so that no event can come too early for them.
    fn call_middleware<'a>(
        &'a self,
        socket: Arc<Socket>,
        auth: &'a Option<Value>,
    ) -> Pin<Box<dyn Future<Output = Admission> + Send + 'a>> {
        Box::pin(async move {
            let admitted = self.admit(Arc::clone(&socket), auth.as_ref()).await;
            if admitted.is_err() {
                self.see_off(socket, CancellationToken::new());
            }
            admitted.map_err(|why| Box::new(why) as Box<dyn std::fmt::Display + Send>)
        })
    }
}

impl Porch {
    /// Ends the connection of a client that has no link any more, unless it has `ended` by itself.
    fn see_off(&self, socket: Arc<Socket>, ended: CancellationToken) {
        let exits = self.house.exits.clone();
        self.sessions.tasks().spawn(async move {
            if timeout(PARTING, ended.cancelled()).await.is_err() {
                exits.shut(&socket);
            }
        });
    }

    async fn admit(&self, socket: Arc<Socket>, auth: Option<&Value>) -> Result<(), String> {
        let parts = socket.req_parts();
        if !self.house.origins.allows(tcp::origin(&parts.headers)) {
            return Err("This page may not connect here: its origin is not in CORS_ORIGIN.".to_owned());
        }
        let auth = Auth::read(auth, parts, socket.protocol());
        let Some(token) = auth.token else {
            return Err("An access token is needed: io(url, { auth: { token } }).".to_owned());
        };
        let client = ClientInfo {
            name: "socket.io".to_owned(),
            version: (if socket.protocol() == ProtocolVersion::V4 { "2" } else { "4" }).to_owned(),
            device_id: auth.device_id,
            calls: false,
        };
        let hello = Hello { protocol: PROTOCOL, token, client, resume: None };

        let (opened, opening) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        socket.extensions.insert(Arc::clone(&shared));
        socket.on_fallback(Ear(Arc::clone(&shared)));
        let (gone, exits, sid) = (Arc::clone(&shared), self.house.exits.clone(), socket.id);
        socket.on_disconnect(async move |reason: DisconnectReason| {
            use DisconnectReason as R;
            // By name, the connection may go on.
            if !matches!(reason, R::ClientNSDisconnect | R::ServerNSDisconnect) {
                gone.ended.cancel();
                exits.forget(sid);
            }
            gone.gone.cancel();
        });

        let peer = tcp::peer(&parts.extensions, &parts.headers, &self.house.trusted);
        let base = base(&self.house.public, &self.house.trusted, parts);
        let link = SocketIoLink { socket, hello, shared, opened, peer, base, grace: GRACE, porch: self.clone() };
        let serving = self.links.track_future(self.sessions.clone().serve(link));
        self.sessions.tasks().spawn(serving);
        match timeout(BEGIN, opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) | Err(_) => Err("The server could not begin a session. Try again.".to_owned()),
        }
    }
}

/// What a client shows to be let in.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Auth {
    token: Option<String>,
    device_id: Option<String>,
}

impl Auth {
    /// From `auth`; else from the Authorization header; else, of a client of Socket.IO 2, which has neither
    /// in a browser, from the query.
    fn read(auth: Option<&Value>, parts: &Parts, version: ProtocolVersion) -> Self {
        let mut auth: Self = match auth {
            Some(Value::Str(text, _)) => serde_json::from_str(text).unwrap_or_default(),
            Some(Value::Bytes(_)) | None => Self::default(),
        };
        let header = || parts.headers.get(AUTHORIZATION)?.to_str().ok().map(str::to_owned);
        let query = || {
            // Tokens have no character that a query would have to write in another way.
            let query = parts.uri.query().filter(|_| version == ProtocolVersion::V4);
            exits::query(query, "token").map(str::to_owned)
        };
        let token = auth.token.take().filter(|token| !token.is_empty()).or_else(header).or_else(query);
        auth.token = token.map(|token| token.strip_prefix("Bearer ").unwrap_or(&token).to_owned());
        auth.device_id = auth.device_id.filter(|id| !id.is_empty() && id.chars().count() <= MAX_CLIENT_ID);
        auth
    }
}

/// What the links to files begin with: by the public name where there is one, else as the client has
/// reached us.
fn base(public: &Public, trusted: &Networks, parts: &Parts) -> String {
    if let Some(authority) = public.authority() {
        return format!("https://{authority}");
    }
    let secure = parts.extensions.get::<Secure>().is_some_and(|Secure(secure)| *secure);
    let proxy = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let proxied = proxy.is_some_and(|ConnectInfo(proxy)| trusted.contains(proxy.ip()))
        && parts.headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    let scheme = if secure || proxied { "https" } else { "http" };
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
    // Without a name that can be used, the client's own origin has to do.
    if plain { format!("{scheme}://{host}") } else { String::new() }
}

/// What hears the client. It is called in the order of the events, by whoever reads the connection, and
/// never waits.
struct Ear(Arc<Shared>);

impl MessageHandler<LocalAdapter, Ours> for Ear {
    fn call(&self, socket: Arc<Socket>, mut said: Value, ack: Option<i64>) {
        let Ok(answer) = AckSender::from_message_parts(&socket, &mut said, &ack);
        let said = match said {
            Value::Str(text, None) => Some(text),
            // Its bytes are not kept any longer.
            Value::Str(_, Some(_)) | Value::Bytes(_) => None,
        };
        let call = Call { said, answer: ack.is_some().then_some(answer) };
        if let Err(call) = self.0.hear(call) {
            link::too_fast(&socket, call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn text(text: &str) -> Value {
        Value::Str(text.to_owned().into(), None)
    }

    #[test]
    fn a_token_is_looked_for_where_each_kind_of_client_can_put_it() {
        let token = |auth: Option<&Value>, parts: &Parts, version| Auth::read(auth, parts, version).token;
        let bare = parts("/socket.io/?EIO=4&token=q", &[]);
        let auth = text(r#"{"token":"a","deviceId":"d"}"#);
        assert_eq!(token(Some(&auth), &bare, ProtocolVersion::V5).as_deref(), Some("a"));
        assert_eq!(token(None, &bare, ProtocolVersion::V5), None, "no token travels in a URL");
        assert_eq!(token(None, &bare, ProtocolVersion::V4).as_deref(), Some("q"), "old clients know no other way");
        let header = parts("/socket.io/", &[("authorization", "Bearer h")]);
        assert_eq!(token(Some(&text("7")), &header, ProtocolVersion::V5).as_deref(), Some("h"));
        assert_eq!(token(Some(&text(r#"{"token":{"$gt":""}}"#)), &bare, ProtocolVersion::V5), None);
        let long = text(&format!(r#"{{"token":"a","deviceId":"{}"}}"#, "x".repeat(65)));
        assert_eq!(Auth::read(Some(&long), &bare, ProtocolVersion::V5).device_id, None);
    }

    #[test]
    fn links_to_files_begin_where_the_client_reached_us() {
        let (nowhere, trusted) = (Public::default(), Networks::parse(&["10.0.0.0/8".to_owned()]).unwrap());
        let public = Public { host: Some("chat.example".into()), https_port: Some(8443), ..Public::default() };
        let mut reached = parts("/socket.io/", &[("host", "localhost:3001"), ("x-forwarded-proto", "https")]);
        assert_eq!(base(&public, &trusted, &reached), "https://chat.example:8443");
        reached.extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 1))));
        assert_eq!(base(&nowhere, &trusted, &reached), "http://localhost:3001", "anyone may say so");
        reached.extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 7], 1))));
        assert_eq!(base(&nowhere, &trusted, &reached), "https://localhost:3001");
        let mut reached = parts("/socket.io/", &[("host", "localhost:3001")]);
        reached.extensions.insert(Secure(true));
        assert_eq!(base(&nowhere, &trusted, &reached), "https://localhost:3001");
        assert_eq!(base(&nowhere, &trusted, &parts("/socket.io/", &[("host", "a/b")])), "");
    }
}
