//! Rules, the order in which they are asked, and the one place where a permit is made.
//!
//! The order:
//!
//! 1. the caller: exactly this one (`spiffe://…`, `dns:`, `uid:`, `name:`), then SPIFFE prefixes, the longest first and by
//!    whole segments of the path, then its primary group (`gid:`), then `*`;
//! 2. under each of these, the object: the exact name, then the longest glob by whole labels, then `*`.
//!
//! The first that grants the verb wins, and its limits hold. Rules only allow: one that says nothing about an object leaves
//! the question to the next. Two that stand equal must have the same limits; the one written first is then named.

use std::collections::HashSet;

use super::{
    caller::{Caller, CallerPattern},
    callers::{Callers, Standing},
    objects::Fit,
    permit::{Meter, Permit},
    right::{Verb, VerbName},
    rule::{Object, ObjectPattern, Problem, Rule, check},
};

/// No rule allows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied;

/// Why something is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation<'a> {
    /// The caller pattern that matched.
    pub caller: CallerPattern,
    /// The object pattern that matched.
    pub object: ObjectPattern,
    /// The rule that matched.
    pub rule: &'a Rule,
}

/// What a rule lacks to allow something, where it lacks but one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// It grants the verb on the object, to others.
    Caller,
    /// It grants the caller other verbs on the object.
    Verb,
    /// It grants the caller the verb, on other objects.
    Object,
}

/// All rules, ready to be asked.
pub struct Policy {
    rules: Vec<Rule>,
    /// The meter of each rule that has a rate.
    meters: Vec<Option<Meter>>,
    /// By verb, in the order of [`VerbName::ALL`].
    grants: [Callers; VerbName::ALL.len()],
    /// The number of the next meter.
    next_meter: u64,
}

