//! What operators are told about a token: the same verdict as whoever presents it gets, which check decided, and nothing
//! that is nobody's business.

use countersign::grpc::{
    client::CallError,
    proto::{
        ExplainTokenRequest, ExplainTokenResponse, Hint, KeyVersionState, RevocationKind, Suite, TokenCheck,
        TokenCheckOutcome, TokenRevokedBy, Verdict,
    },
};
use serde_json::json;

use crate::{
    looking::{admin, config},
    service::{CONFIG, Service, now, run, stderr, stdout},
};

const USER: &str = "jane@example.com";
const PAYLOAD: &str = "the payload that nobody sees";

/// A service with a rule for its keys, one for an app with the other's key, and a token of the first app.
fn desk() -> (Service, String) {
    let more = "[[hub.apps]]\nname = \"other\"\nkey = \"acme\"\n[[hub.apps]]\nname = \"strange\"\nkey = \"acme2\"\n";
    let config = config("[\"acme\", \"acme3\"]").replacen("[[policy.rules]]", &format!("{more}[[policy.rules]]"), 1);
    let dir = crate::service::folder(&config);
    crate::service::keys(dir.path(), &["create", "--key", "acme2", "--kind", "hat1"], b"");
    let service = Service::start_in(dir);
    let request = json!({
        "app": "acme", "username": USER, "payload": crate::service::base64(PAYLOAD.as_bytes()),
        "labels": [{"name": "tenant", "value": "label-value"}], "hubOrigin": "https://hub.example.com",
    });
    let token = service.ok("Seal", &request)["auth"].as_str().unwrap().to_owned();
    (service, token)
}

fn request(app: &str, auth: &str, username: Option<&str>) -> ExplainTokenRequest {
    ExplainTokenRequest {
        app: app.into(),
        auth: auth.into(),
        username: username.map(Into::into),
        hub_login_token: None,
    }
}

