//! The order of rules, on many sets of rules that overlap much, against the model of it.

use countersign::policy::{
    Caller, CallerPattern, Object, ObjectPattern, Policy, Problem, Rule, RuleLimits, VerbName, verb,
};
use proptest::{collection::vec, option::weighted, prelude::*, sample::select};

use crate::model::{self, Question};

const VERBS: [&str; 5] = ["mint", "verify", "seal", "open", "reseal"];

/// Few names, so that patterns meet.
fn segments(least: usize) -> impl Strategy<Value = String> {
    vec(select(vec!["/a", "/ab", "/a-b", "/b"]), least..4).prop_map(|parts| parts.concat())
}

fn labels() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "ab", "b"]), 1..4).prop_map(|parts| parts.join("."))
}

fn caller() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (select(vec!["t", "tt"]), segments(1)).prop_map(|(domain, path)| format!("spiffe://{domain}{path}")),
        1 => labels().prop_map(|name| format!("dns:{name}")),
        1 => select(vec!["name:a", "name:b"]).prop_map(String::from),
        2 => (1..3, 1..3).prop_map(|(uid, gid)| format!("uid:{uid},gid:{gid}")),
        1 => (1..3).prop_map(|uid| format!("uid:{uid}")),
    ]
}

fn caller_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (select(vec!["t", "tt"]), segments(1)).prop_map(|(domain, path)| format!("spiffe://{domain}{path}")),
        4 => (select(vec!["t", "tt"]), segments(0)).prop_map(|(domain, path)| format!("spiffe://{domain}{path}/*")),
        1 => labels().prop_map(|name| format!("dns:{name}")),
        1 => select(vec!["name:a", "name:b", "uid:1", "uid:2", "gid:1", "gid:2", "*"]).prop_map(String::from),
    ]
}

fn object_pattern(is_domain: bool) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => labels(),
        2 => labels().prop_map(move |name| if is_domain { format!("*.{name}") } else { format!("{name}.*") }),
        1 => Just("*".to_owned()),
    ]
}

fn rule() -> impl Strategy<Value = model::Rule> {
    (
        vec(caller_pattern(), 1..3),
        proptest::sample::subsequence(VERBS.to_vec(), 1..=5),
        vec(object_pattern(true), 1..3),
        vec(object_pattern(false), 1..3),
        weighted(0.05, Just(60)),
    )
        .prop_map(|(callers, verbs, domains, apps, limit)| model::Rule { callers, verbs, domains, apps, limit })
}

fn question() -> impl Strategy<Value = Question> {
    (caller(), select(VERBS.to_vec()), any::<bool>(), labels()).prop_map(|(caller, verb, is_domain, object)| Question {
        caller,
        verb,
        is_domain,
        object,
    })
}

fn real(place: usize, rule: &model::Rule) -> Rule {
    Rule {
        name: place.to_string(),
        callers: rule.callers.iter().map(|text| CallerPattern::parse(text).unwrap()).collect(),
        verbs: rule.verbs.iter().map(|name| VerbName::from_name(name).unwrap()).collect(),
        domains: rule.domains.iter().map(|text| ObjectPattern::domain(text).unwrap()).collect(),
        apps: rule.apps.iter().map(|text| ObjectPattern::app(text).unwrap()).collect(),
        limits: RuleLimits { max_ttl: rule.limit, rate: None },
    }
}

/// The name of the rule by which a permit is given.
fn permitted(policy: &Policy, caller: &Caller, verb: VerbName, object: Object<'_>) -> Option<String> {
    macro_rules! by {
        ($verb:ident) => {
            policy.permit::<verb::$verb>(caller, object).ok().map(|permit| permit.rule().name.clone())
        };
    }
    match verb {
        VerbName::Mint => by!(Mint),
        VerbName::Verify => by!(Verify),
        VerbName::Seal => by!(Seal),
        VerbName::Open => by!(Open),
        VerbName::Reseal => by!(Reseal),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_most_specific_rule_decides(rules in vec(rule(), 0..8), questions in vec(question(), 20)) {
        let built = Policy::new(rules.iter().enumerate().map(|(place, rule)| real(place, rule)).collect());
        let policy = match built {
            Err(problem) => {
                prop_assert!(matches!(problem, Problem::Conflict { .. }) && model::contradict(&rules), "{}", problem);
                return Ok(());
            }
            Ok(policy) => policy,
        };
        prop_assert!(!model::contradict(&rules), "{:?}", rules);
        for question in &questions {
            let caller = Caller::parse(&question.caller).unwrap();
            let verb = VerbName::from_name(question.verb).unwrap();
            let object =
                if question.is_domain { Object::Domain(&question.object) } else { Object::App(&question.object) };
            let expected = model::decide(&rules, question);
            let found = policy.explain(&caller, verb, object);
            let found = found.map(|why| (why.rule.name.parse().unwrap(), why.caller.to_string(), why.object.to_string()));
            prop_assert_eq!(&found, &expected, "{:?}", question);
            let name = expected.map(|(place, ..)| place.to_string());
            prop_assert_eq!(permitted(&policy, &caller, verb, object), name, "{:?}", question);
            if question.is_domain {
                let granted = rules.iter().any(|rule| {
                    let anywhere = |caller: &String| model::decide(
                        &[model::Rule { callers: vec![caller.clone()], domains: vec!["*".into()], ..rule.clone() }], question,
                    );
                    rule.callers.iter().any(|caller| anywhere(caller).is_some())
                });
                prop_assert_eq!(policy.allows_on_some_domain(&caller, verb), granted, "{:?}", question);
            }
        }
    }
}
