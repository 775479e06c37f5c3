//! The home of a ledger in one file, by `SQLite`: a write-ahead log, flushed to the disk with each transaction. Several
//! processes may have it open; each sees what the others wrote.

mod bindings;
mod look;
mod open;
mod put;
mod rows;
mod schema;
mod slot;

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

pub(super) use self::look::glance;
use self::{
    rows::{Names, REVOCATION, Unread},
    slot::Slot,
};
use super::{
    binding::Binding,
    home::{Change, Home, Known, Loaded, News, Page, Trouble, Use, Wanted},
};
use crate::{clock::UnixSeconds, hub::revocation::Denied, metrics::LedgerFault};

/// Bytes of a file up to which its pages are checked before the start goes on; of a larger one, after it.
const CHECKED_FIRST: u64 = 8 << 20;
/// Rows that one page of a list looks at, or one sweep removes, at most: nothing else is written meanwhile.
const AT_ONCE: i64 = if cfg!(test) { 200 } else { 20_000 };

/// A ledger's file.
pub(super) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    identity: (u64, u64),
    /// The last change that was read.
    read: i64,
    /// As the database numbers what other connections did.
    version: i64,
    /// We have written since it was last asked for news.
    wrote: bool,
    /// Its pages have been checked.
    checked: bool,
    /// Our place among those who note use, once we do.
    slot: Option<Slot>,
}

impl Sqlite {
    /// Opens the file or makes it; gives the id of the ledger too. `fresh` is the id of a new one.
    ///
    /// # Errors
    /// What is wrong, in one line that says what to do.
    pub(super) fn open(path: &Path, fresh: &str) -> Result<(Self, String), String> {
        let open::Opened { connection, path, identity } = open::open(path, fresh)?;
        let mut opened =
            Self { connection, path, identity, read: 0, version: 0, wrote: false, checked: false, slot: None };
        if opened.size() <= CHECKED_FIRST {
            open::check_pages(&opened.connection, &opened.path)?;
            opened.checked = true;
        }
        let id = rows::ledger_id(&opened.connection).map_err(|error| open::refused(&opened.path, &error))?;
        Ok((opened, id))
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// What is wrong, in one line that says what to do.
    pub(super) fn load(&mut self) -> Result<Loaded, String> {
        self.load_rows().map_err(|unread| match unread {
            Unread::Database(error) => open::refused(&self.path, &error),
            Unread::Altered(table) => open::damaged(&self.path, &altered(table)),
        })
    }

    /// What looks whether the pages hold together, where that was put off; to be run on a thread of its own.
    pub(super) fn check_later(&self) -> Option<impl FnOnce() -> Result<(), String> + Send + use<>> {
        let path = self.path.clone();
        (!self.checked).then_some(move || {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags).map_err(|error| open::refused(&path, &error))?;
            open::check_pages(&connection, &path)
        })
    }

    fn load_rows(&mut self) -> Result<Loaded, Unread> {
        let transaction = self.connection.transaction()?;
        let names = Names::read(&transaction)?;
        let mut loading = Denied::load();
        let mut expected = transaction.prepare("SELECT app, kind, count(*) FROM revocations GROUP BY app, kind")?;
        let mut counted = expected.query([])?;
        while let Some(row) = counted.next()? {
            let kind = rows::kind(row.get(1)?).ok_or(Unread::Altered("revocations"))?;
            let app = names.app(row.get(0)?).ok_or(Unread::Altered("revocations"))?;
            loading.expect(app, kind, row.get::<_, u32>(2)? as usize);
        }
        let mut users: Vec<(String, u64)> = Vec::new();
        let (mut count, mut last) = (0_i64, 0);
        let mut all = transaction.prepare(&format!("SELECT {REVOCATION} FROM revocations ORDER BY change"))?;
        let mut all = all.query([])?;
        while let Some(row) = all.next()? {
            let revocation = names.revocation(row)?;
            loading.add(&revocation.kept().entry);
            (count, last) = (count + 1, revocation.change);
            if !revocation.keyring.is_empty() {
                match users.iter_mut().find(|(keyring, _)| keyring == revocation.keyring) {
                    Some((_, users)) => *users += 1,
                    None => users.push((revocation.keyring.to_owned(), 1)),
                }
            }
        }
        let written: i64 =
            transaction.query_row("SELECT value FROM counts WHERE name = 'revocations'", [], |row| row.get(0))?;
        if written != count {
            return Err(Unread::Altered("revocations"));
        }
        let known = Known { generations: rows::generations(&transaction)?, longest: rows::longest(&transaction)? };
        self.version = transaction.pragma_query_value(None, "data_version", |row| row.get(0))?;
        self.read = last;
        Ok(Loaded { denied: loading.finish(), users, known })
    }

