//! All keys together: found by name, and hat1 versions by kid.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use super::key::{Key, KeyKind, KeyName, Kid, Version};

/// Secrets of one LiveAuth key that may verify at the same time: each costs every verification one MAC.
const LIVEAUTH_USABLE_MAX: usize = 4;

/// Why keys do not make a ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// Two keys of one name.
    DuplicateName(KeyName),
    /// Two versions of one key with one number.
    DuplicateVersion(KeyName, u32),
    /// Two hat1 versions with one kid: the same 32 bytes, or a one in 2^64 chance.
    DuplicateKid(Kid, KeyName, KeyName),
    /// More than four usable versions of a LiveAuth key.
    TooManyUsable(KeyName),
    /// A hat1 key version that is not 32 bytes, or lacks its suite or kid.
    NotHat1(KeyName, u32),
    /// A LiveAuth secret of no bytes.
    EmptySecret(KeyName, u32),
    /// A version that does not open what it sealed.
    ProbeFailed(KeyName, u32),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName(name) => write!(f, "two keys are called {name}"),
            Self::DuplicateVersion(name, n) => write!(f, "key {name} has two versions numbered {n}"),
            Self::DuplicateKid(kid, a, b) => {
                write!(f, "keys {a} and {b} hold the same secret (kid {kid}): import a fresh one")
            }
            Self::TooManyUsable(name) => write!(
                f,
                "key {name} would have more than {LIVEAUTH_USABLE_MAX} usable versions: suspend or destroy one first"
            ),
            Self::NotHat1(name, n) => {
                write!(f, "version {n} of key {name} is no hat1 key: exactly 32 bytes are needed")
            }
            Self::EmptySecret(name, n) => write!(f, "version {n} of key {name} is empty"),
            Self::ProbeFailed(name, n) => write!(f, "version {n} of key {name} does not open what it sealed"),
        }
    }
}

/// All keys.
pub struct Keyring {
    keys: BTreeMap<KeyName, Arc<Key>>,
    by_kid: HashMap<Kid, (Arc<Key>, u32)>,
}

impl Keyring {
    /// Builds the ring and probes every key.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn new(keys: Vec<Key>) -> Result<Self, Problem> {
        let mut ring = Self { keys: BTreeMap::new(), by_kid: HashMap::new() };
        for key in keys {
            check(&key)?;
            let key = Arc::new(key);
            for version in key.versions() {
                let Some(kid) = version.kid else { continue };
                if let Some((other, _)) = ring.by_kid.insert(kid, (Arc::clone(&key), version.number)) {
                    return Err(Problem::DuplicateKid(kid, other.name.clone(), key.name.clone()));
                }
            }
            if let Some(other) = ring.keys.insert(key.name.clone(), key) {
                return Err(Problem::DuplicateName(other.name.clone()));
            }
        }
        Ok(ring)
    }

    /// The same keys with what `before` noted of their use carried on, version by version.
    #[must_use]
    pub fn continuing(mut keys: Vec<Key>, before: &Self) -> Vec<Key> {
        for key in &mut keys {
            let Some(old) = before.keys.get(&key.name) else { continue };
            for version in key.versions_mut() {
                if let Some(same) = old.version(version.number).filter(|v| v.is_the_same_as(version)) {
                    version.usage = Arc::clone(&same.usage);
                }
            }
        }
        keys
    }

    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &KeyName) -> Option<&Arc<Key>> {
        self.keys.get(name)
    }

    /// All keys, by name.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.values()
    }

    /// The one version with that kid, and its key.
    #[must_use]
    pub fn by_kid(&self, kid: &Kid) -> Option<(&Key, &Version)> {
        let (key, number) = self.by_kid.get(kid)?;
        Some((key, key.version(*number)?))
    }
}

