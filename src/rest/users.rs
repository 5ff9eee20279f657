//! People: who is here, who is free, how many, and the device of the one who asks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract;
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::body::Json;
use super::envelope::{Bearer, Success, ok};
use super::{Error, State};
use crate::chat::accounts::Account;
use crate::chat::accounts::Device;
use crate::chat::{Census, Here, browser, platform};
use crate::protocol::{Presence, PublicUser, UserId};

/// Who is here
///
/// `GET /api/users/online`
#[utoipa::path(
    get,
    path = "/api/users/online",
    tag = "users",
    security(("token" = [])),
    responses((status = 200, description = "Everyone who is here, the caller too", body = Success<People>)),
)]
pub async fn online(extract::State(state): extract::State<State>, Bearer(token): Bearer) -> Result<Response, Error> {
    state.chat.accounts().me(&token).await?;
    Ok(ok(People::new(state.sessions.everyone().await)))
}

/// Who is free to talk
///
/// `GET /api/users/available`
#[utoipa::path(
    get,
    path = "/api/users/available",
    tag = "users",
    security(("token" = [])),
    responses((status = 200, description = "Those in no conversation, but for the caller", body = Success<People>)),
)]
pub async fn available(extract::State(state): extract::State<State>, Bearer(token): Bearer) -> Result<Response, Error> {
    let caller = state.chat.accounts().me(&token).await?;
    let free = |here: &Here| !here.talking && here.user.id != caller.id;
    Ok(ok(People::new(state.sessions.everyone().await.into_iter().filter(free).collect())))
}

/// How many there are
///
/// `GET /api/users/stats`
#[utoipa::path(
    get,
    path = "/api/users/stats",
    tag = "users",
    security(("token" = [])),
    responses((status = 200, description = "Accounts, and people who are here", body = Success<Numbers>)),
)]
pub async fn stats(extract::State(state): extract::State<State>, Bearer(token): Bearer) -> Result<Response, Error> {
    state.chat.accounts().me(&token).await?;
    let total_users = state.chat.accounts().count().await?;
    let Census { mut online_users, mut available_users, mut in_conversation, .. } = state.chat.census();
    if let Some(others) = state.sessions.elsewhere() {
        let more = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        online_users += more(others.online);
        available_users += more(others.available);
        in_conversation += 2 * more(others.conversations);
    }
    Ok(ok(Numbers { total_users, online_users, available_users, in_conversation }))
}

/// Name the device you use
///
/// `POST /api/users/device`. Its name and platform are taken from the User-Agent.
#[utoipa::path(
    post,
    path = "/api/users/device",
    tag = "users",
    security(("token" = [])),
    request_body = DeviceForm,
    responses((status = 200, description = "What is remembered; of a guest, nothing is", body = Success<Remembered>)),
)]
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
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Myself {
    #[schema(value_type = String, pattern = "^[0-9a-f]{24}$", example = "507f1f77bcf86cd799439011")]
    id: UserId,
    #[schema(example = "ada")]
    username: String,
    /// Guests have none.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    is_online: bool,
    #[schema(format = DateTime, example = "2023-01-01T00:00:00.000Z")]
    created_at: String,
    /// There only for guests.
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

/// The last millisecond of the year 9999, the last that has four digits, since 1970.
const LAST: Duration = Duration::from_millis(253_402_300_799_999);

/// RFC 3339 in UTC with exactly three digits of a second, as JavaScript's `toISOString` writes it. What is
/// before 1970 or after 9999 is the nearest moment between.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST);
    let time = OffsetDateTime::from(UNIX_EPOCH + since);
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
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceForm {
    /// Whatever the app knows its device by: no control characters, and none else that cannot be seen.
    #[schema(
        min_length = 1,
        max_length = 64,
        example = "phone-1",
        pattern = "^[^\u{0}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{180e}\u{200b}-\u{200f}\u{2028}-\u{202e}\
                   \u{2060}-\u{206f}\u{3164}\u{feff}\u{ffa0}\u{fff9}-\u{fffb}\u{e0000}-\u{e007f}]*$"
    )]
    device_id: String,
}

/// A device that was named.
#[derive(Serialize, ToSchema)]
struct Remembered {
    device: KnownDevice,
}

/// A device that is remembered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownDevice {
    #[schema(example = "phone-1")]
    device_id: String,
    /// Of the browser or the program.
    #[schema(example = "Firefox")]
    name: String,
    #[schema(example = "Android")]
    platform: String,
    #[schema(format = DateTime, example = "2023-01-01T00:00:00.000Z")]
    last_seen: String,
}

impl From<Device> for KnownDevice {
    fn from(device: Device) -> Self {
        let Device { id, name, platform, last_seen } = device;
        Self { device_id: id, name, platform, last_seen: timestamp(last_seen) }
    }
}

/// People, and how many they are.
#[derive(Serialize, ToSchema)]
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
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Person {
    #[serde(flatten)]
    #[schema(value_type = Known)]
    user: PublicUser,
    is_online: bool,
    #[schema(value_type = KnownPresence)]
    status: Presence,
}

/// What others may know of someone: `PublicUser` in the document.
#[derive(ToSchema)]
#[schema(as = PublicUser)]
#[allow(dead_code, reason = "it stands for protocol::PublicUser in the document")]
struct Known {
    #[schema(pattern = "^[0-9a-f]{24}$", example = "507f1f77bcf86cd799439011")]
    id: String,
    #[schema(example = "ada")]
    username: String,
    /// There only for guests.
    #[schema(value_type = bool, required = false)]
    guest: Option<bool>,
}

/// How someone is: `Presence` in the document.
#[derive(ToSchema)]
#[schema(as = Presence, rename_all = "lowercase")]
#[allow(dead_code, reason = "it stands for protocol::Presence in the document")]
enum KnownPresence {
    Online,
    Reconnecting,
    Away,
}

/// Where someone is linked from: `Whence` in the document.
#[derive(ToSchema)]
#[schema(as = Whence)]
#[allow(dead_code, reason = "it stands for protocol::Whence in the document")]
pub struct KnownWhence {
    #[schema(value_type = WhenceDevice, required = false)]
    device: Option<WhenceDevice>,
    /// Truncated: IPv4 to 24 bits, IPv6 to 48.
    #[schema(value_type = String, required = false, example = "192.0.2.0/24")]
    address: Option<String>,
    #[schema(value_type = WhencePlace, required = false)]
    place: Option<WhencePlace>,
}

/// What a client runs on.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it stands for protocol::Device in the document")]
struct WhenceDevice {
    #[schema(value_type = String, required = false, example = "phone-1")]
    id: Option<String>,
    #[schema(example = "Firefox")]
    browser: String,
    #[schema(example = "Android")]
    platform: String,
}

/// A place, as far as it is known.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "it stands for protocol::Place in the document")]
struct WhencePlace {
    #[schema(example = "PT")]
    country: String,
    #[schema(value_type = String, required = false, example = "Portugal")]
    country_name: Option<String>,
    #[schema(value_type = String, required = false, example = "Lisbon")]
    city: Option<String>,
}

impl From<Here> for Person {
    fn from(here: Here) -> Self {
        Self { user: here.user, is_online: true, status: here.status }
    }
}

/// How many.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    total_users: u64,
    online_users: usize,
    available_users: usize,
    in_conversation: usize,
}
