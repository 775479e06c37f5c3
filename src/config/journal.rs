//! The settings of the journal.

use std::{path::PathBuf, time::Duration};

use super::{raw, typed::span};
use crate::audit::{self, Durability};

pub(super) fn check(
    raw: &raw::Journal,
    path: impl Fn(&str, &str) -> Result<PathBuf, String>,
) -> Result<audit::Settings, String> {
    let durability = match raw.durability.as_str() {
        "write" => Durability::Write,
        "sync" => Durability::Sync,
        other => return Err(format!("journal.durability {other:?} is unknown; write \"write\" or \"sync\"")),
    };
    let all_verifications = match raw.verifications.as_str() {
        "failed" => false,
        "all" => true,
        other => return Err(format!("journal.verifications {other:?} is unknown; write \"failed\" or \"all\"")),
    };
    if !(10..=10_000).contains(&raw.wait_ms) {
        return Err(format!("journal.wait_ms is {}; it must be between 10 and 10000", raw.wait_ms));
    }
    if raw.seal_records == 0 {
        return Err("journal.seal_records is 0; at least 1 is needed".into());
    }
    Ok(audit::Settings {
        path: path(&raw.path, "journal.path")?,
        durability,
        wait: Duration::from_millis(raw.wait_ms.into()),
        seal_records: raw.seal_records.into(),
        seal_every: span(&raw.seal_every, "journal.seal_every")?,
        all_verifications,
    })
}
