//! Gives back the pages of code and constants that only the start needed: parsing arguments and configuration, opening the
//! keyring, making tables of names. They are read-only and come from files, the binary's and its libraries', so what is
//! needed again comes back by itself; nothing else is touched, and where it fails nothing is lost but room.

#![expect(unsafe_code, reason = "madvise on our own code, which says why it is sound")]

use std::{fs, time::Duration};

use rustix::mm::{Advice, madvise};

/// How long after the start all threads have begun what they do while nothing happens.
const SETTLED: Duration = Duration::from_secs(2);

/// To be awaited once the service serves; gives back again what the threads needed to begin.
pub(super) async fn give_back_the_start() {
    give_back();
    tokio::time::sleep(SETTLED).await;
    give_back();
}

fn give_back() {
    let Ok(maps) = fs::read_to_string("/proc/self/smaps") else { return };
    for (start, end) in unwritten(&maps) {
        // SAFETY: the range is one private mapping of ours of a file, without the right to write to it and without a page
        // that differs from the file. So dropping the pages changes no content: the next access maps them anew.
        let _ = unsafe { madvise(start as *mut _, end - start, Advice::LinuxDontNeed) };
    }
}

/// The private mappings of files that may not be written to, and never were: a page that was, as those that the loader
/// relocates, is anonymous from then on (`proc_pid_smaps`, section 5 of the manual).
fn unwritten(maps: &str) -> Vec<(usize, usize)> {
    let (mut found, mut candidate) = (Vec::new(), None);
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        match fields.next() {
            Some("Anonymous:") => found.extend(candidate.take().filter(|_| fields.next() == Some("0"))),
            Some(range) if !range.ends_with(':') => candidate = range_of(range, fields),
            _ => {}
        }
    }
    found
}

fn range_of<'a>(range: &str, mut fields: impl Iterator<Item = &'a str>) -> Option<(usize, usize)> {
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let is_read_only = matches!(fields.next()?, "r--p" | "r-xp");
    (is_read_only && fields.nth(3).is_some_and(|path| path.starts_with('/'))).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
1000-2000 r--p 00000000 fe:00 7                  /usr/bin/x
Rss:                   4 kB
Anonymous:             0 kB
2000-5000 r-xp 00001000 fe:00 7                  /usr/bin/x
Anonymous:             0 kB
VmFlags: rd ex mr mw me
5000-6000 r--p 00004000 fe:00 7                  /usr/bin/x
Anonymous:             4 kB
6000-7000 rw-p 00005000 fe:00 7                  /usr/bin/x
Anonymous:             0 kB
7000-8000 r--s 00000000 fe:00 8                  /var/lib/x.sqlite-shm
Anonymous:             0 kB
8000-9000 r-xp 00000000 00:00 0                  [vdso]
Anonymous:             0 kB
9000-a000 r--p 00000000 00:00 0
Anonymous:             0 kB
a000-b000 r-xp 00000000 fe:00 9                  /usr/lib/with a blank.so
Anonymous:             0 kB
";

    #[test]
    fn only_private_mappings_of_files_that_nothing_wrote_to_are_given_back() {
        assert_eq!(unwritten(MAPS), [(0x1000, 0x2000), (0x2000, 0x5000), (0xa000, 0xb000)]);
        let maps = fs::read_to_string("/proc/self/smaps").unwrap();
        let here = give_back as fn() as usize;
        assert!(unwritten(&maps).iter().any(|&(start, end)| (start..end).contains(&here)));
    }

    /// Also what the loader wrote: tables of functions, and constants that point somewhere.
    #[test]
    fn what_was_given_back_still_runs_and_still_says_the_same() {
        static SAY: [fn(&str) -> String; 2] = [str::to_uppercase, str::to_lowercase];
        static SAID: [&str; 2] = ["ONE", "one"];
        for _ in 0..2 {
            give_back();
            assert_eq!(SAY.map(|say| say("One")), SAID);
        }
    }
}
