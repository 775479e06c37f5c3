//! Comma-separated values (RFC 4180) with a heading. Fields go through with their content, which may be any bytes; they are
//! quoted where they must be.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    rc::Rc,
};

use csv::{ByteRecord, ReaderBuilder, Terminator, WriterBuilder};

use super::sheet::{
    ERROR, HUB_LOGIN_TOKEN, Item, Outcome, ROW_MAX, Sheet, TOKEN, USERNAME, VERDICT, WRITTEN_MAX, Written, unreadable,
};
use crate::cli::{Failure, remark};

/// The byte order mark that some programs begin a file with, and look for.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A CSV file.
pub(super) struct CsvSheet {
    path: PathBuf,
    reader: csv::Reader<Bounded>,
    left: Rc<Cell<usize>>,
    size: u64,
    heading: ByteRecord,
    columns: Columns,
    style: Style,
}

/// Where what is.
#[derive(Clone, Copy)]
struct Columns {
    token: usize,
    username: Option<usize>,
    hub_login_token: Option<usize>,
    verdict: usize,
    error: usize,
    /// Those of the input.
    given: usize,
    /// Those of the output.
    all: usize,
}

/// How lines end, and how the file begins.
#[derive(Clone, Copy)]
struct Style {
    is_crlf: bool,
    is_marked: bool,
}

impl CsvSheet {
    pub(super) fn open(file: File, path: &Path) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::usage(format!("{}: {what}", path.display()));
        let size = file.metadata().map_or(0, |found| found.len());
        let mut begin = [0; MARK.len()];
        let is_marked = file.read_exact_at(&mut begin, 0).is_ok() && begin == MARK;
        let peek = file.try_clone().map_err(|error| unreadable(path, &error))?;
        let left = Rc::new(Cell::new(ROW_MAX));
        let mut reader = reader(Bounded { file, left: Rc::clone(&left) }, Terminator::CRLF);
        let mut heading = ByteRecord::new();
        if !reader.read_byte_record(&mut heading).map_err(|error| not_read(path, 1, &error))? {
            return Err(wrong("is empty; its first line must name the columns"));
        }
        let mut end = [0; 2];
        let is_crlf = [1, 2].into_iter().any(|back| {
            let at = reader.position().byte().saturating_sub(back);
            peek.read_exact_at(&mut end, at).is_ok() && end == *b"\r\n"
        });
        let columns = Columns::of(&heading).map_err(|what| wrong(&what))?;
        if columns.username.is_none() {
            remark(&format!("{}: no column {USERNAME}; tokens that are bound to one will not open", path.display()));
        }
        let style = Style { is_crlf, is_marked };
        Ok(Self { path: path.to_owned(), reader, left, size, heading, columns, style })
    }
}

impl Columns {
    fn of(heading: &ByteRecord) -> Result<Self, String> {
        let find = |name: &str| {
            let mut places =
                heading.iter().enumerate().filter(|(_, field)| *field == name.as_bytes()).map(|(at, _)| at);
            match (places.next(), places.next()) {
                (_, Some(_)) => Err(format!("has the column {name} twice")),
                (place, None) => Ok(place),
            }
        };
        let token = match (find(TOKEN[0])?, find(TOKEN[1])?) {
            (Some(_), Some(_)) => return Err(format!("has both columns, {} and {}", TOKEN[0], TOKEN[1])),
            (token, auth) => token.or(auth).ok_or_else(|| {
                format!("its first line names no column {} or {}, separated by commas", TOKEN[0], TOKEN[1])
            })?,
        };
        let given = heading.len();
        let verdict = find(VERDICT)?.unwrap_or(given);
        let error = find(ERROR)?.unwrap_or(given + usize::from(verdict == given));
        let all = given + [verdict, error].into_iter().filter(|&at| at >= given).count();
        let (username, hub_login_token) = (find(USERNAME)?, find(HUB_LOGIN_TOKEN)?);
        Ok(Self { token, username, hub_login_token, verdict, error, given, all })
    }
}

impl Sheet for CsvSheet {
    type Row = ByteRecord;

    fn size(&self) -> u64 {
        self.size
    }

    fn position(&self) -> u64 {
        self.reader.position().byte()
    }

