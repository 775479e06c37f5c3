//! BroadSoft Hub: the apps that are configured ([`app`]), how users of Hub log in to them ([`login`]), the auth tokens they
//! hand to Hub ([`token`]), and what of them is cut off ([`revocation`]). Pure: time, keys and randomness are arguments, nothing here does I/O.

pub mod app;
pub mod login;
pub mod revocation;
pub mod token;
