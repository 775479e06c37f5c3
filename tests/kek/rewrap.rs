//! Moving a keyring from one source to another loses no key, and leaves nothing that the old one opens.

use std::{
    fs,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use countersign::keystore::{self, KekSource, KeystoreError, Location};
use serde_json::Value;

use crate::{
    place::{By, PASSPHRASE, Place, refused, well, works},
    service::stdout,
};

const OTHER_PASSPHRASE: &str = "planted words, another five of them";

impl Place {
    pub fn rewrap(&self, from: &By, to: Option<&By>, more: &[&str]) -> Output {
        let said = |by: Option<&By>| if let Some(By::Passphrase(passphrase)) = by { *passphrase } else { "" };
        let mut command = self.command(said(Some(from)), said(to));
        command.args(["keys", "rewrap", "--keyring"]).arg(self.path("keyring")).args(more);
        command.args(from.options(self.dir.path(), ""));
        command.args(to.into_iter().flat_map(|to| to.options(self.dir.path(), "to-")));
        crate::place::feed(command, b"")
    }

    pub fn document(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("keyring")).unwrap()).unwrap()
    }
}

#[test]
fn a_keyring_goes_round_all_sources_and_keeps_every_key() {
    let mut place = Place::new();
    let round = [
        By::File("kek"),
        By::Credential("kek"),
        By::Passphrase(PASSPHRASE),
        By::File("second"),
        By::Passphrase(OTHER_PASSPHRASE),
        By::File("kek"),
    ];
    place.fill(&round[0]);
    let service = place.serve(&round[0]);
    let sealed = service.seal(b"from the first", "jane");
    service.signal("TERM");
    place = Place { dir: service.wait().2 };
    let create = ["create", "--key", "more", "--kind", "hat1"];
    let mut generation = 3;
    for (at, step) in round.windows(2).enumerate() {
        let before = place.document();
        let fresh = at % 2 == 1;
        let done = place.rewrap(&step[0], Some(&step[1]), if fresh { &["--new-document-key"] } else { &[] });
        let said = stdout(&well(&done));
        assert!(said.contains("now opens with") && said.contains("fresh document key") == fresh, "{said}");
        generation += 1;
        let after = place.document();
        assert_eq!(after["generation"], generation);
        assert_eq!(after["service_secret"] != before["service_secret"], fresh);
        let material = |document: &Value| document["keys"][0]["versions"][0]["material"].clone();
        assert_eq!(material(&after) != material(&before), fresh);
        assert!(!place.path("keyring.previous").exists());
        // What opened it before opens nothing.
        refused(&place.keys(&step[0], &create, b""), 2, "open");
    }
    let service = place.serve(&By::File("kek"));
    works(&service);
    assert_eq!(service.open(&sealed, "jane")["verdict"], "VERDICT_VALID");
}

#[test]
fn what_opens_it_wrongly_moves_nothing() {
    let place = Place::new();
    place.fill(&By::Passphrase(PASSPHRASE));
    let before = fs::read(place.path("keyring")).unwrap();
    let to = By::File("second");
    refused(&place.rewrap(&By::Passphrase(OTHER_PASSPHRASE), Some(&to), &[]), 2, "does not open");
    refused(&place.rewrap(&By::File("kek"), Some(&to), &[]), 2, "wrapped by a passphrase");
    let from = By::Passphrase(PASSPHRASE);
    refused(&place.rewrap(&from, Some(&By::Credential("none")), &[]), 2, "no credential none");
    refused(&place.rewrap(&from, Some(&By::Passphrase("planted")), &[]), 2, "fewer than 12");
    refused(&place.rewrap(&from, Some(&By::File("keyring")), &[]), 2, "cannot be both");
    assert_eq!(fs::read(place.path("keyring")).unwrap(), before);
    assert!(!place.path("second").exists(), "nothing is made before the keyring was opened");
}

