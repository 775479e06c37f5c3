//! Wrapping a keyring anew: under another source, under the same one, or with all of it encrypted under a fresh document
//! key. Like any change it is made whole and judged before it replaces the file; what opened the keyring before opens
//! nothing of it afterwards.

use crate::{
    crypto::secret::Secret,
    keystore::{
        KekSource, KeystoreError, Location, USE_STACK, Warning,
        copies::Copies,
        document::Document,
        edit, file,
        open::{self, OpenedDocument},
        place::{Place, Previous},
        record::{Highest, Seen},
        seal::{self, DocumentKey},
    },
};

/// A keyring that was wrapped anew.
#[derive(PartialEq, Eq, Debug)]
pub struct Rewrapped {
    /// Its generation with it.
    pub generation: u64,
    /// Its random id, 32 hex digits.
    pub keyring_id: String,
    /// Whether a KEK file was made for it.
    pub kek_made: bool,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
}

/// What becomes of the document key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inner {
    /// It is the same, wrapped anew.
    Kept,
    /// A fresh one is drawn, and everything encrypted under it.
    Drawn,
}

/// Wraps the keyring by `to`. Nothing of what it holds changes, and the generation before it is removed.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn rewrap(location: &Location, to: &KekSource, inner: Inner) -> Result<Rewrapped, KeystoreError> {
    let rewrapped = rewrap_inner(location, to, inner);
    zeroize::zeroize_stack::<USE_STACK>();
    rewrapped
}

#[inline(never)]
fn rewrap_inner(location: &Location, to: &KekSource, inner: Inner) -> Result<Rewrapped, KeystoreError> {
    let path = &location.keyring;
    // Read once without the lock, so that a path without a keyring gets no lock file.
    file::read_keyring(path)?;
    let place = Place::of(path)?;
    if let Some(kek_file) = to.file()
        && Place::of(&kek_file)?.path() == place.path()
    {
        return Err(KeystoreError::SamePath(path.clone()));
    }
    let lock = place.lock()?;
    let seen = Seen::before(&place)?;
    let OpenedDocument { mut document, key, metadata } = open::document(location)?;
    let keyring_id = document.keyring_id.clone();
    let highest = Highest::of(&seen, &place, &keyring_id, key.record_key())?;
    highest.check(document.generation)?;

    let (inner_key, key) = match inner {
        Inner::Kept => (location.kek.unwrap(&document, path)?, key),
        Inner::Drawn => {
            let drawn = seal::draw()?;
            let new = DocumentKey::new(drawn.expose(), &keyring_id);
            encrypt_anew(&mut document, &key, &new, location)?;
            (drawn, new)
        }
    };
    let kek_made = to.make()?;
    document.kek = to.wrap(&keyring_id, &inner_key)?;
    document.generation += 1;
    key.authenticate(&mut document);
    let generation = document.generation;
    let (bytes, _) = edit::judged(&key, &document, path)?;
    // As the service will: by the new source, from the bytes to be stored.
    let read = Document::parse(&bytes, path)?;
    if !to.open(&read, path)?.made(&read) {
        return Err(KeystoreError::Altered(path.clone()));
    }

    if inner == Inner::Drawn {
        highest.hand_on(&lock, &key.record_key(), &metadata)?;
    }
    place.replace(&lock, &bytes, &metadata, Previous::Removed)?;
    to.keep(&read, &key);
    let mut warnings: Vec<_> =
        Highest::fresh(&place, &keyring_id, key.record_key()).write(&lock, generation, &metadata).into_iter().collect();
    warnings.extend(Copies::of(&place, &keyring_id).old());
    Ok(Rewrapped { generation, keyring_id, kek_made, warnings })
}

/// Encrypts the service secret and all material under another document key. The metadata that they are bound to stays.
fn encrypt_anew(
    document: &mut Document,
    old: &DocumentKey,
    new: &DocumentKey,
    location: &Location,
) -> Result<(), KeystoreError> {
    let path = &location.keyring;
    let altered = |_| KeystoreError::Altered(path.clone());
    let secret = old.unwrap_service_secret(&document.service_secret).map_err(altered)?;
    document.service_secret = new.wrap_service_secret(&Secret::copied(secret.material()))?;
    for entry in &mut document.keys {
        let name = open::name_of(entry, path)?;
        let kind = entry.kind.into();
        for stored in &mut entry.versions {
            let about = open::about(&name, kind, stored, path)?;
            if let Some(wrapped) = &stored.material {
                let material = old.unwrap_version(&about, wrapped).map_err(altered)?;
                stored.material = Some(new.wrap_version(&about, &Secret::copied(material.material()))?);
            }
        }
    }
    Ok(())
}
