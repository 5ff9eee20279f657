//! Whether the first bytes are of the declared type.
//!
//! Types that two people send each other all day are told apart here, by at most their first 64
//! bytes; the `infer` crate knows the rest (executables, archives, fonts), by the first 4 KiB. What
//! `infer` takes for known by two bytes alone is not believed of what is plainly text.

use super::Fault;
use super::allowed::Types;
use super::markup::{self, Markup};

/// How many of the first bytes are looked at, at most. No more of a wrong type passes.
pub const HEAD: usize = 4096;

/// So many tell the types of [`signature`].
const EARLY: usize = 64;

/// Names of one and the same type, or of types that the first bytes cannot tell apart. [`signature`]
/// knows these by their first bytes; the first name of each is the one it gives.
const SIGNED: &[&[&str]] = &[
    &["image/png", "image/x-png", "image/apng", "image/vnd.mozilla.apng"],
    &["image/jpeg", "image/jpg", "image/pjpeg"],
    &["image/gif"],
    &["image/webp"],
    &["image/bmp", "image/x-bmp", "image/x-ms-bmp"],
    &["image/heif", "image/heic", "image/heif-sequence", "image/heic-sequence"],
    &["image/avif", "image/avif-sequence"],
    // Chromium calls it WebM when it writes Matroska around what WebM does not allow.
    &["audio/webm", "video/webm", "video/x-matroska", "audio/x-matroska", "video/matroska", "audio/matroska"],
    &["audio/ogg", "video/ogg", "application/ogg", "audio/opus", "audio/x-opus+ogg"],
    &[
        "video/mp4",
        "audio/mp4",
        "application/mp4",
        "audio/m4a",
        "audio/x-m4a",
        "audio/x-m4b",
        "video/x-m4v",
        "video/quicktime",
        "video/3gpp",
        "audio/3gpp",
    ],
    &["audio/mpeg", "audio/mp3", "audio/mpeg3", "audio/x-mp3", "audio/x-mpeg"],
    &["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav"],
    &["audio/aac", "audio/aacp", "audio/x-aac"],
    &["audio/flac", "audio/x-flac"],
    &["video/x-msvideo", "video/avi", "video/msvideo"],
    &["application/pdf", "application/x-pdf"],
    &["application/zip", "application/x-zip-compressed", "application/x-zip"],
];

/// The same for what `infer` knows and [`markup`] finds.
const INFERRED: &[&[&str]] = &[
    &["text/html", "application/xhtml+xml"],
    &["image/svg+xml"],
    &["text/xml", "application/xml"],
    &["application/gzip", "application/x-gzip", "application/x-tgz", "application/x-compressed-tar"],
    &["application/vnd.rar", "application/x-rar", "application/x-rar-compressed"],
    &["application/x-tar", "application/tar"],
    &["application/x-bzip2", "application/x-bzip"],
    &["application/x-xz"],
    &["application/zstd", "application/x-zstd"],
    &["application/x-7z-compressed"],
    &["application/rtf", "text/rtf"],
    &["application/postscript"],
    &["application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/x-ole-storage"],
    &["application/vnd.microsoft.portable-executable", "application/x-msdownload", "application/x-dosexec"],
    &["application/x-executable", "application/x-elf", "application/x-sharedlib"],
    &["application/wasm"],
    &["application/vnd.sqlite3", "application/x-sqlite3"],
    &["audio/midi", "audio/mid", "audio/x-midi"],
    &["audio/aiff", "audio/x-aiff"],
    &["audio/amr"],
    &["image/tiff"],
    &["image/jxl"],
    &["image/vnd.microsoft.icon", "image/x-icon"],
    &["video/mpeg"],
    &["video/x-flv"],
    &["video/x-ms-wmv", "video/x-ms-asf"],
    &["application/font-woff", "font/woff", "font/woff2"],
    &["application/font-sfnt", "font/ttf", "font/otf", "font/sfnt"],
];

/// Documents that are a ZIP inside; the first bytes do not always tell which.
const ZIPPED: &[&str] = &[
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/epub+zip",
    "application/java-archive",
    "application/vnd.android.package-archive",
];

const ZIP: &str = "application/zip";

/// The first bytes of one file, until they are judged.
#[derive(Debug)]
pub(super) struct Sniff {
    declared: String,
    types: Types,
    head: Vec<u8>,
    judged: bool,
}

