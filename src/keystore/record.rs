//! The highest generation seen, so that an older keyring put back in place is noticed.
//!
//! It is kept in memory, and in a file beside the keyring, authenticated with a key from the document key: without
//! the KEK nobody can lower it or make one up. What that does not protect from: whoever may write the folder can
//! remove the record, or put back an old record together with the old keyring that belongs to it; a new process
//! then knows no better. Where the folder cannot be written there is the memory alone, for as long as the process
//! lives. Whoever has another place that remembers it says so by [`note_generation`] before a keyring is read: the
//! service keeps it in its ledger too.

use std::{
    collections::BTreeMap,
    fs::{Metadata, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::{
    crypto::{frame::Frame, mac::MacKey},
    keystore::{
        KeystoreError, Part, Step, Warning, file,
        place::{Lock, Place},
    },
};

const EXTENSION: &str = "generation";

/// Most bytes of a record.
const RECORD_MAX: usize = 1024;

/// The highest generation that this process has seen, by keyring id.
static SEEN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// The record's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    keyring_id: String,
    generation: u64,
    mac: String,
    /// The same by the key that comes next, while a keyring gets another document key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What was known before a keyring was read. Taken first: a writer that is done in between has raised the record
/// above the generation that the reader holds, which is no rollback.
pub(super) struct Seen {
    record: Stored,
    memory: BTreeMap<String, u64>,
}

/// A record as it was found, not authenticated yet.
enum Stored {
    Nothing,
    Closed,
    Bytes(Vec<u8>),
}

/// What is known of one keyring's generations.
pub(super) struct Highest<'a> {
    place: &'a Place,
    keyring_id: &'a str,
    key: MacKey,
    recorded: Recorded,
    remembered: u64,
}

/// What the record says.
#[derive(Clone, Copy)]
enum Recorded {
    /// There is none.
    Nothing,
    /// There is one that we may not read, and so must not replace: it may say more than we know.
    Closed,
    /// The highest generation.
    At(u64),
}

impl Seen {
    /// Reads the record and the memory.
    pub(super) fn before(place: &Place) -> Result<Self, KeystoreError> {
        let memory = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Self { record: stored(place)?, memory })
    }
}

impl<'a> Highest<'a> {
    /// Authenticates what was seen before the keyring was read.
    pub(super) fn of(seen: &Seen, place: &'a Place, keyring_id: &'a str, key: MacKey) -> Result<Self, KeystoreError> {
        let mut highest = Self::fresh(place, keyring_id, key);
        highest.recorded = highest.judge(&seen.record)?;
        highest.remembered = seen.memory.get(keyring_id).copied().unwrap_or(0);
        Ok(highest)
    }

    /// For a keyring that was just drawn: a record left by another at this path says nothing about it.
    pub(super) fn fresh(place: &'a Place, keyring_id: &'a str, key: MacKey) -> Self {
        Self { place, keyring_id, key, recorded: Recorded::Nothing, remembered: 0 }
    }

    /// The highest generation seen, as far as it is known.
    pub(super) fn known(&self) -> u64 {
        let recorded = if let Recorded::At(recorded) = self.recorded { recorded } else { 0 };
        recorded.max(self.remembered).max(memory(self.keyring_id))
    }

    /// Refuses a generation below the highest seen; remembers a higher one in memory.
    pub(super) fn check(&self, generation: u64) -> Result<(), KeystoreError> {
        let recorded = if let Recorded::At(recorded) = self.recorded { recorded } else { 0 };
        let highest = self.remembered.max(recorded);
        if generation < highest {
            return Err(KeystoreError::RolledBack {
                keyring: self.place.path().to_owned(),
                found: generation,
                highest,
                record: (recorded > generation).then(|| self.path()),
            });
        }
        remember(self.keyring_id, generation);
        Ok(())
    }

    /// Raises the record to `generation` where it is lower, as a reader: not while a writer is at work, who will
    /// raise it itself, and further.
    pub(super) fn raise(&self, generation: u64, like: &Metadata) -> Option<Warning> {
        match self.recorded {
            Recorded::At(recorded) if recorded >= generation => return None,
            Recorded::Closed => {
                return Some(Warning::RollbackInMemoryOnly(self.path(), io::ErrorKind::PermissionDenied));
            }
            Recorded::At(_) | Recorded::Nothing => {}
        }
        match self.place.try_lock() {
            Ok(Some(lock)) => match stored(self.place).and_then(|stored| self.judge(&stored)) {
                Ok(Recorded::At(recorded)) if recorded < generation => self.write(&lock, generation, like),
                Ok(Recorded::Nothing) => self.write(&lock, generation, like),
                // Somebody else wrote it since we read it; the next load reads it.
                Ok(Recorded::At(_) | Recorded::Closed) | Err(_) => None,
            },
            Ok(None) => None,
            Err(error) => Some(Warning::RollbackInMemoryOnly(self.path(), error.kind())),
        }
    }

