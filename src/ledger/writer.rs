//! The one thread that the home belongs to. It takes what has come as one group, makes it durable with one flush, puts it
//! in force, and only then tells those who wait. In between it looks for what other processes wrote, and removes what has
//! ended. What goes wrong is a fault: it is tried again with each change, and by a probe while none comes.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use super::{
    Shared,
    home::{Change, Home, Trouble},
    receipt::{Ticket, Unkept},
};
use crate::{
    clock::{Clock, UnixSeconds},
    hub::revocation::{Denied, Entry},
};

/// How often it looks for what other processes wrote.
const POLL: Duration = Duration::from_millis(500);
/// Changes that go into one transaction, at most.
pub(super) const GROUP: usize = 4096;
/// How often what has ended is removed, and how long the clock must have gone steadily before.
const SWEEP: Duration = Duration::from_secs(3600);
/// Seconds that an ended entry is kept: other processes' clocks may be behind.
const KEPT_AFTER_END: i64 = 86_400;
/// Seconds that the clock may gain or lose between two looks, and still goes steadily.
const DRIFT: i64 = 60;

/// What the thread is asked to do.
pub(super) enum Message {
    /// Keep this.
    Change(Box<Change>, Arc<Ticket>),
    /// Answer this.
    Ask(Ask),
    /// End, after all that came before.
    Close,
}

/// A question to the home.
pub(super) type Ask = Box<dyn FnOnce(&mut dyn Home) + Send>;

pub(super) struct Writer {
    pub(super) home: Box<dyn Home>,
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Receiver<Message>,
    pub(super) clock: Clock,
    pub(super) pace: Pace,
}

/// Whether the clock goes as time does: by one that was set forward by mistake, nothing is removed.
pub(super) struct Pace {
    looked: (UnixSeconds, Instant),
    steady_since: Instant,
    swept: Instant,
}

impl Pace {
    pub(super) fn new(now: UnixSeconds, at: Instant) -> Self {
        Self { looked: (now, at), steady_since: at, swept: at }
    }

    /// Looks at the clock; by when entries must have ended to be removed now, if it is time.
    fn look(&mut self, now: UnixSeconds, at: Instant) -> Option<UnixSeconds> {
        let (then, looked) = self.looked;
        let passed = i64::try_from((at - looked).as_secs()).unwrap_or(i64::MAX);
        if (now.since(then) - passed).abs() > DRIFT {
            self.steady_since = at;
        }
        self.looked = (now, at);
        let is_due = at - self.swept >= SWEEP && at - self.steady_since >= SWEEP;
        is_due.then(|| now.plus(-KEPT_AFTER_END))
    }
}

