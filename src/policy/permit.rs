//! The evidence that a rule allowed a verb.

use std::marker::PhantomData;

use super::{
    right::Verb,
    rule::{Object, Rule},
};

/// Evidence that a rule allows one caller the verb `V` on one object, for the length of one call.
pub struct Permit<'a, V> {
    rule: &'a Rule,
    object: Object<'a>,
    verb: PhantomData<fn() -> V>,
}

// Derived ones would ask that verbs can be copied, which have no values.
impl<V> Clone for Permit<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Permit<'_, V> {}

impl<'a, V: Verb> Permit<'a, V> {
    pub(super) fn new(rule: &'a Rule, object: Object<'a>) -> Self {
        Self { rule, object, verb: PhantomData }
    }

    /// The rule that matched.
    #[must_use]
    pub fn rule(&self) -> &'a Rule {
        self.rule
    }

    /// What the verb is allowed on.
    #[must_use]
    pub fn object(&self) -> Object<'a> {
        self.object
    }

    /// The longest lifetime in seconds that the rule allows; `None` leaves it to the object.
    #[must_use]
    pub fn max_ttl(&self) -> Option<i64> {
        self.rule.limits.max_ttl
    }
}
