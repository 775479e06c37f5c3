//! Lanes by hand: who is woken, what is refused, and what is forgotten.

use std::sync::atomic::AtomicUsize;

use super::*;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn push(lane: &Arc<Lane>) -> Receipt {
    lane.push(|tail| tail.extend_from_slice(b"x")).unwrap().0
}

fn poll(receipt: &mut Receipt, woken: &Arc<Woken>) -> Poll<Result<(), Unrecorded>> {
    Pin::new(receipt).poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

fn times(woken: &Arc<Woken>) -> usize {
    woken.0.load(Ordering::Relaxed)
}

#[test]
fn a_group_wakes_one_and_that_one_the_others() {
    let lane = Arc::new(Lane::default());
    let wokens: Vec<Arc<Woken>> = (0..4).map(|_| Arc::default()).collect();
    let mut receipts: Vec<Receipt> = (0..4).map(|_| push(&lane)).collect();
    for (receipt, woken) in receipts.iter_mut().zip(&wokens) {
        assert!(poll(receipt, woken).is_pending());
    }
    let mut queue = Queue::default();
    assert_eq!(lane.take(&mut queue), Some(4));
    assert_eq!((queue.tails().count(), lane.take(&mut Queue::default())), (4, None));
    lane.accept(3);
    assert_eq!(wokens.iter().map(times).collect::<Vec<_>>(), [1, 0, 0, 0]);
    assert_eq!(poll(&mut receipts[0], &wokens[0]), Poll::Ready(Ok(())));
    assert_eq!(wokens.iter().map(times).collect::<Vec<_>>(), [1, 1, 1, 0]);
    assert!(poll(&mut receipts[3], &wokens[3]).is_pending());
}

#[test]
fn the_one_that_was_woken_may_be_dropped() {
    let lane = Arc::new(Lane::default());
    let (first, second): (Arc<Woken>, Arc<Woken>) = Default::default();
    let (mut one, mut two) = (push(&lane), push(&lane));
    assert!(poll(&mut one, &first).is_pending() && poll(&mut two, &second).is_pending());
    lane.accept(2);
    drop(one);
    assert_eq!((times(&first), times(&second)), (1, 1));
    let mut gone = push(&lane);
    assert!(poll(&mut gone, &first).is_pending());
    drop(gone);
    lane.accept(3);
    assert_eq!(times(&first), 1, "who has left is not woken");
}

#[test]
fn what_was_refused_stays_refused_when_later_records_are_accepted() {
    let lane = Arc::new(Lane::default());
    let woken = Arc::<Woken>::default();
    let mut before = push(&lane);
    lane.accept(1);
    let mut refused = [push(&lane), push(&lane)];
    assert_eq!((lane.refuse(3), lane.refuse(3)), (2, 0));
    let mut after = push(&lane);
    lane.accept(4);
    assert_eq!(poll(&mut before, &woken), Poll::Ready(Ok(())));
    for receipt in &mut refused {
        assert_eq!(poll(receipt, &woken), Poll::Ready(Err(Unrecorded)));
    }
    assert_eq!(poll(&mut after, &woken), Poll::Ready(Ok(())));
}

#[test]
fn refusals_are_forgotten_with_the_last_receipt_that_asks_for_them() {
    let lane = Arc::new(Lane::default());
    let woken = Arc::<Woken>::default();
    let mut kept = Vec::new();
    for n in 0..100 {
        // A record that is accepted keeps each refusal apart from the one before.
        kept.push(push(&lane));
        lane.accept(3 * n + 1);
        // Of two that are refused, one was left before.
        let asked = push(&lane);
        drop(push(&lane));
        lane.refuse(3 * n + 3);
        kept.push(asked);
    }
    assert_eq!(lane.held().refused.len(), 100);
    for (n, receipt) in kept.iter_mut().enumerate() {
        let refused = n % 2 == 1;
        assert_eq!(poll(receipt, &woken), Poll::Ready(if refused { Err(Unrecorded) } else { Ok(()) }), "{n}");
    }
    let last = kept.pop();
    kept.clear();
    assert!(lane.held().refused.len() == 1 && lane.trouble.load(Ordering::Relaxed));
    drop(last);
    assert!(lane.held().refused.is_empty() && !lane.trouble.load(Ordering::Relaxed));
    // What nobody asks for is not kept at all, whether it is refused or accepted.
    drop((push(&lane), push(&lane)));
    assert_eq!(lane.held().left.len(), 2);
    assert_eq!(lane.refuse(301), 1);
    assert!(lane.held().refused.is_empty() && !lane.trouble.load(Ordering::Relaxed));
    lane.accept(302);
    assert!(lane.held().left.is_empty());
}

#[test]
fn a_thread_that_goes_on_has_its_records_written_soon() {
    let lane = Arc::new(Lane::default());
    assert!(!lane.turn(), "there is nothing to write");
    drop(push(&lane));
    let overdue = |quarters: u32| lane.is_late(lane.origin + SOON / 4 * quarters);
    assert_eq!([1, 2, 4, 5, 6, 20].map(overdue), [false, false, false, true, false, false]);
    lane.take(&mut Queue::default());
    drop(push(&lane));
    assert_eq!([21, 24, 25, 26].map(overdue), [false, false, true, false], "it is counted from the last writing on");
    lane.fresh_at.store(0, Ordering::Relaxed);
    thread::sleep(SOON);
    assert!(lane.turn(), "by the clock");
}

#[test]
fn a_full_queue_takes_no_more_until_it_is_taken() {
    let lane = Arc::new(Lane::default());
    let big = |tail: &mut Vec<u8>| tail.resize(tail.len() + QUEUE_BYTES, b'x');
    assert!(lane.push(big).is_ok());
    assert_eq!(lane.push(|_| ()).err(), Some(Unrecorded));
    lane.take(&mut Queue::default());
    assert!(lane.push(|_| ()).is_ok());
}
