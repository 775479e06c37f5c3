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

/// Looks that pass before wrapping anew is tried again, where it did not help: doubled each time, up to this. A plugin of
/// several instances may seal with the key before for a while; one that errs for good is not asked for ever.
const REST_MOST: u32 = 1024;

/// What wrapping anew is held back for: the plugin seals with another key than it says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Rest {
    /// What it says.
    key_id: String,
    /// Looks until the next attempt.
    left: u32,
    /// Looks that were waited for the last time.
    length: u32,
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
        let (mut said, mut rest) = (None, Rest::default());
        loop {
            let (location, writable, before) = (self.location.clone(), self.writable, rest.clone());
            // On a thread of its own, since it waits for the plugin and for the disk.
            let looked = tokio::task::spawn_blocking(move || look(&location, writable, before)).await;
            // The panic hook has said what broke.
            let broke = || (KekFound::Unwell, Some("asking it broke; the log has more".into()), Rest::default());
            let (found, problem, next) = looked.unwrap_or_else(|_| broke());
            rest = next;
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

/// How the plugin is, after what could be done about it, what there is to say, and what to hold back for.
fn look(location: &Location, writable: bool, rest: Rest) -> (KekFound, Option<String>, Rest) {
    let (stated, now) = match keystore::kek_state(location) {
        Ok(KekState::Well) => return (KekFound::Well, None, Rest::default()),
        Ok(KekState::Changed { stated, now }) => (stated, now),
        Err(error) => {
            let problem =
                format!("{error}; this service goes on with the keys it has, and its next start will need it");
            return (KekFound::Unwell, Some(problem), rest);
        }
    };
    let changed = format!("the KMS plugin wraps with key {now:?} now, and the keyring is wrapped with {stated:?}");
    if !writable {
        return (KekFound::Changed, Some(format!("{changed}: run countersign keys rewrap")), Rest::default());
    }
    if rest.key_id == now && rest.left > 0 {
        return (KekFound::Contrary, Some(contrary(&now)), Rest { left: rest.left - 1, ..rest });
    }
    match keystore::rewrap(location, &location.kek, Inner::Kept) {
        Ok(rewrapped) => {
            tracing::info!(generation = rewrapped.generation, key_id = now, "wrapped the keyring anew");
            for warning in rewrapped.warnings {
                tracing::warn!("keyring: {warning}");
            }
            match keystore::kek_state(location) {
                Ok(KekState::Changed { now: again, .. }) if again == now => {
                    (KekFound::Contrary, Some(contrary(&now)), rest.after_an_attempt(now))
                }
                // Another one by now, or not to be reached: the next look will see.
                _ => (KekFound::Well, None, Rest::default()),
            }
        }
        Err(error) => {
            (KekFound::Changed, Some(format!("{changed}; it could not be wrapped anew: {error}")), Rest::default())
        }
    }
}

fn contrary(key_id: &str) -> String {
    format!(
        "the KMS plugin says that it wraps with key {key_id:?}, and names another key when it does; the keyring opens as \
         before, and wrapping it anew is tried less and less often: its operator has to mend one or the other"
    )
}

impl Rest {
    /// What to hold back for after an attempt that did not help.
    fn after_an_attempt(self, key_id: String) -> Self {
        let length = if self.key_id == key_id { (self.length * 2).clamp(1, REST_MOST) } else { 1 };
        Self { key_id, left: length, length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_help_is_tried_less_and_less_often_and_a_new_key_at_once() {
        let mut rest = Rest::default();
        let mut lengths = Vec::new();
        for _ in 0..13 {
            rest = rest.after_an_attempt("a".into());
            assert_eq!(rest.left, rest.length);
            lengths.push(rest.length);
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024]);
        assert_eq!(rest.after_an_attempt("b".into()), Rest { key_id: "b".into(), left: 1, length: 1 });
    }
}
