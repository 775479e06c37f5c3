//! A passphrase from a file descriptor.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    place::{By, PASSPHRASE, Place, feed, refused, well, works},
    service::{BINARY, Service, serve},
};

const BY: By = By::Passphrase(PASSPHRASE);

const CREATE: [&str; 5] = ["create", "--key", "more", "--kind", "hat1"];

#[test]
fn a_keyring_opens_with_a_passphrase_here_and_in_a_service_that_forgets_it() {
    let place = Place::new();
    place.fill(&BY);
    let document: Value = serde_json::from_slice(&fs::read(place.path("keyring")).unwrap()).unwrap();
    let kek = &document["kek"];
    assert_eq!((kek["source"].as_str(), kek["memory_kib"].as_u64()), (Some("passphrase"), Some(64 << 10)));
    assert_eq!((kek["passes"].as_u64(), kek["lanes"].as_u64()), (Some(3), Some(4)));
    assert_eq!(kek["salt"].as_str().unwrap().len(), 32);

    place.configure(&BY, "");
    // A pipe can be read once only: what is needed later is kept.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(format!("{PASSPHRASE}\n").as_bytes()).unwrap();
    drop(writer);
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0 0</dev/null; exec \"$0\" \"$@\"", BINARY]);
    let mut command = serve(command, place.dir.path());
    command.stdin(reader);
    let service = Service::start_by(place.dir, command);
    works(&service);
    for round in 1..4 {
        service.signal("HUP");
        service.await_log("reloaded configuration", round);
    }
    works(&service);
    assert!(!service.log().contains("planted"));
}

#[test]
fn one_newline_at_its_end_is_not_part_of_it() {
    let place = Place::new();
    place.fill(&BY);
    well(&place.keys(&By::Passphrase("planted passphrase of five words\n"), &CREATE, b""));
    let said =
        refused(&place.keys(&By::Passphrase("planted passphrase of five words\n\n"), &CREATE, b""), 2, "not open");
    assert!(said.contains("the passphrase from file descriptor 3"), "{said}");
}

#[test]
fn passphrases_that_will_not_do_are_refused_and_change_nothing() {
    let place = Place::new();
    for (passphrase, word) in [("", "is empty"), ("\n", "is empty"), ("planted ele", "fewer than 12 bytes")] {
        refused(&place.keys(&By::Passphrase(passphrase), &["init"], b""), 2, word);
    }
    let long: &'static str = "planted ".repeat(129).leak();
    refused(&place.keys(&By::Passphrase(long), &["init"], b""), 2, "more than 1024 bytes");
    assert!(!place.path("keyring").exists());

    place.fill(&BY);
    let before = fs::read(place.path("keyring")).unwrap();
    let wrong = By::Passphrase("planted passphrase of six words");
    refused(&place.keys(&wrong, &CREATE, b""), 2, "does not open the keyring");
    refused(&place.keys(&By::File("kek"), &CREATE, b""), 2, "wrapped by a passphrase");
    assert_eq!(fs::read(place.path("keyring")).unwrap(), before);
}

#[test]
fn a_descriptor_must_have_been_handed_over() {
    let place = Place::new();
    place.fill(&BY);
    let keys = |fd: &str, args: &[&str], stdin: &[u8]| {
        let mut command = Command::new(BINARY);
        command.arg("keys").args(args).arg("--keyring").arg(place.path("keyring")).args(["--kek-passphrase-fd", fd]);
        feed(command, stdin)
    };
    for fd in ["3", "9", "2", "1"] {
        refused(&keys(fd, &CREATE, b""), 2, &format!("{fd}< FILE"));
    }
    well(&keys("0", &CREATE, PASSPHRASE.as_bytes()));
    let import = ["import", "--key", "k", "--kind", "liveauth", "--encoding", "raw"];
    refused(&keys("0", &import, b"planted"), 2, "standard input cannot be both");

    place.configure(&BY, "");
    let mut bare = serve(Command::new(BINARY), place.dir.path());
    assert_eq!(bare.stdin(Stdio::null()).status().unwrap().code(), Some(2));
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert!(log.contains("file descriptor 3") && log.contains("OpenFile="), "{log}");
}

/// Whoever may write the file must not make its reader take all memory, or fill it for hours.
#[test]
fn a_document_that_states_an_unbearable_cost_is_refused_at_once() {
    let place = Place::new();
    place.fill(&BY);
    let text = fs::read_to_string(place.path("keyring")).unwrap();
    for (field, stated) in [("memory_kib", "65536"), ("passes", "3"), ("lanes", "4")] {
        for put in ["0", "4294967295"] {
            let other = text.replacen(&format!("\"{field}\": {stated}"), &format!("\"{field}\": {put}"), 1);
            assert_ne!(other, text);
            fs::write(place.path("keyring"), other).unwrap();
            refused(&place.keys(&BY, &CREATE, b""), 2, "was edited");
        }
    }
}
