//! One mapping for keys: `memfd_secret(2)`, which the kernel itself cannot read, nor root's debugger; else anonymous
//! memory that is never swapped out (`mlock(2)`) nor dumped; else ordinary memory. Never inherited by a child, and
//! between two pages that nobody may touch, so that running past an end faults. A mapping lives as long as the process.

#![expect(unsafe_code, reason = "memory is mapped, protected and handed out here; every block says why it is sound")]

use std::{ffi::c_long, num::NonZeroUsize, os::fd::FromRawFd as _, os::fd::OwnedFd, ptr::NonNull};

use rustix::{
    fs::ftruncate,
    io::Errno,
    mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, mprotect, munmap},
    param::page_size,
    process::set_virtual_memory_region_name,
};

use super::Protection;

/// What `/proc/PID/maps` calls a mapping that is not `memfd_secret`, where the kernel takes names.
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
        let start = if protection == Protection::SecretMemory {
            let fd = memfd_secret().map_err(|error| Refused("memfd_secret", error))?;
            ftruncate(&fd, whole as u64).map_err(|error| Refused("memfd_secret", error))?;
            // SAFETY: a null hint and no MAP_FIXED: no existing mapping is touched.
            unsafe { mmap(std::ptr::null_mut(), whole, read_write, MapFlags::SHARED, &fd, 0) }
                .map_err(|error| Refused("memfd_secret", error))?
        } else {
            // SAFETY: as above.
            unsafe { mmap_anonymous(std::ptr::null_mut(), whole, read_write, MapFlags::PRIVATE) }
                .map_err(|error| Refused("mmap", error))?
        };
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
        if protection != Protection::SecretMemory {
            // For people who look at the maps; kernels without names refuse, which harms nothing.
            let region = std::slice::from_raw_parts(inner, len);
            let _ = set_virtual_memory_region_name(region, Some(NAME));
        }
    }
    Ok(())
}

fn memfd_secret() -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes one flag word and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, c_long::from(libc::O_CLOEXEC)) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)),
    }
}
