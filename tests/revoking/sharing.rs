//! Two services on one ledger: each holds to what the other was told.

use serde_json::json;

use crate::{
    asking::{Client, auth, listed, revoked, sealed, verdict},
    service::{CONFIG, Service, folder},
    tools::{stop, until},
};

#[test]
fn what_one_service_is_told_the_other_holds_to_and_neither_loses_anything() {
    let (one, other) = (folder(CONFIG), folder(CONFIG));
    let shared = one.path().join("ledger.sqlite").display().to_string();
    // The same keyring, as replicas have.
    for name in ["keyring", "kek"] {
        std::fs::copy(one.path().join(name), other.path().join(name)).unwrap();
    }
    let _ = std::fs::remove_file(other.path().join("keyring.generation"));
    std::fs::write(other.path().join("config.toml"), CONFIG.replace("ledger.sqlite", &shared)).unwrap();
    let (one, other) = (Service::start_in(one), Service::start_in(other));
    let token = sealed(&other, "jane");
    assert_eq!(verdict(&one, auth(&token), "jane"), "VALID");
    revoked(&one, "username", "jane");
    until("the other knows it", || verdict(&other, auth(&token), "jane") == "REVOKED");
    let fresh = sealed(&other, "jane");
    assert_eq!(
        (verdict(&one, auth(&fresh), "jane"), verdict(&other, auth(&fresh), "jane")),
        ("VALID".into(), "VALID".into())
    );
    // Both at once, as fast as they can.
    std::thread::scope(|scope| {
        for (at, service) in [&one, &other].into_iter().enumerate() {
            let socket = service.socket();
            scope.spawn(move || {
                let mut client = Client::connect(&socket).unwrap();
                for count in 0..150 {
                    let id = format!("{at:016x}{count:016x}");
                    assert_eq!(client.ask("Revoke", &json!({"app": "acme", "tokenId": id})).unwrap(), 200);
                }
            });
        }
    });
    assert_eq!((listed(&one).len(), listed(&other).len()), (301, 301));
    for service in [&one, &other] {
        until("all of them", || service.http("/readyz?verbose").1.contains("ledger: ok, 301 revocations in force"));
    }
    let _dir = stop(one);
    // What the first leaves, the second goes on with.
    revoked(&other, "username", "al");
    stop(other);
}
