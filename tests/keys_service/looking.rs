//! Looking at keys: what is shown, to whom, and what is recorded of it.

use countersign::grpc::{
    client::{Address, Client},
    proto::{GetKeyRequest, KeyKind, KeyVersionState, ListKeysRequest, Suite},
};

use crate::service::{self, CONFIG, PATIENCE, Service};

/// The caller of these tests may look after the keys that `keys` says.
pub fn config(keys: &str) -> String {
    format!("{CONFIG}\n[[policy.rules]]\nname = \"admins\"\ncallers = [\"*\"]\nverbs = [\"admin\"]\nkeys = {keys}\n")
}

pub fn admin(service: &Service) -> Client {
    let socket = service.dir.path().join("sock/admin.sock");
    Client::connect(&Address::Unix(socket), None, PATIENCE).unwrap()
}

#[test]
fn keys_are_shown_as_they_stand_and_without_material() {
    let dir = service::folder(&config("[\"*\"]"));
    let staged = (service::now() + 3600).to_string();
    service::keys(
        dir.path(),
        &[
            "import",
            "--key",
            "acme",
            "--kind",
            "hat1",
            "--encoding",
            "hex",
            "--suite",
            "chacha20-poly1305",
            "--activate-at",
            &staged,
        ],
        "1f".repeat(32).as_bytes(),
    );
    let service = Service::start_in(dir);
    let admin = admin(&service);
    let listed = admin.list_keys(ListKeysRequest {}).unwrap();
    let names: Vec<_> = listed.keys.iter().map(|key| (key.name.as_str(), key.kind())).collect();
    assert_eq!(names, [("acme", KeyKind::Hat1), ("jobs", KeyKind::Liveauth)]);
    assert_eq!((listed.generation, listed.keyring_id.len()), (4, 32));

    let acme = admin.get_key(GetKeyRequest { key: "acme".into() }).unwrap().key.unwrap();
    assert_eq!(acme, listed.keys[0]);
    assert_eq!(acme.active_version, 1);
    let states: Vec<_> = acme.versions.iter().map(|v| (v.number, v.state(), v.suite(), v.kid.len())).collect();
    assert_eq!(
        states,
        [
            (1, KeyVersionState::Active, Suite::Aes256Gcm, 16),
            (2, KeyVersionState::PreActive, Suite::Chacha20Poly1305, 16)
        ]
    );
    assert_eq!(acme.versions[1].activates_at.to_string(), staged);
    let jobs = &listed.keys[1].versions[0];
    assert_eq!((jobs.suite(), jobs.kid.as_str()), (Suite::Unspecified, ""));
}

#[test]
fn only_keys_with_a_rule_are_shown_and_a_key_without_one_is_as_one_that_is_not_there() {
    let service = Service::start(&config("[\"acme\", \"absent\"]"));
    let client = admin(&service);
    let listed = client.list_keys(ListKeysRequest {}).unwrap();
    assert_eq!(listed.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["acme"]);
    let reason = |key: &str| client.get_key(GetKeyRequest { key: key.into() }).unwrap_err().reason;
    assert_eq!(reason("jobs"), "NO_RULE");
    assert_eq!(reason("nowhere"), "NO_RULE");
    assert_eq!(reason("absent"), "UNKNOWN_KEY");
    assert_eq!(reason("No Key"), "INVALID_FIELD");
    let journal = || std::fs::read_to_string(service.dir.path().join("journal.jsonl")).unwrap();
    let refused = journal().lines().filter(|line| line.contains("\"op\":\"get_key\"")).count();
    assert_eq!(refused, 4, "{}", journal());
    assert!(!journal().contains("list_keys"), "a look that was granted leaves no record: {}", journal());
}

#[test]
fn no_other_right_leads_there() {
    let service = Service::start(CONFIG);
    let refused = admin(&service).list_keys(ListKeysRequest {}).unwrap_err();
    assert_eq!(refused.reason, "NO_RULE");
}
