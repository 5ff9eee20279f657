//! A file that begins anew when it is full: `combined.log` is always the newest, `combined.log.1` the
//! one before, and so on.
//!
//! The names stay, so that `tail -F combined.log` goes on. Only the thread behind a log's queue is here.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing_appender::non_blocking::ErrorCounter;

/// Where lines are written.
pub(super) trait Place: Write + Send + 'static {}
impl<W: Write + Send + 'static> Place for W {}

/// A file of a bounded size, and those before it. Each `write` is one line.
pub(super) struct Rotated {
    path: PathBuf,
    file: File,
    size: u64,
    most: u64,
    keep: u32,
}

impl Rotated {
    /// Goes on with the file of this name, or begins it and its folder.
    ///
    /// # Errors
    /// It cannot be opened for writing.
    pub(super) fn open(path: &Path, most: u64, keep: u32) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append_to(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, most, keep })
    }

    /// `combined.log.3`
    fn older(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }

    /// `combined.log.new`: what the next file is called until it has its place.
    fn next(&self) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(".new");
        name.into()
    }

    /// Begins anew. What may fail for want of space or of descriptors, the new file, comes first: until it
    /// is there, nothing is moved, and nothing is lost.
    fn rotate(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            return self.file.set_len(0);
        }
        let next = self.next();
        let file = append_to(&next)?;
        self.shift(&next).inspect_err(|_| {
            let _ = fs::remove_file(&next);
        })?;
        self.file = file;
        Ok(())
    }

    /// Each file one number up, and the new one in the place of the newest.
    fn shift(&self, next: &Path) -> io::Result<()> {
        // Up to the first number that is free: if a rotation was broken off, its gap is filled, and the
        // oldest stays.
        let free = (1..self.keep).find(|number| !self.older(*number).exists()).unwrap_or(self.keep);
        for number in (1..free).rev() {
            replace(&self.older(number), &self.older(number + 1))?;
        }
        replace(&self.path, &self.older(1))?;
        fs::rename(next, &self.path).inspect_err(|_| {
            // What is written on goes to the file of the name that people watch.
            let _ = replace(&self.older(1), &self.path);
        })
    }
}

impl Write for Rotated {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        // A line that is larger than a file may be has one to itself. Where rotation fails (a folder
        // that was made read-only, no descriptor left), the old file grows: lines are worth more than the
        // bound. The count begins anew all the same, so that the next try comes after as many bytes again.
        if self.size > 0 && self.size + length > self.most {
            let _ = self.rotate();
            self.size = 0;
        }
        self.file.write_all(line)?;
        self.size += length;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Whether a file could be written, or begun where there is none; nothing is left behind.
///
/// # Errors
/// It could not.
pub(super) fn try_out(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map(drop),
    }
    // The nearest folder that is there is where the file, or the first folder on the way, would be made.
    let folder = path.ancestors().skip(1).find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let probe = folder.join(format!(".duologue-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // Who is here when is nobody's business but the operator's.
        options.mode(0o640);
    }
    options.open(path)
}

fn replace(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A place that also tells how many lines before this one were dropped.
pub(super) struct Told<W> {
    place: W,
    line: fn(usize) -> String,
    dropped: Arc<OnceLock<ErrorCounter>>,
    told: usize,
}

impl<W: Place> Told<W> {
    pub(super) fn new(place: W, line: fn(usize) -> String) -> Self {
        Self { place, line, dropped: Arc::default(), told: 0 }
    }

    /// Where the counter belongs, once there is one.
    pub(super) fn dropped(&mut self) -> Arc<OnceLock<ErrorCounter>> {
        Arc::clone(&self.dropped)
    }

    /// For people.
    pub(super) fn plainly(count: usize) -> String {
        format!("{} WARN duologue::logs: {SENTENCE} count={count}\n", now())
    }

    /// For programs, in the shape of the other lines.
    pub(super) fn as_json(count: usize) -> String {
        let (now, fields) = (now(), serde_json::json!({ "message": SENTENCE, "count": count }));
        let line =
            serde_json::json!({ "timestamp": now, "level": "WARN", "fields": fields, "target": "duologue::logs" });
        format!("{line}\n")
    }
}

const SENTENCE: &str = "lines were dropped here: more were logged than could be written";

impl<W: Place> Write for Told<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped > self.told {
            self.place.write_all((self.line)(dropped - self.told).as_bytes())?;
            self.told = dropped;
        }
        self.place.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.place.flush()
    }
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    #[test]
    fn the_newest_keeps_its_name_and_only_so_many_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/combined.log");
        let read = |name: &str| fs::read_to_string(folder.path().join("deep").join(name)).ok();
        let mut log = Rotated::open(&path, 12, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "a line that is longer than a file\n", "six\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(read("combined.log").as_deref(), Some("six\n"));
        assert_eq!(read("combined.log.1").as_deref(), Some("a line that is longer than a file\n"));
        assert_eq!(read("combined.log.2").as_deref(), Some("five\n"));
        assert_eq!(read("combined.log.3"), None);
        // A new process goes on where the last one was.
        let mut log = Rotated::open(&path, 12, 2).unwrap();
        log.write_all(b"seven\n").unwrap();
        assert_eq!(read("combined.log").as_deref(), Some("six\nseven\n"));
        log.write_all(b"eight\n").unwrap();
        assert_eq!(
            (read("combined.log").as_deref(), read("combined.log.1").as_deref()),
            (Some("eight\n"), Some("six\nseven\n"))
        );
    }

