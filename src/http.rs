//! The plain HTTP port: `/metrics`, `/livez`, `/readyz`. Read-only and for anybody, so it shows no name of a
//! caller and nothing secret.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use crate::{
    authority::Authority,
    metrics::{self, Metrics},
};

/// Whether the service takes calls, and what is not as it should be although it does.
#[derive(Default)]
pub struct Readiness {
    ready: AtomicBool,
    reload_problem: ArcSwapOption<String>,
}

impl Readiness {
    /// Says whether calls are taken.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Says why what lies on disk does not serve; `None` once it does.
    pub fn set_reload_problem(&self, problem: Option<String>) {
        self.reload_problem.store(problem.map(Arc::new));
    }
}

/// What the port shows.
#[derive(Clone)]
pub struct Shown {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Readiness.
    pub readiness: Arc<Readiness>,
    /// For the state of the keys.
    pub authority: Arc<Authority>,
}

/// Takes the port.
///
/// # Errors
/// One line that says what to do.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, String> {
    let listener = std::net::TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "http {address}: the port is taken; stop what holds it, or choose another (port 0 takes any free one)"
            )
        }
        _ => format!("http {address}: {error}"),
    })?;
    listener.set_nonblocking(true).map_err(|error| format!("http {address}: {error}"))?;
    Ok(listener)
}

/// Serves until the runtime ends.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(listener: std::net::TcpListener, shown: Shown) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(show_readiness))
        .with_state(shown);
    axum::serve(TcpListener::from_std(listener)?, router).await
}

async fn show_metrics(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], shown.metrics.render()).into_response()
}

async fn show_readiness(State(shown): State<Shown>, RawQuery(query): RawQuery) -> Response {
    let ready = shown.readiness.ready.load(Ordering::Acquire);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if ready { "ok" } else { "not ready" };
    if query.as_deref() != Some("verbose") {
        return (status, format!("{word}\n")).into_response();
    }
    let reload = match shown.readiness.reload_problem.load().as_deref() {
        None => "reload: ok".to_owned(),
        Some(problem) => format!("reload: refused, the state before it serves: {problem}"),
    };
    let now = shown.authority.clock().now();
    let keys = shown.authority.state().keys();
    let idle: Vec<&str> = keys.iter().filter(|key| key.active(now).is_none()).map(|key| key.name.as_str()).collect();
    let keys = if idle.is_empty() {
        format!("keys: {} with an active version", keys.len())
    } else {
        format!("keys: no active version, minting is refused: {}", idle.join(", "))
    };
    (status, format!("{word}\n{reload}\n{keys}\n")).into_response()
}
