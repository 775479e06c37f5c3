//! The use of key versions: who notes it where, and what a glance from outside sees of it.

use std::collections::BTreeMap;

use super::*;
use crate::keyring::{Evidence, KeyName};

fn used(seals: u64) -> UsageRow {
    let latest_expiry = (seals > 5).then_some(i64::MAX);
    UsageRow { key: "k".into(), version: 2, first_mint: Some(10), seals, latest_expiry, ..UsageRow::default() }
}

fn note(ledger: &Ledger, row: UsageRow) {
    ledger.put_usage(KEYRING, vec![row]).into_iter().for_each(|receipt| receipt.wait(LONG).unwrap());
}

#[test]
fn each_process_notes_use_in_rows_of_its_own_which_may_shrink() {
    let place = Place::new();
    let (one, two) = (place.open(), place.open());
    note(&one, used(9));
    note(&one, used(4));
    assert_eq!(one.usage(KEYRING, true), Ok(Use { own: vec![used(4)], others: vec![] }));
    assert_eq!(two.usage(KEYRING, false), Ok(Use { own: vec![], others: vec![used(4)] }), "who only looks has no rows");
    note(&two, used(7));
    assert_eq!(two.usage(KEYRING, true), Ok(Use { own: vec![used(7)], others: vec![used(4)] }));
    assert_eq!(one.usage(KEYRING, true), Ok(Use { own: vec![used(4)], others: vec![used(7)] }));
    assert_eq!(one.usage("other", true), Ok(Use::default()));
}

#[test]
fn whoever_comes_after_one_that_ended_goes_on_from_its_rows() {
    let place = Place::new();
    let (one, two) = (place.open(), place.open());
    note(&one, used(4));
    note(&two, used(7));
    drop(one);
    let next = place.open();
    assert_eq!(next.usage(KEYRING, true), Ok(Use { own: vec![used(4)], others: vec![used(7)] }));
    drop((two, next));
    // Between starts it is all there, and nobody's.
    assert_eq!(place.open().usage(KEYRING, false), Ok(Use { own: vec![], others: vec![used(4), used(7)] }));
}

#[test]
fn a_glance_sees_everything_and_changes_nothing() {
    let place = Place::new();
    let look = || glance(&place.path(), KEYRING);
    assert_eq!(look(), Ok(None), "there is no ledger");
    assert_eq!(glance(&place.0.path().join("no/folder"), KEYRING), Ok(None));
    assert!(!place.path().exists(), "and it makes none");
    fs::write(place.path(), b"").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(look(), Ok(None), "nothing is in it yet");

    let (one, two) = (place.open(), place.open());
    note(&one, used(4));
    note(&two, used(7));
    one.raise_generation(KEYRING, 9).wait(LONG).unwrap();
    let seen = look().unwrap().unwrap();
    assert_eq!((seen.id.as_str(), seen.path.as_str(), seen.generation), (one.id(), one.path(), 9));
    let both = used(4).evidence().with(&used(7).evidence());
    assert_eq!(seen.used, BTreeMap::from([((KeyName::new("k").unwrap(), 2), both)]));
    assert_ne!(both, Evidence::default());
    let other = glance(&place.path(), "other").unwrap().unwrap();
    assert_eq!((other.generation, other.used.len()), (0, 0));
    // Whoever has it open goes on.
    note(&one, used(5));
    drop((one, two));
    let before = fs::read(place.path()).unwrap();
    look().unwrap().unwrap();
    assert_eq!(fs::read(place.path()).unwrap(), before);
}

#[test]
fn a_glance_at_what_is_no_sound_ledger_says_what_is_wrong() {
    let place = Place::new();
    let ledger = place.open();
    note(&ledger, used(4));
    drop(ledger);
    let edit = |sql: &str| rusqlite::Connection::open(place.path()).unwrap().execute_batch(sql).unwrap();
    let said = || glance(&place.path(), KEYRING).unwrap_err();
    edit("UPDATE usage SET seals = 3");
    assert!(said().contains("a row of usage"), "{}", said());
    edit("PRAGMA user_version = 99");
    assert!(said().contains("schema 99"), "{}", said());
    edit("PRAGMA application_id = 1");
    assert!(said().contains("another program"), "{}", said());
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said().contains("chmod 0600"), "{}", said());
}
