//! Making and changing keyrings: what is accepted, what is refused, and that a refusal changes nothing.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use countersign::{
    clock::UnixSeconds,
    crypto::aead::Suite,
    keyring::{KeyKind, Problem, State},
    keystore::{self, KekSource, KeystoreError as E, SAMPLE_SECRET, Step, Warning, create, import, init},
};

use crate::home::{Home, NOW, Tmpfs, chmod, content, importing, location, name, one_line, skipped};

#[test]
fn init_makes_a_kek_file_of_its_own_or_uses_the_one_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let location = location(dir.path());
    assert!(init(&location, NOW).unwrap().kek_made);
    let kek = fs::read_to_string(location.kek.file().unwrap()).unwrap();
    assert_eq!((kek.len(), kek.ends_with('\n')), (45, true));
    let modes =
        [&location.kek.file().unwrap(), &location.keyring].map(|path| fs::metadata(path).unwrap().mode() & 0o7777);
    assert_eq!(modes, [0o400, 0o600]);
    assert_eq!(keystore::load(&location).unwrap().generation, 1);

    let mut second = location.clone();
    second.keyring = dir.path().join("second");
    assert!(!init(&second, NOW).unwrap().kek_made);
    assert_eq!(fs::read_to_string(location.kek.file().unwrap()).unwrap(), kek);
    assert_ne!(keystore::load(&second).unwrap().keyring_id, keystore::load(&location).unwrap().keyring_id);
}

#[test]
fn init_never_replaces_anything() {
    let home = Home::new();
    let before = home.bytes();
    assert!(matches!(init(&home.location, NOW), Err(E::Exists(_))));
    assert_eq!(home.bytes(), before);
    let mut dangling = home.location.clone();
    dangling.keyring = home.beside("link");
    std::os::unix::fs::symlink("nowhere", &dangling.keyring).unwrap();
    assert!(matches!(init(&dangling, NOW), Err(E::Exists(_))));
    let mut same = home.location.clone();
    same.keyring = home.beside("same");
    same.kek = KekSource::File(same.keyring.clone());
    assert!(matches!(init(&same, NOW), Err(E::SamePath(_))));
    assert!(!same.keyring.exists());
    let lost = location(&home.beside("no-such-folder"));
    assert!(one_line(init(&lost, NOW).unwrap_err()).to_string().contains("mkdir"));
}

#[test]
fn init_refuses_a_kek_file_that_is_loose_or_short_and_makes_no_keyring() {
    let dir = tempfile::tempdir().unwrap();
    let location = location(dir.path());
    fs::write(location.kek.file().unwrap(), [b'k'; 32]).unwrap();
    chmod(&location.kek.file().unwrap(), 0o644);
    assert!(matches!(init(&location, NOW), Err(E::Loose(..))));
    fs::write(location.kek.file().unwrap(), [b'k'; 31]).unwrap();
    chmod(&location.kek.file().unwrap(), 0o600);
    assert!(matches!(init(&location, NOW), Err(E::KekTooShort(_))));
    assert!(!location.keyring.exists());
}

#[test]
fn an_import_into_a_key_adds_a_version_and_keeps_the_generation_before() {
    let home = Home::new();
    let before = home.bytes();
    let change = home.import("jobs", KeyKind::LiveAuth, b"another secret, long enough").unwrap();
    assert_eq!((change.number, change.generation, change.activates_at), (2, 4, NOW));
    let jobs = &home.load().unwrap().keys[1];
    assert_eq!(jobs.active(NOW).unwrap().number, 2);
    assert_eq!(jobs.state(&jobs.versions()[0], NOW), State::Deactivated);
    assert_eq!(fs::read(home.beside("previous")).unwrap(), before);
    assert!(home.strangers().is_empty());
}

#[test]
fn a_version_with_a_time_ahead_is_staged() {
    let home = Home::new();
    let later = NOW.plus(3600);
    let hub = name("hub");
    let staged = keystore::Import {
        activates_at: Some(later),
        suite: Suite::ChaCha20Poly1305,
        ..importing(&hub, KeyKind::Hat1, &[9; 32])
    };
    let change = import(&home.location, &staged, NOW).unwrap();
    assert!(change.kid.is_some());
    let hub = &home.load().unwrap().keys[0];
    let second = hub.version(2).unwrap();
    assert_eq!((hub.state(second, NOW), hub.state(second, later)), (State::PreActive, State::Active));
    assert_eq!((second.suite, second.kid), (Some(Suite::ChaCha20Poly1305), change.kid));
}

