//! Rows and what they stand for. Each carries a CRC over all that it says, so that a flipped bit is noticed; that is no
//! security, since whoever can write the file can compute it.

use rusqlite::{Connection, Row, params};

use crate::{
    clock::UnixSeconds,
    hub::{
        app::Ttl,
        revocation::{Entry, Kind},
    },
    ledger::home::{Kept, UsageRow},
};

/// Never, where a time or a span is kept.
pub(super) const NEVER: i64 = i64::MAX;

/// Why a row is not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The database says so.
    Database(rusqlite::Error),
    /// It does not say what was written; which table.
    Altered(&'static str),
}

impl From<rusqlite::Error> for Unread {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// The check value over parts, each with its length.
pub(super) fn crc(parts: &[&[u8]]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    for part in parts {
        crc.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        crc.update(part);
    }
    crc.finalize().into()
}

/// A revocation as a row has it, with names in place of numbers.
pub(super) struct Revocation<'a> {
    pub(super) change: i64,
    pub(super) app: &'a str,
    pub(super) kind: Kind,
    pub(super) subject: [u8; 16],
    pub(super) until: i64,
    pub(super) ends: i64,
    pub(super) made_at: i64,
    pub(super) keyring: &'a str,
}

impl Revocation<'_> {
    pub(super) fn crc(&self) -> i64 {
        crc(&[
            &self.change.to_be_bytes(),
            self.app.as_bytes(),
            &[number(self.kind)],
            &self.subject,
            &self.until.to_be_bytes(),
            &self.ends.to_be_bytes(),
            &self.made_at.to_be_bytes(),
            self.keyring.as_bytes(),
        ])
    }

    pub(super) fn kept(&self) -> Kept {
        let entry = Entry {
            app: self.app.into(),
            kind: self.kind,
            subject: self.subject,
            until: UnixSeconds(self.until),
            ends: (self.ends != NEVER).then_some(UnixSeconds(self.ends)),
        };
        Kept { change: self.change.unsigned_abs(), entry, made_at: UnixSeconds(self.made_at) }
    }
}

/// The number that stands for a kind.
pub(super) const fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Token => 1,
        Kind::Grant => 2,
        Kind::User => 3,
        Kind::App => 4,
    }
}

pub(super) fn kind(number: i64) -> Option<Kind> {
    Kind::ALL.into_iter().find(|&kind| i64::from(self::number(kind)) == number)
}

/// The columns that [`Names::revocation`] reads, in order.
pub(super) const REVOCATION: &str = "change, app, kind, subject, until, ends, made_at, keyring, crc";

/// The names that numbers in rows stand for.
#[derive(Default)]
pub(super) struct Names {
    apps: Vec<(i64, Box<str>)>,
    keyrings: Vec<(i64, String)>,
}

impl Names {
    pub(super) fn read(connection: &Connection) -> Result<Self, Unread> {
        let mut names = Self::default();
        let mut apps = connection.prepare("SELECT id, name FROM apps")?;
        for row in apps.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))? {
            let (id, name) = row?;
            names.apps.push((id, name.into()));
        }
        let mut keyrings = connection.prepare("SELECT id, name FROM keyrings")?;
        for row in keyrings.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
            names.keyrings.push(row?);
        }
        Ok(names)
    }

    pub(super) fn app(&self, id: i64) -> Option<&str> {
        self.apps.iter().find(|(known, _)| *known == id).map(|(_, name)| &**name)
    }

    /// Reads a row of [`REVOCATION`].
    pub(super) fn revocation(&self, row: &Row<'_>) -> Result<Revocation<'_>, Unread> {
        let altered = || Unread::Altered("revocations");
        let keyring: i64 = row.get(7)?;
        let revocation = Revocation {
            change: row.get(0)?,
            app: self.app(row.get(1)?).ok_or_else(altered)?,
            kind: kind(row.get(2)?).ok_or_else(altered)?,
            subject: row.get_ref(3)?.as_blob().ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(altered)?,
            until: row.get(4)?,
            ends: row.get(5)?,
            made_at: row.get(6)?,
            keyring: match keyring {
                0 => "",
                id => {
                    self.keyrings.iter().find(|(known, _)| *known == id).map(|(_, name)| &**name).ok_or_else(altered)?
                }
            },
        };
        if row.get::<_, i64>(8)? == revocation.crc() { Ok(revocation) } else { Err(altered()) }
    }
}

