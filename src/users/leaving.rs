//! Deleting one account, or those that nobody uses.

use std::time::{Duration, SystemTime};

use super::Error;
use crate::protocol::UserId;
use crate::store::Store;

/// Accounts that are deleted in one step. Between two steps a running server has its turn.
const STEP: usize = 500;

/// Who is to be deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Who {
    Id(UserId),
    Email(String),
}

/// Reads what was typed.
pub(super) fn whom(text: &str) -> Result<Who, Error> {
    match text.to_lowercase().parse() {
        Ok(id) => Ok(Who::Id(id)),
        Err(_) if text.contains('@') => Ok(Who::Email(text.to_owned())),
        Err(_) => Err(Error::NoOne(text.to_owned())),
    }
}

/// Deletes an account; yields its id.
pub(super) async fn delete(store: &dyn Store, who: &Who) -> Result<UserId, Error> {
    let id = match who {
        Who::Id(id) => *id,
        Who::Email(email) => store.user_by_email(email).await?.ok_or(Error::NoSuchUser)?.id,
    };
    if store.delete_user(id).await? { Ok(id) } else { Err(Error::NoSuchUser) }
}

/// Deletes who was not here for so many days; yields how many, or how many it would be. Who has been online for
/// all of that time without a break is deleted, too: only the server knows them.
pub(super) async fn clean(store: &dyn Store, days: u32, dry_run: bool) -> Result<u64, Error> {
    let Some(before) = SystemTime::now().checked_sub(Duration::from_secs(u64::from(days) * 86_400)) else {
        return Ok(0);
    };
    if dry_run {
        return Ok(store.count_unseen(before).await?);
    }
    let mut forgotten = 0;
    loop {
        let people = store.unseen(before, STEP).await?;
        if people.is_empty() {
            return Ok(forgotten);
        }
        forgotten += store.forget_unseen(people, before).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{User, new_user_id};

    #[test]
    fn who_is_meant_is_an_id_or_an_address() {
        let id = "64B0C0DE0000000000000001";
        assert_eq!(whom(id).unwrap(), Who::Id(id.to_lowercase().parse().unwrap()));
        assert_eq!(whom("Ada@example.org").unwrap(), Who::Email("Ada@example.org".into()));
        assert!(matches!(whom("ada"), Err(Error::NoOne(text)) if text == "ada"));
    }

    #[tokio::test]
    async fn one_is_deleted_or_all_that_were_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::users::tests::store(&folder).await;
        let now = SystemTime::now();
        let user = |number: usize, days: u64| User {
            id: new_user_id(now),
            username: format!("Ada {number}"),
            email: format!("ada{number}@example.org"),
            password_hash: "$argon2id$...".into(),
            created_at: now,
            last_seen: now - Duration::from_secs(days * 86_400 + 60),
        };
        let mut users: Vec<_> = (0..STEP + 2).map(|number| user(number, 30)).collect();
        users.extend([user(9_001, 29), user(9_002, 0)]);
        let (one, other) = (users[0].clone(), users[1].clone());
        assert!(store.import_users(users, true).await.unwrap().is_empty());

        assert_eq!(delete(&*store, &Who::Id(one.id)).await.unwrap(), one.id);
        assert!(matches!(delete(&*store, &Who::Id(one.id)).await, Err(Error::NoSuchUser)));
        assert_eq!(delete(&*store, &whom("ADA1@example.org").unwrap()).await.unwrap(), other.id);
        assert!(matches!(delete(&*store, &Who::Email(other.email)).await, Err(Error::NoSuchUser)));

        let left = STEP as u64;
        assert_eq!((clean(&*store, 30, true).await.unwrap(), store.count_users().await.unwrap()), (left, left + 2));
        assert_eq!((clean(&*store, 30, false).await.unwrap(), store.count_users().await.unwrap()), (left, 2));
        assert_eq!(clean(&*store, 30, false).await.unwrap(), 0);
    }
}
