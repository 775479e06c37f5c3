//! The command line says the same of keys through a service as on the file, and ends with the same code.

use std::{path::Path, process::Output};

use serde_json::Value;

use crate::{
    changing::writable,
    service::{self, Service, run, stderr, stdout},
};

/// What is drawn, or depends on the moment, made alike: ids, times, paths.
fn plain(text: &str, at: &Path) -> String {
    let text = text.replace(&at.display().to_string(), "DIR");
    let mut plain = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || c == '-' || c == ':' {
            word.push(c);
            continue;
        }
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let is_hex = word.len() >= 16 && word.chars().all(|c| c.is_ascii_hexdigit());
        let is_time = word.ends_with('Z') && digits == 14 || word.len() == 10 && digits == 10;
        plain.push_str(if is_hex || is_time { "#" } else { &word });
        word.clear();
        plain.push(c);
    }
    plain
}

/// Without what is known of use: the one has a ledger that has seen the keys, the other has none.
fn without_use(text: &str) -> String {
    if let Ok(mut told) = serde_json::from_str::<Value>(text) {
        strip(&mut told);
        return told.to_string();
    }
    let column = text.lines().next().and_then(|header| header.find("SAFE TO DESTROY")).unwrap_or(usize::MAX);
    let is_other = |line: &&str| !["use ", "version ", "  "].iter().any(|start| line.starts_with(start));
    let cut = |line: &str| line.get(..column).unwrap_or(line).trim_end().to_owned() + "\n";
    text.lines().filter(is_other).map(cut).collect()
}

