//! The part of the order that looks at objects: the exact name, then the longest glob, then `*`.

use std::collections::HashMap;

use super::{
    right::VerbName,
    rule::{Object, ObjectPattern, Problem, Rule},
};

/// By which of a rule's object patterns it matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fit<'p> {
    Exact,
    /// The glob, with its dot.
    Glob(&'p str),
    Any,
}

/// What one caller pattern is granted for one verb: places in the list of rules.
#[derive(Default)]
pub(super) struct Grants {
    domains: Table,
    apps: Table,
    keys: Table,
}

impl Grants {
    /// Grants the rule at `place` on every object that it names and the verb can be asked of.
    ///
    /// # Errors
    /// [`Problem::Conflict`] where another rule stands equal to it and limits differently.
    pub(super) fn insert(&mut self, place: usize, rules: &[Rule], verb: VerbName) -> Result<(), Problem> {
        let rule = &rules[place];
        let kinds = [
            (verb.is_for_domains(), &rule.domains, &mut self.domains),
            (verb.is_for_apps(), &rule.apps, &mut self.apps),
            (verb.is_for_keys(), &rule.keys, &mut self.keys),
        ];
        for (_, patterns, table) in kinds.into_iter().filter(|(asked, ..)| *asked) {
            patterns.iter().try_for_each(|object| table.insert(object, place, rules))?;
        }
        Ok(())
    }

    /// The place of the rule that decides on `object`.
    #[inline]
    pub(super) fn find(&self, object: Object<'_>) -> Option<(Fit<'_>, usize)> {
        match object {
            Object::Domain(name) => self.domains.find(name, |glob, name| name.ends_with(glob)),
            Object::App(name) => self.apps.find(name, |glob, name| name.starts_with(glob)),
            Object::Key(name) => self.keys.find(name, |glob, name| name.starts_with(glob)),
        }
    }

    /// Whether there is any domain in it.
    pub(super) fn has_domains(&self) -> bool {
        !self.domains.is_empty()
    }

    /// Whether there is any key in it.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }
}

/// Places by the object pattern that leads there.
#[derive(Default)]
struct Table {
    exact: HashMap<String, usize>,
    /// Longest first.
    globs: Vec<(String, usize)>,
    any: Option<usize>,
}

impl Table {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty() && self.any.is_none()
    }

    fn insert(&mut self, object: &ObjectPattern, place: usize, rules: &[Rule]) -> Result<(), Problem> {
        let stands = match object {
            ObjectPattern::Exact(name) => *self.exact.entry(name.clone()).or_insert(place),
            ObjectPattern::Any => *self.any.get_or_insert(place),
            ObjectPattern::Glob(glob) => {
                if let Some(&(_, stands)) = self.globs.iter().find(|(present, _)| present == glob) {
                    stands
                } else {
                    self.globs.push((glob.clone(), place));
                    self.globs.sort_by_key(|(glob, _)| std::cmp::Reverse(glob.len()));
                    place
                }
            }
        };
        if rules[stands].limits == rules[place].limits {
            return Ok(());
        }
        Err(Problem::Conflict { first: rules[stands].name.clone(), second: rules[place].name.clone() })
    }

    /// A glob keeps its dot, so that a match ends on a label boundary; it stands for at least one more label.
    #[inline]
    fn find(&self, name: &str, fits: impl Fn(&str, &str) -> bool) -> Option<(Fit<'_>, usize)> {
        if let Some(&place) = self.exact.get(name) {
            return Some((Fit::Exact, place));
        }
        let glob = self.globs.iter().find(|(glob, _)| name.len() > glob.len() && fits(glob, name));
        glob.map(|(glob, place)| (Fit::Glob(glob), *place)).or_else(|| self.any.map(|place| (Fit::Any, place)))
    }
}
