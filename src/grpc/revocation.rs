//! The part of `HubTokenService` that cuts off: from its messages to the authority and back.

use tonic::Status;

use super::{
    proto::{self, revoke_request::What},
    rpc::Rpc,
    session::Exchange,
};
use crate::authority::{Cut, ListRevocations, Revocation, RevocationKind, Revoke};

impl Rpc for proto::RevokeRequest {
    type Answer = proto::RevokeResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let what = self.what.as_ref().map(|what| match what {
            What::Auth(auth) => Cut::Token {
                auth,
                username: self.bound_username.as_deref(),
                hub_login_token: self.bound_hub_login_token.as_deref(),
            },
            What::TokenId(id) => Cut::TokenId(id),
            What::GrantId(id) => Cut::Grant(id),
            What::Username(name) => Cut::User(name),
            What::All(all) => Cut::All(*all),
        });
        let request = Revoke { app: &self.app, what, issued_until: self.issued_until };
        let made = exchange.work(|authority, call| authority.revoke(call, &request))?;
        Ok(proto::RevokeResponse { revocation: Some(revocation(made)) })
    }
}

impl Rpc for proto::ListRevocationsRequest {
    type Answer = proto::ListRevocationsResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let request = ListRevocations { app: &self.app, page_size: self.page_size, page_token: &self.page_token };
        let listed = exchange.work(|authority, call| authority.list_revocations(call, &request))?;
        Ok(proto::ListRevocationsResponse {
            revocations: listed.revocations.into_iter().map(revocation).collect(),
            next_page_token: listed.next_page_token,
        })
    }
}

fn revocation(revocation: Revocation) -> proto::Revocation {
    let kind = match revocation.kind {
        RevocationKind::Token => proto::RevocationKind::Token,
        RevocationKind::Grant => proto::RevocationKind::Grant,
        RevocationKind::User => proto::RevocationKind::User,
        RevocationKind::App => proto::RevocationKind::App,
    };
    proto::Revocation {
        app: revocation.app,
        kind: kind.into(),
        token_id: revocation.token_id,
        grant_id: revocation.grant_id,
        user_digest: revocation.user,
        issued_until: revocation.issued_until,
        ends_at: revocation.ends_at,
        revoked_at: revocation.revoked_at,
    }
}
