//! What these tests share: tokens to reseal, runs of the command, and a look at what came out.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::json;

use crate::service::{BINARY, Service, base64, keys, stderr, stdout};

pub const USER: &str = "jane@example.com";

/// So many tokens of [`USER`], each with its number as payload.
pub fn tokens(service: &Service, count: usize) -> Vec<String> {
    let item = |n: usize| json!({"app": "acme", "username": USER, "payload": base64(n.to_string().as_bytes())});
    let numbers: Vec<usize> = (0..count).collect();
    let seal = |some: &[usize]| -> Vec<String> {
        let answer = service.ok("BatchSeal", &json!({"items": some.iter().map(|&n| item(n)).collect::<Vec<_>>()}));
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|result| result["response"]["auth"].as_str().unwrap().to_owned()).collect()
    };
    // A request is bounded in bytes, too.
    numbers.chunks(500).flat_map(seal).collect()
}

/// A second version of the key, so that what is resealed shows: it is the active one from now on.
pub fn rotate(service: &Service) {
    let second = "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f";
    let args = ["import", "--key", "acme", "--kind", "hat1", "--encoding", "hex"];
    keys(service.dir.path(), &args, second.as_bytes());
    let before = service.log().matches("reloaded").count();
    service.signal("HUP");
    service.await_log("reloaded", before + 1);
}

/// A CSV table of tokens.
pub fn table<'a>(tokens: impl Iterator<Item = &'a String>) -> String {
    let rows: Vec<String> = tokens.map(|token| format!("{token},{USER}\n")).collect();
    format!("token,username\n{}", rows.concat())
}

/// The arguments of a run over files in the service's folder.
pub fn arguments(service: &Service, input: &str, out: &str, more: &[&str]) -> Vec<String> {
    let at = |name: &str| service.dir.path().join(name).display().to_string();
    let (input, out, address) = (at(input), at(out), service.address());
    let args = ["hub", "reseal", "--app", "acme", "--in", &input, "--out", &out, "--address", &address];
    args.iter().chain(more).map(ToString::to_string).collect()
}

pub fn run(service: &Service, input: &str, out: &str, more: &[&str]) -> Output {
    Command::new(BINARY).args(arguments(service, input, out, more)).stdin(Stdio::null()).output().unwrap()
}

/// A run in which each row came out well; gives the output.
pub fn completes(service: &Service, input: &str, out: &str) -> Vec<u8> {
    let output = run(service, input, out, &[]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    read(service, out)
}

pub fn write(service: &Service, name: &str, content: impl AsRef<[u8]>) {
    let path = service.dir.path().join(name);
    let _ = fs::remove_file(&path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(content.as_ref()).unwrap();
}

pub fn read(service: &Service, name: &str) -> Vec<u8> {
    fs::read(service.dir.path().join(name)).unwrap()
}

pub fn exists(at: &Path, name: &str) -> bool {
    at.join(name).exists()
}

/// The tokens in a file, in order, and the file with `<token>` in their places.
pub fn parted(bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
    let is_of_token = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let (mut tokens, mut rest, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(next) = bytes[at..].windows(5).position(|window| window == b"hat1_") {
        rest.extend(&bytes[at..at + next]);
        let length = bytes[at + next..].iter().take_while(|b| is_of_token(b)).count();
        tokens.push(String::from_utf8_lossy(&bytes[at + next..at + next + length]).into_owned());
        rest.extend(b"<token>");
        at += next + length;
    }
    rest.extend(&bytes[at..]);
    (tokens, rest)
}

/// Each new token holds what the old one in its place holds, under the newer key.
pub fn are_resealed(service: &Service, old: &[String], new: &[String]) {
    assert_eq!(old.len(), new.len());
    assert_eq!(new.iter().collect::<HashSet<_>>().len(), new.len(), "a token is there twice");
    for (old, new) in old.iter().zip(new).step_by(old.len() / 50 + 1) {
        assert_ne!(old, new);
        let (old, new) = (service.open(old, USER), service.open(new, USER));
        assert_eq!((&new["verdict"], &new["payload"]), (&json!("VERDICT_VALID"), &old["payload"]));
        assert_eq!(new["claims"]["grantId"], old["claims"]["grantId"]);
        assert_eq!((&old["keyVersion"], &new["keyVersion"]), (&json!(1), &json!(2)));
    }
}
