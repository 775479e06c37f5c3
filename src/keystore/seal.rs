//! The cryptography of the keyring document: KEK → document key → wrapping key, MAC key, record key.
//!
//! Every derived key has a label of its own and the keyring's id as context; every wrapped value has its public
//! metadata as associated data. Material is decrypted in place, in the box it is decoded into.

use std::sync::Arc;

use base64ct::{Base64, Encoding as _};

use crate::{
    audit::JournalKeys,
    clock::UnixSeconds,
    crypto::{
        aead::{self, NONCE_LEN, Suite, TAG_LEN},
        frame::Frame,
        kdf::{self, Purpose},
        mac::{MacKey, Tag},
        secret::Secret,
    },
    hub::{login::LoginDigests, revocation::UserDigests},
    keyring::{KeyKind, KeyName, Kid},
    keystore::{
        KeystoreError,
        document::{Document, Wrapped},
    },
};

const KEK: Purpose = Purpose::new("countersign/keyring/kek", 256);
const WRAP: Purpose = Purpose::new("countersign/keyring/wrap", 256);
const MAC: Purpose = Purpose::new("countersign/keyring/mac", 256);
const RECORD: Purpose = Purpose::new("countersign/keyring/record", 256);

/// What the service secret is for; the keyring's id is the context, as above.
const JOURNAL_SEAL: Purpose = Purpose::new("countersign/journal/seal", 256);
const JOURNAL_PSEUDONYM: Purpose = Purpose::new("countersign/journal/pseudonym", 256);
const LEDGER_USER: Purpose = Purpose::new("countersign/ledger/user", 256);
const LEDGER_LOGIN: Purpose = Purpose::new("countersign/ledger/login", 256);

/// Bytes of the document key and of the service secret.
pub(super) const KEY_LEN: usize = 32;

/// Material is padded to a multiple of this, in bytes, so that the document does not show how long a secret is:
/// below 127 bytes all look alike.
const PAD: usize = 128;

/// The stored form does not decode, or was not made with this key and metadata.
pub(super) struct Unopened;

/// Fills bytes from the operating system.
pub(super) fn randomise(bytes: &mut [u8]) -> Result<(), KeystoreError> {
    getrandom::fill(bytes).map_err(|_| KeystoreError::NoRandomness)
}

/// A secret of 32 random bytes.
pub(super) fn draw() -> Result<Secret, KeystoreError> {
    Secret::try_filled(KEY_LEN, randomise)
}

/// `N` random bytes in lower-case hex.
pub(super) fn random_hex<const N: usize>() -> Result<String, KeystoreError> {
    let mut bytes = [0; N];
    randomise(&mut bytes)?;
    Ok(base16ct::lower::encode_string(&bytes))
}

/// The document key, loaded for derivation only.
pub(super) struct DocumentKey {
    key: Arc<MacKey>,
    keyring_id: String,
}

impl DocumentKey {
    /// Loads a document key.
    pub(super) fn new(key: &[u8], keyring_id: &str) -> Self {
        Self::shared(Arc::new(MacKey::new(key)), keyring_id)
    }

    /// One that was loaded before.
    pub(super) fn shared(key: Arc<MacKey>, keyring_id: &str) -> Self {
        Self { key, keyring_id: keyring_id.to_owned() }
    }

    /// To be loaded no more.
    pub(super) fn share(&self) -> Arc<MacKey> {
        Arc::clone(&self.key)
    }

    /// Sets the document's MAC.
    pub(super) fn authenticate(&self, document: &mut Document) {
        let tag = self.derived(MAC).tag(&whole(document));
        document.mac = base16ct::lower::encode_string(tag.expose());
    }

    /// Whether the document carries its MAC.
    pub(super) fn made(&self, document: &Document) -> bool {
        let mut mac = [0; 32];
        let whole_mac = matches!(base16ct::lower::decode(&document.mac, &mut mac), Ok(decoded) if decoded.len() == 32);
        whole_mac && self.derived(MAC).verify(&whole(document), &mac)
    }

    /// The key that authenticates the generation record.
    pub(super) fn record_key(&self) -> MacKey {
        self.derived(RECORD)
    }

    /// Wraps the material of a version.
    pub(super) fn wrap_version(&self, about: &About<'_>, material: &Secret) -> Result<Wrapped, KeystoreError> {
        seal(self.wrapping_key().expose(), &about.aad(&self.keyring_id), material)
    }

    /// Unwraps the material of a version.
    pub(super) fn unwrap_version(&self, about: &About<'_>, wrapped: &Wrapped) -> Result<Opened, Unopened> {
        open(self.wrapping_key().expose(), &about.aad(&self.keyring_id), wrapped)
    }

    /// Wraps the service secret.
    pub(super) fn wrap_service_secret(&self, secret: &Secret) -> Result<Wrapped, KeystoreError> {
        seal(self.wrapping_key().expose(), &service_secret_aad(&self.keyring_id), secret)
    }

    /// Unwraps the service secret.
    pub(super) fn unwrap_service_secret(&self, wrapped: &Wrapped) -> Result<Opened, Unopened> {
        open(self.wrapping_key().expose(), &service_secret_aad(&self.keyring_id), wrapped)
    }

