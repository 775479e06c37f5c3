//! BroadSoft Hub: the apps that are configured ([`app`]), the auth tokens they hand to Hub ([`token`]), and what of them
//! is cut off ([`revocation`]). Pure: time, keys and randomness are arguments, nothing here does I/O.

pub mod app;
pub mod revocation;
pub mod token;
