//! Bad input gets a canonical code, a stable reason and the field at fault; the service goes on.

use serde_json::{Value, json};

use crate::service::{CONFIG, Service, base64};

#[test]
fn every_bad_field_is_named() {
    let mut service = Service::start(CONFIG);
    let far = 253_402_300_800_i64;
    let mint = |extra: Value| merged(json!({"domain": "jobs.example.com", "client": 42}), &extra);
    let seal = |extra: Value| merged(json!({"app": "acme", "username": "j", "payload": ""}), &extra);
    let open = |extra: Value| merged(json!({"app": "acme", "username": "j", "auth": "x"}), &extra);
    let invalid = "INVALID_FIELD";
    let many = |n: usize| -> Vec<Value> { vec![json!({"name": "n", "value": "v".repeat(200)}); n] };
    for (method, body, reason, field) in [
        ("MintHash", mint(json!({"domain": ""})), invalid, "domain"),
        ("MintHash", mint(json!({"domain": "jobs.example.com/x"})), invalid, "domain"),
        ("MintHash", mint(json!({"domain": "jobs example.com"})), invalid, "domain"),
        ("MintHash", mint(json!({"domain": "127.0.0.1"})), invalid, "domain"),
        ("MintHash", mint(json!({"domain": "jöbs.example.com"})), invalid, "domain"),
        ("MintHash", mint(json!({"domain": "a".repeat(300)})), invalid, "domain"),
        ("MintHash", mint(json!({"client": 0})), invalid, "client"),
        ("MintHash", mint(json!({"client": -42})), invalid, "client"),
        ("MintHash", mint(json!({"ttl": 0})), invalid, "ttl"),
        ("MintHash", mint(json!({"ttl": -1})), invalid, "ttl"),
        ("MintHash", mint(json!({"ttl": 3601})), "TTL_TOO_LONG", "ttl"),
        ("MintHash", mint(json!({"ttl": i64::MAX})), "TTL_TOO_LONG", "ttl"),
        ("MintHash", mint(json!({"expires": 0})), invalid, "expires"),
        ("MintHash", mint(json!({"expires": -5})), invalid, "expires"),
        ("MintHash", mint(json!({"expires": 989_539_200})), invalid, "expires"),
        ("MintHash", mint(json!({"expires": 4_000_000_000_i64})), "TTL_TOO_LONG", "expires"),
        ("MintHash", mint(json!({"expires": far})), invalid, "expires"),
        ("MintHash", mint(json!({"expires": i64::MAX})), invalid, "expires"),
        ("VerifyHash", json!({"client": "42", "expires": "1", "hash": ""}), invalid, "domain"),
        ("VerifyHash", json!({"domain": "a b", "client": "42", "expires": "1", "hash": ""}), invalid, "domain"),
        ("BatchMintHash", json!({}), invalid, "items"),
        ("BatchMintHash", json!({"items": vec![json!({}); 1001]}), invalid, "items"),
        ("BatchVerifyHash", json!({"items": []}), invalid, "items"),
        ("Seal", seal(json!({"app": ""})), invalid, "app"),
        ("Seal", seal(json!({"app": "Acme Contacts"})), invalid, "app"),
        ("Seal", seal(json!({"username": null})), invalid, "username"),
        ("Seal", seal(json!({"username": ""})), invalid, "username"),
        ("Seal", seal(json!({"username": "a\nb"})), invalid, "username"),
        ("Seal", seal(json!({"username": "u".repeat(1025)})), invalid, "username"),
        ("Seal", seal(json!({"hubLoginToken": ""})), invalid, "hub_login_token"),
        ("Seal", seal(json!({"hubLoginToken": "x".repeat(1025)})), invalid, "hub_login_token"),
        ("Seal", seal(json!({"payload": base64(&[0; 4097])})), invalid, "payload"),
        ("Seal", seal(json!({"payload": base64(&[0; 4096])})), "TOKEN_TOO_LONG", "payload"),
        ("Seal", seal(json!({"kind": 99})), "", "kind"),
        ("Seal", seal(json!({"kind": "PAYLOAD_KIND_UNHEARD_OF"})), "", "kind"),
        ("Seal", seal(json!({"ttl": 0})), invalid, "ttl"),
        ("Seal", seal(json!({"ttl": -1})), invalid, "ttl"),
        ("Seal", seal(json!({"ttl": 400 * 86400 + 1})), "TTL_TOO_LONG", "ttl"),
        ("Seal", seal(json!({"hubOrigin": "http://\u{e9}"})), invalid, "hub_origin"),
        ("Seal", seal(json!({"labels": [{"name": "", "value": ""}]})), invalid, "labels"),
        ("Seal", seal(json!({"labels": many(20)})), invalid, "labels"),
        ("Open", open(json!({"username": ""})), invalid, "username"),
        ("Open", open(json!({"username": "u".repeat(1025)})), invalid, "username"),
        ("Verify", open(json!({"hubLoginToken": ""})), invalid, "hub_login_token"),
        ("BatchSeal", json!({"items": []}), invalid, "items"),
        ("BatchOpen", json!({"items": vec![json!({}); 1001]}), invalid, "items"),
        ("BatchVerify", json!({}), invalid, "items"),
        ("BatchReseal", json!({}), invalid, "items"),
    ] {
        let reason = if reason.is_empty() { "UNDECODABLE" } else { reason };
        service.fails(method, &body, "invalid_argument", reason, field);
    }
    service.fails("MintHash", &mint(json!({"domain": "nowhere.example"})), "not_found", "UNKNOWN_DOMAIN", "");
    service.fails("Open", &open(json!({"app": "nobody"})), "not_found", "UNKNOWN_APP", "");
    assert!(service.running());
    assert_eq!(service.ok("MintHash", &mint(json!({})))["client"], "42");
}

