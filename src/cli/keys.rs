//! `countersign keys`: make a keyring, make, import and rotate keys, take them out of use, look at them. Works through a
//! running service, or on the files alone, when no service need run. A secret comes from standard input, a file or a terminal without echo, never from the command line.

mod args;
mod backup;
mod home;
mod online;
mod print;
mod prompt;
mod rewrap;
mod secret;
mod used;
mod way;

pub(super) use self::home::{Asking, KekArgs, config_location};
use self::{
    args::{CreateArgs, DestroyArgs, ImportArgs, RotateArgs, ShowArgs, SuiteName, VersionArgs},
    home::Home,
    way::{Looking, OnlineArgs},
};

use crate::{
    app,
    authority::Edit,
    cli::{Failure, Output},
    clock::{Clock, UnixSeconds},
    crypto::aead::Suite,
    keyring::KeyKind,
    keystore::{self, KeystoreError},
};

/// Make and look after the keyring: the sealed file that holds every secret.
///
/// A keyring is one sealed document. It is opened with a key-encryption key (KEK): the content of a second file or of
/// a systemd credential, a passphrase, or what a Kubernetes KMS plugin holds. Without it, nobody reads a secret out of the keyring, and neither do you. Keep
/// the two on different disks and in different backups.
///
/// A change is written beside the keyring and then put in its place, so a full disk or a crash leaves the previous
/// keyring as it was. The generation before it is kept as KEYRING.previous.
///
/// With --config or --keyring the commands work on the files; a running service takes a change up within `reload.poll`,
/// or at once on SIGHUP. With --address, or neither, they work through the service on its admin listener, which has the
/// change in force before the command ends; it needs keyring.writable = true, and a rule with the verb admin. What is
/// printed is the same.
#[derive(clap::Args, Debug)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: Command,
    /// How to print results: for people, or as JSON (64-bit numbers as text, as proto3 JSON has them)
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Make a keyring without keys, and a KEK file where it is to open with one and there is none
    ///
    /// Never replaces a keyring. A passphrase has at least 12 bytes. A KEK file that exists is used as it is: a regular file of 32 to 4096 bytes (one
    /// trailing newline does not count) that only its owner, root or you, may read. One that is made holds 32 random
    /// bytes as base64 text, with mode 0400.
    #[command(after_help = INIT_EXAMPLES)]
    Init(Home),
    /// Draw a new hat1 key for a Hub app
    ///
    /// A LiveAuth secret cannot be created: idibu gives it to you, and `keys import` takes it.
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// Import a secret as a new key, or as a further version of one
    ///
    /// The secret is read from standard input, from --from FILE, or, on a terminal, asked for without echo; there is
    /// no option that takes it, since every user of the machine can read command lines. Exactly one trailing newline
    /// is taken off, which is said on standard error; everything else counts.
    ///
    /// A version mints from its activation time on, at once unless --activate-at says when. The version before it
    /// goes on verifying. To rotate without a gap, stage the new version some time ahead, so that every replica
    /// knows it before any uses it.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Wrap the keyring anew: by another source of the KEK, or by the same
    ///
    /// What the keyring holds does not change, nor does any token or hash. KEYRING.previous is removed: it opens with what
    /// opened the keyring before, and so does every copy elsewhere. Without a --to option the source stays: a KMS plugin
    /// then wraps with the key it uses now.
    ///
    /// Whoever had the old KEK together with the old keyring has its document key, which is the same after a move. Where
    /// that may have happened, say --new-document-key, and rotate the keys themselves.
    #[command(after_help = REWRAP_EXAMPLES)]
    Rewrap(rewrap::RewrapArgs),
    /// Stage a new version of a key, and say when it takes over
    ///
    /// The new version verifies at once. It takes over at its activation time, `keyring.propagation` from now unless
    /// --activate-at says when, so that every replica knows it before any uses it; the version before it goes on verifying.
    /// A hat1 key is drawn. A LiveAuth secret is given by idibu, at whose moment it flips: give it with --encoding, as for
    /// `keys import`, and --activate-at.
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate(RotateArgs),
    /// Set a version aside: it neither mints nor verifies until it is resumed
    ///
    /// No older version comes back in place of the active one: then nothing is minted until a version is resumed or a
    /// new one is active.
    Suspend(VersionArgs),
    /// Bring a suspended version back to where it would stand had it never been suspended
    Resume(VersionArgs),
    /// Say that a version is known, or feared to be known, to others: it never mints or verifies again
    ///
    /// There is no way back. Rotate the key first where it is to go on minting.
    MarkCompromised(VersionArgs),
    /// Take a version's material away for ever, from the keyring and from KEYRING.previous
    ///
    /// Never an active version's. One that something may still need is not destroyed either, unless --force says so: `keys
    /// show` tells until when, as the ledger knows it; without a ledger that is not known. Copies that still hold it are
    /// named, as far as they are known, and have to be removed by themselves.
    Destroy(DestroyArgs),
    /// Copy the keyring, once it was opened and found sound, to a file that is not there yet
    ///
    /// The copy opens with what the keyring opens with, and with nothing else: keep that elsewhere. Where it was made is noted
    /// in KEYRING.backups, so that `keys destroy` can name it.
    #[command(after_help = backup::BACKUP_EXAMPLES)]
    Backup(backup::BackupArgs),
    /// Put a backup in the place of the keyring
    ///
    /// Where the keyring that is there still opens, nothing is lost: versions that are newer than the backup stay, and what
    /// was destroyed or compromised since stays so. Versions that are gone come back, and a suspension that the backup does
    /// not know ends. Where it does not open, or is missing, the backup is all there is, and the command says so. What was
    /// there is kept as KEYRING.previous. The generation rises above every one that was seen, here or by the ledger that the
    /// configuration names, so services take it up.
    #[command(after_help = backup::RESTORE_EXAMPLES)]
    Restore(backup::RestoreArgs),
    /// List keys and versions, and what may be destroyed
    ///
    /// On the file it reads the public part of the keyring only. That needs no KEK, and so proves nothing about who wrote
    /// it: the service checks that when it loads the keyring. What is known of the use of versions comes from the ledger
    /// that the configuration names; while a service runs, that is ahead of the use.
    #[command(after_help = LIST_EXAMPLES)]
    List(Looking),
    /// Show one key with all its versions, and what is known of their use
    ///
    /// On the file it reads the public part of the keyring and the ledger, like `keys list`.
    Show(ShowArgs),
}

