//! Backups: made, judged, put back, and what putting one back does not undo.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use countersign::{
    crypto::aead::Suite,
    keyring::{Key, KeyKind, Mark},
    keystore::{
        self, Backup, Before, Effect, Inner, KekSource, KeystoreError as E, Location, Restored, Restoring, Warning,
        backup, create, destroy, mark_compromised, restore, rewrap, suspend,
    },
};

use crate::home::{Home, NOW, Tmpfs, chmod, content, location, name, one_line, skipped};

const LOOK: Restoring = Restoring { replace: false, highest: 0, only_look: true };
const DO: Restoring = Restoring { only_look: false, ..LOOK };

/// A backup in a folder of its own.
struct Kept {
    folder: tempfile::TempDir,
    made: Backup,
}

impl Kept {
    fn of(home: &Home) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = backup(&home.location, &folder.path().join("backup")).unwrap();
        Self { folder, made }
    }

    fn path(&self) -> &Path {
        &self.made.path
    }

    fn at(&self, home: &Home) -> Location {
        Location { keyring: self.path().to_owned(), ..home.location.clone() }
    }

    fn restore(&self, home: &Home, how: Restoring) -> Result<Restored, E> {
        restore(&self.at(home), &home.location, how)
    }
}

fn key(home: &Home, key: &str) -> Key {
    home.load().unwrap().keys.into_iter().find(|k| k.name == name(key)).unwrap()
}

fn marks(home: &Home, of: &str) -> Vec<Option<Mark>> {
    key(home, of).versions().iter().map(|v| v.mark).collect()
}

#[test]
fn a_backup_is_the_keyring_for_its_owner_alone_and_replaces_nothing() {
    let home = Home::new();
    let kept = Kept::of(&home);
    assert_eq!((kept.made.generation, &kept.made.warnings[..]), (3, &[][..]));
    assert_eq!(fs::metadata(kept.path()).unwrap().mode() & 0o7777, 0o600);
    let (there, copy) = (home.load().unwrap(), keystore::load(&kept.at(&home)).unwrap());
    assert_eq!(content(&there), content(&copy));
    let again = one_line(backup(&home.location, kept.path()).unwrap_err());
    assert!(matches!(again, E::BackupExists(_)));
    assert!(matches!(backup(&home.location, home.keyring()), Err(E::BackupExists(_))));
    let lost = one_line(backup(&home.location, &kept.folder.path().join("no/such/folder")).unwrap_err());
    assert!(lost.to_string().contains("mkdir"), "{lost}");
}

#[test]
fn what_does_not_open_is_not_backed_up() {
    let home = Home::new();
    let sound = home.bytes();
    let to = home.beside("bak");
    for (bad, at) in [(&sound[..sound.len() / 2], "cut"), (&sound[1..], "damaged")] {
        home.put(bad);
        one_line(backup(&home.location, &to).unwrap_err());
        assert!(!to.exists(), "{at}");
    }
    home.put(String::from_utf8(sound).unwrap().replace("\"number\": 1", "\"number\": 2").as_bytes());
    assert!(matches!(backup(&home.location, &to), Err(E::Altered(_))));
    assert!(!to.exists());
}

#[test]
fn a_backup_can_be_made_of_a_keyring_that_may_only_be_read() {
    let Some(tmpfs) = Tmpfs::mount("256k") else { return skipped("mount") };
    let home = Home::at(tmpfs.path());
    tmpfs.remount("ro");
    let kept = Kept::of(&home);
    assert!(matches!(kept.made.warnings[..], [Warning::BackupNotNoted(..)]));
    assert_eq!(keystore::load(&kept.at(&home)).unwrap().generation, 3);
}

#[test]
fn a_full_disk_leaves_no_part_of_a_backup() {
    let Some(tmpfs) = Tmpfs::mount("8k") else { return skipped("mount") };
    fs::write(tmpfs.path().join("filler"), [0; 8192]).unwrap();
    let home = Home::new();
    let error = one_line(backup(&home.location, &tmpfs.path().join("backup")).unwrap_err());
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!(fs::read_dir(tmpfs.path()).unwrap().count(), 1);
}

