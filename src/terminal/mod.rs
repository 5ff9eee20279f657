//! `duologue chat`: two people talk from their terminals, or from a terminal and a browser.
//!
//! Owns: the line that is being typed and what is printed above it; without a terminal it reads and
//! prints plain lines, so that it can be scripted. What the words are is decided in `room` and `files`;
//! files of this machine are read and written in `disk` alone.
//!
//! Must not know: the server's parts. It is a client, and speaks through `client`.

mod disk;
mod files;
mod room;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rustyline_async::{Readline, ReadlineEvent, SharedWriter};
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::{Duration, timeout};

use self::files::Files;
use self::room::{Order, Room, clean, list};
use crate::client::{self, Cut, Habits, Keeper, News, Nodes};
use crate::hub::Door;
use crate::protocol::{ClientEvent, Nothing, ServerEvent, Wish};

/// How long the server has to hear the last words.
const FAREWELL: Duration = Duration::from_secs(1);
/// Lines that were read and not yet acted on; whoever types more waits.
const TYPED_AHEAD: usize = 16;

/// What `duologue chat` is asked for.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The server, or one of its nodes. Without any: http://localhost:3001.
    #[arg(id = "address", value_name = "SERVER")]
    pub server: Option<String>,
    /// Another node of the same service, to go to when one is away; may be given again and again.
    #[arg(long = "server", value_name = "SERVER")]
    pub servers: Vec<String>,
    /// Log in with this address; the password is asked for. Without it you come as a guest.
    #[arg(long)]
    pub email: Option<String>,
    /// Come by this door only.
    #[arg(long, value_enum)]
    pub door: Option<DoorName>,
    /// What you would like to talk about, separated by commas.
    #[arg(long, default_value = "")]
    pub interests: String,
    /// The languages you would like to talk in, separated by commas: en,pt-BR.
    #[arg(long, default_value = "")]
    pub languages: String,
    /// Take every file that is offered, into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub accept: Option<PathBuf>,
}

/// A door, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DoorName {
    /// QUIC.
    Webtransport,
    /// TCP.
    Websocket,
}

/// Why it ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server, or none that lets us in.
    #[error(
        "{server}: {source}. Is a Duologue server running there? `duologue` starts one; another address can be named"
    )]
    Server {
        /// Where.
        server: String,
        /// What happened.
        source: client::Error,
    },
    /// What is to be accepted has no place.
    #[error("--accept {0}: there is no such folder. Make it first, or name another")]
    Folder(String),
    /// The terminal cannot be used.
    #[error("the terminal cannot be used: {0}")]
    Terminal(String),
    /// The server ended the session for good.
    #[error("{0}")]
    Over(String),
}

/// Talks until the person has had enough.
///
/// # Errors
/// It could not begin, or the server ended it.
pub async fn run(options: &Options) -> Result<(), Error> {
    let servers = client::addresses(options.server.as_ref(), &options.servers);
    let server = |source| Error::Server { server: servers.join(", "), source };
    if let Some(folder) = options.accept.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(Error::Folder(folder.display().to_string()));
    }
    let password = options.email.as_ref().map(|_| rpassword::prompt_password("Password: ")).transpose();
    let password = password.map_err(|error| Error::Terminal(error.to_string()))?;
    let mut nodes = Nodes::at(&servers).await.map_err(server)?;
    let account = match (&options.email, password) {
        (Some(email), Some(password)) => nodes.login(email, &password).await,
        _ => nodes.guest().await,
    };
    let account = account.map_err(server)?;
    let target = nodes.target().await.map_err(server)?;
    let several = (servers.len() > 1).then_some(nodes);
    let doors = match options.door {
        Some(DoorName::Webtransport) => vec![Door::WebTransport],
        Some(DoorName::Websocket) => vec![Door::WebSocket],
        None => vec![Door::WebTransport, Door::WebSocket],
    };
    let habits = Habits { nodes: several, ..Habits::new(&doors) };
    let keeper = Keeper::start(&target, &account.token, None, habits).await.map_err(server)?;
    let wish = Wish { interests: list(&options.interests), languages: list(&options.languages), ..Wish::default() };
    let files = Files::new(keeper.established().session, options.accept.clone());
    let room = Room::new(&account.user.username, doors, keeper.first_door(), wish, files);
    let person = if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        Person::at_a_terminal(&room)?
    } else {
        Person::scripted()
    };
    talk(keeper, room, person).await
}

