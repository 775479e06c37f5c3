//! A verifier in another language, written from docs/formats.md alone, agrees: with the keys derived here as the document
//! says, not by the code that serves.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use base64ct::{Base64, Encoding as _};
use countersign::crypto::{
    aead::{self, Suite},
    frame::Frame,
    kdf::{self, Purpose},
    mac::MacKey,
};
use serde_json::Value;

use crate::{
    service::Service,
    tools::{config, is_there, journal, mint, of_kind, records, skipped, stop},
};

/// The key of the seals and that of the pseudonyms, hexadecimal.
fn keys(at: &Path) -> (String, String) {
    let document: Value = serde_json::from_slice(&fs::read(at.join("keyring")).unwrap()).unwrap();
    let id = document["keyring_id"].as_str().unwrap();
    let derived =
        |key: &[u8], label| *kdf::block(&MacKey::new(key), 1, Purpose::new(label, 256), id.as_bytes()).expose();
    let open = |key: &[u8; 32], label, wrapped: &Value| {
        let nonce: [u8; 12] =
            base16ct::lower::decode_vec(wrapped["nonce"].as_str().unwrap()).unwrap().try_into().unwrap();
        let mut bytes = Base64::decode_vec(wrapped["wrapped"].as_str().unwrap()).unwrap();
        let tag: [u8; 16] = bytes.split_off(bytes.len() - 16).try_into().unwrap();
        let aad = Frame::labelled(label).part(id.as_bytes());
        aead::open(Suite::Aes256Gcm, key, &nonce, aad.as_bytes(), &mut bytes, &tag).ok().unwrap();
        bytes[2..34].to_vec()
    };
    let mut kek = fs::read(at.join("kek")).unwrap();
    kek.pop_if(|end| *end == b'\n');
    let document_key =
        open(&derived(&kek, "countersign/keyring/kek"), "countersign/keyring/document-key", &document["kek"]);
    let secret = open(
        &derived(&document_key, "countersign/keyring/wrap"),
        "countersign/keyring/service-secret",
        &document["service_secret"],
    );
    let of = |label| base16ct::lower::encode_string(&derived(&secret, label));
    (of("countersign/journal/seal"), of("countersign/journal/pseudonym"))
}

fn python(key: &str, files: &[&Path]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journal/verify.py");
    let mut child =
        Command::new("python3").arg(script).args(files).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_verifier_in_python_agrees() {
    if !is_there("python3") {
        return skipped("python3");
    }
    let service = Service::start(&config("seal_records = 3"));
    let path = journal(service.dir.path());
    for n in 1..=7 {
        mint(&service, n);
    }
    service.seal("é\"\\".as_bytes(), "jane@example.com");
    let aside = service.dir.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    crate::tools::until("the new file", || path.exists());
    mint(&service, 42);
    let dir = stop(service);
    let (key, pseudonyms) = keys(dir.path());
    let (fine, said) = python(&key, &[&aside, &path]);
    assert!(fine, "{said}");
    assert!(said.contains("seals"), "{said}");
    assert!(!python(&pseudonyms, &[&aside, &path]).0, "another key's seals were taken");
    assert!(!python(&key, &[&path, &aside]).0);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("mint_hash", "mint_hush", 1)).unwrap();
    assert!(!python(&key, &[&aside, &path]).0);

    // The pseudonyms are what the document says, too.
    let key = MacKey::new(&base16ct::lower::decode_vec(&pseudonyms).unwrap());
    let of = |frame: Frame| base16ct::lower::encode_string(&key.tag(&frame).expose()[..16]);
    let calls = of_kind(&records(&aside), "call");
    assert_eq!(calls[0]["client"], of(Frame::labelled("countersign/journal/client").fixed_part(&1u64.to_be_bytes())));
    assert_eq!(calls[7]["user"], of(Frame::labelled("countersign/journal/user").part(b"jane@example.com")));
}
