//! A folder that is held on to while its files are opened. Where Kubernetes mounted it, they are opened through the folder
//! that its `..data` link named when this one was opened: two files of it are then of one version of the volume.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

/// What Kubernetes calls the link that it swaps when a mounted volume changes, and what the links beside it begin with.
const DATA: &str = "..data";

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    itself: OwnedFd,
    /// What `..data` led to, where there is such a link.
    data: Option<OwnedFd>,
}

impl Folder {
    /// Opens the folder; an empty path is the working folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let itself = openat(CWD, path, flags, Mode::empty())?;
        let data = openat(&itself, DATA, flags, Mode::empty()).ok();
        Ok(Self { itself, data })
    }

    /// Opens a file in it to be read; a named pipe does not wait for its writer.
    ///
    /// # Errors
    /// What the system says.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match (&self.data, self.name_in_data(name)) {
            (Some(data), Some(inside)) => openat(data, &inside, flags, Mode::empty())?,
            _ => openat(&self.itself, name, flags, Mode::empty())?,
        };
        Ok(File::from(file))
    }

    /// `tls.key`, where the name is a link to `..data/tls.key`.
    fn name_in_data(&self, name: &OsStr) -> Option<OsString> {
        let target = readlinkat(&self.itself, name, Vec::new()).ok()?;
        let inside = Path::new(OsStr::from_bytes(target.as_bytes())).strip_prefix(DATA).ok()?;
        Some(inside.as_os_str().to_owned())
    }
}
