//! How many log lines strangers can cause: so many a second at each listener, and after that a count of the rest. The
//! metric counts them all.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lines a second.
const LINES: u32 = 20;

#[derive(Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Default)]
struct State {
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Throttle {
    /// Whether a line may be written now; if so, how many were not since the last one.
    pub(super) fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            state.since = Some(now);
            state.said = 0;
        }
        if state.said >= LINES {
            state.unsaid += 1;
            return None;
        }
        state.said += 1;
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_the_count_is_told_with_the_next_line() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..LINES {
            assert_eq!(throttle.pass(now), Some(0));
        }
        assert_eq!((throttle.pass(now), throttle.pass(now)), (None, None));
        assert_eq!(throttle.pass(now + Duration::from_secs(1)), Some(2));
        assert_eq!(throttle.pass(now + Duration::from_secs(1)), Some(0));
    }
}
