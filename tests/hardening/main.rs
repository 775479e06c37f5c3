//! What the process does to itself before it holds a key: closed to its own user, confined to its folders, its keys in
//! one place of its memory. Against the real binary; each check has a counterpart that shows that it could fail.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod closed;
mod confined;
mod keys;
mod search;
#[path = "../it/service.rs"]
#[allow(dead_code, reason = "the harness has more than these tests use")]
mod service;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::chown, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Who owns nothing. Processes that root starts for a test become this user.
const NOBODY: u32 = 65534;

/// Says what a test needs and does not have; where everything must be there, that is a failure.
fn skip(what: &str) {
    // Past the capture of the test harness: a skip must be seen when all tests pass, too.
    let _ = std::io::stderr().write_all(format!("skipped: needs {what}\n").as_bytes());
    assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {what}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The command as a user without any privilege: nobody, or whoever runs the tests if that is not root.
fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Gives a folder and all in it to that user, with a copy of the binary that the user can reach; gives its path.
fn hand_over(dir: &TempDir) -> std::path::PathBuf {
    let binary = dir.path().join("countersign");
    fs::copy(service::BINARY, &binary).unwrap();
    if is_root() {
        own(dir.path());
    }
    binary
}

fn own(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path());
        }
    }
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// A test of this binary in a process of its own, told by the environment what to do; waits for its word.
struct Subject(Child);

impl Subject {
    fn start(test: &str, told: &[(&str, &str)]) -> (Self, String) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .envs(told.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The harness may have begun the line: `test NAME ... subject: `
        let said = lines.find_map(|line| line.unwrap().split_once("subject: ").map(|(_, said)| said.to_owned()));
        (Self(child), said.unwrap_or_else(|| panic!("{test} said nothing")))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In the subject: says what it has to say, and waits for its end.
fn subject_says(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "subject: {word}").unwrap();
    out.flush().unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
}
