//! `countersign keys`: make a keyring, make and import keys, look at them. Works on the files alone; no service
//! need run. A secret comes from standard input, a file or a terminal without echo, never from the command line.

mod home;
mod print;
mod prompt;
mod rewrap;
mod secret;

use std::path::PathBuf;

pub(super) use self::home::{Asking, KekArgs, config_location};
use self::home::{Home, PublicHome};

use crate::{
    app,
    cli::{Failure, Output},
    clock::{Clock, UnixSeconds},
    crypto::aead::Suite,
    keyring::{KeyKind, KeyName},
    keystore::{self, Import, KeystoreError},
};

/// Make and look after the keyring: the sealed file that holds every secret.
///
/// A keyring is one sealed document. It is opened with a key-encryption key (KEK): the content of a second file or of
/// a systemd credential, a passphrase, or what a Kubernetes KMS plugin holds. Without it, nobody reads a secret out of the keyring, and neither do you. Keep
/// the two on different disks and in different backups.
///
/// A change is written beside the keyring and then put in its place, so a full disk or a crash leaves the previous
/// keyring as it was. The generation before it is kept as KEYRING.previous. A running service takes a change up
/// within `reload.poll`, or at once on SIGHUP.
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
    /// List keys and versions
    ///
    /// Reads the public part of the keyring only. It needs no KEK, and so proves nothing about who wrote it: the
    /// service checks that when it loads the keyring.
    #[command(after_help = LIST_EXAMPLES)]
    List(PublicHome),
    /// Show one key with all its versions
    ///
    /// Reads the public part of the keyring only, like `keys list`.
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

const REWRAP_EXAMPLES: &str = "\
Examples:
  Move from a KEK file to a systemd credential, then say so in the configuration:
  countersign keys rewrap --config config.toml --to-kek-credential kek

  The KEK file may have been seen, together with the keyring:
  countersign keys rewrap --config config.toml --to-kek-file /etc/countersign/kek-2 \\
      --new-document-key";

const LIST_EXAMPLES: &str = "\
Examples:
  countersign keys list --config config.toml
  countersign keys list --keyring /var/lib/countersign/keyring --output json";

#[derive(clap::Args, Debug)]
struct CreateArgs {
    #[command(flatten)]
    home: Home,
    /// Name of the key: 1 to 64 of a-z 0-9 . _ -
    #[arg(long, value_name = "NAME", value_parser = KeyName::new)]
    key: KeyName,
    /// What it is for; only hat1 keys are made here
    #[arg(long, value_enum)]
    kind: Kind,
    /// What a hat1 key seals with
    #[arg(long, value_enum, default_value_t = SuiteName::Aes256Gcm)]
    suite: SuiteName,
    /// When it starts to mint, in Unix seconds; at once if absent
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    activate_at: Option<i64>,
}

#[derive(clap::Args, Debug)]
struct ImportArgs {
    #[command(flatten)]
    home: Home,
    /// Name of the key: 1 to 64 of a-z 0-9 . _ -; an existing one gets a further version
    #[arg(long, value_name = "NAME", value_parser = KeyName::new)]
    key: KeyName,
    /// What it is for: a LiveAuth secret from idibu, or a 32-byte key for Hub auth tokens
    #[arg(long, value_enum)]
    kind: Kind,
    /// How the secret is written; base64 is the standard alphabet, with or without padding
    #[arg(long, value_enum)]
    encoding: secret::Encoding,
    /// What a hat1 key seals with [default: aes-256-gcm]; a LiveAuth key has no suite
    #[arg(long, value_enum)]
    suite: Option<SuiteName>,
    /// When the version starts to mint, in Unix seconds; at once if absent
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    activate_at: Option<i64>,
    /// Read the secret from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct ShowArgs {
    #[command(flatten)]
    home: PublicHome,
    /// Name of the key
    #[arg(long, value_name = "NAME", value_parser = KeyName::new)]
    key: KeyName,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Kind {
    /// A secret that idibu gave for a domain
    #[value(name = "liveauth")]
    LiveAuth,
    /// A 32-byte key for Hub auth tokens
    Hat1,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum SuiteName {
    /// AES-256-GCM
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    /// ChaCha20-Poly1305, for machines without AES instructions
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

/// Seconds by which an activation time may have passed and still means "now": scripts compute it a moment before.
const JUST_PASSED: i64 = 5;

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
            let location = create.home.location(Asking::Known)?;
            let activates_at = activation(create.activate_at, now);
            let kind = create.kind.into();
            let suite = create.suite.into();
            let change = keystore::create(&location, &create.key, kind, suite, activates_at, now)
                .map_err(|error| refused(&error))?;
            print::warnings(&change.warnings);
            print::changed(args.output, "created", &create.key, kind, &change, now)
        }
        Command::Import(import) => run_import(import, args.output, now),
        Command::Rewrap(rewrap) => rewrap::run(rewrap, args.output),
        Command::List(home) => {
            let summary = keystore::summary(&home.keyring()?).map_err(|error| refused(&error))?;
            print::list(args.output, &summary, now)
        }
        Command::Show(show) => {
            let keyring = show.home.keyring()?;
            let summary = keystore::summary(&keyring).map_err(|error| refused(&error))?;
            let Some(key) = summary.keys.iter().find(|key| key.name == show.key) else {
                return Err(usage(format!(
                    "there is no key {} in this keyring: `countersign keys list` names them all",
                    show.key
                )));
            };
            print::show(args.output, key, now)
        }
    }
}

fn run_import(args: &ImportArgs, output: Output, now: UnixSeconds) -> Result<(), Failure> {
    let kind = KeyKind::from(args.kind);
    if kind == KeyKind::LiveAuth && args.suite.is_some() {
        return Err(usage("a LiveAuth key has no suite: leave --suite out".to_owned()));
    }
    if args.from.is_none() {
        args.home.leave_standard_input("the secret")?;
    }
    let location = args.home.location(Asking::Known)?;
    let secret = secret::read(args.from.as_deref(), args.encoding, &args.key)?;
    let import = Import {
        name: &args.key,
        kind,
        suite: args.suite.unwrap_or(SuiteName::Aes256Gcm).into(),
        secret,
        activates_at: activation(args.activate_at, now),
        allow_sample: false,
    };
    let change = keystore::import(&location, &import, now).map_err(|error| refused(&error))?;
    print::warnings(&change.warnings);
    print::changed(output, "imported", &args.key, kind, &change, now)
}

/// A time that has only just passed means now; an earlier one is left to be refused.
fn activation(asked: Option<i64>, now: UnixSeconds) -> Option<UnixSeconds> {
    asked.map(UnixSeconds).filter(|at| !(0..=JUST_PASSED).contains(&now.since(*at)))
}

fn usage(message: String) -> Failure {
    Failure { exit: 2, message }
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

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::LiveAuth => Self::LiveAuth,
            Kind::Hat1 => Self::Hat1,
        }
    }
}

impl From<SuiteName> for Suite {
    fn from(suite: SuiteName) -> Self {
        match suite {
            SuiteName::Aes256Gcm => Self::Aes256Gcm,
            SuiteName::ChaCha20Poly1305 => Self::ChaCha20Poly1305,
        }
    }
}