async fn talk(mut keeper: Keeper, mut room: Room, mut person: Person) -> Result<(), Error> {
    for line in room.welcome() {
        person.show(&line)?;
    }
    let most = keeper.established().limits.file_bytes;
    let ended = 'talk: loop {
        person.prompt(&room.prompt())?;
        let mut orders = tokio::select! {
            biased; // what was heard is shown before what is typed is acted on
            news = keeper.next() => {
                let over = || News::Over(client::Error::Connect("the session has ended".to_owned()));
                match room.hear(news.unwrap_or_else(over)) {
                    Ok(orders) => orders,
                    Err(why) => break Err(Error::Over(why)),
                }
            }
            line = person.line() => match line? {
                Some(line) => room.typed(&line),
                None => vec![Order::Quit],
            },
        };
        orders.reverse();
        while let Some(order) = orders.pop() {
            let done = match order {
                Order::Say(event) => keeper.say(event),
                Order::Doors(doors) => keeper.use_doors(&doors),
                Order::Cut => keeper.cut(Cut::Closed),
                Order::Read(path, kind) => {
                    match block_in_place(|| disk::read(&path, kind, most)) {
                        Ok(file) => orders.extend(room.files.offer(file).into_iter().rev()),
                        Err(words) => person.show(&format!("* {}", clean(&words)))?,
                    }
                    true
                }
                Order::Offer(id, file) => keeper.offer(id, file),
                Order::Accept(id) => keeper.accept(id),
                Order::Reject(id) => keeper.reject(id),
                Order::CallOff(id) => keeper.call_off(id),
                Order::Save(place, name, bytes) => {
                    let saved = block_in_place(|| disk::save(&disk::aim(Some(&place), &name)?, &bytes));
                    let words = saved.map(|place| format!("{} is saved as {}.", name, place.display()));
                    person.show(&format!("* {}", clean(&words.unwrap_or_else(|error| error))))?;
                    true
                }
                Order::Show(line) => {
                    person.show(&line)?;
                    true
                }
                Order::Quit => break 'talk Ok(()),
            };
            if !done {
                person.show("* Too much is waiting to be sent. Wait a moment, then try again.")?;
            }
        }
    };
    if ended.is_ok() && room.prompt().contains("looking") {
        keeper.say(ClientEvent::MatchCancel(Nothing {}));
    }
    if ended.is_ok() {
        keeper.say(ClientEvent::Leave(Nothing {}));
        // Heard by then, or refused because there was nobody to leave: either will do.
        let answered = async {
            while let Some(news) = keeper.next().await {
                if matches!(news, News::Heard(ServerEvent::Idle(_) | ServerEvent::Error(_))) {
                    return;
                }
            }
        };
        let _ = timeout(FAREWELL, answered).await;
    }
    person.close();
    ended
}

/// Whoever types and reads.
enum Person {
    Terminal(Box<Readline>, SharedWriter, String),
    Script(mpsc::Receiver<String>),
}

impl Person {
    fn at_a_terminal(room: &Room) -> Result<Self, Error> {
        let prompt = room.prompt();
        let (mut readline, writer) =
            Readline::new(prompt.clone()).map_err(|error| Error::Terminal(error.to_string()))?;
        // What was typed is shown again as said, with who said it.
        readline.should_print_line_on(false, false);
        Ok(Self::Terminal(Box::new(readline), writer, prompt))
    }

    fn scripted() -> Self {
        let (typed, lines) = mpsc::channel(TYPED_AHEAD);
        // A thread: standard input cannot be waited for otherwise. It ends with the input or the process.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if typed.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self::Script(lines)
    }

    /// The next line; `None`: the person has had enough. Cancel safe.
    async fn line(&mut self) -> Result<Option<String>, Error> {
        match self {
            Self::Script(lines) => Ok(lines.recv().await),
            Self::Terminal(readline, ..) => match readline.readline().await {
                Ok(ReadlineEvent::Line(line)) => {
                    readline.add_history_entry(line.clone());
                    Ok(Some(line))
                }
                Ok(ReadlineEvent::Eof | ReadlineEvent::Interrupted) => Ok(None),
                Err(error) => Err(Error::Terminal(error.to_string())),
            },
        }
    }

    fn show(&mut self, line: &str) -> Result<(), Error> {
        let shown = match self {
            Self::Script(_) => writeln!(std::io::stdout(), "{line}"),
            Self::Terminal(readline, writer, _) => {
                let written = writeln!(writer, "{line}");
                readline.flush().map_err(|error| Error::Terminal(error.to_string()))?;
                written
            }
        };
        shown.map_err(|error| Error::Terminal(error.to_string()))
    }

    fn prompt(&mut self, prompt: &str) -> Result<(), Error> {
        if let Self::Terminal(readline, _, shown) = self
            && shown != prompt
        {
            prompt.clone_into(shown);
            readline.update_prompt(prompt).map_err(|error| Error::Terminal(error.to_string()))?;
        }
        Ok(())
    }

    fn close(self) {
        if let Self::Terminal(mut readline, ..) = self {
            // The terminal is given back when it is dropped, whatever happens here.
            let _ = readline.flush();
        }
    }
}
