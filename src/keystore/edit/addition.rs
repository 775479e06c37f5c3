//! Adding a version: a key that is drawn or given, as a new one or as the successor of one that is there.

use crate::{
    clock::{LATEST, UnixSeconds},
    crypto::{aead::Suite, mac::MacKey, secret::Secret},
    keyring::{Key, KeyKind, KeyName, Kid, Version},
    keystore::{
        KeystoreError, Location, SHORT_SECRET, Warning,
        document::{Document, KeyEntry, VersionEntry},
        edit::{Change, Draft, edit, public_key},
        is_sample,
        open::OpenedDocument,
        place::Previous,
        seal::{self, About},
    },
};

/// Most bytes of a LiveAuth secret.
pub const SECRET_MAX: usize = 4096;

/// Bytes of a hat1 key.
const HAT1_LEN: usize = 32;

/// A secret to import, and as what.
pub struct Import<'a> {
    /// The key: a new one, or one that gets a further version.
    pub name: &'a KeyName,
    /// The kind; that of the key, where there is one.
    pub kind: KeyKind,
    /// For hat1: the suite to seal with. A LiveAuth key has none.
    pub suite: Suite,
    /// The secret: 1 to [`SECRET_MAX`] bytes for LiveAuth, 32 for hat1.
    pub secret: Secret,
    /// When it is to mint; at once if absent.
    pub activates_at: Option<UnixSeconds>,
    /// Whether the sample secret of the LiveAuth document is welcome: only in `countersign dev`.
    pub allow_sample: bool,
}

/// A successor for the newest version of a key.
pub struct Rotation<'a> {
    /// The key, which is there.
    pub name: &'a KeyName,
    /// For LiveAuth: the secret that idibu gave. A hat1 key is drawn where there is none.
    pub secret: Option<Secret>,
    /// For hat1: the suite to seal with; that of the newest version if absent.
    pub suite: Option<Suite>,
    /// When it is to take over: late enough for every replica to know it by then.
    pub activates_at: UnixSeconds,
    /// Whether the sample secret of the LiveAuth document is welcome: only in `countersign dev`.
    pub allow_sample: bool,
}

/// Draws a new hat1 key; `activates_at` says when it mints, at once if absent.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn create(
    location: &Location,
    name: &KeyName,
    kind: KeyKind,
    suite: Suite,
    activates_at: Option<UnixSeconds>,
    now: UnixSeconds,
) -> Result<Change, KeystoreError> {
    if kind == KeyKind::LiveAuth {
        return Err(KeystoreError::LiveAuthIsGiven(name.clone()));
    }
    let secret = seal::draw()?;
    let import = Import { name, kind, suite, secret, activates_at, allow_sample: false };
    activation(activates_at, now)?;
    edit(location, name, now, |opened| {
        if opened.document.key(name.as_str()).is_some() {
            return Err(KeystoreError::KeyExists(name.clone()));
        }
        add(opened, &import, now)
    })
}

/// Adds a secret that was given, as a new key or as a further version of one.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn import(location: &Location, import: &Import<'_>, now: UnixSeconds) -> Result<Change, KeystoreError> {
    check(import)?;
    activation(import.activates_at, now)?;
    edit(location, import.name, now, |opened| add(opened, import, now))
}

/// Stages a successor for the newest version of a key: it verifies at once, and takes over at its time.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was. A second successor is refused where one is staged that takes over
/// no later: whoever asks twice, or two who ask at once, rotate once.
pub fn rotate(location: &Location, rotation: Rotation<'_>, now: UnixSeconds) -> Result<Change, KeystoreError> {
    let name = rotation.name;
    activation(Some(rotation.activates_at), now)?;
    edit(location, name, now, |opened| {
        let key = public_key(opened, name, &location.keyring)?;
        succeed(opened, &key, rotation, now)
    })
}

/// Does the same to a hat1 key whose time has come, where it is rotated every `every` seconds; nothing where its time has
/// not come. Judged under the lock: of several processes that find a key due at once, one rotates it.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn rotate_when_due(
    location: &Location,
    name: &KeyName,
    every: i64,
    activates_at: UnixSeconds,
    now: UnixSeconds,
) -> Result<Option<Change>, KeystoreError> {
    activation(Some(activates_at), now)?;
    let rotated = edit(location, name, now, |opened| {
        let key = public_key(opened, name, &location.keyring)?;
        if key.rotates_at(every, now).is_none_or(|due| due > now) {
            return Err(KeystoreError::NotDue(name.clone()));
        }
        succeed(opened, &key, Rotation { name, secret: None, suite: None, activates_at, allow_sample: false }, now)
    });
    match rotated {
        Err(KeystoreError::NotDue(_)) => Ok(None),
        rotated => rotated.map(Some),
    }
}

