//! `countersign keys backup` and `countersign keys restore`. Both work on the files.

use std::{fmt::Write as _, path::PathBuf};

use serde::Serialize;

use super::{
    home::{self, Asking, Home},
    print::{json, print, warnings},
    refused,
    used::Named,
};
use crate::{
    cli::{Failure, Output},
    keystore::{self, Backup, KMS_TIMEOUT, KekSource, Kms, Location, Passphrase, Restored, Restoring},
};

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  countersign keys backup --config config.toml --to /mnt/backup/keyring-$(date +%F)";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  See what would come back, then do it:
  countersign keys restore --config config.toml --from /mnt/backup/keyring-2027-01-31 \\
      --dry-run
  countersign keys restore --config config.toml --from /mnt/backup/keyring-2027-01-31

  The backup is from before the last `keys rewrap`:
  countersign keys restore --config config.toml --from /mnt/backup/keyring-2026-10-31 \\
      --from-kek-file /mnt/safe/kek-2026";

#[derive(clap::Args, Debug)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    home: Home,
    /// Where to: a file that is not there yet, best on another disk
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(clap::Args, Debug)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    home: Home,
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    from_kek: FromArgs,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Replace also what cannot be gone on from: another keyring, or one that this KEK does not open
    #[arg(long)]
    replace: bool,
    /// Put the generation above this one, which something else has seen: a service that refuses the keyring as rolled back
    /// names it. What the ledger has seen that the configuration names is known without
    #[arg(long, value_name = "N", default_value_t = 0)]
    above: u64,
}

/// What the backup opens with, where that is not what the keyring opens with.
#[derive(clap::Args, Debug)]
#[group(id = "from_kek", multiple = false)]
#[expect(clippy::struct_field_names, reason = "each is the option it is named after")]
struct FromArgs {
    /// The backup opens with the content of this file [default: with what the keyring opens with]
    #[arg(long, value_name = "FILE")]
    from_kek_file: Option<PathBuf>,
    /// It opens with the systemd credential of this name
    #[arg(long, value_name = "NAME")]
    from_kek_credential: Option<String>,
    /// It opens with a passphrase, which is asked for on the terminal
    #[arg(long)]
    from_kek_passphrase: bool,
    /// It opens with a passphrase, which is read from this file descriptor to its end (0: standard input)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    from_kek_passphrase_fd: Option<i32>,
    /// It opens by the Kubernetes KMS v2 plugin on this Unix socket
    #[arg(long, value_name = "PATH")]
    from_kek_kms_socket: Option<PathBuf>,
}

impl FromArgs {
    /// The source that was named, if one was.
    fn source(&self) -> Result<Option<KekSource>, Failure> {
        let Self {
            from_kek_file,
            from_kek_credential,
            from_kek_passphrase,
            from_kek_passphrase_fd,
            from_kek_kms_socket,
        } = self;
        Ok(if let Some(path) = from_kek_file {
            Some(KekSource::File(path.clone()))
        } else if let Some(name) = from_kek_credential {
            Some(home::credential(name)?)
        } else if *from_kek_passphrase {
            Some(KekSource::Passphrase(home::ask(Asking::Known)?))
        } else if let Some(socket) = from_kek_kms_socket {
            Some(KekSource::Kms(Kms::new(socket.clone(), KMS_TIMEOUT)))
        } else {
            from_kek_passphrase_fd.map(|number| KekSource::Passphrase(Passphrase::from_descriptor(number)))
        })
    }
}

pub(super) fn backup(args: &BackupArgs, output: Output) -> Result<(), Failure> {
    let location = args.home.location(Asking::Known)?;
    let made = keystore::backup(&location, &args.to).map_err(|error| refused(&error))?;
    warnings(&made.warnings);
    backed_up(output, &made, &location)
}

pub(super) fn restore(args: &RestoreArgs, output: Output) -> Result<(), Failure> {
    if args.from_kek.from_kek_passphrase_fd == Some(0) {
        args.home.leave_standard_input("the passphrase of the backup")?;
    }
    let to = args.home.location(Asking::Known)?;
    let kek = args.from_kek.source()?.unwrap_or_else(|| to.kek.clone());
    let from = Location { keyring: args.from.clone(), kek };
    let highest = args.above.max(seen_by_ledger(args)?);
    let how = Restoring { replace: args.replace, highest, only_look: args.dry_run };
    let restored = keystore::restore(&from, &to, how).map_err(|error| refused(&error))?;
    warnings(&restored.warnings);
    told(output, &to, &restored, args.dry_run)
}

/// The highest generation of the backup's keyring that the ledger has seen which the configuration names; 0 for none.
fn seen_by_ledger(args: &RestoreArgs) -> Result<u64, Failure> {
    let (_, ledger) = args.home.propagation_and_ledger()?;
    let Named::File(_) = ledger else { return Ok(0) };
    let backup = keystore::summary(&args.from).map_err(|error| refused(&error))?;
    Ok(ledger.glance(&backup.keyring_id).map_or(0, |glance| glance.generation))
}

/// A backup, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BackupJson<'a> {
    backup: String,
    keyring_id: &'a str,
    generation: String,
}

/// A restored keyring, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestoredJson<'a> {
    keyring: String,
    keyring_id: &'a str,
    generation: String,
    backup_generation: String,
    done: bool,
    before: String,
    effects: Vec<String>,
}

/// Prints a backup that was made.
fn backed_up(output: Output, made: &Backup, location: &Location) -> Result<(), Failure> {
    let path = made.path.display();
    match output {
        Output::Json => json(&BackupJson {
            backup: path.to_string(),
            keyring_id: &made.keyring_id,
            generation: made.generation.to_string(),
        }),
        Output::Text => print(&format!(
            "backed up generation {} of the keyring to {path}\nit opens with {}, which is not in it: keep that elsewhere\n",
            made.generation, location.kek
        )),
    }
}

/// Prints what a restored keyring holds that it did not, and what it kept.
fn told(output: Output, to: &Location, restored: &Restored, only_look: bool) -> Result<(), Failure> {
    let Restored { generation, keyring_id, of, before, effects, .. } = restored;
    let keyring = to.keyring.display();
    match output {
        Output::Json => json(&RestoredJson {
            keyring: keyring.to_string(),
            keyring_id,
            generation: generation.to_string(),
            backup_generation: of.to_string(),
            done: !only_look,
            before: before.to_string(),
            effects: effects.iter().map(ToString::to_string).collect(),
        }),
        Output::Text => {
            let done = if only_look { "would restore" } else { "restored" };
            let mut text =
                format!("{done} generation {of} of the keyring as generation {generation} of {keyring}\n{before}\n");
            for effect in effects {
                writeln!(text, "  {effect}").expect("a string takes all text");
            }
            if effects.is_empty() {
                text.push_str("  no version changes\n");
            }
            if only_look {
                text.push_str("nothing was changed: leave --dry-run out to do it\n");
            }
            print(&text)
        }
    }
}
