//! From a name that a caller wrote to the configured object and the permit for it. Policy before existence:
//! without a rule the answer is the same whether or not there is such an object.

use std::{collections::HashMap, hash::Hash};

use super::{Refusal, State};
use crate::{
    hub::app::{App, is_app_name},
    keyring::{Key, KeyName},
    liveauth::domain::{Domain, HostName},
    policy::{Caller, Object, Permit, Verb},
};

/// An object that the caller may do `V` on.
pub(super) struct Admitted<'s, O, V> {
    pub(super) object: &'s O,
    pub(super) permit: Permit<'s, V>,
}

// Derived ones would ask that the object can be copied, of which only a reference is held.
impl<O, V> Clone for Admitted<'_, O, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O, V> Copy for Admitted<'_, O, V> {}

/// The domain that `host` belongs to, if a rule lets the caller do `V` on it.
pub(super) fn domain<'s, V: Verb>(
    state: &'s State,
    caller: &Caller,
    host: &HostName,
) -> Result<Admitted<'s, Domain, V>, Refusal> {
    let Some(object) = state.domains.find(host) else {
        let unknown = Object::Domain(host.as_str());
        state.policy.permit::<V>(caller, unknown).map_err(|_| Refusal::NoRule(V::NAME))?;
        tracing::debug!(domain = host.as_str(), "asked for a domain that is not configured");
        return Err(Refusal::UnknownDomain);
    };
    let named = Object::Domain(object.name.as_str());
    let permit = state.policy.permit::<V>(caller, named).map_err(|_| Refusal::NoRule(V::NAME))?;
    Ok(Admitted { object, permit })
}

/// The app of that name, if a rule lets the caller do `V` on it.
pub(super) fn app<'s, V: Verb>(state: &'s State, caller: &Caller, name: &str) -> Result<Admitted<'s, App, V>, Refusal> {
    if !is_app_name(name) {
        return Err(Refusal::invalid("app", "an app's name is 1 to 64 of a-z 0-9 . _ -"));
    }
    let Some(object) = state.apps.get(name) else {
        state.policy.permit::<V>(caller, Object::App(name)).map_err(|_| Refusal::NoRule(V::NAME))?;
        tracing::debug!(app = name, "asked for an app that is not configured");
        return Err(Refusal::UnknownApp);
    };
    let permit = state.policy.permit::<V>(caller, Object::App(&object.name)).map_err(|_| Refusal::NoRule(V::NAME))?;
    Ok(Admitted { object, permit })
}

/// The key of that name, if a rule lets the caller do `V` on it.
pub(super) fn key<'s, V: Verb>(state: &'s State, caller: &Caller, name: &str) -> Result<Admitted<'s, Key, V>, Refusal> {
    let name = KeyName::new(name).map_err(|_| Refusal::invalid("key", "a key's name is 1 to 64 of a-z 0-9 . _ -"))?;
    let Some(object) = state.ring.key(&name) else {
        state.policy.permit::<V>(caller, Object::Key(name.as_str())).map_err(|_| Refusal::NoRule(V::NAME))?;
        return Err(Refusal::UnknownKey);
    };
    let named = Object::Key(object.name.as_str());
    let permit = state.policy.permit::<V>(caller, named).map_err(|_| Refusal::NoRule(V::NAME))?;
    Ok(Admitted { object, permit })
}

/// The app of that name and its key, if a rule lets the caller do `V` on that key.
pub(super) fn app_by_its_key<'s, V: Verb>(
    state: &'s State,
    caller: &Caller,
    name: &str,
) -> Result<(&'s App, Admitted<'s, Key, V>), Refusal> {
    if !is_app_name(name) {
        return Err(Refusal::invalid("app", "an app's name is 1 to 64 of a-z 0-9 . _ -"));
    }
    let Some(app) = state.apps.get(name) else {
        // The key that it would most likely have.
        state.policy.permit::<V>(caller, Object::Key(name)).map_err(|_| Refusal::NoRule(V::NAME))?;
        return Err(Refusal::UnknownApp);
    };
    let named = Object::Key(app.key.name.as_str());
    let permit = state.policy.permit::<V>(caller, named).map_err(|_| Refusal::NoRule(V::NAME))?;
    Ok((app, Admitted { object: &*app.key, permit }))
}

/// Answers for the distinct names of one batch, each looked up once.
pub(super) struct Memo<K, T>(HashMap<K, Result<T, Refusal>>);

impl<K: Copy + Eq + Hash, T: Clone> Memo<K, T> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn get(&mut self, name: K, find: impl FnOnce(K) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.0.entry(name).or_insert_with(|| find(name)).clone()
    }
}
