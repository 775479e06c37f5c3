//! A contender's process, and the load that is put on it.

use std::{
    env, fs,
    future::Future,
    io::{BufRead as _, BufReader},
    pin::Pin,
    process::{Child, Command, Stdio},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use countersign::grpc::proto::{
    BatchMintHashRequest, MintHashRequest, OpenRequest, SealRequest, VerifyHashRequest, VerifyRequest,
    hub_token_service_client::HubTokenServiceClient, live_auth_service_client::LiveAuthServiceClient,
    verify_hash_request::Origin,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    codegen::{Service, http::Uri},
    transport::{Channel, Endpoint},
};

use crate::{folder::Folder, stock};

pub const BATCH: usize = 1000;
const CONNECTIONS: usize = 4;
const STREAMS: usize = 32;
const DOMAIN: &str = "jobs.example.com";
const APP: &str = "acme-contacts";
const USER: &str = "jodonnell@broadsoft.com";

/// Ticks of `/proc/PID/stat` in a second: Linux shows 100 to user space, whatever its own clock does.
const TICKS: f64 = 100.0;

#[derive(Clone)]
pub enum Call {
    Empty,
    Mint,
    Batch,
    VerifyHash(VerifyHashRequest),
    Seal(usize),
    Open(String),
    Verify(String),
}

pub struct Server {
    process: Child,
    address: String,
    /// What it lives in, and its TLS listener.
    folder: Option<Folder>,
    /// From its start to its saying so.
    pub ready: Duration,
}

/// How the load gets to a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Clear,
    MutualTls,
}

impl Server {
    pub fn this(mode: &str) -> Self {
        Self::start(Command::new(env::current_exe().unwrap()).arg(mode))
    }

    pub fn countersign(binary: &str, journal: bool) -> Self {
        let folder = Folder::new(journal);
        let mut command = Command::new(binary);
        command.args(["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir"]).arg(folder.dir.path());
        let mut server = Self::start(&mut command);
        server.folder = Some(folder);
        server
    }

    /// Starts it and waits until it says where it listens and that it is ready.
    fn start(command: &mut Command) -> Self {
        let began = Instant::now();
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut address = None;
        for line in lines.by_ref() {
            if let Some(rest) = line.trim_start().strip_prefix("grpc ") {
                address = rest.split_whitespace().next().map(str::to_owned);
            }
            if line.starts_with("ready") {
                break;
            }
        }
        Self {
            process,
            address: address.expect("the server says where it listens"),
            folder: None,
            ready: began.elapsed(),
        }
    }

    async fn channel(&self, way: Way) -> Channel {
        let endpoint = Endpoint::from_shared(self.address.clone()).unwrap();
        let endpoint = endpoint.initial_stream_window_size(1 << 20).initial_connection_window_size(8 << 20);
        match way {
            Way::Clear => endpoint.connect().await.unwrap(),
            Way::MutualTls => {
                let folder = self.folder.as_ref().expect("this server has a TLS listener");
                let (connector, address) = (TlsConnector::from(Arc::clone(&folder.client)), folder.tls.clone());
                endpoint.connect_with_connector(Tls { connector, address }).await.unwrap()
            }
        }
    }

    /// Seconds of CPU so far, all threads.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let after_name: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (after_name[11].parse::<f64>().unwrap() + after_name[12].parse::<f64>().unwrap()) / TICKS
    }

    /// KiB.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Seconds of the server's CPU per call, and calls a second.
    pub async fn run(&self, way: Way, calls: usize, call: &Call) -> (f64, f64) {
        let call = Arc::new(call.clone());
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            channels.push(self.channel(way).await);
        }
        let each = calls / (CONNECTIONS * STREAMS);
        let (cpu, began) = (self.cpu(), Instant::now());
        let tasks: Vec<_> = (0..CONNECTIONS * STREAMS)
            .map(|task| tokio::spawn(drive(channels[task % CONNECTIONS].clone(), Arc::clone(&call), each)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let elapsed = began.elapsed();
        // The last answers arrive before the server has put them behind itself.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let done = (each * CONNECTIONS * STREAMS) as f64;
        ((self.cpu() - cpu) / done, done / elapsed.as_secs_f64())
    }

    pub async fn token(&self) -> String {
        let mut client = HubTokenServiceClient::new(self.channel(Way::Clear).await);
        client.seal(seal_request(32)).await.unwrap().into_inner().auth
    }

    pub async fn minted(&self) -> VerifyHashRequest {
        let mut client = LiveAuthServiceClient::new(self.channel(Way::Clear).await);
        let minted = client.mint_hash(mint_request(42)).await.unwrap().into_inner();
        VerifyHashRequest {
            origin: Some(Origin::Domain(DOMAIN.into())),
            client: minted.client.to_string(),
            expires: minted.expires.to_string(),
            hash: minted.hash,
        }
    }
}

/// Connects with the caller's certificate, whatever address it is asked for.
struct Tls {
    connector: TlsConnector,
    address: String,
}

impl Service<Uri> for Tls {
    type Response = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (connector, address) = (self.connector.clone(), self.address.clone());
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("127.0.0.1").expect("an address is a server name");
            Ok(TokioIo::new(connector.connect(name, stream).await?))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

async fn drive(channel: Channel, call: Arc<Call>, times: usize) {
    let mut liveauth = LiveAuthServiceClient::new(channel.clone());
    let mut hub = HubTokenServiceClient::new(channel.clone());
    let mut empty = tonic::client::Grpc::new(channel);
    let batch = BatchMintHashRequest { items: (1..).take(BATCH).map(mint_request).collect() };
    for _ in 0..times {
        match &*call {
            Call::Empty => {
                empty.ready().await.unwrap();
                let codec = tonic_prost::ProstCodec::<(), ()>::default();
                empty.unary(tonic::Request::new(()), stock::METHOD.parse().unwrap(), codec).await.unwrap();
            }
            Call::Mint => assert_eq!(liveauth.mint_hash(mint_request(42)).await.unwrap().into_inner().client, 42),
            Call::Batch => {
                let answer = liveauth.batch_mint_hash(batch.clone()).await.unwrap().into_inner();
                assert_eq!(answer.results.len(), BATCH);
            }
            Call::VerifyHash(request) => {
                assert_eq!(liveauth.verify_hash(request.clone()).await.unwrap().into_inner().verdict, 1);
            }
            Call::Seal(size) => assert!(!hub.seal(seal_request(*size)).await.unwrap().into_inner().auth.is_empty()),
            Call::Open(auth) => {
                let (app, auth, username) = (APP.into(), auth.clone(), Some(USER.into()));
                let request = OpenRequest { app, auth, username, hub_login_token: None };
                assert_eq!(hub.open(request).await.unwrap().into_inner().verdict, 1);
            }
            Call::Verify(auth) => {
                let (app, auth, username) = (APP.into(), auth.clone(), Some(USER.into()));
                let request = VerifyRequest { app, auth, username, hub_login_token: None };
                assert_eq!(hub.verify(request).await.unwrap().into_inner().verdict, 1);
            }
        }
    }
}

fn mint_request(client: i64) -> MintHashRequest {
    MintHashRequest { domain: DOMAIN.into(), client, validity: None }
}

fn seal_request(size: usize) -> SealRequest {
    SealRequest { app: APP.into(), username: Some(USER.into()), payload: vec![7; size], ..SealRequest::default() }
}
