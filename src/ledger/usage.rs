//! What is known of the use of key versions, as rows of a ledger.

use std::collections::BTreeMap;

use super::home::UsageRow;
use crate::{
    clock::UnixSeconds,
    keyring::{Evidence, KeyName, Span},
};

/// A key, and the number of one of its versions.
pub type Name = (KeyName, u32);

/// What rows say of each version, all together.
#[must_use]
pub fn by_version(rows: &[UsageRow]) -> BTreeMap<Name, Evidence> {
    let mut all = BTreeMap::<Name, Evidence>::new();
    for row in rows {
        // What is no name of a key is of none.
        let Ok(key) = KeyName::new(&row.key) else { continue };
        let evidence = all.entry((key, row.version)).or_default();
        *evidence = evidence.with(&row.evidence());
    }
    all
}

impl UsageRow {
    /// A row that says so of a version.
    #[must_use]
    pub fn of((key, version): &Name, evidence: &Evidence) -> Self {
        Self {
            key: key.as_str().to_owned(),
            version: *version,
            known_since: evidence.known_since.map(|at| at.0),
            first_mint: evidence.minted.map(|span| span.first.0),
            last_mint: evidence.minted.map(|span| span.last.0),
            first_verify: evidence.verified.map(|span| span.first.0),
            last_verify: evidence.verified.map(|span| span.last.0),
            seals: evidence.seals,
            latest_expiry: evidence.latest_expiry.map(|at| at.0),
        }
    }

    /// What it says.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let span = |first: Option<i64>, last: Option<i64>| {
            first.map(|first| Span { first: UnixSeconds(first), last: UnixSeconds(last.unwrap_or(first)) })
        };
        Evidence {
            known_since: self.known_since.map(UnixSeconds),
            minted: span(self.first_mint, self.last_mint),
            verified: span(self.first_verify, self.last_verify),
            seals: self.seals,
            latest_expiry: self.latest_expiry.map(UnixSeconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_what_they_were_made_of_and_add_up() {
        let at = |first, last| Some(Span { first: UnixSeconds(first), last: UnixSeconds(last) });
        let evidence = Evidence {
            known_since: Some(UnixSeconds(1)),
            minted: at(2, 3),
            verified: at(4, 5),
            seals: 6,
            latest_expiry: Some(UnixSeconds(7)),
        };
        let name = (KeyName::new("k").unwrap(), 8);
        for evidence in [evidence, Evidence::default()] {
            assert_eq!(UsageRow::of(&name, &evidence).evidence(), evidence);
        }
        let rows = [
            UsageRow::of(&name, &evidence),
            UsageRow::of(&name, &evidence),
            UsageRow { key: "?".into(), ..UsageRow::default() },
        ];
        let all = by_version(&rows);
        assert_eq!((all.len(), all[&name]), (1, Evidence { seals: 12, ..evidence }));
    }
}
