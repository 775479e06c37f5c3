//! A folder with a keyring, for a test.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use countersign::{
    clock::UnixSeconds,
    crypto::{aead::Suite, secret::Secret},
    keyring::{KeyKind, KeyName},
    keystore::{self, Change, Import, KekSource, KeystoreError, Loaded, Location, create, import, init},
};
use tempfile::TempDir;

/// The time of everything that happens in these tests.
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// The LiveAuth secret that is planted in every keyring here.
pub(crate) const PLANTED: &str = "planted secret, 30 bytes long!";

pub(crate) struct Home {
    dir: Option<TempDir>,
    pub(crate) location: Location,
}

impl Home {
    /// A keyring with a LiveAuth key `jobs` and a hat1 key `hub`.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut home = Self::at(dir.path());
        home.dir = Some(dir);
        home
    }

    /// The same in a folder of the test's.
    pub(crate) fn at(folder: &Path) -> Self {
        let home = Self { dir: None, location: location(folder) };
        init(&home.location, NOW).unwrap();
        home.import("jobs", KeyKind::LiveAuth, PLANTED.as_bytes()).unwrap();
        create(&home.location, &name("hub"), KeyKind::Hat1, Suite::Aes256Gcm, None, NOW).unwrap();
        home
    }

    pub(crate) fn keyring(&self) -> &Path {
        &self.location.keyring
    }

    pub(crate) fn kek(&self) -> PathBuf {
        self.location.kek.file().unwrap()
    }

    pub(crate) fn beside(&self, extension: &str) -> PathBuf {
        PathBuf::from(format!("{}.{extension}", self.keyring().display()))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(self.keyring()).unwrap()
    }

    /// Overwrites the keyring in place, which keeps its mode.
    pub(crate) fn put(&self, bytes: &[u8]) {
        fs::write(self.keyring(), bytes).unwrap();
    }

    pub(crate) fn load(&self) -> Result<Loaded, KeystoreError> {
        keystore::load(&self.location)
    }

    /// The error of loading, which is one line, without a secret.
    pub(crate) fn refusal(&self) -> KeystoreError {
        one_line(self.load().err().expect("this keyring must not load"))
    }

    pub(crate) fn import(&self, key: &str, kind: KeyKind, secret: &[u8]) -> Result<Change, KeystoreError> {
        import(&self.location, &importing(&name(key), kind, secret), NOW)
    }

    /// Names of files in the folder that are not part of a keyring at rest.
    pub(crate) fn strangers(&self) -> Vec<String> {
        let known = ["keyring", "kek", "keyring.lock", "keyring.previous", "keyring.generation", "keyring.backups"];
        let entries = fs::read_dir(self.keyring().parent().unwrap()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !known.contains(&name.as_str())).collect()
    }
}

pub(crate) fn location(folder: &Path) -> Location {
    Location { keyring: folder.join("keyring"), kek: KekSource::File(folder.join("kek")) }
}

pub(crate) fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

pub(crate) fn importing<'a>(name: &'a KeyName, kind: KeyKind, secret: &[u8]) -> Import<'a> {
    let secret = Secret::copied(secret);
    Import { name, kind, suite: Suite::Aes256Gcm, secret, activates_at: None, allow_sample: false }
}

pub(crate) fn one_line(error: KeystoreError) -> KeystoreError {
    let text = format!("{error}");
    assert!(!text.contains('\n') && !text.contains(PLANTED) && !format!("{error:?}").contains(PLANTED), "{text}");
    error
}

/// What a loaded keyring holds, to compare.
pub(crate) fn content(loaded: &Loaded) -> String {
    let mut text = format!("{} {}", loaded.keyring_id, loaded.generation);
    for key in &loaded.keys {
        write!(text, "\n{} {:?}", key.name, key.kind).unwrap();
        for v in key.versions() {
            write!(text, " {} {} {} {:?}", v.number, v.created_at, v.activates_at, v.mark).unwrap();
            write!(text, " {} {:?} {:?} {}", v.secret_len, v.suite, v.kid, v.probe()).unwrap();
        }
    }
    text
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Past the test harness, which keeps what a passing test prints.
fn say_skipped(what: &str) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: needs {what}\n"));
}

/// Says that a test did not run for want of `what`; fails where everything must be there.
pub(crate) fn skipped(what: &str) {
    assert!(std::env::var_os("COUNTERSIGN_REQUIRE_TOOLS").is_none_or(|v| v != "1"), "needs {what}");
    say_skipped(what);
}

/// A small file system in memory, unmounted on drop.
pub(crate) struct Tmpfs(TempDir);

impl Tmpfs {
    /// Nothing where we may not mount.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