const INIT_EXAMPLES: &str = "\
Examples:
  countersign keys init --config /etc/countersign/config.toml
  countersign keys init --keyring /var/lib/countersign/keyring \\
      --kek-file /etc/countersign/kek
  countersign keys init --keyring /var/lib/countersign/keyring --kek-passphrase
  countersign keys init --keyring /var/lib/countersign/keyring \\
      --kek-kms-socket /run/kms/kms.sock";

const CREATE_EXAMPLES: &str = "\
Examples:
  countersign keys create --config config.toml --key acme-contacts --kind hat1
  countersign keys create --config config.toml --key acme-edge --kind hat1 \\
      --suite chacha20-poly1305";

const IMPORT_EXAMPLES: &str = "\
Examples:
  Ask for the secret, without showing it:
  countersign keys import --config config.toml --key jobs.example.com \\
      --kind liveauth --encoding raw

  Take it from a file:
  countersign keys import --config config.toml --key jobs.example.com \\
      --kind liveauth --encoding raw --from secret.txt

  Stage a new version of a hat1 key, to mint in an hour:
  openssl rand -hex 32 | countersign keys import --config config.toml \\
      --key acme --kind hat1 --encoding hex --activate-at $(date -d '+1 hour' +%s)";

const ROTATE_EXAMPLES: &str = "\
Examples:
  countersign keys rotate --key acme-contacts
  countersign keys rotate --config config.toml --key acme-contacts

  The secret that idibu will take from 2027-01-01T00:00:00Z on:
  countersign keys rotate --key jobs.example.com --encoding raw \\
      --from secret.txt --activate-at 1798761600";

