//! A reader written from docs/formats.md alone, on the bare primitives, gets out of a keyring what was put into it.

use std::fs;

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead as _, KeyInit as _, Payload},
};
use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::{
    place::{By, PASSPHRASE, Place},
    service::{HAT1, SECRET, unbase64},
};

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn block(key: &[u8], label: &str, id: &str) -> Vec<u8> {
    hmac(key, &[&1u32.to_be_bytes()[..], label.as_bytes(), &[0], id.as_bytes(), &256u32.to_be_bytes()].concat())
}

fn lp(part: &[u8]) -> Vec<u8> {
    [&u16::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat()
}

fn unhex(value: &Value) -> Vec<u8> {
    base16ct::lower::decode_vec(value.as_str().unwrap()).unwrap()
}

fn unwrap(key: &[u8], aad: &[u8], wrapped: &Value) -> Vec<u8> {
    let sealed = unbase64(wrapped["wrapped"].as_str().unwrap());
    let nonce: [u8; 12] = unhex(&wrapped["nonce"]).try_into().unwrap();
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    let plain = cipher.decrypt(&nonce.into(), Payload { msg: &sealed, aad }).unwrap();
    assert_eq!(plain.len() % 128, 0);
    let len = usize::from(u16::from_be_bytes([plain[0], plain[1]]));
    assert!(plain[2 + len..].iter().all(|byte| *byte == 0));
    plain[2..2 + len].to_vec()
}

/// The bytes of the document without white space between its tokens, and without its MAC.
fn authenticated(text: &str) -> String {
    let mut compact = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if quoted || !c.is_whitespace() {
            compact.push(c);
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    let end = compact.rfind(",\"mac\":").unwrap();
    compact[..end].to_owned() + "}"
}

pub fn kek(place: &Place, by: &By, entry: &Value) -> Vec<u8> {
    let content = |path| {
        let content = fs::read(path).unwrap();
        content.strip_suffix(b"\n").unwrap().to_vec()
    };
    match by {
        By::File(name) => content(place.path(name)),
        By::Credential(name) => content(place.credentials().join(name)),
        By::Passphrase(passphrase) => {
            let number = |name: &str| u32::try_from(entry[name].as_u64().unwrap()).unwrap();
            let params = Params::new(number("memory_kib"), number("passes"), number("lanes"), Some(32)).unwrap();
            let mut key = [0; 32];
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon.hash_password_into(passphrase.as_bytes(), &unhex(&entry["salt"]), &mut key).unwrap();
            key.to_vec()
        }
        By::Kms(_) => unreachable!("a plugin has it"),
    }
}

/// The key that everything in the keyring of a [`Place`] hangs on.
pub fn document_key(place: &Place, by: &By) -> Vec<u8> {
    let document = place.document();
    let id = document["keyring_id"].as_str().unwrap();
    let wrapping = block(&kek(place, by, &document["kek"]), "countersign/keyring/kek", id);
    let aad = [lp(b"countersign/keyring/document-key"), lp(id.as_bytes())].concat();
    unwrap(&wrapping, &aad, &document["kek"])
}

#[test]
fn the_formats_page_is_enough_to_open_a_keyring() {
    for by in [By::File("kek"), By::Credential("kek"), By::Passphrase(PASSPHRASE)] {
        let place = Place::new();
        place.fill(&by);
        let text = fs::read_to_string(place.path("keyring")).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let id = document["keyring_id"].as_str().unwrap();
        let aad = |label: &str| [lp(label.as_bytes()), lp(id.as_bytes())].concat();
        let key = document_key(&place, &by);

        let covered = authenticated(&text);
        let len = u32::try_from(covered.len()).unwrap().to_be_bytes();
        let framed = [&lp(b"countersign/keyring/document")[..], &len, covered.as_bytes()].concat();
        assert_eq!(hmac(&block(&key, "countersign/keyring/mac", id), &framed), unhex(&document["mac"]));

        let wrapping = block(&key, "countersign/keyring/wrap", id);
        let secret = unwrap(&wrapping, &aad("countersign/keyring/service-secret"), &document["service_secret"]);
        assert_eq!(secret.len(), 32);
        let mut found = Vec::new();
        for entry in document["keys"].as_array().unwrap() {
            let version = &entry["versions"][0];
            let time = |name: &str| version[name].as_u64().unwrap().to_be_bytes();
            let aad = [
                &aad("countersign/keyring/version")[..],
                &lp(entry["name"].as_str().unwrap().as_bytes()),
                &lp(entry["kind"].as_str().unwrap().as_bytes()),
                &u32::try_from(version["number"].as_u64().unwrap()).unwrap().to_be_bytes(),
                &time("created_at"),
                &time("activates_at"),
                &lp(version["suite"].as_str().unwrap_or_default().as_bytes()),
                &lp(&version["kid"].as_str().map_or_else(Vec::new, |_| unhex(&version["kid"]))),
            ]
            .concat();
            found.push(unwrap(&wrapping, &aad, &version["material"]));
        }
        assert_eq!(found, [base16ct::lower::decode_vec(HAT1).unwrap(), SECRET.as_bytes().to_vec()], "{by:?}");

        let record: Value = serde_json::from_slice(&fs::read(place.path("keyring.generation")).unwrap()).unwrap();
        let framed = [lp(b"countersign/keyring/record"), lp(id.as_bytes()), 3u64.to_be_bytes().to_vec()].concat();
        assert_eq!(hmac(&block(&key, "countersign/keyring/record", id), &framed), unhex(&record["mac"]));
    }
}
