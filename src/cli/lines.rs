//! The lines of a file that may hold anything: no more of one is taken in than a line can have.

use std::io::{self, BufRead, Read as _};

/// Reads lines, one after the other, of at most so many bytes without their end.
pub(super) struct Lines {
    most: usize,
    line: Vec<u8>,
    /// What is in `line` was given out.
    given: bool,
    /// What comes next is the rest of a line that was too long.
    skipping: bool,
}

/// What was found next.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Found<'a> {
    /// A line, without its newline.
    Line(&'a [u8]),
    /// A line that is too long; the next call skips the rest of it.
    TooLong,
    /// The end, for now: what stands there has no newline. It is kept, and read on with the next call.
    End(&'a [u8]),
}

impl Lines {
    pub(super) fn new(most: usize) -> Self {
        Self { most, line: Vec::new(), given: false, skipping: false }
    }

    pub(super) fn next(&mut self, reader: &mut impl BufRead) -> io::Result<Found<'_>> {
        if std::mem::take(&mut self.given) {
            self.line.clear();
        }
        loop {
            let room = self.most + 1 - self.line.len();
            let read = reader.by_ref().take(room as u64).read_until(b'\n', &mut self.line)?;
            if self.line.last() == Some(&b'\n') {
                if std::mem::take(&mut self.skipping) {
                    self.line.clear();
                    continue;
                }
                self.given = true;
                return Ok(Found::Line(&self.line[..self.line.len() - 1]));
            }
            if self.line.len() > self.most {
                self.line.clear();
                if !std::mem::replace(&mut self.skipping, true) {
                    return Ok(Found::TooLong);
                }
            } else if read == 0 {
                return Ok(Found::End(if self.skipping { &[] } else { &self.line }));
            }
        }
    }

    /// Begins with another file.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<String> {
        let (mut lines, mut reader, mut found) = (Lines::new(4), text, Vec::new());
        loop {
            match lines.next(&mut reader).unwrap() {
                Found::Line(line) => found.push(String::from_utf8_lossy(line).into_owned()),
                Found::TooLong => found.push("too long".into()),
                Found::End(rest) => {
                    found.push(format!("end {}", String::from_utf8_lossy(rest)));
                    return found;
                }
            }
        }
    }

    #[test]
    fn lines_that_are_too_long_are_told_once_and_skipped() {
        assert_eq!(all(b""), ["end "]);
        assert_eq!(all(b"1234\n\nabc"), ["1234", "", "end abc"]);
        assert_eq!(all(b"12345\nabc\n"), ["too long", "abc", "end "]);
        assert_eq!(all(b"1\n12345678901234\nabc\n"), ["1", "too long", "abc", "end "]);
        assert_eq!(all(b"123456789"), ["too long", "end "]);
        assert_eq!(all(b"12345"), ["too long", "end "]);
    }

    #[test]
    fn a_line_that_grows_is_read_on_with() {
        let mut lines = Lines::new(4);
        assert_eq!(lines.next(&mut &b"ab"[..]).unwrap(), Found::End(b"ab"));
        assert_eq!(lines.next(&mut &b""[..]).unwrap(), Found::End(b"ab"));
        assert_eq!(lines.next(&mut &b"cd\n"[..]).unwrap(), Found::Line(b"abcd"));
        assert_eq!(lines.next(&mut &b"12345"[..]).unwrap(), Found::TooLong);
        assert_eq!(lines.next(&mut &b"67\nx\n"[..]).unwrap(), Found::Line(b"x"));
        assert_eq!(lines.next(&mut &b"ab"[..]).unwrap(), Found::End(b"ab"));
        lines.restart();
        assert_eq!(lines.next(&mut &b"c\n"[..]).unwrap(), Found::Line(b"c"));
    }
}
