//! `countersign keys backup` and `restore`, as people and scripts run them.

use std::fs;

use serde_json::Value;

use crate::run::Home;

#[test]
fn a_backup_comes_back_and_what_was_destroyed_since_does_not() {
    let home = Home::new();
    let kept = tempfile::tempdir().unwrap();
    let backup = kept.path().join("backup");
    let (at, now) = (
        backup.to_str().unwrap(),
        ["--activate-at", &countersign::clock::Clock::system().now().to_string()].map(String::from),
    );
    let version = |number: &'static str| ["--key", "k", "--key-version", number];
    home.keys("create", &["--key", "k", "--kind", "hat1"], b"").well();
    home.keys("rotate", &["--key", "k", &now[0], &now[1]], b"").well();
    home.import("jobs", "raw", &[b's'; 30]).well();
    let made = home.keys("backup", &["--to", at], b"").well();
    assert!(made.stdout.contains("generation 4") && made.stdout.contains("keep that elsewhere"), "{}", made.stdout);
    home.keys("backup", &["--to", at], b"").refused(2, "already");

    let destroyed = home.keys("destroy", &[&version("1")[..], &["--force"]].concat(), b"").well();
    assert!(destroyed.stderr.contains(at), "{}", destroyed.stderr);
    home.keys("suspend", &version("2"), b"").well();
    let before = fs::read(home.path("keyring")).unwrap();
    let look = home.keys("restore", &["--from", at, "--dry-run"], b"").well().stdout;
    for line in
        ["would restore", "version 1 of key k stays destroyed", "version 2 of key k is suspended no more", "--dry-run"]
    {
        assert!(look.contains(line), "{look}");
    }
    assert_eq!(fs::read(home.path("keyring")).unwrap(), before);
    let done = home.keys("restore", &["--from", at, "--output", "json", "--above", "40"], b"").well().stdout;
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(
        (&done["generation"], &done["backupGeneration"], &done["done"]),
        (&"41".into(), &"4".into(), &true.into())
    );
    assert_eq!(done["effects"].as_array().unwrap().len(), 2);
    assert_eq!(home.load().generation, 41);

    fs::remove_file(home.path("keyring")).unwrap();
    let anew = home.keys("restore", &["--from", at], b"").well().stdout;
    assert!(anew.contains("there was no keyring") && anew.contains("version 1 of key k comes back"), "{anew}");
    let other = Home::new();
    let from_kek = home.path("kek");
    let from = ["--from", at, "--from-kek-file", from_kek.to_str().unwrap()];
    other.keys("restore", &from, b"").refused(2, "--replace");
    other.keys("restore", &[&from[..], &["--replace"]].concat(), b"").well();
    // Another process: this one has seen a later generation of that keyring.
    let listed = other.keys("list", &["--output", "json"], b"").well().stdout;
    assert!(listed.contains("\"k\"") && listed.contains("\"jobs\""), "{listed}");
    other.keys("suspend", &version("2"), b"").well();
    home.keys("restore", &["--from", kept.path().join("none").to_str().unwrap()], b"")
        .refused(2, "there is no keyring");
}