fn strip(told: &mut Value) {
    match told {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "usage" && name != "ledger");
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

struct Both {
    service: Service,
    file: tempfile::TempDir,
}

impl Both {
    fn new() -> Self {
        Self { service: Service::start(&writable()), file: service::folder(&writable()) }
    }

    /// Runs the command both ways; gives what it ended with.
    fn keys(&self, args: &[&str], stdin: &[u8]) -> Output {
        let admin = format!("unix:{}/sock/admin.sock", self.service.dir.path().display());
        let config = self.file.path().join("config.toml");
        let online = run(&[&["keys"], args, &["--address", &admin]].concat(), stdin);
        let offline = run(&[&["keys"], args, &["--config", config.to_str().unwrap()]].concat(), stdin);
        assert_eq!(online.status.code(), offline.status.code(), "{args:?}\n{}{}", stderr(&online), stderr(&offline));
        let of = |output: &Output, at: &Path| plain(&without_use(&stdout(output)), at);
        assert_eq!(of(&online, self.service.dir.path()), of(&offline, self.file.path()), "{args:?}");
        if online.status.success() {
            let told = |output: &Output, at: &Path| plain(&stderr(output), at);
            assert_eq!(told(&online, self.service.dir.path()), told(&offline, self.file.path()), "{args:?}");
        }
        online
    }

    fn well(&self, args: &[&str], stdin: &[u8]) -> String {
        let done = self.keys(args, stdin);
        assert!(done.status.success(), "{args:?}: {}", stderr(&done));
        stdout(&done)
    }
}

#[test]
fn every_command_prints_the_same_both_ways() {
    let both = Both::new();
    for output in ["text", "json"] {
        let key = format!("k-{output}");
        let on = |command: &str, more: &[&str]| {
            let mut args = vec![command.to_owned()];
            args.extend(["--key".into(), key.clone(), "--output".into(), output.into()]);
            args.extend(more.iter().map(|&text| text.to_owned()));
            args
        };
        let well = |command: &str, more: &[&str], stdin: &[u8]| {
            let args = on(command, more);
            both.well(&args.iter().map(String::as_str).collect::<Vec<_>>(), stdin)
        };
        well("create", &["--kind", "hat1"], b"");
        let staged = well("rotate", &[], b"");
        assert!(staged.contains("pre-active"), "{staged}");
        well("suspend", &["--key-version", "2"], b"");
        well("resume", &["--key-version", "2"], b"");
        well("mark-compromised", &["--key-version", "2"], b"");
        well("destroy", &["--key-version", "2", "--force"], b"");
        well("suspend", &["--key-version", "1"], b"");
        well("show", &[], b"");
        both.well(&["list", "--output", output], b"");
    }
    let import = ["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"];
    both.well(&import, b"short\n");
    let later = (service::now() + 86_400).to_string();
    let rotate = ["rotate", "--key", "jobs", "--encoding", "hex", "--activate-at", &later];
    let said = both.well(&rotate, b"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    assert!(said.starts_with("staged version 3 of key jobs (liveauth): pre-active until 20"), "{said}");
    both.well(&["show", "--key", "jobs"], b"");
    both.well(&["show", "--key", "jobs", "--output", "json"], b"");
}

#[test]
fn every_refusal_ends_with_the_same_code_both_ways() {
    let both = Both::new();
    let refused = |args: &[&str], stdin: &[u8]| {
        let done = both.keys(args, stdin);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", stderr(&done));
        assert_eq!(stderr(&done).trim_end().lines().filter(|line| line.starts_with("countersign: ")).count(), 1);
    };
    refused(&["show", "--key", "nowhere"], b"");
    refused(&["create", "--key", "acme", "--kind", "hat1"], b"");
    refused(&["create", "--key", "other", "--kind", "liveauth"], b"");
    refused(&["rotate", "--key", "nowhere"], b"");
    refused(&["rotate", "--key", "jobs"], b"");
    refused(&["suspend", "--key", "acme", "--key-version", "7"], b"");
    refused(&["resume", "--key", "acme", "--key-version", "1"], b"");
    refused(&["destroy", "--key", "acme", "--key-version", "1", "--force"], b"");
    refused(&["import", "--key", "acme", "--kind", "hat1", "--encoding", "raw"], b"too short");
    refused(&["import", "--key", "acme", "--kind", "liveauth", "--encoding", "raw"], b"another kind");
    refused(&["import", "--key", "acme", "--kind", "hat1", "--encoding", "hex"], service::HAT1.as_bytes());
    refused(&["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"], b"whatissixtimesnine");
    refused(&["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw", "--activate-at", "7"], b"past");
}

#[test]
fn the_way_is_chosen_by_what_is_named() {
    let service = Service::start(&writable());
    let at = service.dir.path();
    let (ordinary, admin) = (service.address(), format!("unix:{}/sock/admin.sock", at.display()));
    let config = at.join("config.toml").display().to_string();

    let both = run(&["keys", "list", "--address", &admin, "--config", &config], b"");
    assert_eq!(both.status.code(), Some(2), "{}", stderr(&both));
    // A file that is named goes before an address in the environment, which goes before the usual place.
    let with = |args: &[&str], address: &str| {
        let mut command = std::process::Command::new(service::BINARY);
        command.args(args).env("COUNTERSIGN_ADDRESS", address).output().unwrap()
    };
    assert!(with(&["keys", "list", "--config", &config], "unix:/nowhere").status.success());
    assert!(with(&["keys", "list"], &admin).status.success());
    assert!(with(&["reload"], &admin).status.success());
    let ordinary = with(&["keys", "list"], &ordinary);
    assert_eq!(ordinary.status.code(), Some(2));
    assert!(stderr(&ordinary).contains("admin.sock"), "{}", stderr(&ordinary));
    let nobody = run(&["keys", "list", "--address", "unix:/nowhere/admin.sock"], b"");
    assert_eq!(nobody.status.code(), Some(4), "{}", stderr(&nobody));

    std::fs::write(at.join("config.toml"), "nonsense").unwrap();
    let refused = run(&["reload", "--address", &admin], b"");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("RELOAD_REFUSED"), "{}", stderr(&refused));
    let denied = Service::start(service::CONFIG);
    let address = format!("unix:{}/sock/admin.sock", denied.dir.path().display());
    assert_eq!(run(&["keys", "rotate", "--key", "acme", "--address", &address], b"").status.code(), Some(3));
}
