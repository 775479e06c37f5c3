//! `LiveAuthService`: decode, call the authority, encode.

use tonic::{Request, Response, Status};

use super::{
    proto::{
        self, batch_mint_hash_result, batch_verify_hash_result, live_auth_service_server::LiveAuthService,
        mint_hash_request, verify_hash_request,
    },
    session::Exchange,
    status, verdicts,
};
use crate::authority::{JudgedHash, MintHash, MintedHash, Origin, Validity, VerifyHash};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl LiveAuthService for Exchange {
    async fn mint_hash(&self, request: Request<proto::MintHashRequest>) -> Answer<proto::MintHashResponse> {
        let request = request.into_inner();
        self.work(|authority, call| authority.mint_hash(call, &to_mint(&request))).map(minted).map(Response::new)
    }

    async fn verify_hash(&self, request: Request<proto::VerifyHashRequest>) -> Answer<proto::VerifyHashResponse> {
        let request = request.into_inner();
        self.work(|authority, call| authority.verify_hash(call, &to_verify(&request))).map(judged).map(Response::new)
    }

    async fn batch_mint_hash(
        &self,
        request: Request<proto::BatchMintHashRequest>,
    ) -> Answer<proto::BatchMintHashResponse> {
        let items = request.into_inner().items;
        let done = self.work_on_batch(items.len(), |authority, call| {
            authority.batch_mint_hash(call, &items.iter().map(to_mint).collect::<Vec<_>>())
        })?;
        let results = done.into_iter().map(|item| proto::BatchMintHashResult {
            result: Some(match item {
                Ok(hash) => batch_mint_hash_result::Result::Response(minted(hash)),
                Err(refusal) => batch_mint_hash_result::Result::Error(status::of_item(&refusal)),
            }),
        });
        Ok(Response::new(proto::BatchMintHashResponse { results: results.collect() }))
    }

    async fn batch_verify_hash(
        &self,
        request: Request<proto::BatchVerifyHashRequest>,
    ) -> Answer<proto::BatchVerifyHashResponse> {
        let items = request.into_inner().items;
        let done = self.work_on_batch(items.len(), |authority, call| {
            authority.batch_verify_hash(call, &items.iter().map(to_verify).collect::<Vec<_>>())
        })?;
        let results = done.into_iter().map(|item| proto::BatchVerifyHashResult {
            result: Some(match item {
                Ok(hash) => batch_verify_hash_result::Result::Response(judged(hash)),
                Err(refusal) => batch_verify_hash_result::Result::Error(status::of_item(&refusal)),
            }),
        });
        Ok(Response::new(proto::BatchVerifyHashResponse { results: results.collect() }))
    }
}

fn to_mint(request: &proto::MintHashRequest) -> MintHash<'_> {
    MintHash {
        domain: &request.domain,
        client: request.client,
        validity: match request.validity {
            None => Validity::Default,
            Some(mint_hash_request::Validity::Ttl(seconds)) => Validity::Ttl(seconds),
            Some(mint_hash_request::Validity::Expires(at)) => Validity::Until(at),
        },
    }
}

fn minted(hash: MintedHash) -> proto::MintHashResponse {
    let MintedHash { client, expires, hash, referer, query, key_version } = hash;
    proto::MintHashResponse { client, expires, hash, referer, query, key_version }
}

fn to_verify(request: &proto::VerifyHashRequest) -> VerifyHash<'_> {
    VerifyHash {
        origin: match &request.origin {
            None => Origin::Missing,
            Some(verify_hash_request::Origin::Domain(domain)) => Origin::Domain(domain),
            Some(verify_hash_request::Origin::Referer(referer)) => Origin::Referer(referer),
        },
        client: &request.client,
        expires: &request.expires,
        hash: &request.hash,
    }
}

fn judged(hash: JudgedHash) -> proto::VerifyHashResponse {
    proto::VerifyHashResponse {
        verdict: verdicts::verdict(hash.verdict),
        hints: verdicts::hints(&hash.hints),
        key_version: hash.key_version,
        domain: hash.domain,
        client: hash.client,
        expires: hash.expires,
    }
}
