//! The journal as the rest of the service sees it: it takes events, and gives receipts that resolve once the records are
//! in the file. Nothing here waits: a record goes into the queue of its thread, and a thread of the journal's own
//! writes, another watches that it does, and a third flushes.

use std::{
    fmt::Display,
    fs::File,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, Thread},
    time::Duration,
};

use thread_local::ThreadLocal;

use super::{
    chain::JournalKeys,
    counters::Counters,
    event::Event,
    file::{self, JournalFile},
    lane::{Lane, Receipt, Unrecorded},
    record::{self, Kind},
    watch,
    writer::Writer,
};
use crate::clock::{Clock, UnixSeconds};

/// How long a clean stop waits for the last records.
const FAREWELL: Duration = Duration::from_secs(2);

/// When a record counts as accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Once its write has returned: it survives the process, not a loss of power. A flush follows, unwaited for.
    Write,
    /// Once it is flushed to the disk.
    Sync,
}

/// How a journal is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// When a record counts as accepted.
    pub durability: Durability,
    /// How long a call waits for its record.
    pub wait: Duration,
    /// Records after which a seal is due.
    pub seal_records: u64,
    /// Time after which a seal is due, if there are records since the last.
    pub seal_every: Duration,
    /// Whether judgements that something is valid are recorded too.
    pub all_verifications: bool,
}

/// What serves, as the opening record and that of a reload say it.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The keyring's generation.
    pub generation: u64,
    /// The SHA-256 of the configuration file, hexadecimal.
    pub config: String,
}

/// An open journal, and the threads that keep it.
pub struct Journal {
    shared: Arc<Shared>,
    keys: Arc<JournalKeys>,
    clock: Clock,
    all_verifications: bool,
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

/// What the journal's threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) lanes: ThreadLocal<Arc<Lane>>,
    pub(super) counters: Arc<Counters>,
    /// The writer is to look.
    pub(super) work: AtomicBool,
    /// The writer is to make a new file if nothing is at the path.
    pub(super) reopen: AtomicBool,
    /// The writer is to end.
    pub(super) closing: AtomicBool,
    /// The writer is at a group.
    pub(super) writing: AtomicBool,
    /// A flush in the background has failed.
    pub(super) flush_failed: AtomicBool,
    /// What is to be flushed in the background.
    pub(super) to_flush: Mutex<Option<Arc<File>>>,
    /// Somebody watches.
    pub(super) watching: AtomicBool,
    writer: OnceLock<Thread>,
    watch: OnceLock<Thread>,
    pub(super) flusher: OnceLock<Thread>,
}

