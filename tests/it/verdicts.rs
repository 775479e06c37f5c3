//! What the service answers to what it is shown.

use serde_json::{Value, json};

use crate::service::{CONFIG, SECRET, Service, base64, now, unbase64};

fn verify(service: &Service, minted: &Value) -> Value {
    let text = |field: &str| minted[field].as_str().unwrap().to_owned();
    service.ok(
        "VerifyHash",
        &json!({"domain": "jobs.example.com", "client": text("client"), "expires": text("expires"), "hash": text("hash")}),
    )
}

#[test]
fn a_minted_hash_is_valid_and_is_what_any_hmac_gives() {
    let service = Service::start(CONFIG);
    let minted = service.ok("MintHash", &json!({"domain": "Jobs.Example.COM.", "client": "42", "ttl": "60"}));
    let expires: i64 = minted["expires"].as_str().unwrap().parse().unwrap();
    assert!((59..=61).contains(&(expires - now())), "{minted}");
    assert_eq!(minted["referer"], "https://jobs.example.com/");
    let hash = minted["hash"].as_str().unwrap();
    assert_eq!(minted["query"], format!("client=42&expires={expires}&hash={hash}"));
    let key = countersign::crypto::mac::MacKey::new(SECRET.as_bytes());
    let pair = countersign::crypto::frame::DecimalPair::new(42, expires.unsigned_abs());
    assert!(key.verify(&pair, &unhex(hash)));
    assert_eq!(verify(&service, &minted)["verdict"], "VERDICT_VALID");
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn a_referer_is_judged_and_never_an_error() {
    let service = Service::start(CONFIG);
    let minted = service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 42}));
    let by_referer = |referer: &str| {
        service.ok(
            "VerifyHash",
            &json!({"referer": referer, "client": "42", "expires": minted["expires"], "hash": minted["hash"]}),
        )
    };
    assert_eq!(by_referer("https://jobs.example.com/some/page?q=1")["verdict"], "VERDICT_VALID");
    let unknown = by_referer("https://elsewhere.example/");
    assert_eq!(unknown["verdict"], "VERDICT_UNKNOWN_KEY");
    assert_eq!(unknown["hints"], json!(["HINT_DOMAIN_NOT_FOUND"]));
    for garbage in
        ["", "jobs", "https://jobs.example.com@evil.example/", "https://[::1]/", "https://127.0.0.1/", "\u{0}"]
    {
        let verdict = by_referer(garbage)["verdict"].as_str().unwrap().to_owned();
        assert!(verdict == "VERDICT_MALFORMED" || verdict == "VERDICT_UNKNOWN_KEY", "{garbage:?}: {verdict}");
    }
}

#[test]
fn oversized_values_of_end_users_are_judged_too() {
    let service = Service::start(CONFIG);
    let long = "9".repeat(20_000);
    let judged =
        service.ok("VerifyHash", &json!({"domain": "jobs.example.com", "client": long, "expires": long, "hash": long}));
    assert_eq!(judged["verdict"], "VERDICT_MALFORMED");
    assert_eq!(service.open(&"A".repeat(20_000), "jane@example.com")["verdict"], "VERDICT_MALFORMED");
    assert_eq!(service.open("", "jane@example.com")["verdict"], "VERDICT_MALFORMED");
}

#[test]
fn a_sealed_token_opens_for_its_user_and_for_nobody_else() {
    let service = Service::start(CONFIG);
    let auth = service.seal(b"an oauth token", "jane@example.com");
    let opened = service.open(&auth, "jane@example.com");
    assert_eq!(opened["verdict"], "VERDICT_VALID");
    assert_eq!(unbase64(opened["payload"].as_str().unwrap()), b"an oauth token");
    assert_eq!(opened["claims"]["usernameBound"], true);

    let other = service.open(&auth, "Jane@example.com");
    assert_eq!(other["verdict"], "VERDICT_WRONG_CONTEXT");
    assert!(other.get("payload").is_none() && other.get("claims").is_none(), "{other}");

    let missing = service.ok("Open", &json!({"app": "acme", "auth": auth}));
    assert_eq!(missing["verdict"], "VERDICT_WRONG_CONTEXT");
    assert!(missing["hints"].as_array().unwrap().contains(&json!("HINT_BINDING_VALUE_MISSING")), "{missing}");

    let quoted = service.open(&format!("\"{auth}\""), "jane@example.com");
    assert_eq!(quoted["verdict"], "VERDICT_VALID");
    assert!(quoted["hints"].as_array().unwrap().contains(&json!("HINT_QUOTED")));
    let (_, metrics) = service.http("/metrics");
    assert!(metrics.contains("countersign_quoted_tokens_total 1"), "{metrics}");
}

