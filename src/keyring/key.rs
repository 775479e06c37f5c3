//! A key and its versions, with states after NIST SP 800-57 part 1, section 7.

use std::{fmt, sync::Arc};

use super::transition::MarkTimes;
use super::usage::Usage;
use crate::{
    clock::UnixSeconds,
    crypto::{aead, aead::Suite, frame::Frame, kdf, mac::MacKey},
    policy::{Permit, Verb},
};

/// What the name of a key is: 1 to 64 of `[a-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        if fits { Ok(Self(text.into())) } else { Err(format!("{text:?} is no key name: 1 to 64 of a-z 0-9 . _ -")) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyKind {
    /// A secret that idibu gave for a domain, of any length from one byte.
    LiveAuth,
    /// A 32-byte key for Hub auth tokens.
    Hat1,
}

impl KeyKind {
    /// The name on the command line and in the keyring.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LiveAuth => "liveauth",
            Self::Hat1 => "hat1",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::LiveAuth, Self::Hat1].into_iter().find(|kind| kind.name() == name)
    }
}

/// What an operator said of a version; stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mark {
    /// Set aside; can come back.
    Suspended,
    /// Known or feared to be known to others.
    Compromised,
    /// The material is gone.
    Destroyed,
}

/// Where a version stands at a moment; computed, never stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Verifies, does not mint yet.
    PreActive,
    /// Mints and verifies.
    Active,
    /// Verifies only: a later version took over.
    Deactivated,
    /// Neither, for now.
    Suspended,
    /// Neither.
    Compromised,
    /// Neither, for ever.
    Destroyed,
}

impl State {
    /// The name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreActive => "pre-active",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Suspended => "suspended",
            Self::Compromised => "compromised",
            Self::Destroyed => "destroyed",
        }
    }

    /// Whether a version in this state verifies.
    #[must_use]
    pub const fn verifies(self) -> bool {
        matches!(self, Self::PreActive | Self::Active | Self::Deactivated)
    }
}

/// The public id of a hat1 key version: 8 bytes derived from the key and its suite.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(pub [u8; 8]);

