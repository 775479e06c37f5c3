//! The TLS listeners' files: loaded at the start, looked at again and again, and swapped where they changed and are
//! good. What is bad leaves the files before it serving, and is said once, not at each look. They are looked at apart
//! from the configuration: a mistake in that must not keep a certificate from being renewed, nor the other way round.

use std::sync::{Arc, Mutex, PoisonError};

use super::Failure;
use crate::{
    audit::Journal,
    authority::Authority,
    clock::{Clock, UnixSeconds},
    grpc::tls::{Door, Prepared, TlsSettings, claim_provider},
    http::Readiness,
    metrics::{Metrics, ReloadResult, Reloaded},
};

/// All of them.
pub(super) struct Doors {
    all: Vec<Arc<Door>>,
    /// What is wrong with what lies on disk; `None` where it serves.
    problem: Mutex<Option<String>>,
}

/// New material for some of the doors, built and judged.
pub(super) struct Swap(Vec<(Arc<Door>, Prepared)>);

impl Swap {
    /// Leaves everything as it is.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Swaps it in, for connections from now on.
    pub(super) fn put_in_force(self) {
        for (door, prepared) in self.0 {
            door.replace(prepared);
        }
    }
}

impl Doors {
    /// Loads the files of every listener.
    pub(super) fn load(settings: &[TlsSettings], clock: &Clock) -> Result<Arc<Self>, Failure> {
        claim_provider().map_err(Failure::usage)?;
        let all = settings.iter().map(|one| Door::load(one, clock.clone()));
        let all = all.collect::<Result<_, _>>().map_err(Failure::usage)?;
        Ok(Arc::new(Self { all, problem: Mutex::default() }))
    }

    /// The doors, in the order of the configuration.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Door>> {
        self.all.iter()
    }

    /// Builds what a new configuration asks for. Listeners stay where they are until the process ends.
    pub(super) fn prepare(&self, settings: &[TlsSettings]) -> Result<Swap, String> {
        let running = self.all.iter().map(|door| (door.address(), door.is_admin()));
        if !running.eq(settings.iter().map(|one| (one.address, one.admin))) {
            return Err(
                "restart needed: listen.tls has other addresses, or another admin, which a reload cannot take".into()
            );
        }
        let prepared = self.all.iter().zip(settings).map(|(door, one)| Ok((Arc::clone(door), door.prepare(one)?)));
        prepared.collect::<Result<_, String>>().map(Swap)
    }

    /// Shows the dates of what serves, and says what is wrong with it although it does.
    pub(super) fn show(&self, metrics: &Metrics) {
        for door in &self.all {
            let (not_after, next_update) = door.dates();
            metrics.tls.show(&door.address().to_string(), not_after, next_update);
            for warning in door.warnings() {
                tracing::warn!(listener = %door.address(), "TLS: {warning}");
            }
        }
    }

    /// To be called when all of them have been swapped: what lies on disk serves.
    pub(super) fn taken(&self, metrics: &Metrics, readiness: &Readiness) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = None;
        readiness.set_tls_problem(None);
        metrics.reloads.serves(Reloaded::Tls);
        self.show(metrics);
    }

    /// Reads the files, and builds from those that have changed.
    fn changed(&self) -> Result<Swap, String> {
        let looked = self.all.iter().filter_map(|door| match door.look() {
            Ok(prepared) => prepared.map(|prepared| Ok((Arc::clone(door), prepared))),
            Err(problem) => Some(Err(problem)),
        });
        looked.collect::<Result<_, String>>().map(Swap)
    }

    /// Notes what is wrong now; gives what was before.
    fn note(&self, problem: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.problem.lock().unwrap_or_else(PoisonError::into_inner), problem)
    }
}

/// Whether the journal has that these certificates are about to serve, or there is no journal.
async fn is_recorded(swap: &Swap, journal: Option<&Journal>, now: UnixSeconds) -> bool {
    let Some(journal) = journal else { return true };
    let listeners: Vec<String> = swap.0.iter().map(|(door, _)| door.address().to_string()).collect();
    match journal.record_tls_reload(now, listeners.join(" ")) {
        Ok(receipt) => receipt.await.is_ok(),
        Err(_) => false,
    }
}

/// Looks at the files on a thread of its own, so that no connection waits for a disk, and swaps what has changed.
pub(super) async fn look(doors: &Arc<Doors>, authority: &Authority, metrics: &Metrics, readiness: &Readiness) {
    if doors.all.is_empty() {
        return;
    }
    let (now, journal) = (authority.clock().now(), authority.journal());
    let on_it = Arc::clone(doors);
    let looked = tokio::task::spawn_blocking(move || on_it.changed()).await;
    // The panic hook has said what broke.
    match looked.unwrap_or_else(|_| Err("the look at TLS files broke; the log has more".into())) {
        Ok(swap) => {
            let listeners = swap.0.len();
            if doors.note(None).is_none() && listeners == 0 {
                return;
            }
            if listeners > 0 && !is_recorded(&swap, journal, now).await {
                tracing::error!(
                    "TLS files are not taken while the journal takes no record of it; the next look tries again"
                );
                return;
            }
            swap.put_in_force();
            doors.taken(metrics, readiness);
            metrics.reloads.note(Reloaded::Tls, ReloadResult::Swapped, now);
            tracing::info!(listeners, "TLS files reloaded; connections from now on get them");
        }
        Err(problem) => {
            if doors.note(Some(problem.clone())).as_ref() == Some(&problem) {
                return;
            }
            metrics.reloads.note(Reloaded::Tls, ReloadResult::Refused, now);
            tracing::error!(problem, "TLS files refused; those before them go on serving");
            if let Some(journal) = journal {
                // Nothing has changed, so nothing waits for this record.
                drop(journal.record_refused_reload(now, &problem));
            }
            readiness.set_tls_problem(Some(format!("files refused, those before them serve: {problem}")));
        }
    }
}
