//! Reading: the opened descriptor is judged, not the path, so that nothing can be swapped between check and use.
//!
//! Symbolic links are followed, as mounted Kubernetes Secrets need. Accepted is a regular file that belongs to
//! root or to us, without any permission for others, and at most reading (0040) for a group that we are in.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{
    fs::OFlags,
    process::{getegid, geteuid, getgroups},
};

use crate::{
    crypto::secret::Secret,
    keystore::{KeystoreError, Part},
};

/// Most bytes of a keyring: some thousand versions.
pub(super) const KEYRING_MAX: usize = 4 << 20;
/// Most bytes of a KEK file.
pub(super) const KEK_MAX: usize = 4096;
/// Fewest bytes of a KEK file, without its trailing newline.
pub(super) const KEK_MIN: usize = 32;

/// Reads the keyring, and gives what the system says of the file.
pub(super) fn read_keyring(path: &Path) -> Result<(Vec<u8>, Metadata), KeystoreError> {
    let (file, metadata) = open(Part::Keyring, path)?;
    check(Part::Keyring, path, &metadata)?;
    let mut bytes = Vec::new();
    let read = file.take(KEYRING_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| KeystoreError::Unreadable(Part::Keyring, path.to_owned(), error))?;
    if bytes.len() > KEYRING_MAX {
        return Err(KeystoreError::TooLarge(Part::Keyring, path.to_owned(), KEYRING_MAX));
    }
    Ok((bytes, metadata))
}

/// Reads the KEK file in place into the key arena, without its one trailing newline.
pub(super) fn read_kek(path: &Path) -> Result<Secret, KeystoreError> {
    read_kek_by(path, |path, _, metadata| check(Part::Kek, path, metadata))
}

/// Reads a KEK file by other rules of who may read it.
pub(super) fn read_kek_by(
    path: &Path,
    check: impl FnOnce(&Path, &File, &Metadata) -> Result<(), KeystoreError>,
) -> Result<Secret, KeystoreError> {
    let (mut file, metadata) = open(Part::Kek, path)?;
    check(path, &file, &metadata)?;
    let mut bytes = read_secret(&mut file, KEK_MAX)
        .map_err(|error| KeystoreError::Unreadable(Part::Kek, path.to_owned(), error))?
        .ok_or_else(|| KeystoreError::TooLarge(Part::Kek, path.to_owned(), KEK_MAX))?;
    strip_newline(&mut bytes);
    if bytes.len() < KEK_MIN {
        return Err(KeystoreError::KekTooShort(path.to_owned()));
    }
    Ok(bytes)
}

/// Reads at most `most` bytes to the end of `input`, in place into the key arena; nothing where there are more.
///
/// # Errors
/// What the system says.
pub fn read_secret(input: &mut impl io::Read, most: usize) -> io::Result<Option<Secret>> {
    // One byte more than allowed, so that too many are noticed.
    let mut secret = Secret::with_room(most + 1);
    while secret.len() <= most {
        match input.read(secret.spare()) {
            Ok(0) => return Ok(Some(secret)),
            Ok(read) => secret.take_in(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Takes exactly one newline off the end; whether there was one.
pub fn strip_newline(secret: &mut Secret) -> bool {
    let ends = secret.expose().last() == Some(&b'\n');
    if ends {
        secret.pop();
    }
    ends
}

fn open(part: Part, path: &Path) -> Result<(File, Metadata), KeystoreError> {
    // Without NONBLOCK, opening a named pipe would wait for its writer.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).expect("open flags are an int");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeystoreError::Missing(part, path.to_owned()),
        _ => KeystoreError::Unreadable(part, path.to_owned(), error),
    })?;
    let metadata = file.metadata().map_err(|error| KeystoreError::Unreadable(part, path.to_owned(), error))?;
    Ok((file, metadata))
}

/// The rules for a file that holds secrets, wrapped or not.
pub(super) fn check(part: Part, path: &Path, metadata: &Metadata) -> Result<(), KeystoreError> {
    if !metadata.is_file() {
        return Err(KeystoreError::NotAFile(part, path.to_owned()));
    }
    let us = geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != us {
        return Err(KeystoreError::ForeignOwner(part, path.to_owned(), metadata.uid()));
    }
    let mode = metadata.mode() & 0o7777;
    let allowed = if is_our_group(metadata.gid()) { 0o040 } else { 0 };
    if mode & 0o077 & !allowed != 0 {
        return Err(KeystoreError::Loose(part, path.to_owned(), mode));
    }
    Ok(())
}

/// Whether others than the owner may read or write the file; for a secret that is about to be imported.
#[must_use]
pub fn is_open_to_others(metadata: &Metadata) -> bool {
    let allowed = if is_our_group(metadata.gid()) { 0o040 } else { 0 };
    metadata.mode() & 0o077 & !allowed != 0
}

/// Our group is the effective one or a supplementary one: Kubernetes' `fsGroup` is of the latter.
fn is_our_group(gid: u32) -> bool {
    getegid().as_raw() == gid || getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
}
