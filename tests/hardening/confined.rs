//! Landlock: what the service gave up stays given up, and a reload that would need it is refused.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    process::Command,
};

use countersign::{
    app::{Options, confinement::Confinement},
    config::{Config, Landlock},
};
use tempfile::TempDir;

use crate::{
    Subject,
    service::{CONFIG, Service, folder},
    skip, subject_says,
};

/// The kernel's version of Landlock, as the service names it.
fn abi(service: &Service) -> Option<u32> {
    let (_, shown) = service.http("/readyz?verbose");
    let (_, rest) = shown.split_once("Landlock ABI ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A folder whose `name` is a link that leads to a file in a second folder, which is not the service's by its path.
fn linked(name: &str) -> (TempDir, TempDir) {
    let (dir, elsewhere) = (folder(CONFIG), tempfile::tempdir().unwrap());
    let file = dir.path().join(name);
    fs::rename(&file, elsewhere.path().join(name)).unwrap();
    symlink(elsewhere.path().join(name), &file).unwrap();
    (dir, elsewhere)
}

#[test]
fn a_reload_that_leads_outside_needs_a_restart() {
    for name in ["config.toml", "kek", "keyring"] {
        let (dir, elsewhere) = linked(name);
        let service = Service::start_in(dir);
        if abi(&service).is_none() {
            return skip("Landlock");
        }
        // Where the link led at the start is inside.
        service.signal("HUP");
        service.await_log("reloaded configuration", 1);
        let third = tempfile::tempdir().unwrap();
        fs::copy(elsewhere.path().join(name), third.path().join(name)).unwrap();
        let link = service.dir.path().join(name);
        fs::remove_file(&link).unwrap();
        symlink(third.path().join(name), &link).unwrap();
        service.signal("HUP");
        service.await_log("restart needed: ", 1);
        let (status, shown) = service.http("/readyz?verbose");
        assert_eq!(status, 200);
        let place = third.path().canonicalize().unwrap();
        assert!(shown.contains("restart needed: ") && shown.contains(place.to_str().unwrap()), "{shown}");
        service.open(&service.seal(b"x", "jane"), "jane");
    }
}

/// An open that the service itself tries: the record beside the keyring is a link that leads outside.
#[test]
fn the_service_cannot_open_a_stray_file() {
    for (setting, denied) in [("on", true), ("off", false)] {
        let config = format!("[process]\nlandlock = \"{setting}\"\n{}", CONFIG.trim_start());
        let service = Service::start(&config);
        if denied && abi(&service).is_none() {
            return skip("Landlock");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        let record = service.dir.path().join("keyring.generation");
        fs::rename(&record, elsewhere.path().join("record")).unwrap();
        symlink(elsewhere.path().join("record"), &record).unwrap();
        service.signal("HUP");
        service.await_log("reloaded configuration", 1);
        assert_eq!(
            service.log().contains("PermissionDenied") || service.log().contains("permission denied"),
            denied,
            "{}",
            service.log()
        );
    }
}

#[test]
fn the_metrics_of_the_process_are_still_there() {
    let service = Service::start(CONFIG);
    let (_, metrics) = service.http("/metrics");
    for name in ["process_start_time_seconds", "process_open_fds", "process_resident_memory_bytes", "process_threads"] {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        let value: f64 =
            line.unwrap_or_else(|| panic!("{name}\n{metrics}")).rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value > 0.0, "{name} {value}");
    }
}

#[test]
fn what_is_confined_reaches_its_folders_and_nothing_else() {
    let dir = folder(CONFIG);
    let (_subject, word) =
        Subject::start("confined::subject_confined", &[("CONFINE_TO", dir.path().to_str().unwrap())]);
    if word.starts_with("none") {
        return skip("Landlock");
    }
    assert_eq!(word, "as it should be");
}

/// What the test above starts as a process of its own; alone it does nothing.
#[test]
fn subject_confined() {
    let Ok(at) = std::env::var("CONFINE_TO") else { return };
    let (at, elsewhere) = (Path::new(&at), tempfile::tempdir().unwrap());
    let layout = [("etc", "config.toml"), ("var", "keyring"), ("secrets", "kek")];
    for (place, file) in layout {
        fs::create_dir(at.join(place)).unwrap();
        fs::rename(at.join(file), at.join(place).join(file)).unwrap();
    }
    fs::create_dir(at.join("run")).unwrap();
    let text =
        "[listen]\nunix = \"../run/c.sock\"\n[keyring]\npath = \"../var/keyring\"\nkek_file = \"../secrets/kek\"\n";
    let config_file = at.join("etc/config.toml");
    let config = Config::parse(text, config_file.parent().unwrap()).unwrap();
    let stray = elsewhere.path().join("stray");
    fs::write(&stray, "x").unwrap();
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listening.local_addr().unwrap().port();
    let options = Options { config_file: config_file.clone(), allow_root: true, dev: None };
    let confined = Confinement::of(&config, &options).apply(Landlock::On).unwrap();
    let Ok(abi) = confined.landlock() else { return subject_says("none") };

    let mut wrong = Vec::new();
    let mut allowed = |what: &str, done: io::Result<()>| {
        if let Err(error) = done {
            wrong.push(format!("{what}: {error}"));
        }
    };
    let var = at.join("var");
    allowed("read the configuration", fs::read(&config_file).map(drop));
    allowed("list its folder", fs::read_dir(at.join("etc")).map(drop));
    allowed("read the keyring", fs::read(var.join("keyring")).map(drop));
    allowed("read the KEK", fs::read(at.join("secrets/kek")).map(drop));
    allowed("write beside the keyring", fs::write(var.join("new"), "x"));
    allowed("put it in place", fs::rename(var.join("new"), var.join("keyring.generation")));
    allowed("make a socket", UnixListener::bind(at.join("run/c.sock")).map(drop));
    allowed("remove it", fs::remove_file(at.join("run/c.sock")));
    allowed("look at itself", fs::read("/proc/self/stat").map(drop));
    let mut refused = |what: &str, done: io::Result<()>| match done {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        other => wrong.push(format!("{what}: {other:?}")),
    };
    refused("read a stray file", fs::read(&stray).map(drop));
    refused("write a stray file", fs::write(&stray, "y"));
    refused("make a stray file", fs::write(elsewhere.path().join("new"), "y"));
    refused("remove a stray file", fs::remove_file(&stray));
    refused("read what all may", fs::read("/etc/passwd").map(drop));
    refused("list the folder above", fs::read_dir(at).map(drop));
    refused("write the configuration", fs::write(&config_file, ""));
    refused("write beside the KEK", fs::write(at.join("secrets/new"), ""));
    refused("write a file beside the socket", fs::write(at.join("run/new"), ""));
    refused("look at another process", fs::read("/proc/1/stat").map(drop));
    refused("run a program", Command::new("/bin/true").status().map(drop));
    refused("read in a new thread", std::thread::spawn(move || fs::read(&stray).map(drop)).join().unwrap());
    if abi >= 4 {
        refused("bind a port", TcpListener::bind("127.0.0.1:0").map(drop));
        refused("connect to a port", TcpStream::connect(("127.0.0.1", port)).map(drop));
    }
    subject_says(if wrong.is_empty() { "as it should be".to_owned() } else { wrong.join("; ") }.as_str());
}
