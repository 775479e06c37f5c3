//! The sandbox: both vendors, an app that integrates with them, and the real Countersign in the middle, on one laptop
//! and without a network.
//!
//! ```text
//! cargo run --example sandbox
//! ```
//!
//! prints an address to open in a browser. This process plays everybody else: idibu's LiveAuth endpoint, a social
//! network, BroadSoft Hub, and Acme Contacts, the app, each on an origin of its own. Countersign runs as a process of
//! its own, which is this program once more (see `service`), and is called over gRPC like anywhere. What the stand-ins
//! check, they check with code of their own, so that a mistake of Countersign's would show.

mod acme;
mod countersign;
mod faults;
mod front;
mod hub;
mod liveauth;
mod origins;
mod page;
mod service;
mod trace;
mod world;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;

use crate::{
    origins::{Listeners, Stop},
    service::Service,
    world::World,
};

/// Both vendors to try on a laptop: idibu LiveAuth and BroadSoft Hub, played by this program, with the real Countersign
/// in the middle
#[derive(Parser)]
#[command(name = "sandbox", disable_version_flag = true)]
struct Args {
    /// The port of the front page, on 127.0.0.1; 0 takes any free one. Left out: 4280, or any if that is taken
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Be the service, in this folder: for the sandbox itself
    #[arg(long, value_name = "DIR", hide = true)]
    countersign: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.countersign {
        Some(folder) => service::be_countersign(&folder),
        None => run(args.port),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "sandbox: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(port: Option<u16>) -> Result<(), String> {
    let (listeners, origins) = Listeners::bind(port)?;
    // First of all, for whoever reads this by program. Who connects now waits in the listener until all is ready.
    say(&origins.front)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime does not start: {error}"))?;
    runtime.block_on(async {
        let stop = Stop::listen()?;
        let mut service = Service::start(&origins)?;
        say(&format!(
            "\nOpen it in a browser. There are\n\
         \x20 {}   the sandbox's front page\n\
         \x20 {}   idibu's LiveAuth endpoint (a stand-in)\n\
         \x20 {}   a social network, as LiveAuth portals are (a stand-in)\n\
         \x20 {}   BroadSoft Hub (a stand-in)\n\
         \x20 {}   Acme Contacts, an app that integrates with Hub\n\
         \x20 {}   Countersign itself, gRPC and JSON\n\nready; Ctrl-C stops it",
            origins.front,
            origins.liveauth,
            origins.social,
            origins.hub,
            origins.acme,
            service.address(),
        ))?;
        let world = Arc::new(World::new(origins, &service.address())?);
        listeners.serve(&world, &mut service, stop).await
    })
}

fn say(line: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
}
