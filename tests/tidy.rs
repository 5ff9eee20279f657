//! The laws of the house, read off its files: who may import whom, how long a file may be, what may
//! be in the tree of dependencies, and that every shipped settings file loads.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file wants to be shorter; from here on it must be.
const MOST_LINES: usize = 600;

/// What each module of `src/` may import of ours. A module that is not named here is a failure.
const LAWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("media", &[]),
    ("outbox", &["protocol"]),
    ("place", &["config", "protocol"]),
    ("hub", &["outbox", "protocol"]),
    ("config", &["media", "tls"]),
    ("tls", &["config"]),
    ("auth", &["config", "protocol"]),
    ("store", &["config", "protocol"]),
    ("logs", &["config"]),
    ("cluster", &["config", "protocol"]),
    ("nodes", &["cluster", "protocol"]),
    ("chat", &["auth", "cluster", "config", "hub", "media", "outbox", "place", "protocol", "store"]),
    ("session", &["auth", "chat", "cluster", "config", "hub", "nodes", "outbox", "protocol"]),
    ("transport", &["config", "hub", "outbox", "protocol", "session", "tls"]),
    ("rest", &["auth", "chat", "cluster", "config", "logs", "media", "protocol", "session", "tls"]),
    ("client", &["hub", "protocol", "tls", "transport"]),
    (
        "server",
        &["chat", "cluster", "config", "nodes", "place", "protocol", "rest", "session", "store", "tls", "transport"],
    ),
    ("load", &["client", "hub", "protocol"]),
    ("terminal", &["client", "hub", "protocol"]),
    ("users", &["auth", "chat", "cluster", "config", "protocol", "store"]),
    ("main", &["config", "load", "logs", "server", "terminal", "users"]),
];

/// Words that only these modules may say: the libraries of the doors, and the environment.
const WORDS: &[(&str, &[&str])] = &[
    ("axum::", &["transport", "rest", "server"]),
    ("hyper", &["client", "transport"]),
    ("quinn::", &["nodes", "transport", "server"]),
    ("wtransport::", &["transport", "client"]),
    ("tungstenite", &["transport", "client"]),
    ("socketioxide", &["transport"]),
    ("rusqlite", &["store"]),
    ("redis::", &["cluster"]),
    ("mongodb::", &["store"]),
    ("bson::", &["store"]),
    ("maxminddb", &["place"]),
    ("std::env::", &["config"]),
];

/// Lowest versions, below which there are advisories.
const FLOORS: &[(&str, &str)] = &[
    ("quinn-proto", "0.11.17"),
    ("jsonwebtoken", "10.3.0"),
    ("h2", "0.4.16"),
    ("rustls-webpki", "0.103.13"),
    ("bytes", "1.11.1"),
    ("maxminddb", "0.27.0"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` with one of these endings.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("node_modules") && !path.ends_with("out") {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| path.extension().is_some_and(|it| it == *ending)) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds no {endings:?}");
    found
}

/// The module of `src/` that a file belongs to, and its code without tests.
fn code(path: &Path) -> (String, String) {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    let module = first.trim_end_matches(".rs").to_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
    (module, code)
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy();
    let apart = path.components().any(|part| part.as_os_str() == "simulation");
    apart || name.ends_with("tests") || name == "conformance" || name == "golden"
}

#[test]
fn modules_import_only_what_the_law_allows() {
    let laws: BTreeMap<_, _> = LAWS.iter().copied().collect();
    let mut broken = Vec::new();
    for path in files("src", &["rs"]) {
        let (module, code) = code(&path);
        if module == "lib" || is_test(&path) {
            continue;
        }
        let allowed = laws.get(module.as_str()).unwrap_or_else(|| panic!("no law for src/{module}"));
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            for name in ["crate::", "duologue::"] {
                for (index, _) in line.match_indices(name) {
                    let rest = &line[index + name.len()..];
                    let names: Vec<&str> = match rest.strip_prefix('{') {
                        Some(list) => list.split([',', '}']).map(str::trim).collect(),
                        None => vec![rest],
                    };
                    for imported in names {
                        let imported: String =
                            imported.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                        let ours = laws.contains_key(imported.as_str()) && imported != module;
                        if ours && !allowed.contains(&imported.as_str()) {
                            broken.push(format!("{} imports {imported}", path.display()));
                        }
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn libraries_of_the_doors_stay_at_the_doors() {
    let mut broken = Vec::new();
    for path in files("src", &["rs"]) {
        let (module, code) = code(&path);
        if is_test(&path) {
            continue;
        }
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (word, modules) in WORDS {
                if line.contains(word) && !modules.contains(&module.as_str()) {
                    broken.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn no_file_is_too_long() {
    let mut paths = files("src", &["rs"]);
    paths.extend(files("tests", &["rs", "js", "mjs"]));
    paths.extend(files("web-demo", &["js", "css", "html"]));
    let lines = |path: &PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<_> = paths.iter().filter(|path| lines(path) > MOST_LINES).collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:#?}");
}

#[test]
fn nothing_is_left_open_in_the_code() {
    let mut paths = files("src", &["rs"]);
    paths.extend(files("web-demo", &["js", "css", "html"]));
    // Written apart, so that this file does not find itself.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in &words {
            assert!(!text.contains(word.as_str()), "{} says {word}", path.display());
        }
    }
}

#[test]
fn the_tree_of_dependencies_is_clean() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut packages = Vec::new();
    for block in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let start = block.find(&format!("\n{name} = \""))? + name.len() + 5;
            block[start..].split('"').next()
        };
        packages.push((field("name").unwrap(), field("version").unwrap()));
    }
    assert!(packages.len() > 50, "the lock file could not be read");
    let number =
        |version: &str| -> Vec<u64> { version.split(['.', '+', '-']).map_while(|part| part.parse().ok()).collect() };
    for (name, version) in packages {
        assert!(!["openssl", "openssl-sys", "native-tls"].contains(&name), "{name} is in the tree");
        for (floor, lowest) in FLOORS.iter().filter(|(floor, _)| *floor == name) {
            assert!(number(version) >= number(lowest), "{floor} {version} is below {lowest}");
        }
    }
    // The lock file lists ring as a weak optional dependency (rustls-webpki's `ring?/alloc`): what
    // counts is that nothing that is built depends on it.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--invert", "ring"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    assert_eq!(String::from_utf8_lossy(&tree.stdout).trim(), "", "ring is built");
}

#[test]
fn every_shipped_settings_file_loads() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    for path in files("config", &["toml"]) {
        let variables = [("DUOLOGUE_SERVER_DATA".to_owned(), data.clone())];
        duologue::config::load(Some(&path), variables).unwrap_or_else(|error| panic!("{error}"));
    }
}
