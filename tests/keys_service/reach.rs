//! Where `KeyService` is, and where it is as if it did not exist.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    process::{Child, Command, Stdio},
};

use countersign::grpc::proto;
use prost::Message as _;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::{self as reflection, server_reflection_request::MessageRequest as Ask};

use crate::{
    guarded::{Guarded, LISTENER, config_with, folder},
    issuer::CALLER,
    service::{self, BINARY, Service},
    wire::{self, Stream, call},
};

const OK: i32 = 0;
const NOT_FOUND: i32 = 5;
const UNIMPLEMENTED: i32 = 12;

const LIST_KEYS: &str = "/countersign.v1.KeyService/ListKeys";
const RELOAD: &str = "/countersign.v1.KeyService/Reload";
const KEY_SERVICE: &str = "countersign.v1.KeyService";

/// Every method that the API has of the service, whatever this version of the tests knows.
fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
    let services = set.file.iter().flat_map(|file| &file.service);
    let service = services.into_iter().find(|service| service.name() == "KeyService").unwrap();
    service.method.iter().map(|method| format!("/{KEY_SERVICE}/{}", method.name())).collect()
}

/// Asks for all that would tell of it, on connections that `connect` makes.
async fn is_there(connect: impl AsyncFn() -> Box<dyn Stream>) -> bool {
    let health = HealthCheckRequest { service: KEY_SERVICE.into() };
    let health = call(connect().await, "/grpc.health.v1.Health/Check", &health).await;
    let by_health = match health.code {
        OK => HealthCheckResponse::decode(health.message).unwrap().status() == ServingStatus::Serving,
        code => {
            assert_eq!(code, NOT_FOUND);
            false
        }
    };
    let by_method: Vec<bool> = {
        let mut found = Vec::new();
        for method in methods() {
            // An empty message is good for looking and reloading, and refused for its fields by what changes a key.
            let code = call(connect().await, &method, &()).await.code;
            assert!(code != OK || [LIST_KEYS, RELOAD].contains(&method.as_str()), "{method}");
            found.push(code != UNIMPLEMENTED);
        }
        found
    };
    assert!(by_method.iter().all(|&there| there == by_health), "{by_method:?} {by_health}");
    let described = |wanted: Ask| {
        let request =
            reflection::ServerReflectionRequest { host: String::new(), message_request: Some(wanted.clone()) };
        let connect = &connect;
        async move {
            let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
            let reply = call(connect().await, path, &request).await;
            let bytes = reply.message.to_vec();
            // Of what was asked for, the request's own echo apart.
            let answer = reflection::ServerReflectionResponse::decode(&bytes[..]).unwrap();
            let answer = reflection::ServerReflectionResponse { original_request: None, ..answer };
            !matches!(
                answer.message_response,
                Some(reflection::server_reflection_response::MessageResponse::ErrorResponse(_))
            ) && answer.encode_to_vec().windows(10).any(|window| window == b"KeyService")
        }
    };
    for wanted in [
        Ask::ListServices(String::new()),
        Ask::FileContainingSymbol(KEY_SERVICE.into()),
        Ask::FileByFilename("countersign/v1/key.proto".into()),
    ] {
        assert_eq!(described(wanted.clone()).await, by_health, "{wanted:?}");
    }
    by_health
}

#[tokio::test]
async fn it_is_on_the_admin_socket_and_on_marked_tls_listeners_and_nowhere_else() {
    let listeners = format!("reflection = true\n{LISTENER}{LISTENER}admin = true\n");
    let rule = format!(
        "[[policy.rules]]\nname = \"admin\"\ncallers = [\"{CALLER}\", \"*\"]\nverbs = [\"admin\"]\nkeys = [\"*\"]\n"
    );
    let (dir, ca) = folder(&config_with(&listeners, &rule));
    let guarded = Guarded { service: Service::start_in(dir), ca };
    let (socket, admin) = (guarded.service.socket(), guarded.service.dir.path().join("sock/admin.sock"));
    let ports = guarded.ports();
    assert!(!is_there(async || wire::unix(&socket).await).await);
    assert!(is_there(async || wire::unix(&admin).await).await);
    assert!(!is_there(async || wire::tls(&guarded, ports[0]).await).await);
    assert!(is_there(async || wire::tls(&guarded, ports[1]).await).await);

    for method in methods() {
        assert_eq!(guarded.service.http(&method).0, 404, "{method} on the HTTP port");
    }
    // As JSON it is not there either, and is told apart from nothing else that is not there.
    let (status, absent) = post(&socket, &methods()[0]);
    assert_eq!((status, post(&socket, "/countersign.v1.NoSuchService/Call")), (404, (404, absent)));
    assert_eq!(post(&admin, LIST_KEYS).0, 200);
    let metrics = guarded.service.http("/metrics").1;
    assert!(metrics.contains("op=\"unknown\",outcome=\"UNIMPLEMENTED\""), "{metrics}");
    assert!(!metrics.contains("op=\"list_keys\",outcome=\"UNIMPLEMENTED\""), "{metrics}");
}

/// The body of a JSON call on a socket, without its request id.
fn post(socket: &std::path::Path, path: &str) -> (u16, String) {
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn the_admin_socket_is_our_users_alone_and_can_be_left_out() {
    let service = Service::start(service::CONFIG);
    let admin = service.dir.path().join("sock/admin.sock");
    let about = std::fs::symlink_metadata(&admin).unwrap();
    assert!(about.file_type().is_socket());
    assert_eq!(about.mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(admin.parent().unwrap()).unwrap().mode() & 0o777, 0o750);
    service.signal("TERM");
    let (status, _, dir) = service.wait();
    assert!(status.success());
    assert!(!dir.path().join("sock/admin.sock").exists());

    let none = service::CONFIG.replace("[http]", "admin = \"\"\n[http]");
    let service = Service::start(&none);
    assert!(!service.dir.path().join("sock/admin.sock").exists());
}

#[tokio::test]
async fn development_has_it_on_its_admin_socket_and_not_on_loopback_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let dev = Dev::start(dir.path());
    assert!(!is_there(async || wire::tcp(&dev.tcp).await).await);
    assert!(!is_there(async || wire::unix(&dir.path().join("countersign.sock")).await).await);
    assert!(is_there(async || wire::unix(&dir.path().join("admin.sock")).await).await);
    TcpStream::connect(&dev.tcp).unwrap();
}

/// A `countersign dev` that serves.
struct Dev {
    child: Child,
    tcp: String,
}

impl Dev {
    fn start(dir: &std::path::Path) -> Self {
        let mut child = Command::new(BINARY)
            .args(["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let banner = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let banner: Vec<String> = banner.take_while(|line| !line.starts_with("ready")).collect();
        let tcp = banner.iter().find_map(|line| line.trim().strip_prefix("grpc    http://")).unwrap();
        let tcp = tcp.split(' ').next().unwrap().to_owned();
        Self { child, tcp }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
