//! What an RPC costs the server, in CPU time, over loopback TCP without TLS.
//!
//! `cargo bench --bench rpc [-- ROUNDS [WORD] [--against BINARY]...]`; with a word, only the yardstick and what has the
//! word in its name, or, after `=`, is called just that; with another build of the binary, the same for that one too.
//! Each round drives every contender with the same load, one after the other, so that what the machine does besides falls
//! on all of them; medians over the rounds are compared:
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
    name: String,
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
    let mut words = args.iter().filter(|arg| *arg != "--bench");
    let (mut rounds, mut wanted, mut others) = (5, "", Vec::new());
    while let Some(word) = words.next() {
        match word.parse() {
            Ok(number) => rounds = number,
            Err(_) if word == "--against" => others.push(words.next().expect("--against PATH").as_str()),
            Err(_) => {
                assert!(!word.starts_with('-'), "{word}: neither ROUNDS, WORD nor --against BINARY");
                wanted = word;
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(compare(rounds, wanted, &others));
}

async fn compare(rounds: usize, wanted: &str, others: &[&str]) {
    let stock = Server::this("--stock");
    let one_runtime = Server::this("--one-runtime");
    let binary = env!("CARGO_BIN_EXE_countersign");
    let ours = Server::countersign(binary, false);
    let ready = ours.ready;
    // It gives back what only its start needed just after it says that it is ready, and once more two seconds later.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = ours.resident();
    let (token, hash) = (ours.token().await, ours.minted().await);
    let recording = Server::countersign(binary, true);
    let others: Vec<_> =
        others.iter().map(|binary| (Server::countersign(binary, false), Server::countersign(binary, true))).collect();
    let (clear, tls) = (Way::Clear, Way::MutualTls);

    let all = [
        ("countersign, MintHash", false, clear, 1, Call::Mint),
        ("countersign, MintHash, journal", true, clear, 1, Call::Mint),
        ("countersign, MintHash, mTLS", false, tls, 1, Call::Mint),
        ("countersign, MintHash, mTLS + journal", true, tls, 1, Call::Mint),
        ("countersign, VerifyHash", false, clear, 1, Call::VerifyHash(hash)),
        ("countersign, Seal 32 B", false, clear, 1, Call::Seal(32)),
        ("countersign, Seal 1 KiB", false, clear, 1, Call::Seal(1024)),
        ("countersign, Open 32 B", false, clear, 1, Call::Open(token.clone())),
        ("countersign, Verify 32 B", false, clear, 1, Call::Verify(token)),
        ("countersign, BatchMintHash an item", false, clear, BATCH, Call::Batch),
    ];
    let mut contenders = vec![
        ("stock tonic, empty".to_owned(), &stock, clear, 1, Call::Empty),
        ("one runtime, MintHash".to_owned(), &one_runtime, clear, 1, Call::Mint),
    ];
    for (name, journal, way, items, call) in all {
        contenders.push((name.to_owned(), if journal { &recording } else { &ours }, way, items, call.clone()));
        for (at, (clear, recording)) in others.iter().enumerate() {
            let server = if journal { recording } else { clear };
            contenders.push((format!("{name} (other {})", at + 1), server, way, items, call.clone()));
        }
    }
    let is_wanted = |name: &str| {
        let name = name.split(" (").next().unwrap_or_default();
        wanted.strip_prefix('=').map_or_else(|| name.contains(wanted), |whole| name == whole)
    };
    let contenders: Vec<_> =
        contenders.into_iter().enumerate().filter(|(i, c)| *i == 0 || is_wanted(&c.0)).map(|(_, c)| c).collect();
    let mut results: Vec<Result> =
        contenders.iter().map(|(name, ..)| Result { name: name.clone(), cpu: Vec::new(), rate: Vec::new() }).collect();
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
    println!("{:<48} {:>11} {:>9} {:>12} {:>14}", "", "CPU µs/RPC", "of stock", "RPC/s", "/s a core");
    let empty = results[0].cpu.clone();
    for Result { name, cpu, rate } in &results {
        let of_stock = median(cpu.iter().zip(&empty).map(|(ours, stock)| ours / stock).collect());
        let (cpu, rate) = (median(cpu.clone()), median(rate.clone()));
        println!("{name:<48} {:>11.2} {of_stock:>9.2} {rate:>12.0} {:>14.0}", cpu * 1e6, 1.0 / cpu);
    }
    println!("\ncountersign dev: printed \"ready\" {:.1} ms after it was started", ready.as_secs_f64() * 1e3);
    println!("resident: {idle} KiB idle, {} KiB after the load", ours.resident());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
