//! Build, then swap: a new state is made whole and tested before it replaces the old one. A bad file leaves the
//! old one serving, and says so in a log line, a metric and readiness detail.

use super::{Options, startup};
use crate::{
    authority::Authority,
    config::Config,
    http::Readiness,
    keystore,
    metrics::{Metrics, ReloadResult},
};

/// Reads everything again and swaps it in; gives the new configuration.
pub(super) fn reload(running: &Config, options: &Options, authority: &Authority) -> Result<Config, String> {
    let config = Config::load(&options.config_file).map_err(|error| error.to_string())?;
    same_where_it_must_be(running, &config)?;
    if config.rules.is_empty() && options.dev.is_none() {
        return Err(startup::EMPTY_POLICY.into());
    }
    let loaded = keystore::load(&config.keyring).map_err(|error| error.to_string())?;
    startup::judge_keys(&loaded, options.dev.is_some()).map_err(|failure| failure.message)?;
    let before = authority.state();
    let state = config.build(loaded.keys, Some(&before))?;
    authority.replace(state);
    Ok(config)
}

pub(super) fn swapped(metrics: &Metrics, readiness: &Readiness, authority: &Authority) {
    metrics.reloads.note(ReloadResult::Swapped, authority.clock().now());
    readiness.set_reload_problem(None);
    tracing::info!("reloaded configuration, policy and keyring");
}

pub(super) fn refused(metrics: &Metrics, readiness: &Readiness, authority: &Authority, problem: String) {
    metrics.reloads.note(ReloadResult::Refused, authority.clock().now());
    tracing::error!(problem, "reload refused; the state before it goes on serving");
    readiness.set_reload_problem(Some(problem));
}

/// What was taken at the start stays taken until the process ends.
fn same_where_it_must_be(running: &Config, new: &Config) -> Result<(), String> {
    let fixed = [
        ("listen.unix", running.unix == new.unix),
        ("listen.reflection", running.reflection == new.reflection),
        ("listen.workers", running.workers == new.workers),
        ("listen.drain", running.drain == new.drain),
        ("http.address", running.http == new.http),
        ("keyring.path", running.keyring.keyring == new.keyring.keyring),
        ("keyring.kek_file", running.keyring.kek_file == new.keyring.kek_file),
        ("log", running.log == new.log),
    ];
    match fixed.iter().find(|(_, same)| !same) {
        Some((setting, _)) => Err(format!("restart needed: {setting} changed, which a reload cannot take")),
        None => Ok(()),
    }
}
