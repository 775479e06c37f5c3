//! What Hub does wrong. Unless its success was read to the end, the login's grant is cut off before anybody is told; of a
//! service that was killed meanwhile, the next one cuts it off.

use serde_json::{Value, json};

use crate::{
    asking::{JANE, begun, completing, config, fails, folder, records, resolved, send, start, started},
    hub::{Fault, Hub, LOGIN_TOKEN},
    service::{PATIENCE, Service},
};

const GENERATION_1: &str = "generation = 1";

fn verdict(service: &Service, auth: &Value) -> Value {
    service.ok("Verify", &json!({"app": "acme", "auth": auth, "username": JANE}))["verdict"].clone()
}

#[test]
fn an_answer_that_is_no_success_revokes_the_grant_and_says_so() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    let state = begun(&service, &hub.authenticate_1());
    let elsewhere = "https://evil.example/phish";
    let faults = [
        Fault::Answer(500, "{\"url\":\"https://x\"}".into()),
        Fault::Answer(401, "{\"message\":\"not authenticated\"}".into()),
        Fault::Answer(200, "<html>welcome</html>".into()),
        Fault::Answer(200, "{}".into()),
        Fault::Answer(200, "{\"url\":7}".into()),
        Fault::Answer(200, json!({"url": elsewhere}).to_string()),
        Fault::Answer(200, json!({"url": format!("{}@evil.example/", hub.origin())}).to_string()),
        Fault::Answer(200, json!({"url": "javascript:alert(1)"}).to_string()),
        Fault::Answer(200, format!("{{\"url\":\"{}/x\",\"pad\":\"{}\"}}", hub.origin(), "x".repeat(70_000))),
        Fault::Redirect(format!("{}/success", hub.origin())),
        Fault::Truncated,
        Fault::HangUp,
    ];
    let count = faults.len();
    for fault in faults {
        hub.misbehaves(fault.clone());
        let said = fails(&service, "CompleteLogin", &completing(&state, JANE), "unknown", "DELIVERY_UNCERTAIN", "");
        assert!(said.contains("log in anew") && !said.contains("evil"), "{fault:?}: {said}");
        let sent = hub.heard().pop().unwrap();
        assert_eq!(verdict(&service, &sent.json()["auth"]), "VERDICT_REVOKED", "{fault:?}");
        assert_eq!(resolved(&service, LOGIN_TOKEN)["found"], Value::Null, "{fault:?}");
    }
    assert_eq!(hub.heard().len(), count, "nothing is sent twice");
    let records = records(service.dir.path(), "complete_login");
    assert_eq!(records.len(), 2 * count, "each was granted, and came to nothing");
    for pair in records.chunks(2) {
        assert_eq!((&pair[0]["outcome"], &pair[1]["reason"]), (&json!("OK"), &json!("DELIVERY_UNCERTAIN")));
        assert_eq!((&pair[0]["token"], &pair[0]["request"]), (&pair[1]["token"], &pair[1]["request"]));
    }
    hub.behaves();
    let done = crate::asking::ok(&service, "CompleteLogin", &completing(&state, JANE));
    assert_eq!(verdict(&service, &json!(hub.kept(JANE))), "VERDICT_VALID", "{done}");
}

#[test]
fn a_hub_that_is_too_slow_leaves_the_login_in_doubt() {
    let hub = Hub::open();
    let dir = folder(&hub, GENERATION_1);
    std::fs::write(dir.path().join("config.toml"), config(&hub, GENERATION_1, "2s")).unwrap();
    let service = start(dir);
    let state = begun(&service, &hub.authenticate_1());
    hub.misbehaves(Fault::Silent);
    fails(&service, "CompleteLogin", &completing(&state, JANE), "unknown", "DELIVERY_UNCERTAIN", "");
    assert_eq!(verdict(&service, &hub.heard()[0].json()["auth"]), "VERDICT_REVOKED");
    hub.behaves();
}

#[test]
fn a_hub_that_is_not_there_is_unavailable_and_has_heard_nothing() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    // A port that nobody has.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = std::fs::read_to_string(service.dir.path().join("config.toml")).unwrap();
    let text = text.replace(&hub.origin(), &format!("http://127.0.0.1:{gone}"));
    std::fs::write(service.dir.path().join("config.toml"), text).unwrap();
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    std::fs::remove_file(dir.path().join("log")).unwrap();
    let service = start(dir);
    let url = hub.authenticate_1().replace(&hub.origin().rsplit(':').next().unwrap().to_owned(), &gone.to_string());
    let state = begun(&service, &url);
    fails(&service, "CompleteLogin", &completing(&state, JANE), "unavailable", "VENDOR_UNREACHABLE", "");
    assert_eq!(resolved(&service, LOGIN_TOKEN)["found"], Value::Null);
    assert_eq!(service.ok("ListRevocations", &json!({"app": "acme"}))["revocations"].as_array().unwrap().len(), 1);
}

