//! Build, then swap: a new state is made whole and tested before it replaces the old one. A bad file leaves the
//! old one serving, and says so in a log line, a metric and readiness detail.
//!
//! A reload is begun by a signal, or by files that have new content since the last attempt; one that was refused is not
//! tried again before they change. All files of one state are of one time: they are read between two looks at them that
//! find the same.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Failure, Options,
    confinement::{Confined, Confinement},
    evidence::{Prepared, Reserves},
    ledger, startup,
    tls::{Doors, Swap},
    watch::{Fingerprint, Watch, mounted_alone},
};
use crate::{
    audit::{Receipt, Serving, Unrecorded},
    authority::{Authority, KeyringSeen, State},
    clock::UnixSeconds,
    config::Config,
    http::Readiness,
    keystore::{self, Change, KeystoreError, Step},
    metrics::{Metrics, ReloadResult, Reloaded},
    outbound::Roots,
};

/// How often files that change while they are read are read again.
const ATTEMPTS: usize = 3;

/// Why files are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// SIGHUP: load, whatever the files hold.
    Signal,
    /// It is time: load where they hold something new.
    Poll,
    /// An operator asks for it: the same as a signal.
    Order,
    /// Keys were changed by this process: load the keyring, and that alone.
    Change,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Poll => "poll",
            Self::Order => "order",
            Self::Change => "change",
        }
    }
}

/// What is watched, and what serves.
pub(super) struct Reloader {
    options: Options,
    confined: Confined,
    watch: Watch,
    running: Config,
    doors: Arc<Doors>,
    reserves: Option<Arc<Reserves>>,
    /// What the last attempt wanted to read, and what it found: whether it was taken makes no difference.
    files: Vec<PathBuf>,
    seen: Option<Fingerprint>,
}

