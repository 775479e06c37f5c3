//! What is shown of it: by the service, by the commands on its files, and in the metrics.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::service::{self, CONFIG, Service, run, stderr, stdout};

const DAY: i64 = 86_400;

fn config() -> String {
    let rule = "\n[[policy.rules]]\nname = \"admins\"\ncallers = [\"*\"]\nverbs = [\"admin\"]\nkeys = [\"*\"]\n";
    CONFIG.replace("kek_file = \"kek\"", "kek_file = \"kek\"\nwritable = true") + rule
}

fn online(service: &Service, args: &[&str]) -> Value {
    let admin = format!("unix:{}/sock/admin.sock", service.dir.path().display());
    told(&[&["keys"], args, &["--output", "json", "--address", &admin]].concat())
}

fn offline(at: &Path, args: &[&str]) -> Value {
    let config = at.join("config.toml");
    told(&[&["keys"], args, &["--output", "json", "--config", config.to_str().unwrap()]].concat())
}

fn told(args: &[&str]) -> Value {
    let output = run(args, b"");
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn rotate_at_once(service: &Service, key: &str) {
    online(service, &["rotate", "--key", key, "--activate-at", &service::now().to_string()]);
}

fn usage(shown: &Value, number: usize) -> Value {
    shown["versions"][number - 1]["usage"].clone()
}

/// The value of a metric with these labels.
fn metric(service: &Service, line: &str) -> Option<i64> {
    let (status, text) = service.http("/metrics");
    assert_eq!(status, 200);
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, reason = "Unix seconds")]
    found.map(|value| value as i64)
}

