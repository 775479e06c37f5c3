//! Fits a JSON value into a message, and says what does not fit by the message's own names: serde's stock errors quote
//! the value they choke on, and that may be a token.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use super::json::Json;
use crate::grpc::message::Explanation;

/// Why a value does not fit, and where. Holds names of the API only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Fields and indices from the outside in; a field is named only once its message has accepted the name.
    path: String,
    problem: Problem,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    UnknownField(&'static [&'static str]),
    UnknownVariant(&'static [&'static str]),
    Duplicate(&'static str),
    Expected(String),
    Unfit,
}

impl Misfit {
    fn of(problem: Problem) -> Self {
        Self { path: String::new(), problem }
    }

    fn under(mut self, step: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{joint}{}", self.path);
        self
    }
}

impl From<Misfit> for Explanation {
    fn from(misfit: Misfit) -> Self {
        let field = Some(proto_names(&misfit.path)).filter(|path| !path.is_empty());
        Self { message: misfit.to_string(), field }
    }
}

/// A path of fields by their names in `proto/`, whichever of their two names the caller used.
fn proto_names(path: &str) -> String {
    path.chars().fold(String::with_capacity(path.len() + 8), |mut names, c| {
        if c.is_ascii_uppercase() {
            names.push('_');
        }
        names.push(c.to_ascii_lowercase());
        names
    })
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "the request" } else { &self.path };
        match &self.problem {
            Problem::UnknownField(known) => {
                write!(f, "{place}: has a field that is not known here; the fields are {}", known.join(", "))
            }
            Problem::UnknownVariant(known) => write!(f, "{place}: must be one of {}", known.join(", ")),
            Problem::Duplicate(field) => {
                write!(f, "{place}: {field} is given twice, under both of its names or with another of its oneof")
            }
            // Generated code says it so where a number stands for no name.
            Problem::Expected(what) => write!(f, "{place}: must be {}", what.strip_prefix("expected ").unwrap_or(what)),
            Problem::Unfit => write!(f, "{place}: is of the wrong type, or out of range"),
        }
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    /// The message may quote the value: it goes no further.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::of(Problem::Unfit)
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(Problem::Expected(expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(Problem::Expected(expected.to_string()))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::of(Problem::Expected(expected.to_string()))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::of(Problem::UnknownVariant(expected))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::of(Problem::UnknownField(expected))
    }

    fn missing_field(_: &'static str) -> Self {
        Self::of(Problem::Unfit)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::of(Problem::Duplicate(field))
    }
}

/// Hands a value to a message's `Deserialize`.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a Json);

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Json::Null => visitor.visit_unit(),
            Json::Bool(value) => visitor.visit_bool(*value),
            Json::Signed(value) => visitor.visit_i64(*value),
            Json::Unsigned(value) => visitor.visit_u64(*value),
            Json::Float(value) => match whole(*value) {
                Some(value) => visitor.visit_i64(value),
                None => visitor.visit_f64(*value),
            },
            Json::Text(value) => visitor.visit_borrowed_str(value),
            Json::Array(items) => visitor.visit_seq(Items { rest: items.iter(), index: 0 }),
            Json::Object(members) => visitor.visit_map(Members { rest: members.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Json::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// proto3 JSON lets a whole number be written with a fraction or an exponent.
#[expect(clippy::cast_possible_truncation, reason = "whole, and within 53 bits")]
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.trunc().to_bits() == value.to_bits() && value.abs() <= EXACT).then_some(value as i64)
}

struct Items<'de> {
    rest: std::slice::Iter<'de, Json>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(item) = self.rest.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Reader(item)).map(Some).map_err(|misfit| misfit.under(&format!("[{index}]")))
    }
}

