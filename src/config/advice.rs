//! What a configuration allows but likely does not mean.

use std::collections::BTreeMap;

use super::typed::Config;
use crate::policy::{Caller, CallerPattern, Object, Policy, Rule, VerbName};

pub(super) fn of(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let Ok(policy) = config.policy() else { return lines };
    if config.rules.is_empty() {
        lines.push("policy.rules is empty: `serve` refuses to start, since it would deny every call".into());
    }
    shared_secrets(config, &mut lines);
    for domain in &config.domains {
        if !reached(&config.rules, &policy, Object::Domain(domain.name.as_str())) {
            lines.push(format!("no rule reaches domain {}: every call for it is denied", domain.name.as_str()));
        }
    }
    for app in &config.apps {
        if !reached(&config.rules, &policy, Object::App(&app.name)) {
            lines.push(format!("no rule reaches app {}: every call for it is denied", app.name));
        }
    }
    lines
}

/// A hash for one of the domains that share a secret is a hash for all of them.
fn shared_secrets(config: &Config, lines: &mut Vec<String>) {
    let mut sharing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for domain in &config.domains {
        sharing.entry(domain.key.as_str()).or_default().push(domain.name.as_str());
    }
    for rule in config.rules.iter().filter(|rule| rule.verbs.contains(&VerbName::Mint)) {
        let Ok(alone) = Policy::new(vec![rule.clone()]) else { continue };
        for names in sharing.values().filter(|names| names.len() > 1) {
            let (granted, withheld): (Vec<&str>, Vec<&str>) =
                names.iter().partition(|name| reached(std::slice::from_ref(rule), &alone, Object::Domain(name)));
            if !granted.is_empty() && !withheld.is_empty() {
                lines.push(format!(
                    "rule {:?} grants minting for {} but not for {}, which share a secret: a hash for one is a hash for all",
                    rule.name,
                    granted.join(", "),
                    withheld.join(", ")
                ));
            }
        }
    }
}

fn reached(rules: &[Rule], policy: &Policy, object: Object<'_>) -> bool {
    let callers = rules.iter().flat_map(|rule| &rule.callers).map(somebody);
    callers.into_iter().any(|caller| VerbName::ALL.iter().any(|&verb| policy.explain(&caller, verb, object).is_some()))
}

/// A caller whom the pattern fits.
fn somebody(pattern: &CallerPattern) -> Caller {
    const NOBODY: u32 = u32::MAX;
    match pattern {
        CallerPattern::Uid(uid) => Caller::Unix { uid: *uid, gid: NOBODY },
        CallerPattern::Gid(gid) => Caller::Unix { uid: NOBODY, gid: *gid },
        CallerPattern::Named(name) => Caller::Named(name.clone()),
        CallerPattern::Any => Caller::Unix { uid: NOBODY, gid: NOBODY },
    }
}
