//! What a token's key is derived from, and what its AEAD authenticates besides the ciphertext.

use super::{
    Bindings, Purpose,
    wire::{COMMIT_LEN, Flags, Header, PREFIX},
};
use crate::{
    crypto::{
        frame::Frame,
        kdf,
        mac::{MacKey, Tag},
    },
    hub::app::App,
};

/// Block 1 is the AEAD key, block 2 the commitment.
const SEAL: kdf::Purpose = kdf::Purpose::new("hat1/seal", 512);

/// The place a token belongs to: format, header, app and purpose. Another place derives another key.
pub(super) struct Context(Frame);

impl Context {
    pub(super) fn new(header: &Header, app: &App, purpose: Purpose) -> Self {
        let frame = Frame::fixed(PREFIX).fixed_part(&header.bytes());
        Self(frame.part(app.name.as_bytes()).part(purpose.name().as_bytes()))
    }

    pub(super) fn key(&self, material: &MacKey) -> Tag {
        kdf::block(material, 1, SEAL, self.0.as_bytes())
    }

    pub(super) fn commitment(&self, material: &MacKey) -> Tag {
        kdf::block(material, 2, SEAL, self.0.as_bytes())
    }

    /// Whether the commitment is of this key and place, in constant time.
    pub(super) fn is_committed_to(&self, material: &MacKey, commit: &[u8; COMMIT_LEN]) -> bool {
        kdf::block_is(material, 2, SEAL, self.0.as_bytes(), commit)
    }

    /// The associated data: the place, and the values that the flags say the token is bound to. `None` where one of
    /// them is missing.
    pub(super) fn bound(self, flags: Flags, bindings: &Bindings<'_>, app: &App) -> Option<Frame> {
        let mut frame = self.0;
        if flags.username {
            frame = frame.part(app.username_form.canonical(bindings.username?).as_bytes());
        }
        if flags.hub_login_token {
            frame = frame.digest_part(bindings.hub_login_token?.as_bytes());
        }
        Some(frame)
    }
}
