//! A form (multipart/form-data, RFC 7578) whose file streams by: what stands before the file, and its
//! bytes as they come. Never more is read than is asked for, and never more kept than one piece.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use futures_util::{Stream, StreamExt};
use multer::{Field, Multipart};
use tokio::time::timeout;

use super::envelope::Detail;
use super::{Error, MAX_BODY};
use crate::chat::UploadForm;
use crate::protocol::{ErrorCode, FileKind, MAX_NAME, Refusal, check_mime};

/// Time for everything before the file's first bytes, and for what closes the form after its last.
const AROUND: Duration = Duration::from_secs(10);
/// Time for the next bytes of the file.
const NEXT: Duration = Duration::from_secs(30);
/// Most bytes before the file ...
const MOST_AROUND: u64 = MAX_BODY as u64;
/// ... and after it.
const MOST_AFTER: u64 = 4 * 1024;
/// The field that the file is in.
const FILE: &str = "file";
/// What a file is, where the form does not say it.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// A form of which nothing is read yet.
pub struct Form {
    parts: Multipart<'static>,
    fields: Fields,
    max_bytes: u64,
    allowance: Allowance,
}

/// How many more bytes of the body may come.
type Allowance = Arc<AtomicU64>;

impl Form {
    /// Looks at the head of a request alone. `max_bytes`: of a file.
    ///
    /// # Errors
    /// It is no form, is too large whatever is in it, or its query says what makes no sense.
    pub fn open(request: Request, max_bytes: u64) -> Result<Self, Error> {
        let mut fields = Fields::default();
        for pair in request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.set(name, value)?;
        }
        if request.body().size_hint().lower() > max_bytes + 2 * MOST_AROUND {
            return Err(Error::Refused(too_big(max_bytes)));
        }
        let said = request.headers().get(CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(said).map_err(|_| Error::FormExpected)?;
        let allowance = Arc::new(AtomicU64::new(MOST_AROUND));
        let left = Arc::clone(&allowance);
        let body = Paced { body: request.into_body().into_data_stream(), left, paused: false };
        Ok(Self { parts: Multipart::new(body, boundary), fields, max_bytes, allowance })
    }

    /// Reads up to the file and its first bytes.
    ///
    /// # Errors
    /// There is no file, it is empty, or a field before it makes no sense.
    pub async fn file(&mut self) -> Result<(UploadForm, File), Error> {
        timeout(AROUND, self.find_file()).await.map_err(|_| Error::BodyTooSlow)?
    }

    async fn find_file(&mut self) -> Result<(UploadForm, File), Error> {
        loop {
            let field = self.parts.next_field().await.map_err(malformed)?;
            let field = field.ok_or_else(|| wrong(FILE, "required", "the field `file` with the file is missing"))?;
            let name = field.name().unwrap_or_default().to_owned();
            if name == FILE {
                self.allowance.fetch_add(self.max_bytes + MOST_AROUND, Ordering::Relaxed);
                let proposed = self.fields.with_file(&field)?;
                // Nobody is asked whether they want a file that is empty.
                let mut file = File { field, first: Bytes::new() };
                file.first = file.read().await?.ok_or_else(|| Error::Refused(empty()))?;
                return Ok((proposed, file));
            }
            // The allowance bounds it.
            self.fields.set(&name, &field.text().await.map_err(malformed)?)?;
        }
    }

    /// Reads the form's end, which must come after its file.
    ///
    /// # Errors
    /// There is more than one file, or it is cut off.
    pub async fn end(mut self) -> Result<(), Error> {
        // What the file did not take is not for what follows it: that is kept until it is understood.
        self.allowance.fetch_min(MOST_AFTER, Ordering::Relaxed);
        let next = timeout(AROUND, self.parts.next_field()).await.map_err(|_| Error::BodyTooSlow)?;
        match next.map_err(malformed)? {
            None => Ok(()),
            Some(field) if field.name() == Some(FILE) => {
                Err(wrong(FILE, "duplicate", "a form carries one file; send each in a request of its own"))
            }
            Some(field) => {
                let name = field.name().unwrap_or_default().to_owned();
                Err(wrong(name, "misplaced", "fields must stand before the file"))
            }
        }
    }
}

/// The file of a form.
pub struct File {
    field: Field<'static>,
    first: Bytes,
}

impl File {
    /// The next bytes, never none; `None`: that was all. Cancel safe.
    ///
    /// # Errors
    /// They do not come in time, or the form is cut off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.first.is_empty() {
            return Ok(Some(std::mem::take(&mut self.first)));
        }
        timeout(NEXT, self.read()).await.map_err(|_| Error::BodyTooSlow)?
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(bytes) = self.field.next().await {
            let bytes = bytes.map_err(malformed)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

/// What the fields before the file, or the query, say of it. The last word counts.
#[derive(Default)]
struct Fields {
    kind: Option<FileKind>,
    size: Option<u64>,
    duration_ms: Option<u64>,
}

impl Fields {
    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let number = || value.parse().map_err(|_| wrong(name.to_owned(), "type", "a whole number is expected"));
        match name {
            "kind" => {
                self.kind = match value {
                    "file" => Some(FileKind::File),
                    "voice" => Some(FileKind::Voice),
                    _ => return Err(wrong("kind", "type", "kind is `file` or `voice`")),
                }
            }
            "size" => self.size = Some(number()?),
            "durationMs" => self.duration_ms = Some(number()?),
            _ => return Err(wrong(name.to_owned(), "unknown", "there is no such field")),
        }
        Ok(())
    }

    fn with_file(&self, field: &Field<'_>) -> Result<UploadForm, Error> {
        let name = field.file_name().unwrap_or_default().to_owned();
        if name.len() > MAX_NAME {
            return Err(wrong(FILE, "name", "a file's name has at most 1024 bytes"));
        }
        let mime = field.content_type().map_or(UNKNOWN_TYPE, AsRef::as_ref).to_owned();
        check_mime(&mime).map_err(|_| wrong(FILE, "mime", "the Content-Type of a file is one such as image/png"))?;
        if self.size == Some(0) {
            return Err(Error::Refused(empty()));
        }
        let kind = self.kind.unwrap_or(FileKind::File);
        Ok(UploadForm { kind, name, size: self.size, mime, duration_ms: self.duration_ms })
    }
}

fn wrong(field: impl Into<Cow<'static, str>>, code: &'static str, message: &str) -> Error {
    Error::InvalidBody(Detail { field: field.into(), code, message: message.to_owned() })
}

fn malformed(error: multer::Error) -> Error {
    Error::MalformedForm(error.to_string())
}

fn empty() -> Refusal {
    Refusal::new(ErrorCode::FileEmpty, "The file is empty: there is nothing to send.")
}

fn too_big(max_bytes: u64) -> Refusal {
    Refusal::new(ErrorCode::FileTooBig, format!("A file has at most {max_bytes} bytes here."))
}

/// A body that yields one piece each time it is looked at. The reader of forms takes in all that is
/// there before it looks at it: without this, a body that is faster than its receiver would be kept.
struct Paced {
    body: BodyDataStream,
    left: Allowance,
    paused: bool,
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.paused) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(piece) = ready!(self.body.poll_next_unpin(context)) else { return Poll::Ready(None) };
        self.paused = true;
        let piece = piece?;
        let length = piece.len() as u64;
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(length));
        Poll::Ready(Some(taken.map(|_| piece).map_err(|_| "there is more around the file than any form needs".into())))
    }
}
