//! A request that is passed on over a stream to whoever can answer it, and its answer back (RFC 9110
//! section 7.6): both bodies stream, and no more of them is taken than the other end takes.
//!
//! Must not know: which requests are passed on, and to whom.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{
    CONNECTION, EXPECT, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::tcp::HEAD_BYTES;

/// What concerns one connection alone, beside what `Connection` names (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself came to no end.
    #[error("the request was cut off: {0}")]
    Request(#[source] hyper::Error),
    /// The other side answers no more.
    #[error("there is no answer: {0}")]
    Answer(#[source] hyper::Error),
}

/// Passes a request on over `stream`, which is for it alone. To drop the future, or the answer's body, ends
/// it at the other end too. It waits for the answer for as long as `stream` says that the other side lives.
///
/// # Errors
/// There is none.
pub async fn pass<S>(stream: S, request: Request<Body>, tasks: &TaskTracker) -> Result<Response, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    strip(&mut parts.headers);
    // They are of the connection that it came by.
    parts.extensions = Extensions::new();
    let (wanted, unwanted) = (CancellationToken::new(), CancellationToken::new());
    let expects = parts.headers.contains_key(EXPECT);
    let body = Awaited {
        body: Some(body),
        wanted: expects.then(|| Box::pin(wanted.clone().cancelled_owned())),
        unwanted: Box::pin(unwanted.clone().cancelled_owned()),
    };
    let mut request = Request::from_parts(parts, body);
    if expects {
        // Until then the client has not been told to send its body (RFC 9110 section 10.1.1).
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                wanted.cancel();
            }
        });
    }
    let mut client = http1::Builder::new();
    client.max_buf_size(HEAD_BYTES);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(Error::Answer)?;
    let over = CancellationToken::new();
    let guard = over.clone().drop_guard();
    tasks.spawn(async move {
        tokio::select! {
            biased;
            () = over.cancelled() => {}
            ended = connection => if let Err(error) = ended {
                debug!(%error, "a request that was passed on came to no end");
            }
        }
    });
    let answer = sender.send_request(request).await;
    let answer = answer.map_err(|error| if error.is_user() { Error::Request(error) } else { Error::Answer(error) })?;
    // Whoever has answered reads no more of it; what the client goes on to send is its connection's affair.
    unwanted.cancel();
    let (mut parts, body) = answer.into_parts();
    strip(&mut parts.headers);
    let body = Guarded { body: Body::new(body), _guard: guard };
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// Takes out what is not for the next connection.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

type Told = Pin<Box<WaitForCancellationFutureOwned>>;

/// A request's body, which is not asked for before it is wanted, nor after that.
struct Awaited {
    body: Option<Body>,
    wanted: Option<Told>,
    unwanted: Told,
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, wanted, unwanted } = &mut *self;
        if body.is_some() && unwanted.as_mut().poll(cx).is_ready() {
            *body = None;
        }
        // Neither an end nor an error: with either, the rest of the answer would not be read.
        let Some(body) = body else { return Poll::Pending };
        if let Some(wanted) = wanted {
            ready!(wanted.as_mut().poll(cx));
        }
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

/// An answer's body, with whose end the connection to whoever gave it ends.
struct Guarded {
    body: Body,
    _guard: DropGuard,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn request(body: Body, headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::post("/api/files?size=1").header("host", "chat.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body).unwrap()
    }

    async fn head(stream: &mut DuplexStream) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            heard.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(heard).unwrap()
    }

    #[tokio::test]
    async fn what_is_of_one_connection_stays_there() {
        let (near, mut far) = duplex(4096);
        let tasks = TaskTracker::new();
        let headers = [
            ("connection", "keep-alive, X-Own"),
            ("x-own", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("x-forwarded-for", "192.0.2.7"),
            ("content-length", "5"),
        ];
        let answering = async {
            let heard = head(&mut far).await;
            assert!(heard.starts_with("POST /api/files?size=1 HTTP/1.1\r\n"), "{heard}");
            let mut lines: Vec<_> = heard.lines().skip(1).filter(|line| !line.is_empty()).collect();
            lines.sort_unstable();
            assert_eq!(lines, ["content-length: 5", "host: chat.example", "x-forwarded-for: 192.0.2.7"]);
            let mut body = [0; 5];
            far.read_exact(&mut body).await.unwrap();
            let answer = b"HTTP/1.1 409 Conflict\r\nconnection: close, x-hop\r\nx-hop: 1\r\nx-end: 2\r\ncontent-length: 2\r\n\r\nno";
            far.write_all(answer).await.unwrap();
            far
        };
        let (answer, mut far) = tokio::join!(pass(near, request(Body::from("hello"), &headers), &tasks), answering);
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::CONFLICT);
        assert_eq!(answer.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-end", "content-length"]);
        assert_eq!(to_bytes(answer.into_body(), 64).await.unwrap(), "no");
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the connection was for this request alone");
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_body_of_which_no_more_is_wanted_is_let_go_and_the_answer_comes_whole() {
        let (near, mut far) = duplex(64);
        let (tasks, let_go) = (TaskTracker::new(), CancellationToken::new());
        let held = let_go.clone().drop_guard();
        // It never ends by itself.
        let body = Body::from_stream(futures_util::stream::unfold(held, async |held| {
            tokio::task::yield_now().await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(&[7; 64])), held))
        }));
        let answering = async {
            head(&mut far).await;
            let long = "x".repeat(1_000);
            let answer = format!("HTTP/1.1 413 Content Too Large\r\ncontent-length: 1000\r\n\r\n{long}");
            let (mut read, mut write) = tokio::io::split(far);
            let mut dropped = Vec::new();
            let (written, _) = tokio::join!(write.write_all(answer.as_bytes()), async {
                let_go.cancelled().await;
                read.read_to_end(&mut dropped).await
            });
            written.unwrap();
        };
        let asking = async {
            let answer = pass(near, request(body, &[]), &tasks).await.unwrap();
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(to_bytes(answer.into_body(), 2_000).await.unwrap().len(), 1_000);
        };
        tokio::join!(asking, answering);
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_and_an_answer_that_does_not_come_differ() {
        let tasks = TaskTracker::new();
        let (near, far) = duplex(4096);
        let broken = futures_util::stream::iter([Ok(Bytes::from_static(b"a")), Err(std::io::Error::other("gone"))]);
        let error = pass(near, request(Body::from_stream(broken), &[]), &tasks).await.unwrap_err();
        assert!(matches!(error, Error::Request(_)), "{error}");
        drop(far);
        let (near, far) = duplex(4096);
        let (answer, ()) = tokio::join!(pass(near, request(Body::from("a"), &[]), &tasks), async { drop(far) });
        assert!(matches!(answer.unwrap_err(), Error::Answer(_)));
    }
}
