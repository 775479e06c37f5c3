//! Keys lie in their own mapping and nowhere else in the process, whatever the system gives for that mapping.

use std::{fs, process::Command};

use countersign::{
    crypto::arena,
    keystore::{self, KekSource, Location},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    Subject, hand_over, is_root,
    search::{Needle, needles, search},
    service::{BINARY, CONFIG, Service, base64, keys, run, serve, stderr},
    skip, subject_says, unprivileged,
};

/// What the kernel shows of a locked mapping that is not secret memory.
const LOCKED: &str = "/memfd:countersign-keys";

/// A key that stands nowhere, not in this binary either: made as it is needed.
fn made(seed: u64, len: usize) -> Vec<u8> {
    let mut state = std::hint::black_box(seed);
    let mut step = || {
        // SplitMix64, for bytes without a pattern.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((mixed ^ (mixed >> 31)) & 0xff).unwrap()
    };
    // No byte that a terminal or a text file would change.
    std::iter::repeat_with(|| step() | 0x80).take(len).collect()
}

fn liveauth() -> Vec<u8> {
    made(1, 39)
}

fn hat1() -> Vec<u8> {
    made(2, 32)
}

/// A folder with both keys planted.
fn planted(config: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    keys(at, &["init"], b"");
    keys(at, &["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"], &liveauth());
    let hex = base16ct::lower::encode_string(&hat1());
    keys(at, &["import", "--key", "acme", "--kind", "hat1", "--encoding", "hex"], hex.as_bytes());
    fs::write(at.join("config.toml"), config).unwrap();
    dir
}

/// Both keys and the key-encryption key, in all their forms.
fn all_needles(dir: &TempDir) -> Vec<Needle> {
    let kek = fs::read(dir.path().join("kek")).unwrap();
    let kek = kek.strip_suffix(b"\n").unwrap();
    [needles("LiveAuth secret", &liveauth()), needles("hat1 key", &hat1()), needles("KEK", kek)]
        .into_iter()
        .flatten()
        .collect()
}

/// Every RPC that uses a key, rightly and wrongly, and a reload: what is loaded anew goes the same way.
fn drive(service: &Service) {
    for round in 0..3 {
        let minted = service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 42}));
        let judged = |hash: &str| json!({"domain": "jobs.example.com", "client": "42", "expires": minted["expires"], "hash": hash});
        service.ok("VerifyHash", &judged(minted["hash"].as_str().unwrap()));
        service.ok("VerifyHash", &judged(&"0".repeat(64)));
        let auth = service.seal(b"payload", "jane");
        service.open(&auth, "jane");
        service.open(&auth, "joe");
        service.ok("Reseal", &json!({"app": "acme", "auth": auth, "username": "jane"}));
        let item = json!({"app": "acme", "username": "jane", "payload": base64(b"x")});
        service.ok("BatchSeal", &json!({"items": [item, item]}));
        service.signal("HUP");
        service.await_log("reloaded configuration", round + 1);
    }
}

fn maps(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default()
}

#[test]
fn a_planted_key_is_found_nowhere_outside_the_arena() {
    let dir = planted(CONFIG);
    let needles = all_needles(&dir);
    let service = Service::start_in(dir);
    drive(&service);
    let Some(searched) = search(service.pid(), &needles, None) else { return skip("ptrace") };
    assert_eq!(searched.found, []);
    assert!(searched.bytes > 1 << 20, "{searched:?}");
    let (_, shown) = service.http("/readyz?verbose");
    if !shown.contains("keys in memfd_secret memory") {
        return skip("memfd_secret");
    }
    assert!(
        !searched.closed.is_empty() && searched.closed.iter().all(|line| line.contains("secretmem")),
        "{searched:?}"
    );
    assert!(maps(service.pid()).contains("secretmem"));
}

#[test]
fn where_memfd_secret_is_refused_keys_are_locked_and_lie_there_alone() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace");
    }
    if !is_root() {
        return skip("ptrace");
    }
    let dir = planted(CONFIG);
    let needles = all_needles(&dir);
    let mut command = Command::new("strace");
    // The tracer is a child of its own, so that this process is the service itself.
    command.args(["-D", "-f", "-o", "/dev/null", "-e", "inject=memfd_secret:error=ENOSYS", BINARY]);
    let command = serve(command, dir.path());
    let service = Service::start_by(dir, command);
    drive(&service);
    let (_, shown) = service.http("/readyz?verbose");
    assert!(shown.contains("keys in locked memory (mlock)"), "{shown}");
    let lines = maps(service.pid());
    assert!(!lines.contains("secretmem"));
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", service.pid())).unwrap();
    // The guards bear the name too; the keys lie in what can be read.
    let mut lines = smaps.lines().skip_while(|line| !(line.contains(LOCKED) && line.contains(" rw-s ")));
    let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
    for flag in [" lo", " dd", " dc"] {
        assert!(flags.contains(flag), "locked, not dumped, not inherited: {flags}");
    }
    let searched = search(service.pid(), &needles, Some(LOCKED)).unwrap();
    assert_eq!(searched.found, []);
    assert!(!searched.left_out.is_empty());
}

