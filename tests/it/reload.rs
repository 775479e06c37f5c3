//! Build, then swap: a good file takes over without a call failing, a bad one leaves the old state serving.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::json;

use crate::service::{CONFIG, Service};

fn rewrite(service: &Service, config: &str) {
    fs::write(service.dir.path().join("config.toml"), config).unwrap();
    service.signal("HUP");
}

#[test]
fn a_new_domain_serves_after_a_reload() {
    let service = Service::start(CONFIG);
    let mint = json!({"domain": "new.example.com", "client": 1});
    service.fails("MintHash", &mint, "not_found", "UNKNOWN_DOMAIN", "");
    let more = "[[liveauth.domains]]\nname = \"new.example.com\"\nkey = \"jobs\"\n[[hub.apps]]";
    rewrite(&service, &CONFIG.replace("[[hub.apps]]", more));
    service.await_log("reloaded", 1);
    service.ok("MintHash", &mint);
    assert!(service.http("/metrics").1.contains("countersign_reloads_total{result=\"swapped\"} 1"));
}

#[test]
fn a_bad_file_leaves_the_old_state_serving_and_says_so() {
    let service = Service::start(CONFIG);
    let bad = [
        CONFIG.replace("[keyring]", "[keyrings]"),
        CONFIG.split("[[policy.rules]]").next().unwrap().to_owned(),
        CONFIG.replace("key = \"jobs\"", "key = \"absent\""),
        CONFIG.replace("127.0.0.1:0", "127.0.0.1:1"),
        CONFIG.replace("path = \"keyring\"", "path = \"elsewhere\""),
    ];
    for (before, config) in bad.iter().enumerate() {
        rewrite(&service, config);
        service.await_log("reload refused", before + 1);
        service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 1}));
    }
    assert!(service.log().contains("restart needed: http.address"), "{}", service.log());
    let (status, detail) = service.http("/readyz?verbose");
    assert!(status == 200 && detail.contains("reload: refused"), "{detail}");
    let (_, metrics) = service.http("/metrics");
    assert!(metrics.contains(&format!("countersign_reloads_total{{result=\"refused\"}} {}", bad.len())), "{metrics}");
    assert!(metrics.contains("countersign_reload_last_successful 0"));
    rewrite(&service, CONFIG);
    service.await_log("reloaded", 1);
    assert!(service.http("/readyz?verbose").1.contains("reload: ok"));
}

#[test]
fn a_damaged_keyring_leaves_the_old_one_serving() {
    let service = Service::start(CONFIG);
    let auth = service.seal(b"p", "j");
    let keyring = service.dir.path().join("keyring");
    let good = fs::read(&keyring).unwrap();
    let mut refused = 0;
    let mut edited = good.clone();
    let middle = edited.len() / 2;
    edited[middle] ^= 1;
    for damaged in [edited, good[..good.len() / 2].to_vec(), Vec::new(), b"{}".to_vec()] {
        fs::write(&keyring, damaged).unwrap();
        service.signal("HUP");
        refused += 1;
        service.await_log("reload refused", refused);
        assert_eq!(service.open(&auth, "j")["verdict"], "VERDICT_VALID");
    }
    fs::write(&keyring, good).unwrap();
    service.signal("HUP");
    service.await_log("reloaded", 1);
    assert_eq!(service.open(&auth, "j")["verdict"], "VERDICT_VALID");
}

#[test]
fn reloads_under_load_fail_no_call() {
    let service = Service::start(CONFIG);
    let auth = service.seal(b"p", "j");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut calls = 0;
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(service.open(&auth, "j")["verdict"], "VERDICT_VALID");
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        for done in 1..=25 {
            service.signal("HUP");
            service.await_log("reloaded", done);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>() > 0);
    });
}

#[test]
fn a_keyring_with_another_secret_in_the_place_of_a_version_is_refused() {
    let service = Service::start(CONFIG);
    let auth = service.seal(b"p", "j");
    // Another keyring in the place of the first: same names, another hat1 key.
    let other = crate::service::folder(CONFIG.split("[[hub.apps]]").next().unwrap());
    let at = service.dir.path();
    for file in ["keyring", "keyring.generation", "kek"] {
        fs::remove_file(at.join(file)).unwrap();
    }
    fs::copy(other.path().join("kek"), at.join("kek")).unwrap();
    fs::copy(other.path().join("keyring"), at.join("keyring")).unwrap();
    service.signal("HUP");
    service.await_log("reloaded", 1);
    assert_eq!(service.open(&auth, "j")["verdict"], "VERDICT_VALID", "the same key in another keyring is the same key");

    for file in ["keyring", "keyring.generation", "kek"] {
        fs::remove_file(at.join(file)).unwrap();
    }
    crate::service::keys(at, &["init"], b"");
    let raw = ["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"];
    crate::service::keys(at, &raw, crate::service::SECRET.as_bytes());
    crate::service::keys(at, &["create", "--key", "acme", "--kind", "hat1"], b"");
    service.signal("HUP");
    service.await_log("is another secret than before", 1);
    assert_eq!(service.open(&auth, "j")["verdict"], "VERDICT_VALID");
}
