//! What can be cut off, by whom, for how long, and what is said of it.

use serde_json::{Value, json};

use crate::{
    asking::{auth, listed, revoked, sealed, seconds, verdict},
    service::{CONFIG, Service, folder, now, stderr, stdout},
    tools::{journal, metric, records, stop},
};

const JANE: &str = "jane@example.com";

#[test]
fn each_of_the_four_cuts_off_at_once_and_lets_a_fresh_login_in() {
    let service = Service::start(CONFIG);
    for (what, field) in [("tokenId", "tokenId"), ("grantId", "grantId"), ("username", ""), ("all", "")] {
        let (old, others) = (sealed(&service, JANE), sealed(&service, "al@example.com"));
        assert_eq!(verdict(&service, auth(&old), JANE), "VALID");
        let value = match what {
            "username" => json!(JANE),
            "all" => json!(true),
            _ => old[field].clone(),
        };
        let before = now();
        let made = revoked(&service, what, value);
        assert!((before + 2..=now() + 3).contains(&seconds(&made["issuedUntil"])), "{made}");
        assert_eq!(verdict(&service, auth(&old), JANE), "REVOKED", "{what}");
        let request = json!({"app": "acme", "auth": auth(&old), "username": JANE});
        let opened = service.ok("Open", &request);
        assert_eq!((&opened["verdict"], &opened["payload"]), (&json!("VERDICT_REVOKED"), &Value::Null));
        // The entry about a token is looked up before it is known to be authentic.
        assert_eq!(opened.get("claims").is_some(), what != "tokenId", "{opened}");
        let resealed = service.ok("Reseal", &request);
        assert_eq!((&resealed["verdict"], &resealed["auth"]), (&json!("VERDICT_REVOKED"), &Value::Null));
        let batch = service.ok("BatchVerify", &json!({"items": [request]}));
        assert_eq!(batch["results"][0]["response"]["verdict"], "VERDICT_REVOKED");
        let spared = verdict(&service, auth(&others), "al@example.com");
        assert_eq!(spared, if what == "all" { "REVOKED" } else { "VALID" }, "{what}");
        let fresh = sealed(&service, JANE);
        assert_eq!(verdict(&service, auth(&fresh), JANE), "VALID", "{what}");
    }
    let kinds: Vec<Value> = listed(&service).iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["APP", "USER", "GRANT", "TOKEN"].map(|kind| json!(format!("REVOCATION_KIND_{kind}"))));
    for (kind, count) in [("token", 1.0), ("grant", 1.0), ("user", 1.0), ("app", 1.0)] {
        let name = format!("countersign_revocations{{kind=\"{kind}\"}}");
        assert!((metric(&service, &name) - count).abs() < 0.1, "{kind}");
    }
    assert!(service.http("/readyz?verbose").1.contains("ledger: ok, 4 revocations in force"));
    // And all of it after a restart.
    let service = Service::start_in(stop(service));
    assert_eq!(listed(&service).len(), 4);
}

#[test]
fn a_grant_covers_what_a_token_was_resealed_into_and_a_single_token_does_not() {
    let service = Service::start(CONFIG);
    let old = sealed(&service, JANE);
    let request = json!({"app": "acme", "auth": auth(&old), "username": JANE});
    let new = service.ok("Reseal", &request);
    revoked(&service, "tokenId", old["tokenId"].clone());
    assert_eq!(
        (verdict(&service, auth(&old), JANE), verdict(&service, auth(&new), JANE)),
        ("REVOKED".into(), "VALID".into())
    );
    revoked(&service, "grantId", old["grantId"].clone());
    assert_eq!(verdict(&service, auth(&new), JANE), "REVOKED");
}

