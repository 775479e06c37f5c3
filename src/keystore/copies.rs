//! Copies of a keyring that are known of: files beside it, and the backups that were made of it, which are noted in
//! `<keyring>.backups`. The note protects nothing: it is there to name what is to be removed with a secret.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::{
    keyring::KeyName,
    keystore::{
        Warning,
        document::Document,
        file,
        place::{Lock, Place},
    },
};

const EXTENSION: &str = "backups";

/// Most bytes of the note.
const NOTE_MAX: u64 = 1 << 20;

/// Backups that are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 256;

/// What is known of.
pub(super) struct Copies {
    /// Keyrings of this id that can be read; nothing of them is authenticated.
    there: Vec<(PathBuf, Document)>,
    /// Backups that were made and cannot be read here.
    out_of_reach: Vec<PathBuf>,
}

impl Copies {
    /// Looks for them.
    pub(super) fn of(place: &Place, keyring_id: &str) -> Self {
        let mut copies = Self { there: Vec::new(), out_of_reach: Vec::new() };
        let folder = place.path().parent().and_then(|folder| fs::read_dir(folder).ok());
        let mut paths: Vec<_> = folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths.retain(|path| path != place.path());
        for path in &paths {
            copies.there.extend(document(path, keyring_id).ok().flatten().map(|document| (path.clone(), document)));
        }
        for path in noted(place).into_iter().filter(|path| path != place.path() && !paths.contains(path)) {
            match document(&path, keyring_id) {
                Ok(Some(document)) => copies.there.push((path, document)),
                Ok(None) => {}
                Err(_) => copies.out_of_reach.push(path),
            }
        }
        copies
    }

    /// Those that still open as they did before the keyring was wrapped anew.
    pub(super) fn old(self) -> Vec<Warning> {
        let there = self.there.into_iter().map(|(path, _)| Warning::OldCopy(path));
        there.chain(self.out_of_reach.into_iter().map(Warning::BackupOutOfReach)).collect()
    }

    /// Those that hold the material of a version, which the keyring holds no more.
    pub(super) fn holding(self, name: &KeyName, number: u32) -> Vec<Warning> {
        let holds = |document: &Document| {
            let versions = document.key(name.as_str()).into_iter().flat_map(|key| &key.versions);
            versions.into_iter().any(|version| version.number == number && version.material.is_some())
        };
        let holding = self.there.into_iter().filter(|(_, document)| holds(document));
        let warnings = holding.map(|(path, _)| Warning::CopyHolds(path, name.clone(), number));
        warnings.chain(self.out_of_reach.into_iter().map(Warning::BackupOutOfReach)).collect()
    }
}

/// Notes a backup. Those whose file is gone are taken off the note: their folder is there, and they are not in it.
pub(super) fn note(place: &Place, lock: &Lock, backup: &Path, like: &Metadata) -> io::Result<()> {
    let mut paths = noted(place);
    let is_gone = |path: &PathBuf| {
        fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            && path.parent().is_some_and(Path::is_dir)
    };
    paths.retain(|path| path != backup && !is_gone(path));
    paths.push(backup.to_owned());
    let paths: Vec<&str> = paths.iter().rev().take(REMEMBERED).rev().filter_map(|path| path.to_str()).collect();
    let mut bytes = serde_json::to_vec_pretty(&paths).expect("text always makes JSON");
    bytes.push(b'\n');
    place.note(lock, EXTENSION, &bytes, like)?;
    if backup.to_str().is_none() { Err(io::ErrorKind::InvalidFilename.into()) } else { Ok(()) }
}

/// The backups on the note; none where it cannot be read.
fn noted(place: &Place) -> Vec<PathBuf> {
    let bytes = read(&place.beside(EXTENSION), NOTE_MAX).ok().flatten();
    bytes.and_then(|bytes| serde_json::from_slice::<Vec<PathBuf>>(&bytes).ok()).unwrap_or_default()
}

/// The document at `path`, if it is a keyring of this id.
fn document(path: &Path, keyring_id: &str) -> io::Result<Option<Document>> {
    let bytes = read(path, file::KEYRING_MAX as u64)?;
    let document = bytes.and_then(|bytes| Document::parse(&bytes, path).ok());
    Ok(document.filter(|document| document.keyring_id == keyring_id))
}

/// What a regular file holds; nothing where it is none, or is longer.
fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    // Without NONBLOCK, opening a named pipe would wait for its writer.
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).expect("open flags are an int");
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > most {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
