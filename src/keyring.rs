//! Keys, their versions and states, as values. What state a version is in follows from its mark, its activation
//! time and the time of the call; nothing here reads a clock, a file or a random source.

mod evidence;
mod key;
mod ring;
mod transition;
mod usage;

pub use evidence::{Evidence, NEVER, Span};
pub use key::{Key, KeyKind, KeyName, Kid, Mark, State, Version};
pub use ring::{Keyring, Problem};
pub use transition::{Act, MarkTimes, NotAllowed};
pub use usage::{Reserve, SealRefused, Unreserved, Usage};
