//! The list of types that may pass, and what is known of a type by its name.

use std::sync::Arc;

/// What passes when nothing else is said: pictures, sound, film, documents and plain text; nothing
/// that a browser would run.
pub const DEFAULT_TYPES: &[&str] = &[
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/heic",
    "image/heif",
    "image/bmp",
    "audio/*",
    "video/mp4",
    "video/webm",
    "video/quicktime",
    "video/ogg",
    "application/pdf",
    "application/zip",
    "text/plain",
    "text/csv",
    "text/markdown",
    "application/json",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/octet-stream",
];

/// Types that a browser shows inside a page and that cannot run anything there.
const INLINE: &[&str] = &[
    "image/png",
    "image/jpeg",
    "image/jpg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "audio/aac",
    "audio/flac",
    "audio/m4a",
    "audio/mp3",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/opus",
    "audio/vnd.wave",
    "audio/wav",
    "audio/wave",
    "audio/webm",
    "audio/x-flac",
    "audio/x-m4a",
    "audio/x-wav",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// Which declared types may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Types(Arc<[String]>);

impl Types {
    /// Reads a list of entries such as `image/png` and `audio/*`. Case does not matter.
    ///
    /// # Errors
    /// The first entry that is neither.
    pub fn parse(list: &[String]) -> Result<Self, String> {
        list.iter()
            .map(|entry| {
                let clean = entry.trim().to_ascii_lowercase();
                let sense = clean
                    .split_once('/')
                    .is_some_and(|(class, rest)| is_token(class) && (rest == "*" || is_token(rest)));
                if sense { Ok(clean) } else { Err(entry.clone()) }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the list has this type. Case and parameters do not matter.
    pub fn allows(&self, mime: &str) -> bool {
        let essence = essence(mime).to_ascii_lowercase();
        let Some((class, rest)) = essence.split_once('/') else { return false };
        is_token(class)
            && is_token(rest)
            && self.0.iter().any(|entry| match entry.strip_suffix("/*") {
                Some(whole) => whole == class,
                None => *entry == essence,
            })
    }
}

impl Default for Types {
    fn default() -> Self {
        Self(DEFAULT_TYPES.iter().map(|&it| it.to_owned()).collect())
    }
}

/// A type without its parameters: `audio/webm` of `audio/webm; codecs=opus`.
pub fn essence(mime: &str) -> &str {
    mime.split(';').next().unwrap_or(mime).trim()
}

/// Whether a browser may show it inside a page: raster images, and the sound and film that browsers
/// play. Never what could run a script, such as SVG.
pub fn shown_inline(mime: &str) -> bool {
    let essence = essence(mime);
    INLINE.iter().any(|it| it.eq_ignore_ascii_case(essence))
}

/// Names as RFC 6838 section 4.2 allows them.
fn is_token(text: &str) -> bool {
    let first = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    first && text.len() <= 127 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(list: &[&str]) -> Result<Types, String> {
        Types::parse(&list.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_list_knows_types_and_whole_classes() {
        let types = types(&["Image/PNG", " audio/* "]).unwrap();
        for good in ["image/png", "IMAGE/png", "audio/webm;codecs=opus", "audio/x-anything", " image/png ; a=b"] {
            assert!(types.allows(good), "{good}");
        }
        for bad in ["image/jpeg", "image/*", "audio/*", "audio/", "audio", "", "audio/webm/x", "text/plain;audio/x"] {
            assert!(!types.allows(bad), "{bad}");
        }
    }

    #[test]
    fn entries_that_make_no_sense_are_named() {
        for bad in ["", "image", "image/", "/png", "*/*", "image/*x", "image/png;q=1", "image/p ng"] {
            assert_eq!(types(&["image/png", bad]), Err(bad.to_owned()));
        }
    }

    #[test]
    fn the_default_list_parses_and_holds_nothing_that_runs() {
        assert_eq!(types(DEFAULT_TYPES), Ok(Types::default()));
        for bad in ["text/html", "image/svg+xml", "text/xml", "text/javascript", "application/xhtml+xml"] {
            assert!(!Types::default().allows(bad), "{bad}");
            assert!(!shown_inline(bad), "{bad}");
        }
        assert!(shown_inline("Image/PNG") && shown_inline("audio/webm; codecs=opus"));
        assert!(!shown_inline("application/pdf") && !shown_inline("text/plain"));
    }

    #[test]
    fn the_essence_has_no_parameters() {
        assert_eq!(essence("audio/webm; codecs=opus"), "audio/webm");
        assert_eq!(essence(" text/plain"), "text/plain");
        assert_eq!(essence(""), "");
    }
}
