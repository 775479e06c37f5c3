//! The configured domains, and which of them a host name belongs to.
//!
//! A match is exact, or on a label boundary below a domain that opts in; a secret never reaches across a public
//! suffix, so that nobody who can register a name under one comes to share it.

use std::sync::Arc;

use crate::keyring::{HASH_LEEWAY_MAX, HASH_LIFE_MAX, Key, KeyKind};

pub use crate::liveauth::host::{HostName, HostProblem};

/// How long a hash is valid where neither the request nor the domain says, seconds.
pub const DEFAULT_TTL: i64 = 900;
/// How long a hash may be valid where the domain does not say, seconds.
pub const DEFAULT_MAX_TTL: i64 = 3600;
/// What no domain may exceed, seconds.
pub const MAX_TTL_CEILING: i64 = HASH_LIFE_MAX;
/// The most leeway a domain may give after expiry, seconds.
pub const LEEWAY_MAX: i64 = HASH_LEEWAY_MAX;

/// One configured domain.
pub struct Domain {
    /// Its name.
    pub name: HostName,
    /// Whose secret signs for it. Several domains may share one.
    pub key: Arc<Key>,
    /// Lifetime of a hash where the request does not say, seconds.
    pub default_ttl: i64,
    /// Longest lifetime of a hash, seconds.
    pub max_ttl: i64,
    /// Seconds after its expiry that a hash is still taken.
    pub leeway: i64,
    /// Whether hosts below the name belong to it too.
    pub subdomains: bool,
    /// The Referer a caller must send, a full URL; `None` is made from the host asked for.
    pub referer: Option<String>,
}

impl Domain {
    /// The Referer that a request to idibu for `asked` must carry: a full URL with its scheme.
    #[must_use]
    pub fn referer_for(&self, asked: &HostName) -> String {
        self.referer.clone().unwrap_or_else(|| ["https://", asked.as_str(), "/"].concat())
    }

    fn check(&self) -> Result<(), String> {
        let refused = |why: String| Err(format!("domain {}: {why}", self.name));
        if self.key.kind != KeyKind::LiveAuth {
            return refused(format!("key {} is no liveauth key: name one, or import the secret as one", self.key.name));
        }
        if !(1..=MAX_TTL_CEILING).contains(&self.max_ttl) {
            return refused(format!("max_ttl is {} s: choose 1 to {MAX_TTL_CEILING}", self.max_ttl));
        }
        if !(1..=self.max_ttl).contains(&self.default_ttl) {
            return refused(format!(
                "the default ttl is {} s: choose 1 to max_ttl, {}",
                self.default_ttl, self.max_ttl
            ));
        }
        if !(0..=LEEWAY_MAX).contains(&self.leeway) {
            return refused(format!("leeway is {} s: choose 0 to {LEEWAY_MAX}", self.leeway));
        }
        if self.subdomains && self.name.public_suffix_len() >= self.name.as_str().len() {
            return refused("it is a public suffix, under which anybody may register: turn subdomains off".into());
        }
        if let Some(referer) = &self.referer {
            if !referer.bytes().all(|b| b.is_ascii_graphic()) {
                return refused("its referer is not plain ASCII: write it as a browser would send it".into());
            }
            if let Err(problem) = HostName::from_referer(referer) {
                return refused(format!("its referer does not fit: {problem}"));
            }
        }
        Ok(())
    }
}

/// All configured domains.
pub struct Domains {
    list: Vec<Domain>,
    /// Places in the list, sorted by name: a few comparisons cost less than a hash.
    by_name: Vec<(HostName, usize)>,
}

