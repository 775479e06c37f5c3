//! Whether a version may be destroyed is judged by the same ledger through the service and on its files, and told alike.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::{
    changing::writable,
    service::{self, Service, run, stderr, stdout},
};

/// On the files, by their configuration.
fn offline(at: &Path, args: &[&str]) -> Output {
    let config = at.join("config.toml");
    run(&[&["keys"], args, &["--config", config.to_str().unwrap()]].concat(), b"")
}

fn online(service: &Service, args: &[&str]) -> Output {
    let admin = format!("unix:{}/sock/admin.sock", service.dir.path().display());
    run(&[&["keys"], args, &["--address", &admin]].concat(), b"")
}

fn well(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output)
}

fn destroy<'a>(key: &'a str, number: &'a str) -> [&'a str; 5] {
    ["destroy", "--key", key, "--key-version", number]
}

fn rotated(service: &Service, key: &str) {
    well(&online(service, &["rotate", "--key", key, "--activate-at", &service::now().to_string()]));
}

#[test]
fn what_is_needed_is_not_destroyed_without_force_either_way_and_what_is_not_is() {
    let service = Service::start(&writable());
    let sealed = service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": ""}));
    assert!(sealed["auth"].is_string());
    for key in ["spare", "other"] {
        well(&online(&service, &["create", "--key", key, "--kind", "hat1"]));
        rotated(&service, key);
    }
    rotated(&service, "acme");
    let by_service = online(&service, &destroy("acme", "1"));
    well(&online(&service, &destroy("other", "1")));
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    let at = dir.path();
    let before = fs::read(at.join("keyring")).unwrap();
    let by_file = offline(at, &destroy("acme", "1"));
    assert_eq!((by_file.status.code(), by_service.status.code()), (Some(2), Some(2)));
    assert_eq!(stderr(&by_file), stderr(&by_service));
    assert!(stderr(&by_file).contains("not safe to destroy before") && stderr(&by_file).contains("STILL_NEEDED"));
    assert_eq!(fs::read(at.join("keyring")).unwrap(), before);

    // The same key, by who knows no ledger.
    let (keyring, kek) = (at.join("keyring"), at.join("kek"));
    let files = ["--keyring", keyring.to_str().unwrap(), "--kek-file", kek.to_str().unwrap()];
    for number in ["1", "2"] {
        let unknown = run(&[&["keys"], &destroy("spare", number)[..], &files].concat(), b"");
        let said = stderr(&unknown);
        let expected = if number == "1" { "not known to be safe to destroy" } else { "active" };
        assert!(unknown.status.code() == Some(2) && said.contains(expected), "{said}");
        assert_eq!(said.contains("give --config in place of --keyring"), number == "1", "{said}");
    }
    // By the ledger nobody needs it.
    well(&offline(at, &destroy("spare", "1")));
    let forced = offline(at, &[&destroy("acme", "1")[..], &["--force"]].concat());
    well(&forced);
    let shown = offline(at, &["show", "--key", "acme", "--output", "json"]);
    let shown: Value = serde_json::from_str(&well(&shown)).unwrap();
    assert_eq!(shown["versions"][0]["state"], "destroyed");
    assert_eq!(shown["versions"][0]["usage"]["destruction"], "done");
}