impl Sniff {
    /// A judge of what is declared as this essence, in lower case.
    pub(super) fn new(declared: String, types: Types) -> Self {
        Self { declared, types, head: Vec::new(), judged: false }
    }

    /// Takes what it needs; yields the rest.
    pub(super) fn feed<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (mine, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(mine);
        let signed = family(SIGNED, &self.declared).filter(|family| family[0] != ZIP);
        match signed {
            Some(family) if self.head.len() >= EARLY => self.judge_signed(family)?,
            None if self.head.len() == HEAD => self.judge_all()?,
            _ => {}
        }
        Ok(rest)
    }

    /// There is no more.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        match family(SIGNED, &self.declared).filter(|family| family[0] != ZIP) {
            Some(family) => self.judge_signed(family),
            None => self.judge_all(),
        }
    }

    /// Whether the bytes so far are enough, and right.
    pub(super) fn judged(&self) -> bool {
        self.judged
    }

    /// What was taken.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    fn judge_signed(&mut self, family: &[&str]) -> Result<(), Fault> {
        self.judged = true;
        if signature(&self.head) == Some(family[0]) { Ok(()) } else { Err(Fault::TypeMismatch) }
    }

    fn judge_all(&mut self) -> Result<(), Fault> {
        self.judged = true;
        let declared = self.declared.as_str();
        let markup = markup::find(&self.head);
        let found = found(&self.head, markup);
        if declared == "application/octet-stream" {
            let passes = |found| aliases(found).iter().any(|it| self.types.allows(it));
            let fits = found.is_none_or(|it| passes(it) || ZIPPED.contains(&it) && passes(ZIP));
            return if fits { Ok(()) } else { Err(Fault::TypeNotAllowed) };
        }
        let fits = match found {
            Some(_) if declared == "text/markdown" && markup == Some(Markup::Fragment) => true,
            Some(found) => suits(declared, found),
            None if is_text(declared) => !is_binary(&self.head),
            None => !has_magic(declared),
        };
        if fits { Ok(()) } else { Err(Fault::TypeMismatch) }
    }
}

/// What the first bytes are, by the first of its names; `None` when they could be anything.
fn found(head: &[u8], markup: Option<Markup>) -> Option<&'static str> {
    // Of all that has a signature, only PDF is also text.
    let signed = signature(head).filter(|it| *it == "application/pdf" || is_binary(head));
    let inside = |zip| inferred(head).filter(|it| ZIPPED.contains(it)).unwrap_or(zip);
    signed.map(|it| if it == ZIP { inside(it) } else { it }).or_else(|| markup.map(name)).or_else(|| inferred(head))
}

/// The type that the first 64 bytes show, by its first name in [`SIGNED`].
fn signature(head: &[u8]) -> Option<&'static str> {
    let head = &head[..head.len().min(EARLY)];
    let at = |from: usize, bytes: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(bytes));
    let holds = |bytes: &[u8]| head.windows(bytes.len()).any(|window| window == bytes);
    let mpeg = match head {
        [0xff, second, ..] => second & 0xe6 == 0xe2,
        _ => at(0, b"ID3"),
    };
    Some(match head {
        _ if at(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => "image/gif",
        _ if at(0, b"RIFF") && at(8, b"WEBP") => "image/webp",
        _ if at(0, b"RIFF") && at(8, b"WAVE") => "audio/wav",
        _ if at(0, b"RIFF") && at(8, b"AVI ") => "video/x-msvideo",
        // The size of the header after it: one of those that were ever written.
        [b'B', b'M', ..] if matches!(head.get(14..18), Some([12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])) => {
            "image/bmp"
        }
        [0x1a, 0x45, 0xdf, 0xa3, ..] if holds(b"webm") || holds(b"matroska") => "audio/webm",
        _ if at(0, b"OggS") => "audio/ogg",
        _ if at(4, b"ftyp") => brand(head),
        // QuickTime from before there were brands.
        [0, ..] if [b"moov", b"mdat", b"wide", b"free", b"skip"].iter().any(|it| at(4, *it)) => "video/mp4",
        _ if at(0, b"fLaC") => "audio/flac",
        [0xff, 0xf1 | 0xf9, ..] => "audio/aac",
        _ if mpeg => "audio/mpeg",
        _ if at(0, b"%PDF-") => "application/pdf",
        _ if at(0, b"PK\x03\x04") || at(0, b"PK\x05\x06") => ZIP,
        _ => return None,
    })
}

