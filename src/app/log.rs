//! Log lines, to standard error by way of a thread of their own: whoever reads them may stall, and calls must not
//! wait for it. What does not fit in the queue is dropped and counted, and the count is logged once there is room.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::{Log, LogFormat};

/// Lines that may wait.
const QUEUE: usize = 1024;

/// How long the last lines get when the process ends.
const FAREWELL: Duration = Duration::from_millis(200);

/// The way to the log; dropped at the end, it lets the last lines out.
pub(super) struct Logging {
    queued: Arc<AtomicU64>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        let until = Instant::now() + FAREWELL;
        while self.queued.load(Ordering::Acquire) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts logging. Standard output is left to what a command was asked for.
pub(super) fn start(log: &Log, dev: bool) -> Result<Logging, Failure> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| Failure::usage(format!("log.level {:?} is not understood: {error}", log.level)))?;
    let (lines, taken) = sync_channel(QUEUE);
    let queue = Queue { lines, queued: Arc::default(), dropped: Arc::default() };
    let (queued, dropped) = (Arc::clone(&queue.queued), Arc::clone(&queue.dropped));
    let written = Arc::clone(&queued);
    thread::Builder::new()
        .name("countersign-log".into())
        .spawn(move || write_out(&taken, &written, &dropped))
        .map_err(|error| Failure::ours(format!("logging does not start: {error}")))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || queue.clone())
        .with_ansi(dev && io::stderr().is_terminal());
    let set = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Human => lines.compact().with_target(false).try_init(),
    };
    set.map_err(|error| Failure::ours(format!("logging does not start: {error}")))?;
    Ok(Logging { queued })
}

/// Where the subscriber writes: a line a call.
#[derive(Clone)]
struct Queue {
    lines: SyncSender<Vec<u8>>,
    queued: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queued.fetch_add(1, Ordering::AcqRel);
        if self.lines.try_send(line.to_vec()).is_err() {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(taken: &Receiver<Vec<u8>>, queued: &AtomicU64, dropped: &AtomicU64) {
    let mut to = io::stderr();
    while let Ok(line) = taken.recv() {
        // Where standard error is gone there is nobody to tell.
        let _ = to.write_all(&line);
        queued.fetch_sub(1, Ordering::AcqRel);
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "log lines were dropped, since nobody took them in time");
        }
    }
}
