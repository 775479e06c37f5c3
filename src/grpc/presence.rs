//! What one identity holds of the whole: connections, and answers that it has not taken. Both are bounded for each
//! identity, so that none uses up what is there for all. Looked up once a connection, never on a call's way.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::policy::Caller;

/// Bytes of an answer from which on it is counted until it is sent; smaller ones are bounded by the streams.
const COUNTED: usize = 32 * 1024;

/// Bytes of such answers that one identity may leave untaken before it gets no more: a peer that opens no window, or
/// reads nothing, would otherwise make us hold as many batches as it has streams.
const MOST_UNTAKEN: usize = 16 * 1024 * 1024;

/// What one identity holds.
#[derive(Default, Debug)]
pub(super) struct Presence {
    connections: AtomicUsize,
    untaken: Arc<AtomicUsize>,
}

/// The presences of all identities seen lately.
#[derive(Default, Debug)]
pub(super) struct Presences(Mutex<HashMap<Caller, Arc<Presence>>>);

impl Presences {
    /// How many are kept before those without connections are dropped.
    const PRUNE_ABOVE: usize = 256;

    pub(super) fn of(&self, caller: &Caller) -> Arc<Presence> {
        let mut presences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(presence) = presences.get(caller) {
            return Arc::clone(presence);
        }
        if presences.len() >= Self::PRUNE_ABOVE {
            // Untaken answers outlive a connection by moments only, and count down by themselves.
            presences.retain(|_, presence| Arc::strong_count(presence) > 1);
        }
        let presence = Arc::new(Presence::default());
        presences.insert(caller.clone(), Arc::clone(&presence));
        presence
    }
}

impl Presence {
    /// Counts one more connection in, unless the identity has `most` already.
    pub(super) fn enter(&self, most: usize) -> Option<Entered<'_>> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let entered = Entered(self);
        (before < most).then_some(entered)
    }

    /// Whether it should first take what it has been given.
    pub(super) fn is_behind(&self) -> bool {
        self.untaken.load(Ordering::Relaxed) > MOST_UNTAKEN
    }

    /// An answer that counts as untaken until the last of it is sent or dropped.
    pub(super) fn give(&self, answer: Bytes) -> Bytes {
        if answer.len() < COUNTED {
            return answer;
        }
        self.untaken.fetch_add(answer.len(), Ordering::Relaxed);
        Bytes::from_owner(Untaken { answer, count: Arc::clone(&self.untaken) })
    }
}

/// One connection that counts until it is dropped.
#[derive(Debug)]
pub(super) struct Entered<'a>(&'a Presence);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Untaken {
    answer: Bytes,
    count: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Untaken {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        self.count.fetch_sub(self.answer.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32) -> Caller {
        Caller::Unix { uid, gid: 0 }
    }

    #[test]
    fn connections_are_bounded_for_each_identity_by_itself() {
        let presences = Presences::default();
        let (one, two) = (presences.of(&caller(1)), presences.of(&caller(2)));
        let first = one.enter(1);
        assert!(first.is_some());
        assert!(presences.of(&caller(1)).enter(1).is_none());
        assert!(two.enter(1).is_some());
        drop(first);
        assert!(one.enter(1).is_some());
    }

    #[test]
    fn who_does_not_take_its_answers_is_behind_until_they_are_gone() {
        let presence = Presence::default();
        let large = Bytes::from(vec![7; MOST_UNTAKEN / 4]);
        let answers: Vec<Bytes> = (0..5).map(|_| presence.give(large.clone())).collect();
        assert!(presence.is_behind());
        assert_eq!(answers[0], large);
        // A part that is still being sent keeps the whole.
        let part = answers[0].slice(..10);
        drop(answers);
        assert!(!presence.is_behind());
        assert_eq!(presence.untaken.load(Ordering::Relaxed), large.len());
        drop(part);
        assert_eq!(presence.untaken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn small_answers_are_not_counted() {
        let presence = Presence::default();
        let _small = presence.give(Bytes::from(vec![7; COUNTED - 1]));
        assert_eq!(presence.untaken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn identities_that_are_gone_are_forgotten_and_those_that_are_here_are_not() {
        let presences = Presences::default();
        let here = presences.of(&caller(0));
        for uid in 1..600 {
            presences.of(&caller(uid));
        }
        assert!(presences.0.lock().unwrap().len() <= Presences::PRUNE_ABOVE);
        assert!(Arc::ptr_eq(&here, &presences.of(&caller(0))));
    }
}
