//! `HubTokenService`: decode, call the authority, encode.

use tonic::{Request, Response, Status};

use super::{
    proto::{
        self, batch_open_result, batch_reseal_result, batch_seal_result, batch_verify_result,
        hub_token_service_server::HubTokenService,
    },
    session::Exchange,
    status, verdicts,
};
use crate::authority::{Claims, JudgedToken, OpenedToken, Present, ResealedToken, Seal, SealedToken};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl HubTokenService for Exchange {
    async fn seal(&self, request: Request<proto::SealRequest>) -> Answer<proto::SealResponse> {
        let request = request.into_inner();
        self.work(|authority, call| authority.seal(call, &to_seal(&request))).map(sealed).map(Response::new)
    }

    async fn open(&self, request: Request<proto::OpenRequest>) -> Answer<proto::OpenResponse> {
        let request = request.into_inner();
        self.work(|authority, call| authority.open(call, &request.presented())).map(opened).map(Response::new)
    }

    async fn verify(&self, request: Request<proto::VerifyRequest>) -> Answer<proto::VerifyResponse> {
        let request = request.into_inner();
        self.work(|authority, call| authority.verify(call, &request.presented())).map(judged).map(Response::new)
    }

    async fn reseal(&self, request: Request<proto::ResealRequest>) -> Answer<proto::ResealResponse> {
        let request = request.into_inner();
        self.work(|authority, call| authority.reseal(call, &request.presented())).map(resealed).map(Response::new)
    }

    async fn batch_seal(&self, request: Request<proto::BatchSealRequest>) -> Answer<proto::BatchSealResponse> {
        let items = request.into_inner().items;
        let done = self.work_on_batch(items.len(), |authority, call| {
            authority.batch_seal(call, &items.iter().map(to_seal).collect::<Vec<_>>())
        })?;
        let results = done.into_iter().map(|item| proto::BatchSealResult {
            result: Some(match item {
                Ok(token) => batch_seal_result::Result::Response(sealed(token)),
                Err(refusal) => batch_seal_result::Result::Error(status::of_item(&refusal)),
            }),
        });
        Ok(Response::new(proto::BatchSealResponse { results: results.collect() }))
    }

    async fn batch_open(&self, request: Request<proto::BatchOpenRequest>) -> Answer<proto::BatchOpenResponse> {
        let items = request.into_inner().items;
        let done = self.work_on_batch(items.len(), |authority, call| {
            authority.batch_open(call, &items.iter().map(Presenting::presented).collect::<Vec<_>>())
        })?;
        let results = done.into_iter().map(|item| proto::BatchOpenResult {
            result: Some(match item {
                Ok(token) => batch_open_result::Result::Response(opened(token)),
                Err(refusal) => batch_open_result::Result::Error(status::of_item(&refusal)),
            }),
        });
        Ok(Response::new(proto::BatchOpenResponse { results: results.collect() }))
    }

    async fn batch_verify(&self, request: Request<proto::BatchVerifyRequest>) -> Answer<proto::BatchVerifyResponse> {
        let items = request.into_inner().items;
        let done = self.work_on_batch(items.len(), |authority, call| {
            authority.batch_verify(call, &items.iter().map(Presenting::presented).collect::<Vec<_>>())
        })?;
        let results = done.into_iter().map(|item| proto::BatchVerifyResult {
            result: Some(match item {
                Ok(token) => batch_verify_result::Result::Response(judged(token)),
                Err(refusal) => batch_verify_result::Result::Error(status::of_item(&refusal)),
            }),
        });
        Ok(Response::new(proto::BatchVerifyResponse { results: results.collect() }))
    }

    async fn batch_reseal(&self, request: Request<proto::BatchResealRequest>) -> Answer<proto::BatchResealResponse> {
        let items = request.into_inner().items;
        let done = self.work_on_batch(items.len(), |authority, call| {
            authority.batch_reseal(call, &items.iter().map(Presenting::presented).collect::<Vec<_>>())
        })?;
        let results = done.into_iter().map(|item| proto::BatchResealResult {
            result: Some(match item {
                Ok(token) => batch_reseal_result::Result::Response(resealed(token)),
                Err(refusal) => batch_reseal_result::Result::Error(status::of_item(&refusal)),
            }),
        });
        Ok(Response::new(proto::BatchResealResponse { results: results.collect() }))
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
