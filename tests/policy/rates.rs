//! The rate of a rule, against the real service.

use std::fs;

use serde_json::{Value, json};

use crate::service::{CONFIG, Service, detail_text, reason_of};

/// A second app beside acme with a rule and a rate of its own, named after its burst.
fn config(burst: u32) -> String {
    let apps = "[[hub.apps]]\nname = \"slow\"\nkey = \"acme\"\n[[policy.rules]]";
    let slow = format!(
        "[[policy.rules]]\nname = \"slow\"\ncallers = [\"*\"]\nverbs = [\"open\", \"seal\"]\napps = [\"slow\"]\nrate = 1\nburst = {burst}\n"
    );
    CONFIG.replacen("[[policy.rules]]", apps, 1) + &slow
}

fn items(apps: &[(&str, usize)]) -> Value {
    let item = |app: &str| json!({"app": app, "auth": "hat1_x", "username": "j"});
    let all: Vec<Value> = apps.iter().flat_map(|&(app, items)| std::iter::repeat_n(item(app), items)).collect();
    json!({ "items": all })
}

fn refused(answer: (u16, Value)) -> bool {
    let (status, body) = answer;
    if status == 200 {
        return false;
    }
    assert_eq!(
        (body["code"].as_str(), reason_of(&body).as_str()),
        (Some("resource_exhausted"), "RATE_LIMITED"),
        "{body}"
    );
    assert!(!detail_text(&body, "google.rpc.RetryInfo").is_empty(), "{body}");
    true
}

#[test]
fn a_caller_over_the_rate_of_a_rule_is_told_when_to_retry_and_other_rules_go_on() {
    let service = Service::start(&config(5));
    let slow = json!({"app": "slow", "username": "j", "payload": ""});
    let taken = (0..100).take_while(|_| !refused(service.post("Seal", &slow))).count();
    assert!((5..100).contains(&taken), "{taken}");
    service.seal(b"p", "j");
    service.ok("VerifyHash", &json!({"domain": "jobs.example.com", "client": "1", "expires": "1", "hash": "x"}));
    // Verifying on that app is allowed by the rule for all, which has no rate.
    service.ok("Verify", &json!({"app": "slow", "auth": "hat1_x", "username": "j"}));
}

#[test]
fn a_batch_pays_the_rule_for_its_items_before_any_is_looked_at() {
    let service = Service::start(&config(60));
    // 51 of 60 units; those of the other app are not counted.
    assert!(!refused(service.post("BatchOpen", &items(&[("slow", 1000)]))));
    assert!(refused(service.post("BatchOpen", &items(&[("slow", 980), ("acme", 20)]))));
    assert!(!refused(service.post("BatchOpen", &items(&[("acme", 980), ("slow", 20)]))));
    assert!(!refused(service.post("BatchOpen", &items(&[("acme", 1000)]))));
}

#[test]
fn a_reload_that_keeps_the_rate_keeps_what_was_used_of_it() {
    let service = Service::start(&config(102));
    let batch = items(&[("slow", 1000)]);
    while !refused(service.post("BatchOpen", &batch)) {}
    let reload = |config: &str, times| {
        fs::write(service.dir.path().join("config.toml"), config).unwrap();
        service.signal("HUP");
        service.await_log("reloaded", times);
    };
    reload(&config(102).replace("name = \"all\"", "name = \"everything\""), 1);
    assert!(refused(service.post("BatchOpen", &batch)), "another rule has changed");
    reload(&config(103), 2);
    assert!(!refused(service.post("BatchOpen", &batch)), "its rate has changed, so it begins anew");
}
