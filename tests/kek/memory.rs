//! What opens the keyring lies in the process's memory no more than its keys do: in the arena, or nowhere.

use std::fs;

use crate::{
    independent::{document_key, kek},
    place::{By, PASSPHRASE, Place, works},
    plugin::Plugin,
    search::{Needle, needles, search},
    service::Service,
    skip,
};

/// Searches at once, since what is given back is soon overwritten, and again when everything was done anew.
fn found(service: &Service, needles: &[Needle]) -> Option<Vec<(String, String)>> {
    let look = || {
        let searched = search(service.pid(), needles, Some("/memfd:countersign-keys"))?;
        assert!(searched.bytes > 1 << 20, "{searched:?}");
        Some(searched.found)
    };
    let Some(mut found) = look() else {
        skip("ptrace");
        return None;
    };
    works(service);
    for round in 1..4 {
        service.signal("HUP");
        service.await_log("reloaded configuration", round);
    }
    works(service);
    found.extend(look()?);
    Some(found)
}

#[test]
fn a_passphrase_and_what_is_made_of_it_are_found_nowhere() {
    let by = By::Passphrase(PASSPHRASE);
    let place = Place::new();
    place.fill(&by);
    let all = [
        needles("passphrase", PASSPHRASE.as_bytes()),
        needles("stretched key", &kek(&place, &by, &place.document()["kek"])),
        needles("document key", &document_key(&place, &by)),
    ];
    let service = place.serve(&by);
    if let Some(found) = found(&service, &all.into_iter().flatten().collect::<Vec<_>>()) {
        assert_eq!(found, []);
    }
}

#[test]
fn a_document_key_that_a_plugin_opened_is_found_nowhere() {
    let by = By::Kms("kms.sock");
    let place = Place::new();
    let Some(plugin) = Plugin::start(place.dir.path()) else { return };
    place.fill(&by);
    place.configure(&by, "writable = true\n");
    let first = fs::read(place.path("kms.journal.opened")).unwrap();
    let command = place.serving(&by);
    let service = Service::start_by(place.dir, command);
    for turn in ["opened", "sealed"] {
        if turn == "sealed" {
            plugin.told("key_id=key-2\n");
            service.await_log("wrapped the keyring anew", 1);
            assert_eq!(fs::read(service.dir.path().join("kms.journal.opened")).unwrap(), first);
        }
        let searched = search(service.pid(), &needles("document key", &first), Some("/memfd:countersign-keys"));
        let Some(searched) = searched else { return skip("ptrace") };
        assert_eq!(searched.found, [], "{turn}");
    }
}
