//! `countersign hub reseal --in FILE --out FILE`: a whole table of tokens, row by row, several batches at a time.
//!
//! The rows go out in the order in which they came in, and what is in the output file is done: a run that is cut off, at
//! whatever byte, is gone on with by the next one, which reads both files side by side, checks that each row of the one is
//! the other's, and cuts off what is not whole. There is no other state. The input is never written to.

mod csv;
mod json;
mod out;
mod pool;
mod sheet;

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde_json::json;

use self::{
    csv::CsvSheet,
    json::JsonSheet,
    out::OutFile,
    pool::{BATCHES, Pool},
    sheet::{Item, Outcome, Sheet, Written, unreadable},
};
use super::ContextArgs;
use crate::{
    cli::{Failure, Output, count, print, progress::Progress, remark},
    grpc::proto::ResealRequest,
};

/// Items of one batch. The service takes more, but what it is busy with at a time others wait for.
const BATCH_ITEMS: usize = 250;

/// Bytes of requests in one batch: the service takes 1 MiB, and framing takes some of that.
const BATCH_BYTES: usize = 960 << 10;

/// Bytes of rows that are held for one batch.
const HELD_BYTES: u64 = 4 << 20;

/// Inputs from this size on are worth a word on how far it is.
const LARGE: u64 = 1 << 20;

/// The files of a bulk run.
#[derive(Args)]
pub(super) struct BulkArgs {
    /// Reseal every row of this table instead: JSON lines, or CSV with a heading
    ///
    /// A row's token is in its field token or auth, what it is bound to in username and `hub_login_token`. All other fields
    /// go through as they are.
    #[arg(long = "in", value_name = "FILE", requires = "out", conflicts_with_all = ["username", "hub_login_token_file"])]
    input: Option<PathBuf>,
    /// Where the rows go, with the new tokens and two more fields, `reseal_verdict` and `reseal_error`
    ///
    /// Made with mode 0600. What an earlier run left there is gone on with.
    #[arg(long, value_name = "FILE", requires = "input")]
    out: Option<PathBuf>,
    /// What the table is written in; left out: what the name of the input ends in
    #[arg(long, value_enum, requires = "input")]
    format: Option<Format>,
}

/// What a table is written in.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object a line (.jsonl, .ndjson)
    Jsonl,
    /// Comma-separated values with a heading (.csv)
    Csv,
}

impl BulkArgs {
    /// The files, where a table is to be resealed.
    pub(super) fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.input.as_deref()?, self.out.as_deref()?))
    }
}

pub(super) fn run(context: &ContextArgs, args: &BulkArgs, (input, out): (&Path, &Path)) -> Result<(), Failure> {
    let file = File::open(input).map_err(|error| unreadable(input, &error))?;
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err(Failure::usage(format!(
            "{}: no regular file; a run that is cut off reads it again",
            input.display()
        )));
    }
    let run = Run { context, input, out };
    match args.format.or_else(|| format_of(input)) {
        Some(Format::Csv) => run.through(CsvSheet::open(file, input)?),
        Some(Format::Jsonl) => run.through(JsonSheet::open(file, input)),
        None => Err(Failure::usage(format!("{}: say --format jsonl or csv", input.display()))),
    }
}

fn format_of(path: &Path) -> Option<Format> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        _ => None,
    }
}

/// One run over one pair of files.
struct Run<'a> {
    context: &'a ContextArgs,
    input: &'a Path,
    out: &'a Path,
}

