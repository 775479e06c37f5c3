//! The key arena: every key, and all that derives straight from one and is kept, lies in a few locked mappings and
//! nowhere else. What is given back is wiped first, then used again. Nothing in here is copied, printed or compared,
//! and nothing of it is on the path of a call: keys are taken and given back when a keyring is loaded.
//!
//! A mapping is `memfd_secret` memory where the kernel has that, else `mlock`ed, else, unless that is forbidden by
//! [`require_locked`], ordinary memory; [`status`] tells which.

#![expect(unsafe_code, reason = "a box over memory of its own; every block says why it is sound")]

mod mapping;

use std::{
    collections::BTreeMap,
    fmt,
    mem::MaybeUninit,
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::param::page_size;
use zeroize::Zeroize as _;

use self::mapping::{Mapping, Refused};

/// Most bytes of all mappings: several times what two generations of the largest keyring take.
const MOST: usize = 64 << 20;
/// Bytes of the first mapping; with its guard pages it fits into the 64 KiB that containers often allow.
const FIRST: usize = 32 << 10;
/// Bytes by which the arena grows at most, unless more is needed at once.
const STEP: usize = 1 << 20;
/// Bytes that places are counted in, and their alignment: a line of the processor's cache.
const UNIT: usize = 64;

static ARENA: Mutex<Arena> = Mutex::new(Arena::new());

/// How a mapping is kept from others, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protection {
    /// `memfd_secret(2)`: gone from the kernel's own map of memory, so closed even to root's debugger; never
    /// swapped or dumped.
    SecretMemory,
    /// `mlock(2)` and `MADV_DONTDUMP`: never swapped or dumped.
    Locked,
    /// Ordinary memory, which may be swapped to disk; not dumped.
    Unlocked,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretMemory => "in memfd_secret memory",
            Self::Locked => "in locked memory (mlock)",
            Self::Unlocked => "in unlocked memory",
        })
    }
}

/// How keys lie in memory.
#[derive(Clone, Debug)]
pub struct Status {
    /// The protection of the worst protected mapping; `None` before the first key.
    pub protection: Option<Protection>,
    /// How many mappings there are.
    pub mappings: usize,
    /// Bytes mapped, without guard pages.
    pub mapped: usize,
    /// Bytes taken.
    pub taken: usize,
    /// Why the protection is not the best: what the system refused first, and the remedy. One line.
    pub shortfall: Option<String>,
}

/// Why there is no room for keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoRoom {
    /// They would have to lie in memory that is not locked, and must not: what the system refused, and the remedy.
    NotLocked(String),
    /// The system has no memory: what it said.
    NoMemory(String),
    /// More keys than any keyring has.
    TooMuch,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLocked(shortfall) => write!(f, "memory for keys cannot be locked: {shortfall}"),
            Self::NoMemory(refused) => write!(f, "there is no memory for keys: {refused}"),
            Self::TooMuch => {
                write!(f, "keys would take more than {} MiB of memory; destroy unused versions", MOST >> 20)
            }
        }
    }
}

/// From now on keys lie in locked memory or the process does not have them. To be called before the first key.
///
/// # Errors
/// [`NoRoom`], where not even the first mapping can be locked.
pub fn require_locked() -> Result<(), NoRoom> {
    let mut arena = arena();
    arena.required = true;
    arena.reserve(FIRST)
}

/// Makes room for `bytes` bytes of keys in a row, so that a keyring is refused before it is opened, not half way.
///
/// # Errors
/// [`NoRoom`], above all where locked memory is required and not to be had.
pub fn reserve(bytes: usize) -> Result<(), NoRoom> {
    arena().reserve(bytes)
}

/// How keys lie in memory now.
#[must_use]
pub fn status() -> Status {
    arena().status()
}

/// A box in the arena. Wiped when dropped. No `Clone`, no `Debug`.
pub struct Slot<T: ?Sized>(NonNull<T>);

