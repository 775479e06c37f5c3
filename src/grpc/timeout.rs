//! How long a caller is willing to wait, read strictly: `grpc-timeout` and `Connect-Timeout-Ms`.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::authority::Refusal;

const GRPC: HeaderName = HeaderName::from_static("grpc-timeout");
const CONNECT: HeaderName = HeaderName::from_static("connect-timeout-ms");

/// The timeout of a gRPC request: one to eight digits and a unit, one of `H M S m u n`.
///
/// # Errors
/// An invalid field where there is one, but not of that form, or more than one.
pub(super) fn of_grpc(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    single(headers, &GRPC, parse_grpc, "grpc-timeout", "must be 1 to 8 digits and one of H, M, S, m, u, n")
}

/// The timeout of a Connect request: one to ten digits, milliseconds.
///
/// # Errors
/// As for [`of_grpc`].
pub(super) fn of_connect(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    single(headers, &CONNECT, parse_connect, "connect-timeout-ms", "must be 1 to 10 digits, milliseconds")
}

fn single(
    headers: &HeaderMap,
    name: &HeaderName,
    parse: fn(&[u8]) -> Option<Duration>,
    field: &'static str,
    problem: &str,
) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    if headers.get_all(name).iter().nth(1).is_some() {
        return Err(Refusal::invalid(field, "must be given once"));
    }
    parse(value.as_bytes()).map(Some).ok_or_else(|| Refusal::invalid(field, problem))
}

fn parse_grpc(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let number = number(digits, 8)?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

fn parse_connect(value: &[u8]) -> Option<Duration> {
    number(value, 10).map(Duration::from_millis)
}

/// One to `most` decimal digits and nothing else; `most` is at most 18, so nothing overflows.
fn number(digits: &[u8], most: usize) -> Option<u64> {
    if digits.is_empty() || digits.len() > most || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_grpc_timeout_is_read() {
        for (text, expected) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0n", Duration::ZERO),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(parse_grpc(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn whatever_is_not_exactly_a_timeout_is_malformed() {
        for text in ["", "S", "5", "123456789S", "-1S", "+1S", "1s", "1 S", " 1S", "1.5S", "1SS", "0x1S", "１S"] {
            assert_eq!(parse_grpc(text.as_bytes()), None, "{text}");
        }
        for text in ["", "12345678901", "-1", "+1", "1.0", " 1", "1 ", "1m", "0x1"] {
            assert_eq!(parse_connect(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_connect(b"9999999999"), Some(Duration::from_millis(9_999_999_999)));
    }

    #[test]
    fn two_timeouts_are_one_too_many() {
        let mut headers = HeaderMap::new();
        headers.append(GRPC, "1S".parse().unwrap());
        assert_eq!(of_grpc(&headers), Ok(Some(Duration::from_secs(1))));
        headers.append(GRPC, "2S".parse().unwrap());
        assert!(of_grpc(&headers).is_err());
        assert_eq!(of_connect(&headers), Ok(None));
    }
}
