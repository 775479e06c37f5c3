//! Keys, their versions and states, as values. What state a version is in follows from its mark, its activation
//! time and the time of the call; nothing here reads a clock, a file or a random source.

mod key;
mod ring;

pub use key::{Key, KeyKind, KeyName, Kid, Mark, SealCounter, State, Version};
pub use ring::{Keyring, Problem};
