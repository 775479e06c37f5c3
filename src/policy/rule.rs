//! One rule, and what it can name. What is wrong with a rule is found when rules are put together.

use std::fmt;

use super::{caller::CallerPattern, rate::Rate, right::VerbName};

/// What a verb is asked on. Names are canonical: lower case, as configured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Object<'a> {
    /// A LiveAuth domain.
    Domain(&'a str),
    /// A Hub app.
    App(&'a str),
    /// A key, or the name that one shall have.
    Key(&'a str),
}

impl<'a> Object<'a> {
    /// The name alone.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Domain(name) | Self::App(name) | Self::Key(name) => name,
        }
    }
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => write!(f, "domain {name}"),
            Self::App(name) => write!(f, "app {name}"),
            Self::Key(name) => write!(f, "key {name}"),
        }
    }
}

/// How a rule names domains, apps or keys.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ObjectPattern {
    /// Exactly this name.
    Exact(String),
    /// `*.example.com` for domains, `acme.*` for apps and keys: whole labels, at least one more. Kept with its dot.
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
        Self::name(text).ok_or_else(|| format!("{text:?} is no app pattern: write a name, name.* or *"))
    }

    /// Reads a pattern over keys: a name, a name and `.*`, or `*`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn key(text: &str) -> Result<Self, String> {
        Self::name(text).ok_or_else(|| format!("{text:?} is no key pattern: write a name, name.* or *"))
    }

    fn name(text: &str) -> Option<Self> {
        match text.strip_suffix('*') {
            Some("") => Some(Self::Any),
            Some(rest) if rest.len() > 1 && rest.ends_with('.') && !rest.contains('*') => Some(Self::Glob(rest.into())),
            None if !text.is_empty() && !text.contains('*') => Some(Self::Exact(text.into())),
            _ => None,
        }
    }
}

impl ObjectPattern {
    /// Whether it names this object, where the two are of one kind.
    #[must_use]
    pub fn fits(&self, object: Object<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted) => wanted == object.name(),
            Self::Glob(glob) => {
                object.name().len() > glob.len()
                    && match object {
                        Object::Domain(name) => name.ends_with(glob.as_str()),
                        Object::App(name) | Object::Key(name) => name.starts_with(glob.as_str()),
                    }
            }
        }
    }
}

impl fmt::Display for ObjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Any => f.write_str("*"),
            Self::Glob(glob) if glob.ends_with('.') => write!(f, "{glob}*"),
            Self::Glob(glob) => write!(f, "*{glob}"),
        }
    }
}

/// What a rule limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RuleLimits {
    /// Longest lifetime, in seconds, of what is made under it; `None` leaves it to the domain or app.
    pub max_ttl: Option<i64>,
    /// How often each identity may use it, besides what limits the identity as a whole; `None`: no more than that.
    pub rate: Option<Rate>,
}

/// One rule: these callers may do these verbs on these domains, apps and keys, within these limits.
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
    /// On which keys.
    pub keys: Vec<ObjectPattern>,
    /// Within which limits.
    pub limits: RuleLimits,
}

impl Rule {
    /// Its patterns for objects of this one's kind.
    #[must_use]
    pub fn patterns_for(&self, object: Object<'_>) -> &[ObjectPattern] {
        match object {
            Object::Domain(_) => &self.domains,
            Object::App(_) => &self.apps,
            Object::Key(_) => &self.keys,
        }
    }
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
    /// Two rules of one name.
    Twins {
        /// The name.
        rule: String,
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
                let wanted = match verb {
                    _ if verb.is_for_domains() => "domains",
                    _ if verb.is_for_apps() => "apps",
                    _ => "keys",
                };
                write!(f, "rule {rule:?} grants {verb}, which needs {wanted}, and names none")
            }
            Self::Twins { rule } => write!(f, "two rules are called {rule:?}: give each a name of its own"),
            Self::Conflict { first, second } => write!(
                f,
                "rules {first:?} and {second:?} match the same caller, verb and object with different limits: give them the same, or make one more specific"
            ),
        }
    }
}

/// Whether the rule can match anything at all.
pub(super) fn check(rule: &Rule) -> Result<(), Problem> {
    let empty = |lacks| Err(Problem::Empty { rule: rule.name.clone(), lacks });
    if rule.callers.is_empty() {
        return empty("callers");
    }
    if rule.verbs.is_empty() {
        return empty("verbs");
    }
    if rule.domains.is_empty() && rule.apps.is_empty() && rule.keys.is_empty() {
        return empty("domains, apps or keys");
    }
    for &verb in &rule.verbs {
        let reaches_domains = verb.is_for_domains() && !rule.domains.is_empty();
        let reaches_apps = verb.is_for_apps() && !rule.apps.is_empty();
        let reaches_keys = verb.is_for_keys() && !rule.keys.is_empty();
        if !reaches_domains && !reaches_apps && !reaches_keys {
            return Err(Problem::NoSuchObject { rule: rule.name.clone(), verb });
        }
    }
    Ok(())
}
