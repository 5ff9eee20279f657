//! The program: arguments to subcommand, and nothing else.
#![allow(missing_docs, reason = "a binary has no readers of its items")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use duologue::config::{self, Config};
use duologue::load;
use duologue::logs;
use duologue::server::{self, Server};
use duologue::terminal;
use duologue::users;
use tokio::signal::unix::{SignalKind, signal};

/// A realtime server for conversations between two people.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The settings file; without it, config/duologue.toml where there is one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server (what happens without a subcommand).
    Serve,
    /// Checks the settings, says what is wrong with them, and binds nothing.
    Check,
    /// Talks to somebody from the terminal.
    Chat(terminal::Options),
    /// Lets many pairs talk to a server, and checks what it promises for each message.
    Load(load::Options),
    /// Accounts: takes over those of another backend, writes them out, deletes them.
    #[command(subcommand)]
    Users(users::Command),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("duologue: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, but for those that it names itself.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = || config::from_process(arguments.config.as_deref());
    match &arguments.command {
        None | Some(Command::Serve) => serve(config()?),
        Some(Command::Chat(options)) => Ok(runtime()?.block_on(terminal::run(options))?),
        Some(Command::Load(options)) => load(options),
        Some(Command::Users(command)) => Ok(runtime()?.block_on(users::run(command, &config()?))?),
        Some(Command::Check) => {
            let config = config()?;
            config.warnings.iter().for_each(|warning| println!("warning: {warning}"));
            server::check(&config)?;
            logs::check(&config.log)?;
            println!("The settings are fine.");
            Ok(())
        }
    }
}

fn load(options: &load::Options) -> anyhow::Result<()> {
    let report = runtime()?.block_on(load::run(options))?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("\n{report}");
    }
    anyhow::ensure!(report.is_kept(), "promises were broken");
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn serve(config: Config) -> anyhow::Result<()> {
    // Dropped last: what is said until the end is written.
    let _logs = logs::start(&config.log)?;
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let server = Server::bind(config).await?;
        // Nobody may listen there, as when it is piped into a program that has ended.
        let _ = writeln!(std::io::stdout(), "{}", server.banner());
        let stop = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        };
        server.run(stop).await;
        Ok(())
    })
}