    fn heading(&self) -> Vec<u8> {
        let mut fields: Vec<&[u8]> = self.heading.iter().collect();
        fields.resize(self.columns.all, b"");
        fields[self.columns.verdict] = VERDICT.as_bytes();
        fields[self.columns.error] = ERROR.as_bytes();
        let mut out = if self.style.is_marked { MARK.to_vec() } else { Vec::new() };
        self.style.put(&fields, &mut out);
        out
    }

    fn next(&mut self) -> Result<Option<ByteRecord>, Failure> {
        self.left.set(ROW_MAX);
        let mut row = ByteRecord::new();
        let line = self.reader.position().line();
        let is_there = self.reader.read_byte_record(&mut row).map_err(|error| not_read(&self.path, line, &error))?;
        Ok(is_there.then_some(row))
    }

    fn item<'r>(&self, row: &'r ByteRecord) -> Result<Item<'r>, String> {
        let given = self.columns.given;
        if row.len() != given {
            return Err(format!("has {} fields, where the heading has {given}", row.len()));
        }
        let text = |at: usize, name: &str| std::str::from_utf8(&row[at]).map_err(|_| format!("{name} is no UTF-8"));
        let optional = |at: Option<usize>, name: &str| match at {
            Some(at) => text(at, name).map(|text| (!text.is_empty()).then_some(text)),
            None => Ok(None),
        };
        Ok(Item {
            auth: text(self.columns.token, "the token")?,
            username: optional(self.columns.username, USERNAME)?,
            hub_login_token: optional(self.columns.hub_login_token, HUB_LOGIN_TOKEN)?,
        })
    }

    fn put(&self, row: &ByteRecord, outcome: &Outcome, out: &mut Vec<u8>) {
        let Columns { token, verdict, error, given, all, .. } = self.columns;
        let (new, judged, said) = outcome.fields();
        let mut fields: Vec<&[u8]> = row.iter().take(given).collect();
        fields.resize(all, b"");
        if let Some(new) = new {
            fields[token] = new.as_bytes();
        }
        fields[verdict] = judged.as_bytes();
        fields[error] = said.as_bytes();
        // Fields that the heading has no names for come last, so that all others stand under theirs.
        fields.extend(row.iter().skip(given));
        self.style.put(&fields, out);
    }

    fn written(&self, out: File) -> impl Iterator<Item = io::Result<Written>> + use<> {
        let (columns, style) = (self.columns, self.style);
        let left = Rc::new(Cell::new(0));
        // A line's end is part of it, so that lengths are those of whole rows.
        let mut reader = reader(Bounded { file: out, left: Rc::clone(&left) }, Terminator::Any(b'\n'));
        let mut row = ByteRecord::new();
        std::iter::from_fn(move || {
            left.set(WRITTEN_MAX);
            let begin = reader.position().byte();
            match reader.read_byte_record(&mut row) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(io::Error::other(error))),
            }
            let length = reader.position().byte() - begin;
            let field = |at: usize| {
                let field = row.get(at)?;
                let is_last = style.is_crlf && at + 1 == row.len();
                std::str::from_utf8(if is_last { field.strip_suffix(b"\r")? } else { field }).ok()
            };
            let outcome = field(columns.verdict)
                .zip(field(columns.error))
                .map(|(verdict, error)| Outcome::of(field(columns.token).unwrap_or_default(), verdict, error));
            Some(Ok(Written { outcome, length }))
        })
    }
}

impl Style {
    fn put(self, fields: &[&[u8]], out: &mut Vec<u8>) {
        let terminator = if self.is_crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
        let mut writer = WriterBuilder::new().terminator(terminator).buffer_capacity(512).from_writer(out);
        // Writing to memory does not fail.
        let _ = writer.write_record(fields);
        let _ = writer.flush();
    }
}

fn reader(file: Bounded, terminator: Terminator) -> csv::Reader<Bounded> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).terminator(terminator).buffer_capacity(64 << 10).from_reader(file)
}

fn not_read(path: &Path, line: u64, error: &csv::Error) -> Failure {
    match error.kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => Failure::usage(format!(
            "{}: the row from line {line} on is longer than {ROW_MAX} bytes; is there a quote without its partner?",
            path.display()
        )),
        csv::ErrorKind::Io(error) => unreadable(path, error),
        _ => Failure::usage(format!("{}: line {line} cannot be read as CSV", path.display())),
    }
}

/// A file of which only so much is given out at a time.
struct Bounded {
    file: File,
    left: Rc<Cell<usize>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.left.get());
        if most == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.file.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - read);
        Ok(read)
    }
}
