//! The event of a request that no use case makes.

use std::{mem, time::Instant};

use http::HeaderValue;

use super::Done;
use crate::{
    audit::{Code, Op, Outcome},
    authority::{Call, Slip},
    grpc::{message::Fault, session::Session, status},
};

/// How a request ends whose caller went away, or whose content broke off.
const LEFT: Outcome = Outcome::Refused(Code::Cancelled, "CALLER_LEFT");

/// The one record of a request. Where nobody has made it by the end, the caller has left before there was an answer.
pub(super) struct Record<'a> {
    pub(super) session: &'a Session,
    op: Op,
    pub(super) request_id: &'a HeaderValue,
    pub(super) arrived: Instant,
    pub(super) made: bool,
}

impl<'a> Record<'a> {
    pub(super) fn new(session: &'a Session, op: Op, request_id: &'a HeaderValue, arrived: Instant) -> Self {
        Self { session, op, request_id, arrived, made: false }
    }

    pub(super) fn make(&mut self, outcome: Outcome) {
        if !mem::replace(&mut self.made, true) {
            let request_id = self.request_id.to_str().unwrap_or_default();
            let Session { caller, account, .. } = self.session;
            let (allowance, slip) = (&account.allowance, &Slip::default());
            let call = Call { caller, request_id, arrived: self.arrived, allowance, slip };
            self.session.transport.authority.0.note(call, self.op, outcome);
        }
    }

    /// The request has got as far as this.
    pub(super) fn end(mut self, done: &Result<Done, Fault>) {
        let Err(fault) = done else { return };
        match fault {
            Fault::Refused(refusal) | Fault::Explained(refusal, _) => self.make(refusal.outcome()),
            Fault::Answered(status) => match status::to_record(status) {
                Some(refusal) => self.make(refusal.outcome()),
                None => self.made = true,
            },
            Fault::Rejected(rejection) => {
                self.session.transport.counters.count_rejected(rejection.reason());
                self.make(rejection.outcome());
            }
            Fault::Broken => self.make(LEFT),
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.make(LEFT);
    }
}
