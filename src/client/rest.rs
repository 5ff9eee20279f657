//! The little of a server's REST face that a client needs: a token, and where the doors are.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::lookup_host;
use tokio::time::{Duration, timeout};

use super::wire::{Server, connect_tcp};
use super::{Error, Target};

/// Longest time for one request, from connecting to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const MOST: usize = 1024 * 1024;

/// A server, by its base address.
#[derive(Debug, Clone)]
pub struct Rest {
    server: Server,
}

/// Who a token belongs to.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// For `connection:hello` and `Authorization`.
    pub token: String,
    /// The person.
    pub user: User,
}

/// A person, as far as a client cares.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// Their name.
    pub username: String,
}

impl Rest {
    /// The server at `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    ///
    /// # Errors
    /// [`Error::Address`]; nothing is asked of the server yet, but its name is looked up.
    pub async fn at(base: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Address { address: base.to_owned(), why: why.to_owned() };
        let (secure, rest) = match base.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(wrong("it begins with http:// or https://")),
        };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains('/') {
            return Err(wrong("it is a host and perhaps a port, with no path"));
        }
        let server = Server::find(authority, secure).await.map_err(|error| wrong(&error))?;
        Ok(Self { server })
    }

    /// Where the HTTP side listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// A throw-away account.
    ///
    /// # Errors
    /// The server is away or refuses.
    pub async fn guest(&self) -> Result<Account, Error> {
        self.ask(Method::POST, "/api/auth/guest", None, Some(&json!({}))).await
    }

    /// The account of this address.
    ///
    /// # Errors
    /// The server is away or refuses.
    pub async fn login(&self, email: &str, password: &str) -> Result<Account, Error> {
        self.ask(Method::POST, "/api/auth/login", None, Some(&json!({ "email": email, "password": password }))).await
    }

    /// Where the doors are.
    ///
    /// # Errors
    /// The server is away, or says what this client cannot use.
    pub async fn target(&self) -> Result<Target, Error> {
        let directions: Directions = self.ask(Method::GET, "/api/connect", None, None).await?;
        let websocket = door(&directions.websocket.url).await?;
        let (quic, certificate) = match directions.webtransport {
            None => (None, None),
            Some(webtransport) => {
                let hash = webtransport.server_certificate_hashes.iter().flatten().find(|it| it.algorithm == "sha-256");
                let hash = hash.and_then(|it| STANDARD.decode(&it.value).ok()?.try_into().ok());
                (Some(door(&webtransport.url).await?), hash)
            }
        };
        Ok(Target {
            websocket,
            quic,
            certificate,
            origin: None,
            #[cfg(test)]
            net: None,
        })
    }

    /// One request; the `data` of its answer.
    ///
    /// # Errors
    /// [`Error::Refused`] with the server's own code and words; [`Error::Connect`].
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<T, Error> {
        let asked = timeout(DEADLINE, self.send(method, path, token, body)).await;
        let (status, bytes) = asked.map_err(|_| Error::Timeout(DEADLINE))??;
        let unreadable = |why: String| Error::Refused { status, code: "unreadable-answer".to_owned(), message: why };
        let answer: Answer<T> = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        match answer {
            Answer { data: Some(data), success: true, .. } => Ok(data),
            Answer { message, error, .. } => Err(Error::Refused {
                status,
                code: error.map_or_else(|| "unknown".to_owned(), |error| error.code),
                message: message.unwrap_or_else(|| "The server gave no reason.".to_owned()),
            }),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, Bytes), Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Connect(error.to_string());
        let stream = connect_tcp(&self.server).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.server.authority);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(bytes)));
        let request = request.map_err(|error| failed(&error))?;
        let answered = async {
            let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| failed(&error))?;
            Ok((status, body.to_bytes()))
        };
        // The connection is driven beside the request, and dropped with it.
        tokio::pin!(answered);
        tokio::select! {
            biased; // an answer that is whole counts ...
            answered = &mut answered => answered,
            // ... also if the connection ends with it; without one, the request says what went wrong.
            _ended = connection => answered.await,
        }
    }
}

/// The server behind a door's address.
async fn door(url: &str) -> Result<Server, Error> {
    let wrong = |why: &str| Error::Address { address: url.to_owned(), why: why.to_owned() };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    Server::find(authority, matches!(scheme, "https" | "wss")).await.map_err(|error| wrong(&error))
}

impl Server {
    /// Looks a host and perhaps a port up.
    async fn find(authority: &str, secure: bool) -> Result<Self, String> {
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port =
            if has_port { authority.to_owned() } else { format!("{authority}:{}", if secure { 443 } else { 80 }) };
        let mut found = lookup_host(&with_port).await.map_err(|error| error.to_string())?;
        // IPv4 first: a development server listens on 127.0.0.1, and localhost is ::1 as well.
        let all: Vec<_> = found.by_ref().collect();
        let address = all.iter().find(|it| it.is_ipv4()).or(all.first()).copied();
        let address = address.ok_or_else(|| "this name has no address".to_owned())?;
        Ok(Self { address, authority: authority.to_owned(), secure })
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    success: bool,
    message: Option<String>,
    data: Option<T>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    code: String,
}

#[derive(Deserialize)]
struct Directions {
    webtransport: Option<WebTransport>,
    websocket: WebSocket,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebTransport {
    url: String,
    server_certificate_hashes: Option<Vec<Hash>>,
}

#[derive(Deserialize)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
struct WebSocket {
    url: String,
}
