//! Opening: from the document and the KEK to loaded keys.

use std::{fs::Metadata, path::Path};

use crate::{
    audit::JournalKeys,
    clock::UnixSeconds,
    crypto::{aead::Suite, arena, mac::MacKey},
    hub::{login::LoginDigests, revocation::UserDigests},
    keyring::{Key, KeyKind, KeyName, Kid, Mark, MarkTimes, Version},
    keystore::{
        KeystoreError, Location, SHORT_SECRET, USE_STACK, Warning,
        document::{Document, KeyEntry, MarkEntry, VersionEntry},
        file, is_sample,
        seal::{About, DocumentKey},
    },
};

/// Bytes of key memory, and more than enough: the longest KEK, the longest secret wrapped, and a handful of keys.
const OPENING: usize = 16 << 10;

/// An authenticated document, and the key that does it.
pub(super) struct OpenedDocument {
    pub(super) document: Document,
    pub(super) key: DocumentKey,
    pub(super) metadata: Metadata,
}

/// The keys of a document, and what there is to say of them.
pub(super) struct OpenedKeys {
    pub(super) keys: Vec<Key>,
    pub(super) warnings: Vec<Warning>,
    pub(super) sample_secrets: Vec<KeyName>,
    pub(super) journal: JournalKeys,
    pub(super) users: UserDigests,
    pub(super) logins: LoginDigests,
}

/// Reads the keyring and the KEK, unwraps the document key and checks the MAC.
pub(super) fn document(location: &Location) -> Result<OpenedDocument, KeystoreError> {
    let (bytes, metadata) = file::read_keyring(&location.keyring)?;
    let document = Document::parse(&bytes, &location.keyring)?;
    arena::reserve(room(&document)).map_err(KeystoreError::KeyMemory)?;
    let key = location.kek.open(&document, &location.keyring)?;
    if !key.made(&document) {
        return Err(KeystoreError::Altered(location.keyring.clone()));
    }
    location.kek.keep(&document, &key);
    Ok(OpenedDocument { document, key, metadata })
}

/// Bytes of key memory that opening takes: every version, and what is in use only meanwhile.
fn room(document: &Document) -> usize {
    let versions: usize = document.keys.iter().map(|key| key.versions.len()).sum();
    versions * MacKey::ROOM + OPENING
}

/// Opens the service secret and every version of a document whose MAC was checked; `path` is for the errors.
pub(super) fn keys(key: &DocumentKey, document: &Document, path: &Path) -> Result<OpenedKeys, KeystoreError> {
    let journal = key.journal_keys(&document.service_secret);
    let users = key.user_digests(&document.service_secret);
    let logins = key.login_digests(&document.service_secret);
    zeroize::zeroize_stack::<USE_STACK>();
    let journal = journal.map_err(|_| KeystoreError::Altered(path.to_owned()))?;
    let users = users.map_err(|_| KeystoreError::Altered(path.to_owned()))?;
    let logins = logins.map_err(|_| KeystoreError::Altered(path.to_owned()))?;
    let mut opened =
        OpenedKeys { keys: Vec::new(), warnings: Vec::new(), sample_secrets: Vec::new(), journal, users, logins };
    for entry in &document.keys {
        let name = name_of(entry, path)?;
        let kind = entry.kind.into();
        let mut versions = Vec::new();
        let mut sample = false;
        for stored in &entry.versions {
            let version = version(key, &name, kind, stored, path);
            zeroize::zeroize_stack::<USE_STACK>();
            let (version, holds_sample) = version?;
            let usable = version.mark.is_none();
            sample |= holds_sample && usable;
            if kind == KeyKind::LiveAuth && usable && version.secret_len < SHORT_SECRET {
                opened.warnings.push(Warning::ShortSecret(name.clone(), version.number));
            }
            versions.push(version);
        }
        if sample {
            opened.sample_secrets.push(name.clone());
        }
        opened.keys.push(Key::new(name, kind, versions));
    }
    Ok(opened)
}

/// A key without material, from its public metadata.
pub(super) fn public(entry: &KeyEntry, path: &Path) -> Result<Key, KeystoreError> {
    let name = name_of(entry, path)?;
    let versions = entry.versions.iter().map(|stored| {
        let public = about(&name, entry.kind.into(), stored, path)?;
        Ok(described(&public, stored, 0, None))
    });
    Ok(Key::new(name.clone(), entry.kind.into(), versions.collect::<Result<_, KeystoreError>>()?))
}

