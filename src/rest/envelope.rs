//! What every request and answer is wrapped in: the two shapes of an answer, one error for
//! everything that can go wrong with its status and code, and the bearer token.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use super::rates::seconds;
use super::{MAX_BODY, transfers};
use crate::auth::{password, token};
use crate::chat::{Over, accounts};
use crate::protocol::Refusal;

/// When to come back after the password queue was full, in seconds.
const RETRY_BUSY: u64 = 1;
/// When to come back after accounts could not be reached, in seconds.
const RETRY_UNAVAILABLE: u64 = 5;

/// `{"success": true, "data": {...}}`, perhaps with a message.
pub fn success<T: Serialize>(status: StatusCode, message: Option<&'static str>, data: T) -> Response {
    (status, axum::Json(Success { success: true, message, data })).into_response()
}

/// A success of status 200, without a message.
pub fn ok<T: Serialize>(data: T) -> Response {
    success(StatusCode::OK, None, data)
}

/// What was asked for.
#[derive(Serialize, ToSchema)]
pub struct Success<T> {
    /// `true`.
    success: bool,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    data: T,
}

/// Why there is no answer.
#[derive(Serialize, ToSchema)]
pub struct Failure {
    /// `false`.
    #[schema(example = false)]
    success: bool,
    /// A sentence for people.
    #[schema(example = "Some fields need another look.")]
    message: String,
    error: Reason,
}

/// The same for programs.
#[derive(Serialize, ToSchema)]
struct Reason {
    /// Stable.
    #[schema(pattern = "^[a-z]+(-[a-z]+)*$", example = "invalid-data")]
    code: &'static str,
    /// What is wrong with each field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// What is wrong with one field of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Detail {
    /// The field, as the client wrote it; empty: the body as a whole.
    #[schema(value_type = String, example = "email")]
    pub field: Cow<'static, str>,
    /// Stable, for programs.
    #[schema(example = "format")]
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Everything that an answer may have to say instead of what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body cannot be read as JSON.
    #[error("The body is not valid JSON: {0}.")]
    MalformedJson(String),
    /// The body says it is something else.
    #[error("The body must be JSON, with Content-Type: application/json.")]
    UnsupportedMediaType,
    /// The body is larger than any route needs.
    #[error("The body is too large: at most {MAX_BODY} bytes.")]
    BodyTooLarge,
    /// The body did not arrive in time.
    #[error("The body did not arrive in time.")]
    BodyTooSlow,
    /// The body is JSON, but not what this route takes.
    #[error("The body is not what is expected here: {}.", .0.message)]
    InvalidBody(Detail),
    /// The body says it is something else than a form.
    #[error("The body must be a form, with Content-Type: multipart/form-data and a boundary.")]
    FormExpected,
    /// The body cannot be read as a form, or was cut off.
    #[error("The form cannot be read: {0}.")]
    MalformedForm(String),
    /// Over a rate limit; there is room again after this time.
    #[error("Too many requests from this address. Try again in {} seconds.", seconds(*.0))]
    TooFast(Duration),
    /// The conversation does not take this.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// A file did not get to its end.
    #[error("{}", transfers::farewell(*.0))]
    Over(Over),
    /// The request does not say by which name it reached us.
    #[error("The request has no usable Host header.")]
    HostUnknown,
    /// The route needs a token, and there is none.
    #[error("An access token is needed: send it as Authorization: Bearer TOKEN.")]
    TokenMissing,
    /// The operator's token is another one.
    #[error("This is not the token that statistics need.")]
    StatsToken,
    /// There is nothing at this path.
    #[error("There is nothing here.")]
    NotFound,
    /// The path is right, the method is not.
    #[error("This path does not take that method.")]
    MethodNotAllowed,
    /// The path is a door, and this is no knock.
    #[error("Here is a WebSocket: ask for an upgrade (RFC 6455 section 4.1), or see GET /api/connect.")]
    UpgradeRequired,
    /// The node that could answer is gone, or cannot be reached.
    #[error("The node that has this conversation does not answer at the moment. Try again.")]
    NodeAway,
    /// A fault of ours.
    #[error("Something went wrong in the server. Try again.")]
    Panicked,
    /// The accounts refused.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
}

