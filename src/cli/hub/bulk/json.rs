//! JSON lines. Of a line only the token changes, and the two fields that say what became of it; every other byte stays.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::sheet::{
    ERROR, HUB_LOGIN_TOKEN, Item, Outcome, ROW_MAX, Sheet, TOKEN, USERNAME, VERDICT, WRITTEN_MAX, Written, unreadable,
};
use crate::cli::{
    Failure,
    lines::{Found, Lines},
};

/// Where the text of a line stands that is no JSON object, and the number of one that is too long to be kept.
const INPUT: &str = "reseal_input";
const LINE: &str = "reseal_line";

/// The byte order mark that some programs begin a file with.
const MARK: char = '\u{feff}';

/// A file of JSON lines.
pub(super) struct JsonSheet {
    path: PathBuf,
    reader: BufReader<File>,
    lines: Lines,
    size: u64,
    position: u64,
    number: u64,
}

/// A line.
pub(super) enum Row {
    Object(Box<Object>),
    /// No JSON object.
    Other {
        text: String,
        problem: String,
    },
    TooLong {
        number: u64,
    },
}

/// A line that is a JSON object.
pub(super) struct Object {
    text: String,
    token: Option<Field>,
    username: Option<Field>,
    hub_login_token: Option<Field>,
    verdict: Option<Field>,
    error: Option<Field>,
    /// The closing brace.
    end: usize,
    is_empty: bool,
    problem: Option<String>,
}

/// A value, as text where it is text, and its place.
struct Field {
    place: Range<usize>,
    text: Option<String>,
}

impl JsonSheet {
    pub(super) fn open(file: File, path: &Path) -> Self {
        let size = file.metadata().map_or(0, |found| found.len());
        let (reader, lines) = (BufReader::with_capacity(256 << 10, file), Lines::new(ROW_MAX));
        Self { path: path.to_owned(), reader, lines, size, position: 0, number: 0 }
    }
}

impl Sheet for JsonSheet {
    type Row = Row;

    fn size(&self) -> u64 {
        self.size
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn heading(&self) -> Vec<u8> {
        Vec::new()
    }

    fn next(&mut self) -> Result<Option<Row>, Failure> {
        loop {
            self.number += 1;
            let found = self.lines.next(&mut self.reader).map_err(|error| unreadable(&self.path, &error))?;
            let (line, is_end) = match found {
                Found::TooLong => return Ok(Some(Row::TooLong { number: self.number })),
                Found::Line(line) => (line, false),
                Found::End(line) => (line, true),
            };
            self.position += line.len() as u64 + u64::from(!is_end);
            let is_blank = line.iter().all(u8::is_ascii_whitespace);
            let row = (!is_blank).then(|| Row::of(line));
            if is_end && row.is_some() {
                // It has been given out; what is there now is nothing.
                self.lines.restart();
            }
            if is_end || row.is_some() {
                return Ok(row);
            }
        }
    }

    fn item<'r>(&self, row: &'r Row) -> Result<Item<'r>, String> {
        match row {
            Row::Object(object) => object.item(),
            Row::Other { problem, .. } => Err(problem.clone()),
            Row::TooLong { number } => Err(format!("line {number} is longer than {ROW_MAX} bytes, and left out")),
        }
    }

    fn put(&self, row: &Row, outcome: &Outcome, out: &mut Vec<u8>) {
        let (_, verdict, error) = outcome.fields();
        let (name, value) = match row {
            Row::Object(object) => return object.put(outcome, out),
            Row::Other { text, .. } => (INPUT, quoted(text)),
            Row::TooLong { number } => (LINE, number.to_string()),
        };
        let said = format!("\"{VERDICT}\":{},\"{ERROR}\":{}", quoted(verdict), quoted(error));
        out.extend(format!("{{\"{name}\":{value},{said}}}\n").as_bytes());
    }

    fn written(&self, out: File) -> impl Iterator<Item = io::Result<Written>> + use<> {
        let (mut reader, mut lines) = (BufReader::with_capacity(256 << 10, out), Lines::new(WRITTEN_MAX));
        std::iter::from_fn(move || match lines.next(&mut reader) {
            Ok(Found::End([])) => None,
            Ok(Found::End(torn)) => {
                let length = torn.len() as u64;
                lines.restart();
                Some(Ok(Written { outcome: None, length }))
            }
            Ok(Found::Line(line)) => {
                let outcome = if let Row::Object(object) = Row::of(line) { object.outcome() } else { None };
                Some(Ok(Written { outcome, length: line.len() as u64 + 1 }))
            }
            Ok(Found::TooLong) => Some(Ok(Written { outcome: None, length: WRITTEN_MAX as u64 })),
            Err(error) => Some(Err(error)),
        })
    }
}

