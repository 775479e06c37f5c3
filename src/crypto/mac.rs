//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) with the key's two pad blocks hashed once, when the key is loaded.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroize as _;

use crate::crypto::frame::{DecimalPair, Frame};

/// Bytes of a tag.
pub const TAG_LEN: usize = 32;

/// Bytes of stack wiped after a key was loaded: `Hmac::new_from_slice` leaves the pad blocks there.
const LOAD_STACK: usize = 4096;

/// What may be authenticated: only what the `frame` module built.
pub trait Input {
    /// The bytes.
    fn bytes(&self) -> &[u8];
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

/// A loaded MAC key: the two midstates, boxed; the raw key is not kept.
pub struct MacKey(Box<Hmac<Sha256>>);

impl MacKey {
    /// Loads a key of any length (RFC 2104 hashes those above 64 bytes), then wipes the stack it went through.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let loaded = Self::load(key);
        zeroize::zeroize_stack::<LOAD_STACK>();
        loaded
    }

    #[inline(never)]
    fn load(key: &[u8]) -> Self {
        Self(Box::new(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
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
