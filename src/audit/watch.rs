//! The two threads beside the writer. One sees to it that nobody waits longer than agreed, also while the writer hangs in
//! a write; it sleeps while there is nothing to wait for. The other flushes what was written.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, atomic::Ordering},
    thread,
    time::Duration,
};

use super::{journal::Shared, lane::Lane};

/// How often is looked.
const TICK: Duration = Duration::from_millis(10);

/// Looks without anything to see before going to sleep.
const PATIENCE: u32 = 20;

/// Least time between two flushes: each costs the file system a transaction.
const BETWEEN_FLUSHES: Duration = Duration::from_millis(10);

/// Refuses what has waited for `wait`, to within a tick, until the journal closes.
pub(super) fn watch(shared: &Shared, wait: Duration) {
    let looks = usize::try_from(wait.as_millis().div_ceil(TICK.as_millis())).unwrap_or(usize::MAX).max(1);
    let mut seen: HashMap<usize, VecDeque<u64>> = HashMap::new();
    let mut quiet = 0;
    while !(shared.closing.load(Ordering::Acquire) && quiet > PATIENCE) {
        if quiet > PATIENCE {
            shared.watching.store(false, Ordering::Release);
            if !shared.lanes.iter().any(|lane| waits(lane)) {
                thread::park();
            }
            shared.watching.store(true, Ordering::Release);
            quiet = 0;
        }
        thread::sleep(TICK);
        quiet += 1;
        let (mut overdue, mut forgotten) = (0, false);
        for lane in &shared.lanes {
            let seen = seen.entry(Arc::as_ptr(lane) as usize).or_default();
            let (next, decided) = lane.span();
            if decided < next {
                quiet = 0;
            }
            if seen.len() >= looks {
                let then = seen.pop_front().unwrap_or_default();
                overdue += lane.refuse(then);
            }
            seen.push_back(next);
            forgotten |= lane.has_fresh();
        }
        if forgotten {
            shared.wake_writer();
        }
        if overdue > 0 {
            shared.counters.refused.fetch_add(overdue, Ordering::Relaxed);
            let writing = || shared.writing.load(Ordering::Acquire);
            if writing() && shared.counters.stick(|| !writing()) {
                let fault = super::Fault::Stuck;
                tracing::error!(
                    fault = fault.name(),
                    "the journal takes no records, and calls that need one are refused: {}",
                    fault.advice()
                );
            }
        }
    }
}

/// Flushes what it is given, until the journal closes.
pub(super) fn flush(shared: &Shared) {
    while !shared.closing.load(Ordering::Acquire) {
        let file = shared.to_flush.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(file) = file else {
            thread::park();
            continue;
        };
        match file.sync_data() {
            Ok(()) => {}
            // A pipe has nothing to flush.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {}
            Err(error) => {
                tracing::error!(%error, "the journal could not be flushed to the disk");
                shared.flush_failed.store(true, Ordering::Release);
                shared.wake_writer();
            }
        }
        thread::sleep(BETWEEN_FLUSHES);
    }
}

fn waits(lane: &Lane) -> bool {
    let (next, decided) = lane.span();
    decided < next
}
