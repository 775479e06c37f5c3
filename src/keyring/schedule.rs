//! Rotation on a schedule: when a key is to get its next version without anybody asking for it.

use super::key::{Key, KeyKind};
use crate::clock::UnixSeconds;

impl Key {
    /// When a successor is to be staged by itself, where one is every `every` seconds; a moment that has come or passed
    /// means now.
    ///
    /// Never for a LiveAuth key, whose secret idibu changes; nor where a successor is staged already; nor where no version
    /// is active: an operator stopped the minting, and it is not for a schedule to begin it again.
    #[must_use]
    pub fn rotates_at(&self, every: i64, now: UnixSeconds) -> Option<UnixSeconds> {
        let staged = self.versions().iter().any(|v| v.mark.is_none() && v.activates_at > now);
        if self.kind == KeyKind::LiveAuth || staged {
            return None;
        }
        Some(self.active(now)?.activates_at.plus(every))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::{KeyName, Mark, Version};

    fn key(kind: KeyKind, activations: &[i64], mark: Option<Mark>) -> Key {
        let versions = (1..).zip(activations).map(|(number, at)| Version::new(number, UnixSeconds(*at), 32, None));
        let mut versions: Vec<_> = versions.collect();
        versions.last_mut().unwrap().mark = mark;
        Key::new(KeyName::new("k").unwrap(), kind, versions)
    }

    fn rotates_at(key: &Key, now: i64) -> Option<i64> {
        key.rotates_at(100, UnixSeconds(now)).map(|at| at.0)
    }

    #[test]
    fn the_age_of_the_active_version_counts_from_its_activation() {
        let two = key(KeyKind::Hat1, &[10, 50], None);
        assert_eq!((rotates_at(&two, 50), rotates_at(&two, 500)), (Some(150), Some(150)));
    }

    #[test]
    fn a_staged_successor_is_enough() {
        let staged = key(KeyKind::Hat1, &[10, 600], None);
        assert_eq!((rotates_at(&staged, 599), rotates_at(&staged, 600)), (None, Some(700)));
        let suspended = key(KeyKind::Hat1, &[10, 600], Some(Mark::Suspended));
        assert_eq!(rotates_at(&suspended, 700), None, "it had its turn, as far as was noted");
    }

    #[test]
    fn a_schedule_gives_no_vendor_secret_and_begins_no_minting_that_was_stopped() {
        assert_eq!(rotates_at(&key(KeyKind::LiveAuth, &[10], None), 500), None);
        for mark in [Mark::Suspended, Mark::Compromised, Mark::Destroyed] {
            assert_eq!(rotates_at(&key(KeyKind::Hat1, &[10, 50], Some(mark)), 500), None);
        }
    }
}
