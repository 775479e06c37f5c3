//! Verbs, as values for rules and as types for permits.

use std::fmt;

/// A right that a rule can grant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum VerbName {
    /// Make LiveAuth hashes.
    Mint,
    /// Judge hashes and tokens, without seeing payloads.
    Verify,
    /// Have LiveAuth asked what changes nothing.
    PortalRead,
    /// Have users log in to portals by LiveAuth.
    PortalLogin,
    /// Have credentials removed by LiveAuth.
    PortalLogout,
    /// Seal Hub auth tokens.
    Seal,
    /// Open Hub auth tokens and see payloads.
    Open,
    /// Seal tokens anew under the active key version.
    Reseal,
    /// Cut off tokens, grants, users and apps.
    Revoke,
    /// Log users of Hub in.
    Login,
    /// Have Hub take a new token in the place of an old one.
    Renew,
    /// Find out which user a hubLoginToken belongs to.
    Resolve,
    /// Tell Hub that there is news for a user.
    Notify,
    /// Look at keys and change them.
    Admin,
}

impl VerbName {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Mint,
        Self::Verify,
        Self::PortalRead,
        Self::PortalLogin,
        Self::PortalLogout,
        Self::Seal,
        Self::Open,
        Self::Reseal,
        Self::Revoke,
        Self::Login,
        Self::Renew,
        Self::Resolve,
        Self::Notify,
        Self::Admin,
    ];

    /// The name in rules and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Verify => "verify",
            Self::PortalRead => "portal_read",
            Self::PortalLogin => "portal_login",
            Self::PortalLogout => "portal_logout",
            Self::Seal => "seal",
            Self::Open => "open",
            Self::Reseal => "reseal",
            Self::Revoke => "revoke",
            Self::Login => "login",
            Self::Renew => "renew",
            Self::Resolve => "resolve",
            Self::Notify => "notify",
            Self::Admin => "admin",
        }
    }

    /// The verb of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether it can be asked of a domain.
    #[must_use]
    pub const fn is_for_domains(self) -> bool {
        matches!(self, Self::Mint | Self::Verify) || self.is_for_portals()
    }

    /// Whether it has LiveAuth asked for something.
    #[must_use]
    pub const fn is_for_portals(self) -> bool {
        matches!(self, Self::PortalRead | Self::PortalLogin | Self::PortalLogout)
    }

    /// Whether it can have a Hub asked for something.
    #[must_use]
    pub const fn is_for_hubs(self) -> bool {
        matches!(self, Self::Login | Self::Renew | Self::Notify)
    }

    /// Whether it can be asked of an app.
    #[must_use]
    pub const fn is_for_apps(self) -> bool {
        matches!(
            self,
            Self::Verify
                | Self::Seal
                | Self::Open
                | Self::Reseal
                | Self::Revoke
                | Self::Login
                | Self::Renew
                | Self::Resolve
                | Self::Notify
        )
    }

    /// Whether it can be asked of a key.
    #[must_use]
    pub const fn is_for_keys(self) -> bool {
        matches!(self, Self::Admin)
    }
}

impl fmt::Display for VerbName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A verb as a type. Sealed: the list is closed.
pub trait Verb: sealed::Sealed {
    /// Its name as a value.
    const NAME: VerbName;
}

/// The verbs that a new token may be sealed under.
pub trait Sealing: Verb {}

impl Sealing for verb::Seal {}
impl Sealing for verb::Login {}
impl Sealing for verb::Renew {}

mod sealed {
    pub trait Sealed {}
}

/// The verbs as types.
pub mod verb {
    use super::{Verb, VerbName, sealed::Sealed};

    macro_rules! verbs {
        ($($(#[$doc:meta])* $name:ident),+) => {$(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $name {}
            impl Sealed for $name {}
            impl Verb for $name {
                const NAME: VerbName = VerbName::$name;
            }
        )+};
    }

    verbs! {
        /// Make LiveAuth hashes.
        Mint,
        /// Judge hashes and tokens.
        Verify,
        /// Have LiveAuth asked what changes nothing.
        PortalRead,
        /// Have users log in to portals.
        PortalLogin,
        /// Have credentials removed.
        PortalLogout,
        /// Seal tokens.
        Seal,
        /// Open tokens.
        Open,
        /// Seal tokens anew.
        Reseal,
        /// Cut off tokens, grants, users and apps.
        Revoke,
        /// Log users of Hub in.
        Login,
        /// Have Hub take a new token.
        Renew,
        /// Find out whose a hubLoginToken is.
        Resolve,
        /// Tell Hub that there is news.
        Notify,
        /// Look at keys and change them.
        Admin
    }
}