const REWRAP_EXAMPLES: &str = "\
Examples:
  Move from a KEK file to a systemd credential, then say so in the configuration:
  countersign keys rewrap --config config.toml --to-kek-credential kek

  The KEK file may have been seen, together with the keyring:
  countersign keys rewrap --config config.toml --to-kek-file /etc/countersign/kek-2 \\
      --new-document-key";

const LIST_EXAMPLES: &str = "\
Examples:
  countersign keys list
  countersign keys list --config config.toml
  countersign keys list --keyring /var/lib/countersign/keyring --output json";

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], with one line that says what to do.
pub fn run(args: &KeysArgs) -> Result<(), Failure> {
    for problem in app::harden().lacking {
        super::remark(&format!("warning: not as closed as it should be: {problem}"));
    }
    // Read before anything is asked for: typing takes time, and the time asked for is meant from here.
    let now = Clock::system().now();
    let done = run_command(args, now);
    for problem in app::Protections::default().with_key_memory().lacking {
        super::remark(&format!("warning: {problem}"));
    }
    done
}

fn run_command(args: &KeysArgs, now: UnixSeconds) -> Result<(), Failure> {
    match &args.command {
        Command::Init(home) => {
            let location = home.location(Asking::New)?;
            let made = keystore::init(&location, now).map_err(|error| refused(&error))?;
            print::warnings(&made.warnings);
            print::initialised(args.output, &location, &made)
        }
        Command::Create(create) => {
            if KeyKind::from(create.kind) == KeyKind::LiveAuth {
                return Err(refused(&KeystoreError::LiveAuthIsGiven(create.key.clone())));
            }
            let edit = Edit::Create { suite: create.suite.into(), activates_at: create.activate_at };
            let changed = create.at.way()?.change(&create.key, edit, now)?;
            print::changed(args.output, "created", &changed)
        }
        Command::Import(import) => run_import(import, args.output, now),
        Command::Rotate(rotate) => run_rotate(rotate, args.output, now),
        Command::Suspend(version) => mark(version, Edit::Suspend, args.output, "suspended", now),
        Command::Resume(version) => mark(version, Edit::Resume, args.output, "resumed", now),
        Command::MarkCompromised(version) => {
            mark(version, Edit::MarkCompromised, args.output, "marked as compromised", now)
        }
        Command::Destroy(destroy) => {
            let edit = |number| Edit::Destroy { number, force: destroy.force };
            mark(&destroy.version, edit, args.output, "destroyed", now)
        }
        Command::Backup(backup) => backup::backup(backup, args.output),
        Command::Restore(restore) => backup::restore(restore, args.output),
        Command::Rewrap(rewrap) => rewrap::run(rewrap, args.output),
        Command::List(at) => print::list(args.output, &at.view()?.list(now)?),
        Command::Show(show) => {
            let (key, known) = show.at.view()?.show(&show.key, now)?;
            print::show(args.output, &key, &known)
        }
    }
}

fn mark(
    args: &VersionArgs,
    edit: impl FnOnce(u32) -> Edit,
    output: Output,
    verb: &str,
    now: UnixSeconds,
) -> Result<(), Failure> {
    let changed = args.at.way()?.change(&args.key, edit(args.key_version), now)?;
    print::changed(output, verb, &changed)
}

