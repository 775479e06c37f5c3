//! A folder with a keyring, and the ways to open it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::service::{BINARY, CONFIG, HAT1, SECRET, Service, serve, stderr, stdout};

/// A passphrase that a keyring takes.
pub const PASSPHRASE: &str = "planted passphrase of five words";

/// What opens the keyring of a [`Place`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum By {
    /// The file of that name in the folder.
    File(&'static str),
    /// The credential of that name.
    Credential(&'static str),
    /// This passphrase, on file descriptor 3.
    Passphrase(&'static str),
    /// The plugin on the socket of that name in the folder.
    Kms(&'static str),
}

impl By {
    /// The options that say so, where `to` is `""`, or that say that it shall be so, where it is `"to-"`.
    pub fn options(&self, at: &Path, to: &str) -> Vec<String> {
        let fd = if to.is_empty() { 3 } else { 4 };
        let (option, value) = match self {
            Self::File(name) => ("kek-file", at.join(name).display().to_string()),
            Self::Credential(name) => ("kek-credential", (*name).to_owned()),
            Self::Passphrase(_) => ("kek-passphrase-fd", fd.to_string()),
            Self::Kms(name) => ("kek-kms-socket", at.join(name).display().to_string()),
        };
        vec![format!("--{to}{option}"), value]
    }

    /// The setting that says so.
    fn setting(&self) -> String {
        match self {
            Self::File(name) => format!("kek_file = {name:?}"),
            Self::Credential(name) => format!("kek_credential = {name:?}"),
            Self::Passphrase(_) => "kek_passphrase_fd = 3".to_owned(),
            Self::Kms(name) => format!("kek_kms_socket = {name:?}\nkek_kms_poll = \"1s\""),
        }
    }
}

/// A folder with a keyring and what may open it.
pub struct Place {
    pub dir: TempDir,
}

impl Place {
    /// A folder with a credential `kek` in a folder of its own, and no keyring.
    pub fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.credentials()).unwrap();
        place.give_credential("kek", b"0123456789abcdef0123456789abcdef\n");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn credentials(&self) -> PathBuf {
        self.path("credentials")
    }

    /// As systemd leaves it.
    pub fn give_credential(&self, name: &str, content: &[u8]) {
        let path = self.credentials().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    }

    /// The binary with passphrases on the descriptors 3 and 4, and with the credentials; to be completed.
    pub fn command(&self, on_3: &str, on_4: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<\"$ON_3\" 4<\"$ON_4\"", BINARY]);
        for (variable, text) in [("ON_3", on_3), ("ON_4", on_4)] {
            let path = self.path(variable);
            fs::write(&path, text).unwrap();
            command.env(variable, path);
        }
        command.env("CREDENTIALS_DIRECTORY", self.credentials());
        command
    }

    /// `countersign keys …` on the keyring, opened by `by`.
    pub fn keys(&self, by: &By, args: &[&str], stdin: &[u8]) -> Output {
        let passphrase = if let By::Passphrase(passphrase) = by { passphrase } else { "" };
        let mut command = self.command(passphrase, "");
        command.arg("keys").args(args).arg("--keyring").arg(self.path("keyring"));
        command.args(by.options(self.dir.path(), ""));
        feed(command, stdin)
    }

    /// A keyring that opens by `by`, with the keys of the service's configuration.
    pub fn fill(&self, by: &By) {
        well(&self.keys(by, &["init"], b""));
        let import = ["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"];
        well(&self.keys(by, &import, SECRET.as_bytes()));
        let import = ["import", "--key", "acme", "--kind", "hat1", "--encoding", "hex"];
        well(&self.keys(by, &import, HAT1.as_bytes()));
        let listed = stdout(&well(&self.keys(by, &["list"], b"")));
        assert!(listed.contains("jobs") && listed.contains("acme"), "{listed}");
    }

    /// Writes the configuration that says so.
    pub fn configure(&self, by: &By, more: &str) {
        let config = CONFIG.replace("kek_file = \"kek\"", &format!("{}\n{more}", by.setting()));
        fs::write(self.path("config.toml"), config).unwrap();
    }

    /// A service that opens the keyring by `by`.
    pub fn serve(self, by: &By) -> Service {
        self.configure(by, "");
        let command = self.serving(by);
        Service::start_by(self.dir, command)
    }

    /// The command that starts one.
    pub fn serving(&self, by: &By) -> Command {
        let passphrase = if let By::Passphrase(passphrase) = by { passphrase } else { "" };
        serve(self.command(passphrase, ""), self.dir.path())
    }
}

/// Mints, seals and opens.
pub fn works(service: &Service) {
    service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 42}));
    let auth = service.seal(b"payload", "jane");
    assert_eq!(service.open(&auth, "jane")["verdict"], "VERDICT_VALID");
}

pub fn feed(mut command: Command, stdin: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses early does not read.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin);
    child.wait_with_output().unwrap()
}

/// Insists that a command succeeded.
#[track_caller]
pub fn well(output: &Output) -> Output {
    assert!(output.status.success(), "{}", stderr(output));
    output.clone()
}

/// Insists that a command was refused, and gives the one line that says why.
#[track_caller]
pub fn refused(output: &Output, exit: i32, word: &str) -> String {
    assert_eq!((output.status.code(), stdout(output).as_str()), (Some(exit), ""), "{}", stderr(output));
    let said = stderr(output).lines().last().unwrap_or_default().to_owned();
    assert!(said.contains(word), "{said}");
    assert!(!said.contains("planted"), "{said}");
    said
}
