//! What an operator says of a version: set aside, back again, compromised, gone.

use crate::{
    clock::UnixSeconds,
    crypto::secret::Secret,
    keyring::{Act, Key, KeyName, Version},
    keystore::{
        KeystoreError, Location,
        document::{MarkEntry, VersionEntry},
        edit::{Change, Draft, edit, public_key},
        open::{self, OpenedDocument},
        place::Previous,
    },
};

/// Sets a version aside: it neither mints nor verifies until it is resumed.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn suspend(location: &Location, name: &KeyName, number: u32, now: UnixSeconds) -> Result<Change, KeystoreError> {
    mark(location, name, number, Act::Suspend, now)
}

/// Says that a version is known, or feared to be known, to others: it neither mints nor verifies ever again.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn mark_compromised(
    location: &Location,
    name: &KeyName,
    number: u32,
    now: UnixSeconds,
) -> Result<Change, KeystoreError> {
    mark(location, name, number, Act::MarkCompromised, now)
}

/// Takes a version's material away for ever, from the keyring and from the generation before it.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn destroy(location: &Location, name: &KeyName, number: u32, now: UnixSeconds) -> Result<Change, KeystoreError> {
    mark(location, name, number, Act::Destroy, now)
}

/// Brings a suspended version back to where it would stand had it never been suspended. One that was suspended before
/// its turn, and is still the next, takes over no sooner than `earliest`: until then not every replica may know that it
/// is back.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn resume(
    location: &Location,
    name: &KeyName,
    number: u32,
    earliest: UnixSeconds,
    now: UnixSeconds,
) -> Result<Change, KeystoreError> {
    edit(location, name, now, |opened| {
        let key = public_key(opened, name, &location.keyring)?;
        let version = judge(&key, number, Act::Resume, now)?;
        if let Some(at) = later_turn(&key, version, earliest, now) {
            move_activation(opened, &key, version, at, location)?;
        }
        say(opened, &key, version, Act::Resume, now)
    })
}

fn mark(location: &Location, name: &KeyName, number: u32, act: Act, now: UnixSeconds) -> Result<Change, KeystoreError> {
    edit(location, name, now, |opened| {
        let key = public_key(opened, name, &location.keyring)?;
        let version = judge(&key, number, act, now)?;
        say(opened, &key, version, act, now)
    })
}

/// The version, if it is there and its state allows the act.
fn judge(key: &Key, number: u32, act: Act, now: UnixSeconds) -> Result<&Version, KeystoreError> {
    let absent = || KeystoreError::NoVersion(key.name.clone(), number);
    let version = key.version(number).ok_or_else(absent)?;
    let refused = |refusal| KeystoreError::NotAllowed(key.name.clone(), number, refusal);
    key.state(version, now).after(act).map_err(refused)?;
    Ok(version)
}

/// Writes down what the act makes of the version.
fn say(
    opened: &mut OpenedDocument,
    key: &Key,
    version: &Version,
    act: Act,
    now: UnixSeconds,
) -> Result<Draft, KeystoreError> {
    let refused = |refusal| KeystoreError::NotAllowed(key.name.clone(), version.number, refusal);
    let mark = key.state(version, now).after(act).map_err(refused)?;
    let times = version.marked.after(act, now);
    let entry = entry(opened, key, version)?;
    entry.mark = mark.map(MarkEntry::from);
    entry.suspended_at = times.suspended_at.map(|at| at.0);
    entry.compromised_at = times.compromised_at.map(|at| at.0);
    entry.destroyed_at = times.destroyed_at.map(|at| at.0);
    let previous = if act == Act::Destroy {
        entry.material = None;
        Previous::Removed
    } else {
        Previous::Kept
    };
    Ok(Draft { number: version.number, previous, warnings: Vec::new() })
}

/// The activation time that a version gets as it comes back, where its own would be too soon: it had no turn yet, and
/// no newer one has taken over since. It is not put behind one that is staged after it.
fn later_turn(key: &Key, version: &Version, earliest: UnixSeconds, now: UnixSeconds) -> Option<UnixSeconds> {
    let newer = key.versions().iter().filter(|v| v.takes_turn() && v.turn() > version.turn());
    let next = newer.map(|v| v.activates_at).min();
    let had_or_missed_it = version.takes_turn() || next.is_some_and(|next| next <= now);
    let at = next.map_or(earliest, |next| next.min(earliest));
    (!had_or_missed_it && version.activates_at < at).then_some(at)
}

/// Wraps a version's material anew under another activation time, which is part of what the wrapping is bound to.
fn move_activation(
    opened: &mut OpenedDocument,
    key: &Key,
    version: &Version,
    at: UnixSeconds,
    location: &Location,
) -> Result<(), KeystoreError> {
    let altered = || KeystoreError::Altered(location.keyring.clone());
    let stored = entry(opened, key, version)?.clone();
    let before = open::about(&key.name, key.kind, &stored, &location.keyring)?;
    let wrapped = stored.material.as_ref().ok_or_else(altered)?;
    let material = opened.key.unwrap_version(&before, wrapped).map_err(|_| altered())?;
    let material = Secret::copied(material.material());
    let after = open::about(&key.name, key.kind, &VersionEntry { activates_at: at.0, ..stored }, &location.keyring)?;
    let wrapped = opened.key.wrap_version(&after, &material)?;
    let entry = entry(opened, key, version)?;
    (entry.activates_at, entry.material) = (at.0, Some(wrapped));
    Ok(())
}

fn entry<'a>(
    opened: &'a mut OpenedDocument,
    key: &Key,
    version: &Version,
) -> Result<&'a mut VersionEntry, KeystoreError> {
    let keys = &mut opened.document.keys;
    let found = keys.iter_mut().find(|entry| entry.name == key.name.as_str());
    let found = found.and_then(|entry| entry.versions.iter_mut().find(|v| v.number == version.number));
    found.ok_or_else(|| KeystoreError::NoVersion(key.name.clone(), version.number))
}
