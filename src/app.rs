//! Wiring: refuses what cannot be protected, loads, binds, serves, reloads on SIGHUP and on new content, and drains on
//! SIGTERM.

pub mod dev;
mod log;
mod reload;
mod startup;
mod tls;
mod watch;

pub use startup::harden;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    authority::Authority,
    clock::Clock,
    config::Config,
    grpc::{self, listen},
    http::{self, Readiness, Shown},
    keystore,
    metrics::Metrics,
};
use reload::{Cause, Reloader};
use tls::Doors;

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
}

/// Where a service listens.
pub struct Endpoints {
    /// The Unix socket.
    pub unix: PathBuf,
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
    let not_done = harden();
    let _logging = log::start(&config.log, options.dev.is_some())?;
    for problem in not_done {
        tracing::warn!("not as closed as it should be: {problem}");
    }
    advise(&config);
    let clock = Clock::system();
    let dev = options.dev.clone();
    let doors = Doors::load(&config.tls, &clock)?;
    let reloader = Reloader::new(&config, options, Arc::clone(&doors))?;
    let loaded = keystore::load(&config.keyring).map_err(|error| Failure::usage(error.to_string()))?;
    startup::judge_keys(&loaded, dev.is_some())?;
    let state = config.build(loaded.keys, None).map_err(Failure::usage)?;
    let metrics = Arc::new(Metrics::new(clock.clone()));
    metrics.reloads.started(clock.now());
    let authority = Arc::new(Authority::new(clock, state, Arc::clone(&metrics)));

    // Sockets are bound before there are threads: a socket's mode is born under a umask, which threads share.
    let mut listeners = vec![listen::bind_unix(&config.unix).map_err(|error| Failure::usage(error.to_string()))?];
    let mut endpoints = Endpoints { unix: config.unix.clone(), tcp: None, tls: Vec::new(), http: config.http };
    if let Some(dev) = &dev {
        let tcp = listen::bind_loopback(dev.listen).map_err(|error| Failure::usage(error.to_string()))?;
        endpoints.tcp = Some(tcp.address());
        listeners.push(tcp);
    }
    for door in doors.iter() {
        let listener = listen::bind_tls(Arc::clone(door)).map_err(|error| Failure::usage(error.to_string()))?;
        endpoints.tls.push(listener.address());
        listeners.push(listener);
    }
    let web = http::bind(dev.as_ref().map_or(config.http, |dev| dev.http)).map_err(Failure::usage)?;
    endpoints.http = web.local_addr().map_err(|error| Failure::ours(format!("http: {error}")))?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::ours(format!("the runtime does not start: {error}")))?;
    runtime.block_on(serve(config, reloader, authority, metrics, (listeners, web, doors), endpoints, announce))
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
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    (listeners, web, doors): (Vec<grpc::Listener>, std::net::TcpListener, Arc<Doors>),
    endpoints: Endpoints,
    announce: impl FnOnce(&Endpoints),
) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::ours(format!("cannot start: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io)?;

    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let counters = Arc::clone(&metrics.transport);
    let server = grpc::start(listeners, Arc::clone(&authority), config.limits, config.reflection, workers, counters)
        .map_err(io)?;
    let readiness = Arc::new(Readiness::default());
    let shown =
        Shown { metrics: Arc::clone(&metrics), readiness: Arc::clone(&readiness), authority: Arc::clone(&authority) };
    let web = tokio::spawn(http::serve(web, shown));

    server.set_serving(true);
    readiness.set_ready(true);
    let unix = endpoints.unix.display();
    let tls = endpoints.tls.join(" ");
    tracing::info!(workers, %unix, tls, http = %endpoints.http, version = env!("CARGO_PKG_VERSION"), "ready");
    announce(&endpoints);

    doors.show(&metrics);
    let reloader = Arc::new(Mutex::new(reloader));
    let signal = loop {
        let cause = tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => Cause::Signal,
            () = next_poll(config.poll) => Cause::Poll,
        };
        if let Some(taken) = reload::look(&reloader, cause, &authority, &metrics, &readiness).await {
            doors.taken(&metrics, &readiness);
            server.reload_limits(taken.limits);
            config = taken;
            advise(&config);
        }
        if cause == Cause::Poll {
            tls::look(&doors, &metrics, &readiness, authority.clock().now()).await;
        }
    };
    tracing::info!(signal, deadline = config.drain.as_secs(), "draining");
    readiness.set_ready(false);
    server.set_serving(false);
    // Probes and scrapers are answered while calls finish, so that the drain can be watched.
    server.drain(config.drain).await;
    web.abort();
    tracing::info!("stopped");
    Ok(())
}