fn explain(service: &Service, app: &str, auth: &str, username: Option<&str>) -> ExplainTokenResponse {
    let told = admin(service).explain_token(request(app, auth, username)).unwrap();
    let judged = service.ok("Verify", &json!({"app": app, "auth": auth, "username": username}));
    assert_eq!(judged["verdict"], told.verdict().as_str_name(), "the judgement is the same");
    let text = format!("{told:?}");
    for secret in [PAYLOAD, USER, "tenant", "label-value", "hub.example.com"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    told
}

fn failed(told: &ExplainTokenResponse) -> TokenCheck {
    let outcomes: Vec<_> = told.checks.iter().map(|checked| (checked.check(), checked.outcome())).collect();
    assert_eq!(outcomes.len(), 14);
    let at = outcomes.iter().position(|(_, outcome)| *outcome != TokenCheckOutcome::Passed);
    let Some(at) = at else { return TokenCheck::Unspecified };
    assert_eq!(outcomes[at].1, TokenCheckOutcome::Failed);
    assert!(outcomes[at + 1..].iter().all(|(_, outcome)| *outcome == TokenCheckOutcome::NotReached));
    outcomes[at].0
}

#[test]
fn every_verdict_of_the_list_is_told_with_the_check_that_decided() {
    let (service, token) = desk();
    let told = |app: &str, auth: &str, username| {
        let told = explain(&service, app, auth, username);
        (told.verdict(), failed(&told))
    };
    assert_eq!(told("acme", &token, Some(USER)), (Verdict::Valid, TokenCheck::Unspecified));
    assert_eq!(told("acme", &token[1..], Some(USER)), (Verdict::Malformed, TokenCheck::Length));
    assert_eq!(told("acme", &"x".repeat(token.len()), Some(USER)), (Verdict::Malformed, TokenCheck::Prefix));
    assert_eq!(told("acme", &token, Some("mallory")), (Verdict::WrongContext, TokenCheck::Seal));
    assert_eq!(told("acme", &token, None), (Verdict::WrongContext, TokenCheck::Bindings));
    assert_eq!(told("other", &token, Some(USER)), (Verdict::BadSignature, TokenCheck::Commitment));
    let short = service.ok("Seal", &json!({"app": "acme", "username": USER, "ttl": 1}));
    let expires: i64 = short["expiresAt"].as_str().unwrap().parse().unwrap();
    while now() < expires {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let short = short["auth"].as_str().unwrap();
    assert_eq!(told("acme", short, Some(USER)), (Verdict::Expired, TokenCheck::Expiry));
    let foreign = service.ok("Seal", &json!({"app": "strange", "username": USER}));
    let foreign = foreign["auth"].as_str().unwrap();
    let found = explain(&service, "acme", foreign, Some(USER));
    assert_eq!((found.verdict(), failed(&found)), (Verdict::UnknownKey, TokenCheck::Key));
    assert!(found.hints().any(|hint| hint == Hint::KeyOfAnotherApp));
    let facts = found.facts.unwrap();
    assert_eq!((facts.key.as_str(), facts.key_version), ("", 0), "whose key it is, is another's business");
    assert_eq!(facts.key_state(), KeyVersionState::Unspecified);

    service.ok("Revoke", &json!({"app": "acme", "username": USER}));
    let found = explain(&service, "acme", &token, Some(USER));
    assert_eq!((found.verdict(), failed(&found)), (Verdict::Revoked, TokenCheck::Revoked));
    assert_eq!(found.revoked_by.iter().map(TokenRevokedBy::kind).collect::<Vec<_>>(), [RevocationKind::User]);
    service.ok("Revoke", &json!({"app": "acme", "auth": token}));
    let found = explain(&service, "acme", &token, Some(USER));
    assert_eq!((found.verdict(), failed(&found)), (Verdict::Revoked, TokenCheck::TokenRevoked));
    assert!(found.claims.is_none() && found.facts.is_some());
}

#[test]
fn public_facts_are_shown_and_those_inside_where_the_token_is_authentic() {
    let (service, token) = desk();
    let told = explain(&service, "acme", &format!("\"{token}\""), Some(USER));
    let facts = told.facts.unwrap();
    assert_eq!((facts.key.as_str(), facts.key_version, facts.key_state()), ("acme", 1, KeyVersionState::Active));
    assert!(facts.username_bound && !facts.hub_login_token_bound && facts.suite() == Suite::Aes256Gcm);
    assert_eq!((facts.token_id.len(), facts.kid.len()), (32, 16));
    let claims = told.claims.unwrap();
    assert_eq!((claims.grant_id.len(), claims.reseal_count), (32, 0));
    assert_eq!(claims.expires_at - claims.issued_at, 90 * 86_400);
    let unopened = explain(&service, "acme", &token, Some("mallory"));
    assert!(unopened.claims.is_none() && unopened.facts.is_some());
}

#[test]
fn it_takes_the_right_to_the_apps_key_and_leaves_a_record() {
    let (service, token) = desk();
    let refused = |app: &str| -> CallError { admin(&service).explain_token(request(app, &token, None)).unwrap_err() };
    assert_eq!(refused("strange").reason, "NO_RULE");
    assert_eq!(refused("nowhere").reason, "NO_RULE");
    assert_eq!(refused("acme3").reason, "UNKNOWN_APP");
    assert_eq!(refused("No App").reason, "INVALID_FIELD");
    explain(&service, "acme", &token, Some(USER));
    let journal = std::fs::read_to_string(service.dir.path().join("journal.jsonl")).unwrap();
    let records: Vec<&str> = journal.lines().filter(|line| line.contains("\"op\":\"explain_token\"")).collect();
    assert_eq!(records.len(), 5, "{journal}");
    let granted = records.last().unwrap();
    for part in ["\"outcome\":\"VALID\"", "\"object\":\"acme\"", "\"rule\":\"admins\"", "\"token\":\""] {
        assert!(granted.contains(part), "no {part} in {granted}");
    }
    for text in [journal.as_str(), &service.log()] {
        assert!(!text.contains(USER) && !text.contains(&token) && !text.contains(PAYLOAD), "{text}");
    }
    // Without the rule, being on the socket is worth nothing.
    let service = Service::start(CONFIG);
    let token = service.seal(b"p", USER);
    assert_eq!(admin(&service).explain_token(request("acme", &token, None)).unwrap_err().reason, "NO_RULE");
}

#[test]
fn the_command_line_tells_it_in_words() {
    let (service, token) = desk();
    let explain = |stdin: &str, more: &[&str]| {
        let address = format!("unix:{}", service.dir.path().join("sock/admin.sock").display());
        let args = [&["tokens", "explain", "--app", "acme", "--address", &address], more].concat();
        let output = run(&args, stdin.as_bytes());
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let (code, said, _) = explain(&format!("{token}\n"), &["--username", USER]);
    assert_eq!(code, Some(0));
    let begins = |word: &str| said.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("{said}"));
    assert!(said.starts_with("VALID\n\n"), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains(" passed ")).count(), 14, "{said}");
    assert!(begins("key ").contains("key acme, version 1, active"), "{said}");
    assert!(begins("bound to").ends_with("username"), "{said}");
    for secret in [PAYLOAD, USER, token.as_str(), "label-value"] {
        assert!(!said.contains(secret), "{said}");
    }
    let (code, said, _) = explain(&token, &["--username", "mallory@example.com"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("WRONG_CONTEXT\n\n") && said.contains("FAILED"), "{said}");
    assert!(said.lines().find(|line| line.starts_with("body")).unwrap().ends_with('-'), "{said}");
    let (code, said, _) = explain(&token, &["--username", USER, "--output", "json"]);
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &told["verdict"], &told["checks"][0]["check"]),
        (Some(0), &json!("VERDICT_VALID"), &json!("TOKEN_CHECK_LENGTH"))
    );
    // On an ordinary socket it is as if there were no such thing; that is said.
    let output = service.cli(&["tokens", "explain", "--app", "acme"], token.as_bytes());
    assert!(!output.status.success() && stderr(&output).contains("admin"), "{}", stderr(&output));
}
