//! `LiveAuthPortalService`, by the real binary and against a stand-in for LiveAuth that was written from its document
//! alone: what goes over the wire, what is made of each answer, who may ask, and what nobody ever sees.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod confined;
mod desk;
mod faults;
mod grpc;
mod guide;

mod records;
mod rules;
mod secrecy;
#[allow(dead_code, reason = "this binary uses its part")]
#[path = "../it/service.rs"]
mod service;
mod vendor;
mod wire;
