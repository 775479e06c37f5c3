//! Rules, the order in which they are asked, and the one place where a permit is made.
//!
//! The order: exact caller, then its primary group, then `*`; under each, the exact object before the longest
//! glob. The first that grants the verb wins. Two rules that stand equal there must have the same limits.

use std::{collections::HashMap, fmt};

use super::{
    caller::{Caller, CallerPattern},
    permit::{Permit, Verb, VerbName},
};

/// What a verb is asked on. Names are canonical: lower case, as configured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Object<'a> {
    /// A LiveAuth domain.
    Domain(&'a str),
    /// A Hub app.
    App(&'a str),
}

impl<'a> Object<'a> {
    /// The name alone.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Domain(name) | Self::App(name) => name,
        }
    }
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => write!(f, "domain {name}"),
            Self::App(name) => write!(f, "app {name}"),
        }
    }
}

/// How a rule names domains or apps.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ObjectPattern {
    /// Exactly this name.
    Exact(String),
    /// `*.example.com` for domains, `acme.*` for apps: whole labels, at least one more. Kept with its dot.
    Glob(String),
    /// `*`.
    Any,
}

impl ObjectPattern {
    /// Reads a pattern over domains: a host name, `*.` and a host name, or `*`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn domain(text: &str) -> Result<Self, String> {
        match text.strip_prefix('*') {
            Some("") => Ok(Self::Any),
            Some(rest) if rest.len() > 1 && rest.starts_with('.') && !rest.contains('*') => Ok(Self::Glob(rest.into())),
            None if !text.is_empty() && !text.contains('*') => Ok(Self::Exact(text.into())),
            _ => Err(format!("{text:?} is no domain pattern: write a host name, *.example.com or *")),
        }
    }

    /// Reads a pattern over apps: a name, a name and `.*`, or `*`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn app(text: &str) -> Result<Self, String> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::Any),
            Some(rest) if rest.len() > 1 && rest.ends_with('.') && !rest.contains('*') => Ok(Self::Glob(rest.into())),
            None if !text.is_empty() && !text.contains('*') => Ok(Self::Exact(text.into())),
            _ => Err(format!("{text:?} is no app pattern: write a name, name.* or *")),
        }
    }
}

/// What a rule limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RuleLimits {
    /// Longest lifetime, in seconds, of what is made under it; `None` leaves it to the domain or app.
    pub max_ttl: Option<i64>,
}

/// One rule: these callers may do these verbs on these domains and apps, within these limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// How records and messages call it.
    pub name: String,
    /// Who.
    pub callers: Vec<CallerPattern>,
    /// What.
    pub verbs: Vec<VerbName>,
    /// On which domains.
    pub domains: Vec<ObjectPattern>,
    /// On which apps.
    pub apps: Vec<ObjectPattern>,
    /// Within which limits.
    pub limits: RuleLimits,
}

/// Why a set of rules is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// A rule that names no caller, no verb, or no object.
    Empty {
        /// The rule.
        rule: String,
        /// What it lacks.
        lacks: &'static str,
    },
    /// A verb that cannot be asked of what the rule names.
    NoSuchObject {
        /// The rule.
        rule: String,
        /// The verb.
        verb: VerbName,
    },
    /// Two rules that stand equal in the order, but limit differently.
    Conflict {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { rule, lacks } => write!(f, "rule {rule:?} has no {lacks}: name at least one"),
            Self::NoSuchObject { rule, verb } => {
                let wanted = if verb.is_for_domains() { "domains" } else { "apps" };
                write!(f, "rule {rule:?} grants {verb}, which needs {wanted}, and names none")
            }
            Self::Conflict { first, second } => write!(
                f,
                "rules {first:?} and {second:?} match the same caller, verb and object with different limits: give them the same, or make one more specific"
            ),
        }
    }
}

/// No rule allows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied;

/// Why a decision fell as it did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation<'a> {
    /// The caller pattern that matched.
    pub caller: CallerPattern,
    /// The rule that matched.
    pub rule: &'a Rule,
}

/// Places in `rules`, by the object pattern that leads there.
#[derive(Default)]
struct Table {
    exact: HashMap<String, usize>,
    /// Longest first.
    globs: Vec<(String, usize)>,
    any: Option<usize>,
}

#[derive(Default)]
struct Grants {
    domains: Table,
    apps: Table,
}

/// All rules, ready to be asked.
pub struct Policy {
    rules: Vec<Rule>,
    grants: HashMap<(CallerPattern, VerbName), Grants>,
}

