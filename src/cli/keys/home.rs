//! Where a keyring is and what opens it, as commands are told: by a configuration, or by options.

use std::path::{Path, PathBuf};

use super::{prompt, used::Named};
use crate::{
    cli::Failure,
    config,
    crypto::arena,
    keystore::{KMS_TIMEOUT, KekSource, Kms, Location, PASSPHRASE_MAX, Passphrase},
};

/// Where the keyring is.
#[derive(clap::Args, Debug)]
pub(super) struct Home {
    /// Configuration file that names the keyring and what opens it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keyring", "kek"])]
    config: Option<PathBuf>,
    /// Keyring file
    #[arg(long, value_name = "FILE", requires = "kek")]
    keyring: Option<PathBuf>,
    #[command(flatten)]
    kek: KekArgs,
}

/// Where the keyring is, for commands that open nothing.
#[derive(clap::Args, Debug)]
pub(super) struct PublicHome {
    /// Configuration file that names the keyring
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keyring", "kek"])]
    config: Option<PathBuf>,
    /// Keyring file
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Not needed here, like the other --kek options; taken so that all commands accept the same ones
    #[command(flatten)]
    _kek: KekArgs,
}

/// What opens the keyring: the key-encryption key (KEK), or where it comes from.
#[derive(clap::Args, Debug)]
#[group(id = "kek", multiple = false)]
#[expect(clippy::struct_field_names, reason = "each is the option it is named after")]
pub(in crate::cli) struct KekArgs {
    /// The keyring opens with the content of this file
    #[arg(long, value_name = "FILE", requires = "keyring")]
    kek_file: Option<PathBuf>,
    /// It opens with the systemd credential of this name, which its unit was given
    #[arg(long, value_name = "NAME", requires = "keyring")]
    kek_credential: Option<String>,
    /// It opens with a passphrase, which is asked for on the terminal
    #[arg(long, requires = "keyring")]
    kek_passphrase: bool,
    /// It opens with a passphrase, which is read from this file descriptor to its end (0: standard input)
    #[arg(long, value_name = "N", requires = "keyring", value_parser = clap::value_parser!(i32).range(0..))]
    kek_passphrase_fd: Option<i32>,
    /// It opens by the Kubernetes KMS v2 plugin on this Unix socket
    #[arg(long, value_name = "PATH", requires = "keyring")]
    kek_kms_socket: Option<PathBuf>,
}

impl Home {
    /// The keyring, and what opens it. Asks for a passphrase where one is wanted, twice where it is a `new` one.
    pub(super) fn location(&self, asking: Asking) -> Result<Location, Failure> {
        match (&self.config, &self.keyring, self.kek.source(asking)?) {
            (Some(config), ..) => config_location(config, asking),
            (None, Some(keyring), Some(kek)) => Ok(Location { keyring: keyring.clone(), kek }),
            _ => Err(Failure::usage(
                "say where the keyring is and what opens it: --config FILE, or --keyring FILE and --kek-file FILE or \
                 another --kek option",
            )),
        }
    }

    /// Whether files are named at all.
    pub(super) fn is_named(&self) -> bool {
        self.config.is_some() || self.keyring.is_some()
    }

    /// Seconds from the staging of a new version to its use: the configuration's, or those of one that says nothing.
    /// And the ledger that it names.
    pub(super) fn propagation_and_ledger(&self) -> Result<(i64, Named), Failure> {
        let Some(config) = &self.config else { return Ok((config::PROPAGATION, Named::NoConfiguration)) };
        let home = config::keyring_home(config).map_err(Failure::usage)?;
        Ok((home.propagation, Named::of(home.ledger)))
    }

    /// The configuration that says so, if one does.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Refuses two things on one standard input.
    pub(super) fn leave_standard_input(&self, to_what: &str) -> Result<(), Failure> {
        if self.kek.kek_passphrase_fd == Some(0) {
            return Err(Failure::usage(format!(
                "standard input cannot be both the passphrase and {to_what}: give one of them by --from or by another \
                 --kek-passphrase-fd"
            )));
        }
        Ok(())
    }
}

impl PublicHome {
    /// Whether files are named at all.
    pub(super) fn is_named(&self) -> bool {
        self.config.is_some() || self.keyring.is_some()
    }

    /// The keyring, and the ledger that is named with it.
    pub(super) fn keyring_and_ledger(&self) -> Result<(PathBuf, Named), Failure> {
        match (&self.config, &self.keyring) {
            (Some(config), _) => {
                let home = config::keyring_home(config).map_err(Failure::usage)?;
                Ok((home.location.keyring, Named::of(home.ledger)))
            }
            (None, Some(keyring)) => Ok((keyring.clone(), Named::NoConfiguration)),
            (None, None) => {
                Err(Failure::usage("say where the keyring is: --config FILE, or --keyring FILE".to_owned()))
            }
        }
    }
}

impl KekArgs {
    /// The source that was named, if one was.
    pub(in crate::cli) fn source(&self, asking: Asking) -> Result<Option<KekSource>, Failure> {
        let Self { kek_file, kek_credential, kek_passphrase, kek_passphrase_fd, kek_kms_socket } = self;
        Ok(if let Some(path) = kek_file {
            Some(KekSource::File(path.clone()))
        } else if let Some(name) = kek_credential {
            Some(credential(name)?)
        } else if *kek_passphrase {
            Some(KekSource::Passphrase(ask(asking)?))
        } else if let Some(socket) = kek_kms_socket {
            Some(KekSource::Kms(Kms::new(socket.clone(), KMS_TIMEOUT)))
        } else {
            kek_passphrase_fd.map(|number| KekSource::Passphrase(Passphrase::from_descriptor(number)))
        })
    }
}

/// What a passphrase is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Asking {
    /// The one that a keyring has.
    Known,
    /// One that it is to get: it is asked for twice.
    New,
}

pub(super) fn credential(name: &str) -> Result<KekSource, Failure> {
    KekSource::credential(name).map_err(|problem| Failure::usage(problem.to_string()))
}

/// Asks for a passphrase on the terminal.
pub(super) fn ask(asking: Asking) -> Result<Passphrase, Failure> {
    let once = |what: &str| prompt::ask(what, PASSPHRASE_MAX, "give it on a file descriptor, such as 3< FILE");
    match asking {
        Asking::Known => Ok(Passphrase::typed(once("Passphrase of the keyring")?)),
        Asking::New => {
            let passphrase = once("New passphrase of the keyring")?;
            let again = once("The same once more")?;
            Passphrase::typed_twice(passphrase, &again)
                .ok_or_else(|| Failure::usage("the two differ: nothing was changed; try again"))
        }
    }
}

/// The keyring of a configuration. A passphrase that no file descriptor brings is asked for where there is a terminal.
pub(in crate::cli) fn config_location(config: &Path, asking: Asking) -> Result<Location, Failure> {
    let home = config::keyring_home(config).map_err(Failure::usage)?;
    if home.require_mlock {
        arena::require_locked().map_err(|refused| Failure::usage(refused.to_string()))?;
    }
    let mut location = home.location;
    if let KekSource::Passphrase(passphrase) = &location.kek
        && !passphrase.is_handed_over()
        && prompt::terminal().is_ok()
    {
        location.kek = KekSource::Passphrase(ask(asking)?);
    }
    Ok(location)
}
