//! How far ahead a key can issue anything: by the limits of whatever is configured to use it, and the rules that allow that.

use super::State;
use crate::{
    clock::{LATEST, UnixSeconds},
    hub::{
        app::{App, Ttl},
        login::STATE_TTL,
    },
    keyring::{Key, NEVER, ahead::Furthest},
    liveauth::{domain::Domain, portal},
    policy::{Object, VerbName},
};

impl State {
    /// How far `key` can issue anything at `now`; `None` where nobody can issue anything with it.
    #[must_use]
    pub fn furthest(&self, key: &Key, now: UnixSeconds) -> Option<Furthest> {
        let domains = self.domains.iter().filter(|domain| domain.key.name == key.name);
        let apps = self.apps.values().filter(|app| app.key.name == key.name);
        let by_domains = domains.filter_map(|domain| self.by_domain(domain, now));
        let all = by_domains.chain(apps.filter_map(|app| self.by_app(app, now)));
        all.reduce(|one, other| Furthest { made: one.made.max(other.made), resealed: one.resealed.max(other.resealed) })
    }

    fn by_domain(&self, domain: &Domain, now: UnixSeconds) -> Option<Furthest> {
        let longest = |verb| {
            let limit = self.policy.longest(verb, Object::Domain(domain.name.as_str()))?;
            Some(if verb == VerbName::Mint { limit } else { limit.min(portal::TTL) })
        };
        let making = VerbName::ALL.into_iter().filter(|verb| *verb == VerbName::Mint || verb.is_for_portals());
        let limit = making.filter_map(longest).max()?;
        Some(Furthest { made: now.plus(domain.max_ttl.min(limit)), resealed: None })
    }

