//! Requests of clients at one node that concern a conversation at another: which node that is, and the
//! stream that is their connection there. What is asked for on it is not known here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use tracing::debug;

use super::Company;
use super::words::{Ask, Reply};
use crate::nodes::{Bare, Error};
use crate::protocol::{NodeId, Ticket, UserId};
use crate::session::register::Sessions;

/// How long the others may take to say whether they have what is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Searches at once; more wait, within [`LOOK`]. Tickets can be made up by anyone, and each costs a stream to
/// every node.
pub(super) const SEARCHES: usize = 64;

/// Serves a stream that is a client's connection: where the client is, and whether it came by TLS.
pub type ServeWeb = Arc<dyn Fn(Bare, SocketAddr, bool) -> BoxFuture<'static, ()> + Send + Sync>;

/// Where something is, of what other nodes may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// It is there.
    Found(NodeId),
    /// No other node has it.
    Nowhere,
    /// None says that it has it, and not all have answered: one may be about to be known as dead.
    Unsure,
}

impl Company {
    /// The first of the others that grants this.
    async fn who_grants(&self, ask: Ask) -> Search {
        let searching = async {
            // It is never closed.
            let _permit = self.0.searches.acquire().await;
            let asking = self.others().into_iter().map(async |card| (card.node, self.ask(card.node, &ask, None).await));
            let mut asking: FuturesUnordered<_> = asking.collect();
            let mut search = Search::Nowhere;
            while let Some((node, answer)) = asking.next().await {
                match answer {
                    Ok((_, _, Reply::Granted)) => return Search::Found(node),
                    Ok(_) => {}
                    Err(error) => {
                        debug!(%error, "a node did not say what it has");
                        search = Search::Unsure;
                    }
                }
            }
            search
        };
        timeout(LOOK, searching).await.unwrap_or(Search::Unsure)
    }
}

impl Sessions {
    /// The other node at which someone talks.
    pub async fn talks_at(&self, user: UserId) -> Search {
        self.search(Ask::Talker { user }).await
    }

    /// The other node at which a file is offered by this ticket.
    pub async fn offered_at(&self, ticket: Ticket) -> Search {
        self.search(Ask::Ticket { ticket }).await
    }

    async fn search(&self, ask: Ask) -> Search {
        match &self.0.company {
            Some(company) => company.who_grants(ask).await,
            None => Search::Nowhere,
        }
    }

    /// A connection to another node for a request of a client that is here.
    ///
    /// # Errors
    /// It does not answer within 3 s, or takes none.
    pub async fn web(&self, node: NodeId, peer: SocketAddr, secure: bool) -> Result<Bare, Error> {
        let unreachable = |why: String| Error::Unreachable { node, why };
        let company = self.0.company.as_ref().ok_or(Error::Unknown(node))?;
        match company.ask(node, &Ask::Web { peer, secure }, None).await? {
            (wire, _, Reply::Granted) => wire.bare().await.map_err(|broken| unreachable(broken.to_string())),
            (_, _, reply) => Err(unreachable(format!("it takes no requests: {reply:?}"))),
        }
    }
}