    #[test]
    fn a_new_file_that_cannot_be_made_loses_nothing_and_is_tried_again_a_file_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("combined.log");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        let mut log = Rotated::open(&path, 8, 2).unwrap();
        let mut write = |lines: &[&str]| lines.iter().for_each(|line| log.write_all(line.as_bytes()).unwrap());
        write(&["1st\n", "2nd\n", "3rd\n", "4th\n", "5th\n"]);
        fs::create_dir(folder.path().join("combined.log.new")).unwrap();
        write(&["6th\n", "7th\n", "8th\n", "9th\n"]);
        let older = || (read("combined.log.1").unwrap(), read("combined.log.2").unwrap());
        assert_eq!(read("combined.log").as_deref(), Some("5th\n6th\n7th\n8th\n9th\n"));
        assert_eq!(older(), ("3rd\n4th\n".into(), "1st\n2nd\n".into()));
        fs::remove_dir(folder.path().join("combined.log.new")).unwrap();
        // Two since the last try that failed fill a file; the next one begins anew.
        write(&["ten\n"]);
        assert_eq!(read("combined.log").as_deref(), Some("5th\n6th\n7th\n8th\n9th\nten\n"));
        write(&["new\n"]);
        assert_eq!(read("combined.log").as_deref(), Some("new\n"));
        assert_eq!(older(), ("5th\n6th\n7th\n8th\n9th\nten\n".into(), "3rd\n4th\n".into()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_gap_that_a_broken_rotation_left_is_filled_and_the_oldest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("combined.log");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("combined.log.2"), "oldest\n").unwrap();
        let mut log = Rotated::open(&path, 4, 2).unwrap();
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(at("combined.log.2")).unwrap(), "oldest\n");
        assert_eq!(fs::read_to_string(at("combined.log.1")).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn without_older_ones_it_begins_anew_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("error.log");
        let mut log = Rotated::open(&path, 8, 0).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// A place that takes nothing until it is told to, and shows what it took.
    struct Gate(Receiver<()>, Sender<String>);

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (open, gate) = channel();
        let (takes, taken) = channel();
        let (mut lines, guard) = super::super::queue(Told::new(Gate(gate, takes), Told::<Gate>::as_json));
        let most = super::super::QUEUE;
        for number in 0..2 * most {
            lines.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let dropped = lines.error_counter().dropped_lines();
        assert!((most - 1..=most).contains(&dropped), "{dropped}");
        drop(open);
        drop(lines);
        drop(guard);
        let taken: Vec<String> = taken.iter().collect();
        let notices = taken.iter().filter(|line| line.contains("dropped"));
        let notices: Vec<serde_json::Value> = notices.map(|notice| serde_json::from_str(notice).unwrap()).collect();
        assert_eq!(taken.len(), 2 * most - dropped + notices.len(), "all but the dropped, and the notices");
        // One, unless the writer began in the middle.
        let told: u64 = notices.iter().map(|notice| notice["fields"]["count"].as_u64().unwrap()).sum();
        assert_eq!(told, dropped as u64);
        assert!(notices.iter().all(|notice| notice["level"] == "WARN"));
    }
}
