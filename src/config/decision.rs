//! What the rules of a configuration decide, and why, for people and their tests. It asks the same tables in the same way
//! as a call does, and touches no key.

use std::fmt;

use super::typed::Config;
use crate::{
    hub::app::{App, Ttl, is_app_name},
    keyring::KeyName,
    liveauth::domain::{Domain, Domains, HostName},
    policy::{Caller, CallerPattern, Explanation, Lack, Object, Policy, Rule, VerbName},
};

/// The rules and the names of one configuration, ready to be asked.
pub struct Rulebook {
    policy: Policy,
    domains: Domains,
    apps: Vec<App>,
}

/// A question: may this caller do that, here?
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Who.
    pub caller: Caller,
    /// What.
    pub verb: VerbName,
    /// On which object.
    pub target: Target,
}

/// An object as somebody names it, in its canonical spelling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A domain, or a host name below one.
    Domain(HostName),
    /// An app.
    App(String),
    /// A key, which the configuration does not list: the keyring does.
    Key(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => write!(f, "domain:{name}"),
            Self::App(name) => write!(f, "app:{name}"),
            Self::Key(name) => write!(f, "key:{name}"),
        }
    }
}

/// The answer.
pub struct Decision<'a> {
    /// The name of the configured domain or app that the object belongs to; `None`: allowed or not, there is none, or it
    /// is a key.
    pub configured: Option<&'a str>,
    /// Why it is allowed; `None`: it is denied.
    pub allowed: Option<Explanation<'a>>,
    /// The longest lifetime that can be asked for, where it is allowed and something is made.
    pub max_ttl: Option<MaxTtl>,
    /// Where it is denied: the rules that lack but one thing to allow it.
    pub nearest: Vec<(Lack, &'a Rule)>,
    /// Whether rules for a primary group exist and none was asked, since the question names no group.
    pub groups_not_asked: bool,
}

/// A limit of lifetime, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxTtl {
    /// How long.
    pub ttl: Ttl,
    /// "rule", "domain" or "app".
    pub whose: &'static str,
}

impl Rulebook {
    /// That of a configuration.
    ///
    /// # Errors
    /// What does not fit together in it, in one line.
    pub fn new(config: &Config) -> Result<Self, String> {
        let (domains, apps) = config.without_keys()?;
        Ok(Self { policy: config.policy()?, domains, apps })
    }

    /// Reads a question. The object is `domain:NAME`, `app:NAME`, `key:NAME`, or a bare name where only one can be meant.
    ///
    /// # Errors
    /// What is wrong with it, in one line that says what to do.
    pub fn question(&self, caller: &str, verb: &str, object: &str) -> Result<Question, String> {
        let caller = Caller::parse(caller)?;
        let verb = VerbName::from_name(verb).ok_or_else(|| {
            format!("{verb:?} is no verb; write one of {}", VerbName::ALL.map(VerbName::name).join(", "))
        })?;
        let target = match object.split_once(':') {
            Some(("domain", name)) => domain(name)?,
            Some(("app", name)) => app(name)?,
            Some(("key", name)) => key(name)?,
            Some(_) => return Err(format!("{object:?} is no object: write domain:NAME, app:NAME or key:NAME")),
            None => self.bare(verb, object)?,
        };
        let suits = match &target {
            Target::Domain(_) => verb.is_for_domains(),
            Target::App(_) => verb.is_for_apps(),
            Target::Key(_) => verb.is_for_keys(),
        };
        let kinds = || match verb {
            _ if verb.is_for_keys() => "keys",
            _ if verb.is_for_apps() => "apps",
            _ => "domains",
        };
        if suits { Ok(Question { caller, verb, target }) } else { Err(format!("{verb} is asked of {} only", kinds())) }
    }

