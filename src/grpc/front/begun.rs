//! A request whose own work is done.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderValue;

use super::{named, of_fault, of_message, unrecorded};
use crate::{
    audit::Receipt,
    grpc::{answer::Answer, rpc::Form, session::Session},
};

/// How far a request has come when all is done that it needs itself.
pub(in crate::grpc) enum Begun {
    /// To the end.
    Answered(Answer),
    /// To the end, but it is held back for so long.
    Later(Duration, Answer),
    /// To its record, which is all that its answer waits for.
    Held(Held),
    /// To something else that it waits for.
    Waiting(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Begun {
    /// Waits for what there is to wait for.
    pub(in crate::grpc) async fn finish(self) -> Answer {
        match self {
            Self::Answered(answer) => answer,
            Self::Later(hold, answer) => {
                tokio::time::sleep(hold).await;
                answer
            }
            Self::Held(held) => held.await,
            Self::Waiting(answer) => answer.await,
        }
    }
}

/// An answer that is held back until the journal has the record of its call. It counts as in flight.
pub(in crate::grpc) struct Held {
    receipt: Receipt,
    form: Form,
    message: Bytes,
    request_id: HeaderValue,
    session: Arc<Session>,
}

impl Held {
    /// Takes over the place of a call in flight.
    pub(super) fn new(
        receipt: Receipt,
        form: Form,
        message: Bytes,
        request_id: HeaderValue,
        session: Arc<Session>,
    ) -> Self {
        Self { receipt, form, message, request_id, session }
    }
}

impl Future for Held {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let recorded = ready!(Pin::new(&mut self.receipt).poll(context));
        let answer = match recorded {
            Ok(()) => of_message(self.form, mem::take(&mut self.message)),
            Err(_) => of_fault(unrecorded(), self.form == Form::Grpc),
        };
        Poll::Ready(named(answer, self.request_id.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.session.transport.counters.in_flight.take();
    }
}
