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
use crate::chat::Census;
use crate::chat::accounts::Account;
use crate::chat::accounts::Device;
use crate::protocol::{PublicUser, UserId};

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
    let device = KnownDevice { device_id: id, name, platform, last_seen: timestamp(last_seen) };
    Ok(ok(Remembered { device }))
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
        let Account { id, username, email, guest, created_at } = account;
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

/// The browser that a User-Agent names. The order counts: most of them name Chrome and Safari too.
pub fn browser(agent: &str) -> &str {
    const KNOWN: [(&str, &str); 8] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    if let Some((_, name)) = KNOWN.iter().find(|(mark, _)| agent.contains(mark)) {
        return name;
    }
    // A program of its own: what it calls itself, within reason.
    let name = agent.split(['/', ' ']).next().unwrap_or_default();
    if name.is_empty() || name.len() > 64 { "unknown" } else { name }
}

/// The operating system that a User-Agent names. Android names Linux, iOS names macOS.
pub fn platform(agent: &str) -> &'static str {
    const KNOWN: [(&str, &str); 8] = [
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("CrOS", "ChromeOS"),
        ("Mac OS X", "macOS"),
        ("Macintosh", "macOS"),
        ("Linux", "Linux"),
    ];
    KNOWN.iter().find(|(mark, _)| agent.contains(mark)).map_or("unknown", |(_, name)| name)
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KnownDevice {
    device_id: String,
    name: String,
    platform: String,
    last_seen: String,
}

#[derive(Serialize)]
struct People {
    users: Vec<Person>,
    count: usize,
}

impl People {
    fn new(users: Vec<PublicUser>) -> Self {
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
}

impl From<PublicUser> for Person {
    fn from(user: PublicUser) -> Self {
        Self { user, is_online: true }
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
