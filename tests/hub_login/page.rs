//! `docs/hub.md` shows whole programs: each is taken out of it and run as it stands, against a service and a Hub of either
//! generation. What a program needs and is not installed is skipped with a line on standard error, unless
//! `COUNTERSIGN_REQUIRE_TOOLS=1`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use countersign::{authority::VendorProblem, policy::VerbName};
use serde_json::json;

use crate::{
    asking::{started, tcp},
    hub::Hub,
};

const USER: &str = "jane@example.com";

#[test]
fn the_python_program_does_what_the_page_says() {
    let venv = tools().join("venv/bin/python");
    let python = if venv.exists() { venv } else { "python3".into() };
    runs("python", "program.py", &[python.to_str().unwrap(), "-B"]);
}

#[test]
fn the_node_program_does_what_the_page_says() {
    runs("js", "program.mjs", &["node"]);
}

#[test]
fn the_go_program_does_what_the_page_says() {
    runs("go", "program.go", &["go", "run"]);
}

#[test]
fn the_php_program_does_what_the_page_says() {
    runs("php", "program.php", &["php"]);
}

#[test]
fn the_page_names_every_verb_method_and_reason() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hub.md")).unwrap();
    let has = |word: &str| assert!(page.contains(&format!("`{word}`")), "docs/hub.md does not say {word}");
    for problem in VendorProblem::ALL.into_iter().filter(|&problem| problem != VendorProblem::Unreadable) {
        has(problem.reason());
        has(problem.code().name());
    }
    assert!(
        VerbName::ALL
            .into_iter()
            .filter(|verb| verb.is_for_hubs())
            .all(|verb| page.contains(&format!("{:?}", verb.name())))
    );
    ["BeginLogin", "CompleteLogin", "RenewAuth", "ResolveLogin", "NotifyUpdate", "resolve"].into_iter().for_each(has);
}

fn runs(language: &str, file: &str, command: &[&str]) {
    if !is_there(command[0]) {
        let line = format!("skipped: needs {}\n", command[0]);
        // Past the capture of the test harness.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {}", command[0]);
        return;
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hub.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks: Vec<&str> = page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    let [code] = blocks.as_slice() else { panic!("docs/hub.md has {} blocks of {language}", blocks.len()) };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(file), code).unwrap();

    let hub = Hub::open();
    let said = run(&hub, "", &hub.authenticate_2("1"), folder.path(), command, file);
    let expected = [
        "opened: a refresh token",
        "not opened: VERDICT_WRONG_CONTEXT",
        "renewed: VERDICT_VALID",
        "refused: invalid_argument",
    ];
    assert_eq!(said, expected, "generation 2");
    let said = run(&hub, "generation = 1", &hub.authenticate_1(), folder.path(), command, file);
    assert_eq!(said, ["opened: a refresh token", "not opened: VERDICT_WRONG_CONTEXT", "refused: invalid_argument"]);
}

/// Runs the program with a browser and a Hub about it; gives what it says after the user was sent on.
fn run(hub: &Hub, app: &str, target: &str, folder: &Path, command: &[&str], file: &str) -> Vec<String> {
    let service = started(hub, app);
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .arg(file)
        .current_dir(folder)
        .env("PATH", path())
        .env("COUNTERSIGN", tcp(&service))
        .env("REQUEST_TARGET", target)
        // Nothing here may be sent through somebody's proxy, nor leave the machine.
        .envs([("NO_PROXY", "*"), ("no_proxy", "*"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let Some(url) = first.strip_prefix("redirect: ").map(str::trim) else {
        let output = child.wait_with_output().unwrap();
        panic!("{first}{}", String::from_utf8_lossy(&output.stderr));
    };
    if app.is_empty() {
        assert_eq!(hub.browse(url), 200);
    } else {
        assert_eq!(url, format!("{}/success?app=acme", hub.origin()));
    }
    let auth = hub.kept(USER).unwrap();
    // Generation 2 hands it round as JSON text.
    let auth = if app.is_empty() { format!("\"{auth}\"") } else { auth };
    writeln!(child.stdin.take().unwrap(), "{}", json!({"auth": auth, "username": USER})).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{rest}{}", String::from_utf8_lossy(&output.stderr));
    rest.lines().map(str::to_owned).collect()
}

fn is_there(program: &str) -> bool {
    let version = if program == "go" { "version" } else { "--version" };
    let mut asked = Command::new(program);
    asked.arg(version).env("PATH", path()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// Where `.ci/run` installs programs.
fn tools() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("COUNTERSIGN_TOOLS").map_or_else(|| root.join("target/ci-tools"), PathBuf::from)
}

fn path() -> std::ffi::OsString {
    let known = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(tools().join("bin")).chain(std::env::split_paths(&known))).unwrap()
}
