//! Nothing that a login carries is found in what the service writes: log, metrics, journal and ledger.

use std::fs;

use serde_json::json;

use crate::{
    asking::{JANE, begun, completing, config, folder, logged_in, ok, post, resolved, start},
    hub::{Fault, Hub, LOGIN_TOKEN, LOGIN_TOKEN_ENCODED},
    service::base64,
};

const PAYLOAD: &[u8] = b"refresh-token";

#[test]
fn nothing_of_a_login_is_found_in_what_the_service_writes() {
    let hub = Hub::open();
    let dir = folder(&hub, "generation = 1");
    let talkative = format!("[log]\nlevel = \"trace\"\nformat = \"json\"\n{}", config(&hub, "generation = 1", "20s"));
    fs::write(dir.path().join("config.toml"), talkative).unwrap();
    let service = start(dir);
    logged_in(&service, &hub.authenticate_1(), JANE);
    resolved(&service, LOGIN_TOKEN);
    let state = begun(&service, &hub.authenticate_1());
    for fault in [Fault::Answer(500, format!("{LOGIN_TOKEN} {JANE}")), Fault::Truncated, Fault::HangUp] {
        hub.misbehaves(fault);
        post(&service, "CompleteLogin", &completing(&state, JANE));
    }
    hub.behaves();
    let two = json!({"app": "other", "authenticateUrl": hub.authenticate_2("planted-session-55d1")});
    let begun_two = ok(&service, "BeginLogin", &two)["loginState"].as_str().unwrap().to_owned();
    let mut complete = completing(&begun_two, JANE);
    complete["app"] = json!("other");
    let done = ok(&service, "CompleteLogin", &complete);
    hub.browse(done["redirectUrl"].as_str().unwrap());
    let auth = hub.kept(JANE).unwrap();
    let renew = json!({"app": "other", "username": JANE, "auth": auth, "callback": done["callback"]});
    let renewed = ok(&service, "RenewAuth", &renew)["auth"].as_str().unwrap().to_owned();
    post(&service, "RenewAuth", &json!({"app": "other", "username": JANE, "auth": auth, "callback": LOGIN_TOKEN}));
    post(&service, "NotifyUpdate", &json!({"app": "other", "username": JANE}));

    let mut planted: Vec<String> = [
        LOGIN_TOKEN,
        LOGIN_TOKEN_ENCODED,
        JANE,
        "jane%2Bhub",
        "planted-session-55d1",
        &state,
        &begun_two,
        &auth,
        &renewed,
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    planted.extend(
        hub.heard()
            .iter()
            .filter(|heard| heard.method == "POST" && !heard.body.is_empty())
            .map(|heard| heard.json()["auth"].as_str().unwrap().to_owned()),
    );
    planted.extend([String::from_utf8(PAYLOAD.into()).unwrap(), base64(PAYLOAD)]);
    let (_, metrics) = service.http("/metrics");
    assert!(metrics.contains("countersign_outbound_calls_total"), "{metrics}");
    let (_, ready) = service.http("/readyz?verbose");
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    let mut searched = vec![("metrics".to_owned(), metrics.into_bytes()), ("readyz".to_owned(), ready.into_bytes())];
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() && name != "config.toml" {
            searched.push((name, fs::read(path).unwrap()));
        }
    }
    assert!(
        ["log", "journal.jsonl", "ledger.sqlite"]
            .iter()
            .all(|name| searched.iter().any(|(there, bytes)| there == name && !bytes.is_empty()))
    );
    for (name, bytes) in &searched {
        for secret in &planted {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{name} has {secret}");
        }
    }
}
