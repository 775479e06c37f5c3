//! What must not be forgotten: what is revoked, the highest generation of the keyring, the longest lifetime that an app's
//! tokens ever had, how far key versions were used, and which user a hubLoginToken belongs to. A change is durable before anybody is told that it was made, and
//! what is revoked is in memory, where calls look. No key material comes here, and no name of a user: a keyed digest does.
//!
//! A ledger has a thread of its own and knows no runtime: a [`Receipt`] is a plain future. Where it is kept is behind one
//! joint, [`Home`]; here that is a file. When it fails, what is revoked stays so, and nothing new can be: what is in
//! memory is what is kept, never more, so that processes on one ledger agree and a restart changes nothing.

mod binding;
mod glance;
mod home;
mod receipt;
mod sqlite;
mod usage;
mod writer;

pub use binding::Binding;
pub use glance::{Glance, glance};
pub use home::{Change, Home, Kept, Known, Loaded, News, Page, Trouble, UsageRow, Use, Wanted};
pub use receipt::{Receipt, Unkept};
pub use usage::{Name, by_version};

use std::{
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};

use self::{
    receipt::Ticket,
    sqlite::Sqlite,
    writer::{Ask, Message, Pace, Writer},
};
use crate::{
    clock::{Clock, UnixSeconds},
    hub::{
        app::Ttl,
        revocation::{Denied, Entry, Kind},
    },
    metrics::{LedgerCounters, LedgerFault},
};

/// How long a change may take before whoever asked for it is told that it was not made.
pub const WAIT: Duration = Duration::from_secs(1);
/// Changes and questions that may wait. Their places are taken at the start, so they are kept small.
const QUEUE: usize = writer::GROUP;
const _: () = assert!(size_of::<Message>() <= 24);
/// How long a clean stop waits for the last changes.
const FAREWELL: Duration = Duration::from_secs(2);

/// An open ledger, and the thread that keeps it.
pub struct Ledger {
    id: String,
    path: String,
    shared: Arc<Shared>,
    users: Vec<(String, u64)>,
    outbox: mpsc::SyncSender<Message>,
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

/// What the thread shares with everybody.
struct Shared {
    denied: ArcSwap<Denied>,
    known: Mutex<Known>,
    counters: Arc<LedgerCounters>,
    /// The thread is at a transaction.
    writing: AtomicBool,
    /// What was found after the start: from then on nothing more is written.
    damage: OnceLock<String>,
}

impl Shared {
    fn damage(&self) -> Option<Trouble> {
        self.damage.get().map(|found| Trouble::new(LedgerFault::Damaged, found))
    }

    fn know(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn count(&self, denied: &Denied) {
        for (kind, shown) in Kind::ALL.into_iter().zip(&self.counters.entries) {
            shown.store(denied.count(kind) as u64, Ordering::Relaxed);
        }
    }
}

impl Known {
    fn raise(&mut self, change: &Change) {
        match change {
            Change::Generation { keyring, generation } => {
                match self.generations.iter_mut().find(|(known, _)| known == keyring) {
                    Some((_, highest)) => *highest = (*highest).max(*generation),
                    None => self.generations.push((keyring.clone(), *generation)),
                }
            }
            Change::Longest { app, ttl } => match self.longest.iter_mut().find(|(known, _)| known == app) {
                Some((_, longest)) => *longest = longest.longer(*ttl),
                None => self.longest.push((app.clone(), *ttl)),
            },
            Change::Revoke { .. }
            | Change::Usage { .. }
            | Change::Bind(_)
            | Change::Deliver { .. }
            | Change::Unbind { .. } => {}
        }
    }
}

impl Ledger {
    /// Opens the ledger in this file, or makes it; reads what it holds, and starts its thread.
    ///
    /// # Errors
    /// What is wrong, in one line that says what to do.
    pub fn open(path: &Path, clock: Clock, counters: Arc<LedgerCounters>) -> Result<Self, String> {
        let mut fresh = [0; 16];
        getrandom::fill(&mut fresh).map_err(|error| format!("no randomness: {error}"))?;
        let (mut home, id) = Sqlite::open(path, &base16ct::lower::encode_string(&fresh))?;
        let loaded = home.load()?;
        let later = home.check_later();
        let ledger = Self::begin(id, Box::new(home), loaded, clock, counters)?;
        if let Some(check) = later {
            let shared = Arc::clone(&ledger.shared);
            let checking = move || {
                if let Err(found) = check() {
                    tracing::error!("{found}");
                    let _ = shared.damage.set(found);
                }
            };
            spawn("ledger-check", checking)?;
        }
        Ok(ledger)
    }

