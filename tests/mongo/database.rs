//! A MongoDB server for one test: a `mongod` of its own where there is one on the PATH, else the stand-in of
//! PyPI (`nx-27017`: the wire protocol over SQLite) that `tests/mongo/setup.sh` has put into `target/mongo`.
//! Where `MONGODB_URI` is set, tests that kill nothing use that server, each a database of its own in it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Time for a server to answer: a cold `mongod` takes some seconds.
const START: Duration = Duration::from_secs(30);

/// A server, and an empty database in it.
pub struct Database {
    /// What reaches the database.
    pub uri: String,
    name: String,
    own: Option<Own>,
}

struct Own {
    process: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl Database {
    /// The server of `MONGODB_URI`, or one of its own.
    pub async fn any() -> Self {
        match std::env::vars().find(|(name, _)| name == "MONGODB_URI") {
            Some((_, uri)) => {
                let name = unique();
                Self { uri: with_database(&uri, &name), name, own: None }
            }
            None => Self::own().await,
        }
    }

    /// One that may be killed.
    pub async fn own() -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let own = Own { process: None, port, folder: tempfile::tempdir().unwrap() };
        let name = unique();
        let mut database = Self { uri: format!("mongodb://127.0.0.1:{port}/{name}"), name, own: Some(own) };
        database.start().await;
        database
    }

    /// Starts it, also once more after it was killed: with the same port and the same data.
    pub async fn start(&mut self) {
        let own = self.own.as_mut().expect("a server of this test's own");
        let mut command = command(own.folder.path(), own.port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let client = client(&self.uri).await;
        let until = Instant::now() + START;
        loop {
            let asked = client.database(&self.name).run_command(doc! { "ping": 1 }).await;
            let Err(error) = asked else { break };
            assert!(process.try_wait().unwrap().is_none(), "the database has ended: {command:?}");
            assert!(Instant::now() < until, "the database does not answer: {error}");
            sleep(Duration::from_millis(20)).await;
        }
        own.process = Some(process);
    }

    /// SIGKILL, and waits until it has ended.
    pub async fn kill(&mut self) {
        let own = self.own.as_mut().expect("a server of this test's own");
        own.process.take().expect("it runs").kill().await.unwrap();
    }

    /// Stops it where it is, or lets it go on: connections stay, and nothing answers.
    pub async fn signal(&self, name: &str) {
        let process = self.own.as_ref().and_then(|own| own.process.as_ref()).expect("it runs");
        let id = process.id().expect("it runs").to_string();
        assert!(Command::new("sh").args(["-c", &format!("kill {name} {id}")]).status().await.unwrap().success());
    }

    /// The collection of the users, past Duologue.
    pub async fn users(&self) -> mongodb::Collection<Document> {
        client(&self.uri).await.database(&self.name).collection("users")
    }

    /// Leaves nothing behind in a server that stays.
    pub async fn done(self) {
        if self.own.is_none() {
            client(&self.uri).await.database(&self.name).drop().await.unwrap();
        }
    }
}

async fn client(uri: &str) -> Client {
    let mut options = ClientOptions::parse(uri).await.unwrap();
    options.server_selection_timeout = Some(Duration::from_millis(500));
    Client::with_options(options).unwrap()
}

fn command(folder: &Path, port: u16) -> Command {
    let port = port.to_string();
    if let Some(mongod) = on_path("mongod") {
        let mut command = Command::new(mongod);
        command.args(["--bind_ip", "127.0.0.1", "--quiet", "--port", &port, "--dbpath"]).arg(folder);
        return command;
    }
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mongo/venv/bin/nx-27017");
    assert!(stand_in.exists(), "there is no MongoDB here: tests/mongo/setup.sh makes one");
    let mut command = Command::new(stand_in);
    command.args(["--host", "127.0.0.1", "-p", &port, "--data-dir"]).arg(folder.join("data"));
    command.arg("--log-file").arg(folder.join("log")).arg("--pid-file").arg(folder.join("pid"));
    command
}

fn on_path(name: &str) -> Option<PathBuf> {
    let (_, path) = std::env::vars_os().find(|(variable, _)| variable == "PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn unique() -> String {
    format!("duologue_test_{:016x}", rand::random::<u64>())
}

fn with_database(uri: &str, name: &str) -> String {
    let (scheme, rest) = uri.split_once("://").expect("MONGODB_URI is a URI");
    let (hosts, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let options = tail.split_once('?').map(|(_, options)| format!("?{options}")).unwrap_or_default();
    format!("{scheme}://{hosts}/{name}{options}")
}
