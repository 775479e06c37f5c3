//! The RPCs of `KeyService` that change something. A secret goes from its message into the key arena, and the message
//! wipes what it held when it is dropped.

use std::time::Instant;

use tonic::Status;
use zeroize::Zeroize as _;

use super::{kind_of, version};
use crate::{
    audit::Op,
    authority::{Call, Changed, Edit, KeyKind, Refusal, Suite},
    crypto::secret::Secret,
    grpc::{
        proto,
        rpc::{Order, Reply},
        session::Exchange,
    },
};

macro_rules! orders {
    ($($op:ident: $request:ident -> $response:ident, $asked:ident => $edit:expr;)+) => { $(
        impl Order for proto::$request {
            type Answer = proto::$response;

            fn begin(mut self, exchange: &Exchange<'_>, reply: Reply<Self::Answer>) -> Result<(), Status> {
                let $asked = &mut self;
                let edit: Result<Edit, Refusal> = $edit;
                let name = std::mem::take(&mut self.key);
                exchange.order(|authority, call: Call<'_>, deadline: Instant| {
                    let answer = move |done: Result<Changed, Refusal>| reply.give(done.map(|changed| {
                        let Changed { key, kind, version: shown, generation, warnings } = changed;
                        let (kind, version) = (kind_of(kind).into(), Some(version(shown)));
                        proto::$response { key, kind, version, generation, warnings }
                    }));
                    authority.change_key(call, deadline, Op::$op, &name, edit, answer)
                })
            }
        }
    )+ };
}

orders! {
    CreateKey: CreateKeyRequest -> CreateKeyResponse, asked => hat1_only(asked.kind).and_then(|()| Ok(Edit::Create {
        suite: suite(asked.suite)?.unwrap_or(Suite::Aes256Gcm),
        activates_at: time(asked.activates_at),
    }));
    ImportKeyVersion: ImportKeyVersionRequest -> ImportKeyVersionResponse, asked => {
        let secret = taken(&mut asked.secret);
        kind(asked.kind).and_then(|kind| Ok(Edit::Import {
            kind,
            secret,
            suite: suite(asked.suite)?,
            activates_at: time(asked.activates_at),
        }))
    };
    RotateKey: RotateKeyRequest -> RotateKeyResponse, asked => {
        let secret = asked.secret.as_mut().map(taken);
        suite(asked.suite).map(|suite| Edit::Rotate { secret, suite, activates_at: time(asked.activates_at) })
    };
    SuspendKeyVersion: SuspendKeyVersionRequest -> SuspendKeyVersionResponse, asked => number(asked.version).map(Edit::Suspend);
    ResumeKeyVersion: ResumeKeyVersionRequest -> ResumeKeyVersionResponse, asked => number(asked.version).map(Edit::Resume);
    MarkKeyVersionCompromised: MarkKeyVersionCompromisedRequest -> MarkKeyVersionCompromisedResponse, asked =>
        number(asked.version).map(Edit::MarkCompromised);
    DestroyKeyVersion: DestroyKeyVersionRequest -> DestroyKeyVersionResponse, asked =>
        number(asked.version).map(|number| Edit::Destroy { number, force: asked.force });
}

impl Order for proto::ReloadRequest {
    type Answer = proto::ReloadResponse;

    fn begin(self, exchange: &Exchange<'_>, reply: Reply<Self::Answer>) -> Result<(), Status> {
        exchange.order(|authority, call, deadline| {
            let answer = move |done: Result<u64, Refusal>| {
                reply.give(done.map(|generation| proto::ReloadResponse { generation }));
            };
            authority.reload_files(call, deadline, answer)
        })
    }
}

/// Moves a secret to where secrets are kept.
fn taken(bytes: &mut Vec<u8>) -> Secret {
    let secret = Secret::copied(bytes);
    bytes.zeroize();
    secret
}

fn kind(given: i32) -> Result<KeyKind, Refusal> {
    match proto::KeyKind::try_from(given) {
        Ok(proto::KeyKind::Liveauth) => Ok(KeyKind::LiveAuth),
        Ok(proto::KeyKind::Hat1) => Ok(KeyKind::Hat1),
        Ok(proto::KeyKind::Unspecified) | Err(_) => {
            Err(Refusal::invalid("kind", "say what the key is for: KEY_KIND_LIVEAUTH or KEY_KIND_HAT1"))
        }
    }
}

fn hat1_only(given: i32) -> Result<(), Refusal> {
    match kind(given)? {
        KeyKind::Hat1 => Ok(()),
        KeyKind::LiveAuth => {
            Err(Refusal::invalid("kind", "a LiveAuth secret is given by idibu, not made here; import it"))
        }
    }
}

fn suite(given: i32) -> Result<Option<Suite>, Refusal> {
    match proto::Suite::try_from(given) {
        Ok(proto::Suite::Unspecified) => Ok(None),
        Ok(proto::Suite::Aes256Gcm) => Ok(Some(Suite::Aes256Gcm)),
        Ok(proto::Suite::Chacha20Poly1305) => Ok(Some(Suite::ChaCha20Poly1305)),
        Err(_) => Err(Refusal::invalid("suite", "is none that this version knows; SUITE_AES_256_GCM is one")),
    }
}

fn number(given: u32) -> Result<u32, Refusal> {
    if given == 0 { Err(Refusal::invalid("version", "name the version, from 1; GetKey lists them")) } else { Ok(given) }
}

const fn time(given: i64) -> Option<i64> {
    if given == 0 { None } else { Some(given) }
}