/// One version, and whether it holds the sample secret.
#[inline(never)]
fn version(
    key: &DocumentKey,
    name: &KeyName,
    kind: KeyKind,
    stored: &VersionEntry,
    path: &Path,
) -> Result<(Version, bool), KeystoreError> {
    let about = about(name, kind, stored, path)?;
    if stored.material.is_none() != (stored.mark == Some(MarkEntry::Destroyed)) {
        return Err(KeystoreError::Altered(path.to_owned()));
    }
    let Some(wrapped) = &stored.material else {
        return Ok((described(&about, stored, if kind == KeyKind::Hat1 { 32 } else { 1 }, None), false));
    };
    let opened = key.unwrap_version(&about, wrapped).map_err(|_| KeystoreError::Altered(path.to_owned()))?;
    let material = MacKey::new(opened.material());
    if let (Some(recorded), Some(suite)) = (about.kid, about.suite)
        && Kid::of(&material, suite) != recorded
    {
        return Err(KeystoreError::KidDiffers(path.to_owned(), name.clone(), stored.number));
    }
    let sample = kind == KeyKind::LiveAuth && is_sample(&material);
    Ok((described(&about, stored, opened.material().len(), Some(material)), sample))
}

fn described(about: &About<'_>, stored: &VersionEntry, secret_len: usize, material: Option<MacKey>) -> Version {
    let mut version = Version::new(about.number, about.activates_at, secret_len, material);
    if let Some(suite) = about.suite {
        version = version.hat1(suite, about.kid);
    }
    version.created_at = about.created_at;
    version.mark = stored.mark.map(Mark::from);
    version.marked = MarkTimes {
        suspended_at: stored.suspended_at.map(UnixSeconds),
        compromised_at: stored.compromised_at.map(UnixSeconds),
        destroyed_at: stored.destroyed_at.map(UnixSeconds),
    };
    version
}

pub(super) fn name_of(entry: &KeyEntry, path: &Path) -> Result<KeyName, KeystoreError> {
    KeyName::new(&entry.name).map_err(|_| KeystoreError::Altered(path.to_owned()))
}

/// What the material of a stored version is bound to.
pub(super) fn about<'a>(
    name: &'a KeyName,
    kind: KeyKind,
    stored: &VersionEntry,
    path: &Path,
) -> Result<About<'a>, KeystoreError> {
    let recorded = stored.kid.as_ref().map(|text| {
        let mut bytes = [0; 8];
        match base16ct::lower::decode(text, &mut bytes) {
            Ok(decoded) if decoded.len() == 8 => Ok(Kid(bytes)),
            _ => Err(KeystoreError::Altered(path.to_owned())),
        }
    });
    Ok(About {
        name,
        kind,
        number: stored.number,
        created_at: UnixSeconds(stored.created_at),
        activates_at: UnixSeconds(stored.activates_at),
        suite: stored.suite.map(Suite::from),
        kid: recorded.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{crypto::secret::Secret, keystore};

    /// By somebody who has the document key, or by a fault: everything fits but the kid, which tokens go by.
    #[test]
    fn a_kid_that_its_key_does_not_make_is_refused_though_it_was_sealed_in() {
        let dir = tempfile::tempdir().unwrap();
        let kek = keystore::KekSource::File(dir.path().join("kek"));
        let location = Location { keyring: dir.path().join("keyring"), kek };
        let (name, now) = (KeyName::new("hub").unwrap(), UnixSeconds(1_800_000_000));
        keystore::init(&location, now).unwrap();
        keystore::create(&location, &name, KeyKind::Hat1, Suite::Aes256Gcm, None, now).unwrap();
        let OpenedDocument { mut document, key, .. } = document(&location).unwrap_or_else(|error| panic!("{error}"));
        let path = &location.keyring;
        let mut entry = document.keys[0].versions[0].clone();
        let of = |entry: &VersionEntry| about(&name, KeyKind::Hat1, entry, path).unwrap();
        let Ok(material) = key.unwrap_version(&of(&entry), entry.material.as_ref().unwrap()) else {
            panic!("it was sealed")
        };
        entry.kid = Some("0123456789abcdef".into());
        entry.material = Some(key.wrap_version(&of(&entry), &Secret::copied(material.material())).unwrap());
        document.keys[0].versions[0] = entry;
        key.authenticate(&mut document);
        fs::write(path, document.to_bytes()).unwrap();
        let refused = keystore::load(&location).map(|_| ()).unwrap_err();
        assert!(matches!(refused, KeystoreError::KidDiffers(_, _, 1)), "{refused}");
    }
}
