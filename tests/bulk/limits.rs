//! Within what the service takes: in bytes, in items, and in units of the caller's rate.

use serde_json::json;

use crate::{
    desk::{USER, are_resealed, completes, parted, read, rotate, run, table, tokens, write},
    service::{CONFIG, Service, stderr},
};

#[test]
fn a_rate_is_kept_to_and_nothing_is_lost_to_it() {
    for config in [
        format!("[limits]\nrate = 20\nburst = 51\n{CONFIG}"),
        CONFIG.replace("[[policy.rules]]\n", "[[policy.rules]]\nrate = 20\nburst = 51\n"),
    ] {
        let service = Service::start(&config);
        let old = tokens(&service, 250);
        write(&service, "in.csv", table(old.iter().cycle().take(1_000)));
        // Until less is left than two batches of 250 cost, of which four come at about the same time.
        let item = json!({"app": "acme", "username": USER});
        while service.post("BatchSeal", &json!({"items": vec![item.clone(); 500]})).0 == 200 {}
        let output = run(&service, "in.csv", "out.csv", &[]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(said.matches("RATE_LIMITED").count(), 1, "told, and once: {said}");
        assert_eq!(parted(&read(&service, "out.csv")).0.len(), 1_000);
    }
}

/// A service that takes smaller messages than is usual is asked in smaller batches.
#[test]
fn a_batch_that_is_too_large_is_halved() {
    let service = Service::start(&format!("[limits]\nbatch_bytes = 65536\n{CONFIG}"));
    let old: Vec<String> = (0..10).flat_map(|_| tokens(&service, 100)).collect();
    rotate(&service);
    write(&service, "in.csv", table(old.iter()));
    let (new, _) = parted(&completes(&service, "in.csv", "out.csv"));
    are_resealed(&service, &old, &new);
}

/// Rows near the bound of a row: hundreds of them would make a message of many megabytes.
#[test]
fn batches_are_bounded_in_bytes() {
    let service = Service::start(CONFIG);
    let old = tokens(&service, 1);
    let junk = "x".repeat(400 << 10);
    let pair = format!("{{\"token\":\"{junk}\"}}\n{{\"token\":\"{}\",\"username\":\"{USER}\"}}\n", old[0]);
    write(&service, "in.jsonl", pair.repeat(20));
    let output = run(&service, "in.jsonl", "out.jsonl", &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "40 rows: 20 resealed, 20 failed (20 MALFORMED)\n");
}
