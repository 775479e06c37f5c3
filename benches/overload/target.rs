//! The release binary under load, and ghz, which looks at it as another caller.

use std::{
    env, fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

/// The cores that the service, and all who call it, are held to.
const SERVICE_CORE: &str = "0";
const CALLERS_CORE: &str = "1";

pub struct Target {
    child: Child,
    dir: tempfile::TempDir,
}

impl Target {
    /// A service with these limits.
    pub fn start(binary: &Path, limits: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let (keyring, kek) = (at.join("keyring"), at.join("kek"));
        for (args, input) in [
            (&["init"][..], String::new()),
            (&["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"], "k".repeat(64)),
        ] {
            fs::write(at.join("input"), input).unwrap();
            let status = Command::new(binary)
                .arg("keys")
                .args(args)
                .args(["--keyring".as_ref(), keyring.as_os_str(), "--kek-file".as_ref(), kek.as_os_str()])
                .stdin(fs::File::open(at.join("input")).unwrap())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(status.unwrap().success(), "keys {args:?}");
        }
        fs::write(at.join("config.toml"), format!("[limits]\n{limits}\n{CONFIG}")).unwrap();
        let child = on_core(SERVICE_CORE, binary)
            .args(["serve", "--allow-root", "--config"])
            .arg(at.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(at.join("log")).unwrap())
            .spawn()
            .unwrap();
        let target = Self { child, dir };
        while !target.log().contains("\"ready\"") {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Callers with other uids shall reach it.
        let modes = [(at_of(&target, ""), 0o711), (at_of(&target, "sock"), 0o711), (target.socket(), 0o666)];
        for (path, mode) in modes {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        target
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        at_of(self, "sock/countersign.sock")
    }

    /// Starts a flood as this user; it prints its outcome when it is over. A modest one runs when no other caller on its
    /// core wants to, and is put aside at once for one that does, so that what they feel of it is the service's doing.
    pub fn flood(&self, uid: u32, connections: usize, streams: usize, rate: Option<f64>, modest: bool) -> Child {
        let mut flood = on_core(CALLERS_CORE, Path::new("chrt"));
        flood.args([if modest { "--idle" } else { "--other" }, "0"]).arg(self.copy_of_this());
        flood.arg("--flood").arg(self.socket());
        flood.args([connections.to_string(), streams.to_string(), rate.map_or("all".into(), |rate| rate.to_string())]);
        flood.uid(uid).gid(uid).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// The bench's own program, where any user may run it.
    fn copy_of_this(&self) -> PathBuf {
        let copy = at_of(self, "flood");
        if !copy.exists() {
            fs::copy(env::current_exe().unwrap(), &copy).unwrap();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        }
        copy
    }

    /// What ghz, as root, sees of this many mints a second for these seconds.
    pub fn ghz(&self, ghz: &Path, rate: u32, seconds: u32, more: &[&str]) -> Seen {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut command = on_core(CALLERS_CORE, ghz);
        command
            .args(["--insecure", "--import-paths", &format!("{root}/proto")])
            .args(["--proto", "countersign/v1/liveauth.proto", "--call", "countersign.v1.LiveAuthService/MintHash"])
            .args(["-d", "{\"domain\":\"jobs.example.com\",\"client\":42}", "--format", "json", "--timeout", "1s"])
            .args(["--rps", &rate.to_string(), "--duration", &format!("{seconds}s"), "--duration-stop", "wait"])
            .args(more)
            .arg(format!("unix://{}", self.socket().display()));
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        Seen::read(&serde_json::from_slice(&output.stdout).expect("ghz prints JSON"))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// What ghz measured.
pub struct Seen {
    /// Milliseconds.
    pub p99: f64,
    pub seconds: f64,
    pub ok: u64,
    /// All statuses, as ghz names them.
    pub statuses: String,
}

impl Seen {
    fn read(report: &Value) -> Self {
        let p99 = report["latencyDistribution"].as_array().into_iter().flatten();
        let p99 = p99.filter(|entry| entry["percentage"] == 99).find_map(|entry| entry["latency"].as_f64());
        let statuses = report["statusCodeDistribution"].as_object().cloned().unwrap_or_default();
        let shown: Vec<String> = statuses.iter().map(|(status, count)| format!("{status} {count}")).collect();
        Self {
            p99: p99.unwrap_or(f64::NAN) / 1e6,
            seconds: report["total"].as_f64().unwrap_or(f64::NAN) / 1e9,
            ok: statuses.get("OK").and_then(Value::as_u64).unwrap_or(0),
            statuses: shown.join(", "),
        }
    }
}

/// Where ghz is: in the tools' folder, or on the path.
pub fn find_ghz() -> Option<PathBuf> {
    let tools = env::var_os("COUNTERSIGN_TOOLS").map(|tools| Path::new(&tools).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    tools.into_iter().chain(env::split_paths(&path)).map(|folder| folder.join("ghz")).find(|file| file.is_file())
}

fn at_of(target: &Target, name: &str) -> PathBuf {
    target.dir.path().join(name)
}

fn on_core(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

const CONFIG: &str = r#"
[listen]
unix = "sock/countersign.sock"
drain = "1s"
[http]
address = "127.0.0.1:0"
[keyring]
path = "keyring"
kek_file = "kek"
[ledger]
path = "ledger.sqlite"

[journal]
path = "journal.jsonl"
[[liveauth.domains]]
name = "jobs.example.com"
key = "jobs"
[[policy.rules]]
name = "all"
callers = ["*"]
verbs = ["mint"]
domains = ["*"]
"#;
