//! `LiveAuthPortalService`: from its messages to the authority and back.

use tonic::Status;

use super::{
    proto::{self, ProfileLink},
    rpc::{Order, Reply},
    session::Exchange,
};
use crate::authority::{Authority, Call, PortalCall, PortalLevel, PortalLink, UnknownLevel};

macro_rules! orders {
    ($($request:ident -> $response:ident: |$authority:ident, $call:ident, $to:ident, $asked:ident, $reply:ident| $begin:expr;)+) => { $(
        impl Order for proto::$request {
            type Answer = proto::$response;

            fn begin(self, exchange: &Exchange<'_>, $reply: Reply<Self::Answer>) -> Result<(), Status> {
                let $asked = &self;
                exchange.order(|$authority: &std::sync::Arc<Authority>, $call: Call<'_>, deadline| {
                    let $to = PortalCall { domain: &$asked.domain, client: $asked.client, deadline };
                    $begin
                })
            }
        }
    )+ };
}

orders! {
    TestRequest -> TestResponse: |authority, call, to, asked, reply| {
        let _ = asked;
        authority.portal_test(call, to, move |done| reply.give(done.map(|message| proto::TestResponse { message })))
    };
    GetStatusRequest -> GetStatusResponse: |authority, call, to, asked, reply| {
        authority.portal_status(call, to, asked.portal, asked.profile, move |done| {
            reply.give(done.map(|status| proto::GetStatusResponse {
                signed: status.signed,
                is_profile: status.is_profile,
                name: status.name,
                picture: status.picture,
            }));
        })
    };
    LoginRequest -> LoginResponse: |authority, call, to, asked, reply| {
        let at = PortalLink { portal: asked.portal, link: level(asked.link), id: asked.id };
        authority.portal_login(call, to, at, move |done| {
            reply.give(done.map(|began| proto::LoginResponse { url: began.url, token: began.token }));
        })
    };
    CompleteInfoRequest -> CompleteInfoResponse: |authority, call, to, asked, reply| {
        authority.portal_complete_info(call, to, &asked.token, move |done| {
            reply.give(done.map(|credentials| proto::CompleteInfoResponse { credentials: credentials.into_iter().collect() }));
        })
    };
    LogoutRequest -> LogoutResponse: |authority, call, to, asked, reply| {
        let at = PortalLink { portal: asked.portal, link: level(asked.link), id: asked.id };
        authority.portal_logout(call, to, at, move |done| reply.give(done.map(|()| proto::LogoutResponse {})))
    };
}

fn level(link: i32) -> Result<Option<PortalLevel>, UnknownLevel> {
    Ok(match ProfileLink::try_from(link).map_err(|_| UnknownLevel)? {
        ProfileLink::Unspecified => None,
        ProfileLink::Global => Some(PortalLevel::Global),
        ProfileLink::Office => Some(PortalLevel::Office),
        ProfileLink::Team => Some(PortalLevel::Team),
        ProfileLink::Profile => Some(PortalLevel::Profile),
    })
}
