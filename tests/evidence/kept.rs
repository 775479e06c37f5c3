//! Rows of the ledger while the service runs, after it stopped, and after it was killed.

use std::fs;

use serde_json::json;

use crate::{
    row,
    service::{CONFIG, Service, now},
    until, used,
};

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// What the service stores ahead.
const AHEAD: i64 = 6 * HOUR;
const SEALS_AHEAD: u64 = 1 << 20;

fn mint(service: &Service, ttl: i64) -> (u16, serde_json::Value) {
    service.post("MintHash", &json!({"domain": "jobs.example.com", "client": 1, "ttl": ttl}))
}

#[test]
fn it_is_stored_ahead_while_it_runs_and_exactly_once_it_stopped() {
    let service = Service::start(CONFIG);
    let (begun, at) = (now(), service.dir.path().to_owned());
    // Before the first call: as far as the app and the domain can issue, and further.
    let (hub, hash) = (row(&at, "acme", 1), row(&at, "jobs", 1));
    assert_eq!((hub.seals, hub.first_mint, hub.last_mint), (SEALS_AHEAD, None, None));
    let ahead = |row: &countersign::ledger::UsageRow, ttl| row.latest_expiry.unwrap() - (begun + ttl + AHEAD);
    assert!((-5..=5).contains(&ahead(&hub, 400 * DAY)), "{hub:?}");
    assert!((-5..=5).contains(&ahead(&hash, HOUR)), "{hash:?}");
    assert!(hub.known_since.is_some_and(|since| (begun - 60..=begun).contains(&since)));

    for _ in 0..3 {
        service.seal(b"p", "j");
    }
    let sealed = service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": ""}));
    let expires: i64 = sealed["expiresAt"].as_str().unwrap().parse().unwrap();
    service.open(sealed["auth"].as_str().unwrap(), "j");
    mint(&service, 60);
    service.signal("TERM");
    let (status, _, dir) = service.wait();
    assert!(status.success());
    let (hub, hash) = (row(dir.path(), "acme", 1), row(dir.path(), "jobs", 1));
    assert_eq!((hub.seals, hub.latest_expiry, hash.seals), (4, Some(expires), 0));
    assert!(hash.latest_expiry.is_some_and(|at| (begun + 60..begun + 90).contains(&at)), "{hash:?}");
    for (time, what) in [(hub.first_mint, "sealed"), (hub.last_verify, "opened"), (hash.last_mint, "minted")] {
        assert!(time.is_some_and(|at| (begun..begun + 30).contains(&at)), "{what}: {time:?}");
    }
    assert_eq!((hash.first_verify, hash.last_verify), (None, None));

    // The next one goes on from there.
    let service = Service::start_in(dir);
    service.seal(b"p", "j");
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    let after = row(dir.path(), "acme", 1);
    assert_eq!((after.seals, after.first_mint, after.known_since), (5, hub.first_mint, hub.known_since));
}

#[test]
fn a_killed_service_leaves_too_much_and_never_too_little() {
    let mut dir = crate::service::folder(CONFIG);
    let (mut sealed, mut latest) = (0, 0);
    for round in 1..=5 {
        let service = Service::start_in(dir);
        for _ in 0..round {
            let answer = service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": ""}));
            latest = answer["expiresAt"].as_str().unwrap().parse().unwrap();
            sealed += 1;
        }
        service.signal("KILL");
        dir = service.wait().2;
        let hub = row(dir.path(), "acme", 1);
        assert!(hub.seals >= sealed && hub.seals <= round * SEALS_AHEAD + sealed, "{hub:?} after {sealed} seals");
        let expiry = hub.latest_expiry.unwrap();
        assert!(expiry >= latest && expiry <= now() + 400 * DAY + 2 * AHEAD, "{hub:?}");
    }
}

#[test]
fn a_version_that_was_replaced_keeps_nothing_ahead_and_two_services_on_one_ledger_add_up() {
    let service = Service::start(CONFIG);
    let at = service.dir.path();
    // The second, with its own sockets, on the same keyring and ledger.
    let second = crate::service::folder(CONFIG);
    for file in ["keyring", "kek", "keyring.generation"] {
        let _ = fs::remove_file(second.path().join(file));
        fs::copy(at.join(file), second.path().join(file)).unwrap();
    }
    let shared = CONFIG.replace("path = \"ledger.sqlite\"", &format!("path = \"{}/ledger.sqlite\"", at.display()));
    fs::write(second.path().join("config.toml"), shared).unwrap();
    let second = Service::start_in(second);
    assert_eq!(used(at, "acme", 1).iter().map(|row| row.seals).sum::<u64>(), 2 * SEALS_AHEAD);
    for _ in 0..2 {
        service.seal(b"p", "j");
        second.seal(b"p", "j");
    }
    second.seal(b"p", "j");
    second.signal("TERM");
    assert!(second.wait().0.success());
    let mut seals: Vec<_> = used(at, "acme", 1).iter().map(|row| row.seals).collect();
    seals.sort_unstable();
    assert_eq!(seals, [3, SEALS_AHEAD], "the one that stopped is exact, the other ahead");
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    assert_eq!(used(dir.path(), "acme", 1).iter().map(|row| row.seals).sum::<u64>(), 5);
}

/// With the ledger gone the service mints as far as was stored, and not beyond; once it is back, it goes on by itself.
#[test]
fn nothing_is_issued_beyond_what_the_ledger_holds() {
    let service = Service::start(CONFIG);
    let at = service.dir.path();
    let ledger = at.join("ledger.sqlite");
    fs::rename(&ledger, at.join("away")).unwrap();
    let longer = CONFIG.replace("key = \"jobs\"", "key = \"jobs\"\nmax_ttl = \"24h\"");
    fs::write(at.join("config.toml"), &longer).unwrap();
    service.signal("HUP");
    service.await_log("reloaded", 1);
    assert!(service.log().contains("the ledger does not take how far keys may be used"), "{}", service.log());
    // An hour and six were stored before.
    assert_eq!(mint(&service, 6 * HOUR).0, 200);
    let (status, answer) = mint(&service, 23 * HOUR);
    assert_eq!((status, crate::service::reason_of(&answer)), (503, "LEDGER_UNAVAILABLE".to_owned()), "{answer}");
    assert!(crate::service::detail_text(&answer, "google.rpc.RetryInfo").len() > 1, "{answer}");
    service.seal(b"p", "j");

    fs::rename(at.join("away"), &ledger).unwrap();
    until("it mints again", || mint(&service, 23 * HOUR).0 == 200);
    assert!(row(at, "jobs", 1).latest_expiry.unwrap() >= now() + 23 * HOUR);
}

#[test]
fn a_new_version_issues_at_once_and_what_is_set_aside_is_settled() {
    let service = Service::start(CONFIG);
    let at = service.dir.path();
    service.seal(b"p", "j");
    crate::service::keys(
        at,
        &["import", "--key", "acme", "--kind", "hat1", "--encoding", "hex"],
        "77".repeat(32).as_bytes(),
    );
    service.signal("HUP");
    service.await_log("reloaded", 1);
    assert_eq!(service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": ""}))["keyVersion"], 2);
    let (old, new) = (row(at, "acme", 1), row(at, "acme", 2));
    assert_eq!(new.seals, SEALS_AHEAD);
    assert!(old.seals >= 1 && new.known_since.unwrap() <= now(), "{old:?} {new:?}");
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    assert_eq!((row(dir.path(), "acme", 1).seals, row(dir.path(), "acme", 2).seals), (1, 1));
}
