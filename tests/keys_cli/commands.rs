//! What each command takes, says and refuses.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use countersign::keyring::Key;

use crate::run::{BINARY, Home, feed, skipped};

const SECRET: &[u8] = b"planted secret, 30 bytes long!";
const HEX: &str = "706c616e746564207365637265742c203330206279746573206c6f6e6721";
const BASE64: &str = "cGxhbnRlZCBzZWNyZXQsIDMwIGJ5dGVzIGxvbmch";
const HAT1_HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn key<'a>(keys: &'a [Key], name: &str) -> &'a Key {
    keys.iter().find(|key| key.name.as_str() == name).unwrap()
}

#[test]
fn init_says_what_it_made_and_refuses_to_do_it_again() {
    let home = Home { dir: tempfile::tempdir().unwrap() };
    let made = home.keys("init", &[], b"").well();
    assert!(made.stdout.contains("made the KEK file") && made.stdout.contains("keys import"));
    home.keys("init", &[], b"").refused(2, "never replaces");
    let other = Home { dir: tempfile::tempdir().unwrap() };
    let json = other.keys("init", &["--output", "json"], b"").well().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["kekMade"].as_bool(), json["generation"].as_str()), (Some(true), Some("1")));
}

#[test]
fn one_trailing_newline_is_taken_off_every_encoding_and_said() {
    for (encoding, text) in [("raw", SECRET), ("hex", HEX.as_bytes()), ("base64", BASE64.as_bytes())] {
        let home = Home::new();
        let without = home.import("without", encoding, text).well();
        assert!(!without.stderr.contains("newline"), "{}", without.stderr);
        let with = home.import("with", encoding, &[text, b"\n"].concat()).well();
        assert!(with.stderr.contains("one trailing newline was taken off"), "{}", with.stderr);
        let loaded = home.load();
        assert!(loaded.keys.iter().all(|key| key.versions()[0].secret_len == 30));
    }
    let home = Home::new();
    let second = home.import("k", "raw", &[SECRET, b"\n\n"].concat()).well();
    assert!(second.stderr.contains("white space"), "{}", second.stderr);
    assert_eq!(home.load().keys[0].versions()[0].secret_len, 31);
}

#[test]
fn text_that_does_not_decode_or_is_too_long_is_refused_unquoted() {
    let home = Home::new();
    for (encoding, text) in [("hex", "706c61x"), ("hex", "706c6"), ("base64", "cGxh!!!!"), ("base64", "cGxh\ncGxh")] {
        let refused = home.import("k", encoding, text.as_bytes()).refused(2, "check --encoding");
        assert!(!refused.stderr.contains("706c") && !refused.stderr.contains("cGxh"));
    }
    home.import("k", "raw", &[b'x'; 4097]).refused(2, "1 to 4096 bytes");
    home.import("k", "raw", &vec![b'x'; 100_000]).refused(2, "too long");
    home.import("k", "raw", b"").refused(2, "1 to 4096 bytes");
    home.import("k", "raw", b"\n").refused(2, "1 to 4096 bytes");
    let hat1 = ["--key", "h", "--kind", "hat1", "--encoding", "hex"];
    home.keys("import", &hat1, HEX.as_bytes()).refused(2, "exactly 32 bytes");
    assert!(home.load().keys.is_empty());
}

#[test]
fn a_secret_comes_from_a_file_with_a_warning_if_others_can_read_it() {
    let home = Home::new();
    let file = home.path("secret");
    fs::write(&file, [SECRET, b"\n"].concat()).unwrap();
    let from = ["--key", "k", "--kind", "liveauth", "--encoding", "raw", "--from", file.to_str().unwrap()];
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let done = home.keys("import", &from, b"not this").well();
    assert!(done.stderr.contains("newline") && !done.stderr.contains("others"), "{}", done.stderr);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let done = home.keys("import", &from, b"").well();
    assert!(done.stderr.contains("others can read"), "{}", done.stderr);
    assert_eq!(home.load().keys[0].versions()[1].secret_len, 30);
    fs::remove_file(&file).unwrap();
    home.keys("import", &from, b"").refused(2, "cannot read the secret");
}

