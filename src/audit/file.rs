//! The journal's file: opened so that nothing else can be put in its place, locked against a second process, appended
//! to, and looked at after each group. It knows lines and sizes, not what records say.
//!
//! A regular file must belong to us or root and be closed to others, like a keyring; a link is not followed. A named pipe
//! is taken too, if somebody reads it: for whoever ships records with a program of their own.

use std::{
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{OFlags, RenameFlags},
    process::geteuid,
};

use super::{counters::Fault, record::LINE_MAX};

/// Bytes that are read at a time, from the end backwards.
const STEP: u64 = 64 << 10;

/// An open journal file.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: Arc<File>,
    id: (u64, u64),
    /// What is in it as far as we know; a pipe has no size.
    size: Option<u64>,
    /// There may be bytes past `size` that a failed write left.
    torn: bool,
    /// What of a failed group a pipe has not taken: it must come before anything else.
    carry: Vec<u8>,
}

/// What a file was found to end with.
#[derive(Debug)]
pub(super) struct Tail {
    /// The last whole line, without its newline; none in an empty file.
    pub(super) last: Option<Vec<u8>>,
    /// Bytes of an unfinished line after it, which were cut off.
    pub(super) torn: u64,
}

/// Where the file is, as seen from its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// At its path.
    There,
    /// It has another name now, and nothing is at the path.
    Renamed,
    /// Something is wrong.
    Wrong(Fault),
}

/// The right to write a journal; given up on drop, and by the system when the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// Takes the lock that lies beside `path`.
pub(super) fn lock(path: &Path) -> Result<Lock, String> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let said = |error: io::Error| cannot(&name, &error);
    let file = options().create(true).truncate(false).mode(0o600).open(&name).map_err(said)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(format!(
            "{}: another process writes this journal; stop it, or give each its own journal.path",
            path.display()
        )),
        Err(TryLockError::Error(error)) => Err(said(error)),
    }
}

