//! Whether a text is markup that a browser would run: more eager than the sniffing of browsers
//! (WHATWG MIME Sniffing section 7), so that nothing they take for a page passes as plain text.

/// Markup, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Markup {
    /// A page, or a script in one.
    Html,
    /// A comment or a tag that also begins many an honest Markdown text.
    Fragment,
    /// XML of any kind but the next.
    Xml,
    /// A picture that can hold scripts.
    Svg,
}

/// Tags that only pages begin with.
const PAGE: &[&str] = &[
    "html", "head", "body", "script", "iframe", "style", "title", "meta", "link", "base", "frameset", "object",
    "embed", "form", "template", "math",
];

/// Tags that sniffing browsers know, and texts begin with as well.
const FRAGMENT: &[&str] = &[
    "a", "b", "br", "center", "details", "div", "font", "h1", "h2", "h3", "img", "p", "picture", "span", "table",
    "video", "audio", "input", "button",
];

/// What the text begins with, after white space, byte order marks and comments.
pub(super) fn find(head: &[u8]) -> Option<Markup> {
    let folded = fold(head);
    let Prolog { rest, xml, comment } = skip_prolog(&folded);
    let tag = rest.strip_prefix('<').unwrap_or_default();
    let begins = |name: &&str| {
        let after = tag.strip_prefix(*name)?.bytes().next();
        // At the end of what is seen, the tag may go on; better one refusal too many.
        Some(after.is_none_or(|b| b.is_ascii_whitespace() || b == b'>' || b == b'/'))
    };
    let any = |names: &[&str]| names.iter().any(|name| begins(name) == Some(true));
    if any(&["svg"]) || tag.starts_with("svg:") || tag.starts_with("!doctype svg") {
        Some(Markup::Svg)
    } else if any(PAGE) || tag.starts_with("!doctype html") {
        Some(Markup::Html)
    } else if xml || tag.starts_with("!doctype") {
        Some(Markup::Xml)
    } else {
        (comment || any(FRAGMENT)).then_some(Markup::Fragment)
    }
}

/// The text in lower case; of UTF-16 only its ASCII, which is all that markup needs.
fn fold(head: &[u8]) -> String {
    let wide = |low: usize| {
        let kept = head.chunks_exact(2).skip(1).filter(|pair| pair[1 - low] == 0);
        kept.map(|pair| pair[low].to_ascii_lowercase() as char).collect()
    };
    match head {
        [0xff, 0xfe, ..] => wide(0),
        [0xfe, 0xff, ..] => wide(1),
        _ => {
            let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
            text.iter().map(|b| b.to_ascii_lowercase() as char).collect()
        }
    }
}

/// What stands before the first tag.
struct Prolog<'a> {
    /// All after it.
    rest: &'a str,
    /// Whether it declares XML.
    xml: bool,
    /// Whether there are comments; one without an end is left in `rest`.
    comment: bool,
}

/// Skips white space and comments and, in XML, whatever may stand before the root.
fn skip_prolog(text: &str) -> Prolog<'_> {
    let mut it = Prolog { rest: text, xml: false, comment: false };
    loop {
        it.rest = it.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\0' || c == '\u{b}');
        let told = ["<!doctype html", "<!doctype svg"].iter().any(|root| it.rest.starts_with(root));
        let end = if it.rest.starts_with("<!--") {
            it.comment = true;
            "-->"
        } else if it.rest.starts_with("<?") {
            it.xml |= it.rest.starts_with("<?xml");
            "?>"
        } else if it.xml && it.rest.starts_with("<!doctype") && !told {
            ">"
        } else {
            return it;
        };
        let Some(at) = it.rest.find(end) else { return it };
        it.rest = &it.rest[at + end.len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_found_behind_anything() {
        let wide: Vec<u8> = "\u{feff}  <Script>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let wide_be: Vec<u8> = "\u{feff}<svg/>".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (text, found) in [
            (&b"<!DOCTYPE html>"[..], Some(Markup::Html)),
            (b"\n\t <HtMl>", Some(Markup::Html)),
            (b"\xef\xbb\xbf<!-- a --> <!-- b --><body onload=x>", Some(Markup::Html)),
            (b"\x00\x0b<iframe", Some(Markup::Html)),
            (b"<script>alert(1)", Some(Markup::Html)),
            (b"<script/src=x>", Some(Markup::Html)),
            (&wide, Some(Markup::Html)),
            (&wide_be, Some(Markup::Svg)),
            (b"<SVG onload=x>", Some(Markup::Svg)),
            (b"<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE svg PUBLIC 'x'><svg>", Some(Markup::Svg)),
            (b"<?xml version='1.0'?><svg:svg xmlns:svg='x'>", Some(Markup::Svg)),
            (b"<?xml version='1.0'?><html>", Some(Markup::Html)),
            (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x'>", Some(Markup::Html)),
            (b"<?xml version='1.0'?><rss>", Some(Markup::Xml)),
            (b"<?xml version='1.0'?>", Some(Markup::Xml)),
            (b"<h1 align=center>Title</h1>", Some(Markup::Fragment)),
            (b"<alice> hello", None),
            (b"<htmlx>", None),
            (b"a <script>", None),
            (b"<- look here", None),
            (b"<!-- note -->\n# Title", Some(Markup::Fragment)),
            (b"<!-- never closed <html>", Some(Markup::Fragment)),
            (b"# <html>", None),
            (b"", None),
        ] {
            assert_eq!(find(text), found, "{}", String::from_utf8_lossy(text));
        }
    }
}