#[test]
fn every_refusal_leaves_the_keyring_as_it_was() {
    let home = Home::new();
    for secret in ["b", "c", "d"] {
        home.import("jobs", KeyKind::LiveAuth, secret.repeat(20).as_bytes()).unwrap();
    }
    home.import("twin", KeyKind::Hat1, &[7; 32]).unwrap();
    let before = home.bytes();
    let refused = |key: &str, kind, secret: &[u8]| one_line(home.import(key, kind, secret).unwrap_err());
    for len in [0, 31, 33] {
        assert!(matches!(refused("new", KeyKind::Hat1, &vec![1; len]), E::Hat1Length));
    }
    for len in [0, 4097] {
        assert!(matches!(refused("new", KeyKind::LiveAuth, &vec![1; len]), E::LiveAuthLength(4096)));
    }
    assert!(matches!(refused("hub", KeyKind::LiveAuth, &[1; 32]), E::OtherKind(_, KeyKind::Hat1)));
    assert!(matches!(refused("jobs", KeyKind::Hat1, &[1; 32]), E::OtherKind(_, KeyKind::LiveAuth)));
    assert!(matches!(refused("twin", KeyKind::Hat1, &[7; 32]), E::Ring(Problem::DuplicateKid(..))));
    assert!(matches!(refused("other", KeyKind::Hat1, &[7; 32]), E::Ring(Problem::DuplicateKid(..))));
    assert!(matches!(refused("jobs", KeyKind::LiveAuth, &[5; 20]), E::Ring(Problem::TooManyUsable(_))));
    let fresh = name("new");
    let at = |at| {
        let dated = keystore::Import { activates_at: Some(at), ..importing(&fresh, KeyKind::LiveAuth, &[1; 20]) };
        one_line(import(&home.location, &dated, NOW).unwrap_err())
    };
    assert!(matches!(at(NOW.plus(-1)), E::ActivatesInThePast));
    assert!(matches!(at(UnixSeconds(NOW.0 * 1000)), E::ActivatesTooLate));
    let make = |key, kind| one_line(create(&home.location, &name(key), kind, Suite::Aes256Gcm, None, NOW).unwrap_err());
    assert!(matches!(make("hub", KeyKind::Hat1), E::KeyExists(_)));
    assert!(make("new", KeyKind::LiveAuth).to_string().contains("keys import"));
    assert_eq!(home.bytes(), before);
    assert!(home.strangers().is_empty());
}

#[test]
fn the_sample_secret_is_refused_unless_welcome_and_then_named() {
    let home = Home::new();
    assert!(matches!(home.import("s", KeyKind::LiveAuth, SAMPLE_SECRET), Err(E::SampleSecret)));
    // HMAC fills a short key with zeros: this one makes the same hashes.
    let with_nul = [SAMPLE_SECRET, b"\0"].concat();
    assert!(matches!(home.import("s", KeyKind::LiveAuth, &with_nul), Err(E::SampleSecret)));
    let s = name("s");
    let welcome = keystore::Import { allow_sample: true, ..importing(&s, KeyKind::LiveAuth, SAMPLE_SECRET) };
    import(&home.location, &welcome, NOW).unwrap();
    assert_eq!(home.load().unwrap().sample_secrets, [name("s")]);
}

#[test]
fn weak_or_odd_liveauth_secrets_are_taken_with_a_warning() {
    let home = Home::new();
    let warned = |key: &str, secret: &[u8]| home.import(key, KeyKind::LiveAuth, secret).unwrap().warnings;
    assert_eq!(warned("a", &[b'a'; 19]), [Warning::ShortSecret(name("a"), 1)]);
    assert_eq!(warned("b", &[b'b'; 20]), []);
    for (n, odd) in [" leading white space", "trailing white space ", "trailing white line\r"].iter().enumerate() {
        assert_eq!(warned(&format!("c{n}"), odd.as_bytes()), [Warning::EdgeWhitespace(name(&format!("c{n}")), 1)]);
    }
    assert_eq!(warned("d", &[0; 4096]), []);
    assert_eq!(home.load().unwrap().warnings, [Warning::ShortSecret(name("a"), 1)]);
    assert_eq!(home.load().unwrap().keys.iter().find(|k| k.name == name("d")).unwrap().versions()[0].secret_len, 4096);
}

