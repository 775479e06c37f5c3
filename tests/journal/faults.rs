//! What can happen to the file and to what it lies on: each is noticed, told, refused, and over when it is over.

use std::{
    fs::{self, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    service::{BINARY, Service, folder, run, stderr},
    tools::{
        Mount, Strace, config, holds, is_refused, journal, metric, mint, of_kind, records, recovers, skipped, stop,
        until, verify,
    },
};

/// While nothing is recorded, what needs no record is done all the same.
fn judging_goes_on(service: &Service, minted: &serde_json::Value) {
    let request = json!({"domain": "jobs.example.com", "client": minted["client"], "expires": minted["expires"], "hash": minted["hash"]});
    assert_eq!(service.ok("VerifyHash", &request)["verdict"], "VERDICT_VALID");
    assert_eq!(service.http("/livez").0, 200);
}

/// The journal says itself that and how often it refused.
fn tells_of(path: &Path, fault: &str) {
    until("the fault's record", || of_kind(&records(path), "fault").iter().any(|record| record["fault"] == fault));
    let told = of_kind(&records(path), "fault");
    assert!(told.iter().any(|record| record["refused"].as_u64().unwrap() > 0), "{told:?}");
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let dir = folder(&config("").replace("journal.jsonl", "small/journal.jsonl"));
    let small = dir.path().join("small");
    let Some(_mount) = Mount::tmpfs(&small, "size=256k") else { return skipped("mount, as root") };
    let service = Service::start_in(dir);
    let minted = mint(&service, 1).1;
    let ballast = small.join("ballast");
    // All but less than a page: the next group fits in part.
    let _ = fs::write(&ballast, vec![0; 300 << 10]);
    let mut answered = 1;
    until("a refusal", || {
        let (status, _) = mint(&service, 1);
        answered += usize::from(status == 200);
        status != 200
    });
    is_refused(&service, "full");
    judging_goes_on(&service, &minted);
    // Nothing half written is left for a reader.
    let path = small.join("journal.jsonl");
    assert_eq!(of_kind(&records(&path), "call").len(), answered);
    fs::remove_file(&ballast).unwrap();
    recovers(&service);
    tells_of(&path, "full");
    assert!(metric(&service, "countersign_journal_errors_total{kind=\"full\"}") > 0.0);
    assert!(metric(&service, "countersign_journal_fault{kind=\"full\"}") < 1.0);
    let dir = stop(service);
    holds(dir.path(), &["small/journal.jsonl"], &[]);
}

/// A file that is open for writing keeps its mount writable, so that this can only be so from the start.
#[test]
fn a_read_only_mount_keeps_the_service_from_starting_and_is_named() {
    let dir = folder(&config("").replace("journal.jsonl", "small/journal.jsonl"));
    let small = dir.path().join("small");
    let Some(mount) = Mount::tmpfs(&small, "size=1m") else { return skipped("mount, as root") };
    for made_before in [false, true] {
        mount.remount("ro");
        let config = dir.path().join("config.toml").display().to_string();
        let output = run(&["serve", "--allow-root", "--config", &config], b"");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("small/journal.jsonl") && said.contains("mounted read-only"), "{made_before} {said}");
        assert!(said.contains("remount it writable, or set journal.path"), "{said}");
        mount.remount("rw");
        if !made_before {
            fs::write(small.join("journal.jsonl.lock"), "").unwrap();
            let journal = small.join("journal.jsonl");
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(journal).unwrap();
        }
    }
    let service = Service::start_in(dir);
    mint(&service, 1);
    let dir = stop(service);
    holds(dir.path(), &["small/journal.jsonl"], &[]);
}

#[test]
fn an_input_output_error_refuses_and_recovers() {
    let service = Service::start(&config(""));
    let path = journal(service.dir.path());
    let minted = mint(&service, 1).1;
    let Some(fault) = Strace::failing(&service, "write", Some(&path)) else { return skipped("strace") };
    until("a refusal", || mint(&service, 1).0 != 200);
    is_refused(&service, "io");
    judging_goes_on(&service, &minted);
    fault.end();
    recovers(&service);
    tells_of(&path, "io");
    let dir = stop(service);
    holds(dir.path(), &["journal.jsonl"], &[]);
}

#[test]
fn a_flush_that_fails_refuses_and_recovers() {
    let service = Service::start(&config(""));
    let path = journal(service.dir.path());
    mint(&service, 1);
    let Some(fault) = Strace::failing(&service, "fdatasync", None) else { return skipped("strace") };
    until("a refusal", || mint(&service, 1).0 != 200);
    is_refused(&service, "io");
    fault.end();
    recovers(&service);
    tells_of(&path, "io");
    let dir = stop(service);
    holds(dir.path(), &["journal.jsonl"], &[]);
}

