//! `KeyService/ExplainToken`.

use tonic::Status;

use super::{state_of, suite_of};
use crate::{
    authority::{Check, CheckOutcome, Checked, ExplainedToken, Present, RevocationKind, TokenFacts, TokenTimes},
    grpc::{
        proto::{self, explain_token_response::Claims, explain_token_response::Facts},
        rpc::Rpc,
        session::Exchange,
        verdicts,
    },
};

impl Rpc for proto::ExplainTokenRequest {
    type Answer = proto::ExplainTokenResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let request = Present {
            app: &self.app,
            auth: &self.auth,
            username: self.username.as_deref(),
            hub_login_token: self.hub_login_token.as_deref(),
        };
        exchange.work(|authority, call| authority.explain_token(call, &request)).map(explained)
    }
}

fn explained(told: ExplainedToken) -> proto::ExplainTokenResponse {
    proto::ExplainTokenResponse {
        verdict: verdicts::verdict(told.verdict),
        hints: verdicts::hints(&told.hints),
        checks: told.checks.into_iter().map(checked).collect(),
        facts: told.facts.map(facts),
        claims: told.claims.map(claims),
        revoked_by: told.revoked_by.into_iter().map(revoked_by).collect(),
    }
}

fn checked(checked: Checked) -> proto::TokenChecked {
    let outcome = match checked.outcome {
        CheckOutcome::Passed => proto::TokenCheckOutcome::Passed,
        CheckOutcome::Failed => proto::TokenCheckOutcome::Failed,
        CheckOutcome::NotReached => proto::TokenCheckOutcome::NotReached,
    };
    proto::TokenChecked { check: check(checked.check).into(), outcome: outcome.into(), reason: checked.reason }
}

const fn check(check: Check) -> proto::TokenCheck {
    match check {
        Check::Length => proto::TokenCheck::Length,
        Check::Prefix => proto::TokenCheck::Prefix,
        Check::Checksum => proto::TokenCheck::Checksum,
        Check::Encoding => proto::TokenCheck::Encoding,
        Check::Head => proto::TokenCheck::Head,
        Check::Key => proto::TokenCheck::Key,
        Check::TokenRevoked => proto::TokenCheck::TokenRevoked,
        Check::Commitment => proto::TokenCheck::Commitment,
        Check::Bindings => proto::TokenCheck::Bindings,
        Check::Seal => proto::TokenCheck::Seal,
        Check::Body => proto::TokenCheck::Body,
        Check::Expiry => proto::TokenCheck::Expiry,
        Check::IssuedAt => proto::TokenCheck::IssuedAt,
        Check::Revoked => proto::TokenCheck::Revoked,
    }
}

fn facts(facts: TokenFacts) -> Facts {
    Facts {
        token_id: facts.token_id,
        suite: suite_of(facts.suite).into(),
        username_bound: facts.username_bound,
        hub_login_token_bound: facts.hub_login_token_bound,
        holds_bytes: u32::try_from(facts.holds).unwrap_or(u32::MAX),
        kid: facts.kid,
        key: facts.key,
        key_version: facts.key_version,
        key_state: facts.key_state.map_or(proto::KeyVersionState::Unspecified, state_of).into(),
    }
}

fn claims(claims: TokenTimes) -> Claims {
    Claims {
        grant_id: claims.grant_id,
        kind: verdicts::kind(claims.kind),
        issued_at: claims.issued_at,
        expires_at: claims.expires_at,
        reseal_count: claims.reseal_count,
    }
}

fn revoked_by((kind, until): (RevocationKind, i64)) -> proto::TokenRevokedBy {
    let kind = match kind {
        RevocationKind::Token => proto::RevocationKind::Token,
        RevocationKind::Grant => proto::RevocationKind::Grant,
        RevocationKind::User => proto::RevocationKind::User,
        RevocationKind::App => proto::RevocationKind::App,
    };
    proto::TokenRevokedBy { kind: kind.into(), issued_until: until }
}
