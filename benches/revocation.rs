//! What a million revocations cost those who verify: the time of each single verification, with none and with a million
//! entries, in alternating rounds, so that what else the machine does meets both alike. No token is in the cache twice.
//! Run with `cargo bench --bench revocation`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark, which prints"
)]

#[path = "../tests/fixture/desk.rs"]
mod desk;

use std::{hint::black_box, time::Instant};

use countersign::{
    clock::UnixSeconds,
    crypto::{aead::Suite, mac::MacKey},
    hub::{
        revocation::{Denied, Entry, Kind, UserDigests},
        token::{Bindings, Contents, Entropy, Purpose},
    },
    verdict::Verdict,
};
use desk::{Desk, Life};

const NOW: i64 = 1_700_000_000;
const ENTRIES: u128 = 1_000_000;
const TOKENS: u128 = 20_000;
const ROUNDS: usize = 9;

fn main() {
    // `cargo test --benches` only wants to see it start.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { ROUNDS } else { 1 };
    let desk = Desk::new(Suite::Aes256Gcm, &[7; 32]);
    let digests = UserDigests::new(MacKey::new(&[9; 32]));
    let bindings = Bindings { username: Some("jodonnell@broadsoft.com"), hub_login_token: None };
    let tokens: Vec<String> = (0..TOKENS).map(|number| sealed(&desk, &bindings, number)).collect();
    let begun = Instant::now();
    let many = entries(&desk);
    println!("{ENTRIES} entries built in {} ms", begun.elapsed().as_millis());
    let none = Denied::default();
    let mut found: [Vec<[f64; 3]>; 2] = Default::default();
    for _ in 0..rounds {
        for (denied, found) in [&none, &many].into_iter().zip(&mut found) {
            let revoked = denied.of(&desk.app, Some(&digests));
            let mut nanos: Vec<u64> = tokens
                .iter()
                .map(|token| {
                    let begun = Instant::now();
                    let verdict = desk.verify(black_box(token), &bindings, revoked, NOW);
                    let took = begun.elapsed();
                    assert_eq!(verdict, Some(Verdict::Valid));
                    u64::try_from(took.as_nanos()).unwrap()
                })
                .collect();
            nanos.sort_unstable();
            found.push([50, 90, 99].map(|percent| nanos[nanos.len() * percent / 100] as f64 / 1000.0));
        }
    }
    println!("microseconds a verification, medians of {rounds} rounds (least to most)");
    for (name, mut rounds) in ["no entries", "a million entries"].into_iter().zip(found) {
        let mut shown = |at: usize| {
            rounds.sort_by(|one, other| one[at].total_cmp(&other[at]));
            format!("{:.2} ({:.2} to {:.2})", rounds[rounds.len() / 2][at], rounds[0][at], rounds[rounds.len() - 1][at])
        };
        println!("{name}: p50 {}, p90 {}, p99 {}", shown(0), shown(1), shown(2));
    }
}

fn sealed(desk: &Desk, bindings: &Bindings<'_>, number: u128) -> String {
    let mut entropy = Entropy { salt: [0; 24], grant_id: scattered(number + (1 << 40)) };
    entropy.salt[..16].copy_from_slice(&scattered(number + (1 << 50)));
    let contents = Contents { payload: &[1; 32], ..Contents::default() };
    let life = Life { now: NOW, expires: Some(NOW + 900) };
    desk.seal(Purpose::HubAuth, &contents, bindings, life, entropy).token
}

/// A third each of tokens, grants and users, none of which is any that is verified.
fn entries(desk: &Desk) -> Denied {
    let mut loading = Denied::load();
    for number in 0..ENTRIES {
        loading.add(&Entry {
            app: desk.app.name.as_str().into(),
            kind: [Kind::Token, Kind::Grant, Kind::User][usize::try_from(number % 3).unwrap()],
            subject: scattered(number),
            until: UnixSeconds(NOW),
            ends: None,
        });
    }
    loading.finish()
}

/// As random as ids are.
fn scattered(number: u128) -> [u8; 16] {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes()
}
