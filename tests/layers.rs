//! The plan of the house, held against the code: which room may import which, and which crates stop where.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// From the top. A room may import every room of a lower band, and those to its right in its own.
const BANDS: &[&[&str]] = &[
    &["main", "cli", "app", "config"],
    &["grpc", "http"],
    &["authority"],
    &["outbound", "ledger", "keystore", "metrics", "audit"],
    &["liveauth", "hub", "keyring", "policy", "verdict"],
    &["crypto", "clock"],
];

/// Crates, and the only rooms, or parts of rooms, that may name them.
const FENCES: &[(&[&str], &[&str])] = &[
    (
        &[
            "tonic",
            "tonic_prost",
            "tonic_health",
            "tonic_reflection",
            "tonic_types",
            "prost",
            "h2",
            "hyper",
            "hyper_util",
            "http_body",
            "http_body_util",
            "pbjson",
            "tokio_rustls",
            "x509_parser",
        ],
        &["grpc", "keystore/kms"],
    ),
    (&["reqwest"], &["outbound"]),
    // In `outbound` only to tell its errors from others.
    (&["rustls"], &["grpc", "outbound"]),
    (&["url", "percent_encoding"], &["liveauth", "hub", "outbound"]),
    (&["axum"], &["http"]),
    (&["tokio"], &["grpc", "http", "app", "cli", "keystore/kms", "outbound"]),
    (&["clap", "clap_complete", "clap_mangen", "comfy_table", "csv"], &["cli"]),
    (&["toml"], &["config"]),
    (&["serde"], &["grpc", "cli", "config", "keystore", "liveauth", "hub"]),
    // In `liveauth` and `hub` for what vendors answer.
    (&["serde_json"], &["grpc", "cli", "keystore", "liveauth", "hub"]),
    (&["prometheus"], &["metrics"]),
    (&["hmac", "sha2", "aes_gcm", "chacha20poly1305", "poly1305", "ctr", "argon2", "blake2"], &["crypto"]),
    (&["idna", "psl"], &["liveauth"]),
    (&["url", "percent_encoding"], &["liveauth", "hub", "outbound"]),
    (&["base64"], &["grpc", "hub"]),
    (&["crc32fast"], &["hub", "ledger"]),
    (&["rusqlite"], &["ledger"]),
    (&["getrandom"], &["grpc", "authority", "ledger", "keystore", "app"]),
    // In `crypto` for the arena's mappings and nothing else.
    (&["rustix"], &["cli", "app", "grpc", "ledger", "keystore", "audit", "crypto"]),
    (&["libc"], &["crypto"]),
    (&["landlock"], &["app"]),
    (&["tracing_subscriber"], &["app"]),
    (&["tracing"], &["cli", "app", "grpc", "http", "authority", "outbound", "ledger", "metrics", "audit"]),
    (&["arc_swap"], &["grpc", "http", "authority", "ledger", "metrics"]),
    (&["std::fs", "std::io"], &["cli", "app", "config", "grpc", "http", "outbound", "ledger", "keystore", "audit"]),
    (&["std::net"], &["cli", "app", "config", "grpc", "http", "outbound"]),
    (&["std::os"], &["cli", "app", "config", "grpc", "http", "ledger", "keystore", "audit"]),
    (&["std::time::SystemTime"], &["clock"]),
    (&["std::process"], &["main", "cli"]),
    (&["std::thread"], &["cli", "app", "grpc", "outbound", "ledger", "keystore", "audit"]),
];

struct Source {
    path: PathBuf,
    room: String,
    code: String,
}

impl Source {
    /// Whether it belongs to a room (`keystore`), or to a part of one (`keystore/kms`): the file of that name, or below it.
    fn is_in(&self, part: &str) -> bool {
        let inside = self.path.strip_prefix(root()).unwrap().with_extension("");
        inside.starts_with(part)
    }
}

