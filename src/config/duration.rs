//! Lengths of time as people write them: a whole number and one of `s`, `m`, `h`, `d`; a bare number is seconds.

/// A length of time, or no end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifetime {
    /// This many seconds.
    Seconds(i64),
    /// Never ends.
    Never,
}

/// Reads `900`, `900s`, `15m`, `1h`, `90d`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_seconds(text: &str) -> Result<i64, String> {
    let malformed = || format!("{text:?} is no length of time: write a whole number and s, m, h or d, such as 15m");
    let (digits, unit) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        Some(b'd') => (&text[..text.len() - 1], 86400),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(malformed());
    }
    digits.parse::<i64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(malformed)
}

/// Reads the same, or `never`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "never" { Ok(Lifetime::Never) } else { parse_seconds(text).map(Lifetime::Seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_strictly() {
        for (text, seconds) in [("900", 900), ("0s", 0), ("15m", 900), ("1h", 3600), ("90d", 7_776_000)] {
            assert_eq!(parse_seconds(text), Ok(seconds));
        }
        for bad in ["", "s", "-1s", "+1", "1.5h", "1 h", "1w", "never", "9223372036854775807d", "１"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_lifetime("never"), Ok(Lifetime::Never));
    }
}