impl Policy {
    /// Builds the tables.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, Problem> {
        let mut grants: HashMap<(CallerPattern, VerbName), Grants> = HashMap::new();
        for (place, rule) in rules.iter().enumerate() {
            check(rule)?;
            for caller in &rule.callers {
                for &verb in &rule.verbs {
                    let grant = grants.entry((caller.clone(), verb)).or_default();
                    if verb.is_for_domains() {
                        rule.domains.iter().try_for_each(|o| grant.domains.insert(o, place, &rules))?;
                    }
                    if verb.is_for_apps() {
                        rule.apps.iter().try_for_each(|o| grant.apps.insert(o, place, &rules))?;
                    }
                }
            }
        }
        Ok(Self { rules, grants })
    }

    /// Whether there is no rule at all, so that everything is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules, as configured.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Asks for the verb `V` on `object`; the only maker of permits.
    ///
    /// # Errors
    /// [`Denied`] where no rule allows it.
    pub fn permit<'a, V: Verb>(&'a self, caller: &Caller, object: Object<'a>) -> Result<Permit<'a, V>, Denied> {
        let (_, rule) = self.find(caller, V::NAME, object).ok_or(Denied)?;
        Ok(Permit::new(rule, object))
    }

    /// The rule that decides, and the caller pattern it matched by.
    #[must_use]
    pub fn explain(&self, caller: &Caller, verb: VerbName, object: Object<'_>) -> Option<Explanation<'_>> {
        self.find(caller, verb, object).map(|(caller, rule)| Explanation { caller, rule })
    }

    /// Whether some rule lets `caller` do `verb` on any domain at all.
    #[must_use]
    pub fn allows_on_some_domain(&self, caller: &Caller, verb: VerbName) -> bool {
        caller.patterns().any(|p| self.grants.get(&(p, verb)).is_some_and(|g| !g.domains.is_empty()))
    }

    fn find(&self, caller: &Caller, verb: VerbName, object: Object<'_>) -> Option<(CallerPattern, &Rule)> {
        caller.patterns().find_map(|pattern| {
            let key = (pattern, verb);
            let grant = self.grants.get(&key)?;
            let place = match object {
                Object::Domain(name) => grant.domains.find(name, |glob, name| name.ends_with(glob)),
                Object::App(name) => grant.apps.find(name, |glob, name| name.starts_with(glob)),
            }?;
            Some((key.0, &self.rules[place]))
        })
    }
}

impl Table {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty() && self.any.is_none()
    }

    fn insert(&mut self, object: &ObjectPattern, place: usize, rules: &[Rule]) -> Result<(), Problem> {
        let before = match object {
            ObjectPattern::Exact(name) => self.exact.insert(name.clone(), place),
            ObjectPattern::Any => self.any.replace(place),
            ObjectPattern::Glob(glob) => {
                let present = self.globs.iter_mut().find(|(present, _)| present == glob);
                let before = present.map(|(_, at)| std::mem::replace(at, place));
                if before.is_none() {
                    self.globs.push((glob.clone(), place));
                    self.globs.sort_by_key(|(glob, _)| std::cmp::Reverse(glob.len()));
                }
                before
            }
        };
        match before {
            Some(before) if rules[before].limits != rules[place].limits => {
                Err(Problem::Conflict { first: rules[before].name.clone(), second: rules[place].name.clone() })
            }
            _ => Ok(()),
        }
    }

    /// A glob keeps its dot, so that a match ends on a label boundary; it stands for at least one more label.
    fn find(&self, name: &str, fits: impl Fn(&str, &str) -> bool) -> Option<usize> {
        let by_glob =
            || self.globs.iter().find(|(glob, _)| name.len() > glob.len() && fits(glob, name)).map(|&(_, at)| at);
        self.exact.get(name).copied().or_else(by_glob).or(self.any)
    }
}

