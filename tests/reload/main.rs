//! Reloads of the real binary: whatever may be wrong with the files is refused by name and the old state goes on serving;
//! mounted folders are followed; and a thousand reloads under load harm no call and cost no memory.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod mounted;
mod refusals;
#[expect(dead_code, reason = "shared with the tests of the whole service")]
#[path = "../it/service.rs"]
mod service;
mod thousand;

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Instant,
};

use countersign::keystore::{KekSource, Location};

use crate::service::{PATIENCE, Service};

/// Says what a test needs and does not have; where everything must be there, that is a failure.
fn skip(what: &str) {
    // Past the capture of the test harness: a skip must be seen when all tests pass, too.
    let _ = std::io::stderr().write_all(format!("skipped: needs {what}\n").as_bytes());
    assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {what}");
}

/// By renaming, so that no half of it is ever seen; the mode of what was there stays.
fn put(path: &Path, content: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, fs::metadata(path).unwrap().permissions()).unwrap();
    fs::rename(&new, path).unwrap();
}

/// The keyring of a service's folder.
fn location(at: &Path) -> Location {
    Location { keyring: at.join("keyring"), kek: KekSource::File(at.join("kek")) }
}

/// Reads a service's log as it grows.
struct Log {
    file: fs::File,
    text: String,
}

impl Log {
    /// From here on.
    fn of(service: &Service) -> Self {
        let mut file = fs::File::open(service.dir.path().join("log")).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        Self { file, text: String::new() }
    }

    /// Waits for the outcome of a reload: `None` where it was taken, else why not.
    fn outcome(&mut self) -> Option<String> {
        let begin = Instant::now();
        loop {
            self.file.read_to_string(&mut self.text).unwrap();
            while let Some(end) = self.text.find('\n') {
                let line: String = self.text.drain(..=end).collect();
                if line.contains("reload refused; ") {
                    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                    return Some(line["problem"].as_str().unwrap().to_owned());
                }
                if line.contains("reloaded configuration") {
                    return None;
                }
            }
            assert!(begin.elapsed() < PATIENCE, "no reload");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}