fn run_import(args: &ImportArgs, output: Output, now: UnixSeconds) -> Result<(), Failure> {
    let kind = KeyKind::from(args.kind);
    if kind == KeyKind::LiveAuth && args.suite.is_some() {
        return Err(Failure::usage("a LiveAuth key has no suite: leave --suite out"));
    }
    if args.from.is_none() {
        args.at.home.leave_standard_input("the secret")?;
    }
    let way = args.at.way()?;
    let secret = secret::read(args.from.as_deref(), args.encoding, &args.key)?;
    let (suite, activates_at) = (args.suite.map(Suite::from), args.activate_at);
    let changed = way.change(&args.key, Edit::Import { kind, secret, suite, activates_at }, now)?;
    print::changed(output, "imported", &changed)
}

fn run_rotate(args: &RotateArgs, output: Output, now: UnixSeconds) -> Result<(), Failure> {
    if args.encoding.is_some() && args.from.is_none() {
        args.at.home.leave_standard_input("the secret")?;
    }
    let way = args.at.way()?;
    let read = |encoding| secret::read(args.from.as_deref(), encoding, &args.key);
    let secret = args.encoding.map(read).transpose()?;
    let suite = args.suite.map(SuiteName::into);
    let changed = way.change(&args.key, Edit::Rotate { secret, suite, activates_at: args.activate_at }, now)?;
    print::changed(output, "staged", &changed)
}

/// Has a running service read its files again.
///
/// It reads its configuration, keyring and TLS files, as on SIGHUP, and puts all of it in force or nothing. Where
/// something is refused, what serves goes on serving, and the message says what is wrong.
#[derive(clap::Args, Debug)]
pub struct ReloadArgs {
    #[command(flatten)]
    service: OnlineArgs,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs `countersign reload`.
///
/// # Errors
/// [`Failure`], with one line that says what to do.
pub fn reload(args: &ReloadArgs) -> Result<(), Failure> {
    let generation = online::reload(&args.service.connect()?)?;
    print::reloaded(args.output, generation)
}

/// The exit code of each error.
fn refused(error: &KeystoreError) -> Failure {
    let exit = match error {
        KeystoreError::Missing(..)
        | KeystoreError::Unreadable(..)
        | KeystoreError::NotAFile(..)
        | KeystoreError::Loose(..)
        | KeystoreError::ForeignOwner(..)
        | KeystoreError::TooLarge(..)
        | KeystoreError::KekTooShort(_)
        | KeystoreError::Truncated(_)
        | KeystoreError::NotJson(..)
        | KeystoreError::NotOurs(..)
        | KeystoreError::Format(..)
        | KeystoreError::WrongKek { .. }
        | KeystoreError::Altered(_)
        | KeystoreError::KidDiffers(..)
        | KeystoreError::RolledBack { .. }
        | KeystoreError::RecordAltered(_)
        | KeystoreError::Exists(_)
        | KeystoreError::SamePath(_)
        | KeystoreError::KeyExists(_)
        | KeystoreError::NoKey(_)
        | KeystoreError::NoVersion(..)
        | KeystoreError::NotAllowed(..)
        | KeystoreError::Staged(..)
        | KeystoreError::NotDue(_)
        | KeystoreError::BackupExists(_)
        | KeystoreError::OtherKeyring { .. }
        | KeystoreError::RestoreConflict(..)
        | KeystoreError::SuiteOfLiveAuth(_)
        | KeystoreError::OtherKind(..)
        | KeystoreError::LiveAuthIsGiven(_)
        | KeystoreError::LiveAuthLength(_)
        | KeystoreError::Hat1Length
        | KeystoreError::SampleSecret
        | KeystoreError::ActivatesInThePast
        | KeystoreError::ActivatesTooLate
        | KeystoreError::Ring(_)
        | KeystoreError::KeyMemory(_) => 2,
        KeystoreError::Kek(problem) => {
            if problem.is_unavailable() {
                4
            } else {
                2
            }
        }
        KeystoreError::Busy(_) | KeystoreError::Write(..) => 4,
        KeystoreError::NoRandomness => 70,
    };
    Failure { exit, message: error.to_string() }
}
