//! A blocking client for the command line: one connection, one call at a time, a deadline on each.

mod wire;

use std::{fmt, path::PathBuf, time::Duration};

use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use self::wire::Wire;
use super::{
    proto::{
        self, hub_token_service_client::HubTokenServiceClient, key_service_client::KeyServiceClient,
        live_auth_service_client::LiveAuthServiceClient,
    },
    status::to_record,
    tls::{ClientTls, alert_in},
};

/// Where the service listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// `unix:PATH`
    Unix(PathBuf),
    /// `http://HOST:PORT`; the text is `HOST:PORT`.
    Http(String),
    /// `https://HOST:PORT`, which needs a client certificate.
    Https(String),
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // gRPC also writes unix:///absolute/path.
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err("unix: needs a path after it".to_owned())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let malformed = || format!("{text:?} is no address: write unix:PATH, https://HOST:PORT or http://HOST:PORT");
        let (is_tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://").ok_or_else(malformed)?),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(malformed)?;
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let plausible = !host.is_empty()
            && !host.contains(['/', '@', '?', '#'])
            && host.contains(':') == is_bracketed
            && port.parse::<u16>().is_ok();
        match plausible {
            true if is_tls => Ok(Self::Https(rest.to_owned())),
            true => Ok(Self::Http(rest.to_owned())),
            false => Err(malformed()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Https(authority) => write!(f, "https://{authority}"),
        }
    }
}

/// Why a call has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallError {
    /// Canonical gRPC code, as a number (google.rpc.Code).
    pub code: i32,
    /// The service's stable reason; empty where it was not the service that spoke.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Nobody was reached, or the connection broke.
    pub unreachable: bool,
    /// When the service says to try again.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CallError {}

/// A connection to the service.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    wire: Wire,
    timeout: Duration,
}

impl Client {
    /// Connects; an `https://` address needs `tls`. `timeout` is for connecting, and then for each call.
    ///
    /// # Errors
    /// The service cannot be reached, or one of the two does not trust the other.
    pub fn connect(address: &Address, tls: Option<&ClientTls>, timeout: Duration) -> Result<Self, CallError> {
        let unreachable = |message| CallError {
            code: Code::Unavailable.into(),
            reason: String::new(),
            message,
            unreachable: true,
            retry_after: None,
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unreachable(format!("no runtime for the client: {error}")))?;
        let connected = runtime.block_on(async { tokio::time::timeout(timeout, Wire::connect(address, tls)).await });
        match connected {
            Ok(Ok(wire)) => Ok(Self { runtime, wire, timeout }),
            Ok(Err(problem)) => {
                Err(unreachable(format!("cannot connect to {address}: {problem}; is the service running there?")))
            }
            Err(_elapsed) => Err(unreachable(format!("no connection to {address} within {} ms", timeout.as_millis()))),
        }
    }

    fn call<Q, R>(
        &self,
        request: Q,
        send: impl AsyncFnOnce(Wire, Request<Q>) -> Result<Response<R>, Status>,
    ) -> Result<R, CallError> {
        let mut request = Request::new(request);
        request.set_timeout(self.timeout);
        let wire = self.wire.clone();
        // The service keeps the deadline as well; a little later we stop waiting for it to say so.
        let patience = self.timeout + Duration::from_millis(250);
        let answered = self.runtime.block_on(async { tokio::time::timeout(patience, send(wire, request)).await });
        match answered {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(call_error(&status)),
            Err(_elapsed) => Err(CallError {
                code: Code::DeadlineExceeded.into(),
                reason: String::new(),
                message: format!("no answer within {} ms", self.timeout.as_millis()),
                unreachable: true,
                retry_after: None,
            }),
        }
    }
}

macro_rules! calls {
    ($client:ident: $($name:ident($request:ident) -> $response:ident;)+) => {
        impl Client {
            $(
                #[doc = concat!("Calls the RPC that takes a `", stringify!($request), "`.")]
                ///
                /// # Errors
                /// The service refused the call, or could not be reached.
                pub fn $name(&self, request: proto::$request) -> Result<proto::$response, CallError> {
                    self.call(request, async |wire, request| {
                        let origin = wire.origin();
                        $client::with_origin(wire, origin).max_decoding_message_size(usize::MAX).$name(request).await
                    })
                }
            )+
        }
    };
}