    fn by_app(&self, app: &App, now: UnixSeconds) -> Option<Furthest> {
        let limit = |verb| self.policy.longest(verb, Object::App(&app.name));
        let fresh = |limit: i64| match (app.ttl, app.max_ttl) {
            (Ttl::Never, Ttl::Never) if limit == i64::MAX => NEVER,
            (_, Ttl::Never) => now.plus(limit).min(LATEST),
            (_, Ttl::Seconds(most)) => now.plus(most.min(limit)),
        };
        let [seal, login, renew] = [VerbName::Seal, VerbName::Login, VerbName::Renew].map(limit);
        let reseal = limit(VerbName::Reseal);
        let extended = reseal.filter(|_| app.reseal_extends);
        let lasting = [seal, login, renew, extended].into_iter().max().flatten().map(fresh).or(reseal.map(|_| now));
        // A login state lasts as long whatever the limits are.
        let made = lasting.max(login.map(|_| now.plus(STATE_TTL)))?;
        // A token keeps its expiry, which may be from a time of other limits.
        let known = app.key.usable().filter_map(|version| version.usage.by_all().latest_expiry).max();
        Some(Furthest { made, resealed: known.filter(|_| reseal.is_some()) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        authority::State,
        hub::{app::UsernameForm, login::Settings, token::SealLimits},
        keyring::{KeyKind, KeyName, Keyring, Version},
        liveauth::domain::{Domains, HostName},
        policy::{CallerPattern, ObjectPattern, Policy, Rule, RuleLimits},
    };

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn rule(verb: VerbName, max_ttl: Option<i64>) -> Rule {
        Rule {
            name: format!("{verb} {max_ttl:?}"),
            callers: vec![CallerPattern::parse(&format!("uid:{}", max_ttl.unwrap_or(0))).unwrap()],
            verbs: vec![verb],
            domains: vec![ObjectPattern::Any],
            apps: vec![ObjectPattern::Any],
            keys: Vec::new(),
            limits: RuleLimits { max_ttl, rate: None },
        }
    }

    fn state(ttl: (Ttl, Ttl), reseal_extends: bool, rules: &[(VerbName, Option<i64>)]) -> State {
        let key = |name: &str, kind| {
            let version = Version::new(1, UnixSeconds(0), 32, None);
            Arc::new(Key::new(KeyName::new(name).unwrap(), kind, vec![version]))
        };
        let domain = Domain {
            name: HostName::from_config("jobs.example.com").unwrap(),
            key: key("jobs", KeyKind::LiveAuth),
            default_ttl: 60,
            max_ttl: 900,
            leeway: 0,
            subdomains: false,
            referer: None,
        };
        let app = App {
            name: "acme".into(),
            key: key("acme", KeyKind::Hat1),
            ttl: ttl.0,
            max_ttl: ttl.1,
            pad_to: 0,
            max_chars: 4000,
            require_username: false,
            username_form: UsernameForm::Exact,
            reseal_extends,
            login: Settings::default(),
        };
        let rules = rules.iter().map(|&(verb, max_ttl)| rule(verb, max_ttl)).collect();
        let ring = Keyring::new(Vec::new()).unwrap();
        let domains = Domains::new(vec![domain]).unwrap();
        State::new(Policy::new(rules).unwrap(), domains, vec![app], ring, SealLimits::default()).unwrap()
    }

    /// Seconds from now; 0 for never.
    fn furthest(state: &State, key: KeyKind) -> Option<i64> {
        let keys = state.apps.values().map(|app| &app.key).chain(state.domains.iter().map(|domain| &domain.key));
        let key = keys.into_iter().find(|of| of.kind == key).unwrap();
        let all = state.furthest(key, NOW)?;
        let at = all.resealed.map_or(all.made, |at| at.max(all.made));
        Some(if at == NEVER { 0 } else { at.since(NOW) })
    }

    #[test]
    fn the_widest_rule_counts_within_the_limit_of_the_object() {
        use VerbName::{Login, Mint, Notify, Open, Renew, Reseal, Resolve, Seal, Verify};
        let day = (Ttl::Seconds(60), Ttl::Seconds(86_400));
        let of = |rules: &[(VerbName, Option<i64>)]| {
            let state = state(day, false, rules);
            (furthest(&state, KeyKind::LiveAuth), furthest(&state, KeyKind::Hat1))
        };
        assert_eq!(of(&[(Verify, None), (Open, None)]), (None, None));
        assert_eq!(of(&[(Mint, None), (Seal, None)]), (Some(900), Some(86_400)));
        assert_eq!(of(&[(Mint, Some(60)), (Mint, Some(70)), (Seal, Some(80))]), (Some(70), Some(80)));
        assert_eq!(of(&[(Mint, Some(9999)), (Seal, Some(99_999))]), (Some(900), Some(86_400)));
        assert_eq!(of(&[(Reseal, None)]), (None, Some(0)), "nothing is there to be resealed");
        assert_eq!(of(&[(Login, None)]).1, Some(86_400));
        assert_eq!(of(&[(Login, Some(80))]).1, Some(900), "a login state lasts a quarter of an hour");
        assert_eq!(of(&[(Renew, Some(80)), (Resolve, None), (Notify, None)]), (None, Some(80)));
    }

    #[test]
    fn never_is_as_far_as_it_gets_unless_a_rule_is_nearer() {
        use VerbName::{Reseal, Seal};
        let app = |ttl, rules: &[_]| furthest(&state(ttl, false, rules), KeyKind::Hat1);
        let never = (Ttl::Never, Ttl::Never);
        assert_eq!(app(never, &[(Seal, None)]), Some(0));
        assert_eq!(app(never, &[(Seal, Some(60))]), Some(60));
        assert_eq!(app((Ttl::Seconds(60), Ttl::Never), &[(Seal, None)]), Some(LATEST.since(NOW)));

        let day = (Ttl::Seconds(60), Ttl::Seconds(86_400));
        let (keeps, extends) = (state(day, false, &[(Reseal, None)]), state(day, true, &[(Reseal, None)]));
        assert_eq!(furthest(&extends, KeyKind::Hat1), Some(86_400));
        for state in [&keeps, &extends] {
            state.apps["acme"].key.versions()[0].usage.verify(NOW.plus(100_000), NOW);
            assert_eq!(furthest(state, KeyKind::Hat1), Some(100_000), "what was seen may be resealed");
            state.apps["acme"].key.versions()[0].usage.verify(NEVER, NOW);
            assert_eq!(furthest(state, KeyKind::Hat1), Some(0));
        }
    }
}
