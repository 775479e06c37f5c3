//! New content is taken up without a signal.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::service::{CONFIG, PATIENCE, Service, folder, keys};

fn polling() -> String {
    format!("{CONFIG}[reload]\npoll = \"1s\"\n")
}

fn with_domain(config: &str, name: &str) -> String {
    config.replace("[[hub.apps]]", &format!("[[liveauth.domains]]\nname = \"{name}\"\nkey = \"jobs\"\n[[hub.apps]]"))
}

/// How often the service has looked at its files.
fn polls(service: &Service) -> u64 {
    metric(service, "countersign_reload_polls_total")
}

fn metric(service: &Service, name: &str) -> u64 {
    let (_, metrics) = service.http("/metrics");
    let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until it has looked at its files twice more, of which once after this was called.
fn await_polls(service: &Service) {
    let (begin, before) = (Instant::now(), polls(service));
    while polls(service) < before + 2 {
        assert!(begin.elapsed() < PATIENCE, "it does not poll: {}", service.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// By renaming, so that no half of it is ever seen; the mode stays.
fn put(at: &Path, name: &str, content: &[u8]) {
    let new = at.join("new");
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, fs::metadata(at.join(name)).unwrap().permissions()).unwrap();
    fs::rename(&new, at.join(name)).unwrap();
}

#[test]
fn a_new_configuration_is_taken_up_and_an_unchanged_one_is_not() {
    let service = Service::start(&polling());
    let mint = json!({"domain": "new.example.com", "client": 1});
    await_polls(&service);
    service.fails("MintHash", &mint, "not_found", "UNKNOWN_DOMAIN", "");
    put(service.dir.path(), "config.toml", polling().as_bytes());
    await_polls(&service);
    assert!(!service.log().contains("reloaded"), "the same content is no new content: {}", service.log());
    put(service.dir.path(), "config.toml", with_domain(&polling(), "new.example.com").as_bytes());
    service.await_log("reloaded", 1);
    assert!(service.log().contains("\"cause\":\"poll\""), "{}", service.log());
    service.ok("MintHash", &mint);
    await_polls(&service);
    assert_eq!(service.log().matches("reloaded").count(), 1, "{}", service.log());
}

#[test]
fn a_new_key_version_is_taken_up() {
    let service = Service::start(&polling());
    let mint = json!({"domain": "jobs.example.com", "client": 1});
    assert_eq!(service.ok("MintHash", &mint)["keyVersion"], 1);
    let secret = b"another-secret-of-that-length-and-more-0123456789abcdefghijk";
    keys(service.dir.path(), &["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"], secret);
    service.await_log("reloaded", 1);
    assert_eq!(service.ok("MintHash", &mint)["keyVersion"], 2);
}

#[test]
fn what_was_refused_is_said_once_and_tried_again_when_it_changes() {
    let service = Service::start(&polling());
    let at = service.dir.path();
    let mint = json!({"domain": "jobs.example.com", "client": 1});
    let good = fs::read(at.join("kek")).unwrap();
    put(at, "kek", &[b'x'; 44]);
    service.await_log("reload refused", 1);
    await_polls(&service);
    assert_eq!(service.log().matches("reload refused").count(), 1, "{}", service.log());
    assert_eq!(metric(&service, "countersign_reloads_total{result=\"refused\"}"), 1);
    service.ok("MintHash", &mint);
    put(at, "kek", &good);
    service.await_log("reloaded", 1);

    // Only the mode is wrong, and then mended.
    fs::set_permissions(at.join("kek"), fs::Permissions::from_mode(0o644)).unwrap();
    service.await_log("reload refused", 2);
    fs::set_permissions(at.join("kek"), fs::Permissions::from_mode(0o400)).unwrap();
    service.await_log("reloaded", 2);

    fs::rename(at.join("config.toml"), at.join("away")).unwrap();
    service.await_log("reload refused", 3);
    service.ok("MintHash", &mint);
    fs::rename(at.join("away"), at.join("config.toml")).unwrap();
    service.await_log("reloaded", 3);
    assert_eq!(service.log().matches("reload refused").count(), 3, "{}", service.log());
}

/// As kubelet's atomic writer swaps a mounted Secret.
#[test]
fn a_swapped_volume_is_taken_up() {
    let dir = folder(&polling());
    let at = dir.path();
    for (version, config) in [("..1", polling()), ("..2", with_domain(&polling(), "new.example.com"))] {
        fs::create_dir(at.join(version)).unwrap();
        fs::write(at.join(version).join("config.toml"), config).unwrap();
        fs::copy(at.join("kek"), at.join(version).join("kek")).unwrap();
    }
    symlink("..1", at.join("..data")).unwrap();
    for file in ["config.toml", "kek"] {
        fs::remove_file(at.join(file)).unwrap();
        symlink(Path::new("..data").join(file), at.join(file)).unwrap();
    }
    let service = Service::start_in(dir);
    let at = service.dir.path();
    symlink("..2", at.join("..data_tmp")).unwrap();
    fs::rename(at.join("..data_tmp"), at.join("..data")).unwrap();
    fs::remove_dir_all(at.join("..1")).unwrap();
    service.await_log("reloaded", 1);
    service.ok("MintHash", &json!({"domain": "new.example.com", "client": 1}));
}

#[test]
fn polling_can_be_turned_off_and_on_by_a_reload() {
    let off = format!("{CONFIG}[reload]\npoll = \"off\"\n");
    let service = Service::start(&off);
    put(service.dir.path(), "config.toml", polling().as_bytes());
    service.signal("HUP");
    service.await_log("reloaded", 1);
    assert!(service.log().contains("\"cause\":\"signal\""), "{}", service.log());
    await_polls(&service);
    put(service.dir.path(), "config.toml", off.as_bytes());
    service.await_log("reloaded", 2);
}
