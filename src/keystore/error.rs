//! What can go wrong with a keyring: a closed list, each item one line that says what to do next. Paths, sizes and
//! public names only; never a secret, and never a piece of a file that did not parse, since a wrong path may point at
//! anything.

use std::{fmt, io, path::PathBuf};

use crate::{
    clock::UnixSeconds,
    crypto::arena::NoRoom,
    keyring::{KeyKind, KeyName, NotAllowed, Problem},
    keystore::{KekProblem, KekSource},
};

/// Which file an error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The sealed document.
    Keyring,
    /// The file whose content wraps the document key.
    Kek,
    /// The note of the highest generation seen, beside the keyring.
    Record,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyring => "keyring",
            Self::Kek => "KEK file",
            Self::Record => "generation record",
        })
    }
}

/// What a writer was doing when the system refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Opening or taking the lock file.
    Lock,
    /// Writing and flushing a new file under a temporary name.
    Write,
    /// Keeping the generation before it.
    KeepPrevious,
    /// Putting the new file in its place.
    Place,
    /// Flushing the folder, with the new file already in place.
    FlushFolder,
}

/// Why a keyring was not read or not changed.
#[derive(Debug)]
pub enum KeystoreError {
    /// No such file.
    Missing(Part, PathBuf),
    /// The system refused to open or read it.
    Unreadable(Part, PathBuf, io::Error),
    /// A folder, socket, device or pipe.
    NotAFile(Part, PathBuf),
    /// Group or others may do more than the rules allow; the permission bits as they are.
    Loose(Part, PathBuf, u32),
    /// Neither root's nor ours; the owner's uid.
    ForeignOwner(Part, PathBuf, u32),
    /// More bytes than it may have, and how many those are.
    TooLarge(Part, PathBuf, usize),
    /// Fewer than 32 bytes in the KEK file.
    KekTooShort(PathBuf),
    /// The document ends in the middle.
    Truncated(PathBuf),
    /// Not JSON; line and column of the first fault.
    NotJson(PathBuf, usize, usize),
    /// JSON, but with a field or value that this version does not know, or without one it needs; line and column.
    NotOurs(PathBuf, usize, usize),
    /// A keyring of a later (or no) format; the version it states.
    Format(PathBuf, u64),
    /// The KEK does not unwrap the document key.
    WrongKek {
        /// The document.
        keyring: PathBuf,
        /// What was tried.
        kek: KekSource,
    },
    /// The KEK fits, but the document was edited after it was sealed.
    Altered(PathBuf),
    /// A version gives another kid than the one recorded.
    KidDiffers(PathBuf, KeyName, u32),
    /// An older generation than was seen before.
    RolledBack {
        /// The document.
        keyring: PathBuf,
        /// Its generation.
        found: u64,
        /// The highest generation seen.
        highest: u64,
        /// The record that says so, to be removed if going back is meant; `None` where this process remembers it, or the
        /// ledger that it was told of.
        record: Option<PathBuf>,
    },
    /// The generation record was edited, or belongs to another keyring.
    RecordAltered(PathBuf),
    /// `init` where a keyring is.
    Exists(PathBuf),
    /// One path for the keyring and the KEK file.
    SamePath(PathBuf),
    /// `create` where a key is.
    KeyExists(KeyName),
    /// A key that is not there.
    NoKey(KeyName),
    /// A version that is not there.
    NoVersion(KeyName, u32),
    /// The version's state does not allow it.
    NotAllowed(KeyName, u32, NotAllowed),
    /// A successor is staged already: its number, and when it takes over.
    Staged(KeyName, u32, UnixSeconds),
    /// There is something where a backup is to be written.
    BackupExists(PathBuf),
    /// The backup is of another keyring than the one that is there.
    OtherKeyring {
        /// Where it was to go.
        keyring: PathBuf,
        /// The id of what is there.
        there: String,
        /// The id of what the backup is of.
        backup: String,
    },
    /// Backup and keyring have different versions of one number.
    RestoreConflict(KeyName, u32, PathBuf),
    /// It is not time to rotate the key.
    NotDue(KeyName),
    /// A suite for a LiveAuth key.
    SuiteOfLiveAuth(KeyName),
    /// The existing key is of another kind.
    OtherKind(KeyName, KeyKind),
    /// `create` for LiveAuth.
    LiveAuthIsGiven(KeyName),
    /// A LiveAuth secret of no bytes, or of too many; the limit.
    LiveAuthLength(usize),
    /// A hat1 key that is not 32 bytes.
    Hat1Length,
    /// The secret printed in the vendor's document.
    SampleSecret,
    /// An activation time that has passed.
    ActivatesInThePast,
    /// An activation time after the year 9999: milliseconds.
    ActivatesTooLate,
    /// The keys as they would be do not make a ring.
    Ring(Problem),
    /// Another process holds the lock.
    Busy(PathBuf),
    /// The system refused a step of writing.
    Write(Step, PathBuf, io::Error),
    /// The system gave no random bytes.
    NoRandomness,
    /// There is no room for the keys in memory, or none that is locked.
    KeyMemory(NoRoom),
    /// The key-encryption key cannot be had.
    Kek(KekProblem),
}

