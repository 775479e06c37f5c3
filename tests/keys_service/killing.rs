//! A service that is killed in the middle of changes: what it had answered is there afterwards, and it starts.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use countersign::grpc::proto::{CreateKeyRequest, KeyKind, ListKeysRequest};

use crate::{
    changing::writable,
    looking::admin,
    service::{self, Service},
};

/// How often it is killed, at another moment each time.
const KILLS: u64 = 25;

#[test]
fn what_was_answered_survives_a_kill_at_any_moment() {
    let mut dir = service::folder(&writable());
    let mut answered: Vec<String> = Vec::new();
    for round in 0..KILLS {
        let service = Service::start_in(dir);
        let there: Vec<String> = {
            let listed = admin(&service).list_keys(ListKeysRequest {}).unwrap();
            listed.keys.into_iter().map(|key| key.name).collect()
        };
        for name in &answered {
            assert!(there.contains(name), "{name} was answered and is gone in round {round}");
        }
        let (killed, progress) = (AtomicBool::new(false), AtomicU64::new(0));
        let made: Vec<String> = std::thread::scope(|scope| {
            let client = admin(&service);
            let working = scope.spawn(|| {
                let client = client;
                let mut made = Vec::new();
                for turn in 0.. {
                    let key = format!("r{round}-{turn}");
                    let request =
                        CreateKeyRequest { key: key.clone(), kind: KeyKind::Hat1.into(), suite: 0, activates_at: 0 };
                    match client.create_key(request) {
                        Ok(_) => {
                            made.push(key);
                            progress.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => {
                            assert!(killed.load(Ordering::SeqCst), "{error}");
                            return made;
                        }
                    }
                }
                made
            });
            // Some changes on, and somewhere within the next.
            while progress.load(Ordering::SeqCst) < round % 3 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(round * 17 % 61));
            killed.store(true, Ordering::SeqCst);
            service.signal("KILL");
            working.join().unwrap()
        });
        answered.extend(made);
        dir = service.wait().2;
        let journal = fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
        for name in &answered {
            let record = format!("\"object\":\"{name}\"");
            assert_eq!(journal.matches(&record).count(), 1, "{name}");
        }
    }
    assert!(!answered.is_empty(), "no change was answered before a kill");
}
