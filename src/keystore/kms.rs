//! A Kubernetes KMS v2 plugin as the source of the key-encryption key: a process on this machine that seals and opens
//! keys of ours with one that it, or a service behind it, never gives away. The document states what the plugin gave:
//! ciphertext, key id and annotations.
//!
//! The document key that a plugin opened is kept in the key arena, so that a plugin that is gone keeps no service from
//! reading again a keyring that is wrapped as before.

mod call;
mod problem;
mod rules;
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated from v2.proto"
)]
mod v2 {
    tonic::include_proto!("v2");
}

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use zeroize::Zeroize as _;

pub use self::problem::KmsProblem;
use crate::{
    crypto::{mac::MacKey, secret::Secret},
    keystore::seal,
};

/// How long an answer may take, where nobody says otherwise.
pub const KMS_TIMEOUT: Duration = Duration::from_secs(3);

/// A plugin, by its socket. Clones share what it opened.
#[derive(Clone)]
pub struct Kms {
    socket: PathBuf,
    timeout: Duration,
    kept: Arc<Mutex<Option<Kept>>>,
}

/// What the plugin sealed, as the document states it. Public.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) ciphertext: Vec<u8>,
    pub(super) key_id: String,
    pub(super) annotations: BTreeMap<String, Vec<u8>>,
}

struct Kept {
    keyring_id: String,
    sealed: Sealed,
    key: Arc<MacKey>,
}

/// How a plugin says it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KmsStatus {
    /// What is wrong, in its own words; `None`: it is well.
    pub unwell: Option<String>,
    /// The key that it seals with now.
    pub key_id: String,
}

impl Kms {
    /// The plugin that listens on this Unix socket.
    #[must_use]
    pub fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self { socket, timeout, kept: Arc::default() }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks how it is. One that cannot be reached is asked again until `patience` is over.
    ///
    /// # Errors
    /// [`KmsProblem`].
    pub fn status(&self, patience: Duration) -> Result<KmsStatus, KmsProblem> {
        let answer = call::within(&self.socket, self.timeout, patience, async |mut client| {
            client.status(v2::StatusRequest {}).await
        })?;
        if !matches!(answer.version.as_str(), "v2" | "v2beta1") {
            return Err(KmsProblem::Version(problem::plain(&answer.version)));
        }
        rules::key_id(&answer.key_id)?;
        let unwell = (answer.healthz != "ok").then(|| problem::plain(&answer.healthz));
        Ok(KmsStatus { unwell, key_id: answer.key_id })
    }

    /// Seals a key.
    pub(super) fn seal(&self, key: &Secret) -> Result<Sealed, KmsProblem> {
        let status = self.status(Duration::ZERO)?;
        if let Some(unwell) = status.unwell {
            return Err(KmsProblem::Unwell(unwell));
        }
        let answer = call::within(&self.socket, self.timeout, Duration::ZERO, async |mut client| {
            let uid = uid().ok_or_else(|| tonic::Status::internal("no randomness"))?;
            client.encrypt(v2::EncryptRequest { plaintext: key.expose().to_vec(), uid }).await
        });
        // What a plugin says of a key that it was given is not repeated.
        let answer = answer.map_err(KmsProblem::without_words)?;
        let sealed = Sealed {
            ciphertext: answer.ciphertext,
            key_id: answer.key_id,
            annotations: answer.annotations.into_iter().collect(),
        };
        rules::sealed(&sealed)?;
        Ok(sealed)
    }

    /// Opens what it sealed.
    pub(super) fn open(&self, sealed: &Sealed) -> Result<Secret, KmsProblem> {
        rules::sealed(sealed)?;
        let answer = call::within(&self.socket, self.timeout, Duration::ZERO, async |mut client| {
            let uid = uid().ok_or_else(|| tonic::Status::internal("no randomness"))?;
            let annotations: HashMap<_, _> = sealed.annotations.clone().into_iter().collect();
            let (ciphertext, key_id) = (sealed.ciphertext.clone(), sealed.key_id.clone());
            client.decrypt(v2::DecryptRequest { ciphertext, uid, key_id, annotations }).await
        });
        let mut answer = answer?;
        let plain = answer.plaintext.len() == seal::KEY_LEN;
        let key = plain.then(|| Secret::copied(&answer.plaintext)).ok_or(KmsProblem::Rule("what it opened is no key"));
        answer.plaintext.zeroize();
        key
    }

    /// The document key of this keyring, where it was opened before from just this.
    pub(super) fn kept(&self, keyring_id: &str, sealed: &Sealed) -> Option<Arc<MacKey>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = kept.as_ref().filter(|kept| kept.keyring_id == keyring_id && kept.sealed == *sealed);
        same.map(|kept| Arc::clone(&kept.key))
    }

    /// Keeps the document key of a keyring whose MAC it made.
    pub(super) fn keep(&self, keyring_id: &str, sealed: Sealed, key: Arc<MacKey>) {
        let kept = Kept { keyring_id: keyring_id.to_owned(), sealed, key };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

/// A random UUID (RFC 9562, version 4), as Kubernetes makes them.
fn uid() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = base16ct::lower::encode_string(&bytes);
    Some([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

impl PartialEq for Kms {
    fn eq(&self, other: &Self) -> bool {
        (&self.socket, self.timeout) == (&other.socket, other.timeout)
    }
}

impl Eq for Kms {}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[expect(clippy::unnecessary_debug_formatting, reason = "a path may hold a newline, and an error is one line")]
impl fmt::Display for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the KMS plugin at {:?}", self.socket)
    }
}

/// Not shown: the key.
impl fmt::Debug for v2::EncryptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptRequest").field("uid", &self.uid).finish_non_exhaustive()
    }
}

/// Not shown: the key.
impl fmt::Debug for v2::DecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptResponse").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_as_kubernetes_names_them() {
        let (one, other) = (uid().unwrap(), uid().unwrap());
        assert_ne!(one, other);
        let parts: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!((parts, &one[14..15]), (vec![8, 4, 4, 4, 12], "4"));
    }

    #[test]
    fn messages_with_a_key_do_not_show_it() {
        let request = v2::EncryptRequest { plaintext: b"planted".to_vec(), uid: "u".to_owned() };
        let response = v2::DecryptResponse { plaintext: b"planted".to_vec() };
        let shown = format!("{request:?} {response:?}");
        assert!(!shown.contains("planted") && !shown.contains("112, 108"), "{shown}");
    }
}