#[test]
fn a_caller_who_leaves_changes_nothing() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    let state = begun(&service, &hub.authenticate_1());
    hub.misbehaves(Fault::Silent);
    let waiting = send(&service, "CompleteLogin", &completing(&state, JANE));
    hub.await_heard(1);
    drop(waiting);
    // Let go, Hub hangs up without an answer.
    hub.behaves();
    let auth = &hub.heard()[0].json()["auth"];
    let begin = std::time::Instant::now();
    while verdict(&service, auth) != "VERDICT_REVOKED" {
        assert!(begin.elapsed() < PATIENCE, "not cut off: {}", service.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// What is killed between its request and Hub's answer has told the ledger by when it had to know.
#[test]
fn a_service_that_is_killed_in_between_leaves_word_of_it_to_the_next() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    let state = begun(&service, &hub.authenticate_1());
    hub.misbehaves(Fault::Silent);
    let waiting = send(&service, "CompleteLogin", &completing(&state, JANE));
    hub.await_heard(1);
    service.signal("KILL");
    let (_, _, dir) = service.wait();
    drop(waiting);
    hub.behaves();
    // As if the time had passed; the row's check value is made anew, as docs/formats.md says.
    let ledger = rusqlite::Connection::open(dir.path().join("ledger.sqlite")).unwrap();
    pass(&ledger);
    drop(ledger);
    std::fs::remove_file(dir.path().join("log")).unwrap();
    let service = start(dir);
    let auth = &hub.heard()[0].json()["auth"];
    let begin = std::time::Instant::now();
    while verdict(&service, auth) != "VERDICT_REVOKED" {
        assert!(begin.elapsed() < PATIENCE, "not cut off: {}", service.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(resolved(&service, LOGIN_TOKEN)["found"], Value::Null);
    service.await_log("nobody knows whether Hub has the token", 1);
}

/// Makes the one binding due.
fn pass(ledger: &rusqlite::Connection) {
    type Row = (String, Vec<u8>, Vec<u8>, Vec<u8>, i64, i64, i64);
    let (app, digest, grant, name, bound_at, issued_at, ends): Row = ledger
        .query_row(
            "SELECT apps.name, digest, grant_id, bindings.name, bound_at, issued_at, ends FROM bindings JOIN apps ON apps.id = app WHERE due > 0",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?)),
        )
        .unwrap();
    let due = 1_i64;
    let mut crc = crc32fast::Hasher::new();
    for part in [
        app.as_bytes(),
        &digest,
        &grant,
        &name,
        &bound_at.to_be_bytes(),
        &issued_at.to_be_bytes(),
        &ends.to_be_bytes(),
        &due.to_be_bytes(),
    ] {
        crc.update(&u32::try_from(part.len()).unwrap().to_be_bytes());
        crc.update(part);
    }
    ledger.execute("UPDATE bindings SET due = ?1, crc = ?2", rusqlite::params![due, crc.finalize()]).unwrap();
}

#[test]
fn without_a_ledger_generation_1_does_not_begin() {
    let hub = Hub::open();
    let dir = folder(&hub, GENERATION_1);
    let text = config(&hub, GENERATION_1, "20s").replace("path = \"ledger.sqlite\"", "path = \"\"");
    std::fs::write(dir.path().join("config.toml"), text).unwrap();
    let service = start(dir);
    let begin = json!({"app": "acme", "authenticateUrl": hub.authenticate_1()});
    fails(&service, "BeginLogin", &begin, "failed_precondition", "NO_LEDGER", "");
    let whose = json!({"app": "acme", "hubLoginToken": LOGIN_TOKEN});
    fails(&service, "ResolveLogin", &whose, "failed_precondition", "NO_LEDGER", "");
    // In generation 2 nothing has to be taken back.
    let two = json!({"app": "other", "authenticateUrl": hub.authenticate_2("x")});
    assert_eq!(crate::asking::ok(&service, "BeginLogin", &two)["generation"], "HUB_GENERATION_2");
}
