//! Keys that are rotated by schedule, by two services on one keyring.

use std::{fs, thread, time::Duration};

use serde_json::Value;

use crate::service::{CONFIG, Service, folder, keys, stdout};

const SCHEDULE: &str = "[reload]\npoll = \"1s\"\n[[keyring.rotate]]\nkeys = [\"*\"]\nevery = \"6s\"\n";

/// A configuration of a service that may write the keyring at `at`.
fn config(at: &str) -> String {
    let shared =
        format!("[keyring]\nwritable = true\npropagation = \"3s\"\npath = \"{at}/keyring\"\nkek_file = \"{at}/kek\"");
    let own = "[keyring]\npath = \"keyring\"\nkek_file = \"kek\"";
    assert!(CONFIG.contains(own));
    CONFIG.replace(own, &shared) + SCHEDULE
}

#[test]
fn two_services_on_one_keyring_rotate_a_due_key_once_and_no_token_is_missed() {
    let home = folder("");
    let at = home.path().to_str().unwrap().to_owned();
    let services = [(); 2].map(|()| Service::start(&config(&at)));
    let rotations = || -> usize { services.iter().map(|s| s.log().matches("rotated a key by schedule").count()).sum() };
    let mut tokens: Vec<String> = Vec::new();
    let begin = std::time::Instant::now();
    while rotations() < 3 {
        assert!(begin.elapsed() < crate::service::PATIENCE * 4, "{}", services[0].log());
        for sealer in &services {
            tokens.push(sealer.seal(b"p", "j"));
        }
        for opener in &services {
            for token in tokens.iter().rev().take(6).chain(tokens.first()) {
                assert_eq!(opener.open(token, "j")["verdict"], "VERDICT_VALID", "{}", opener.log());
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    let show = |key: &str| -> Value {
        let shown = keys(home.path(), &["show", "--key", key, "--output", "json"], b"");
        serde_json::from_str(&stdout(&shown)).unwrap()
    };
    let versions = show("acme")["versions"].as_array().unwrap().clone();
    let times: Vec<i64> = versions.iter().map(|v| v["activatesAt"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(versions.len(), rotations() + 1, "each was rotated by one of the two");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 6 + 3), "{times:?}");
    assert_eq!(show("jobs")["versions"].as_array().unwrap().len(), 1, "what the vendor gave does not change by itself");

    let journals: String =
        services.iter().map(|s| fs::read_to_string(s.dir.path().join("journal.jsonl")).unwrap()).collect();
    let records = journals.lines().filter(|line| line.contains("name:schedule"));
    let records: Vec<Value> = records.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), rotations());
    for record in records {
        assert_eq!((&record["op"], &record["rule"]), (&"rotate_key".into(), &"keyring.rotate".into()), "{record}");
        assert_eq!((&record["key"], &record["outcome"]), (&"acme".into(), &"OK".into()), "{record}");
        assert!(record["version"].as_u64().unwrap() >= 2);
    }
}

#[test]
fn a_service_that_may_only_read_its_keyring_rotates_nothing() {
    let service = Service::start(&format!("{CONFIG}{}", SCHEDULE.replace("6s", "10m")));
    let before = fs::read(service.dir.path().join("keyring")).unwrap();
    let check =
        crate::service::run(&["config", "check", service.dir.path().join("config.toml").to_str().unwrap()], b"");
    let said = crate::service::stderr(&check) + &stdout(&check);
    assert!(said.contains("no key rotates by itself"), "{said}");
    assert_eq!(fs::read(service.dir.path().join("keyring")).unwrap(), before);
}
