//! Searches all memory that a process can read for a key: raw, and as the two blocks that HMAC makes of it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    process::Command,
};

use memchr::memmem;

const CHUNK: usize = 1 << 20;

/// What is searched for, by name.
pub struct Needle {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The key as it is, and its inner and outer pad block (RFC 2104).
pub fn needles(name: &str, key: &[u8]) -> Vec<Needle> {
    assert!((16..=64).contains(&key.len()), "longer keys are hashed first; shorter ones are found by chance");
    let padded = |with: u8| (0..64).map(|at| key.get(at).unwrap_or(&0) ^ with).collect();
    [("raw", key.to_vec()), ("inner pad", padded(0x36)), ("outer pad", padded(0x5c))]
        .map(|(form, bytes)| Needle { name: format!("{name}, {form}"), bytes })
        .into()
}

/// What came of a search.
#[derive(Debug, Default)]
pub struct Searched {
    /// Which needle lies in which mapping.
    pub found: Vec<(String, String)>,
    /// Mappings that are readable to the process but not to the searcher.
    pub closed: Vec<String>,
    /// Mappings left out.
    pub left_out: Vec<String>,
    /// Bytes looked at.
    pub bytes: u64,
}

/// Searches process `pid`, but for mappings whose line in `maps` holds `but`; nothing where tracing is not allowed.
pub fn search(pid: u32, needles: &[Needle], but: Option<&str>) -> Option<Searched> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    // While it runs, threads and their stacks come and go.
    let _stopped = Stopped::new(pid);
    let mut searched = Searched::default();
    for line in fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines() {
        let mut words = line.split_whitespace();
        let (start, end) = words.next().unwrap().split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let readable = words.next().unwrap().starts_with('r');
        // The kernel's own pages, the same for all.
        if !readable || line.contains("[vvar") || line.contains("[vsyscall]") {
            continue;
        }
        if but.is_some_and(|but| line.contains(but)) {
            searched.left_out.push(line.to_owned());
            continue;
        }
        search_span(&memory, start, end, needles, line, &mut searched);
    }
    Some(searched)
}

/// A process that does nothing until this is dropped.
struct Stopped(u32);

impl Stopped {
    fn new(pid: u32) -> Self {
        signal(pid, "STOP");
        // The state stands behind the name, which is in parentheses; a traced process stops as `t`.
        let stopped = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            matches!(stat.rsplit_once(") ").unwrap().1.as_bytes()[0], b'T' | b't')
        };
        while !stopped() {
            std::thread::yield_now();
        }
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

fn search_span(memory: &File, start: u64, end: u64, needles: &[Needle], line: &str, searched: &mut Searched) {
    let overlap = needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or(0);
    let zeros = vec![0; CHUNK];
    let mut buffer = vec![0; CHUNK];
    let mut at = start;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        let Ok(read @ 1..) = memory.read_at(&mut buffer[..wanted], at) else {
            searched.closed.push(line.to_owned());
            return;
        };
        searched.bytes += read as u64;
        let chunk = &buffer[..read];
        if chunk != &zeros[..read] {
            for needle in needles {
                if memmem::find(chunk, &needle.bytes).is_some() {
                    searched.found.push((needle.name.clone(), line.to_owned()));
                }
            }
        }
        // A needle may lie across two chunks.
        at += if read == wanted && at + (read as u64) < end {
            (read - overlap.min(read - 1)) as u64
        } else {
            read as u64
        };
    }
}
