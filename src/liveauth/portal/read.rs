//! Reading what the endpoint answers. Types are held to what the document says; fields that it does not name are passed
//! over. How an error looks, no document says: what looks like one in JSON is taken for one, and everything else for an
//! answer that cannot be read.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why an answer says nothing of what was asked.
#[derive(PartialEq, Eq)]
pub enum Misread {
    /// It says that it will not, and in these words why. They come from outside, and may repeat what was sent.
    Complaint(String),
    /// It is not what the document says; this is what that would be.
    Unlike(&'static str),
}

/// The JSON of an answer, if it is no complaint.
pub(super) fn value(body: &[u8]) -> Result<Value, Misread> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Misread::Unlike("it answers JSON"))?;
    match &value {
        Value::Object(_) => of_object(&value).map_or(Ok(value), |words| Err(Misread::Complaint(words))),
        Value::Bool(false) => Err(Misread::Complaint(String::new())),
        _ => Ok(value),
    }
}

/// The fields of an answer that is an object. `[]` is how PHP writes an empty one.
pub(super) fn fields<T: DeserializeOwned>(body: &[u8], like: &'static str) -> Result<T, Misread> {
    match value(body)? {
        // From the text once more: a field that is there twice is refused.
        Value::Object(_) => serde_json::from_slice(body).map_err(|_| Misread::Unlike(like)),
        Value::Array(list) if list.is_empty() => serde_json::from_str("{}").map_err(|_| Misread::Unlike(like)),
        Value::String(words) => Err(Misread::Complaint(words)),
        _ => Err(Misread::Unlike(like)),
    }
}

/// What an answer with the HTTP status of an error says, as far as it says anything to people.
#[must_use]
pub fn complaint(body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else { return String::new() };
    match serde_json::from_str::<Value>(text) {
        Ok(Value::String(words)) => words,
        Ok(value @ Value::Object(_)) => {
            of_object(&value).or_else(|| words_of(value.get("message")?)).unwrap_or_default()
        }
        Ok(_) => String::new(),
        // A page is for browsers.
        Err(_) if text.trim_start().starts_with(['<', '{', '[']) => String::new(),
        Err(_) => text.to_owned(),
    }
}

/// The words of an object that is a complaint: it has an `error` or `errors`, and that is not said to be none.
fn of_object(value: &Value) -> Option<String> {
    let found = value.get("error").or_else(|| value.get("errors"))?;
    match found {
        Value::Null | Value::Bool(false) => None,
        Value::Array(list) if list.is_empty() => None,
        Value::String(text) if text.is_empty() => None,
        found => Some(words_of(found).or_else(|| words_of(value.get("message")?)).unwrap_or_default()),
    }
}

fn words_of(value: &Value) -> Option<String> {
    match value {
        Value::String(words) => Some(words.clone()),
        Value::Object(fields) => fields.get("message").or_else(|| fields.get("description")).and_then(words_of),
        Value::Array(list) => list.first().and_then(words_of),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether a browser can be shown this: it goes to a server of the web, and reads as it is written.
pub(super) fn is_web_page(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
    let web = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    plain && web
}