impl Shared {
    /// Has the writer look, now or as soon as it is through with what it does.
    pub(super) fn wake_writer(&self) {
        if !self.work.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Has the writer look although this thread goes on. Where the writer has no core to itself, a thread that does not
    /// rest would keep it waiting for as long as the system lets it run.
    fn wake_now(&self) {
        self.wake_writer();
        thread::yield_now();
    }

    fn wake_watch(&self) {
        if !self.watching.load(Ordering::Relaxed)
            && !self.watching.swap(true, Ordering::AcqRel)
            && let Some(watch) = self.watch.get()
        {
            watch.unpark();
        }
    }

    fn push(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Receipt, Unrecorded> {
        if self.counters.fault().is_some() || self.closing.load(Ordering::Relaxed) {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Unrecorded);
        }
        let (receipt, wake) = self.lanes.get_or_default().push(write).inspect_err(|_| {
            self.counters.queue_full.fetch_add(1, Ordering::Relaxed);
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            self.wake_writer();
        })?;
        if wake {
            self.wake_now();
        }
        self.wake_watch();
        Ok(receipt)
    }
}

impl Journal {
    /// Opens the file or makes it, repairs its end, writes the opening record, and starts the threads.
    ///
    /// # Errors
    /// What is wrong, in one line that says what to do.
    pub fn open(
        settings: Settings,
        keys: JournalKeys,
        counters: Arc<Counters>,
        clock: Clock,
        serving: &Serving,
    ) -> Result<Self, String> {
        let lock = file::lock(&settings.path)?;
        let (file, tail) = JournalFile::open(&settings.path)?;
        let keys = Arc::new(keys);
        let shared = Arc::new(Shared {
            lanes: ThreadLocal::new(),
            counters,
            work: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            writing: AtomicBool::new(false),
            flush_failed: AtomicBool::new(false),
            to_flush: Mutex::default(),
            watching: AtomicBool::new(false),
            writer: OnceLock::new(),
            watch: OnceLock::new(),
            flusher: OnceLock::new(),
        });
        let all_verifications = settings.all_verifications;
        let (wait, path) = (settings.wait, settings.path.clone());
        let mut writer = Writer::new(file, lock, settings, Arc::clone(&keys), Arc::clone(&shared), clock.clone());
        writer.begin(&tail, serving)?;
        let (end, ended) = mpsc::channel();
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.into()).spawn(run);
            thread.map(|handle| handle.thread().clone()).map_err(|error| format!("{}: {error}", path.display()))
        };
        let flusher = spawn(
            "journal-flush",
            Box::new({
                let shared = Arc::clone(&shared);
                move || watch::flush(&shared)
            }),
        )?;
        let _ = shared.flusher.set(flusher);
        let watch = spawn(
            "journal-watch",
            Box::new({
                let shared = Arc::clone(&shared);
                move || watch::watch(&shared, wait)
            }),
        )?;
        let _ = shared.watch.set(watch);
        let writing = spawn(
            "journal-write",
            Box::new(move || {
                writer.run();
                // Nobody waits for an end that took too long.
                let _ = end.send(());
            }),
        )?;
        let _ = shared.writer.set(writing);
        shared.wake_writer();
        Ok(Self { shared, keys, clock, all_verifications, ended: Mutex::new(Some(ended)) })
    }

    /// Takes the record of a call; nothing for a call that needs none. The answer may be given once the receipt resolves.
    ///
    /// # Errors
    /// [`Unrecorded`]: the journal takes no records at present, or its queue is full.
    pub fn record(&self, event: &Event<'_>) -> Result<Option<Receipt>, Unrecorded> {
        if !record::is_recorded(event, self.all_verifications) {
            return Ok(None);
        }
        self.shared.push(|tail| record::call(tail, event, &self.keys)).map(Some)
    }

    /// Takes the record of a reload that is about to be put in force.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub fn record_reload(&self, at: UnixSeconds, serving: &Serving) -> Result<Receipt, Unrecorded> {
        self.reload(at, |tail| {
            record::text(tail, "result", "swapped");
            served(tail, serving);
        })
    }

    /// Takes the record of TLS files that are about to be put in force, at these listeners.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub fn record_tls_reload(&self, at: UnixSeconds, listeners: impl Display) -> Result<Receipt, Unrecorded> {
        self.reload(at, |tail| {
            record::text(tail, "result", "swapped");
            record::text(tail, "tls", listeners);
        })
    }

    /// Takes the record of a reload that was refused. `problem` is what the log says of it, and quotes no secret.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub fn record_refused_reload(&self, at: UnixSeconds, problem: impl Display) -> Result<Receipt, Unrecorded> {
        self.reload(at, |tail| {
            record::text(tail, "result", "refused");
            record::text(tail, "problem", problem);
        })
    }

    /// Says that this thread calls [`Journal::rest`] whenever it comes to rest, so that the writer need not be woken for
    /// every record.
    pub fn attend(&self) {
        self.shared.lanes.get_or_default().attended.store(true, Ordering::Relaxed);
    }

    /// This thread comes to rest: what it has queued is to be written. Whether there is any.
    pub fn rest(&self) -> bool {
        let any = self.shared.lanes.get().is_some_and(|lane| lane.has_fresh());
        if any {
            self.shared.wake_writer();
        }
        any
    }

    /// This thread has done a turn of calls, and may go on with others before it comes to rest.
    pub fn turn(&self) {
        if self.shared.lanes.get().is_some_and(|lane| lane.turn()) {
            self.shared.wake_now();
        }
    }

    /// Looks at once whether the file was renamed, and begins a new one if it was, or if it was deleted.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.shared.wake_writer();
    }

    /// The counters, and what is wrong.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The id of the keyring whose keys seal it.
    #[must_use]
    pub fn keyring_id(&self) -> &str {
        self.keys.keyring_id()
    }

    /// The clock that its records are dated by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Takes no more records, writes those that are queued and the closing record, and waits for that, but not for ever.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake_writer();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if ended.is_some_and(|ended| ended.recv_timeout(FAREWELL).is_err()) {
            tracing::error!("the journal could not be closed in time: it has no closing record");
        }
        for thread in [&self.shared.watch, &self.shared.flusher] {
            if let Some(thread) = thread.get() {
                thread.unpark();
            }
        }
    }

    fn reload(&self, at: UnixSeconds, write: impl FnOnce(&mut Vec<u8>)) -> Result<Receipt, Unrecorded> {
        self.shared.push(|tail| {
            record::begin(tail, at, Kind::Reload);
            write(tail);
        })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Adds what serves.
pub(super) fn served(tail: &mut Vec<u8>, serving: &Serving) {
    record::count(tail, "generation", serving.generation);
    record::text(tail, "config", &serving.config);
}
