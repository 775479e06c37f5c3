//! The RPCs as a table: from an operation and the bytes of a request to the bytes of its answer, in either encoding.
//! Every RPC here takes one message and gives one, nearly all at once, so none of the machinery for streams is needed: its
//! boxes and state machines would cost more than a mint does.

use std::marker::PhantomData;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;
use tonic::Status;

use super::{
    codec::Decodable,
    connect,
    message::{Fault, PREFIX},
    proto,
    session::Exchange,
    status,
};
use crate::{
    audit::Op,
    authority::{Authority, Batch, Call, Refusal},
};

/// How messages are encoded, and how they stand in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Protobuf behind gRPC's five bytes.
    Grpc,
    /// As the content type says, and alone.
    Connect(connect::Codec),
}

/// A request message, and what becomes of it.
pub(super) trait Rpc: Decodable + DeserializeOwned {
    /// The answer's message.
    type Answer: Message + Serialize;

    /// Calls the use case.
    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status>;
}

/// A request whose work is done by somebody else, who answers later.
pub(super) trait Order: Decodable + DeserializeOwned {
    /// The answer's message.
    type Answer: Message + Serialize + 'static;

    /// Hands the work over, with `reply` to be called when it is done.
    fn begin(self, exchange: &Exchange<'_>, reply: Reply<Self::Answer>) -> Result<(), Status>;
}

/// The bytes of an answer that is on its way; where it is dropped without one, something of ours broke.
pub(super) type Ordered = oneshot::Receiver<Result<Bytes, Fault>>;

/// Where the answer to an order goes.
pub(super) struct Reply<A> {
    form: Form,
    to: oneshot::Sender<Result<Bytes, Fault>>,
    answer: PhantomData<fn(A)>,
}

impl<A: Message + Serialize> Reply<A> {
    /// Gives it; to nobody, where the caller has left.
    pub(super) fn give(self, done: Result<A, Refusal>) {
        let encoded = match done {
            Ok(answer) => encoded(self.form, &answer),
            Err(refusal) => Err(Fault::Answered(status::recorded(&refusal))),
        };
        let _ = self.to.send(encoded);
    }
}

/// Begins the RPC on a request's body, for those that [`Op::administers`] and [`Op::reaches_out`] name.
pub(super) fn order(op: Op, form: Form, exchange: &Exchange<'_>, body: &[u8]) -> Result<Ordered, Fault> {
    let begin = match op {
        Op::CreateKey => begin::<proto::CreateKeyRequest>,
        Op::ImportKeyVersion => begin::<proto::ImportKeyVersionRequest>,
        Op::RotateKey => begin::<proto::RotateKeyRequest>,
        Op::SuspendKeyVersion => begin::<proto::SuspendKeyVersionRequest>,
        Op::ResumeKeyVersion => begin::<proto::ResumeKeyVersionRequest>,
        Op::MarkKeyVersionCompromised => begin::<proto::MarkKeyVersionCompromisedRequest>,
        Op::DestroyKeyVersion => begin::<proto::DestroyKeyVersionRequest>,
        Op::Reload => begin::<proto::ReloadRequest>,
        Op::CompleteLogin => begin::<proto::CompleteLoginRequest>,
        Op::RenewAuth => begin::<proto::RenewAuthRequest>,
        Op::NotifyUpdate => begin::<proto::NotifyUpdateRequest>,
        Op::PortalTest => begin::<proto::TestRequest>,
        Op::PortalGetStatus => begin::<proto::GetStatusRequest>,
        Op::PortalLogin => begin::<proto::LoginRequest>,
        Op::PortalCompleteInfo => begin::<proto::CompleteInfoRequest>,
        Op::PortalLogout => begin::<proto::LogoutRequest>,
        _ => return Err(Refusal::UnknownMethod.into()),
    };
    begin(form, exchange, body)
}

fn begin<M: Order>(form: Form, exchange: &Exchange<'_>, body: &[u8]) -> Result<Ordered, Fault> {
    let request = request::<M>(form, body)?;
    let (to, ordered) = oneshot::channel();
    request.begin(exchange, Reply { form, to, answer: PhantomData }).map_err(Fault::Answered)?;
    Ok(ordered)
}

/// Runs the RPC on a request's body; gives the body of the answer.
pub(super) fn call(op: Op, form: Form, exchange: &Exchange<'_>, body: &[u8]) -> Result<Bytes, Fault> {
    let run = match op {
        Op::MintHash => answer::<proto::MintHashRequest>,
        Op::VerifyHash => answer::<proto::VerifyHashRequest>,
        Op::BatchMintHash => answer::<proto::BatchMintHashRequest>,
        Op::BatchVerifyHash => answer::<proto::BatchVerifyHashRequest>,
        Op::Seal => answer::<proto::SealRequest>,
        Op::Open => answer::<proto::OpenRequest>,
        Op::Verify => answer::<proto::VerifyRequest>,
        Op::Reseal => answer::<proto::ResealRequest>,
        Op::Revoke => answer::<proto::RevokeRequest>,
        Op::ListRevocations => answer::<proto::ListRevocationsRequest>,
        Op::BatchSeal => answer::<proto::BatchSealRequest>,
        Op::BatchOpen => answer::<proto::BatchOpenRequest>,
        Op::BatchVerify => answer::<proto::BatchVerifyRequest>,
        Op::BatchReseal => answer::<proto::BatchResealRequest>,
        Op::BeginLogin => answer::<proto::BeginLoginRequest>,
        Op::ResolveLogin => answer::<proto::ResolveLoginRequest>,
        Op::ListKeys => answer::<proto::ListKeysRequest>,
        Op::GetKey => answer::<proto::GetKeyRequest>,
        Op::ExplainToken => answer::<proto::ExplainTokenRequest>,
        Op::CreateKey
        | Op::ImportKeyVersion
        | Op::RotateKey
        | Op::SuspendKeyVersion
        | Op::ResumeKeyVersion
        | Op::MarkKeyVersionCompromised
        | Op::DestroyKeyVersion
        | Op::Reload
        | Op::CompleteLogin
        | Op::RenewAuth
        | Op::NotifyUpdate
        | Op::PortalTest
        | Op::PortalGetStatus
        | Op::PortalLogin
        | Op::PortalCompleteInfo
        | Op::PortalLogout
        | Op::HealthCheck
        | Op::HealthWatch
        | Op::Reflection
        | Op::Unknown => return Err(Refusal::UnknownMethod.into()),
    };
    run(form, exchange, body)
}

/// The same for the items of a batch, which are first paid for. `wrap` makes an item's result.
pub(super) fn batch<'r, I, Q, T, R>(
    exchange: &Exchange<'_>,
    items: &'r [I],
    ask: impl Fn(&'r I) -> Q,
    use_case: impl FnOnce(&Authority, Call<'_>, &[Q]) -> Batch<T>,
    wrap: impl Fn(Result<T, proto::ItemError>) -> R,
) -> Result<Vec<R>, Status> {
    let done = exchange.work_on_batch(items.len(), |authority, call| {
        let asked: Vec<Q> = items.iter().map(ask).collect();
        use_case(authority, call, &asked)
    })?;
    Ok(done.into_iter().map(|item| wrap(item.map_err(|refusal| status::of_item(&refusal)))).collect())
}

fn answer<M: Rpc>(form: Form, exchange: &Exchange<'_>, body: &[u8]) -> Result<Bytes, Fault> {
    let request = request::<M>(form, body)?;
    let answer = request.run(exchange).map_err(Fault::Answered)?;
    encoded(form, &answer)
}

fn request<M: Decodable + DeserializeOwned>(form: Form, body: &[u8]) -> Result<M, Fault> {
    match form {
        Form::Grpc => proto_request::<M>(body.get(PREFIX..).unwrap_or_default()),
        Form::Connect(connect::Codec::Proto) => proto_request::<M>(body),
        Form::Connect(connect::Codec::Json) => {
            connect::read_json::<M>(body).map_err(|problem| Fault::Explained(Refusal::Undecodable, problem))
        }
    }
}

fn encoded(form: Form, answer: &(impl Message + Serialize)) -> Result<Bytes, Fault> {
    match form {
        Form::Grpc => Ok(framed(answer)),
        Form::Connect(connect::Codec::Proto) => Ok(answer.encode_to_vec().into()),
        Form::Connect(connect::Codec::Json) => {
            // The use case has made its record.
            serde_json::to_vec(answer)
                .map(Bytes::from)
                .map_err(|_| Fault::Answered(status::recorded(&Refusal::Internal)))
        }
    }
}

fn proto_request<M: Decodable>(body: &[u8]) -> Result<M, Fault> {
    M::from_wire(body).ok_or_else(|| Refusal::Undecodable.into())
}

/// A message behind its prefix: not compressed, so long.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).expect("an answer is far below 4 GiB"));
    message.encode_raw(&mut framed);
    framed.freeze()
}
