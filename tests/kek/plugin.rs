//! A KMS v2 plugin of the tests' own (`kms-plugin/`), built by Go on the package that Kubernetes' plugins are built on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::{service::PATIENCE, skip};

pub struct Plugin {
    at: PathBuf,
    child: Option<Child>,
}

impl Plugin {
    /// Starts one on `kms.sock` in the folder; nothing where it cannot be built, which is said.
    pub fn start(at: &Path) -> Option<Self> {
        let mut plugin = Self { at: at.to_owned(), child: None };
        built()?;
        plugin.restart();
        Some(plugin)
    }

    /// Ends it, and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        let path = |name: &str| self.at.join(name);
        let mut command = Command::new(built().unwrap());
        for (option, name) in
            [("-socket", "kms.sock"), ("-seed", "kms.seed"), ("-control", "kms.control"), ("-journal", "kms.journal")]
        {
            command.arg(option).arg(path(name));
        }
        self.child = Some(command.stderr(Stdio::null()).spawn().unwrap());
        let begin = Instant::now();
        while std::os::unix::net::UnixStream::connect(path("kms.sock")).is_err() {
            assert!(begin.elapsed() < PATIENCE, "the plugin does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What it shall do wrongly from now on, `name=value` on a line each.
    pub fn told(&self, control: &str) {
        // In one step, since it may be reading.
        fs::write(self.at.join("kms.control.new"), control).unwrap();
        fs::rename(self.at.join("kms.control.new"), self.at.join("kms.control")).unwrap();
    }

    /// How often it was asked for this operation.
    pub fn asked(&self, operation: &str) -> usize {
        self.requests().iter().filter(|(asked, _)| asked == operation).count()
    }

    /// Operation and uid of every request.
    pub fn requests(&self) -> Vec<(String, String)> {
        let journal = fs::read_to_string(self.at.join("kms.journal")).unwrap_or_default();
        let pairs = journal.lines().filter_map(|line| line.split_once(' '));
        pairs.map(|(operation, uid)| (operation.to_owned(), uid.to_owned())).collect()
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The binary, built once for all tests.
fn built() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kms-plugin");
        // One that runs is not written over.
        let made = binary.with_extension(std::process::id().to_string());
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(&made).arg(".").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly");
        go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kek/kms-plugin"));
        if std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref() != Ok("1") {
            // A user's tests download nothing.
            go.env("GOPROXY", "off");
        }
        match go.output() {
            Ok(output) if output.status.success() => {
                fs::rename(&made, &binary).map(|()| binary).map_err(|error| error.to_string())
            }
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()),
            Err(error) => Err(error.to_string()),
        }
        .map_err(|why| skip(&format!("Go, and the modules of tests/kek/kms-plugin/go.mod ({why})")))
        .ok()
    });
    built.as_deref()
}
