//! Logging in to Hub, as plain values, for both generations of its API: what Hub asks for ([`Begun`]), which Hubs an app
//! deals with ([`Settings`]), what is sent to one ([`request`]), what comes back ([`answer`]), and by what a hubLoginToken
//! is known again ([`LoginDigests`]).
//!
//! Whatever names a Hub came through a browser: nothing is sent, and nobody is sent, to an origin that the app's
//! configuration does not list. Texts are refused rather than repaired, so that no two parties read one text as two
//! addresses. Nothing here does I/O, and no error quotes what it is about.

pub mod answer;
mod begun;
mod binding;
mod callback;
mod origin;
pub mod request;
mod settings;

pub use begun::{AUTHENTICATE_URL_MAX, Begun, BegunProblem};
pub use binding::{LoginDigests, Unreadable};
pub use callback::{CALLBACK_MAX, Callback};
pub use origin::{AddressProblem, Origin};
pub use settings::{Delivery, Generation, Settings};

/// Seconds for which a login may be completed after it began.
pub const STATE_TTL: i64 = 15 * 60;
