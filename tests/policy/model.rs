//! The order of rules, written as it is told: every pattern of every rule is compared with the question, and the most
//! specific one wins. Slow, on plain text, and with nothing of the real one in it.

/// A rule as somebody writes it.
#[derive(Clone, Debug)]
pub struct Rule {
    pub callers: Vec<String>,
    pub verbs: Vec<&'static str>,
    pub domains: Vec<String>,
    pub apps: Vec<String>,
    pub keys: Vec<String>,
    /// Stands for all limits.
    pub limit: Option<i64>,
}

/// What kind of thing an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Domain,
    App,
    Key,
}

/// Who asks for what.
#[derive(Clone, Debug)]
pub struct Question {
    pub caller: String,
    pub verb: &'static str,
    pub kind: Kind,
    pub object: String,
}

/// What decides: the place of the rule, and its two patterns that fit best.
pub type Decision = (usize, String, String);

/// The decision; `None` is a denial.
pub fn decide(rules: &[Rule], question: &Question) -> Option<Decision> {
    let mut fitting = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        for caller in &rule.callers {
            for object in objects(rule, question.verb, question.kind) {
                let by_caller = caller_rank(caller, &question.caller);
                let by_object = object_rank(object, &question.object, question.kind);
                if let (true, Some(by_caller), Some(by_object)) =
                    (rule.verbs.contains(&question.verb), by_caller, by_object)
                {
                    // Of equal ones the first in the file is named.
                    fitting.push((by_caller, by_object, std::cmp::Reverse(place), caller, object));
                }
            }
        }
    }
    fitting.sort();
    fitting.pop().map(|(_, _, place, caller, object)| (place.0, caller.clone(), object.clone()))
}

/// Whether two rules say the same of the same caller, verb and object, and limit it differently.
pub fn contradict(rules: &[Rule]) -> bool {
    let all = rules.iter().flat_map(|rule| {
        rule.callers.iter().flat_map(move |caller| {
            rule.verbs.iter().flat_map(move |&verb| {
                [Kind::Domain, Kind::App, Kind::Key].into_iter().flat_map(move |kind| {
                    objects(rule, verb, kind).iter().map(move |object| ((caller, verb, kind, object), rule.limit))
                })
            })
        })
    });
    let all: Vec<_> = all.collect();
    all.iter().any(|(what, limit)| all.iter().any(|(other, other_limit)| what == other && limit != other_limit))
}

fn objects<'r>(rule: &'r Rule, verb: &str, kind: Kind) -> &'r [String] {
    match (kind, verb) {
        (Kind::Domain, "mint" | "verify" | "portal_read" | "portal_login" | "portal_logout") => &rule.domains,
        (Kind::App, "verify" | "seal" | "open" | "reseal" | "revoke") => &rule.apps,
        (Kind::Key, "admin") => &rule.keys,
        _ => &[],
    }
}

/// How specific a caller's pattern is, if it fits: more is more.
fn caller_rank(pattern: &str, caller: &str) -> Option<(u8, usize)> {
    let (user, group) = caller.split_once(',').unwrap_or((caller, ""));
    if pattern == caller || pattern == user {
        return Some((3, 0));
    }
    if let Some(above) = pattern.strip_suffix("/*") {
        let (above, segments): (Vec<_>, Vec<_>) = (above.split('/').collect(), caller.split('/').collect());
        return (segments.len() > above.len() && segments[..above.len()] == above[..]).then_some((2, above.len()));
    }
    if pattern == group {
        return Some((1, 0));
    }
    (pattern == "*").then_some((0, 0))
}

fn object_rank(pattern: &str, object: &str, kind: Kind) -> Option<(u8, usize)> {
    let mut pattern: Vec<&str> = pattern.split('.').collect();
    let mut labels: Vec<&str> = object.split('.').collect();
    if pattern == ["*"] {
        return Some((0, 0));
    }
    if pattern == labels {
        return Some((2, 0));
    }
    // Domains widen to the left, apps and keys to the right.
    if kind == Kind::Domain {
        pattern.reverse();
        labels.reverse();
    }
    let (last, fixed) = pattern.split_last()?;
    (*last == "*" && labels.len() > fixed.len() && labels[..fixed.len()] == *fixed).then_some((1, fixed.len()))
}

#[test]
fn the_model_itself_says_what_the_manual_says() {
    assert_eq!(caller_rank("spiffe://t/a/*", "spiffe://t/a/b"), Some((2, 4)));
    assert_eq!(caller_rank("spiffe://t/a/*", "spiffe://t/a"), None);
    assert_eq!(caller_rank("spiffe://t/a/*", "spiffe://t/ab/c"), None);
    assert_eq!(caller_rank("gid:2", "uid:1,gid:2"), Some((1, 0)));
    assert_eq!(object_rank("*.b", "a.b", Kind::Domain), Some((1, 1)));
    assert_eq!(object_rank("*.b", "a.b", Kind::App), None);
    assert_eq!(object_rank("a.*", "a.b.c", Kind::Key), Some((1, 1)));
    assert_eq!(object_rank("a.*", "a", Kind::App), None);
}
