//! What is revoked, as one call sees it from its beginning to its end.

use std::sync::Arc;

use arc_swap::Guard;

use super::Authority;
use crate::hub::{
    app::App,
    revocation::{Denied, Revoked, UserDigests},
};

/// Everything that is revoked at a moment; nothing where there is no ledger.
pub(super) struct Standing<'a>(Option<(Guard<Arc<Denied>>, &'a UserDigests)>);

impl Standing<'_> {
    /// What concerns an app.
    pub(super) fn of<'s>(&'s self, app: &'s App) -> Revoked<'s> {
        self.0.as_ref().map_or(Revoked::NOTHING, |(denied, digests)| denied.of(app, Some(digests)))
    }
}

impl Authority {
    pub(super) fn standing(&self) -> Standing<'_> {
        Standing(self.ledger.as_ref().map(|kept| (kept.ledger.denied(), &kept.digests)))
    }
}
