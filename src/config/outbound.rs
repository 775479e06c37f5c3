//! How calls to vendors go out, and where to.

use std::{collections::BTreeSet, path::Path, time::Duration};

use super::{
    raw,
    typed::{Config, span},
};
use crate::{authority::Portal, hub::login::Origin, liveauth::portal::Endpoint, outbound::Settings, policy::VerbName};

/// What a call that asks a vendor may take besides what the vendor takes: its record, and what has to be undone.
const BESIDES: Duration = Duration::from_secs(2);

/// The longest that a vendor may take.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) fn settings(raw: &raw::Outbound, folder: &Path) -> Result<Settings, String> {
    if !(1024..=16 << 20).contains(&raw.response_bytes) {
        return Err(format!("outbound.response_bytes is {}; choose 1024 to {}", raw.response_bytes, 16 << 20));
    }
    let timeout = vendor_span(&raw.timeout, "outbound.timeout")?;
    Ok(Settings {
        connect_timeout: shorter(
            vendor_span(&raw.connect_timeout, "outbound.connect_timeout")?,
            timeout,
            "outbound.timeout",
        )?,
        timeout,
        response_bytes: raw.response_bytes,
        ca_file: (!raw.ca_file.is_empty()).then(|| folder.join(&raw.ca_file)),
        private_addresses: raw.private_addresses,
        insecure_loopback: raw.insecure_loopback,
    })
}

pub(super) fn portal(raw: &raw::LiveAuth, outbound: &Settings) -> Result<Portal, String> {
    let endpoint = Endpoint::parse(&raw.endpoint).map_err(|problem| format!("liveauth.endpoint: {problem}"))?;
    if endpoint.is_plain() && !outbound.insecure_loopback {
        return Err(
            "liveauth.endpoint is http, which is spoken in development alone, to this machine; write an https URL, \
                    or in development outbound.insecure_loopback = true"
                .into(),
        );
    }
    let timeout = vendor_span(&raw.timeout, "liveauth.timeout")?;
    shorter(outbound.connect_timeout, timeout, "liveauth.timeout")?;
    Ok(Portal { endpoint, timeout })
}

/// Whether the Hubs of all apps may be spoken to.
pub(super) fn hubs(config: &Config) -> Result<(), String> {
    let plain = |origin: &&Origin| !origin.is_secure() && !config.outbound.insecure_loopback;
    for app in &config.apps {
        if let Some(origin) = app.login.origins.iter().find(plain) {
            return Err(format!(
                "app {:?}: the origin {origin} is http, which is spoken in development alone, to this machine; write https, or in \
                 development outbound.insecure_loopback = true",
                app.name
            ));
        }
    }
    Ok(())
}

/// How long a call that asks a vendor may take.
pub(super) fn reach(outbound: &Settings, portal: &Portal) -> Duration {
    outbound.timeout.max(portal.timeout) + BESIDES
}

fn vendor_span(text: &str, setting: &str) -> Result<Duration, String> {
    span(text, setting)
        .ok()
        .filter(|span| *span <= LONGEST)
        .ok_or_else(|| format!("{setting} must be between 1s and 60s"))
}

fn shorter(connect: Duration, timeout: Duration, setting: &str) -> Result<Duration, String> {
    if connect < timeout {
        return Ok(connect);
    }
    Err(format!("outbound.connect_timeout must be shorter than {setting}, which holds for a call as a whole"))
}

impl Config {
    /// The TCP ports of the vendors that some rule has asked; none where nobody may have one asked.
    #[must_use]
    pub fn ports_out(&self) -> BTreeSet<u16> {
        let some = |asks: fn(VerbName) -> bool| self.rules.iter().flat_map(|rule| &rule.verbs).any(|verb| asks(*verb));
        let liveauth = some(VerbName::is_for_portals).then(|| self.portal.endpoint.port());
        let hubs = self.apps.iter().flat_map(|app| &app.login.origins).filter(|_| some(VerbName::is_for_hubs));
        liveauth.into_iter().chain(hubs.map(Origin::port)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_hubs_are_opened_where_a_rule_has_them_asked() {
        let ports = |verb: &str| {
            let text = format!(
                "[[hub.apps]]\nname = \"a\"\nkey = \"k\"\norigins = [\"https://h.example:8443\", \"https://i.example\"]\n\
                 [[policy.rules]]\nname = \"r\"\ncallers = [\"*\"]\nverbs = [{verb:?}]\napps = [\"*\"]\n"
            );
            Config::parse(&text, Path::new("")).unwrap().ports_out().into_iter().collect::<Vec<_>>()
        };
        for verb in ["login", "renew", "notify"] {
            assert_eq!(ports(verb), [443, 8443], "{verb}");
        }
        assert_eq!((ports("seal"), ports("resolve")), (vec![], vec![]));
    }
}
