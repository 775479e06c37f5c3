//! The outermost layer of a token: its text, its check digits, and the public head of what is inside. No key is
//! needed here, and nothing read here is to be believed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::explain::Check;
use crate::{
    crypto::aead::{NONCE_LEN, Suite, TAG_LEN},
    keyring::Kid,
    verdict::{Hint, Hints},
};

/// Shortest token, characters.
pub const CHARS_MIN: usize = 183;
/// Longest token, characters.
pub const CHARS_MAX: usize = 8183;
/// Most bytes inside a token, padding included.
pub const PLAINTEXT_MAX: usize = 48 * ((CHARS_MAX - CHARS_MIN) / CHARS_STEP + 1) - 1;

/// From one length of tokens to the next: 48 bytes in base64.
const CHARS_STEP: usize = 64;
/// Which format, and what a secret scanner looks for.
pub(super) const PREFIX: &[u8; 5] = b"hat1_";
/// Check digits at the end.
const CRC_LEN: usize = 6;
/// Bytes in front of the commitment.
const HEADER_LEN: usize = 34;
/// Bytes of salt.
const SALT_LEN: usize = 24;
/// Bytes of commitment.
pub(super) const COMMIT_LEN: usize = 32;
/// Bytes in front of the ciphertext.
pub(super) const PUBLIC_LEN: usize = HEADER_LEN + COMMIT_LEN;
/// The same in base64, without a remainder.
const PUBLIC_CHARS: usize = PUBLIC_LEN / 3 * 4;

/// How many characters a token has that holds so many bytes of plaintext.
#[must_use]
pub const fn chars_for(plaintext: usize) -> usize {
    CHARS_MIN + CHARS_STEP * (plaintext / 48)
}

/// The bytes that so many are padded to: the next of 47, 95, 143, …, so that base64 comes out even.
pub(super) const fn padded(plaintext: usize) -> usize {
    48 * (plaintext / 48) + 47
}

/// What a token is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags {
    pub(super) username: bool,
    pub(super) hub_login_token: bool,
}

impl Flags {
    pub(super) const fn any(self) -> bool {
        self.username || self.hub_login_token
    }

    fn bits(self) -> u8 {
        u8::from(self.username) | u8::from(self.hub_login_token) << 1
    }

    fn from_bits(bits: u8) -> Option<Self> {
        (bits < 4).then_some(Self { username: bits & 1 != 0, hub_login_token: bits & 2 != 0 })
    }
}

/// The public head of a token.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) suite: Suite,
    pub(super) flags: Flags,
    pub(super) kid: Kid,
    salt: [u8; SALT_LEN],
}

impl Header {
    pub(super) fn new(suite: Suite, flags: Flags, kid: Kid, salt: [u8; SALT_LEN]) -> Self {
        Self { suite, flags, kid, salt }
    }

    fn read(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let (mut kid, mut salt) = (Kid([0; 8]), [0; SALT_LEN]);
        kid.0.copy_from_slice(&bytes[2..10]);
        salt.copy_from_slice(&bytes[10..]);
        Some(Self { suite: Suite::from_id(bytes[0])?, flags: Flags::from_bits(bytes[1])?, kid, salt })
    }

    pub(super) fn bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = self.suite.id();
        bytes[1] = self.flags.bits();
        bytes[2..10].copy_from_slice(&self.kid.0);
        bytes[10..].copy_from_slice(&self.salt);
        bytes
    }

    /// The second half of the salt. The key comes out of the whole salt and seals one message only, so a nonce never
    /// meets another under a key unless two salts are equal: 2^-97 after 2^48 tokens.
    pub(super) fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&self.salt[SALT_LEN - NONCE_LEN..]);
        nonce
    }

    /// The first 16 bytes of the salt.
    pub(super) fn token_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&self.salt[..16]);
        id
    }
}

/// The token around what was sealed: header, commitment, ciphertext and tag.
pub(super) fn write(sealed: &[u8]) -> String {
    let mut text = String::with_capacity(PREFIX.len() + sealed.len() / 3 * 4 + CRC_LEN);
    text.push_str("hat1_");
    URL_SAFE_NO_PAD.encode_string(sealed, &mut text);
    let digits = check_digits(text.as_bytes());
    text.extend(digits.map(char::from));
    text
}

/// A token that somebody presented, of the right form, and not yet believed.
pub struct Unverified<'a> {
    pub(super) header: Header,
    pub(super) commit: [u8; COMMIT_LEN],
    /// Ciphertext and tag, in base64 that is known to be good.
    ciphertext: &'a [u8],
    /// What there is to remark so far.
    pub(super) hints: Hints,
}