/// Through the service, whose ledger has seen every version from its making, and on files that no ledger speaks for.
#[test]
fn from_each_state_destroying_needs_what_the_state_calls_for() {
    let service = Service::start(&writable());
    let dir = service::folder(&writable());
    let run =
        |is_online: bool, args: &[&str]| if is_online { online(&service, args) } else { offline(dir.path(), args) };
    let now = || service::now().to_string();
    for is_online in [true, false] {
        let keys = |args: &[&str]| run(is_online, args);
        let said = |key: &str, number: &str| {
            let done = keys(&destroy(key, number));
            (done.status.code() == Some(0), stderr(&done))
        };
        let refused = |key: &str, number: &str, why: &str| {
            let (done, said) = said(key, number);
            assert!(!done && said.contains(why), "{why}, online {is_online}: {said}");
        };
        let act = |act: &str, key: &str, number: &str| well(&keys(&[act, "--key", key, "--key-version", number]));
        well(&keys(&["create", "--key", "k", "--kind", "hat1"]));
        refused("k", "1", "active");
        let forced = keys(&[&destroy("k", "1")[..], &["--force"]].concat());
        assert_eq!(forced.status.code(), Some(2), "not by force either: {}", stderr(&forced));
        well(&keys(&["rotate", "--key", "k"]));
        refused("k", "2", "it is to mint");
        act("suspend", "k", "2");
        act("mark-compromised", "k", "2");
        assert!(said("k", "2").0, "nothing of one that is compromised is taken");
        refused("k", "2", "destroyed");
        well(&keys(&["rotate", "--key", "k", "--activate-at", &now()]));
        act("suspend", "k", "3");
        for number in ["1", "3"] {
            // One deactivated, one suspended: both made nothing, which only the ledger knows.
            let (done, said) = said("k", number);
            assert_eq!(done, is_online, "{said}");
            assert!(is_online || said.contains("not known to be safe to destroy"), "{said}");
        }
    }
}

#[test]
fn a_ledger_that_cannot_be_read_tells_nothing_and_is_named() {
    let dir = service::folder(&writable());
    let at = dir.path();
    well(&offline(at, &["suspend", "--key", "acme", "--key-version", "1"]));
    let refused = offline(at, &destroy("acme", "1"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("nothing is at the ledger.path"), "{}", stderr(&refused));
    fs::write(at.join("ledger.sqlite"), [b'x'; 4096]).unwrap();
    let refused = offline(at, &destroy("acme", "1"));
    assert!(stderr(&refused).contains("chmod 0600"), "{}", stderr(&refused));
    fs::set_permissions(at.join("ledger.sqlite"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let refused = offline(at, &destroy("acme", "1"));
    assert!(refused.status.code() == Some(2) && stderr(&refused).contains("ledger is damaged"), "{}", stderr(&refused));
    well(&offline(at, &[&destroy("acme", "1")[..], &["--force"]].concat()));
}

/// The keyring, the record beside it and all copies there are lost; only a backup from before and the ledger are left.
#[test]
fn a_restored_keyring_is_above_all_that_the_ledger_has_seen() {
    let service = Service::start(&writable());
    let backup = tempfile::tempdir().unwrap();
    let to = backup.path().join("backup");
    let config = service.dir.path().join("config.toml");
    well(&run(&["keys", "backup", "--to", to.to_str().unwrap(), "--config", config.to_str().unwrap()], b""));
    rotated(&service, "acme");
    rotated(&service, "acme");
    let sealed = service.seal(b"p", "j");
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    for name in ["keyring", "keyring.generation", "keyring.previous", "keyring.backups"] {
        let _ = fs::remove_file(dir.path().join(name));
    }
    let restore = ["restore", "--from", to.to_str().unwrap(), "--output", "json"];
    let look: Value =
        serde_json::from_str(&well(&offline(dir.path(), &[&restore[..], &["--dry-run"]].concat()))).unwrap();
    let higher = offline(dir.path(), &[&restore[..], &["--dry-run", "--above", "40"]].concat());
    let higher: Value = serde_json::from_str(&well(&higher)).unwrap();
    assert_eq!((&look["generation"], &look["backupGeneration"]), (&"6".into(), &"3".into()));
    assert_eq!(higher["generation"], "41");
    well(&offline(dir.path(), &restore));
    let service = Service::start_in(dir);
    // What came after the backup is lost, and is not taken for something else.
    assert_eq!(service.open(&sealed, "j")["verdict"], "VERDICT_UNKNOWN_KEY");
    service.seal(b"p", "j");
}
