//! `LiveAuthService`: from its messages to the authority and back.

use tonic::Status;

use super::{
    proto::{
        self, batch_mint_hash_result::Result as MintResult, batch_verify_hash_result::Result as VerifyResult,
        mint_hash_request, verify_hash_request,
    },
    rpc::{Rpc, batch},
    session::Exchange,
    verdicts,
};
use crate::authority::{JudgedHash, MintHash, MintedHash, Origin, Validity, VerifyHash};

impl Rpc for proto::MintHashRequest {
    type Answer = proto::MintHashResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        exchange.work(|authority, call| authority.mint_hash(call, &to_mint(self))).map(minted)
    }
}

impl Rpc for proto::VerifyHashRequest {
    type Answer = proto::VerifyHashResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        exchange.work(|authority, call| authority.verify_hash(call, &to_verify(self))).map(judged)
    }
}

impl Rpc for proto::BatchMintHashRequest {
    type Answer = proto::BatchMintHashResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let results = batch(
            exchange,
            &self.items,
            to_mint,
            |a, call, items| a.batch_mint_hash(call, items),
            |item| {
                let result = item.map_or_else(MintResult::Error, |hash| MintResult::Response(minted(hash)));
                proto::BatchMintHashResult { result: Some(result) }
            },
        )?;
        Ok(proto::BatchMintHashResponse { results })
    }
}

impl Rpc for proto::BatchVerifyHashRequest {
    type Answer = proto::BatchVerifyHashResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let results = batch(
            exchange,
            &self.items,
            to_verify,
            |a, call, items| a.batch_verify_hash(call, items),
            |item| {
                let result = item.map_or_else(VerifyResult::Error, |hash| VerifyResult::Response(judged(hash)));
                proto::BatchVerifyHashResult { result: Some(result) }
            },
        )?;
        Ok(proto::BatchVerifyHashResponse { results })
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