impl<'a> Unverified<'a> {
    /// Takes a token as it was received, in one pair of JSON quotes or none. What is not of the form is `MALFORMED`:
    /// the error holds the hints that go with it, and no key was tried.
    pub fn parse(text: &'a str) -> Result<Self, Hints> {
        Self::checked(text).map_err(|(_, hints)| hints)
    }

    /// The same, and says which check failed.
    pub(super) fn checked(text: &'a str) -> Result<Self, (Check, Hints)> {
        let mut hints = Hints::none();
        let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if unquoted.is_some() {
            hints.add(Hint::Quoted);
        }
        let text = unquoted.unwrap_or(text).as_bytes();
        let length_fits =
            (CHARS_MIN..=CHARS_MAX).contains(&text.len()) && (text.len() - CHARS_MIN).is_multiple_of(CHARS_STEP);
        if !length_fits {
            return Err((Check::Length, wrong_length_hints(text, hints)));
        }
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Err((Check::Prefix, hints.with(Hint::WrongPrefix)));
        };
        let (signed, digits) = text.split_at(text.len() - CRC_LEN);
        if digits != check_digits(signed) {
            if text.iter().any(u8::is_ascii_whitespace) {
                hints.add(Hint::Whitespace);
            }
            return Err((Check::Checksum, hints.with(Hint::ChecksumMismatch)));
        }
        let (public, ciphertext) = rest[..rest.len() - CRC_LEN].split_at(PUBLIC_CHARS);
        let mut head = [0; PUBLIC_LEN];
        // The length leaves no remainder, so that base64 has one spelling for the bytes, and the alphabet is all
        // that is left to check in what is decoded later.
        if !ciphertext.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            || URL_SAFE_NO_PAD.decode_slice(public, &mut head) != Ok(PUBLIC_LEN)
        {
            return Err((Check::Encoding, hints));
        }
        let (header, commit) = head.split_first_chunk::<HEADER_LEN>().ok_or((Check::Encoding, hints))?;
        let header = Header::read(header).ok_or((Check::Head, hints.with(Hint::UnknownSuiteOrFlags)))?;
        let commit = commit.try_into().map_err(|_| (Check::Encoding, hints))?;
        Ok(Self { header, commit, ciphertext, hints })
    }

    /// The first 16 bytes of the salt: names the token, and is safe to log.
    #[must_use]
    pub fn token_id(&self) -> [u8; 16] {
        self.header.token_id()
    }

    /// Most bytes of plaintext that a token of this length holds.
    pub(super) fn holds(&self) -> usize {
        self.ciphertext_len() - TAG_LEN
    }

    /// How many bytes [`Unverified::decode_ciphertext`] writes: the ciphertext's, then the tag's.
    pub(super) fn ciphertext_len(&self) -> usize {
        self.ciphertext.len() / 4 * 3
    }

    /// Writes ciphertext and tag into `to`, which is as long as both.
    pub(super) fn decode_ciphertext(&self, to: &mut [u8]) {
        let written = URL_SAFE_NO_PAD.decode_slice(self.ciphertext, to);
        assert_eq!(written, Ok(to.len()), "parsing has checked the alphabet and the length");
    }
}

/// CRC-32/ISO-HDLC in six base62 digits: tells "mangled on the way" from "forged", and is no security.
fn check_digits(text: &[u8]) -> [u8; CRC_LEN] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(text) as usize;
    let mut digits = [b'0'; CRC_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[rest % 62];
        rest /= 62;
    }
    digits
}

fn wrong_length_hints(text: &[u8], mut hints: Hints) -> Hints {
    if text.iter().any(u8::is_ascii_whitespace) {
        hints.add(Hint::Whitespace);
    }
    let text = text.trim_ascii();
    if text.len() > CHARS_MAX {
        hints.add(Hint::Oversized);
    } else if text.len() < CHARS_MIN || (text.len() - CHARS_MIN) % CHARS_STEP > 1 {
        // One character above a whole length is more likely one too many than all but one cut off.
        hints.add(Hint::Truncated);
    }
    if !text.starts_with(PREFIX) {
        hints.add(Hint::WrongPrefix);
    }
    hints
}

const _: () = assert!(PLAINTEXT_MAX == 6047 && PUBLIC_LEN.is_multiple_of(3) && (47 + TAG_LEN).is_multiple_of(3));
