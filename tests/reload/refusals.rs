//! Each reason to refuse a reload. After each the old state serves, and after all of them a good reload is taken.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use countersign::{
    clock::Clock,
    crypto::{aead::Suite, secret::Secret},
    keyring::{KeyKind, KeyName},
    keystore::{self, Import, SAMPLE_SECRET},
};
use serde_json::json;

use crate::{
    Log, location, put,
    service::{CONFIG, Service, keys},
};

/// A service whose reloads are refused, and what it served before.
struct Refusing {
    service: Service,
    log: Log,
    auth: String,
    refused: usize,
}

impl Refusing {
    fn start() -> Self {
        let service = Service::start(CONFIG);
        let (log, auth) = (Log::of(&service), service.seal(b"p", "j"));
        Self { service, log, auth, refused: 0 }
    }

    fn at(&self, file: &str) -> PathBuf {
        self.service.dir.path().join(file)
    }

    /// A reload now is refused for this reason, and changes nothing.
    fn refuses(&mut self, reason: &str) {
        self.service.signal("HUP");
        let problem = self.log.outcome().unwrap_or_else(|| panic!("taken, in spite of: {reason}"));
        assert!(problem.contains(reason), "{reason}: {problem}");
        assert!(!problem.contains('\n'));
        self.refused += 1;
        let shown = self.service.http("/readyz?verbose").1;
        assert!(shown.contains("reload: refused") && shown.contains(&problem), "{shown}");
        self.serves();
    }

    fn serves(&self) {
        self.service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 1}));
        assert_eq!(self.service.open(&self.auth, "j")["verdict"], "VERDICT_VALID");
    }

    /// With everything mended, a reload is taken; each refusal was counted and recorded.
    fn takes_what_is_good(mut self) {
        self.service.signal("HUP");
        assert_eq!(self.log.outcome(), None);
        self.serves();
        let metrics = self.service.http("/metrics").1;
        for (result, count) in [("refused", self.refused), ("swapped", 1)] {
            let line = format!("countersign_reloads_total{{result=\"{result}\"}} {count}\n");
            assert!(metrics.contains(&line), "{metrics}");
        }
        let journal = fs::read_to_string(self.at("journal.jsonl")).unwrap();
        let recorded =
            journal.lines().filter(|line| line.contains("\"kind\":\"reload\"") && line.contains("\"refused\""));
        assert_eq!(recorded.count(), self.refused, "{journal}");
    }
}

#[test]
fn a_keyring_that_does_not_read_is_refused() {
    let mut service = Refusing::start();
    let keyring = service.at("keyring");
    let good = fs::read(&keyring).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let edited = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    for (bad, reason) in [
        (good[..good.len() / 2].to_vec(), "is cut off"),
        (Vec::new(), "is cut off"),
        (b"hello\n".to_vec(), "is damaged or no keyring"),
        (b"{}".to_vec(), "holds a field or value that is not of its format"),
        (edited("\"version\": 1", "\"version\": 9"), "is of format version 9"),
        (edited("\"mark\": null", "\"mark\": \"suspended\""), "was edited after it was sealed"),
        (edited("\"name\": \"jobs\"", "\"name\": \"jobz\""), "was edited after it was sealed"),
        (edited("\"generation\": 3", "\"generation\": 4"), "was edited after it was sealed"),
        (vec![b' '; (4 << 20) + 1], "is larger than"),
    ] {
        put(&keyring, bad);
        service.refuses(reason);
    }
    put(&keyring, good);
    service.takes_what_is_good();
}

#[test]
fn an_older_keyring_is_refused() {
    let mut service = Refusing::start();
    let (keyring, record) = (service.at("keyring"), service.at("keyring.generation"));
    let (older, older_record) = (fs::read(&keyring).unwrap(), fs::read(&record).unwrap());
    let at = service.service.dir.path().to_owned();
    keys(&at, &["create", "--key", "more", "--kind", "hat1"], b"");
    let newer = fs::read(&keyring).unwrap();
    put(&keyring, &older);
    service.refuses("is generation 3, but generation 4 was seen before");

    // What this process has seen counts, whatever lies beside the keyring.
    put(&keyring, &newer);
    service.service.signal("HUP");
    assert_eq!(service.log.outcome(), None);
    put(&keyring, &older);
    put(&record, &older_record);
    service.refuses("is generation 3, but generation 4 was seen before");
    fs::remove_file(&record).unwrap();
    service.refuses("is generation 3, but generation 4 was seen before");

    put(&keyring, &newer);
    fs::write(&record, "{}").unwrap();
    fs::set_permissions(&record, fs::Permissions::from_mode(0o600)).unwrap();
    service.refuses("was edited or belongs to another keyring");
}

