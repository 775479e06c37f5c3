//! A client of Countersign: mints and verifies a hash, seals a payload and opens it, and shows how a refusal reads.
//!
//! ```sh
//! COUNTERSIGN_ADDRESS=unix:/run/countersign/countersign.sock cargo run
//! ```
//!
//! For `https://HOST:PORT`, `COUNTERSIGN_TLS_CERT` and `COUNTERSIGN_TLS_KEY` name the client's certificate and key, and
//! `COUNTERSIGN_TLS_CA` the authority that the service's certificate must lead to: files in PEM.

use std::{env, error::Error as _, fs, time::Duration};

use tokio::time::{Instant, sleep};
use tonic::{
    Code, Request, Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use countersign::{
    MintHashRequest, OpenRequest, SealRequest, Verdict, VerifyHashRequest,
    hub_token_service_client::HubTokenServiceClient, live_auth_service_client::LiveAuthServiceClient,
    mint_hash_request::Validity, verify_hash_request::Origin,
};

mod countersign {
    tonic::include_proto!("countersign.v1");
}

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long one call may take in all, with every wait and every attempt.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a call is made that the service is not there for, and how long to wait the first time.
const ATTEMPTS: u32 = 4;
const BACKOFF: Duration = Duration::from_millis(100);

/// Gives one channel for the whole process, cheap to clone: make it once, and keep it.
fn connect() -> Result<Channel, Box<dyn std::error::Error>> {
    let address =
        env::var("COUNTERSIGN_ADDRESS").unwrap_or_else(|_| "unix:/run/countersign/countersign.sock".to_owned());
    let mut endpoint = Endpoint::from_shared(address.clone())?;
    if address.starts_with("https://") {
        let read = |name: &str| -> Result<Vec<u8>, Box<dyn std::error::Error>> { Ok(fs::read(env::var(name)?)?) };
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read("COUNTERSIGN_TLS_CA")?))
            .identity(Identity::from_pem(read("COUNTERSIGN_TLS_CERT")?, read("COUNTERSIGN_TLS_KEY")?));
        endpoint = endpoint.tls_config(tls)?;
    } else {
        endpoint = endpoint.origin(Uri::from_static("http://localhost"));
    }
    Ok(endpoint.connect_lazy())
}

/// Calls with a deadline. Where the service is not there or overloaded, waits a little and calls again, a few times:
/// every RPC may be repeated; at worst, a hash or a token too many was made. Where the caller is over its rate, waits
/// for as long as the service asks. tonic knows no service config, so this does what the other languages' does.
async fn patiently<Q: Clone, A>(
    message: Q,
    mut call: impl AsyncFnMut(Request<Q>) -> Result<Response<A>, Status>,
) -> Result<A, Status> {
    let until = Instant::now() + PATIENCE;
    let mut attempt = 0;
    loop {
        let mut request = Request::new(message.clone());
        request.set_timeout(DEADLINE);
        let status = match call(request).await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) => status,
        };
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let wait = match (status.code(), asked) {
            (Code::ResourceExhausted, Some(asked)) => asked,
            _ if nobody_there(&status) && attempt + 1 < ATTEMPTS => {
                attempt += 1;
                BACKOFF * 2_u32.pow(attempt - 1)
            }
            _ => return Err(status),
        };
        if Instant::now() + wait > until {
            return Err(status);
        }
        sleep(wait).await;
    }
}

/// Whether the service did not take the call, or the connection broke: tonic calls the latter `Unknown`.
fn nobody_there(status: &Status) -> bool {
    let broke = || status.source().is_some_and(|cause| cause.is::<tonic::transport::Error>());
    status.code() == Code::Unavailable || (status.code() == Code::Unknown && broke())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let channel = connect()?;

    let mut health = HealthClient::new(channel.clone());
    let service = HealthCheckRequest { service: "countersign.v1.LiveAuthService".to_owned() };
    let serving = patiently(service, async |request| health.check(request).await).await?;
    println!("health: {}", serving.status().as_str_name());

    let mut liveauth = LiveAuthServiceClient::new(channel.clone());
    let mut mint =
        MintHashRequest { domain: "jobs.example.com".to_owned(), client: 42, validity: Some(Validity::Ttl(60)) };
    let minted = patiently(mint.clone(), async |request| liveauth.mint_hash(request).await).await?;
    println!("minted: {}", minted.query);

    // What an end user presents goes to the service as it came, as text.
    let presented = VerifyHashRequest {
        origin: Some(Origin::Domain("jobs.example.com".to_owned())),
        client: "42".to_owned(),
        expires: minted.expires.to_string(),
        hash: minted.hash,
    };
    let verified = patiently(presented, async |request| liveauth.verify_hash(request).await).await?;
    println!("verified: {}", verified.verdict().as_str_name());

    let mut hub = HubTokenServiceClient::new(channel);
    let seal = SealRequest {
        app: "acme-contacts".to_owned(),
        username: Some("jane@example.com".to_owned()),
        payload: b"an OAuth token".to_vec(),
        ttl: Some(3600),
        ..SealRequest::default()
    };
    let sealed = patiently(seal, async |request| hub.seal(request).await).await?;

    // A verdict is an answer, not an error: a token of another user's is WRONG_CONTEXT, with status OK.
    for username in ["jane@example.com", "john@example.com"] {
        let open = OpenRequest {
            app: "acme-contacts".to_owned(),
            auth: sealed.auth.clone(),
            username: Some(username.to_owned()),
            hub_login_token: None,
        };
        let opened = patiently(open, async |request| hub.open(request).await).await?;
        match opened.verdict() {
            Verdict::Valid => println!("opened for {username}: {} bytes", opened.payload.len()),
            other => println!("not opened for {username}: {}", other.as_str_name()),
        }
    }

    // An error is the caller's fault or the service's: here, the caller asks for more than it may.
    mint.validity = Some(Validity::Ttl(1_000_000));
    if let Err(status) = patiently(mint, async |request| liveauth.mint_hash(request).await).await {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.as_str()).unwrap_or_default();
        let request = details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default();
        let fields: Vec<&str> = request.iter().map(|violation| violation.field.as_str()).collect();
        println!("refused: {:?}, {reason}, {}", status.code(), fields.join(", "));
    }
    Ok(())
}
