//! What `serve` refuses to start with, each with its remedy, and what it leaves as it was.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::service::{BINARY, CONFIG, Service, folder, keys, run, stderr, stdout};

/// Starts `serve` in `at`, which must refuse with exit code 2 and one line that holds every one of `words`.
pub fn refuses(at: &Path, args: &[&str], words: &[&str]) {
    let config = at.join("config.toml");
    let mut all = vec!["serve", "--config", config.to_str().unwrap()];
    all.extend(args);
    let output = run(&all, b"");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.trim_end().lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn an_empty_policy_is_refused() {
    let dir = folder(CONFIG.split("[[policy.rules]]").next().unwrap());
    refuses(dir.path(), &["--allow-root"], &["policy.rules is empty", "add a rule"]);
}

#[test]
fn root_is_refused_unless_allowed() {
    if !rustix::process::geteuid().is_root() {
        return; // any other user is what is wanted
    }
    refuses(folder(CONFIG).path(), &[], &["root", "--allow-root"]);
}

#[test]
fn the_vendors_sample_secret_is_refused_outside_dev() {
    let dir = tempfile::tempdir().unwrap();
    // A taken port ends `dev` once its folder is made.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let made = run(&["dev", "--dir", dir.path().to_str().unwrap(), "--listen", &address, "--http", "127.0.0.1:0"], b"");
    assert_eq!(made.status.code(), Some(2));
    assert!(stderr(&made).contains(&address), "{}", stderr(&made));
    refuses(dir.path(), &["--allow-root"], &["LiveAuth document", "import"]);
}

#[test]
fn a_key_log_file_is_refused() {
    let dir = folder(CONFIG);
    let output = Command::new(BINARY)
        .args(["serve", "--allow-root", "--config"])
        .arg(dir.path().join("config.toml"))
        .env("SSLKEYLOGFILE", "/dev/null")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("SSLKEYLOGFILE"), "{}", stderr(&output));
}

#[test]
fn loose_modes_are_refused_with_the_command_that_mends_them() {
    for file in ["kek", "keyring"] {
        let dir = folder(CONFIG);
        fs::set_permissions(dir.path().join(file), fs::Permissions::from_mode(0o644)).unwrap();
        refuses(dir.path(), &["--allow-root"], &[file, "chmod"]);
    }
}

#[test]
fn a_missing_key_is_named() {
    let dir = folder(&CONFIG.replace("key = \"jobs\"", "key = \"absent\""));
    refuses(dir.path(), &["--allow-root"], &["jobs.example.com", "absent", "keys import"]);
}

#[test]
fn a_key_of_the_wrong_kind_is_named() {
    let dir = folder(&CONFIG.replace("key = \"jobs\"", "key = \"acme\""));
    refuses(dir.path(), &["--allow-root"], &["acme", "liveauth"]);
}

#[test]
fn an_occupied_socket_is_left_alone_and_a_stale_one_is_replaced() {
    let service = Service::start(CONFIG);
    refuses(service.dir.path(), &["--allow-root"], &["countersign.sock"]);
    assert_eq!(service.open("x", "j")["verdict"], "VERDICT_MALFORMED", "the first one goes on");
    service.signal("KILL");
    let (_, _, dir) = service.wait();
    assert!(dir.path().join("sock/countersign.sock").exists(), "killed, it could not clean up");
    let again = Service::start_in(dir);
    assert_eq!(again.open("x", "j")["verdict"], "VERDICT_MALFORMED");
}

#[test]
fn a_file_in_the_sockets_place_is_refused_and_kept() {
    let dir = folder(CONFIG);
    fs::create_dir(dir.path().join("sock")).unwrap();
    fs::write(dir.path().join("sock/countersign.sock"), "precious").unwrap();
    refuses(dir.path(), &["--allow-root"], &["countersign.sock"]);
    assert_eq!(fs::read_to_string(dir.path().join("sock/countersign.sock")).unwrap(), "precious");
}

#[test]
fn an_occupied_http_port_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = folder(&CONFIG.replace("127.0.0.1:0", &address));
    refuses(dir.path(), &["--allow-root"], &[&address, "taken"]);
}

#[test]
fn the_socket_is_for_its_owner_and_group() {
    let service = Service::start(CONFIG);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&service.socket()), 0o660);
    assert_eq!(mode(service.socket().parent().unwrap()), 0o750);
}

#[test]
fn config_check_says_what_is_wrong_and_what_is_odd() {
    let dir = folder(CONFIG);
    let config = dir.path().join("config.toml");
    let check = || run(&["config", "check", config.to_str().unwrap()], b"");
    let fine = check();
    assert!(fine.status.success() && stdout(&fine).contains("ok") && stderr(&fine).is_empty(), "{}", stderr(&fine));
    fs::write(&config, CONFIG.replace("key = \"jobs\"", "key = \"absent\"")).unwrap();
    let odd = check();
    assert!(odd.status.success() && stderr(&odd).contains("absent"), "{}", stderr(&odd));
    fs::write(&config, CONFIG.replace("[keyring]", "[keyrings]")).unwrap();
    let wrong = check();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("line 6") && stderr(&wrong).contains("keyrings"), "{}", stderr(&wrong));
    let missing = run(&["config", "check", "/nonexistent/config.toml"], b"");
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn another_user_is_another_caller() {
    if !rustix::process::geteuid().is_root() {
        // Past the capture of the test harness: a skip must be seen when all tests pass, too.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root\n");
        assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs root");
        return;
    }
    let service = Service::start(&CONFIG.replace("callers = [\"*\"]", "callers = [\"uid:4242\"]"));
    service.fails(
        "Verify",
        &serde_json::json!({"app": "acme", "auth": "x", "username": "j"}),
        "permission_denied",
        "NO_RULE",
        "",
    );
    // The other user needs a way to the socket and to a binary of its own.
    fs::set_permissions(service.dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(service.socket().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(service.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let bin = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let binary = bin.path().join("countersign");
    fs::copy(BINARY, &binary).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=4242", "--regid=4242", "--clear-groups"])
        .arg(&binary)
        .args(["hub", "verify", "--app", "acme", "--username", "j", "--address", &service.address()])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), stdout(&output).trim()), (Some(1), "MALFORMED"), "{}", stderr(&output));
}

#[test]
fn an_unknown_key_argument_never_echoes_a_secret() {
    let dir = folder(CONFIG);
    let output = run(&["keys", "import", "--key", "x", "--kind", "liveauth", "--secret", "hunter2"], b"");
    assert_eq!(output.status.code(), Some(2));
    keys(dir.path(), &["list"], b"");
}

#[test]
fn the_process_is_closed_to_core_dumps_debuggers_and_new_privileges() {
    let service = Service::start(CONFIG);
    let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", service.pid())).unwrap();
    let limits = of("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert!(of("status").lines().any(|line| line == "NoNewPrivs:\t1"));
    // Not dumpable: its files in /proc belong to root, whoever runs it. As root that is no difference.
    if !rustix::process::geteuid().is_root() {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(format!("/proc/{}/mem", service.pid())).unwrap().uid(), 0);
    }
}
