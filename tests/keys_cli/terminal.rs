//! The prompt on a terminal: nothing typed is shown, and the terminal is as before on every way out.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use countersign::keystore;

use crate::run::{BINARY, Home};

const SECRET: &str = "planted secret, 30 bytes long!";

/// A terminal with `keys import` on it, which has just asked.
struct Asked {
    master: File,
    slave: OwnedFd,
    child: Child,
    stderr: ChildStderr,
    said: String,
}

impl Asked {
    fn new(home: &Home) -> Self {
        let args = ["--key", "jobs", "--kind", "liveauth", "--encoding", "raw"];
        Self::by(home.command("import", &args), "Secret for key jobs")
    }

    /// A terminal with this command on it, which asks for `what`.
    fn by(mut command: Command, what: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
        command.stdin(slave.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let mut asked = Self { master: master.into(), slave: slave.into(), child, stderr, said: String::new() };
        asked.await_question(what);
        asked
    }

    /// Waits until `what` is asked for.
    fn await_question(&mut self, what: &str) {
        let before = self.said.len();
        let mut byte = [0];
        while !self.said[before..].ends_with("): ") && self.stderr.read(&mut byte).unwrap() == 1 {
            self.said.push(char::from(byte[0]));
        }
        assert!(self.said[before..].contains(what), "{}", self.said);
        assert!(!self.shows());
    }

    /// Whether what is typed is shown, and lines and signals are made of it, as on any terminal.
    fn shows(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Types, waits for the end, and gives the exit code and all that was shown.
    fn type_and_wait(mut self, typed: &str) -> (Option<i32>, String) {
        self.master.write_all(typed.as_bytes()).unwrap();
        self.wait()
    }

    fn wait(mut self) -> (Option<i32>, String) {
        self.stderr.read_to_string(&mut self.said).unwrap();
        let status = self.child.wait().unwrap();
        assert!(self.shows(), "the terminal was not put back");
        let mut shown = [0; 4096];
        let mut waiting = [PollFd::new(&self.master, PollFlags::IN)];
        if poll(&mut waiting, Some(&Timespec::try_from(Duration::ZERO).unwrap())).unwrap() > 0 {
            let read = self.master.read(&mut shown).unwrap();
            self.said += &String::from_utf8_lossy(&shown[..read]);
        }
        assert!(!self.said.contains("planted"), "{}", self.said);
        (status.code(), self.said)
    }
}

#[test]
fn a_typed_secret_is_taken_and_not_shown() {
    let home = Home::new();
    let (exit, said) = Asked::new(&home).type_and_wait(&format!("{SECRET}\r"));
    assert_eq!(exit, Some(0), "{said}");
    assert!(!said.contains("newline"), "Enter is not part of the secret: {said}");
    assert_eq!(home.load().keys[0].versions()[0].secret_len, SECRET.len());
}

#[test]
fn typing_can_be_corrected() {
    let home = Home::new();
    let (exit, said) = Asked::new(&home).type_and_wait("wrong\u{15}planted secret, twenty-six\u{e9}\u{7f}x\u{7f}\n");
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(home.load().keys[0].versions()[0].secret_len, 26);
}

#[test]
fn giving_up_changes_nothing_and_puts_the_terminal_back() {
    let home = Home::new();
    for way_out in ["planted\u{3}", "planted\u{1c}"] {
        let (exit, said) = Asked::new(&home).type_and_wait(way_out);
        assert_eq!(exit, Some(2));
        assert!(said.contains("nothing was changed"), "{said}");
    }
    let (exit, _) = Asked::new(&home).type_and_wait("\u{4}");
    assert_eq!(exit, Some(2), "no secret at all");
    assert!(home.load().keys.is_empty());
}

#[test]
fn a_signal_puts_the_terminal_back() {
    let home = Home::new();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let asked = Asked::new(&home);
        kill_process(Pid::from_child(&asked.child), signal).unwrap();
        let (exit, said) = asked.wait();
        assert_eq!(exit, Some(2), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
    }
    assert!(home.load().keys.is_empty());
}

#[test]
fn a_passphrase_is_asked_for_twice_where_it_is_new_and_then_once() {
    let home = Home { dir: tempfile::tempdir().unwrap() };
    let keyring = home.path("keyring");
    let command = |args: &[&str]| {
        let mut command = Command::new(BINARY);
        command.arg("keys").args(args).arg("--kek-passphrase").arg("--keyring").arg(&keyring);
        command
    };
    let init = |typed: &str, again: &str| {
        let mut asked = Asked::by(command(&["init"]), "New passphrase of the keyring");
        asked.master.write_all(format!("{typed}\r").as_bytes()).unwrap();
        asked.await_question("once more");
        asked.type_and_wait(&format!("{again}\r"))
    };
    let (exit, said) = init(SECRET, "planted secret, 31 bytes long!");
    assert!(exit == Some(2) && said.contains("the two differ") && !keyring.exists(), "{said}");
    let (exit, said) = init("planted s", "planted s");
    assert!(exit == Some(2) && said.contains("fewer than 12 bytes") && !keyring.exists(), "{said}");
    let (exit, said) = init(SECRET, SECRET);
    assert!(exit == Some(0) && keyring.exists(), "{said}");

    let create = |typed: &str| {
        let create = ["create", "--key", "hub", "--kind", "hat1"];
        Asked::by(command(&create), "Passphrase of the keyring").type_and_wait(&format!("{typed}\r"))
    };
    let (exit, said) = create("planted secret, 31 bytes long!");
    assert!(exit == Some(2) && said.contains("the passphrase does not open the keyring"), "{said}");
    let (exit, said) = create(SECRET);
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(keystore::summary(&keyring).unwrap().keys.len(), 1);
}

/// A configuration names a file descriptor, which a service is started with; whoever types the command has none.
#[test]
fn where_a_configuration_wants_a_descriptor_that_is_not_there_the_terminal_is_asked() {
    let home = Home { dir: tempfile::tempdir().unwrap() };
    let config = home.path("config.toml");
    fs::write(&config, "[keyring]\npath = \"keyring\"\nkek_passphrase_fd = 9\n").unwrap();
    let mut command = Command::new(BINARY);
    command.args(["keys", "init", "--config"]).arg(&config);
    let mut asked = Asked::by(command, "New passphrase of the keyring");
    asked.master.write_all(format!("{SECRET}\r").as_bytes()).unwrap();
    asked.await_question("once more");
    let (exit, said) = asked.type_and_wait(&format!("{SECRET}\r"));
    assert!(exit == Some(0) && home.path("keyring").exists(), "{said}");
}
