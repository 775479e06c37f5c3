//! NIST SP 800-108r1 in counter mode with HMAC-SHA-256: `K(i) = PRF(key, u32(i) || label || 0x00 || context || u32(L))`.

use crate::crypto::mac::{MacKey, Tag};

/// One purpose of a key: its label, and the whole length in bits that this purpose derives.
#[derive(Clone, Copy)]
pub struct Purpose {
    label: &'static str,
    bits: u32,
}

impl Purpose {
    /// A purpose. `label` is ASCII without NUL; `bits` is L of the standard.
    #[must_use]
    pub const fn new(label: &'static str, bits: u32) -> Self {
        Self { label, bits }
    }
}

/// Block `counter` (from 1) of the output for `purpose` and `context`.
#[must_use]
pub fn block(key: &MacKey, counter: u32, purpose: Purpose, context: &[u8]) -> Tag {
    key.tag_parts(&parts(&counter.to_be_bytes(), purpose, context, &purpose.bits.to_be_bytes()))
}

/// Whether `expected` is block `counter`, in constant time.
#[must_use]
pub fn block_is(key: &MacKey, counter: u32, purpose: Purpose, context: &[u8], expected: &[u8]) -> bool {
    key.verify_parts(&parts(&counter.to_be_bytes(), purpose, context, &purpose.bits.to_be_bytes()), expected)
}

fn parts<'a>(counter: &'a [u8; 4], purpose: Purpose, context: &'a [u8], bits: &'a [u8; 4]) -> [&'a [u8]; 5] {
    [counter, purpose.label.as_bytes(), &[0], context, bits]
}
