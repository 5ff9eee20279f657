//! `duologue load`: many pairs who talk, over either door, through links that are lost on purpose;
//! and for each message, whether the contract was kept.
//!
//! Owns: the pairs, the faults that are done to them, what is measured. [`network`] and [`pair`] are
//! also what the integration tests do their faults with.
//!
//! Must not know: the server's parts. It is a client, and speaks through `client`.

mod files;
mod gaps;
mod ledger;
mod memory;
pub mod network;
pub mod pair;
mod report;
mod run;

pub use self::files::{Files, Plan, content};
pub use self::gaps::{Class, Gaps};
pub use self::ledger::{Broken, Ledger};
pub use self::report::{Quantiles, Report, Times};
pub use self::run::{Error, run};

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// What `duologue load` is asked for.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The server, or one of its nodes.
    #[arg(id = "address", value_name = "SERVER")]
    pub server: Option<String>,
    /// Another node of the same service; may be given again and again. People come in by all of them, and go
    /// to the next when one is away. Without any: http://localhost:3001.
    #[arg(long = "server", value_name = "SERVER")]
    pub servers: Vec<String>,
    /// The two of each pair come in by different nodes.
    #[arg(long)]
    pub spread: bool,
    /// Fails if anyone waited longer than this for an answer, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub max_gap: Option<f64>,
    /// Pairs of people.
    #[arg(long, default_value_t = 50)]
    pub pairs: usize,
    /// By which doors they come.
    #[arg(long, value_enum, default_value_t = Doors::Mix)]
    pub doors: Doors,
    /// Messages a second that each person says; 0: none, the sessions are idle.
    #[arg(long, default_value_t = 1.0, value_name = "PER_SECOND")]
    pub rate: f64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 64, value_name = "BYTES")]
    pub size: usize,
    /// Files that each pair also sends, one after another and both ways by turns, while they talk. A
    /// size is in bytes, or as in 64k and 10M; without one, 1 MiB.
    #[arg(long, value_name = "N[:SIZE]")]
    pub files: Option<Plan>,
    /// How long they talk, in seconds.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub duration: f64,
    /// The pairs arrive within this time, in seconds.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    pub ramp: f64,
    /// Each link is cut at random, on average so often, in seconds; half of the cuts are silent.
    #[arg(long, value_name = "SECONDS")]
    pub cut_every: Option<f64>,
    /// For this share of the people UDP is blocked again and again, for 2 to 8 seconds.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub block_udp: f64,
    /// Each client stops for 3 to 8 seconds as a sleeping machine does, on average so often, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub pause_every: Option<f64>,
    /// A file with one token a line, in place of guests.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Where the faults come from: the same number, the same faults.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Prints the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// The nodes, of which there is at least one.
    pub fn servers(&self) -> Vec<String> {
        crate::client::addresses(self.server.as_ref(), &self.servers)
    }
}

/// By which doors the pairs come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Doors {
    /// Both by WebTransport.
    Webtransport,
    /// Both by WebSocket.
    Websocket,
    /// One by each.
    Crossed,
    /// A third of the pairs each of these ways.
    Mix,
}

/// A time that was given in seconds.
fn seconds(given: f64) -> Duration {
    Duration::try_from_secs_f64(given).unwrap_or(Duration::from_secs(365 * 24 * 3600))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn nodes_are_named_one_by_one_and_there_is_always_one() {
        let servers = |line: &[&str]| Line::try_parse_from(line).map(|line| line.options.servers());
        assert_eq!(servers(&["load"]).unwrap(), ["http://localhost:3001"]);
        assert_eq!(servers(&["load", "http://a"]).unwrap(), ["http://a"]);
        let line = ["load", "--server", "http://a", "--server", "http://b", "--spread", "--max-gap", "5"];
        assert_eq!(servers(&line).unwrap(), ["http://a", "http://b"]);
        assert_eq!(
            servers(&["load", "http://a", "--server", "http://b", "--server", "http://a"]).unwrap(),
            ["http://a", "http://b"]
        );
        assert!(servers(&["load", "--max-gap"]).is_err());
    }
}