impl Run<'_> {
    fn through<S: Sheet>(&self, mut sheet: S) -> Result<(), Failure> {
        // Before anything is made: an address that leads nowhere leaves nothing behind.
        let pool = Pool::connect(&self.context.service)?;
        let mut out = OutFile::open(self.out, self.input)?;
        let mut progress = Progress::new(sheet.size(), LARGE);
        let mut tally = Tally::default();
        let next = self.resume(&mut sheet, &mut out, &mut tally)?;
        if tally.rows > 0 {
            remark(&format!("{}: {} there already; going on", self.out.display(), count(tally.rows, "row")));
        }
        let done = self.go_on(&mut sheet, next, pool, &mut out, &mut tally, &mut progress);
        let flushed = out.flush();
        progress.end();
        done.and(flushed).map_err(|failure| Failure {
            message: format!(
                "{}; {} done and in {}: run the same again to go on",
                failure.message,
                if tally.rows == 1 { "1 row is".to_owned() } else { format!("{} rows are", tally.rows) },
                self.out.display()
            ),
            ..failure
        })?;
        print(&match self.context.service.output {
            Output::Text => tally.as_text(),
            Output::Json => format!("{}\n", tally.as_json()),
        })?;
        if tally.failed() == 0 { Ok(()) } else { Err(Failure::verdict()) }
    }

    /// Reads what an earlier run left beside the input; leaves both where they part, and gives the row that was read from
    /// the input by then.
    fn resume<S: Sheet>(&self, sheet: &mut S, out: &mut OutFile, tally: &mut Tally) -> Result<Option<S::Row>, Failure> {
        let foreign = |what: String| Failure::usage(format!("{}: {what}; name another --out", self.out.display()));
        let heading = sheet.heading();
        if out.size() == 0 {
            out.append(&heading)?;
            return Ok(None);
        }
        match out.beginning(heading.len())? {
            whole if whole == heading => {}
            torn if out.size() < heading.len() as u64 && heading.starts_with(&torn) => {
                out.cut(0)?;
                out.append(&heading)?;
                return Ok(None);
            }
            _ => return Err(foreign("its heading is not the one that this input gives".into())),
        }
        let mut at = heading.len() as u64;
        let mut next = None;
        for written in sheet.written(out.reader(at)?) {
            let Written { outcome, length } = written.map_err(|error| unreadable(self.out, &error))?;
            let Some(row) = sheet.next()? else {
                return Err(foreign(format!("has more rows than {}", self.input.display())));
            };
            let mut expected = Vec::new();
            if let Some(outcome) = &outcome {
                sheet.put(&row, outcome, &mut expected);
            }
            let found = out.part(at, length.min(out.size() - at))?;
            let is_last = at + found.len() as u64 == out.size();
            if let Some(outcome) = outcome.filter(|_| found == expected) {
                at += length;
                tally.note(&outcome);
                continue;
            }
            if is_last && sheet::could_become(sheet, &row, &found) {
                next = Some(row);
                break;
            }
            let number = tally.rows + 1;
            return Err(foreign(format!("its row {number} is not the one that row {number} of the input gives")));
        }
        out.cut(at)?;
        Ok(next)
    }

    fn go_on<S: Sheet>(
        &self,
        sheet: &mut S,
        mut next: Option<S::Row>,
        pool: Pool,
        out: &mut OutFile,
        tally: &mut Tally,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        pool.run(|crew| {
            let mut waiting: VecDeque<Batch<S::Row>> = VecDeque::new();
            let mut is_end = false;
            let mut written = Vec::new();
            loop {
                while !is_end && waiting.len() < BATCHES {
                    let batch = self.batch(sheet, &mut next);
                    is_end = batch.end.is_some();
                    crew.send(batch.requests.clone());
                    waiting.push_back(batch);
                }
                let Some(batch) = waiting.pop_front() else { return Ok(()) };
                let mut answers = crew.answer(|told| progress.remark(told))?.into_iter();
                written.clear();
                for (row, problem) in batch.rows {
                    let outcome = match problem {
                        Some(problem) => Outcome::unread(problem),
                        None => answers.next().ok_or_else(|| Failure::ours("an answer lacks items"))?,
                    };
                    sheet.put(&row, &outcome, &mut written);
                    tally.note(&outcome);
                }
                out.append(&written)?;
                progress.reach(batch.position, || format!(", {}, {} failed", count(tally.rows, "row"), tally.failed()));
                if let Some(end) = batch.end {
                    return end;
                }
            }
        })
    }

    /// Reads the next batch; `next` is a row that was read before, and one that did not fit.
    fn batch<S: Sheet>(&self, sheet: &mut S, next: &mut Option<S::Row>) -> Batch<S::Row> {
        let begin = sheet.position();
        let mut batch = Batch { rows: Vec::new(), requests: Vec::new(), position: begin, end: None };
        let mut bytes = 0;
        while batch.rows.len() < BATCH_ITEMS && sheet.position() - begin < HELD_BYTES {
            let row = match next.take().map_or_else(|| sheet.next(), |row| Ok(Some(row))) {
                Ok(Some(row)) => row,
                Ok(None) => {
                    batch.end = Some(Ok(()));
                    break;
                }
                Err(failure) => {
                    batch.end = Some(Err(failure));
                    break;
                }
            };
            let problem = match sheet.item(&row).map(|item| self.request(&item)) {
                Ok(request) => {
                    let size = size(&request);
                    if bytes + size > BATCH_BYTES && bytes > 0 {
                        *next = Some(row);
                        break;
                    }
                    bytes += size;
                    batch.requests.push(request);
                    None
                }
                Err(problem) => Some(problem),
            };
            batch.rows.push((row, problem));
            batch.position = sheet.position();
        }
        batch
    }

    fn request(&self, item: &Item<'_>) -> ResealRequest {
        ResealRequest {
            app: self.context.app.clone(),
            auth: item.auth.to_owned(),
            username: item.username.map(str::to_owned),
            hub_login_token: item.hub_login_token.map(str::to_owned),
        }
    }
}

