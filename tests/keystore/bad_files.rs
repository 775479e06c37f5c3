//! Files that are missing, open to others, damaged, edited, or not what they should be.

use std::{fs, os::unix::fs::symlink, path::Path};

use countersign::{
    keyring::{Key, KeyName, Version},
    keystore::{self, KeystoreError as E, Part},
};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::home::{Home, chmod, content, is_root, location, one_line, skipped};

#[test]
fn a_keyring_that_was_made_loads_with_its_keys() {
    let home = Home::new();
    let loaded = home.load().unwrap();
    assert_eq!((loaded.generation, loaded.keys.len()), (3, 2));
    assert!(loaded.warnings.is_empty() && loaded.sample_secrets.is_empty());
    assert_eq!(loaded.keys[0].name.as_str(), "hub");
    assert_eq!(loaded.keys[0].versions()[0].secret_len, 32);
    assert_eq!(loaded.keys[1].versions()[0].secret_len, 30);
    assert!(countersign::keyring::Keyring::new(loaded.keys).is_ok());
}

#[test]
fn a_keyring_of_the_first_format_loads_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let location = location(dir.path());
    let v1 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keystore/v1");
    for (file, path) in [("keyring.json", &location.keyring), ("kek", &location.kek.file().unwrap())] {
        fs::copy(v1.join(file), path).unwrap();
        chmod(path, 0o600);
    }
    let loaded = keystore::load(&location).unwrap();
    // That the example's secret is recognised shows that its bytes came out right; a kid shows it of a hat1 key.
    assert_eq!(loaded.sample_secrets.iter().map(KeyName::as_str).collect::<Vec<_>>(), ["jobs.example.com"]);
    let hub = &loaded.keys[0];
    let kids: Vec<_> = hub.versions().iter().map(|v| v.kid.unwrap().to_string()).collect();
    assert_eq!(kids, KIDS_OF_V1);
    assert!(hub.versions().iter().all(Version::probe));
}

const KIDS_OF_V1: [&str; 2] = ["028862df967528c9", "278ea37a1eda57a9"];

#[test]
fn a_missing_file_is_called_missing() {
    let home = Home::new();
    fs::rename(home.keyring(), home.beside("gone")).unwrap();
    assert!(matches!(home.refusal(), E::Missing(Part::Keyring, _)));
    fs::rename(home.beside("gone"), home.keyring()).unwrap();
    fs::remove_file(home.kek()).unwrap();
    assert!(matches!(home.refusal(), E::Missing(Part::Kek, _)));
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    for part in [Part::Keyring, Part::Kek] {
        let home = Home::new();
        let path = if part == Part::Keyring { home.keyring().to_owned() } else { home.kek() };
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(home.refusal(), E::NotAFile(at, _) if at == part));
        fs::remove_dir(&path).unwrap();
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(matches!(home.refusal(), E::NotAFile(at, _) if at == part));
    }
}

#[test]
fn a_file_open_to_group_or_others_is_refused() {
    for part in [Part::Keyring, Part::Kek] {
        let home = Home::new();
        let path = if part == Part::Keyring { home.keyring().to_owned() } else { home.kek() };
        for bits in [0o004, 0o002, 0o001, 0o020, 0o010, 0o044, 0o060, 0o077] {
            chmod(&path, 0o600 | bits);
            assert!(matches!(home.refusal(), E::Loose(at, _, mode) if at == part && mode == 0o600 | bits));
            if part == Part::Keyring {
                assert!(matches!(keystore::summary(&path), Err(E::Loose(..))));
            }
        }
        chmod(&path, 0o640);
        assert!(home.load().is_ok(), "our own group may read");
    }
}

