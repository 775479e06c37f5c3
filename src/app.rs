//! Wiring: refuses what cannot be protected, loads, binds, serves, reloads on SIGHUP and on new content, and drains on
//! SIGTERM.

pub mod confinement;
mod custodian;
pub mod dev;
mod evidence;
mod idle;
mod kek;
mod ledger;
mod log;
mod reload;
mod startup;
mod tls;
mod watch;

pub use custodian::change;
pub use startup::{Protections, harden};

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc::Receiver},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use self::{
    confinement::Confinement,
    evidence::{Reserves, Reserving},
};
use crate::{
    audit::{Journal, Settings},
    authority::{Authority, Custody, KeyringSeen, Task},
    clock::Clock,
    config::Config,
    crypto::arena,
    grpc::{self, listen},
    http::{self, Readiness, Shown},
    keystore,
    ledger::Ledger,
    metrics::Metrics,
    outbound::{Outbound, Roots},
};
use custodian::Custodian;
use reload::{Cause, Looked, Reloader};
use tls::Doors;

/// How long a start waits for what opens the keyring, where that is a process beside this one.
const KEK_PATIENCE: Duration = Duration::from_secs(30);

/// What differs between `serve` and `dev`.
pub struct Options {
    /// The configuration file, read again on SIGHUP and when its content changes.
    pub config_file: PathBuf,
    /// Whether to start as root.
    pub allow_root: bool,
    /// Development: the sample secret and a plaintext loopback listener are allowed.
    pub dev: Option<DevOptions>,
}

/// What only development has.
#[derive(Clone)]
pub struct DevOptions {
    /// The loopback address for gRPC and JSON.
    pub listen: SocketAddr,
    /// In place of the configured HTTP address.
    pub http: SocketAddr,
    /// The folder that goes away with the process, if it does.
    pub temporary_folder: Option<PathBuf>,
}

/// Where a service listens.
pub struct Endpoints {
    /// The Unix socket.
    pub unix: PathBuf,
    /// The Unix socket that serves `KeyService` too, if there is one.
    pub admin: Option<PathBuf>,
    /// The plaintext loopback address as a URL, in development.
    pub tcp: Option<String>,
    /// The TLS addresses as URLs, in the order of the configuration.
    pub tls: Vec<String>,
    /// The HTTP port.
    pub http: SocketAddr,
}

/// Why the service does not start, or ended badly: the exit code and one line that says what to do.
#[derive(Debug)]
pub struct Failure {
    /// 2 for what the operator can mend, 70 for our fault.
    pub exit: u8,
    /// The line.
    pub message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: 2, message: message.into() }
    }

    pub(crate) fn ours(message: impl Into<String>) -> Self {
        Self { exit: 70, message: message.into() }
    }
}

