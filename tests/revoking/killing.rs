//! `kill -9` in the middle of it, again and again: what was answered is cut off for good, and the service starts.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::json;

use crate::{
    asking::{Client, listed},
    service::{BINARY, CONFIG, Service, folder, serve},
    tools::{stop, until},
};

const KILLS: usize = 200;
const STARTS: u64 = 25;

#[test]
fn no_revocation_that_was_answered_is_forgotten_in_two_hundred_kills() {
    let mut dir = folder(CONFIG);
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
                        for count in 0..1000 {
                            let id = format!("{round:08x}{n:08x}{count:016x}");
                            let what = if count % 2 == 0 { "tokenId" } else { "grantId" };
                            match client.ask("Revoke", &json!({"app": "acme", what: id})) {
                                Ok(200) => ids.push(id),
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
            until("answers", || done.load(Ordering::Relaxed) >= round % 20);
            std::thread::sleep(Duration::from_micros(round as u64 * 37 % 2900));
            service.signal("KILL");
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        answered.extend(ids);
        dir = service.wait().2;
    }
    let service = Service::start_in(dir);
    let all: BTreeSet<String> = listed(&service)
        .iter()
        .filter_map(|entry| entry["tokenId"].as_str().or(entry["grantId"].as_str()).map(str::to_owned))
        .collect();
    assert!(answered.len() > KILLS, "{}", answered.len());
    assert_eq!(answered.difference(&all).collect::<Vec<_>>(), Vec::<&String>::new());
    stop(service);
}

#[test]
fn a_start_that_is_killed_at_any_moment_leaves_a_ledger_that_opens() {
    let dir = folder(CONFIG);
    for round in 0..STARTS {
        let mut child = serve(Command::new(BINARY), dir.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(round * 4_300));
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 5 == 4 {
            // As at the first start.
            for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
                let _ = std::fs::remove_file(dir.path().join(name));
            }
        }
    }
    let service = Service::start_in(dir);
    service.ok("Revoke", &json!({"app": "acme", "all": true}));
    stop(service);
}
