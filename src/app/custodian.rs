//! Changes to keys while the service runs: one thread takes one order after the other, changes the keyring on disk as
//! `countersign keys` does, and swaps in what it then holds. Nobody else in this process writes the keyring, and no
//! connection waits for its disk.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::{
    Protections,
    reload::{self, Reloader},
};
use crate::{
    authority::{Authority, Edit, Edited, Keeper, KeysProblem, Order, Refusal, Task, stopping},
    clock::UnixSeconds,
    config::{Config, interval_of},
    crypto::aead::Suite,
    http::Readiness,
    keyring::{KeyKind, KeyName},
    keystore::{self, Change, Import, KeystoreError, Location, Rotation, Step},
    metrics::Metrics,
};

/// How often keys are looked at that are rotated on a schedule, and when again after one could not be.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Seconds by which an activation time may have passed and still means "now": who orders a change computes it before.
const JUST_PASSED: i64 = 5;

/// Where the answer to an ordered reload goes: the keyring's generation, or why what the files hold is not taken.
pub(super) type ReloadOrder = oneshot::Sender<Result<u64, String>>;

/// Whom keys are changed by.
pub(super) struct Custodian {
    pub(super) reloader: Arc<Mutex<Reloader>>,
    pub(super) authority: Arc<Authority>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    /// Without the keys' memory.
    pub(super) protections: Protections,
    /// To the one who reloads everything.
    pub(super) reloads: UnboundedSender<ReloadOrder>,
}

