//! Several writers at once, and writers that are killed.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use countersign::keyring::Keyring;

use crate::run::{Home, feed, say_skipped, skipped};

fn start(command: &mut Command, secret: &[u8]) -> Child {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(secret);
    child
}

fn importing(key: &str) -> Vec<&str> {
    vec!["--key", key, "--kind", "liveauth", "--encoding", "raw"]
}

fn leftovers(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".tmp-")).count()
}

#[test]
fn processes_that_import_at_once_lose_nothing() {
    let home = Home::new();
    let names: Vec<_> = (0..8).map(|n| format!("key-{n}")).collect();
    let writers: Vec<_> =
        names.iter().map(|key| start(&mut home.command("import", &importing(key)), &[b's'; 24])).collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let loaded = home.load();
    assert_eq!(loaded.generation, 9);
    assert_eq!(loaded.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), names);
}

#[test]
fn readers_see_whole_keyrings_while_one_is_changed() {
    let home = Home::new();
    let mut seen = 0;
    for n in 0..6 {
        let mut writer = start(&mut home.command("import", &importing(&format!("key-{n}"))), &[b's'; 24]);
        while writer.try_wait().unwrap().is_none() {
            let generation = home.load().generation;
            assert!(generation >= seen);
            seen = generation;
        }
    }
    assert_eq!(home.load().generation, 7);
}

#[test]
fn a_writer_killed_at_any_moment_leaves_a_keyring_that_loads() {
    let home = Home::new();
    let mut generation = home.load().generation;
    let mut kept = 0;
    for n in 0..60 {
        let key = format!("key-{n}");
        let mut writer = start(&mut home.command("import", &importing(&key)), &[b's'; 24]);
        // A little later each time, to hit different steps; whichever it is, the keyring loads.
        thread::sleep(Duration::from_micros(400 * n));
        let _ = writer.kill();
        let done = writer.wait().unwrap().success();
        let loaded = home.load();
        let there = loaded.keys.iter().any(|k| k.name.as_str() == key);
        assert!(there || !done, "what was said to be done is there");
        assert_eq!(loaded.generation, generation + u64::from(there));
        generation = loaded.generation;
        kept += u64::from(there);
    }
    assert_eq!(home.load().keys.len() as u64, kept);
    home.import("after", "raw", &[b's'; 24]).well();
    assert_eq!(leftovers(home.dir.path()), 0);
}

#[test]
fn a_writer_killed_at_each_step_leaves_a_keyring_that_loads() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skipped("strace");
    }
    let home = Home::new();
    let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).output().unwrap();
    if !probe.status.success() {
        say_skipped("ptrace");
        return;
    }
    let calls = ["openat", "write", "fchown", "fsync", "linkat,link", "rename,renameat,renameat2", "unlink,unlinkat"];
    let mut killed = 0;
    for call in calls {
        for when in 1..=12 {
            let before = home.load();
            let key = format!("{}-{when}", call.split(',').next().unwrap());
            let import = home.command("import", &importing(&key));
            let mut traced = Command::new("strace");
            traced.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            traced.args(["-e", &format!("inject={call}:signal=SIGKILL:when={when}")]);
            traced.arg(import.get_program()).args(import.get_args());
            let done = feed(&mut traced, &[b's'; 24]);
            let loaded = home.load();
            let there = loaded.keys.iter().any(|k| k.name.as_str() == key);
            assert_eq!(loaded.generation, before.generation + u64::from(there), "{call} {when}");
            assert_eq!(loaded.keys.len(), before.keys.len() + usize::from(there));
            assert!(Keyring::new(loaded.keys).is_ok());
            if done.exit == 0 {
                assert!(there);
                break;
            }
            killed += 1;
        }
    }
    assert!(killed > 15, "only {killed} writers were killed");
    home.import("after", "raw", &[b's'; 24]).well();
    assert_eq!(leftovers(home.dir.path()), 0);
}

#[test]
fn an_init_killed_at_each_step_can_be_repeated() {
    if Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|done| !done.status.success()) {
        say_skipped("ptrace");
        return;
    }
    for call in ["write", "fsync", "linkat,link", "rename,renameat,renameat2", "unlink,unlinkat"] {
        for when in 1..=12 {
            let home = Home { dir: tempfile::tempdir().unwrap() };
            let init = home.command("init", &[]);
            let mut traced = Command::new("strace");
            traced.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            traced.args(["-e", &format!("inject={call}:signal=SIGKILL:when={when}")]);
            let traced = traced.arg(init.get_program()).args(init.get_args()).stdout(Stdio::null()).output();
            let Ok(traced) = traced else { return skipped("strace") };
            if !home.path("keyring").exists() {
                home.keys("init", &[], b"").well();
            }
            home.import("k", "raw", &[b's'; 24]).well();
            assert_eq!(home.load().keys.len(), 1, "{call} {when}");
            if traced.status.success() {
                break;
            }
        }
    }
}
