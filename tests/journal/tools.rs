//! What the tests of the journal share: its records as JSON, the command line on it, and waiting for a condition.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::service::{CONFIG, PATIENCE, Service, run, stderr};

/// The configuration with these lines in its `[journal]` section. On a machine that is busy with other tests a disk may
/// take longer than a call waits by default.
pub fn config(lines: &str) -> String {
    let given = if lines.contains("wait_ms") { "" } else { "wait_ms = 900\n" };
    CONFIG.replace("wait_ms = 900\n", &format!("{given}{lines}\n"))
}

pub fn journal(at: &Path) -> PathBuf {
    at.join("journal.jsonl")
}

/// The records in a file; every line of it must be one.
pub fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

pub fn of_kind(records: &[Value], kind: &str) -> Vec<Value> {
    records.iter().filter(|record| record["kind"] == kind).cloned().collect()
}

/// `countersign audit verify` on files in the folder, with its keyring.
pub fn verify(at: &Path, files: &[&str], more: &[&str]) -> Output {
    let paths: Vec<String> = files.iter().map(|file| at.join(file).display().to_string()).collect();
    let config = at.join("config.toml").display().to_string();
    let mut args = vec!["audit", "verify", "--config", &config];
    args.extend(paths.iter().map(String::as_str));
    args.extend(more);
    run(&args, b"")
}

/// The journal must hold; gives what was said.
pub fn holds(at: &Path, files: &[&str], more: &[&str]) -> String {
    let output = verify(at, files, more);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", stderr(&output));
    assert!(
        said.ends_with("OK: every record follows from the one before, and every seal is of this keyring\n"),
        "{said}"
    );
    said
}

/// Mints; the HTTP status, and what was answered.
pub fn mint(service: &Service, client: i64) -> (u16, Value) {
    service.post("MintHash", &json!({"domain": "jobs.example.com", "client": client}))
}

pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until minting goes again.
pub fn recovers(service: &Service) {
    until("minting again", || mint(service, 1).0 == 200);
}

/// A mint is refused, for want of a record, and says when to try again; verifying what is valid goes on.
pub fn is_refused(service: &Service, fault: &str) {
    let (status, answer) = mint(service, 1);
    assert_eq!((status, crate::service::reason_of(&answer).as_str()), (503, "JOURNAL_UNAVAILABLE"), "{answer}");
    assert_eq!(answer["code"], "unavailable");
    assert!(answer["details"].to_string().contains("google.rpc.RetryInfo"), "{answer}");
    until(fault, || metric(service, &format!("countersign_journal_fault{{kind=\"{fault}\"}}")) > 0.0);
    let ready = service.http("/readyz?verbose").1;
    assert!(ready.contains(&format!("journal: {fault}, calls that need a record are refused")), "{ready}");
    service.await_log(&format!("\"fault\":\"{fault}\""), 1);
}

/// The value of a metric, by its whole name with labels.
pub fn metric(service: &Service, name: &str) -> f64 {
    let text = service.http("/metrics").1;
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name}: {text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// Stops the service cleanly, and gives its folder.
pub fn stop(service: Service) -> tempfile::TempDir {
    service.signal("TERM");
    let (status, _, dir) = service.wait();
    assert_eq!(status.code(), Some(0));
    dir
}

/// Says that a test is skipped, or fails where it must not be.
pub fn skipped(needs: &str) {
    // Past the capture of the test harness: a skip must be seen when all tests pass, too.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: needs {needs}\n").as_bytes());
    assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {needs}");
}

pub fn is_there(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|o| o.status.success())
}

/// strace on a running service, until [`Strace::end`].
pub struct Strace(Child);

impl Strace {
    /// `None` where there is no strace.
    pub fn on(service: &Service, args: &[&str]) -> Option<Self> {
        if !is_there("strace") {
            return None;
        }
        let pid = service.pid().to_string();
        Some(Self(Command::new("strace").args(["-f", "-qq", "-p", &pid]).args(args).spawn().unwrap()))
    }

    /// Lets a system call fail with EIO, on all files or on the one named.
    pub fn failing(service: &Service, call: &str, file: Option<&Path>) -> Option<Self> {
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EIO"));
        let mut args = vec!["-o", "/dev/null", "-e", &trace, "-e", &inject];
        args.extend(file.iter().flat_map(|file| ["-P", file.to_str().unwrap()]));
        Self::on(service, &args)
    }

    pub fn end(mut self) {
        Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        self.0.wait().unwrap();
    }
}

/// A small file system on a folder, taken down when dropped. Needs root.
pub struct Mount(PathBuf);

impl Mount {
    pub fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "journal-test"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    pub fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
