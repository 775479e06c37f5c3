//! What each change does: to the very next call, to the keyring on disk, and to the journal.

use std::{collections::BTreeSet, fs, path::Path};

use countersign::grpc::{
    client::{CallError, Client},
    proto::{
        CreateKeyRequest, DestroyKeyVersionRequest, GetKeyRequest, ImportKeyVersionRequest, KeyKind, KeyVersionState,
        ListKeysRequest, MarkKeyVersionCompromisedRequest, ReloadRequest, ResumeKeyVersionRequest, RotateKeyRequest,
        Suite, SuspendKeyVersionRequest,
    },
};
use serde_json::{Value, json};

use crate::{
    looking::{admin, config},
    service::{self, Service, base64},
};

/// The caller may change every key.
pub fn writable() -> String {
    config("[\"*\"]").replace("kek_file = \"kek\"", "kek_file = \"kek\"\nwritable = true")
}

pub fn rotate(key: &str, activates_at: i64) -> RotateKeyRequest {
    RotateKeyRequest { key: key.into(), secret: None, suite: 0, activates_at }
}

pub fn given(key: &str, secret: &[u8]) -> RotateKeyRequest {
    RotateKeyRequest { key: key.into(), secret: Some(secret.to_vec()), suite: 0, activates_at: 0 }
}

pub fn import(key: &str, kind: KeyKind, secret: &[u8], activates_at: i64) -> ImportKeyVersionRequest {
    let (key, kind, secret) = (key.to_owned(), kind.into(), secret.to_vec());
    ImportKeyVersionRequest { key, kind, secret, suite: 0, activates_at }
}

fn suspend(admin: &Client, key: &str, version: u32) -> Result<(), CallError> {
    admin.suspend_key_version(SuspendKeyVersionRequest { key: key.into(), version }).map(drop)
}

/// The lines of the journal about this operation.
fn journal(at: &Path, op: &str) -> Vec<Value> {
    let text = fs::read_to_string(at.join("journal.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["op"] == op).collect()
}

#[test]
fn a_change_is_served_by_the_very_next_call_and_has_one_record() {
    let service = Service::start(&writable());
    let at = service.dir.path();
    let admin = admin(&service);
    let list = admin.list_keys(ListKeysRequest {}).unwrap();
    assert!(list.writable);
    let before = list.generation;

    let token = service.seal(b"payload", "jane");
    let sealed_by = |token: &str| service.open(token, "jane")["keyVersion"].clone();
    assert_eq!(sealed_by(&token), 1);

    // Staged: it is known, and not used yet.
    let staged = admin.rotate_key(rotate("acme", 0)).unwrap();
    let version = staged.version.unwrap();
    assert_eq!((version.number, version.state()), (2, KeyVersionState::PreActive));
    assert_eq!(version.activates_at - version.created_at, 300);
    assert_eq!(sealed_by(&service.seal(b"payload", "jane")), 1);

    // As soon as its second has come, the next token is sealed by it.
    let at_once = admin.rotate_key(rotate("acme", service::now() + 1)).unwrap();
    assert_eq!(at_once.generation, before + 2);
    while sealed_by(&service.seal(b"payload", "jane")) != 3 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }

    let verdict = |token: &str| {
        service.ok("Verify", &json!({"app": "acme", "auth": token, "username": "jane"}))["verdict"].clone()
    };
    assert_eq!(verdict(&token), "VERDICT_VALID");
    let version = |version: u32| ("acme".to_owned(), version);
    let (key, number) = version(1);
    let done = admin.suspend_key_version(SuspendKeyVersionRequest { key, version: number }).unwrap();
    assert_eq!(done.version.unwrap().state(), KeyVersionState::Suspended);
    assert_eq!(verdict(&token), "VERDICT_UNKNOWN_KEY");
    let (key, number) = version(1);
    let done = admin.resume_key_version(ResumeKeyVersionRequest { key, version: number }).unwrap();
    assert_eq!(done.version.unwrap().state(), KeyVersionState::Deactivated);
    assert_eq!(verdict(&token), "VERDICT_VALID");
    // A token of its is out there.
    let (key, number) = version(1);
    let asked = DestroyKeyVersionRequest { key, version: number, force: false };
    assert_eq!(admin.destroy_key_version(asked).unwrap_err().reason, "STILL_NEEDED");
    let (key, number) = version(1);
    let done = admin.mark_key_version_compromised(MarkKeyVersionCompromisedRequest { key, version: number }).unwrap();
    let shown = done.version.unwrap();
    assert_eq!(shown.state(), KeyVersionState::Compromised);
    assert!(shown.compromised_at > 0 && shown.suspended_at == 0 && shown.deactivates_at > 0, "{shown:?}");
    assert_eq!(verdict(&token), "VERDICT_UNKNOWN_KEY");
    let (key, number) = version(1);
    let done = admin.destroy_key_version(DestroyKeyVersionRequest { key, version: number, force: true }).unwrap();
    assert_eq!(done.version.unwrap().state(), KeyVersionState::Destroyed);
    assert_eq!(verdict(&token), "VERDICT_UNKNOWN_KEY");

    // What is on disk is what serves.
    let listed = service::stdout(&service::keys(at, &["show", "--key", "acme", "--output", "json"], b""));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["versions"][0]["state"], "destroyed");
    assert_eq!(admin.list_keys(ListKeysRequest {}).unwrap().generation, before + 6);

    for (op, times) in [
        ("suspend_key_version", 1),
        ("resume_key_version", 1),
        ("mark_key_version_compromised", 1),
        // It was refused once.
        ("destroy_key_version", 2),
    ] {
        let lines = journal(at, op);
        assert_eq!(lines.len(), times, "{op}: {lines:?}");
        let line = &lines[times - 1];
        assert_eq!(
            (&line["key"], &line["version"], &line["outcome"], &line["rule"]),
            (&json!("acme"), &json!(1), &json!("OK"), &json!("admins"))
        );
    }
    let rotated = journal(at, "rotate_key");
    let versions: Vec<_> =
        rotated.iter().filter(|line| line["outcome"] == "OK").map(|line| line["version"].clone()).collect();
    assert_eq!(versions, [2, 3]);
}

