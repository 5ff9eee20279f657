//! Who is on all nodes together.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::debug;

use super::Company;
use super::words::{Ask, Reply};
use crate::cluster::Counts;
use crate::hub::Here;
use crate::protocol::{CloseReason, Closing, UserId};
use crate::session::core::Core;
use crate::session::entry::Entry;
use crate::session::register::Sessions;

/// How long the others may take to say who is there. What is late is left out.
const PEOPLE: Duration = Duration::from_millis(500);

impl Company {
    /// Who is on the other nodes, once for each node.
    async fn people(&self) -> Vec<Here> {
        let asking = self.others().into_iter().map(async |card| {
            match timeout(PEOPLE, self.ask(card.node, &Ask::People, None)).await {
                Ok(Ok((_, _, Reply::People { people }))) => people.into_iter().map(Here::from).collect(),
                Ok(Ok(_)) | Ok(Err(_)) | Err(_) => {
                    debug!(node = %card.node, "a node did not say who is there");
                    Vec::new()
                }
            }
        });
        join_all(asking).await.into_iter().flatten().collect()
    }

    /// What the other nodes have counted, by their last beat.
    pub fn counts(&self) -> Counts {
        self.others().into_iter().fold(Counts::default(), |sum, card| Counts {
            online: sum.online + card.counts.online,
            available: sum.available + card.counts.available,
            waiting: sum.waiting + card.counts.waiting,
            conversations: sum.conversations + card.counts.conversations,
        })
    }
}

impl Sessions {
    /// Everyone who is on any node, once each: talking if they talk on one, and as they are on the best.
    pub async fn everyone(&self) -> Vec<Here> {
        let mut here = self.0.chat.online();
        let Some(company) = &self.0.company else { return here };
        here.extend(company.people().await);
        let mut people: HashMap<UserId, Here> = HashMap::new();
        for one in here {
            people
                .entry(one.user.id)
                .and_modify(|other| {
                    other.talking |= one.talking;
                    other.status = other.status.min(one.status);
                })
                .or_insert(one);
        }
        people.into_values().collect()
    }

    /// Whether someone is on any node.
    pub async fn is_anywhere(&self, user: UserId) -> bool {
        if self.0.chat.is_online(user) {
            return true;
        }
        match &self.0.company {
            Some(company) => company.0.cluster.whereabouts(user).await.is_ok_and(|there| !there.is_empty()),
            None => false,
        }
    }

    /// A session has begun here: older ones on other nodes may have to give way.
    pub(in crate::session) fn arrived(&self, entry: &Entry, core: &Core) {
        let Some(company) = self.0.company.clone() else { return };
        self.write_down(entry, core, false);
        let here = entry.whereabouts(company.node());
        let (user, most, sessions) = (entry.user, self.0.settings.session.per_user, self.clone());
        self.0.tasks.spawn(async move {
            match company.0.cluster.arrive(user, &here, most).await {
                // Those of other nodes have a note; here the register has seen to it, but for those that
                // have come from elsewhere.
                Ok(give_way) => {
                    for other in give_way.into_iter().filter(|other| other.node == company.node()) {
                        let message = "Another session of yours took this one's place.";
                        sessions.end(other.session, Closing::because(CloseReason::Superseded, message));
                    }
                }
                // It is told with all else once the cluster is back.
                Err(error) => debug!(%error, "the cluster was not told of a session"),
            }
        });
    }

    /// A session is over.
    pub(in crate::session) fn departed(&self, entry: &Entry) {
        if let Some(company) = &self.0.company {
            company.0.ledger.over(entry.id);
        }
    }
}
