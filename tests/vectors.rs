//! Every known answer there is: the formats' own vectors, the list of what must be refused, Wycheproof, and the
//! answers of other programs. The name of a file or of a test says what it checks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "fixture/desk.rs"]
mod desk;
#[path = "vectors/hat1.rs"]
mod hat1;
#[path = "vectors/hat1_refused.rs"]
mod hat1_refused;
#[path = "vectors/hat1_text.rs"]
mod hat1_text;
#[path = "vectors/liveauth.rs"]
mod liveauth;
#[path = "vectors/outside.rs"]
mod outside;
#[path = "vectors/primitives.rs"]
mod primitives;
#[path = "vectors/worked_example.rs"]
mod worked_example;

use serde_json::Value;

/// Says it past the capture of the test harness: counts and skips must be seen when all tests pass, too.
fn tell(line: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}

/// A vector file of this folder.
fn vectors(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A member that is hexadecimal text.
fn hex(value: &Value) -> Vec<u8> {
    base16ct::lower::decode_vec(value.as_str().unwrap()).unwrap()
}

/// A member that is hexadecimal text of that many bytes.
fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().unwrap()
}
