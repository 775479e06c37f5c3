//! The evidence that a rule allowed a verb.

use std::marker::PhantomData;

use super::{
    rate::Rate,
    right::Verb,
    rule::{Object, Rule},
};

/// Where the units of one rule with a rate are counted, for each identity by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meter {
    /// Never given to another rule or rate in the life of a process, as long as each policy continues the one before.
    pub number: u64,
    /// The rate.
    pub rate: Rate,
}

/// Evidence that a rule allows one caller the verb `V` on one object, for the length of one call.
pub struct Permit<'a, V> {
    rule: &'a Rule,
    meter: Option<Meter>,
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
    pub(super) fn new(rule: &'a Rule, meter: Option<Meter>, object: Object<'a>) -> Self {
        Self { rule, meter, object, verb: PhantomData }
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

    /// Where to count its use; `None` where the rule has no rate.
    #[must_use]
    pub fn meter(&self) -> Option<Meter> {
        self.meter
    }

    /// The longest lifetime in seconds that the rule allows; `None` leaves it to the object.
    #[must_use]
    pub fn max_ttl(&self) -> Option<i64> {
        self.rule.limits.max_ttl
    }
}