calls! { LiveAuthServiceClient:
    mint_hash(MintHashRequest) -> MintHashResponse;
    verify_hash(VerifyHashRequest) -> VerifyHashResponse;
    batch_mint_hash(BatchMintHashRequest) -> BatchMintHashResponse;
    batch_verify_hash(BatchVerifyHashRequest) -> BatchVerifyHashResponse;
}

calls! { HubTokenServiceClient:
    seal(SealRequest) -> SealResponse;
    open(OpenRequest) -> OpenResponse;
    verify(VerifyRequest) -> VerifyResponse;
    reseal(ResealRequest) -> ResealResponse;
    revoke(RevokeRequest) -> RevokeResponse;
    list_revocations(ListRevocationsRequest) -> ListRevocationsResponse;
    batch_seal(BatchSealRequest) -> BatchSealResponse;
    batch_open(BatchOpenRequest) -> BatchOpenResponse;
    batch_verify(BatchVerifyRequest) -> BatchVerifyResponse;
    batch_reseal(BatchResealRequest) -> BatchResealResponse;
}

calls! { KeyServiceClient:
    list_keys(ListKeysRequest) -> ListKeysResponse;
    get_key(GetKeyRequest) -> GetKeyResponse;
    explain_token(ExplainTokenRequest) -> ExplainTokenResponse;
    create_key(CreateKeyRequest) -> CreateKeyResponse;
    import_key_version(ImportKeyVersionRequest) -> ImportKeyVersionResponse;
    rotate_key(RotateKeyRequest) -> RotateKeyResponse;
    suspend_key_version(SuspendKeyVersionRequest) -> SuspendKeyVersionResponse;
    resume_key_version(ResumeKeyVersionRequest) -> ResumeKeyVersionResponse;
    mark_key_version_compromised(MarkKeyVersionCompromisedRequest) -> MarkKeyVersionCompromisedResponse;
    destroy_key_version(DestroyKeyVersionRequest) -> DestroyKeyVersionResponse;
    reload(ReloadRequest) -> ReloadResponse;
}

fn call_error(status: &Status) -> CallError {
    if to_record(status).is_some() {
        // Our own codec failed: on this side that is about an answer, not a request.
        return CallError {
            code: Code::Internal.into(),
            reason: String::new(),
            message: "the answer does not decode; is it this service that answered, in this version?".to_owned(),
            unreachable: false,
            retry_after: None,
        };
    }
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let unreachable = wire::is_broken(status);
    let message = if unreachable {
        match alert_in(status) {
            Some(refused) => format!("no connection: {refused}"),
            None => "the connection broke before the answer came".to_owned(),
        }
    } else {
        status.message().to_owned()
    };
    let code = if unreachable { Code::Unavailable } else { status.code() };
    let retry_after = status.get_details_retry_info().and_then(|info| info.retry_delay);
    CallError { code: code.into(), reason, message, unreachable, retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_address_are_read_and_shown_alike() {
        for text in [
            "unix:/run/x.sock",
            "unix:x.sock",
            "http://127.0.0.1:50051",
            "http://[::1]:1",
            "http://localhost:80",
            "https://a.example:50051",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Address::parse("unix:///run/x"), Ok(Address::Unix("/run/x".into())));
        assert_eq!(Address::parse("http://a:1/"), Ok(Address::Http("a:1".into())));
    }

    #[test]
    fn any_other_address_is_refused_with_advice() {
        for text in [
            "",
            "unix:",
            "/run/x",
            "localhost:1",
            "http://",
            "http://a",
            "http://a:x",
            "http://a:99999",
            "http://:1",
            "http://::1:1",
            "http://u@a:1",
            "ftp://a:1",
            "https://a",
            "https://u@a:1",
        ] {
            assert!(Address::parse(text).unwrap_err().contains("unix:"), "{text}");
        }
    }

    #[test]
    fn nobody_there_is_unreachable() {
        let error =
            Client::connect(&Address::Unix("/nowhere/x.sock".into()), None, Duration::from_secs(1)).unwrap_err();
        assert!(error.unreachable && error.message.contains("/nowhere/x.sock"), "{error}");
    }
}