#[test]
fn a_file_of_another_group_or_owner_is_refused() {
    if !is_root() {
        return skipped("root");
    }
    let home = Home::new();
    chmod(home.keyring(), 0o640);
    std::os::unix::fs::chown(home.keyring(), None, Some(54_321)).unwrap();
    assert!(matches!(home.refusal(), E::Loose(Part::Keyring, _, 0o640)));
    chmod(home.keyring(), 0o600);
    assert!(home.load().is_ok(), "a group without rights is no matter");
    std::os::unix::fs::chown(home.keyring(), Some(54_321), None).unwrap();
    assert!(matches!(home.refusal(), E::ForeignOwner(Part::Keyring, _, 54_321)));
}

#[test]
fn a_link_is_followed_and_the_file_behind_it_judged() {
    let home = Home::new();
    let mut linked = home.location.clone();
    linked.keyring = home.keyring().with_file_name("link");
    symlink("keyring", &linked.keyring).unwrap();
    assert!(keystore::load(&linked).is_ok());
    chmod(home.keyring(), 0o644);
    assert!(matches!(keystore::load(&linked), Err(E::Loose(..))));
}

#[test]
fn a_truncated_keyring_never_loads() {
    let home = Home::new();
    let whole = home.bytes();
    // The last byte is a newline, without which nothing is missing.
    for len in 0..whole.len() - 1 {
        home.put(&whole[..len]);
        assert!(matches!(home.refusal(), E::Truncated(_)), "{len} bytes");
    }
}

#[test]
fn whichever_byte_is_edited_nothing_else_ever_loads() {
    let home = Home::new();
    let whole = home.bytes();
    let before = content(&home.load().unwrap());
    for at in 0..whole.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut edited = whole.clone();
            edited[at] ^= flip;
            home.put(&edited);
            // White space may become other white space: then the content is the same.
            match home.load() {
                Ok(loaded) => assert_eq!(content(&loaded), before, "byte {at}"),
                Err(error) => drop(one_line(error)),
            }
        }
    }
    home.put(&whole);
    assert_eq!(content(&home.load().unwrap()), before);
}

#[test]
fn an_edit_that_still_reads_well_is_called_an_edit() {
    let home = Home::new();
    let text = String::from_utf8(home.bytes()).unwrap();
    for (from, to) in [
        ("\"name\": \"jobs\"", "\"name\": \"jobz\""),
        ("\"mark\": null", "\"mark\": \"suspended\""),
        ("\"activates_at\": 1800000000", "\"activates_at\": 1700000000"),
        ("\"generation\": 3", "\"generation\": 4"),
        ("\"created_at\": 1800000000", "\"created_at\": 1800000001"),
    ] {
        assert!(text.contains(from));
        home.put(text.replacen(from, to, 1).as_bytes());
        assert!(matches!(home.refusal(), E::Altered(_)), "{to}");
    }
    // Another spelling of the same JSON is the same keyring.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    home.put(serde_json::to_string(&value).unwrap().as_bytes());
    assert!(home.load().is_ok());
}

#[test]
fn a_kek_that_is_another_too_short_or_too_long_is_refused() {
    let home = Home::new();
    let kek = fs::read(home.kek()).unwrap();
    fs::remove_file(home.kek()).unwrap();
    let put = |bytes: &[u8]| {
        fs::write(home.kek(), bytes).unwrap();
        chmod(&home.kek(), 0o600);
    };
    put(&[b'x'; 32]);
    assert!(matches!(home.refusal(), E::WrongKek { .. }));
    for short in [&b""[..], b"\n", &[b'x'; 31], b"0123456789012345678901234567890\n"] {
        put(short);
        assert!(matches!(home.refusal(), E::KekTooShort(_)));
    }
    put(&[b'x'; 4097]);
    assert!(matches!(home.refusal(), E::TooLarge(Part::Kek, ..)));
    put(kek.strip_suffix(b"\n").unwrap());
    assert!(home.load().is_ok(), "one trailing newline does not count");
    put(&[kek.as_slice(), b"\n"].concat());
    assert!(matches!(home.refusal(), E::WrongKek { .. }), "a second one does");
}

