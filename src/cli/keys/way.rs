//! Two ways to the same keys: through a running service, or on the keyring file. Whatever is asked, and whatever is
//! printed, is the same by both.

use std::{env, path::PathBuf, time::Duration};

use super::{
    home::{Asking, Home, PublicHome},
    refused,
    used::{Known, Named},
};
use crate::{
    app,
    authority::{Changed, Edit, KeyShown, Order, VersionShown, still_needed},
    cli::{
        ADMIN_ADDRESS, Failure, TlsArgs,
        client::{self, Target},
        remark,
    },
    clock::UnixSeconds,
    grpc::client::{CallError, Client},
    keyring::KeyName,
    keystore::{self, Location},
};

use super::online;

/// How long a change may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A running service.
#[derive(clap::Args, Debug)]
pub(super) struct ServiceArgs {
    #[arg(
        long,
        value_name = "ADDRESS",
        conflicts_with_all = ["config", "keyring"],
        help = "Work through the running service whose admin listener this is, unix:PATH or https://HOST:PORT. Where \
                neither this nor a file is named: COUNTERSIGN_ADDRESS, and without it unix:/run/countersign/admin.sock"
    )]
    address: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

/// A running service, where there is no other way.
#[derive(clap::Args, Debug)]
pub(super) struct OnlineArgs {
    #[arg(
        long,
        value_name = "ADDRESS",
        help = "The admin listener of the service, unix:PATH or https://HOST:PORT. Where it is left out: \
                COUNTERSIGN_ADDRESS, and without it unix:/run/countersign/admin.sock"
    )]
    address: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Where keys are changed.
#[derive(clap::Args, Debug)]
pub(super) struct Changing {
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    pub(super) home: Home,
}

/// Where keys are looked at.
#[derive(clap::Args, Debug)]
pub(super) struct Looking {
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    home: PublicHome,
}

/// A way to keys that can be changed.
pub(super) enum Way {
    Service(Service),
    File { location: Location, propagation: i64, ledger: Named },
}

/// A way to keys that are only looked at.
pub(super) enum View {
    Service(Service),
    File { keyring: PathBuf, ledger: Named },
}

/// A connection, and where it leads.
pub(super) struct Service {
    pub(super) client: Client,
    address: String,
}

impl Changing {
    /// Connects, or finds the file and what opens it.
    pub(super) fn way(&self) -> Result<Way, Failure> {
        if self.home.is_named() {
            let location = self.home.location(Asking::Known)?;
            let (propagation, ledger) = self.home.propagation_and_ledger()?;
            return Ok(Way::File { location, propagation, ledger });
        }
        Service::connect(self.service.address.as_deref(), &self.service.tls).map(Way::Service)
    }
}

impl Looking {
    /// Connects, or finds the file.
    pub(super) fn view(&self) -> Result<View, Failure> {
        if self.home.is_named() {
            let (keyring, ledger) = self.home.keyring_and_ledger()?;
            return Ok(View::File { keyring, ledger });
        }
        Service::connect(self.service.address.as_deref(), &self.service.tls).map(View::Service)
    }
}

impl OnlineArgs {
    pub(super) fn connect(&self) -> Result<Service, Failure> {
        Service::connect(self.address.as_deref(), &self.tls)
    }
}

/// What there is.
pub(super) struct Listed {
    pub(super) keyring_id: String,
    pub(super) generation: u64,
    pub(super) keys: Vec<KeyShown>,
    pub(super) known: Known,
}

impl View {
    pub(super) fn list(&self, now: UnixSeconds) -> Result<Listed, Failure> {
        match self {
            Self::Service(service) => online::list(service),
            Self::File { keyring, ledger } => {
                let summary = keystore::summary(keyring).map_err(|error| refused(&error))?;
                let known = ledger.tell(&summary.keyring_id, &summary.keys);
                let keys = summary.keys.iter().map(|key| KeyShown::of(key, now)).collect();
                Ok(Listed { keyring_id: summary.keyring_id, generation: summary.generation, keys, known })
            }
        }
    }

