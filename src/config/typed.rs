//! The configuration as checked values, and what serves built from them and the keys.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    duration::parse_seconds,
    journal, kek, listen, object, outbound, raw,
    rotation::{self, Interval},
    rule, tls,
};
use crate::{
    audit,
    authority::{Portal, State},
    grpc::{Limits, tls::TlsSettings},
    hub::{
        app::{App, Ttl, UsernameForm},
        login::Settings,
        token::SealLimits,
    },
    keyring::{Key, KeyKind, KeyName, Keyring},
    keystore::Location,
    liveauth::domain::{Domain, Domains, HostName},
    policy::{Policy, Rate, Rule},
};

/// A checked configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The Unix socket.
    pub unix: PathBuf,
    /// The Unix socket that serves `KeyService` too; `None`: there is none.
    pub admin: Option<PathBuf>,
    /// Whether reflection is served.
    pub reflection: bool,
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    /// How long a drain may take.
    pub drain: Duration,
    /// TCP listeners, all of them with TLS.
    pub tls: Vec<TlsSettings>,
    /// Where `/metrics` and the probes are served.
    pub http: SocketAddr,
    /// Where the keyring lies.
    pub keyring: Location,
    /// Seconds from the staging of a new version to its use, where nobody says otherwise.
    pub propagation: i64,
    /// Which keys get a new version by themselves.
    pub rotations: Vec<Interval>,
    /// Whether the service changes the keyring when it is asked to.
    pub writable: bool,
    /// How often a KMS plugin is asked how it is.
    pub kek_poll: Duration,
    /// Whether keys must lie in locked memory.
    pub require_mlock: bool,
    /// Whether the process confines itself.
    pub landlock: Landlock,
    /// How the journal is kept; `None` where it is switched off.
    pub journal: Option<audit::Settings>,
    /// Where the ledger lies; `None` where there is none, and nothing can be revoked.
    pub ledger: Option<PathBuf>,
    /// Logging.
    pub log: Log,
    /// Limits of the transport.
    pub limits: Limits,
    /// Limits of the keys.
    pub seal_limits: SealLimits,
    /// How calls to vendors go out.
    pub outbound: crate::outbound::Settings,
    /// Where LiveAuth is asked.
    pub portal: Portal,
    /// LiveAuth domains.
    pub domains: Vec<DomainSpec>,
    /// Hub apps.
    pub apps: Vec<AppSpec>,
    /// Policy rules.
    pub rules: Vec<Rule>,
    /// How often files are looked at for new content; `None`: only when told to.
    pub poll: Option<Duration>,
    /// The SHA-256 of the file.
    pub digest: [u8; 32],
}

/// Whether the process confines itself to the files it needs, by Landlock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Landlock {
    /// Where the kernel has it, as far as it has it.
    On,
    /// Not at all.
    Off,
    /// On, and without it there is no start.
    Required,
}

/// Logging.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or directives such as `info,countersign::grpc=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

/// A domain, its key by name.
#[derive(Clone, PartialEq, Debug)]
pub struct DomainSpec {
    /// The canonical host name.
    pub name: HostName,
    /// The key.
    pub key: KeyName,
    /// Seconds.
    pub ttl: i64,
    /// Seconds.
    pub max_ttl: i64,
    /// Seconds.
    pub leeway: i64,
    /// Whether names below it share its secret.
    pub subdomains: bool,
    /// The Referer to answer with.
    pub referer: Option<String>,
}

/// An app, its key by name.
#[derive(Clone, PartialEq, Debug)]
pub struct AppSpec {
    /// The name.
    pub name: String,
    /// The key.
    pub key: KeyName,
    /// How long tokens last.
    pub ttl: Ttl,
    /// How long they may.
    pub max_ttl: Ttl,
    /// Bytes.
    pub pad_to: usize,
    /// Characters.
    pub max_chars: usize,
    /// Whether a token needs a username.
    pub require_username: bool,
    /// How usernames are compared.
    pub username_form: UsernameForm,
    /// Whether resealing begins the lifetime anew.
    pub reseal_extends: bool,
    /// The Hubs that it deals with.
    pub login: Settings,
}

impl Config {
    /// Builds what serves from this configuration and `keys`, carrying on what `before` has counted.
    ///
    /// # Errors
    /// What does not fit together, in one line.
    pub fn build(&self, keys: Vec<Key>, before: Option<&State>) -> Result<State, String> {
        let ring_before = before.map(State::ring);
        let keys = match ring_before {
            Some(before) => Keyring::continuing(keys, before),
            None => keys,
        };
        let ring = Keyring::new(keys).map_err(|problem| format!("keyring: {problem}"))?;
        if let Some(before) = ring_before {
            ring.succeeds(before).map_err(|broken| format!("keyring: {broken}"))?;
        }
        let (domains, apps) = self.objects(|name, kind, whose| {
            let key = ring.key(name).ok_or_else(|| {
                format!(
                    "{whose}: the keyring has no key {name}; make it with `countersign keys import --key {name} --kind {}`",
                    kind.name()
                )
            })?;
            Ok(Arc::clone(key))
        })?;
        let policy = match before {
            Some(before) => Policy::continuing(self.rules.clone(), before.policy()),
            None => Policy::new(self.rules.clone()),
        };
        let policy = policy.map_err(|problem| format!("policy: {problem}"))?;
        Ok(State::new(policy, domains, apps, ring, self.seal_limits)?.with_portal(self.portal.clone()))
    }