impl Reloader {
    /// Takes the first look; to be called before the keyring is loaded, so that nothing changes unseen.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub(super) fn new(
        config: &Config,
        options: Options,
        confined: Confined,
        doors: Arc<Doors>,
    ) -> Result<Self, Failure> {
        let watch = Watch::new().map_err(|error| Failure::ours(format!("no randomness: {error}")))?;
        let files = files(config, &options);
        let of_listeners = config.tls.iter().flat_map(|listener| listener.files.all());
        for file in mounted_alone(&files.iter().cloned().chain(of_listeners).collect::<Vec<_>>()) {
            tracing::warn!(
                file = %file.display(),
                "is a mount of its own, as a Kubernetes subPath is: what replaces it outside never shows here; mount its folder"
            );
        }
        let first = watch.fingerprint(&files);
        // The configuration was read before that.
        let is_current = Config::load(&options.config_file).is_ok_and(|current| current == *config);
        let (running, seen) = (config.clone(), is_current.then_some(first));
        Ok(Self { options, confined, watch, running, doors, reserves: None, files, seen })
    }

    /// The same, where what keys may issue is stored ahead.
    pub(super) fn reserving(self, reserves: Option<&Arc<Reserves>>) -> Self {
        Self { reserves: reserves.map(Arc::clone), ..self }
    }

    /// Reads everything again where there is cause to, and swaps it in; gives the new configuration, or nothing where there
    /// was no cause.
    fn look(&mut self, cause: Cause, authority: &Authority) -> Option<Result<Config, String>> {
        let mut before = self.watch.fingerprint(&self.files);
        if cause == Cause::Poll && self.seen == Some(before) {
            return None;
        }
        for _ in 0..ATTEMPTS {
            self.seen = Some(before);
            let (files, loaded) = self.load(cause, authority);
            if files != self.files {
                // What was not watched may have changed already.
                self.files = files;
                before = self.watch.fingerprint(&self.files);
                continue;
            }
            let after = self.watch.fingerprint(&self.files);
            if after == before {
                return Some(loaded.and_then(|built| {
                    let swapped = self.swap(built, authority);
                    if swapped.is_err() {
                        // The files are good, and what stood in the way will pass: they are taken at the next look.
                        self.seen = None;
                    }
                    swapped
                }));
            }
            before = after;
        }
        self.seen = None;
        Some(Err("the files go on changing while they are read; they are read again at the next look".into()))
    }

    /// Has `change` made to the keyring, and swaps in what it then holds, under the configuration that serves: a mistake
    /// in the one on disk must not keep a key from being suspended. What `change` says, and whether it is in force;
    /// nothing where nothing was changed.
    pub(super) fn edit(
        &mut self,
        authority: &Authority,
        change: impl FnOnce(&Config) -> Result<Change, KeystoreError>,
    ) -> (Result<Change, KeystoreError>, Option<Result<(), String>>) {
        let others: Vec<PathBuf> =
            self.files.iter().filter(|file| **file != self.running.keyring.keyring).cloned().collect();
        let was_seen = self.seen == Some(self.watch.fingerprint(&self.files));
        let before = self.watch.fingerprint(&others);
        let changed = change(&self.running);
        if !matches!(changed, Ok(_) | Err(KeystoreError::Write(Step::FlushFolder, ..))) {
            return (changed, None);
        }
        let written = self.watch.fingerprint(&self.files);
        let built = self.build(Cause::Change, self.running.clone(), authority);
        let swapped = built.and_then(|built| self.swap(built, authority)).map(drop);
        // Where all that is new is this change, the next look has nothing to take up.
        let is_all = was_seen && before == self.watch.fingerprint(&others);
        if swapped.is_ok() && is_all && written == self.watch.fingerprint(&self.files) {
            self.seen = Some(written);
        }
        (changed, Some(swapped))
    }

    /// The configuration that serves.
    pub(super) fn running(&self) -> &Config {
        &self.running
    }

    /// Whether this is development.
    pub(super) fn is_dev(&self) -> bool {
        self.options.dev.is_some()
    }

    /// Swaps a new state in, once the journal has it.
    fn swap(&mut self, built: Built, authority: &Authority) -> Result<Config, String> {
        let Built { config, state, roots, certificates, generation, keyring_id } = built;
        ledger::note_generation(authority.ledger(), &keyring_id, generation);
        ledger::note_lifetimes(authority.ledger(), &config)?;
        let prepared = self.reserves.as_ref().map(|reserves| reserves.prepare(&state)).transpose()?;
        if let Some(journal) = authority.journal() {
            if journal.keyring_id() != keyring_id {
                tracing::warn!(
                    "this is another keyring; until a restart the journal is sealed with the keys of the one before, which are needed to verify it"
                );
            }
            let recorded = journal.record_reload(authority.clock().now(), &serving(&config, generation));
            recorded
                .and_then(Receipt::wait)
                .map_err(|Unrecorded| "the journal does not take the record of it; the log says why")?;
        }
        authority.replace(state);
        prepared.into_iter().for_each(Prepared::serve);
        certificates.put_in_force();
        authority
            .outbound()
            .into_iter()
            .zip(roots)
            .for_each(|(out, roots)| out.take_up(config.outbound.clone(), roots));
        self.running = config.clone();
        Ok(config)
    }

    /// What the new configuration says is to be watched, and what was built.
    fn load(&self, cause: Cause, authority: &Authority) -> (Vec<PathBuf>, Result<Built, String>) {
        // The file may be a link that leads elsewhere by now, and so may what it names.
        let inside = self.confined.allows(&Confinement::of(&self.running, &self.options));
        let config = inside.and_then(|()| Config::load(&self.options.config_file).map_err(|error| error.to_string()));
        let config = match config {
            Ok(config) => config,
            Err(problem) => return (self.files.clone(), Err(problem)),
        };
        let files = files(&config, &self.options);
        (files, self.build(cause, config, authority))
    }

    fn build(&self, cause: Cause, mut config: Config, authority: &Authority) -> Result<Built, String> {
        same_where_it_must_be(&self.running, &config)?;
        self.confined.allows(&Confinement::of(&config, &self.options))?;
        if config.rules.is_empty() && self.options.dev.is_none() {
            return Err(startup::EMPTY_POLICY.into());
        }
        if config.outbound.insecure_loopback && self.options.dev.is_none() {
            return Err(startup::INSECURE_LOOPBACK.into());
        }
        // A file that is wrong must not keep a key from being suspended.
        let roots = if cause == Cause::Change { None } else { Some(Roots::read(&config.outbound)?) };
        ledger::forewarn(authority.ledger());
        // What opens it is the same, and what was made of a passphrase is shared by those who began with it.
        config.keyring.kek = self.running.keyring.kek.clone();
        let loaded = keystore::load(&config.keyring).map_err(|error| error.to_string())?;
        startup::judge_keys(&loaded, self.options.dev.is_some()).map_err(|failure| failure.message)?;
        let seen = KeyringSeen { id: loaded.keyring_id.clone(), generation: loaded.generation };
        let state = config.build(loaded.keys, Some(&authority.state()))?.of_keyring(seen);
        let certificates = match self.doors.prepare(&config.tls) {
            // Looked at by themselves, and no part of the change.
            _ if cause == Cause::Change => Swap::none(),
            // They are looked at by themselves, and what is wrong with them must not keep a rule from being taken away.
            Err(_) if cause == Cause::Poll && config.tls == self.running.tls => Swap::none(),
            prepared => prepared?,
        };
        Ok(Built { config, state, roots, certificates, generation: loaded.generation, keyring_id: loaded.keyring_id })
    }
}