impl Row {
    fn of(line: &[u8]) -> Self {
        let other = |problem: String| Self::Other { text: String::from_utf8_lossy(line).into_owned(), problem };
        let Ok(text) = std::str::from_utf8(line) else { return other("the line is no UTF-8".into()) };
        let begin = if text.starts_with(MARK) { MARK.len_utf8() } else { 0 };
        match serde_json::from_str::<Fields<'_>>(&text[begin..]) {
            Ok(Fields(fields)) => Self::Object(Box::new(Object::of(text, &fields))),
            // Its own words would quote the line.
            Err(error) => other(format!("no JSON object: see column {}", error.column())),
        }
    }
}

impl Object {
    fn of(text: &str, fields: &[(String, &RawValue)]) -> Self {
        let mut problem = None;
        let mut find = |names: &[&str]| {
            let mut found = fields.iter().filter(|(name, _)| names.contains(&name.as_str()));
            let (name, value) = found.next()?;
            if let Some((again, _)) = found.next() {
                let what = if again == name { format!("{name} twice") } else { format!("both {name} and {again}") };
                problem.get_or_insert(format!("has {what}"));
            }
            // The value lies in the line: it was borrowed from it.
            let begin = value.get().as_ptr().addr() - text.as_ptr().addr();
            let place = begin..begin + value.get().len();
            Some(Field { place, text: serde_json::from_str(value.get()).ok() })
        };
        let token = find(&TOKEN);
        let (username, hub_login_token) = (find(&[USERNAME]), find(&[HUB_LOGIN_TOKEN]));
        let (verdict, error) = (find(&[VERDICT]), find(&[ERROR]));
        Self {
            end: text.rfind('}').unwrap_or(text.len()),
            text: text.to_owned(),
            is_empty: fields.is_empty(),
            token,
            username,
            hub_login_token,
            verdict,
            error,
            problem,
        }
    }

    fn item(&self) -> Result<Item<'_>, String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let token = self.token.as_ref().ok_or_else(|| format!("has no field {} or {}", TOKEN[0], TOKEN[1]))?;
        let auth = token.text.as_deref().ok_or("the token is no text")?;
        Ok(Item {
            auth,
            username: self.optional(USERNAME, self.username.as_ref())?,
            hub_login_token: self.optional(HUB_LOGIN_TOKEN, self.hub_login_token.as_ref())?,
        })
    }

    /// A binding; null and empty are as good as absent.
    fn optional<'r>(&self, name: &str, field: Option<&'r Field>) -> Result<Option<&'r str>, String> {
        match field {
            None => Ok(None),
            Some(field) if &self.text[field.place.clone()] == "null" => Ok(None),
            Some(Field { text: Some(text), .. }) => Ok((!text.is_empty()).then_some(text)),
            Some(_) => Err(format!("{name} is no text")),
        }
    }

    /// What the fields of an output row say.
    fn outcome(&self) -> Option<Outcome> {
        let text = |field: &Option<Field>| field.as_ref().and_then(|field| field.text.clone());
        let token = text(&self.token).unwrap_or_default();
        Some(Outcome::of(&token, &text(&self.verdict)?, &text(&self.error)?))
    }

    fn put(&self, outcome: &Outcome, out: &mut Vec<u8>) {
        let (token, verdict, error) = outcome.fields();
        let mut changes = Vec::new();
        if let (Some(field), Some(token)) = (&self.token, token) {
            changes.push((field.place.clone(), quoted(token)));
        }
        let mut more = String::new();
        for (name, field, value) in [(VERDICT, &self.verdict, verdict), (ERROR, &self.error, error)] {
            if let Some(field) = field {
                changes.push((field.place.clone(), quoted(value)));
            } else {
                let comma = if self.is_empty && more.is_empty() { "" } else { "," };
                more += &[comma, "\"", name, "\":", &quoted(value)].concat();
            }
        }
        changes.push((self.end..self.end, more));
        changes.sort_by_key(|(place, _)| place.start);
        let mut at = 0;
        for (place, text) in changes {
            out.extend(&self.text.as_bytes()[at..place.start]);
            out.extend(text.as_bytes());
            at = place.end;
        }
        out.extend(&self.text.as_bytes()[at..]);
        out.push(b'\n');
    }
}

/// As JSON writes text.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The fields of an object as they stand, in order and with those that are there twice.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(InOrder).map(Self)
    }
}