    /// Our place among those who note use in this ledger, taken where we have none yet.
    fn slot(&mut self) -> Result<u32, Trouble> {
        if self.slot.is_none() {
            self.slot = Some(Slot::take(&self.path)?);
        }
        Ok(self.slot.as_ref().map_or(0, |slot| slot.number))
    }

    /// Whether the file is still the one at the path: what is written to another would be lost with this process.
    fn in_place(&self) -> Result<(), Trouble> {
        match fs::symlink_metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == self.identity => Ok(()),
            Ok(_) => Err(Trouble::new(LedgerFault::Replaced, "another file lies at the path")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Trouble::new(LedgerFault::Deleted, "nothing lies at the path"))
            }
            Err(error) => Err(Trouble::new(LedgerFault::Io, error.to_string())),
        }
    }
}

impl Home for Sqlite {
    fn commit(&mut self, changes: &[Change]) -> Result<(), Trouble> {
        self.in_place()?;
        let slot = changes.iter().any(|change| matches!(change, Change::Usage { .. })).then(|| self.slot());
        let slot = slot.transpose()?.unwrap_or_default();
        let written = write(&mut self.connection, |transaction| {
            changes.iter().try_for_each(|change| put::put(transaction, change, slot))
        });
        self.wrote |= written.is_ok();
        written
    }

    fn news(&mut self) -> Result<Option<News>, Trouble> {
        self.in_place()?;
        let read = |connection: &Connection, wrote: bool, version: i64, last: i64| {
            let now: i64 = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
            if now == version && !wrote {
                return Ok(None);
            }
            let names = Names::read(connection)?;
            let (mut entries, mut last) = (Vec::new(), last);
            let mut fresh = connection.prepare(&format!(
                "SELECT {REVOCATION} FROM revocations WHERE change > ?1 ORDER BY change LIMIT {AT_ONCE}"
            ))?;
            let mut fresh = fresh.query([last])?;
            while let Some(row) = fresh.next()? {
                let revocation = names.revocation(row)?;
                last = revocation.change;
                entries.push(revocation.kept().entry);
            }
            let known = Known { generations: rows::generations(connection)?, longest: rows::longest(connection)? };
            let is_all = i64::try_from(entries.len()).unwrap_or(i64::MAX) < AT_ONCE;
            Ok(Some((now, last, is_all, News { entries, known })))
        };
        // One view of it all.
        let transaction = self.connection.transaction().map_err(|error| trouble(&error))?;
        let found =
            read(&transaction, self.wrote, self.version, self.read).map_err(|unread| unread_trouble(&unread))?;
        drop(transaction);
        Ok(found.map(|(version, last, is_all, news)| {
            self.read = last;
            // Else there is more, which is read when it is asked the next time.
            if is_all {
                (self.version, self.wrote) = (version, false);
            }
            news
        }))
    }

