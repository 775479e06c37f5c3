//! What a configuration allows but likely does not mean.

use std::collections::{BTreeMap, BTreeSet};

use super::typed::Config;
use crate::{
    hub::login::Generation,
    policy::{CallerPattern, Object, Policy, VerbName},
};

pub(super) fn of(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let Ok(policy) = config.policy() else { return lines };
    if config.rules.is_empty() {
        lines.push("policy.rules is empty: `serve` refuses to start, since it would deny every call".into());
    }
    if config.ledger.is_none() && !config.apps.is_empty() {
        lines.push(
            "ledger.path is empty: no token can be revoked, and a rolled-back keyring is noticed less surely".into(),
        );
    }
    if !config.rotations.is_empty() && !config.writable {
        lines.push("keyring.rotate has entries and keyring.writable is false: no key rotates by itself".into());
    }
    shared_secrets(config, &policy, &mut lines);
    idle_rates(config, &mut lines);
    for domain in &config.domains {
        if !reached(&policy, Object::Domain(domain.name.as_str())) {
            lines.push(format!("no rule reaches domain {}: every call for it is denied", domain.name.as_str()));
        }
    }
    for app in &config.apps {
        let needs_ledger = app.login.generation == Generation::One && !app.login.origins.is_empty();
        if needs_ledger && config.ledger.is_none() {
            lines.push(format!(
                "ledger.path is empty, and app {} is of generation 1, whose logins need a ledger: every one is refused",
                app.name
            ));
        }
        if !reached(&policy, Object::App(&app.name)) {
            lines.push(format!("no rule reaches app {}: every call for it is denied", app.name));
        }
    }
    lines
}

/// A hash for one of the domains that share a secret is a hash for all of them. What counts is what a caller may do by
/// all rules together, so each is asked about as somebody whom the pattern names.
fn shared_secrets(config: &Config, policy: &Policy, lines: &mut Vec<String>) {
    let mut sharing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for domain in &config.domains {
        sharing.entry(domain.key.as_str()).or_default().push(domain.name.as_str());
    }
    for rule in config.rules.iter().filter(|rule| rule.verbs.contains(&VerbName::Mint)) {
        for names in sharing.values().filter(|names| names.len() > 1) {
            // Callers to whom the same is withheld share a line.
            let mut by_withheld: BTreeMap<Vec<&str>, (BTreeSet<&str>, Vec<String>)> = BTreeMap::new();
            for caller in &rule.callers {
                let may = |name: &str| policy.explain(&caller.example(), VerbName::Mint, Object::Domain(name));
                let granted = names.iter().filter(|name| may(name).is_some_and(|found| found.rule == rule));
                let granted: BTreeSet<&str> = granted.copied().collect();
                let withheld: Vec<&str> = names.iter().copied().filter(|name| may(name).is_none()).collect();
                if !granted.is_empty() && !withheld.is_empty() {
                    let (domains, callers) = by_withheld.entry(withheld).or_default();
                    domains.extend(granted);
                    callers.push(caller.to_string());
                }
            }
            for (withheld, (granted, callers)) in by_withheld {
                let granted: Vec<&str> = granted.into_iter().collect();
                lines.push(format!(
                    "rule {:?} lets {} mint for {}, and no rule for {}, which share a secret: a hash for one is a hash for all",
                    rule.name,
                    callers.join(", "),
                    granted.join(", "),
                    withheld.join(", ")
                ));
            }
        }
    }
}

/// A rule's rate comes on top of the one that holds for everybody.
fn idle_rates(config: &Config, lines: &mut Vec<String>) {
    let Some(all) = config.limits.rate else { return };
    for rule in &config.rules {
        if rule.limits.rate.is_some_and(|rate| rate.per_second > all.per_second) {
            lines.push(format!(
                "rule {:?} has a rate above limits.rate, {} units a second, which holds too and is reached first",
                rule.name, all.per_second
            ));
        }
    }
}

fn reached(policy: &Policy, object: Object<'_>) -> bool {
    let mut callers = policy.rules().iter().flat_map(|rule| &rule.callers).map(CallerPattern::example);
    callers.any(|caller| VerbName::ALL.iter().any(|&verb| policy.explain(&caller, verb, object).is_some()))
}
