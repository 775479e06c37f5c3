//! Whose a hubLoginToken is, and what becomes of logins of which nobody knows whether Hub has their token.

use super::*;

fn binding(grant: u8, digest: u8, ends: Option<i64>, due: Option<i64>) -> Binding {
    Binding {
        app: "acme".into(),
        digest: [digest; 16],
        grant_id: [grant; 16],
        name: vec![grant; 80],
        bound_at: UnixSeconds(100),
        issued_at: UnixSeconds(101),
        ends: ends.map(UnixSeconds),
        due: due.map(UnixSeconds),
    }
}

fn grants(ledger: &Ledger, digest: u8) -> Vec<u8> {
    ledger.bindings("acme", [digest; 16]).unwrap().iter().map(|binding| binding.grant_id[0]).collect()
}

#[test]
fn a_binding_holds_once_hub_has_the_token_and_takes_the_place_of_earlier_ones() {
    let place = Place::new();
    {
        let ledger = place.open();
        ledger.bind(binding(1, 7, None, Some(i64::MAX))).wait(LONG).unwrap();
        assert_eq!(grants(&ledger, 7), [0; 0], "not before it is delivered");
        ledger.deliver([1; 16]).wait(LONG).unwrap();
        assert_eq!(ledger.bindings("acme", [7; 16]).unwrap(), [binding(1, 7, None, None)]);
        ledger.bind(binding(2, 7, Some(200), Some(i64::MAX))).wait(LONG).unwrap();
        assert_eq!(grants(&ledger, 7), [1], "the later one is under way");
        ledger.deliver([2; 16]).wait(LONG).unwrap();
        ledger.deliver([9; 16]).wait(LONG).unwrap();
        ledger.bind(binding(3, 8, None, Some(i64::MAX))).wait(LONG).unwrap();
        ledger.unbind([3; 16]).wait(LONG).unwrap();
        ledger.deliver([3; 16]).wait(LONG).unwrap();
        ledger.bind(Binding { app: "other".into(), ..binding(4, 7, None, None) }).wait(LONG).unwrap();
    }
    let ledger = place.open();
    assert_eq!((grants(&ledger, 7), grants(&ledger, 8)), (vec![2], vec![]));
    assert_eq!(ledger.denied().count(Kind::Grant), 0);
}

#[test]
fn what_was_not_known_to_be_delivered_in_time_is_cut_off_also_after_a_restart() {
    let place = Place::new();
    let clock = Clock::fixed(UnixSeconds(1000));
    let open = || Ledger::open(&place.path(), clock.clone(), Arc::default()).unwrap();
    {
        let ledger = open();
        ledger.bind(binding(1, 7, Some(5000), Some(1060))).wait(LONG).unwrap();
        ledger.bind(binding(2, 7, None, Some(1061))).wait(LONG).unwrap();
        ledger.bind(binding(3, 7, None, Some(1060))).wait(LONG).unwrap();
        ledger.deliver([3; 16]).wait(LONG).unwrap();
    }
    clock.set(UnixSeconds(1060));
    let ledger = open();
    let begun = Instant::now();
    while ledger.denied().count(Kind::Grant) == 0 {
        assert!(begun.elapsed() < LONG, "nothing was cut off");
        thread::sleep(Duration::from_millis(20));
    }
    let kept = all(&ledger);
    assert_eq!(kept.len(), 1);
    let expected = Entry {
        app: "acme".into(),
        kind: Kind::Grant,
        subject: [1; 16],
        until: UnixSeconds(1062),
        ends: Some(UnixSeconds(5000)),
    };
    assert_eq!((&kept[0].entry, kept[0].made_at), (&expected, UnixSeconds(1060)));
    // Too late: it is cut off, and stays so.
    ledger.deliver([1; 16]).wait(LONG).unwrap();
    assert_eq!(grants(&ledger, 7), [3]);
}

#[test]
fn so_many_are_kept_and_the_oldest_go() {
    let place = Place::new();
    let ledger = place.open();
    ledger.bind(binding(0, 200, None, Some(i64::MAX))).wait(LONG).unwrap();
    for number in 1..=30 {
        ledger.bind(binding(number, number, None, None)).wait(LONG).unwrap();
    }
    let kept: Vec<u8> = (1..=30).filter(|&number| !grants(&ledger, number).is_empty()).collect();
    assert_eq!(kept, (12..=30).collect::<Vec<_>>(), "and the one under way");
    ledger.deliver([0; 16]).wait(LONG).unwrap();
    assert_eq!(grants(&ledger, 200), [0]);
}

#[test]
fn a_binding_that_was_altered_is_not_believed() {
    let place = Place::new();
    place.open().bind(binding(1, 7, None, None)).wait(LONG).unwrap();
    rusqlite::Connection::open(place.path()).unwrap().execute("UPDATE bindings SET ends = 5", []).unwrap();
    assert_eq!(place.open().bindings("acme", [7; 16]), Err(Unkept));
}

#[test]
fn a_ledger_of_the_first_schema_becomes_one_of_the_second_and_loses_nothing() {
    let place = Place::new();
    let id = {
        let ledger = place.open();
        revoke(&ledger, &entry("acme", Kind::Grant, 5)).unwrap();
        ledger.id().to_owned()
    };
    let older = rusqlite::Connection::open(place.path()).unwrap();
    older
        .execute_batch("DROP TABLE bindings; DELETE FROM counts WHERE name = 'bindings'; PRAGMA user_version = 1")
        .unwrap();
    drop(older);
    let ledger = place.open();
    assert_eq!((ledger.id(), ledger.denied().count(Kind::Grant)), (id.as_str(), 1));
    ledger.bind(binding(1, 7, None, None)).wait(LONG).unwrap();
    assert_eq!(grants(&ledger, 7), [1]);
}
