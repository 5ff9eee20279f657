//! An account as a document of the collection `users`: the shape that Mongoose backends give it, and
//! beside it what is ours, all below one field.
//!
//! Ours: `duologue.usernameKey` and `duologue.emailKey` (both folded), and `duologue.devices`, a map. What a
//! document holds besides is neither read nor changed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};

use crate::protocol::UserId;
use crate::store::{Device, User, folded};

/// What is unique.
pub(super) const USERNAME_KEY: &str = "duologue.usernameKey";
/// The same of the address.
pub(super) const EMAIL_KEY: &str = "duologue.emailKey";
/// When someone was last here.
pub(super) const LAST_SEEN: &str = "lastSeen";
/// Names of a field in the schemas that there are, ours first: of each document the first that it has.
pub(super) const PASSWORDS: [&str; 3] = ["password", "passwordHash", "hash"];
const USERNAMES: [&str; 2] = ["username", "name"];
const SEEN: [&str; 3] = [LAST_SEEN, "lastActive", "lastSeenAt"];

/// A new account.
pub(super) fn of_user(user: &User) -> Document {
    doc! {
        "_id": oid(user.id),
        "username": &user.username,
        "email": &user.email,
        "password": &user.password_hash,
        "createdAt": date(user.created_at),
        LAST_SEEN: date(user.last_seen),
        "duologue": { "usernameKey": folded(&user.username), "emailKey": folded(&user.email) },
    }
}

/// The account in a document; `None`: there is none in it. Without a hash nobody can log in.
pub(super) fn user(document: &Document) -> Option<User> {
    let id = document.get_object_id("_id").ok()?;
    let (username, email) = names(document)?;
    let created_at = first_date(document, &["createdAt"]).unwrap_or_else(|| time(id.timestamp()));
    Some(User {
        id: UserId::from_bytes(id.bytes()),
        username: username.to_owned(),
        email: email.to_owned(),
        password_hash: first_text(document, &PASSWORDS).unwrap_or_default().to_owned(),
        created_at,
        last_seen: first_date(document, &SEEN).unwrap_or(created_at),
    })
}

/// The username and the address, if it has both.
pub(super) fn names(document: &Document) -> Option<(&str, &str)> {
    Some((first_text(document, &USERNAMES)?, first_text(document, &["email"])?))
}

/// What a document lacks that comes from another backend: our keys; and when its owner was last here, by
/// whatever name, or else now, so that nobody is forgotten for never having been seen. `None`: it holds no
/// account.
pub(super) fn lacking(document: &Document, now: SystemTime) -> Option<Document> {
    let (username, email) = names(document)?;
    let mut set = doc! { USERNAME_KEY: folded(username), EMAIL_KEY: folded(email) };
    if document.get_datetime(LAST_SEEN).is_err() {
        set.insert(LAST_SEEN, date(first_date(document, &SEEN).unwrap_or(now).min(now)));
    }
    Some(set)
}

/// The path of a device. In hex, as a path has no dots or dollars in its parts; with a letter before it, as
/// a number would be a place in a list.
pub(super) fn device_path(id: &str) -> String {
    let hex = id.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("duologue.devices.d{hex}")
}

/// A device as it is kept.
pub(super) fn of_device(device: &Device) -> Document {
    let Device { id, name, platform, last_seen } = device;
    doc! { "id": id, "name": name, "platform": platform, LAST_SEEN: date(*last_seen) }
}

/// All devices in a document, newest first.
pub(super) fn devices(document: &Document) -> Vec<Device> {
    let map = document.get_document("duologue").and_then(|ours| ours.get_document("devices"));
    let device = |value: &Document| {
        let text = |name| value.get_str(name).map(str::to_owned).ok();
        let last_seen = first_date(value, &[LAST_SEEN])?;
        Some(Device { id: text("id")?, name: text("name")?, platform: text("platform")?, last_seen })
    };
    let mut devices: Vec<_> =
        map.into_iter().flat_map(Document::values).filter_map(|value| value.as_document().and_then(device)).collect();
    devices.sort_by_key(|device| std::cmp::Reverse(device.last_seen));
    devices
}

