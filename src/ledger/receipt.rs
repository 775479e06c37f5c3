//! The claim to a change: resolves once it is durable and in force, or is known not to come to that.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// The change was not made durable, or not in time: whoever asked for it has to be told so, and may ask again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unkept;

#[derive(Default, Debug)]
enum State {
    #[default]
    Queued,
    /// The writer has it: what becomes of it cannot be stopped.
    Taken,
    Decided(Result<(), Unkept>),
    /// Nobody waits for it any more, and it was not begun.
    Abandoned,
}

#[derive(Default, Debug)]
struct Inside {
    state: State,
    waker: Option<Waker>,
}

/// The writer's end.
#[derive(Default, Debug)]
pub(super) struct Ticket {
    inside: Mutex<Inside>,
    decided: Condvar,
}

impl Ticket {
    /// Whether somebody still wants it; from now on it cannot be taken back.
    pub(super) fn take(&self) -> bool {
        let mut inside = self.inside();
        if matches!(inside.state, State::Abandoned) {
            return false;
        }
        inside.state = State::Taken;
        true
    }

    pub(super) fn decide(&self, outcome: Result<(), Unkept>) {
        let waker = {
            let mut inside = self.inside();
            inside.state = State::Decided(outcome);
            inside.waker.take()
        };
        self.decided.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The claim. One that is dropped takes back what was not begun; what was begun may still come to be.
#[derive(Debug)]
#[must_use = "what is dropped unasked may never be kept"]
pub struct Receipt {
    ticket: Option<Arc<Ticket>>,
}

impl Receipt {
    pub(super) fn of(ticket: &Arc<Ticket>) -> Self {
        Self { ticket: Some(Arc::clone(ticket)) }
    }

    /// A receipt for what is known not to be kept.
    pub(super) fn refused() -> Self {
        let ticket = Ticket::default();
        ticket.decide(Err(Unkept));
        Self { ticket: Some(Arc::new(ticket)) }
    }

    /// Waits on this thread, but not for ever.
    ///
    /// # Errors
    /// [`Unkept`]: also where the time is over.
    pub fn wait(self, longest: Duration) -> Result<(), Unkept> {
        let until = Instant::now() + longest;
        let Some(ticket) = &self.ticket else { return Err(Unkept) };
        let mut inside = ticket.inside();
        loop {
            if let State::Decided(outcome) = inside.state {
                return outcome;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unkept);
            }
            inside = ticket.decided.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets it happen, or not, with nobody waiting.
    pub fn detach(mut self) {
        self.ticket = None;
    }
}

impl Future for Receipt {
    type Output = Result<(), Unkept>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = &self.ticket else { return Poll::Ready(Err(Unkept)) };
        let mut inside = ticket.inside();
        if let State::Decided(outcome) = inside.state {
            return Poll::Ready(outcome);
        }
        inside.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            let mut inside = ticket.inside();
            if matches!(inside.state, State::Queued) {
                inside.state = State::Abandoned;
            }
        }
    }
}
