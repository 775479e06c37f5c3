//! What becomes of changes when the home fails, or is slow.

use super::*;

/// A home that fails when it is told to, and forgets everything.
struct Failing {
    failures: Arc<AtomicU64>,
    groups: mpsc::Sender<usize>,
    pause: Duration,
}

impl Home for Failing {
    fn bindings(&mut self, _: &str, _: &[u8; 16]) -> Result<Vec<Binding>, Trouble> {
        Ok(Vec::new())
    }

    fn overdue(&mut self, _: UnixSeconds) -> Result<Vec<Binding>, Trouble> {
        Ok(Vec::new())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Trouble> {
        thread::sleep(self.pause);
        let _ = self.groups.send(changes.len());
        self.probe()
    }

    fn news(&mut self) -> Result<Option<News>, Trouble> {
        Ok(None)
    }

    fn list(&mut self, _: u64, _: usize, _: Wanted<'_>) -> Result<Page, Trouble> {
        Ok(Page::default())
    }

    fn usage(&mut self, _: &str, _: bool) -> Result<Use, Trouble> {
        Err(Trouble::new(LedgerFault::Io, "no disk"))
    }

    fn sweep(&mut self, _: UnixSeconds) -> Result<u64, Trouble> {
        Ok(0)
    }

    fn probe(&mut self) -> Result<(), Trouble> {
        let left = self.failures.load(Ordering::Relaxed);
        self.failures.store(left.saturating_sub(1), Ordering::Relaxed);
        if left > 0 { Err(Trouble::new(LedgerFault::Full, "no room")) } else { Ok(()) }
    }

    fn place(&self) -> String {
        "nowhere".into()
    }

    fn size(&self) -> u64 {
        0
    }
}

fn failing(failures: u64, pause: Duration) -> (Ledger, Arc<AtomicU64>, mpsc::Receiver<usize>) {
    let failures = Arc::new(AtomicU64::new(failures));
    let (groups, sizes) = mpsc::channel();
    let home = Box::new(Failing { failures: Arc::clone(&failures), groups, pause });
    let loaded = Loaded { denied: Denied::default(), users: Vec::new(), known: Known::default() };
    (Ledger::begin("id".into(), home, loaded, Clock::system(), Arc::default()).unwrap(), failures, sizes)
}

#[test]
fn what_cannot_be_kept_is_not_in_force_and_the_fault_passes_by_itself() {
    let (ledger, _, _) = failing(3, Duration::ZERO);
    assert_eq!(revoke(&ledger, &entry("a", Kind::Token, 1)), Err(Unkept));
    assert_eq!((ledger.denied().count(Kind::Token), ledger.counters().fault()), (0, Some(LedgerFault::Full)));
    assert_eq!(ledger.usage(KEYRING, true), Err(Unkept));
    let begun = Instant::now();
    while ledger.counters().fault().is_some() {
        assert!(begun.elapsed() < LONG, "the probes find that it works again");
        thread::sleep(Duration::from_millis(20));
    }
    revoke(&ledger, &entry("a", Kind::Token, 1)).unwrap();
    assert_eq!(ledger.counters().failures.load(Ordering::Relaxed), 1);
}

#[test]
fn what_comes_meanwhile_goes_into_one_group() {
    let (ledger, _, sizes) = failing(0, Duration::from_millis(100));
    let receipts: Vec<_> =
        (0..50).map(|n| ledger.revoke(entry("a", Kind::Token, n), UnixSeconds(1), KEYRING)).collect();
    for receipt in receipts {
        receipt.wait(LONG).unwrap();
    }
    let groups: Vec<usize> = sizes.try_iter().collect();
    assert!(groups.len() <= 3 && groups.iter().sum::<usize>() == 50, "{groups:?}");
}

#[test]
fn a_write_that_does_not_come_back_is_told_and_what_was_not_begun_is_taken_back() {
    let (ledger, _, sizes) = failing(0, WAIT * 3);
    let first = ledger.revoke(entry("a", Kind::Token, 1), UnixSeconds(1), KEYRING);
    while !ledger.shared.writing.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(5));
    }
    let second = ledger.revoke(entry("a", Kind::Token, 2), UnixSeconds(1), KEYRING);
    assert_eq!(ledger.wait(second), Err(Unkept));
    assert_eq!(ledger.counters().fault(), Some(LedgerFault::Stuck));
    assert_eq!(first.wait(LONG), Ok(()));
    assert_eq!(ledger.counters().fault(), None);
    revoke(&ledger, &entry("a", Kind::Token, 3)).unwrap();
    assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [1, 1]);
    assert_eq!(ledger.denied().count(Kind::Token), 2, "the one given up is not there");
}