#[test]
fn files_that_are_missing_open_to_others_or_do_not_belong_together_are_refused() {
    let mut service = Refusing::start();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (file, usual) in [("keyring", 0o600), ("kek", 0o400)] {
        let (path, away) = (service.at(file), service.at("away"));
        for loose in [0o644, 0o620, 0o666] {
            mode(&path, loose);
            service.refuses(&format!("is open to others (mode {loose:04o})"));
        }
        mode(&path, usual);
        fs::rename(&path, &away).unwrap();
        service.refuses(if file == "kek" { "there is no KEK file" } else { "there is no keyring" });
        fs::create_dir(&path).unwrap();
        service.refuses("is not a regular file");
        fs::remove_dir(&path).unwrap();
        fs::rename(&away, &path).unwrap();
    }
    let (kek, good) = (service.at("kek"), fs::read(service.at("kek")).unwrap());
    put(&kek, [b'x'; 44]);
    service.refuses("does not open the keyring");
    put(&kek, [b'x'; 31]);
    service.refuses("holds fewer than 32 bytes");
    put(&kek, good);
    let config = service.at("config.toml");
    fs::rename(&config, service.at("away")).unwrap();
    service.refuses("config.toml");
    fs::rename(service.at("away"), &config).unwrap();
    service.takes_what_is_good();
}

#[test]
fn keys_that_may_not_serve_are_refused() {
    let mut service = Refusing::start();
    let at = service.service.dir.path().to_owned();
    let name = KeyName::new("sample").unwrap();
    let (secret, suite) = (Secret::copied(SAMPLE_SECRET), Suite::Aes256Gcm);
    let import = Import { name: &name, kind: KeyKind::LiveAuth, suite, secret, activates_at: None, allow_sample: true };
    keystore::import(&location(&at), &import, Clock::system().now()).unwrap();
    service.refuses("holds the secret that the LiveAuth document prints");

    // Another keyring in its place, of the same names, with other hat1 bytes under the same number.
    let another = || {
        for file in ["keyring", "keyring.generation", "kek"] {
            fs::remove_file(at.join(file)).unwrap();
        }
        keys(&at, &["init"], b"");
        keys(&at, &["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"], &[b'x'; 40]);
    };
    another();
    keys(&at, &["create", "--key", "acme", "--kind", "hat1"], b"");
    service.refuses("version 1 of key acme is another secret than before");
    another();
    service.refuses("version 1 of key acme is gone without having been suspended or destroyed");
}

