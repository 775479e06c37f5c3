//! Writing: a change is a new file put in the old one's place, or nothing at all.
//!
//! Under the lock: a temporary file in the same folder (`O_EXCL`, 0600) → write → fsync → the previous generation
//! gets a second name → rename → fsync of the folder. Killed between any two steps, what is at the path is whole,
//! the old or the new; what a killed writer left is removed by the next one.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::fs::OFlags;

use crate::keystore::{KeystoreError, Step, seal};

/// How often, and at what interval, the lock is tried before a writer gives up: 5 s in all.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of the random part of a temporary name.
const TEMP_RANDOM: usize = 8;

/// A keyring's place and the files beside it, with symbolic links already followed, so that all who reach one
/// keyring by different names share one lock and one record.
pub(super) struct Place {
    path: PathBuf,
    folder: PathBuf,
}

/// The right to write; given back on drop, and by the system when the process ends in any way.
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// What becomes of the generation before a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Previous {
    /// It is there as `<path>.previous`.
    Kept,
    /// It is gone, and so is the one that was there before it: both hold what the change destroys.
    Removed,
}

impl Place {
    /// The place of a file that exists, or can be made where `path` says.
    pub(super) fn of(path: &Path) -> Result<Self, KeystoreError> {
        let refused = |error| KeystoreError::Write(Step::Write, path.to_owned(), error);
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = path.file_name().ok_or_else(|| refused(io::ErrorKind::InvalidFilename.into()))?;
                let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                fs::canonicalize(folder.unwrap_or(Path::new("."))).map_err(refused)?.join(name)
            }
            Err(error) => return Err(refused(error)),
        };
        let folder = path.parent().map(Path::to_owned).ok_or_else(|| refused(io::ErrorKind::IsADirectory.into()))?;
        Ok(Self { path, folder })
    }

    /// The path itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `<path>.<extension>`.
    pub(super) fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(extension);
        name.into()
    }

    /// Takes the lock, waiting a short time for another writer, and clears away what a killed one left.
    pub(super) fn lock(&self) -> Result<Lock, KeystoreError> {
        let path = self.beside("lock");
        let refused = |error| KeystoreError::Write(Step::Lock, path.clone(), error);
        let file = self.lock_file().map_err(refused)?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => {
                    self.sweep();
                    return Ok(Lock(file));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(refused(error)),
            }
        }
        Err(KeystoreError::Busy(path))
    }

    /// Takes the lock if it is free; nothing where another process holds it.
    pub(super) fn try_lock(&self) -> io::Result<Option<Lock>> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Puts `bytes` in place, under the lock. `before` describes the file that is there.
    pub(super) fn replace(
        &self,
        _lock: &Lock,
        bytes: &[u8],
        before: &Metadata,
        previous: Previous,
    ) -> Result<(), KeystoreError> {
        let temp = Temp::write(self, bytes, 0o600 | before.mode() & 0o040, Some(before))?;
        match previous {
            Previous::Kept => self.keep_previous()?,
            // First: killed in between, there is nothing left to clear away that the next attempt would not do.
            Previous::Removed => self.remove_previous()?,
        }
        temp.rename(&self.path).map_err(|error| KeystoreError::Write(Step::Place, self.path.clone(), error))?;
        self.flush_folder()
    }

    /// Puts `bytes` in place, under the lock, whatever is there; that is kept as the generation before it.
    pub(super) fn put(&self, lock: &Lock, bytes: &[u8]) -> Result<(), KeystoreError> {
        if let Ok(before) = fs::metadata(&self.path) {
            return self.replace(lock, bytes, &before, Previous::Kept);
        }
        let temp = Temp::write(self, bytes, 0o600, None)?;
        temp.rename(&self.path).map_err(|error| KeystoreError::Write(Step::Place, self.path.clone(), error))?;
        self.flush_folder()
    }

    /// Puts `bytes` at `<path>.<extension>`, under the lock of `path`, keeping nothing of what was there.
    pub(super) fn note(&self, _lock: &Lock, extension: &str, bytes: &[u8], like: &Metadata) -> io::Result<()> {
        let noted = Temp::write(self, bytes, 0o600, Some(like)).and_then(|temp| {
            let path = self.beside(extension);
            temp.rename(&path).map_err(|error| KeystoreError::Write(Step::Place, path, error))?;
            self.flush_folder()
        });
        match noted {
            Err(KeystoreError::Write(_, _, error)) => Err(error),
            Err(_) => Err(io::ErrorKind::Other.into()),
            Ok(()) => Ok(()),
        }
    }

    /// Makes the file with this content unless something is at the path; whether it did. Linking a finished
    /// temporary file is exclusive, and leaves no half-written file for a reader.
    pub(super) fn make_once(&self, bytes: &[u8], mode: u32) -> Result<bool, KeystoreError> {
        self.sweep();
        let temp = Temp::write(self, bytes, mode, None)?;
        match fs::hard_link(&temp.path, &self.path) {
            Ok(()) => {
                drop(temp);
                self.flush_folder().map(|()| true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(KeystoreError::Write(Step::Place, self.path.clone(), error)),
        }
    }

    /// Gives the present file the second name `<path>.previous`. Where the file system knows no links, or forbids
    /// them on files of another owner, a copy is made.
    fn keep_previous(&self) -> Result<(), KeystoreError> {
        let previous = self.beside("previous");
        let refused = |error| KeystoreError::Write(Step::KeepPrevious, previous.clone(), error);
        let temp = Temp { path: self.temp_path()? };
        if fs::hard_link(&self.path, &temp.path).is_err() {
            let bytes = fs::read(&self.path).map_err(refused)?;
            let like = fs::metadata(&self.path).map_err(refused)?;
            Temp::write(self, &bytes, 0o600 | like.mode() & 0o040, Some(&like))?.rename(&temp.path).map_err(refused)?;
        }
        temp.rename(&previous).map_err(refused)
    }

    fn remove_previous(&self) -> Result<(), KeystoreError> {
        let previous = self.beside("previous");
        match fs::remove_file(&previous) {
            Ok(()) => self.flush_folder(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(KeystoreError::Write(Step::KeepPrevious, previous, error)),
        }
    }

    /// Opens the lock file, or makes it. One that is there is not followed as a link: whoever may write the folder
    /// could have put it there, and we may be root.
    fn lock_file(&self) -> io::Result<File> {
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).expect("open flags are an int");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        options.open(self.beside("lock"))
    }

    fn flush_folder(&self) -> Result<(), KeystoreError> {
        let flushed = File::open(&self.folder).and_then(|folder| folder.sync_all());
        flushed.map_err(|error| KeystoreError::Write(Step::FlushFolder, self.path.clone(), error))
    }

    fn temp_path(&self) -> Result<PathBuf, KeystoreError> {
        Ok(self.beside(&format!("tmp-{}", seal::random_hex::<TEMP_RANDOM>()?)))
    }

    /// Removes temporary files of writers that were killed. What cannot be removed does no harm where it is.
    fn sweep(&self) {
        let mut prefix = self.path.file_name().map(OsString::from).unwrap_or_default();
        prefix.push(".tmp-");
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let random = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
            if random.is_some_and(|r| r.len() == 2 * TEMP_RANDOM && r.iter().all(u8::is_ascii_hexdigit)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A file under a temporary name, removed on drop.
struct Temp {
    path: PathBuf,
}

impl Temp {
    fn write(place: &Place, bytes: &[u8], mode: u32, like: Option<&Metadata>) -> Result<Self, KeystoreError> {
        let temp = Self { path: place.temp_path()? };
        let written =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temp.path).and_then(|mut file| {
                if let Some(like) = like {
                    belong_like(&file, like, mode)?;
                }
                file.write_all(bytes)?;
                file.sync_all()
            });
        written.map_err(|error| KeystoreError::Write(Step::Write, place.path.clone(), error))?;
        Ok(temp)
    }

    fn rename(self, to: &Path) -> io::Result<()> {
        // Renaming one of two names of the same file to the other does nothing: then drop removes the first.
        fs::rename(&self.path, to)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives a file we just made the group of the one it replaces, and the group's right to read that `mode` may have:
/// who read the keyring before a change reads it after. The owner is us or root already, else we had not read it.
fn belong_like(file: &File, like: &Metadata, mode: u32) -> io::Result<()> {
    if file.metadata()?.gid() != like.gid() {
        // Refused for a group that we are not in; then the new file stays closed to it.
        let _ = fchown(file, None, Some(like.gid()));
    }
    if mode & 0o040 != 0 && file.metadata()?.gid() == like.gid() {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