// SAFETY: a slot owns what it points to, as a box does.
unsafe impl<T: ?Sized + Send> Send for Slot<T> {}
// SAFETY: a shared slot gives shared references only.
unsafe impl<T: ?Sized + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// Puts a value in place. It passes through the stack: callers wipe that, as `crypto::mac` does.
    ///
    /// # Panics
    /// Where there is no memory, or none that is locked and [`require_locked`] was called; see [`reserve`].
    #[inline]
    pub fn new(value: T) -> Self {
        const { assert!(align_of::<T>() <= UNIT) };
        let place: NonNull<T> = take(size_of::<T>()).cast();
        // SAFETY: the place is ours alone, large enough, and aligned to UNIT, which is enough for T.
        unsafe { place.write(value) };
        Self(place)
    }
}

impl Slot<[u8]> {
    /// `len` zero bytes, to be filled in place.
    ///
    /// # Panics
    /// As [`Slot::new`].
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        // Places are wiped when they are given back, and mappings start as zeros.
        Self(NonNull::slice_from_raw_parts(take(len), len))
    }
}

impl<T: ?Sized> Deref for Slot<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot owns an initialised value; it lives as long as the slot does.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Slot<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the slot is borrowed mutably.
        unsafe { self.0.as_mut() }
    }
}

impl<T: ?Sized> Drop for Slot<T> {
    fn drop(&mut self) {
        let place: NonNull<u8> = self.0.cast();
        // SAFETY: the value is initialised and nobody can reach it any more.
        let len = size_of_val(unsafe { self.0.as_ref() });
        // SAFETY: as above; what is left of the value afterwards are bytes that nobody looks at.
        unsafe { ptr::drop_in_place(self.0.as_ptr()) };
        // SAFETY: the place has whole units, at least `len` bytes, and is ours until it is given back below.
        let bytes = unsafe { std::slice::from_raw_parts_mut(place.cast::<MaybeUninit<u8>>().as_ptr(), len) };
        bytes.zeroize();
        arena().give_back(place, len);
    }
}

fn arena() -> MutexGuard<'static, Arena> {
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(len: usize) -> NonNull<u8> {
    // The guard is gone before a panic, so that slots can still be dropped.
    let taken = arena().take(len);
    taken.unwrap_or_else(|refused| panic!("{refused}"))
}

/// The mappings, and which units of them are free.
struct Arena {
    regions: Vec<Region>,
    required: bool,
    shortfall: Option<String>,
}

struct Region {
    mapping: Mapping,
    /// Runs of free units: where each begins, and how long it is. No two touch.
    free: BTreeMap<usize, usize>,
}

impl Arena {
    const fn new() -> Self {
        Self { regions: Vec::new(), required: false, shortfall: None }
    }

    fn take(&mut self, len: usize) -> Result<NonNull<u8>, NoRoom> {
        let units = units(len);
        if let Some(place) = self.regions.iter_mut().find_map(|region| region.take(units)) {
            return Ok(place);
        }
        self.grow(units * UNIT)?;
        let newest = self.regions.last_mut().and_then(|region| region.take(units));
        Ok(newest.expect("the arena has just grown by what is asked for"))
    }

    fn give_back(&mut self, place: NonNull<u8>, len: usize) {
        let units = units(len);
        let region = self.regions.iter_mut().find(|region| region.holds(place));
        region.expect("a slot lies in the arena").give_back(place, units);
    }

    /// Makes sure that one region has `bytes` free bytes in a row.
    fn reserve(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let units = units(bytes);
        if self.regions.iter().any(|region| region.fits(units)) {
            return Ok(());
        }
        self.grow(units * UNIT)
    }

