//! The same over gRPC, with the generated client.

use countersign::grpc::proto::{
    BeginLoginRequest, CompleteLoginRequest, HubGeneration, NotifyUpdateRequest, RenewAuthRequest, ResolveLoginRequest,
    Verdict, hub_login_service_client::HubLoginServiceClient,
};
use tonic::{Code, transport::Endpoint};
use tonic_types::StatusExt as _;

use crate::{
    asking::{JANE, started, tcp},
    hub::{Fault, Hub, LOGIN_TOKEN},
};

#[test]
fn the_five_methods_answer_over_grpc_too_and_errors_say_what_hub_may_have_heard() {
    let hub = Hub::open();
    let service = started(&hub, "generation = 1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Endpoint::from_shared(tcp(&service)).unwrap().connect().await.unwrap();
        let mut client = HubLoginServiceClient::new(channel);
        let opened = |app: &str, authenticate_url| BeginLoginRequest { app: app.into(), authenticate_url };
        let begun = client.begin_login(opened("acme", hub.authenticate_1())).await.unwrap().into_inner();
        assert_eq!((begun.generation(), begun.hub_origin), (HubGeneration::HubGeneration1, hub.origin()));
        let complete = |app: &str, login_state: &str| CompleteLoginRequest {
            app: app.into(),
            login_state: login_state.into(),
            username: JANE.into(),
            payload: b"a refresh token".to_vec(),
            ..CompleteLoginRequest::default()
        };
        let done = client.complete_login(complete("acme", &begun.login_state)).await.unwrap().into_inner();
        assert_eq!((done.verdict(), done.redirect_url), (Verdict::Valid, format!("{}/success?app=acme", hub.origin())));
        let resolve = ResolveLoginRequest { app: "acme".into(), hub_login_token: LOGIN_TOKEN.into() };
        let whose = client.resolve_login(resolve).await.unwrap().into_inner();
        assert_eq!((whose.verdict(), whose.username.as_str(), whose.grant_id), (Verdict::Valid, JANE, done.grant_id));
        let notify = NotifyUpdateRequest { app: "acme".into(), username: JANE.into(), hub_origin: None };
        assert_eq!(client.notify_update(notify).await.unwrap().into_inner().http_status, 200);

        let begun = client.begin_login(opened("other", hub.authenticate_2("1"))).await.unwrap().into_inner();
        let two = client.complete_login(complete("other", &begun.login_state)).await.unwrap().into_inner();
        assert_eq!((two.generation(), hub.browse(&two.redirect_url)), (HubGeneration::HubGeneration2, 200));
        let renew = RenewAuthRequest {
            app: "other".into(),
            username: JANE.into(),
            auth: hub.kept(JANE).unwrap(),
            callback: two.callback,
            ..RenewAuthRequest::default()
        };
        let renewed = client.renew_auth(renew).await.unwrap().into_inner();
        assert_eq!((renewed.verdict(), Some(renewed.auth)), (Verdict::Valid, hub.kept(JANE)));

        hub.misbehaves(Fault::Answer(503, String::new()));
        let begun = client.begin_login(opened("acme", hub.authenticate_1())).await.unwrap().into_inner();
        let status = client.complete_login(complete("acme", &begun.login_state)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unknown);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["vendor"].as_str()), ("DELIVERY_UNCERTAIN", "hub"));
        assert_eq!((info.metadata["sent"].as_str(), info.metadata["http_status"].as_str()), ("answered", "503"));
    });
}
