//! Authenticated encryption in place, in the two suites of the token format. A key seals one message only
//! (the token key is derived afresh for each), so nonces never meet twice under a key.

use aes_gcm::{
    Aes256Gcm,
    aead::{AeadInOut as _, KeyInit as _},
};
use chacha20poly1305::ChaCha20Poly1305;

/// Bytes of a key, in both suites.
pub const KEY_LEN: usize = 32;
/// Bytes of a nonce, in both suites.
pub const NONCE_LEN: usize = 12;
/// Bytes of a tag, in both suites.
pub const TAG_LEN: usize = 16;

/// Bytes of stack wiped after each use: key schedules pass through it.
const USE_STACK: usize = 4096;

/// Which AEAD.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Suite {
    /// AES-256-GCM (NIST SP 800-38D).
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439), for machines without AES instructions.
    ChaCha20Poly1305,
}

impl Suite {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// The byte that stands for it in tokens.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    /// The suite of that byte.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// The name in configuration, keyring and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    /// The suite of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }
}

/// The ciphertext was not made with this key, nonce and associated data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAuthentic;

/// Encrypts `message` in place and gives the tag.
#[must_use]
pub fn seal(
    suite: Suite,
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    message: &mut [u8],
) -> [u8; TAG_LEN] {
    let tag = seal_inner(suite, key, nonce, aad, message);
    zeroize::zeroize_stack::<USE_STACK>();
    tag
}

/// Checks the tag and decrypts `message` in place; on failure `message` holds nothing decrypted.
///
/// # Errors
/// [`NotAuthentic`].
pub fn open(
    suite: Suite,
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    message: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), NotAuthentic> {
    let opened = open_inner(suite, key, nonce, aad, message, tag);
    zeroize::zeroize_stack::<USE_STACK>();
    opened
}

#[inline(never)]
fn seal_inner(suite: Suite, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], message: &mut [u8]) -> [u8; TAG_LEN] {
    match suite {
        Suite::Aes256Gcm => Aes256Gcm::new(key.into()).encrypt_inout_detached(nonce.into(), aad, message.into()),
        Suite::ChaCha20Poly1305 => {
            ChaCha20Poly1305::new(key.into()).encrypt_inout_detached(nonce.into(), aad, message.into())
        }
    }
    .expect("messages and associated data are far below the suites' limits")
    .into()
}

#[inline(never)]
fn open_inner(
    suite: Suite,
    key: &[u8; 32],
    nonce: &[u8; 12],
    aad: &[u8],
    message: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), NotAuthentic> {
    match suite {
        Suite::Aes256Gcm => {
            Aes256Gcm::new(key.into()).decrypt_inout_detached(nonce.into(), aad, message.into(), tag.into())
        }
        Suite::ChaCha20Poly1305 => {
            ChaCha20Poly1305::new(key.into()).decrypt_inout_detached(nonce.into(), aad, message.into(), tag.into())
        }
    }
    .map_err(|_| NotAuthentic)
}
