//! A clock that is set back or forward: the sequence numbers hold the order, and the journal goes on.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    service::{BINARY, Service, folder},
    tools::{config, holds, is_there, journal, mint, of_kind, records, skipped, stop},
};

#[test]
fn steps_of_the_clock_are_told_and_break_nothing() {
    if !is_there("faketime") {
        return skipped("faketime");
    }
    let library = Command::new("sh").args(["-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1"]).output().unwrap();
    let library = String::from_utf8(library.stdout).unwrap().trim().to_owned();
    let dir = folder(&config(""));
    let time = dir.path().join("time");
    fs::write(&time, "+0").unwrap();
    let child = Command::new(BINARY)
        .args(["serve", "--allow-root", "--config"])
        .arg(dir.path().join("config.toml"))
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &time)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let service = Service::attach(dir, child);
    for step in ["+10d", "+9d", "+40d", "+10d"] {
        fs::write(&time, step).unwrap();
        // A step forward goes past what the ledger knows that keys may issue, until it has been told more.
        let until = Instant::now() + Duration::from_secs(30);
        let mut answer = mint(&service, 1);
        while answer.0 == 503 && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
            answer = mint(&service, 1);
        }
        assert_eq!(answer.0, 200, "at {step}");
    }
    let dir = stop(service);
    let all = records(&journal(dir.path()));
    let calls = of_kind(&all, "call");
    let minted = calls.iter().filter(|call| call["outcome"] == "OK");
    let times: Vec<i64> = minted.map(|call| call["time"].as_i64().unwrap()).collect();
    assert!(times[1] < times[0] - 80_000 && times[2] > times[1] + 2_000_000 && times[3] < times[2], "{times:?}");
    let said = holds(dir.path(), &["journal.jsonl"], &[]);
    assert!(said.contains("2 times the clock went back, by 25"), "{said}");
}
