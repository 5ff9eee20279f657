//! All accounts of a list, or none, without transactions.
//!
//! First it is looked for those that clash; if none does, all are inserted, a batch at a time. Who registers
//! between the two may clash all the same: then what was inserted is deleted again. A process that dies in
//! the middle, or a database that goes away there, leaves some of the accounts. Nothing of others is lost by
//! that: the same import, done again, names them as there already, and takes the rest if it is told to skip.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error as DriverError, ErrorKind};

use super::document::{EMAIL_KEY, USERNAME_KEY, of_user, oid};
use super::{DUPLICATE, Mongo, refined};
use crate::store::{Error, User, folded};

/// Accounts of one command.
const BATCH: usize = 500;

impl Mongo {
    pub(super) async fn import(&self, users: Vec<User>, keep: bool) -> Result<Vec<(usize, Error)>, Error> {
        let mut clashes = Vec::new();
        let (mut ids, mut emails, mut names) = (HashSet::new(), HashSet::new(), HashSet::new());
        for (batch, chunk) in users.chunks(BATCH).enumerate() {
            let there = self.there(chunk).await.map_err(refined)?;
            for (place, user) in chunk.iter().enumerate() {
                let (email, name) = (folded(&user.email), folded(&user.username));
                let clash = if there.ids.contains(&oid(user.id)) || ids.contains(&user.id) {
                    Error::IdTaken
                } else if there.emails.contains(&email) || emails.contains(&email) {
                    Error::EmailTaken
                } else if there.names.contains(&name) || names.contains(&name) {
                    Error::UsernameTaken
                } else {
                    ids.insert(user.id);
                    emails.insert(email);
                    names.insert(name);
                    continue;
                };
                clashes.push((batch * BATCH + place, clash));
            }
        }
        if keep && clashes.is_empty() { self.insert_all(&users).await } else { Ok(clashes) }
    }

    /// What of these is there already.
    async fn there(&self, users: &[User]) -> Result<There, DriverError> {
        let ids: Vec<_> = users.iter().map(|user| oid(user.id)).collect();
        let emails: Vec<String> = users.iter().map(|user| folded(&user.email)).collect();
        let names: Vec<String> = users.iter().map(|user| folded(&user.username)).collect();
        let find = async |filter: Document| -> Result<Vec<Document>, DriverError> {
            self.users.find(filter).projection(doc! { "_id": 1, "duologue": 1 }).await?.try_collect().await
        };
        // One by one: each has its own index.
        let by_id = find(doc! { "_id": { "$in": ids } }).await?;
        let by_email = find(doc! { EMAIL_KEY: { "$in": emails } }).await?;
        let by_name = find(doc! { USERNAME_KEY: { "$in": names } }).await?;
        let key = |document: &Document, name: &str| {
            document.get_document("duologue").and_then(|ours| ours.get_str(name).map(str::to_owned)).ok()
        };
        Ok(There {
            ids: by_id.iter().filter_map(|document| document.get_object_id("_id").ok()).collect(),
            emails: by_email.iter().filter_map(|document| key(document, "emailKey")).collect(),
            names: by_name.iter().filter_map(|document| key(document, "usernameKey")).collect(),
        })
    }

    pub(super) async fn insert_all(&self, users: &[User]) -> Result<Vec<(usize, Error)>, Error> {
        for (batch, chunk) in users.chunks(BATCH).enumerate() {
            let Err(error) = self.users.insert_many(chunk.iter().map(of_user)).await else { continue };
            // In order: what comes before the first that was refused is there.
            let refused = match &*error.kind {
                ErrorKind::InsertMany(failure) => failure.write_errors.as_ref().and_then(|errors| errors.first()),
                _ => None,
            };
            let done = batch * BATCH + refused.map_or(0, |refused| refused.index);
            self.undo(&users[..done]).await?;
            return match refused {
                Some(refused) if refused.code == DUPLICATE => match self.clash(&users[done]).await {
                    Error::Unavailable(error) => Err(Error::Unavailable(error)),
                    clash => Ok(vec![(done, clash)]),
                },
                _ => Err(refined(error)),
            };
        }
        Ok(Vec::new())
    }

    async fn undo(&self, users: &[User]) -> Result<(), Error> {
        for chunk in users.chunks(BATCH) {
            let ids: Vec<_> = chunk.iter().map(|user| oid(user.id)).collect();
            self.users.delete_many(doc! { "_id": { "$in": ids } }).await.map_err(refined)?;
        }
        Ok(())
    }
}

/// What there is already, of one batch.
struct There {
    ids: HashSet<ObjectId>,
    emails: HashSet<String>,
    names: HashSet<String>,
}