/// Runs the service until SIGTERM or SIGINT; `announce` is called once, when calls are taken.
///
/// # Errors
/// A [`Failure`].
pub fn run(config: Config, options: Options, announce: impl FnOnce(&Endpoints)) -> Result<(), Failure> {
    startup::refuse_what_cannot_be_protected(&config, &options)?;
    let protections = harden();
    if config.require_mlock {
        arena::require_locked().map_err(|refused| Failure::usage(refused.to_string()))?;
    }
    config.keyring.kek.prepare(KEK_PATIENCE).map_err(|error| Failure::usage(error.to_string()))?;
    // What needs the world outside is done first: looking at the machine, and binding. Sockets are bound before there
    // are threads, too: a socket's mode is born under a umask, which threads share.
    let clock = Clock::system();
    let metrics = Arc::new(Metrics::new(clock.clone()));
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let doors = Doors::load(&config.tls, &clock)?;
    let (listeners, web, endpoints) = bind(&config, &options, &doors)?;
    let confined = Confinement::of(&config, &options).apply(config.landlock).map_err(Failure::usage)?;
    let protections = protections.with(&confined);

    let dev = options.dev.is_some();
    let _logging = log::start(&config.log, dev)?;
    advise(&config);
    let reloader = Reloader::new(&config, options, confined, Arc::clone(&doors))?;
    let kept = ledger::open(&config, &clock, &metrics)?;
    ledger::forewarn(kept.as_ref());
    let loaded = keystore::load(&config.keyring).map_err(|error| Failure::usage(error.to_string()))?;
    startup::judge_keys(&loaded, dev)?;
    let seen = KeyringSeen { id: loaded.keyring_id.clone(), generation: loaded.generation };
    let state = config.build(loaded.keys, None).map_err(Failure::usage)?.of_keyring(seen);
    metrics.reloads.started(clock.now());
    ledger::note_generation(kept.as_ref(), &loaded.keyring_id, loaded.generation);
    ledger::note_lifetimes(kept.as_ref(), &config).map_err(|problem| Failure::usage(format!("ledger: {problem}")))?;
    ledger::name_strangers(kept.as_ref(), &loaded.keyring_id);

    // A start that failed so far leaves no record.
    let serving = reload::serving(&config, loaded.generation);
    let open = |settings: &Settings| {
        Journal::open(settings.clone(), loaded.journal, Arc::clone(&metrics.journal), clock.clone(), &serving)
    };
    let journal = config
        .journal
        .as_ref()
        .map(open)
        .transpose()
        .map_err(|problem| Failure::usage(format!("journal: {problem}")))?;
    if journal.is_none() {
        tracing::warn!("journal.enabled is false: nothing that is granted leaves a record");
    }
    let (custody, tasks) = Custody::new(config.writable);
    let roots = Roots::read(&config.outbound).map_err(Failure::usage)?;
    let outbound = Outbound::start(config.outbound.clone(), roots)
        .map_err(|error| Failure::ours(format!("the thread for calls to vendors does not start: {error}")))?;
    let authority = Authority::new(clock, state, Arc::clone(&metrics)).with_journal(journal);
    let authority = authority.with_ledger(kept, loaded.users, loaded.logins, loaded.keyring_id);
    let authority = Arc::new(authority.with_custody(custody).with_outbound(outbound));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::ours(format!("the runtime does not start: {error}")))?;
    let running = Running { authority, metrics, workers, protections, tasks };
    runtime.block_on(serve(config, reloader, running, (listeners, web, doors), endpoints, announce))
}

/// What stays the same while a service runs.
struct Running {
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    workers: usize,
    /// Without the keys' memory, which grows.
    protections: Protections,
    /// For whom keys are changed by.
    tasks: Receiver<Task>,
}

/// Takes all addresses. Whatever listens is bound here: afterwards the process has given up the right to.
fn bind(
    config: &Config,
    options: &Options,
    doors: &Doors,
) -> Result<(Vec<grpc::Listener>, std::net::TcpListener, Endpoints), Failure> {
    let mut listeners = vec![listen::bind_unix(&config.unix).map_err(|error| Failure::usage(error.to_string()))?];
    if let Some(admin) = &config.admin {
        listeners.push(listen::bind_admin(admin).map_err(|error| Failure::usage(error.to_string()))?);
    }
    let mut tcp = None;
    if let Some(dev) = &options.dev {
        let loopback = listen::bind_loopback(dev.listen).map_err(|error| Failure::usage(error.to_string()))?;
        tcp = Some(loopback.address());
        listeners.push(loopback);
    }
    let mut tls = Vec::new();
    for door in doors.iter() {
        let listener = listen::bind_tls(Arc::clone(door)).map_err(|error| Failure::usage(error.to_string()))?;
        tls.push(listener.address());
        listeners.push(listener);
    }
    let web = http::bind(options.dev.as_ref().map_or(config.http, |dev| dev.http)).map_err(Failure::usage)?;
    let http = web.local_addr().map_err(|error| Failure::ours(format!("http: {error}")))?;
    let (unix, admin) = (config.unix.clone(), config.admin.clone());
    Ok((listeners, web, Endpoints { unix, admin, tcp, tls, http }))
}

fn advise(config: &Config) {
    for line in config.advice() {
        tracing::warn!("configuration: {line}");
    }
}

/// The moment to look at files again; never, if they are not polled.
async fn next_poll(every: Option<Duration>) {
    match every {
        Some(every) => tokio::time::sleep(every).await,
        None => std::future::pending().await,
    }
}