#[test]
fn where_nothing_can_be_locked_the_service_warns_or_refuses() {
    let dir = planted(CONFIG);
    let binary = hand_over(&dir);
    let start = |dir: &TempDir| {
        let mut shell = unprivileged("sh");
        shell.args(["-c", "ulimit -l 0 && exec \"$0\" \"$@\""]).arg(&binary);
        serve(shell, dir.path())
    };
    let command = start(&dir);
    let service = Service::start_by(dir, command);
    let (status, shown) = service.http("/readyz?verbose");
    assert_eq!(status, 200);
    let told = |text: &str| {
        ["keys in unlocked memory", "RLIMIT_MEMLOCK", "LimitMEMLOCK="].iter().all(|word| text.contains(word))
    };
    assert!(told(&shown) && shown.contains("not protected: "), "{shown}");
    assert!(told(&service.log()), "{}", service.log());
    drive(&service);

    service.signal("TERM");
    let (_, _, dir) = service.wait();
    let strict = format!("[memory]\nrequire_mlock = true\n{}", CONFIG.trim_start());
    fs::write(dir.path().join("config.toml"), strict).unwrap();
    let status = start(&dir).status().unwrap();
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("cannot be locked") && log.contains("LimitMEMLOCK="), "{log}");
}

#[test]
fn commands_on_the_keyring_keep_to_require_mlock_too() {
    let dir = planted(&format!("[memory]\nrequire_mlock = true\n{}", CONFIG.trim_start()));
    let binary = hand_over(&dir);
    let config = dir.path().join("config.toml");
    let create = |limit: &str| {
        let mut shell = unprivileged("sh");
        shell.args(["-c", &format!("ulimit -l {limit} && exec \"$0\" \"$@\"")]).arg(&binary);
        shell.args(["keys", "create", "--key", "further", "--kind", "hat1", "--config"]).arg(&config).output().unwrap()
    };
    let refused = create("0");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("cannot be locked"), "{}", stderr(&refused));
    let done = create("64");
    assert!(done.status.success() && stderr(&done).is_empty(), "{}", stderr(&done));
}

/// The search finds what is there: the same keys, loaded by the same code, once without and once with one copy.
#[test]
fn one_copy_on_the_heap_is_found_by_the_same_search() {
    let dir = planted(CONFIG);
    let needles = all_needles(&dir);
    for (kept, expected) in
        [("nothing", None), ("raw", Some("raw")), ("54", Some("inner pad")), ("92", Some("outer pad"))]
    {
        fs::write(dir.path().join("copy"), hat1()).unwrap();
        let told = [("LOAD_FROM", dir.path().to_str().unwrap()), ("KEEP", kept)];
        let (subject, word) = Subject::start("keys::subject_with_keys", &told);
        assert_eq!(word, "loaded");
        let Some(searched) = search(subject.pid(), &needles, Some(LOCKED)) else {
            return skip("ptrace");
        };
        let names: Vec<&str> = searched.found.iter().map(|(name, _)| name.as_str()).collect();
        match expected {
            None => assert_eq!(names, [""; 0], "{searched:?}"),
            Some(form) => assert_eq!(names, [format!("hat1 key, {form}")], "{searched:?}"),
        }
    }
}

#[test]
fn a_thousand_loads_take_no_more_key_memory_than_two() {
    let dir = planted(CONFIG);
    let told = [("LOAD_FROM", dir.path().to_str().unwrap()), ("KEEP", "reloading")];
    let (_subject, word) = Subject::start("keys::subject_with_keys", &told);
    let (two, thousand) = word.split_once(' ').unwrap();
    assert_eq!(two, thousand, "bytes mapped and taken after two and after a thousand loads");
}

/// What the others start as a process of its own; alone it does nothing.
#[test]
fn subject_with_keys() {
    let Ok(folder) = std::env::var("LOAD_FROM") else { return };
    let folder = std::path::Path::new(&folder);
    let location = Location { keyring: folder.join("keyring"), kek: KekSource::File(folder.join("kek")) };
    let load = || keystore::load(&location).map_err(|error| error.to_string()).unwrap();
    let mut loaded = load();
    match std::env::var("KEEP").unwrap().as_str() {
        "nothing" => subject_says("loaded"),
        "raw" => {
            let copy = std::hint::black_box(fs::read(folder.join("copy")).unwrap());
            subject_says("loaded");
            drop(copy);
        }
        "reloading" => {
            let taken = || format!("{}/{}", arena::status().mapped, arena::status().taken);
            loaded = std::hint::black_box(load());
            let two = taken();
            for _ in 2..1000 {
                loaded = std::hint::black_box(load());
            }
            subject_says(&format!("{two} {}", taken()));
        }
        pad => {
            let with: u8 = pad.parse().unwrap();
            let mut copy = fs::read(folder.join("copy")).unwrap();
            copy.resize(64, 0);
            for byte in &mut copy {
                *byte ^= with;
            }
            let copy = std::hint::black_box(copy);
            subject_says("loaded");
            drop(copy);
        }
    }
    drop(loaded);
}

#[test]
fn the_start_and_the_probe_say_what_holds() {
    let service = Service::start(CONFIG);
    let (_, shown) = service.http("/readyz?verbose");
    for word in ["protections: ", "core dumps off", "not dumpable", "no new privileges", "keys in "] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let log = service.log();
    let ready = log.lines().find(|line| line.contains("\"ready\"")).unwrap();
    for word in ["core dumps off", "not dumpable", "no new privileges", "keys in "] {
        assert!(ready.contains(word), "{word}: {ready}");
    }
    let (_, brief) = service.http("/readyz");
    assert_eq!(brief, "ok\n");
    // A restart is needed to change either.
    let at = service.dir.path().join("config.toml");
    for (setting, text) in [
        ("memory.require_mlock", "[memory]\nrequire_mlock = true\n"),
        ("process.landlock", "[process]\nlandlock = \"off\"\n"),
    ] {
        fs::write(&at, format!("{text}{}", CONFIG.trim_start())).unwrap();
        service.signal("HUP");
        service.await_log(&format!("restart needed: {setting} changed"), 1);
    }
    let bad = run(&["config", "check", "/dev/null"], b"");
    assert!(bad.status.success(), "{}", stderr(&bad));
}
