//! What the process says of itself: lines for people on stderr, lines of JSON in files.
//!
//! Owns: where lines go, how they look, and that writing them never holds up whoever logs. Must not
//! know: what is logged. Each part sees to it that no secret is in its lines; `tests/realtime/secrets.rs`
//! looks at what a full session of use leaves.
//!
//! Lines are formatted by the thread that logs and written by a thread for each place, behind a bounded
//! queue. A line that finds the queue full is dropped and counted; the count stands in the place itself
//! before the next line that gets through.

mod rotation;

use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::panic;
use std::thread;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use self::rotation::{Place, Rotated, Told};
use crate::config::{Log, LogFiles};

/// Lines that may wait to be written in one place. One more is dropped and counted.
const QUEUE: usize = 16 * 1024;
/// The most that crates other than ours may say, unless `log.level` names them: further down they
/// print what passes through them.
const OTHERS: LevelFilter = LevelFilter::INFO;

/// Holds the threads that write. Dropping it writes what waits, for a second at most.
#[must_use = "what waits is written when this is dropped"]
pub struct Logs {
    _writing: Vec<WorkerGuard>,
}

/// Why there can be no logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it cannot be written.
    #[error("log.folder = {folder}: {source}. Name a folder that can be written, or off for no files.")]
    Folder {
        /// As set.
        folder: String,
        /// What the system said.
        source: io::Error,
    },
    /// A level that cannot be read; `config` refuses them before.
    #[error("log.level: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
}

/// Begins to log as the settings say, for the whole process; once only.
///
/// # Errors
/// The files cannot be written.
pub fn start(settings: &Log) -> Result<Logs, Error> {
    let (people, on_stderr) = queue(Told::new(io::stderr(), Told::<io::Stderr>::plainly));
    let mut writing = vec![on_stderr];
    let people = tracing_subscriber::fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(people);
    let mut layers = vec![people.with_filter(only_ours_beyond_info(&settings.level)?).boxed()];
    if let Some(files) = &settings.files {
        let all = [
            ("combined.log", only_ours_beyond_info(&files.level)?),
            ("error.log", Targets::new().with_default(Level::ERROR)),
        ];
        for (name, level) in all {
            let (layer, guard) = file(name, files, level)?;
            layers.push(layer);
            writing.push(guard);
        }
    }
    tracing_subscriber::registry().with(layers).init();
    note_panics();
    Ok(Logs { _writing: writing })
}

/// Whether the files could be written, without leaving anything behind: whoever asks may be another user
/// than the one who is to write them.
///
/// # Errors
/// They could not.
pub fn check(settings: &Log) -> Result<(), Error> {
    let Some(files) = &settings.files else { return Ok(()) };
    ["combined.log", "error.log"].iter().try_for_each(|name| {
        rotation::try_out(&files.folder.join(name))
            .map_err(|source| Error::Folder { folder: files.folder.display().to_string(), source })
    })
}

/// Has every panic noted as an error, by its thread and its place, after what the hook before does (a few
/// lines on stderr). What it says stays out of the logs: it may hold what somebody said.
fn note_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        before(panicked);
        let thread = thread::current();
        let thread = thread.name().unwrap_or("without a name");
        let place = panicked.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let place = place.as_deref().unwrap_or("unknown");
        tracing::error!(thread, place, "a thread or a task panicked: this is a fault of the program");
    }));
}

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

fn file(name: &str, files: &LogFiles, level: Targets) -> Result<(Lines, WorkerGuard), Error> {
    let place = Rotated::open(&files.folder.join(name), files.max_bytes, files.keep)
        .map_err(|source| Error::Folder { folder: files.folder.display().to_string(), source })?;
    let (lines, guard) = queue(Told::new(place, Told::<Rotated>::as_json));
    let layer = tracing_subscriber::fmt::layer().json().with_ansi(false).with_writer(lines);
    Ok((layer.with_filter(level).boxed(), guard))
}

