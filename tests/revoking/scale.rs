//! A million entries, put into the ledger's file by hand as docs/formats.md says: they are all in force, and take less
//! than 100 MiB of the process.

use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    asking::{auth, sealed, verdict},
    service::{CONFIG, Service, folder},
    tools::{metric, stop},
};

const ENTRIES: u32 = 1_000_000;
const MOST_BYTES: f64 = 100.0 * 1024.0 * 1024.0;

#[test]
fn a_million_entries_take_less_than_a_hundred_mebibytes() {
    let service = Service::start_in(folder(CONFIG));
    let token = sealed(&service, "jane");
    // What the first calls and connections take is not the entries'.
    assert_eq!(verdict(&service, auth(&token), "jane"), "VALID");
    let without = metric(&service, "process_resident_memory_bytes");
    let dir = stop(service);
    fill(&dir.path().join("ledger.sqlite"));
    let service = Service::start_in(dir);
    assert_eq!(verdict(&service, auth(&token), "jane"), "VALID");
    let with = metric(&service, "process_resident_memory_bytes");
    assert!(with - without < MOST_BYTES, "{} MiB", (with - without) / 1024.0 / 1024.0);
    eprintln!("{ENTRIES} entries take {:.1} MiB", (with - without) / 1024.0 / 1024.0);
    // New ones among them, also where they make the large table be built anew.
    service.ok("Revoke", &json!({"app": "acme", "tokenId": token["tokenId"]}));
    assert_eq!(verdict(&service, auth(&token), "jane"), "REVOKED");
    assert!(service.http("/readyz?verbose").1.contains(&format!("ledger: ok, {} revocations", ENTRIES + 1)));
    let with = metric(&service, "process_resident_memory_bytes");
    assert!(with - without < MOST_BYTES, "{} MiB", (with - without) / 1024.0 / 1024.0);
    stop(service);
}

fn fill(path: &Path) {
    let mut ledger = Connection::open(path).unwrap();
    let app: i64 = ledger.query_row("SELECT id FROM apps WHERE name = 'acme'", [], |row| row.get(0)).unwrap();
    ledger.pragma_update(None, "synchronous", "OFF").unwrap();
    let transaction = ledger.transaction().unwrap();
    {
        let mut insert = transaction
            .prepare("INSERT INTO revocations (change, app, kind, subject, until, ends, made_at, keyring, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)")
            .unwrap();
        let mut subjects: Vec<u128> =
            (1..=u128::from(ENTRIES)).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).collect();
        // In order, so that the index is written from its start to its end.
        subjects.sort_unstable();
        for (change, subject) in (1_i64..).zip(subjects) {
            let (kind, subject) = (1 + (change % 3) as u8, subject.to_be_bytes());
            let (until, ends, made_at) = (1_800_000_000_i64, i64::MAX, 1_700_000_000_i64);
            let mut crc = crc32fast::Hasher::new();
            for part in [
                &change.to_be_bytes()[..],
                b"acme",
                &[kind],
                &subject,
                &until.to_be_bytes(),
                &ends.to_be_bytes(),
                &made_at.to_be_bytes(),
                b"",
            ] {
                crc.update(&(part.len() as u32).to_be_bytes());
                crc.update(part);
            }
            insert.execute(params![change, app, kind, subject, until, ends, made_at, crc.finalize()]).unwrap();
        }
        transaction.execute("UPDATE counts SET value = ?1 WHERE name = 'revocations'", [ENTRIES]).unwrap();
    }
    transaction.commit().unwrap();
}
