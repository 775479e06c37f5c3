//! Who is at the other end, as the kernel says. Never by process id, which is reused.

use std::io;

use tokio::net::UnixStream;

use crate::policy::Caller;

/// The name of whoever comes over loopback TCP, where nobody can be told from anybody.
const LOOPBACK: &str = "dev-tcp";

/// The peer of a Unix socket: its user and primary group when it connected (`SO_PEERCRED`).
pub(super) fn of_unix(stream: &UnixStream) -> io::Result<Caller> {
    let credentials = stream.peer_cred()?;
    Ok(Caller::Unix { uid: credentials.uid(), gid: credentials.gid() })
}

/// The peer of a loopback TCP connection.
pub(super) fn of_loopback() -> Caller {
    Caller::Named(LOOPBACK.into())
}