    /// The keys of the journal. The service secret itself is dropped: only keys derived from it are given out.
    pub(super) fn journal_keys(&self, wrapped: &Wrapped) -> Result<JournalKeys, Unopened> {
        let secret = MacKey::new(self.unwrap_service_secret(wrapped)?.material());
        let derived = |purpose| MacKey::new(kdf::block(&secret, 1, purpose, self.keyring_id.as_bytes()).expose());
        Ok(JournalKeys::new(derived(JOURNAL_SEAL), derived(JOURNAL_PSEUDONYM), &self.keyring_id))
    }

    /// The key of the digests by which the ledger knows users, from the service secret too.
    pub(super) fn user_digests(&self, wrapped: &Wrapped) -> Result<UserDigests, Unopened> {
        let secret = MacKey::new(self.unwrap_service_secret(wrapped)?.material());
        let key = kdf::block(&secret, 1, LEDGER_USER, self.keyring_id.as_bytes());
        Ok(UserDigests::new(MacKey::new(key.expose())))
    }

    /// The key by which the ledger knows hubLoginTokens, from the service secret too.
    pub(super) fn login_digests(&self, wrapped: &Wrapped) -> Result<LoginDigests, Unopened> {
        let secret = MacKey::new(self.unwrap_service_secret(wrapped)?.material());
        let key = kdf::block(&secret, 1, LEDGER_LOGIN, self.keyring_id.as_bytes());
        Ok(LoginDigests::new(MacKey::new(key.expose())))
    }

    fn wrapping_key(&self) -> Tag {
        kdf::block(&self.key, 1, WRAP, self.keyring_id.as_bytes())
    }

    fn derived(&self, purpose: Purpose) -> MacKey {
        MacKey::new(kdf::block(&self.key, 1, purpose, self.keyring_id.as_bytes()).expose())
    }
}

/// Wraps a document key with the KEK.
pub(super) fn wrap_document_key(kek: &MacKey, keyring_id: &str, key: &Secret) -> Result<Wrapped, KeystoreError> {
    let wrap = kdf::block(kek, 1, KEK, keyring_id.as_bytes());
    seal(wrap.expose(), &document_key_aad(keyring_id), key)
}

/// Unwraps the document key with the KEK.
pub(super) fn unwrap_document_key(kek: &MacKey, keyring_id: &str, wrapped: &Wrapped) -> Result<Opened, Unopened> {
    let wrap = kdf::block(kek, 1, KEK, keyring_id.as_bytes());
    open(wrap.expose(), &document_key_aad(keyring_id), wrapped)
}

/// The public metadata of a version, which its wrapped material is bound to. The mark is not part of it: it
/// changes during a version's life, and the document's MAC covers it.
pub(super) struct About<'a> {
    pub(super) name: &'a KeyName,
    pub(super) kind: KeyKind,
    pub(super) number: u32,
    pub(super) created_at: UnixSeconds,
    pub(super) activates_at: UnixSeconds,
    pub(super) suite: Option<Suite>,
    pub(super) kid: Option<Kid>,
}

impl About<'_> {
    fn aad(&self, keyring_id: &str) -> Frame {
        Frame::labelled("countersign/keyring/version")
            .part(keyring_id.as_bytes())
            .part(self.name.as_str().as_bytes())
            .part(self.kind.name().as_bytes())
            .fixed_part(&self.number.to_be_bytes())
            .fixed_part(&self.created_at.0.to_be_bytes())
            .fixed_part(&self.activates_at.0.to_be_bytes())
            .part(self.suite.map_or("", Suite::name).as_bytes())
            .part(self.kid.map(|kid| kid.0).as_ref().map_or(&[][..], |kid| &kid[..]))
    }
}

/// Unwrapped material, still in the box it was decrypted in.
pub(super) struct Opened {
    plain: Secret,
    len: usize,
}

impl Opened {
    /// The material, without its padding.
    pub(super) fn material(&self) -> &[u8] {
        &self.plain.expose()[LEN_BYTES..LEN_BYTES + self.len]
    }
}

/// Bytes that state the length of the material, before it.
const LEN_BYTES: usize = 2;

/// Wraps `u16(len) || material || zeros` under AES-256-GCM.
///
/// The nonce is 96 fresh random bits. A KEK-derived key wraps the document key of one keyring, once and at each rewrap. A
/// wrapping key wraps one service secret and each version once, at its making; what does not change keeps its wrapping. With
/// 2^20 wraps, far above what a keyring file can hold, two nonces meet with a chance of 2^-57; the standard's own
/// bound for random nonces is 2^32 wraps (SP 800-38D, section 8.3).
fn seal(key: &[u8; KEY_LEN], aad: &Frame, material: &Secret) -> Result<Wrapped, KeystoreError> {
    let mut nonce = [0; NONCE_LEN];
    randomise(&mut nonce)?;
    let len = u16::try_from(material.len()).expect("secrets are at most 4096 bytes; the caller checked");
    let plain = (LEN_BYTES + material.len()).next_multiple_of(PAD);
    let sealed = Secret::filled(plain + TAG_LEN, |bytes| {
        bytes[..LEN_BYTES].copy_from_slice(&len.to_be_bytes());
        bytes[LEN_BYTES..LEN_BYTES + material.len()].copy_from_slice(material.expose());
        let (message, tag) = bytes.split_at_mut(plain);
        tag.copy_from_slice(&aead::seal(Suite::Aes256Gcm, key, &nonce, aad.as_bytes(), message));
    });
    Ok(Wrapped { nonce: base16ct::lower::encode_string(&nonce), wrapped: Base64::encode_string(sealed.expose()) })
}

