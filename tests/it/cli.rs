//! The command line that other people's scripts rely on.

use serde_json::Value;

use crate::service::{CONFIG, Service, run, stderr, stdout};

const MINT: [&str; 6] = ["liveauth", "mint", "--domain", "jobs.example.com", "--client", "42"];
const CONTEXT: [&str; 4] = ["--app", "acme", "--username", "jane@example.com"];

fn hub<'a>(command: &'a str, context: &[&'a str]) -> Vec<&'a str> {
    [&["hub", command], context].concat()
}

#[test]
fn a_mint_prints_what_a_page_or_a_back_end_needs() {
    let service = Service::start(CONFIG);
    let mint = |more: &[&str]| {
        let output = service.cli(&[&MINT[..], more].concat(), b"");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    assert!(mint(&[]).contains("referer  https://jobs.example.com/"));
    let json: Value = serde_json::from_str(&mint(&["--output", "json"])).unwrap();
    assert_eq!(json["client"], "42");
    let auth: Value = serde_json::from_str(&mint(&["--format", "auth-json", "--ttl", "15m"])).unwrap();
    assert!(auth["client"] == 42 && auth["expires"].is_i64() && auth["hash"].as_str().unwrap().len() == 64, "{auth}");
    assert!(mint(&["--format", "query"]).starts_with("client=42&expires="));
    assert_eq!(mint(&["--format", "meta"]).matches("<meta name=\"x-liveauth-").count(), 3);
    let curl = mint(&["--format", "curl"]);
    assert!(curl.starts_with("curl ") && curl.contains("-H 'Referer: https://jobs.example.com/'"), "{curl}");

    let (expires, hash) = (auth["expires"].to_string(), auth["hash"].as_str().unwrap());
    let verify = |expires: &str, hash: &str| {
        let output = service.cli(
            &[
                "liveauth",
                "verify",
                "--domain",
                "jobs.example.com",
                "--client",
                "42",
                "--expires",
                expires,
                "--hash",
                hash,
            ],
            b"",
        );
        (output.status.code(), stdout(&output))
    };
    assert_eq!(verify(&expires, hash), (Some(0), "VALID\n".into()));
    assert_eq!(verify("1", hash), (Some(1), "BAD_SIGNATURE\n".into()));
    assert_eq!(verify("-1", hash), (Some(1), "MALFORMED\n".into()));
}

#[test]
fn payloads_are_byte_exact_and_tokens_lose_one_newline() {
    let service = Service::start(CONFIG);
    let payload = b"\x00\xff binary\r\n\n";
    let sealed = service.cli(&hub("seal", &CONTEXT), payload);
    assert_eq!(sealed.status.code(), Some(0), "{}", stderr(&sealed));
    let token = stdout(&sealed);
    assert!(token.starts_with("hat1_") && token.ends_with('\n') && token.lines().count() == 1);
    // The token goes in with the newline it came out with.
    let opened = service.cli(&hub("open", &CONTEXT), token.as_bytes());
    assert_eq!((opened.status.code(), opened.stdout.as_slice()), (Some(0), &payload[..]));
    let verified = service.cli(&hub("verify", &CONTEXT), token.trim_end().as_bytes());
    assert_eq!((verified.status.code(), stdout(&verified)), (Some(0), "VALID\n".into()));
    let resealed = service.cli(&hub("reseal", &CONTEXT), token.as_bytes());
    assert_eq!(resealed.status.code(), Some(0));
    assert_ne!(stdout(&resealed), token);
    let two = service.cli(&hub("verify", &CONTEXT), format!("{token}\n").as_bytes());
    assert_eq!((two.status.code(), stdout(&two)), (Some(1), "MALFORMED\n".into()));
}

#[test]
fn what_is_not_valid_prints_no_payload_and_exits_1() {
    let service = Service::start(CONFIG);
    let token = stdout(&service.cli(&hub("seal", &CONTEXT), b"secret payload"));
    let other = ["--app", "acme", "--username", "mallory@example.com"];
    for command in ["open", "reseal"] {
        let output = service.cli(&hub(command, &other), token.as_bytes());
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()));
        assert!(stderr(&output).contains("WRONG_CONTEXT"), "{}", stderr(&output));
    }
    let json = service.cli(&hub("open", &[&other[..], &["--output", "json"]].concat()), token.as_bytes());
    assert_eq!(json.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap()["verdict"], "VERDICT_WRONG_CONTEXT");
}

