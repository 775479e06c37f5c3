//! The same over gRPC, with the generated client, against `dev`, which speaks http to a stand-in on this machine.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread,
};

use countersign::grpc::proto::{
    CompleteInfoRequest, GetStatusRequest, LoginRequest, LogoutRequest, ProfileLink, TestRequest,
    live_auth_portal_service_client::LiveAuthPortalServiceClient,
};
use tonic::{Code, transport::Endpoint};
use tonic_types::StatusExt as _;

use crate::{
    service::BINARY,
    vendor::{CREDENTIAL, PAGE, Plan, TOKEN, Vendor},
};

/// `countersign dev` whose LiveAuth is a stand-in.
pub struct Dev {
    child: Child,
    pub address: String,
    _folder: tempfile::TempDir,
}

/// The secret of its domain: the document's own.
pub const SAMPLE: &str = "whatissixtimesnine";

impl Dev {
    pub fn start(vendor: &Vendor) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("dev");
        let start = || {
            Command::new(BINARY)
                .args(["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir"])
                .arg(&dir)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(fs::File::create(folder.path().join("log")).unwrap())
                .spawn()
                .unwrap()
        };
        // The first makes the folder with its configuration, which an earlier dev's is: it is edited as people would.
        let mut first = start();
        until_ready(&mut first, folder.path());
        first.kill().unwrap();
        first.wait().unwrap();
        let config = fs::read_to_string(dir.join("config.toml")).unwrap();
        let portal = format!(
            "[outbound]\ninsecure_loopback = true\n\n[liveauth]\nendpoint = \"http://127.0.0.1:{}/clients/api/liveauth/\"\n\n[[liveauth.domains]]",
            vendor.port
        );
        assert!(config.contains("[[liveauth.domains]]"));
        fs::write(dir.join("config.toml"), config.replace("[[liveauth.domains]]", &portal)).unwrap();
        let mut child = start();
        let address = until_ready(&mut child, folder.path());
        Self { child, address, _folder: folder }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of its TCP listener, once it says that it is ready.
fn until_ready(child: &mut Child, folder: &std::path::Path) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut address = String::new();
    for line in lines.by_ref() {
        let url = line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"));
        if let Some(url) = url.filter(|_| line.trim_start().starts_with("grpc")) {
            url.clone_into(&mut address);
        }
        if line.starts_with("ready") {
            // Goes on reading: nobody may block the service's standard output.
            thread::spawn(move || lines.for_each(drop));
            return address;
        }
    }
    panic!("not ready: {}", fs::read_to_string(folder.join("log")).unwrap());
}

#[test]
fn the_five_methods_answer_over_grpc_too_and_errors_say_what_the_vendor_said() {
    let vendor = Vendor::start_plain(SAMPLE);
    let dev = Dev::start(&vendor);
    assert!(!dev.address.is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Endpoint::from_shared(dev.address.clone()).unwrap().connect().await.unwrap();
        let mut client = LiveAuthPortalServiceClient::new(channel);
        let (domain, number) = ("jobs.example.com".to_owned(), 42);
        let said = client.test(TestRequest { domain: domain.clone(), client: number }).await.unwrap().into_inner();
        assert_eq!(said.message, "hello world");
        let status = GetStatusRequest { domain: domain.clone(), client: number, portal: 4, profile: 2 };
        let status = client.get_status(status).await.unwrap().into_inner();
        assert_eq!(
            (status.signed, status.is_profile, status.name.as_deref()),
            (Some(true), Some(true), Some("John Doe"))
        );
        let link = ProfileLink::Profile.into();
        let login = LoginRequest { domain: domain.clone(), client: number, portal: 4, link, id: Some(2) };
        let began = client.login(login).await.unwrap().into_inner();
        assert_eq!((began.url.as_str(), began.token.as_str()), (PAGE, TOKEN));
        let complete = CompleteInfoRequest { domain: domain.clone(), client: number, token: began.token };
        let given = client.complete_info(complete.clone()).await.unwrap().into_inner();
        assert_eq!(given.credentials["portal_6_token"], CREDENTIAL);
        let logout = LogoutRequest { domain, client: number, portal: 4, link, id: Some(2) };
        client.logout(logout).await.unwrap();

        let unknown = LoginRequest { domain: "jobs.example.com".into(), client: 1, portal: 4, link: 5, id: Some(1) };
        let status = client.login(unknown).await.unwrap_err();
        let violations = status.get_error_details().bad_request().unwrap().field_violations.clone();
        assert_eq!((status.code(), violations[0].field.as_str()), (Code::InvalidArgument, "link"));

        vendor.plan(Plan::Answer(200, b"{\"error\": \"the login was cancelled\"}".to_vec()));
        let status = client.complete_info(complete).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("VENDOR_REFUSED", "countersign"));
        assert_eq!(info.metadata["vendor_message"], "the login was cancelled");
        assert_eq!((info.metadata["vendor"].as_str(), info.metadata["sent"].as_str()), ("liveauth", "answered"));
    });
}