async fn serve(
    mut config: Config,
    reloader: Reloader,
    running: Running,
    (listeners, web, doors): (Vec<grpc::Listener>, std::net::TcpListener, Arc<Doors>),
    endpoints: Endpoints,
    announce: impl FnOnce(&Endpoints),
) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::ours(format!("cannot start: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io)?;

    let Running { authority, metrics, workers, protections: lasting, tasks } = running;
    let reserving = Reserves::start(&authority)?;
    let reloader = reloader.reserving(reserving.as_ref().map(Reserving::reserves));
    let counters = Arc::clone(&metrics.transport);
    let server = grpc::start(listeners, Arc::clone(&authority), config.limits, config.reflection, workers, counters)
        .map_err(io)?;
    let readiness = Arc::new(Readiness::default());
    let shown =
        Shown { metrics: Arc::clone(&metrics), readiness: Arc::clone(&readiness), authority: Arc::clone(&authority) };
    let web = tokio::spawn(http::serve(web, shown));

    let protections = lasting.clone().with_key_memory();
    readiness.set_protections(protections.lines());
    for lacking in &protections.lacking {
        tracing::warn!("not as closed as it should be: {lacking}");
    }
    server.set_serving(true);
    readiness.set_ready(true);
    let (unix, protections) = (endpoints.unix.display(), protections.holding.join(", "));
    let (tls, version) = (endpoints.tls.join(" "), env!("CARGO_PKG_VERSION"));
    tracing::info!(workers, %unix, tls, http = %endpoints.http, version, protections, "ready");
    announce(&endpoints);

    doors.show(&metrics);
    let idling = tokio::spawn(idle::give_back_the_start());
    let keeper = kek::watch(&config, &metrics, &readiness);
    let reloader = Arc::new(Mutex::new(reloader));
    let (reloads, mut ordered) = mpsc::unbounded_channel();
    let custodian = Custodian {
        reloader: Arc::clone(&reloader),
        authority: Arc::clone(&authority),
        metrics: Arc::clone(&metrics),
        readiness: Arc::clone(&readiness),
        protections: lasting.clone(),
        reloads,
    };
    custodian.start(tasks).map_err(io)?;
    let signal = loop {
        let mut answer = None;
        let cause = tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => {
                authority.journal().into_iter().for_each(Journal::reopen);
                Cause::Signal
            }
            Some(order) = ordered.recv() => {
                answer = Some(order);
                Cause::Order
            }
            () = next_poll(config.poll) => Cause::Poll,
        };
        let looked = reload::look(&reloader, cause, &authority, &metrics, &readiness).await;
        // A reload may have taken more memory for keys.
        readiness.set_protections(lasting.clone().with_key_memory().lines());
        let was_taken = matches!(looked, Looked::Taken(_));
        let outcome = match looked {
            Looked::Taken(taken) => {
                doors.taken(&metrics, &readiness);
                server.reload_limits(taken.limits);
                config = *taken;
                advise(&config);
                Ok(authority.state().keyring().generation)
            }
            Looked::Refused(problem) => Err(problem),
            Looked::Nothing => Ok(authority.state().keyring().generation),
        };
        if let Some(answer) = answer {
            // Whoever ordered it may have left.
            let _ = answer.send(outcome);
        }
        // A configuration that was refused must not keep a certificate or a revocation list from being taken up.
        if cause == Cause::Poll || !was_taken {
            tls::look(&doors, &authority, &metrics, &readiness).await;
        }
    };
    tracing::info!(signal, deadline = config.drain.as_secs(), "draining");
    // Who waits for a reload is told so; a change of keys that was begun goes on.
    drop(ordered);
    readiness.set_ready(false);
    server.set_serving(false);
    // Probes and scrapers are answered while calls finish, so that the drain can be watched.
    server.drain(config.drain).await;
    web.abort();
    idling.abort();
    // What has been asked of a vendor is read and put on record, also where its caller has left.
    authority.outbound().into_iter().for_each(|outbound| outbound.close(config.limits.reach));
    if let Some(keeper) = keeper {
        keeper.abort();
    }
    if let Some(reserving) = reserving {
        reserving.close();
    }
    authority.ledger().into_iter().for_each(Ledger::close);
    authority.journal().into_iter().for_each(Journal::close);
    tracing::info!("stopped");
    Ok(())
}