#[test]
fn a_hub_login_token_is_bound_byte_for_byte() {
    let service = Service::start(CONFIG);
    let login = "s:abc.def+/=";
    let seal = json!({"app": "acme", "username": "j", "payload": "", "hubLoginToken": login});
    let auth = service.ok("Seal", &seal)["auth"].clone();
    let open = |login: Value| {
        service.ok("Open", &json!({"app": "acme", "auth": auth, "username": "j", "hubLoginToken": login}))["verdict"]
            .clone()
    };
    assert_eq!(open(json!(login)), "VERDICT_VALID");
    assert_eq!(open(json!("s:abc.def /=")), "VERDICT_WRONG_CONTEXT");
    assert_eq!(open(Value::Null), "VERDICT_WRONG_CONTEXT");
}

#[test]
fn verify_shows_claims_and_never_the_payload() {
    let service = Service::start(CONFIG);
    let seal = json!({"app": "acme", "username": "j", "payload": base64(b"secret payload"), "kind": "PAYLOAD_KIND_USER_ID",
                      "hubOrigin": "https://core.example.com", "labels": [{"name": "team", "value": "é"}]});
    let sealed = service.ok("Seal", &seal);
    let judged = service.ok("Verify", &json!({"app": "acme", "auth": sealed["auth"], "username": "j"}));
    assert_eq!(judged["verdict"], "VERDICT_VALID");
    let claims = &judged["claims"];
    assert_eq!(claims["kind"], "PAYLOAD_KIND_USER_ID");
    assert_eq!(claims["hubOrigin"], "https://core.example.com");
    assert_eq!(claims["labels"], json!([{"name": "team", "value": "é"}]));
    assert_eq!(claims["tokenId"], sealed["tokenId"]);
    assert!(!judged.to_string().contains(base64(b"secret payload").trim_end_matches('=')), "{judged}");
}