#[test]
fn what_was_said_for_good_and_what_came_later_stays() {
    let home = Home::new();
    let hub = name("hub");
    for n in 0..4 {
        home.import("hub", KeyKind::Hat1, &[n; 32]).unwrap();
    }
    suspend(&home.location, &hub, 4, NOW).unwrap();
    let kept = Kept::of(&home);
    destroy(&home.location, &hub, 1, NOW).unwrap();
    mark_compromised(&home.location, &hub, 2, NOW).unwrap();
    suspend(&home.location, &hub, 3, NOW).unwrap();
    keystore::resume(&home.location, &hub, 4, NOW, NOW).unwrap();
    home.import("hub", KeyKind::Hat1, &[9; 32]).unwrap();
    create(&home.location, &name("new"), KeyKind::Hat1, Suite::Aes256Gcm, None, NOW).unwrap();

    let before = (home.bytes(), home.load().unwrap().generation);
    let expected = [
        Effect::KeepsMark(hub.clone(), 1, Mark::Destroyed),
        Effect::KeepsMark(hub.clone(), 2, Mark::Compromised),
        Effect::LosesMark(hub.clone(), 3, Mark::Suspended),
        Effect::GetsMark(hub.clone(), 4, Mark::Suspended),
        Effect::Stays(hub.clone(), 6),
        Effect::Stays(name("new"), 1),
    ];
    let told = kept.restore(&home, LOOK).unwrap();
    assert_eq!((&told.effects[..], &told.before), (&expected[..], &Before::Opened(before.1)));
    assert_eq!(home.bytes(), before.0, "looking changes nothing");

    let done = kept.restore(&home, DO).unwrap();
    assert_eq!((&done, done.generation, done.of), (&told, before.1 + 1, kept.made.generation));
    let (gone, held) = (Some(Mark::Destroyed), Some(Mark::Suspended));
    assert_eq!(marks(&home, "hub"), [gone, Some(Mark::Compromised), None, held, None, None]);
    assert_eq!(marks(&home, "new"), [None]);
    assert_eq!(key(&home, "hub").versions()[0].marked.destroyed_at, Some(NOW));
    assert_eq!(home.load().unwrap().generation, before.1 + 1);
    assert_eq!(fs::read(home.beside("previous")).unwrap(), before.0);
    assert!(done.effects.iter().all(|effect| !effect.to_string().contains('\n')));
}

#[test]
fn what_was_destroyed_comes_back_in_no_byte() {
    let home = Home::new();
    home.import("hub", KeyKind::Hat1, &[9; 32]).unwrap();
    let kept = Kept::of(&home);
    let document: serde_json::Value = serde_json::from_slice(&home.bytes()).unwrap();
    let wrapped = document["keys"][0]["versions"][0]["material"]["wrapped"].as_str().unwrap();
    let change = destroy(&home.location, &name("hub"), 1, NOW).unwrap();
    assert_eq!(change.warnings, [Warning::CopyHolds(kept.path().to_owned(), name("hub"), 1)]);
    kept.restore(&home, DO).unwrap();
    for entry in fs::read_dir(home.keyring().parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        assert!(!String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(wrapped), "{}", path.display());
    }
}

#[test]
fn a_keyring_that_is_gone_comes_back_above_every_generation_seen() {
    let home = Home::new();
    let kept = Kept::of(&home);
    suspend(&home.location, &name("hub"), 1, NOW).unwrap();
    let lost = home.load().unwrap().generation;
    fs::remove_file(home.keyring()).unwrap();
    fs::remove_file(home.beside("previous")).unwrap();
    let done = kept.restore(&home, DO).unwrap();
    assert_eq!((done.generation, &done.before), (lost + 1, &Before::Missing));
    assert_eq!(done.effects, [Effect::Returns(name("hub"), 1), Effect::Returns(name("jobs"), 1)]);
    assert_eq!(marks(&home, "hub"), [None]);
    assert_eq!(fs::metadata(home.keyring()).unwrap().mode() & 0o7777, 0o600);
    home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap();
    let from_ledger = Restoring { highest: 70, ..DO };
    assert_eq!(kept.restore(&home, from_ledger).unwrap().generation, 71);
    assert_eq!(home.load().unwrap().generation, 71);
}

#[test]
fn a_damaged_keyring_is_replaced_and_kept_beside() {
    let home = Home::new();
    let kept = Kept::of(&home);
    let sound = home.bytes();
    let edited = String::from_utf8(sound.clone()).unwrap().replace("\"generation\": 3", "\"generation\": 900");
    for bad in [&sound[..100], b"", b"{}", edited.as_bytes()] {
        home.put(bad);
        let done = kept.restore(&home, DO).unwrap();
        assert!(matches!(&done.before, Before::Unreadable(why) if !why.contains('\n')));
        assert!(done.generation > 3 && done.generation < 900, "what an unproven file says counts for nothing");
        assert_eq!(fs::read(home.beside("previous")).unwrap(), bad);
        assert_eq!(home.load().unwrap().keys.len(), 2);
    }
}

#[test]
fn what_only_its_owner_can_mend_is_not_replaced() {
    let home = Home::new();
    let kept = Kept::of(&home);
    chmod(home.keyring(), 0o644);
    assert!(matches!(one_line(kept.restore(&home, DO).unwrap_err()), E::Loose(..)));
    chmod(home.keyring(), 0o600);
    assert!(kept.restore(&home, DO).is_ok());
    // A backup is held to the same rules.
    chmod(kept.path(), 0o644);
    assert!(matches!(one_line(kept.restore(&home, DO).unwrap_err()), E::Loose(..)));
}

