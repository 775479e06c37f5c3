//! A backup: the sealed document as it is, opened and judged before it is written. It opens with what opens the keyring,
//! and with nothing else: whoever has one of the two has nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::keystore::{KeystoreError, Location, Step, USE_STACK, Warning, copies, edit, open, place::Place};

/// A backup that was made.
#[derive(PartialEq, Eq, Debug)]
pub struct Backup {
    /// Where it lies.
    pub path: PathBuf,
    /// The generation of the keyring that it is of.
    pub generation: u64,
    /// The keyring's random id, 32 hex digits.
    pub keyring_id: String,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
}

/// Copies the keyring to `to`, where nothing may be; the copy is readable to its owner only.
///
/// # Errors
/// [`KeystoreError`]; there is no backup then.
pub fn backup(location: &Location, to: &Path) -> Result<Backup, KeystoreError> {
    let made = backup_inner(location, to);
    zeroize::zeroize_stack::<USE_STACK>();
    made
}

#[inline(never)]
fn backup_inner(location: &Location, to: &Path) -> Result<Backup, KeystoreError> {
    let opened = open::document(location)?;
    let (bytes, _) = edit::judged(&opened.key, &opened.document, &location.keyring)?;
    let target = Place::of(to)?;
    write_new(&target, &bytes)?;

    let place = Place::of(&location.keyring)?;
    // A keyring that may only be read here is backed up all the same.
    let noted = match place.lock() {
        Ok(lock) => copies::note(&place, &lock, target.path(), &opened.metadata).map_err(|error| error.kind()),
        Err(KeystoreError::Write(_, _, error)) => Err(error.kind()),
        Err(_) => Err(io::ErrorKind::ResourceBusy),
    };
    let warnings = noted.err().map(|kind| Warning::BackupNotNoted(target.path().to_owned(), kind));
    Ok(Backup {
        path: target.path().to_owned(),
        generation: opened.document.generation,
        keyring_id: opened.document.keyring_id,
        warnings: warnings.into_iter().collect(),
    })
}

/// Makes a new file of these bytes, or none.
fn write_new(target: &Place, bytes: &[u8]) -> Result<(), KeystoreError> {
    let exists = || KeystoreError::BackupExists(target.path().to_owned());
    match target.make_once(bytes, 0o600) {
        Ok(true) => return Ok(()),
        Ok(false) => return Err(exists()),
        // A file system without links, as a memory stick may have: then a crash can leave part of a backup, which
        // restores nothing.
        Err(KeystoreError::Write(Step::Place, ..)) => {}
        Err(error) => return Err(error),
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target.path());
    let mut file = made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(),
        _ => KeystoreError::Write(Step::Write, target.path().to_owned(), error),
    })?;
    let folder = target.path().parent().unwrap_or(Path::new("/"));
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(target.path());
        KeystoreError::Write(Step::Write, target.path().to_owned(), error)
    })
}