impl Kid {
    /// The id of `material` under `suite` (token format, "kid").
    #[must_use]
    pub fn of(material: &MacKey, suite: Suite) -> Self {
        let block = kdf::block(material, 1, kdf::Purpose::new("hat1/kid", 64), &[suite.id()]);
        let mut kid = [0; 8];
        kid.copy_from_slice(&block.expose()[..8]);
        Self(kid)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One version of a key. Its material is loaded for MAC use only, and reached only with a permit.
pub struct Version {
    /// From 1, rising.
    pub number: u32,
    /// When it was made or imported.
    pub created_at: UnixSeconds,
    /// When it takes over from the version before it.
    pub activates_at: UnixSeconds,
    /// What an operator said of it.
    pub mark: Option<Mark>,
    /// When that was.
    pub marked: MarkTimes,
    /// How many bytes the secret has.
    pub secret_len: usize,
    /// For hat1: the suite it seals with.
    pub suite: Option<Suite>,
    /// For hat1: its public id.
    pub kid: Option<Kid>,
    /// What is done with it, shared with its successor across reloads.
    pub usage: Arc<Usage>,
    material: Option<MacKey>,
}

impl Version {
    /// A version, from what the keystore read. `material` is absent where it was destroyed.
    #[must_use]
    pub fn new(number: u32, activates_at: UnixSeconds, secret_len: usize, material: Option<MacKey>) -> Self {
        Self {
            number,
            created_at: activates_at,
            activates_at,
            mark: None,
            marked: MarkTimes::default(),
            secret_len,
            suite: None,
            kid: None,
            usage: Arc::default(),
            material,
        }
    }

    /// The same as a hat1 version; its kid is computed, or taken as `recorded` where the material is gone.
    #[must_use]
    pub fn hat1(mut self, suite: Suite, recorded: Option<Kid>) -> Self {
        self.suite = Some(suite);
        self.kid = self.material.as_ref().map(|material| Kid::of(material, suite)).or(recorded);
        self
    }

    /// The loaded key, for whoever holds a permit to do something with it.
    #[must_use]
    pub fn material<V: Verb>(&self, _evidence: &Permit<'_, V>) -> Option<&MacKey> {
        self.material.as_ref()
    }

    /// What orders the turns. Of two versions with the same activation time the higher number wins.
    #[must_use]
    pub fn turn(&self) -> (UnixSeconds, u32) {
        (self.activates_at, self.number)
    }

    /// Whether it takes its turn, or took it: one that was marked before its activation time never does, and leaves the
    /// version before it as it was. Where it was not noted when, it had its turn: so no older version comes back.
    #[must_use]
    pub fn takes_turn(&self) -> bool {
        self.mark.is_none() || self.marked.out_of_use_since().is_none_or(|since| since >= self.activates_at)
    }

    /// Whether `other`, of the same key and number, is this version still: what both have of suite, public id and material
    /// is the same. A vendor secret has no public id, so tags are compared; of one that was destroyed there is no more
    /// than the moment it was made.
    #[must_use]
    pub fn is_the_same_as(&self, other: &Self) -> bool {
        let frame = Frame::labelled("countersign/keyring/same");
        (self.suite, self.kid) == (other.suite, other.kid)
            && match (&self.material, &other.material) {
                (Some(one), Some(two)) => one.verify(&frame, two.tag(&frame).expose()),
                (None, _) | (_, None) => self.kid.is_some() || self.created_at == other.created_at,
            }
    }

    /// Whether the loaded key gives the recorded kid and its AEAD opens what it sealed. Nothing leaves this function.
    #[must_use]
    pub fn probe(&self) -> bool {
        let (Some(material), Some(suite)) = (&self.material, self.suite) else { return true };
        let probe = kdf::block(material, 1, kdf::Purpose::new("countersign/probe", 256), b"");
        let mut message = *b"countersign probe";
        let tag = aead::seal(suite, probe.expose(), &[0; aead::NONCE_LEN], b"probe", &mut message);
        let opened = aead::open(suite, probe.expose(), &[0; aead::NONCE_LEN], b"probe", &mut message, &tag);
        opened.is_ok() && message == *b"countersign probe" && self.kid == Some(Kid::of(material, suite))
    }
}

/// A key: a name, a kind, and its versions in the order of their numbers.
pub struct Key {
    /// Its name.
    pub name: KeyName,
    /// What it is for.
    pub kind: KeyKind,
    versions: Vec<Version>,
}

impl Key {
    /// A key; versions are put in the order of their numbers.
    #[must_use]
    pub fn new(name: KeyName, kind: KeyKind, mut versions: Vec<Version>) -> Self {
        versions.sort_by_key(|v| v.number);
        Self { name, kind, versions }
    }

    /// All versions.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The version of that number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|v| v.number == number)
    }

    /// The one version that mints at `now`, if any: the last to reach its activation time, if nothing is marked
    /// on it. Where it is marked there is none: an older version never comes back by itself.
    #[must_use]
    pub fn active(&self, now: UnixSeconds) -> Option<&Version> {
        self.latest(now).filter(|v| v.mark.is_none())
    }

    /// Where `version` stands at `now`.
    #[must_use]
    pub fn state(&self, version: &Version, now: UnixSeconds) -> State {
        match version.mark {
            Some(Mark::Suspended) => State::Suspended,
            Some(Mark::Compromised) => State::Compromised,
            Some(Mark::Destroyed) => State::Destroyed,
            None if version.activates_at > now => State::PreActive,
            None if self.latest(now).is_some_and(|v| v.number == version.number) => State::Active,
            None => State::Deactivated,
        }
    }

    /// When `version` stopped, or will stop, to be the one that mints, because another takes over; nothing where none is
    /// there to do so, or where it never has its turn.
    #[must_use]
    pub fn deactivates_at(&self, version: &Version) -> Option<UnixSeconds> {
        let later = self.versions.iter().filter(|v| v.takes_turn() && v.turn() > version.turn());
        later.map(|v| v.activates_at).min().filter(|_| version.takes_turn())
    }

    /// The versions that verify, the newest first.
    pub fn usable(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().rev().filter(|v| v.mark.is_none())
    }

    /// The version whose turn it is, marked or not.
    fn latest(&self, now: UnixSeconds) -> Option<&Version> {
        self.versions.iter().filter(|v| v.takes_turn() && v.activates_at <= now).max_by_key(|v| v.turn())
    }

    pub(super) fn versions_mut(&mut self) -> &mut [Version] {
        &mut self.versions
    }
}
