//! People: who is here, who is free, how many, and the device of the one who asks.

use std::time::SystemTime;

use axum::extract;
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::envelope::{Bearer, Json, ok};
use super::{Error, State};
use crate::chat::accounts::Account;
use crate::chat::accounts::Device;
use crate::chat::{Census, Here, browser, platform};
use crate::protocol::{Presence, PublicUser, UserId};

/// `GET /api/users/online`
pub async fn online(extract::State(state): extract::State<State>, Bearer(token): Bearer) -> Result<Response, Error> {
    state.chat.accounts().me(&token).await?;
    Ok(ok(People::new(state.chat.online())))
}

/// `GET /api/users/available`
pub async fn available(extract::State(state): extract::State<State>, Bearer(token): Bearer) -> Result<Response, Error> {
    let caller = state.chat.accounts().me(&token).await?;
    Ok(ok(People::new(state.chat.available(caller.id))))
}

/// `GET /api/users/stats`
pub async fn stats(extract::State(state): extract::State<State>, Bearer(token): Bearer) -> Result<Response, Error> {
    state.chat.accounts().me(&token).await?;
    let total_users = state.chat.accounts().count().await?;
    let Census { online_users, available_users, in_conversation, .. } = state.chat.census();
    Ok(ok(Numbers { total_users, online_users, available_users, in_conversation }))
}

/// `POST /api/users/device`
pub async fn device(
    extract::State(state): extract::State<State>,
    Bearer(token): Bearer,
    headers: HeaderMap,
    Json(form): Json<DeviceForm>,
) -> Result<Response, Error> {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let device = Device {
        id: form.device_id,
        name: browser(agent).to_owned(),
        platform: platform(agent).to_owned(),
        last_seen: SystemTime::now(),
    };
    let Device { id, name, platform, last_seen } = state.chat.accounts().remember_device(&token, device).await?;
    Ok(ok(Remembered { device: Device { id, name, platform, last_seen }.into() }))
}

/// A person as they see themselves.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Myself {
    id: UserId,
    username: String,
    email: Option<String>,
    is_online: bool,
    created_at: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    guest: bool,
}

impl Myself {
    /// The account, of someone who is here or not.
    pub fn new(account: Account, is_online: bool) -> Self {
        let Account { id, username, email, guest, created_at, last_seen: _ } = account;
        Self { id, username, email, is_online, created_at: timestamp(created_at), guest }
    }
}

/// RFC 3339 in UTC with exactly three digits of a second, as JavaScript's `toISOString` writes it.
pub fn timestamp(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    )
}

/// A device, as its owner's app names it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceForm {
    device_id: String,
}

#[derive(Serialize)]
struct Remembered {
    device: KnownDevice,
}

/// A device that is remembered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownDevice {
    device_id: String,
    name: String,
    platform: String,
    last_seen: String,
}

impl From<Device> for KnownDevice {
    fn from(device: Device) -> Self {
        let Device { id, name, platform, last_seen } = device;
        Self { device_id: id, name, platform, last_seen: timestamp(last_seen) }
    }
}

#[derive(Serialize)]
struct People {
    users: Vec<Person>,
    count: usize,
}

impl People {
    fn new(users: Vec<Here>) -> Self {
        let users: Vec<_> = users.into_iter().map(Person::from).collect();
        Self { count: users.len(), users }
    }
}

/// A person who is here, as others see them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    #[serde(flatten)]
    user: PublicUser,
    is_online: bool,
    status: Presence,
}

impl From<Here> for Person {
    fn from(here: Here) -> Self {
        Self { user: here.user, is_online: true, status: here.status }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    total_users: u64,
    online_users: usize,
    available_users: usize,
    in_conversation: usize,
}