#[test]
fn a_hub_login_token_comes_from_a_file() {
    let service = Service::start(CONFIG);
    let file = service.dir.path().join("login");
    std::fs::write(&file, "s:abc+/=\n").unwrap();
    let bound = [&CONTEXT[..], &["--hub-login-token-file", file.to_str().unwrap()]].concat();
    let token = stdout(&service.cli(&hub("seal", &bound), b"p"));
    assert_eq!(service.cli(&hub("verify", &bound), token.as_bytes()).status.code(), Some(0));
    let without = service.cli(&hub("verify", &CONTEXT), token.as_bytes());
    assert_eq!((without.status.code(), stdout(&without)), (Some(1), "WRONG_CONTEXT\n".into()));
    assert!(stderr(&without).contains("binding_value_missing"));
    let absent = service.cli(&hub("seal", &[&CONTEXT[..], &["--hub-login-token-file", "/nonexistent"]].concat()), b"p");
    assert_eq!(absent.status.code(), Some(2));
}

#[test]
fn exit_codes_are_as_documented() {
    let service = Service::start(CONFIG);
    let code = |args: &[&str]| {
        let output = service.cli(args, b"x");
        let said = stderr(&output);
        assert!(said.trim_end().lines().filter(|line| line.starts_with("countersign:")).count() <= 1, "{said}");
        output.status.code()
    };
    assert_eq!(code(&["liveauth", "mint", "--domain", "nowhere.example", "--client", "1"]), Some(2));
    assert_eq!(code(&["liveauth", "mint", "--domain", "jobs.example.com", "--client", "0"]), Some(2));
    assert_eq!(code(&["liveauth", "mint", "--domain", "jobs.example.com", "--client", "x"]), Some(2));
    assert_eq!(code(&["liveauth", "mint", "--domain", "jobs.example.com", "--client", "1", "--ttl", "2h"]), Some(2));
    assert_eq!(code(&["hub", "seal", "--app", "nobody", "--username", "j"]), Some(2));
    let denied = Service::start(&CONFIG.replace("\"mint\", ", ""));
    assert_eq!(denied.cli(&MINT, b"").status.code(), Some(3));
    let gone = run(&[&MINT[..], &["--address", "unix:/nonexistent/countersign.sock"]].concat(), b"");
    assert_eq!(gone.status.code(), Some(4), "{}", stderr(&gone));
    let tcp = run(&[&MINT[..], &["--address", "http://127.0.0.1:1"]].concat(), b"");
    assert_eq!(tcp.status.code(), Some(4), "{}", stderr(&tcp));
    for bad in ["", "countersign.sock", "ftp://x", "unix:", "https://localhost:1"] {
        let output = run(&[&MINT[..], &["--address", bad]].concat(), b"");
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {}", stderr(&output));
    }
    assert_eq!(run(&["no-such-command"], b"").status.code(), Some(2));
    assert_eq!(run(&[], b"").status.code(), Some(2));
}

#[test]
fn help_completions_and_pages_are_there() {
    for args in [&["--help"][..], &["help", "hub", "seal"], &["keys", "import", "--help"], &["--version"]] {
        let output = run(args, b"");
        assert!(output.status.success() && !output.stdout.is_empty(), "{args:?}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(stdout(&run(&["completions", shell], b"")).contains("countersign"), "{shell}");
    }
    assert!(stdout(&run(&["man"], b"")).contains(".TH countersign"));
    let dir = tempfile::tempdir().unwrap();
    assert!(run(&["man", "--dir", dir.path().to_str().unwrap()], b"").status.success());
    assert!(dir.path().join("countersign-hub-seal.1").exists());
}

/// A reader that went away must not turn a refusal into a success.
#[test]
fn a_closed_output_does_not_change_the_verdict() {
    let service = Service::start(CONFIG);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = std::process::Command::new(crate::service::BINARY)
        .args(["hub", "verify", "--app", "acme", "--username", "j", "--address", &service.address()])
        .stdin(std::process::Stdio::null())
        .stdout(writer)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