#[test]
fn copies_beside_the_keyring_are_named() {
    let place = Place::new();
    place.fill(&By::File("kek"));
    fs::copy(place.path("keyring"), place.path("keyring.bak")).unwrap();
    fs::write(place.path("other.json"), "{\"format\": 1}").unwrap();
    let done = well(&place.rewrap(&By::File("kek"), Some(&By::File("second")), &[]));
    let warnings = crate::service::stderr(&done);
    let lines: Vec<_> = warnings.lines().filter(|line| line.contains("earlier generation")).collect();
    assert!(lines.len() == 1 && lines[0].contains("keyring.bak"), "{warnings}");
}

/// A service that has forgotten its passphrase goes on, and takes up a document key that is wrapped as before.
#[test]
fn a_running_service_takes_up_what_its_source_still_opens_and_refuses_what_it_does_not() {
    let by = By::Passphrase(PASSPHRASE);
    let place = Place::new();
    place.fill(&by);
    let service = place.serve(&by);
    let at = service.dir.path().to_owned();
    let rewrap = |to: Option<&By>, more: &[&str]| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<\"$ON\" 4<\"$ON\"", crate::service::BINARY]);
        command.env("ON", at.join("ON_3")).args(["keys", "rewrap", "--keyring"]).arg(at.join("keyring")).args(more);
        command.args(by.options(&at, "")).args(to.into_iter().flat_map(|to| to.options(&at, "to-")));
        well(&crate::place::feed(command, b""));
    };
    rewrap(None, &["--new-document-key"]);
    service.signal("HUP");
    service.await_log("reloaded configuration", 1);
    works(&service);
    // The same passphrase with another salt.
    rewrap(Some(&by), &[]);
    service.signal("HUP");
    service.await_log("restart needed: the keyring was wrapped with a passphrase anew", 1);
    rewrap_to_a_file(&at);
    service.signal("HUP");
    service.await_log("wrapped by a KEK file", 1);
    works(&service);
}

fn rewrap_to_a_file(at: &std::path::Path) {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 3<\"$ON\"", crate::service::BINARY]);
    command.env("ON", at.join("ON_3")).args(["keys", "rewrap", "--kek-passphrase-fd", "3", "--keyring"]);
    command.arg(at.join("keyring")).arg("--to-kek-file").arg(at.join("kek"));
    well(&crate::place::feed(command, b""));
}

/// Killed anywhere, the keyring opens by the one or by the other, with all its keys, and its record is no forgery.
#[test]
fn a_rewrap_that_is_killed_leaves_the_old_or_the_new() {
    const ROUNDS: u32 = 60;
    let place = Place::new();
    let files = [By::File("kek"), By::File("second")];
    place.fill(&files[0]);
    let location = |by: usize| Location {
        keyring: place.path("keyring"),
        kek: KekSource::File(place.path(["kek", "second"][by])),
    };
    let fresh = ["--new-document-key"];
    let begin = Instant::now();
    well(&place.rewrap(&files[0], Some(&files[1]), &fresh));
    let whole = begin.elapsed().max(Duration::from_millis(1));
    let mut by = 1;
    let mut outcomes = [0, 0];
    for round in 0..ROUNDS {
        let mut command = place.command("", "");
        command.args(["keys", "rewrap", "--keyring"]).arg(place.path("keyring")).args(fresh);
        command.args(files[by].options(place.dir.path(), "")).args(files[1 - by].options(place.dir.path(), "to-"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From the first moment to beyond the end.
        std::thread::sleep(whole * round / (ROUNDS * 3 / 4));
        child.kill().unwrap();
        child.wait().unwrap();
        let opens = [0, 1].map(|by| match keystore::load(&location(by)) {
            Ok(loaded) => {
                assert_eq!(loaded.keys.len(), 2);
                true
            }
            Err(KeystoreError::WrongKek { .. }) => false,
            Err(other) => panic!("round {round}: {other}"),
        });
        assert!(opens[0] != opens[1], "round {round}: {opens:?}");
        let moved = opens[1 - by];
        outcomes[usize::from(moved)] += 1;
        by = if moved { 1 - by } else { by };
    }
    assert!(outcomes.iter().all(|count| *count > 0), "never killed before the end, or never after it: {outcomes:?}");
    // And it can still be changed.
    well(&place.keys(&files[by], &["create", "--key", "more", "--kind", "hat1"], b""));
}
