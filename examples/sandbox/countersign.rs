//! The calls to Countersign, over gRPC and its Unix socket, as any client makes them.

use std::{future::Future, time::Duration};

use ::countersign::grpc::proto::{
    BeginLoginRequest, BeginLoginResponse, CompleteInfoRequest, CompleteInfoResponse, CompleteLoginRequest,
    CompleteLoginResponse, GetStatusRequest, GetStatusResponse, LoginRequest, LoginResponse, LogoutRequest,
    LogoutResponse, MintHashRequest, MintHashResponse, NotifyUpdateRequest, NotifyUpdateResponse, OpenRequest,
    OpenResponse, RenewAuthRequest, RenewAuthResponse, ResolveLoginRequest, ResolveLoginResponse, RevokeRequest,
    RevokeResponse, TestRequest, TestResponse, Verdict, hub_login_service_client::HubLoginServiceClient,
    hub_token_service_client::HubTokenServiceClient, live_auth_portal_service_client::LiveAuthPortalServiceClient,
    live_auth_service_client::LiveAuthServiceClient, mint_hash_request::Validity,
};
use serde::Serialize;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::trace::{Seen, Topic, Trace};

/// The domain that LiveAuth secrets belong to here.
pub(crate) const DOMAIN: &str = "jobs.example.com";

/// How long a call may take: longer than the service waits for a vendor, so that what it has to say is heard.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, made when it is first needed and again when it is lost.
pub(crate) struct Countersign {
    channel: Channel,
}

/// Methods that are one RPC each, shown in the trace.
macro_rules! rpcs {
    ($client:ident, $topic:ident, $from:literal: $($method:ident, $name:literal, $request:ident -> $response:ident;)+) => { $(
        pub(crate) async fn $method(&self, trace: &Trace, request: $request) -> Result<$response, Status> {
            let mut client = $client::new(self.channel.clone());
            let whose = (Topic::$topic, $from);
            seen(trace, whose, $name, request, |request| async move { client.$method(request).await }).await
        }
    )+ };
}

impl Countersign {
    /// `address`: `unix:PATH`.
    pub(crate) fn at(address: &str) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| error.to_string())?;
        Ok(Self { channel: endpoint.connect_lazy() })
    }

    /// A LiveAuth hash for the job site, good for `ttl` seconds.
    pub(crate) async fn mint(&self, client: i64, ttl: i64) -> Result<MintHashResponse, Status> {
        let request = MintHashRequest { domain: DOMAIN.into(), client, validity: Some(Validity::Ttl(ttl)) };
        let mut liveauth = LiveAuthServiceClient::new(self.channel.clone());
        Ok(liveauth.mint_hash(within(request)).await?.into_inner())
    }

    rpcs! { HubLoginServiceClient, Hub, "Acme Contacts":
        begin_login, "HubLoginService/BeginLogin", BeginLoginRequest -> BeginLoginResponse;
        complete_login, "HubLoginService/CompleteLogin", CompleteLoginRequest -> CompleteLoginResponse;
        renew_auth, "HubLoginService/RenewAuth", RenewAuthRequest -> RenewAuthResponse;
        resolve_login, "HubLoginService/ResolveLogin", ResolveLoginRequest -> ResolveLoginResponse;
        notify_update, "HubLoginService/NotifyUpdate", NotifyUpdateRequest -> NotifyUpdateResponse;
    }
    rpcs! { HubTokenServiceClient, Hub, "Acme Contacts":
        open, "HubTokenService/Open", OpenRequest -> OpenResponse;
        revoke, "HubTokenService/Revoke", RevokeRequest -> RevokeResponse;
    }
    rpcs! { LiveAuthPortalServiceClient, LiveAuth, "Job site":
        test, "LiveAuthPortalService/Test", TestRequest -> TestResponse;
        get_status, "LiveAuthPortalService/GetStatus", GetStatusRequest -> GetStatusResponse;
        login, "LiveAuthPortalService/Login", LoginRequest -> LoginResponse;
        complete_info, "LiveAuthPortalService/CompleteInfo", CompleteInfoRequest -> CompleteInfoResponse;
        logout, "LiveAuthPortalService/Logout", LogoutRequest -> LogoutResponse;
    }
}

/// The verdict's name, as text output of the command line has it.
pub(crate) fn verdict(number: i32) -> &'static str {
    Verdict::try_from(number).unwrap_or_default().as_str_name().trim_start_matches("VERDICT_")
}

/// A refusal, for people: what it is called, and what to do.
pub(crate) fn told(status: &Status) -> String {
    format!("{}. {}", named(status), status.message())
}

/// Its code and its reason.
fn named(status: &Status) -> String {
    let reason = status.get_error_details().error_info().map(|info| format!(", {}", info.reason)).unwrap_or_default();
    format!("{:?}{reason}", status.code())
}

async fn seen<Q, A, F>(
    trace: &Trace,
    (topic, from): (Topic, &'static str),
    rpc: &str,
    request: Q,
    call: impl FnOnce(Request<Q>) -> F,
) -> Result<A, Status>
where
    Q: Serialize,
    A: Serialize,
    F: Future<Output = Result<Response<A>, Status>>,
{
    let sent = serde_json::to_value(&request).ok();
    let outcome = call(within(request)).await.map(Response::into_inner);
    let got = match &outcome {
        Ok(got) => serde_json::to_value(got).ok(),
        Err(status) => Some(status.message().into()),
    };
    let judged = got.as_ref().and_then(|got| got.get("verdict")?.as_str());
    let answer = match (&outcome, judged) {
        (Err(status), _) => named(status),
        (Ok(_), Some(verdict)) => format!("OK, {}", verdict.trim_start_matches("VERDICT_")),
        (Ok(_), None) => "OK".to_owned(),
    };
    trace.note(&Seen { topic, from, to: "Countersign", request: rpc, sent, answer: &answer, got });
    outcome
}

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}
