//! Coming in: registering, logging in, as a guest; and who a token belongs to.

use axum::extract;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::envelope::{Bearer, Json, ok, success};
use super::users::Myself;
use super::{Error, State};
use crate::chat::accounts::{Entered, NewAccount};
use crate::protocol::Nothing;

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
    let online = state.chat.is_online(account.id);
    Ok(ok(Me { user: Myself::new(account, online) }))
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
    user: Myself,
}