#[test]
fn imports_point_downward_and_to_the_right() {
    let mut faults = Vec::new();
    for source in sources().into_iter().filter(|source| source.room != "lib") {
        let (from_band, from_place) = place(&source.room);
        for room in named(&source.code, "crate") {
            if room == source.room {
                continue;
            }
            let (band, at) = place(&room);
            if band < from_band || (band == from_band && at < from_place) {
                faults.push(format!("{} imports {room}, which lies above it", source.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn crates_stay_behind_their_fences() {
    let mut faults = Vec::new();
    for source in sources() {
        // What unit tests need is not what the room does, in a file of their own neither.
        if source.path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        let code = source.code.split("#[cfg(test)]").next().unwrap_or_default();
        for (crates, rooms) in FENCES {
            for name in *crates {
                if names_path(code, name) && !rooms.iter().any(|room| source.is_in(room)) {
                    faults.push(format!("{} names {name}, which stops at {rooms:?}", source.path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_room_is_on_the_plan_and_every_room_of_the_plan_is_there() {
    let there: BTreeSet<String> =
        sources().into_iter().map(|source| source.room).filter(|room| room != "lib").collect();
    let planned: BTreeSet<String> = BANDS.iter().flat_map(|band| band.iter().map(ToString::to_string)).collect();
    assert_eq!(there, planned);
}

/// At the top of a top-level module `super::` is `crate::` in disguise, and hides an import from this test.
#[test]
fn top_level_modules_do_not_say_super() {
    for source in sources() {
        let top_level = source.path.parent().is_some_and(|folder| folder == root());
        let before_tests = source.code.split("#[cfg(test)]").next().unwrap_or_default();
        assert!(
            !(top_level && before_tests.contains("super::")),
            "{} says super:: at the top; say crate::",
            source.path.display()
        );
    }
}

#[test]
fn no_file_is_an_attic_or_a_mod_rs() {
    for source in sources() {
        let stem = source.path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let attic = ["mod", "util", "utils", "common", "helper", "helpers", "manager", "handler", "types", "misc"];
        assert!(!attic.contains(&stem), "{} has no name", source.path.display());
    }
}

/// The test would be worth nothing if its reader saw nothing.
#[test]
fn the_reader_sees_imports_in_all_their_forms() {
    let code = strip("use crate::{a::B, c, d::{e, f}};\nlet x = crate::g::h(); // crate::i\nlet s = \"crate::j\";");
    assert_eq!(named(&code, "crate"), ["a", "c", "d", "g"].map(String::from));
    assert!(names_path(&code, "crate") && !names_path("let tokio_x = 1;", "tokio"));
    assert!(names_path("use std::{fmt, fs};", "std::fs") && names_path("std::fs::read(x)", "std::fs"));
    assert!(!names_path("use std::{fmt, fsx};", "std::fs"));
    let seen: usize = sources().iter().map(|source| named(&source.code, "crate").len()).sum();
    assert!(seen > 50, "only {seen} imports seen");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let mut folders = vec![root()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(root()).unwrap();
                let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
                let room = first.trim_end_matches(".rs").to_owned();
                let code = strip(&fs::read_to_string(&path).unwrap());
                sources.push(Source { path, room, code });
            }
        }
    }
    sources
}

fn place(room: &str) -> (usize, usize) {
    BANDS
        .iter()
        .enumerate()
        .find_map(|(band, rooms)| rooms.iter().position(|r| *r == room).map(|at| (band, at)))
        .unwrap_or_else(|| panic!("room {room} is not on the plan"))
}

/// The code without comments and string literals.
fn strip(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut escaped = false;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            if in_string {
                in_string = escaped || c != '"';
                escaped = c == '\\' && !escaped;
                continue;
            }
            match c {
                '/' if chars.peek() == Some(&'/') => break,
                '\'' if chars.peek() == Some(&'"') => {
                    chars.next();
                }
                '"' => in_string = true,
                other => code.push(other),
            }
        }
        code.push('\n');
    }
    code
}

/// The first names that follow `root::` in the code, also in groups.
fn named(code: &str, root: &str) -> Vec<String> {
    let mut names = Vec::new();
    let start = format!("{root}::");
    for (at, _) in code.match_indices(&start) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + start.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut expects_name = true;
            let mut name = String::new();
            for c in group.chars() {
                if depth == 0 && expects_name && (c.is_alphanumeric() || c == '_') {
                    name.push(c);
                    continue;
                }
                if !name.is_empty() {
                    names.push(std::mem::take(&mut name));
                    expects_name = false;
                }
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => expects_name = true,
                    _ => {}
                }
            }
        } else {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

/// Whether the code names a crate (`tokio`) or a module of one (`std::fs`).
fn names_path(code: &str, path: &str) -> bool {
    match path.rsplit_once("::") {
        Some((root, last)) if !root.contains("::") => named(code, root).iter().any(|name| name == last),
        Some((root, last)) => {
            let (outer, inner) = root.rsplit_once("::").unwrap();
            named(code, outer).iter().any(|name| name == inner) && code.contains(last)
        }
        None => !named(code, path).is_empty(),
    }
}
