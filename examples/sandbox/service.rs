//! Countersign itself, as a process of its own in a temporary folder: this program once more, which then is nothing but
//! `countersign dev` with a configuration of its own. So what holds keys closes itself as it does anywhere, and shares no
//! memory with those who call it.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use ::countersign::{
    app::{self, DevOptions, Options, dev},
    clock::Clock,
    config::Config,
};

use crate::origins::Origins;

/// What the service says once it takes calls.
const READY: &str = "ready";

/// The process, and its folder. Both go away with it.
pub(crate) struct Service {
    process: Child,
    folder: tempfile::TempDir,
}

impl Service {
    /// Starts it and waits until it takes calls.
    pub(crate) fn start(origins: &Origins) -> Result<Self, String> {
        let failed = |error: io::Error| format!("Countersign does not start: {error}");
        // Ours alone: whoever can reach the socket may do everything.
        let ours = fs::Permissions::from_mode(0o700);
        let folder =
            tempfile::Builder::new().prefix("countersign-sandbox-").permissions(ours).tempdir().map_err(failed)?;
        fs::write(folder.path().join("config.toml"), config(origins)).map_err(failed)?;
        let mut process = Command::new(std::env::current_exe().map_err(failed)?)
            .arg("--countersign")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = process.stdout.take();
        let service = Self { process, folder };
        let said = stdout.and_then(|stdout| BufReader::new(stdout).lines().next()).transpose().map_err(failed)?;
        match said.as_deref() {
            Some(READY) => Ok(service),
            // Why, it has said on standard error.
            _ => Err("Countersign does not start".into()),
        }
    }

    /// Where it is called.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.folder.path().join("countersign.sock").display())
    }

    /// Waits for its end, which nobody has asked for.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Ok(Some(status)) = self.process.try_wait() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The other half: what the process does.
pub(crate) fn be_countersign(folder: &Path) -> Result<(), String> {
    // Somebody's terminal may go away, and with it the sandbox: then this goes too.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .map_err(|error| format!("cannot be bound to the sandbox: {error}"))?;
    let _ = app::harden();
    let folder = dev::Folder::prepare(Some(folder), Clock::system().now()).map_err(|failure| failure.message)?;
    let config_file = folder.config_file();
    let config = Config::load(&config_file).map_err(|error| error.to_string())?;
    let any = ([127, 0, 0, 1], 0).into();
    let dev = Some(DevOptions { listen: any, http: any, temporary_folder: None });
    let options = Options { config_file, allow_root: true, dev };
    let ready = |_: &app::Endpoints| {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{READY}").and_then(|()| out.flush());
    };
    app::run(config, options, ready).map_err(|failure| failure.message)
}

/// As in `deploy/config.toml`, for this machine alone: the vendors are on loopback, without TLS.
fn config(origins: &Origins) -> String {
    let (liveauth, hub) = (&origins.liveauth, &origins.hub);
    format!(
        r#"# Made by the sandbox.
[listen]
unix = "countersign.sock"
reflection = true

[keyring]
path = "keyring"
kek_file = "kek"

[journal]
path = "journal.jsonl"
# A laptop may be busy with its browser.
wait_ms = 2000

[ledger]
path = "ledger.sqlite"

[log]
format = "human"
level = "error"

[limits]
deadline = "5s"
rate = "off"

[outbound]
timeout = "3s"
insecure_loopback = true

[liveauth]
endpoint = "{liveauth}/clients/api/liveauth/"
timeout = "3s"

[[liveauth.domains]]
name = "jobs.example.com"
key = "jobs.example.com"

[[hub.apps]]
name = "acme-contacts"
key = "acme-contacts"
generation = 1
origins = ["{hub}"]

[[hub.apps]]
name = "acme-contacts-2"
key = "acme-contacts"
generation = 2
hub_name = "acme-contacts"
origins = ["{hub}"]

[[policy.rules]]
name = "the sandbox may do everything"
callers = ["*"]
verbs = ["mint", "verify", "seal", "open", "reseal", "revoke", "portal_read", "portal_login", "portal_logout", "login", "renew", "resolve", "notify"]
domains = ["*"]
apps = ["*"]
"#
    )
}
