//! What can happen to the ledger's file and to what it lies on: what is cut off stays so, what cannot be kept is refused
//! and not half done, and all of it is told.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    asking::{auth, listed, revoked, sealed, verdict},
    service::{CONFIG, Service, folder, reason_of, run, stderr},
    tools::{Mount, Strace, metric, skipped, stop, until},
};

fn revoke(service: &Service, user: &str) -> (u16, Value) {
    service.post("Revoke", &json!({"app": "acme", "username": user}))
}

/// A revocation is refused and says when to try again; nothing of it is in force; what was cut off before still is.
fn is_refused(service: &Service, fault: &str) {
    let (cut, other) = (sealed(service, "cut"), sealed(service, "other"));
    let (status, answer) = revoke(service, "other");
    assert_eq!((status, reason_of(&answer).as_str()), (503, "LEDGER_UNAVAILABLE"), "{answer}");
    assert_eq!(answer["code"], "unavailable");
    assert!(answer["details"].to_string().contains("google.rpc.RetryInfo"), "{answer}");
    assert_eq!(verdict(service, auth(&other), "other"), "VALID");
    assert_eq!(verdict(service, auth(&cut), "cut"), "VALID", "a fresh login works");
    until(fault, || metric(service, &format!("countersign_ledger_fault{{kind=\"{fault}\"}}")) > 0.0);
    let ready = service.http("/readyz?verbose").1;
    assert!(
        ready.starts_with("ok\n") && ready.contains(&format!("ledger: {fault}, nothing can be revoked")),
        "{ready}"
    );
    service.await_log(&format!("\"fault\":\"{fault}\""), 1);
    assert!(metric(service, "countersign_ledger_failures_total") > 0.0);
}

fn recovers(service: &Service) {
    until("revoking again", || revoke(service, "again").0 == 200);
    assert!(metric(service, "countersign_ledger_write_age_seconds") < 30.0);
    assert!(service.http("/readyz?verbose").1.contains("ledger: ok"));
}

fn on_small(options: &str) -> Option<(tempfile::TempDir, Mount)> {
    let dir = folder(&CONFIG.replace("ledger.sqlite", "small/ledger.sqlite"));
    let mount = Mount::tmpfs(&dir.path().join("small"), options)?;
    Some((dir, mount))
}

#[test]
fn a_full_disk_refuses_what_is_new_and_forgets_nothing() {
    let Some((dir, _mount)) = on_small("size=1m") else { return skipped("mount, as root") };
    let ballast = dir.path().join("small/ballast");
    let service = Service::start_in(dir);
    let token = sealed(&service, "cut");
    revoked(&service, "username", "cut");
    let _ = fs::write(&ballast, vec![0; 2 << 20]);
    until("a refusal", || revoke(&service, &format!("{:?}", Instant::now())).0 != 200);
    is_refused(&service, "full");
    assert_eq!(verdict(&service, auth(&token), "cut"), "REVOKED");
    fs::remove_file(&ballast).unwrap();
    recovers(&service);
    let known = listed(&service).len();
    let service = Service::start_in(stop(service));
    assert_eq!(listed(&service).len(), known);
    assert_eq!(verdict(&service, auth(&token), "cut"), "REVOKED");
    // Not from the start, either.
    let dir = stop(service);
    for name in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.path().join(format!("small/ledger.sqlite{name}")));
    }
    let _ = fs::write(&ballast, vec![0; 2 << 20]);
    refuses(dir.path(), &["small/ledger.sqlite", "full", "make room"]);
}

/// A file that is open for writing keeps its mount writable, so that this can only be so from the start.
#[test]
fn a_read_only_mount_keeps_the_service_from_starting_and_is_named() {
    let Some((dir, mount)) = on_small("size=2m") else { return skipped("mount, as root") };
    for _ in 0..2 {
        mount.remount("ro");
        refuses(dir.path(), &["small/ledger.sqlite", "mount its file system for writing"]);
        mount.remount("rw");
        // The second time it is there already.
        let service = Service::start_in(folder(
            &CONFIG.replace("ledger.sqlite", dir.path().join("small/ledger.sqlite").to_str().unwrap()),
        ));
        revoked(&service, "username", "cut");
        stop(service);
    }
}

#[test]
fn a_disk_that_fails_refuses_and_recovers() {
    let service = Service::start(CONFIG);
    let token = sealed(&service, "cut");
    revoked(&service, "username", "cut");
    let Some(strace) =
        Strace::failing(&service, "fsync,fdatasync", Some(&service.dir.path().join("ledger.sqlite-wal")))
    else {
        return skipped("strace");
    };
    until("a refusal", || revoke(&service, "later").0 != 200);
    is_refused(&service, "io");
    assert_eq!(verdict(&service, auth(&token), "cut"), "REVOKED");
    strace.end();
    recovers(&service);
    stop(service);
}

#[test]
fn a_lock_that_another_process_keeps_is_waited_for_and_then_told() {
    let service = Service::start(CONFIG);
    revoked(&service, "username", "cut");
    let holder = rusqlite::Connection::open(service.dir.path().join("ledger.sqlite")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    is_refused(&service, "locked");
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for ever");
    holder.execute_batch("COMMIT").unwrap();
    recovers(&service);
    stop(service);
}

#[test]
fn a_file_that_is_taken_away_is_noticed_before_anything_is_promised() {
    let service = Service::start(CONFIG);
    let token = sealed(&service, "cut");
    revoked(&service, "username", "cut");
    let (path, aside) = (service.dir.path().join("ledger.sqlite"), service.dir.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    is_refused(&service, "deleted");
    assert_eq!(verdict(&service, auth(&token), "cut"), "REVOKED");
    fs::rename(&aside, &path).unwrap();
    recovers(&service);
    stop(service);
}

#[test]
fn a_damaged_ledger_keeps_the_service_from_starting_and_is_told() {
    let service = Service::start(CONFIG);
    for user in 0..50 {
        revoked(&service, "username", format!("user-{user}"));
    }
    let dir = stop(service);
    let path = dir.path().join("ledger.sqlite");
    let sound = fs::read(&path).unwrap();
    // One bit of a user's digest, which the database itself would not notice.
    let digest: Vec<u8> = {
        let ledger = rusqlite::Connection::open(&path).unwrap();
        ledger.query_row("SELECT subject FROM revocations ORDER BY change LIMIT 1", [], |row| row.get(0)).unwrap()
    };
    let places: Vec<usize> = (0..sound.len() - 16).filter(|&at| sound[at..at + 16] == digest[..]).collect();
    let mut damaged = sound.clone();
    for at in places {
        damaged[at + 3] ^= 0x10;
    }
    fs::write(&path, &damaged).unwrap();
    refuses(dir.path(), &["ledger: ", "a row of revocations is not as it was written"]);
    let mut damaged = sound.clone();
    for page in damaged.chunks_mut(4096).skip(1) {
        page[100..200].fill(0xa5);
    }
    fs::write(&path, &damaged).unwrap();
    refuses(dir.path(), &["ledger: ", "damaged", "put a copy from before"]);
    fs::write(&path, &sound).unwrap();
    let service = Service::start_in(dir);
    assert_eq!(listed(&service).len(), 50);
    stop(service);
}

fn refuses(at: &Path, words: &[&str]) {
    let config = at.join("config.toml").display().to_string();
    let output = run(&["serve", "--allow-root", "--config", &config], b"");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is missing: {said}");
    }
}
