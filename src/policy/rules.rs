//! Rules, the order in which they are asked, and the one place where a permit is made.
//!
//! The order: exact caller, then its primary group, then `*`; under each, the exact object before the longest
//! glob. The first that grants the verb wins. Two rules that stand equal there must have the same limits.

use std::{collections::HashMap, sync::Arc};

use super::{
    caller::{Caller, CallerPattern},
    permit::Permit,
    right::{Verb, VerbName},
    rule::{Object, ObjectPattern, Problem, Rule, check},
};

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

/// The grants of one verb, by caller. The maps stay empty, and are then not even hashed for, where no rule names such
/// callers; names are those of listeners, and so few.
#[derive(Default)]
struct ByCaller {
    uids: HashMap<u32, Grants>,
    names: Vec<(Arc<str>, Grants)>,
    gids: HashMap<u32, Grants>,
    any: Option<Grants>,
}

/// All rules, ready to be asked.
pub struct Policy {
    rules: Vec<Rule>,
    /// By verb, in the order of [`VerbName::ALL`].
    grants: [ByCaller; VerbName::ALL.len()],
}

impl Policy {
    /// Builds the tables.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, Problem> {
        let mut grants: [ByCaller; VerbName::ALL.len()] = Default::default();
        for (place, rule) in rules.iter().enumerate() {
            check(rule)?;
            for caller in &rule.callers {
                for &verb in &rule.verbs {
                    let grant = grants[verb as usize].of_mut(caller);
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
        let (place, rule) = self.find(caller, verb, object)?;
        let caller = match (place, caller) {
            (0, Caller::Unix { uid, .. }) => CallerPattern::Uid(*uid),
            (0, Caller::Named(name)) => CallerPattern::Named(Arc::clone(name)),
            (1, Caller::Unix { gid, .. }) => CallerPattern::Gid(*gid),
            _ => CallerPattern::Any,
        };
        Some(Explanation { caller, rule })
    }

    /// Whether some rule lets `caller` do `verb` on any domain at all.
    #[must_use]
    pub fn allows_on_some_domain(&self, caller: &Caller, verb: VerbName) -> bool {
        self.grants[verb as usize].of(caller).into_iter().flatten().any(|grant| !grant.domains.is_empty())
    }

    /// The rule that decides, and how specific the caller pattern was that it matched by: 0 is the most.
    fn find(&self, caller: &Caller, verb: VerbName, object: Object<'_>) -> Option<(usize, &Rule)> {
        let by_specificity = self.grants[verb as usize].of(caller);
        by_specificity.into_iter().enumerate().find_map(|(specificity, grant)| {
            let place = match object {
                Object::Domain(name) => grant?.domains.find(name, |glob, name| name.ends_with(glob)),
                Object::App(name) => grant?.apps.find(name, |glob, name| name.starts_with(glob)),
            }?;
            Some((specificity, &self.rules[place]))
        })
    }
}

impl ByCaller {
    /// What is granted to this very caller, to its primary group, and to everybody.
    fn of(&self, caller: &Caller) -> [Option<&Grants>; 3] {
        match caller {
            Caller::Unix { uid, gid } => [self.uids.get(uid), self.gids.get(gid), self.any.as_ref()],
            Caller::Named(name) => {
                let named = self.names.iter().find(|(present, _)| present == name).map(|(_, grants)| grants);
                [named, None, self.any.as_ref()]
            }
            Caller::Spiffe(_) | Caller::Dns(_) => [None, None, self.any.as_ref()],
        }
    }

    fn of_mut(&mut self, pattern: &CallerPattern) -> &mut Grants {
        match pattern {
            CallerPattern::Uid(uid) => self.uids.entry(*uid).or_default(),
            CallerPattern::Gid(gid) => self.gids.entry(*gid).or_default(),
            CallerPattern::Any => self.any.get_or_insert_default(),
            CallerPattern::Named(name) => {
                let at = self.names.iter().position(|(present, _)| present == name).unwrap_or_else(|| {
                    self.names.push((Arc::clone(name), Grants::default()));
                    self.names.len() - 1
                });
                &mut self.names[at].1
            }
        }
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

#[cfg(test)]
mod tests {
    use super::{
        super::{right::verb, rule::RuleLimits},
        *,
    };

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
