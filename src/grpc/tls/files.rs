//! The files a TLS listener is made of, read together. Names in one folder are read through one descriptor of it: a
//! certificate is never paired with the key of another rotation. What is opened is judged, not what a path names.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::process::{getegid, geteuid, getgroups};
use zeroize::Zeroizing;

use super::folder::Folder;

/// Most bytes of a key, of a file of certificates, and of a CRL.
const KEY_MAX: u64 = 64 << 10;
const CERTIFICATES_MAX: u64 = 4 << 20;
const CRL_MAX: u64 = 64 << 20;

/// How often reading begins anew when a folder is swapped meanwhile.
const TRIES: u32 = 5;

/// Where they lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Our certificate and what lies between it and its root, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM; for nobody's eyes but ours.
    pub key: PathBuf,
    /// The certificates of those who issue to the other side, PEM.
    pub ca: PathBuf,
    /// Certificate revocation lists of those, PEM or DER.
    pub crls: Vec<PathBuf>,
}

/// What lies in them.
pub(super) struct Contents {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) ca: Vec<u8>,
    pub(super) crls: Vec<Vec<u8>>,
}

impl TlsFiles {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<PathBuf> {
        [&self.certificate, &self.key, &self.ca].into_iter().chain(&self.crls).cloned().collect()
    }

    /// Reads them all, or says in one line which cannot be read and what to do.
    pub(super) fn read(&self) -> Result<Contents, String> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.read_once() {
                // A folder that was swapped under us takes its old files away.
                Err((true, _)) if tries < TRIES => {}
                done => return done.map_err(|(_, problem)| problem),
            }
        }
    }

    fn read_once(&self) -> Result<Contents, Unreadable> {
        let mut folders = Folders::default();
        Ok(Contents {
            certificate: folders.read("certificate", &self.certificate, CERTIFICATES_MAX)?,
            key: folders.read_secret("key", &self.key)?,
            ca: folders.read("CA file", &self.ca, CERTIFICATES_MAX)?,
            crls: self.crls.iter().map(|path| folders.read("CRL", path, CRL_MAX)).collect::<Result<_, _>>()?,
        })
    }
}

/// Whether the file is missing, and the line to say.
type Unreadable = (bool, String);

/// The folders that were opened for one reading.
#[derive(Default)]
struct Folders(HashMap<PathBuf, Folder>);

impl Folders {
    /// A file that anybody may read, but nobody but root or us write: whoever writes it says whom we trust.
    fn read(&mut self, what: &str, path: &Path, most: u64) -> Result<Vec<u8>, Unreadable> {
        let (file, metadata) = self.open(what, path)?;
        let shown = path.display();
        owned_by_root_or_us(what, path, &metadata)?;
        if metadata.mode() & 0o022 != 0 {
            return Err((false, format!("{what} {shown} can be written by others; run: chmod go-w {shown}")));
        }
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(what, path, &error))?;
        if bytes.len() as u64 > most {
            return Err((false, format!("{what} {shown} is larger than {most} bytes; is it the right file?")));
        }
        Ok(bytes)
    }

    /// A file that only we may read, into a buffer that is wiped and never grows.
    fn read_secret(&mut self, what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let (mut file, metadata) = self.open(what, path)?;
        let shown = path.display();
        owned_by_root_or_us(what, path, &metadata)?;
        let allowed = if is_our_group(metadata.gid()) { 0o040 } else { 0 };
        if metadata.mode() & 0o077 & !allowed != 0 {
            let mode = metadata.mode() & 0o7777;
            return Err((
                false,
                format!("{what} {shown} is open to others (mode {mode:04o}); run: chmod 0600 {shown}"),
            ));
        }
        if metadata.len() > KEY_MAX {
            return Err((false, format!("{what} {shown} is larger than {KEY_MAX} bytes; is it the right file?")));
        }
        let room = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        let mut bytes = Zeroizing::new(vec![0; room]);
        file.read_exact(&mut bytes).map_err(|error| unreadable(what, path, &error))?;
        Ok(bytes)
    }

    fn open(&mut self, what: &str, path: &Path) -> Result<(File, Metadata), Unreadable> {
        let opened = self.open_in_folder(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| unreadable(what, path, &error))?;
        if !metadata.is_file() {
            return Err((false, format!("{what} {} is no regular file; name another", path.display())));
        }
        Ok((file, metadata))
    }

    fn open_in_folder(&mut self, path: &Path) -> io::Result<File> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        if !self.0.contains_key(parent) {
            self.0.insert(parent.to_owned(), Folder::open(parent)?);
        }
        self.0[parent].file(name)
    }
}

fn owned_by_root_or_us(what: &str, path: &Path, metadata: &Metadata) -> Result<(), Unreadable> {
    let owner = metadata.uid();
    if owner == 0 || owner == geteuid().as_raw() {
        return Ok(());
    }
    Err((false, format!("{what} {} belongs to user {owner}; it must belong to root or to us", path.display())))
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Unreadable {
    let missing = error.kind() == io::ErrorKind::NotFound;
    (missing, format!("{what} {} cannot be read ({error}); check the path and its mode", path.display()))
}

/// Our group is the effective one or a supplementary one: Kubernetes' `fsGroup` is of the latter.
fn is_our_group(gid: u32) -> bool {
    getegid().as_raw() == gid || getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
}