/// ISO base media by its brands (ISO/IEC 14496-12 section 4.3): pictures name themselves in the
/// major one or, under a general one, among the compatible ones.
fn brand(head: &[u8]) -> &'static str {
    let brands = || head.chunks_exact(4).skip(2).enumerate().filter(|(index, _)| *index != 1).map(|(_, it)| it);
    let general = matches!(brands().next(), Some(b"mif1" | b"msf1"));
    let end = head.first_chunk().map_or(0, |size| u32::from_be_bytes(*size) as usize / 4).saturating_sub(3);
    for brand in brands().take(if general { end } else { 1 }) {
        match brand {
            b"avif" | b"avis" => return "image/avif",
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => return "image/heif",
            _ => {}
        }
    }
    if general { "image/heif" } else { "video/mp4" }
}

/// What `infer` makes of it, but for what [`signature`] knows better or two bytes cannot show.
fn inferred(head: &[u8]) -> Option<&'static str> {
    let found = infer::get(head)?;
    let believed = match found.extension() {
        "sh" | "rtf" | "ps" | "pem" => true,
        "der" | "obj" => false,
        "bc" => head.starts_with(b"BC\xc0\xde"),
        _ => is_binary(head) && family(SIGNED, found.mime_type()).is_none_or(|family| family[0] == ZIP),
    };
    let ours = |name: &str| matches!(name, "text/html" | "text/xml");
    (believed && !ours(found.mime_type())).then(|| found.mime_type())
}

fn name(markup: Markup) -> &'static str {
    match markup {
        Markup::Html | Markup::Fragment => "text/html",
        Markup::Xml => "text/xml",
        Markup::Svg => "image/svg+xml",
    }
}

/// Whether something declared so may turn out as what was found.
fn suits(declared: &str, found: &str) -> bool {
    if aliases(found).contains(&declared) {
        return true;
    }
    let general = declared.starts_with("application/") && !has_magic(declared) && !is_text(declared);
    match found {
        // Many a format is a ZIP, or a compound document of Microsoft, under a name of its own.
        ZIP => ZIPPED.contains(&declared) || general || declared.ends_with("+zip"),
        "application/msword" => general && declared.contains("ms-"),
        found if ZIPPED.contains(&found) => aliases(ZIP).contains(&declared),
        "text/html" => declared == "application/xhtml+xml",
        "text/xml" => declared.ends_with("+xml"),
        // Scripts and keys are text as well.
        "text/x-shellscript" | "application/x-x509-ca-cert" => is_text(declared),
        _ => false,
    }
}

fn family(families: &'static [&'static [&'static str]], mime: &str) -> Option<&'static [&'static str]> {
    families.iter().find(|family| family.contains(&mime)).copied()
}

/// All names of what was found; no name is in two families.
fn aliases(found: &str) -> Vec<&str> {
    let known = family(SIGNED, found).or_else(|| family(INFERRED, found));
    known.map_or_else(|| vec![found], <[&str]>::to_vec)
}

/// Whether files of this type are always known by their first bytes.
fn has_magic(declared: &str) -> bool {
    let known = family(SIGNED, declared).or_else(|| family(INFERRED, declared));
    ZIPPED.contains(&declared) || known.is_some_and(|family| !is_text(family[0]) && family[0] != "image/svg+xml")
}

fn is_text(declared: &str) -> bool {
    const TEXTS: &[&str] = &["json", "xml", "javascript", "ecmascript", "x-ndjson", "yaml", "toml", "sql", "x-sh"];
    let Some((class, rest)) = declared.split_once('/') else { return false };
    class == "text"
        || rest.ends_with("+json")
        || rest.ends_with("+xml")
        || (class == "application" && TEXTS.contains(&rest))
}

/// Whether there are bytes that no text has; wide characters count as text behind their mark.
fn is_binary(head: &[u8]) -> bool {
    let wide = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    !wide && head.iter().any(|&b| matches!(b, 0..=8 | 14..=26 | 28..=31 | 127))
}
