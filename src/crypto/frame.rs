//! The only way to build what a MAC or an AEAD authenticates.
//!
//! A frame is a part of fixed size, then parts that each carry their length: two different lists of
//! parts never give the same bytes. The one exception is the vendor's own `client-expires`, which has a
//! constructor of its own that takes numbers, so that no text can move the hyphen.

use std::io::Write as _;

/// Longest variable part, bytes: its length is written in two.
pub const PART_MAX: usize = u16::MAX as usize;

/// Bytes ready to be authenticated.
pub struct Frame(Vec<u8>);

impl Frame {
    /// Starts with a part whose size is known at compile time, and so needs no length.
    #[must_use]
    pub fn fixed<const N: usize>(part: &[u8; N]) -> Self {
        let mut bytes = Vec::with_capacity(N + 192);
        bytes.extend_from_slice(part);
        Self(bytes)
    }

    /// Starts with a label that separates this use from every other: `LP(label)`.
    #[must_use]
    pub fn labelled(label: &'static str) -> Self {
        Self(Vec::with_capacity(192)).part(label.as_bytes())
    }

    /// Adds `u16(len) || part`, big-endian.
    ///
    /// # Panics
    /// On a part above [`PART_MAX`] bytes: callers check the sizes of what they are given first.
    #[must_use]
    pub fn part(mut self, part: &[u8]) -> Self {
        let len = u16::try_from(part.len()).expect("a framed part is at most 65535 bytes; the caller checked");
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    /// Adds `u32(len) || part`, big-endian, for whole documents.
    ///
    /// # Panics
    /// On a part of 4 GiB or more.
    #[must_use]
    pub fn document(mut self, part: &[u8]) -> Self {
        let len = u32::try_from(part.len()).expect("a framed document is below 4 GiB");
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    /// Adds a part of fixed size, without a length.
    #[must_use]
    pub fn fixed_part<const N: usize>(mut self, part: &[u8; N]) -> Self {
        self.0.extend_from_slice(part);
        self
    }

    /// The framed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The vendor's `client-expires`: two canonical decimals around a hyphen, on the stack.
/// Digits hold no hyphen, so two different pairs never give the same bytes.
pub struct DecimalPair {
    bytes: [u8; 41],
    len: usize,
}

impl DecimalPair {
    /// Writes `first-second`.
    #[must_use]
    pub fn new(first: u64, second: u64) -> Self {
        let mut bytes = [0; 41];
        let mut rest = &mut bytes[..];
        write!(rest, "{first}-{second}").expect("20 + 1 + 20 bytes hold two u64");
        let left = rest.len();
        Self { bytes, len: 41 - left }
    }

    /// The ASCII bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_parts_changes_the_frame() {
        let one = Frame::labelled("t").part(b"ab").part(b"c");
        let other = Frame::labelled("t").part(b"a").part(b"bc");
        assert_ne!(one.as_bytes(), other.as_bytes());
    }

    #[test]
    fn a_decimal_pair_is_what_the_vendor_signs() {
        assert_eq!(DecimalPair::new(42, 989_539_200).as_bytes(), b"42-989539200");
        assert_eq!(DecimalPair::new(u64::MAX, u64::MAX).as_bytes().len(), 41);
    }
}
