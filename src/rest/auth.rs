//! Coming in: registering, logging in, as a guest; and who a token belongs to.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Json;
use super::envelope::{Bearer, Failure, Success, ok, success};
use super::users::{KnownDevice, KnownWhence, Myself, timestamp};
use super::{Error, State};
use crate::chat::accounts::{Account, Device, Entered, NewAccount};
use crate::protocol::{Nothing, Whence};

/// Make an account
///
/// `POST /api/auth/register`. The token that comes with it is good at once.
#[utoipa::path(
    post,
    path = "/api/auth/register",
    tag = "auth",
    request_body = Registration,
    responses(
        (status = 201, description = "The account, and a token of it", body = Success<Admission>),
        (status = 409, description = "`username-taken`, `email-taken`", body = Failure),
    ),
)]
pub async fn register(
    extract::State(state): extract::State<State>,
    Json(form): Json<Registration>,
) -> Result<Response, Error> {
    let Registration { username, email, password } = form;
    let entered = state.chat.accounts().register(NewAccount { username, email, password }).await?;
    Ok(success(StatusCode::CREATED, Some("User registered successfully"), Admission::new(&state, entered).await))
}

/// Log in
///
/// `POST /api/auth/login`. Whether the address or the password was wrong is not told.
#[utoipa::path(
    post,
    path = "/api/auth/login",
    tag = "auth",
    request_body = Login,
    responses(
        (status = 200, description = "The account, and a token of it", body = Success<Admission>),
        (status = 401, description = "`credentials-wrong`", body = Failure),
    ),
)]
pub async fn login(extract::State(state): extract::State<State>, Json(form): Json<Login>) -> Result<Response, Error> {
    let entered = state.chat.accounts().login(&form.email, &form.password).await?;
    Ok(success(StatusCode::OK, Some("Login successful"), Admission::new(&state, entered).await))
}

/// Come in as a guest
///
/// `POST /api/auth/guest`, with `{}` or nothing. The name is made up, and the account ends with its token.
#[utoipa::path(
    post,
    path = "/api/auth/guest",
    tag = "auth",
    request_body = Option<Empty>,
    responses(
        (status = 201, description = "The guest, and a token of it", body = Success<Admission>),
        (status = 403, description = "`guests-disabled`", body = Failure),
    ),
)]
pub async fn guest(extract::State(state): extract::State<State>, _: Option<Json<Nothing>>) -> Result<Response, Error> {
    let entered = state.chat.accounts().guest()?;
    Ok(success(StatusCode::CREATED, Some("Guest created"), Admission::new(&state, entered).await))
}

/// See your own account
///
/// `GET /api/auth/me`
#[utoipa::path(
    get,
    path = "/api/auth/me",
    tag = "auth",
    security(("token" = [])),
    responses((status = 200, description = "Whoever the token belongs to", body = Success<Me>)),
)]
pub async fn me(extract::State(state): extract::State<State>, Bearer(token): Bearer) -> Result<Response, Error> {
    let account = state.chat.accounts().me(&token).await?;
    let devices = match account.guest {
        true => Vec::new(),
        false => state.chat.accounts().devices(account.id).await?,
    };
    let whence = state.chat.whence_of(account.id);
    Ok(ok(Me { user: Profile::new(account, devices, whence) }))
}

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// 3 to 32 letters, digits, spaces inside, and `. _ - '`. Nobody else has it, in any case of its letters.
    #[schema(
        min_length = 3,
        max_length = 32,
        pattern = "^[\\p{L}\\p{N}._'-][\\p{L}\\p{N} ._'-]*[\\p{L}\\p{N}._'-]$",
        example = "ada"
    )]
    username: String,
    /// Nobody else has it.
    #[schema(max_length = 254, format = Email, example = "ada@example.com")]
    email: String,
    /// 8 to 128 characters; the commonest passwords are refused.
    #[schema(min_length = 8, max_length = 128, format = Password, example = "Password123")]
    password: String,
}

/// Who has one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    #[schema(example = "ada@example.com")]
    email: String,
    #[schema(format = Password, example = "Password123")]
    password: String,
}

/// Nothing: any field is refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it stands for protocol::Nothing in the document")]
struct Empty {}

/// Someone who is let in.
#[derive(Serialize, ToSchema)]
struct Admission {
    /// Send it as `Authorization: Bearer TOKEN`.
    token: String,
    user: Myself,
}

impl Admission {
    async fn new(state: &State, Entered { token, account }: Entered) -> Self {
        let online = state.sessions.is_anywhere(account.id).await;
        Self { token, user: Myself::new(account, online) }
    }
}

/// Whoever asks.
#[derive(Serialize, ToSchema)]
struct Me {
    user: Profile,
}

/// A person as they see themselves, with all that is known of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(flatten)]
    user: Myself,
    /// Now, of someone who is here; guests who are not here have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, format = DateTime, example = "2023-01-01T00:00:00.000Z")]
    last_seen: Option<String>,
    devices: Vec<KnownDevice>,
    /// Of the newest session.
    #[serde(flatten)]
    #[schema(value_type = KnownWhence)]
    whence: Whence,
}

impl Profile {
    /// Of someone whose newest session comes from `whence`; `None`: they are not here.
    fn new(account: Account, devices: Vec<Device>, whence: Option<Arc<Whence>>) -> Self {
        let online = whence.is_some();
        let last_seen = if online { Some(SystemTime::now()) } else { account.last_seen };
        Self {
            user: Myself::new(account, online),
            last_seen: last_seen.map(timestamp),
            devices: devices.into_iter().map(KnownDevice::from).collect(),
            whence: whence.map(|whence| (*whence).clone()).unwrap_or_default(),
        }
    }
}
