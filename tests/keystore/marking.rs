//! The life of a version: rotated, suspended, resumed, compromised, destroyed; and what a refusal leaves.

use std::{fs, path::PathBuf};

use countersign::{
    clock::UnixSeconds,
    crypto::{aead::Suite, secret::Secret},
    keyring::{Key, KeyKind, State},
    keystore::{
        self, Change, KeystoreError as E, Location, Restoring, Rotation, SAMPLE_SECRET, destroy, mark_compromised,
        resume, rotate, rotate_when_due, suspend,
    },
};

use crate::home::{Home, NOW, Tmpfs, chmod, name, one_line, skipped};

const HOUR: i64 = 3600;

fn rotating(home: &Home, key: &str, activates_at: UnixSeconds, now: UnixSeconds) -> Result<Change, E> {
    let name = name(key);
    let rotation = Rotation { name: &name, secret: None, suite: None, activates_at, allow_sample: false };
    rotate(&home.location, rotation, now)
}

/// The states of a key's versions, one letter each.
fn states(home: &Home, key: &str, now: UnixSeconds) -> String {
    let loaded = home.load().unwrap();
    let key: &Key = loaded.keys.iter().find(|k| k.name == name(key)).unwrap();
    let letter = |state| match state {
        State::PreActive => 'p',
        State::Active => 'A',
        State::Deactivated => 'd',
        State::Suspended => 's',
        State::Compromised => 'c',
        State::Destroyed => 'x',
    };
    key.versions().iter().map(|v| letter(key.state(v, now))).collect()
}

/// The wrapped material of a version, as the document has it.
fn wrapped(home: &Home, key: &str, number: usize) -> String {
    let document: serde_json::Value = serde_json::from_slice(&home.bytes()).unwrap();
    let keys = document["keys"].as_array().unwrap();
    let key = keys.iter().find(|k| k["name"] == key).unwrap();
    key["versions"][number - 1]["material"]["wrapped"].as_str().unwrap().to_owned()
}

fn files_that_hold(home: &Home, text: &str) -> Vec<String> {
    let entries = fs::read_dir(home.keyring().parent().unwrap()).unwrap().map(Result::unwrap);
    let holds = entries.filter(|entry| String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).contains(text));
    holds.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn a_rotation_is_staged_and_says_when_it_takes_effect() {
    let home = Home::new();
    let change = rotating(&home, "hub", NOW.plus(HOUR), NOW).unwrap();
    assert_eq!((change.number, change.state, change.activates_at), (2, State::PreActive, NOW.plus(HOUR)));
    assert_eq!((change.kind, change.generation, change.kid.is_some()), (KeyKind::Hat1, 4, true));
    assert_eq!(states(&home, "hub", NOW.plus(HOUR - 1)), "Ap");
    assert_eq!(states(&home, "hub", NOW.plus(HOUR)), "dA");
    let loaded = home.load().unwrap();
    let hub = &loaded.keys[0];
    assert_eq!(hub.deactivates_at(&hub.versions()[0]), Some(NOW.plus(HOUR)));
    assert_eq!(hub.deactivates_at(&hub.versions()[1]), None);
}

#[test]
fn a_rotation_draws_a_key_of_the_suite_before_it_unless_told() {
    let home = Home::new();
    let key = name("hub");
    let chacha = Rotation {
        name: &key,
        secret: None,
        suite: Some(Suite::ChaCha20Poly1305),
        activates_at: NOW,
        allow_sample: false,
    };
    rotate(&home.location, chacha, NOW).unwrap();
    rotating(&home, "hub", NOW, NOW).unwrap();
    let suites: Vec<_> = home.load().unwrap().keys[0].versions().iter().map(|v| v.suite.unwrap()).collect();
    assert_eq!(suites, [Suite::Aes256Gcm, Suite::ChaCha20Poly1305, Suite::ChaCha20Poly1305]);
}

