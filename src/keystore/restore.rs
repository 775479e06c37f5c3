//! Restoring a backup. What was destroyed stays destroyed, what was compromised stays so, and what came after the backup
//! stays there, as far as the keyring that is there can still be opened; the generation rises above all that was seen.

mod merge;

use std::{fmt, fs};

pub use self::merge::Effect;
use self::merge::merge;
use crate::keystore::{
    KeystoreError, Location, Part, USE_STACK, Warning,
    document::Document,
    edit, file,
    open::{self, OpenedDocument},
    place::Place,
    record::{Highest, Seen},
};

/// How to restore.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Restoring {
    /// Whether a keyring that cannot be gone on from, because it is another one or does not open with this KEK, is to be
    /// replaced.
    pub replace: bool,
    /// The highest generation that is known from elsewhere, such as a ledger; 0 for none.
    pub highest: u64,
    /// Whether only to say what would be done.
    pub only_look: bool,
}

/// What was in the place of what was restored.
#[derive(PartialEq, Eq, Debug)]
pub enum Before {
    /// This keyring, at that generation: it was gone on from.
    Opened(u64),
    /// Nothing.
    Missing,
    /// Something that cannot be opened, and why in one line: what was said of versions since the backup is not known.
    Unreadable(String),
    /// Another keyring, with that id.
    Other(String),
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(generation) => write!(
                f,
                "the keyring that was there (generation {generation}) was opened: what was destroyed or compromised \
                 since the backup stays so, and what was added stays there"
            ),
            Self::Missing => f.write_str(
                "there was no keyring: whatever was destroyed, compromised or added since the backup is not known, so \
                 do it again",
            ),
            Self::Unreadable(why) => write!(
                f,
                "the keyring that was there could not be opened: whatever was destroyed, compromised or added since \
                 the backup is not known, so do it again ({why})"
            ),
            Self::Other(id) => write!(f, "another keyring was there ({id}): nothing of it was taken over"),
        }
    }
}

/// A keyring that was restored, or would be.
#[derive(PartialEq, Eq, Debug)]
pub struct Restored {
    /// Its generation, above all that were seen.
    pub generation: u64,
    /// Its random id, 32 hex digits.
    pub keyring_id: String,
    /// The generation that the backup is of.
    pub of: u64,
    /// What was there.
    pub before: Before,
    /// What changes with it, version by version.
    pub effects: Vec<Effect>,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
}

/// Puts the backup at `from.keyring`, which `from.kek` opens, in the place of the keyring `to`.
///
/// # Errors
/// [`KeystoreError`]; what is there is then as it was.
pub fn restore(from: &Location, to: &Location, how: Restoring) -> Result<Restored, KeystoreError> {
    let restored = restore_inner(from, to, how);
    zeroize::zeroize_stack::<USE_STACK>();
    restored
}

#[inline(never)]
fn restore_inner(from: &Location, to: &Location, how: Restoring) -> Result<Restored, KeystoreError> {
    let backup = open::document(from)?;
    edit::judged(&backup.key, &backup.document, &from.keyring)?;
    let (of, keyring_id) = (backup.document.generation, backup.document.keyring_id.clone());
    let place = Place::of(&to.keyring)?;
    let lock = if how.only_look { None } else { Some(place.lock()?) };
    let seen = Seen::before(&place);

    let (mut before, current) = present(to, how.replace)?;
    let current = match current {
        Some(other) if other.document.keyring_id != keyring_id => {
            let id = other.document.keyring_id;
            if !how.replace {
                return Err(KeystoreError::OtherKeyring { keyring: to.keyring.clone(), there: id, backup: keyring_id });
            }
            before = Before::Other(id);
            None
        }
        current => current,
    };
    let record_key = || current.as_ref().map_or(&backup.key, |current| &current.key).record_key();
    let recorded = seen.and_then(|seen| Highest::of(&seen, &place, &keyring_id, record_key()));
    let mut warnings = Vec::new();
    let recorded = if let Ok(highest) = recorded {
        highest.known()
    } else {
        warnings.push(Warning::RecordIgnored(place.beside("generation")));
        Highest::fresh(&place, &keyring_id, record_key()).known()
    };
    let there = current.as_ref().map_or(0, |current| current.document.generation);
    let highest = [of, there, recorded, how.highest].into_iter().max().unwrap_or(of);

    let (mut document, key, effects) = match current {
        Some(current) => {
            let (document, effects) = merge(&backup, &current, from, to)?;
            (document, current.key, effects)
        }
        None => (rehomed(&backup.document, from, to)?, backup.key, merge::all(&backup.document, from)?),
    };
    document.generation = highest.checked_add(1).ok_or_else(|| KeystoreError::Altered(from.keyring.clone()))?;
    key.authenticate(&mut document);
    let (bytes, _) = edit::judged(&key, &document, &to.keyring)?;
    // As the service will: by its own source, from the bytes to be stored.
    let read = Document::parse(&bytes, &to.keyring)?;
    if !to.kek.open(&read, &to.keyring)?.made(&read) {
        return Err(KeystoreError::Altered(to.keyring.clone()));
    }
    let generation = document.generation;
    if let Some(lock) = lock {
        place.put(&lock, &bytes)?;
        if let Ok(like) = fs::metadata(place.path()) {
            warnings.extend(Highest::fresh(&place, &keyring_id, key.record_key()).write(&lock, generation, &like));
        }
    }
    Ok(Restored { generation, keyring_id, of, before, effects, warnings })
}

/// The keyring that is there, if it can be gone on from. What the system refuses to show, or what is open to others, is
/// for its owner to mend first.
fn present(to: &Location, replace: bool) -> Result<(Before, Option<OpenedDocument>), KeystoreError> {
    if let Err(KeystoreError::Missing(Part::Keyring, _)) = file::read_keyring(&to.keyring) {
        return Ok((Before::Missing, None));
    }
    let opened = open::document(to).and_then(|opened| {
        edit::judged(&opened.key, &opened.document, &to.keyring)?;
        Ok(opened)
    });
    match opened {
        Ok(opened) => Ok((Before::Opened(opened.document.generation), Some(opened))),
        Err(
            error @ (KeystoreError::Truncated(_)
            | KeystoreError::NotJson(..)
            | KeystoreError::NotOurs(..)
            | KeystoreError::TooLarge(Part::Keyring, ..)
            | KeystoreError::Altered(_)
            | KeystoreError::KidDiffers(..)
            | KeystoreError::Ring(_)),
        ) => Ok((Before::Unreadable(error.to_string()), None)),
        // It may be sound, and only the KEK a wrong one.
        Err(error @ KeystoreError::WrongKek { .. }) if replace => Ok((Before::Unreadable(error.to_string()), None)),
        Err(error) => Err(error),
    }
}

/// The document of the backup, so that the source of `to` opens it.
fn rehomed(backup: &Document, from: &Location, to: &Location) -> Result<Document, KeystoreError> {
    let mut document = backup.clone();
    if from.kek != to.kek {
        let inner = from.kek.unwrap(backup, &from.keyring)?;
        document.kek = to.kek.wrap(&backup.keyring_id, &inner)?;
    }
    Ok(document)
}
