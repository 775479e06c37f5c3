//! `countersign dev`: a whole service in one folder, with sample keys, and commands to paste.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::Failure;
use crate::{
    clock::UnixSeconds,
    crypto::{aead::Suite, secret::Secret},
    keyring::{KeyKind, KeyName},
    keystore::{self, Import, KekSource, Location, SAMPLE_SECRET},
};

/// The sample LiveAuth domain, and the name of its key.
pub const DOMAIN: &str = "jobs.example.com";
/// The sample Hub app, and the name of its key.
pub const APP: &str = "acme-contacts";

const CONFIG: &str = r#"# Made by `countersign dev`. Edit it: it is read again within 30 s, or at once on SIGHUP.
[listen]
unix = "countersign.sock"
reflection = true

# The admin socket is admin.sock beside it.

[keyring]
path = "keyring"
kek_file = "kek"
writable = true

[journal]
path = "journal.jsonl"

[ledger]
path = "ledger.sqlite"

[log]
format = "human"
level = "info"

[limits]
rate = "off"

[[liveauth.domains]]
name = "jobs.example.com"
key = "jobs.example.com"

[[hub.apps]]
name = "acme-contacts"
key = "acme-contacts"
max_chars = 8183

[[policy.rules]]
name = "everybody on this machine may do everything"
callers = ["*"]
verbs = ["mint", "verify", "portal_read", "portal_login", "portal_logout", "seal", "open", "reseal", "revoke", "login", "renew", "resolve", "notify"]
domains = ["*"]
apps = ["*"]

[[policy.rules]]
name = "whoever reaches the admin socket looks after keys"
callers = ["*"]
verbs = ["admin"]
keys = ["*"]
"#;

/// A development folder, removed on drop if it is a temporary one.
pub struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// Takes `dir`, or makes a temporary folder, and fills in what is missing. What an earlier `dev` made is kept.
    ///
    /// # Errors
    /// A [`Failure`].
    pub fn prepare(dir: Option<&Path>, now: UnixSeconds) -> Result<Self, Failure> {
        let folder = match dir {
            Some(dir) => Self { path: made(dir)?, temporary: false },
            None => temporary()?,
        };
        let kek = KekSource::File(folder.path.join("kek"));
        let location = Location { keyring: folder.path.join("keyring"), kek };
        make_keys(&location, now).map_err(|error| Failure::usage(error.to_string()))?;
        let config = folder.config_file();
        if !config.exists() {
            fs::write(&config, CONFIG).map_err(|error| cannot(&config, &error))?;
        }
        Ok(folder)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration in it.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Whether it goes away with the process.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, folder = %self.path.display(), "the temporary folder could not be removed");
        }
    }
}

fn made(dir: &Path) -> Result<PathBuf, Failure> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        Err(error) => return Err(cannot(dir, &error)),
    }
    dir.canonicalize().map_err(|error| cannot(dir, &error))
}

fn temporary() -> Result<Folder, Failure> {
    let mut tail = [0; 6];
    getrandom::fill(&mut tail).map_err(|error| Failure::ours(format!("no randomness: {error}")))?;
    let name = format!("countersign-dev-{}", base16ct::lower::encode_string(&tail));
    let path = std::env::temp_dir().join(name);
    fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| cannot(&path, &error))?;
    Ok(Folder { path, temporary: true })
}

/// Makes what is missing, so that a start that was cut short is made up for.
fn make_keys(location: &Location, now: UnixSeconds) -> Result<(), keystore::KeystoreError> {
    let name = |text| KeyName::new(text).expect("the sample names are key names");
    let (domain, app) = (name(DOMAIN), name(APP));
    if !location.keyring.exists() {
        keystore::init(location, now)?;
    }
    let there = keystore::summary(&location.keyring)?.keys;
    let lacks = |name: &KeyName| there.iter().all(|key| key.name != *name);
    let (kind, suite) = (KeyKind::LiveAuth, Suite::Aes256Gcm);
    if lacks(&domain) {
        let secret = Secret::copied(SAMPLE_SECRET);
        let import = Import { name: &domain, kind, suite, secret, activates_at: None, allow_sample: true };
        keystore::import(location, &import, now)?;
    }
    if lacks(&app) {
        keystore::create(location, &app, KeyKind::Hat1, suite, None, now)?;
    }
    Ok(())
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{}: {error}; choose another folder with --dir", path.display()))
}