#[test]
fn millisecond_times_get_a_hint() {
    let service = Service::start(CONFIG);
    let (_, answer) =
        service.post("MintHash", &json!({"domain": "jobs.example.com", "client": 1, "expires": 1_700_000_000_000_i64}));
    assert!(answer["message"].as_str().unwrap().contains("millisecond"), "{answer}");
    let judged = service.ok(
        "VerifyHash",
        &json!({"domain": "jobs.example.com", "client": "1", "expires": "1700000000000", "hash": "0".repeat(64)}),
    );
    assert_eq!(judged["verdict"], "VERDICT_MALFORMED");
    assert!(judged["hints"].as_array().unwrap().contains(&json!("HINT_LOOKS_LIKE_MILLISECONDS")), "{judged}");
}

#[test]
fn a_payload_of_no_bytes_is_fine() {
    let service = Service::start(CONFIG);
    let auth = service.seal(b"", "j");
    assert_eq!(service.open(&auth, "j")["verdict"], "VERDICT_VALID");
}

#[test]
fn json_that_does_not_fit_is_refused_and_not_repeated() {
    let service = Service::start(CONFIG);
    let secret = "hunter2hunter2";
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"app\": 5}",
        "{\"app\": \"acme\", \"user_name\": \"hunter2hunter2\"}",
        "{\"app\": \"acme\", \"app\": \"hunter2hunter2\"}",
        "{\"hubLoginToken\": \"hunter2hunter2\", \"hub_login_token\": \"hunter2hunter2\"}",
        "{\"app\": \"acme\", \"payload\": \"hunter2hunter2!!\"}",
        "{\"app\": \"acme\", \"ttl\": \"hunter2hunter2\"}",
        "{\"app\": \"acme\", \"kind\": \"hunter2hunter2\"}",
        "{\"app\": \"acme\", \"payload\": {\"x\": \"hunter2hunter2\"}}",
        "{\"app\": \"\\ud800\"}",
    ] {
        let (status, answer) = service.post_raw("Seal", body.as_bytes());
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_argument")), "{body}: {answer}");
        assert!(!answer.to_string().contains(secret), "{body}: {answer}");
    }
    let (status, _) = service.post_raw("Seal", b"{\"app\": \"\xff\"}");
    assert_eq!(status, 400);
    assert!(!service.log().contains(secret));
}

#[test]
fn a_message_over_its_limit_is_refused_and_a_batch_has_a_higher_one() {
    let service = Service::start(CONFIG);
    let big = json!({"app": "acme", "auth": "A".repeat(70_000), "username": "j"});
    service.fails("Open", &big, "resource_exhausted", "MESSAGE_TOO_LARGE", "");
    let answer = service.ok("BatchOpen", &json!({"items": [big]}));
    assert_eq!(answer["results"][0]["response"]["verdict"], "VERDICT_MALFORMED");
    let huge = json!({"items": [{"app": "acme", "auth": "A".repeat(1 << 20)}]});
    service.fails("BatchOpen", &huge, "resource_exhausted", "MESSAGE_TOO_LARGE", "");
}

#[test]
fn a_greedy_caller_is_told_to_wait() {
    let service = Service::start(&format!("[limits]\nrate = 1\nburst = 51\n{}", CONFIG.trim_start()));
    let mint = json!({"domain": "jobs.example.com", "client": 1});
    let refused = (0..200).find_map(|_| {
        let (status, answer) = service.post("MintHash", &mint);
        (status != 200).then_some((status, answer))
    });
    let (status, answer) = refused.expect("the bucket runs dry");
    assert_eq!((status, &answer["code"]), (429, &json!("resource_exhausted")), "{answer}");
    assert_eq!(crate::service::reason_of(&answer), "RATE_LIMITED");
    assert!(answer.to_string().contains("google.rpc.RetryInfo"), "{answer}");
    let (_, metrics) = service.http("/metrics");
    assert!(metrics.contains("op=\"mint_hash\",outcome=\"RESOURCE_EXHAUSTED\""), "{metrics}");
}

fn merged(mut base: Value, extra: &Value) -> Value {
    for (name, value) in extra.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}
