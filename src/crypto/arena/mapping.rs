//! One mapping for keys: `memfd_secret(2)`, which the kernel itself cannot read, nor root's debugger; else memory that
//! is never swapped out (`mlock(2)`) nor dumped; else ordinary memory. Never inherited by a child, and
//! between two pages that nobody may touch, so that running past an end faults. A mapping lives as long as the process.

#![expect(unsafe_code, reason = "memory is mapped, protected and handed out here; every block says why it is sound")]

use std::{ffi::c_long, num::NonZeroUsize, ptr, ptr::NonNull};

use rustix::{
    fd::{FromRawFd as _, OwnedFd},
    fs::{MemfdFlags, ftruncate, memfd_create},
    io::Errno,
    mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, mprotect, munmap},
    param::page_size,
};

use super::Protection;

/// By this name `/proc/PID/maps` shows a locked mapping.
const NAME: &std::ffi::CStr = c"countersign-keys";

/// Readable and writable bytes between two guard pages, all zero at first.
pub(super) struct Mapping {
    /// The first byte behind the lower guard page.
    start: NonNull<u8>,
    len: usize,
    protection: Protection,
}

// SAFETY: a mapping belongs to the process, not to a thread, and this value hands out its address only.
unsafe impl Send for Mapping {}

/// What failed, and how.
pub(super) struct Refused(pub(super) &'static str, pub(super) Errno);

impl Mapping {
    /// Maps `len` bytes, a multiple of the page size, with this protection and no other.
    pub(super) fn new(len: NonZeroUsize, protection: Protection) -> Result<Self, Refused> {
        let len = len.get();
        let whole = len + 2 * page_size();
        let read_write = ProtFlags::READ | ProtFlags::WRITE;
        let file = match protection {
            Protection::SecretMemory => Some(memfd_secret().map_err(|error| Refused("memfd_secret", error))?),
            Protection::Locked => Some(memfd_named().map_err(|error| Refused("memfd_create", error))?),
            Protection::Unlocked => None,
        };
        let mapped = match &file {
            // Shared with nobody: the file has no name and is closed below. `memfd_secret` knows no private mapping.
            Some(file) => ftruncate(file, whole as u64).and_then(|()| {
                // SAFETY: a null hint and no MAP_FIXED: no existing mapping is touched.
                unsafe { mmap(ptr::null_mut(), whole, read_write, MapFlags::SHARED, file, 0) }
            }),
            // SAFETY: as above.
            None => unsafe { mmap_anonymous(ptr::null_mut(), whole, read_write, MapFlags::PRIVATE) },
        };
        let what = if protection == Protection::SecretMemory { "memfd_secret" } else { "mmap" };
        let start = mapped.map_err(|error| Refused(what, error))?;
        // SAFETY: `start` begins `whole` bytes that were mapped just now and that nobody else knows of; the inner
        // `len` bytes and both guards lie inside them. On failure nothing points into them when they go.
        unsafe {
            protect(start.cast(), len, protection).inspect_err(|_| {
                let _ = munmap(start, whole);
            })?;
        }
        let inner = start.cast::<u8>().wrapping_add(page_size());
        let start = NonNull::new(inner).ok_or(Refused("mmap", Errno::NOMEM))?;
        Ok(Self { start, len, protection })
    }

    /// Where it starts.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How it is protected.
    pub(super) fn protection(&self) -> Protection {
        self.protection
    }
}

/// Closes the guard pages, and keeps the bytes between them from swap, dumps and children.
///
/// # Safety
/// `start` begins a mapping of `len` bytes and two pages, of which nothing is in use.
unsafe fn protect(start: *mut u8, len: usize, protection: Protection) -> Result<(), Refused> {
    let (lower, inner) = (start, start.wrapping_add(page_size()));
    let upper = inner.wrapping_add(len);
    let refused = |what| move |error| Refused(what, error);
    // SAFETY: all three ranges are whole pages of the mapping that the caller vouches for; none of the calls moves or
    // unmaps anything, and no reference to the guards exists.
    unsafe {
        mprotect(lower.cast(), page_size(), MprotectFlags::empty()).map_err(refused("mprotect"))?;
        mprotect(upper.cast(), page_size(), MprotectFlags::empty()).map_err(refused("mprotect"))?;
        if protection == Protection::Locked {
            mlock(inner.cast(), len).map_err(refused("mlock"))?;
        }
        madvise(inner.cast(), len, Advice::LinuxDontFork).map_err(refused("madvise"))?;
        madvise(inner.cast(), len, Advice::LinuxDontDump).map_err(refused("madvise"))?;
    }
    Ok(())
}

/// A file in memory: a mapping of it has a name on every kernel, which anonymous memory has not.
fn memfd_named() -> Result<OwnedFd, Errno> {
    match memfd_create(NAME, MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        // Kernels before 6.3 do not know the second flag.
        Err(Errno::INVAL) => memfd_create(NAME, MemfdFlags::CLOEXEC),
        made => made,
    }
}

fn memfd_secret() -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes one flag word and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, c_long::from(libc::O_CLOEXEC)) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        // SAFETY: the address of this thread's errno, which the call above has just set.
        _ => Err(Errno::from_raw_os_error(unsafe { *libc::__errno_location() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protection_gives_zeros_that_can_be_written_between_guards() {
        for protection in [Protection::SecretMemory, Protection::Locked, Protection::Unlocked] {
            let len = NonZeroUsize::new(2 * page_size()).unwrap();
            // What the system does not give is not tested here; tests/hardening insists.
            let Ok(mapping) = Mapping::new(len, protection) else { continue };
            assert_eq!((mapping.protection(), mapping.len()), (protection, len.get()));
            // SAFETY: the mapping is ours alone and readable and writable over its whole length.
            let bytes = unsafe { std::slice::from_raw_parts_mut(mapping.start().as_ptr(), mapping.len()) };
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(7);
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let start = mapping.start().addr().get();
            let closed = |span: String| maps.lines().any(|line| line.starts_with(&span) && line.contains(" ---"));
            // A neighbour without rights of its own may have grown together with a guard.
            let lower = maps.lines().any(|line| line.contains(&format!("-{start:x} ---")));
            assert!(lower && closed(format!("{:x}-", start + len.get())), "{start:x}\n{maps}");
        }
    }
}