    /// Adds a mapping with room for `need` bytes. Where the system locks no more than just that, it is no larger.
    fn grow(&mut self, need: usize) -> Result<(), NoRoom> {
        let (mapped, need) = (self.mapped(), need.next_multiple_of(page_size()));
        if need > MOST - mapped {
            return Err(NoRoom::TooMuch);
        }
        let ample = mapped.clamp(FIRST, STEP).max(need).min(MOST - mapped).next_multiple_of(page_size());
        let mut refusals = Vec::new();
        for protection in [Protection::SecretMemory, Protection::Locked] {
            for len in [ample, need] {
                match map(len, protection) {
                    Ok(mapping) => {
                        self.note(&refusals, mapped + need);
                        self.regions.push(Region::new(mapping));
                        return Ok(());
                    }
                    Err(Refused(what, error)) => refusals.push(format!("{what}: {error}")),
                }
            }
        }
        self.note(&refusals, mapped + need);
        if self.required {
            return Err(NoRoom::NotLocked(self.shortfall.clone().unwrap_or_default()));
        }
        let plain = map(ample, Protection::Unlocked);
        let plain = plain.map_err(|Refused(what, error)| NoRoom::NoMemory(format!("{what}: {error}")))?;
        self.regions.push(Region::new(plain));
        Ok(())
    }

    /// Keeps what was refused, once: what comes later is the same over again.
    fn note(&mut self, refusals: &[String], wanted: usize) {
        if self.shortfall.is_none() && !refusals.is_empty() {
            let mut said = refusals.to_vec();
            said.dedup();
            // Twice what is needed now: a reload holds two keyrings for a moment.
            let enough = (2 * wanted).next_power_of_two().max(2 * FIRST) >> 10;
            self.shortfall = Some(format!(
                "{}; where it is the limit, raise RLIMIT_MEMLOCK to {enough} KiB or more (LimitMEMLOCK= in a systemd \
                 unit, --ulimit memlock= for a container, ulimit -l in a shell)",
                said.join("; ")
            ));
        }
    }

    fn mapped(&self) -> usize {
        self.regions.iter().map(|region| region.mapping.len()).sum()
    }

    fn status(&self) -> Status {
        let free: usize = self.regions.iter().flat_map(|region| region.free.values()).sum();
        Status {
            protection: self.regions.iter().map(|region| region.mapping.protection()).max(),
            mappings: self.regions.len(),
            mapped: self.mapped(),
            taken: self.mapped() - free * UNIT,
            shortfall: self.shortfall.clone(),
        }
    }
}

impl Region {
    fn new(mapping: Mapping) -> Self {
        let free = BTreeMap::from([(0, mapping.len() / UNIT)]);
        Self { mapping, free }
    }

    /// The first run that is long enough gives its first units.
    fn take(&mut self, units: usize) -> Option<NonNull<u8>> {
        let (at, run) = self.free.iter().find(|(_, run)| **run >= units).map(|(at, run)| (*at, *run))?;
        self.free.remove(&at);
        if run > units {
            self.free.insert(at + units, run - units);
        }
        // SAFETY: `at` and the units behind it lie inside the mapping.
        Some(unsafe { self.mapping.start().add(at * UNIT) })
    }

    fn give_back(&mut self, place: NonNull<u8>, units: usize) {
        let (mut at, mut run) = ((place.addr().get() - self.mapping.start().addr().get()) / UNIT, units);
        run += self.free.remove(&(at + units)).unwrap_or(0);
        if let Some((before, len)) = self.free.range(..at).next_back().map(|(before, len)| (*before, *len))
            && before + len == at
        {
            (at, run) = (before, len + run);
        }
        self.free.insert(at, run);
    }

    fn fits(&self, units: usize) -> bool {
        self.free.values().any(|run| *run >= units)
    }

    fn holds(&self, place: NonNull<u8>) -> bool {
        let start = self.mapping.start().addr().get();
        (start..start + self.mapping.len()).contains(&place.addr().get())
    }
}

/// Whole units, at least one, so that every slot has a place of its own.
fn units(len: usize) -> usize {
    len.div_ceil(UNIT).max(1)
}

fn map(len: usize, protection: Protection) -> Result<Mapping, Refused> {
    let len = NonZeroUsize::new(len).expect("at least one unit, rounded up to a page");
    Mapping::new(len, protection)
}

#[cfg(test)]
mod tests;
