//! JSON as a plain value, read strictly: no member twice, nothing after the end, and `null` members left out, as
//! proto3 JSON takes them. What is wrong is told by place, never by content.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use zeroize::Zeroize as _;

/// More members than any message has fields, in both of their spellings.
const MOST_MEMBERS: usize = 64;

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    /// Members in the order they came in, without those that are `null`.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Wipes every text in it.
    pub(super) fn wipe(&mut self) {
        match self {
            Self::Null | Self::Bool(_) | Self::Signed(_) | Self::Unsigned(_) | Self::Float(_) => {}
            Self::Text(text) => text.zeroize(),
            Self::Array(items) => items.iter_mut().for_each(Self::wipe),
            Self::Object(members) => members.iter_mut().for_each(|(_, value)| value.wipe()),
        }
    }
}

/// Reads one value. A member `items` of the outermost object is cut after `most_items`, as its protobuf form is.
///
/// # Errors
/// What is wrong and where.
pub(super) fn parse(text: &[u8], most_items: usize) -> Result<Json, String> {
    let mut value: Json = serde_json::from_slice(text).map_err(|error| {
        let problem = match error.classify() {
            serde_json::error::Category::Eof => "the JSON ends too early",
            serde_json::error::Category::Data => {
                "the JSON has the same member twice, or too many members, in one object"
            }
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "this is not valid JSON",
        };
        format!("{problem}, at line {} column {}", error.line(), error.column())
    })?;
    if let Json::Object(members) = &mut value {
        for (name, member) in members {
            if let Json::Array(items) = member
                && name == "items"
            {
                items.truncate(most_items);
            }
        }
    }
    Ok(value)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Signed(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.len() == MOST_MEMBERS || members.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(""));
            }
            members.push((name, map.next_value()?));
        }
        members.retain(|(_, value)| *value != Json::Null);
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Json, String> {
        parse(text.as_bytes(), usize::MAX)
    }

    #[test]
    fn null_members_are_absent_and_null_items_are_not() {
        assert_eq!(
            read(r#"{"a":null,"b":[null]}"#),
            Ok(Json::Object(vec![("b".into(), Json::Array(vec![Json::Null]))]))
        );
    }

    #[test]
    fn a_member_given_twice_is_refused_even_as_null_and_however_deep() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":null,"a":1}"#, r#"{"a":[{"b":1,"b":2}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(read(text).unwrap_err().contains("twice"), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused_without_being_quoted() {
        for text in [
            "",
            "{",
            "{}}",
            "{} x",
            "PLANTED",
            "{'PLANTED':1}",
            r#"{"PLANTED":}"#,
            r#"{"a":"PLANTED}"#,
            "[1,]",
            r#"{"a":"\ud800 PLANTED"}"#,
            "\u{feff}{}",
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
            r#"{"PLANTED":1,"PLANTED":2}"#,
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.contains("line") && !problem.contains("PLANTED"), "{text}: {problem}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}", usize::MAX).is_err());
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_wiped_value_holds_no_text() {
        let mut value = read(r#"{"a":["PLANTED",{"b":"PLANTED"}]}"#).unwrap();
        value.wipe();
        assert!(!format!("{value:?}").contains("PLANTED"));
    }

    #[test]
    fn too_many_items_are_cut() {
        let text = format!(r#"{{"items":[{}1]}}"#, "1,".repeat(5000));
        let Ok(Json::Object(members)) = parse(text.as_bytes(), 1001) else { panic!("no object") };
        assert!(matches!(&members[0].1, Json::Array(items) if items.len() == 1001));
    }
}