    /// The same in another home.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn begin(
        id: String,
        home: Box<dyn Home>,
        loaded: Loaded,
        clock: Clock,
        counters: Arc<LedgerCounters>,
    ) -> Result<Self, String> {
        let (outbox, inbox) = mpsc::sync_channel(QUEUE);
        let (end, ended) = mpsc::channel();
        let now = clock.now();
        counters.written_at.store(now.0, Ordering::Relaxed);
        counters.polled_at.store(now.0, Ordering::Relaxed);
        counters.bytes.store(home.size(), Ordering::Relaxed);
        let shared = Arc::new(Shared {
            denied: ArcSwap::from_pointee(loaded.denied),
            known: Mutex::new(loaded.known),
            counters,
            writing: AtomicBool::new(false),
            damage: OnceLock::new(),
        });
        shared.count(&shared.denied.load());
        let (pace, path) = (Pace::new(now, Instant::now()), home.place());
        let writer = Writer { home, shared: Arc::clone(&shared), inbox, clock, pace };
        spawn("ledger", move || {
            writer.run();
            // Nobody waits for an end that took too long.
            let _ = end.send(());
        })?;
        Ok(Self { id, path, shared, users: loaded.users, outbox, ended: Mutex::new(Some(ended)) })
    }

    /// The random name of this ledger, 32 hexadecimal digits; the same for its whole life.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is revoked at this moment. Reading takes no lock, and holds up nobody.
    #[must_use]
    pub fn denied(&self) -> Guard<Arc<Denied>> {
        self.shared.denied.load()
    }

    /// Users that were cut off under keyrings other than this one when the ledger was opened: their digests cannot be
    /// made any more, so that these entries find nobody.
    #[must_use]
    pub fn strangers(&self, keyring: &str) -> u64 {
        self.users.iter().filter(|(known, _)| known != keyring).map(|(_, users)| users).sum()
    }

    /// Cuts off, once the receipt resolves. `keyring` says whose key made the digest of a user.
    pub fn revoke(&self, entry: Entry, made_at: UnixSeconds, keyring: &str) -> Receipt {
        let keyring = if entry.kind == Kind::User { keyring.to_owned() } else { String::new() };
        self.keep(Change::Revoke { entry, made_at, keyring })
    }

    /// The highest generation seen of a keyring, here or by another process on this ledger; 0 for an unknown one.
    #[must_use]
    pub fn highest_generation(&self, keyring: &str) -> u64 {
        self.generations().into_iter().find(|(known, _)| known == keyring).map_or(0, |(_, generation)| generation)
    }

