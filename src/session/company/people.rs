//! Who is on all nodes together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt;
use tokio::time::timeout;
use tracing::debug;

use super::Company;
use super::words::{Ask, Reply};
use crate::cluster::{Card, Cluster, Counts};
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

/// The other nodes, for a client that asks where to go.
#[derive(Debug, Default)]
pub struct Others {
    /// One to which it should rather go than to this one.
    pub better: Option<Card>,
    /// All that take newcomers, those with few sessions first.
    pub all: Vec<Card>,
}

/// A node with so many sessions more than the one that has fewest is as good.
const AS_GOOD: u64 = 32;

impl Sessions {
    /// The other nodes that take newcomers. `stopping`: this one takes none.
    pub fn others(&self, stopping: bool) -> Others {
        let Some(company) = &self.0.company else { return Others::default() };
        let mut all: Vec<_> = company.others().into_iter().filter(|card| card.serving).collect();
        all.sort_by_key(|card| (card.sessions, card.node));
        let here = (!stopping).then(|| self.count() as u64);
        let fewest = all.first().map(|card| card.sessions).into_iter().chain(here).min().unwrap_or_default();
        // By a quarter and a few more: what the cards say is a second old, and all see the same.
        let good = fewest + fewest / 4 + AS_GOOD;
        let better = match here {
            Some(here) if here <= good => None,
            _ => {
                let good = all.iter().filter(|card| card.sessions <= good).count();
                (good > 0).then(|| all[rand::rng().random_range(0..good)].clone())
            }
        };
        Others { better, all }
    }

    /// What the nodes share; `None`: this one is alone.
    pub fn cluster(&self) -> Option<Arc<dyn Cluster>> {
        self.0.company.as_ref().map(|company| Arc::clone(company.cluster()))
    }

    /// Whether what the nodes share can be reached; `None`: this one is alone.
    pub fn cluster_is_there(&self) -> Option<bool> {
        self.0.company.as_ref().map(|company| !company.is_away())
    }

    /// What the other nodes have counted; `None`: this one is alone.
    pub fn elsewhere(&self) -> Option<Counts> {
        self.0.company.as_ref().map(Company::counts)
    }

    /// How many nodes there are, and what all have counted; `None`: this one is alone.
    pub fn everywhere(&self) -> Option<(usize, Counts)> {
        let company = self.0.company.as_ref()?;
        let (here, there) = (self.counts(), company.counts());
        let all = Counts {
            online: here.online + there.online,
            available: here.available + there.available,
            waiting: here.waiting + there.waiting,
            conversations: here.conversations + there.conversations,
        };
        Some((company.others().len() + 1, all))
    }

    /// What there is here.
    pub(super) fn counts(&self) -> Counts {
        let census = self.0.chat.census();
        Counts {
            online: census.online_users as u64,
            available: census.available_users as u64,
            waiting: census.waiting as u64,
            conversations: census.conversations as u64,
        }
    }

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