fn check(rule: &Rule) -> Result<(), Problem> {
    let empty = |lacks| Err(Problem::Empty { rule: rule.name.clone(), lacks });
    if rule.callers.is_empty() {
        return empty("callers");
    }
    if rule.verbs.is_empty() {
        return empty("verbs");
    }
    if rule.domains.is_empty() && rule.apps.is_empty() {
        return empty("domains or apps");
    }
    for &verb in &rule.verbs {
        let reaches_domains = verb.is_for_domains() && !rule.domains.is_empty();
        let reaches_apps = verb.is_for_apps() && !rule.apps.is_empty();
        if !reaches_domains && !reaches_apps {
            return Err(Problem::NoSuchObject { rule: rule.name.clone(), verb });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::permit::verb, *};

    fn rule(name: &str, caller: &str, verbs: &[VerbName], domains: &[&str], max_ttl: Option<i64>) -> Rule {
        Rule {
            name: name.into(),
            callers: vec![CallerPattern::parse(caller).unwrap()],
            verbs: verbs.to_vec(),
            domains: domains.iter().map(|d| ObjectPattern::domain(d).unwrap()).collect(),
            apps: Vec::new(),
            limits: RuleLimits { max_ttl },
        }
    }

    fn who(text: &str) -> Caller {
        Caller::parse(text).unwrap()
    }

    fn decides(policy: &Policy, caller: &str, domain: &str) -> Option<String> {
        policy.explain(&who(caller), VerbName::Mint, Object::Domain(domain)).map(|e| e.rule.name.clone())
    }

    #[test]
    fn without_a_rule_everything_is_denied() {
        let policy = Policy::new(Vec::new()).unwrap();
        assert!(policy.permit::<verb::Mint>(&who("uid:0"), Object::Domain("a.example")).is_err());
    }

    #[test]
    fn a_verifier_cannot_mint() {
        let policy = Policy::new(vec![rule("r", "uid:7", &[VerbName::Verify], &["*"], None)]).unwrap();
        let object = Object::Domain("a.example");
        assert!(policy.permit::<verb::Verify>(&who("uid:7"), object).is_ok());
        assert!(policy.permit::<verb::Mint>(&who("uid:7"), object).is_err());
        assert!(policy.permit::<verb::Verify>(&who("uid:8"), object).is_err());
    }

    #[test]
    fn the_caller_weighs_more_than_the_object_and_exact_more_than_glob() {
        let mint = &[VerbName::Mint];
        let policy = Policy::new(vec![
            rule("any-exact", "*", mint, &["jobs.example.com"], None),
            rule("gid-any", "gid:9", mint, &["*"], None),
            rule("uid-glob", "uid:7", mint, &["*.example.com"], None),
            rule("uid-longer-glob", "uid:7", mint, &["*.eu.example.com"], None),
            rule("uid-exact", "uid:7", mint, &["x.eu.example.com"], None),
        ])
        .unwrap();
        assert_eq!(decides(&policy, "uid:7,gid:9", "jobs.example.com").unwrap(), "uid-glob");
        assert_eq!(decides(&policy, "uid:7,gid:9", "a.eu.example.com").unwrap(), "uid-longer-glob");
        assert_eq!(decides(&policy, "uid:7,gid:9", "x.eu.example.com").unwrap(), "uid-exact");
        assert_eq!(decides(&policy, "uid:7,gid:9", "other.net").unwrap(), "gid-any");
        assert_eq!(decides(&policy, "uid:8,gid:8", "jobs.example.com").unwrap(), "any-exact");
        assert_eq!(decides(&policy, "uid:8,gid:8", "other.net"), None);
        assert_eq!(decides(&policy, "uid:7,gid:8", "example.com"), None, "a glob stands for at least one label");
        assert_eq!(decides(&policy, "uid:7,gid:8", "badexample.com"), None, "whole labels only");
    }

    #[test]
    fn equal_rules_with_different_limits_are_refused() {
        let mint = &[VerbName::Mint];
        let rules = |ttl| vec![rule("a", "uid:7", mint, &["*"], Some(60)), rule("b", "uid:7", mint, &["*"], ttl)];
        assert!(Policy::new(rules(Some(60))).is_ok());
        assert!(matches!(Policy::new(rules(None)), Err(Problem::Conflict { .. })));
    }

    #[test]
    fn a_rule_that_can_never_match_is_refused() {
        let seal_on_domains = rule("r", "*", &[VerbName::Seal], &["*"], None);
        assert!(matches!(Policy::new(vec![seal_on_domains]), Err(Problem::NoSuchObject { .. })));
        assert!(matches!(Policy::new(vec![rule("r", "*", &[], &["*"], None)]), Err(Problem::Empty { .. })));
    }

    #[test]
    fn callers_are_read_strictly() {
        for bad in ["", "uid:", "uid:-1", "uid:+1", "uid:01", "uid:4294967295", "uid:4294967296", "root", "name:A b"] {
            assert!(CallerPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
