use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    sync::atomic::AtomicU64,
};

use super::*;

mod bindings;
mod failing;
mod noted;

const KEYRING: &str = "00112233445566778899aabbccddeeff";
/// Long enough for any disk; what waits that long has failed.
const LONG: Duration = Duration::from_secs(30);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("ledger.sqlite")
    }

    fn open(&self) -> Ledger {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Ledger, String> {
        Ledger::open(&self.path(), Clock::system(), Arc::default())
    }

    fn refusal(&self) -> String {
        let said = self.try_open().map(|_| "opened").unwrap_err();
        assert!(!said.contains('\n') && said.contains("ledger.sqlite"), "{said}");
        said
    }
}

fn entry(app: &str, kind: Kind, number: u32) -> Entry {
    let mut subject = [7; 16];
    subject[..4].copy_from_slice(&number.to_be_bytes());
    Entry { app: app.into(), kind, subject, until: UnixSeconds(number.into()), ends: Some(UnixSeconds(1 << 40)) }
}

fn revoke(ledger: &Ledger, entry: &Entry) -> Result<(), Unkept> {
    ledger.revoke(entry.clone(), UnixSeconds(1), KEYRING).wait(LONG)
}

fn all(ledger: &Ledger) -> Vec<Kept> {
    let (mut found, mut before) = (Vec::new(), u64::MAX);
    loop {
        let page = ledger.list(before, 7, |_| true).unwrap();
        found.extend(page.found);
        match page.next {
            Some(next) => before = next,
            None => return found,
        }
    }
}

#[test]
fn what_was_kept_is_there_after_a_restart() {
    let place = Place::new();
    let id = {
        let ledger = place.open();
        for number in 0..20 {
            revoke(&ledger, &entry("a", Kind::ALL[number as usize % 3], number)).unwrap();
        }
        revoke(&ledger, &entry("b", Kind::App, 0)).unwrap();
        ledger.raise_generation(KEYRING, 7).wait(LONG).unwrap();
        ledger.raise_generation(KEYRING, 5).wait(LONG).unwrap();
        ledger.raise_longest("a", Ttl::Seconds(60)).unwrap().wait(LONG).unwrap();
        assert!(ledger.raise_longest("a", Ttl::Seconds(59)).is_none());
        ledger.raise_longest("a", Ttl::Never).unwrap().wait(LONG).unwrap();
        assert_eq!(Kind::ALL.map(|kind| ledger.denied().count(kind)), [7, 7, 6, 1]);
        ledger.id().to_owned()
    };
    let ledger = place.open();
    assert_eq!(ledger.id(), id);
    assert_eq!(Kind::ALL.map(|kind| ledger.denied().count(kind)), [7, 7, 6, 1]);
    assert_eq!((ledger.highest_generation(KEYRING), ledger.highest_generation("other")), (7, 0));
    assert_eq!((ledger.longest("a"), ledger.longest("b")), (Some(Ttl::Never), None));
    assert!(ledger.raise_longest("a", Ttl::Seconds(1)).is_none());
    assert_eq!((ledger.strangers(KEYRING), ledger.strangers("other")), (0, 6));
    let kept = all(&ledger);
    assert_eq!(kept.len(), 21);
    assert!(kept.windows(2).all(|pair| pair[0].change > pair[1].change), "the newest first");
    assert_eq!(kept[20].entry, entry("a", Kind::Token, 0));
}

#[test]
fn two_entries_about_one_thing_are_one_with_the_later_time_and_end() {
    let place = Place::new();
    let ledger = place.open();
    let with = |until, ends| Entry { until: UnixSeconds(until), ends, ..entry("a", Kind::Grant, 1) };
    for (until, ends) in [(10, Some(100)), (5, None), (7, Some(200))] {
        revoke(&ledger, &with(until, ends.map(UnixSeconds))).unwrap();
    }
    let kept = all(&ledger);
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].entry.clone(), kept[0].change), (with(10, None), 3));
    drop(ledger);
    assert_eq!(place.open().denied().count(Kind::Grant), 1);
}

#[test]
fn the_file_is_closed_to_others_and_one_that_is_open_is_refused() {
    let place = Place::new();
    drop(place.open());
    let mode = |mode| fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
    mode(0o640);
    assert!(place.refusal().contains("chmod 0600"), "{}", place.refusal());
    mode(0o600);
    drop(place.open());
    let real = place.0.path().join("real");
    fs::rename(place.path(), &real).unwrap();
    symlink(&real, place.path()).unwrap();
    assert!(place.refusal().contains("links are not followed"));
    fs::remove_file(place.path()).unwrap();
    fs::create_dir(place.path()).unwrap();
    assert!(place.refusal().contains("no regular file"));
}

