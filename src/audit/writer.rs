//! The thread that writes. It takes what all lanes hold as one group, chains it, writes it with one call, looks whether
//! the file still is what it was, and only then tells those who wait. What goes wrong is a fault: from then on
//! calls are refused without being queued, until a probe, the record of the fault itself, can be written.

use std::{
    fs::File,
    sync::{Arc, PoisonError, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    chain::{Head, JournalKeys},
    counters::Fault,
    file::{self, JournalFile, Lock, Place, Tail},
    journal::{self, Durability, Serving, Settings, Shared},
    lane::{Lane, Queue},
    record::{self, Kind},
};
use crate::clock::Clock;

/// How often the file is looked at while nothing is written.
const TICK: Duration = Duration::from_secs(1);

/// How often it is tried again while something is wrong.
const RETRY: Duration = Duration::from_millis(200);

/// Bytes of a group's buffer that are kept for the next.
const KEPT: usize = 256 << 10;

pub(super) struct Writer {
    file: JournalFile,
    settings: Settings,
    keys: Arc<JournalKeys>,
    shared: Arc<Shared>,
    clock: Clock,
    head: Head,
    /// The last record in the file is a closing one: an opening one must follow.
    closed: bool,
    unsealed: u64,
    sealed_at: Instant,
    fault: Option<Fault>,
    /// Calls refused before the fault began.
    refused_before: u64,
    group: Vec<u8>,
    queues: Vec<Queue>,
    taken: Vec<(Arc<Lane>, u64)>,
    _lock: Lock,
}

impl Writer {
    pub(super) fn new(
        file: JournalFile,
        lock: Lock,
        settings: Settings,
        keys: Arc<JournalKeys>,
        shared: Arc<Shared>,
        clock: Clock,
    ) -> Self {
        Self {
            file,
            settings,
            keys,
            shared,
            clock,
            head: Head::NONE,
            closed: true,
            unsealed: 0,
            sealed_at: Instant::now(),
            fault: None,
            refused_before: 0,
            group: Vec::new(),
            queues: Vec::new(),
            taken: Vec::new(),
            _lock: lock,
        }
    }

    /// Goes on where the file ends, with the opening record of this process.
    pub(super) fn begin(&mut self, tail: &Tail, serving: &Serving) -> Result<(), String> {
        let shown = self.settings.path.display().to_string();
        let mut clean = true;
        if let Some(last) = &tail.last {
            let parsed = record::parse(last).ok_or_else(|| {
                format!("{shown}: its last line is no record; move the file away and keep it, and a new one is begun")
            })?;
            self.head = Head::of(parsed.sequence, last);
            clean = parsed.kind == Kind::Closing && tail.torn == 0;
        }
        if !clean {
            let (head, torn) = (self.head, tail.torn);
            tracing::warn!(%head, torn, "the journal has no closing record, so the process before did not stop cleanly; what it had not finished writing, {torn} bytes, was cut off");
        }
        let (torn, keyring) = (tail.torn, Arc::clone(&self.keys));
        self.sealed(Kind::Opening, |line| {
            record::text(line, "why", "start");
            line.extend_from_slice(if clean { b",\"clean\":true" } else { b",\"clean\":false" });
            record::count(line, "torn", torn);
            record::text(line, "keyring", keyring.keyring_id());
            record::text(line, "version", env!("CARGO_PKG_VERSION"));
            journal::served(line, serving);
        })
        .map_err(|error| {
            format!("{shown}: the opening record cannot be written: {error}; {}", file::fault_of(&error).advice())
        })?;
        self.file.handle().sync_data().or_else(no_flush).map_err(|error| format!("{shown}: {error}"))
    }

    /// Writes until the journal closes.
    pub(super) fn run(mut self) {
        loop {
            if !self.shared.work.swap(false, Ordering::AcqRel) {
                thread::park_timeout(if self.fault.is_some() { RETRY } else { TICK });
                self.shared.work.store(false, Ordering::Release);
            }
            let closing = self.shared.closing.load(Ordering::Acquire);
            self.shared.writing.store(true, Ordering::Release);
            self.turn();
            self.shared.writing.store(false, Ordering::Release);
            if self.shared.counters.unstick() {
                self.unstick();
            }
            if closing && !self.shared.lanes.iter().any(|lane| lane.has_fresh()) {
                return self.end();
            }
        }
    }

    /// One look at everything: the file, then the lanes.
    fn turn(&mut self) {
        let reopen = self.shared.reopen.swap(false, Ordering::AcqRel);
        if self.shared.flush_failed.swap(false, Ordering::AcqRel) {
            self.fail(Fault::Io);
        }
        if self.fault.is_some() {
            self.recover(reopen);
        }
        self.collect();
        if self.fault.is_some() {
            return self.refuse();
        }
        let due = self.unsealed > 0 && self.sealed_at.elapsed() >= self.settings.seal_every;
        if self.taken.is_empty() && !due {
            match self.file.place() {
                Place::There => {}
                Place::Renamed => self.rotate("rotation"),
                Place::Wrong(fault) => self.fail(fault),
            }
            return;
        }
        self.write(due);
    }

    fn collect(&mut self) {
        let mut used = 0;
        for lane in &self.shared.lanes {
            if self.queues.len() == used {
                self.queues.push(Queue::default());
            }
            if let Some(upto) = lane.take(&mut self.queues[used]) {
                used += 1;
                self.taken.push((Arc::clone(lane), upto));
            }
        }
    }

    /// Writes a group, and tells those who wait.
    fn write(&mut self, due: bool) {
        let began = Instant::now();
        self.group.clear();
        let (mut head, mut records) = (self.head, 0);
        for tail in self.queues[..self.taken.len()].iter().flat_map(Queue::tails) {
            head = record::place(&mut self.group, head, tail, None);
            records += 1;
        }
        let at = self.clock.now();
        let seal = due || self.unsealed + records >= self.settings.seal_records;
        if seal {
            let mut tail = Vec::new();
            record::begin(&mut tail, at, Kind::Seal);
            head = record::place(&mut self.group, head, &tail, Some(&self.keys));
            records += 1;
        }
        match self.file.append(&self.group) {
            Ok(()) => {}
            Err((error, counts)) => {
                if counts {
                    self.head = head;
                }
                self.fail_for(&error);
                return self.refuse();
            }
        }
        self.head = head;
        self.unsealed += records;
        if self.settings.durability == Durability::Sync
            && let Err(error) = self.file.handle().sync_data().or_else(no_flush)
        {
            self.fail_for(&error);
            return self.refuse();
        }
        let place = self.file.place();
        if let Place::Wrong(fault) = place {
            self.fail(fault);
            return self.refuse();
        }
        for (lane, upto) in self.taken.drain(..) {
            lane.accept(upto);
        }
        let counters = &self.shared.counters;
        counters.records.fetch_add(records, Ordering::Relaxed);
        counters.bytes.fetch_add(self.group.len() as u64, Ordering::Relaxed);
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.sequence.store(head.sequence, Ordering::Relaxed);
        counters.group_nanos.store(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.group.shrink_to(KEPT);
        if seal {
            self.note_seal(head);
        }
        if self.settings.durability == Durability::Write {
            self.flush_later(self.file.handle());
        }
        if place == Place::Renamed {
            self.rotate("rotation");
        }
    }

    /// Writes one sealed record of its own.
    fn sealed(&mut self, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> std::io::Result<()> {
        let line = self.sealed_line(kind, write);
        self.file.append(&line.0).map_err(|(error, _)| error)?;
        self.placed(kind, line.1, line.0.len());
        Ok(())
    }

    fn sealed_line(&self, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> (Vec<u8>, Head) {
        let (mut tail, mut line) = (Vec::new(), Vec::new());
        record::begin(&mut tail, self.clock.now(), kind);
        write(&mut tail);
        let head = record::place(&mut line, self.head, &tail, Some(&self.keys));
        (line, head)
    }

    fn placed(&mut self, kind: Kind, head: Head, len: usize) {
        self.head = head;
        self.closed = kind == Kind::Closing;
        let counters = &self.shared.counters;
        counters.records.fetch_add(1, Ordering::Relaxed);
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(len as u64, Ordering::Relaxed);
        counters.sequence.store(head.sequence, Ordering::Relaxed);
        self.note_seal(head);
    }

    fn note_seal(&mut self, head: Head) {
        self.unsealed = 0;
        self.sealed_at = Instant::now();
        self.shared.counters.seal(head, self.clock.now());
        tracing::info!(%head, "journal sealed");
    }

    /// The file has another name: closes it, and begins a new one at the path.
    fn rotate(&mut self, why: &'static str) {
        if !self.closed && why == "rotation" && self.file.is_whole() {
            if let Err(error) = self.sealed(Kind::Closing, |line| record::text(line, "why", why)) {
                return self.fail_for(&error);
            }
            let _ = self.file.handle().sync_data();
        }
        let keyring = Arc::clone(&self.keys);
        let (line, head) = self.sealed_line(Kind::Opening, |line| {
            record::text(line, "why", why);
            record::text(line, "keyring", keyring.keyring_id());
        });
        match self.file.successor(&line) {
            Ok(next) => {
                self.file = next;
                self.placed(Kind::Opening, head, line.len());
                self.shared.counters.rotations.fetch_add(1, Ordering::Relaxed);
                tracing::info!(%head, path = %self.settings.path.display(), why, "the journal goes on in a new file");
                if self.fault.is_some() {
                    self.probe();
                }
            }
            Err(error) => self.fail_for(&error),
        }
    }

    /// Tries whether what was wrong still is.
    fn recover(&mut self, reopen: bool) {
        match self.file.place() {
            Place::Wrong(Fault::Deleted) if reopen && self.file.is_path_free() => self.rotate("deleted"),
            Place::Wrong(fault) => self.fail(fault),
            Place::Renamed => self.rotate("rotation"),
            Place::There => self.probe(),
        }
    }

    /// Writes the record of the fault. If that goes, it is over.
    fn probe(&mut self) {
        let Some(fault) = self.fault else { return };
        let tried = self.file.settle().and_then(|()| self.file.handle().sync_data().or_else(no_flush)).and_then(|()| {
            if self.closed {
                self.sealed(Kind::Opening, |line| record::text(line, "why", "resumed"))?;
            }
            self.note_fault(fault)
        });
        match tried {
            Ok(()) => {
                self.fault = None;
                self.shared.counters.set_fault(None);
                tracing::warn!(fault = fault.name(), "the journal takes records again");
            }
            Err(error) => self.fail_for(&error),
        }
    }

    /// Says in the journal itself that calls were refused, and how many.
    fn note_fault(&mut self, fault: Fault) -> std::io::Result<()> {
        let refused = self.shared.counters.refused.load(Ordering::Relaxed) - self.refused_before;
        let (mut tail, mut line) = (Vec::new(), Vec::new());
        record::begin(&mut tail, self.clock.now(), Kind::Fault);
        record::text(&mut tail, "fault", fault.name());
        record::count(&mut tail, "refused", refused);
        let head = record::place(&mut line, self.head, &tail, None);
        self.file.append(&line).map_err(|(error, _)| error)?;
        self.head = head;
        self.unsealed += 1;
        self.refused_before += refused;
        let counters = &self.shared.counters;
        counters.records.fetch_add(1, Ordering::Relaxed);
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(line.len() as u64, Ordering::Relaxed);
        counters.sequence.store(head.sequence, Ordering::Relaxed);
        Ok(())
    }

    /// A write that was stuck has come back.
    fn unstick(&mut self) {
        tracing::warn!(fault = Fault::Stuck.name(), "the journal takes records again");
        if self.fault.is_none()
            && let Err(error) = self.note_fault(Fault::Stuck)
        {
            self.fail_for(&error);
        }
    }

    fn fail_for(&mut self, error: &std::io::Error) {
        let fault = file::fault_of(error);
        if self.fault != Some(fault) {
            tracing::error!(%error, path = %self.settings.path.display(), "the journal cannot be written");
        }
        self.fail(fault);
    }

    fn fail(&mut self, fault: Fault) {
        self.fault = Some(fault);
        if self.shared.counters.set_fault(Some(fault)) {
            let (name, path) = (fault.name(), self.settings.path.display());
            tracing::error!(fault = name, %path, "the journal takes no records, and calls that need one are refused: {}", fault.advice());
        }
    }

    /// Refuses what was taken.
    fn refuse(&mut self) {
        for (lane, upto) in self.taken.drain(..) {
            let refused = lane.refuse(upto);
            self.shared.counters.refused.fetch_add(refused, Ordering::Relaxed);
        }
    }

    fn flush_later(&self, file: Arc<File>) {
        *self.shared.to_flush.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        if let Some(flusher) = self.shared.flusher.get() {
            flusher.unpark();
        }
    }

    fn end(mut self) {
        if self.fault.is_none() {
            let closed = self.sealed(Kind::Closing, |line| record::text(line, "why", "stop"));
            let flushed = closed.and_then(|()| self.file.handle().sync_data().or_else(no_flush));
            if let Err(error) = flushed {
                tracing::error!(%error, "the journal could not be closed");
            }
        }
    }
}

/// A pipe has nothing to flush.
fn no_flush(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) }
}
