//! Changing a keyring: make one, make a key, import a secret.
//!
//! A change is read, made, sealed, and then opened again and judged from the bytes to be stored, as the service
//! will do; only then it replaces the file. All of it happens under the lock, so two writers lose nothing.

use std::{fs, path::Path};

use base64ct::{Base64, Encoding as _};

use crate::{
    clock::{LATEST, UnixSeconds},
    crypto::{aead::Suite, mac::MacKey, secret::Secret},
    keyring::{KeyKind, KeyName, Keyring, Kid},
    keystore::{
        KekSource, KeystoreError, Location, Part, SHORT_SECRET, USE_STACK, Warning,
        document::{Document, KeyEntry, VersionEntry},
        file, is_sample, open,
        place::{Lock, Place},
        record::{Highest, Seen},
        seal::{self, About, DocumentKey},
    },
};

/// Most bytes of a LiveAuth secret.
pub const SECRET_MAX: usize = 4096;

/// Bytes of a hat1 key.
const HAT1_LEN: usize = 32;

/// A keyring that was made.
#[derive(PartialEq, Eq, Debug)]
pub struct Initialised {
    /// Its random id, 32 hex digits.
    pub keyring_id: String,
    /// Whether the KEK file was made too; else the one that was there is used.
    pub kek_made: bool,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
}

/// A version that was added.
#[derive(PartialEq, Eq, Debug)]
pub struct Change {
    /// The keyring's generation with it.
    pub generation: u64,
    /// The version's number.
    pub number: u32,
    /// When it mints.
    pub activates_at: UnixSeconds,
    /// For hat1: its public id.
    pub kid: Option<Kid>,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
}

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

/// Makes a keyring without keys, and the KEK file unless there is one.
///
/// # Errors
/// [`KeystoreError`]; nothing at the keyring's path is ever replaced.
pub fn init(location: &Location, now: UnixSeconds) -> Result<Initialised, KeystoreError> {
    let made = init_inner(location, now);
    zeroize::zeroize_stack::<USE_STACK>();
    made
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
    change(location, &import, Existing::Refused, now)
}

/// Adds a secret that was given, as a new key or as a further version of one.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn import(location: &Location, import: &Import<'_>, now: UnixSeconds) -> Result<Change, KeystoreError> {
    change(location, import, Existing::GetsAVersion, now)
}

/// What becomes of a key that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Refused,
    GetsAVersion,
}

#[inline(never)]
fn init_inner(location: &Location, now: UnixSeconds) -> Result<Initialised, KeystoreError> {
    let exists = || KeystoreError::Exists(location.keyring.clone());
    // What is there is never replaced, be it a link that leads nowhere.
    if fs::symlink_metadata(&location.keyring).is_ok() {
        return Err(exists());
    }
    let place = Place::of(&location.keyring)?;
    let KekSource::File(kek_file) = &location.kek;
    if Place::of(kek_file)?.path() == place.path() {
        return Err(KeystoreError::SamePath(location.keyring.clone()));
    }
    let lock = place.lock()?;
    let kek_made = make_kek(kek_file)?;
    let kek = location.kek.load()?;

    let keyring_id = seal::random_hex::<16>()?;
    let document_key = seal::draw()?;
    let key = DocumentKey::new(document_key.expose(), &keyring_id);
    let wrapped = seal::wrap_document_key(&kek, &keyring_id, &document_key)?;
    let service_secret = key.wrap_service_secret(&seal::draw()?)?;
    let mut document = Document::new(keyring_id.clone(), now.0, wrapped, service_secret);
    key.authenticate(&mut document);
    let bytes = judged(&key, &document, &location.keyring)?;
    if !place.make_once(&bytes, 0o600)? {
        return Err(exists());
    }

    let mut warnings = Vec::new();
    if let Ok(like) = fs::metadata(place.path()) {
        let highest = Highest::fresh(&place, &keyring_id, key.record_key());
        warnings.extend(highest.write(&lock, document.generation, &like));
    }
    Ok(Initialised { keyring_id, kek_made, warnings })
}

