//! As much of RFC 7541 as the flood needs: one request, and the status of an answer.

const FIELDS: [(&str, &str); 5] = [
    (":path", "/countersign.v1.LiveAuthService/MintHash"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("grpc-timeout", "1S"),
];

/// POST and http from the static table, then the five fields that the first request has put into the dynamic one.
pub const NEXT_REQUEST: [u8; 7] = [0x83, 0x86, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe];

/// "grpc-status" in the code of appendix B.
const GRPC_STATUS: [u8; 8] = [0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f];

pub fn first_request() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in FIELDS {
        block.push(0x40);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The grpc-status in a header block that uses no dynamic table.
pub fn grpc_status(block: &[u8]) -> Option<u32> {
    let mut rest = block;
    while let Some(&first) = rest.first() {
        let bits = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let (index, after) = integer(rest, bits)?;
        rest = after;
        if (0x20..0x40).contains(&first) || first >= 0x80 {
            continue;
        }
        let mut name = None;
        if index == 0 {
            let (text, after) = string(rest)?;
            name = Some(text);
            rest = after;
        }
        let (value, after) = string(rest)?;
        rest = after;
        match name {
            Some((true, name)) if name == GRPC_STATUS => return number(value),
            Some((false, b"grpc-status")) => return number(value),
            _ => {}
        }
    }
    None
}

fn integer(bytes: &[u8], bits: u32) -> Option<(usize, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let most = (1 << bits) - 1;
    let mut value = usize::from(*first) & most;
    if value < most {
        return Some((value, rest));
    }
    for shift in (0..28).step_by(7) {
        let (byte, after) = rest.split_first()?;
        rest = after;
        value += usize::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some((value, rest));
        }
    }
    None
}

/// A string, and whether it is coded.
#[allow(clippy::type_complexity, reason = "a string and the rest")]
fn string(bytes: &[u8]) -> Option<((bool, &[u8]), &[u8])> {
    let coded = *bytes.first()? & 128 != 0;
    let (length, rest) = integer(bytes, 7)?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some(((coded, text), rest))
}

fn number((coded, text): (bool, &[u8])) -> Option<u32> {
    if !coded {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    // 0, 1 and 2 have codes of five bits, which are their values; 3 to 9 follow from 011001 on with six.
    let (mut value, mut at, end) = (0, 0, text.len() * 8);
    let bits = |at: usize, count: usize| {
        (at..at + count).fold(0, |sum, bit| 2 * sum + u32::from(text[bit / 8] >> (7 - bit % 8) & 1))
    };
    while at + 5 <= end {
        match bits(at, 5) {
            digit @ 0..=2 => (value, at) = (10 * value + digit, at + 5),
            _ if at + 6 <= end && (25..=31).contains(&bits(at, 6)) => {
                (value, at) = (10 * value + bits(at, 6) - 22, at + 6);
            }
            _ => break,
        }
    }
    Some(value)
}
