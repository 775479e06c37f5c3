//! What the service does with more than it can do.
//!
//! `cargo bench --bench overload [-- --rounds N] [--check] [--binary PATH]`, as root (callers are told apart by their
//! uid), on Linux with two cores or more, with `taskset`, `chrt` and ghz (`go install
//! github.com/bojand/ghz/cmd/ghz@v0.120.0`) on the path. The service has core 0 for itself, all callers share core 1.
//! Each round does everything once; medians over the rounds are shown, with the extremes. With `--check` it ends with 1
//! where a median misses its bound.
//!
//! - *goodput*: what a flood gets at full speed, and what it gets when four times as many calls arrive, from 32
//!   connections of two callers. No rate limit.
//! - *another's p99*: ghz makes 200 mints a second, alone, and while one greedy caller keeps 16 connections of 256
//!   streams full; with the default rate limit, and with none.
//! - *a caller over its rate*: ghz asks for four times a rate of 500 a second, and should get that rate.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a benchmark"
)]

mod flood;
mod hpack;
mod target;

use std::{
    env,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, exit},
};

use flood::Outcome;
use target::{Target, find_ghz};

/// Callers of the floods.
const GREEDY: u32 = 40_001;
const SECOND: u32 = 40_002;

/// Seconds that ghz looks.
const LOOK: u32 = 4;
/// Units a second of the caller over its rate.
const RATE: u32 = 500;

#[derive(Default)]
struct Series {
    name: &'static str,
    values: Vec<f64>,
}

fn main() {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [mode, socket, connections, streams, rate] = &args[..]
        && mode == "--flood"
    {
        let (connections, streams) = (connections.parse().unwrap(), streams.parse().unwrap());
        println!("{}", flood::run(Path::new(socket), connections, streams, rate.parse().ok()).line());
        return;
    }
    let after = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let rounds = after("--rounds").map_or(5, |rounds| rounds.parse().expect("--rounds takes a number"));
    let binary = after("--binary").map_or(env!("CARGO_BIN_EXE_countersign").into(), PathBuf::from);
    let Some(ghz) = find_ghz() else {
        println!("skipped: needs ghz");
        return;
    };
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root, for callers with different uids");
        return;
    }
    if !measure(&binary, &ghz, rounds) && args.iter().any(|arg| arg == "--check") {
        exit(1);
    }
}

/// Whether all bounds are met.
fn measure(binary: &Path, ghz: &Path, rounds: usize) -> bool {
    let unlimited = Target::start(binary, "rate = \"off\"");
    let limited = Target::start(binary, "");
    let slow = Target::start(binary, &format!("rate = {RATE}\nburst = 100"));
    let names = [
        "peak goodput, /s",
        "goodput at 4 times that, /s",
        "  of the peak, %",
        "  p99 of what was answered OK, ms",
        "another's p99 alone, ms",
        "  beside a greedy caller, ms",
        "  the greedy one's goodput, /s",
        "  beside one without a rate, ms",
        "  that one's goodput, /s",
        "goodput at 4 times the rate, % of it",
    ];
    let mut series = names.map(|name| Series { name, ..Series::default() });
    // The first round warms up.
    for round in 0..=rounds {
        let peak = both(&unlimited, 64, None);
        let over = both(&unlimited, 256, Some(2.0 * peak.goodput));
        let alone = limited.ghz(ghz, 200, LOOK, &["--concurrency", "4"]);
        let greedy = limited.flood(GREEDY, 16, 256, None, true);
        let beside = limited.ghz(ghz, 200, LOOK, &["--concurrency", "4"]);
        let greedy = outcome(greedy);
        let boundless = unlimited.flood(GREEDY, 16, 256, None, true);
        let beside_boundless = unlimited.ghz(ghz, 200, LOOK, &["--concurrency", "4"]);
        let boundless = outcome(boundless);
        let rated = slow.ghz(ghz, 4 * RATE, LOOK, &["--concurrency", "200", "--connections", "2"]);
        println!(
            "round {round}: over {:?} late {}; greedy {:?}; ghz alone {}, beside {} and {}; over its rate {}",
            over.statuses,
            over.late,
            greedy.statuses,
            alone.statuses,
            beside.statuses,
            beside_boundless.statuses,
            rated.statuses
        );
        if round == 0 {
            continue;
        }
        let rate = rated.ok as f64 / rated.seconds / f64::from(RATE) * 100.0;
        let values = [
            peak.goodput,
            over.goodput,
            over.goodput / peak.goodput * 100.0,
            over.p99,
            alone.p99,
            beside.p99,
            greedy.goodput,
            beside_boundless.p99,
            boundless.goodput,
            rate,
        ];
        series.iter_mut().zip(values).for_each(|(series, value)| series.values.push(value));
    }
    println!("\nmedians of {rounds} rounds (least, most)");
    let medians = series.map(|Series { name, mut values }| {
        values.sort_by(f64::total_cmp);
        let median = values[values.len() / 2];
        println!("{name:<40} {median:>10.2}   ({:.2}, {:.2})", values[0], values[values.len() - 1]);
        median
    });
    let most = medians[4] + (0.25 * medians[4]).max(2.0);
    let bounds = [
        ("goodput at 4 times the peak is at least 90 % of it", medians[2] >= 90.0),
        ("what is answered then is answered within a second", medians[3] < 1000.0),
        ("a greedy caller moves another's p99 by at most 25 % or 2 ms", medians[5] <= most),
        ("so does one without a rate limit", medians[7] <= most),
        ("a caller over its rate gets 90 % of it at least", medians[9] >= 90.0),
    ];
    for (bound, holds) in bounds {
        println!("{} {bound}", if holds { "holds: " } else { "FAILS: " });
    }
    bounds.iter().all(|(_, holds)| *holds)
}

/// Two callers' floods at a time, each with half: what they get together, and the worse of their p99.
fn both(target: &Target, streams: usize, rate: Option<f64>) -> Outcome {
    let connections = if rate.is_some() { 16 } else { 2 };
    let floods = [GREEDY, SECOND].map(|uid| target.flood(uid, connections, streams, rate, false));
    let [mut one, two] = floods.map(outcome);
    one.goodput += two.goodput;
    one.late += two.late;
    one.p99 = one.p99.max(two.p99);
    for (status, count) in two.statuses {
        *one.statuses.entry(status).or_default() += count;
    }
    one
}

fn outcome(mut flood: Child) -> Outcome {
    let mut line = String::new();
    flood.stdout.take().unwrap().read_to_string(&mut line).unwrap();
    assert!(flood.wait().unwrap().success(), "the flood ended early");
    Outcome::parse(line.trim())
}