/// Makes the KEK file with 32 random bytes as base64 text; whether there was none.
fn make_kek(path: &Path) -> Result<bool, KeystoreError> {
    if fs::metadata(path).is_ok() {
        return Ok(false);
    }
    let drawn = seal::draw()?;
    let text = Secret::filled(Base64::encoded_len(drawn.expose()) + 1, |text| {
        let (end, digits) = text.split_last_mut().expect("the buffer has room for the newline");
        Base64::encode(drawn.expose(), digits).expect("the buffer has the encoded length");
        *end = b'\n';
    });
    Place::of(path)?.make_once(text.expose(), 0o400)
}

fn change(
    location: &Location,
    import: &Import<'_>,
    existing: Existing,
    now: UnixSeconds,
) -> Result<Change, KeystoreError> {
    let changed = change_inner(location, import, existing, now);
    zeroize::zeroize_stack::<USE_STACK>();
    changed
}

#[inline(never)]
fn change_inner(
    location: &Location,
    import: &Import<'_>,
    existing: Existing,
    now: UnixSeconds,
) -> Result<Change, KeystoreError> {
    let kid = check(import)?;
    let activates_at = activation(import.activates_at, now)?;
    // Read once without the lock, so that a path without a keyring gets no lock file.
    file::read_keyring(&location.keyring)?;
    let place = Place::of(&location.keyring)?;
    let lock = place.lock()?;
    let seen = Seen::before(&place)?;
    let mut opened = open::document(location)?;
    let keyring_id = opened.document.keyring_id.clone();
    let highest = Highest::of(&seen, &place, &keyring_id, opened.key.record_key())?;
    highest.check(opened.document.generation)?;

    let number = next_number(&opened.document, import, existing)?;
    let suite = kid.map(|_| import.suite);
    let about = About { name: import.name, kind: import.kind, number, created_at: now, activates_at, suite, kid };
    let stored = VersionEntry {
        number,
        created_at: now.0,
        activates_at: activates_at.0,
        mark: None,
        suite: suite.map(Into::into),
        kid: kid.map(|kid| kid.to_string()),
        material: Some(opened.key.wrap_version(&about, &import.secret)?),
    };
    add(&mut opened.document, import, stored);
    opened.document.generation += 1;
    opened.key.authenticate(&mut opened.document);
    let bytes = judged(&opened.key, &opened.document, &location.keyring)?;

    store(&place, &lock, &bytes, &opened, &highest).map(|mut warnings| {
        warnings.extend(remarks(import, number));
        Change { generation: opened.document.generation, number, activates_at, kid, warnings }
    })
}

fn store(
    place: &Place,
    lock: &Lock,
    bytes: &[u8],
    opened: &open::OpenedDocument,
    highest: &Highest<'_>,
) -> Result<Vec<Warning>, KeystoreError> {
    place.replace(lock, bytes, &opened.metadata)?;
    // Only now: a record above the stored generation would refuse the keyring that is there.
    Ok(highest.write(lock, opened.document.generation, &opened.metadata).into_iter().collect())
}

/// The bytes of the document, opened and judged as a reader will.
fn judged(key: &DocumentKey, document: &Document, path: &Path) -> Result<Vec<u8>, KeystoreError> {
    let bytes = document.to_bytes();
    if bytes.len() > file::KEYRING_MAX {
        return Err(KeystoreError::TooLarge(Part::Keyring, path.to_owned(), file::KEYRING_MAX));
    }
    let read = Document::parse(&bytes, path)?;
    if !key.made(&read) {
        return Err(KeystoreError::Altered(path.to_owned()));
    }
    let keys = open::keys(key, &read, path)?;
    Keyring::new(keys.keys).map_err(KeystoreError::Ring)?;
    Ok(bytes)
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

fn next_number(document: &Document, import: &Import<'_>, existing: Existing) -> Result<u32, KeystoreError> {
    let Some(entry) = document.key(import.name.as_str()) else { return Ok(1) };
    if existing == Existing::Refused {
        return Err(KeystoreError::KeyExists(import.name.clone()));
    }
    let kind = KeyKind::from(entry.kind);
    if kind != import.kind {
        return Err(KeystoreError::OtherKind(import.name.clone(), kind));
    }
    Ok(entry.versions.iter().map(|version| version.number).max().unwrap_or(0) + 1)
}

fn add(document: &mut Document, import: &Import<'_>, stored: VersionEntry) {
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
