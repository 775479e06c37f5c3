//! `HubTokenService`: from its messages to the authority and back.

use tonic::Status;

use super::{
    proto::{
        self, batch_open_result::Result as OpenResult, batch_reseal_result::Result as ResealResult,
        batch_seal_result::Result as SealResult, batch_verify_result::Result as VerifyResult,
    },
    rpc::{Rpc, batch},
    session::Exchange,
    verdicts,
};
use crate::authority::{Claims, JudgedToken, OpenedToken, Present, ResealedToken, Seal, SealedToken};

impl Rpc for proto::SealRequest {
    type Answer = proto::SealResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        exchange.work(|authority, call| authority.seal(call, &to_seal(self))).map(sealed)
    }
}

impl Rpc for proto::BatchSealRequest {
    type Answer = proto::BatchSealResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let results = batch(
            exchange,
            &self.items,
            to_seal,
            |a, call, items| a.batch_seal(call, items),
            |item| {
                let result = item.map_or_else(SealResult::Error, |token| SealResult::Response(sealed(token)));
                proto::BatchSealResult { result: Some(result) }
            },
        )?;
        Ok(proto::BatchSealResponse { results })
    }
}

impl Rpc for proto::OpenRequest {
    type Answer = proto::OpenResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        exchange.work(|authority, call| authority.open(call, &self.presented())).map(opened)
    }
}

impl Rpc for proto::BatchOpenRequest {
    type Answer = proto::BatchOpenResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let results = batch(
            exchange,
            &self.items,
            Presenting::presented,
            |a, call, items| a.batch_open(call, items),
            |item| {
                let result = item.map_or_else(OpenResult::Error, |token| OpenResult::Response(opened(token)));
                proto::BatchOpenResult { result: Some(result) }
            },
        )?;
        Ok(proto::BatchOpenResponse { results })
    }
}

impl Rpc for proto::VerifyRequest {
    type Answer = proto::VerifyResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        exchange.work(|authority, call| authority.verify(call, &self.presented())).map(judged)
    }
}

impl Rpc for proto::BatchVerifyRequest {
    type Answer = proto::BatchVerifyResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let results = batch(
            exchange,
            &self.items,
            Presenting::presented,
            |a, call, items| a.batch_verify(call, items),
            |item| {
                let result = item.map_or_else(VerifyResult::Error, |token| VerifyResult::Response(judged(token)));
                proto::BatchVerifyResult { result: Some(result) }
            },
        )?;
        Ok(proto::BatchVerifyResponse { results })
    }
}

impl Rpc for proto::ResealRequest {
    type Answer = proto::ResealResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        exchange.work(|authority, call| authority.reseal(call, &self.presented())).map(resealed)
    }
}

impl Rpc for proto::BatchResealRequest {
    type Answer = proto::BatchResealResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let results = batch(
            exchange,
            &self.items,
            Presenting::presented,
            |a, call, items| a.batch_reseal(call, items),
            |item| {
                let result = item.map_or_else(ResealResult::Error, |token| ResealResult::Response(resealed(token)));
                proto::BatchResealResult { result: Some(result) }
            },
        )?;
        Ok(proto::BatchResealResponse { results })
    }
}

/// The three messages that present a token, which differ only in name.
trait Presenting {
    fn presented(&self) -> Present<'_>;
}

macro_rules! presenting {
    ($($message:ident)+) => { $(
        impl Presenting for proto::$message {
            fn presented(&self) -> Present<'_> {
                Present {
                    app: &self.app,
                    auth: &self.auth,
                    username: self.username.as_deref(),
                    hub_login_token: self.hub_login_token.as_deref(),
                }
            }
        }
    )+ };
}

presenting! { OpenRequest VerifyRequest ResealRequest }

fn to_seal(request: &proto::SealRequest) -> Seal<'_> {
    Seal {
        app: &request.app,
        username: request.username.as_deref(),
        payload: &request.payload,
        kind: verdicts::kind_of(request.kind),
        ttl: request.ttl,
        hub_login_token: request.hub_login_token.as_deref(),
        hub_origin: &request.hub_origin,
        labels: request.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect(),
    }
}

fn sealed(token: SealedToken) -> proto::SealResponse {
    proto::SealResponse {
        auth: token.auth,
        token_id: token.token_id,
        grant_id: token.grant_id,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        key_version: token.key_version,
        username_bound: token.username_bound,
        hub_login_token_bound: token.hub_login_token_bound,
        hints: verdicts::hints(&token.hints),
    }
}

fn judged(token: JudgedToken) -> proto::VerifyResponse {
    proto::VerifyResponse {
        verdict: verdicts::verdict(token.verdict),
        hints: verdicts::hints(&token.hints),
        claims: token.claims.map(claims),
        key_version: token.key_version,
    }
}

fn opened(token: OpenedToken) -> proto::OpenResponse {
    let proto::VerifyResponse { verdict, hints, claims, key_version } = judged(token.judged);
    proto::OpenResponse { verdict, hints, payload: token.payload, claims, key_version }
}

fn resealed(token: ResealedToken) -> proto::ResealResponse {
    let proto::VerifyResponse { verdict, hints, claims, key_version } = judged(token.judged);
    proto::ResealResponse { verdict, hints, auth: token.auth, claims, key_version }
}

fn claims(claims: Claims) -> proto::TokenClaims {
    proto::TokenClaims {
        token_id: claims.token_id,
        grant_id: claims.grant_id,
        kind: verdicts::kind(claims.kind),
        issued_at: claims.issued_at,
        expires_at: claims.expires_at,
        username_bound: claims.username_bound,
        hub_login_token_bound: claims.hub_login_token_bound,
        hub_origin: claims.hub_origin,
        reseal_count: claims.reseal_count,
        labels: claims.labels.into_iter().map(|(name, value)| proto::Label { name, value }).collect(),
    }
}
