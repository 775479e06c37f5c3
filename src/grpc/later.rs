//! Answers that a connection gives later: refusals that are held back. They wait as plain values, with one timer for all of
//! a connection's, and leave in groups: a task and a timer for each would cost more than the refusal, and a caller that
//! asks far too often would be the one to profit.

use std::{
    collections::BTreeMap,
    future::Future as _,
    pin::Pin,
    task::Context,
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::server::SendResponse;
use tokio::time::{Sleep, sleep_until};

use super::answer::Answer;

/// What is due within so many milliseconds leaves together.
const STEP: u128 = 8;

/// An answer, the stream that it belongs to, and whether it is one to HEAD.
pub(super) type Due = (Answer, SendResponse<Bytes>, bool);

/// What one connection has to give later.
pub(super) struct Later {
    /// What the steps are counted from.
    since: Instant,
    due: BTreeMap<u128, Vec<Due>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Later {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), due: BTreeMap::new(), timer: None }
    }

    /// Keeps an answer for at least `hold`.
    pub(super) fn keep(&mut self, hold: Duration, due: Due) {
        let step = (self.since.elapsed() + hold).as_millis() / STEP + 1;
        self.due.entry(step).or_default().push(due);
    }

    /// What is due, if anything is; else the task is woken when something will be.
    pub(super) fn take(&mut self, context: &mut Context<'_>) -> Vec<Due> {
        let Some(first) = self.due.first_entry() else { return Vec::new() };
        let at = self.since + step(*first.key());
        // What comes in later may be due before.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at.into())));
        if timer.deadline() > at.into() {
            timer.as_mut().reset(at.into());
        }
        if timer.as_mut().poll(context).is_pending() {
            return Vec::new();
        }
        self.timer = None;
        first.remove()
    }
}

fn step(number: u128) -> Duration {
    Duration::from_millis(u64::try_from(number * STEP).unwrap_or(u64::MAX))
}
