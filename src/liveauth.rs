//! idibu LiveAuth: whose secret a request is signed with ([`domain`]), the hash itself ([`hash`]), and what can be asked of
//! the endpoint with one ([`portal`]).
//! Pure: time and keys are arguments, nothing here does I/O.

pub mod domain;
pub mod hash;
mod host;
pub mod portal;