impl Writer {
    /// Works until it is told to end, or nobody is left who could tell it.
    pub(super) fn run(mut self) {
        let mut looked = Instant::now();
        loop {
            match self.inbox.recv_timeout(POLL.saturating_sub(looked.elapsed())) {
                Ok(Message::Change(change, ticket)) => {
                    if !self.group(*change, ticket) {
                        return;
                    }
                }
                Ok(Message::Ask(ask)) => ask(&mut *self.home),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if looked.elapsed() >= POLL {
                self.tick();
                looked = Instant::now();
            }
        }
    }

    /// Keeps a change and those that have come by now; whether there is more to do.
    fn group(&mut self, change: Change, ticket: Arc<Ticket>) -> bool {
        let (mut changes, mut tickets) = (Vec::new(), Vec::new());
        let mut take = |change, ticket: Arc<Ticket>| {
            if ticket.take() {
                changes.push(change);
                tickets.push(ticket);
            }
            changes.len() < GROUP
        };
        let mut after = None;
        let mut more = take(change, ticket);
        while more && let Ok(message) = self.inbox.try_recv() {
            more = match message {
                Message::Change(change, ticket) => take(*change, ticket),
                other => {
                    after = Some(other);
                    false
                }
            };
        }
        if !changes.is_empty() {
            let kept = self.keep(&changes);
            let outcome = kept.map_err(|trouble| {
                self.shared.counters.failures.fetch_add(changes.len() as u64, Ordering::Relaxed);
                self.wrong(&trouble);
                Unkept
            });
            for ticket in tickets {
                ticket.decide(outcome);
            }
        }
        match after {
            Some(Message::Ask(ask)) => {
                ask(&mut *self.home);
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    fn keep(&mut self, changes: &[Change]) -> Result<(), Trouble> {
        if let Some(damage) = self.shared.damage() {
            return Err(damage);
        }
        self.shared.writing.store(true, Ordering::Release);
        let committed = self.home.commit(changes);
        self.shared.writing.store(false, Ordering::Release);
        committed?;
        let counters = &self.shared.counters;
        counters.commits.fetch_add(1, Ordering::Relaxed);
        counters.changes.fetch_add(changes.len() as u64, Ordering::Relaxed);
        let entry =
            |change: &Change| if let Change::Revoke { entry, .. } = change { Some(entry.clone()) } else { None };
        let entries: Vec<Entry> = changes.iter().filter_map(entry).collect();
        self.put_in_force(&entries);
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            known.raise(change);
        }
        drop(known);
        self.works();
        Ok(())
    }

    /// What is done whether or not anybody asks.
    fn tick(&mut self) {
        let now = self.clock.now();
        let mut is_readable = true;
        match self.home.news() {
            Ok(news) => {
                self.shared.counters.polled_at.store(now.0, Ordering::Relaxed);
                if let Some(news) = news {
                    self.put_in_force(&news.entries);
                    self.shared.know(news.known);
                }
            }
            Err(trouble) => {
                self.wrong(&trouble);
                is_readable = false;
            }
        }
        if let Some(damage) = self.shared.damage() {
            self.wrong(&damage);
        } else if is_readable && self.shared.counters.fault().is_some() {
            match self.home.probe() {
                Ok(()) => self.works(),
                Err(trouble) => self.wrong(&trouble),
            }
        }
        if is_readable {
            self.cut_off_overdue(now);
        }
        if let Some(ended_by) = self.pace.look(now, Instant::now()) {
            self.sweep(ended_by);
        }
        self.shared.counters.bytes.store(self.home.size(), Ordering::Relaxed);
    }

    /// Cuts off grants of which nobody knows whether Hub has their token: whoever was to find out has ended, or could not
    /// write it down.
    fn cut_off_overdue(&mut self, now: UnixSeconds) {
        let overdue = self.home.overdue(now).unwrap_or_else(|trouble| {
            self.wrong(&trouble);
            Vec::new()
        });
        if overdue.is_empty() {
            return;
        }
        let changes = overdue.iter().flat_map(|binding| {
            let entry = binding.revocation(now);
            let grant_id = binding.grant_id;
            [Change::Revoke { entry, made_at: now, keyring: String::new() }, Change::Unbind { grant_id }]
        });
        match self.keep(&changes.collect::<Vec<_>>()) {
            Ok(()) => {
                for binding in overdue {
                    tracing::warn!(
                        app = &*binding.app,
                        grant_id = base16ct::lower::encode_string(&binding.grant_id),
                        "nobody knows whether Hub has the token of this login, so that its grant is revoked"
                    );
                }
            }
            Err(trouble) => self.wrong(&trouble),
        }
    }

    fn sweep(&mut self, ended_by: UnixSeconds) {
        match self.home.sweep(ended_by) {
            Ok(0) => {
                self.replace(self.shared.denied.load().without_ended(ended_by));
                self.pace.swept = Instant::now();
            }
            // There may be more; what waits comes first.
            Ok(swept) => {
                self.shared.counters.swept.fetch_add(swept, Ordering::Relaxed);
            }
            Err(trouble) => {
                self.wrong(&trouble);
                self.pace.swept = Instant::now();
            }
        }
    }

    fn put_in_force(&self, entries: &[Entry]) {
        if !entries.is_empty() {
            self.replace(self.shared.denied.load().with(entries));
        }
    }

    fn replace(&self, denied: Denied) {
        self.shared.count(&denied);
        self.shared.denied.store(Arc::new(denied));
    }

    fn works(&self) {
        self.shared.counters.written_at.store(self.clock.now().0, Ordering::Relaxed);
        if self.shared.counters.set_fault(None) {
            tracing::info!("the ledger keeps changes again");
        }
    }

    fn wrong(&self, trouble: &Trouble) {
        if self.shared.counters.set_fault(Some(trouble.fault)) {
            tracing::error!(
                fault = trouble.fault.name(),
                said = trouble.said,
                "the ledger keeps no changes, and nothing can be revoked; what is revoked stays so: {}",
                trouble.fault.advice()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_by_a_clock_that_was_stepped() {
        let start = Instant::now();
        let hours = |n: u32| start + SWEEP * n;
        let wall = |n: i64| UnixSeconds(1_000_000 + n * 3600);
        let mut pace = Pace::new(wall(0), start);
        assert_eq!(pace.look(wall(0).plus(1800), start + SWEEP / 2), None);
        assert_eq!(pace.look(wall(1), hours(1)), Some(wall(1).plus(-KEPT_AFTER_END)));
        // Ten days ahead, and soon back.
        assert_eq!(pace.look(wall(242), hours(2)), None);
        assert_eq!(pace.look(wall(3), hours(3)), None);
        assert_eq!(pace.look(wall(4), hours(4)), Some(wall(4).plus(-KEPT_AFTER_END)));
    }
}
