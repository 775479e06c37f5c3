//! The tables, and how older ones become these. docs/formats.md lists them. What is kept is checked by a CRC in each
//! row: the database's own checks see a damaged page, not a flipped bit in a value.

use rusqlite::{Connection, TransactionBehavior};

/// "CSLG": marks the file as a ledger.
pub(super) const APPLICATION_ID: i64 = 0x4353_4C47;

/// Each step makes the next version of the schema; the version is the number of steps that were taken.
const STEPS: &[&str] = &[
    "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO counts VALUES ('revocations', 0), ('probe', 0);
    CREATE TABLE keyrings (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        generation INTEGER NOT NULL,
        crc INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE apps (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        longest INTEGER NOT NULL,
        crc INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE revocations (
        change INTEGER PRIMARY KEY AUTOINCREMENT,
        app INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        subject BLOB NOT NULL,
        until INTEGER NOT NULL,
        ends INTEGER NOT NULL,
        made_at INTEGER NOT NULL,
        keyring INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        UNIQUE (app, kind, subject)
    ) STRICT;
    CREATE TABLE usage (
        keyring INTEGER NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        known_since INTEGER,
        first_mint INTEGER,
        last_mint INTEGER,
        first_verify INTEGER,
        last_verify INTEGER,
        seals INTEGER NOT NULL,
        latest_expiry INTEGER,
        crc INTEGER NOT NULL,
        PRIMARY KEY (keyring, key, version, slot)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE bindings (
        id INTEGER PRIMARY KEY,
        app INTEGER NOT NULL,
        digest BLOB NOT NULL,
        grant_id BLOB NOT NULL UNIQUE,
        name BLOB NOT NULL,
        bound_at INTEGER NOT NULL,
        issued_at INTEGER NOT NULL,
        ends INTEGER NOT NULL,
        due INTEGER NOT NULL,
        crc INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX bindings_by_digest ON bindings (app, digest);
    CREATE INDEX bindings_by_due ON bindings (due) WHERE due > 0;
    INSERT INTO counts VALUES ('bindings', 0);
",
];

/// The version that this program writes: the number of the steps.
pub(super) const VERSION: i64 = 2;

const _: () = assert!(VERSION == 2 && STEPS.len() == 2);

/// What a file is found to be.
pub(super) enum Found {
    /// Of this version, or an older one.
    Ours,
    /// A ledger of a later version.
    Newer(i64),
    /// Another program's.
    Foreign,
}

/// What a file is; `None` where nothing is in it yet.
pub(super) fn found(connection: &Connection) -> rusqlite::Result<Option<Found>> {
    let read = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (read("application_id")?, read("user_version")?);
    let is_empty = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0;
    Ok(match (application, version) {
        (0, 0) if is_empty => None,
        (APPLICATION_ID, version) if version > VERSION => Some(Found::Newer(version)),
        (APPLICATION_ID, 1..) => Some(Found::Ours),
        _ => Some(Found::Foreign),
    })
}

/// Brings the file to this version, where it is older or empty. `fresh` gives the id of a new ledger.
pub(super) fn migrate(connection: &mut Connection, fresh: &str) -> rusqlite::Result<Found> {
    // Of two processes that begin at once, one finds the work of the other done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = match found(&transaction)? {
        Some(Found::Ours) => transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?,
        Some(other) => return Ok(other),
        None => 0,
    };
    if version == VERSION {
        return Ok(Found::Ours);
    }
    let done = usize::try_from(version).unwrap_or(0);
    for step in &STEPS[done..] {
        transaction.execute_batch(step)?;
    }
    if done == 0 {
        transaction.execute("INSERT INTO meta VALUES ('ledger_id', ?1)", [fresh])?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(Found::Ours)
}