impl From<KekProblem> for KeystoreError {
    fn from(problem: KekProblem) -> Self {
        Self::Kek(problem)
    }
}

#[expect(clippy::unnecessary_debug_formatting, reason = "a path may hold a newline, and an error is one line")]
impl fmt::Display for KeystoreError {
    #[expect(clippy::too_many_lines, reason = "one closed list, one line of text for each")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(Part::Keyring, path) => {
                write!(f, "there is no keyring at {path:?}: make one with `countersign keys init`, or correct the path")
            }
            Self::Missing(Part::Kek, path) => write!(
                f,
                "there is no KEK file at {path:?}: put it back from where it is kept; without it the keyring cannot be \
                 opened"
            ),
            Self::Missing(Part::Record, path) => write!(f, "there is no generation record at {path:?}"),
            Self::Unreadable(part, path, error) => {
                write!(f, "the {part} {path:?} cannot be read ({error}): make it readable to the user this runs as")
            }
            Self::NotAFile(part, path) => write!(f, "the {part} {path:?} is not a regular file: correct the path"),
            Self::Loose(part, path, mode) => write!(
                f,
                "the {part} {path:?} is open to others (mode {mode:04o}): chmod {} it, and replace its secrets if \
                 others could read it",
                if *part == Part::Kek { "0400" } else { "0600" }
            ),
            Self::ForeignOwner(part, path, uid) => {
                write!(
                    f,
                    "the {part} {path:?} belongs to uid {uid}, which is neither root nor us: run this as that user, or chown it"
                )
            }
            Self::TooLarge(part, path, most) => {
                write!(f, "the {part} {path:?} is larger than {most} bytes: correct the path")
            }
            Self::KekTooShort(path) => write!(
                f,
                "the KEK file {path:?} holds fewer than 32 bytes: put back the right file, or, before there is a \
                 keyring, remove it and let `countersign keys init` make one"
            ),
            Self::Truncated(path) => write!(
                f,
                "the keyring {path:?} is cut off: put back a backup, or its previous generation from the file beside \
                 it that ends in .previous"
            ),
            Self::NotJson(path, line, column) => write!(
                f,
                "the keyring {path:?} is damaged or no keyring (line {line}, column {column} is no JSON): correct the \
                 path, or put back a backup or the file beside it that ends in .previous"
            ),
            Self::NotOurs(path, line, column) => write!(
                f,
                "the keyring {path:?} holds a field or value that is not of its format (line {line}, column \
                 {column}): correct the path, or put back a backup or the file beside it that ends in .previous"
            ),
            Self::Format(path, version) => write!(
                f,
                "the keyring {path:?} is of format version {version} and this countersign reads version 1: use the \
                 countersign that wrote it, or a later one"
            ),
            Self::WrongKek { keyring, kek } => {
                let kind = kek.kind();
                write!(
                    f,
                    "{kek} does not open the keyring {keyring:?}: give the {kind} it was made with; if it is that \
                     one, the keyring was edited: put back a backup"
                )
            }
            Self::Altered(path) => write!(
                f,
                "the keyring {path:?} was edited after it was sealed: find out who did, and put back a backup or the \
                 file beside it that ends in .previous"
            ),
            Self::KidDiffers(path, name, number) => write!(
                f,
                "version {number} of key {name} in the keyring {path:?} does not give its recorded kid: put back a \
                 backup"
            ),
            Self::RolledBack { keyring, found, highest, record: None } => write!(
                f,
                "the keyring {keyring:?} is generation {found}, but generation {highest} was seen before, as the ledger or \
                 this process remembers: put back the newer one, or restore the older one as a new generation"
            ),
            Self::RolledBack { keyring, found, highest, record: Some(record) } => write!(
                f,
                "the keyring {keyring:?} is generation {found}, but generation {highest} was seen before: put back the \
                 newer one, or, if going back is meant, remove {record:?} and restart what runs"
            ),
            Self::RecordAltered(path) => write!(
                f,
                "the generation record {path:?} was edited or belongs to another keyring: find out who did it, make \
                 sure that the keyring is the newest, then remove {path:?}"
            ),
            Self::Exists(path) => write!(
                f,
                "there is something at {path:?} already, which init never replaces: use that keyring, or name another \
                 path"
            ),
            Self::SamePath(path) => {
                write!(f, "{path:?} cannot be both the keyring and the KEK file: name two paths, best on two disks")
            }
            Self::KeyExists(name) => write!(
                f,
                "there is a key {name} already: choose another name, or add a version to it with `countersign keys \
                 import`"
            ),
            Self::NoKey(name) => {
                write!(f, "there is no key {name} in this keyring: `countersign keys list` names them all")
            }
            Self::NoVersion(name, number) => {
                write!(f, "key {name} has no version {number}: `countersign keys show --key {name}` lists them")
            }
            Self::NotAllowed(name, number, refusal) => {
                write!(f, "version {number} of key {name} stays as it was: {refusal}")
            }
            Self::Staged(name, number, at) => write!(
                f,
                "version {number} of key {name} is staged already and takes over at {at} (Unix seconds): wait for it, \
                 give an earlier activation time, or suspend it first"
            ),
            Self::BackupExists(path) => {
                write!(f, "there is something at {path:?} already, which a backup never replaces: name another path")
            }
            Self::OtherKeyring { keyring, there, backup } => write!(
                f,
                "the backup is of keyring {backup}, and {keyring:?} is keyring {there}: correct the path, or say with \
                 --replace that it is to go"
            ),
            Self::RestoreConflict(name, number, keyring) => write!(
                f,
                "version {number} of key {name} is one secret in the backup and another in the keyring {keyring:?}: to \
                 give up the latter, move that file away and restore again"
            ),
            Self::NotDue(name) => write!(f, "it is not time to rotate key {name}: wait, or rotate it by hand"),
            Self::SuiteOfLiveAuth(name) => write!(f, "key {name} is a LiveAuth key, which has no suite: leave it out"),
            Self::OtherKind(name, kind) => write!(
                f,
                "key {name} is of kind {}: import with --kind {}, or choose another name",
                kind.name(),
                kind.name()
            ),
            Self::LiveAuthIsGiven(name) => write!(
                f,
                "a LiveAuth secret is given by idibu, not made here: import it with `countersign keys import --key \
                 {name} --kind liveauth --encoding raw`"
            ),
            Self::LiveAuthLength(most) => {
                write!(f, "a LiveAuth secret has 1 to {most} bytes: check what was given on standard input or --from")
            }
            Self::Hat1Length => write!(
                f,
                "a hat1 key is exactly 32 bytes: check --encoding and what was given, or let `countersign keys \
                 create` draw one"
            ),
            Self::SampleSecret => write!(
                f,
                "this is the sample secret printed in the LiveAuth document, which everybody knows: import the one \
                 idibu gave you"
            ),
            Self::ActivatesInThePast => {
                write!(f, "the activation time has passed: give a later one, or none to activate at once")
            }
            Self::ActivatesTooLate => {
                write!(f, "the activation time lies after the year 9999: give Unix seconds, not milliseconds")
            }
            Self::Ring(problem) => write!(f, "the keyring would not be sound: {problem}"),
            Self::Busy(path) => write!(
                f,
                "another process is changing the keyring (it holds {path:?}): nothing was changed, try again when it \
                 is done"
            ),
            Self::Write(step, path, error) => write_refused(f, *step, path, error),
            Self::NoRandomness => write!(f, "the system gives no random bytes: nothing was changed, try again later"),
            Self::KeyMemory(why) => why.fmt(f),
            Self::Kek(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for KeystoreError {}

#[expect(clippy::unnecessary_debug_formatting, reason = "a path may hold a newline, and an error is one line")]
fn write_refused(f: &mut fmt::Formatter<'_>, step: Step, path: &PathBuf, error: &io::Error) -> fmt::Result {
    let doing = match step {
        Step::Lock => "the lock file",
        Step::Write => "a new file for",
        Step::KeepPrevious => "a second name for the previous generation at",
        Step::Place => "the new file to its place at",
        Step::FlushFolder => {
            return write!(
                f,
                "{path:?} was written, but its folder cannot be flushed ({error}): after a power loss the previous one \
                 may be back; check the disk"
            );
        }
    };
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk and try again",
        io::ErrorKind::PermissionDenied => "run as the folder's owner, or correct its mode",
        io::ErrorKind::ReadOnlyFilesystem => "change the keyring where its folder can be written",
        io::ErrorKind::NotFound => "make its folder first (mkdir -m 0700)",
        _ => "check the disk and the folder's permissions",
    };
    write!(f, "cannot write {doing} {path:?} ({error}): what was there before is unchanged; {remedy}")
}
