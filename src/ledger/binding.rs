//! Whose a hubLoginToken is, as it is kept: a digest that only a holder of the keyring can make, and a name that only
//! a holder of the keyring and the token can read.

use crate::{
    clock::UnixSeconds,
    hub::revocation::{Entry, Kind, SKEW},
};

/// The binding of a hubLoginToken to a user, by one login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The app.
    pub app: Box<str>,
    /// The digest of the hubLoginToken.
    pub digest: [u8; 16],
    /// The grant of that login.
    pub grant_id: [u8; 16],
    /// The user's name, sealed.
    pub name: Vec<u8>,
    /// When the user logged in.
    pub bound_at: UnixSeconds,
    /// When the grant's token was issued.
    pub issued_at: UnixSeconds,
    /// When that token expires, and with it this; `None`: never.
    pub ends: Option<UnixSeconds>,
    /// By when it must be known that Hub has the token; `None`: it is.
    pub due: Option<UnixSeconds>,
}

impl Binding {
    /// What cuts its grant off.
    #[must_use]
    pub fn revocation(&self, now: UnixSeconds) -> Entry {
        let until = self.issued_at.max(now.plus(SKEW));
        Entry { app: self.app.clone(), kind: Kind::Grant, subject: self.grant_id, until, ends: self.ends }
    }
}
