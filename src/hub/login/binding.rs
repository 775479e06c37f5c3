//! Which user a hubLoginToken belongs to, as it is kept: found by a digest, and readable only with the token itself and the
//! keyring. What is kept names no user to anybody else, and holds no token.

use zeroize::Zeroizing;

use crate::{
    crypto::{
        aead::{self, NONCE_LEN, Suite, TAG_LEN},
        frame::Frame,
        mac::MacKey,
    },
    hub::token::BINDING_MAX,
};

const DIGEST: &str = "countersign/ledger/login";
const KEY: &str = "countersign/ledger/login/key";
const NAME: &str = "countersign/ledger/login/name";

/// Sealed names are as long as those of a multiple of so many bytes.
const PAD: usize = 64;

/// The key of the digests and sealed names; from the keyring's service secret, and so the same for all who hold the keyring.
pub struct LoginDigests(MacKey);

/// A sealed name was made for another token, app or grant, or under another keyring, or was altered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable;

impl LoginDigests {
    /// Digests by this key.
    #[must_use]
    pub fn new(key: MacKey) -> Self {
        Self(key)
    }

    /// The digest of a hubLoginToken that an app was given; what is longer than any has the digest of none.
    #[must_use]
    pub fn of(&self, app: &str, token: &str) -> [u8; 16] {
        let token = if token.len() > BINDING_MAX { "" } else { token };
        let tag = self.0.tag(&Frame::labelled(DIGEST).part(app.as_bytes()).digest_part(token.as_bytes()));
        let mut digest = [0; 16];
        digest.copy_from_slice(&tag.expose()[..16]);
        digest
    }

    /// Seals the user's name. The key is derived for this grant, of which there is one name: it seals one message, and so
    /// the nonce may be zero. Grants are named by 128 random bits.
    ///
    /// # Panics
    /// On a name above 65535 bytes: a token was bound to it before, which takes less.
    #[must_use]
    pub fn seal(&self, app: &str, token: &str, grant_id: &[u8; 16], username: &str) -> Vec<u8> {
        let len = u16::try_from(username.len()).expect("usernames are far below 65536 bytes");
        let padded = (2 + username.len()).next_multiple_of(PAD);
        let mut sealed = Vec::with_capacity(padded + TAG_LEN);
        sealed.extend_from_slice(&len.to_be_bytes());
        sealed.extend_from_slice(username.as_bytes());
        sealed.resize(padded, 0);
        let (key, name) = (self.key(app, token, grant_id), Frame::labelled(NAME));
        let tag = aead::seal(Suite::Aes256Gcm, key.expose(), &[0; NONCE_LEN], name.as_bytes(), &mut sealed);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what [`LoginDigests::seal`] made.
    pub fn open(
        &self,
        app: &str,
        token: &str,
        grant_id: &[u8; 16],
        sealed: &[u8],
    ) -> Result<Zeroizing<String>, Unreadable> {
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let (message, tag) = bytes.split_last_chunk_mut::<TAG_LEN>().ok_or(Unreadable)?;
        let (key, name) = (self.key(app, token, grant_id), Frame::labelled(NAME));
        aead::open(Suite::Aes256Gcm, key.expose(), &[0; NONCE_LEN], name.as_bytes(), message, tag)
            .map_err(|_| Unreadable)?;
        let (len, rest) = message.split_first_chunk().ok_or(Unreadable)?;
        let name = rest.get(..usize::from(u16::from_be_bytes(*len))).ok_or(Unreadable)?;
        str::from_utf8(name).map(|name| Zeroizing::new(name.to_owned())).map_err(|_| Unreadable)
    }

    fn key(&self, app: &str, token: &str, grant_id: &[u8; 16]) -> crate::crypto::mac::Tag {
        let frame = Frame::labelled(KEY).fixed_part(grant_id).part(app.as_bytes());
        self.0.tag(&frame.digest_part(token.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(key: u8) -> LoginDigests {
        LoginDigests::new(MacKey::new(&[key; 32]))
    }

    #[test]
    fn a_name_is_opened_with_its_token_and_with_nothing_else() {
        let (ours, grant) = (digests(7), [9; 16]);
        for name in ["j", "jane@example.com", &"ü".repeat(512)] {
            let sealed = ours.seal("acme", "s:a.b+/", &grant, name);
            assert_eq!(ours.open("acme", "s:a.b+/", &grant, &sealed).map(|name| name.to_string()), Ok(name.into()));
            assert_eq!((sealed.len() - TAG_LEN) % PAD, 0);
            assert!(!sealed.windows(name.len()).any(|window| window == name.as_bytes()));
            for (other, app, token, grant) in [
                (&digests(8), "acme", "s:a.b+/", [9; 16]),
                (&ours, "acm", "s:a.b+/", [9; 16]),
                (&ours, "acme", "s:a.b /", [9; 16]),
                (&ours, "acme", "s:a.b+/", [8; 16]),
            ] {
                assert_eq!(other.open(app, token, &grant, &sealed), Err(Unreadable));
            }
            for at in [0, 2, sealed.len() - 1] {
                let mut altered = sealed.clone();
                altered[at] ^= 1;
                assert_eq!(ours.open("acme", "s:a.b+/", &grant, &altered), Err(Unreadable));
            }
        }
        for len in [0, 1, TAG_LEN, TAG_LEN + 1] {
            assert_eq!(ours.open("acme", "t", &grant, &vec![0; len]), Err(Unreadable));
        }
    }

    #[test]
    fn a_digest_is_of_one_app_one_token_and_one_keyring() {
        let digest = digests(7).of("acme", "s:a.b+/");
        assert_eq!(digest, digests(7).of("acme", "s:a.b+/"));
        assert_ne!(digest, digests(8).of("acme", "s:a.b+/"));
        assert_ne!(digest, digests(7).of("acm", "s:a.b+/"));
        assert_ne!(digest, digests(7).of("acme", "s:a.b /"));
        assert_eq!(digests(7).of("acme", &"t".repeat(1025)), digests(7).of("acme", ""));
    }
}