#[test]
fn what_is_not_ours_or_newer_is_refused_and_left_as_it_was() {
    let place = Place::new();
    fs::write(place.path(), b"not a database, but long enough to be looked at as one, if only just").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(place.refusal().contains("damaged"), "{}", place.refusal());
    fs::remove_file(place.path()).unwrap();

    let other = rusqlite::Connection::open(place.path()).unwrap();
    other.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    drop(other);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(place.path()).unwrap();
    assert!(place.refusal().contains("another program"), "{}", place.refusal());
    assert_eq!(fs::read(place.path()).unwrap(), before);
    fs::remove_file(place.path()).unwrap();

    drop(place.open());
    let newer = rusqlite::Connection::open(place.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let said = place.refusal();
    assert!(said.contains("schema 99") && said.contains("up to 2"), "{said}");
}

/// Either the damage is told of, or nothing of what was kept is lost.
#[test]
fn a_flipped_byte_never_lets_an_entry_get_lost_unnoticed() {
    let place = Place::new();
    {
        let ledger = place.open();
        for number in 0..60 {
            revoke(&ledger, &entry("acme-contacts", Kind::ALL[number as usize % 3], number)).unwrap();
        }
        ledger.raise_generation(KEYRING, 7).wait(LONG).unwrap();
        ledger.raise_longest("acme-contacts", Ttl::Seconds(60)).unwrap().wait(LONG).unwrap();
    }
    assert!(!place.0.path().join("ledger.sqlite-wal").exists(), "a clean end leaves one file");
    let sound = fs::read(place.path()).unwrap();
    let of = |ledger: &Ledger| {
        let kept: Vec<Entry> = all(ledger).into_iter().map(|kept| kept.entry).collect();
        (kept, ledger.generations(), ledger.longest("acme-contacts"))
    };
    let expected = of(&place.open());
    let mut refused = 0;
    for at in (0..sound.len()).step_by(61).chain(0..100) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(place.path(), &damaged).unwrap();
        for beside in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{beside}", place.path().display()));
        }
        match place.try_open() {
            Ok(ledger) => assert_eq!(of(&ledger), expected, "byte {at} of {}", sound.len()),
            Err(said) => {
                assert!(!said.contains('\n') && said.contains("ledger.sqlite: "), "{said}");
                refused += 1;
            }
        }
    }
    assert!(refused > 30, "only {refused}");
}

#[test]
fn two_on_one_file_see_what_the_other_keeps() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    thread::scope(|scope| {
        for (ledger, app) in [(&one, "one"), (&other, "other")] {
            scope.spawn(move || {
                let receipts: Vec<_> =
                    (0..200).map(|n| ledger.revoke(entry(app, Kind::Token, n), UnixSeconds(1), KEYRING)).collect();
                for receipt in receipts {
                    receipt.wait(LONG).unwrap();
                }
                ledger.raise_generation(app, 3).wait(LONG).unwrap();
            });
        }
    });
    let begun = Instant::now();
    while [&one, &other].iter().any(|ledger| ledger.denied().count(Kind::Token) < 400 || ledger.generations().len() < 2)
    {
        assert!(begun.elapsed() < LONG);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_file_that_is_taken_away_is_noticed_and_nothing_more_is_promised() {
    let place = Place::new();
    let ledger = place.open();
    revoke(&ledger, &entry("a", Kind::Token, 1)).unwrap();
    let aside = place.0.path().join("aside");
    fs::rename(place.path(), &aside).unwrap();
    assert_eq!(revoke(&ledger, &entry("a", Kind::Token, 2)), Err(Unkept));
    assert_eq!(ledger.counters().fault(), Some(LedgerFault::Deleted));
    assert_eq!(ledger.denied().count(Kind::Token), 1, "what is not kept is not in force");
    fs::write(place.path(), b"").unwrap();
    assert_eq!(revoke(&ledger, &entry("a", Kind::Token, 2)), Err(Unkept));
    assert_eq!(ledger.counters().fault(), Some(LedgerFault::Replaced));
    fs::rename(&aside, place.path()).unwrap();
    revoke(&ledger, &entry("a", Kind::Token, 2)).unwrap();
    assert_eq!(ledger.counters().fault(), None);
}

#[test]
fn a_receipt_is_a_plain_future() {
    use std::{
        pin::pin,
        task::{Context, Wake, Waker},
    };
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let place = Place::new();
    let ledger = place.open();
    let mut receipt = pin!(ledger.revoke(entry("a", Kind::Token, 1), UnixSeconds(1), KEYRING));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let begun = Instant::now();
    while receipt.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park_timeout(LONG);
        assert!(begun.elapsed() < LONG, "it is woken");
    }
    assert_eq!(ledger.denied().count(Kind::Token), 1);
    ledger.raise_generation(KEYRING, 4).detach();
    drop(ledger);
    assert_eq!(place.open().highest_generation(KEYRING), 4, "what nobody waits for is kept, too");
}

#[test]
fn much_that_another_process_wrote_is_taken_in_piece_by_piece() {
    const MANY: u32 = 450;
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    let receipts: Vec<_> = (0..MANY).map(|n| one.revoke(entry("a", Kind::Token, n), UnixSeconds(1), KEYRING)).collect();
    for receipt in receipts {
        receipt.wait(LONG).unwrap();
    }
    assert_eq!(one.denied().count(Kind::Token), MANY as usize);
    let begun = Instant::now();
    while other.denied().count(Kind::Token) < MANY as usize {
        assert!(begun.elapsed() < LONG);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(all(&other).len(), MANY as usize, "a page that looks at no more of them says where to go on");
}