#[test]
fn hat1_keys_are_created_imported_and_staged() {
    let home = Home::new();
    home.keys("create", &["--key", "hub", "--kind", "hat1"], b"").well();
    home.keys("create", &["--key", "hub", "--kind", "hat1"], b"").refused(2, "there is a key hub already");
    home.keys("create", &["--key", "jobs", "--kind", "liveauth"], b"").refused(2, "keys import");
    let import = ["--key", "hub", "--kind", "hat1", "--encoding", "hex"];
    let staged = [&import[..], &["--suite", "chacha20-poly1305", "--activate-at", "4102444800", "--output", "json"]];
    let json = home.keys("import", &staged.concat(), HAT1_HEX.as_bytes()).well().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["version"], &json["state"], &json["activatesAt"]),
        (&2.into(), &"pre-active".into(), &"4102444800".into())
    );
    // The kid of these 32 bytes under this suite, by the token format.
    assert_eq!(json["kid"], "278ea37a1eda57a9");
    home.keys("import", &import, HAT1_HEX.as_bytes()).well();
    home.keys("import", &import, HAT1_HEX.as_bytes()).refused(2, "hold the same secret");
    for (at, text) in [("1", "has passed"), ("-5", "has passed"), ("4102444800000", "milliseconds")] {
        let dated = [&import[..], &["--activate-at", at]].concat();
        home.keys("import", &dated, &[b'1'; 64]).refused(2, text);
    }
    let loaded = home.load();
    let numbers: Vec<_> = key(&loaded.keys, "hub").versions().iter().map(|v| v.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn refusals_name_what_to_do() {
    let home = Home::new();
    home.import("jobs", "raw", b"whatissixtimesnine").refused(2, "sample secret");
    home.import("jobs", "raw", SECRET).well();
    let hat1 = ["--key", "jobs", "--kind", "hat1", "--encoding", "hex"];
    home.keys("import", &hat1, HAT1_HEX.as_bytes()).refused(2, "is of kind liveauth");
    let suite = ["--key", "jobs", "--kind", "liveauth", "--encoding", "raw", "--suite", "aes-256-gcm"];
    home.keys("import", &suite, SECRET).refused(2, "no suite");
    for n in 2..=4 {
        home.import("jobs", "raw", format!("secret number {n}, long enough").as_bytes()).well();
    }
    home.import("jobs", "raw", b"secret number 5, long enough").refused(2, "more than 4 usable");
    home.keys("import", &["--key", "No Name", "--kind", "liveauth", "--encoding", "raw"], SECRET)
        .refused(2, "try '--help'");
    home.keys("show", &["--key", "nobody"], b"").refused(2, "there is no key nobody");
    fs::remove_file(home.path("kek")).unwrap();
    home.import("jobs", "raw", SECRET).refused(2, "there is no KEK file");
    fs::remove_file(home.path("keyring")).unwrap();
    home.import("jobs", "raw", SECRET).refused(2, "keys init");
    home.keys("list", &[], b"").refused(2, "there is no keyring");
}

#[test]
fn the_place_of_the_keyring_is_given_one_way_or_the_other() {
    let home = Home::new();
    let config = home.path("config.toml");
    fs::write(&config, "[keyring]\npath = \"keyring\"\nkek_file = \"kek\"\n").unwrap();
    let config = config.to_str().unwrap();
    let run = |args: &[&str]| feed(Command::new(BINARY).arg("keys").args(args), b"");
    run(&["create", "--config", config, "--key", "hub", "--kind", "hat1"]).well();
    assert!(run(&["list", "--config", config]).well().stdout.contains("hub"));
    assert_eq!(home.load().keys.len(), 1);
    for wrong in [
        &["init"][..],
        &["init", "--keyring", "x"],
        &["init", "--kek-file", "x"],
        &["init", "--config", config, "--keyring", "x", "--kek-file", "y"],
        &["list", "--kek-file", "x"],
        &["import", "--config", config, "--key", "k", "--kind", "liveauth", "--encoding", "raw", "--secret", "s"],
        &["import", "--config", config, "--key", "k", "--kind", "liveauth", "--encoding", "raw", "s"],
        &["list", "--config", "no-such-file"],
    ] {
        assert_eq!(run(wrong).exit, 2, "{wrong:?}");
    }
}

#[test]
fn list_and_show_need_no_kek() {
    let home = Home::new();
    assert!(home.keys("list", &[], b"").well().stdout.contains("no keys yet"));
    home.import("jobs", "raw", SECRET).well();
    home.keys("create", &["--key", "hub", "--kind", "hat1", "--activate-at", "4102444800"], b"").well();
    fs::remove_file(home.path("kek")).unwrap();
    let keyring = home.path("keyring");
    let public = |args: &[&str]| {
        let (command, rest) = args.split_first().unwrap();
        feed(Command::new(BINARY).args(["keys", command, "--keyring"]).arg(&keyring).args(rest), b"").well().stdout
    };
    let list = public(&["list"]);
    assert!(list.lines().next().unwrap().starts_with("KEY "), "{list}");
    assert!(list.contains("2100-01-01T00:00:00Z") && list.contains("pre-active"), "{list}");
    assert!(public(&["show", "--key", "jobs"]).contains("active  version 1"));
    assert!(public(&["show", "--key", "hub"]).contains("active  none"));
    let json: serde_json::Value = serde_json::from_str(&public(&["list", "--output", "json"])).unwrap();
    assert_eq!((&json["generation"], &json["keys"][1]["name"]), (&"3".into(), &"jobs".into()));
    assert!(json["keys"][1]["versions"][0].get("suite").is_none());
    let json: serde_json::Value = serde_json::from_str(&public(&["show", "--key", "hub", "--output", "json"])).unwrap();
    assert_eq!(json["versions"][0]["kid"].as_str().map(str::len), Some(16));
}

#[test]
fn a_secret_is_in_no_output_and_no_file() {
    let home = Home::new();
    let mut said = String::new();
    let mut note = |done: crate::run::Done| said += &(done.stdout + &done.stderr);
    for (encoding, text) in [("raw", SECRET), ("hex", HEX.as_bytes()), ("base64", BASE64.as_bytes())] {
        note(home.import("jobs", encoding, text));
        note(home.keys("import", &["--key", "h", "--kind", "hat1", "--encoding", encoding], text));
        note(home.import("bad", "hex", &[text, b"\nx"].concat()));
        note(home.import("bad", "base64", &[text, b"\nx"].concat()));
    }
    note(home.keys("list", &[], b""));
    note(home.keys("show", &["--key", "jobs", "--output", "json"], b""));
    for entry in fs::read_dir(home.dir.path()).unwrap() {
        said += &String::from_utf8(fs::read(entry.unwrap().path()).unwrap()).unwrap();
    }
    assert!(said.contains("jobs"));
    for trace in ["planted secret", &HEX[..24], &HEX[..24].to_uppercase(), &BASE64[..16]] {
        assert!(!said.contains(trace), "{trace} is in the output or in a file");
    }
}

#[test]
fn a_keyring_that_may_not_be_read_is_refused() {
    let home = Home::new();
    let mut list = home.command("list", &[]);
    if rustix::process::geteuid().is_root() {
        // Another user, who can reach the folder and the binary, but not read the file.
        fs::set_permissions(home.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        list.uid(54_321).gid(54_321);
        let reachable = Command::new(BINARY).arg("--help").uid(54_321).gid(54_321).output().is_ok();
        if !reachable {
            return skipped("a target folder that other users can reach");
        }
    } else {
        fs::set_permissions(home.path("keyring"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    feed(&mut list, b"").refused(2, "cannot be read");
}

#[test]
fn a_rollback_is_refused_by_a_new_process_until_the_record_is_removed() {
    let home = Home::new();
    home.import("jobs", "raw", SECRET).well();
    home.import("jobs", "raw", &[b'2'; 20]).well();
    fs::copy(home.path("keyring.previous"), home.path("keyring")).unwrap();
    home.import("jobs", "raw", &[b'3'; 20]).refused(2, "generation 3 was seen before");
    fs::remove_file(home.path("keyring.generation")).unwrap();
    home.import("jobs", "raw", &[b'3'; 20]).well();
}
