//! Coming in: registering, logging in, as a guest; and who a token belongs to.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::envelope::{Bearer, Json, ok, success};
use super::users::{KnownDevice, Myself, timestamp};
use super::{Error, State};
use crate::chat::accounts::{Account, Device, Entered, NewAccount};
use crate::protocol::{Nothing, Whence};

/// `POST /api/auth/register`
pub async fn register(
    extract::State(state): extract::State<State>,
    Json(form): Json<Registration>,
) -> Result<Response, Error> {
    let Registration { username, email, password } = form;
    let entered = state.chat.accounts().register(NewAccount { username, email, password }).await?;
    Ok(success(StatusCode::CREATED, Some("User registered successfully"), Admission::new(&state, entered)))
}

/// `POST /api/auth/login`
pub async fn login(extract::State(state): extract::State<State>, Json(form): Json<Login>) -> Result<Response, Error> {
    let entered = state.chat.accounts().login(&form.email, &form.password).await?;
    Ok(success(StatusCode::OK, Some("Login successful"), Admission::new(&state, entered)))
}

/// `POST /api/auth/guest`, with `{}` or nothing.
pub async fn guest(extract::State(state): extract::State<State>, _: Option<Json<Nothing>>) -> Result<Response, Error> {
    let entered = state.chat.accounts().guest()?;
    Ok(success(StatusCode::CREATED, Some("Guest created"), Admission::new(&state, entered)))
}

/// `GET /api/auth/me`
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
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    username: String,
    email: String,
    password: String,
}

/// Who has one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    email: String,
    password: String,
}

#[derive(Serialize)]
struct Admission {
    token: String,
    user: Myself,
}

impl Admission {
    fn new(state: &State, Entered { token, account }: Entered) -> Self {
        let online = state.chat.is_online(account.id);
        Self { token, user: Myself::new(account, online) }
    }
}

#[derive(Serialize)]
struct Me {
    user: Profile,
}

/// A person as they see themselves, with all that is known of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(flatten)]
    user: Myself,
    /// Now, of someone who is here; guests who are not here have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<String>,
    devices: Vec<KnownDevice>,
    /// Of the newest session.
    #[serde(flatten)]
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
