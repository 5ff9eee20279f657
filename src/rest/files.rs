//! The two ends of a file's way for those who speak HTTP: a form goes in, and comes out once at the
//! address that the receiver alone was told. Nothing is kept in between.

use std::fmt::Write;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{self, Path, Request};
use axum::http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::{Bearer, Failure, Success, bearer, success};
use super::form::Form;
use super::rates::Spent;
use super::{Error, State};
use crate::chat::{Download, Over, accounts};
use crate::media::{HEAD, clean_name, shown_inline};
use crate::protocol::{ErrorCode, Offered, Refusal, Ticket, TransferEnd, TransferId, UserId};

/// Most bytes of an answer's body in one piece.
const PIECE: usize = 16 * 1024;
/// What a browser may do with a file that it shows: nothing but show it.
const POLICY: &str = "sandbox; default-src 'none'";

/// Send a file or a voice note
///
/// `POST /api/files`. It streams to the partner, who has to accept it first, and is kept nowhere. The fields
/// stand before the file, or in the query.
#[utoipa::path(
    post,
    path = "/api/files",
    tag = "files",
    security(("token" = [])),
    request_body(content = UploadFields, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "The partner has all of it", body = Success<Delivered>),
        (status = 409, description = "`no-conversation`, `transfer-limit`, `rejected`, `cancelled`, `unanswered`, \
                                      `offset-mismatch`, `lost`", body = Failure),
    ),
)]
pub async fn upload(
    extract::State(state): extract::State<State>,
    Extension(spent): Extension<Spent>,
    Bearer(token): Bearer,
    request: Request,
) -> Result<Response, Error> {
    let user = state.chat.accounts().me(&token).await?.id;
    state.chat.may_upload(user).map_err(Error::Refused)?;
    let mut form = Form::open(request, state.config.files.max_bytes)?;
    let (proposed, mut file) = form.file().await?;
    let (name, mime) = (clean_name(&proposed.name), proposed.mime.clone());
    let mut upload = state.chat.upload(user, proposed).map_err(Error::Refused)?;
    spent.spend();
    let transfer = upload.id().clone();
    loop {
        let next = tokio::select! {
            biased; // the end first: what comes after it is not wanted
            over = upload.over() => return Err(Error::Over(over)),
            next = file.next() => next,
        };
        let mut bytes = match next {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(Error::BodyTooSlow) => {
                upload.fail(TransferEnd::Stalled);
                return Err(Error::Over(Over::Ended(TransferEnd::Stalled)));
            }
            Err(error) => return Err(error),
        };
        while !bytes.is_empty() {
            // The first time, this waits until the partner has accepted.
            let room = upload.room().await.map_err(Error::Over)?;
            let now = bytes.split_to(room.min(bytes.len()));
            upload.bring(&now);
        }
    }
    drop(file);
    form.end().await?;
    let size = upload.finish().await.map_err(Error::Over)?;
    Ok(success(StatusCode::CREATED, Some("File delivered"), Delivered { transfer, name, size, mime }))
}