impl Policy {
    /// Builds the tables.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, Problem> {
        Self::numbered_from(rules, 0, |_| None)
    }

    /// The same in place of `before`: a rule that kept its name and its rate keeps its meter, so that callers do not begin
    /// anew with full buckets.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn continuing(rules: Vec<Rule>, before: &Self) -> Result<Self, Problem> {
        Self::numbered_from(rules, before.next_meter, |rule| {
            let place = before.rules.iter().position(|earlier| earlier.name == rule.name)?;
            before.meters[place].filter(|meter| Some(meter.rate) == rule.limits.rate)
        })
    }

    fn numbered_from(
        rules: Vec<Rule>,
        mut next_meter: u64,
        earlier: impl Fn(&Rule) -> Option<Meter>,
    ) -> Result<Self, Problem> {
        let mut grants: [Callers; VerbName::ALL.len()] = Default::default();
        let mut names = HashSet::new();
        let mut meters = Vec::with_capacity(rules.len());
        for (place, rule) in rules.iter().enumerate() {
            check(rule)?;
            if !names.insert(rule.name.as_str()) {
                return Err(Problem::Twins { rule: rule.name.clone() });
            }
            for caller in &rule.callers {
                for &verb in &rule.verbs {
                    let granted = grants[verb as usize].of_mut(caller);
                    granted.insert(place, &rules, verb)?;
                }
            }
            meters.push(rule.limits.rate.map(|rate| {
                earlier(rule).unwrap_or_else(|| {
                    next_meter += 1;
                    Meter { number: next_meter - 1, rate }
                })
            }));
        }
        grants.iter_mut().for_each(Callers::finish);
        Ok(Self { rules, meters, grants, next_meter })
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

    /// Whether any rule has a rate.
    #[must_use]
    pub fn is_metered(&self) -> bool {
        self.meters.iter().any(Option::is_some)
    }

    /// Whether a meter of that number is in use, by a rule of this policy or by one of a policy that came after it.
    #[must_use]
    pub fn knows_meter(&self, number: u64) -> bool {
        number >= self.next_meter || self.meters.iter().flatten().any(|meter| meter.number == number)
    }

    /// Asks for the verb `V` on `object`; the only maker of permits.
    ///
    /// # Errors
    /// [`Denied`] where no rule allows it.
    pub fn permit<'a, V: Verb>(&'a self, caller: &Caller, object: Object<'a>) -> Result<Permit<'a, V>, Denied> {
        let by_caller = &self.grants[V::NAME as usize];
        // By which patterns it matched is not asked here, so nothing is put together to say so.
        let (_, place) = by_caller.first(caller, |grants| grants.find(object).map(|(_, place)| place)).ok_or(Denied)?;
        Ok(Permit::new(&self.rules[place], self.meters[place], object))
    }

    /// The rule that decides, and the patterns of it that matched.
    #[must_use]
    pub fn explain(&self, caller: &Caller, verb: VerbName, object: Object<'_>) -> Option<Explanation<'_>> {
        let (standing, (fit, place)) = self.find(caller, verb, object)?;
        let object = match fit {
            Fit::Exact => ObjectPattern::Exact(object.name().to_owned()),
            Fit::Glob(glob) => ObjectPattern::Glob(glob.to_owned()),
            Fit::Any => ObjectPattern::Any,
        };
        Some(Explanation { caller: standing.pattern(caller), object, rule: &self.rules[place] })
    }

    /// The rules that lack but one thing to allow it, as configured.
    pub fn misses(&self, caller: &Caller, verb: VerbName, object: Object<'_>) -> impl Iterator<Item = (Lack, &Rule)> {
        self.rules.iter().filter_map(move |rule| {
            let is_caller = rule.callers.iter().any(|pattern| pattern.fits(caller));
            let is_verb = rule.verbs.contains(&verb);
            let is_object = rule.patterns_for(object).iter().any(|pattern| pattern.fits(object));
            let lack = match (is_caller, is_verb, is_object) {
                (false, true, true) => Lack::Caller,
                (true, false, true) => Lack::Verb,
                (true, true, false) => Lack::Object,
                _ => return None,
            };
            Some((lack, rule))
        })
    }

    /// Whether some rule lets `caller` do `verb` on any domain at all.
    #[must_use]
    pub fn allows_on_some_domain(&self, caller: &Caller, verb: VerbName) -> bool {
        self.grants[verb as usize].first(caller, |grants| grants.has_domains().then_some(())).is_some()
    }

    /// Whether some rule lets `caller` do `verb` on any key at all.
    #[must_use]
    pub fn allows_on_some_key(&self, caller: &Caller, verb: VerbName) -> bool {
        self.grants[verb as usize].first(caller, |grants| grants.has_keys().then_some(())).is_some()
    }

    /// The longest lifetime in seconds that some rule gives somebody for `verb` on `object`; `i64::MAX` where one leaves it
    /// to the object, `None` where no rule allows it at all.
    #[must_use]
    pub fn longest(&self, verb: VerbName, object: Object<'_>) -> Option<i64> {
        let of = |rule: &&Rule| {
            rule.verbs.contains(&verb) && rule.patterns_for(object).iter().any(|pattern| pattern.fits(object))
        };
        self.rules.iter().filter(of).map(|rule| rule.limits.max_ttl.unwrap_or(i64::MAX)).max()
    }

    /// The place of the rule that decides.
    fn find(&self, caller: &Caller, verb: VerbName, object: Object<'_>) -> Option<(Standing<'_>, (Fit<'_>, usize))> {
        self.grants[verb as usize].first(caller, |grants| grants.find(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{rate::Rate, right::verb, rule::RuleLimits},
        *,
    };

    fn rule(name: &str, caller: &str, verbs: &[VerbName], domains: &[&str], max_ttl: Option<i64>) -> Rule {
        Rule {
            name: name.into(),
            callers: vec![CallerPattern::parse(caller).unwrap()],
            verbs: verbs.to_vec(),
            domains: domains.iter().map(|d| ObjectPattern::domain(d).unwrap()).collect(),
            apps: Vec::new(),
            keys: Vec::new(),
            limits: RuleLimits { max_ttl, rate: None },
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
    fn the_longest_prefix_that_grants_the_object_wins_and_what_it_withholds_falls_to_the_next() {
        let mint = &[VerbName::Mint];
        let policy = Policy::new(vec![
            rule("all", "*", mint, &["all.example"], None),
            rule("domain", "spiffe://t/*", mint, &["*"], None),
            rule("jobs", "spiffe://t/ns/jobs/*", mint, &["*.example.com"], None),
            rule("web", "spiffe://t/ns/jobs/web", mint, &["web.example.com"], None),
        ])
        .unwrap();
        assert_eq!(decides(&policy, "spiffe://t/ns/jobs/web", "web.example.com").unwrap(), "web");
        assert_eq!(decides(&policy, "spiffe://t/ns/jobs/web", "x.example.com").unwrap(), "jobs");
        assert_eq!(decides(&policy, "spiffe://t/ns/jobs/web", "x.example.net").unwrap(), "domain");
        assert_eq!(decides(&policy, "spiffe://t/ns/jobs", "x.example.com").unwrap(), "domain");
        assert_eq!(decides(&policy, "spiffe://t/ns/jobs/web/x", "web.example.com").unwrap(), "jobs");
        assert_eq!(decides(&policy, "spiffe://u/ns/jobs/web", "all.example").unwrap(), "all");
        assert_eq!(decides(&policy, "spiffe://u/ns/jobs/web", "web.example.com"), None);
        assert_eq!(decides(&policy, "dns:web.example.com", "web.example.com"), None, "kinds of callers do not mix");
    }

    #[test]
    fn an_explanation_names_the_patterns_that_matched() {
        let policy = Policy::new(vec![
            rule("dns", "dns:a.example.org", &[VerbName::Mint], &["*.example.com"], None),
            rule("jobs", "spiffe://t/ns/*", &[VerbName::Mint], &["*"], None),
        ])
        .unwrap();
        let explain = |caller: &str| {
            let found = policy.explain(&who(caller), VerbName::Mint, Object::Domain("x.example.com")).unwrap();
            (found.caller.to_string(), found.object.to_string())
        };
        assert_eq!(explain("dns:a.example.org"), ("dns:a.example.org".into(), "*.example.com".into()));
        assert_eq!(explain("spiffe://t/ns/a/b"), ("spiffe://t/ns/*".into(), "*".into()));
    }

    #[test]
    fn near_misses_are_rules_that_lack_one_thing() {
        let policy = Policy::new(vec![
            rule("verb", "uid:7", &[VerbName::Verify], &["*"], None),
            rule("caller", "uid:8", &[VerbName::Mint], &["a.example"], None),
            rule("object", "*", &[VerbName::Mint], &["*.b.example"], None),
            rule("two", "uid:8", &[VerbName::Verify], &["a.example"], None),
        ])
        .unwrap();
        let misses: Vec<_> = policy
            .misses(&who("uid:7"), VerbName::Mint, Object::Domain("a.example"))
            .map(|(lack, rule)| (lack, rule.name.as_str()))
            .collect();
        assert_eq!(misses, [(Lack::Verb, "verb"), (Lack::Caller, "caller"), (Lack::Object, "object")]);
    }

    #[test]
    fn two_rules_of_one_name_are_refused() {
        let mint = &[VerbName::Mint];
        let twins = vec![rule("a", "uid:7", mint, &["*"], None), rule("a", "uid:8", mint, &["*"], None)];
        assert!(matches!(Policy::new(twins), Err(Problem::Twins { .. })));
    }

    #[test]
    fn a_meter_outlives_a_reload_that_keeps_its_rule_and_rate() {
        let rated = |name: &str, per_second: Option<u32>| {
            let mut rule = rule(name, &format!("name:{name}"), &[VerbName::Mint], &["*"], None);
            rule.limits.rate = per_second.map(|per_second| Rate { per_second, burst: 9 });
            rule
        };
        let meter = |policy: &Policy, name: &str| {
            let caller = Caller::Named(name.into());
            policy.permit::<verb::Mint>(&caller, Object::Domain("a.example")).unwrap().meter()
        };
        let first = Policy::new(vec![rated("a", Some(5)), rated("b", Some(5)), rated("c", None)]).unwrap();
        let rules = vec![rated("c", Some(5)), rated("b", Some(6)), rated("a", Some(5))];
        let second = Policy::continuing(rules, &first).unwrap();
        assert_eq!(meter(&first, "c"), None);
        assert_eq!(meter(&first, "a"), meter(&second, "a"));
        let numbers = ["a", "b", "c"].map(|name| meter(&second, name).unwrap().number);
        assert!(numbers[1] > 1 && numbers[2] > 1 && numbers[1] != numbers[2], "{numbers:?}");
        assert!(second.knows_meter(0) && !second.knows_meter(1), "b has another rate now");
        assert!(first.knows_meter(0) && first.knows_meter(numbers[1]), "the newer one's are not for the older to drop");
        let third = Policy::continuing(vec![rated("a", Some(7))], &second).unwrap();
        assert!(!numbers.contains(&meter(&third, "a").unwrap().number));
    }
}
