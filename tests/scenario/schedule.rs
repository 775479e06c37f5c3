//! What is right when: which version of a key is in use from which second on, and for the vendor's, with which secret. The
//! test writes it ahead of what it does; the clients judge by it.

use std::{
    cell::RefCell,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::service::SECRET;

pub const HUB: &str = "acme";
pub const JOBS: &str = "jobs";

pub struct Schedule {
    path: PathBuf,
    staged: RefCell<Vec<&'static str>>,
}

impl Schedule {
    /// With the first version of both keys.
    pub fn begin(at: &Path) -> Self {
        let schedule = Self { path: at.join("schedule.jsonl"), staged: RefCell::default() };
        schedule.stage(HUB, 0, None);
        schedule.stage(JOBS, 0, Some(SECRET));
        schedule
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes the next version of a key; gives its number.
    pub fn stage(&self, key: &'static str, at: i64, secret: Option<&str>) -> u32 {
        self.staged.borrow_mut().push(key);
        let number = self.staged.borrow().iter().filter(|staged| **staged == key).count();
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).unwrap();
        let line = json!({"key": key, "version": number, "at": at, "secret": secret});
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        number as u32
    }
}

/// A version of a key, as the clients read it.
pub struct Staged {
    pub version: u32,
    pub at: i64,
    pub secret: String,
}

/// The versions of a key that are noted by now, in order.
pub fn read(path: &Path, key: &str) -> Vec<Staged> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let staged = |line: Value| Staged {
        version: line["version"].as_u64().unwrap() as u32,
        at: line["at"].as_i64().unwrap(),
        secret: line["secret"].as_str().unwrap_or_default().to_owned(),
    };
    lines.filter(|line| line["key"] == key).map(staged).collect()
}

/// Whether a version was in use at some second from `begin` to `end`.
pub fn in_use(staged: &[Staged], version: u32, begin: i64, end: i64) -> bool {
    let Some(this) = staged.iter().find(|staged| staged.version == version) else { return false };
    let next = staged.iter().find(|staged| staged.version == version + 1).map_or(i64::MAX, |next| next.at);
    this.at <= end && begin < next
}
