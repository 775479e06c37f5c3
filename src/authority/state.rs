//! All that decides about calls, built whole and swapped whole.

use std::{collections::HashMap, sync::Arc};

use super::Portal;
use crate::{
    hub::{app::App, token::SealLimits},
    keyring::{Key, Keyring},
    liveauth::domain::Domains,
    policy::Policy,
};

/// Rules, domains, apps and keys that belong together.
pub struct State {
    pub(super) policy: Policy,
    pub(super) domains: Domains,
    pub(super) apps: HashMap<String, App>,
    pub(super) ring: Keyring,
    pub(super) seal_limits: SealLimits,
    pub(super) keyring: KeyringSeen,
    pub(super) portal: Option<Arc<Portal>>,
}

/// Which keyring it is, and how often it was changed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KeyringSeen {
    /// Its random id, 32 hexadecimal digits.
    pub id: String,
    /// Its generation.
    pub generation: u64,
}

impl State {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Two apps of one name.
    pub fn new(
        policy: Policy,
        domains: Domains,
        apps: Vec<App>,
        ring: Keyring,
        seal_limits: SealLimits,
    ) -> Result<Self, String> {
        let mut by_name = HashMap::with_capacity(apps.len());
        for app in apps {
            app.check()?;
            if let Some(twice) = by_name.insert(app.name.clone(), app) {
                return Err(format!("app {:?} is configured twice; remove one", twice.name));
            }
        }
        Ok(Self { policy, domains, apps: by_name, ring, seal_limits, keyring: KeyringSeen::default(), portal: None })
    }

    /// The same, with what is to be said of where the keys come from.
    #[must_use]
    pub fn of_keyring(self, keyring: KeyringSeen) -> Self {
        Self { keyring, ..self }
    }

    /// The same, with where LiveAuth is asked.
    #[must_use]
    pub fn with_portal(self, portal: Portal) -> Self {
        Self { portal: Some(Arc::new(portal)), ..self }
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<Key>> {
        self.ring.keys().cloned().collect()
    }

    /// The ring, for what carries over to its successor.
    #[must_use]
    pub fn ring(&self) -> &Keyring {
        &self.ring
    }

    /// Where the keys come from.
    #[must_use]
    pub fn keyring(&self) -> &KeyringSeen {
        &self.keyring
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}
