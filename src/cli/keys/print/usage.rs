//! What is printed of the use of versions: whether one may be destroyed, and what that is known by.

use std::fmt::Write as _;

use serde::Serialize;

use super::Known;
use crate::{
    authority::{Destruction, Evidence, KeyKind, NEVER, Span, UsageLedger, VersionShown},
    cli,
    clock::UnixSeconds,
};

/// The ledger that use is known by, as JSON.
#[derive(Serialize)]
pub(super) struct LedgerJson<'a> {
    id: &'a str,
    path: &'a str,
}

/// What is known of a version's use, as JSON: the fields of the API's message, without those that say nothing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    known_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_minted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_minted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_verified_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_verified_at: Option<String>,
    seals: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_expiry: Option<String>,
    never_expires: bool,
    destruction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    destruction_at: Option<String>,
    judgement: String,
}

impl<'a> LedgerJson<'a> {
    pub(super) fn of(known: &'a Known) -> Option<Self> {
        match known {
            Known::By(UsageLedger { id, path }) => Some(Self { id, path }),
            Known::ByNone(_) => None,
        }
    }
}

impl UsageJson {
    pub(super) fn of(version: &VersionShown) -> Self {
        let (used, means) = (&version.usage, version.destruction);
        let text = |at: Option<UnixSeconds>| at.map(|at| at.0.to_string());
        let first = |span: Option<Span>| text(span.map(|span| span.first));
        let last = |span: Option<Span>| text(span.map(|span| span.last));
        Self {
            known_since: text(used.known_since),
            first_minted_at: first(used.minted),
            last_minted_at: last(used.minted),
            first_verified_at: first(used.verified),
            last_verified_at: last(used.verified),
            seals: used.seals.to_string(),
            latest_expiry: text(used.latest_expiry.filter(|at| *at != NEVER)),
            never_expires: used.latest_expiry == Some(NEVER),
            destruction: means.name(),
            destruction_at: text(means.at()),
            judgement: means.to_string(),
        }
    }
}

/// What use is known by, in one line.
pub(super) fn source(known: &Known) -> String {
    match known {
        Known::By(UsageLedger { id, path }) => format!("known by ledger {id} at {path}"),
        Known::ByNone(why) => format!("known by no ledger: {why}"),
    }
}

/// Whether the version may be destroyed, in a cell of a table.
pub(super) fn brief(version: &VersionShown) -> String {
    match version.destruction {
        Destruction::Done => "-".into(),
        Destruction::Safe { since: Some(since) } => format!("since {}", since.utc()),
        Destruction::Safe { since: None } => "yes".into(),
        Destruction::Active => "no: it mints".into(),
        Destruction::PreActive { .. } => "no: it is to mint".into(),
        Destruction::Issued { until, .. } => format!("from {} on", until.utc()),
        Destruction::NeverExpires { .. } => "no: tokens without an expiry".into(),
        Destruction::Unknown { .. } => "not known".into(),
    }
}

/// Everything that is known of the version's use, in lines.
pub(super) fn in_full(version: &VersionShown, kind: KeyKind) -> String {
    let VersionShown { number, usage: used, destruction, .. } = version;
    let mut text = format!("version {number}: {destruction}\n");
    if *destruction == Destruction::Done || *used == Evidence::default() {
        return text;
    }
    let span = |span: Option<Span>| match span {
        None => "never, as far as is known".to_owned(),
        Some(Span { first, last }) if first == last => first.utc(),
        Some(Span { first, last }) => format!("{} to {}", first.utc(), last.utc()),
    };
    let counted = format!("at most {}", cli::count(used.seals, "token"));
    let (made, minted) = match (kind, used.minted, used.seals) {
        (KeyKind::LiveAuth, minted, _) => ("minted", span(minted)),
        (KeyKind::Hat1, None, 0) => ("sealed", span(None)),
        (KeyKind::Hat1, None, _) => ("sealed", counted),
        (KeyKind::Hat1, minted, _) => ("sealed", format!("{}; {counted}", span(minted))),
    };
    let expiry = match used.latest_expiry {
        None => "nothing was issued, as far as is known".to_owned(),
        Some(NEVER) => "never, of something that was issued".to_owned(),
        Some(at) => format!("{} at the latest", at.utc()),
    };
    let known = used.known_since.map_or_else(|| "not kept".to_owned(), |since| format!("since {}", since.utc()));
    for (name, value) in [(made, minted), ("verified", span(used.verified)), ("expires", expiry), ("known", known)] {
        writeln!(text, "  {name:<8}  {value}").expect("a string takes all text");
    }
    text
}
