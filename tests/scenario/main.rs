//! The whole life of keys at once: two replicas on one keyring and one ledger, two client processes that never stop asking,
//! and three rotations of both kinds of key meanwhile. Nothing that is right may be refused, nothing that is wrong may
//! pass, and no call may fail.
//!
//! It has no harness: the same program is the client processes, too.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "tests fail loudly"
)]

mod client;
mod replicas;
mod schedule;
#[path = "../it/service.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod service;

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
    time::Instant,
};

use serde_json::Value;

use self::{
    replicas::Replicas,
    schedule::{HUB, JOBS, Schedule},
};

const NAME: &str = "keys_are_rotated_under_load_and_nothing_goes_wrong";

/// How often both keys are rotated.
const ROUNDS: u32 = 3;

/// Seconds from staging a version to its use: by then both replicas have read the keyring, which they do each second.
/// (With one second instead of these, what the one makes the other does not take yet, and this fails.)
const AHEAD: i64 = 6;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == client::ARGUMENT) {
        return client::run(&args[1..]);
    }
    // What a harness would understand of it: a name to run, or to leave out.
    let mut names = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
    if args.iter().any(|arg| arg == "--list") {
        return println!("{NAME}: test");
    }
    if names.peek().is_some() && !names.any(|name| NAME.contains(name.as_str())) {
        return println!("{NAME} ... not asked for");
    }
    let begin = Instant::now();
    scenario();
    println!("test {NAME} ... ok, in {:.1} s", begin.elapsed().as_secs_f64());
}

fn scenario() {
    let replicas = Replicas::start();
    let schedule = Schedule::begin(replicas.dir());
    let mut clients: Vec<Child> = (0..2).map(|number| spawn(&replicas, &schedule, number)).collect();
    let mut said: Vec<_> = clients.iter_mut().map(|client| BufReader::new(client.stdout.take().unwrap())).collect();
    await_version(&mut said, 1);
    for round in 0..ROUNDS {
        let at = service::now() + AHEAD;
        // Both take part in changing keys, too.
        let (one, other) = (round as usize % 2, (round as usize + 1) % 2);
        // Known to the clients first: from its time on nothing else is right.
        let number = schedule.stage(HUB, at, None);
        assert_eq!(replicas.rotate(one, HUB, at, None), number);
        let secret = format!("a secret of the vendor's, number {number} ............");
        assert_eq!(schedule.stage(JOBS, at, Some(&secret)), number);
        assert_eq!(replicas.rotate(other, JOBS, at, Some(&secret)), number);
        await_version(&mut said, number);
    }
    let mut told = Vec::new();
    for (mut client, mut said) in clients.into_iter().zip(said) {
        drop(client.stdin.take());
        let mut text = String::new();
        said.read_to_string(&mut text).unwrap();
        assert!(client.wait().unwrap().success(), "{text}");
        told.push(serde_json::from_str::<Value>(&text).unwrap_or_else(|_| panic!("{text}")));
    }
    for told in &told {
        println!("{told}");
        assert_eq!(told["faults"].as_array().map(Vec::len), Some(0), "{told}");
        for (what, least) in [("minted", 20), ("sealed", 20), ("accepted", 50), ("refused", 50), ("revoked", 1)] {
            assert!(told[what].as_u64().unwrap() >= least, "{what}: {told}");
        }
        for what in ["mintedBy", "sealedBy", "acceptedOf"] {
            let versions: Vec<u64> = told[what].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
            assert_eq!(versions, (1..=u64::from(ROUNDS) + 1).collect::<Vec<_>>(), "{what}: {told}");
        }
    }
    replicas.agree(u64::from(ROUNDS));
    replicas.stop();
}

fn spawn(replicas: &Replicas, schedule: &Schedule, number: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .arg(client::ARGUMENT)
        .arg(number.to_string())
        .arg(schedule.path())
        .args(replicas.addresses())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until every thread of every client has met a version.
fn await_version(said: &mut [BufReader<ChildStdout>], version: u32) {
    for said in said {
        for _ in 0..client::THREADS {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            assert_eq!(line.trim(), client::has_met(version), "a client has ended");
        }
    }
}
