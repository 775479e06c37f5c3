//! What the Unix socket is born as, and what its path may hold already.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use countersign::grpc::listen::{bind_loopback, bind_unix};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use crate::harness::birth;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_folder_and_the_socket_are_born_with_their_modes() {
    let _birth = birth();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("run/countersign.sock");
    let listener = bind_unix(&socket).unwrap();
    assert_eq!((mode(socket.parent().unwrap()), mode(&socket)), (0o750, 0o660));
    assert_eq!(listener.address(), format!("unix:{}", socket.display()));
}

#[test]
fn a_stale_socket_is_replaced_and_one_that_answers_is_not() {
    let _birth = birth();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    let living = UnixListener::bind(&socket).unwrap();
    let error = bind_unix(&socket).unwrap_err().to_string();
    assert!(error.contains("in use") && error.contains("stop it") && !error.contains('\n'), "{error}");
    assert!(UnixStream::connect(&socket).is_ok());
    drop(living);
    let _listener = bind_unix(&socket).unwrap();
    assert!(UnixStream::connect(&socket).is_ok());
}

#[test]
fn a_process_that_is_too_busy_to_accept_has_its_socket_in_use() {
    let _birth = birth();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    let address = SocketAddrUnix::new(&socket).unwrap();
    let new = || socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    let busy = new();
    bind(&busy, &address).unwrap();
    listen(&busy, 0).unwrap();
    let mut waiting = Vec::new();
    let full = loop {
        let next = new();
        match connect(&next, &address) {
            Ok(()) => waiting.push(next),
            Err(error) => break error,
        }
    };
    assert_eq!(full, rustix::io::Errno::AGAIN);
    assert!(bind_unix(&socket).unwrap_err().to_string().contains("in use"));
    assert!(socket.exists());
}

#[test]
fn a_socket_that_is_not_served_after_all_leaves_no_file() {
    let _birth = birth();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    let listener = bind_unix(&socket).unwrap();
    drop(listener);
    assert!(!socket.exists());
}

#[test]
fn a_file_that_another_process_put_in_its_place_stays() {
    let _birth = birth();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    let listener = bind_unix(&socket).unwrap();
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    drop(listener);
    assert!(UnixStream::connect(&socket).is_ok());
}

#[test]
fn nothing_but_a_socket_is_ever_removed() {
    let _birth = birth();
    let place = tempfile::tempdir().unwrap();
    let (file, link, folder) = (place.path().join("file"), place.path().join("link"), place.path().join("folder"));
    fs::write(&file, "kept").unwrap();
    symlink(&file, &link).unwrap();
    fs::create_dir(&folder).unwrap();
    for path in [&file, &link, &folder] {
        assert!(bind_unix(path).unwrap_err().to_string().contains("is no socket"), "{path:?}");
        assert!(fs::symlink_metadata(path).is_ok());
    }
    assert_eq!(fs::read(&file).unwrap(), b"kept");
}

#[test]
fn a_folder_that_anyone_can_write_to_is_refused() {
    let _birth = birth();
    let place = tempfile::tempdir().unwrap();
    for bits in [0o777, 0o1777, 0o752] {
        set_mode(place.path(), bits);
        assert!(bind_unix(&place.path().join("s")).unwrap_err().to_string().contains("chmod o-w"), "{bits:o}");
    }
    set_mode(place.path(), 0o700);
    assert!(bind_unix(&place.path().join("s")).is_ok());
}

#[test]
fn paths_that_can_be_no_socket_are_refused_with_advice() {
    let _birth = birth();
    let place = tempfile::tempdir().unwrap();
    let too_long = place.path().join("x".repeat(120));
    assert!(bind_unix(&too_long).unwrap_err().to_string().contains("shorter"));
    assert!(bind_unix(&place.path().join("missing/parent/s")).unwrap_err().to_string().contains("parent"));
    for path in ["", "@abstract", "\0abstract"] {
        assert!(bind_unix(Path::new(path)).unwrap_err().to_string().contains("no path for a socket"), "{path:?}");
    }
}

#[test]
fn only_loopback_is_bound_without_tls() {
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        assert!(bind_loopback(address).unwrap_err().to_string().contains("loopback"), "{address}");
    }
    let first = bind_loopback("127.0.0.1:0".parse().unwrap()).unwrap();
    let taken: SocketAddr = first.address().strip_prefix("http://").unwrap().parse().unwrap();
    assert!(bind_loopback(taken).unwrap_err().to_string().contains("in use"));
}