/// A queue before a place, and the thread behind it.
fn queue<W: Place>(mut told: Told<W>) -> (NonBlocking, WorkerGuard) {
    let dropped = told.dropped();
    let (lines, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).thread_name("log").finish(told);
    // The queue exists before the first line does, so nobody misses a count.
    let _ = dropped.set(lines.error_counter());
    (lines, guard)
}

/// The levels as they are written, but that a level for all means ours: others say no more than
/// [`OTHERS`], unless they are named.
fn only_ours_beyond_info(levels: &str) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    let written: Targets = levels.parse()?;
    let named: Vec<_> = written.iter().map(|(name, level)| (name.to_owned(), level)).collect();
    let all = written.default_level().unwrap_or(LevelFilter::OFF);
    let ours = Targets::new().with_default(all.min(OTHERS)).with_target(env!("CARGO_PKG_NAME"), all);
    Ok(ours.with_targets(named))
}

/// An address as it may stand in a log: IPv4 without its last 8 bits, IPv6 without its last 80.
pub fn truncated(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & 0xffff_ff00).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 48)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_tried_out_and_left_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let log = |folder: &str| Log {
            level: "info".to_owned(),
            files: Some(LogFiles {
                folder: home.path().join(folder),
                level: "info".to_owned(),
                max_bytes: 65_536,
                keep: 1,
            }),
        };
        check(&log("a/b")).unwrap();
        check(&log("")).unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        std::fs::write(home.path().join("combined.log"), "a line\n").unwrap();
        check(&log("")).unwrap();
        assert_eq!(std::fs::read_to_string(home.path().join("combined.log")).unwrap(), "a line\n");
        std::fs::create_dir(home.path().join("error.log")).unwrap();
        assert!(check(&log("")).unwrap_err().to_string().contains("log.folder"), "a folder is no file");
        assert!(check(&log("combined.log")).is_err(), "a file is no folder");
        assert!(check(&log("combined.log/a")).is_err(), "and holds none");
        check(&Log { level: "info".to_owned(), files: None }).unwrap();
    }

    #[test]
    fn others_say_little_unless_they_are_named() {
        let may = |levels: &str, target: &str, level: Level| {
            only_ours_beyond_info(levels).unwrap().would_enable(target, &level)
        };
        assert!(may("trace", "duologue::session::run", Level::TRACE));
        assert!(may("trace", "quinn", Level::INFO) && !may("trace", "quinn", Level::DEBUG));
        assert!(may("warn", "quinn", Level::WARN) && !may("warn", "quinn", Level::INFO));
        assert!(!may("warn", "duologue", Level::INFO));
        assert!(may("info,quinn=trace", "quinn::connection", Level::TRACE), "as asked for");
        assert!(may("warn,duologue=debug", "duologue::rest", Level::DEBUG));
        assert!(!may("off", "duologue", Level::ERROR) && !may("off", "quinn", Level::ERROR));
        assert!(!may("duologue=debug", "quinn", Level::ERROR), "nothing was said of the rest");
    }

    /// Keeps what is written to it.
    #[derive(Clone, Default)]
    struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_noted_by_its_place_and_not_by_what_it_says() {
        let kept = Kept::default();
        let place = kept.clone();
        let people = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || place.clone());
        let subscriber = tracing_subscriber::registry().with(people);
        note_panics();
        let line = line!() + 1;
        let panics = || panic::catch_unwind(|| panic!("what Ada said"));
        assert!(tracing::subscriber::with_default(subscriber, panics).is_err());
        let noted = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(noted.contains("ERROR") && noted.contains("a_panic_is_noted"), "level and thread: {noted}");
        assert!(noted.contains(&format!("src/logs/mod.rs:{line}")), "{noted}");
        assert!(!noted.contains("Ada"), "{noted}");
    }

    #[test]
    fn addresses_name_a_network_and_not_a_person() {
        let short = |text: &str| truncated(text.parse().unwrap()).to_string();
        assert_eq!(short("203.0.113.77"), "203.0.113.0");
        assert_eq!(short("::ffff:203.0.113.77"), "203.0.113.0");
        assert_eq!(short("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
    }
}
