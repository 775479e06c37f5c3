//! Changes, as rows.

use rusqlite::{Transaction, params};

use super::{
    bindings,
    rows::{self, NEVER, REVOCATION, Revocation, Unread, number},
};
use crate::{
    clock::UnixSeconds,
    hub::{app::Ttl, revocation::Entry},
    ledger::home::Change,
};

/// Makes one change; `slot` is our place among those who note use.
pub(super) fn put(transaction: &Transaction<'_>, change: &Change, slot: u32) -> Result<(), Unread> {
    match change {
        Change::Revoke { entry, made_at, keyring } => revoke(transaction, entry, *made_at, keyring),
        Change::Generation { keyring, generation } => {
            let generation = i64::try_from(*generation).unwrap_or(i64::MAX);
            keyring_id(transaction, keyring)?;
            let mut raise = transaction
                .prepare("UPDATE keyrings SET generation = ?2, crc = ?3 WHERE name = ?1 AND generation < ?2")?;
            raise.execute(params![keyring, generation, rows::of_keyring(keyring, generation)])?;
            Ok(())
        }
        Change::Longest { app, ttl } => {
            let longest = match ttl {
                Ttl::Never => NEVER,
                Ttl::Seconds(seconds) => *seconds,
            };
            app_id(transaction, app)?;
            let mut raise =
                transaction.prepare("UPDATE apps SET longest = ?2, crc = ?3 WHERE name = ?1 AND longest < ?2")?;
            raise.execute(params![app, longest, rows::of_app(app, longest)])?;
            Ok(())
        }
        Change::Usage { keyring, row } => {
            let id = keyring_id(transaction, keyring)?;
            rows::put_usage(transaction, keyring, id, slot, row)
        }
        Change::Bind(binding) => bindings::bind(transaction, binding),
        Change::Deliver { grant_id } => bindings::deliver(transaction, grant_id),
        Change::Unbind { grant_id } => bindings::unbind(transaction, grant_id),
    }
}

/// Keeps an entry, together with what is kept about the same thing: the later time, the later end. It gets a number of its
/// own, by which others find it.
fn revoke(transaction: &Transaction<'_>, entry: &Entry, made_at: UnixSeconds, keyring: &str) -> Result<(), Unread> {
    let app = app_id(transaction, &entry.app)?;
    let ring = if keyring.is_empty() { 0 } else { keyring_id(transaction, keyring)? };
    let (mut until, mut ends) = (entry.until.0, entry.ends.map_or(NEVER, |at| at.0));
    let key = params![app, number(entry.kind), entry.subject];
    let present = transaction
        .prepare("SELECT until, ends FROM revocations WHERE app = ?1 AND kind = ?2 AND subject = ?3")?
        .query_map(key, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    for (present_until, present_ends) in &present {
        (until, ends) = (until.max(*present_until), ends.max(*present_ends));
    }
    if present.is_empty() {
        count(transaction, "revocations", 1)?;
    } else {
        let mut gone = transaction.prepare("DELETE FROM revocations WHERE app = ?1 AND kind = ?2 AND subject = ?3")?;
        gone.execute(key)?;
    }
    let last: i64 = transaction.query_row(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'revocations'",
        [],
        |row| row.get(0),
    )?;
    let (app_name, kind, subject) = (&*entry.app, entry.kind, entry.subject);
    let row = Revocation { change: last + 1, app: app_name, kind, subject, until, ends, made_at: made_at.0, keyring };
    transaction
        .prepare(&format!("INSERT INTO revocations ({REVOCATION}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"))?
        .execute(params![row.change, app, number(kind), subject, until, ends, made_at.0, ring, row.crc()])?;
    Ok(())
}

pub(super) fn count(transaction: &Transaction<'_>, of: &str, more: i64) -> Result<(), Unread> {
    transaction.execute("UPDATE counts SET value = value + ?1 WHERE name = ?2", params![more, of])?;
    Ok(())
}

pub(super) fn app_id(transaction: &Transaction<'_>, name: &str) -> Result<i64, Unread> {
    transaction
        .prepare("INSERT OR IGNORE INTO apps (name, longest, crc) VALUES (?1, 0, ?2)")?
        .execute(params![name, rows::of_app(name, 0)])?;
    Ok(transaction.query_row("SELECT id FROM apps WHERE name = ?1", [name], |row| row.get(0))?)
}

fn keyring_id(transaction: &Transaction<'_>, name: &str) -> Result<i64, Unread> {
    transaction
        .prepare("INSERT OR IGNORE INTO keyrings (name, generation, crc) VALUES (?1, 0, ?2)")?
        .execute(params![name, rows::of_keyring(name, 0)])?;
    Ok(transaction.query_row("SELECT id FROM keyrings WHERE name = ?1", [name], |row| row.get(0))?)
}
