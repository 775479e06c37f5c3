//! What the service tells its ledger, and what the ledger tells the rest: before a keyring is read, the highest
//! generation that was ever seen; before a configuration is put in force, how long tokens may live by it.

use std::sync::Arc;

use super::Failure;
use crate::{
    clock::Clock,
    config::Config,
    keystore,
    ledger::{Ledger, Unkept},
    metrics::Metrics,
};

/// Opens the ledger, if there is to be one.
pub(super) fn open(config: &Config, clock: &Clock, metrics: &Metrics) -> Result<Option<Ledger>, Failure> {
    let Some(path) = &config.ledger else {
        tracing::warn!("ledger.path is empty: no token can be revoked");
        return Ok(None);
    };
    let opened = Ledger::open(path, clock.clone(), Arc::clone(&metrics.ledger));
    opened.map(Some).map_err(|problem| Failure::usage(format!("ledger: {problem}")))
}

/// Tells the keystore what generations were seen, also by other processes on this ledger: to be done before a keyring is
/// read, so that an older one is refused although the record beside it was put back too.
pub(super) fn forewarn(ledger: Option<&Ledger>) {
    for (keyring, generation) in ledger.into_iter().flat_map(Ledger::generations) {
        keystore::note_generation(&keyring, generation);
    }
}

/// Notes the generation that serves. A ledger that does not take it keeps no keyring from serving: the record beside the
/// keyring still stands.
pub(super) fn note_generation(ledger: Option<&Ledger>, keyring: &str, generation: u64) {
    let Some(ledger) = ledger else { return };
    if ledger.highest_generation(keyring) < generation
        && ledger.wait(ledger.raise_generation(keyring, generation)).is_err()
    {
        tracing::warn!(generation, "the ledger does not take the keyring's generation; the log says why");
    }
}

/// Notes how long tokens may live by this configuration: what is revoked lasts as long as they.
///
/// # Errors
/// One line: the ledger does not take it.
pub(super) fn note_lifetimes(ledger: Option<&Ledger>, config: &Config) -> Result<(), String> {
    let Some(ledger) = ledger else { return Ok(()) };
    let receipts: Vec<_> =
        config.apps.iter().filter_map(|app| ledger.raise_longest(&app.name, app.ttl.longer(app.max_ttl))).collect();
    receipts.into_iter().try_for_each(|receipt| ledger.wait(receipt)).map_err(|Unkept| {
        "the ledger does not take how long tokens may live, by which it knows how long to keep what is revoked; the log says why"
            .into()
    })
}

/// Says that users are cut off under another keyring, whose names cannot be recognised any more.
pub(super) fn name_strangers(ledger: Option<&Ledger>, keyring: &str) {
    let strangers = ledger.map_or(0, |ledger| ledger.strangers(keyring));
    if strangers > 0 {
        tracing::warn!(
            strangers,
            "the ledger holds users that were cut off under another keyring, and this one cannot recognise their names: revoke them anew"
        );
    }
}
