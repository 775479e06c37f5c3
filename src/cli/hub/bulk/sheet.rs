//! A table of tokens, whatever it is written in: how its rows are read, and what becomes of them.

use std::{fs::File, io, path::Path};

use crate::cli::Failure;

/// Bytes that a row may have.
pub(super) const ROW_MAX: usize = 512 << 10;

/// Bytes that a row of the output may have: the row, escaped at worst, and what comes with it.
pub(super) const WRITTEN_MAX: usize = 8 * ROW_MAX;

/// What a token may stand under, the first of which is there.
pub(super) const TOKEN: [&str; 2] = ["token", "auth"];
pub(super) const USERNAME: &str = "username";
pub(super) const HUB_LOGIN_TOKEN: &str = "hub_login_token";
/// What became of the row: the verdict, and what there is to say where no token came of it.
pub(super) const VERDICT: &str = "reseal_verdict";
pub(super) const ERROR: &str = "reseal_error";

/// What the service is asked about one row.
pub(super) struct Item<'r> {
    pub(super) auth: &'r str,
    pub(super) username: Option<&'r str>,
    pub(super) hub_login_token: Option<&'r str>,
}

/// What became of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// There is a new token.
    Resealed(String),
    /// There is none; the old one stays in its place.
    Failed {
        /// Empty where the service was not asked, or did not judge.
        verdict: String,
        /// For people.
        error: String,
    },
}

impl Outcome {
    /// That of a row which nobody could judge.
    pub(super) fn unread(error: impl Into<String>) -> Self {
        Self::Failed { verdict: String::new(), error: error.into() }
    }

    /// As the three fields of an output row say it.
    pub(super) fn of(token: &str, verdict: &str, error: &str) -> Self {
        match verdict {
            "VALID" => Self::Resealed(token.to_owned()),
            _ => Self::Failed { verdict: verdict.to_owned(), error: error.to_owned() },
        }
    }

    /// The new token, the verdict and the error.
    pub(super) fn fields(&self) -> (Option<&str>, &str, &str) {
        match self {
            Self::Resealed(token) => (Some(token), "VALID", ""),
            Self::Failed { verdict, error } => (None, verdict, error),
        }
    }
}

/// A row of the output, as an earlier run left it.
pub(super) struct Written {
    /// `None` where it does not say.
    pub(super) outcome: Option<Outcome>,
    /// Bytes that it takes.
    pub(super) length: u64,
}

/// A table, row by row.
pub(super) trait Sheet {
    /// One row.
    type Row;

    /// Bytes of the whole.
    fn size(&self) -> u64;

    /// Bytes that are read.
    fn position(&self) -> u64;

    /// What the output begins with.
    fn heading(&self) -> Vec<u8>;

    /// The next row; none at the end.
    fn next(&mut self) -> Result<Option<Self::Row>, Failure>;

    /// What there is to ask about a row, or why nothing can be asked.
    fn item<'r>(&self, row: &'r Self::Row) -> Result<Item<'r>, String>;

    /// Appends the row as it goes out.
    fn put(&self, row: &Self::Row, outcome: &Outcome, out: &mut Vec<u8>);

    /// The rows of an output, from where the file stands, which is behind the heading.
    fn written(&self, out: File) -> impl Iterator<Item = io::Result<Written>> + use<Self>;
}

/// Whether `torn` may be the beginning of what this row gives, whatever its outcome.
pub(super) fn could_become<S: Sheet>(sheet: &S, row: &S::Row, torn: &[u8]) -> bool {
    let put = |outcome: &Outcome| {
        let mut bytes = Vec::new();
        sheet.put(row, outcome, &mut bytes);
        bytes
    };
    let one = put(&Outcome::Resealed(String::new()));
    let other = put(&Outcome::Failed { verdict: String::new(), error: "-".into() });
    one.iter().zip(&other).zip(torn).take_while(|((one, other), _)| one == other).all(|((one, _), torn)| one == torn)
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{}: cannot be read ({error})", path.display()))
}
