//! Reading a ledger's file from outside: nothing is made, migrated or written.

use std::path::Path;

use rusqlite::Connection;

use super::{
    altered, open,
    rows::{self, Unread},
};
use crate::ledger::{glance::Glance, usage::by_version};

/// What the ledger in this file holds of a keyring; `None` where there is none.
pub(in crate::ledger) fn glance(path: &Path, keyring: &str) -> Result<Option<Glance>, String> {
    let Some((connection, path)) = open::open_to_look(path)? else { return Ok(None) };
    match look(&connection, path.display().to_string(), keyring) {
        Ok(glance) => Ok(Some(glance)),
        Err(Unread::Database(error)) => Err(open::refused(&path, &error)),
        Err(Unread::Altered(table)) => Err(open::damaged(&path, &altered(table))),
    }
}

fn look(connection: &Connection, path: String, keyring: &str) -> Result<Glance, Unread> {
    // One view of it all.
    let connection = connection.unchecked_transaction()?;
    let known = rows::generations(&connection)?.into_iter().find(|(known, _)| known == keyring);
    let used: Vec<_> = rows::usage(&connection, keyring)?.into_iter().map(|(_, row)| row).collect();
    Ok(Glance {
        id: rows::ledger_id(&connection)?,
        path,
        generation: known.map_or(0, |(_, generation)| generation),
        used: by_version(&used),
    })
}
