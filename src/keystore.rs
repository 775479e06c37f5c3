//! The keyring at rest: one sealed document in a file, under a key-encryption key (KEK) that comes from elsewhere.
//!
//! The KEK wraps a random document key and nothing else; from the document key come, by label, the key that wraps
//! each version's material and the key of the MAC over the whole document. Public metadata is in clear. This room
//! is the only one that opens key material: it gives it out loaded for MAC use, never as bytes.

mod backup;
mod copies;
mod document;
mod edit;
mod error;
mod file;
mod kek;
mod kms;
mod open;
mod place;
mod record;
mod restore;
mod rewrap;
mod seal;
mod warning;

use std::path::{Path, PathBuf};

pub use backup::{Backup, backup};
pub use edit::{
    Change, Import, Initialised, Rotation, SECRET_MAX, create, destroy, import, init, mark_compromised, resume, rotate,
    rotate_when_due, suspend,
};
pub use error::{KeystoreError, Part, Step};
pub use file::{is_open_to_others, read_secret, strip_newline};
pub use kek::{
    CREDENTIALS_DIRECTORY, KekProblem, KekSource, KekState, PASSPHRASE_MAX, PASSPHRASE_MIN, Passphrase,
    state as kek_state,
};
pub use kms::{KMS_TIMEOUT, Kms, KmsProblem, KmsStatus};
pub use record::note_generation;
pub use restore::{Before, Effect, Restored, Restoring, restore};
pub use rewrap::{Inner, Rewrapped, rewrap};
pub use warning::{SHORT_SECRET, Warning};

use crate::{
    audit::JournalKeys,
    crypto::{frame::DecimalPair, mac::MacKey},
    hub::{login::LoginDigests, revocation::UserDigests},
    keyring::{Key, KeyName},
    keystore::{
        document::Document,
        place::Place,
        record::{Highest, Seen},
    },
};

/// The secret of the LiveAuth document's example: known to everybody, and so refused outside `countersign dev`.
pub const SAMPLE_SECRET: &[u8] = b"whatissixtimesnine";

/// The document's own hash, for client 42 and expiry 989539200, under [`SAMPLE_SECRET`].
const SAMPLE_HASH: [u8; 32] = [
    0x6b, 0x1a, 0x62, 0x61, 0x7d, 0xe2, 0x59, 0x68, 0x8c, 0x02, 0x1c, 0x6d, 0x98, 0xef, 0xac, 0xa5, 0x88, 0xc7, 0x72,
    0xf9, 0xee, 0x8e, 0xa3, 0x09, 0x2f, 0xb3, 0xd5, 0x32, 0x3e, 0x66, 0xba, 0x29,
];

/// Stack wiped after secrets went through a call, in bytes: decoding, key schedules and pad blocks stay in dead frames.
const USE_STACK: usize = 32 * 1024;

/// Where a keyring is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// The sealed document.
    pub keyring: PathBuf,
    /// Where the key comes from that wraps the document key.
    pub kek: KekSource,
}

/// A keyring that was read, checked and opened.
pub struct Loaded {
    /// How often it was changed; never lower than in an earlier load.
    pub generation: u64,
    /// Its random id, 32 hex digits; the same for its whole life.
    pub keyring_id: String,
    /// The keys, their material loaded for MAC use.
    pub keys: Vec<Key>,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
    /// The keys with a version that holds [`SAMPLE_SECRET`] and can still be used.
    pub sample_secrets: Vec<KeyName>,
    /// The keys that seal the journal and make its pseudonyms.
    pub journal: JournalKeys,
    /// The key of the digests by which the ledger knows users.
    pub users: UserDigests,
    /// The key by which the ledger knows hubLoginTokens.
    pub logins: LoginDigests,
}

/// What anybody who can read the file may know of a keyring; nothing of it is authenticated.
pub struct Summary {
    /// How often it was changed.
    pub generation: u64,
    /// Its random id, 32 hex digits.
    pub keyring_id: String,
    /// The keys, without material. The length of a secret is not public: `secret_len` is 0.
    pub keys: Vec<Key>,
}

/// Reads a keyring with everything checked: the files' type, owner and mode, the format, the KEK, the MAC over the
/// document, that its generation did not fall, that every version unwraps, and that every kid is the recorded one.
///
/// # Errors
/// [`KeystoreError`].
pub fn load(location: &Location) -> Result<Loaded, KeystoreError> {
    let mut loaded = load_inner(location);
    if matches!(loaded, Err(KeystoreError::RecordAltered(_))) {
        // Somebody may have been giving the keyring another document key between our looks at the one and the other.
        loaded = load_inner(location);
    }
    zeroize::zeroize_stack::<USE_STACK>();
    loaded
}

#[inline(never)]
fn load_inner(location: &Location) -> Result<Loaded, KeystoreError> {
    // A path that leads nowhere is reported as the missing keyring it is.
    let place = Place::of(&location.keyring).or_else(|error| file::read_keyring(&location.keyring).and(Err(error)))?;
    let seen = Seen::before(&place)?;
    let opened = open::document(location)?;
    let highest = Highest::of(&seen, &place, &opened.document.keyring_id, opened.key.record_key())?;
    highest.check(opened.document.generation)?;
    let keys = open::keys(&opened.key, &opened.document, &location.keyring)?;
    let mut warnings = keys.warnings;
    warnings.extend(highest.raise(opened.document.generation, &opened.metadata));
    Ok(Loaded {
        generation: opened.document.generation,
        keyring_id: opened.document.keyring_id,
        keys: keys.keys,
        warnings,
        sample_secrets: keys.sample_secrets,
        journal: keys.journal,
        users: keys.users,
        logins: keys.logins,
    })
}

/// Opens a keyring for the keys of its journal alone: nothing is raised or written, so that a journal can be judged where
/// the keyring may only be read, or is an older one.
///
/// # Errors
/// [`KeystoreError`].
pub fn journal_keys(location: &Location) -> Result<JournalKeys, KeystoreError> {
    let opened = open::document(location).and_then(|opened| {
        let keys = opened.key.journal_keys(&opened.document.service_secret);
        keys.map_err(|_| KeystoreError::Altered(location.keyring.clone()))
    });
    zeroize::zeroize_stack::<USE_STACK>();
    opened
}

/// Reads the public metadata of a keyring. Needs no KEK, and so proves nothing: only [`load`] does.
///
/// # Errors
/// [`KeystoreError`], where the file may not be read or is no keyring.
pub fn summary(keyring: &Path) -> Result<Summary, KeystoreError> {
    let (bytes, _) = file::read_keyring(keyring)?;
    let document = Document::parse(&bytes, keyring)?;
    let keys = document.keys.iter().map(|entry| open::public(entry, keyring)).collect::<Result<_, _>>()?;
    Ok(Summary { generation: document.generation, keyring_id: document.keyring_id, keys })
}

/// Whether `key` is the sample secret, found out in constant time by what it gives for the document's example.
fn is_sample(key: &MacKey) -> bool {
    key.verify(&DecimalPair::new(42, 989_539_200), &SAMPLE_HASH)
}