#[test]
fn a_liveauth_secret_is_rotated_to_one_that_was_given() {
    let home = Home::new();
    let jobs = name("jobs");
    let given = |secret: &[u8], suite| {
        let secret = Some(Secret::copied(secret));
        let rotation = Rotation { name: &jobs, secret, suite, activates_at: NOW.plus(HOUR), allow_sample: false };
        rotate(&home.location, rotation, NOW)
    };
    assert!(matches!(rotating(&home, "jobs", NOW, NOW), Err(E::LiveAuthIsGiven(_))));
    assert!(matches!(given(SAMPLE_SECRET, None), Err(E::SampleSecret)));
    assert!(matches!(given(&[5; 30], Some(Suite::Aes256Gcm)), Err(E::SuiteOfLiveAuth(_))));
    assert_eq!(given(&[5; 30], None).unwrap().number, 2);
    assert_eq!(states(&home, "jobs", NOW), "Ap");
}

#[test]
fn whoever_rotates_twice_rotates_once() {
    let home = Home::new();
    rotating(&home, "hub", NOW.plus(HOUR), NOW).unwrap();
    let before = home.bytes();
    for at in [HOUR, 2 * HOUR] {
        let refusal = one_line(rotating(&home, "hub", NOW.plus(at), NOW).unwrap_err());
        assert!(matches!(refusal, E::Staged(_, 2, at) if at == NOW.plus(HOUR)));
    }
    assert_eq!(home.bytes(), before);
    // In an emergency one that is staged is overtaken, and takes over from that one in its turn.
    assert_eq!(rotating(&home, "hub", NOW, NOW).unwrap().state, State::Active);
    assert_eq!(states(&home, "hub", NOW), "dpA");
    assert_eq!(states(&home, "hub", NOW.plus(HOUR)), "dAd");
    assert!(matches!(rotating(&home, "none", NOW, NOW), Err(E::NoKey(_))));
    assert!(matches!(rotating(&home, "hub", NOW.plus(-1), NOW), Err(E::ActivatesInThePast)));
}

#[test]
fn a_key_that_is_due_is_rotated_once_however_many_find_it_due() {
    let home = Home::new();
    let hub = name("hub");
    let due = |now: UnixSeconds| rotate_when_due(&home.location, &hub, HOUR, now.plus(10), now).unwrap();
    assert!(due(NOW.plus(HOUR - 1)).is_none());
    let change = due(NOW.plus(HOUR)).unwrap();
    assert_eq!((change.number, change.state), (2, State::PreActive));
    let before = home.bytes();
    // Another replica that is behind: while it is staged, and when it has taken over.
    for later in [0, 5, 10, 11, HOUR] {
        assert!(due(NOW.plus(HOUR + later)).is_none());
    }
    assert_eq!(home.bytes(), before);
    assert_eq!(due(NOW.plus(2 * HOUR + 10)).unwrap().number, 3);
    assert!(rotate_when_due(&home.location, &name("jobs"), 1, NOW.plus(HOUR), NOW.plus(HOUR)).unwrap().is_none());
}

#[test]
fn suspending_the_only_active_version_stops_minting_and_resuming_brings_it_back() {
    let home = Home::new();
    let hub = name("hub");
    rotating(&home, "hub", NOW.plus(HOUR), NOW).unwrap();
    let then = NOW.plus(2 * HOUR);
    let change = suspend(&home.location, &hub, 2, then).unwrap();
    assert_eq!((change.number, change.state, change.generation), (2, State::Suspended, 5));
    assert_eq!(states(&home, "hub", then), "ds");
    let loaded = home.load().unwrap();
    assert!(loaded.keys[0].active(then).is_none());
    assert_eq!(loaded.keys[0].versions()[1].marked.suspended_at, Some(then));
    assert_eq!(resume(&home.location, &hub, 2, then.plus(HOUR), then).unwrap().state, State::Active);
    assert_eq!(states(&home, "hub", then), "dA");
    assert_eq!(home.load().unwrap().keys[0].versions()[1].marked.suspended_at, None);
}

