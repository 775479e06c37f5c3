//! Keys, their versions and states, as values. What state a version is in follows from its mark, its activation
//! time and the time of the call; nothing here reads a clock, a file or a random source.

pub mod ahead;
mod evidence;
mod key;
mod ring;
mod schedule;
mod succession;
mod transition;
mod usage;

pub use evidence::{Destruction, Evidence, HASH_LEEWAY_MAX, HASH_LIFE_MAX, NEVER, Span, Standing};
pub use key::{Key, KeyKind, KeyName, Kid, Mark, State, Version};
pub use ring::{Keyring, Problem};
pub use succession::Break;
pub use transition::{Act, MarkTimes, NotAllowed};
pub use usage::{Reserve, SealRefused, Unreserved, Usage};
