//! `examples/sandbox`: its stand-ins by request, its pages in a real Chromium, its browser library by a parser of ES5.
//! What needs a program that is not installed is skipped with a line on standard error, unless
//! `COUNTERSIGN_REQUIRE_TOOLS=1`, which `.ci/run` sets. Screenshots of every page are kept in `target/sandbox-screenshots`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod browser;
mod endpoint;
mod guard;
mod hub;
mod process;
mod run;
mod test_page;
