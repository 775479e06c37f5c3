//! Folders as Kubernetes mounts them: a link `..data` that is swapped, and single files that never change (`subPath`).

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    Log, put,
    service::{CONFIG, Service, folder, keys},
    skip,
};

/// A mounted Secret that holds the keyring and the KEK, beside a configuration that names them there.
struct Volume(PathBuf);

impl Volume {
    /// The folder of a service with such a volume, in its first version.
    fn of(polled: &str) -> (TempDir, Self) {
        let config = CONFIG
            .replace("path = \"keyring\"", "path = \"secret/keyring\"")
            .replace("kek_file = \"kek\"", "kek_file = \"secret/kek\"");
        let dir = folder(&format!("{config}[reload]\npoll = \"{polled}\"\n"));
        let volume = Self(dir.path().join("secret"));
        fs::create_dir(&volume.0).unwrap();
        volume.publish("..1", dir.path());
        for file in ["keyring", "kek"] {
            symlink(Path::new("..data").join(file), volume.0.join(file)).unwrap();
        }
        (dir, volume)
    }

    /// Writes another version of the volume, and swaps it in as kubelet's atomic writer does; the one before goes away.
    fn publish(&self, version: &str, from: &Path) {
        let new = self.0.join(version);
        fs::create_dir(&new).unwrap();
        for file in ["keyring", "kek"] {
            fs::copy(from.join(file), new.join(file)).unwrap();
        }
        let before = fs::read_link(self.0.join("..data"));
        symlink(version, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        if let Ok(before) = before {
            fs::remove_dir_all(self.0.join(before)).unwrap();
        }
    }
}

fn mint(service: &Service) -> serde_json::Value {
    service.ok("MintHash", &json!({"domain": "jobs.example.com", "client": 1}))["keyVersion"].clone()
}

fn import(at: &Path, secret: &[u8]) {
    keys(at, &["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"], secret);
}

#[test]
fn a_keyring_in_a_swapped_volume_is_taken_up_and_a_bad_one_is_not() {
    let (dir, volume) = Volume::of("1s");
    let service = Service::start_in(dir);
    let (mut log, at) = (Log::of(&service), service.dir.path());
    assert_eq!(mint(&service), 1);

    let first = fs::read(at.join("keyring")).unwrap();
    import(at, &[b'2'; 40]);
    volume.publish("..2", at);
    assert_eq!((log.outcome(), mint(&service)), (None, 2.into()));

    // A mixed volume: the KEK of another keyring.
    let kek = fs::read(at.join("kek")).unwrap();
    put(&at.join("kek"), [b'x'; 40]);
    volume.publish("..3", at);
    let problem = log.outcome().unwrap();
    assert!(problem.contains("does not open the keyring"), "{problem}");
    assert_eq!(mint(&service), 2);

    put(&at.join("kek"), kek);
    let newest = fs::read(at.join("keyring")).unwrap();
    put(&at.join("keyring"), first);
    volume.publish("..4", at);
    let problem = log.outcome().unwrap();
    assert!(problem.contains("was seen before"), "{problem}");
    assert_eq!(mint(&service), 2);

    put(&at.join("keyring"), newest);
    import(at, &[b'3'; 40]);
    volume.publish("..5", at);
    assert_eq!((log.outcome(), mint(&service)), (None, 3.into()));
    assert!(!service.log().contains("is a mount of its own"), "{}", service.log());
}

#[test]
fn a_signal_takes_up_a_swapped_volume_that_is_not_polled() {
    let (dir, volume) = Volume::of("off");
    let service = Service::start_in(dir);
    let (mut log, at) = (Log::of(&service), service.dir.path());
    import(at, &[b'2'; 40]);
    volume.publish("..2", at);
    assert_eq!(mint(&service), 1);
    service.signal("HUP");
    assert_eq!((log.outcome(), mint(&service)), (None, 2.into()));
}

/// A file bound onto another, taken away when dropped.
struct Bound(PathBuf);

impl Bound {
    fn new(from: &Path, to: &Path) -> Option<Self> {
        let bound = Command::new("mount").arg("--bind").args([from, to]).output();
        bound.is_ok_and(|output| output.status.success()).then(|| Self(to.to_owned()))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What replaces such a file where it comes from never shows here, so the operator is told at the start.
#[test]
fn a_file_that_is_a_mount_of_its_own_is_warned_of() {
    let dir = folder(&format!("{CONFIG}[reload]\npoll = \"1s\"\n"));
    let (at, outside) = (dir.path(), tempfile::tempdir().unwrap());
    for file in ["keyring", "kek", "config.toml"] {
        fs::copy(at.join(file), outside.path().join(file)).unwrap();
    }
    let Some(_bound) = Bound::new(&outside.path().join("keyring"), &at.join("keyring")) else {
        return skip("mount, as root");
    };
    let service = Service::start_in(dir);
    let warnings: Vec<_> =
        service.log().lines().filter(|line| line.contains("is a mount of its own")).map(str::to_owned).collect();
    assert_eq!(warnings.len(), 1, "{}", service.log());
    assert!(warnings[0].contains("/keyring") && warnings[0].contains("WARN"), "{warnings:?}");
    assert!(warnings[0].contains("mount its folder"), "{warnings:?}");
}
