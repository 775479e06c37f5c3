//! Where the key-encryption key (KEK) comes from. It opens one thing: the wrapped document key.
//!
//! A clone of a source shares with it what was made of a passphrase, so that a service that reads its keyring again asks
//! nobody twice. Two sources are equal where they name the same place.

mod credential;
mod passphrase;
mod problem;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64ct::{Base64, Encoding as _};

use self::passphrase::Stretch;
pub use self::{
    credential::CREDENTIALS_DIRECTORY,
    passphrase::{PASSPHRASE_MAX, PASSPHRASE_MIN, Passphrase},
    problem::KekProblem,
};
use crate::{
    crypto::{mac::MacKey, secret::Secret, stretch::Cost},
    keystore::{
        KeystoreError, Location,
        document::{Document, KekEntry, Wrapped},
        file,
        kms::{Kms, KmsProblem, Sealed},
        place::Place,
        seal::{self, DocumentKey},
    },
};

/// Where the key-encryption key comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KekSource {
    /// The content of a file: 32 to 4096 bytes, without one trailing newline.
    File(PathBuf),
    /// The same, as a systemd credential: a file of this name in the folder that `$CREDENTIALS_DIRECTORY` says.
    Credential(String),
    /// A passphrase, stretched.
    Passphrase(Passphrase),
    /// A Kubernetes KMS v2 plugin.
    Kms(Kms),
}

impl KekSource {
    /// The systemd credential of that name.
    ///
    /// # Errors
    /// Why it is not the name of one.
    pub fn credential(name: &str) -> Result<Self, KekProblem> {
        credential::check_name(name)?;
        Ok(Self::Credential(name.to_owned()))
    }

    /// Its name in output and in the document.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Credential(_) => "credential",
            Self::Passphrase(_) => "passphrase",
            Self::Kms(_) => "kms",
        }
    }

    /// What it is, in two words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "KEK file",
            Self::Credential(_) => "credential",
            Self::Passphrase(_) => "passphrase",
            Self::Kms(_) => "KMS plugin",
        }
    }

    /// The file that it is read from, where it is one: to be watched, and to be kept within reach.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Credential(name) => credential::path(name).ok(),
            Self::Passphrase(_) | Self::Kms(_) => None,
        }
    }

    /// The plugin, where it is one.
    #[must_use]
    pub fn kms(&self) -> Option<&Kms> {
        match self {
            Self::Kms(kms) => Some(kms),
            Self::File(_) | Self::Credential(_) | Self::Passphrase(_) => None,
        }
    }

    /// Takes what can be had only once, or only at the start: a passphrase is read from its file descriptor, and a plugin
    /// that starts beside us is waited for until `patience` is over. To be called before the process opens files of its own.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn prepare(&self, patience: Duration) -> Result<(), KeystoreError> {
        match self {
            Self::File(_) | Self::Credential(_) => Ok(()),
            Self::Passphrase(passphrase) => Ok(passphrase.read()?),
            Self::Kms(kms) => kms.status(patience).map(|_| ()).map_err(|problem| self.kms_failed(problem)),
        }
    }

    fn kms_failed(&self, problem: KmsProblem) -> KeystoreError {
        KekProblem::Kms(self.clone(), problem).into()
    }

    /// Makes a KEK file where one is to be and none is; whether it did. What is no file is made by others.
    pub(super) fn make(&self) -> Result<bool, KeystoreError> {
        match self {
            Self::File(path) => make_file(path),
            Self::Credential(name) if !credential::path(name)?.exists() => {
                Err(KekProblem::CredentialIsGiven(name.clone()).into())
            }
            Self::Credential(_) | Self::Passphrase(_) | Self::Kms(_) => Ok(false),
        }
    }

    /// The document key, loaded for derivation only.
    pub(super) fn open(&self, document: &Document, keyring: &Path) -> Result<DocumentKey, KeystoreError> {
        let id = &document.keyring_id;
        if let (Self::Kms(kms), KekEntry::Kms { key_id, annotations, ciphertext }) = (self, &document.kek)
            && let Some(key) = kms.kept(id, &sealed(key_id, annotations, ciphertext, keyring)?)
        {
            return Ok(DocumentKey::shared(key, id));
        }
        Ok(DocumentKey::new(self.unwrap(document, keyring)?.expose(), id))
    }

    /// Keeps what is asked of others, now that the document key has made the document's MAC.
    pub(super) fn keep(&self, document: &Document, key: &DocumentKey) {
        if let (Self::Kms(kms), KekEntry::Kms { key_id, annotations, ciphertext }) = (self, &document.kek)
            && let Ok(sealed) = sealed(key_id, annotations, ciphertext, Path::new(""))
        {
            kms.keep(&document.keyring_id, sealed, key.share());
        }
    }

    /// The document key itself, to be wrapped anew. `keyring` is for the errors.
    pub(super) fn unwrap(&self, document: &Document, keyring: &Path) -> Result<Secret, KeystoreError> {
        let opened = |kek: &MacKey, nonce: &str, wrapped: &str| {
            let wrapped = Wrapped { nonce: nonce.to_owned(), wrapped: wrapped.to_owned() };
            seal::unwrap_document_key(kek, &document.keyring_id, &wrapped)
                .map(|opened| Secret::copied(opened.material()))
                .map_err(|_| KeystoreError::WrongKek { keyring: keyring.to_owned(), kek: self.clone() })
        };
        match (self, &document.kek) {
            // The two differ in where the bytes lie, and in nothing else.
            (
                Self::File(_) | Self::Credential(_),
                KekEntry::File { nonce, wrapped } | KekEntry::Credential { nonce, wrapped },
            ) => opened(&self.content()?, nonce, wrapped),
            (
                Self::Passphrase(passphrase),
                KekEntry::Passphrase { salt, memory_kib, passes, lanes, nonce, wrapped },
            ) => {
                let cost = Cost { memory_kib: *memory_kib, passes: *passes, lanes: *lanes };
                let stretch = Stretch::read(salt, cost).ok_or_else(|| KeystoreError::Altered(keyring.to_owned()))?;
                let opened = opened(&*passphrase.stretched(&stretch)?, nonce, wrapped)?;
                // What was stretched will open this keyring again.
                passphrase.forget();
                Ok(opened)
            }
            (Self::Kms(kms), KekEntry::Kms { key_id, annotations, ciphertext }) => {
                let sealed = sealed(key_id, annotations, ciphertext, keyring)?;
                kms.open(&sealed).map_err(|problem| self.kms_failed(problem))
            }
            (Self::File(_) | Self::Credential(_) | Self::Passphrase(_) | Self::Kms(_), _) => {
                let (keyring, given) = (keyring.to_owned(), self.clone());
                Err(KekProblem::OtherSource { keyring, given, wrapped_by: document.kek.source_name() }.into())
            }
        }
    }

    /// Wraps a document key.
    pub(super) fn wrap(&self, keyring_id: &str, key: &Secret) -> Result<KekEntry, KeystoreError> {
        let wrapped = |kek: &MacKey| seal::wrap_document_key(kek, keyring_id, key);
        Ok(match self {
            Self::File(_) => {
                let Wrapped { nonce, wrapped } = wrapped(&self.content()?)?;
                KekEntry::File { nonce, wrapped }
            }
            Self::Credential(_) => {
                let Wrapped { nonce, wrapped } = wrapped(&self.content()?)?;
                KekEntry::Credential { nonce, wrapped }
            }
            Self::Passphrase(passphrase) => {
                let (Stretch { salt, cost }, kek) = passphrase.for_wrapping()?;
                let Cost { memory_kib, passes, lanes } = cost;
                let Wrapped { nonce, wrapped } = wrapped(&kek)?;
                let salt = base16ct::lower::encode_string(&salt);
                KekEntry::Passphrase { salt, memory_kib, passes, lanes, nonce, wrapped }
            }
            Self::Kms(kms) => {
                let sealed = kms.seal(key).map_err(|problem| self.kms_failed(problem))?;
                let annotations = sealed.annotations.into_iter();
                KekEntry::Kms {
                    key_id: sealed.key_id,
                    annotations: annotations.map(|(name, value)| (name, Base64::encode_string(&value))).collect(),
                    ciphertext: Base64::encode_string(&sealed.ciphertext),
                }
            }
        })
    }

    /// What lies in the file, or the credential.
    fn content(&self) -> Result<MacKey, KeystoreError> {
        let content = match self {
            Self::File(path) => file::read_kek(path)?,
            Self::Credential(name) => credential::read(name)?,
            Self::Passphrase(_) | Self::Kms(_) => unreachable!("what is no file is not read as one"),
        };
        Ok(MacKey::new(content.expose()))
    }
}

