//! Files of this machine: read to be sent, written when they have come. What others call a file never
//! decides where it goes.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::files::size;
use crate::client::File;
use crate::protocol::FileKind;

/// Longest name of a saved file in bytes: most file systems stop at 255, and a number may be added.
const LONGEST: usize = 240;
/// Names that are tried before it is given up.
const TRIES: u32 = 1_000;
/// What is not known by its ending.
const UNKNOWN: &str = "application/octet-stream";

/// Media types by the endings of names.
const TYPES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("bmp", "image/bmp"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("weba", "audio/webm"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("ogv", "video/ogg"),
    ("webm", "video/webm"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("txt", "text/plain"),
    ("log", "text/plain"),
    ("csv", "text/csv"),
    ("md", "text/markdown"),
    ("json", "application/json"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
];

/// What a voice note may be: an ending, and what its sound is called.
const VOICES: &[(&str, &str)] = &[
    ("webm", "audio/webm"),
    ("weba", "audio/webm"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("mp4", "audio/mp4"),
    ("m4a", "audio/mp4"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
];

/// Reads what is to be sent, at most `limit` bytes. The error is a sentence.
pub(super) fn read(path: &Path, kind: FileKind, limit: u64) -> Result<File, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mime = match kind {
        FileKind::File => media_type(TYPES, &name).unwrap_or(UNKNOWN),
        FileKind::Voice => media_type(VOICES, &name).ok_or_else(|| {
            format!("{name} is no voice note. Those are .webm, .ogg, .opus, .m4a, .mp3 or .wav; /send sends any file.")
        })?,
    };
    let shown = path.display();
    let wrong = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("There is no file {shown}."),
        io::ErrorKind::PermissionDenied => format!("{shown} may not be read."),
        _ => format!("{shown} cannot be read: {error}."),
    };
    // Looked at before it is opened: opening a pipe would wait for whoever writes it.
    if !fs::metadata(path).map_err(wrong)?.is_file() {
        return Err(format!("{shown} is no file."));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(wrong)?.take(limit + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.is_empty() {
        return Err(format!("{name} is empty: there is nothing to send."));
    }
    if bytes.len() as u64 > limit {
        return Err(format!("{name} is too large: a file has at most {} here.", size(limit)));
    }
    Ok(File { kind, ..File::new(&name, mime, bytes) })
}

/// Where something is saved that is called `name`: in `place` if that is a folder, else as `place`.
/// The error is a sentence.
pub(super) fn aim(place: Option<&Path>, name: &str) -> Result<PathBuf, String> {
    let place = place.unwrap_or(Path::new("."));
    if place.is_dir() {
        return Ok(place.join(safe(name)));
    }
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if place.file_name().is_none() || place.to_string_lossy().ends_with('/') || !folder.is_dir() {
        return Err(format!("There is no folder {}.", if folder.is_dir() { place } else { folder }.display()));
    }
    Ok(place.to_owned())
}

/// Saves these bytes there, or beside it under a name with a number: nothing is ever overwritten.
/// Yields where. The error is a sentence.
pub(super) fn save(place: &Path, bytes: &[u8]) -> Result<PathBuf, String> {
    let wrong = |place: &Path, error: &io::Error| format!("{} cannot be written: {error}.", place.display());
    for number in 0..TRIES {
        let place = numbered(place, number);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&place) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(wrong(&place, &error)),
        };
        if let Err(error) = file.write_all(bytes) {
            // Half a file helps nobody. That it was not whole is what is said.
            let _ = fs::remove_file(&place);
            return Err(wrong(&place, &error));
        }
        return Ok(place);
    }
    Err(format!("There are too many files like {} already.", place.display()))
}

fn numbered(place: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return place.to_owned();
    }
    let part = |part: Option<&std::ffi::OsStr>| part.map(|it| it.to_string_lossy().into_owned());
    let stem = part(place.file_stem()).unwrap_or_default();
    let ending = part(place.extension()).map_or(String::new(), |ending| format!(".{ending}"));
    place.with_file_name(format!("{stem}-{number}{ending}"))
}

/// What another person called a file, as a name in a folder: no path, nothing hidden, not too long. The
/// server has cleaned it; this does not rely on it.
fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|c| !c.is_control()).collect();
    let name = shown.trim_start_matches(['.', ' ', '-']).trim_end_matches(['.', ' ']);
    if name.is_empty() {
        return "file".to_owned();
    }
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if ending.len() <= 16 => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    let mut most = (LONGEST - ending.len()).min(stem.len());
    while !stem.is_char_boundary(most) {
        most -= 1;
    }
    format!("{}{ending}", &stem[..most])
}

fn media_type(types: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
    types.iter().find(|(known, _)| *known == ending).map(|(_, mime)| *mime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_known_by_its_ending_and_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("Board.PNG"), b"png").unwrap();
        fs::write(at("notes"), b"words").unwrap();
        fs::write(at("hello.webm"), b"sound").unwrap();
        fs::write(at("empty.txt"), b"").unwrap();
        let sent = read(&at("Board.PNG"), FileKind::File, 3).unwrap();
        assert_eq!((sent.name.as_str(), sent.mime.as_str(), &sent.bytes[..]), ("Board.PNG", "image/png", &b"png"[..]));
        assert_eq!(read(&at("notes"), FileKind::File, 9).unwrap().mime, UNKNOWN);
        assert_eq!(read(&at("hello.webm"), FileKind::File, 9).unwrap().mime, "video/webm");
        let voice = read(&at("hello.webm"), FileKind::Voice, 9).unwrap();
        assert_eq!((voice.kind, voice.mime.as_str()), (FileKind::Voice, "audio/webm"));
        for (name, kind, words) in [
            ("nothing.txt", FileKind::File, "There is no file"),
            ("", FileKind::File, "is no file"),
            ("empty.txt", FileKind::File, "empty.txt is empty"),
            ("notes", FileKind::File, "at most 4 bytes"),
            ("notes", FileKind::Voice, "is no voice note"),
        ] {
            let error = read(&at(name), kind, 4).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn no_name_leads_out_of_its_folder_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.txt", "../a.txt", "/etc/a.txt", "..\\..\\a.txt", ".a.txt", "\u{7}a.txt"] {
            assert_eq!(aim(Some(folder.path()), name).unwrap(), folder.path().join("a.txt"), "{name}");
        }
        for name in ["", "..", "/", "..."] {
            assert_eq!(aim(Some(folder.path()), name).unwrap(), folder.path().join("file"), "{name}");
        }
        assert!(safe(&format!("{}.jpeg", "證".repeat(128))).len() <= LONGEST);
        assert!(safe(&"證".repeat(128)).len() <= LONGEST);
        assert!(aim(Some(&folder.path().join("no/where")), "a").unwrap_err().contains("There is no folder"));
        assert!(aim(Some(&folder.path().join("nowhere/")), "a").unwrap_err().contains("There is no folder"));
        let place = aim(Some(&folder.path().join("mine.txt")), "theirs.txt").unwrap();
        for (number, name) in ["mine.txt", "mine-1.txt", "mine-2.txt"].iter().enumerate() {
            let saved = save(&place, &[u8::try_from(number).unwrap()]).unwrap();
            assert_eq!(saved, folder.path().join(name));
            assert_eq!(fs::read(saved).unwrap(), [u8::try_from(number).unwrap()]);
        }
        // A link in the way is not followed.
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), folder.path().join("link")).unwrap();
        assert_eq!(save(&folder.path().join("link"), b"x").unwrap(), folder.path().join("link-1"));
    }
}