/// A copy from before that was gone on from elsewhere: it is of a later generation, and lacks what was said since.
#[test]
fn a_keyring_that_takes_back_what_was_said_for_good_is_refused() {
    let mut service = Refusing::start();
    let at = service.service.dir.path().to_owned();
    for key in ["gone", "known"] {
        keys(&at, &["create", "--key", key, "--kind", "hat1"], b"");
        keys(&at, &["rotate", "--key", key], b"");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    for file in ["keyring", "kek"] {
        fs::copy(at.join(file), elsewhere.path().join(file)).unwrap();
    }
    let act = |at: &Path, act: &str, key: &str, more: &[&str]| {
        keys(at, &[&[act, "--key", key, "--key-version", "2"], more].concat(), b"");
    };
    act(&at, "destroy", "gone", &["--force"]);
    act(&at, "mark-compromised", "known", &[]);
    service.service.signal("HUP");
    assert_eq!(service.log.outcome(), None);
    let good = fs::read(at.join("keyring")).unwrap();
    for number in 0..5 {
        keys(elsewhere.path(), &["create", "--key", &format!("more-{number}"), "--kind", "hat1"], b"");
    }
    let put_other = || put(&at.join("keyring"), fs::read(elsewhere.path().join("keyring")).unwrap());
    put_other();
    service.refuses("version 2 of key gone was destroyed and is there again");
    act(elsewhere.path(), "destroy", "gone", &["--force"]);
    put_other();
    service.refuses("version 2 of key known was marked as compromised and is so no more");
    put(&at.join("keyring"), good);
    service.serves();
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    let mut service = Refusing::start();
    let config = service.at("config.toml");
    let more = |text: &str| format!("{CONFIG}{text}");
    let rule = |name: &str, ttl: &str| {
        format!(
            "[[policy.rules]]\nname = \"{name}\"\ncallers = [\"uid:1\"]\nverbs = [\"mint\"]\ndomains = [\"*\"]\nmax_ttl = \"{ttl}\"\n"
        )
    };
    for (bad, reason) in [
        (more("["), "config.toml"),
        (CONFIG.replace("[keyring]", "[keyrings]"), "keyrings"),
        (more("[limits]\nrate = 0\n"), "limits.rate is 0"),
        (CONFIG.split("[[policy.rules]]").next().unwrap().to_owned(), "policy.rules is empty"),
        (CONFIG.replace("key = \"jobs\"", "key = \"absent\""), "the keyring has no key absent"),
        (CONFIG.replace("key = \"jobs\"", "key = \"acme\""), "key acme is no liveauth key"),
        (CONFIG.replace("key = \"acme\"", "key = \"jobs\""), "key jobs is no hat1 key"),
        (more("[[hub.apps]]\nname = \"acme\"\nkey = \"acme\"\n"), "app \"acme\" is configured twice"),
        (
            more("[[liveauth.domains]]\nname = \"JOBS.example.com\"\nkey = \"jobs\"\n"),
            "domain jobs.example.com is there twice",
        ),
        (more(&rule("all", "1h")), "all"),
        (more(&(rule("one", "1h") + &rule("two", "2h"))), "two"),
        (more("[reload]\npoll = \"1ms\"\n"), "reload.poll"),
    ] {
        put(&config, bad);
        service.refuses(reason);
    }
    put(&config, CONFIG);
    service.takes_what_is_good();
}

/// Whatever was taken at the start, by name.
#[test]
fn what_needs_a_restart_is_refused() {
    let mut service = Refusing::start();
    let config = service.at("config.toml");
    let (socket, http) = ("unix = \"sock/countersign.sock\"", "address = \"127.0.0.1:0\"");
    let journal = "path = \"journal.jsonl\"";
    for (from, to, setting) in [
        (socket, "unix = \"sock/other.sock\"", "listen.unix"),
        (socket, "unix = \"sock/countersign.sock\"\nadmin = \"\"", "listen.admin"),
        (socket, "unix = \"sock/countersign.sock\"\nreflection = true", "listen.reflection"),
        (socket, "unix = \"sock/countersign.sock\"\nworkers = 7", "listen.workers"),
        (socket, "unix = \"sock/countersign.sock\"\ndrain = \"3s\"", "listen.drain"),
        (http, "address = \"127.0.0.1:1\"", "http.address"),
        ("path = \"keyring\"", "path = \"elsewhere\"", "keyring.path"),
        ("kek_file = \"kek\"", "kek_file = \"elsewhere\"", "keyring.kek_…"),
        ("[keyring]", "[memory]\nrequire_mlock = true\n[keyring]", "memory.require_mlock"),
        ("[keyring]", "[process]\nlandlock = \"off\"\n[keyring]", "process.landlock"),
        (journal, "path = \"other.jsonl\"", "journal"),
        (journal, "path = \"journal.jsonl\"\nenabled = false", "journal"),
        (journal, "path = \"journal.jsonl\"\nverifications = \"all\"", "journal"),
        ("[keyring]", "[log]\nlevel = \"debug\"\n[keyring]", "log"),
    ] {
        assert!(CONFIG.contains(from), "{from}");
        put(&config, CONFIG.replacen(from, to, 1));
        service.refuses(&format!("restart needed: {setting} changed"));
    }
    put(&config, CONFIG);
    service.takes_what_is_good();
}
