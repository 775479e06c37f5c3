//! Judging a journal: that every record follows from the one before, that every seal is ours, and that the end is an end.
//! Pure over readers, in constant memory. It judges what is there; that something was cut off behind a closing record
//! shows only against a head that was kept elsewhere.

use std::{
    fmt,
    io::{self, BufRead, Read as _},
};

use super::{
    chain::{Head, JournalKeys},
    record::{self, Kind, LINE_MAX, Parsed},
};

/// Findings that are kept; more are only counted. One edit makes one or two.
const FINDINGS_MAX: usize = 100;

/// Seconds that times may go back without being worth a word: records of one group come from several threads.
const JITTER: i64 = 2;

/// What is wrong with a line, or with the whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It is no record.
    NoRecord,
    /// The last line has no end.
    Torn,
    /// Records are missing before it.
    Gap {
        /// The sequence number that was due.
        due: u64,
        /// The one that is there.
        found: u64,
    },
    /// It was there before, or comes too late.
    Misplaced {
        /// The sequence number that was due.
        due: u64,
        /// The one that is there.
        found: u64,
    },
    /// It does not carry the hash of the record before.
    Unlinked,
    /// Its MAC is not that of the key.
    BadSeal,
    /// A file, or what comes after a closing record, does not begin with an opening record.
    NoOpening,
    /// The last record is no closing one.
    NoClosing,
    /// There is no record at all.
    Empty,
    /// The record of the given head is another one.
    OtherHead,
    /// The journal does not reach the given head.
    BeforeHead,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord => f.write_str("no record: it was edited, or is not of this journal"),
            Self::Torn => f.write_str("the last line is not whole: it is being written, or was cut"),
            Self::Gap { due, found } => write!(f, "a gap: record {due} is due, and {found} is there"),
            Self::Misplaced { due, found } => write!(f, "out of order: record {due} is due, and {found} is there"),
            Self::Unlinked => f.write_str("does not follow from the record before: one of the two was edited"),
            Self::BadSeal => f.write_str("the seal is not of this key: edited, or sealed with another keyring's"),
            Self::NoOpening => f.write_str("an opening record is due here"),
            Self::NoClosing => {
                f.write_str("no closing record at the end: cut off, or still being written (--live takes that)")
            }
            Self::Empty => f.write_str("no records"),
            Self::OtherHead => f.write_str("the record of the given head has another hash"),
            Self::BeforeHead => {
                f.write_str("the journal does not contain the given head: its end, or a file, is missing")
            }
        }
    }
}

/// A problem and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file, by its place among those that were read.
    pub file: usize,
    /// The line, from 1; 0 for the whole.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What was found out about a journal.
#[derive(Clone, Debug)]
pub struct Report {
    /// What is wrong, the first so many.
    pub findings: Vec<Finding>,
    /// How much is wrong in all.
    pub problems: u64,
    /// Whether the seals were checked.
    pub keyed: bool,
    /// Records read.
    pub records: u64,
    /// The sequence number of the first.
    pub first: u64,
    /// The last record.
    pub head: Head,
    /// The last sealed record.
    pub sealed: Option<Head>,
    /// Opening records that follow no closing one: processes that did not stop cleanly.
    pub unclean: u64,
    /// Records that stood unsealed before those: the process that wrote them did not seal them, but whoever came next.
    pub unvouched: u64,
    /// How often times went back, and by how many seconds at most: a clock was set. Sequence numbers carry the order.
    pub backward: (u64, i64),
}

/// Judges one journal, of one or more files in order.
pub struct Verifier<'k> {
    keys: Option<&'k JournalKeys>,
    wanted: Option<Head>,
    report: Report,
    files: usize,
    line: u64,
    time: Option<i64>,
    last: Option<Kind>,
    wanted_met: bool,
    torn: bool,
}

/// Judges a whole journal that is one file; `keys` are needed for the seals.
///
/// # Errors
/// What reading says.
pub fn verify_chain(reader: impl BufRead, keys: Option<&JournalKeys>) -> io::Result<Report> {
    let mut verifier = Verifier::new(keys, None);
    verifier.file(reader, |_| ())?;
    Ok(verifier.finish(false))
}

