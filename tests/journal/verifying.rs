//! `audit verify` on what somebody did to a journal, and what it says and exits with.

use std::{fs, path::Path};

use crate::{
    service::{Service, run, stderr, stdout},
    tools::{config, holds, journal, mint, records, stop, verify},
};

/// Two runs of the service, some calls and seals each.
fn made() -> tempfile::TempDir {
    let mut service = Service::start(&config("seal_records = 3"));
    for round in 0..2 {
        for n in 1..=5 {
            mint(&service, n);
        }
        if round == 0 {
            let dir = stop(service);
            service = Service::start_in(dir);
        }
    }
    stop(service)
}

fn lines(at: &Path) -> Vec<String> {
    fs::read_to_string(journal(at)).unwrap().lines().map(str::to_owned).collect()
}

fn finds(at: &Path, lines: &[String], words: &[&str]) {
    fs::write(at.join("changed"), lines.join("\n") + "\n").unwrap();
    let output = verify(at, &["changed"], &[]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{said}{}", stderr(&output));
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert!(said.trim_end().lines().last().unwrap().starts_with("NOT OK"), "{said}");
}

#[test]
fn edits_reorderings_gaps_and_cuts_are_found_and_placed() {
    let dir = made();
    let at = dir.path();
    holds(at, &["journal.jsonl"], &[]);
    let whole = lines(at);
    let mut edited = whole.clone();
    edited[3] = edited[3].replace("\"outcome\":\"OK\"", "\"outcome\":\"NO\"");
    assert_ne!(edited, whole);
    finds(at, &edited, &["changed: line 5: does not follow from the record before", "NOT OK: 1 problem"]);
    let mut swapped = whole.clone();
    swapped.swap(2, 3);
    finds(at, &swapped, &["line 3: a gap: record 3 is due, and 4 is there", "line 4: out of order"]);
    let mut removed = whole.clone();
    removed.remove(4);
    finds(at, &removed, &["line 5: a gap: record 5 is due, and 6 is there"]);
    finds(at, &whole[..whole.len() - 1], &["no closing record at the end"]);
    let mut nonsense = whole.clone();
    nonsense.insert(4, "{}".into());
    finds(at, &nonsense, &["line 5: no record"]);
    let (mac, zeros) = (&whole[0][whole[0].len() - 66..], format!("{}\"}}", "0".repeat(64)));
    let mut forged = whole.clone();
    forged[0] = forged[0].replace(mac, &zeros);
    finds(at, &forged, &["line 1: the seal is not of this key", "line 2: does not follow"]);
}

#[test]
fn a_cut_back_to_a_closing_record_shows_only_against_a_head() {
    let dir = made();
    let at = dir.path();
    let whole = lines(at);
    let first_end = whole.iter().position(|line| line.contains("\"kind\":\"closing\"")).unwrap();
    let head = holds(at, &["journal.jsonl"], &[]);
    let head = head.split("the head is ").nth(1).unwrap().lines().next().unwrap().to_owned();
    fs::write(at.join("cut"), whole[..=first_end].join("\n") + "\n").unwrap();
    holds(at, &["cut"], &[]);
    let output = verify(at, &["cut"], &["--head", &head]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("does not contain the given head"), "{}", stdout(&output));
    holds(at, &["journal.jsonl"], &["--head", &head]);
}

#[test]
fn without_the_key_the_chain_alone_is_judged_and_that_is_not_enough() {
    let dir = made();
    let file = journal(dir.path()).display().to_string();
    let output = run(&["audit", "verify", &file], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("NOT CHECKED"), "{}", stdout(&output));
    let path = |name: &str| dir.path().join(name).display().to_string();
    let keyed = run(&["audit", "verify", &file, "--keyring", &path("keyring"), "--kek-file", &path("kek")], b"");
    assert_eq!(keyed.status.code(), Some(0), "{}", stdout(&keyed));
    let json = run(&["audit", "verify", &file, "--config", &path("config.toml"), "--output", "json"], b"");
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["ok"], json["records"].as_str()), (&true.into(), Some(&*lines(dir.path()).len().to_string())));
    for (args, word) in [
        (vec!["audit", "verify", "/nonexistent"], "cannot be read"),
        (vec!["audit", "verify", &file, "--head", "7"], "SEQ:HASH"),
        (vec!["audit", "verify", &file, "--keyring", "x"], "--kek-file"),
        (vec!["audit", "verify"], "FILE"),
    ] {
        let output = run(&args, b"");
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
}

#[test]
fn a_large_journal_shows_how_far_it_is() {
    let dir = made();
    // The same line again and again: nothing follows from anything, but it has to be read.
    let line = fs::read_to_string(journal(dir.path())).unwrap().lines().nth(1).unwrap().to_owned() + "\n";
    fs::write(dir.path().join("large"), line.repeat((66 << 20) / line.len())).unwrap();
    let output = verify(dir.path(), &["large"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("50 % of") && said.contains("MB/s"), "{said}");
    assert!(stdout(&output).contains("and ") && stdout(&output).lines().count() < 120);
    assert!(records(&journal(dir.path())).len() > 10);
}
