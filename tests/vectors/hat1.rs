//! `hat1` byte by byte, by vectors of other implementations.

use countersign::{
    clock::UnixSeconds,
    crypto::{
        aead::{self, Suite},
        kdf,
        mac::MacKey,
    },
    hub::{
        revocation::Revoked,
        token::{Bindings, Contents, Entropy, PayloadKind, Purpose, SealLimits, Unverified, reseal},
    },
    keyring::Kid,
    verdict::Verdict,
};
use serde_json::Value;

use crate::{
    array,
    desk::{Desk, Life},
    hat1_text::unwrap,
    hex, vectors,
};

pub(crate) const HAT1: &str = include_str!("hat1.json");
const BODIES: &str = include_str!("hat1_bodies.json");

pub(crate) fn suite(vector: &Value) -> Suite {
    Suite::from_id(u8::try_from(vector["suite"].as_u64().unwrap()).unwrap()).unwrap()
}

pub(crate) fn bindings(vector: &Value) -> Bindings<'_> {
    Bindings { username: vector["username"].as_str(), hub_login_token: vector["hub_login_token"].as_str() }
}

fn kind(vector: &Value) -> PayloadKind {
    PayloadKind::from_id(u8::try_from(vector["kind"].as_u64().unwrap()).unwrap()).unwrap()
}

fn purpose(vector: &Value) -> Purpose {
    [Purpose::HubAuth, Purpose::HubLogin].into_iter().find(|p| vector["purpose"] == p.name()).unwrap()
}

#[test]
fn each_vector_is_sealed_to_the_byte_and_opened() {
    let file = vectors(HAT1);
    let common = &file["inputs_common"];
    let life = Life { now: common["iat"].as_i64().unwrap(), expires: common["exp"].as_i64() };
    for vector in file["vectors"].as_array().unwrap() {
        let desk = Desk::new(suite(vector), &hex(&common["key"]));
        let payload = hex(&vector["payload"]);
        let contents = Contents { kind: kind(vector), payload: &payload, ..Contents::default() };
        let entropy = Entropy { salt: array(&common["salt"]), grant_id: array(&common["grant_id"]) };
        let sealed = desk.seal(Purpose::HubAuth, &contents, &bindings(vector), life, entropy);
        assert_eq!(sealed.token, vector["token"].as_str().unwrap(), "{}", vector["name"]);

        let Ok(found) = desk.open(&sealed.token, Purpose::HubAuth, &bindings(vector), life.now) else { panic!() };
        assert_eq!((found.verdict, found.payload(&desk.may())), (Verdict::Valid, Some(&payload[..])));
        let claims = found.claims.unwrap();
        assert_eq!((claims.grant_id, claims.kind), (entropy.grant_id, kind(vector)));
        assert_eq!((claims.issued_at.0, claims.expires_at.map(|at| at.0)), (life.now, life.expires));
    }
}

#[test]
fn each_step_in_between_is_as_the_vectors_say() {
    let file = vectors(HAT1);
    let material = MacKey::new(&hex(&file["inputs_common"]["key"]));
    for vector in file["vectors"].as_array().unwrap() {
        assert_eq!(Kid::of(&material, suite(vector)).0, array(&vector["kid"]));
        let context = hex(&vector["static_ctx"]);
        let block = |i| *kdf::block(&material, i, kdf::Purpose::new("hat1/seal", 512), &context).expose();
        assert_eq!((block(1), block(2)), (array(&vector["k_enc"]), array(&vector["commit"])));
        let bytes = unwrap(vector["token"].as_str().unwrap());
        assert_eq!((&bytes[..34], &bytes[34..66]), (&context[5..39], &block(2)[..]));
        let (mut message, tag) = (bytes[66..bytes.len() - 16].to_vec(), bytes[bytes.len() - 16..].try_into().unwrap());
        let nonce = bytes[22..34].try_into().unwrap();
        assert!(aead::open(suite(vector), &block(1), &nonce, &hex(&vector["aad"]), &mut message, &tag).is_ok());
    }
}

