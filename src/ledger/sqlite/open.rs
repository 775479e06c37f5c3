//! From a path to a database that can be trusted: the file is judged, then what it says it is, then whether it holds
//! together. Refused is what is not so, in one line that says what to do.
//!
//! The file itself is never opened here but by the database: closing a second descriptor would give up the locks that
//! this process holds on it.

use std::{
    fmt,
    fs::{self, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::{
    fs::{Access, access},
    process::geteuid,
};

use super::{
    schema::{self, Found},
    trouble,
};
use crate::metrics::LedgerFault;

/// How long a transaction waits for the one of another process.
const BUSY: Duration = Duration::from_millis(500);
/// How often, and how long apart, another process is waited for while the file is being made.
const MAKING: (u32, Duration) = (50, Duration::from_millis(100));
/// KiB of pages that a connection keeps.
const CACHE: i64 = 512;
/// Bytes that the write-ahead log keeps on the disk once it was worked into the file.
const LOG: i64 = 4 << 20;

/// A database, and which file it is.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) identity: (u64, u64),
}

/// Opens the file, or makes it with a ledger of this id.
pub(super) fn open(path: &Path, fresh: &str) -> Result<Opened, String> {
    let path = real(path)?;
    let metadata = there(&path)?;
    check(&path, &metadata)?;
    // The database would only say that it cannot be opened.
    access(&path, Access::READ_OK | Access::WRITE_OK).map_err(|error| cannot_write(&path, &error))?;
    let said = |error: &rusqlite::Error| refused(&path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(|error| said(&error))?;
    prepare(&connection).map_err(|error| said(&error))?;
    match patient(|| schema::migrate(&mut connection, fresh)).map_err(|error| said(&error))? {
        Found::Ours => {}
        Found::Newer(version) => return Err(newer(&path, version)),
        Found::Foreign => return Err(foreign(&path)),
    }
    let mode =
        patient(|| connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)));
    if mode.map_err(|error| said(&error))? != "wal" {
        return Err(format!(
            "{}: its file system knows no shared memory, which a write-ahead log needs; choose a local disk in ledger.path",
            path.display()
        ));
    }
    Ok(Opened { connection, path, identity: (metadata.dev(), metadata.ino()) })
}

/// Opens a file that is there with a ledger in it, changing nothing; `None` where there is none. Where the file may be
/// written, what a process that was killed left in the log is worked into it, as by whoever opens it next.
pub(super) fn open_to_look(path: &Path) -> Result<Option<(Connection, PathBuf)>, String> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let path = real(path)?;
    check(&path, &there(&path)?)?;
    let may_write = access(&path, Access::READ_OK | Access::WRITE_OK).is_ok();
    let mode = if may_write { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let flags =
        mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let opened = Connection::open_with_flags(&path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        for (pragma, value) in [("query_only", "ON"), ("trusted_schema", "OFF"), ("cell_size_check", "ON")] {
            connection.pragma_update(None, pragma, value)?;
        }
        let found = schema::found(&connection)?;
        Ok((connection, found))
    });
    match opened.map_err(|error| refused(&path, &error))? {
        (_, None) => Ok(None),
        (connection, Some(Found::Ours)) => Ok(Some((connection, path))),
        (_, Some(Found::Newer(version))) => Err(newer(&path, version)),
        (_, Some(Found::Foreign)) => Err(foreign(&path)),
    }
}

/// Looks whether the pages hold together.
pub(super) fn check_pages(connection: &Connection, path: &Path) -> Result<(), String> {
    let found = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        .map_err(|error| refused(path, &error))?;
    if found == "ok" { Ok(()) } else { Err(damaged(path, &found)) }
}

/// One line for an error of the database.
pub(super) fn refused(path: &Path, error: &rusqlite::Error) -> String {
    let trouble = trouble(error);
    match trouble.fault {
        LedgerFault::Damaged => damaged(path, &trouble.said),
        LedgerFault::Locked => {
            format!("{}: another process holds it locked ({}); end that one first", path.display(), trouble.said)
        }
        LedgerFault::ReadOnly => cannot_write(path, &trouble.said),
        LedgerFault::Full => format!("{}: the disk or quota is full; make room", path.display()),
        _ => format!("{}: {}; check the disk, and that the folder is ours to write", path.display(), trouble.said),
    }
}

fn newer(path: &Path, version: i64) -> String {
    format!(
        "{}: it has schema {version}, and this version of Countersign knows up to {}; use the version that made it, or a \
         later one",
        path.display(),
        schema::VERSION
    )
}

fn foreign(path: &Path) -> String {
    format!(
        "{}: a database of another program; name another file in ledger.path, or move this one away",
        path.display()
    )
}

fn cannot_write(path: &Path, why: &dyn fmt::Display) -> String {
    format!(
        "{}: it cannot be written ({why}); give it and its folder to the service, and mount its file system for writing",
        path.display()
    )
}

/// One line for what does not hold together.
pub(super) fn damaged(path: &Path, what: &str) -> String {
    format!(
        "{}: the ledger is damaged ({}); keep the file, and put a copy from before in its place; without one, move it away \
         together with its -wal file, start with a new one, and revoke anew what must stay revoked",
        path.display(),
        what.replace('\n', " ")
    )
}

/// Tries again while another process is in the way.
fn patient<T>(mut what: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let (tries, pause) = MAKING;
    for _ in 0..tries {
        match what() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => thread::sleep(pause),
            done => return done,
        }
    }
    what()
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    for (pragma, value) in [("cache_size", -CACHE), ("mmap_size", 0), ("journal_size_limit", LOG)] {
        connection.pragma_update(None, pragma, value)?;
    }
    for (pragma, value) in
        [("synchronous", "FULL"), ("temp_store", "MEMORY"), ("trusted_schema", "OFF"), ("cell_size_check", "ON")]
    {
        connection.pragma_update(None, pragma, value)?;
    }
    Ok(())
}

/// The path with the links of its folder followed; one of the file itself is refused.
fn real(path: &Path) -> Result<PathBuf, String> {
    let name = path.file_name().ok_or_else(|| format!("{}: no name of a file; correct ledger.path", path.display()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{}: its folder is not there; make it (mkdir -m 0700), or correct ledger.path", path.display())
        }
        _ => format!("{}: {error}; check its folder", path.display()),
    })?;
    Ok(folder.join(name))
}

/// What the system says of the file, which is made where it is not there.
fn there(path: &Path) -> Result<Metadata, String> {
    let said = |error: io::Error| match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => cannot_write(path, &error),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{}: the disk or quota is full; make room", path.display())
        }
        _ => format!("{}: {error}; check its folder", path.display()),
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) => return Ok(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(said(error)),
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(said(error)),
    }
    fs::symlink_metadata(path).map_err(said)
}

/// The file is ours or root's, and nobody else's business.
fn check(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let shown = path.display();
    if !metadata.is_file() {
        return Err(format!("{shown}: no regular file (links are not followed); name the file itself in ledger.path"));
    }
    if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        return Err(format!("{shown}: it belongs to uid {}; it must belong to the service or to root", metadata.uid()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!("{shown}: its mode is {:04o}, open to others; chmod 0600 it", metadata.mode() & 0o7777));
    }
    Ok(())
}
