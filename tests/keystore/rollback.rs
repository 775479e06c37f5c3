//! An older keyring put back in place, and what keeps the memory of the newer one.

use std::fs;

use countersign::{
    keyring::KeyKind,
    keystore::{self, KeystoreError as E, Warning},
};

use crate::home::{Home, NOW, Tmpfs, one_line, skipped};

#[test]
fn a_rolled_back_keyring_is_refused_with_the_remedy() {
    let home = Home::new();
    let older = home.bytes();
    home.import("more", KeyKind::LiveAuth, b"a secret of twenty-four b").unwrap();
    let newer = home.bytes();
    home.put(&older);
    let refusal = home.refusal();
    assert!(matches!(&refusal, E::RolledBack { found: 3, highest: 4, .. }));
    assert!(refusal.to_string().contains("keyring.generation"));
    assert!(matches!(home.import("x", KeyKind::LiveAuth, &[b'x'; 20]), Err(E::RolledBack { .. })));
    home.put(&newer);
    assert_eq!(home.load().unwrap().generation, 4);
}

#[test]
fn without_the_record_this_process_still_remembers() {
    let home = Home::new();
    let older = home.bytes();
    home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap();
    home.put(&older);
    fs::remove_file(home.beside("generation")).unwrap();
    assert!(matches!(home.refusal(), E::RolledBack { .. }));
}

#[test]
fn what_another_place_remembers_keeps_an_older_keyring_out_although_its_record_came_back_with_it() {
    let home = Home::new();
    let (id, older) = (home.load().unwrap().keyring_id, home.bytes());
    home.load().unwrap();
    keystore::note_generation(&id, 3);
    assert_eq!(home.load().unwrap().generation, 3);
    keystore::note_generation(&id, 9);
    home.put(&older);
    let refusal = home.refusal();
    assert!(matches!(&refusal, E::RolledBack { found: 3, highest: 9, record: None, .. }));
    assert!(refusal.to_string().contains("as the ledger"), "{refusal}");
}

#[test]
fn a_missing_record_is_written_anew_by_the_next_reader() {
    let home = Home::new();
    let record = fs::read(home.beside("generation")).unwrap();
    fs::remove_file(home.beside("generation")).unwrap();
    assert!(home.load().unwrap().warnings.is_empty());
    assert_eq!(fs::read(home.beside("generation")).unwrap(), record);
}

#[test]
fn a_record_behind_the_keyring_is_raised_as_after_a_killed_writer() {
    let home = Home::new();
    let behind = fs::read(home.beside("generation")).unwrap();
    home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap();
    let ahead = fs::read(home.beside("generation")).unwrap();
    fs::write(home.beside("generation"), &behind).unwrap();
    assert_eq!(home.load().unwrap().generation, 4);
    assert_eq!(fs::read(home.beside("generation")).unwrap(), ahead);
}

#[test]
fn an_edited_record_is_refused_whichever_byte_it_is() {
    let home = Home::new();
    let record = fs::read(home.beside("generation")).unwrap();
    for at in 0..record.len() {
        for flip in [0x01, 0x10] {
            let mut edited = record.clone();
            edited[at] ^= flip;
            fs::write(home.beside("generation"), &edited).unwrap();
            match home.load() {
                // The trailing newline as other white space.
                Ok(loaded) => assert!(loaded.generation == 3 && at == record.len() - 1),
                Err(error) => assert!(matches!(one_line(error), E::RecordAltered(_)), "byte {at}"),
            }
        }
    }
    fs::write(home.beside("generation"), "").unwrap();
    assert!(matches!(home.refusal(), E::RecordAltered(_)));
    fs::write(home.beside("generation"), [b' '; 4096]).unwrap();
    assert!(matches!(home.refusal(), E::RecordAltered(_)));
}

#[test]
fn the_record_of_another_keyring_is_refused() {
    let (home, other) = (Home::new(), Home::new());
    fs::copy(other.beside("generation"), home.beside("generation")).unwrap();
    assert!(matches!(home.refusal(), E::RecordAltered(_)));
}

#[test]
fn a_new_keyring_does_not_mind_the_record_of_the_one_before_it() {
    let home = Home::new();
    fs::remove_file(home.keyring()).unwrap();
    keystore::init(&home.location, NOW).unwrap();
    assert_eq!(home.load().unwrap().generation, 1);
}

#[test]
fn on_a_read_only_folder_a_rollback_is_noticed_from_memory() {
    let Some(tmpfs) = Tmpfs::mount("256k") else { return skipped("mount") };
    let home = Home::at(tmpfs.path());
    let older = home.bytes();
    home.import("more", KeyKind::LiveAuth, &[b'm'; 20]).unwrap();
    fs::remove_file(home.beside("generation")).unwrap();
    tmpfs.remount("ro");
    let loaded = home.load().unwrap();
    assert!(matches!(loaded.warnings[..], [Warning::RollbackInMemoryOnly(..)]));
    let refused = one_line(home.import("x", KeyKind::LiveAuth, &[b'x'; 20]).unwrap_err());
    assert!(refused.to_string().contains("what was there before is unchanged"), "{refused}");
    tmpfs.remount("rw");
    home.put(&older);
    tmpfs.remount("ro");
    assert!(matches!(home.refusal(), E::RolledBack { found: 3, highest: 4, .. }));
}
