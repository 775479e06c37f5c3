//! Plants what a login gives, has every method asked rightly and wrongly at the most talkative log level, and searches all
//! that the process says for it.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::{
    desk::{CLIENT, Desk, asked, each},
    service::{SECRET, unbase64},
    vendor::{CREDENTIAL, PAGE, Plan, TOKEN},
};

#[test]
fn nothing_of_a_login_is_found_in_logs_metrics_errors_or_the_journal() {
    let desk = Desk::open();
    let hashes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&hashes);
    desk.vendor.watch(move |heard| kept.lock().unwrap().extend(heard.value("hash")));
    let mut said = Vec::new();
    let words = "planted-words-of-the-vendor";
    let plans = [
        Plan::Faithful,
        Plan::Answer(200, format!("{{\"url\": \"{PAGE}\", \"token\": \"\"}}").into_bytes()),
        Plan::Answer(200, format!("{{\"a\": \"{CREDENTIAL}\", \"b\": 1}}").into_bytes()),
        Plan::Answer(500, format!("{{\"error\": \"{words}\"}}").into_bytes()),
        Plan::Answer(403, format!("{TOKEN} {words}").into_bytes()),
        Plan::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{CREDENTIAL}").into_bytes()),
        Plan::Raw(format!("HTTP/1.1 302 Found\r\nLocation: {PAGE}\r\n\r\n").into_bytes()),
        Plan::Breaks(3),
    ];
    for (at, plan) in plans.into_iter().enumerate() {
        desk.vendor.plan(plan);
        for (method, request) in each() {
            let (status, answer) = desk.call(method, &request);
            // What it says of its own accord is what it says to whoever asked: of what was sent, nothing is passed on.
            if status != 200 && (at != 4 || method == "CompleteInfo") {
                note(&mut said, &answer);
            }
        }
    }
    for (method, request) in [
        ("CompleteInfo", asked(json!({"token": format!("{TOKEN}\u{1}")}))),
        ("CompleteInfo", asked(json!({"token": [TOKEN]}))),
        ("CompleteInfo", asked(json!({"token": 1, "tokens": TOKEN}))),
        ("Login", asked(json!({"portal": TOKEN}))),
    ] {
        let (status, answer) = desk.call(method, &request);
        assert_ne!(status, 200);
        note(&mut said, &answer);
    }
    // The vendor's own words are for whoever called, and for nobody else.
    let for_the_caller = said.iter().filter(|text| text.contains(words)).count();
    assert!(for_the_caller > 0);
    let said_to_callers = said.join("\n").replace(words, "");
    let mut said = vec![said_to_callers, desk.service.http("/metrics").1, desk.service.http("/readyz?verbose").1];
    desk.service.signal("TERM");
    let Desk { service, vendor: _vendor } = desk;
    let (_, _, dir) = service.wait();
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!((log.contains("TRACE") || log.contains("DEBUG")) && log.contains("VENDOR_REFUSED"), "{log}");
    said.push(log);
    let journal = fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
    assert!(journal.contains("portal_complete_info"), "{journal}");
    said.push(journal);
    said.push(String::from_utf8_lossy(&fs::read(dir.path().join("ledger.sqlite")).unwrap()).into_owned());

    let mut planted: Vec<String> =
        [SECRET, TOKEN, CREDENTIAL, PAGE, "oauth/123456", words, "John Doe", "c82f36R2"].map(str::to_owned).into();
    planted.push(format!("\"client\":{CLIENT}"));
    planted.push(format!("client={CLIENT}"));
    let hashes = hashes.lock().unwrap();
    assert!(hashes.len() > 40, "{}", hashes.len());
    planted.extend(hashes.iter().cloned());
    let found = said.iter().flat_map(|text| planted.iter().map(move |secret| (text, secret)));
    for (text, secret) in found {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

/// All of an error, its details as they are.
fn note(said: &mut Vec<String>, answer: &Value) {
    said.push(answer.to_string());
    for detail in answer["details"].as_array().into_iter().flatten() {
        said.push(String::from_utf8_lossy(&unbase64(detail["value"].as_str().unwrap())).into_owned());
    }
}
