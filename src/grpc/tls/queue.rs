//! Handshakes under way at one listener, bounded. A new one is never turned away for old ones that go nowhere: past the
//! bound the oldest is ended, since an honest one takes milliseconds and a stuck one is what grows old.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The threshold of a listener.
#[derive(Default)]
pub(super) struct Queue(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    /// In the order they came; dropping one's sender ends it.
    by_age: BTreeMap<u64, oneshot::Sender<()>>,
}

/// A place in it, given back on drop.
pub(super) struct Turn {
    queue: Arc<Mutex<Waiting>>,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Queue {
    /// Takes a place, at the cost of the oldest where `most` are taken.
    pub(super) fn enter(&self, most: usize) -> Turn {
        let (keep, ended) = oneshot::channel();
        let mut waiting = lock(&self.0);
        while waiting.by_age.len() >= most.max(1) {
            waiting.by_age.pop_first();
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.by_age.insert(number, keep);
        drop(waiting);
        Turn { queue: Arc::clone(&self.0), number, ended }
    }
}

impl Turn {
    /// Ends when the place is lost to another.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.queue).by_age.remove(&self.number);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(turn: &mut Turn) -> bool {
        !matches!(turn.ended.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    #[test]
    fn the_oldest_makes_way_for_the_newest() {
        let queue = Queue::default();
        let (mut first, mut second) = (queue.enter(2), queue.enter(2));
        assert!(!is_lost(&mut first) && !is_lost(&mut second));
        let mut third = queue.enter(2);
        assert!(is_lost(&mut first) && !is_lost(&mut second) && !is_lost(&mut third));
    }

    #[test]
    fn one_that_has_ended_makes_room_for_free() {
        let queue = Queue::default();
        let mut first = queue.enter(2);
        drop(queue.enter(2));
        let _third = queue.enter(2);
        assert!(!is_lost(&mut first));
        drop(first);
        assert_eq!(lock(&queue.0).by_age.len(), 1);
    }
}