#[test]
fn an_unknown_or_missing_field_at_any_level_is_refused() {
    let home = Home::new();
    let whole: serde_json::Value = serde_json::from_slice(&home.bytes()).unwrap();
    let before = content(&home.load().unwrap());
    let pointers = ["", "/kek", "/service_secret", "/keys/0", "/keys/0/versions/0", "/keys/0/versions/0/material"];
    for pointer in pointers {
        let mut more = whole.clone();
        more.pointer_mut(pointer).unwrap()["unexpected"] = 1.into();
        home.put(more.to_string().as_bytes());
        assert!(matches!(home.refusal(), E::NotOurs(..)), "{pointer}: unknown field");
        let fields: Vec<String> = whole.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect();
        for field in fields {
            let mut less = whole.clone();
            less.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(&field);
            home.put(less.to_string().as_bytes());
            match home.load() {
                // What is null may as well be left out.
                Ok(loaded) => assert_eq!(content(&loaded), before, "{pointer}/{field} is missing"),
                Err(error) => drop(one_line(error)),
            }
        }
    }
}

#[test]
fn a_later_format_another_document_and_an_unknown_kek_source_are_told_apart() {
    let home = Home::new();
    let whole: serde_json::Value = serde_json::from_slice(&home.bytes()).unwrap();
    let put = |pointer: &str, value: serde_json::Value| {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        home.put(changed.to_string().as_bytes());
        home.refusal()
    };
    assert!(matches!(put("/version", 2.into()), E::Format(_, 2)));
    assert!(put("/version", 2.into()).to_string().contains("format version 2"));
    assert!(matches!(put("/format", "something-else".into()), E::NotOurs(..)));
    assert!(matches!(put("/kek/source", "passphrase".into()), E::NotOurs(..)));
    home.put(b"{\"format\": \"countersign-keyring\", \"version\": 3, \"a later\": [\"shape\"]}");
    assert!(matches!(home.refusal(), E::Format(_, 3)));
    for no_keyring in [&b""[..], b"\n", b"hello", b"{}", b"[]", b"null", b"\xff\xfe", &[b'['; 10_000]] {
        home.put(no_keyring);
        assert!(matches!(home.refusal(), E::Truncated(_) | E::NotJson(..) | E::NotOurs(..)));
    }
    home.put(&vec![b' '; (4 << 20) + 1]);
    assert!(matches!(home.refusal(), E::TooLarge(Part::Keyring, ..)));
}

#[test]
fn an_error_never_quotes_a_file_that_is_no_keyring() {
    let home = Home::new();
    for text in ["planted secret, 30 bytes long!", "{\"format\": \"planted secret, 30 bytes long!\", \"version\": 1}"] {
        home.put(text.as_bytes());
        drop(home.refusal());
    }
    home.put(br#"{"format": "countersign-keyring", "version": "planted secret, 30 bytes long!"}"#);
    drop(home.refusal());
    home.put(br#"{"format": "countersign-keyring", "version": 1, "planted secret, 30 bytes long!": 1}"#);
    drop(home.refusal());
}

#[test]
fn the_public_part_needs_no_kek_and_has_no_secret() {
    let home = Home::new();
    fs::remove_file(home.kek()).unwrap();
    let summary = keystore::summary(home.keyring()).unwrap();
    assert_eq!((summary.generation, summary.keys.len()), (3, 2));
    assert!(summary.keys[0].versions()[0].kid.is_some());
    assert!(summary.keys.iter().flat_map(Key::versions).all(|v| v.secret_len == 0));
    let text = String::from_utf8(home.bytes()).unwrap();
    assert!(!text.contains(PLANTED_BASE64) && !text.contains(crate::home::PLANTED));
}

/// The start of the planted secret in base64.
const PLANTED_BASE64: &str = "cGxhbnRlZCBzZWNyZXQ";