impl Error {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.outcome().0
    }

    /// What programs know it by.
    pub fn code(&self) -> &'static str {
        self.outcome().1
    }

    /// What is wrong with each field.
    pub fn details(&self) -> Vec<Detail> {
        match self {
            Self::InvalidBody(detail) => vec![detail.clone()],
            Self::Accounts(error) => account_details(error),
            Self::MalformedJson(_)
            | Self::UnsupportedMediaType
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::FormExpected
            | Self::MalformedForm(_)
            | Self::TooFast(_)
            | Self::Refused(_)
            | Self::Over(_)
            | Self::HostUnknown
            | Self::TokenMissing
            | Self::StatsToken
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::UpgradeRequired
            | Self::NodeAway
            | Self::Panicked => Vec::new(),
        }
    }

    fn outcome(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MalformedJson(_) => (StatusCode::BAD_REQUEST, "malformed-json"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body-too-slow"),
            Self::InvalidBody(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-data"),
            Self::FormExpected => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
            Self::MalformedForm(_) => (StatusCode::BAD_REQUEST, "malformed-form"),
            Self::TooFast(_) => (StatusCode::TOO_MANY_REQUESTS, "too-fast"),
            Self::Refused(refusal) => transfers::refused(refusal.code),
            Self::Over(over) => transfers::ended(*over),
            Self::HostUnknown => (StatusCode::BAD_REQUEST, "host-unknown"),
            Self::TokenMissing => (StatusCode::UNAUTHORIZED, "token-missing"),
            Self::StatsToken => (StatusCode::UNAUTHORIZED, "token-invalid"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::UpgradeRequired => (StatusCode::UPGRADE_REQUIRED, "upgrade-required"),
            Self::NodeAway => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::Accounts(error) => account_outcome(error),
        }
    }

    /// When to come back, in seconds.
    fn retry_after(&self) -> Option<u64> {
        if let Self::TooFast(wait) = self {
            return Some(seconds(*wait));
        }
        match self.code() {
            "busy" => Some(RETRY_BUSY),
            "unavailable" => Some(RETRY_UNAVAILABLE),
            _ => None,
        }
    }
}

fn account_outcome(error: &accounts::Error) -> (StatusCode, &'static str) {
    use accounts::Error as E;
    match error {
        E::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-data"),
        E::UsernameTaken => (StatusCode::CONFLICT, "username-taken"),
        E::EmailTaken => (StatusCode::CONFLICT, "email-taken"),
        E::CredentialsWrong => (StatusCode::UNAUTHORIZED, "credentials-wrong"),
        E::GuestsDisabled => (StatusCode::FORBIDDEN, "guests-disabled"),
        E::Token(token::Error::Expired) => (StatusCode::UNAUTHORIZED, "token-expired"),
        E::Token(token::Error::Invalid) => (StatusCode::UNAUTHORIZED, "token-invalid"),
        E::Token(token::Error::UserGone) => (StatusCode::UNAUTHORIZED, "user-unknown"),
        E::Busy(password::Error::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        E::Busy(password::Error::Failed) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        E::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    }
}

fn account_details(error: &accounts::Error) -> Vec<Detail> {
    use accounts::Error as E;
    let taken = |field| vec![Detail { field: Cow::Borrowed(field), code: "taken", message: error.to_string() }];
    match error {
        E::Invalid(problems) => problems
            .iter()
            .map(|problem| Detail {
                field: Cow::Borrowed(problem.field),
                code: problem.code,
                message: problem.message.clone(),
            })
            .collect(),
        E::UsernameTaken => taken("username"),
        E::EmailTaken => taken("email"),
        E::CredentialsWrong | E::GuestsDisabled | E::Token(_) | E::Busy(_) | E::Unavailable(_) => Vec::new(),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.outcome();
        // A full queue is no failure, and a flood of logins must not become a flood of lines.
        if status.is_server_error() && code != "busy" {
            let mut cause: &dyn std::error::Error = &self;
            while let Some(source) = cause.source() {
                cause = source;
            }
            warn!(code, %cause, "a request failed: {self}");
        }
        let mut headers = HeaderMap::new();
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let message = self.to_string();
        let failure = Failure { success: false, message, error: Reason { code, details: self.details() } };
        (status, headers, axum::Json(failure)).into_response()
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750).
#[derive(Clone)]
pub struct Bearer(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        bearer(&parts.headers).map(|token| Self(token.to_owned())).ok_or(Error::TokenMissing)
    }
}

/// The token in a request's headers, if there is one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
