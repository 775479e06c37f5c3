//! A keyring under a Kubernetes KMS v2 plugin that is slow, wrong, restarted, gone, or changes its key.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::{
    place::{By, PASSPHRASE, Place, refused, well, works},
    plugin::Plugin,
    service::{Service, stdout},
};

const BY: By = By::Kms("kms.sock");
const CREATE: [&str; 5] = ["create", "--key", "more", "--kind", "hat1"];

impl Place {
    fn with_plugin() -> Option<(Self, Plugin)> {
        let place = Self::new();
        let plugin = Plugin::start(place.dir.path())?;
        Some((place, plugin))
    }

    fn key_id(&self) -> String {
        self.document()["kek"]["key_id"].as_str().unwrap().to_owned()
    }
}

/// A line of `/metrics` without a label.
fn metric(service: &Service, name: &str) -> String {
    let (_, text) = service.http("/metrics");
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name}")).split(' ').nth(1).unwrap().to_owned()
}

fn await_metric(service: &Service, name: &str, value: &str) {
    let begin = std::time::Instant::now();
    while metric(service, name) != value {
        assert!(begin.elapsed() < crate::service::PATIENCE, "{name} is {}, not {value}", metric(service, name));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_keyring_opens_by_a_plugin_here_and_in_a_service_and_after_its_restart() {
    let Some((place, mut plugin)) = Place::with_plugin() else { return };
    place.fill(&BY);
    let kek = &place.document()["kek"];
    assert_eq!((kek["source"].as_str(), kek["key_id"].as_str()), (Some("kms"), Some("key-1")));
    assert!(kek["annotations"]["seal.kms.example.com"].is_string());
    let requests = plugin.requests();
    let mut uids: Vec<_> = requests.iter().filter(|(asked, _)| asked != "status").map(|(_, uid)| uid).collect();
    let count = uids.len();
    uids.sort();
    uids.dedup();
    assert!(uids.len() == count && uids.iter().all(|uid| uid.len() == 36), "a uid of its own for each: {requests:?}");
    plugin.restart();
    let service = place.serve(&BY);
    works(&service);
    await_metric(&service, "countersign_kek_healthy", "1");
    assert_eq!(metric(&service, "countersign_kek_rewrap_due"), "0");
    assert!(service.http("/readyz?verbose").1.contains("\nkek: ok\n"));
}

#[test]
fn a_running_service_goes_on_without_its_plugin_and_says_so() {
    let Some((place, mut plugin)) = Place::with_plugin() else { return };
    place.fill(&BY);
    let service = place.serve(&BY);
    let asked = plugin.asked("decrypt");
    plugin.stop();
    await_metric(&service, "countersign_kek_healthy", "0");
    service.await_log("cannot be reached", 1);
    let (status, shown) = service.http("/readyz?verbose");
    assert!(status == 200 && shown.contains("kek: the KMS plugin at") && shown.contains("goes on"), "{shown}");
    works(&service);
    // Also what it reads anew, while the keyring is wrapped as before.
    service.signal("HUP");
    service.await_log("reloaded configuration", 1);
    works(&service);
    plugin.restart();
    await_metric(&service, "countersign_kek_healthy", "1");
    service.await_log("all is well again", 1);
    assert_eq!(plugin.asked("decrypt"), asked, "what was opened once is kept");

    plugin.told("healthz=the HSM is on fire\n");
    await_metric(&service, "countersign_kek_healthy", "0");
    service.await_log("the HSM is on fire", 1);
    works(&service);
}

#[test]
fn a_start_waits_for_a_plugin_that_starts_beside_it() {
    let Some((place, mut plugin)) = Place::with_plugin() else { return };
    place.fill(&BY);
    plugin.told("error=14\n");
    let asked = plugin.asked("status");
    place.configure(&BY, "");
    let mut command = place.serving(&BY);
    let mut child = command.spawn().unwrap();
    // Refused as UNAVAILABLE, then not there at all, then well.
    while plugin.asked("status") < asked + 2 {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    plugin.stop();
    // Somebody else is there now, who hangs up: a sign that it asks on.
    let socket = place.path("kms.sock");
    fs::remove_file(&socket).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for _ in 0..2 {
        drop(listener.accept().unwrap());
    }
    drop(listener);
    fs::remove_file(&socket).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    plugin.told("");
    plugin.restart();
    works(&Service::attach(place.dir, child));
}

#[test]
fn what_a_plugin_does_wrongly_is_said_and_changes_nothing() {
    let Some((place, mut plugin)) = Place::with_plugin() else { return };
    for (control, word) in [
        ("answer=empty\n", "its ciphertext is empty"),
        ("answer=long\n", "its ciphertext is longer than 1024 bytes"),
        ("answer=nameless\n", "its key_id is empty"),
        ("answer=misnamed\n", "fully qualified domain name"),
        ("answer=large\n", "annotations are larger than 32 KiB"),
        ("answer=other\n", "was edited"),
        ("answer=short\n", "what it opened is no key"),
        ("version=v1beta1\n", "speaks version \"v1beta1\""),
        ("healthz=bad\u{7}\n", "not well (bad )"),
        ("error=7\n", "refuses ("),
        ("latency=20s\n", "did not answer within 3000 ms"),
    ] {
        plugin.told(control);
        let exit = if control == "answer=other\n" { 2 } else { 4 };
        let by = if control == "answer=other\n" || control == "answer=short\n" {
            // Only opening shows it.
            plugin.told("");
            well(&place.keys(&BY, &["init"], b""));
            plugin.told(control);
            place.keys(&BY, &CREATE, b"")
        } else {
            place.keys(&BY, &["init"], b"")
        };
        refused(&by, exit, word);
        for name in ["keyring", "keyring.generation"] {
            let _ = fs::remove_file(place.path(name));
        }
    }
    plugin.told("");
    place.fill(&BY);
    let before = fs::read(place.path("keyring")).unwrap();
    plugin.told("error=5\n");
    let said = refused(&place.keys(&BY, &CREATE, b""), 4, "as it was told to by its test");
    assert!(said.contains("the KMS plugin at"), "{said}");
    // Another plugin, with keys of its own.
    fs::remove_file(place.path("kms.seed")).unwrap();
    plugin.told("");
    plugin.restart();
    refused(&place.keys(&BY, &CREATE, b""), 4, "not sealed by this plugin");
    refused(&place.rewrap(&BY, Some(&By::File("kek")), &[]), 4, "not sealed by this plugin");
    plugin.stop();
    refused(&place.keys(&BY, &CREATE, b""), 4, "cannot be reached");
    assert_eq!(fs::read(place.path("keyring")).unwrap(), before);
    assert!(!place.path("kek").exists());
}

#[test]
fn an_edited_entry_is_held_to_the_rules_before_it_is_sent() {
    let Some((place, plugin)) = Place::with_plugin() else { return };
    place.fill(&BY);
    let asked = plugin.asked("decrypt");
    let good = place.document();
    let put = |edit: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        edit(&mut document["kek"]);
        fs::write(place.path("keyring"), serde_json::to_vec(&document).unwrap()).unwrap();
        place.keys(&BY, &CREATE, b"")
    };
    refused(&put(&|kek| kek["ciphertext"] = "A".repeat(1400).into()), 4, "longer than 1024");
    refused(&put(&|kek| kek["ciphertext"] = "no base64!".into()), 2, "was edited");
    refused(&put(&|kek| kek["annotations"]["x"] = "AA==".into()), 4, "domain name");
    assert_eq!(plugin.asked("decrypt"), asked);
    refused(&put(&|kek| kek["key_id"] = "key-2".into()), 4, "not sealed by this plugin");
}

#[test]
fn a_plugin_that_changes_its_key_is_followed_by_hand_where_the_keyring_is_read_only() {
    let Some((place, plugin)) = Place::with_plugin() else { return };
    place.fill(&BY);
    let service = place.serve(&BY);
    plugin.told("key_id=key-2\n");
    await_metric(&service, "countersign_kek_rewrap_due", "1");
    service.await_log("run countersign keys rewrap", 1);
    let (_, shown) = service.http("/readyz?verbose");
    assert!(shown.contains("key-1") && shown.contains("key-2"), "{shown}");
    works(&service);
    let output = std::process::Command::new(crate::service::BINARY)
        .args(["keys", "rewrap", "--config"])
        .arg(service.dir.path().join("config.toml"))
        .output()
        .unwrap();
    well(&output);
    await_metric(&service, "countersign_kek_rewrap_due", "0");
    service.signal("HUP");
    service.await_log("reloaded configuration", 1);
    works(&service);
    let document: Value = serde_json::from_slice(&fs::read(service.dir.path().join("keyring")).unwrap()).unwrap();
    assert_eq!(document["kek"]["key_id"], "key-2");
}

#[test]
fn a_plugin_that_changes_its_key_is_followed_by_a_service_that_may_write_its_keyring() {
    let Some((place, plugin)) = Place::with_plugin() else { return };
    place.fill(&BY);
    place.configure(&BY, "writable = true\n");
    let command = place.serving(&BY);
    let service = Service::start_by(place.dir, command);
    let sealed = service.seal(b"under the first", "jane");
    for round in 2..5 {
        plugin.told(&format!("key_id=key-{round}\n"));
        service.await_log("wrapped the keyring anew", round - 1);
        let document: Value = serde_json::from_slice(&fs::read(service.dir.path().join("keyring")).unwrap()).unwrap();
        assert_eq!(document["kek"]["key_id"], format!("key-{round}"));
        assert_eq!(metric(&service, "countersign_kek_rewrap_due"), "0");
    }
    service.signal("HUP");
    service.await_log("reloaded configuration", 1);
    assert_eq!(service.open(&sealed, "jane")["verdict"], "VERDICT_VALID");
    assert_eq!(metric(&service, "countersign_kek_healthy"), "1");
    // One that cannot seal is asked again at the next look, and meanwhile nothing is lost.
    plugin.told("key_id=key-9\nanswer=long\n");
    service.await_log("it could not be wrapped anew", 1);
    assert_eq!(metric(&service, "countersign_kek_rewrap_due"), "1");
    works(&service);
    plugin.told("key_id=key-9\n");
    await_metric(&service, "countersign_kek_rewrap_due", "0");
}

#[test]
fn a_plugin_that_names_another_key_than_it_wraps_with_is_told_of_once_and_not_asked_for_ever() {
    let Some((place, plugin)) = Place::with_plugin() else { return };
    place.fill(&BY);
    place.configure(&BY, "writable = true\n");
    let command = place.serving(&BY);
    let service = Service::start_by(place.dir, command);
    let wrapped = plugin.asked("encrypt");
    plugin.told("key_id=key-2\nencrypt_key_id=key-1\n");
    service.await_log("names another key when it does", 1);
    // Each look that finds it so is counted; an attempt is made at the first of them, the third, the sixth, the eleventh.
    let contrary = || metric(&service, "countersign_kek_checks_total{result=\"contrary\"}").parse::<usize>().unwrap();
    let begin = std::time::Instant::now();
    while contrary() < 6 {
        assert!(begin.elapsed() < crate::service::PATIENCE, "{}", contrary());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (attempts, looks) = (plugin.asked("encrypt") - wrapped, contrary());
    assert!(attempts >= 3 && 2 * attempts <= looks + 1, "{attempts} attempts in {looks} looks");
    assert_eq!(service.log().matches("names another key when it does").count(), 1);
    assert_eq!(metric(&service, "countersign_kek_rewrap_due"), "1");
    works(&service);
    plugin.told("key_id=key-2\n");
    await_metric(&service, "countersign_kek_rewrap_due", "0");
    service.await_log("all is well again", 1);
}

#[test]
fn a_keyring_moves_to_a_plugin_and_away_again() {
    let Some((place, plugin)) = Place::with_plugin() else { return };
    let others = [By::File("kek"), By::Credential("kek"), By::Passphrase(PASSPHRASE)];
    place.fill(&others[0]);
    for (at, other) in others.iter().enumerate() {
        let next = &others[(at + 1) % others.len()];
        plugin.told(&format!("key_id=key-{at}\n"));
        well(&place.rewrap(other, Some(&BY), &[]));
        assert_eq!(place.key_id(), format!("key-{at}"));
        refused(&place.keys(other, &CREATE, b""), 2, "wrapped by a KMS plugin");
        well(&place.rewrap(&BY, Some(next), &["--new-document-key"]));
        refused(&place.keys(&BY, &CREATE, b""), 2, "wrapped by");
    }
    let listed = stdout(&well(&place.keys(&others[0], &["list"], b"")));
    assert!(listed.contains("jobs") && listed.contains("acme"), "{listed}");
    works(&place.serve(&others[0]));
}
