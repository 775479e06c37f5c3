//! `kill -9` in the middle of it, again and again: what was answered is in the journal, and the chain goes on.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::json;

use crate::{
    load::Client,
    service::{Service, folder},
    tools::{config, holds, journal, mint, of_kind, records, stop, until},
};

const KILLS: u64 = 50;

#[test]
fn nothing_that_was_answered_is_missing_after_fifty_kills() {
    let mut dir = folder(&config("seal_records = 20"));
    let mut answered = BTreeSet::new();
    for round in 0..KILLS {
        let service = Service::start_in(dir);
        let socket = service.socket();
        let done = AtomicUsize::new(0);
        let ids: Vec<String> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..3)
                .map(|n| {
                    let (socket, done) = (&socket, &done);
                    scope.spawn(move || {
                        let mut ids = Vec::new();
                        let Ok(mut client) = Client::connect(socket) else { return ids };
                        for count in 0.. {
                            let id = format!("kill-{round}-{n}-{count}");
                            match client.mint(&id) {
                                Ok(200) => ids.push(id),
                                // Refused is not granted; that takes a disk slower than a call waits.
                                Ok(_) => {}
                                Err(_) => break,
                            }
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        ids
                    })
                })
                .collect();
            // Killed at another moment each time: after so many answers, and some microseconds.
            until("answers", || done.load(Ordering::Relaxed) as u64 >= 5 + round % 40);
            std::thread::sleep(Duration::from_micros(round * 37 % 900));
            service.signal("KILL");
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        answered.extend(ids);
        dir = service.wait().2;
    }
    let dir = stop(Service::start_in(dir));
    let said = holds(dir.path(), &["journal.jsonl"], &[]);
    assert!(said.contains(&format!("{KILLS} times the service was started without having stopped cleanly")), "{said}");
    let all = records(&journal(dir.path()));
    assert_eq!(of_kind(&all, "opening").iter().filter(|record| record["clean"] == json!(false)).count() as u64, KILLS);
    let recorded: BTreeSet<String> =
        all.iter().filter_map(|record| record["request"].as_str().map(str::to_owned)).collect();
    assert!(answered.len() > 250, "{}", answered.len());
    assert_eq!(answered.difference(&recorded).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// What a write that was cut short leaves behind, made by hand at every length.
#[test]
fn a_torn_tail_is_cut_off_and_reported() {
    let service = Service::start(&config(""));
    mint(&service, 1);
    service.signal("KILL");
    let mut dir = service.wait().2;
    let path = journal(dir.path());
    for torn in [1, 30, 110, 400] {
        let whole = records(&path).len();
        let line = format!("{{\"seq\":{},\"prev\":\"{}\",\"time\":1,{}", whole + 1, "0".repeat(64), "x".repeat(400));
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&line.as_bytes()[..torn]).unwrap();
        let service = Service::start_in(dir);
        let opening = records(&path).remove(whole);
        assert_eq!(
            (&opening["kind"], &opening["torn"], &opening["clean"]),
            (&json!("opening"), &json!(torn), &json!(false))
        );
        service.await_log(&format!("{torn} bytes, was cut off"), 1);
        assert_eq!(mint(&service, 2).0, 200);
        service.signal("KILL");
        dir = service.wait().2;
        holds(dir.path(), &["journal.jsonl"], &["--live"]);
    }
}
