//! What an RPC costs the server, in CPU time, over loopback TCP without TLS.
//!
//! `cargo bench --bench rpc [-- ROUNDS [WORD]]`; with a word, only the yardstick and what has the word in its name. Each round drives every contender with the same load, one after the
//! other, so that what the machine does besides falls on all of them; medians over the rounds are compared:
//!
//! - *stock, empty*: one RPC with empty messages, on tonic's own server under `#[tokio::main]`;
//! - *one runtime, `MintHash`*: this project's service, but with its connections on that one multi-threaded runtime
//!   in place of a single-threaded one a core;
//! - the `countersign` binary: policy, event and metrics always on; over TCP in clear or over TLS 1.3 with client
//!   certificates, with the journal and without.
//!
//! Each contender is a process of its own. The load comes from this process: 4 connections of 32 calls each.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a benchmark"
)]

mod folder;
mod load;
mod one_runtime;
mod stock;

use std::{env, time::Duration};

use load::{BATCH, Call, Server, Way};

const CALLS: usize = 60_000;
const BATCHES: usize = 512;

/// Contender, items a call, and CPU seconds and calls a second of each round.
struct Result {
    name: &'static str,
    cpu: Vec<f64>,
    rate: Vec<f64>,
}

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--stock") => return stock::serve(),
        Some("--one-runtime") => return one_runtime::serve(),
        _ => {}
    }
    let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let wanted = args.iter().find(|arg| !arg.starts_with('-') && arg.parse::<usize>().is_err());
    runtime.block_on(compare(rounds, wanted.map_or("", String::as_str)));
}

async fn compare(rounds: usize, wanted: &str) {
    let stock = Server::this("--stock");
    let one_runtime = Server::this("--one-runtime");
    let ours = Server::countersign(false);
    let ready = ours.ready;
    // It gives back what only its start needed just after it says that it is ready, and once more two seconds later.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = ours.resident();
    let (token, hash) = (ours.token().await, ours.minted().await);
    let recording = Server::countersign(true);
    let (clear, tls) = (Way::Clear, Way::MutualTls);

    let contenders = [
        ("stock tonic, empty", &stock, clear, 1, Call::Empty),
        ("one runtime, MintHash", &one_runtime, clear, 1, Call::Mint),
        ("countersign, MintHash", &ours, clear, 1, Call::Mint),
        ("countersign, MintHash, journal", &recording, clear, 1, Call::Mint),
        ("countersign, MintHash, mTLS", &ours, tls, 1, Call::Mint),
        ("countersign, MintHash, mTLS + journal", &recording, tls, 1, Call::Mint),
        ("countersign, VerifyHash", &ours, clear, 1, Call::VerifyHash(hash)),
        ("countersign, Seal 32 B", &ours, clear, 1, Call::Seal(32)),
        ("countersign, Seal 1 KiB", &ours, clear, 1, Call::Seal(1024)),
        ("countersign, Open 32 B", &ours, clear, 1, Call::Open(token.clone())),
        ("countersign, Verify 32 B", &ours, clear, 1, Call::Verify(token)),
        ("countersign, BatchMintHash an item", &ours, clear, BATCH, Call::Batch),
    ];
    let contenders: Vec<_> =
        contenders.into_iter().enumerate().filter(|(i, c)| *i == 0 || c.0.contains(wanted)).map(|(_, c)| c).collect();
    let mut results: Vec<Result> =
        contenders.iter().map(|(name, ..)| Result { name, cpu: Vec::new(), rate: Vec::new() }).collect();
    for round in 0..=rounds {
        for ((_, server, way, items, call), result) in contenders.iter().zip(&mut results) {
            let (cpu, rate) = server.run(*way, if *items == 1 { CALLS } else { BATCHES }, call).await;
            // The first round warms up.
            if round > 0 {
                result.cpu.push(cpu / *items as f64);
                result.rate.push(rate * *items as f64);
            }
        }
    }

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\nmedians of {rounds} alternating rounds on {cores} cores");
    println!("{:<36} {:>11} {:>9} {:>12} {:>14}", "", "CPU µs/RPC", "of stock", "RPC/s", "/s a core");
    let empty = results[0].cpu.clone();
    for Result { name, cpu, rate } in &results {
        let of_stock = median(cpu.iter().zip(&empty).map(|(ours, stock)| ours / stock).collect());
        let (cpu, rate) = (median(cpu.clone()), median(rate.clone()));
        println!("{name:<36} {:>11.2} {of_stock:>9.2} {rate:>12.0} {:>14.0}", cpu * 1e6, 1.0 / cpu);
    }
    println!("\ncountersign dev: printed \"ready\" {:.1} ms after it was started", ready.as_secs_f64() * 1e3);
    println!("resident: {idle} KiB idle, {} KiB after the load", ours.resident());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
