//! Whether one ring may take the place of another in a process that serves: what an operator said of a version is not
//! unsaid by putting another file in place.

use std::fmt;

use super::{
    key::{KeyName, Mark, Version},
    ring::Keyring,
};

/// Why a ring does not succeed the one before it; key and version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Break {
    /// Gone, although it was neither suspended nor destroyed.
    Vanished(KeyName, u32),
    /// Of the same number, and another secret.
    Replaced(KeyName, u32),
    /// Destroyed before, and there again.
    Revived(KeyName, u32),
    /// Compromised before, and nothing is said of that any more.
    Cleared(KeyName, u32),
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vanished(name, number) => write!(
                f,
                "version {number} of key {name} is gone without having been suspended or destroyed; put it back, or \
                 restart to go on without it"
            ),
            Self::Replaced(name, number) => write!(
                f,
                "version {number} of key {name} is another secret than before; put the one before back and import the \
                 new one as a version of its own, or restart to go on with it"
            ),
            Self::Revived(name, number) => write!(
                f,
                "version {number} of key {name} was destroyed and is there again; put back the keyring that lacks it \
                 (`countersign keys restore` keeps what was destroyed)"
            ),
            Self::Cleared(name, number) => write!(
                f,
                "version {number} of key {name} was marked as compromised and is so no more; put back the keyring that \
                 says so (`countersign keys restore` keeps the mark)"
            ),
        }
    }
}

impl Keyring {
    /// Whether this ring may follow `before`.
    ///
    /// # Errors
    /// The first [`Break`].
    pub fn succeeds(&self, before: &Self) -> Result<(), Break> {
        for key in before.keys() {
            for version in key.versions() {
                let now = self.key(&key.name).and_then(|key| key.version(version.number));
                follows(version, now).map_err(|broken| broken(key.name.clone(), version.number))?;
            }
        }
        Ok(())
    }
}

fn follows(before: &Version, now: Option<&Version>) -> Result<(), fn(KeyName, u32) -> Break> {
    let Some(now) = now else {
        return match before.mark {
            Some(Mark::Suspended | Mark::Destroyed) => Ok(()),
            Some(Mark::Compromised) | None => Err(Break::Vanished),
        };
    };
    if !now.is_the_same_as(before) {
        return Err(Break::Replaced);
    }
    match (before.mark, now.mark) {
        (Some(Mark::Destroyed), None | Some(Mark::Suspended | Mark::Compromised)) => Err(Break::Revived),
        (Some(Mark::Compromised), None | Some(Mark::Suspended)) => Err(Break::Cleared),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixSeconds,
        crypto::{aead::Suite, mac::MacKey},
        keyring::{Key, KeyKind},
    };

    const MARKS: [Option<Mark>; 4] = [None, Some(Mark::Suspended), Some(Mark::Compromised), Some(Mark::Destroyed)];

    fn version(kind: KeyKind, secret: u8, mark: Option<Mark>) -> Version {
        let material = (mark != Some(Mark::Destroyed)).then(|| MacKey::new(&[secret; 32]));
        let mut version = Version::new(1, UnixSeconds(10), 32, material);
        if kind == KeyKind::Hat1 {
            let id = crate::keyring::Kid::of(&MacKey::new(&[secret; 32]), Suite::Aes256Gcm);
            version = version.hat1(Suite::Aes256Gcm, Some(id));
        }
        version.mark = mark;
        version
    }

    fn ring(kind: KeyKind, versions: Vec<Version>) -> Keyring {
        Keyring::new(vec![Key::new(KeyName::new("k").unwrap(), kind, versions)]).unwrap()
    }

    fn judged(kind: KeyKind, before: Option<Mark>, after: Vec<Version>) -> char {
        match ring(kind, after).succeeds(&ring(kind, vec![version(kind, 1, before)])) {
            Ok(()) => '+',
            Err(Break::Vanished(..)) => 'v',
            Err(Break::Replaced(..)) => 'o',
            Err(Break::Revived(..)) => 'r',
            Err(Break::Cleared(..)) => 'c',
        }
    }

    /// A row for each mark before: what becomes of each mark after it.
    #[test]
    fn destroyed_and_compromised_are_said_for_good() {
        for kind in [KeyKind::Hat1, KeyKind::LiveAuth] {
            let line = |before| -> String {
                MARKS.map(|mark| judged(kind, before, vec![version(kind, 1, mark)])).iter().collect()
            };
            assert_eq!(MARKS.map(line), ["++++", "++++", "cc++", "rrr+"], "{kind:?}");
        }
    }

    #[test]
    fn only_what_was_set_aside_or_destroyed_may_go() {
        for kind in [KeyKind::Hat1, KeyKind::LiveAuth] {
            assert_eq!(MARKS.map(|mark| judged(kind, mark, Vec::new())), ['v', '+', 'v', '+']);
        }
    }

    #[test]
    fn another_secret_shows_though_a_vendor_secret_has_no_public_id() {
        for kind in [KeyKind::Hat1, KeyKind::LiveAuth] {
            for before in [None, Some(Mark::Suspended), Some(Mark::Compromised)] {
                assert_eq!(judged(kind, before, vec![version(kind, 2, None)]), 'o', "{kind:?} {before:?}");
            }
        }
        assert_eq!(judged(KeyKind::Hat1, Some(Mark::Destroyed), vec![version(KeyKind::Hat1, 2, None)]), 'o');
        let mut later = version(KeyKind::LiveAuth, 1, None);
        later.created_at = UnixSeconds(11);
        assert_eq!(judged(KeyKind::LiveAuth, Some(Mark::Destroyed), vec![later]), 'o');
    }
}