    /// The same of all keyrings, by their ids.
    #[must_use]
    pub fn generations(&self) -> Vec<(String, u64)> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).generations.clone()
    }

    /// Notes that a generation was seen; a lower one than before changes nothing.
    pub fn raise_generation(&self, keyring: &str, generation: u64) -> Receipt {
        self.keep(Change::Generation { keyring: keyring.to_owned(), generation })
    }

    /// The longest lifetime that tokens of an app ever had, as far as it was noted.
    #[must_use]
    pub fn longest(&self, app: &str) -> Option<Ttl> {
        let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.longest.iter().find(|(name, _)| **name == *app).map(|(_, ttl)| *ttl)
    }

    /// Notes how long tokens of an app may live; nothing where that is no news.
    pub fn raise_longest(&self, app: &str, ttl: Ttl) -> Option<Receipt> {
        let is_news = self.longest(app).is_none_or(|longest| longest.longer(ttl) != longest);
        is_news.then(|| self.keep(Change::Longest { app: app.into(), ttl }))
    }

    /// What is known of the use of a keyring's versions; `is_noting` says that this process is about to note use itself, and
    /// goes on from the rows of one that has ended.
    ///
    /// # Errors
    /// [`Unkept`]: it cannot be read, or not in time; the log says why.
    pub fn usage(&self, keyring: &str, is_noting: bool) -> Result<Use, Unkept> {
        let keyring = keyring.to_owned();
        self.ask(move |home| home.usage(&keyring, is_noting))
    }

    /// Notes what this process knows of the use of versions, in place of what it noted before. A receipt for each row.
    pub fn put_usage(&self, keyring: &str, rows: Vec<UsageRow>) -> Vec<Receipt> {
        rows.into_iter().map(|row| self.keep(Change::Usage { keyring: keyring.to_owned(), row })).collect()
    }

    /// Notes whose a hubLoginToken is, before the token of its grant goes to Hub: with a time by which that is done. Unless
    /// [`Ledger::deliver`] comes before, the grant is cut off then, also if this process has ended.
    pub fn bind(&self, binding: Binding) -> Receipt {
        self.keep(Change::Bind(binding))
    }

    /// Notes that Hub has taken the token of a grant.
    pub fn deliver(&self, grant_id: [u8; 16]) -> Receipt {
        self.keep(Change::Deliver { grant_id })
    }

    /// Forgets the binding of a grant.
    pub fn unbind(&self, grant_id: [u8; 16]) -> Receipt {
        self.keep(Change::Unbind { grant_id })
    }

    /// Whose the hubLoginToken with this digest is: what holds, the newest first.
    ///
    /// # Errors
    /// [`Unkept`]: it cannot be read, or not in time; the log says why.
    pub fn bindings(&self, app: &str, digest: [u8; 16]) -> Result<Vec<Binding>, Unkept> {
        let app = app.to_owned();
        self.ask(move |home| home.bindings(&app, &digest))
    }

    /// Revocations made before the change `before`, the newest first, at most `limit` of those that `wanted` picks. A page
    /// may be short, or empty, although there is more: then it says where to go on.
    ///
    /// # Errors
    /// [`Unkept`]: they cannot be read, or not in time; the log says why.
    pub fn list(
        &self,
        before: u64,
        limit: usize,
        mut wanted: impl FnMut(&Kept) -> bool + Send + 'static,
    ) -> Result<Page, Unkept> {
        self.ask(move |home| home.list(before, limit, &mut wanted))
    }

    /// The counters, and what is wrong.
    #[must_use]
    pub fn counters(&self) -> &LedgerCounters {
        &self.shared.counters
    }

    /// Waits for a change, but not for ever; for threads that may.
    ///
    /// # Errors
    /// [`Unkept`]: it was not made durable, or not in time.
    pub fn wait(&self, receipt: Receipt) -> Result<(), Unkept> {
        let begun = Instant::now();
        let outcome = receipt.wait(WAIT);
        // Decided or not, it is a fault to have to wait so long; the thread takes it back once it gets through.
        if outcome.is_err() && begun.elapsed() >= WAIT && self.shared.writing.load(Ordering::Acquire) {
            self.stuck();
        }
        outcome
    }

    /// Takes no more changes, keeps those that have come, and waits for that, but not for ever.
    pub fn close(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(ended) = ended else { return };
        if self.outbox.try_send(Message::Close).is_err() || ended.recv_timeout(FAREWELL).is_err() {
            tracing::error!("the ledger could not be closed in time; what was answered is kept nevertheless");
        }
    }

    fn keep(&self, change: Change) -> Receipt {
        let ticket = Arc::new(Ticket::default());
        let receipt = Receipt::of(&ticket);
        if self.outbox.try_send(Message::Change(Box::new(change), ticket)).is_ok() {
            return receipt;
        }
        self.shared.counters.failures.fetch_add(1, Ordering::Relaxed);
        Receipt::refused()
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Home) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Unkept> {
        let (give, given) = mpsc::sync_channel(1);
        let ask: Ask = Box::new(move |home| {
            let answer = question(home).map_err(|trouble| {
                tracing::error!(fault = trouble.fault.name(), said = trouble.said, "the ledger cannot be read");
                Unkept
            });
            // Whoever asked may have given up.
            let _ = give.try_send(answer);
        });
        self.outbox.try_send(Message::Ask(ask)).map_err(|_| Unkept)?;
        given.recv_timeout(WAIT).map_err(|_| Unkept)?
    }

    fn stuck(&self) {
        if self.shared.counters.set_fault(Some(LedgerFault::Stuck)) {
            tracing::error!(fault = LedgerFault::Stuck.name(), "{}", LedgerFault::Stuck.advice());
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let spawned = thread::Builder::new().name(name.into()).spawn(run);
    spawned.map(|_| ()).map_err(|error| format!("no thread for the ledger: {error}"))
}

#[cfg(test)]
mod tests;
