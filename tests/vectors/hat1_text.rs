//! The outer layer of a token, written a second time for the tests: to take a token apart, and to put one together
//! with check digits that are right whatever is inside.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The bytes inside a token.
pub(crate) fn unwrap(token: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(&token[5..token.len() - 6]).unwrap()
}

/// The token around these bytes.
pub(crate) fn wrap(bytes: &[u8]) -> String {
    signed(&format!("hat1_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// The text with its check digits: CRC-32 bit by bit, then base62.
pub(crate) fn signed(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut rest = !crc as usize;
    let mut check = String::new();
    for _ in 0..6 {
        check.insert(0, digits[rest % 62]);
        rest /= 62;
    }
    text.to_owned() + &check
}
