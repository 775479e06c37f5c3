//! What an operator may do to a version, from which state: a table over every state and act, after NIST SP 800-57
//! part 1, section 7. Nothing brings back what was compromised or destroyed, and what mints is never destroyed.

use std::fmt;

use super::key::{Mark, State};
use crate::clock::UnixSeconds;

/// What an operator does to a version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    /// Set it aside, for now.
    Suspend,
    /// Bring it back from there.
    Resume,
    /// Say that it is known, or feared to be known, to others.
    MarkCompromised,
    /// Take its material away, for ever.
    Destroy,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Suspend, Self::Resume, Self::MarkCompromised, Self::Destroy];

    /// The name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::MarkCompromised => "mark-compromised",
            Self::Destroy => "destroy",
        }
    }
}

/// An act that a version's state does not allow. Its text says why, and what to do instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAllowed {
    /// The state that the version is in.
    pub state: State,
    /// What was to be done to it.
    pub act: Act,
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.state, self.act) {
            (State::Suspended, Act::Suspend) => "it is suspended already",
            (State::Compromised, Act::MarkCompromised) => "it is marked as compromised already",
            (State::Compromised, _) => "it is compromised, for which there is no way back: destroy it",
            (State::Destroyed, Act::Destroy) => "it is destroyed already",
            (State::Destroyed, _) => "it is destroyed, for which there is no way back",
            (State::Active, Act::Destroy) => "it is the active version: rotate the key first, or suspend the version",
            (_, Act::Resume) => "it is not suspended",
            (_, Act::Suspend | Act::MarkCompromised | Act::Destroy) => "its state does not allow it",
        })
    }
}

impl State {
    /// The mark that a version in this state has after the act.
    ///
    /// # Errors
    /// [`NotAllowed`].
    pub const fn after(self, act: Act) -> Result<Option<Mark>, NotAllowed> {
        let in_use = self.verifies();
        match (act, self) {
            (Act::Suspend, _) if in_use => Ok(Some(Mark::Suspended)),
            (Act::Resume, Self::Suspended) => Ok(None),
            (Act::MarkCompromised, Self::Suspended) => Ok(Some(Mark::Compromised)),
            (Act::MarkCompromised, _) if in_use => Ok(Some(Mark::Compromised)),
            (Act::Destroy, Self::PreActive | Self::Deactivated | Self::Suspended | Self::Compromised) => {
                Ok(Some(Mark::Destroyed))
            }
            (Act::Suspend | Act::Resume | Act::MarkCompromised | Act::Destroy, _) => {
                Err(NotAllowed { state: self, act })
            }
        }
    }
}

/// When a version was given its marks. One that was suspended, then compromised, then destroyed has all three.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(clippy::struct_field_names, reason = "the names that they have in the document")]
pub struct MarkTimes {
    /// When it was set aside; nothing once it came back.
    pub suspended_at: Option<UnixSeconds>,
    /// When it was said to be compromised.
    pub compromised_at: Option<UnixSeconds>,
    /// When its material was taken away.
    pub destroyed_at: Option<UnixSeconds>,
}

impl MarkTimes {
    /// The times once `act`, which was allowed, is done.
    #[must_use]
    pub const fn after(self, act: Act, now: UnixSeconds) -> Self {
        match act {
            Act::Suspend => Self { suspended_at: Some(now), ..self },
            Act::Resume => Self { suspended_at: None, ..self },
            Act::MarkCompromised => Self { compromised_at: Some(now), ..self },
            Act::Destroy => Self { destroyed_at: Some(now), ..self },
        }
    }

    /// Since when the version is out of use, as far as that was noted.
    #[must_use]
    pub fn out_of_use_since(self) -> Option<UnixSeconds> {
        [self.suspended_at, self.compromised_at, self.destroyed_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] =
        [State::PreActive, State::Active, State::Deactivated, State::Suspended, State::Compromised, State::Destroyed];

    /// One row for each state, in the order of [`Act::ALL`]: the first letter of the mark, `+` for none, `.` refused.
    #[test]
    fn every_act_in_every_state_is_decided() {
        let row = |state: State| -> String {
            let letter = |act| match state.after(act) {
                Ok(None) => '+',
                Ok(Some(Mark::Suspended)) => 's',
                Ok(Some(Mark::Compromised)) => 'c',
                Ok(Some(Mark::Destroyed)) => 'd',
                Err(NotAllowed { .. }) => '.',
            };
            Act::ALL.map(letter).iter().collect()
        };
        assert_eq!(STATES.map(row), ["s.cd", "s.c.", "s.cd", ".+cd", "...d", "...."]);
    }

    #[test]
    fn every_refusal_says_why() {
        for state in STATES {
            for act in Act::ALL {
                if let Err(refusal) = state.after(act) {
                    let text = refusal.to_string();
                    assert!(text.starts_with("it is") && !text.contains('\n'), "{state:?} {act:?}: {text}");
                }
            }
        }
    }
}
