//! Closed to its own user, and gone without a core.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
};

use crate::{
    hand_over,
    service::{CONFIG, Service, folder, serve, stderr},
    skip, unprivileged,
};

/// Ends with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_memory_is_closed_to_the_same_user() {
    let dir = folder(CONFIG);
    let binary = hand_over(&dir);
    let command = serve(unprivileged(&binary), dir.path());
    let service = Service::start_by(dir, command);
    let look = |pid: u32, file: &str| {
        let path = format!("/proc/{pid}/{file}");
        stderr(&unprivileged("head").args(["-c", "1", &path]).output().unwrap())
    };
    // Another process of the user: its memory opens, and only reading at address 0 fails.
    let other = Ended(unprivileged("sleep").arg("600").spawn().unwrap());
    let open = look(other.0.id(), "mem");
    if !open.contains("Input/output error") {
        return skip("a system that lets a user look into his own processes (kernel.yama.ptrace_scope = 0)");
    }
    assert_eq!(look(other.0.id(), "maps"), "");
    for file in ["mem", "maps", "environ"] {
        let refused = look(service.pid(), file);
        assert!(refused.contains("Permission denied"), "{file}: {refused}");
    }
}

#[test]
fn an_abort_writes_no_core() {
    let unlimited = "ulimit -c unlimited || exit 1; ";
    let control = tempfile::tempdir().unwrap();
    let died = Command::new("sh").args(["-c", &format!("{unlimited} kill -ABRT $$")]).current_dir(&control).status();
    if !died.unwrap().core_dumped() {
        return skip("core dumps to be possible (ulimit -c, kernel.core_pattern)");
    }
    let dir = folder(CONFIG);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{unlimited} exec \"$0\" \"$@\""), crate::service::BINARY]);
    let mut command = serve(shell, dir.path());
    command.current_dir(dir.path()).stdin(Stdio::null());
    let service = Service::start_by(dir, command);
    service.signal("ABRT");
    let (status, _, dir) = service.wait();
    assert_eq!(status.signal(), Some(6), "{status}");
    assert!(!status.core_dumped());
    let cores = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("core"));
    assert_eq!(cores.count(), 0);
}
