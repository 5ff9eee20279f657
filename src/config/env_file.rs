//! `.env`, as Node's dotenv reads it, so that a file which started the original API starts this one.
//!
//! Owns: what is an assignment and what is its value. Must not know: which names mean anything. Pure: a
//! text in, assignments out.
//!
//! The rules: `NAME=value` or `NAME: value`, perhaps after `export`. A value in `'`, `"` or `` ` `` may span
//! lines; in `"` the two characters `\n` are a line feed and `\r` a carriage return, and no other escape
//! means anything. A value without quotes ends at `#` or with its line. `$NAME` stays as it is. A quote
//! that is not closed, or is closed before the value ends, is part of the value.

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EnvFile {
    /// Names and values in the file's order; a name may come twice.
    pub(super) variables: Vec<(String, String)>,
    /// Lines that are neither empty, nor a comment, nor an assignment.
    pub(super) others: Vec<Other>,
}

/// A line that is no assignment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Other {
    /// Its number, from 1.
    pub(super) line: usize,
    /// The name that it begins with, or nothing. The rest may be a secret, and is not kept.
    pub(super) name: String,
}

/// Reads the bytes of a file; what is no UTF-8 in them becomes U+FFFD, as in Node.
pub(super) fn read(bytes: &[u8]) -> EnvFile {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut file = EnvFile::default();
    let mut line = 1;
    while !rest.is_empty() {
        let first = &rest[..end_of_line(rest)];
        let mut taken = first.len();
        let start = first.trim_start();
        if !start.is_empty() && !start.starts_with('#') {
            match assignment(start) {
                Ok((name, offset)) => {
                    let from = first.len() - start.len() + offset;
                    let (value, length) = value(&rest[from..]);
                    taken = from + length;
                    file.variables.push((name.to_owned(), value));
                }
                Err(name) => file.others.push(Other { line, name: name.to_owned() }),
            }
        }
        line += rest[..taken].matches('\n').count() + 1;
        rest = rest[taken..].strip_prefix('\n').unwrap_or_default();
    }
    file
}

fn end_of_line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// The name that a line gives a value to, and where what follows `=` begins; or the line's first word,
/// where it gives none.
fn assignment(line: &str) -> Result<(&str, usize), &str> {
    let exported = line.strip_prefix("export").filter(|rest| rest.starts_with(char::is_whitespace));
    // `export = 1` is an assignment to that name.
    exported.map(str::trim_start).and_then(|rest| named(rest).ok()).map_or_else(
        || named(line).map(|(name, value)| (name, line.len() - value.len())),
        |(name, value)| Ok((name, line.len() - value.len())),
    )
}

/// A line's name, and what follows `=`.
fn named(line: &str) -> Result<(&str, &str), &str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let (name, rest) = line.split_at(line.find(|c| !plain(c)).unwrap_or(line.len()));
    let colon = || rest.strip_prefix(':').filter(|value| value.starts_with(char::is_whitespace));
    match rest.trim_start().strip_prefix('=').or_else(colon) {
        Some(value) if !name.is_empty() => Ok((name, value)),
        Some(_) | None => Err(name),
    }
}

