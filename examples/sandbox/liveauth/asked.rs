//! The query of a request to the endpoint, and what may be a callback's name.

use url::form_urlencoded;

use super::Refused;

/// Longest name of a callback, characters.
const CALLBACK_MAX: usize = 128;

/// Parameters, decoded; the last of a name counts.
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, Refused> {
        self.value(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Refused::bad(format!("missing parameter: {name}")))
    }

    /// An id: digits alone.
    pub(super) fn number(&self, name: &str) -> Result<i64, Refused> {
        let text = self.text(name)?;
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| Refused::bad(format!("not an integer: {name}")))
    }

    /// The function that a JSONP answer calls; none asks for JSON. What is more than a name would be run as a script on
    /// the page that asks.
    pub(super) fn callback(&self) -> Result<Option<&str>, Refused> {
        let Some(name) = self.value("callback") else { return Ok(None) };
        let first = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b'$';
        let identifier =
            |part: &str| part.bytes().next().is_some_and(first) && part.bytes().all(|b| first(b) || b.is_ascii_digit());
        if name.len() <= CALLBACK_MAX && name.split('.').all(identifier) {
            Ok(Some(name))
        } else {
            Err(Refused::bad("callback is no name of a function"))
        }
    }
}