    /// Sets the record to `generation`, which has just been written.
    pub(super) fn write(&self, lock: &Lock, generation: u64, like: &Metadata) -> Option<Warning> {
        remember(self.keyring_id, generation);
        let noted = self.note(lock, generation, None, like);
        noted.err().map(|error| Warning::RollbackInMemoryOnly(self.path(), error.kind()))
    }

    /// Makes the record one that the key of the next document key vouches for as well. Without that a writer that is
    /// killed between the keyring and its record would leave a record that the keyring's own key calls a forgery.
    pub(super) fn hand_on(&self, lock: &Lock, next: &MacKey, like: &Metadata) -> Result<(), KeystoreError> {
        let noted = match self.recorded {
            Recorded::Nothing => Ok(()),
            Recorded::At(generation) => self.note(lock, generation, Some(next), like),
            Recorded::Closed => Err(io::ErrorKind::PermissionDenied.into()),
        };
        noted.map_err(|error| KeystoreError::Write(Step::Write, self.path(), error))
    }

    fn note(&self, lock: &Lock, generation: u64, next: Option<&MacKey>, like: &Metadata) -> io::Result<()> {
        let mac = |key: &MacKey| base16ct::lower::encode_string(key.tag(&frame(self.keyring_id, generation)).expose());
        let (mac, next) = (mac(&self.key), next.map(mac));
        let record = Record { keyring_id: self.keyring_id.to_owned(), generation, mac, next };
        let mut bytes = serde_json::to_vec(&record).expect("strings and numbers always make JSON");
        bytes.push(b'\n');
        self.place.note(lock, EXTENSION, &bytes, like)
    }

    fn judge(&self, stored: &Stored) -> Result<Recorded, KeystoreError> {
        let path = self.path();
        let bytes = match stored {
            Stored::Nothing => return Ok(Recorded::Nothing),
            Stored::Closed => return Ok(Recorded::Closed),
            Stored::Bytes(bytes) => bytes,
        };
        let record: Record = serde_json::from_slice(bytes).map_err(|_| KeystoreError::RecordAltered(path.clone()))?;
        let said = frame(&record.keyring_id, record.generation);
        let made = [Some(&record.mac), record.next.as_ref()].into_iter().flatten().any(|text| {
            let mut mac = [0; 32];
            let whole = matches!(base16ct::lower::decode(text, &mut mac), Ok(decoded) if decoded.len() == 32);
            whole && self.key.verify(&said, &mac)
        });
        if made && record.keyring_id == self.keyring_id {
            Ok(Recorded::At(record.generation))
        } else {
            Err(KeystoreError::RecordAltered(path))
        }
    }

    fn path(&self) -> PathBuf {
        self.place.beside(EXTENSION)
    }
}

fn frame(keyring_id: &str, generation: u64) -> Frame {
    Frame::labelled("countersign/keyring/record").part(keyring_id.as_bytes()).fixed_part(&generation.to_be_bytes())
}

fn stored(place: &Place) -> Result<Stored, KeystoreError> {
    let path = place.beside(EXTENSION);
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("open flags are an int");
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
        Ok(file) => file,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => return Ok(Stored::Nothing),
            io::ErrorKind::PermissionDenied => return Ok(Stored::Closed),
            _ => return Err(KeystoreError::Unreadable(Part::Record, path, error)),
        },
    };
    match file::read_secret(&mut file, RECORD_MAX) {
        Ok(Some(bytes)) => Ok(Stored::Bytes(bytes.expose().to_vec())),
        Ok(None) => Err(KeystoreError::RecordAltered(path)),
        Err(error) => Err(KeystoreError::Unreadable(Part::Record, path, error)),
    }
}

/// The highest generation that this process has seen.
fn memory(keyring_id: &str) -> u64 {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).get(keyring_id).copied().unwrap_or(0)
}

/// Takes in what is known elsewhere: from now on this process refuses a generation below `generation` of the keyring.
pub fn note_generation(keyring_id: &str, generation: u64) {
    remember(keyring_id, generation);
}

/// Raises the highest generation that this process has seen to `generation`.
fn remember(keyring_id: &str, generation: u64) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let highest = seen.entry(keyring_id.to_owned()).or_insert(0);
    *highest = (*highest).max(generation);
}
