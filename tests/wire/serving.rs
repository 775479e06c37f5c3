//! Health, reflection, drain, and our own client.

use std::time::{Duration, Instant};

use countersign::grpc::{
    Limits,
    client::{Address, Client},
    proto,
};
use tokio::io::AsyncWriteExt as _;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb as reflection;

use crate::harness::{CHECK, MINT, Running, framed, limits};

#[tokio::test]
async fn health_is_told_for_each_service_and_as_a_whole() {
    let running = Running::start(limits());
    let mut client = HealthClient::new(running.channel().await);
    let names = [
        "",
        "countersign.v1.LiveAuthService",
        "countersign.v1.LiveAuthPortalService",
        "countersign.v1.HubTokenService",
    ];
    let request = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let mut watch = client.watch(request("")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    for (serving, status) in [(true, ServingStatus::Serving), (false, ServingStatus::NotServing)] {
        running.server().set_serving(serving);
        for name in names {
            assert_eq!(client.check(request(name)).await.unwrap().into_inner().status(), status);
        }
        assert_eq!(watch.message().await.unwrap().unwrap().status(), status);
    }
    assert_eq!(client.check(request("nobody")).await.unwrap_err().code(), tonic::Code::NotFound);
    let mut unknown = client.watch(request("nobody")).await.unwrap().into_inner();
    assert_eq!(unknown.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    drop((watch, unknown, client));
    running.stop().await;
}

/// Asks for the list of services, with either version's generated client.
macro_rules! services_by {
    ($version:ident, $running:expr) => {{
        use reflection::$version as pb;
        let mut client = pb::server_reflection_client::ServerReflectionClient::new($running.channel().await);
        let request = pb::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(pb::server_reflection_request::MessageRequest::ListServices(String::new())),
        };
        match client.server_reflection_info(tokio_stream::iter([request])).await {
            Err(status) => Err(status),
            Ok(stream) => {
                let reply = stream.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
                let pb::server_reflection_response::MessageResponse::ListServicesResponse(list) = reply else {
                    panic!("no list of services")
                };
                Ok(list.service.into_iter().map(|service| service.name).collect::<Vec<_>>())
            }
        }
    }};
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions_and_only_where_it_is_on() {
    let running = Running::start(limits());
    let v1 = services_by!(v1, running).unwrap();
    let v1alpha = services_by!(v1alpha, running).unwrap();
    for name in [
        "countersign.v1.LiveAuthService",
        "countersign.v1.LiveAuthPortalService",
        "countersign.v1.HubTokenService",
        "grpc.health.v1.Health",
    ] {
        assert!(v1.iter().any(|n| n == name) && v1alpha.iter().any(|n| n == name), "{name}: {v1:?} {v1alpha:?}");
    }
    running.stop().await;

    let running = Running::start_with(limits(), false);
    assert_eq!(services_by!(v1, running).unwrap_err().code(), tonic::Code::Unimplemented);
    running.stop().await;
}

#[tokio::test]
async fn a_drain_ends_with_a_watch_a_stuck_call_and_a_half_open_connection() {
    let running = Running::start(Limits { deadline: Duration::from_secs(3600), ..limits() });
    let mut health = HealthClient::new(running.channel().await);
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap();
    let half_open = running.unix().await;
    let mut half_begun = running.unix().await;
    half_begun.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let stuck = running.begin_call(MINT).await;
    let socket = running.socket.clone();

    let begun = Instant::now();
    running.drain(Duration::from_millis(300)).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "it waited for the stuck call's own deadline");
    assert_eq!(watch.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    assert!(!socket.exists());
    drop((half_open, half_begun, stuck));
}

#[tokio::test]
async fn a_drain_without_stragglers_does_not_wait_for_its_deadline() {
    let running = Running::start(limits());
    assert_eq!(running.grpc(CHECK, &[], framed(b"")).await.grpc_status(), Some(0));
    let idle = running.channel().await;
    let mut client = HealthClient::new(idle.clone());
    client.check(HealthCheckRequest::default()).await.unwrap();
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), running.drain(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(watch.message().await.unwrap_err().code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn the_client_tells_a_refusal_from_a_service_that_is_gone() {
    let running = Running::start(Limits { in_flight: 0, ..limits() });
    for address in [format!("unix:{}", running.socket.display()), running.tcp.clone()] {
        let address = Address::parse(&address).unwrap();
        let refused = tokio::task::spawn_blocking(move || {
            let client = Client::connect(&address, None, Duration::from_secs(20)).unwrap();
            let first = client.mint_hash(proto::MintHashRequest::default()).unwrap_err();
            assert_eq!(client.batch_open(proto::BatchOpenRequest::default()).unwrap_err(), first);
            first
        });
        let refused = refused.await.unwrap();
        assert_eq!((refused.code, refused.reason.as_str(), refused.unreachable), (14, "OVERLOADED", false));
    }
    let address = Address::Unix(running.socket.clone());
    let (connected, ready) = tokio::sync::oneshot::channel();
    let (gone, wait) = std::sync::mpsc::channel();
    let calling = tokio::task::spawn_blocking(move || {
        let client = Client::connect(&address, None, Duration::from_secs(20)).unwrap();
        connected.send(()).unwrap();
        wait.recv().unwrap();
        client.open(proto::OpenRequest::default()).unwrap_err()
    });
    ready.await.unwrap();
    running.drain(Duration::from_millis(100)).await;
    gone.send(()).unwrap();
    assert!(calling.await.unwrap().unreachable);
}
