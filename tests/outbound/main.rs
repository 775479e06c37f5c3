//! The way out, against real servers on this machine: what is dialled, what is trusted, what is read, and what a failure
//! says of what was sent.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests fail loudly, and one talks to another process"
)]

mod addresses;
mod limits;
mod server;
mod trust;

use std::{sync::mpsc, time::Duration};

use countersign::outbound::{Answer, Fault, Outbound, Problem, Request, Roots, Sent, Settings, Vendor};

/// Far above what anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// Settings that reach a server of a test.
fn settings() -> Settings {
    Settings {
        private_addresses: true,
        insecure_loopback: true,
        connect_timeout: LONG,
        timeout: LONG,
        ..Settings::default()
    }
}

fn started(settings: Settings) -> Outbound {
    let roots = Roots::read(&settings).unwrap();
    Outbound::start(settings, roots).unwrap()
}

/// Sends and waits.
fn send(outbound: &'static Outbound, request: Request, allowed: &[&str], limit: Duration) -> Result<Answer, Fault> {
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let (tell, told) = mpsc::channel();
    let slot = outbound.enter(Vendor::LiveAuth).unwrap();
    outbound.run(slot, async move {
        tell.send(outbound.send(request, &allowed, limit).await).unwrap();
    });
    told.recv().unwrap()
}

/// One GET by a way out of its own, to a URL of the one origin that is allowed.
fn get_within(settings: Settings, origin: &str, path: &str, limit: Duration) -> Result<Answer, Fault> {
    // It lives for as long as the test: a flow holds what it needs of it.
    let outbound: &'static Outbound = Box::leak(Box::new(started(settings)));
    let got = send(outbound, Request::get(format!("{origin}{path}")), &[origin], limit);
    outbound.close(LONG);
    got
}

fn get(settings: Settings, origin: &str, path: &str) -> Result<Answer, Fault> {
    get_within(settings, origin, path, LONG)
}

#[track_caller]
fn fails(got: Result<Answer, Fault>, sent: Sent, problem: Problem) {
    let fault = got.map(|answer| answer.status).unwrap_err();
    assert_eq!(fault, Fault { sent, problem });
}
