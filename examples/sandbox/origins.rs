//! Who is where: five listeners on loopback, one for each company that this program plays.

use std::{net::TcpListener, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{acme, front, hub, liveauth, page, service::Service, trace, world::World};

/// The front page's port where none is asked for, if it is free.
const PREFERRED: u16 = 4280;

/// Origins, such as `http://127.0.0.1:4280`, without a slash at the end.
#[derive(Clone)]
pub(crate) struct Origins {
    /// The sandbox's own pages, and the job site whose pages use LiveAuth.
    pub(crate) front: String,
    /// idibu's.
    pub(crate) liveauth: String,
    /// A posting destination's.
    pub(crate) social: String,
    /// BroadSoft's.
    pub(crate) hub: String,
    /// The app's.
    pub(crate) acme: String,
}

/// The listeners behind them, bound and not yet served.
pub(crate) struct Listeners {
    front: TcpListener,
    liveauth: TcpListener,
    social: TcpListener,
    hub: TcpListener,
    acme: TcpListener,
}

/// SIGTERM and SIGINT, from the moment that this is made: whatever is there by then is cleared away.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(crate) fn listen() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot start: {error}");
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt()).map_err(failed)? })
    }
}

impl Listeners {
    pub(crate) fn bind(port: Option<u16>) -> Result<(Self, Origins), String> {
        let front = match port {
            Some(port) => bound(port)?,
            None => bound(PREFERRED).or_else(|_| bound(0))?,
        };
        let listeners = Self { front, liveauth: bound(0)?, social: bound(0)?, hub: bound(0)?, acme: bound(0)? };
        let origins = Origins {
            front: origin(&listeners.front)?,
            liveauth: origin(&listeners.liveauth)?,
            social: origin(&listeners.social)?,
            hub: origin(&listeners.hub)?,
            acme: origin(&listeners.acme)?,
        };
        Ok((listeners, origins))
    }

    /// Serves until it is asked to stop, or until Countersign ends.
    pub(crate) async fn serve(self, world: &Arc<World>, service: &mut Service, mut stop: Stop) -> Result<(), String> {
        let parts = [
            (self.front, &world.origins.front, front::routes()),
            (self.liveauth, &world.origins.liveauth, liveauth::routes()),
            (self.social, &world.origins.social, liveauth::social::routes()),
            (self.hub, &world.origins.hub, hub::routes()),
            (self.acme, &world.origins.acme, acme::routes()),
        ];
        for (listener, own, routes) in parts {
            let listener =
                tokio::net::TcpListener::from_std(listener).map_err(|error| format!("cannot start: {error}"))?;
            let routes = complete(routes, own, world);
            tokio::spawn(async move { axum::serve(listener, routes).await });
        }
        tokio::select! {
            _ = stop.terminate.recv() => Ok(()),
            _ = stop.interrupt.recv() => Ok(()),
            ended = service.ended() => Err(format!("Countersign ended: {ended}")),
        }
    }
}

/// What every origin has: the style sheet, what went over the wire, and the guard.
fn complete(routes: Router<Arc<World>>, own: &str, world: &Arc<World>) -> Router {
    let own: Arc<str> = own.into();
    routes
        .merge(page::assets())
        .merge(trace::routes())
        .layer(middleware::from_fn_with_state(own, guarded))
        .with_state(Arc::clone(world))
}

/// These are servers on somebody's laptop: a page of another site that has its name resolve to 127.0.0.1 is refused by
/// the Host that its requests carry. (One that posts a form here is refused by its Origin, where forms are taken.)
async fn guarded(State(own): State<Arc<str>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let authority = own.trim_start_matches("http://");
    let port = authority.rsplit(':').next().unwrap_or_default();
    let at_home =
        value(headers, header::HOST).is_some_and(|host| host == authority || host == format!("localhost:{port}"));
    if !at_home {
        return (StatusCode::MISDIRECTED_REQUEST, "this server is for 127.0.0.1 alone\n").into_response();
    }
    next.run(request).await
}

fn value(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn bound(port: u16) -> Result<TcpListener, String> {
    let refused =
        |error| format!("127.0.0.1:{port}: {error}; choose another port with --port, or 0 for any that is free");
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

fn origin(listener: &TcpListener) -> Result<String, String> {
    listener.local_addr().map(|address| format!("http://{address}")).map_err(|error| error.to_string())
}