impl Custodian {
    /// Starts the thread. It ends with the process: what it is at when that comes is whole on disk, or not there at all.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(super) fn start(mut self, tasks: Receiver<Task>) -> io::Result<()> {
        let work = move || {
            let mut look = Instant::now();
            loop {
                let now = Instant::now();
                if now >= look {
                    let well = catch_unwind(AssertUnwindSafe(|| self.rotate_what_is_due())).unwrap_or(false);
                    look = now + if well { LOOK } else { LOOK_AGAIN };
                }
                match tasks.recv_timeout(look.saturating_duration_since(Instant::now())) {
                    // The panic hook has reported it; the next order is another one.
                    Ok(task) => drop(catch_unwind(AssertUnwindSafe(|| task(&mut self)))),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        thread::Builder::new().name("custodian".into()).spawn(work).map(drop)
    }

    /// Rotates the keys whose time has come by the configuration that serves; whether none of that failed.
    fn rotate_what_is_due(&mut self) -> bool {
        let reloader = self.reloader.lock().unwrap_or_else(PoisonError::into_inner);
        let config = reloader.running();
        if !config.writable || config.rotations.is_empty() {
            return true;
        }
        let rotations = config.rotations.clone();
        drop(reloader);
        let authority = Arc::clone(&self.authority);
        authority.rotate_what_is_due(self, |key| interval_of(&rotations, key))
    }

    /// Has a change made on disk, and puts it in force.
    fn apply(
        &mut self,
        now: UnixSeconds,
        make: impl FnOnce(&Config, bool) -> Result<Change, KeystoreError>,
    ) -> Result<Edited, KeystoreError> {
        let mut reloader = self.reloader.lock().unwrap_or_else(PoisonError::into_inner);
        let dev = reloader.is_dev();
        let (changed, in_force) = reloader.edit(&self.authority, |config| make(config, dev));
        drop(reloader);
        let lacks = match in_force {
            None => None,
            Some(Ok(())) => {
                self.metrics.reloads.changed_keys(now);
                // It may have taken more memory for keys.
                self.readiness.set_protections(self.protections.clone().with_key_memory().lines());
                None
            }
            Some(Err(problem)) => {
                reload::note_refusal(&problem, "custodian", now, &self.authority, &self.metrics, &self.readiness);
                Some(format!("it is not in force: {problem}"))
            }
        };
        let Change { name, generation, number, warnings, .. } = changed?;
        tracing::info!(key = %name, version = number, generation, "changed a key");
        Ok(Edited { number, generation, warnings: warnings.iter().map(ToString::to_string).collect(), lacks })
    }
}

impl Keeper for Custodian {
    fn edit(&mut self, order: Order, now: UnixSeconds) -> Result<Edited, Refusal> {
        let edited = self.apply(now, |config, dev| change(&config.keyring, config.propagation, dev, order, now));
        edited.map_err(|error| refusal(&error))
    }

    fn rotate_when_due(&mut self, key: &KeyName, every: i64, now: UnixSeconds) -> Result<Option<Edited>, Refusal> {
        let rotated = self.apply(now, |config, _| {
            let later = now.plus(config.propagation);
            keystore::rotate_when_due(&config.keyring, key, every, later, now)?
                .ok_or_else(|| KeystoreError::NotDue(key.clone()))
        });
        match rotated {
            Err(KeystoreError::NotDue(_)) => Ok(None),
            rotated => rotated.map(Some).map_err(|error| refusal(&error)),
        }
    }

    fn reload(&mut self) -> Result<u64, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.reloads.send(answer).map_err(|_| stopping())?;
        let outcome = answered.blocking_recv().map_err(|_| stopping())?;
        outcome.map_err(|problem| Refusal::Keys(KeysProblem::ReloadRefused, problem))
    }
}

/// Makes the change on disk. Where the order says nothing, a version is staged `propagation` seconds ahead; a time that has
/// only just passed means now. The sample secret is welcome in `dev` alone.
///
/// # Errors
/// [`KeystoreError`]; the keyring is then as it was.
pub fn change(
    location: &Location,
    propagation: i64,
    dev: bool,
    order: Order,
    now: UnixSeconds,
) -> Result<Change, KeystoreError> {
    let Order { key, edit } = order;
    // An earlier one is left to be refused.
    let at = |seconds: Option<i64>| {
        let asked = seconds.map(UnixSeconds);
        asked.map(|at| if (0..=JUST_PASSED).contains(&now.since(at)) { now } else { at })
    };
    let later = now.plus(propagation);
    match edit {
        Edit::Create { suite, activates_at } => {
            keystore::create(location, &key, KeyKind::Hat1, suite, at(activates_at), now)
        }
        Edit::Import { kind: KeyKind::LiveAuth, suite: Some(_), .. } => Err(KeystoreError::SuiteOfLiveAuth(key)),
        Edit::Import { kind, secret, suite, activates_at } => {
            let suite = suite.unwrap_or(Suite::Aes256Gcm);
            let activates_at = at(activates_at);
            keystore::import(
                location,
                &Import { name: &key, kind, suite, secret, activates_at, allow_sample: dev },
                now,
            )
        }
        Edit::Rotate { secret, suite, activates_at } => {
            let activates_at = at(activates_at).unwrap_or(later);
            keystore::rotate(location, Rotation { name: &key, secret, suite, activates_at, allow_sample: dev }, now)
        }
        Edit::Suspend(number) => keystore::suspend(location, &key, number, now),
        Edit::Resume(number) => keystore::resume(location, &key, number, later, now),
        Edit::MarkCompromised(number) => keystore::mark_compromised(location, &key, number, now),
        Edit::Destroy { number, force: _ } => keystore::destroy(location, &key, number, now),
    }
}

/// What the caller is told of a change that could not be made.
fn refusal(error: &KeystoreError) -> Refusal {
    let keys = |problem| Refusal::Keys(problem, error.to_string());
    let invalid = |field| Refusal::invalid(field, error.to_string());
    match error {
        KeystoreError::NoKey(_) => Refusal::UnknownKey,
        KeystoreError::NoVersion(..) => Refusal::UnknownVersion,
        KeystoreError::KeyExists(_) => keys(KeysProblem::Exists),
        KeystoreError::NotAllowed(..) => keys(KeysProblem::StateForbids),
        KeystoreError::Staged(..) | KeystoreError::NotDue(_) => keys(KeysProblem::AlreadyStaged),
        KeystoreError::Ring(_) => keys(KeysProblem::Unsound),
        KeystoreError::OtherKind(..) => invalid("kind"),
        KeystoreError::SuiteOfLiveAuth(_) => invalid("suite"),
        KeystoreError::LiveAuthIsGiven(_)
        | KeystoreError::LiveAuthLength(_)
        | KeystoreError::Hat1Length
        | KeystoreError::SampleSecret => invalid("secret"),
        KeystoreError::ActivatesInThePast | KeystoreError::ActivatesTooLate => invalid("activates_at"),
        KeystoreError::Write(Step::FlushFolder, ..) => keys(KeysProblem::Incomplete),
        KeystoreError::Busy(_) | KeystoreError::Write(..) => keys(KeysProblem::Unwritable),
        KeystoreError::NoRandomness => Refusal::Internal,
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
        | KeystoreError::BackupExists(_)
        | KeystoreError::OtherKeyring { .. }
        | KeystoreError::RestoreConflict(..)
        | KeystoreError::Kek(_)
        | KeystoreError::KeyMemory(_) => keys(KeysProblem::Unusable),
    }
}