#[test]
fn keys_are_made_and_imported_and_weak_ones_come_with_a_warning() {
    let service = Service::start(&writable());
    let admin = admin(&service);
    let made = admin
        .create_key(CreateKeyRequest {
            key: "fresh".into(),
            kind: KeyKind::Hat1.into(),
            suite: Suite::Chacha20Poly1305.into(),
            activates_at: 0,
        })
        .unwrap();
    let version = made.version.unwrap();
    assert_eq!(
        (version.number, version.suite(), version.state()),
        (1, Suite::Chacha20Poly1305, KeyVersionState::Active)
    );

    let mint = || service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 42}))["keyVersion"].clone();
    assert_eq!(mint(), 1);
    let done = admin.import_key_version(import("jobs", KeyKind::Liveauth, b"short", 0)).unwrap();
    assert_eq!(done.version.unwrap().number, 2);
    assert!(done.warnings.len() == 1 && done.warnings[0].contains("20 bytes"), "{:?}", done.warnings);
    assert_eq!(mint(), 2);
    assert_eq!(
        admin.rotate_key(given("jobs", b"the next secret that idibu gave")).unwrap().version.unwrap().state(),
        KeyVersionState::PreActive
    );

    let reason = |done: Result<(), CallError>| {
        let error = done.unwrap_err();
        assert!(!error.message.is_empty() && !error.message.contains('\n'), "{error}");
        error.reason
    };
    let create = |key: &str, kind: KeyKind| {
        let request = CreateKeyRequest { key: key.into(), kind: kind.into(), suite: 0, activates_at: 0 };
        reason(admin.create_key(request).map(drop))
    };
    assert_eq!(create("fresh", KeyKind::Hat1), "KEY_EXISTS");
    assert_eq!(create("other", KeyKind::Liveauth), "INVALID_FIELD");
    assert_eq!(create("other", KeyKind::Unspecified), "INVALID_FIELD");
    assert_eq!(create("Not a name", KeyKind::Hat1), "INVALID_FIELD");
    let imported = |request| reason(admin.import_key_version(request).map(drop));
    assert_eq!(imported(import("fresh", KeyKind::Liveauth, b"x", 0)), "INVALID_FIELD");
    assert_eq!(imported(import("fresh", KeyKind::Hat1, b"x", 0)), "INVALID_FIELD");
    assert_eq!(imported(import("jobs", KeyKind::Liveauth, b"whatissixtimesnine", 0)), "INVALID_FIELD");
    assert_eq!(imported(import("jobs", KeyKind::Liveauth, b"", 0)), "INVALID_FIELD");
    assert_eq!(imported(import("jobs", KeyKind::Liveauth, b"in the past", 5)), "INVALID_FIELD");
    assert_eq!(reason(admin.rotate_key(rotate("nowhere", 0)).map(drop)), "UNKNOWN_KEY");
    assert_eq!(reason(suspend(&admin, "fresh", 9)), "UNKNOWN_VERSION");
    assert_eq!(reason(suspend(&admin, "fresh", 0)), "INVALID_FIELD");
    suspend(&admin, "fresh", 1).unwrap();
    assert_eq!(reason(suspend(&admin, "fresh", 1)), "STATE_FORBIDS");
    admin.rotate_key(rotate("acme", 0)).unwrap();
    assert_eq!(reason(admin.rotate_key(rotate("acme", 0)).map(drop)), "ALREADY_STAGED");
    let active = DestroyKeyVersionRequest { key: "acme".into(), version: 1, force: true };
    assert_eq!(reason(admin.destroy_key_version(active).map(drop)), "STATE_FORBIDS");
}

