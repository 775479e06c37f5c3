//! A KMS plugin is asked at intervals how it is. One that is gone or not well takes nothing from a running service, which
//! has its keys; it is said, since the next start needs it. One that has changed its key is followed: the keyring is
//! wrapped anew, where the service may write it.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    config::Config,
    http::Readiness,
    keystore::{self, Inner, KekState, Location},
    metrics::{KekFound, Metrics},
};

/// Begins to ask, if there is a plugin; to be aborted at the end.
pub(super) fn watch(config: &Config, metrics: &Arc<Metrics>, readiness: &Arc<Readiness>) -> Option<JoinHandle<()>> {
    config.keyring.kek.kms()?;
    let keeper = Keeper {
        location: config.keyring.clone(),
        every: config.kek_poll,
        writable: config.writable,
        metrics: Arc::clone(metrics),
        readiness: Arc::clone(readiness),
    };
    Some(tokio::spawn(keeper.keep()))
}

struct Keeper {
    location: Location,
    every: Duration,
    writable: bool,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
}

impl Keeper {
    async fn keep(self) {
        let mut said = None;
        loop {
            let (location, writable) = (self.location.clone(), self.writable);
            // On a thread of its own, since it waits for the plugin and for the disk.
            let looked = tokio::task::spawn_blocking(move || look(&location, writable)).await;
            // The panic hook has said what broke.
            let (found, problem) =
                looked.unwrap_or((KekFound::Unwell, Some("asking it broke; the log has more".into())));
            self.metrics.kek.note(found);
            if problem != said {
                match &problem {
                    Some(problem) => tracing::warn!("what opens the keyring: {problem}"),
                    None if said.is_some() => tracing::info!("what opens the keyring: all is well again"),
                    None => {}
                }
                self.readiness.set_kek_problem(problem.clone());
                said = problem;
            }
            tokio::time::sleep(self.every).await;
        }
    }
}

/// How the plugin is, after what could be done about it, and what there is to say.
fn look(location: &Location, writable: bool) -> (KekFound, Option<String>) {
    let (stated, now) = match keystore::kek_state(location) {
        Ok(KekState::Well) => return (KekFound::Well, None),
        Ok(KekState::Changed { stated, now }) => (stated, now),
        Err(error) => {
            let problem =
                format!("{error}; this service goes on with the keys it has, and its next start will need it");
            return (KekFound::Unwell, Some(problem));
        }
    };
    let changed = format!("the KMS plugin wraps with key {now:?} now, and the keyring is wrapped with {stated:?}");
    if !writable {
        return (KekFound::Changed, Some(format!("{changed}: run countersign keys rewrap")));
    }
    match keystore::rewrap(location, &location.kek, Inner::Kept) {
        Ok(rewrapped) => {
            tracing::info!(generation = rewrapped.generation, key_id = now, "wrapped the keyring anew");
            for warning in rewrapped.warnings {
                tracing::warn!("keyring: {warning}");
            }
            (KekFound::Well, None)
        }
        Err(error) => (KekFound::Changed, Some(format!("{changed}; it could not be wrapped anew: {error}"))),
    }
}