struct Members<'de> {
    rest: std::slice::Iter<'de, (String, Json)>,
    value: Option<&'de (String, Json)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(member) = self.rest.next() else { return Ok(None) };
        self.value = Some(member);
        let name: StrDeserializer<'_, Misfit> = member.0.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let Some((name, value)) = self.value.take() else { return Err(Misfit::of(Problem::Unfit)) };
        // The message has accepted the name, so it is one of the API's.
        seed.deserialize(Reader(value)).map_err(|misfit| misfit.under(name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;
    use crate::grpc::proto::{BatchSealRequest, MintHashRequest, SealRequest, VerifyHashRequest, mint_hash_request};

    fn fit<M: for<'a> serde::Deserialize<'a>>(text: &str) -> Result<M, String> {
        let value = json::parse(text.as_bytes(), usize::MAX).unwrap();
        M::deserialize(Reader(&value)).map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn proto3_json_is_read_in_all_its_spellings() {
        for text in [
            r#"{"domain":"d","client":42,"ttl":900}"#,
            r#"{"domain":"d","client":"42","ttl":"900"}"#,
            r#"{"domain":"d","client":42.0,"ttl":9e2,"expires":null}"#,
        ] {
            let read: MintHashRequest = fit(text).unwrap();
            assert_eq!((read.domain.as_str(), read.client), ("d", 42));
            assert_eq!(read.validity, Some(mint_hash_request::Validity::Ttl(900)));
        }
        for kind in ["\"PAYLOAD_KIND_JSON\"", "4"] {
            let text = format!(r#"{{"app":"a","payload":"-_8=","kind":{kind},"hub_login_token":"t","username":null}}"#);
            let read: SealRequest = fit(&text).unwrap();
            assert_eq!((read.payload.as_slice(), read.kind, read.username), (&[0xfb, 0xff][..], 4, None));
            assert_eq!(read.hub_login_token.as_deref(), Some("t"));
        }
        let largest: MintHashRequest = fit(r#"{"client":9223372036854775807}"#).unwrap();
        assert_eq!(largest.client, i64::MAX);
    }

    #[test]
    fn a_misspelt_field_is_refused_and_the_known_ones_are_named() {
        let problem = fit::<SealRequest>(r#"{"app":"a","PLANTED":"b"}"#).unwrap_err();
        assert!(problem.contains("hubLoginToken") && !problem.contains("PLANTED"), "{problem}");
        let problem = fit::<BatchSealRequest>(r#"{"items":[{},{"labels":[{"PLANTED":1}]}]}"#).unwrap_err();
        assert!(problem.starts_with("items[1].labels[0]: ") && !problem.contains("PLANTED"), "{problem}");
    }

    #[test]
    fn one_field_under_both_names_or_two_of_a_oneof_are_refused() {
        assert!(fit::<SealRequest>(r#"{"hubLoginToken":"a","hub_login_token":"b"}"#).unwrap_err().contains("twice"));
        assert!(fit::<MintHashRequest>(r#"{"ttl":1,"expires":2}"#).unwrap_err().contains("twice"));
        assert!(fit::<VerifyHashRequest>(r#"{"domain":"a","referer":"b"}"#).unwrap_err().contains("twice"));
    }

    #[test]
    fn an_explanation_names_the_field_that_it_is_about() {
        use crate::grpc::connect::read_json;
        let kind = read_json::<SealRequest>(br#"{"kind":77}"#).unwrap_err();
        assert_eq!(kind.field.as_deref(), Some("kind"));
        assert!(kind.message.starts_with("kind: must be one of: ["), "{}", kind.message);
        let item = read_json::<BatchSealRequest>(br#"{"items":[{},{"kind":"PLANTED"}]}"#).unwrap_err();
        assert_eq!(item.field.as_deref(), Some("items[1].kind"));
        let token = read_json::<BatchSealRequest>(br#"{"items":[{"hubLoginToken":7}]}"#).unwrap_err();
        assert_eq!(
            token.field.as_deref(),
            Some("items[0].hub_login_token"),
            "by its name in proto/, like every violation"
        );
        for whole in [r#"{"PLANTED":1}"#, "7", "{"] {
            assert_eq!(read_json::<SealRequest>(whole.as_bytes()).unwrap_err().field, None, "{whole}");
        }
    }

    #[test]
    fn no_misfit_quotes_the_value() {
        for text in [
            r#"{"app":["PLANTED"]}"#,
            r#"{"payload":"PLANTED!"}"#,
            r#"{"payload":{"PLANTED":1}}"#,
            r#"{"ttl":"PLANTED"}"#,
            r#"{"ttl":1.5}"#,
            r#"{"ttl":99999999999999999999}"#,
            r#"{"kind":"PLANTED"}"#,
            r#"{"kind":77}"#,
            r#"{"labels":{"PLANTED":1}}"#,
            r#"{"labels":[null]}"#,
            r#"{"username":7}"#,
            r#"["PLANTED"]"#,
            r#""PLANTED""#,
            "null",
        ] {
            let problem = fit::<SealRequest>(text).unwrap_err();
            assert!(!problem.contains("PLANTED") && !problem.contains("77"), "{text}: {problem}");
        }
    }
}