fn succeed(
    opened: &mut OpenedDocument,
    key: &Key,
    rotation: Rotation<'_>,
    now: UnixSeconds,
) -> Result<Draft, KeystoreError> {
    let Rotation { name, secret, suite, activates_at, allow_sample } = rotation;
    let staged = |v: &&Version| v.mark.is_none() && v.activates_at > now;
    if let Some(staged) = key.versions().iter().filter(staged).find(|v| v.activates_at <= activates_at) {
        return Err(KeystoreError::Staged(name.clone(), staged.number, staged.activates_at));
    }
    let secret = match (key.kind, secret) {
        (_, Some(secret)) => secret,
        (KeyKind::Hat1, None) => seal::draw()?,
        (KeyKind::LiveAuth, None) => return Err(KeystoreError::LiveAuthIsGiven(name.clone())),
    };
    if key.kind == KeyKind::LiveAuth && suite.is_some() {
        return Err(KeystoreError::SuiteOfLiveAuth(name.clone()));
    }
    let suite = suite.or_else(|| newest_suite(key)).unwrap_or(Suite::Aes256Gcm);
    let import = Import { name, kind: key.kind, suite, secret, activates_at: Some(activates_at), allow_sample };
    add(opened, &import, now)
}

fn newest_suite(key: &Key) -> Option<Suite> {
    key.versions().last().and_then(|newest| newest.suite)
}

fn add(opened: &mut OpenedDocument, import: &Import<'_>, now: UnixSeconds) -> Result<Draft, KeystoreError> {
    let kid = check(import)?;
    let activates_at = activation(import.activates_at, now)?;
    let number = next_number(&opened.document, import)?;
    let suite = kid.map(|_| import.suite);
    let about = About { name: import.name, kind: import.kind, number, created_at: now, activates_at, suite, kid };
    let stored = VersionEntry {
        number,
        created_at: now.0,
        activates_at: activates_at.0,
        mark: None,
        suspended_at: None,
        compromised_at: None,
        destroyed_at: None,
        suite: suite.map(Into::into),
        kid: kid.map(|kid| kid.to_string()),
        material: Some(opened.key.wrap_version(&about, &import.secret)?),
    };
    put(&mut opened.document, import, stored);
    Ok(Draft { number, previous: Previous::Kept, warnings: remarks(import, number) })
}

/// Checks the secret against its kind; gives the kid of a hat1 key.
fn check(import: &Import<'_>) -> Result<Option<Kid>, KeystoreError> {
    match import.kind {
        KeyKind::Hat1 if import.secret.len() != HAT1_LEN => Err(KeystoreError::Hat1Length),
        KeyKind::Hat1 => Ok(Some(Kid::of(&MacKey::new(import.secret.expose()), import.suite))),
        KeyKind::LiveAuth if import.secret.is_empty() || import.secret.len() > SECRET_MAX => {
            Err(KeystoreError::LiveAuthLength(SECRET_MAX))
        }
        KeyKind::LiveAuth if !import.allow_sample && is_sample(&MacKey::new(import.secret.expose())) => {
            Err(KeystoreError::SampleSecret)
        }
        KeyKind::LiveAuth => Ok(None),
    }
}

fn activation(asked: Option<UnixSeconds>, now: UnixSeconds) -> Result<UnixSeconds, KeystoreError> {
    match asked {
        None => Ok(now),
        Some(at) if at < now => Err(KeystoreError::ActivatesInThePast),
        Some(at) if at > LATEST => Err(KeystoreError::ActivatesTooLate),
        Some(at) => Ok(at),
    }
}

fn next_number(document: &Document, import: &Import<'_>) -> Result<u32, KeystoreError> {
    let Some(entry) = document.key(import.name.as_str()) else { return Ok(1) };
    let kind = KeyKind::from(entry.kind);
    if kind != import.kind {
        return Err(KeystoreError::OtherKind(import.name.clone(), kind));
    }
    Ok(entry.versions.iter().map(|version| version.number).max().unwrap_or(0) + 1)
}

fn put(document: &mut Document, import: &Import<'_>, stored: VersionEntry) {
    let name = import.name.as_str();
    if let Some(entry) = document.keys.iter_mut().find(|entry| entry.name == name) {
        entry.versions.push(stored);
    } else {
        let entry = KeyEntry { name: name.to_owned(), kind: import.kind.into(), versions: vec![stored] };
        document.keys.push(entry);
        document.keys.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

fn remarks(import: &Import<'_>, number: u32) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if import.kind == KeyKind::LiveAuth {
        let secret = import.secret.expose();
        let edges = [secret.first(), secret.last()];
        if edges.into_iter().flatten().any(u8::is_ascii_whitespace) {
            warnings.push(Warning::EdgeWhitespace(import.name.clone(), number));
        }
        if secret.len() < SHORT_SECRET {
            warnings.push(Warning::ShortSecret(import.name.clone(), number));
        }
    }
    warnings
}