impl<'k> Verifier<'k> {
    /// With keys the seals are checked too; a head must be one of the records.
    #[must_use]
    pub fn new(keys: Option<&'k JournalKeys>, wanted: Option<Head>) -> Self {
        let report = Report {
            findings: Vec::new(),
            problems: 0,
            keyed: keys.is_some(),
            records: 0,
            first: 0,
            head: Head::NONE,
            sealed: None,
            unclean: 0,
            unvouched: 0,
            backward: (0, 0),
        };
        Self { keys, wanted, report, files: 0, line: 0, time: None, last: None, wanted_met: false, torn: false }
    }

    /// Reads the next file. `read` is told how many bytes each line had.
    ///
    /// # Errors
    /// What reading says.
    pub fn file(&mut self, mut reader: impl BufRead, mut read: impl FnMut(usize)) -> io::Result<()> {
        self.files += 1;
        self.line = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let bytes = reader.by_ref().take(LINE_MAX as u64 + 1).read_until(b'\n', &mut line)?;
            if bytes == 0 {
                return Ok(());
            }
            read(bytes);
            self.line += 1;
            if self.torn {
                // What came before was not the last line after all.
                self.torn = false;
                self.find(Problem::NoRecord);
            }
            if line.pop_if(|end| *end == b'\n').is_none() {
                if bytes <= LINE_MAX {
                    self.torn = true;
                    continue;
                }
                read(reader.skip_until(b'\n')?);
            }
            self.line(&line);
        }
    }

    /// The report. A journal that is still being written has no closing record, and may end in a line half written.
    #[must_use]
    pub fn finish(mut self, live: bool) -> Report {
        if self.torn && !live {
            self.find(Problem::Torn);
        }
        if self.report.records == 0 {
            self.whole(Problem::Empty);
        } else if self.last != Some(Kind::Closing) && !live {
            self.whole(Problem::NoClosing);
        }
        if self.wanted.is_some() && !self.wanted_met {
            self.whole(Problem::BeforeHead);
        }
        self.report
    }

    fn line(&mut self, line: &[u8]) {
        let Some(parsed) = record::parse(line) else {
            self.find(Problem::NoRecord);
            self.report.head = Head::of(self.report.head.sequence + 1, line);
            return;
        };
        self.follow(&parsed);
        let head = Head::of(parsed.sequence, line);
        if let (Some(keys), Some((body, mac))) = (self.keys, parsed.seal)
            && !keys.sealed(body, &mac)
        {
            self.find(Problem::BadSeal);
        }
        if parsed.seal.is_some() {
            self.report.sealed = Some(head);
        }
        if self.wanted.is_some_and(|wanted| wanted.sequence == head.sequence && !self.wanted_met) {
            self.wanted_met = true;
            if self.wanted != Some(head) {
                self.find(Problem::OtherHead);
            }
        }
        if let Some(before) = self.time.replace(parsed.time)
            && before.saturating_sub(parsed.time) > JITTER
        {
            let (times, most) = self.report.backward;
            self.report.backward = (times + 1, most.max(before.saturating_sub(parsed.time)));
        }
        self.report.records += 1;
        self.report.head = head;
        self.last = Some(parsed.kind);
    }

    /// Whether a record follows from the one before.
    fn follow(&mut self, parsed: &Parsed<'_>) {
        let begins = self.report.records == 0;
        if begins {
            self.report.first = parsed.sequence;
        }
        let opens = parsed.kind == Kind::Opening;
        if !opens && (self.line == 1 || self.last == Some(Kind::Closing)) {
            self.find(Problem::NoOpening);
        }
        if opens && !begins && self.last != Some(Kind::Closing) {
            self.report.unclean += 1;
            let sealed = self.report.sealed.map_or(self.report.first.saturating_sub(1), |head| head.sequence);
            self.report.unvouched += self.report.head.sequence.saturating_sub(sealed);
        }
        // Where earlier files were not given, the first record is taken at its word.
        if begins && parsed.sequence > 1 && self.report.head.sequence == 0 {
            return;
        }
        let due = self.report.head.sequence + 1;
        let found = parsed.sequence;
        if found > due {
            self.find(Problem::Gap { due, found });
        } else if found < due {
            self.find(Problem::Misplaced { due, found });
        } else if parsed.prev != self.report.head.hash {
            self.find(Problem::Unlinked);
        }
    }

    fn find(&mut self, problem: Problem) {
        self.note(Finding { file: self.files.saturating_sub(1), line: self.line, problem });
    }

    fn whole(&mut self, problem: Problem) {
        self.note(Finding { file: self.files.saturating_sub(1), line: 0, problem });
    }

    fn note(&mut self, finding: Finding) {
        self.report.problems += 1;
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests;