fn open(key: &[u8; KEY_LEN], aad: &Frame, wrapped: &Wrapped) -> Result<Opened, Unopened> {
    let mut nonce = [0; NONCE_LEN];
    let decoded = base16ct::lower::decode(&wrapped.nonce, &mut nonce).map_err(|_| Unopened)?;
    if decoded.len() != NONCE_LEN {
        return Err(Unopened);
    }
    let sealed = wrapped.wrapped.trim_end_matches('=');
    let len = sealed.len() / 4 * 3 + (sealed.len() % 4).saturating_sub(1);
    let mut opened = 0;
    let plain = Secret::try_filled(len, |bytes| {
        Base64::decode(&wrapped.wrapped, bytes).map_err(|_| Unopened)?;
        let (message, tag) = bytes.split_last_chunk_mut::<TAG_LEN>().ok_or(Unopened)?;
        aead::open(Suite::Aes256Gcm, key, &nonce, aad.as_bytes(), message, tag).map_err(|_| Unopened)?;
        let (len, rest) = message.split_first_chunk::<LEN_BYTES>().ok_or(Unopened)?;
        opened = usize::from(u16::from_be_bytes(*len));
        if opened <= rest.len() { Ok(()) } else { Err(Unopened) }
    })?;
    Ok(Opened { plain, len: opened })
}

fn document_key_aad(keyring_id: &str) -> Frame {
    Frame::labelled("countersign/keyring/document-key").part(keyring_id.as_bytes())
}

fn service_secret_aad(keyring_id: &str) -> Frame {
    Frame::labelled("countersign/keyring/service-secret").part(keyring_id.as_bytes())
}

fn whole(document: &Document) -> Frame {
    Frame::labelled("countersign/keyring/document").document(&document.authenticated_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff";

    fn about(name: &KeyName) -> About<'_> {
        About {
            name,
            kind: KeyKind::Hat1,
            number: 1,
            created_at: UnixSeconds(10),
            activates_at: UnixSeconds(20),
            suite: Some(Suite::Aes256Gcm),
            kid: Some(Kid([1; 8])),
        }
    }

    #[test]
    fn material_does_not_open_under_other_metadata() {
        let (name, other) = (KeyName::new("a").unwrap(), KeyName::new("b").unwrap());
        let key = DocumentKey::new(&[7; 32], ID);
        let wrapped = key.wrap_version(&about(&name), &Secret::copied(b"material")).ok().unwrap();
        let opens = |about: &About<'_>| key.unwrap_version(about, &wrapped).ok().map(|o| o.material().to_vec());
        assert_eq!(opens(&about(&name)).as_deref(), Some(&b"material"[..]));
        let changed = [
            About { name: &other, ..about(&name) },
            About { kind: KeyKind::LiveAuth, ..about(&name) },
            About { number: 2, ..about(&name) },
            About { created_at: UnixSeconds(11), ..about(&name) },
            About { activates_at: UnixSeconds(19), ..about(&name) },
            About { suite: Some(Suite::ChaCha20Poly1305), ..about(&name) },
            About { suite: None, ..about(&name) },
            About { kid: Some(Kid([2; 8])), ..about(&name) },
            About { kid: None, ..about(&name) },
        ];
        assert!(changed.iter().all(|about| opens(about).is_none()));
        let elsewhere = DocumentKey::new(&[7; 32], "ffeeddccbbaa99887766554433221100");
        assert!(elsewhere.unwrap_version(&about(&name), &wrapped).is_err(), "another keyring under the same key");
        assert!(key.unwrap_service_secret(&wrapped).is_err(), "a version in the place of the service secret");
    }

    #[test]
    fn the_document_does_not_show_how_long_a_secret_is() {
        let name = KeyName::new("a").unwrap();
        let key = DocumentKey::new(&[7; 32], ID);
        let lens: Vec<_> = [1, 32, 126, 127]
            .map(|len| key.wrap_version(&about(&name), &Secret::filled(len, |_| {})).ok().unwrap().wrapped.len())
            .into();
        assert!(lens[0] == lens[1] && lens[1] == lens[2] && lens[2] < lens[3], "{lens:?}");
    }

    #[test]
    fn the_same_material_is_never_wrapped_the_same_way_twice() {
        let name = KeyName::new("a").unwrap();
        let key = DocumentKey::new(&[7; 32], ID);
        let wrap = || key.wrap_version(&about(&name), &Secret::copied(b"material")).ok().unwrap();
        let (one, two) = (wrap(), wrap());
        assert!(one.nonce != two.nonce && one.wrapped != two.wrapped);
    }
}
