//! `countersign audit verify | show | tail`: judge, read and follow journals. Works on the files alone; no service need
//! run, and nothing is changed.

mod records;
mod tail;

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Failure, Output, count,
    keys::{Asking, KekArgs, config_location},
    print,
    progress::Progress,
};
use crate::{
    audit::{Finding, Head, JournalKeys, Report, Verifier},
    keystore::{self, Location},
};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// Files from this size on, bytes in all, are worth a word on how far it is.
const LARGE: u64 = 64 << 20;

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Judge a journal: edits, reorderings, gaps and forged seals are told, and exit 1
    ///
    /// Several files are one journal: name them in order, the oldest first. The seals are checked with the keyring's key;
    /// without it the chain alone is, which whoever may write the file could have made anew: that is said, and exits 1.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Print the records of a journal that fit, as a table or as they are
    #[command(after_help = "Example:\n  countersign audit show --op mint_hash --since 1780000000 journal.jsonl")]
    Show(records::ShowArgs),
    /// Follow a journal, also when it is rotated
    Tail(tail::TailArgs),
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  countersign audit verify --config /etc/countersign/config.toml journal.jsonl.1 journal.jsonl --live
  countersign audit verify --keyring keyring --kek-file kek --head 81734:9f0c…e1 journal.jsonl

Take the head from where the journal cannot be changed from: the log, which has one with every seal.";

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The files, oldest first
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    home: Home,
    /// A head that the journal must contain, as the log or /readyz?verbose gave it
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<Head>,
    /// The journal is still being written: no closing record is due, and its last line may be half there
    #[arg(long)]
    live: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Where the keyring is whose key sealed the journal.
#[derive(Args)]
pub(super) struct Home {
    /// Configuration file that names the keyring and what opens it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keyring", "kek"])]
    config: Option<PathBuf>,
    /// Keyring file
    #[arg(long, value_name = "FILE", requires = "kek")]
    keyring: Option<PathBuf>,
    #[command(flatten)]
    kek: KekArgs,
}

impl Home {
    /// The journal's keys, where it was said where they are.
    fn keys(&self) -> Result<Option<JournalKeys>, Failure> {
        let location = match (&self.config, &self.keyring) {
            (Some(config), _) => config_location(config, Asking::Known)?,
            (None, Some(keyring)) => match self.kek.source(Asking::Known)? {
                Some(kek) => Location { keyring: keyring.clone(), kek },
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        keystore::journal_keys(&location).map(Some).map_err(|error| Failure::usage(error.to_string()))
    }
}

pub(super) fn run(command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(args) => verify(args),
        AuditCommand::Show(args) => records::show(args),
        AuditCommand::Tail(args) => tail::follow(args),
    }
}

fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let keys = args.home.keys()?;
    let mut opened = Vec::new();
    let mut size = 0;
    for path in &args.files {
        let file = open(path)?;
        size += file.metadata().map_or(0, |metadata| metadata.len());
        opened.push(file);
    }
    let mut verifier = Verifier::new(keys.as_ref(), args.head);
    let mut progress = Progress::new(size, LARGE);
    for (file, path) in opened.into_iter().zip(&args.files) {
        let reader = BufReader::with_capacity(CHUNK, file);
        verifier.file(reader, |bytes| progress.add(bytes)).map_err(|error| cannot(path, &error))?;
    }
    progress.end();
    let report = verifier.finish(args.live);
    match args.output {
        Output::Text => print(&as_text(&report, args))?,
        Output::Json => print(&format!("{}\n", as_json(&report, args)))?,
    }
    if report.problems == 0 && report.keyed { Ok(()) } else { Err(Failure::verdict()) }
}

fn as_text(report: &Report, args: &VerifyArgs) -> String {
    let mut lines: Vec<String> = report.findings.iter().map(|finding| place(finding, args)).collect();
    let untold = report.problems - report.findings.len() as u64;
    if untold > 0 {
        lines.push(format!("and {untold} more"));
    }
    if report.records > 0 {
        let (first, last) = (report.first, report.head.sequence);
        lines.push(format!("{}, {first} to {last}; the head is {}", count(report.records, "record"), report.head));
        let sealed = report.sealed.map_or(0, |head| head.sequence);
        if sealed < last {
            let unsealed = match last - sealed {
                1 => "1 record after the last seal is".to_owned(),
                more => format!("{more} records after the last seal are"),
            };
            lines.push(format!("{unsealed} chained, but not sealed"));
        }
    }
    if report.first > 1 {
        lines.push(format!("it begins with record {}: what was before is in files that were not named", report.first));
    }
    if report.unclean > 0 {
        lines.push(format!(
            "{} the service was started without having stopped cleanly; of the records before that, {} not sealed by the process that wrote them",
            count(report.unclean, "time"),
            match report.unvouched {
                1 => "1 was".to_owned(),
                more => format!("{more} were"),
            }
        ));
    }
    if let (times @ 1.., most) = report.backward {
        lines.push(format!(
            "{} the clock went back, by {most} s at most; the sequence numbers hold the order",
            count(times, "time")
        ));
    }
    let verdict = match (report.problems, report.keyed) {
        (0, true) => "OK: every record follows from the one before, and every seal is of this keyring".to_owned(),
        (0, false) => "the chain holds, but its seals were NOT CHECKED: whoever could write the file could have made all of it anew; name the keyring with --config, or --keyring and --kek-file".to_owned(),
        (1, _) => "NOT OK: 1 problem".to_owned(),
        (problems, _) => format!("NOT OK: {problems} problems"),
    };
    lines.push(verdict);
    lines.join("\n") + "\n"
}

fn place(finding: &Finding, args: &VerifyArgs) -> String {
    let path = args.files.get(finding.file).map_or(Path::new(""), PathBuf::as_path).display();
    match finding.line {
        0 => format!("{path}: {}", finding.problem),
        line => format!("{path}: line {line}: {}", finding.problem),
    }
}

fn as_json(report: &Report, args: &VerifyArgs) -> serde_json::Value {
    let finding = |finding: &Finding| json!({"file": args.files.get(finding.file), "line": finding.line.to_string(), "problem": finding.problem.to_string()});
    json!({
        "ok": report.problems == 0 && report.keyed,
        "sealsChecked": report.keyed,
        "problems": report.problems.to_string(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "records": report.records.to_string(),
        "first": report.first.to_string(),
        "head": report.head.to_string(),
        "sealed": report.sealed.map(|head| head.to_string()),
        "uncleanStarts": report.unclean.to_string(),
        "unsealedBeforeUncleanStarts": report.unvouched.to_string(),
        "clockSteppedBack": report.backward.0.to_string(),
        "clockSteppedBackMostSeconds": report.backward.1.to_string(),
    })
}

/// Opens a file to read, without waiting for the writer of a pipe.
fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{}: cannot be read ({error}); check the path and its mode", path.display()))
}