#[test]
fn every_body_of_the_second_implementation_opens_and_is_written_alike() {
    let file = vectors(BODIES);
    let common = &file["inputs_common"];
    let now = common["iat"].as_i64().unwrap();
    for vector in file["opens"].as_array().unwrap() {
        let name = &vector["name"];
        let mut desk = Desk::new(suite(vector), &hex(&common["key"]));
        desk.app.pad_to = usize::try_from(vector["pad_to"].as_u64().unwrap()).unwrap();
        let (payload, token) = (hex(&vector["payload"]), vector["token"].as_str().unwrap());
        let labels: Vec<(&str, &str)> = vector["labels"].as_array().unwrap().iter().map(label).collect();
        let contents = Contents {
            kind: kind(vector),
            payload: &payload,
            hub_origin: vector["hub_origin"].as_str(),
            reseal_count: u32::try_from(vector["reseal_count"].as_u64().unwrap()).unwrap(),
            labels: &labels,
        };
        let Ok(found) = desk.open(token, purpose(vector), &bindings(vector), now) else { panic!("{name}") };
        assert_eq!((found.verdict, found.payload(&desk.may())), (Verdict::Valid, Some(&payload[..])), "{name}");
        let claims = found.claims.unwrap();
        assert_eq!((claims.hub_origin.as_deref(), claims.reseal_count), (contents.hub_origin, contents.reseal_count));
        assert!(claims.labels.iter().map(|(name, value)| (&name[..], &value[..])).eq(labels.iter().copied()), "{name}");

        if vector["ours_to_write"] == true {
            let entropy = Entropy { salt: array(&common["salt"]), grant_id: array(&common["grant_id"]) };
            let life = Life { now, expires: vector["exp"].as_i64().filter(|&at| at != 0) };
            let sealed = desk.seal(purpose(vector), &contents, &bindings(vector), life, entropy);
            assert_eq!(sealed.token, token, "{name}");
        }
    }
}

#[test]
fn a_body_out_of_form_is_malformed_even_under_the_right_key() {
    let file = vectors(BODIES);
    let common = &file["inputs_common"];
    let desk = Desk::new(Suite::Aes256Gcm, &hex(&common["key"]));
    let username = file["opens"][0]["username"].as_str();
    for vector in file["malformed"].as_array().unwrap() {
        let bindings = Bindings { username, hub_login_token: None };
        let token = vector["token"].as_str().unwrap();
        let Ok(found) = desk.open(token, Purpose::HubAuth, &bindings, common["iat"].as_i64().unwrap()) else {
            panic!("{}: the text is of the form", vector["name"])
        };
        assert_eq!(found.verdict, Verdict::Malformed, "{}", vector["name"]);
        assert!(found.claims.is_none() && found.payload(&desk.may()).is_none());
    }
}

#[test]
fn resealing_keeps_claims_of_unknown_tags_byte_for_byte() {
    let file = vectors(BODIES);
    let common = &file["inputs_common"];
    let vector = &file["opens"][2];
    let desk = Desk::new(suite(vector), &hex(&common["key"]));
    let now = UnixSeconds(common["iat"].as_i64().unwrap());
    let Ok(token) = Unverified::parse(vector["token"].as_str().unwrap()) else { panic!() };
    let (purpose, limits) = (Purpose::HubAuth, SealLimits::default());
    let permit = desk.may();
    let outcome = reseal(
        &permit,
        &desk.ring,
        &desk.app,
        purpose,
        &token,
        &bindings(vector),
        Revoked::NOTHING,
        now,
        [1; 24],
        limits,
    );
    let Some(Ok(sealed)) = outcome.sealed else { panic!() };

    // Open it by hand, to see the claims as bytes.
    let bytes = unwrap(&sealed.token);
    let name = &vector["username"].as_str().unwrap();
    let mut context = b"hat1_".to_vec();
    context.extend_from_slice(&bytes[..34]);
    context.extend_from_slice(b"\x00\x0dacme-contacts\x00\x08hub-auth");
    let key = kdf::block(&MacKey::new(&hex(&common["key"])), 1, kdf::Purpose::new("hat1/seal", 512), &context);
    context.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
    context.extend_from_slice(name.as_bytes());
    let (mut message, tag) = (bytes[66..bytes.len() - 16].to_vec(), bytes[bytes.len() - 16..].try_into().unwrap());
    let nonce = bytes[22..34].try_into().unwrap();
    aead::open(suite(vector), key.expose(), &nonce, &context, &mut message, &tag).unwrap();
    let mut expected = hex(&vector["claims"]);
    let count = expected.windows(7).position(|entry| entry == [2, 0, 4, 0, 0, 0, 2]).unwrap();
    expected[count + 6] = 3;
    let claims_at = 38 + hex(&vector["payload"]).len();
    assert_eq!(message[claims_at..][..expected.len()], expected);
}

fn label(pair: &Value) -> (&str, &str) {
    (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())
}