#[test]
fn an_entry_lasts_as_long_as_the_tokens_that_it_covers() {
    let bounded = CONFIG.replace("key = \"acme\"\n", "key = \"acme\"\nttl = \"1h\"\nmax_ttl = \"10d\"\n");
    let service = Service::start(&bounded);
    let token = sealed(&service, JANE);
    let given = |more: Value| {
        let mut request = json!({"app": "acme", "auth": auth(&token)});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service.ok("Revoke", &request)["revocation"].clone()
    };
    // Without what it is bound to, a token cannot be opened, but cut off all the same.
    let blind = given(json!({}));
    assert_eq!(seconds(&blind["endsAt"]), seconds(&blind["issuedUntil"]) + 10 * 86_400);
    assert_eq!(blind.get("grantId"), None);
    assert_eq!(verdict(&service, auth(&token), JANE), "REVOKED");
    let opened = given(json!({"boundUsername": JANE}));
    assert_eq!((&opened["endsAt"], &opened["grantId"]), (&token["expiresAt"], &token["grantId"]));
    let whole = revoked(&service, "all", true);
    assert_eq!(seconds(&whole["endsAt"]), seconds(&whole["issuedUntil"]) + 10 * 86_400);
    // What was allowed once counts on.
    let dir = stop(service);
    std::fs::write(dir.path().join("config.toml"), bounded.replace("10d", "2d")).unwrap();
    let service = Service::start_in(dir);
    let later = revoked(&service, "username", JANE);
    assert_eq!(seconds(&later["endsAt"]), seconds(&later["issuedUntil"]) + 10 * 86_400);
    // A reload that allows more is noted, too.
    std::fs::write(service.dir.path().join("config.toml"), bounded.replace("10d", "never").replace("1h", "never"))
        .unwrap();
    service.signal("HUP");
    service.await_log("reloaded", 1);
    assert_eq!(revoked(&service, "grantId", token["grantId"].clone()).get("endsAt"), None);
    let dir = stop(service);
    std::fs::write(dir.path().join("config.toml"), &bounded).unwrap();
    let service = Service::start_in(dir);
    assert_eq!(revoked(&service, "username", "al").get("endsAt"), None);
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_field() {
    let service = Service::start(CONFIG);
    let token = sealed(&service, JANE);
    let tampered = format!("{}AAAAAA", &auth(&token)[..auth(&token).len() - 6]);
    let far = (now() + 3600).to_string();
    let fails = |body: Value, field: &str| {
        service.fails("Revoke", &body, "invalid_argument", "INVALID_FIELD", field);
    };
    fails(json!({"app": "acme"}), "what");
    fails(json!({"app": "acme", "all": false}), "all");
    fails(json!({"app": "acme", "tokenId": "00ff"}), "token_id");
    fails(json!({"app": "acme", "grantId": "x".repeat(32)}), "grant_id");
    fails(json!({"app": "acme", "username": ""}), "username");
    fails(json!({"app": "acme", "username": "a\u{1}"}), "username");
    fails(json!({"app": "acme", "auth": tampered}), "auth");
    fails(json!({"app": "acme", "auth": "hat1_"}), "auth");
    fails(json!({"app": "acme", "all": true, "issuedUntil": far}), "issued_until");
    fails(json!({"app": "acme", "all": true, "issuedUntil": "-1"}), "issued_until");
    service.fails("Revoke", &json!({"app": "nobody", "all": true}), "not_found", "UNKNOWN_APP", "");
    for (body, field) in [(json!({"pageSize": 1001}), "page_size"), (json!({"pageToken": "x"}), "page_token")] {
        service.fails("ListRevocations", &body, "invalid_argument", "INVALID_FIELD", field);
    }
    assert_eq!(verdict(&service, auth(&token), JANE), "VALID");
    assert!(listed(&service).is_empty());
}

#[test]
fn revoking_is_a_right_of_its_own_and_is_asked_of_the_app() {
    let others = CONFIG
        .replace("\"reseal\", \"revoke\"]", "\"reseal\"]")
        .replace("[[policy.rules]]", "[[hub.apps]]\nname = \"beta\"\nkey = \"acme\"\n[[policy.rules]]");
    let service = Service::start(&others);
    for (method, body) in [("Revoke", json!({"app": "acme", "all": true})), ("ListRevocations", json!({}))] {
        service.fails(method, &body, "permission_denied", "NO_RULE", "");
    }
    let dir = stop(service);
    let rule = "[[policy.rules]]\nname = \"beta\"\ncallers = [\"*\"]\nverbs = [\"revoke\"]\napps = [\"beta\"]\n";
    std::fs::write(dir.path().join("config.toml"), format!("{others}{rule}")).unwrap();
    let service = Service::start_in(dir);
    service.fails("Revoke", &json!({"app": "acme", "all": true}), "permission_denied", "NO_RULE", "");
    service.ok("Revoke", &json!({"app": "beta", "username": JANE}));
    assert_eq!(service.ok("ListRevocations", &json!({}))["revocations"].as_array().unwrap().len(), 1);
    service.fails("ListRevocations", &json!({"app": "acme"}), "permission_denied", "NO_RULE", "");
    // The two apps share a key, and nothing else.
    let token = sealed(&service, JANE);
    assert_eq!(verdict(&service, auth(&token), JANE), "VALID");
}

#[test]
fn without_a_ledger_nothing_can_be_revoked_and_that_is_said() {
    let service = Service::start(&CONFIG.replace("\"ledger.sqlite\"", "\"\""));
    let token = sealed(&service, JANE);
    for (method, body) in [("Revoke", json!({"app": "acme", "all": true})), ("ListRevocations", json!({"app": "acme"}))]
    {
        service.fails(method, &body, "failed_precondition", "NO_LEDGER", "");
    }
    assert_eq!(verdict(&service, auth(&token), JANE), "VALID");
    assert!(service.http("/readyz?verbose").1.contains("ledger: none, nothing can be revoked"));
    assert!(!service.http("/metrics").1.contains("countersign_ledger"));
}

#[test]
fn every_revocation_leaves_one_record_that_says_what_and_names_nobody() {
    let service = Service::start(CONFIG);
    let token = sealed(&service, JANE);
    revoked(&service, "username", JANE);
    revoked(&service, "grantId", token["grantId"].clone());
    revoked(&service, "tokenId", token["tokenId"].clone());
    service.fails("Revoke", &json!({"app": "acme", "all": false}), "invalid_argument", "INVALID_FIELD", "all");
    let dir = stop(service);
    let all = records(&journal(dir.path()));
    let told: Vec<&Value> = all.iter().filter(|record| record["op"] == "revoke").collect();
    assert_eq!(told.len(), 4);
    assert_eq!((&told[0]["cuts"], told[0]["user"].as_str().unwrap().len()), (&json!("user"), 32));
    assert_eq!((&told[1]["cuts"], &told[1]["grant"]), (&json!("grant"), &token["grantId"]));
    assert_eq!((&told[2]["cuts"], &told[2]["token"]), (&json!("token"), &token["tokenId"]));
    assert!(
        told[..3].iter().all(|record| record["object"] == "acme" && record["until"].as_i64().unwrap() >= now() - 60)
    );
    assert_eq!((&told[3]["outcome"], &told[3]["reason"]), (&json!("INVALID_ARGUMENT"), &json!("INVALID_FIELD")));
    let raw = std::fs::read(dir.path().join("ledger.sqlite")).unwrap();
    assert!(!raw.windows(JANE.len()).any(|window| window == JANE.as_bytes()), "the ledger names a user");
}

#[test]
fn the_command_line_cuts_off_and_shows() {
    let service = Service::start_in(folder(CONFIG));
    let token = sealed(&service, JANE);
    let cli = |args: &[&str], stdin: &str| {
        let mut all = vec!["hub"];
        all.extend(args);
        let output = service.cli(&all, stdin.as_bytes());
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let (code, out, said) = cli(&["revocations", "--app", "acme"], "");
    assert_eq!((code, out.as_str(), said.as_str()), (Some(0), "", "nothing is revoked\n"));
    let (code, out, said) = cli(&["revoke", "--app", "acme", "--username", JANE], &format!("{}\n", auth(&token)));
    assert_eq!(
        (code, out),
        (Some(0), format!("token {} of app acme is revoked\n", token["tokenId"].as_str().unwrap()))
    );
    assert!(said.contains(&format!("--grant {}", token["grantId"].as_str().unwrap())), "{said}");
    assert_eq!(verdict(&service, auth(&token), JANE), "REVOKED");
    let until = now().to_string();
    for what in [
        vec!["--token-id", token["tokenId"].as_str().unwrap()],
        vec!["--grant", token["grantId"].as_str().unwrap()],
        vec!["--user", JANE, "--issued-until", &until],
        vec!["--all"],
    ] {
        let (code, out, said) = cli(&[vec!["revoke", "--app", "acme"], what.clone()].concat(), "");
        assert!(code == Some(0) && out.contains("of app acme is revoked") && said.is_empty(), "{what:?} {out}{said}");
    }
    let (code, out, _) = cli(&["revocations"], "");
    assert_eq!((code, out.lines().count()), (Some(0), 5), "{out}");
    assert!(out.starts_with("APP ") && out.contains("everything") && out.contains(&until), "{out}");
    let (_, out, _) = cli(&["revocations", "--app", "acme", "--output", "json"], "");
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["revocations"].as_array().unwrap().len(), 4);
    for wrong in [
        vec!["revoke", "--all"],
        vec!["revoke", "--app", "acme", "--all", "--user", JANE],
        vec!["revoke", "--app", "acme", "--all", "--username", JANE],
        vec!["revoke", "--app", "acme", "--token-id", "00"],
        vec!["revoke", "--app", "nobody", "--all"],
    ] {
        assert_eq!(cli(&wrong, "").0, Some(2), "{wrong:?}");
    }
    assert_eq!(cli(&["revoke", "--app", "acme"], "not a token").0, Some(2));
}
