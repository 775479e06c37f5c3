//! Server reflection, in both of its versions. The tables behind it are built for each stream and dropped with it: whoever
//! explores waits a moment, and nobody else pays memory for it. What a listener does not serve, it does not describe.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tonic::{Status, codegen::Service as _};
use tonic_reflection::server::Builder;

use super::{proto, route::ReflectionVersion, session::Reach};

/// Serves one reflection stream.
pub(super) async fn serve<B>(
    version: ReflectionVersion,
    reach: Reach,
    message_bytes: usize,
    request: Request<B>,
) -> Response<tonic::body::Body>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let ours = match reach {
        Reach::Ordinary => proto::ORDINARY_DESCRIPTORS,
        Reach::Admin => proto::DESCRIPTORS,
    };
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(ours)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let served = match version {
        ReflectionVersion::V1 => match builder.build_v1() {
            Ok(service) => Some(service.max_decoding_message_size(message_bytes).call(request).await),
            Err(_) => None,
        },
        ReflectionVersion::V1Alpha => match builder.build_v1alpha() {
            Ok(service) => Some(service.max_decoding_message_size(message_bytes).call(request).await),
            Err(_) => None,
        },
    };
    match served {
        Some(Ok(answer)) => answer,
        Some(Err(never)) => match never {},
        None => Status::internal("the descriptors do not load").into_http(),
    }
}