/// How a plugin stands to a keyring.
#[derive(PartialEq, Eq, Debug)]
pub enum KekState {
    /// It is well, and wraps with the key that the keyring is wrapped with; or it is no plugin, and is not asked.
    Well,
    /// It wraps with another key now.
    Changed {
        /// The key that the keyring is wrapped with.
        stated: String,
        /// The other one.
        now: String,
    },
}

/// Asks the plugin of a keyring how it is.
///
/// # Errors
/// [`KeystoreError`]: it cannot be reached, or is not well.
pub fn state(location: &Location) -> Result<KekState, KeystoreError> {
    let Some(kms) = location.kek.kms() else { return Ok(KekState::Well) };
    let failed = |problem| KeystoreError::from(KekProblem::Kms(location.kek.clone(), problem));
    let status = kms.status(Duration::ZERO).map_err(failed)?;
    if let Some(unwell) = status.unwell {
        return Err(failed(KmsProblem::Unwell(unwell)));
    }
    let (bytes, _) = file::read_keyring(&location.keyring)?;
    Ok(match Document::parse(&bytes, &location.keyring)?.kek {
        KekEntry::Kms { key_id, .. } if key_id != status.key_id => {
            KekState::Changed { stated: key_id, now: status.key_id }
        }
        _ => KekState::Well,
    })
}

/// As it stands in a sentence: "the KEK file …".
#[expect(clippy::unnecessary_debug_formatting, reason = "a path may hold a newline, and an error is one line")]
impl fmt::Display for KekSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the KEK file {path:?}"),
            Self::Credential(name) => write!(f, "the credential {name}"),
            Self::Passphrase(passphrase) => passphrase.fmt(f),
            Self::Kms(kms) => kms.fmt(f),
        }
    }
}

/// What a plugin sealed, as the document states it.
fn sealed(
    key_id: &str,
    annotations: &BTreeMap<String, String>,
    ciphertext: &str,
    keyring: &Path,
) -> Result<Sealed, KeystoreError> {
    let altered = |_| KeystoreError::Altered(keyring.to_owned());
    let annotations = annotations.iter().map(|(name, value)| Ok((name.clone(), Base64::decode_vec(value)?)));
    let annotations: Result<_, base64ct::Error> = annotations.collect();
    Ok(Sealed {
        ciphertext: Base64::decode_vec(ciphertext).map_err(altered)?,
        key_id: key_id.to_owned(),
        annotations: annotations.map_err(altered)?,
    })
}

/// Makes a KEK file with 32 random bytes as base64 text; whether there was none.
fn make_file(path: &Path) -> Result<bool, KeystoreError> {
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
