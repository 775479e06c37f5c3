//! `docs/liveauth.md` shows whole programs: each is taken out of it and run as it stands, against `dev` and a stand-in for
//! LiveAuth. And the tables of the guide name what there is. What a program needs and is not installed is skipped with a
//! line on standard error, unless `COUNTERSIGN_REQUIRE_TOOLS=1`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use countersign::{audit::Op, authority::VendorProblem, policy::VerbName};

use crate::{
    grpc::{Dev, SAMPLE},
    vendor::{PAGE, Vendor},
};

#[test]
fn the_python_program_does_what_the_guide_says() {
    let venv = tools().join("venv/bin/python");
    let python = if venv.exists() { venv } else { "python3".into() };
    runs("python", "program.py", &[python.to_str().unwrap(), "-B"]);
}

#[test]
fn the_node_program_does_what_the_guide_says() {
    runs("js", "program.mjs", &["node"]);
}

#[test]
fn the_go_program_does_what_the_guide_says() {
    runs("go", "program.go", &["go", "run"]);
}

#[test]
fn the_php_program_does_what_the_guide_says() {
    runs("php", "program.php", &["php"]);
}

fn runs(language: &str, file: &str, command: &[&str]) {
    let (program, arguments) = command.split_first().unwrap();
    if !is_there(program) {
        let line = format!("skipped: needs {program}\n");
        // Past the capture of the test harness.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {program}");
        return;
    }
    let page = guide();
    let fence = format!("```{language}\n");
    let blocks: Vec<&str> = page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    let [code] = blocks.as_slice() else { panic!("docs/liveauth.md has {} blocks of {language}", blocks.len()) };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(file), code).unwrap();

    let vendor = Vendor::start_plain(SAMPLE);
    let dev = Dev::start(&vendor);
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .current_dir(folder.path())
        .env("PATH", path())
        .env("COUNTERSIGN", &dev.address)
        // Nothing here may be sent through somebody's proxy, nor leave the machine.
        .envs([("NO_PROXY", "*"), ("no_proxy", "*"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    let [auth, show, credentials, refused] = lines.as_slice() else { panic!("four lines are wanted:\n{said}") };
    let auth: serde_json::Value = serde_json::from_str(auth.strip_prefix("auth: ").unwrap()).unwrap();
    assert_eq!(auth["client"], 42);
    assert!(auth["expires"].as_i64().unwrap() > 1_700_000_000 && auth["hash"].as_str().unwrap().len() == 64);
    assert_eq!((*show, *credentials), (format!("show: {PAGE}").as_str(), "credentials: portal_6_token"));
    assert_eq!(*refused, "refused: VENDOR_REFUSED - no such login");
    let asked: Vec<String> = vendor.heard().iter().map(|heard| heard.path().to_owned()).collect();
    let paths = ["login", "complete-info", "complete-info"].map(|action| format!("/clients/api/liveauth/{action}"));
    assert_eq!(asked, paths);
}

#[test]
fn the_tables_name_every_method_verb_and_reason() {
    let page = guide();
    let has = |word: &str| assert!(page.contains(&format!("`{word}`")), "docs/liveauth.md does not say {word}");
    for verb in VerbName::ALL.into_iter().filter(|verb| verb.is_for_portals()) {
        has(verb.name());
    }
    for problem in VendorProblem::ALL.into_iter().filter(|problem| !problem.is_about_tokens()) {
        assert!(page.contains(&format!("| `{}` | `{}` |", problem.code().name(), problem.reason())), "{problem:?}");
    }
    let methods = ["Test", "GetStatus", "Login", "CompleteInfo", "Logout"];
    methods.into_iter().for_each(has);
    assert_eq!(Op::ALL.iter().filter(|op| op.name().starts_with("portal_")).count(), methods.len());
}

fn guide() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/liveauth.md")).unwrap()
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