#[test]
fn a_deleted_file_refuses_until_somebody_says_to_begin_a_new_one() {
    let service = Service::start(&config(""));
    let path = journal(service.dir.path());
    let minted = mint(&service, 1).1;
    fs::remove_file(&path).unwrap();
    until("a refusal", || mint(&service, 1).0 != 200);
    is_refused(&service, "deleted");
    judging_goes_on(&service, &minted);
    assert!(!path.exists(), "nothing is made by itself");
    service.signal("HUP");
    recovers(&service);
    let all = records(&path);
    assert_eq!((&all[0]["kind"], &all[0]["why"]), (&json!("opening"), &json!("deleted")));
    assert!(all[0]["seq"].as_u64().unwrap() > 2, "the numbers go on, so that the hole shows: {}", all[0]);
    tells_of(&path, "deleted");
    let dir = stop(service);
    assert!(holds(dir.path(), &["journal.jsonl"], &[]).contains("it begins with record"));
}

#[test]
fn another_file_in_its_place_is_never_written_to() {
    let service = Service::start(&config(""));
    let (path, aside) = (journal(service.dir.path()), service.dir.path().join("aside"));
    mint(&service, 1);
    fs::rename(&path, &aside).unwrap();
    // Where the new file was quicker, it is the one that is moved away.
    while OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).is_err() {
        fs::rename(&path, service.dir.path().join("between")).unwrap();
    }
    until("a refusal", || mint(&service, 1).0 != 200);
    is_refused(&service, "replaced");
    service.signal("HUP");
    service.await_log("reload refused", 1);
    is_refused(&service, "replaced");
    assert_eq!(fs::read(&path).unwrap(), b"");
    fs::remove_file(&path).unwrap();
    recovers(&service);
    tells_of(&path, "replaced");
    let between = service.dir.path().join("between").exists();
    let dir = stop(service);
    let files: &[&str] = if between { &["aside", "between", "journal.jsonl"] } else { &["aside", "journal.jsonl"] };
    holds(dir.path(), files, &[]);
}

#[test]
fn a_file_that_others_write_to_or_cut_is_not_gone_on_with() {
    for cut in [false, true] {
        let service = Service::start(&config(""));
        let path = journal(service.dir.path());
        mint(&service, 1);
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        if cut {
            file.set_len(10).unwrap();
        } else {
            std::io::Write::write_all(&mut &file, b"foreign\n").unwrap();
        }
        until("a refusal", || mint(&service, 1).0 != 200);
        is_refused(&service, "altered");
        fs::rename(&path, service.dir.path().join("altered")).unwrap();
        recovers(&service);
        let dir = stop(service);
        holds(dir.path(), &["journal.jsonl"], &[]);
        assert_eq!(verify(dir.path(), &["altered", "journal.jsonl"], &[]).status.code(), Some(1));
    }
}

#[test]
fn a_pipe_that_nobody_reads_refuses_in_time_and_recovers() {
    let dir = folder(&config("wait_ms = 50").replace("journal.jsonl", "pipe"));
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap().success());
    let output =
        Command::new(BINARY).args(["serve", "--allow-root", "--config"]).arg(dir.path().join("config.toml")).output();
    let said = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    assert!(said.contains("nobody reads this pipe"), "{said}");

    let mut reader = OpenOptions::new().read(true).write(true).custom_flags(0o4000).open(&pipe).unwrap();
    let service = Service::start_in(dir);
    let minted = mint(&service, 1).1;
    let mut slowest = Duration::ZERO;
    let mut answered = 1;
    until("a refusal", || {
        let begin = Instant::now();
        let (status, _) = mint(&service, 1);
        slowest = slowest.max(begin.elapsed());
        answered += usize::from(status == 200);
        status != 200
    });
    // The call's own deadline is 2 s: what refused it was the journal's.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    is_refused(&service, "stuck");
    judging_goes_on(&service, &minted);
    let mut read = Vec::new();
    let mut step = [0; 16384];
    until("minting again", || {
        while let Ok(more) = reader.read(&mut step) {
            read.extend_from_slice(&step[..more]);
        }
        mint(&service, 1).0 == 200
    });
    let dir = stop(service);
    while let Ok(more) = reader.read(&mut step) {
        read.extend_from_slice(&step[..more]);
    }
    fs::write(dir.path().join("shipped"), &read).unwrap();
    let all = records(&dir.path().join("shipped"));
    assert!(of_kind(&all, "call").len() > answered && of_kind(&all, "fault")[0]["fault"] == "stuck");
    holds(dir.path(), &["shipped"], &[]);
}

/// Stuck for good, it still ends.
#[test]
fn a_stuck_journal_does_not_hold_up_the_end() {
    let dir =
        folder(&config("wait_ms = 50").replace("journal.jsonl", "pipe").replace("[http]", "drain = \"1s\"\n[http]"));
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap().success());
    let reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let service = Service::start_in(dir);
    until("a refusal", || mint(&service, 1).0 != 200);
    service.signal("TERM");
    assert_eq!(service.wait().0.code(), Some(0));
    drop(reader);
}
