//! The output file: ours alone, never the input, appended to in whole rows as far as the system lets us.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};

use super::sheet::unreadable;
use crate::cli::Failure;

/// An open output file, locked for as long as this is there.
pub(super) struct OutFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl OutFile {
    /// Opens or makes the file.
    pub(super) fn open(path: &Path, input: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let wrong = |what: &str| Failure::usage(format!("--out {shown}: {what}"));
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(i32::try_from(flags.bits()).expect("open flags are an int"))
            .open(path)
            .map_err(|error| wrong(&format!("cannot be made ({error}); check the path, its folder and its mode")))?;
        let found = file.metadata().map_err(|error| unreadable(path, &error))?;
        if !found.is_file() {
            return Err(wrong("no regular file; name another"));
        }
        if std::fs::metadata(input).is_ok_and(|input| (input.dev(), input.ino()) == (found.dev(), found.ino())) {
            return Err(wrong("is the input, which is never written to; name another file"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(wrong(&format!("belongs to user {}, not to us; name another file", found.uid())));
        }
        if found.mode() & 0o077 != 0 {
            return Err(wrong(&format!("others may read it (mode {:04o}); chmod 0600 {shown}", found.mode() & 0o7777)));
        }
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), size: found.len(), file }),
            Err(TryLockError::WouldBlock) => Err(wrong("another process writes it; let that finish")),
            Err(TryLockError::Error(error)) => Err(wrong(&format!("cannot be locked ({error})"))),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Its first bytes, as many as there are.
    pub(super) fn beginning(&self, length: usize) -> Result<Vec<u8>, Failure> {
        self.part(0, (length as u64).min(self.size))
    }

    pub(super) fn part(&self, at: u64, length: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, at).map_err(|error| unreadable(&self.path, &error))?;
        Ok(bytes)
    }

    /// A reader of its own, from `at` on.
    pub(super) fn reader(&self, at: u64) -> Result<File, Failure> {
        let open = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(at))?;
            Ok(file)
        };
        open().map_err(|error| unreadable(&self.path, &error))
    }

    /// Takes away what comes from `size` on.
    pub(super) fn cut(&mut self, size: u64) -> Result<(), Failure> {
        if size < self.size {
            self.file.set_len(size).map_err(|error| self.unwritable(&error))?;
            self.size = size;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let write = |mut file: &File| {
            file.seek(SeekFrom::Start(self.size))?;
            file.write_all(bytes)
        };
        write(&self.file).map_err(|error| self.unwritable(&error))?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Makes it last.
    pub(super) fn flush(&self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &io::Error) -> Failure {
        Failure::usage(format!("{}: cannot be written ({error}); make room there", self.path.display()))
    }
}
