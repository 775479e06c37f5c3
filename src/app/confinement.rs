//! Landlock: once its sockets are bound, and before its first thread, the process gives up every file it does not need.
//! What it keeps is one plain list, made here and nowhere else; a reload that would need more is refused.
//!
//! Folders are kept, not files: an editor, `countersign keys` and Kubernetes all put a new file in the old one's place.
//! No TCP port can be bound any more and none connected to but those of vendors that rules have called, and no signal sent to a
//! process outside.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use super::Options;
use crate::config::{Config, Landlock};

/// All that this version can handle; an older kernel handles less.
const NEWEST: ABI = ABI::V10;

/// What may be done in a folder and below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read files and list folders.
    Read,
    /// Read too, and make, write, replace and remove regular files.
    Write,
    /// Make and remove sockets, and connect to them.
    Sockets,
    /// Connect to sockets.
    Connect,
    /// Remove folders that are empty.
    RemoveFolders,
}

impl Access {
    fn rights(self) -> BitFlags<AccessFs> {
        match self {
            Self::Read => make_bitflags!(AccessFs::{ReadFile | ReadDir}),
            Self::Write => {
                make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile})
            }
            Self::Sockets => make_bitflags!(AccessFs::{MakeSock | RemoveFile | ResolveUnix}),
            Self::Connect => make_bitflags!(AccessFs::{ResolveUnix}),
            Self::RemoveFolders => make_bitflags!(AccessFs::{RemoveDir}),
        }
    }
}

/// What is read to find a vendor and to know it again: how names are looked up, and the certificate authorities of the
/// system, where the distributions keep them.
const ON_THE_WAY_OUT: [&str; 4] =
    ["/etc", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/pki"];

/// Of that, what is often a link.
const FILES_ON_THE_WAY_OUT: [&str; 5] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// Names are looked up there, over UDP as well as TCP.
const DNS: u16 = 53;

/// The folders that a process needs, and what for; and the TCP ports that it connects to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Confinement {
    folders: Vec<(PathBuf, Access)>,
    ports: BTreeSet<u16>,
}

impl Confinement {
    /// What a service with this configuration needs. A room that reads or writes files adds its lines here.
    #[must_use]
    pub fn of(config: &Config, options: &Options) -> Self {
        let mut needed = Self { folders: Vec::new(), ports: config.ports_out() };
        needed.folders_of(&options.config_file, Access::Read);
        // Written: the record of the highest generation beside the keyring, and its lock.
        needed.folders_of(&config.keyring.keyring, Access::Write);
        if let Some(kek) = config.keyring.kek.file() {
            needed.folders_of(&kek, Access::Read);
        }
        if let Some(kms) = config.keyring.kek.kms() {
            needed.folders_of(kms.socket(), Access::Connect);
        }
        if let Some(journal) = &config.journal {
            // A rotation makes a new file, and a lock lies beside it.
            needed.folders_of(&journal.path, Access::Write);
        }
        if let Some(ledger) = &config.ledger {
            // The database makes and removes its log and its shared memory beside it.
            needed.folders_of(ledger, Access::Write);
        }
        for socket in std::iter::once(&config.unix).chain(&config.admin) {
            needed.folders_of(socket, Access::Sockets);
        }
        for file in config.tls.iter().flat_map(|listener| listener.files.all()) {
            needed.folders_of(&file, Access::Read);
        }
        if let Some(temporary) = options.dev.as_ref().and_then(|dev| dev.temporary_folder.as_deref()) {
            // It goes away with the process.
            needed.folders.push((temporary.to_owned(), Access::Write));
            needed.folders_of(temporary, Access::RemoveFolders);
        }
        if let Some(file) = &config.outbound.ca_file {
            needed.folders_of(file, Access::Read);
        }
        if !needed.ports.is_empty() {
            needed.ports.insert(DNS);
            needed.folders.extend(ON_THE_WAY_OUT.map(|folder| (PathBuf::from(folder), Access::Read)));
            // What is a link there may lead anywhere.
            for file in FILES_ON_THE_WAY_OUT {
                needed.folders_of(Path::new(file), Access::Read);
            }
            // OpenSSL's own variables, which the reader of the system's authorities heeds.
            if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
                needed.folders_of(Path::new(&file), Access::Read);
            }
            if let Some(folders) = std::env::var_os("SSL_CERT_DIR") {
                needed.folders.extend(std::env::split_paths(&folders).map(|folder| (folder, Access::Read)));
            }
        }
        needed
    }

    /// For this list alone; services use [`Confinement::of`].
    #[must_use]
    pub fn to(folders: Vec<(PathBuf, Access)>) -> Self {
        Self { folders, ports: BTreeSet::new() }
    }

    /// Gives up all else, for the calling thread and all it starts, for ever. Folders that are not there are left out.
    ///
    /// # Errors
    /// One line that says what to do: Landlock is required and not to be had.
    pub fn apply(self, wanted: Landlock) -> Result<Confined, String> {
        if wanted == Landlock::Off {
            return Ok(Confined {
                within: None,
                landlock: Err("switched off by process.landlock".into()),
                _proc: None,
            });
        }
        // Kept open: the rule is about the folder that /proc shows now, which must not be forgotten and made anew.
        let own_proc = PathFd::new("/proc/self").ok();
        let found: Vec<(PathBuf, Access)> = self
            .folders
            .into_iter()
            .filter_map(|(folder, access)| Some((fs::canonicalize(folder).ok()?, access)))
            .collect();
        let found = Self { folders: found, ports: self.ports };
        let restricted = restrict(&found, own_proc.as_ref()).map_err(|error| error.to_string());
        match restricted.and_then(|held| held) {
            Ok(abi) => Ok(Confined { within: Some(found), landlock: Ok(abi), _proc: own_proc }),
            Err(why) if wanted == Landlock::Required => Err(format!(
                "process.landlock is \"required\", but Landlock cannot be had: {why}; start a kernel with it (5.13 or \
                 later, `lsm=` with landlock), or write \"on\""
            )),
            Err(why) => Ok(Confined { within: None, landlock: Err(why), _proc: None }),
        }
    }

    /// The folder that `path` lies in, and, where `path` is a link, the one that its file lies in.
    fn folders_of(&mut self, path: &Path, access: Access) {
        for path in [Some(path.to_owned()), fs::canonicalize(path).ok()].into_iter().flatten() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            self.folders.push((folder.to_owned(), access));
        }
    }

    fn covers(&self, folder: &Path, access: Access) -> bool {
        self.folders.iter().any(|(held, may)| folder.starts_with(held) && may.rights().contains(access.rights()))
    }
}

