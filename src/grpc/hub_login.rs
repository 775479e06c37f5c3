//! `HubLoginService`: from its messages to the authority and back.

use tonic::Status;

use super::{
    proto::{self, HubGeneration as Number},
    rpc::{Order, Reply, Rpc},
    session::Exchange,
    verdicts,
};
use crate::authority::{
    BeginLogin, CompleteLogin, CompletedLogin, HubGeneration, NotifyUpdate, RenewAuth, RenewedAuth, ResolveLogin,
};

impl Rpc for proto::BeginLoginRequest {
    type Answer = proto::BeginLoginResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let request = BeginLogin { app: &self.app, authenticate_url: &self.authenticate_url };
        let begun = exchange.work(|authority, call| authority.begin_login(call, &request))?;
        Ok(proto::BeginLoginResponse {
            login_state: begun.login_state,
            expires_at: begun.expires_at,
            generation: number(begun.generation),
            hub_origin: begun.hub_origin,
        })
    }
}

impl Rpc for proto::ResolveLoginRequest {
    type Answer = proto::ResolveLoginResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let request = ResolveLogin { app: &self.app, hub_login_token: &self.hub_login_token };
        let resolved = exchange.work(|authority, call| authority.resolve_login(call, &request))?;
        Ok(proto::ResolveLoginResponse {
            verdict: verdicts::verdict(resolved.verdict),
            username: resolved.username,
            grant_id: resolved.grant_id,
            bound_at: resolved.bound_at,
            expires_at: resolved.expires_at,
            found: resolved.found,
        })
    }
}

impl Order for proto::CompleteLoginRequest {
    type Answer = proto::CompleteLoginResponse;

    fn begin(self, exchange: &Exchange<'_>, reply: Reply<Self::Answer>) -> Result<(), Status> {
        exchange.order(|authority, call, deadline| {
            let request = CompleteLogin {
                app: &self.app,
                login_state: &self.login_state,
                username: &self.username,
                payload: &self.payload,
                kind: verdicts::kind_of(self.kind),
                ttl: self.ttl,
                labels: labels(&self.labels),
                deadline,
            };
            authority.complete_login(call, &request, move |done| reply.give(done.map(completed)))
        })
    }
}

impl Order for proto::RenewAuthRequest {
    type Answer = proto::RenewAuthResponse;

    fn begin(self, exchange: &Exchange<'_>, reply: Reply<Self::Answer>) -> Result<(), Status> {
        exchange.order(|authority, call, deadline| {
            let request = RenewAuth {
                app: &self.app,
                username: &self.username,
                auth: &self.auth,
                callback: &self.callback,
                payload: self.payload.as_deref(),
                kind: verdicts::kind_of(self.kind),
                ttl: self.ttl,
                labels: labels(&self.labels),
                deadline,
            };
            authority.renew_auth(call, &request, move |done| reply.give(done.map(renewed)))
        })
    }
}

impl Order for proto::NotifyUpdateRequest {
    type Answer = proto::NotifyUpdateResponse;

    fn begin(self, exchange: &Exchange<'_>, reply: Reply<Self::Answer>) -> Result<(), Status> {
        exchange.order(|authority, call, deadline| {
            let hub_origin = self.hub_origin.as_deref();
            let request = NotifyUpdate { app: &self.app, username: &self.username, hub_origin, deadline };
            let answer = |status: u16| proto::NotifyUpdateResponse { http_status: status.into() };
            authority.notify_update(call, &request, move |done| reply.give(done.map(answer)))
        })
    }
}

fn labels(labels: &[proto::Label]) -> Vec<(&str, &str)> {
    labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect()
}

fn number(generation: HubGeneration) -> i32 {
    match generation {
        HubGeneration::One => Number::HubGeneration1.into(),
        HubGeneration::Two => Number::HubGeneration2.into(),
    }
}

fn completed(done: CompletedLogin) -> proto::CompleteLoginResponse {
    proto::CompleteLoginResponse {
        verdict: verdicts::verdict(done.verdict),
        hints: verdicts::hints(&done.hints),
        redirect_url: done.redirect_url,
        token_id: done.token_id,
        grant_id: done.grant_id,
        issued_at: done.issued_at,
        expires_at: done.expires_at,
        generation: done.generation.map_or(0, number),
        callback: done.callback,
    }
}

fn renewed(done: RenewedAuth) -> proto::RenewAuthResponse {
    proto::RenewAuthResponse {
        verdict: verdicts::verdict(done.verdict),
        hints: verdicts::hints(&done.hints),
        auth: done.auth,
        token_id: done.token_id,
        grant_id: done.grant_id,
        issued_at: done.issued_at,
        expires_at: done.expires_at,
    }
}