/// Bytes of a request in a batch: its texts, and no more than this for the tags and lengths around them.
fn size(request: &ResealRequest) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    32 + request.app.len() + request.auth.len() + optional(&request.username) + optional(&request.hub_login_token)
}

/// Rows that go together.
struct Batch<R> {
    /// With each, why nothing is asked about it.
    rows: Vec<(R, Option<String>)>,
    /// One for each of the others.
    requests: Vec<ResealRequest>,
    /// Where it ends in the input.
    position: u64,
    /// Why no other follows, where none does.
    end: Option<Result<(), Failure>>,
}

/// How rows ended.
#[derive(Default)]
struct Tally {
    rows: u64,
    resealed: u64,
    /// Without a verdict.
    errors: u64,
    by_verdict: BTreeMap<String, u64>,
}

impl Tally {
    fn note(&mut self, outcome: &Outcome) {
        self.rows += 1;
        match outcome {
            Outcome::Resealed(_) => self.resealed += 1,
            Outcome::Failed { verdict, .. } if verdict.is_empty() => self.errors += 1,
            Outcome::Failed { verdict, .. } => *self.by_verdict.entry(verdict.clone()).or_default() += 1,
        }
    }

    fn failed(&self) -> u64 {
        self.rows - self.resealed
    }

    fn as_text(&self) -> String {
        let mut text = format!("{}: {} resealed, {} failed", count(self.rows, "row"), self.resealed, self.failed());
        let errors = (self.errors > 0).then(|| count(self.errors, "error"));
        let parts: Vec<String> =
            self.by_verdict.iter().map(|(verdict, times)| format!("{times} {verdict}")).chain(errors).collect();
        if !parts.is_empty() {
            text = format!("{text} ({})", parts.join(", "));
        }
        text + "\n"
    }

    fn as_json(&self) -> serde_json::Value {
        let verdicts: BTreeMap<_, _> =
            self.by_verdict.iter().map(|(verdict, times)| (verdict, times.to_string())).collect();
        json!({
            "rows": self.rows.to_string(),
            "resealed": self.resealed.to_string(),
            "failed": self.failed().to_string(),
            "verdicts": verdicts,
            "errors": self.errors.to_string(),
        })
    }
}