#[test]
fn a_version_marked_before_its_turn_leaves_the_one_before_it_active() {
    for mark in [suspend, mark_compromised, destroy] {
        let home = Home::new();
        rotating(&home, "hub", NOW.plus(HOUR), NOW).unwrap();
        mark(&home.location, &name("hub"), 2, NOW.plus(1)).unwrap();
        assert!(states(&home, "hub", NOW.plus(2 * HOUR)).starts_with('A'));
    }
}

#[test]
fn one_that_missed_its_turn_takes_over_once_every_replica_can_know_it() {
    let home = Home::new();
    let hub = name("hub");
    rotating(&home, "hub", NOW.plus(HOUR), NOW).unwrap();
    suspend(&home.location, &hub, 2, NOW).unwrap();
    let (then, later) = (NOW.plus(2 * HOUR), NOW.plus(2 * HOUR + 300));
    let change = resume(&home.location, &hub, 2, later, then).unwrap();
    assert_eq!((change.state, change.activates_at), (State::PreActive, later));
    assert_eq!((states(&home, "hub", then), states(&home, "hub", later)), ("Ap".into(), "dA".into()));
    assert!(home.load().unwrap().keys[0].versions()[1].probe(), "it is wrapped anew under its new time");
}

#[test]
fn one_that_was_overtaken_comes_back_deactivated() {
    let home = Home::new();
    let hub = name("hub");
    rotating(&home, "hub", NOW.plus(10), NOW).unwrap();
    suspend(&home.location, &hub, 2, NOW).unwrap();
    rotating(&home, "hub", NOW.plus(20), NOW).unwrap();
    let change = resume(&home.location, &hub, 2, NOW.plus(300), NOW.plus(30)).unwrap();
    assert_eq!((change.state, change.activates_at), (State::Deactivated, NOW.plus(10)));
    assert_eq!(states(&home, "hub", NOW.plus(400)), "ddA");
}

#[test]
fn one_that_is_about_to_be_overtaken_never_takes_over() {
    let home = Home::new();
    let hub = name("hub");
    rotating(&home, "hub", NOW.plus(10), NOW).unwrap();
    suspend(&home.location, &hub, 2, NOW).unwrap();
    rotating(&home, "hub", NOW.plus(100), NOW).unwrap();
    resume(&home.location, &hub, 2, NOW.plus(300), NOW.plus(50)).unwrap();
    let at = |seconds| states(&home, "hub", NOW.plus(seconds));
    assert_eq!((at(50), at(99), at(100), at(400)), ("App".into(), "App".into(), "ddA".into(), "ddA".into()));
}

#[test]
fn what_is_destroyed_is_in_no_file_any_more() {
    let home = Home::new();
    let hub = name("hub");
    let material = wrapped(&home, "hub", 1);
    rotating(&home, "hub", NOW, NOW).unwrap();
    let temp = home.beside(&format!("tmp-{}", "ab".repeat(8)));
    fs::hard_link(home.keyring(), &temp).unwrap();
    assert_eq!(files_that_hold(&home, &material).len(), 3, "keyring, previous, and what a killed writer left");
    let change = destroy(&home.location, &hub, 1, NOW).unwrap();
    assert_eq!((change.state, change.generation), (State::Destroyed, 5));
    assert_eq!(files_that_hold(&home, &material), [""; 0]);
    assert_eq!(states(&home, "hub", NOW), "xA");
    let loaded = home.load().unwrap();
    let gone = &loaded.keys[0].versions()[0];
    assert!(gone.kid.is_some() && gone.marked.destroyed_at == Some(NOW), "its public part stays");
    home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap();
    assert_eq!(files_that_hold(&home, &material), [""; 0]);
}