#[test]
fn a_full_disk_leaves_the_previous_keyring_and_says_so() {
    let Some(tmpfs) = Tmpfs::mount("64k") else { return skipped("mount") };
    let home = Home::at(tmpfs.path());
    let (before, held) = (home.bytes(), content(&home.load().unwrap()));
    let filler = tmpfs.path().join("filler");
    // Page by page, until nothing more goes in.
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let error = one_line(home.import("more", KeyKind::LiveAuth, &[b'm'; 2000]).unwrap_err());
    assert!(matches!(&error, E::Write(Step::Write, ..)), "{error}");
    assert!(error.to_string().contains("make room") && error.to_string().contains("unchanged"), "{error}");
    assert_eq!(home.bytes(), before);
    assert_eq!(content(&home.load().unwrap()), held);
    assert_eq!(home.strangers(), ["filler"]);
    fs::remove_file(filler).unwrap();
    assert_eq!(home.import("more", KeyKind::LiveAuth, &[b'm'; 2000]).unwrap().generation, 4);
}

#[test]
fn what_a_killed_writer_left_does_no_harm_and_is_cleared_away() {
    let home = Home::new();
    let before = content(&home.load().unwrap());
    let temp = |n: u8| home.beside(&format!("tmp-{}", format!("{n:02x}").repeat(8)));
    // Killed while writing; after it; after the second name was made; after that was put in place.
    fs::write(temp(1), b"{\"format\": \"counters").unwrap();
    fs::copy(home.keyring(), temp(2)).unwrap();
    fs::hard_link(home.keyring(), temp(3)).unwrap();
    fs::remove_file(home.beside("previous")).unwrap();
    fs::hard_link(home.keyring(), home.beside("previous")).unwrap();
    let others = [home.beside("tmp-notours"), home.beside("bak")];
    for path in &others {
        fs::write(path, "").unwrap();
    }
    assert_eq!(content(&home.load().unwrap()), before);
    let sealed = home.bytes();
    home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap();
    assert_eq!(fs::read(home.beside("previous")).unwrap(), sealed);
    let mut strangers = home.strangers();
    strangers.sort();
    assert_eq!(strangers, ["keyring.bak", "keyring.tmp-notours"]);
}

#[test]
fn a_writer_gives_up_clearly_while_another_holds_the_lock() {
    let home = Home::new();
    let before = home.bytes();
    let held = fs::File::open(home.beside("lock")).unwrap();
    held.lock().unwrap();
    let busy = one_line(home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap_err());
    assert!(matches!(busy, E::Busy(_)));
    assert_eq!(home.bytes(), before);
    assert!(home.load().is_ok(), "reading needs no lock");
    held.unlock().unwrap();
    assert!(home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).is_ok());
}

#[test]
fn a_change_through_a_link_is_made_to_the_file_behind_it() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let mut linked = home.location.clone();
    linked.keyring = folder.path().join("link");
    std::os::unix::fs::symlink(home.keyring(), &linked.keyring).unwrap();
    create(&linked, &name("more"), KeyKind::Hat1, Suite::Aes256Gcm, None, NOW).unwrap();
    assert!(fs::symlink_metadata(&linked.keyring).unwrap().is_symlink());
    assert_eq!(home.load().unwrap().keys.len(), 3);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let home = Home::new();
    let target = home.beside("target");
    fs::write(&target, "").unwrap();
    fs::remove_file(home.beside("lock")).unwrap();
    std::os::unix::fs::symlink(&target, home.beside("lock")).unwrap();
    let refused = home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap_err();
    assert!(matches!(one_line(refused), E::Write(Step::Lock, ..)));
}

#[test]
fn a_change_keeps_the_group_and_its_right_to_read() {
    let home = Home::new();
    let gid = fs::metadata(home.keyring()).unwrap().gid();
    chmod(home.keyring(), 0o640);
    home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap();
    let file = |path: PathBuf| fs::metadata(path).map(|m| (m.gid(), m.mode() & 0o7777)).unwrap();
    assert_eq!(file(home.keyring().to_owned()), (gid, 0o640));
    assert_eq!(file(home.beside("previous")), (gid, 0o640));
    assert_eq!(file(home.beside("generation")), (gid, 0o600));
}