impl Domains {
    /// Checks the domains and makes them findable.
    ///
    /// # Errors
    /// What is wrong with the first that does not fit, and what to do.
    pub fn new(list: Vec<Domain>) -> Result<Self, String> {
        list.iter().try_for_each(Domain::check)?;
        let mut by_name: Vec<_> = list.iter().enumerate().map(|(place, domain)| (domain.name.clone(), place)).collect();
        by_name.sort_unstable();
        match by_name.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(format!("domain {} is there twice: remove one", pair[0].0)),
            None => Ok(Self { list, by_name }),
        }
    }

    /// The domain that `host` belongs to: of that very name, or else the longest name above it that takes
    /// subdomains, where no public suffix lies between.
    #[must_use]
    pub fn find(&self, host: &HostName) -> Option<&Domain> {
        if let Some(domain) = self.named(host.as_str()) {
            return Some(domain);
        }
        let above = host.parents().filter_map(|name| self.named(name)).find(|domain| domain.subdomains)?;
        (host.public_suffix_len() < above.name.as_str().len()).then_some(above)
    }

    fn named(&self, name: &str) -> Option<&Domain> {
        let at = self.by_name.binary_search_by(|(present, _)| present.as_str().cmp(name)).ok()?;
        Some(&self.list[self.by_name[at].1])
    }

    /// All of them, as configured.
    pub fn iter(&self) -> impl Iterator<Item = &Domain> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixSeconds,
        crypto::mac::MacKey,
        keyring::{KeyName, Version},
    };

    fn key(kind: KeyKind) -> Arc<Key> {
        let version = Version::new(1, UnixSeconds(0), 1, Some(MacKey::new(b"k")));
        Arc::new(Key::new(KeyName::new("k").unwrap(), kind, vec![version]))
    }

    fn domain(name: &str, subdomains: bool) -> Domain {
        Domain {
            name: HostName::from_config(name).unwrap(),
            key: key(KeyKind::LiveAuth),
            default_ttl: DEFAULT_TTL,
            max_ttl: DEFAULT_MAX_TTL,
            leeway: 0,
            subdomains,
            referer: None,
        }
    }

    fn found<'a>(domains: &'a Domains, host: &str) -> Option<&'a str> {
        domains.find(&HostName::from_request(host).unwrap()).map(|domain| domain.name.as_str())
    }

    #[test]
    fn the_exact_name_wins_then_the_longest_above_it_that_opts_in() {
        let domains = Domains::new(vec![
            domain("example.com", true),
            domain("eu.example.com", true),
            domain("closed.example.com", false),
            domain("alone.net", false),
        ])
        .unwrap();
        assert_eq!(found(&domains, "example.com"), Some("example.com"));
        assert_eq!(found(&domains, "a.b.eu.example.com"), Some("eu.example.com"));
        assert_eq!(found(&domains, "a.us.example.com"), Some("example.com"));
        assert_eq!(found(&domains, "closed.example.com"), Some("closed.example.com"));
        assert_eq!(found(&domains, "x.closed.example.com"), Some("example.com"));
        assert_eq!(found(&domains, "alone.net"), Some("alone.net"));
        assert_eq!(found(&domains, "x.alone.net"), None);
        assert_eq!(found(&domains, "badexample.com"), None, "a match ends on a label boundary");
        assert_eq!(found(&domains, "com"), None);
    }

    #[test]
    fn a_secret_never_reaches_across_a_public_suffix() {
        for suffix in ["com", "co.uk", "github.io", "intranet"] {
            assert!(Domains::new(vec![domain(suffix, true)]).is_err(), "{suffix}");
            assert!(Domains::new(vec![domain(suffix, false)]).is_ok(), "{suffix}: an exact name shares with nobody");
        }
        // amazonaws.com belongs to one company, but under s3.amazonaws.com anybody may register.
        let domains = Domains::new(vec![domain("amazonaws.com", true)]).unwrap();
        assert_eq!(found(&domains, "www.amazonaws.com"), Some("amazonaws.com"));
        assert_eq!(found(&domains, "anybody.s3.amazonaws.com"), None);
        let inside = Domains::new(vec![domain("svc.intranet", true)]).unwrap();
        assert_eq!(found(&inside, "jobs.svc.intranet"), Some("svc.intranet"));
    }

    #[test]
    fn limits_out_of_range_twins_and_foreign_keys_are_refused() {
        let with = |change: fn(&mut Domain)| {
            let mut changed = domain("jobs.example.com", false);
            change(&mut changed);
            Domains::new(vec![changed])
        };
        assert!(with(|d| (d.max_ttl, d.leeway) = (MAX_TTL_CEILING, LEEWAY_MAX)).is_ok());
        assert!(with(|d| d.referer = Some("https://jobs.example.com/apply".into())).is_ok());
        assert!(with(|d| d.max_ttl = MAX_TTL_CEILING + 1).is_err());
        assert!(with(|d| d.max_ttl = 899).is_err(), "the default must fit");
        assert!(with(|d| d.default_ttl = 0).is_err());
        assert!(with(|d| d.leeway = 31).is_err());
        assert!(with(|d| d.leeway = -1).is_err());
        assert!(with(|d| d.key = key(KeyKind::Hat1)).is_err());
        assert!(with(|d| d.referer = Some("jobs.example.com".into())).is_err());
        assert!(with(|d| d.referer = Some("https://jobs.example.com/\r\nX: y".into())).is_err());
        assert!(Domains::new(vec![domain("a.example", false), domain("A.example.", false)]).is_err());
    }

    #[test]
    fn the_referer_is_the_configured_one_or_made_from_the_host_asked_for() {
        let mut one = domain("example.com", true);
        let asked = HostName::from_request("jobs.example.com").unwrap();
        assert_eq!(one.referer_for(&asked), "https://jobs.example.com/");
        one.referer = Some("https://www.example.com/apply".into());
        assert_eq!(one.referer_for(&asked), "https://www.example.com/apply");
    }
}
