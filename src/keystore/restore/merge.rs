//! What a backup and the keyring that is there make together: for each version, one of the two entries whole.

use std::fmt;

use crate::{
    crypto::secret::Secret,
    keyring::{KeyName, Mark},
    keystore::{
        KeystoreError, Location,
        document::{Document, KeyEntry, MarkEntry, VersionEntry},
        open::{self, OpenedDocument},
    },
};

/// What restoring does to one version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It was not there, and is again.
    Returns(KeyName, u32),
    /// It is not in the backup, and stays there.
    Stays(KeyName, u32),
    /// This mark, which the backup lacks, stays.
    KeepsMark(KeyName, u32, Mark),
    /// This mark, which the backup lacks, goes.
    LosesMark(KeyName, u32, Mark),
    /// This mark comes back with the backup.
    GetsMark(KeyName, u32, Mark),
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |mark: &Mark| match mark {
            Mark::Suspended => "suspended",
            Mark::Compromised => "compromised",
            Mark::Destroyed => "destroyed",
        };
        match self {
            Self::Returns(name, number) => write!(f, "version {number} of key {name} comes back"),
            Self::Stays(name, number) => write!(f, "version {number} of key {name} is newer than the backup and stays"),
            Self::KeepsMark(name, number, mark) => write!(f, "version {number} of key {name} stays {}", word(mark)),
            Self::LosesMark(name, number, mark) => {
                write!(f, "version {number} of key {name} is {} no more", word(mark))
            }
            Self::GetsMark(name, number, mark) => write!(f, "version {number} of key {name} is {} again", word(mark)),
        }
    }
}

/// Everything of a backup, where nothing is there.
pub(super) fn all(backup: &Document, from: &Location) -> Result<Vec<Effect>, KeystoreError> {
    let mut effects = Vec::new();
    for key in &backup.keys {
        let name = open::name_of(key, &from.keyring)?;
        effects.extend(key.versions.iter().map(|version| Effect::Returns(name.clone(), version.number)));
    }
    Ok(effects)
}

/// Brings what the backup has into the keyring that is there, under that one's document key.
pub(super) fn merge(
    backup: &OpenedDocument,
    current: &OpenedDocument,
    from: &Location,
    to: &Location,
) -> Result<(Document, Vec<Effect>), KeystoreError> {
    let mut document = current.document.clone();
    let mut effects = Vec::new();
    for key in &backup.document.keys {
        let name = open::name_of(key, &from.keyring)?;
        let found = document.keys.iter().position(|there| there.name == key.name);
        let place = found.unwrap_or_else(|| {
            document.keys.push(KeyEntry { name: key.name.clone(), kind: key.kind, versions: Vec::new() });
            document.keys.len() - 1
        });
        let into = &mut document.keys[place];
        let conflict = |number| KeystoreError::RestoreConflict(name.clone(), number, to.keyring.clone());
        if let Some(first) = key.versions.first().filter(|_| into.kind != key.kind) {
            return Err(conflict(first.number));
        }
        for theirs in &key.versions {
            let found = into.versions.iter().position(|version| version.number == theirs.number);
            let ours = found.map(|at| &into.versions[at]);
            if ours.is_some_and(|ours| !same(ours, theirs)) {
                return Err(conflict(theirs.number));
            }
            let (taken, effect) = judge(ours, theirs, &name);
            effects.extend(effect);
            if !taken {
                continue;
            }
            let entry = rewrapped(theirs, key, &name, backup, current, from)?;
            match found {
                Some(at) => into.versions[at] = entry,
                None => into.versions.push(entry),
            }
        }
        into.versions.sort_by_key(|version| version.number);
    }
    document.keys.sort_by(|a, b| a.name.cmp(&b.name));
    for key in &current.document.keys {
        let name = open::name_of(key, &to.keyring)?;
        let there = backup.document.key(&key.name);
        let in_backup = |number| there.is_some_and(|key| key.versions.iter().any(|version| version.number == number));
        let newer = key.versions.iter().filter(|version| !in_backup(version.number));
        effects.extend(newer.map(|version| Effect::Stays(name.clone(), version.number)));
    }
    Ok((document, effects))
}

/// Whether the two are one version at two times. Its activation time moves where it is resumed late.
fn same(ours: &VersionEntry, theirs: &VersionEntry) -> bool {
    (ours.created_at, ours.suite, &ours.kid) == (theirs.created_at, theirs.suite, &theirs.kid)
}

/// Whether the backup's entry is taken, and what that does. The graver of two marks wins, as long as there is no way
/// back from it.
fn judge(ours: Option<&VersionEntry>, theirs: &VersionEntry, name: &KeyName) -> (bool, Option<Effect>) {
    let number = theirs.number;
    let Some(ours) = ours else { return (true, Some(Effect::Returns(name.clone(), number))) };
    let final_ = |mark: Option<MarkEntry>| match mark {
        Some(MarkEntry::Destroyed) => 2,
        Some(MarkEntry::Compromised) => 1,
        Some(MarkEntry::Suspended) | None => 0,
    };
    let (our_mark, their_mark) = (ours.mark.map(Mark::from), theirs.mark.map(Mark::from));
    if final_(ours.mark) > final_(theirs.mark) {
        return (false, our_mark.map(|mark| Effect::KeepsMark(name.clone(), number, mark)));
    }
    let effect = match (our_mark, their_mark) {
        (ours, theirs) if ours == theirs => None,
        (_, Some(mark)) => Some(Effect::GetsMark(name.clone(), number, mark)),
        (Some(mark), None) => Some(Effect::LosesMark(name.clone(), number, mark)),
        (None, None) => None,
    };
    (true, effect)
}

/// The backup's entry with its material under the document key of the keyring that is there.
fn rewrapped(
    entry: &VersionEntry,
    key: &KeyEntry,
    name: &KeyName,
    backup: &OpenedDocument,
    current: &OpenedDocument,
    from: &Location,
) -> Result<VersionEntry, KeystoreError> {
    let mut entry = entry.clone();
    let Some(wrapped) = &entry.material else { return Ok(entry) };
    let about = open::about(name, key.kind.into(), &entry, &from.keyring)?;
    if current.key.unwrap_version(&about, wrapped).is_ok() {
        return Ok(entry);
    }
    let opened = backup.key.unwrap_version(&about, wrapped);
    let opened = opened.map_err(|_| KeystoreError::Altered(from.keyring.clone()))?;
    let wrapped = current.key.wrap_version(&about, &Secret::copied(opened.material()))?;
    entry.material = Some(wrapped);
    Ok(entry)
}