#[test]
fn another_keyring_is_replaced_only_when_told_to() {
    let (home, other) = (Home::new(), Home::new());
    let kept = Kept::of(&other);
    let from = kept.at(&other);
    let before = home.bytes();
    let refused = one_line(restore(&from, &home.location, DO).unwrap_err());
    assert!(matches!(&refused, E::OtherKeyring { .. }) && refused.to_string().contains("--replace"));
    assert_eq!(home.bytes(), before);
    let told = Restoring { replace: true, ..DO };
    let done = restore(&from, &home.location, told).unwrap();
    assert!(matches!(&done.before, Before::Other(_)));
    assert!(matches!(done.warnings[..], [Warning::RecordIgnored(_)]));
    let loaded = home.load().unwrap();
    assert_eq!(loaded.keyring_id, kept.made.keyring_id);
    assert_eq!(fs::read(home.beside("previous")).unwrap(), before);
}

/// The key of this keyring's KEK file opens what comes from a keyring with another one.
#[test]
fn a_backup_under_another_kek_comes_back_under_the_one_of_today() {
    let home = Home::new();
    home.import("hub", KeyKind::Hat1, &[9; 32]).unwrap();
    for inner in [Inner::Kept, Inner::Drawn] {
        let kept = Kept::of(&home);
        let old = home.location.kek.file().unwrap();
        let then = Location { keyring: kept.path().to_owned(), kek: KekSource::File(kept.folder.path().join("kek")) };
        fs::copy(&old, kept.folder.path().join("kek")).unwrap();
        fs::remove_file(&old).unwrap();
        let in_between = KekSource::File(home.beside("in-between"));
        fs::copy(kept.folder.path().join("kek"), home.beside("in-between")).unwrap();
        chmod(&home.beside("in-between"), 0o400);
        let present = Location { keyring: home.keyring().to_owned(), kek: in_between };
        rewrap(&present, &home.location.kek, inner).unwrap();
        fs::remove_file(home.beside("in-between")).unwrap();

        let wrong = Location { kek: home.location.kek.clone(), ..then.clone() };
        assert!(matches!(restore(&wrong, &home.location, DO), Err(E::WrongKek { .. })));
        suspend(&home.location, &name("hub"), 1, NOW).unwrap();
        let done = restore(&then, &home.location, DO).unwrap();
        assert_eq!(done.effects, [Effect::LosesMark(name("hub"), 1, Mark::Suspended)]);
        assert_eq!(home.load().unwrap().keys.len(), 2);
        fs::remove_file(home.keyring()).unwrap();
        restore(&then, &home.location, DO).unwrap();
        assert!(
            home.load().unwrap().keys.iter().all(|key| key.versions().iter().all(countersign::keyring::Version::probe))
        );
    }
}

#[test]
fn two_histories_that_gave_one_number_twice_are_not_mixed() {
    let home = Home::new();
    let before = home.bytes();
    home.import("hub", KeyKind::Hat1, &[1; 32]).unwrap();
    let kept = Kept::of(&home);
    // As if the machine had been set back to the day before, and gone on from there.
    fs::remove_file(home.beside("generation")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let fork = location(elsewhere.path());
    fs::copy(home.location.kek.file().unwrap(), fork.kek.file().unwrap()).unwrap();
    fs::write(&fork.keyring, before).unwrap();
    chmod(&fork.keyring, 0o600);
    let back = restore(&Location { keyring: fork.keyring.clone(), ..home.location.clone() }, &fork, DO).unwrap();
    assert_eq!(back.generation, 5, "this process has seen the fourth");
    let mut other = Home::new();
    other.location = fork;
    other.import("hub", KeyKind::Hat1, &[2; 32]).unwrap();
    let bytes = other.bytes();
    let refused = one_line(restore(&kept.at(&home), &other.location, DO).unwrap_err());
    assert!(matches!(&refused, E::RestoreConflict(_, 2, _)) && refused.to_string().contains("move that file away"));
    assert_eq!(other.bytes(), bytes);
}

#[test]
fn destroying_names_the_copies_to_remove() {
    let home = Home::new();
    home.import("hub", KeyKind::Hat1, &[9; 32]).unwrap();
    let (kept, away) = (Kept::of(&home), Kept::of(&home));
    fs::copy(home.keyring(), home.beside("bak")).unwrap();
    fs::write(home.beside("notes"), "{}").unwrap();
    let gone = Kept::of(&home);
    fs::remove_file(gone.path()).unwrap();
    let Kept { folder, made } = away;
    drop(folder);
    let warnings = destroy(&home.location, &name("hub"), 1, NOW).unwrap().warnings;
    let holds = |path: PathBuf| Warning::CopyHolds(path, name("hub"), 1);
    let expected = [
        holds(home.beside("bak")),
        holds(kept.path().to_owned()),
        Warning::BackupOutOfReach(made.path),
        Warning::BackupOutOfReach(gone.path().to_owned()),
    ];
    assert_eq!(warnings, expected);
    fs::remove_file(home.beside("bak")).unwrap();
    let later = Kept::of(&home);
    let warned = destroy(&home.location, &name("hub"), 1, NOW);
    assert!(warned.is_err());
    home.import("hub", KeyKind::Hat1, &[8; 32]).unwrap();
    let warnings = destroy(&home.location, &name("hub"), 2, NOW).unwrap().warnings;
    let named = warnings.iter().filter(|warning| matches!(warning, Warning::CopyHolds(..))).count();
    assert_eq!(named, 2, "{warnings:?} {}", later.path().display());
}
