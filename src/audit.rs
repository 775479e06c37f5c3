//! What happened: every request makes one [`Event`], and the journal keeps a record of each that grants something or
//! is refused: chained, sealed, and written before the answer is given. [`verify_chain`] judges such a file.
//!
//! The journal has threads of its own and knows no runtime: a [`Receipt`] is a plain future.

mod chain;
mod counters;
mod event;
mod file;
mod journal;
mod lane;
mod op;
mod record;
mod verify;
mod watch;
mod writer;

pub use chain::{Head, JournalKeys};
pub use counters::{Counters, Fault};
pub use event::{Code, Cut, Entry, Event, Outcome, Subject};
pub use journal::{Durability, Journal, Serving, Settings};
pub use lane::{Receipt, Unrecorded};
pub use op::Op;
pub use record::{Kind, LINE_MAX};
pub use verify::{Finding, Report, Verifier, verify_chain};
