//! Rotation by rename, with and without SIGHUP, at rest and under load.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::json;

use crate::{
    load::{Client, wrote},
    service::Service,
    tools::{config, holds, journal, metric, mint, of_kind, records, stop, until},
};

#[test]
fn a_renamed_file_is_closed_and_a_new_one_goes_on_from_it() {
    for hup in [false, true] {
        let service = Service::start(&config(""));
        let (path, aside) = (journal(service.dir.path()), service.dir.path().join("journal.jsonl.1"));
        mint(&service, 1);
        fs::rename(&path, &aside).unwrap();
        if hup {
            service.signal("HUP");
        }
        // Also without a signal, and without a call: it is looked after.
        until("the new file", || path.exists());
        mint(&service, 2);
        let (old, new) = (records(&aside), records(&path));
        assert_eq!(
            (&old.last().unwrap()["kind"], &old.last().unwrap()["why"]),
            (&json!("closing"), &json!("rotation"))
        );
        assert_eq!((&new[0]["kind"], &new[0]["why"]), (&json!("opening"), &json!("rotation")));
        assert_eq!(new[0]["seq"].as_u64().unwrap(), old.len() as u64 + 1);
        until("the metric", || metric(&service, "countersign_journal_rotations_total") > 0.0);
        let dir = stop(service);
        holds(dir.path(), &["journal.jsonl.1", "journal.jsonl"], &[]);
        holds(dir.path(), &["journal.jsonl.1"], &[]);
        let again = Service::start_in(dir);
        let dir = stop(again);
        holds(dir.path(), &["journal.jsonl.1", "journal.jsonl"], &[]);
    }
}

#[test]
fn a_signal_without_a_rename_changes_nothing() {
    let service = Service::start(&config(""));
    service.signal("HUP");
    service.await_log("reloaded", 1);
    assert_eq!(mint(&service, 1).0, 200);
    let path = journal(service.dir.path());
    assert_eq!(of_kind(&records(&path), "opening").len(), 1);
    assert_eq!(of_kind(&records(&path), "closing").len(), 0);
}

#[test]
fn rotation_under_load_loses_nothing() {
    let service = Service::start(&config("seal_records = 50"));
    let path = journal(service.dir.path());
    let stop_it = AtomicBool::new(false);
    let socket = service.socket();
    let mut files = Vec::new();
    let answered: BTreeSet<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|n| {
                let (socket, stop_it) = (&socket, &stop_it);
                scope.spawn(move || {
                    let mut client = Client::connect(socket).unwrap();
                    let mut ids = Vec::new();
                    while !stop_it.load(Ordering::Relaxed) {
                        let id = format!("rotating-{n}-{}", ids.len());
                        assert_eq!(client.mint(&id).unwrap(), 200);
                        ids.push(id);
                    }
                    ids
                })
            })
            .collect();
        for n in 1..=8 {
            until("some records", || wrote(&path, 20));
            let name = format!("journal.jsonl.{n}");
            fs::rename(&path, service.dir.path().join(&name)).unwrap();
            if n % 2 == 0 {
                service.signal("HUP");
            }
            until("the new file", || path.exists());
            files.push(name);
        }
        stop_it.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let dir = stop(service);
    files.push("journal.jsonl".into());
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    holds(dir.path(), &names, &[]);
    let recorded: BTreeSet<String> = names
        .iter()
        .flat_map(|name| records(&dir.path().join(name)))
        .filter_map(|record| record["request"].as_str().map(str::to_owned))
        .collect();
    assert!(answered.len() > 100);
    assert_eq!(answered.difference(&recorded).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn tail_follows_across_a_rotation() {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };
    let service = Service::start(&config(""));
    let path = journal(service.dir.path());
    mint(&service, 1);
    let mut tail = Command::new(crate::service::BINARY)
        .args(["audit", "tail", "--output", "json", "-n", "1"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = || serde_json::from_str::<serde_json::Value>(&lines.next().unwrap()).unwrap();
    assert_eq!(next()["seq"], 2);
    fs::rename(&path, service.dir.path().join("journal.jsonl.1")).unwrap();
    until("the new file", || path.exists());
    mint(&service, 2);
    for (seq, kind) in [(3, "closing"), (4, "opening"), (5, "call")] {
        let record = next();
        assert_eq!((&record["seq"], &record["kind"]), (&json!(seq), &json!(kind)));
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
}
