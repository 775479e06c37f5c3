//! A clock that is set back or forward: what is cut off stays so.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{
    asking::{auth, listed, revoked, sealed, seconds, verdict},
    service::{BINARY, CONFIG, Service, folder},
    tools::{is_there, skipped, stop},
};

#[test]
fn what_is_cut_off_stays_so_whatever_the_clock_does() {
    if !is_there("faketime") {
        return skipped("faketime");
    }
    let library = Command::new("sh").args(["-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1"]).output().unwrap();
    let library = String::from_utf8(library.stdout).unwrap().trim().to_owned();
    let dir = folder(&CONFIG.replace("key = \"acme\"\n", "key = \"acme\"\nttl = \"1d\"\nmax_ttl = \"2d\"\n"));
    let time = dir.path().join("time");
    let start = |dir: tempfile::TempDir| {
        let child = Command::new(BINARY)
            .args(["serve", "--allow-root", "--config"])
            .arg(dir.path().join("config.toml"))
            .env("LD_PRELOAD", &library)
            .env("FAKETIME_TIMESTAMP_FILE", &time)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Service::attach(dir, child)
    };
    fs::write(&time, "+10d").unwrap();
    let service = start(dir);
    let (token, other) = (sealed(&service, "jane"), sealed(&service, "al"));
    let made = revoked(&service, "username", "jane");
    revoked(&service, "tokenId", other["tokenId"].clone());
    // Set back by an hour: the entry's time lies ahead now, and a token for the same user is issued after it, which is then
    // not valid before the clock has come so far; nothing that was cut off comes back.
    fs::write(&time, "+239h").unwrap();
    // A token from an hour ahead is not valid yet, which is found out before its user is looked for.
    assert_eq!(verdict(&service, auth(&token), "jane"), "NOT_YET_VALID");
    let fresh = sealed(&service, "jane");
    assert_eq!(seconds(&fresh["issuedAt"]), seconds(&made["issuedUntil"]) + 1);
    let again = service.ok("Revoke", &json!({"app": "acme", "username": "jane"}))["revocation"].clone();
    assert!(seconds(&again["issuedUntil"]) < seconds(&made["issuedUntil"]));
    let kept = listed(&service).into_iter().find(|entry| entry["kind"] == "REVOCATION_KIND_USER").unwrap();
    assert_eq!(kept["issuedUntil"], made["issuedUntil"], "the later time holds");
    fs::write(&time, "+10d").unwrap();
    assert_eq!(verdict(&service, auth(&token), "jane"), "REVOKED");
    assert_eq!(verdict(&service, auth(&other), "al"), "REVOKED");
    // Far ahead, past the end of every entry, and a restart there; then back.
    fs::write(&time, "+400d").unwrap();
    assert_eq!(verdict(&service, auth(&token), "jane"), "EXPIRED");
    assert!(listed(&service).is_empty(), "what has ended is not shown");
    let service = start(stop(service));
    fs::write(&time, "+10d").unwrap();
    assert_eq!(verdict(&service, auth(&token), "jane"), "REVOKED");
    assert_eq!(verdict(&service, auth(&other), "al"), "REVOKED");
    assert_eq!(listed(&service).len(), 2);
    stop(service);
}
