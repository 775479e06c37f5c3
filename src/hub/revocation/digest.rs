//! Usernames as they are kept: as digests that only a holder of the keyring can make.

use crate::{
    crypto::{frame::Frame, mac::MacKey},
    hub::{app::App, token::BINDING_MAX},
};

const USER: &str = "countersign/ledger/user";

/// The digest of a username.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest(pub [u8; 16]);

/// The key of the digests; from the keyring's service secret, and so the same for all who hold the keyring.
pub struct UserDigests(MacKey);

impl UserDigests {
    /// Digests by this key.
    #[must_use]
    pub fn new(key: MacKey) -> Self {
        Self(key)
    }

    /// The digest of a user's name, in the form in which the app compares names. What is longer than any name has the
    /// digest of none.
    #[must_use]
    pub fn of(&self, app: &App, username: &str) -> Digest {
        let canonical = app.username_form.canonical(username);
        let name = if canonical.len() > BINDING_MAX { &[][..] } else { canonical.as_bytes() };
        let tag = self.0.tag(&Frame::labelled(USER).part(app.name.as_bytes()).part(name));
        let mut digest = [0; 16];
        digest.copy_from_slice(&tag.expose()[..16]);
        Digest(digest)
    }
}
