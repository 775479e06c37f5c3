//! Which user a hubLoginToken belongs to, as rows. There may be as many as there are logins; so many are kept, and one more
//! pushes out the oldest.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::{
    put,
    rows::{NEVER, Unread, crc},
};
use crate::{clock::UnixSeconds, ledger::binding::Binding};

/// Bindings that are kept.
const MOST: i64 = if cfg!(test) { 20 } else { 1_000_000 };
/// Bindings of one hubLoginToken that are looked at.
const OF_ONE: i64 = 16;

/// What [`read`] reads, in order.
const READ: &str = "SELECT apps.name, digest, grant_id, bindings.name, bound_at, issued_at, ends, due, bindings.crc \
                    FROM bindings JOIN apps ON apps.id = bindings.app";

/// Keeps one.
pub(super) fn bind(transaction: &Transaction<'_>, binding: &Binding) -> Result<(), Unread> {
    let app = put::app_id(transaction, &binding.app)?;
    let kept: i64 = transaction.query_row("SELECT value FROM counts WHERE name = 'bindings'", [], |row| row.get(0))?;
    if kept >= MOST {
        let oldest = "DELETE FROM bindings WHERE id IN (SELECT id FROM bindings WHERE due = 0 ORDER BY id LIMIT ?1)";
        removed(transaction, transaction.execute(oldest, [kept - MOST + 1])?)?;
    }
    transaction
        .prepare(
            "INSERT INTO bindings (app, digest, grant_id, name, bound_at, issued_at, ends, due, crc) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            app,
            binding.digest,
            binding.grant_id,
            binding.name,
            binding.bound_at.0,
            binding.issued_at.0,
            ends(binding),
            due(binding),
            sum(binding)
        ])?;
    put::count(transaction, "bindings", 1)
}

/// Notes that Hub has the token of a grant, and forgets the earlier bindings of the same hubLoginToken. Nothing, where the
/// binding is not there.
pub(super) fn deliver(transaction: &Transaction<'_>, grant_id: &[u8; 16]) -> Result<(), Unread> {
    let found = transaction.query_row(&format!("{READ} WHERE grant_id = ?1"), [grant_id], |row| Ok(read(row)));
    let Some(found) = found.optional()? else { return Ok(()) };
    let binding = Binding { due: None, ..found? };
    let mut delivered = transaction.prepare("UPDATE bindings SET due = 0, crc = ?2 WHERE grant_id = ?1")?;
    delivered.execute(params![grant_id, sum(&binding)])?;
    let mut earlier = transaction.prepare(
        "DELETE FROM bindings WHERE app = ?1 AND digest = ?2 AND due = 0 \
         AND id < (SELECT id FROM bindings WHERE grant_id = ?3)",
    )?;
    let gone = earlier.execute(params![put::app_id(transaction, &binding.app)?, binding.digest, grant_id])?;
    removed(transaction, gone)
}

/// Forgets one.
pub(super) fn unbind(transaction: &Transaction<'_>, grant_id: &[u8; 16]) -> Result<(), Unread> {
    removed(transaction, transaction.execute("DELETE FROM bindings WHERE grant_id = ?1", [grant_id])?)
}

/// Forgets what ended by then, so many at most; gives how many.
pub(super) fn sweep(transaction: &Transaction<'_>, ended_by: UnixSeconds, most: i64) -> Result<usize, Unread> {
    let ended = "DELETE FROM bindings WHERE id IN (SELECT id FROM bindings WHERE ends <= ?1 AND due = 0 LIMIT ?2)";
    let swept = transaction.execute(ended, [ended_by.0, most])?;
    removed(transaction, swept)?;
    Ok(swept)
}

/// Those of a hubLoginToken whose token Hub has, the newest first.
pub(super) fn of(connection: &Connection, app: &str, digest: &[u8; 16]) -> Result<Vec<Binding>, Unread> {
    let mut rows = connection.prepare(&format!(
        "{READ} WHERE apps.name = ?1 AND digest = ?2 AND due = 0 ORDER BY bindings.id DESC LIMIT {OF_ONE}"
    ))?;
    let rows = rows.query_map(params![app, digest], |row| Ok(read(row)))?;
    rows.map(|row| row?).collect()
}

/// Those of which it should be known by `now` whether Hub has their token.
pub(super) fn overdue(connection: &Connection, now: UnixSeconds, most: i64) -> Result<Vec<Binding>, Unread> {
    let mut rows = connection.prepare(&format!("{READ} WHERE due > 0 AND due <= ?1 LIMIT ?2"))?;
    let rows = rows.query_map([now.0, most], |row| Ok(read(row)))?;
    rows.map(|row| row?).collect()
}

fn removed(transaction: &Transaction<'_>, rows: usize) -> Result<(), Unread> {
    put::count(transaction, "bindings", -i64::try_from(rows).unwrap_or(i64::MAX))
}

fn read(row: &Row<'_>) -> Result<Binding, Unread> {
    let id =
        |at| row.get_ref(at)?.as_blob().ok().and_then(|bytes| bytes.try_into().ok()).ok_or(Unread::Altered("bindings"));
    let (ends, due): (i64, i64) = (row.get(6)?, row.get(7)?);
    let binding = Binding {
        app: row.get::<_, String>(0)?.into(),
        digest: id(1)?,
        grant_id: id(2)?,
        name: row.get(3)?,
        bound_at: UnixSeconds(row.get(4)?),
        issued_at: UnixSeconds(row.get(5)?),
        ends: (ends != NEVER).then_some(UnixSeconds(ends)),
        due: (due != 0).then_some(UnixSeconds(due)),
    };
    if row.get::<_, i64>(8)? == sum(&binding) { Ok(binding) } else { Err(Unread::Altered("bindings")) }
}

fn ends(binding: &Binding) -> i64 {
    binding.ends.map_or(NEVER, |at| at.0)
}

fn due(binding: &Binding) -> i64 {
    binding.due.map_or(0, |at| at.0.max(1))
}

fn sum(binding: &Binding) -> i64 {
    crc(&[
        binding.app.as_bytes(),
        &binding.digest,
        &binding.grant_id,
        &binding.name,
        &binding.bound_at.0.to_be_bytes(),
        &binding.issued_at.0.to_be_bytes(),
        &ends(binding).to_be_bytes(),
        &due(binding).to_be_bytes(),
    ])
}