impl JournalFile {
    /// Opens the file, or makes it; cuts off an unfinished line.
    ///
    /// # Errors
    /// What is wrong, in one line that says what to do.
    pub(super) fn open(path: &Path) -> Result<(Self, Tail), String> {
        let said = |error: io::Error| cannot(path, &error);
        let mut open = options();
        open.append(true);
        let is_pipe = fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_fifo());
        if !is_pipe {
            open.read(true).create(true).mode(0o600);
        }
        let file = open.open(path).map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::NXIO.raw_os_error() => {
                format!("{}: nobody reads this pipe; start its reader first", path.display())
            }
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                format!("{}: a symbolic link; name the file itself in journal.path", path.display())
            }
            _ => said(error),
        })?;
        let metadata = file.metadata().map_err(said)?;
        check(path, &metadata)?;
        // Opening was not to wait; writing is.
        let flags = rustix::fs::fcntl_getfl(&file).map_err(|error| said(error.into()))?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(|error| said(error.into()))?;
        let mut opened = Self {
            path: path.to_owned(),
            id: (metadata.dev(), metadata.ino()),
            size: metadata.is_file().then_some(metadata.len()),
            file: Arc::new(file),
            torn: false,
            carry: Vec::new(),
        };
        let tail = opened.repair().map_err(said)?;
        flush_folder(path);
        Ok((opened, tail))
    }

    /// Makes the file that follows this one at the same path, if nothing is there now. It appears whole: with its
    /// first line, or not at all.
    ///
    /// # Errors
    /// What the system says; nothing has changed at the path then.
    pub(super) fn successor(&self, first: &[u8]) -> io::Result<Self> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        let name = PathBuf::from(name);
        // One that a killed process left holds nothing that anybody was told of.
        let _ = fs::remove_file(&name);
        let made = options().append(true).read(true).create_new(true).mode(0o600).open(&name).and_then(|file| {
            write_all(&file, first).1?;
            file.sync_data()?;
            rustix::fs::renameat_with(rustix::fs::CWD, &name, rustix::fs::CWD, &self.path, RenameFlags::NOREPLACE)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        });
        let (file, metadata) = made.inspect_err(|_| {
            let _ = fs::remove_file(&name);
        })?;
        flush_folder(&self.path);
        let (path, id, size) = (self.path.clone(), (metadata.dev(), metadata.ino()), Some(first.len() as u64));
        Ok(Self { path, id, size, file: Arc::new(file), torn: false, carry: Vec::new() })
    }

    /// Appends `bytes`, and nothing of them where it fails: what was written by then is cut off again, now or before
    /// the next write. Only from a pipe nothing can be taken back: there, true says that the rest will follow.
    ///
    /// # Errors
    /// What the system says, and whether `bytes` count as written although not all of them are.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), (io::Error, bool)> {
        self.settle().map_err(|error| (error, false))?;
        let (written, outcome) = write_all(&self.file, bytes);
        match (&mut self.size, outcome) {
            (size, Ok(())) => {
                if let Some(size) = size {
                    *size += written as u64;
                }
                Ok(())
            }
            (Some(_), Err(error)) => {
                self.torn = written > 0;
                // Tried again before the next write.
                let _ = self.settle();
                Err((error, false))
            }
            (None, Err(error)) => {
                if written > 0 {
                    self.carry = bytes[written..].to_vec();
                }
                Err((error, written > 0))
            }
        }
    }

    /// Makes good what a failed write left.
    ///
    /// # Errors
    /// What the system says; nothing may be appended then.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if let (true, Some(size)) = (self.torn, self.size) {
            self.file.set_len(size)?;
            self.torn = false;
        }
        if !self.carry.is_empty() {
            let (written, outcome) = write_all(&self.file, &self.carry);
            self.carry.drain(..written);
            outcome?;
        }
        Ok(())
    }

    /// Whether the file is where it was made, and holds what was written to it.
    pub(super) fn place(&self) -> Place {
        // Looked at after each group, so where our file is at its path, that one look tells all of it.
        match fs::symlink_metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == self.id => {
                if self.is_altered(&there) {
                    Place::Wrong(Fault::Altered)
                } else {
                    Place::There
                }
            }
            there => self.elsewhere(there.map(drop)),
        }
    }

    /// The same where something else is at the path, or nothing, or where that cannot be seen.
    fn elsewhere(&self, there: io::Result<()>) -> Place {
        let Ok(ours) = self.file.metadata() else { return Place::Wrong(Fault::Io) };
        match there {
            Ok(()) => Place::Wrong(Fault::Replaced),
            Err(_) if ours.nlink() == 0 => Place::Wrong(Fault::Deleted),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Renamed,
            Err(_) => Place::Wrong(Fault::Io),
        }
    }

    /// Whether it holds something else than what was written to it, by its size.
    pub(super) fn is_whole(&self) -> bool {
        self.file.metadata().is_ok_and(|ours| !self.is_altered(&ours))
    }

    /// Whether nothing is at the path.
    pub(super) fn is_path_free(&self) -> bool {
        fs::symlink_metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// The open file, to be flushed by somebody else.
    pub(super) fn handle(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    fn is_altered(&self, ours: &Metadata) -> bool {
        self.size.is_some_and(|size| !self.torn && ours.len() != size)
    }

    fn repair(&mut self) -> io::Result<Tail> {
        let Some(size) = self.size else { return Ok(Tail { last: None, torn: 0 }) };
        let mut held: Vec<u8> = Vec::new();
        let mut start = size;
        // From the end back until two newlines are seen: the end of the last line, and that of the one before.
        while start > 0 && !has_two_lines(&held) && held.len() <= 2 * LINE_MAX {
            let from = start.saturating_sub(STEP);
            let mut step = vec![0; usize::try_from(start - from).unwrap_or_default()];
            let mut file = &*self.file;
            file.seek(SeekFrom::Start(from))?;
            file.read_exact(&mut step)?;
            step.append(&mut held);
            held = step;
            start = from;
        }
        let end = held.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let torn = (held.len() - end) as u64;
        if torn > 0 {
            if end == 0 && start > 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not end in lines; move it away"));
            }
            self.file.set_len(size - torn)?;
            self.size = Some(size - torn);
        }
        let lines = &held[..end.saturating_sub(1)];
        let begin = lines.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        Ok(Tail { last: (end > 0).then(|| lines[begin..].to_vec()), torn })
    }
}

/// Whether two newlines are in it.
fn has_two_lines(bytes: &[u8]) -> bool {
    let mut ends = bytes.iter().rev().filter(|b| **b == b'\n');
    ends.next().is_some() && ends.next().is_some()
}

/// Which fault an error of the system amounts to.
pub(super) fn fault_of(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Fault::Full,
        _ => Fault::Io,
    }
}

/// Writes all, and says how much of it was taken where that fails.
fn write_all(mut file: &File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// No link is followed, and opening a pipe does not wait for its reader.
fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(i32::try_from(flags.bits()).expect("open flags are an int"));
    options
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let shown = path.display();
    let kind = metadata.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(format!("{shown}: neither a regular file nor a named pipe; choose another journal.path"));
    }
    let us = geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != us {
        return Err(format!(
            "{shown}: belongs to user {}, not to root or us; chown it, or move it away",
            metadata.uid()
        ));
    }
    let mode = metadata.mode() & 0o7777;
    // Reading is for whoever ships it, by its group; writing is for nobody else.
    if mode & 0o037 != 0 {
        return Err(format!("{shown}: others may read or write it (mode {mode:04o}); chmod 0600 it"));
    }
    Ok(())
}

/// A new name in a folder lasts once the folder is flushed; where that cannot be, the file is there all the same.
fn flush_folder(path: &Path) {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

fn cannot(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{shown}: the folder is not there; make it, set journal.path, or, to run without a journal, journal.enabled = false"
        ),
        io::ErrorKind::PermissionDenied => format!("{shown}: we may not write it; chown the folder to our user"),
        io::ErrorKind::ReadOnlyFilesystem => format!(
            "{shown}: it lies on what is mounted read-only; remount it writable, or set journal.path to a place that is"
        ),
        _ => format!("{shown}: {error}"),
    }
}

#[cfg(test)]
mod tests;
