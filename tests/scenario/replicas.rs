//! Two processes of the service: one keyring file, one ledger, and for each its own sockets and journal.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use countersign::grpc::{
    client::{Address, Client},
    proto::{ListKeysRequest, RotateKeyRequest},
};
use tempfile::TempDir;

use crate::service::{CONFIG, PATIENCE, Service, folder, run, stdout};

pub struct Replicas {
    services: [Service; 2],
    admins: [Arc<Mutex<Client>>; 2],
}

/// Both are told of keys within a second, and may change them. What the machine does besides must not matter: deadlines
/// are long.
fn config() -> String {
    let admin = "[[policy.rules]]\nname = \"keys\"\ncallers = [\"*\"]\nverbs = [\"admin\"]\nkeys = [\"*\"]\n";
    let calls = "[reload]\npoll = \"1s\"\n[limits]\ndeadline = \"20s\"\nrate = \"off\"\n";
    let config = CONFIG
        .replace("[keyring]\n", "[keyring]\nwritable = true\npropagation = \"5s\"\n")
        .replace("wait_ms = 900", "wait_ms = 9000");
    format!("{calls}{config}{admin}")
}

impl Replicas {
    pub fn start() -> Self {
        let first = folder(&config());
        let second = TempDir::new().unwrap();
        let shared = |name: &str| format!("= \"{}\"", first.path().join(name).display());
        let config = ["keyring", "kek", "ledger.sqlite"]
            .iter()
            .fold(config(), |config, name| config.replace(&format!("= \"{name}\""), &shared(name)));
        std::fs::write(second.path().join("config.toml"), config).unwrap();
        let services = [Service::start_in(first), Service::start_in(second)];
        let admin = |service: &Service| {
            let socket = service.dir.path().join("sock/admin.sock");
            Arc::new(Mutex::new(Client::connect(&Address::Unix(socket), None, PATIENCE).unwrap()))
        };
        let admins = [admin(&services[0]), admin(&services[1])];
        Self { services, admins }
    }

    pub fn dir(&self) -> &Path {
        self.services[0].dir.path()
    }

    pub fn addresses(&self) -> [PathBuf; 2] {
        [self.services[0].socket(), self.services[1].socket()]
    }

    /// Stages the next version of a key through one of the two; gives its number.
    pub fn rotate(&self, through: usize, key: &str, at: i64, secret: Option<&str>) -> u32 {
        let request = RotateKeyRequest {
            key: key.to_owned(),
            secret: secret.map(|secret| secret.as_bytes().to_vec()),
            activates_at: at,
            ..RotateKeyRequest::default()
        };
        let rotated = self.admins[through].lock().unwrap().rotate_key(request).unwrap();
        rotated.version.unwrap().number
    }

    /// Both show the same keys, after so many rotations of each of the two.
    pub fn agree(&self, rounds: u64) {
        let shown = |at: usize| {
            let listed = self.admins[at].lock().unwrap().list_keys(ListKeysRequest {}).unwrap();
            // An empty keyring, two imports, and the rotations.
            assert_eq!(listed.generation, 3 + 2 * rounds);
            listed.keys.iter().map(|key| (key.name.clone(), key.active_version, key.versions.len())).collect::<Vec<_>>()
        };
        assert_eq!(shown(0), shown(1));
        assert!(shown(0).iter().all(|(_, active, versions)| *active as usize == *versions), "{:?}", shown(0));
    }

    /// Both stop well, and each left a journal that holds.
    pub fn stop(self) {
        for service in self.services {
            service.signal("TERM");
            let (status, _, dir) = service.wait();
            assert!(status.success());
            let at = |name: &str| dir.path().join(name).display().to_string();
            let output = run(&["audit", "verify", "--live", &at("journal.jsonl")], b"");
            assert!(stdout(&output).contains("the chain holds"), "{}", stdout(&output));
        }
    }
}