/// The random name of the ledger.
pub(super) fn ledger_id(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT value FROM meta WHERE name = 'ledger_id'", [], |row| row.get(0))
}

/// The highest generation of each keyring.
pub(super) fn generations(connection: &Connection) -> Result<Vec<(String, u64)>, Unread> {
    let mut rows = connection.prepare("SELECT name, generation, crc FROM keyrings")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (name, generation, crc): (String, i64, i64) = row?;
        let sound = crc == of_keyring(&name, generation);
        if sound { Ok((name, generation.unsigned_abs())) } else { Err(Unread::Altered("keyrings")) }
    })
    .collect()
}

/// The longest lifetimes of apps that have one.
pub(super) fn longest(connection: &Connection) -> Result<Vec<(Box<str>, Ttl)>, Unread> {
    let mut rows = connection.prepare("SELECT name, longest, crc FROM apps")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows = rows.map(|row| {
        let (name, longest, crc): (String, i64, i64) = row?;
        if crc != of_app(&name, longest) {
            return Err(Unread::Altered("apps"));
        }
        let ttl = if longest == NEVER { Ttl::Never } else { Ttl::Seconds(longest) };
        Ok((longest > 0).then(|| (name.into(), ttl)))
    });
    rows.filter_map(Result::transpose).collect()
}

/// What is known of the use of a keyring's versions, each row with the slot of who noted it.
pub(super) fn usage(connection: &Connection, keyring: &str) -> Result<Vec<(u32, UsageRow)>, Unread> {
    let mut rows = connection.prepare(
        "SELECT usage.key, version, slot, known_since, first_mint, last_mint, first_verify, last_verify, seals, \
         latest_expiry, usage.crc FROM usage JOIN keyrings ON keyrings.id = usage.keyring \
         WHERE keyrings.name = ?1 ORDER BY usage.key, version, slot",
    )?;
    let rows = rows.query_map([keyring], |row| {
        let usage = UsageRow {
            key: row.get(0)?,
            version: row.get(1)?,
            known_since: row.get(3)?,
            first_mint: row.get(4)?,
            last_mint: row.get(5)?,
            first_verify: row.get(6)?,
            last_verify: row.get(7)?,
            seals: row.get::<_, i64>(8)?.unsigned_abs(),
            latest_expiry: row.get(9)?,
        };
        Ok((row.get(2)?, usage, row.get(10)?))
    })?;
    rows.map(|row| {
        let (slot, row, crc): (u32, _, i64) = row?;
        if crc == of_usage(keyring, slot, &row) { Ok((slot, row)) } else { Err(Unread::Altered("usage")) }
    })
    .collect()
}

/// Puts a row in the place of the one that the slot had.
pub(super) fn put_usage(
    connection: &Connection,
    keyring: &str,
    id: i64,
    slot: u32,
    row: &UsageRow,
) -> Result<(), Unread> {
    let seals = i64::try_from(row.seals).unwrap_or(i64::MAX);
    let row = UsageRow { seals: seals.unsigned_abs(), ..row.clone() };
    connection
        .prepare("INSERT OR REPLACE INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?
        .execute(params![
            id,
            row.key,
            row.version,
            slot,
            row.known_since,
            row.first_mint,
            row.last_mint,
            row.first_verify,
            row.last_verify,
            seals,
            row.latest_expiry,
            of_usage(keyring, slot, &row)
        ])?;
    Ok(())
}

pub(super) fn of_keyring(name: &str, generation: i64) -> i64 {
    crc(&[name.as_bytes(), &generation.to_be_bytes()])
}

pub(super) fn of_app(name: &str, longest: i64) -> i64 {
    crc(&[name.as_bytes(), &longest.to_be_bytes()])
}

fn of_usage(keyring: &str, slot: u32, row: &UsageRow) -> i64 {
    let time = |time: Option<i64>| {
        time.map_or([0; 9], |at| {
            let mut bytes = [1; 9];
            bytes[1..].copy_from_slice(&at.to_be_bytes());
            bytes
        })
    };
    crc(&[
        keyring.as_bytes(),
        row.key.as_bytes(),
        &row.version.to_be_bytes(),
        &slot.to_be_bytes(),
        &time(row.known_since),
        &time(row.first_mint),
        &time(row.last_mint),
        &time(row.first_verify),
        &time(row.last_verify),
        &row.seals.to_be_bytes(),
        &time(row.latest_expiry),
    ])
}
