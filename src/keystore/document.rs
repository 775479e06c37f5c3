//! The keyring document as JSON: public metadata in clear, wrapped material beside it, one MAC over everything.
//!
//! ```text
//! { "format": "countersign-keyring", "version": 1,
//!   "keyring_id": 32 hex digits, "created_at": Unix seconds, "generation": from 1, rising,
//!   "kek": { "source": "file" | "credential", "nonce", "wrapped" }                               the document key
//!       or { "source": "passphrase", "salt", "memory_kib", "passes", "lanes", "nonce", "wrapped" }
//!       or { "source": "kms", "key_id", "annotations": { name: base64 }, "ciphertext" },
//!   "service_secret": { "nonce", "wrapped" },
//!   "keys": [ { "name", "kind", "versions": [ { "number", "created_at", "activates_at", "mark",
//!                                               "suspended_at", "compromised_at", "destroyed_at",
//!                                               "suite", "kid", "material": { "nonce", "wrapped" } } ] } ],
//!   "mac": 64 hex digits }
//! ```
//! The MAC is taken over this object with `mac` left out, as compact JSON with its fields in this order, so that
//! white space and a database's own spelling of JSON do not matter. An unknown field anywhere is refused. The times of
//! marks are left out where there are none, so that a keyring without marks is what it was before there were times.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    crypto::aead::Suite,
    keyring::{KeyKind, Mark},
    keystore::KeystoreError,
};

const FORMAT: &str = "countersign-keyring";
const VERSION: u64 = 1;

/// The whole document.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    format: String,
    version: u64,
    pub(super) keyring_id: String,
    created_at: i64,
    pub(super) generation: u64,
    pub(super) kek: KekEntry,
    pub(super) service_secret: Wrapped,
    pub(super) keys: Vec<KeyEntry>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) mac: String,
}

/// Where the key that wraps the document key comes from, and the wrapped document key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum KekEntry {
    /// From the content of a file.
    File { nonce: String, wrapped: String },
    /// From the content of a systemd credential.
    Credential { nonce: String, wrapped: String },
    /// From a passphrase, by Argon2id with this salt (32 hex digits), memory (KiB), passes and lanes.
    Passphrase { salt: String, memory_kib: u32, passes: u32, lanes: u32, nonce: String, wrapped: String },
    /// Sealed by a Kubernetes KMS v2 plugin. Ciphertext and the values of annotations are base64.
    Kms { key_id: String, annotations: BTreeMap<String, String>, ciphertext: String },
}

impl KekEntry {
    /// What the document key was wrapped by, in words.
    pub(super) fn source_name(&self) -> &'static str {
        match self {
            Self::File { .. } => "a KEK file",
            Self::Credential { .. } => "a systemd credential",
            Self::Passphrase { .. } => "a passphrase",
            Self::Kms { .. } => "a KMS plugin",
        }
    }
}

/// A nonce (24 hex digits) and a ciphertext with its tag (base64).
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wrapped {
    pub(super) nonce: String,
    pub(super) wrapped: String,
}

/// One key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    pub(super) name: String,
    pub(super) kind: KindEntry,
    pub(super) versions: Vec<VersionEntry>,
}

/// One version; `material` is null where it was destroyed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionEntry {
    pub(super) number: u32,
    pub(super) created_at: i64,
    pub(super) activates_at: i64,
    pub(super) mark: Option<MarkEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) suspended_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compromised_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) destroyed_at: Option<i64>,
    pub(super) suite: Option<SuiteEntry>,
    pub(super) kid: Option<String>,
    pub(super) material: Option<Wrapped>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KindEntry {
    #[serde(rename = "liveauth")]
    LiveAuth,
    #[serde(rename = "hat1")]
    Hat1,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MarkEntry {
    Suspended,
    Compromised,
    Destroyed,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SuiteEntry {
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

impl Document {
    /// A document of generation 1 without keys, not authenticated yet.
    pub(super) fn new(keyring_id: String, created_at: i64, kek: KekEntry, service_secret: Wrapped) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            keyring_id,
            created_at,
            generation: 1,
            kek,
            service_secret,
            keys: Vec::new(),
            mac: String::new(),
        }
    }

    /// Reads a document; `path` is for the errors, which never quote what was read.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, KeystoreError> {
        // The format is read first and leniently, so that a later one is named instead of called damaged.
        let head: Head = serde_json::from_slice(bytes).map_err(|error| refused(&error, path))?;
        if head.format != FORMAT {
            return Err(KeystoreError::NotOurs(path.to_owned(), 1, 1));
        }
        if head.version != VERSION {
            return Err(KeystoreError::Format(path.to_owned(), head.version));
        }
        serde_json::from_slice(bytes).map_err(|error| refused(&error, path))
    }

    /// The bytes to store: indented, for people who look at the public part.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings and numbers always make JSON");
        bytes.push(b'\n');
        bytes
    }

    /// The bytes that the MAC covers: everything but the MAC.
    pub(super) fn authenticated_bytes(&self) -> Vec<u8> {
        let bare = Self { mac: String::new(), ..self.clone() };
        serde_json::to_vec(&bare).expect("strings and numbers always make JSON")
    }

    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> Option<&KeyEntry> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// What tells one format from another.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

fn refused(error: &serde_json::Error, path: &Path) -> KeystoreError {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => KeystoreError::Truncated(path.to_owned()),
        Category::Syntax | Category::Io => KeystoreError::NotJson(path.to_owned(), error.line(), error.column()),
        Category::Data => KeystoreError::NotOurs(path.to_owned(), error.line(), error.column()),
    }
}

impl From<KindEntry> for KeyKind {
    fn from(kind: KindEntry) -> Self {
        match kind {
            KindEntry::LiveAuth => Self::LiveAuth,
            KindEntry::Hat1 => Self::Hat1,
        }
    }
}

impl From<KeyKind> for KindEntry {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::LiveAuth => Self::LiveAuth,
            KeyKind::Hat1 => Self::Hat1,
        }
    }
}

impl From<MarkEntry> for Mark {
    fn from(mark: MarkEntry) -> Self {
        match mark {
            MarkEntry::Suspended => Self::Suspended,
            MarkEntry::Compromised => Self::Compromised,
            MarkEntry::Destroyed => Self::Destroyed,
        }
    }
}

impl From<Mark> for MarkEntry {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Suspended => Self::Suspended,
            Mark::Compromised => Self::Compromised,
            Mark::Destroyed => Self::Destroyed,
        }
    }
}

impl From<SuiteEntry> for Suite {
    fn from(suite: SuiteEntry) -> Self {
        match suite {
            SuiteEntry::Aes256Gcm => Self::Aes256Gcm,
            SuiteEntry::ChaCha20Poly1305 => Self::ChaCha20Poly1305,
        }
    }
}

impl From<Suite> for SuiteEntry {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::Aes256Gcm => Self::Aes256Gcm,
            Suite::ChaCha20Poly1305 => Self::ChaCha20Poly1305,
        }
    }
}