fn check(key: &Key) -> Result<(), Problem> {
    let name = || key.name.clone();
    for pair in key.versions().windows(2) {
        if pair[0].number == pair[1].number {
            return Err(Problem::DuplicateVersion(name(), pair[0].number));
        }
    }
    for version in key.versions() {
        match key.kind {
            KeyKind::Hat1 if version.secret_len != 32 || version.suite.is_none() || version.kid.is_none() => {
                return Err(Problem::NotHat1(name(), version.number));
            }
            KeyKind::LiveAuth if version.secret_len == 0 => return Err(Problem::EmptySecret(name(), version.number)),
            _ if !version.probe() => return Err(Problem::ProbeFailed(name(), version.number)),
            _ => {}
        }
    }
    if key.kind == KeyKind::LiveAuth && key.usable().count() > LIVEAUTH_USABLE_MAX {
        return Err(Problem::TooManyUsable(name()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixSeconds,
        crypto::{aead::Suite, mac::MacKey},
        keyring::{Mark, NEVER, SealRefused, State},
    };

    fn version(number: u32, activates_at: i64) -> Version {
        Version::new(number, UnixSeconds(activates_at), 32, Some(MacKey::new(&[u8::try_from(number).unwrap(); 32])))
    }

    fn hat1(name: &str, versions: Vec<Version>) -> Key {
        let versions = versions.into_iter().map(|v| v.hat1(Suite::Aes256Gcm, None)).collect();
        Key::new(KeyName::new(name).unwrap(), KeyKind::Hat1, versions)
    }

    #[test]
    fn a_staged_version_takes_over_at_its_moment() {
        let key = hat1("k", vec![version(1, 10), version(2, 20)]);
        let active = |now| key.active(UnixSeconds(now)).map(|v| v.number);
        assert_eq!((active(9), active(10), active(19), active(20)), (None, Some(1), Some(1), Some(2)));
        assert_eq!(key.state(&key.versions()[1], UnixSeconds(19)), State::PreActive);
        assert_eq!(key.state(&key.versions()[0], UnixSeconds(20)), State::Deactivated);
    }

    #[test]
    fn suspending_the_active_version_brings_no_older_one_back() {
        let mut second = version(2, 20);
        second.mark = Some(Mark::Suspended);
        let key = hat1("k", vec![version(1, 10), second]);
        assert!(key.active(UnixSeconds(30)).is_none());
        assert_eq!(key.usable().map(|v| v.number).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn the_same_secret_twice_is_refused() {
        let twice = vec![hat1("a", vec![version(1, 0)]), hat1("b", vec![version(1, 0)])];
        assert!(matches!(Keyring::new(twice), Err(Problem::DuplicateKid(..))));
    }

    #[test]
    fn a_fifth_usable_liveauth_secret_is_refused() {
        let key = |n| Key::new(KeyName::new("k").unwrap(), KeyKind::LiveAuth, (1..=n).map(|i| version(i, 0)).collect());
        assert!(Keyring::new(vec![key(4)]).is_ok());
        assert!(matches!(Keyring::new(vec![key(5)]), Err(Problem::TooManyUsable(_))));
    }

    #[test]
    fn use_is_noted_across_a_reload_and_seals_are_counted_up_to_the_limit() {
        let ring = Keyring::new(vec![hat1("k", vec![version(1, 0)])]).unwrap();
        let usage = |ring: &Keyring| Arc::clone(&ring.keys().next().unwrap().versions()[0].usage);
        let seal = |ring: &Keyring| usage(ring).seal(NEVER, UnixSeconds(5), 2);
        assert_eq!(seal(&ring), Ok(1));
        let reloaded = Keyring::new(Keyring::continuing(vec![hat1("k", vec![version(1, 0)])], &ring)).unwrap();
        assert_eq!(seal(&reloaded), Ok(2));
        assert_eq!(seal(&reloaded), Err(SealRefused::LimitReached));
        assert_eq!(usage(&ring).evidence(), usage(&reloaded).evidence());
        assert_eq!(usage(&ring).seals(), 2);
    }
}