    fn list(&mut self, before: u64, limit: usize, wanted: Wanted<'_>) -> Result<Page, Trouble> {
        let mut page = |connection: &Connection| {
            let names = Names::read(connection)?;
            let before = i64::try_from(before).unwrap_or(i64::MAX);
            let mut rows = connection.prepare(&format!(
                "SELECT {REVOCATION} FROM revocations WHERE change < ?1 ORDER BY change DESC LIMIT {AT_ONCE}"
            ))?;
            let mut rows = rows.query([before])?;
            let (mut page, mut looked) = (Page::default(), 0);
            while let Some(row) = rows.next()? {
                let kept = names.revocation(row)?.kept();
                looked += 1;
                page.next = Some(kept.change);
                if wanted(&kept) {
                    page.found.push(kept);
                    if page.found.len() == limit {
                        return Ok(page);
                    }
                }
            }
            if looked < AT_ONCE {
                page.next = None;
            }
            Ok(page)
        };
        let transaction = self.connection.transaction().map_err(|error| trouble(&error))?;
        page(&transaction).map_err(|unread| unread_trouble(&unread))
    }

    fn usage(&mut self, keyring: &str, is_noting: bool) -> Result<Use, Trouble> {
        let slot = is_noting.then(|| self.slot()).transpose()?;
        let rows = rows::usage(&self.connection, keyring).map_err(|unread| unread_trouble(&unread))?;
        let (own, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(of, _)| Some(*of) == slot);
        let rows = |of: Vec<(u32, _)>| of.into_iter().map(|(_, row)| row).collect();
        Ok(Use { own: rows(own), others: rows(others) })
    }

    fn bindings(&mut self, app: &str, digest: &[u8; 16]) -> Result<Vec<Binding>, Trouble> {
        bindings::of(&self.connection, app, digest).map_err(|unread| unread_trouble(&unread))
    }

    fn overdue(&mut self, now: UnixSeconds) -> Result<Vec<Binding>, Trouble> {
        bindings::overdue(&self.connection, now, AT_ONCE).map_err(|unread| unread_trouble(&unread))
    }

    fn sweep(&mut self, ended_by: UnixSeconds) -> Result<u64, Trouble> {
        self.in_place()?;
        let mut swept = 0;
        write(&mut self.connection, |transaction| {
            swept = transaction.execute(
                &format!(
                    "DELETE FROM revocations WHERE change IN (SELECT change FROM revocations WHERE ends <= ?1 LIMIT {AT_ONCE})"
                ),
                [ended_by.0],
            )?;
            put::count(transaction, "revocations", -i64::try_from(swept).unwrap_or(i64::MAX))?;
            swept += bindings::sweep(transaction, ended_by, AT_ONCE)?;
            Ok(())
        })?;
        Ok(swept as u64)
    }

    fn probe(&mut self) -> Result<(), Trouble> {
        self.in_place()?;
        write(&mut self.connection, |transaction| {
            transaction.execute("UPDATE counts SET value = value + 1 WHERE name = 'probe'", [])?;
            Ok(())
        })
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn size(&self) -> u64 {
        let beside = |extension: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(extension);
            fs::symlink_metadata(name).map_or(0, |metadata| metadata.len())
        };
        ["", "-wal", "-shm"].into_iter().map(beside).sum()
    }
}

/// One transaction: all of it, or nothing.
fn write(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<(), Unread>,
) -> Result<(), Trouble> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = transaction.map_err(|error| trouble(&error))?;
    work(&transaction).map_err(|unread| unread_trouble(&unread))?;
    transaction.commit().map_err(|error| trouble(&error))
}

fn altered(table: &str) -> String {
    format!("a row of {table} is not as it was written")
}

fn unread_trouble(unread: &Unread) -> Trouble {
    match unread {
        Unread::Database(error) => trouble(error),
        Unread::Altered(table) => Trouble::new(LedgerFault::Damaged, altered(table)),
    }
}

/// What an error of the database means. Its text names tables and files, never values.
fn trouble(error: &rusqlite::Error) -> Trouble {
    let fault = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LedgerFault::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => LedgerFault::ReadOnly,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            LedgerFault::Locked
        }
        // Unknown is a table or column that is not there, none a value of another type.
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::Unknown,
        )
        | None => LedgerFault::Damaged,
        Some(_) => LedgerFault::Io,
    };
    Trouble::new(fault, error.to_string())
}