#[test]
fn a_token_expires_at_its_second() {
    let service = Service::start(CONFIG);
    let seal = json!({"app": "acme", "username": "j", "payload": "", "ttl": 1});
    let auth = service.ok("Seal", &seal)["auth"].as_str().unwrap().to_owned();
    let begin = std::time::Instant::now();
    let expired = loop {
        let opened = service.open(&auth, "j");
        if opened["verdict"] != "VERDICT_VALID" {
            break opened;
        }
        assert!(begin.elapsed() < crate::service::PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_eq!(expired["verdict"], "VERDICT_EXPIRED");
    assert!(expired.get("payload").is_none() && expired.get("claims").is_some(), "{expired}");
}

#[test]
fn resealing_under_a_new_key_version_keeps_the_grant() {
    let service = Service::start(CONFIG);
    let auth = service.seal(b"p", "j");
    let before = service.open(&auth, "j");
    let fresh = "ff".repeat(32);
    crate::service::keys(
        service.dir.path(),
        &["import", "--key", "acme", "--kind", "hat1", "--encoding", "hex"],
        fresh.as_bytes(),
    );
    service.signal("HUP");
    service.await_log("reloaded", 1);
    let old = service.open(&auth, "j");
    assert_eq!(old["verdict"], "VERDICT_VALID");
    assert!(old["hints"].as_array().unwrap().contains(&json!("HINT_RESEAL_RECOMMENDED")), "{old}");
    let resealed = service.ok("Reseal", &json!({"app": "acme", "auth": auth, "username": "j"}));
    assert_eq!((&resealed["verdict"], &resealed["keyVersion"]), (&json!("VERDICT_VALID"), &json!(2)));
    let after = service.open(resealed["auth"].as_str().unwrap(), "j");
    for kept in ["grantId", "issuedAt", "expiresAt"] {
        assert_eq!(before["claims"][kept], after["claims"][kept]);
    }
    assert_ne!(before["claims"]["tokenId"], after["claims"]["tokenId"]);
    assert_eq!(after["claims"]["tokenId"], resealed["claims"]["tokenId"]);
    assert_eq!((&after["claims"]["resealCount"], &resealed["claims"]["resealCount"]), (&json!(1), &json!(1)));
    assert!(after.get("hints").is_none(), "{after}");
    let refused = service.ok("Reseal", &json!({"app": "acme", "auth": auth, "username": "mallory"}));
    assert_eq!(refused["verdict"], "VERDICT_WRONG_CONTEXT");
    assert!(refused.get("auth").is_none());
}

#[test]
fn a_batch_keeps_its_order_and_one_bad_item_fails_alone() {
    let service = Service::start(CONFIG);
    let items: Vec<Value> = (1..=1000)
        .map(|client| match client {
            500 => json!({"domain": "jobs.example.com", "client": 0}),
            501 => json!({"domain": "nowhere.example", "client": 1}),
            _ => json!({"domain": "jobs.example.com", "client": client}),
        })
        .collect();
    let answer = service.ok("BatchMintHash", &json!({"items": items}));
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 1000);
    for (place, result) in results.iter().enumerate() {
        match place + 1 {
            500 => assert_eq!((&result["error"]["code"], &result["error"]["field"]), (&json!(3), &json!("client"))),
            501 => assert_eq!(
                (&result["error"]["code"], &result["error"]["reason"]),
                (&json!(5), &json!("UNKNOWN_DOMAIN"))
            ),
            client => assert_eq!(result["response"]["client"], client.to_string()),
        }
    }
    let (_, metrics) = service.http("/metrics");
    assert!(
        metrics.contains("countersign_batch_items_total{key=\"jobs\",op=\"batch_mint_hash\",outcome=\"OK\"} 998"),
        "{metrics}"
    );
}

#[test]
fn an_item_without_a_permit_fails_alone() {
    let config = CONFIG.replace("[[policy.rules]]", "[[hub.apps]]\nname = \"other\"\nkey = \"acme\"\n[[policy.rules]]");
    let service = Service::start(&config.replace("apps = [\"*\"]", "apps = [\"acme\"]"));
    let item = |app: &str| json!({"app": app, "username": "j", "payload": ""});
    let answer =
        service.ok("BatchSeal", &json!({"items": [item("acme"), item("other"), item("acme"), item("unheard-of")]}));
    let results = answer["results"].as_array().unwrap();
    assert!(results[0].get("response").is_some() && results[2].get("response").is_some(), "{answer}");
    // What exists and what does not look the same to somebody without a rule.
    assert_eq!(results[1], results[3]);
    assert_eq!((&results[1]["error"]["code"], &results[1]["error"]["reason"]), (&json!(7), &json!("NO_RULE")));
}

#[test]
fn a_verifier_can_neither_mint_nor_open() {
    let rule = "verbs = [\"mint\", \"verify\", \"seal\", \"open\", \"reseal\", \"revoke\"]";
    let service = Service::start(&CONFIG.replace(rule, "verbs = [\"verify\"]"));
    service.fails("MintHash", &json!({"domain": "jobs.example.com", "client": 1}), "permission_denied", "NO_RULE", "");
    service.fails("Open", &json!({"app": "acme", "auth": "x", "username": "j"}), "permission_denied", "NO_RULE", "");
    service.fails("Seal", &json!({"app": "acme", "username": "j"}), "permission_denied", "NO_RULE", "");
    service.fails("Reseal", &json!({"app": "acme", "auth": "x", "username": "j"}), "permission_denied", "NO_RULE", "");
    assert_eq!(
        service.ok("Verify", &json!({"app": "acme", "auth": "x", "username": "j"}))["verdict"],
        "VERDICT_MALFORMED"
    );
}

#[test]
fn seals_are_refused_at_the_limit_and_alarmed_before() {
    let service = Service::start(&format!("[hub]\nseal_alarm = 2\nseal_limit = 3\n{}", CONFIG.trim_start()));
    let seal = json!({"app": "acme", "username": "j", "payload": ""});
    let alarm = |service: &Service| {
        service.http("/metrics").1.contains("countersign_key_version_seal_alarm{key=\"acme\",version=\"1\"} 1")
    };
    service.ok("Seal", &seal);
    assert!(!alarm(&service));
    service.ok("Seal", &seal);
    assert!(alarm(&service));
    service.ok("Seal", &seal);
    service.fails("Seal", &seal, "resource_exhausted", "SEAL_LIMIT_REACHED", "");
    // A reload does not begin the count anew.
    service.signal("HUP");
    service.await_log("reloaded", 1);
    service.fails("Seal", &seal, "resource_exhausted", "SEAL_LIMIT_REACHED", "");
}

#[test]
fn a_default_lifetime_is_clamped_by_the_rule_and_an_explicit_one_refused() {
    let service = Service::start(&CONFIG.replace("apps = [\"*\"]", "apps = [\"*\"]\nmax_ttl = \"60s\""));
    let minted = service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 1}));
    let expires: i64 = minted["expires"].as_str().unwrap().parse().unwrap();
    assert!(expires - now() <= 60);
    service.fails(
        "MintHash",
        &json!({"domain": "jobs.example.com", "client": 1, "ttl": 61}),
        "invalid_argument",
        "TTL_TOO_LONG",
        "ttl",
    );
    let sealed = service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": ""}));
    let times = |field: &str| sealed[field].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(times("expiresAt") - times("issuedAt"), 60);
    service.fails(
        "Seal",
        &json!({"app": "acme", "username": "j", "ttl": 61}),
        "invalid_argument",
        "TTL_TOO_LONG",
        "ttl",
    );
}

#[test]
fn a_token_may_last_for_ever_where_the_app_says_so() {
    let service =
        Service::start(&CONFIG.replace("key = \"acme\"", "key = \"acme\"\nttl = \"never\"\nmax_ttl = \"never\""));
    let sealed = service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": ""}));
    assert!(sealed.get("expiresAt").is_none(), "{sealed}");
    assert_eq!(service.open(sealed["auth"].as_str().unwrap(), "j")["verdict"], "VERDICT_VALID");
}
