//! Runs the binary on a keyring of its own.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use countersign::keystore::{self, KekSource, Loaded, Location};
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_countersign");

/// What a command did.
pub(crate) struct Done {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Fails the test unless the command succeeded.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.exit, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless the command failed so, with one line about it and nothing on standard output.
    #[track_caller]
    pub(crate) fn refused(self, exit: i32, text: &str) -> Self {
        assert_eq!((self.exit, self.stdout.as_str()), (exit, ""), "{}", self.stderr);
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.contains(text), "{}", self.stderr);
        self
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let exit = output.status.code().unwrap_or(-1);
        Self { exit, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A folder with a keyring made by `keys init`.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        home.keys("init", &[], b"").well();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn location(&self) -> Location {
        Location { keyring: self.path("keyring"), kek: KekSource::File(self.path("kek")) }
    }

    pub(crate) fn load(&self) -> Loaded {
        keystore::load(&self.location()).unwrap()
    }

    /// `countersign keys COMMAND --keyring … --kek-file …`, not started yet.
    pub(crate) fn command(&self, command: &str, args: &[&str]) -> Command {
        let mut run = Command::new(BINARY);
        run.args(["keys", command, "--keyring"]).arg(self.path("keyring"));
        run.arg("--kek-file").arg(self.path("kek")).args(args);
        run
    }

    /// The same, run to its end with that standard input.
    pub(crate) fn keys(&self, command: &str, args: &[&str], stdin: &[u8]) -> Done {
        feed(&mut self.command(command, args), stdin)
    }

    /// `keys import` of a LiveAuth secret.
    pub(crate) fn import(&self, key: &str, encoding: &str, secret: &[u8]) -> Done {
        self.keys("import", &["--key", key, "--kind", "liveauth", "--encoding", encoding], secret)
    }
}

pub(crate) fn feed(command: &mut Command, stdin: &[u8]) -> Done {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses early does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap().into()
}

/// Past the test harness, which keeps what a passing test prints.
pub(crate) fn say_skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: needs {what}");
}

/// Says that a test did not run for want of `what`; fails where everything must be there.
pub(crate) fn skipped(what: &str) {
    assert!(std::env::var_os("COUNTERSIGN_REQUIRE_TOOLS").is_none_or(|v| v != "1"), "needs {what}");
    say_skipped(what);
}
