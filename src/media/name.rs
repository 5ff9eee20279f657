//! What a file may be called on the receiver's machine.

/// How long a cleaned name may be, in characters.
pub const LONGEST_NAME: usize = 128;

/// How long an ending may be to be kept when a name is shortened, in characters.
const LONGEST_ENDING: usize = 16;

/// Makes a name safe to show and to save under, on any system: the last part of a path, without
/// characters that are invisible, turn the direction of writing, or mean something to a shell or a
/// file system; at most 128 characters, the ending kept. Never empty; cleaning twice changes nothing.
pub fn clean_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
    let mut clean = String::new();
    for c in last.chars().filter(|&c| c.is_whitespace() || !c.is_control()).filter(|&c| !is_invisible(c)) {
        match c {
            c if c.is_whitespace() => {
                if !clean.ends_with(' ') {
                    clean.push(' ');
                }
            }
            '<' | '>' | ':' | '"' | '|' | '?' | '*' => clean.push('_'),
            c => clean.push(c),
        }
    }
    let trimmed = clean.trim_matches(['.', ' ']);
    if trimmed.is_empty() {
        return "file".to_owned();
    }
    let prefix = if is_device(trimmed) { "_" } else { "" };
    shorten(format!("{prefix}{trimmed}"))
}

/// Bidirectional controls, zero-width characters and other formatting, separators of lines.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether Windows would open a device instead of a file: the part before the first dot decides.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut digits = port.into_iter().flat_map(str::chars);
    matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

fn shorten(name: String) -> String {
    let count = name.chars().count();
    if count <= LONGEST_NAME {
        return name;
    }
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.chars().count() <= LONGEST_ENDING => (stem, ending),
        _ => (name.as_str(), ""),
    };
    let dot = usize::from(!ending.is_empty());
    let cut: String = stem.chars().take(LONGEST_NAME - dot - ending.chars().count()).collect();
    let cut = cut.trim_end_matches(['.', ' ']);
    if ending.is_empty() { cut.to_owned() } else { format!("{cut}.{ending}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_made_safe() {
        for (name, clean) in [
            ("photo.jpg", "photo.jpg"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\notes.txt", "notes.txt"),
            ("folder/", "folder"),
            ("..", "file"),
            ("", "file"),
            (" . . ", "file"),
            (".bashrc", "bashrc"),
            ("a\tb \u{a0} c.txt", "a b c.txt"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("zero\u{200b}width\u{feff}.txt", "zerowidth.txt"),
            ("line\u{2028}break", "linebreak"),
            ("bell\u{7}\u{9b}.txt", "bell.txt"),
            ("what? <why>: \"so\"|*.txt", "what_ _why__ _so___.txt"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("Lpt² .x", "_Lpt² .x"),
            ("console.log", "console.log"),
            ("com10.txt", "com10.txt"),
            ("name. . .", "name"),
            ("грамота 證書 👩‍👩‍👧.pdf", "грамота 證書 👩👩👧.pdf"),
        ] {
            assert_eq!(clean_name(name), clean, "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_their_ending() {
        let clean = clean_name(&format!("{}.tar.gz", "ä".repeat(300)));
        assert_eq!(clean.chars().count(), LONGEST_NAME);
        assert!(clean.ends_with("ä.gz"));
        let clean = clean_name(&format!("a.{}", "b".repeat(300)));
        assert_eq!(clean.chars().count(), LONGEST_NAME);
        assert_eq!(clean_name(&format!("{}{}.txt", "a".repeat(123), ". ".repeat(40))).len(), 127);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_name_is_made_safe_once_and_for_all(name in prop_oneof![
            any::<String>(),
            "(con|nul|com1|aux|x)?[ .a-c\u{202e}\u{200b}\u{7f}\u{85}/\\\\:<>|?*\"\t]{0,20}",
            "(nul)?[ .a]{100,160}",
            "[a. ]{110,140}\\.[a-c ]{0,18}",
        ]) {
            let clean = clean_name(&name);
            prop_assert_eq!(&clean_name(&clean), &clean);
            prop_assert!(!clean.is_empty() && clean.chars().count() <= LONGEST_NAME);
            prop_assert!(!clean.chars().any(|c| c.is_control() || is_invisible(c) || "/\\<>:\"|?*".contains(c)));
            prop_assert!(!clean.starts_with(['.', ' ']) && !clean.ends_with(['.', ' ']) && !clean.contains("  "));
            prop_assert!(!is_device(&clean));
        }
    }
}
