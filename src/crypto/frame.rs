//! The only way to build what a MAC or an AEAD authenticates.
//!
//! A frame is a part of fixed size, then parts that each carry their length: two different lists of
//! parts never give the same bytes. The one exception is the vendor's own `client-expires`, which has a
//! constructor of its own that takes numbers, so that no text can move the hyphen.

use sha2::{Digest as _, Sha256};

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

    /// Adds the SHA-256 of a part, 32 bytes, in place of the part: for secrets that a frame should not hold.
    #[must_use]
    pub fn digest_part(self, part: &[u8]) -> Self {
        self.fixed_part::<32>(&Sha256::digest(part).into())
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
    /// Written from the end; what is in use starts at `start`.
    bytes: [u8; DecimalPair::LONGEST],
    start: usize,
}

impl DecimalPair {
    /// Twenty digits hold a u64.
    const LONGEST: usize = 20 + 1 + 20;

    /// Writes `first-second`. By hand, since the formatting machinery would take longer than the MAC.
    #[must_use]
    pub fn new(first: u64, second: u64) -> Self {
        let mut pair = Self { bytes: [0; Self::LONGEST], start: Self::LONGEST };
        pair.decimal(second);
        pair.prepend(b'-');
        pair.decimal(first);
        pair
    }

    /// The ASCII bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn decimal(&mut self, mut number: u64) {
        loop {
            self.prepend(b"0123456789"[(number % 10) as usize]);
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    fn prepend(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[self.start] = byte;
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
    fn a_digest_stands_in_for_a_part() {
        let frame = Frame::fixed(b"x").digest_part(b"abc");
        assert_eq!(frame.as_bytes().len(), 33);
        assert_eq!(frame.as_bytes()[..5], [b'x', 0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_decimal_pair_is_what_the_vendor_signs() {
        assert_eq!(DecimalPair::new(42, 989_539_200).as_bytes(), b"42-989539200");
        for (first, second) in [(0, 0), (1, 10), (9, 99), (u64::MAX, u64::MAX), (1 << 63, 253_402_300_799)] {
            assert_eq!(DecimalPair::new(first, second).as_bytes(), format!("{first}-{second}").as_bytes());
        }
    }
}