#[test]
fn an_act_that_a_state_does_not_allow_changes_nothing() {
    let home = Home::new();
    let hub = name("hub");
    rotating(&home, "hub", NOW, NOW).unwrap();
    mark_compromised(&home.location, &hub, 1, NOW).unwrap();
    let before = home.bytes();
    let not_allowed = |done: Result<Change, E>| {
        assert!(matches!(one_line(done.unwrap_err()), E::NotAllowed(..)));
    };
    not_allowed(destroy(&home.location, &hub, 2, NOW));
    not_allowed(resume(&home.location, &hub, 2, NOW, NOW));
    not_allowed(resume(&home.location, &hub, 1, NOW, NOW));
    not_allowed(suspend(&home.location, &hub, 1, NOW));
    assert!(matches!(one_line(suspend(&home.location, &hub, 3, NOW).unwrap_err()), E::NoVersion(_, 3)));
    assert!(matches!(one_line(suspend(&home.location, &name("none"), 1, NOW).unwrap_err()), E::NoKey(_)));
    assert_eq!(home.bytes(), before);
    destroy(&home.location, &hub, 1, NOW).unwrap();
    let gone = home.load().unwrap().keys[0].versions()[0].marked;
    assert_eq!((gone.compromised_at, gone.destroyed_at), (Some(NOW), Some(NOW)), "why it went is still to be seen");
}

/// The times are public metadata, and covered by the MAC like the rest.
#[test]
fn an_edited_mark_or_time_is_refused() {
    let home = Home::new();
    suspend(&home.location, &name("hub"), 1, NOW).unwrap();
    let text = String::from_utf8(home.bytes()).unwrap();
    let sealed = "\"mark\": \"suspended\",\n          \"suspended_at\": 1800000000,";
    assert!(text.contains(sealed), "{text}");
    for edited in [
        "\"mark\": null,",
        "\"mark\": null,\n          \"suspended_at\": 1800000000,",
        "\"mark\": \"suspended\",",
        "\"mark\": \"suspended\",\n          \"suspended_at\": 1800000001,",
        "\"mark\": \"destroyed\",\n          \"suspended_at\": 1800000000,",
    ] {
        home.put(text.replace(sealed, edited).as_bytes());
        assert!(matches!(home.refusal(), E::Altered(_)), "{edited}");
    }
    home.put(text.as_bytes());
    chmod(home.keyring(), 0o600);
    assert!(keystore::load(&home.location).is_ok());
}

#[test]
fn a_full_disk_or_a_read_only_mount_leaves_everything_as_it_was_whatever_the_act() {
    let Some(tmpfs) = Tmpfs::mount("128k") else { return skipped("mount") };
    let home = Home::at(tmpfs.path());
    let hub = name("hub");
    for _ in 0..3 {
        rotating(&home, "hub", NOW, NOW).unwrap();
    }
    suspend(&home.location, &hub, 3, NOW).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = keystore::backup(&home.location, &elsewhere.path().join("backup")).unwrap();
    let files = || -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(tmpfs.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| !path.ends_with("filler")).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let before = files();
    let refused = |what: &str| {
        let at = &home.location;
        let from = Location { keyring: backup.path.clone(), ..at.clone() };
        let refusals = [
            rotating(&home, "hub", NOW, NOW).err(),
            suspend(at, &hub, 4, NOW).err(),
            resume(at, &hub, 3, NOW, NOW).err(),
            mark_compromised(at, &hub, 2, NOW).err(),
            destroy(at, &hub, 1, NOW).err(),
            keystore::restore(&from, at, Restoring::default()).err(),
        ];
        for (act, refusal) in refusals.into_iter().enumerate() {
            let refusal = one_line(refusal.unwrap_or_else(|| panic!("{what}: act {act} was done")));
            assert!(matches!(&refusal, E::Write(..)), "{what}: act {act}: {refusal}");
            assert!(refusal.to_string().contains("what was there before is unchanged"), "{refusal}");
        }
        assert!(files() == before, "{what}");
        assert_eq!(states(&home, "hub", NOW), "ddsA");
    };
    tmpfs.remount("ro");
    refused("read-only");
    tmpfs.remount("rw");
    let filler = tmpfs.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    refused("full");
    fs::remove_file(filler).unwrap();
    destroy(&home.location, &hub, 1, NOW).unwrap();
    assert_eq!(states(&home, "hub", NOW), "xdsA");
}
