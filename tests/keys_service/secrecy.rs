//! A secret that is given through the service is nowhere but in the keyring, sealed.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::grpc::proto::KeyKind;
use memchr::memmem;

use crate::{
    changing::{given, import, writable},
    looking::admin,
    service::Service,
};

const PLANTED: &[u8] = b"PLANTED-by-an-operator-0123456789";
const REFUSED: &[u8] = b"PLANTED-for-a-hat1-key-and-too-long-for-one";

#[test]
fn an_imported_secret_shows_in_no_file_no_log_and_no_error() {
    let traced = writable().replace("[http]", "[log]\nlevel = \"trace\"\n[http]");
    let service = Service::start(&traced);
    let client = admin(&service);
    client.import_key_version(import("jobs", KeyKind::Liveauth, PLANTED, 0)).unwrap();
    let again = client.import_key_version(import("acme", KeyKind::Hat1, REFUSED, 0)).unwrap_err();
    let staged = client.rotate_key(given("jobs", PLANTED));
    let mut seen = format!("{again:?} {staged:?} {}", service.http("/metrics").1).into_bytes();
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with("config.toml") {
            seen.extend(fs::read(path).unwrap());
        }
    }
    for secret in [PLANTED, REFUSED] {
        let hex = base16ct::lower::encode_string(secret);
        let encoded = STANDARD.encode(secret);
        // Base64 in three phases, of which the middle shows whatever stands before it.
        for form in [secret, hex.as_bytes(), &encoded.as_bytes()[..encoded.len() - 4]] {
            assert_eq!(memmem::find(&seen, form), None, "{:?}", String::from_utf8_lossy(form));
        }
    }
}

#[test]
fn the_messages_show_no_secret() {
    let shown = format!("{:?} {:?}", import("jobs", KeyKind::Liveauth, PLANTED, 0), given("jobs", PLANTED));
    let numbers = PLANTED.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    assert!(!shown.contains("PLANTED") && !shown.contains(&numbers) && shown.contains("jobs"), "{shown}");
}
