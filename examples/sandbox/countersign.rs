//! The calls to Countersign, over gRPC and its Unix socket, as any client makes them.

use std::time::Duration;

use ::countersign::grpc::proto::{
    MintHashRequest, MintHashResponse, live_auth_service_client::LiveAuthServiceClient, mint_hash_request::Validity,
};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};

/// The domain that LiveAuth secrets belong to here.
pub(crate) const DOMAIN: &str = "jobs.example.com";

/// How long a call that only uses keys may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection, made when it is first needed and again when it is lost.
pub(crate) struct Countersign {
    channel: Channel,
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
        Ok(liveauth.mint_hash(within(PATIENCE, request)).await?.into_inner())
    }
}

fn within<T>(patience: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    request
}
