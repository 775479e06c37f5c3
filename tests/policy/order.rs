//! The order of rules, on many sets of rules that overlap much, against the model of it.

use countersign::policy::{
    Caller, CallerPattern, Object, ObjectPattern, Policy, Problem, Rule, RuleLimits, VerbName, verb,
};
use proptest::{collection::vec, option::weighted, prelude::*, sample::select};

use crate::model::{self, Kind, Question};

const VERBS: [&str; 10] =
    ["mint", "verify", "portal_read", "portal_login", "portal_logout", "seal", "open", "reseal", "revoke", "admin"];

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

fn object_pattern(kind: Kind) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => labels(),
        2 => labels().prop_map(move |name| if kind == Kind::Domain { format!("*.{name}") } else { format!("{name}.*") }),
        1 => Just("*".to_owned()),
    ]
}

fn rule() -> impl Strategy<Value = model::Rule> {
    (
        vec(caller_pattern(), 1..3),
        proptest::sample::subsequence(VERBS.to_vec(), 1..=VERBS.len()),
        vec(object_pattern(Kind::Domain), 1..3),
        vec(object_pattern(Kind::App), 1..3),
        vec(object_pattern(Kind::Key), 1..3),
        weighted(0.05, Just(60)),
    )
        .prop_map(|(callers, verbs, domains, apps, keys, limit)| model::Rule {
            callers,
            verbs,
            domains,
            apps,
            keys,
            limit,
        })
}

fn question() -> impl Strategy<Value = Question> {
    let kind = select(vec![Kind::Domain, Kind::App, Kind::Key]);
    (caller(), select(VERBS.to_vec()), kind, labels()).prop_map(|(caller, verb, kind, object)| Question {
        caller,
        verb,
        kind,
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
        keys: rule.keys.iter().map(|text| ObjectPattern::key(text).unwrap()).collect(),
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
        VerbName::PortalRead => by!(PortalRead),
        VerbName::PortalLogin => by!(PortalLogin),
        VerbName::PortalLogout => by!(PortalLogout),
        VerbName::Seal => by!(Seal),
        VerbName::Open => by!(Open),
        VerbName::Reseal => by!(Reseal),
        VerbName::Revoke => by!(Revoke),
        VerbName::Login => by!(Login),
        VerbName::Renew => by!(Renew),
        VerbName::Resolve => by!(Resolve),
        VerbName::Notify => by!(Notify),
        VerbName::Admin => by!(Admin),
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
            let object = match question.kind {
                Kind::Domain => Object::Domain(&question.object),
                Kind::App => Object::App(&question.object),
                Kind::Key => Object::Key(&question.object),
            };
            let expected = model::decide(&rules, question);
            let found = policy.explain(&caller, verb, object);
            let found = found.map(|why| (why.rule.name.parse().unwrap(), why.caller.to_string(), why.object.to_string()));
            prop_assert_eq!(&found, &expected, "{:?}", question);
            let name = expected.map(|(place, ..)| place.to_string());
            prop_assert_eq!(permitted(&policy, &caller, verb, object), name, "{:?}", question);
            let granted = rules.iter().any(|rule| {
                let all = vec!["*".to_owned()];
                let anywhere = |caller: &String| model::decide(
                    &[model::Rule { callers: vec![caller.clone()], domains: all.clone(), keys: all.clone(), ..rule.clone() }],
                    question,
                );
                rule.callers.iter().any(|caller| anywhere(caller).is_some())
            });
            match question.kind {
                Kind::Domain => prop_assert_eq!(policy.allows_on_some_domain(&caller, verb), granted, "{:?}", question),
                Kind::Key => prop_assert_eq!(policy.allows_on_some_key(&caller, verb), granted, "{:?}", question),
                Kind::App => {}
            }
        }
    }
}
