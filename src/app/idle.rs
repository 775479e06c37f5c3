//! Gives back the pages of code that only the start needed: parsing arguments and configuration, opening the keyring,
//! making tables of names. Code is read-only and comes from the binary's file, so what is needed again comes back by
//! itself; nothing else is touched, and where it fails nothing is lost but room.

#![expect(unsafe_code, reason = "madvise on our own code, which says why it is sound")]

use std::fs;

use rustix::mm::{Advice, madvise};

/// To be called once the service serves.
pub(super) fn give_back_the_start() {
    let here = give_back_the_start as fn() as usize;
    let Some((start, end)) = fs::read_to_string("/proc/self/maps").ok().and_then(|maps| code_around(&maps, here))
    else {
        return;
    };
    // SAFETY: the range is one mapping of ours, of the file of this program, executable and not writable. No page of it
    // differs from the file, so dropping the pages changes no content: the next access maps them anew.
    let _ = unsafe { madvise(start as *mut _, end - start, Advice::LinuxDontNeed) };
}

/// The mapping that `address` lies in, if it is one of a file, executable and never written to (`proc_pid_maps`, section 5 of the manual).
fn code_around(maps: &str, address: usize) -> Option<(usize, usize)> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        let is_code = fields.next()? == "r-xp" && fields.nth(3).is_some_and(|path| path.starts_with('/'));
        (is_code && (start..end).contains(&address)).then_some((start, end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
1000-2000 r--p 00000000 fe:00 7  /usr/bin/x
2000-5000 r-xp 00001000 fe:00 7  /usr/bin/x
5000-6000 rw-p 00004000 fe:00 7  /usr/bin/x
6000-7000 r-xp 00000000 00:00 0  [vdso]
7000-8000 rwxp 00000000 00:00 0
";

    #[test]
    fn only_code_of_a_file_that_nothing_writes_to_is_given_back() {
        assert_eq!(code_around(MAPS, 0x2000), Some((0x2000, 0x5000)));
        assert_eq!(code_around(MAPS, 0x4fff), Some((0x2000, 0x5000)));
        for other in [0x1000, 0x5000, 0x6000, 0x7000, 0x9000] {
            assert_eq!(code_around(MAPS, other), None);
        }
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(code_around(&maps, give_back_the_start as fn() as usize).is_some());
    }

    #[test]
    fn what_was_given_back_still_runs() {
        give_back_the_start();
        give_back_the_start();
    }
}
