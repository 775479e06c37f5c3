//! The part of the order that looks at callers: exactly this one, then the longest prefix down to the shortest, then its
//! primary group, then `*`. Nothing is allocated, and nothing hashed for kinds of callers that no rule names.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    caller::{Caller, CallerPattern},
    objects::Grants,
};

/// By which of a rule's caller patterns it matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing<'p> {
    Exact,
    /// The prefix, with its last slash.
    Prefix(&'p Arc<str>),
    Group,
    Any,
}

impl Standing<'_> {
    /// The pattern itself.
    pub(super) fn pattern(self, caller: &Caller) -> CallerPattern {
        match (self, caller) {
            (Self::Prefix(prefix), _) => CallerPattern::SpiffePrefix(Arc::clone(prefix)),
            (Self::Exact, Caller::Spiffe(id)) => CallerPattern::Spiffe(id.clone()),
            (Self::Exact, Caller::Dns(name)) => CallerPattern::Dns(Arc::clone(name)),
            (Self::Exact, Caller::Named(name)) => CallerPattern::Named(Arc::clone(name)),
            (Self::Exact, Caller::Unix { uid, .. }) => CallerPattern::Uid(*uid),
            (Self::Group, Caller::Unix { gid, .. }) => CallerPattern::Gid(*gid),
            (Self::Group | Self::Any, _) => CallerPattern::Any,
        }
    }
}

/// The grants of one verb, by caller.
#[derive(Default)]
pub(super) struct Callers {
    /// SPIFFE IDs, whole. Compared, not hashed: a path is longer than a few comparisons are dear.
    ids: BTreeMap<Arc<str>, Grants>,
    prefixes: Prefixes,
    dns: BTreeMap<Arc<str>, Grants>,
    uids: HashMap<u32, Grants>,
    /// Those that listeners name, and so few.
    names: Vec<(Arc<str>, Grants)>,
    gids: HashMap<u32, Grants>,
    any: Option<Grants>,
}

impl Callers {
    /// What is granted to the pattern, to be added to.
    pub(super) fn of_mut(&mut self, pattern: &CallerPattern) -> &mut Grants {
        match pattern {
            CallerPattern::Spiffe(id) => self.ids.entry(id.as_str().into()).or_default(),
            CallerPattern::SpiffePrefix(prefix) => self.prefixes.of_mut(prefix),
            CallerPattern::Dns(name) => self.dns.entry(Arc::clone(name)).or_default(),
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

    /// Makes prefixes findable; to be called once everything is in.
    pub(super) fn finish(&mut self) {
        self.prefixes.link();
    }

    /// The first answer that `ask` has, from what is granted to this very caller down to what is to everybody.
    #[inline]
    pub(super) fn first<'p, T>(
        &'p self,
        caller: &Caller,
        mut ask: impl FnMut(&'p Grants) -> Option<T>,
    ) -> Option<(Standing<'p>, T)> {
        let exact = match caller {
            Caller::Unix { uid, .. } => self.uids.get(uid),
            Caller::Spiffe(id) => self.ids.get(id.as_str()),
            Caller::Dns(name) => self.dns.get(name),
            Caller::Named(name) => self.names.iter().find(|(present, _)| present == name).map(|(_, grants)| grants),
        };
        if let Some(found) = exact.and_then(&mut ask) {
            return Some((Standing::Exact, found));
        }
        match caller {
            Caller::Spiffe(id) => {
                let by_prefix = self.prefixes.of(id.as_str());
                for (prefix, grants) in by_prefix {
                    if let Some(found) = ask(grants) {
                        return Some((Standing::Prefix(prefix), found));
                    }
                }
            }
            Caller::Unix { gid, .. } => {
                if let Some(found) = self.gids.get(gid).and_then(&mut ask) {
                    return Some((Standing::Group, found));
                }
            }
            Caller::Dns(_) | Caller::Named(_) => {}
        }
        self.any.as_ref().and_then(ask).map(|found| (Standing::Any, found))
    }
}

/// Prefixes of SPIFFE IDs in their order as text. Whatever begins with a prefix stands behind it and before all else, so
/// the last entry that is not behind an ID either is its longest prefix or begins with that: the way from there goes by
/// the entries that each one begins with.
#[derive(Default)]
struct Prefixes(Vec<Entry>);

struct Entry {
    prefix: Arc<str>,
    grants: Grants,
    /// The place of the longest other prefix that this one begins with.
    within: Option<usize>,
}

impl Prefixes {
    fn of_mut(&mut self, prefix: &Arc<str>) -> &mut Grants {
        let at = self.0.binary_search_by(|entry| entry.prefix.cmp(prefix)).unwrap_or_else(|free| {
            self.0.insert(free, Entry { prefix: Arc::clone(prefix), grants: Grants::default(), within: None });
            free
        });
        &mut self.0[at].grants
    }

    fn link(&mut self) {
        let mut around: Vec<usize> = Vec::new();
        for at in 0..self.0.len() {
            while around.last().is_some_and(|&outer| !self.0[at].prefix.starts_with(&*self.0[outer].prefix)) {
                around.pop();
            }
            self.0[at].within = around.last().copied();
            around.push(at);
        }
    }

    /// All that `id` begins with, longest first.
    fn of<'p>(&'p self, id: &str) -> impl Iterator<Item = (&'p Arc<str>, &'p Grants)> {
        let last = self.0.partition_point(|entry| *entry.prefix <= *id).checked_sub(1);
        std::iter::successors(last.map(|at| &self.0[at]), |entry| entry.within.map(|at| &self.0[at]))
            .filter(move |entry| id.starts_with(&*entry.prefix))
            .map(|entry| (&entry.prefix, &entry.grants))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_found_longest_first_among_neighbours_that_look_like_them() {
        let mut prefixes = Prefixes::default();
        let all = ["s/a/b/", "s/", "s/a/", "s/a-b/", "s/a/b/c/", "s/a/bb/", "t/", "s/a/b/c/d/"];
        for prefix in all {
            prefixes.of_mut(&prefix.into());
        }
        prefixes.link();
        let of = |id: &str| prefixes.of(id).map(|(prefix, _)| prefix.to_string()).collect::<Vec<_>>();
        assert_eq!(of("s/a/b/c/x"), ["s/a/b/c/", "s/a/b/", "s/a/", "s/"]);
        assert_eq!(of("s/a/b/d/x"), ["s/a/b/", "s/a/", "s/"]);
        assert_eq!(of("s/a/bb"), ["s/a/", "s/"]);
        assert_eq!(of("s/a-b/x"), ["s/a-b/", "s/"]);
        assert_eq!(of("s/z"), ["s/"]);
        assert_eq!(of("t/a"), ["t/"]);
        assert_eq!(of("a"), [""; 0]);
        assert_eq!(of("u/a"), [""; 0]);
    }
}
