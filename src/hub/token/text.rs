//! What texts inside tokens, or bound to them, may look like.

use std::fmt;

/// What is wrong with a text. It goes after the name of the field, and quotes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TextProblem {
    /// Nothing at all.
    Empty,
    /// Longer than so many bytes.
    TooLong(usize),
    /// A control character in it.
    Control,
    /// Something else than printable ASCII in it.
    NotAscii,
}

impl fmt::Display for TextProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty: leave it out, or give one"),
            Self::TooLong(most) => write!(f, "is longer than {most} bytes: shorten it"),
            Self::Control => f.write_str("has a control character in it: remove it"),
            Self::NotAscii => f.write_str("has something else than printable ASCII in it: encode it"),
        }
    }
}

/// So many bytes, no control characters.
pub(super) fn check(text: &str, least: usize, most: usize) -> Result<(), TextProblem> {
    check_len(text, least, most)?;
    if text.chars().any(char::is_control) { Err(TextProblem::Control) } else { Ok(()) }
}

/// So many bytes, whatever they are.
pub(super) fn check_len(text: &str, least: usize, most: usize) -> Result<(), TextProblem> {
    if text.len() < least {
        return Err(TextProblem::Empty);
    }
    if text.len() > most { Err(TextProblem::TooLong(most)) } else { Ok(()) }
}

/// So many printable ASCII characters, no space.
pub(super) fn check_ascii(text: &str, most: usize) -> Result<(), TextProblem> {
    check_len(text, 1, most)?;
    if text.bytes().all(|b| b.is_ascii_graphic()) { Ok(()) } else { Err(TextProblem::NotAscii) }
}
