//! Records for people: one line each, filtered. For programs they are printed as they are.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufReader, BufWriter, Write, stdout},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::Value;

use super::{CHUNK, Home, cannot, open};
use crate::{
    audit::{LINE_MAX, Subject},
    cli::{
        Failure, Output,
        lines::{Found, Lines},
        remark,
    },
};

#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// The files, oldest first
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    home: Home,
    /// A table, or the records as they are, a line each
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Which records.
#[derive(Args, Default)]
pub(super) struct Filter {
    /// Calls of this caller, as records name it
    #[arg(long)]
    caller: Option<String>,
    /// Calls of this operation, such as `mint_hash` or seal
    #[arg(long)]
    op: Option<String>,
    /// Calls about this domain or app
    #[arg(long)]
    object: Option<String>,
    /// Records from this time on, Unix seconds
    #[arg(long, value_name = "T")]
    since: Option<i64>,
    /// Records up to this time, Unix seconds
    #[arg(long, value_name = "T")]
    until: Option<i64>,
    /// Calls about this Hub user; the keyring must be named, since records hold only pseudonyms
    #[arg(long, conflicts_with = "client")]
    user: Option<String>,
    /// Calls about this idibu client; the keyring must be named
    #[arg(long)]
    client: Option<i64>,
}

impl Filter {
    /// The pseudonym that is looked for, hexadecimal.
    fn pseudonym(&self, home: &Home) -> Result<Option<String>, Failure> {
        let subject = match (&self.user, self.client) {
            (None, None) => return Ok(None),
            (Some(user), _) => Subject::user(Some(user)),
            (None, Some(client)) => Subject::client(client),
        };
        let keys = home.keys()?.ok_or_else(|| {
            Failure::usage("--user and --client need the keyring, by --config or --keyring and --kek-file")
        })?;
        let pseudonym = keys.pseudonym(subject).ok_or_else(|| Failure::usage("that is no user or client"))?;
        Ok(Some(base16ct::lower::encode_string(&pseudonym)))
    }

    fn fits(&self, record: &Value, pseudonym: Option<&str>) -> bool {
        let is = |name: &str, wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| record[name] == wanted);
        let time = record["time"].as_i64().unwrap_or_default();
        let items = || record["items"].as_array().into_iter().flatten();
        let about = pseudonym.is_none_or(|wanted| {
            record["user"] == wanted || record["client"] == wanted || items().any(|item| item[2] == wanted)
        });
        let object = self.object.as_deref().is_none_or(|wanted| {
            record["object"] == wanted
                || record["grounds"].as_array().into_iter().flatten().any(|ground| ground[0] == wanted)
        });
        let timely = self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until);
        is("caller", &self.caller) && is("op", &self.op) && object && about && timely
    }
}

pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let pseudonym = args.filter.pseudonym(&args.home)?;
    let mut out = BufWriter::new(stdout().lock());
    if args.output == Output::Text {
        out.write_all(HEADING.as_bytes())?;
    }
    for path in &args.files {
        let mut reader = BufReader::with_capacity(CHUNK, open(path)?);
        let (mut lines, mut number) = (Lines::new(LINE_MAX), 0);
        loop {
            number += 1;
            let found = lines.next(&mut reader).map_err(|error| cannot(path, &error))?;
            let is_end = matches!(found, Found::End(_));
            match found {
                Found::End([]) => break,
                Found::Line(line) | Found::End(line) => match parsed(line) {
                    Some((line, record)) if args.filter.fits(&record, pseudonym.as_deref()) => {
                        print_one(&mut out, line, &record, args.output)?;
                    }
                    Some(_) => {}
                    None => remark(&format!("{}: line {number} is no record", path.display())),
                },
                Found::TooLong => remark(&too_long(path, number)),
            }
            if is_end {
                break;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// A record as it stands, and what it says; `None` where it is none.
pub(super) fn parsed(line: &[u8]) -> Option<(&str, Value)> {
    let line = std::str::from_utf8(line).ok()?;
    Some((line, serde_json::from_str(line).ok()?))
}

/// Says that a line is skipped.
pub(super) fn too_long(path: &Path, number: u64) -> String {
    format!("{}: line {number} is longer than a record can be ({LINE_MAX} bytes), and skipped", path.display())
}

pub(super) const HEADING: &str =
    "TIME                 RECORD      OPERATION         OUTCOME            CALLER, OBJECT, RULE AND THE REST\n";

/// Prints a record, as a row or as it is.
pub(super) fn print_one(out: &mut impl Write, line: &str, record: &Value, output: Output) -> io::Result<()> {
    match output {
        Output::Text => out.write_all(row(record).as_bytes()),
        Output::Json => writeln!(out, "{line}"),
    }
}

fn row(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let operation = if text("kind") == "call" { text("op") } else { text("kind") };
    let outcome = ["outcome", "why", "result", "fault"].into_iter().map(text).find(|text| !text.is_empty());
    let time = utc(record["time"].as_i64().unwrap_or_default());
    let (sequence, operation) = (shown(&record["seq"]), plain(operation));
    let mut row = format!("{time} {sequence:<11} {operation:<17} {:<18}", plain(outcome.unwrap_or("-")));
    for (name, value) in record.as_object().into_iter().flatten() {
        let known = ["seq", "prev", "time", "kind", "op", "outcome", "why", "result", "fault", "mac", "grounds"];
        if known.contains(&name.as_str()) {
            continue;
        }
        // Writing to memory does not fail.
        let _ = match value {
            Value::Array(items) => write!(row, " items={} ({})", items.len(), tally(items)),
            other => write!(row, " {}={}", plain(name), shown(other)),
        };
    }
    row.push('\n');
    row
}

/// How the items of a batch ended.
fn tally(items: &[Value]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        *counts.entry(item[4].as_str().unwrap_or_default()).or_default() += 1;
    }
    counts.iter().map(|(outcome, count)| format!("{count} {}", plain(outcome))).collect::<Vec<_>>().join(", ")
}

/// A value that cannot drive a terminal.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| plain(&value.to_string()), plain)
}

/// Text that cannot drive a terminal, not by invisible characters either; quoted where it has blanks. What stands in a
/// file may have been put there by whoever could write it.
fn plain(text: &str) -> String {
    let fine = |c: char| !c.is_whitespace() && c != '"' && c.escape_debug().len() == 1;
    if text.chars().all(fine) { text.to_owned() } else { format!("{text:?}") }
}

/// `2026-11-22T14:30:00Z` of Unix seconds, in the proleptic Gregorian calendar.
fn utc(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March here, so that leap days come last; 400 of them have 146,097 days.
    let from_march = days + 719_468;
    let (era, day) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + next;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_893_456_000, "2030-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn a_filter_looks_into_batches() {
        let record: Value = serde_json::from_str(
            r#"{"seq":1,"time":5,"kind":"call","op":"batch_seal","caller":"uid:1,gid:1","grounds":[["a","r","k"]],"items":[[0,1,"cafe","","OK"]]}"#,
        )
        .unwrap();
        let object = |name: &str| Filter { object: Some(name.into()), ..Filter::default() };
        assert!(object("a").fits(&record, Some("cafe")) && !object("b").fits(&record, None));
        assert!(!Filter::default().fits(&record, Some("beef")));
        assert!(!Filter { since: Some(6), ..Filter::default() }.fits(&record, None));
        assert!(!Filter { until: Some(4), ..Filter::default() }.fits(&record, None));
        assert!(row(&record).contains("items=1 (1 OK)"));
    }

    #[test]
    fn nothing_in_a_forged_record_drives_the_terminal() {
        for bad in ["\u{1b}[2J", "\u{9b}2J", "\r\n", "\u{7f}", "\u{202e}"] {
            let record = |kind: &str| {
                let item = serde_json::json!([0, 1, "", "", bad]);
                serde_json::json!({
                    "seq": bad, "time": 5, "kind": kind, "op": bad, "outcome": bad, "caller": bad, bad: bad,
                    "user": {bad: [bad]}, "items": [item],
                })
            };
            for record in [record("call"), record(bad)] {
                let row = row(&record);
                let line = row.strip_suffix('\n').unwrap();
                assert!(
                    line.chars().all(|c| c == ' ' || c == '"' || c == '\\' || c.escape_debug().len() == 1),
                    "{row:?}"
                );
                assert!(!line.contains(bad), "{row:?}");
            }
        }
        assert_eq!(plain("spiffe://é.example/a"), "spiffe://é.example/a");
    }
}
