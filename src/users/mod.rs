//! `duologue users`: what an operator does with accounts, while a server runs or not: take over those of a Node
//! backend, write them out, delete one, delete those that nobody uses.
//!
//! Owns: the commands, what is said of them and when they fail. Nothing that is said holds a name, an address
//! or a hash, but for what `export` is there to write.
//!
//! Must not know: how accounts are kept, and what makes a hash good. Someone whose account is deleted here while
//! they are online is told so by the nodes that share a Redis; a server that is alone cannot be told, and they stay
//! there until they show their token again.

mod export;
mod import;
mod leaving;

use std::io;
use std::path::PathBuf;

use self::import::Taken;
use crate::cluster::{self, Note};
use crate::config::Config;
use crate::protocol::UserId;
use crate::store;

/// What `duologue users` is asked for.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Takes over the users of a Node backend, one JSON document a line, as mongoexport writes them.
    Import {
        /// The file, made with: mongoexport --uri ... --collection users --out users.json
        file: PathBuf,
        /// Only says what would happen.
        #[arg(long)]
        dry_run: bool,
        /// Leaves out the lines that will not do, instead of taking none.
        #[arg(long)]
        skip: bool,
    },
    /// Writes all accounts to stdout, one JSON document a line, as import reads them.
    Export {
        /// With the hashes of their passwords. Without them the lines cannot be imported.
        #[arg(long)]
        with_hashes: bool,
    },
    /// Deletes one account and all that belongs to it.
    Delete {
        /// Its id, or its email address in whatever case.
        #[arg(value_name = "ID|EMAIL")]
        who: String,
    },
    /// Deletes accounts that nobody has used for so many days.
    Clean {
        /// Days, at least 1.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        unseen_days: u32,
        /// Only says how many there are.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was asked for cannot be written.
    #[error("stdout: {0}")]
    Unwritable(#[source] io::Error),
    /// Some lines will not do.
    #[error("{0} of the lines will not do, so nobody was taken over. Mend them, or leave them out with --skip:\n{1}")]
    Lines(usize, String),
    /// Whom to delete is unclear.
    #[error("{0} is neither an id (24 hex digits) nor an email address")]
    NoOne(String),
    /// There is no such account.
    #[error("there is no account with this id or email address; nobody was deleted")]
    NoSuchUser,
    /// It was done, and the nodes do not know.
    #[error(
        "the account {0} was deleted, but the nodes could not be told: {1}. Whoever is online stays until they show their token again"
    )]
    Untold(UserId, #[source] cluster::Error),
    /// The store cannot be opened.
    #[error("the store: {0}")]
    Open(#[from] store::OpenError),
    /// The store.
    #[error("the store: {0}")]
    Store(#[from] store::Error),
}

/// Does it, and says on stdout what was done.
///
/// # Errors
/// Nothing was changed then, but by `clean`, where what it had deleted by then stays deleted, and in
/// [`Untold`](Error::Untold).
pub async fn run(command: &Command, config: &Config) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let told = match command {
        Command::Import { file, dry_run, skip } => {
            let lines = import::open(file)?;
            let Taken { count, bad } = import::import(&*store::open(config).await?, lines, *skip, *dry_run).await?;
            let would = would(*dry_run);
            format!("{}{count} users {would} taken over, {} lines {would} left out.\n", bad.told(), bad.count())
        }
        Command::Export { with_hashes } => {
            return export::export(&*store::open(config).await?, *with_hashes, &mut out).await;
        }
        Command::Delete { who } => {
            let who = leaving::whom(who)?;
            let user = leaving::delete(&*store::open(config).await?, &who).await?;
            revoke(config, user).await.map_err(|error| Error::Untold(user, error))?;
            format!("The account {user} was deleted.\n")
        }
        Command::Clean { unseen_days, dry_run } => {
            let count = leaving::clean(&*store::open(config).await?, *unseen_days, *dry_run).await?;
            format!("{count} users who were not seen for {unseen_days} days {} deleted.\n", would(*dry_run))
        }
    };
    io::Write::write_all(&mut out, told.as_bytes()).map_err(Error::Unwritable)
}

/// Has the nodes end the sessions of someone whose account is gone.
async fn revoke(config: &Config, user: UserId) -> Result<(), cluster::Error> {
    match cluster::connect(config).await? {
        Some(cluster) => cluster.tell_all(&Note::Revoked { user }).await,
        None => Ok(()),
    }
}

fn would(dry_run: bool) -> &'static str {
    if dry_run { "would be" } else { "were" }
}

#[cfg(test)]
mod tests;
