//! When keys are rotated: how long a new version is known before it is used, and which keys get one by themselves.

use std::time::Duration;

use super::{duration::parse_seconds, raw, typed::DomainSpec};
use crate::{
    keyring::KeyName,
    policy::{Object, ObjectPattern},
};

/// Longest propagation interval, seconds.
const PROPAGATION_MAX: i64 = 86_400;
/// Longest interval between rotations, seconds.
const EVERY_MAX: i64 = 3_650 * 86_400;

/// Keys that get a new version at an interval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interval {
    keys: Vec<ObjectPattern>,
    /// Seconds from the activation of a version to the staging of the next.
    pub every: i64,
}

/// Seconds between the activation of a version of that key and the staging of the next: of the interval that names it; else of
/// the longest pattern; else of `*`. Nothing where nobody asked for rotation by itself.
#[must_use]
pub fn interval_of(intervals: &[Interval], key: &KeyName) -> Option<i64> {
    let fitting = intervals.iter().flat_map(|interval| {
        let patterns = interval.keys.iter().filter(|pattern| pattern.fits(Object::App(key.as_str())));
        patterns.map(|pattern| (weight(pattern), interval.every))
    });
    fitting.max_by_key(|(weight, _)| *weight).map(|(_, every)| every)
}

fn weight(pattern: &ObjectPattern) -> usize {
    match pattern {
        ObjectPattern::Any => 0,
        ObjectPattern::Glob(glob) => glob.len(),
        ObjectPattern::Exact(_) => usize::MAX,
    }
}

/// Seconds for which a new version is known before it is used. Every replica looks at its files within that time, also
/// where one look was in vain.
pub(super) fn propagation(raw: &raw::Keyring, poll: Option<Duration>) -> Result<i64, String> {
    let seconds = parse_seconds(&raw.propagation).map_err(|problem| format!("keyring.propagation: {problem}"))?;
    if !(1..=PROPAGATION_MAX).contains(&seconds) {
        return Err("keyring.propagation must be between 1s and 24h".into());
    }
    let poll = poll.map_or(0, |poll| i64::try_from(poll.as_secs()).unwrap_or(i64::MAX));
    if seconds < poll.saturating_mul(2) {
        return Err(format!(
            "keyring.propagation is {seconds} s, and must be at least twice reload.poll, which is {poll} s: a version would be used before every replica knows it; raise it, or lower reload.poll"
        ));
    }
    Ok(seconds)
}

pub(super) fn intervals(raw: &raw::Keyring, propagation: i64, domains: &[DomainSpec]) -> Result<Vec<Interval>, String> {
    let read = raw.rotate.iter().map(|raw| interval(raw, propagation)).collect::<Result<Vec<_>, _>>()?;
    let mut seen: Vec<&ObjectPattern> = Vec::new();
    for pattern in read.iter().flat_map(|interval| &interval.keys) {
        if seen.contains(&pattern) {
            return Err(format!("keyring.rotate names {pattern} twice; keep one of the two"));
        }
        if let ObjectPattern::Exact(name) = pattern
            && let Some(domain) = domains.iter().find(|domain| domain.key.as_str() == name)
        {
            return Err(format!(
                "keyring.rotate names {name}, which holds the LiveAuth secret of domain {}: idibu changes that, and a schedule cannot; take it out",
                domain.name
            ));
        }
        seen.push(pattern);
    }
    Ok(read)
}

fn interval(raw: &raw::Rotate, propagation: i64) -> Result<Interval, String> {
    if raw.keys.is_empty() {
        return Err("keyring.rotate has an entry without keys; name some, or write [\"*\"]".into());
    }
    let pattern = |text: &String| {
        let pattern = ObjectPattern::app(text)
            .map_err(|_| format!("keyring.rotate: {text:?} is no key pattern: write a name, name.* or *"))?;
        if let ObjectPattern::Exact(name) = &pattern {
            KeyName::new(name).map_err(|problem| format!("keyring.rotate: {problem}"))?;
        }
        Ok(pattern)
    };
    let every = parse_seconds(&raw.every).map_err(|problem| format!("keyring.rotate: every: {problem}"))?;
    let least = propagation.saturating_mul(2);
    if !(least..=EVERY_MAX).contains(&every) {
        return Err(format!(
            "keyring.rotate: every is {:?}; it must be between twice keyring.propagation, which is {least} s, and 3650d",
            raw.every
        ));
    }
    Ok(Interval { keys: raw.keys.iter().map(pattern).collect::<Result<_, String>>()?, every })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn config(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new(""))
    }

    #[test]
    fn the_most_specific_interval_counts_whatever_the_order() {
        let rotate = |keys: &str, every: &str| format!("[[keyring.rotate]]\nkeys = [{keys}]\nevery = {every:?}\n");
        let mut parts = [
            rotate("\"*\"", "400d"),
            rotate("\"acme.*\"", "90d"),
            rotate("\"acme.eu.*\", \"solo\"", "30d"),
            rotate("\"acme.eu.edge\"", "7d"),
        ];
        for _ in 0..2 {
            let config = config(&parts.concat()).unwrap();
            let every = |name: &str| interval_of(&config.rotations, &KeyName::new(name).unwrap()).map(|s| s / 86_400);
            let found = ["x", "acme.us", "acme.eu.core", "acme.eu.edge", "solo", "acme"].map(every);
            assert_eq!(found, [400, 90, 30, 7, 30, 400].map(Some));
            parts.reverse();
        }
        assert_eq!(interval_of(&config("").unwrap().rotations, &KeyName::new("x").unwrap()), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let rotate = |entry: &str| format!("[[keyring.rotate]]\n{entry}\n");
        for (text, word) in [
            ("[keyring]\npropagation = \"0s\"".to_owned(), "between 1s and 24h"),
            ("[keyring]\npropagation = \"25h\"".to_owned(), "between 1s and 24h"),
            ("[keyring]\npropagation = \"soon\"".to_owned(), "keyring.propagation"),
            ("[keyring]\npropagation = \"59s\"".to_owned(), "reload.poll"),
            ("[reload]\npoll = \"3m\"".to_owned(), "keyring.propagation"),
            (rotate("keys = []\nevery = \"90d\""), "without keys"),
            (rotate("keys = [\"a*\"]\nevery = \"90d\""), "name.*"),
            (rotate("keys = [\"A\"]\nevery = \"90d\""), "key name"),
            (rotate("keys = [\"a\", \"a\"]\nevery = \"90d\""), "twice"),
            (rotate("keys = [\"a\"]\nevery = \"9m\""), "600 s"),
            (rotate("keys = [\"a\"]\nevery = \"3651d\""), "3650d"),
            (rotate("keys = [\"a\"]\nevery = \"never\""), "length of time"),
            (rotate("keys = [\"a\"]"), "every"),
            (
                rotate("keys = [\"k\"]\nevery = \"90d\"") + "[[liveauth.domains]]\nname = \"a.example\"\nkey = \"k\"\n",
                "idibu",
            ),
        ] {
            let problem = config(&text).unwrap_err();
            assert!(problem.contains(word) && !problem.contains('\n'), "{text}\n{problem}");
        }
        assert!(config("[keyring]\npropagation = \"60s\"").is_ok());
        assert!(config("[keyring]\npropagation = \"1s\"\n[reload]\npoll = \"off\"").is_ok());
    }
}
