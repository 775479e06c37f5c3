//! The file as it is written. Nothing is judged here but names of settings and their types.

use serde::{Deserialize, Serialize};

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($field:ident : $ty:ty = $default:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name { $(pub(super) $field: $ty),+ }
        impl Default for $name {
            fn default() -> Self { Self { $($field: $default),+ } }
        }
    };
}

section!(Raw {
    listen: Listen = Listen::default(),
    http: Http = Http::default(),
    keyring: Keyring = Keyring::default(),
    memory: Memory = Memory::default(),
    process: Process = Process::default(),
    journal: Journal = Journal::default(),
    ledger: Ledger = Ledger::default(),
    log: Log = Log::default(),
    limits: Limits = Limits::default(),
    outbound: Outbound = Outbound::default(),
    liveauth: LiveAuth = LiveAuth::default(),
    hub: Hub = Hub::default(),
    policy: Policy = Policy::default(),
    reload: Reload = Reload::default(),
});

section!(Listen {
    unix: String = "/run/countersign/countersign.sock".into(),
    admin: String = "admin.sock".into(),
    reflection: bool = false,
    workers: u16 = 0,
    drain: String = "10s".into(),
    tls: Vec<Tls> = Vec::new(),
});

#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) address: String,
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) client_ca: String,
    #[serde(default)]
    pub(super) crls: Vec<String>,
    pub(super) identity: Option<String>,
    pub(super) trust_domain: Option<String>,
    #[serde(default)]
    pub(super) admin: bool,
}

section!(Http { address: String = "127.0.0.1:9464".into() });

section!(Keyring {
    path: String = "/var/lib/countersign/keyring".into(),
    kek_file: String = "/etc/countersign/kek".into(),
    kek_credential: String = String::new(),
    kek_passphrase_fd: i32 = 0,
    kek_kms_socket: String = String::new(),
    kek_kms_timeout: String = "3s".into(),
    kek_kms_poll: String = "60s".into(),
    propagation: String = "5m".into(),
    rotate: Vec<Rotate> = Vec::new(),
    writable: bool = false,
});

#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    pub(super) keys: Vec<String>,
    pub(super) every: String,
}

section!(Memory { require_mlock: bool = false });

section!(Process { landlock: String = "on".into() });
section!(Journal {
    enabled: bool = true,
    path: String = "/var/lib/countersign/journal.jsonl".into(),
    durability: String = "write".into(),
    wait_ms: u16 = 50,
    seal_records: u32 = 65_536,
    seal_every: String = "10s".into(),
    verifications: String = "failed".into(),
});

section!(Ledger { path: String = "/var/lib/countersign/ledger.sqlite".into() });

section!(Log { format: String = "json".into(), level: String = "info".into() });

section!(Limits {
    message_bytes: usize = 64 << 10,
    batch_bytes: usize = 1 << 20,
    header_list_bytes: u32 = 16 << 10,
    streams_per_connection: u32 = 256,
    connections: usize = 1024,
    connections_per_caller: usize = 256,
    in_flight: usize = 4096,
    deadline: String = "2s".into(),
    handshake: String = "5s".into(),
    handshakes: usize = 128,
    connection_age_min: String = "10m".into(),
    connection_age_max: String = "30m".into(),
    connection_grace: String = "30s".into(),
    rate: Rate = Rate::PerSecond(20_000),
    burst: u32 = 40_000,
});

/// Units a second, or a word that switches the bucket off.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Rate {
    PerSecond(u32),
    Word(String),
}

section!(Outbound {
    connect_timeout: String = "2s".into(),
    timeout: String = "5s".into(),
    response_bytes: usize = 64 << 10,
    ca_file: String = String::new(),
    private_addresses: bool = false,
    insecure_loopback: bool = false,
});

section!(LiveAuth {
    endpoint: String = crate::liveauth::portal::ENDPOINT.into(),
    timeout: String = "5s".into(),
    domains: Vec<Domain> = Vec::new(),
});

#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) ttl: Option<String>,
    pub(super) max_ttl: Option<String>,
    pub(super) leeway: Option<String>,
    #[serde(default)]
    pub(super) subdomains: bool,
    pub(super) referer: Option<String>,
}

section!(Hub {
    seal_alarm: u64 = 1 << 40,
    seal_limit: u64 = 1 << 48,
    apps: Vec<App> = Vec::new(),
});

#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) ttl: Option<String>,
    pub(super) max_ttl: Option<String>,
    pub(super) pad_to: Option<usize>,
    pub(super) max_chars: Option<usize>,
    pub(super) require_username: Option<bool>,
    pub(super) username_form: Option<String>,
    #[serde(default)]
    pub(super) reseal_extends: bool,
    pub(super) generation: Option<u8>,
    #[serde(default)]
    pub(super) origins: Vec<String>,
    pub(super) hub_name: Option<String>,
    pub(super) delivery: Option<String>,
    #[serde(default)]
    pub(super) bind_hub_login_token: bool,
    pub(super) notify_origin: Option<String>,
}

section!(Policy { rules: Vec<Rule> = Vec::new() });

#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) callers: Vec<String>,
    pub(super) verbs: Vec<String>,
    #[serde(default)]
    pub(super) domains: Vec<String>,
    #[serde(default)]
    pub(super) apps: Vec<String>,
    #[serde(default)]
    pub(super) keys: Vec<String>,
    pub(super) max_ttl: Option<String>,
    pub(super) rate: Option<u32>,
    pub(super) burst: Option<u32>,
}

section!(Reload { poll: String = "30s".into() });
