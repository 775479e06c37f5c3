//! idibu LiveAuth: whose secret a request is signed with ([`domain`]), and the hash itself ([`hash`]).
//! Pure: time and keys are arguments, nothing here does I/O.

pub mod domain;
pub mod hash;
mod host;
