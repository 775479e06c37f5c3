//! The sockets that callers connect to. They are bound before any thread starts: the Unix socket is born with its
//! final mode under a changed umask, and a umask belongs to the whole process.

use std::{
    fmt,
    fs::{self, DirBuilder},
    io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    fs::Mode,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    process,
};

use super::{session::Reach, tls::Door};

/// A bound socket.
#[derive(Debug)]
pub struct Listener(pub(super) Bound);

#[derive(Debug)]
pub(super) enum Bound {
    /// The place goes first: while its socket is open, no other file can get its inode.
    Unix {
        place: Place,
        listener: UnixListener,
        reach: Reach,
    },
    Loopback(TcpListener),
    Tls {
        door: Arc<Door>,
        listener: TcpListener,
    },
}

impl Listener {
    /// The address as a client takes it: `unix:PATH`, `http://HOST:PORT` or `https://HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.0 {
            Bound::Unix { place, .. } => format!("unix:{}", place.path.display()),
            Bound::Loopback(listener) => tcp_address("http", listener),
            Bound::Tls { listener, .. } => tcp_address("https", listener),
        }
    }
}

/// Why a socket cannot be bound, in one line that says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindError(String);

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BindError {}

/// Binds a Unix socket with mode 0660. Its folder is made with mode 0750 if it is not there, but not the folder's parents.
///
/// # Errors
/// The folder can be written to by everyone, the path is taken, or the system refuses.
pub fn bind_unix(path: &Path) -> Result<Listener, BindError> {
    bind_unix_for(path, Reach::Ordinary, Mode::from_raw_mode(0o117))
}

/// Binds the Unix socket that serves `KeyService` too, with mode 0600: nobody but our own user, and root, connects to it.
/// Its folder is treated as [`bind_unix`] treats it.
///
/// # Errors
/// Those of [`bind_unix`].
pub fn bind_admin(path: &Path) -> Result<Listener, BindError> {
    bind_unix_for(path, Reach::Admin, Mode::from_raw_mode(0o177))
}

/// Binds one that is born with what `mask` leaves of its mode.
fn bind_unix_for(path: &Path, reach: Reach, mask: Mode) -> Result<Listener, BindError> {
    let shown = path.display();
    if path.as_os_str().as_encoded_bytes().first().is_none_or(|first| matches!(first, 0 | b'@')) {
        return Err(BindError(format!(
            "{shown:?} is no path for a socket: abstract names have no file mode to protect them"
        )));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    prepare_folder(folder)?;
    make_way(path)?;
    let listener = under_umask(mask, || UnixListener::bind(path)).map_err(|error| {
        BindError(match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("{shown} was taken just now by another process; stop it or choose another path")
            }
            io::ErrorKind::InvalidInput => {
                format!("{shown} is too long for a socket (107 bytes); choose a shorter path")
            }
            _ => format!("cannot bind {shown}: {error}"),
        })
    })?;
    let place = Place::of(path).map_err(|error| BindError(format!("cannot look at {shown} just bound: {error}")))?;
    Ok(Listener(Bound::Unix { place, listener, reach }))
}

/// Binds a loopback TCP socket, without any protection but that: for development. Port 0 takes any free one.
///
/// # Errors
/// The address is not loopback, is taken, or the system refuses.
pub fn bind_loopback(address: SocketAddr) -> Result<Listener, BindError> {
    if !address.ip().is_loopback() {
        return Err(BindError(format!(
            "{address} is not a loopback address, and TCP without TLS leaves the machine nowhere; use 127.0.0.1 or [::1]"
        )));
    }
    bind_tcp(address).map(|listener| Listener(Bound::Loopback(listener)))
}

/// Binds the TCP socket of a TLS listener. Port 0 takes any free one.
///
/// # Errors
/// The address is taken, is not of this machine, or the system refuses.
pub fn bind_tls(door: Arc<Door>) -> Result<Listener, BindError> {
    bind_tcp(door.address()).map(|listener| Listener(Bound::Tls { door, listener }))
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).map_err(|error| {
        BindError(match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("{address} is in use; stop what listens there, or choose another port (0 takes any free one)")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("{address} is no address of this machine; choose one that is, or 0.0.0.0 for all of them")
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
    })
}

fn tcp_address(scheme: &str, listener: &TcpListener) -> String {
    match listener.local_addr() {
        Ok(address) => format!("{scheme}://{address}"),
        Err(_) => format!("{scheme}://unknown"),
    }
}

/// A socket's file, recognised by its inode. It goes when this does, however a start or a run ends.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: FileId,
}

/// Device and inode.
type FileId = (u64, u64);

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: file_at(path)? })
    }
}

impl Drop for Place {
    /// Removes the file, unless somebody has put another in its place.
    fn drop(&mut self) {
        if file_at(&self.path).is_ok_and(|now| now == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file_at(path: &Path) -> io::Result<FileId> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn prepare_folder(folder: &Path) -> Result<(), BindError> {
    let shown = folder.display();
    let made = under_umask(Mode::from_raw_mode(0o027), || DirBuilder::new().mode(0o750).create(folder));
    match made {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BindError(format!(
                "{shown} cannot be made because its parent folder is missing; make that first"
            )));
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(BindError(format!("cannot make the folder {shown}: {error}")));
        }
        Ok(()) | Err(_) => {}
    }
    let found =
        fs::metadata(folder).map_err(|error| BindError(format!("cannot look at the folder {shown}: {error}")))?;
    if !found.is_dir() {
        return Err(BindError(format!("{shown} is not a folder; choose another path for the socket")));
    }
    if found.mode() & 0o002 != 0 {
        return Err(BindError(format!(
            "anyone can replace what is in {shown}; take the right away (chmod o-w), or put the socket into a folder of its own"
        )));
    }
    Ok(())
}

/// Removes a socket that an earlier run of ours left behind; refuses to touch anything else.
fn make_way(path: &Path) -> Result<(), BindError> {
    let shown = path.display();
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError(format!("cannot look at {shown}: {error}"))),
    };
    if !found.file_type().is_socket() {
        return Err(BindError(format!("{shown} is there and is no socket; move it away or choose another path")));
    }
    if found.uid() != process::geteuid().as_raw() {
        return Err(BindError(format!("{shown} is another user's socket; remove it or choose another path")));
    }
    match try_connect(path) {
        Err(Errno::CONNREFUSED) => {
            fs::remove_file(path).map_err(|error| BindError(format!("cannot remove the stale socket {shown}: {error}")))
        }
        // Too long for a socket: bind says so.
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(()),
        // EAGAIN among them: somebody listens, but accepts too slowly for all who wait.
        Ok(()) | Err(_) => {
            Err(BindError(format!("{shown} is in use by a running process; stop it or choose another path")))
        }
    }
}

/// Connects and hangs up, without waiting for room among those who wait to be accepted.
fn try_connect(path: &Path) -> Result<(), Errno> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    connect(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?, &address)
}

/// Does something under another umask. No other thread may be creating files meanwhile; two that are here at a time
/// would leave the wrong umask behind, so they take turns.
fn under_umask<T>(mask: Mode, what: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = process::umask(mask);
    let done = what();
    process::umask(before);
    done
}