/// The id as MongoDB has it.
pub(super) fn oid(id: UserId) -> ObjectId {
    ObjectId::from_bytes(*id.as_bytes())
}

/// A time, to the millisecond.
pub(super) fn date(time: SystemTime) -> DateTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    DateTime::from_millis(since.as_millis().try_into().unwrap_or(i64::MAX))
}

fn time(date: DateTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(date.timestamp_millis().try_into().unwrap_or(0))
}

fn first_text<'a>(document: &'a Document, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| document.get_str(name).ok())
}

fn first_date(document: &Document, names: &[&str]) -> Option<SystemTime> {
    names.iter().find_map(|name| document.get_datetime(name).ok()).map(|date| time(*date))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 12] = [0x64, 0xb0, 0xc0, 0xde, 0, 0, 0, 0, 0, 0, 0, 1];

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn an_account_comes_back_as_it_went_in() {
        let user_in = User {
            id: UserId::from_bytes(ID),
            username: "Ada".into(),
            email: "Ada@Example.org".into(),
            password_hash: "$argon2id$".into(),
            created_at: at(1_700_000_000_123),
            last_seen: at(1_700_000_000_456),
        };
        let document = of_user(&user_in);
        assert_eq!(user(&document), Some(user_in));
        assert_eq!(document.get_document("duologue").unwrap().get_str("emailKey").unwrap(), "ada@example.org");
    }

    #[test]
    fn documents_of_mongoose_are_read_by_whichever_names() {
        let id = ObjectId::from_bytes(ID);
        let theirs = doc! { "_id": id, "name": "Ada", "email": "a@b.c", "hash": "$2b$10$x", "lastActive": DateTime::from_millis(77) };
        let read = user(&theirs).unwrap();
        assert_eq!((read.username.as_str(), read.password_hash.as_str()), ("Ada", "$2b$10$x"));
        assert_eq!((read.created_at, read.last_seen), (at(0x64b0_c0de * 1_000), at(77)), "as the id has it");
        let without = doc! { "_id": id, "username": "Ada", "email": "a@b.c" };
        assert_eq!(user(&without).unwrap().password_hash, "", "which nobody's password is");
        for none in [
            doc! { "_id": "a", "username": "Ada", "email": "a@b.c" },
            doc! { "_id": id, "username": "Ada" },
            doc! { "_id": id, "email": "a@b.c" },
            doc! { "_id": id, "username": 7, "email": "a@b.c" },
        ] {
            assert_eq!(user(&none), None, "{none}");
        }
    }

    #[test]
    fn what_is_lacking_is_added_and_nothing_else() {
        let now = at(1_000);
        let lacks = |document: Document| lacking(&document, now).unwrap();
        let keys = doc! { USERNAME_KEY: "ada", EMAIL_KEY: "a@b.c" };
        let with = |millis| {
            let mut keys = keys.clone();
            keys.insert(LAST_SEEN, DateTime::from_millis(millis));
            keys
        };
        let seen =
            |name: &str, millis| doc! { "username": "ADA", "email": "A@b.c", name: DateTime::from_millis(millis) };
        assert_eq!(lacks(doc! { "username": "ADA", "email": "A@b.c" }), with(1_000), "seen now");
        assert_eq!(lacks(seen("lastSeen", 5)), keys);
        assert_eq!(lacks(seen("lastActive", 5)), with(5));
        assert_eq!(lacks(seen("lastSeenAt", 5_000)), with(1_000), "not in a time to come");
        assert_eq!(lacks(doc! { "username": "ADA", "email": "A@b.c", "lastSeen": "yesterday" }), with(1_000));
        assert_eq!(lacking(&doc! { "email": "a@b.c" }, now), None);
    }

    #[test]
    fn any_device_id_is_one_part_of_a_path() {
        for id in ["a.b", "$set", "0", "ö\u{202e}", "-"] {
            let path = device_path(id);
            let part = path.strip_prefix("duologue.devices.").unwrap();
            assert!(part.starts_with('d') && part.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{path}");
        }
        assert_ne!(device_path("a"), device_path("A"));
    }
}
