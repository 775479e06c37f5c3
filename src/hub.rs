//! BroadSoft Hub: the apps that are configured ([`app`]), and the auth tokens they hand to Hub ([`token`]).
//! Pure: time, keys and randomness are arguments, nothing here does I/O.

pub mod app;
pub mod token;
