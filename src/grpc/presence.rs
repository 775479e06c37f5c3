//! What one identity holds of the whole: connections, and answers that it has not taken. Both are bounded for each
//! identity, so that none uses up what is there for all.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

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

    #[test]
    fn connections_are_bounded_until_one_ends() {
        let presence = Presence::default();
        let first = presence.enter(1);
        assert!(first.is_some());
        assert!(presence.enter(1).is_none());
        drop(first);
        assert!(presence.enter(1).is_some());
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
}
