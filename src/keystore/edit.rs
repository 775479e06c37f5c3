//! Changing a keyring: the frame of every change, and the making of a new keyring.
//!
//! A change is read, made, sealed, and then opened again and judged from the bytes to be stored, as the service
//! will do; only then it replaces the file. All of it happens under the lock, so two writers lose nothing.

mod addition;
mod marking;

use std::{fs, path::Path};

pub use self::{
    addition::{Import, Rotation, SECRET_MAX, create, import, rotate, rotate_when_due},
    marking::{destroy, mark_compromised, resume, suspend},
};
use crate::{
    clock::UnixSeconds,
    keyring::{Key, KeyKind, KeyName, Keyring, Kid, State},
    keystore::{
        KeystoreError, Location, Part, USE_STACK, Warning,
        copies::Copies,
        document::Document,
        file,
        open::{self, OpenedDocument},
        place::{Place, Previous},
        record::{Highest, Seen},
        seal::{self, DocumentKey},
    },
};

/// A keyring that was made.
#[derive(PartialEq, Eq, Debug)]
pub struct Initialised {
    /// Its random id, 32 hex digits.
    pub keyring_id: String,
    /// Whether the KEK file was made too; else the one that was there is used.
    pub kek_made: bool,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
}

/// A version that was added or changed.
#[derive(PartialEq, Eq, Debug)]
pub struct Change {
    /// The keyring's generation with it.
    pub generation: u64,
    /// The key.
    pub name: KeyName,
    /// What the key is for.
    pub kind: KeyKind,
    /// The version's number.
    pub number: u32,
    /// Where the version stands with it.
    pub state: State,
    /// When the version takes over, or took over.
    pub activates_at: UnixSeconds,
    /// For hat1: its public id.
    pub kid: Option<Kid>,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
}

/// Makes a keyring without keys, and the KEK file unless there is one.
///
/// # Errors
/// [`KeystoreError`]; nothing at the keyring's path is ever replaced.
pub fn init(location: &Location, now: UnixSeconds) -> Result<Initialised, KeystoreError> {
    let made = init_inner(location, now);
    zeroize::zeroize_stack::<USE_STACK>();
    made
}

#[inline(never)]
fn init_inner(location: &Location, now: UnixSeconds) -> Result<Initialised, KeystoreError> {
    let exists = || KeystoreError::Exists(location.keyring.clone());
    // What is there is never replaced, be it a link that leads nowhere.
    if fs::symlink_metadata(&location.keyring).is_ok() {
        return Err(exists());
    }
    let place = Place::of(&location.keyring)?;
    if let Some(kek_file) = location.kek.file()
        && Place::of(&kek_file)?.path() == place.path()
    {
        return Err(KeystoreError::SamePath(location.keyring.clone()));
    }
    let lock = place.lock()?;
    let kek_made = location.kek.make()?;

    let keyring_id = seal::random_hex::<16>()?;
    let document_key = seal::draw()?;
    let key = DocumentKey::new(document_key.expose(), &keyring_id);
    let wrapped = location.kek.wrap(&keyring_id, &document_key)?;
    let service_secret = key.wrap_service_secret(&seal::draw()?)?;
    let mut document = Document::new(keyring_id.clone(), now.0, wrapped, service_secret);
    key.authenticate(&mut document);
    let (bytes, _) = judged(&key, &document, &location.keyring)?;
    if !place.make_once(&bytes, 0o600)? {
        return Err(exists());
    }

    let mut warnings = Vec::new();
    if let Ok(like) = fs::metadata(place.path()) {
        let highest = Highest::fresh(&place, &keyring_id, key.record_key());
        warnings.extend(highest.write(&lock, document.generation, &like));
    }
    Ok(Initialised { keyring_id, kek_made, warnings })
}

/// What a change did to the document.
struct Draft {
    number: u32,
    previous: Previous,
    warnings: Vec<Warning>,
}

/// Makes one change to a version of the key `name`, and stores it; nothing is stored where `change` refuses.
fn edit(
    location: &Location,
    name: &KeyName,
    now: UnixSeconds,
    change: impl FnOnce(&mut OpenedDocument) -> Result<Draft, KeystoreError>,
) -> Result<Change, KeystoreError> {
    let changed = edit_inner(location, name, now, change);
    zeroize::zeroize_stack::<USE_STACK>();
    changed
}

#[inline(never)]
fn edit_inner(
    location: &Location,
    name: &KeyName,
    now: UnixSeconds,
    change: impl FnOnce(&mut OpenedDocument) -> Result<Draft, KeystoreError>,
) -> Result<Change, KeystoreError> {
    // Read once without the lock, so that a path without a keyring gets no lock file.
    file::read_keyring(&location.keyring)?;
    let place = Place::of(&location.keyring)?;
    let lock = place.lock()?;
    let seen = Seen::before(&place)?;
    let mut opened = open::document(location)?;
    let keyring_id = opened.document.keyring_id.clone();
    let highest = Highest::of(&seen, &place, &keyring_id, opened.key.record_key())?;
    highest.check(opened.document.generation)?;

    let Draft { number, previous, warnings } = change(&mut opened)?;
    opened.document.generation += 1;
    opened.key.authenticate(&mut opened.document);
    let generation = opened.document.generation;
    let (bytes, ring) = judged(&opened.key, &opened.document, &location.keyring)?;
    let key = ring.key(name).ok_or_else(|| KeystoreError::NoKey(name.clone()))?;
    let version = key.version(number).ok_or_else(|| KeystoreError::NoVersion(name.clone(), number))?;
    let mut change = Change {
        generation,
        name: name.clone(),
        kind: key.kind,
        number,
        state: key.state(version, now),
        activates_at: version.activates_at,
        kid: version.kid,
        warnings,
    };

    place.replace(&lock, &bytes, &opened.metadata, previous)?;
    // Only now: a record above the stored generation would refuse the keyring that is there.
    change.warnings.extend(highest.write(&lock, generation, &opened.metadata));
    if previous == Previous::Removed {
        change.warnings.extend(Copies::of(&place, &keyring_id).holding(name, number));
    }
    Ok(change)
}

/// The public part of a key in a document that was opened, to judge it by.
fn public_key(opened: &OpenedDocument, name: &KeyName, path: &Path) -> Result<Key, KeystoreError> {
    let entry = opened.document.key(name.as_str()).ok_or_else(|| KeystoreError::NoKey(name.clone()))?;
    open::public(entry, path)
}

/// The bytes of the document, opened and judged as a reader will, and the ring that they make.
pub(super) fn judged(key: &DocumentKey, document: &Document, path: &Path) -> Result<(Vec<u8>, Keyring), KeystoreError> {
    let bytes = document.to_bytes();
    if bytes.len() > file::KEYRING_MAX {
        return Err(KeystoreError::TooLarge(Part::Keyring, path.to_owned(), file::KEYRING_MAX));
    }
    let read = Document::parse(&bytes, path)?;
    if !key.made(&read) {
        return Err(KeystoreError::Altered(path.to_owned()));
    }
    let keys = open::keys(key, &read, path)?;
    let ring = Keyring::new(keys.keys).map_err(KeystoreError::Ring)?;
    Ok((bytes, ring))
}
