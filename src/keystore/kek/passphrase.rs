//! A passphrase: taken once, stretched with the salt that the document states, and forgotten; what is kept is the stretched
//! key, in the key arena, so that the keyring can be read again.

#![expect(unsafe_code, reason = "a file descriptor that was handed over by number, which says why it is ours to take")]

use std::{
    fmt,
    fs::File,
    io,
    os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd};

use crate::{
    crypto::{
        mac::MacKey,
        secret::Secret,
        stretch::{self, Cost, SALT_LEN},
    },
    keystore::{KekProblem, KeystoreError, USE_STACK, file, seal},
};

/// Most bytes of a passphrase.
pub const PASSPHRASE_MAX: usize = 1024;
/// Fewest bytes of a passphrase that a keyring is wrapped with: about four words, or twelve random characters.
pub const PASSPHRASE_MIN: usize = 12;

/// A passphrase, or what was made of it. Clones share it.
#[derive(Clone)]
pub struct Passphrase {
    from: From,
    kept: Arc<Mutex<Kept>>,
}

/// Where it comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Typed,
    Descriptor(RawFd),
}

#[derive(Default)]
struct Kept {
    passphrase: Option<Secret>,
    stretched: Option<(Stretch, Arc<MacKey>)>,
}

/// How a passphrase is stretched. Public.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::keystore) struct Stretch {
    pub(in crate::keystore) salt: [u8; SALT_LEN],
    pub(in crate::keystore) cost: Cost,
}

impl Stretch {
    /// As a document states it; nothing where no sound one does.
    pub(in crate::keystore) fn read(salt: &str, cost: Cost) -> Option<Self> {
        let mut bytes = [0; SALT_LEN];
        let decoded = base16ct::lower::decode(salt, &mut bytes).ok()?;
        (decoded.len() == SALT_LEN && cost.is_bearable()).then_some(Self { salt: bytes, cost })
    }
}

impl Passphrase {
    /// A passphrase that somebody typed.
    #[must_use]
    pub fn typed(passphrase: Secret) -> Self {
        let kept = Kept { passphrase: Some(passphrase), stretched: None };
        Self { from: From::Typed, kept: Arc::new(Mutex::new(kept)) }
    }

    /// The same, where it was typed twice alike.
    #[must_use]
    pub fn typed_twice(passphrase: Secret, again: &Secret) -> Option<Self> {
        (passphrase.expose() == again.expose()).then(|| Self::typed(passphrase))
    }

    /// A passphrase that will be read, once and to the end, from the file descriptor of this number, which this process
    /// was started with. One trailing newline is not part of it.
    #[must_use]
    pub fn from_descriptor(number: RawFd) -> Self {
        Self { from: From::Descriptor(number), kept: Arc::default() }
    }

    /// Whether its file descriptor is there to be read.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        matches!(self.from, From::Descriptor(number) if inherited(number).is_ok())
    }

    /// Reads it, unless that was done.
    pub(super) fn read(&self) -> Result<(), KekProblem> {
        let mut kept = self.kept();
        let From::Descriptor(number) = self.from else { return Ok(()) };
        if kept.passphrase.is_some() || kept.stretched.is_some() {
            return Ok(());
        }
        let unreadable = |error| KekProblem::Descriptor(number, error);
        let mut input = File::from(taken(number).map_err(unreadable)?);
        let read = file::read_secret(&mut input, PASSPHRASE_MAX + 1).map_err(unreadable)?;
        let mut passphrase = read.ok_or(KekProblem::PassphraseTooLong)?;
        file::strip_newline(&mut passphrase);
        check(&passphrase)?;
        kept.passphrase = Some(passphrase);
        Ok(())
    }

    /// The key stretched as a document says.
    pub(super) fn stretched(&self, stretch: &Stretch) -> Result<Arc<MacKey>, KeystoreError> {
        self.read()?;
        let mut kept = self.kept();
        if let Some((as_before, key)) = &kept.stretched
            && as_before == stretch
        {
            return Ok(Arc::clone(key));
        }
        // Forgotten, and the document is wrapped otherwise than it was.
        let passphrase = kept.passphrase.as_ref().ok_or(KekProblem::PassphraseForgotten)?;
        check(passphrase)?;
        let key = stretched(passphrase, stretch)?;
        kept.stretched = Some((*stretch, Arc::clone(&key)));
        Ok(key)
    }

    /// Forgets the passphrase, where its stretched key is kept.
    pub(super) fn forget(&self) {
        let mut kept = self.kept();
        if kept.stretched.is_some() {
            kept.passphrase = None;
        }
    }

    /// A key to wrap with, and how it is stretched: as before where that is known, else with a salt of its own.
    pub(super) fn for_wrapping(&self) -> Result<(Stretch, Arc<MacKey>), KeystoreError> {
        self.read()?;
        let mut kept = self.kept();
        if let Some((stretch, key)) = &kept.stretched {
            return Ok((*stretch, Arc::clone(key)));
        }
        let passphrase = kept.passphrase.as_ref().ok_or(KekProblem::PassphraseForgotten)?;
        check(passphrase)?;
        if passphrase.len() < PASSPHRASE_MIN {
            return Err(KekProblem::PassphraseTooShort.into());
        }
        let mut salt = [0; SALT_LEN];
        seal::randomise(&mut salt)?;
        let stretch = Stretch { salt, cost: Cost::DEFAULT };
        let key = stretched(passphrase, &stretch)?;
        kept.stretched = Some((stretch, Arc::clone(&key)));
        Ok((stretch, key))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        self.from == other.from
    }
}

impl Eq for Passphrase {}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            From::Typed => f.write_str("the passphrase"),
            From::Descriptor(number) => write!(f, "the passphrase from file descriptor {number}"),
        }
    }
}

fn stretched(passphrase: &Secret, stretch: &Stretch) -> Result<Arc<MacKey>, KekProblem> {
    let key = stretch::stretch(passphrase, &stretch.salt, stretch.cost);
    let key = key.map_err(|_| KekProblem::StretchMemory(stretch.cost.memory_kib))?;
    let key = Arc::new(MacKey::new(key.expose()));
    zeroize::zeroize_stack::<USE_STACK>();
    Ok(key)
}

fn check(passphrase: &Secret) -> Result<(), KekProblem> {
    match passphrase.len() {
        0 => Err(KekProblem::PassphraseEmpty),
        1..=PASSPHRASE_MAX => Ok(()),
        _ => Err(KekProblem::PassphraseTooLong),
    }
}

/// Whether this process was started with a descriptor of this number, to be read from.
fn inherited(number: RawFd) -> io::Result<BorrowedFd<'static>> {
    let none = || io::Error::from(rustix::io::Errno::BADF);
    if number < 0 || number == 1 || number == 2 {
        return Err(none());
    }
    // SAFETY: it is asked about at once, and a number that is not open is answered with EBADF. What becomes of it later
    // is up to the callers, who are below.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    // What we open ourselves is closed on exec, and what survived one is not.
    if fcntl_getfd(borrowed)?.contains(FdFlags::CLOEXEC) {
        return Err(none());
    }
    Ok(borrowed)
}

/// The descriptor, for us alone: closed when it was read. Standard input is not taken away from others.
fn taken(number: RawFd) -> io::Result<OwnedFd> {
    let borrowed = inherited(number)?;
    if number == 0 {
        return Ok(fcntl_dupfd_cloexec(borrowed, 0)?);
    }
    // SAFETY: it is open and came from before the exec, so nothing in this process owns it; and whoever takes it closes it,
    // so that the next who names it finds none, or one of ours.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