/// The form.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "a form is read as it streams; this is its place in the document")]
struct UploadFields {
    /// `file` where it is not said.
    #[schema(value_type = UploadKind, required = false)]
    kind: Option<UploadKind>,
    /// In bytes, where it is known.
    #[schema(value_type = u64, required = false)]
    size: Option<u64>,
    /// How long a voice note is.
    #[schema(value_type = u64, required = false)]
    duration_ms: Option<u64>,
    /// The last part, with a name and a type.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// What a form brings.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "it stands for protocol::FileKind in the document")]
enum UploadKind {
    File,
    Voice,
}

/// A file that has arrived.
#[derive(Serialize, ToSchema)]
struct Delivered {
    #[schema(value_type = String)]
    transfer: TransferId,
    name: String,
    size: u64,
    mime: String,
}

/// Fetch a file, once
///
/// `GET /api/files/{ticket}`, at the address that `file:offer` told. A token is not needed; one that is sent
/// must be the receiver's.
#[utoipa::path(
    get,
    path = "/api/files/{ticket}",
    tag = "files",
    security((), ("token" = [])),
    params(("ticket" = String, Path, description = "Known to the receiver alone, and good once")),
    responses(
        (status = 200, description = "The file; its type is named where browsers may show it",
         body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "`transfer-unknown`", body = Failure),
        (status = 408, description = "`stalled`", body = Failure),
        (status = 409, description = "`transfer-busy`, `no-conversation`, or what ended it", body = Failure),
        (status = 413, description = "`too-big`, `voice-too-long`", body = Failure),
        (status = 415, description = "`type-mismatch`, `type-not-allowed`", body = Failure),
        (status = 422, description = "`size-mismatch`, `voice-mismatch`, `voice-unreadable`, `hash-mismatch`", body = Failure),
    ),
)]
pub async fn download(
    extract::State(state): extract::State<State>,
    ticket: Result<Path<String>, PathRejection>,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let ticket = ticket.ok().and_then(|Path(ticket)| ticket.parse::<Ticket>().ok());
    let ticket = ticket.ok_or_else(|| Error::Refused(unknown()))?;
    let caller = match headers.contains_key(axum::http::header::AUTHORIZATION) {
        true => Some(caller(&state, &headers).await?),
        false => None,
    };
    // HTTP/1.0 ends an answer of no known length by closing: what is cut off would look whole.
    let sized = version == Version::HTTP_10;
    let mut download = state.chat.download(ticket, caller, sized).map_err(Error::Refused)?;
    // Past this many bytes, or at the end, the type is judged: what is wrong with it is still an answer.
    download.ready(HEAD as u64, PIECE).await.map_err(Error::Over)?;
    let headers = describe(download.offered());
    let body = Body::from_stream(stream::try_unfold(download, proceed));
    Ok((headers, body).into_response())
}

/// `HEAD` of the same would use it up, to no end.
pub async fn head() -> Response {
    ([(ALLOW, "GET")], Error::MethodNotAllowed).into_response()
}

async fn proceed(mut download: Download) -> Result<Option<(Bytes, Download)>, Cut> {
    let bytes = download.next(PIECE).await.map_err(Cut)?;
    Ok(bytes.map(|bytes| (bytes, download)))
}

/// The rest will not come: the connection breaks, so that nobody takes what came for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the file ended before its end: {0:?}")]
struct Cut(Over);

/// Whose token it is. A token that is not good finds nothing.
async fn caller(state: &State, headers: &HeaderMap) -> Result<UserId, Error> {
    let token = bearer(headers).ok_or_else(|| Error::Refused(unknown()))?;
    match state.chat.accounts().me(token).await {
        Ok(account) => Ok(account.id),
        Err(accounts::Error::Token(_)) => Err(Error::Refused(unknown())),
        Err(error) => Err(error.into()),
    }
}

fn unknown() -> Refusal {
    let message = "There is no file here. Each can be had once, while it is offered, by whom it is offered to.";
    Refusal::new(ErrorCode::TransferUnknown, message)
}

/// The headers of a file. Types that browsers do not show are not named, so that none is guessed or run.
fn describe(offered: &Offered) -> HeaderMap {
    let inline = shown_inline(&offered.mime);
    let binary = HeaderValue::from_static("application/octet-stream");
    let declared = inline.then(|| HeaderValue::from_str(&offered.mime).ok()).flatten();
    let disposition = disposition(inline, &offered.name);
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, declared.unwrap_or(binary)),
        (CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).expect("it is written in plain ASCII")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (ACCEPT_RANGES, HeaderValue::from_static("none")),
    ]);
    if let Some(size) = offered.size {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    }
    headers
}

/// Content-Disposition (RFC 6266): a plain name for those who know no other, and the real one.
fn disposition(inline: bool, name: &str) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    // A percent sign too: some browsers decode it in the plain name.
    let plain = |c: char| if (c.is_ascii_graphic() || c == ' ') && !"\"\\%".contains(c) { c } else { '_' };
    let fallback: String = name.chars().map(plain).collect();
    let mut exact = String::new();
    for byte in name.bytes() {
        // `attr-char` of RFC 8187 section 3.2.1.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            exact.push(char::from(byte));
        } else {
            write!(exact, "%{byte:02X}").expect("a string takes all that is written");
        }
    }
    format!("{kind}; filename=\"{fallback}\"; filename*=UTF-8''{exact}")
}