#[test]
fn what_the_service_shows_is_what_its_files_show_once_it_has_stopped() {
    let service = Service::start(&config());
    let begun = service::now();
    let sealed = service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": ""}));
    let expires = sealed["expiresAt"].as_str().unwrap().to_owned();
    service.open(sealed["auth"].as_str().unwrap(), "j");
    rotate_at_once(&service, "acme");
    let shown = online(&service, &["show", "--key", "acme"]);
    let first = usage(&shown, 1);
    assert_eq!((&first["seals"], &first["latestExpiry"]), (&"1".into(), &expires.as_str().into()), "{first}");
    assert_eq!((&first["destruction"], &first["destructionAt"]), (&"issued".into(), &expires.as_str().into()));
    for time in ["firstMintedAt", "lastMintedAt", "firstVerifiedAt", "lastVerifiedAt", "knownSince"] {
        let at: i64 = first[time].as_str().unwrap().parse().unwrap();
        assert!((begun - 60..begun + 60).contains(&at), "{time}: {first}");
    }
    assert!(first["judgement"].as_str().unwrap().starts_with("not safe to destroy before "), "{first}");
    assert_eq!(usage(&shown, 2)["destruction"], "active");
    let listed = online(&service, &["list"]);
    assert_eq!((&listed["ledger"], &listed["keys"][0]["versions"]), (&shown["ledger"], &shown["versions"]));
    let ledger = service.dir.path().join("ledger.sqlite").canonicalize().unwrap();
    assert_eq!(shown["ledger"]["path"].as_str(), ledger.to_str());
    assert_eq!(shown["ledger"]["id"].as_str().map(str::len), Some(32));

    // On the files, while it runs: the same ledger, ahead of the use.
    let ahead = offline(service.dir.path(), &["show", "--key", "acme"]);
    assert_eq!(ahead["ledger"], shown["ledger"]);
    let seals = |usage: &Value| usage["seals"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(seals(&usage(&ahead, 2)) > 1000 && seals(&usage(&ahead, 1)) >= 1, "{ahead}");

    service.signal("TERM");
    let (_, _, dir) = service.wait();
    let before: Vec<_> = ["ledger.sqlite", "keyring"].map(|name| fs::read(dir.path().join(name)).unwrap()).into();
    assert_eq!(offline(dir.path(), &["show", "--key", "acme"]), shown);
    assert_eq!(offline(dir.path(), &["list"])["keys"][0]["versions"], shown["versions"]);
    let after: Vec<_> = ["ledger.sqlite", "keyring"].map(|name| fs::read(dir.path().join(name)).unwrap()).into();
    assert!(before == after, "looking changes nothing");
    assert!(!dir.path().join("ledger.sqlite-wal").exists(), "and leaves nothing behind");

    let text = stdout(&run(
        &["keys", "show", "--key", "acme", "--config", dir.path().join("config.toml").to_str().unwrap()],
        b"",
    ));
    for part in ["known by ledger", "version 1: not safe to destroy before", "at most 1 token\n", " at the latest\n"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn where_no_ledger_is_known_nothing_is_and_it_is_said_why() {
    let service = Service::start(&config());
    rotate_at_once(&service, "acme");
    let at = service.dir.path();
    let keyring = at.join("keyring");
    let bare = told(&["keys", "show", "--key", "acme", "--output", "json", "--keyring", keyring.to_str().unwrap()]);
    assert_eq!((usage(&bare, 1)["destruction"].as_str(), bare.get("ledger")), (Some("unknown"), None));
    let said = |config: &str| {
        fs::write(at.join("other.toml"), config).unwrap();
        let path = at.join("other.toml");
        run(&["keys", "list", "--config", path.to_str().unwrap()], b"")
    };
    let keyring = "[keyring]\npath = \"keyring\"\nkek_file = \"kek\"\n";
    for (ledger, word) in [("", "names none"), ("nowhere.sqlite", "nothing is at"), ("no/such/folder", "nothing is at")]
    {
        let output = said(&format!("{keyring}[ledger]\npath = {ledger:?}\n"));
        let text = stdout(&output);
        assert!(output.status.success() && text.contains("known by no ledger") && text.contains(word), "{text}");
        assert!(!at.join("nowhere.sqlite").exists());
    }
    fs::write(
        at.join("text"),
        "no database, although it is as long as the head of one has to be, that is a hundred bytes",
    )
    .unwrap();
    fs::set_permissions(at.join("text"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let output = said(&format!("{keyring}[ledger]\npath = \"text\"\n"));
    assert!(output.status.success() && stderr(&output).contains("warning: ledger: "), "{}", stderr(&output));
    assert!(stdout(&output).contains("cannot be read"), "{}", stdout(&output));
}

#[test]
fn the_metrics_say_since_when_and_from_when_on() {
    let never = config().replace("key = \"acme\"", "key = \"acme\"\nttl = \"never\"\nmax_ttl = \"never\"");
    let service = Service::start(&never);
    online(&service, &["create", "--key", "spare", "--kind", "hat1"]);
    let means = |key: &str, version: u32, means: &str| {
        let labels = format!("{{key=\"{key}\",means=\"{means}\",version=\"{version}\"}}");
        metric(&service, &format!("countersign_key_version_destruction{labels}")) == Some(1)
    };
    let safe_at = |key: &str, version: u32| {
        let labels = format!("{{key=\"{key}\",version=\"{version}\"}}");
        metric(&service, &format!("countersign_key_version_safe_to_destroy_timestamp_seconds{labels}"))
    };
    assert!(means("acme", 1, "active") && means("jobs", 1, "active") && means("spare", 1, "active"));
    assert_eq!(safe_at("acme", 1), None);
    service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": "", "ttl": 90 * DAY}));
    rotate_at_once(&service, "acme");
    rotate_at_once(&service, "spare");
    assert!(means("acme", 1, "issued") && !means("acme", 1, "active"));
    let until = safe_at("acme", 1).unwrap();
    assert!((until - service::now() - 90 * DAY).abs() < 60, "{until}");
    // Nobody could use that one, and from its making nothing was missed.
    assert!(means("spare", 1, "safe") && safe_at("spare", 1).is_some_and(|at| at <= service::now()));
    online(&service, &["destroy", "--key", "spare", "--key-version", "1"]);
    assert!(means("spare", 1, "done") && safe_at("spare", 1).is_none());

    service.ok("Seal", &json!({"app": "acme", "username": "j", "payload": ""}));
    rotate_at_once(&service, "acme");
    assert!(means("acme", 2, "never-expires") && safe_at("acme", 2).is_none());
    let shown = usage(&online(&service, &["show", "--key", "acme"]), 2);
    assert_eq!((&shown["neverExpires"], shown.get("latestExpiry")), (&true.into(), None), "{shown}");
}
