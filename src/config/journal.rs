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

/// A call that waits for its record as long as it may take in all would end without saying what it waited for.
pub(super) fn check_wait(wait: Duration, deadline: Duration) -> Result<(), String> {
    if wait < deadline {
        return Ok(());
    }
    Err(format!(
        "journal.wait_ms is {}, and must be less than limits.deadline, which is {} ms; lower it, or raise limits.deadline",
        wait.as_millis(),
        deadline.as_millis()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_less_for_its_record_than_it_may_take() {
        let second = Duration::from_secs(1);
        assert_eq!(check_wait(Duration::from_millis(50), second), Ok(()));
        assert_eq!(check_wait(Duration::from_millis(999), second), Ok(()));
        for wait in [second, 2 * second] {
            let problem = check_wait(wait, second).unwrap_err();
            assert!(problem.contains("journal.wait_ms") && problem.contains("limits.deadline"), "{problem}");
        }
    }
}
