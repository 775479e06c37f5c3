//! TLS of one listener (RFC 8446 alone), as a door: what it serves with, who may be let in, and how it is replaced while
//! connections go on. A client proves who it is in every handshake: no session is kept, no ticket given, no early
//! data taken, so that nobody comes back past a revocation. Nothing here ever shows a key.

mod client;
mod files;
mod folder;
mod handshake;
mod identity;
mod material;
mod provider;
mod queue;
mod throttle;
mod verifier;

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig, pki_types::UnixTime, server::NoServerSessionStorage, time_provider::TimeProvider, version::TLS13,
};

pub(super) use self::{
    client::{ClientStream, alert_in},
    handshake::Knock,
};
pub use self::{
    client::{ClientTls, ServerIdentity},
    files::TlsFiles,
    folder::Folder,
    identity::Identity,
    provider::claim_provider,
};
use self::{
    files::Contents,
    material::Material,
    provider::provider,
    queue::Queue,
    throttle::Throttle,
    verifier::{Judge, Note},
};
use super::session::Reach;
use crate::clock::{Clock, UnixSeconds};

/// The protocols offered (ALPN, RFC 7301), the preferred one first. HTTP/1.1 carries only JSON.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A TLS listener, as configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsSettings {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is made of; the CA is that of the clients.
    pub files: TlsFiles,
    /// By which name it knows its callers.
    pub identity: Identity,
    /// Whether it serves `KeyService` too. What it was at the start stays until the process ends.
    pub admin: bool,
}

/// A TLS listener's certificates, and who is on its threshold.
pub struct Door {
    address: SocketAddr,
    reach: Reach,
    clock: Clock,
    serving: ArcSwap<Serving>,
    hasher: RandomState,
    queue: Queue,
    throttle: Throttle,
}

/// What one connection after another is accepted with.
struct Serving {
    settings: TlsSettings,
    identity: Arc<Identity>,
    material: Material,
    /// Of the contents of the files; not of use outside this process.
    fingerprint: u64,
}

/// Built and judged, ready to be put in force.
pub struct Prepared(Serving);

impl Door {
    /// Reads and judges the files of `settings`.
    ///
    /// # Errors
    /// What is wrong with them, in one line.
    pub fn load(settings: &TlsSettings, clock: Clock) -> Result<Arc<Self>, String> {
        let hasher = RandomState::new();
        let serving = build(settings, &hasher, clock.now())?;
        let door = Self {
            address: settings.address,
            reach: if settings.admin { Reach::Admin } else { Reach::Ordinary },
            clock,
            serving: ArcSwap::from_pointee(serving),
            hasher,
            queue: Queue::default(),
            throttle: Throttle::default(),
        };
        Ok(Arc::new(door))
    }

    /// The address that is configured, which is the listener's name in metrics and logs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it leads to `KeyService` too.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.reach == Reach::Admin
    }

    /// What is allowed but wrong with what serves now, a line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.serving.load().material.warnings.clone()
    }

    /// When our certificate expires, and when the first CRL ought to have been replaced.
    #[must_use]
    pub fn dates(&self) -> (UnixSeconds, Option<UnixSeconds>) {
        let serving = self.serving.load();
        (serving.material.not_after, serving.material.next_update)
    }

    /// Builds what `settings` ask for, without putting it in force.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn prepare(&self, settings: &TlsSettings) -> Result<Prepared, String> {
        build(settings, &self.hasher, self.clock.now()).map(Prepared)
    }

    /// Reads the files that serve again, and builds from them if any has changed since.
    ///
    /// # Errors
    /// What is wrong with what is there now, in one line.
    pub fn look(&self) -> Result<Option<Prepared>, String> {
        let serving = self.serving.load_full();
        let place = |problem: String| at(&serving.settings, &problem);
        let contents = serving.settings.files.read().map_err(place)?;
        if fingerprint(&self.hasher, &contents) == serving.fingerprint {
            return Ok(None);
        }
        assemble(&serving.settings, contents, &self.hasher, self.clock.now()).map(Prepared).map(Some)
    }

    /// Puts it in force for connections from now on; those that are open keep what they came with.
    pub fn replace(&self, prepared: Prepared) {
        self.serving.store(Arc::new(prepared.0));
    }

    /// What the next connection is accepted with, and where its certificate will be noted.
    fn next(&self) -> Result<(Arc<ServerConfig>, Note), rustls::Error> {
        let serving = self.serving.load();
        let note: Note = Arc::new(OnceLock::new());
        let judge = Judge {
            chains: Arc::clone(&serving.material.clients),
            identity: Arc::clone(&serving.identity),
            note: Arc::clone(&note),
        };
        let time: Arc<dyn TimeProvider> = Arc::new(Time(self.clock.clone()));
        let mut config = ServerConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(judge))
            .with_cert_resolver(Arc::clone(&serving.material.certificate) as _);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok((Arc::new(config), note))
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The service's clock, as rustls asks for it.
#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn build(settings: &TlsSettings, hasher: &RandomState, now: UnixSeconds) -> Result<Serving, String> {
    let contents = settings.files.read().map_err(|problem| at(settings, &problem))?;
    assemble(settings, contents, hasher, now)
}

fn assemble(
    settings: &TlsSettings,
    contents: Contents,
    hasher: &RandomState,
    now: UnixSeconds,
) -> Result<Serving, String> {
    let fingerprint = fingerprint(hasher, &contents);
    let material = Material::build(&settings.files, contents, now).map_err(|problem| at(settings, &problem))?;
    let identity = Arc::new(settings.identity.clone());
    Ok(Serving { settings: settings.clone(), identity, material, fingerprint })
}

/// Tells contents apart that were read by one door: keyed at random, so that nobody can make two alike.
fn fingerprint(hasher: &RandomState, contents: &Contents) -> u64 {
    hasher.hash_one((&contents.certificate, &contents.key[..], &contents.ca, &contents.crls))
}

fn at(settings: &TlsSettings, problem: &str) -> String {
    format!("listen.tls {}: {problem}", settings.address)
}
