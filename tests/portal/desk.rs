//! A real service whose LiveAuth is a stand-in, and what it answers.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use serde_json::{Value, json};

use crate::{
    service::{self, SECRET, Service},
    vendor::Vendor,
};

pub const DOMAIN: &str = "jobs.example.com";
pub const CLIENT: i64 = 424_242;

/// A service, and the LiveAuth that it asks.
pub struct Desk {
    pub service: Service,
    pub vendor: Vendor,
}

/// The configuration, but for verbs and what is added.
pub fn config(vendor: &Vendor, verbs: &str, more: &str) -> String {
    let ca = vendor.ca.as_ref().unwrap().display();
    format!(
        r#"
[listen]
unix = "sock/countersign.sock"
[http]
address = "127.0.0.1:0"
[keyring]
path = "keyring"
kek_file = "kek"
[ledger]
path = "ledger.sqlite"
[journal]
path = "journal.jsonl"
wait_ms = 1900
[log]
level = "trace"
[limits]
deadline = "20s"
[outbound]
connect_timeout = "10s"
timeout = "20s"
ca_file = "{ca}"
private_addresses = true
[liveauth]
endpoint = "https://localhost:{port}/clients/api/liveauth/"
timeout = "20s"
{more}
[[liveauth.domains]]
name = "jobs.example.com"
key = "jobs"
[[policy.rules]]
name = "all"
callers = ["*"]
verbs = [{verbs}]
domains = ["*"]
"#,
        port = vendor.port
    )
}

pub const ALL: &str = "\"portal_read\", \"portal_login\", \"portal_logout\"";

impl Desk {
    /// Every right there is for portals.
    pub fn open() -> Self {
        Self::with(ALL, &[])
    }

    /// Rules with these verbs, and the configuration changed so.
    pub fn with(verbs: &str, changes: &[(&str, &str)]) -> Self {
        let vendor = Vendor::start(SECRET);
        let mut config = config(&vendor, verbs, "");
        for (from, to) in changes {
            assert!(config.contains(from), "{from}");
            config = config.replace(from, to);
        }
        Self { service: Service::start(&config), vendor }
    }

    pub fn call(&self, method: &str, body: &Value) -> (u16, Value) {
        self.service.post(&format!("LiveAuthPortalService/{method}"), body)
    }

    /// A call that must succeed.
    pub fn ok(&self, method: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, body);
        assert_eq!(status, 200, "{method}: {answer}\n{}", self.service.log());
        answer
    }

    /// A call that must fail with this Connect code and reason; gives the metadata of its reason.
    #[track_caller]
    pub fn fails(&self, method: &str, body: &Value, code: &str, reason: &str) -> BTreeMap<String, String> {
        let (_, answer) = self.call(method, body);
        assert_eq!((answer["code"].as_str(), service::reason_of(&answer).as_str()), (Some(code), reason), "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
        metadata(&answer)
    }

    /// Sends a request and waits for nothing.
    pub fn begin(&self, method: &str, body: &Value) -> UnixStream {
        self.send(method, body, "")
    }

    /// A call whose caller waits so many milliseconds.
    pub fn call_within(&self, method: &str, body: &Value, millis: u32) -> (u16, Value) {
        let mut stream = self.send(method, body, &format!("Connection: close\r\nConnect-Timeout-Ms: {millis}\r\n"));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    fn send(&self, method: &str, body: &Value, headers: &str) -> UnixStream {
        let body = body.to_string();
        let mut stream = UnixStream::connect(self.service.socket()).unwrap();
        let head = format!(
            "POST /countersign.v1.LiveAuthPortalService/{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    pub fn journal(&self) -> Vec<Value> {
        records(&fs::read_to_string(self.service.dir.path().join("journal.jsonl")).unwrap())
    }
}

/// The calls in a journal.
pub fn records(journal: &str) -> Vec<Value> {
    let all = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|record| record["kind"] == "call").collect()
}

/// A request with what all of them need.
pub fn asked(mut more: Value) -> Value {
    let fields = more.as_object_mut().unwrap();
    fields.entry("domain").or_insert(json!(DOMAIN));
    fields.entry("client").or_insert(json!(CLIENT));
    more
}

/// A request of each of the five.
pub fn each() -> [(&'static str, Value); 5] {
    [
        ("Test", asked(json!({}))),
        ("GetStatus", asked(json!({"portal": 4, "profile": 2}))),
        ("Login", asked(json!({"portal": 4, "link": "PROFILE_LINK_PROFILE", "id": 2}))),
        ("CompleteInfo", asked(json!({"token": crate::vendor::TOKEN}))),
        ("Logout", asked(json!({"portal": 6, "link": "PROFILE_LINK_PROFILE", "id": 9}))),
    ]
}

/// The metadata in the `ErrorInfo` of a Connect error, from its protobuf bytes: field 3, a map of strings.
fn metadata(error: &Value) -> BTreeMap<String, String> {
    let bytes = service::detail(error, "google.rpc.ErrorInfo");
    fields(&bytes)
        .into_iter()
        .filter(|(number, _)| *number == 3)
        .map(|(_, entry)| {
            let entry = fields(&entry);
            let text =
                |wanted| entry.iter().find(|(number, _)| *number == wanted).map(|(_, bytes)| bytes.clone()).unwrap();
            (String::from_utf8(text(1)).unwrap(), String::from_utf8(text(2)).unwrap())
        })
        .collect()
}

/// The fields of a message that has only such as have a length, below 16 KiB.
fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [tag, rest @ ..] = bytes {
        let (length, rest) = match rest {
            [low, high, rest @ ..] if *low >= 0x80 => (usize::from(low & 0x7f) + (usize::from(*high) << 7), rest),
            [low, rest @ ..] => (usize::from(*low), rest),
            [] => panic!("cut off"),
        };
        assert_eq!(tag & 7, 2);
        found.push((tag >> 3, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    found
}
