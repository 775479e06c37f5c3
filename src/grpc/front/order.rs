//! RPCs whose work takes its own time, and is done elsewhere: by somebody else, or on a thread that may wait.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use zeroize::Zeroize as _;

use super::{Admitted, Done, conclude, enter, of_message, perform, record::Record, unrecorded};
use crate::{
    authority::{Refusal, Slip},
    grpc::{
        answer::Answer,
        message::Fault,
        rpc,
        session::{Exchange, Session},
        status,
    },
};

/// How long such an RPC may take, where ordinary ones may take no longer.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);

/// What a caller is told who has no more time for that.
const STILL_AT_IT: &str = "the deadline passed before the answer was ready; what was begun is finished and recorded, so look what \
                           became of it before you ask again";

/// What is refused at once is recorded and waited for as ever; from then on the record is made where the work is done,
/// whether or not anybody waits for the answer.
pub(super) async fn place(admitted: &Admitted, request: Bytes, record: &mut Record<'_>) -> Result<Answer, Fault> {
    let Admitted { op, form, limits, deadline, .. } = *admitted;
    let _in_flight = enter(admitted, record.session)?;
    let (begun, receipt) = {
        let slip = Slip::default();
        let (session, request_id, arrived) = (record.session, record.request_id, record.arrived);
        let exchange = Exchange { session, request_id, arrived, deadline, rate: limits.rate, slip: &slip };
        let begun = rpc::order(op, form, &exchange, &request);
        // It may have held a key. Where it is a piece of what its connection has read, it is not ours to wipe.
        if let Ok(mut request) = request.try_into_mut() {
            request.zeroize();
        }
        (begun, slip.take())
    };
    if let Some(receipt) = receipt {
        record.made = true;
        if receipt.await.is_err() {
            return Err(unrecorded());
        }
    }
    let ordered = begun?;
    record.made = true;
    match tokio::time::timeout_at(deadline.into(), ordered).await {
        Ok(Ok(done)) => done.map(|message| of_message(form, message)),
        Ok(Err(_dropped)) => Err(Fault::Answered(status::recorded(&Refusal::Internal))),
        Err(_elapsed) => Err(Fault::Explained(Refusal::DeadlineExceeded, STILL_AT_IT.to_owned().into())),
    }
}

/// Works on a call whose use case waits for a disk, on a thread that may.
pub(super) async fn wait(
    admitted: Admitted,
    message: Bytes,
    session: &Arc<Session>,
    record: &mut Record<'_>,
) -> Result<Done, Fault> {
    let in_flight = enter(&admitted, session)?;
    // Whether or not its caller waits so long, it makes its event itself.
    record.made = true;
    let (its_session, request_id, arrived) = (Arc::clone(session), record.request_id.clone(), record.arrived);
    let worked = tokio::task::spawn_blocking(move || perform(&admitted, &its_session, &request_id, arrived, &message));
    let worked = worked.await;
    record.made = false;
    // The panic hook has said what broke.
    let worked = worked.unwrap_or_else(|_| (Err(Fault::Answered(status::unrecorded(Refusal::Internal))), None));
    conclude(&admitted, worked, in_flight, record)
}
