//! The thread that all calls to vendors are made on, and how many may be under way.
//!
//! Whatever is begun goes on to its end, whether or not anybody still waits for it: who has sent something must also read
//! what came of it, and put it on record.

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore, oneshot},
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use super::{
    client::{Kit, Roots, Settings},
    exchange::{Answer, Request},
    fault::{Fault, Problem},
    resolve::LOOKUPS,
};

/// Calls to one vendor under way at a time: one that hangs keeps nobody from the other, and this bounds what all that wait
/// for it hold.
const AT_A_TIME: usize = 64;

/// Threads for what blocks, besides those that look up names: each goes when it is idle.
const BLOCKING: usize = 16;

/// Whom a call is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Vendor {
    /// idibu LiveAuth.
    LiveAuth,
    /// BroadSoft Hub.
    Hub,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::LiveAuth, Self::Hub];

    /// The name in metrics and error details.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LiveAuth => "liveauth",
            Self::Hub => "hub",
        }
    }
}

/// The right to have one more call under way; given back when it is dropped.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

/// The way out, and the thread behind it.
pub struct Outbound {
    runtime: Handle,
    slots: [Arc<Semaphore>; Vendor::ALL.len()],
    kit: Mutex<Arc<Prepared>>,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

/// Settings, and the clients once somebody has needed them: reading the system's certificate authorities costs time and
/// memory, which whoever calls nobody shall not pay.
struct Prepared {
    settings: Settings,
    roots: Mutex<Option<Roots>>,
    built: OnceCell<Kit>,
}

impl Prepared {
    fn new(settings: Settings, roots: Roots) -> Arc<Self> {
        Arc::new(Self { settings, roots: Mutex::new(Some(roots)), built: OnceCell::new() })
    }
}

impl Outbound {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(settings: Settings, roots: Roots) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().max_blocking_threads(LOOKUPS + BLOCKING).enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("outbound".into()).spawn(move || {
            // Also where whoever would have said so has gone.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self {
            runtime: handle,
            slots: Vendor::ALL.map(|_| Arc::new(Semaphore::new(AT_A_TIME))),
            kit: Mutex::new(Prepared::new(settings, roots)),
            thread: Mutex::new(Some((end, thread))),
        })
    }

    /// Takes other settings for whatever is sent from now on, and reads the system's certificate authorities anew.
    pub fn take_up(&self, settings: Settings, roots: Roots) {
        *self.kit.lock().unwrap_or_else(PoisonError::into_inner) = Prepared::new(settings, roots);
    }

    /// How long a call may take altogether, where the vendor has no limit of its own.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.kit.lock().unwrap_or_else(PoisonError::into_inner).settings.timeout
    }

    /// A place among the calls to this vendor, if there is one left.
    #[must_use]
    pub fn enter(&self, vendor: Vendor) -> Option<Slot> {
        Arc::clone(&self.slots[vendor as usize]).try_acquire_owned().ok().map(Slot)
    }

    /// Has a task run on the thread to its end; its place is given back then.
    pub fn run(&self, slot: Slot, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(async move {
            let _slot = slot;
            task.await;
        });
    }

    /// Sends a request and reads the answer to its end, within `limit`. To be called by tasks of [`Outbound::run`].
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn send(&self, request: Request, allowed: &[String], limit: Duration) -> Result<Answer, Fault> {
        let prepared = Arc::clone(&self.kit.lock().unwrap_or_else(PoisonError::into_inner));
        let build = || async {
            let roots = prepared.roots.lock().unwrap_or_else(PoisonError::into_inner).take();
            let settings = prepared.settings.clone();
            let built = spawn_blocking(move || {
                // They were taken by somebody who then broke off.
                let roots = roots.map_or_else(|| Roots::read(&settings), Ok)?;
                Kit::build(settings, roots).map_err(|error| error.without_url().to_string())
            });
            let built = built.await.unwrap_or_else(|_| Err("it broke".into()));
            built.map_err(|why| {
                tracing::error!(why, "no client for calls to vendors: are there certificate authorities?");
            })
        };
        let begun = Instant::now();
        let kit = prepared.built.get_or_try_init(build).await.map_err(|()| Fault::unsent(Problem::Ours))?;
        kit.exchange(&request, allowed, limit.saturating_sub(begun.elapsed())).await
    }

    /// Does what blocks, such as waiting for a ledger, where it keeps no call waiting. To be called by tasks of
    /// [`Outbound::run`]. Nothing where it panicked, which the panic hook has reported.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        spawn_blocking(work).await.ok()
    }

    /// Ends the thread, once all calls have ended, but waits no longer than `patience`.
    pub fn close(&self, patience: Duration) {
        let Some((end, thread)) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let slots = self.slots.clone();
        let (tell, told) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let idle = async {
                while slots.iter().any(|slots| slots.available_permits() < AT_A_TIME) {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            let all_ended = timeout(patience, idle).await.is_ok();
            let _ = (end.send(()), tell.send(all_ended));
        });
        if told.recv() != Ok(true) {
            tracing::warn!("calls to vendors did not end in time and are left behind");
        }
        let _ = thread.join();
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        // A thread that is not closed ends with its owner, whose own it may be.
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