    pub(super) fn show(&self, name: &KeyName, now: UnixSeconds) -> Result<(KeyShown, Known), Failure> {
        match self {
            Self::Service(service) => online::show(service, name),
            Self::File { keyring, ledger } => {
                let summary = keystore::summary(keyring).map_err(|error| refused(&error))?;
                let known = ledger.tell(&summary.keyring_id, &summary.keys);
                let found = summary.keys.iter().find(|key| key.name == *name);
                found.map(|key| (KeyShown::of(key, now), known)).ok_or_else(|| {
                    Failure::usage(format!(
                        "there is no key {name} in this keyring: `countersign keys list` names them all"
                    ))
                })
            }
        }
    }
}

impl Way {
    /// Makes the change.
    pub(super) fn change(&self, key: &KeyName, edit: Edit, now: UnixSeconds) -> Result<Changed, Failure> {
        match self {
            Self::Service(service) => online::change(service, key, edit),
            Self::File { location, propagation, ledger } => {
                if let Edit::Destroy { number, force: false } = edit {
                    insist(location, ledger, key, number, now)?;
                }
                let order = Order { key: key.clone(), edit };
                let done = app::change(location, *propagation, false, order, now).map_err(|error| refused(&error))?;
                let summary = keystore::summary(&location.keyring).map_err(|error| refused(&error))?;
                let found = summary.keys.iter().find(|key| key.name == done.name);
                let found = found.and_then(|key| Some((key, key.version(done.number)?)));
                let (key, version) = found
                    .ok_or_else(|| Failure::ours("the change is made, but another writer has removed the version"))?;
                let warnings = done.warnings.iter().map(ToString::to_string);
                Ok(Changed {
                    key: done.name.as_str().to_owned(),
                    kind: done.kind,
                    version: VersionShown::of(key, version, now),
                    generation: done.generation,
                    warnings: warnings.chain(KeyShown::of(key, now).remark()).collect(),
                })
            }
        }
    }
}

/// Refuses, as the service does, to destroy a version that something may still need. What its state forbids is said by
/// the keystore.
fn insist(location: &Location, ledger: &Named, name: &KeyName, number: u32, now: UnixSeconds) -> Result<(), Failure> {
    let summary = keystore::summary(&location.keyring).map_err(|error| refused(&error))?;
    let Some(key) = summary.keys.iter().find(|key| key.name == *name) else { return Ok(()) };
    let Some(version) = key.version(number) else { return Ok(()) };
    let known = ledger.tell(&summary.keyring_id, &summary.keys);
    let Some(text) = still_needed(key, version, now) else { return Ok(()) };
    if let Known::ByNone(why) = known {
        remark(&format!("no ledger tells of the use of keys: {why}"));
    }
    Err(Failure::usage(format!("{text} (STILL_NEEDED)")))
}

impl Service {
    fn connect(address: Option<&str>, tls: &TlsArgs) -> Result<Self, Failure> {
        let named = address.map(str::to_owned).or_else(|| env::var("COUNTERSIGN_ADDRESS").ok());
        let is_default = named.is_none();
        let address = named.unwrap_or_else(|| ADMIN_ADDRESS.to_owned());
        let connected = Target::at(&address, tls)?.connect_for(TIMEOUT).map_err(client::failed);
        let client = connected.map_err(|failure| match failure {
            Failure { exit, message } if is_default => Failure {
                exit,
                message: format!("{message} Name it with --address, or files with --config or --keyring."),
            },
            other => other,
        })?;
        Ok(Self { client, address })
    }

    /// The exit codes of the same refusals on the file.
    pub(super) fn failed(&self, error: CallError) -> Failure {
        match error.reason.as_str() {
            "UNKNOWN_METHOD" => Failure::usage(format!(
                "{} serves no keys: name the service's admin listener with --address (listen.admin in its configuration, \
                 such as {ADMIN_ADDRESS})",
                self.address
            )),
            "STATE_FORBIDS" | "STILL_NEEDED" | "ALREADY_STAGED" | "KEYRING_UNSOUND" | "KEYRING_UNUSABLE"
            | "RELOAD_REFUSED" => Failure { exit: 2, ..client::failed(error) },
            "CHANGE_INCOMPLETE" => Failure { exit: 4, ..client::failed(error) },
            _ => client::failed(error),
        }
    }
}
