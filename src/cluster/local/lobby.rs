//! Who waits, of all nodes, and who is found: the rules that the script of Redis follows too.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{MOST_LOOKED_AT, NEARBY, Sought, Ticket};
use crate::protocol::{NodeId, SessionId};

#[derive(Default)]
pub(super) struct Lobby {
    began: Option<Instant>,
    tickets: HashMap<SessionId, Waiting>,
    /// Who waits under each combination, the longest first.
    queues: HashMap<u64, BTreeSet<Place>>,
}

/// Since when, in microseconds from the lobby's beginning, and who: ties go by the session.
type Place = (i64, SessionId);

struct Waiting {
    ticket: Ticket,
    node: NodeId,
    since: i64,
}

impl Lobby {
    /// Finds someone, or lets this one wait.
    pub(super) fn seek(
        &mut self,
        ticket: &Ticket,
        here: NodeId,
        now: Instant,
        lives: impl Fn(NodeId) -> bool,
    ) -> Sought {
        self.take(ticket.session);
        let mut any: Option<Place> = None;
        let mut own: Option<Place> = None;
        for combination in &ticket.combinations {
            let (first, nearby) = self.look(*combination, ticket, here, &lives);
            any = [any, first].into_iter().flatten().min();
            own = [own, nearby].into_iter().flatten().min();
        }
        let chosen = match (any, own) {
            (Some(any), Some(own)) if own.0 - any.0 <= micros(NEARBY) => Some(own),
            (any, _) => any,
        };
        if let Some(found) = chosen.and_then(|(_, session)| self.take(session)) {
            return Sought::Found { session: found.ticket.session, node: found.node };
        }
        let since = micros(now.duration_since(*self.began.get_or_insert(now))) - micros(ticket.waited);
        for combination in &ticket.combinations {
            self.queues.entry(*combination).or_default().insert((since, ticket.session));
        }
        self.tickets.insert(ticket.session, Waiting { ticket: ticket.clone(), node: here, since });
        Sought::Waits
    }

    /// Who has waited longest under a combination, and who of this node. Tickets of the dead go.
    fn look(
        &mut self,
        combination: u64,
        ticket: &Ticket,
        here: NodeId,
        lives: &impl Fn(NodeId) -> bool,
    ) -> (Option<Place>, Option<Place>) {
        let (mut first, mut nearby) = (None, None);
        let mut dead = Vec::new();
        for place @ (since, session) in self.queues.get(&combination).into_iter().flatten().take(MOST_LOOKED_AT) {
            if first.is_some_and(|(first, _)| since - first > micros(NEARBY)) {
                break;
            }
            let Some(other) = self.tickets.get(session) else { continue };
            if !lives(other.node) {
                dead.push(*session);
            } else if suits(ticket, &other.ticket) {
                first = first.or(Some(*place));
                if other.node == here {
                    nearby = Some(*place);
                    break;
                }
            }
        }
        for session in dead {
            self.take(session);
        }
        (first, nearby)
    }

    pub(super) fn withdraw(&mut self, session: SessionId, node: NodeId) -> bool {
        let own = self.tickets.get(&session).is_some_and(|waiting| waiting.node == node);
        own && self.take(session).is_some()
    }

    pub(super) fn remove_all(&mut self, node: NodeId) {
        let theirs = self.tickets.iter().filter(|(_, waiting)| waiting.node == node);
        let theirs: Vec<_> = theirs.map(|(session, _)| *session).collect();
        for session in theirs {
            self.take(session);
        }
    }

    fn take(&mut self, session: SessionId) -> Option<Waiting> {
        let waiting = self.tickets.remove(&session)?;
        for combination in &waiting.ticket.combinations {
            if let Some(queue) = self.queues.get_mut(combination) {
                queue.remove(&(waiting.since, session));
                if queue.is_empty() {
                    self.queues.remove(combination);
                }
            }
        }
        Some(waiting)
    }
}

fn suits(one: &Ticket, other: &Ticket) -> bool {
    let met = one.recent.contains(&other.user) || other.recent.contains(&one.user);
    one.user != other.user && (!met || (one.anyone && other.anyone))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 2)
}