/// A process that has confined itself, or could not.
pub struct Confined {
    /// Real paths; nothing where there is no confinement.
    within: Option<Confinement>,
    landlock: Result<u32, String>,
    _proc: Option<PathFd>,
}

impl Confined {
    /// The version of the kernel's Landlock that holds, or why none does.
    ///
    /// # Errors
    /// The reason, without a remedy.
    pub fn landlock(&self) -> Result<u32, &str> {
        self.landlock.as_ref().map(|abi| *abi).map_err(String::as_str)
    }

    /// Refuses what lies outside.
    ///
    /// # Errors
    /// "restart needed", and the folder.
    pub fn allows(&self, needed: &Confinement) -> Result<(), String> {
        let Some(within) = &self.within else { return Ok(()) };
        // A folder that is not there is for whoever reads from it to report.
        if let Some(port) = needed.ports.difference(&within.ports).next() {
            return Err(format!(
                "restart needed: TCP port {port} is not among those that this process may connect to since its start (Landlock)"
            ));
        }
        let real = needed.folders.iter().filter_map(|(folder, access)| Some((fs::canonicalize(folder).ok()?, *access)));
        match real.into_iter().find(|(folder, access)| !within.covers(folder, *access)) {
            None => Ok(()),
            Some((folder, _)) => Err(format!(
                "restart needed: {} is outside of what this process may reach since its start (Landlock)",
                folder.display()
            )),
        }
    }
}

/// The kernel's version of Landlock, now in force, or why there is none.
fn restrict(kept: &Confinement, own_proc: Option<&PathFd>) -> Result<Result<u32, String>, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (folder, access) in &kept.folders {
        // One that has gone in between is no loss: there is nothing in it.
        let Ok(folder) = PathFd::new(folder) else { continue };
        rules = rules.add_rule(PathBeneath::new(folder, access.rights()))?;
    }
    for port in &kept.ports {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    if kept.ports.contains(&DNS) {
        // A kernel that knows of UDP closes that too: it is asked from a port that the kernel picks.
        let asks = rules.add_rule(NetPort::new(DNS, AccessNet::ConnectSendUdp))?;
        rules = asks.add_rule(NetPort::new(0, AccessNet::BindUdp))?;
    }
    if let Some(own) = own_proc {
        // For the metrics of the process itself.
        rules = rules.add_rule(PathBeneath::new(own, Access::Read.rights()))?;
    }
    let status = rules.restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            Ok(effective_abi as u32)
        }
        LandlockStatus::Available { .. } => Err("the kernel has it, but does not enforce it".into()),
        LandlockStatus::NotEnabled => Err("this kernel has it switched off".into()),
        LandlockStatus::NotImplemented => Err("this kernel has none".into()),
    })
}