/// What was read, and is not in force yet.
struct Built {
    config: Config,
    state: State,
    /// Certificate authorities of vendors; nothing where they stay as they are.
    roots: Option<Roots>,
    certificates: Swap,
    generation: u64,
    keyring_id: String,
}

/// What serves, as the journal says it.
pub(super) fn serving(config: &Config, generation: u64) -> Serving {
    Serving { generation, config: base16ct::lower::encode_string(&config.digest) }
}

/// What came of a look at the files.
pub(super) enum Looked {
    /// They hold nothing new.
    Nothing,
    /// What they hold serves now.
    Taken(Box<Config>),
    /// What they hold is refused, and why.
    Refused(String),
}

/// Says everywhere that a state was refused, and that the one before it goes on serving.
pub(super) fn note_refusal(
    problem: &str,
    cause: &str,
    now: UnixSeconds,
    authority: &Authority,
    metrics: &Metrics,
    readiness: &Readiness,
) {
    metrics.reloads.note(Reloaded::State, ReloadResult::Refused, now);
    tracing::error!(cause, problem, "reload refused; the state before it goes on serving");
    if let Some(journal) = authority.journal() {
        // Nothing has changed, so nothing waits for this record.
        drop(journal.record_refused_reload(now, problem));
    }
    readiness.set_reload_problem(Some(problem.to_owned()));
}

/// Looks on a thread of its own, so that no connection waits for a disk.
pub(super) async fn look(
    reloader: &Arc<Mutex<Reloader>>,
    cause: Cause,
    authority: &Arc<Authority>,
    metrics: &Metrics,
    readiness: &Readiness,
) -> Looked {
    let (reloader, on_it) = (Arc::clone(reloader), Arc::clone(authority));
    let looked = tokio::task::spawn_blocking(move || {
        reloader.lock().unwrap_or_else(PoisonError::into_inner).look(cause, &on_it)
    });
    // The panic hook has said what broke.
    let outcome = looked.await.unwrap_or_else(|_| Some(Err("the reload broke; the log has more".into())));
    if cause == Cause::Poll {
        metrics.reloads.polled();
    }
    let Some(outcome) = outcome else { return Looked::Nothing };
    let now = authority.clock().now();
    match outcome {
        Ok(config) => {
            metrics.reloads.note(Reloaded::State, ReloadResult::Swapped, now);
            readiness.set_reload_problem(None);
            tracing::info!(cause = cause.name(), "reloaded configuration, policy and keyring");
            Looked::Taken(Box::new(config))
        }
        Err(problem) => {
            note_refusal(&problem, cause.name(), now, authority, metrics, readiness);
            Looked::Refused(problem)
        }
    }
}

/// Every file that a state is made from. What is listed here is watched.
fn files(config: &Config, options: &Options) -> Vec<PathBuf> {
    let mut files = vec![options.config_file.clone(), config.keyring.keyring.clone()];
    files.extend(config.keyring.kek.file());
    files
}

/// What was taken at the start stays taken until the process ends.
fn same_where_it_must_be(running: &Config, new: &Config) -> Result<(), String> {
    let fixed = [
        ("listen.unix", running.unix == new.unix),
        ("listen.admin", running.admin == new.admin),
        ("listen.reflection", running.reflection == new.reflection),
        ("listen.workers", running.workers == new.workers),
        ("listen.drain", running.drain == new.drain),
        ("http.address", running.http == new.http),
        ("keyring.path", running.keyring.keyring == new.keyring.keyring),
        ("keyring.kek_kms_poll", running.kek_poll == new.kek_poll),
        ("keyring.kek_…", running.keyring.kek == new.keyring.kek),
        ("keyring.writable", running.writable == new.writable),
        ("memory.require_mlock", running.require_mlock == new.require_mlock),
        ("process.landlock", running.landlock == new.landlock),
        ("journal", running.journal == new.journal),
        ("ledger.path", running.ledger == new.ledger),
        ("log", running.log == new.log),
    ];
    match fixed.iter().find(|(_, same)| !same) {
        Some((setting, _)) => Err(format!("restart needed: {setting} changed, which a reload cannot take")),
        None => Ok(()),
    }
}
