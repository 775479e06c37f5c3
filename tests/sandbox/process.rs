//! The one command: what it prints, which ports it takes, and that nothing of it stays.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::run::{Sandbox, built, get};

#[test]
fn a_port_that_is_taken_is_refused_and_one_that_is_free_is_used() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = Command::new(built()).args(["--port", &port]).stdin(Stdio::null()).output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(why.contains(&port) && why.contains("choose another port with --port"), "{why}");
    drop(taken);
    let sandbox = Sandbox::start_with(&["--port", &port]);
    assert_eq!(sandbox.front, format!("http://127.0.0.1:{port}"));
}

#[test]
fn two_sandboxes_without_a_port_do_not_meet() {
    let (one, other) = (Sandbox::start_with(&[]), Sandbox::start_with(&[]));
    assert_ne!(one.front, other.front);
    for sandbox in [&one, &other] {
        assert_eq!(get(&sandbox.front, "/", &[]).status, 200);
    }
}

#[test]
fn when_it_is_asked_to_end_its_folder_goes_too() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut sandbox = Sandbox::start();
        let folder = sandbox.socket.parent().unwrap().to_owned();
        assert!(folder.join("keyring").exists());
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "it is for nobody else");
        assert!(sandbox.end(signal).success());
        assert!(!folder.exists() && UnixStream::connect(&sandbox.socket).is_err());
    }
}

#[test]
fn when_it_is_killed_countersign_ends_too() {
    let mut sandbox = Sandbox::start();
    let pid = sandbox.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let countersign = PathBuf::from("/proc").join(children.trim());
    assert!(fs::read_to_string(countersign.join("cmdline")).unwrap().contains("--countersign"));
    sandbox.end(Signal::KILL);
    let begin = Instant::now();
    // By then its parent is whoever takes orphans, and clears them away or leaves them for dead.
    let runs = || fs::read_to_string(countersign.join("stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while runs() {
        assert!(begin.elapsed() < Duration::from_secs(60), "Countersign goes on without the sandbox");
        thread::sleep(Duration::from_millis(20));
    }
    // Nobody else clears it away.
    let _ = fs::remove_dir_all(sandbox.socket.parent().unwrap());
}
