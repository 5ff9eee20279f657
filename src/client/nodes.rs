//! The nodes of a service, of which any will do: who is asked where the doors are, and when. A link whose
//! node may be gone is looked for elsewhere beside it, since a dead UDP port says nothing.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::race::race;
use super::rest::{Account, Rest};
use super::{Error, Target, Wire};
use crate::hub::Door;

/// A node that does not answer within this is passed over.
const PATIENCE: Duration = Duration::from_millis(1500);
/// No door of the node in use has opened by then: it may be gone.
const ELSEWHERE: Duration = Duration::from_millis(500);

/// Several addresses of one service.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// Never empty.
    all: Vec<Rest>,
    /// The one that is asked first.
    at: usize,
}

/// Where a development server listens.
const USUAL: &str = "http://localhost:3001";

/// The servers that were named, each once; the usual one if there are none.
pub fn addresses(first: Option<&String>, others: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for address in first.into_iter().chain(others) {
        if !all.contains(address) {
            all.push(address.clone());
        }
    }
    if all.is_empty() { vec![USUAL.to_owned()] } else { all }
}

/// A link that is open, and where.
pub(super) struct Opened {
    pub(super) wire: Wire,
    pub(super) door: Door,
    pub(super) target: Target,
    /// With whoever told of it in front.
    pub(super) nodes: Option<Nodes>,
}

impl Nodes {
    /// These addresses, as [`Rest::at`] takes them. One whose name has no address now is passed over, if
    /// there are others.
    ///
    /// # Errors
    /// None of them can be used.
    pub async fn at(addresses: &[String]) -> Result<Self, Error> {
        let mut all = Vec::with_capacity(addresses.len());
        let mut failure = Error::Connect("no server is named".to_owned());
        for address in addresses {
            match Rest::at(address).await {
                Ok(rest) => all.push(rest),
                Err(error) => failure = error,
            }
        }
        if all.is_empty() { Err(failure) } else { Ok(Self { all, at: 0 }) }
    }

    /// The same, beginning with the one of this number, around and around.
    pub fn beginning(&self, number: usize) -> Self {
        Self { all: self.all.clone(), at: number % self.all.len() }
    }

    /// All of them.
    pub fn all(&self) -> &[Rest] {
        &self.all
    }

    /// The next one is asked first.
    pub(super) fn turn(&mut self) {
        self.at = (self.at + 1) % self.all.len();
    }

    /// Where the doors are, by the first that answers; that one comes first from now on.
    ///
    /// # Errors
    /// What the last of them said, or did not say.
    pub async fn target(&mut self) -> Result<Target, Error> {
        let mut failure = Error::Timeout(PATIENCE);
        for step in 0..self.all.len() {
            let at = (self.at + step) % self.all.len();
            match timeout(PATIENCE, self.all[at].target()).await {
                Ok(Ok(target)) => {
                    self.at = at;
                    return Ok(target);
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = Error::Timeout(PATIENCE),
            }
        }
        Err(failure)
    }

    /// A throw-away account, by the first that answers.
    ///
    /// # Errors
    /// The refusal of one that answers, or that none does.
    pub async fn guest(&self) -> Result<Account, Error> {
        self.account(Rest::guest).await
    }

    /// The account of this address, by the first that answers.
    ///
    /// # Errors
    /// As for [`guest`](Self::guest).
    pub async fn login(&self, email: &str, password: &str) -> Result<Account, Error> {
        self.account(|rest| rest.login(email, password)).await
    }

    async fn account<'a, A>(&'a self, ask: impl Fn(&'a Rest) -> A) -> Result<Account, Error>
    where
        A: Future<Output = Result<Account, Error>>,
    {
        let mut failure = Error::Timeout(PATIENCE);
        for step in 0..self.all.len() {
            match ask(&self.all[(self.at + step) % self.all.len()]).await {
                Err(error @ (Error::Connect(_) | Error::Timeout(_))) => failure = error,
                answer => return answer,
            }
        }
        Err(failure)
    }
}

/// Opens the first door that is open there, or elsewhere if it takes too long. `leave`: the node there wants
/// to be left alone, and another is asked at once.
pub(super) async fn open(
    target: Target,
    nodes: Option<Nodes>,
    doors: Vec<Door>,
    wait: Duration,
    leave: bool,
) -> Result<Opened, Error> {
    let Some(mut others) = nodes.clone() else {
        let (wire, door) = race(target.clone(), doors, wait).await?;
        return Ok(Opened { wire, door, target, nodes });
    };
    sleep(wait).await;
    let elsewhere = async {
        let target = others.target().await?;
        let (wire, door) = race(target.clone(), doors.clone(), Duration::ZERO).await?;
        Ok(Opened { wire, door, target, nodes: Some(others) })
    };
    if leave {
        return elsewhere.await;
    }
    let here = race(target.clone(), doors.clone(), Duration::ZERO);
    tokio::pin!(here, elsewhere);
    let opened = |(wire, door)| Opened { wire, door, target: target.clone(), nodes: nodes.clone() };
    tokio::select! {
        biased; // a door of the node in use is worth more than another's
        won = &mut here => return match won {
            Ok(won) => Ok(opened(won)),
            Err(_) => elsewhere.await,
        },
        () = sleep(ELSEWHERE) => {}
    }
    tokio::select! {
        biased; // as above
        won = &mut here => match won {
            Ok(won) => Ok(opened(won)),
            Err(_) => elsewhere.await,
        },
        other = &mut elsewhere => match other {
            Ok(other) => Ok(other),
            Err(_) => here.await.map(opened),
        },
    }
}