/// The value at the start of `text`, and how much of `text` it takes, to the end of its last line.
fn value(text: &str) -> (String, usize) {
    let line = &text[..end_of_line(text)];
    let begins = line.len() - line.trim_start().len();
    let quote = line[begins..].chars().next().filter(|c| "'\"`".contains(*c));
    if let Some(quote) = quote
        && let Some(closing) = closing(&text[begins..], quote)
    {
        let inside = &text[begins + 1..begins + closing];
        let after = begins + closing + 1;
        return (unescaped(inside, quote), after + end_of_line(&text[after..]));
    }
    let bare = line.split('#').next().unwrap_or_default().trim();
    // Closed at the end, with more quotes between: the outer ones are not meant.
    let inside = quote.and_then(|quote| bare.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(bare);
    (unescaped(inside, quote.unwrap_or('\'')), line.len())
}

/// Where the quote that `text` begins with is closed, so that nothing but a comment follows in its line.
/// A backslash before a quote keeps it open, unless it is closed nowhere else.
fn closing(text: &str, quote: char) -> Option<usize> {
    let alone = |at: &usize| {
        let after = text[at + 1..].trim_start_matches([' ', '\t']);
        after.is_empty() || after.starts_with(['\n', '#'])
    };
    let mut escaped = Vec::new();
    let mut open = None;
    for (at, _) in text.match_indices(quote).skip(1) {
        if text[1..at].ends_with('\\') {
            escaped.push(at);
        } else {
            open = Some(at);
            break;
        }
    }
    open.into_iter().chain(escaped.into_iter().rev()).find(alone)
}

/// What stands in a kind of quotes, as it is meant.
fn unescaped(inside: &str, quote: char) -> String {
    match quote {
        '"' => inside.replace("\\n", "\n").replace("\\r", "\r"),
        _ => inside.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_node_reads() {
        for (text, expected) in [
            // Without quotes.
            ("A=b", "b"),
            ("  A  =  b  ", "b"),
            ("A = \t b\t", "b"),
            ("A=", ""),
            ("A= ", ""),
            ("A=#", ""),
            ("export A=b", "b"),
            ("export\tA = b", "b"),
            ("A: b", "b"),
            ("A=Realtime Chat Backend", "Realtime Chat Backend"),
            ("A=http://a, http://b", "http://a, http://b"),
            ("A=a=b==", "a=b=="),
            ("A=b # c", "b"),
            ("A=b#c", "b"),
            ("A=it's", "it's"),
            (r"A=\d+\n", r"\d+\n"),
            ("A=$HOME/${B}", "$HOME/${B}"),
            ("\u{feff}A=b", "b"),
            ("A=b\r\n", "b"),
            ("A=b\r", "b"),
            ("A=ü", "ü"),
            // In quotes.
            ("A='b'", "b"),
            ("A=\"b\"", "b"),
            ("A=`b`", "b"),
            ("A=''", ""),
            ("A = ' b ' ", " b "),
            ("A='b # c' # d", "b # c"),
            ("A=\"b\"#c", "b"),
            ("A='$B'", "$B"),
            ("A=\"${B}\"", "${B}"),
            (r#"A="b\nc\rd\te""#, "b\nc\rd\\te"),
            (r"A='b\nc'", r"b\nc"),
            (r"A=`b\nc`", r"b\nc"),
            ("A=\"b\nc\n\"", "b\nc\n"),
            ("A='b\r\nc'\r\n", "b\nc"),
            ("A=`it's \"b\"`", "it's \"b\""),
            (r#"A="b \"c\" d""#, r#"b \"c\" d"#),
            // Backslashes and quotes where they mean nothing.
            (r"A='C:\b\'", r"C:\b\"),
            ("A='b", "'b"),
            ("A=\"b\\nc", "\"b\nc"),
            ("A='b' c", "'b' c"),
            ("A='b' and 'c'", "b' and 'c"),
            ("A='", "'"),
        ] {
            let file = read(text.as_bytes());
            assert_eq!(file.variables, [("A".to_owned(), expected.to_owned())], "{text:?}");
            assert_eq!(file.others, [], "{text:?}");
        }
    }

    #[test]
    fn a_file_is_read_to_its_end_whatever_is_in_it() {
        let text = "# ours\n\nA=\"b\nc\" # d\nEMPTY\n  just words\n=x\nB='open\nC=1\r\nC='2'\nD.e-f=3\nexport G\n\
                    export=4\nH:5\n";
        let file = read(text.as_bytes());
        let variables: Vec<_> = file.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [("A", "b\nc"), ("B", "'open"), ("C", "1"), ("C", "2"), ("D.e-f", "3"), ("export", "4")];
        assert_eq!(variables, expected);
        let others: Vec<_> = file.others.iter().map(|other| (other.line, other.name.as_str())).collect();
        assert_eq!(others, [(5, "EMPTY"), (6, "just"), (7, ""), (12, "export"), (14, "H")]);
        assert_eq!(read(b""), EnvFile::default());
        assert_eq!(read(b"A=\xff").variables, [("A".to_owned(), "\u{fffd}".to_owned())]);
    }
}
