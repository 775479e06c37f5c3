//! A rule, from its raw twin: patterns and verbs are read, limits checked. Whether rules fit together is for `policy`.

use super::{duration::parse_seconds, raw};
use crate::{
    liveauth::domain::HostName,
    policy::{CallerPattern, ObjectPattern, Rate, Rule, RuleLimits, VerbName},
};

pub(super) fn read(raw: &raw::Rule) -> Result<Rule, String> {
    let place = format!("rule {:?}", raw.name);
    let said = |problem: String| format!("{place}: {problem}");
    if raw.name.is_empty() || raw.name.len() > 64 || raw.name.chars().any(char::is_control) {
        return Err(said("the name is 1 to 64 printable characters".into()));
    }
    let verb = |text: &String| {
        VerbName::from_name(text).ok_or_else(|| {
            let known = VerbName::ALL.map(VerbName::name).join(", ");
            said(format!("{text:?} is no verb; write one of {known}"))
        })
    };
    let domain_pattern = |text: &String| {
        let pattern = ObjectPattern::domain(text).map_err(said)?;
        let name = match &pattern {
            ObjectPattern::Any => return Ok(pattern),
            ObjectPattern::Exact(name) => name.as_str(),
            ObjectPattern::Glob(dotted) => &dotted[1..],
        };
        let host = HostName::from_config(name).map_err(said)?;
        Ok(match pattern {
            ObjectPattern::Glob(_) => ObjectPattern::Glob(format!(".{}", host.as_str())),
            _ => ObjectPattern::Exact(host.as_str().to_owned()),
        })
    };
    let max_ttl = match &raw.max_ttl {
        None => None,
        Some(text) => match parse_seconds(text).map_err(said)? {
            0 => return Err(said("max_ttl must be at least 1s".into())),
            seconds => Some(seconds),
        },
    };
    let rate = match (raw.rate, raw.burst) {
        (None, None) => None,
        (Some(0), _) => return Err(said("rate is 0; write units a second, or leave the rule out".into())),
        (_, Some(0)) => return Err(said("burst is 0; write how many units may be saved up, at least 1".into())),
        (None, Some(_)) => return Err(said("burst stands alone; write a rate, in units a second, with it".into())),
        // Two seconds' worth, as for the rate that holds for everybody.
        (Some(per_second), burst) => Some(Rate { per_second, burst: burst.unwrap_or(per_second.saturating_mul(2)) }),
    };
    Ok(Rule {
        name: raw.name.clone(),
        callers: raw.callers.iter().map(|c| CallerPattern::parse(c).map_err(said)).collect::<Result<_, _>>()?,
        verbs: raw.verbs.iter().map(verb).collect::<Result<_, _>>()?,
        domains: raw.domains.iter().map(domain_pattern).collect::<Result<_, String>>()?,
        apps: raw.apps.iter().map(|a| ObjectPattern::app(a).map_err(said)).collect::<Result<_, _>>()?,
        keys: raw.keys.iter().map(|k| ObjectPattern::key(k).map_err(said)).collect::<Result<_, _>>()?,
        limits: RuleLimits { max_ttl, rate },
    })
}