/// What changes keys, as JSON, in an order in which all of it works.
fn all_changes() -> Vec<(&'static str, Value)> {
    vec![
        ("CreateKey", json!({"key": "made", "kind": "KEY_KIND_HAT1"})),
        (
            "ImportKeyVersion",
            json!({"key": "given", "kind": "KEY_KIND_LIVEAUTH", "secret": base64(b"a secret that is long enough")}),
        ),
        ("RotateKey", json!({"key": "made"})),
        ("SuspendKeyVersion", json!({"key": "made", "version": 2})),
        ("ResumeKeyVersion", json!({"key": "made", "version": 2})),
        ("MarkKeyVersionCompromised", json!({"key": "made", "version": 2})),
        ("DestroyKeyVersion", json!({"key": "made", "version": 2, "force": true})),
        ("Reload", json!({})),
    ]
}

/// A JSON call on the admin socket.
fn post(service: &Service, method: &str, body: &Value) -> (u16, Value) {
    use std::io::{Read as _, Write as _};
    let socket = service.dir.path().join("sock/admin.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST /countersign.v1.KeyService/{method} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[test]
fn every_change_is_to_be_had_as_json() {
    let service = Service::start(&writable());
    for (method, body) in all_changes() {
        let (status, answer) = post(&service, method, &body);
        assert_eq!(status, 200, "{method}: {answer}");
    }
    let (status, answer) = post(&service, "GetKey", &json!({"key": "made"}));
    assert_eq!((status, answer["key"]["versions"][1]["state"].as_str()), (200, Some("KEY_VERSION_STATE_DESTROYED")));
    // A misspelt field must not become a default.
    assert_eq!(
        post(&service, "DestroyKeyVersion", &json!({"key": "made", "versoin": 1})).1["code"],
        "invalid_argument"
    );
}

#[test]
fn without_a_rule_nothing_is_changed_and_each_attempt_is_on_record() {
    let rules = writable().replace("keys = [\"*\"]", "keys = [\"elsewhere\"]");
    let service = Service::start(&rules);
    let keyring = || fs::read(service.dir.path().join("keyring")).unwrap();
    let before = keyring();
    for (method, mut body) in all_changes() {
        if method == "Reload" {
            continue;
        }
        body["key"] = json!("acme");
        let (status, answer) = post(&service, method, &body);
        assert_eq!((status, service::reason_of(&answer).as_str()), (403, "NO_RULE"), "{method}: {answer}");
    }
    assert_eq!(keyring(), before);
    let text = fs::read_to_string(service.dir.path().join("journal.jsonl")).unwrap();
    assert_eq!(text.matches("\"reason\":\"NO_RULE\"").count(), 7, "{text}");

    let none = service::CONFIG.replace("kek_file = \"kek\"", "kek_file = \"kek\"\nwritable = true");
    let service = Service::start(&none);
    assert_eq!(admin(&service).reload(ReloadRequest {}).unwrap_err().reason, "NO_RULE");
}

#[test]
fn a_keyring_that_is_not_ours_to_change_is_looked_at_and_reloaded_only() {
    let service = Service::start(&config("[\"*\"]"));
    let at = service.dir.path();
    let admin = admin(&service);
    assert!(!admin.list_keys(ListKeysRequest {}).unwrap().writable);
    let refused = admin.rotate_key(rotate("acme", 0)).unwrap_err();
    assert_eq!((refused.reason.as_str(), refused.code), ("KEYRING_READ_ONLY", 9));
    assert!(refused.message.contains("keyring.writable"), "{refused}");
    let generation = admin.reload(ReloadRequest {}).unwrap().generation;
    service::keys(at, &["create", "--key", "other", "--kind", "hat1"], b"");
    assert_eq!(admin.reload(ReloadRequest {}).unwrap().generation, generation + 1);
    assert!(admin.get_key(GetKeyRequest { key: "other".into() }).is_ok());
}

#[test]
fn a_reload_says_what_is_wrong_and_a_wrong_configuration_keeps_no_key_from_being_suspended() {
    let service = Service::start(&writable());
    let at = service.dir.path();
    let admin = admin(&service);
    let token = service.seal(b"payload", "jane");
    let good = fs::read_to_string(at.join("config.toml")).unwrap();
    fs::write(at.join("config.toml"), good.replace("[http]", "[htpp]")).unwrap();
    let refused = admin.reload(ReloadRequest {}).unwrap_err();
    assert_eq!(refused.reason, "RELOAD_REFUSED");
    assert!(refused.message.contains("htpp") && refused.message.contains("line"), "{refused}");
    assert_eq!(service.http("/readyz?verbose").1.matches("htpp").count(), 1);

    suspend(&admin, "acme", 1).unwrap();
    let judged = service.ok("Verify", &json!({"app": "acme", "auth": token, "username": "jane"}));
    assert_eq!(judged["verdict"], "VERDICT_UNKNOWN_KEY");
    assert!(service.http("/readyz?verbose").1.contains("htpp"), "the configuration is as wrong as before");
    assert!(service.http("/metrics").1.contains("countersign_reload_last_successful 0"));

    fs::write(at.join("config.toml"), good).unwrap();
    admin.reload(ReloadRequest {}).unwrap();
    assert!(!service.http("/readyz?verbose").1.contains("htpp"));
    assert_eq!(journal(at, "reload").len(), 2);
}

#[test]
fn two_admins_at_once_lose_nothing() {
    let service = Service::start(&writable());
    let before = admin(&service).list_keys(ListKeysRequest {}).unwrap();
    let (admins, each) = (2, 8);
    let generations: Vec<u64> = std::thread::scope(|scope| {
        let working: Vec<_> = (0..admins)
            .map(|who| {
                let admin = admin(&service);
                scope.spawn(move || {
                    let one = |turn| {
                        let key = format!("key-{who}-{turn}");
                        let request = CreateKeyRequest { key, kind: KeyKind::Hat1.into(), suite: 0, activates_at: 0 };
                        admin.create_key(request).unwrap().generation
                    };
                    (0..each).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        working.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    let distinct: BTreeSet<u64> = generations.into_iter().collect();
    assert_eq!(distinct, (before.generation + 1..=before.generation + admins * each).collect());
    let after = admin(&service).list_keys(ListKeysRequest {}).unwrap();
    assert_eq!(after.keys.len() as u64, before.keys.len() as u64 + admins * each);
    assert_eq!(journal(service.dir.path(), "create_key").len() as u64, admins * each);
}