    /// Answers it, as a call would be.
    #[must_use]
    pub fn decide(&self, question: &Question) -> Decision<'_> {
        let Question { caller, verb, target } = question;
        let found = match target {
            Target::Domain(host) => self.domains.find(host).map(Found::Domain),
            Target::App(name) => self.apps.iter().find(|app| app.name == *name).map(Found::App),
            Target::Key(_) => None,
        };
        // Where there is none, the name itself is asked about: policy goes before existence.
        let object = match (target, &found) {
            (Target::Domain(_), Some(Found::Domain(domain))) => Object::Domain(domain.name.as_str()),
            (Target::Domain(host), _) => Object::Domain(host.as_str()),
            (Target::App(name), _) => Object::App(name),
            (Target::Key(name), _) => Object::Key(name),
        };
        let allowed = self.policy.explain(caller, *verb, object);
        let has_group = !matches!(caller, Caller::Unix { gid: u32::MAX, .. });
        let mut patterns = self.policy.rules().iter().flat_map(|rule| &rule.callers);
        Decision {
            configured: found.as_ref().map(Found::name),
            max_ttl: allowed.as_ref().and_then(|why| max_ttl(*verb, why.rule, found.as_ref())),
            nearest: match allowed {
                Some(_) => Vec::new(),
                None => self.policy.misses(caller, *verb, object).collect(),
            },
            groups_not_asked: !has_group && patterns.any(|pattern| matches!(pattern, CallerPattern::Gid(_))),
            allowed,
        }
    }

    fn bare(&self, verb: VerbName, name: &str) -> Result<Target, String> {
        let as_domain = || domain(name);
        match (verb.is_for_domains(), verb.is_for_apps()) {
            (true, false) => return as_domain(),
            (false, true) => return app(name),
            (false, false) => return key(name),
            (true, true) => {}
        }
        let is_domain = HostName::from_request(name).is_ok_and(|host| self.domains.find(&host).is_some());
        match (is_domain, self.apps.iter().any(|app| app.name == name)) {
            (true, false) => as_domain(),
            (false, true) => app(name),
            (both, _) => Err(format!(
                "{name:?} is the name of {}: write domain:{name} or app:{name}",
                if both { "a domain and of an app" } else { "no configured domain or app" }
            )),
        }
    }
}

enum Found<'a> {
    Domain(&'a Domain),
    App(&'a App),
}

impl<'a> Found<'a> {
    fn name(&self) -> &'a str {
        match self {
            Self::Domain(domain) => domain.name.as_str(),
            Self::App(app) => &app.name,
        }
    }
}

fn domain(name: &str) -> Result<Target, String> {
    HostName::from_request(name).map(Target::Domain).map_err(|problem| format!("domain {name:?}: {problem}"))
}

fn app(name: &str) -> Result<Target, String> {
    if is_app_name(name) {
        return Ok(Target::App(name.to_owned()));
    }
    Err(format!("{name:?} is no app name: 1 to 64 of a-z 0-9 . _ -"))
}

fn key(name: &str) -> Result<Target, String> {
    KeyName::new(name).map(|name| Target::Key(name.as_str().to_owned()))
}

/// The nearest of the limits that hold together. Verifying and opening make nothing; a resealed token lasts no longer than
/// by the app's default, and where the app does not extend it, no longer than before.
fn max_ttl(verb: VerbName, rule: &Rule, found: Option<&Found<'_>>) -> Option<MaxTtl> {
    let of_rule = rule.limits.max_ttl.map(|seconds| MaxTtl { ttl: Ttl::Seconds(seconds), whose: "rule" });
    let of_object = match (verb, found) {
        (VerbName::Verify | VerbName::Open | VerbName::Revoke | VerbName::Admin, _) => return None,
        // How long the hash of such a request is valid, nobody asks for.
        _ if verb.is_for_portals() => return None,
        (VerbName::Reseal, Some(Found::App(app))) if !app.reseal_extends => return None,
        (VerbName::Reseal, Some(Found::App(app))) => Some(MaxTtl { ttl: app.ttl, whose: "app" }),
        (_, Some(Found::App(app))) => Some(MaxTtl { ttl: app.max_ttl, whose: "app" }),
        (_, Some(Found::Domain(domain))) => Some(MaxTtl { ttl: Ttl::Seconds(domain.max_ttl), whose: "domain" }),
        (_, None) => None,
    };
    let seconds = |limit: &MaxTtl| match limit.ttl {
        Ttl::Seconds(seconds) => seconds,
        Ttl::Never => i64::MAX,
    };
    // Of two that are equal the object's is named, as refusals do.
    of_object.into_iter().chain(of_rule).min_by_key(seconds)
}