    /// Domains and apps as they will serve, but with keys that have no versions.
    ///
    /// # Errors
    /// What does not fit together, in one line.
    pub fn without_keys(&self) -> Result<(Domains, Vec<App>), String> {
        self.objects(|name, kind, _| Ok(Arc::new(Key::new(name.clone(), kind, Vec::new()))))
    }

    /// Domains and apps with the keys that `key` finds for them.
    fn objects(
        &self,
        key: impl Fn(&KeyName, KeyKind, &str) -> Result<Arc<Key>, String>,
    ) -> Result<(Domains, Vec<App>), String> {
        let domain = |spec: &DomainSpec| {
            Ok(Domain {
                name: spec.name.clone(),
                key: key(&spec.key, KeyKind::LiveAuth, &format!("domain {}", spec.name))?,
                default_ttl: spec.ttl,
                max_ttl: spec.max_ttl,
                leeway: spec.leeway,
                subdomains: spec.subdomains,
                referer: spec.referer.clone(),
            })
        };
        let app = |spec: &AppSpec| {
            let app = App {
                name: spec.name.clone(),
                key: key(&spec.key, KeyKind::Hat1, &format!("app {}", spec.name))?,
                ttl: spec.ttl,
                max_ttl: spec.max_ttl,
                pad_to: spec.pad_to,
                max_chars: spec.max_chars,
                require_username: spec.require_username,
                username_form: spec.username_form,
                reseal_extends: spec.reseal_extends,
                login: spec.login.clone(),
            };
            app.check()?;
            Ok(app)
        };
        let domains = self.domains.iter().map(domain).collect::<Result<Vec<_>, String>>()?;
        let apps = self.apps.iter().map(app).collect::<Result<Vec<_>, String>>()?;
        Ok((Domains::new(domains)?, apps))
    }

    /// The rules as a policy.
    ///
    /// # Errors
    /// What is wrong with them, in one line.
    pub fn policy(&self) -> Result<Policy, String> {
        Policy::new(self.rules.clone()).map_err(|problem| format!("policy: {problem}"))
    }
}

pub(super) fn check(raw: raw::Raw, folder: &Path) -> Result<Config, String> {
    let path = |text: &str, setting: &str| {
        if text.is_empty() { Err(format!("{setting} is empty; name a path")) } else { Ok(folder.join(text)) }
    };
    let http = raw.http.address.parse().map_err(|_| {
        format!("http.address {:?} is no address; write IP:PORT, such as 0.0.0.0:9464", raw.http.address)
    })?;
    let format = match raw.log.format.as_str() {
        "json" => LogFormat::Json,
        "human" => LogFormat::Human,
        other => return Err(format!("log.format {other:?} is unknown; write \"json\" or \"human\"")),
    };
    let landlock = match raw.process.landlock.as_str() {
        "on" => Landlock::On,
        "off" => Landlock::Off,
        "required" => Landlock::Required,
        other => {
            return Err(format!("process.landlock {other:?} is unknown; write \"on\", \"off\" or \"required\""));
        }
    };
    let unix = path(&raw.listen.unix, "listen.unix")?;
    let poll = match raw.reload.poll.as_str() {
        "off" => None,
        text => Some(span(text, "reload.poll").map_err(|problem| format!("{problem}; or \"off\""))?),
    };
    let propagation = rotation::propagation(&raw.keyring, poll)?;
    let domains: Vec<_> = raw.liveauth.domains.iter().map(object::domain).collect::<Result<_, _>>()?;
    let out = outbound::settings(&raw.outbound, folder)?;
    let portal = outbound::portal(&raw.liveauth, &out)?;
    let config = Config {
        admin: listen::admin_socket(&raw.listen.admin, &unix)?,
        unix,
        reflection: raw.listen.reflection,
        workers: raw.listen.workers.into(),
        drain: span(&raw.listen.drain, "listen.drain")?,
        tls: tls::listeners(&raw.listen.tls, folder)?,
        http,
        keyring: Location { keyring: path(&raw.keyring.path, "keyring.path")?, kek: kek::source(&raw.keyring, path)? },
        propagation,
        rotations: rotation::intervals(&raw.keyring, propagation, &domains)?,
        writable: raw.keyring.writable,
        kek_poll: span(&raw.keyring.kek_kms_poll, "keyring.kek_kms_poll")?,
        require_mlock: raw.memory.require_mlock,
        landlock,
        journal: raw.journal.enabled.then(|| journal::check(&raw.journal, path)).transpose()?,
        ledger: (!raw.ledger.path.is_empty()).then(|| folder.join(&raw.ledger.path)),
        log: Log { format, level: raw.log.level },
        limits: Limits { reach: outbound::reach(&out, &portal), ..limits(&raw.limits)? },
        seal_limits: seal_limits(&raw.hub)?,
        outbound: out,
        portal,
        domains,
        apps: raw.hub.apps.iter().map(object::app).collect::<Result<_, _>>()?,
        rules: raw.policy.rules.iter().map(rule::read).collect::<Result<_, _>>()?,
        poll,
        digest: [0; 32],
    };
    if let Some(journal) = &config.journal {
        journal::check_wait(journal.wait, config.limits.deadline)?;
    }
    outbound::hubs(&config)?;
    config.policy()?;
    // Whether settings fit together is for the rooms they belong to; keys without versions stand in for the real ones.
    config.without_keys()?;
    Ok(config)
}

fn limits(raw: &raw::Limits) -> Result<Limits, String> {
    let least = |value: usize, least: usize, name: &str| {
        if value < least { Err(format!("limits.{name} is {value}; at least {least} is needed")) } else { Ok(value) }
    };
    let rate = match &raw.rate {
        raw::Rate::PerSecond(0) => return Err("limits.rate is 0; write units a second, or \"off\"".into()),
        raw::Rate::PerSecond(per_second) => {
            // A batch of 1,000 costs 51 units: a smaller burst would refuse it for ever.
            let burst = least(raw.burst as usize, 51, "burst")?;
            Some(Rate { per_second: *per_second, burst: u32::try_from(burst).unwrap_or(u32::MAX) })
        }
        raw::Rate::Word(word) if word == "off" => None,
        raw::Rate::Word(word) => {
            return Err(format!("limits.rate {word:?} is unknown; write units a second, or \"off\""));
        }
    };
    let message_bytes = least(raw.message_bytes, 16 << 10, "message_bytes")?;
    let age = (
        age(&raw.connection_age_min, "limits.connection_age_min")?,
        age(&raw.connection_age_max, "limits.connection_age_max")?,
    );
    if age.0 > age.1 {
        return Err("limits.connection_age_min is longer than limits.connection_age_max; swap them".into());
    }
    Ok(Limits {
        message_bytes,
        batch_bytes: least(raw.batch_bytes, message_bytes, "batch_bytes")?,
        header_list_bytes: u32::try_from(least(raw.header_list_bytes as usize, 4 << 10, "header_list_bytes")?)
            .unwrap_or(u32::MAX),
        streams_per_connection: u32::try_from(least(raw.streams_per_connection as usize, 1, "streams_per_connection")?)
            .unwrap_or(u32::MAX),
        connections: least(raw.connections, 1, "connections")?,
        connections_per_caller: least(raw.connections_per_caller, 1, "connections_per_caller")?,
        in_flight: least(raw.in_flight, 4, "in_flight")?,
        deadline: span(&raw.deadline, "limits.deadline")?,
        handshake: span(&raw.handshake, "limits.handshake")?,
        handshakes: least(raw.handshakes, 1, "handshakes")?,
        connection_age: age,
        connection_grace: span(&raw.connection_grace, "limits.connection_grace")?,
        rate,
        ..Limits::default()
    })
}

fn seal_limits(raw: &raw::Hub) -> Result<SealLimits, String> {
    if raw.seal_alarm == 0 || raw.seal_alarm > raw.seal_limit || raw.seal_limit > 1 << 48 {
        return Err("hub.seal_alarm must be at least 1 and at most hub.seal_limit, and that at most 2^48".into());
    }
    Ok(SealLimits { alarm: raw.seal_alarm, refuse: raw.seal_limit })
}

pub(super) fn span(text: &str, setting: &str) -> Result<Duration, String> {
    match parse_seconds(text).map_err(|problem| format!("{setting}: {problem}"))? {
        seconds @ 1..=3600 => Ok(Duration::from_secs(seconds.unsigned_abs())),
        _ => Err(format!("{setting} must be between 1s and 1h")),
    }
}

/// How long a connection may last: its peer's certificate is looked at anew at least once a day.
fn age(text: &str, setting: &str) -> Result<Duration, String> {
    match parse_seconds(text).map_err(|problem| format!("{setting}: {problem}"))? {
        seconds @ 1..=86_400 => Ok(Duration::from_secs(seconds.unsigned_abs())),
        _ => Err(format!("{setting} must be between 1s and 24h")),
    }
}
