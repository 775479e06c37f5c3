//! The worked examples of docs/formats.md are true.

use countersign::{
    crypto::{aead::Suite, kdf, mac::MacKey},
    hub::token::{Bindings, Contents, Entropy, PayloadKind, Purpose},
    verdict::Verdict,
};

use crate::desk::{Counter, Desk, Life};

const FORMATS: &str = include_str!("../../docs/formats.md");

/// What stands behind `name = ` on the last line that has it, in one of the indented blocks; the formulas come first.
fn value(name: &str) -> &'static str {
    let lines = FORMATS.lines().filter(|line| line.starts_with("    ")).filter_map(|line| line.split_once(" = "));
    let mut found = lines.filter(|(left, _)| left.trim() == name);
    found.next_back().unwrap_or_else(|| panic!("docs/formats.md has no {name}")).1.trim()
}

fn bytes<const N: usize>(name: &str) -> [u8; N] {
    base16ct::lower::decode_vec(value(name)).unwrap().try_into().unwrap()
}

#[test]
fn the_hash_in_the_docs_is_right() {
    let counter = Counter::new(value("secret").as_bytes());
    let (client, expires, hash) = (value("client"), value("expires"), value("hash"));
    let at: i64 = expires.parse().unwrap();
    assert_eq!(value("message"), format!("{client}-{expires}"));
    assert_eq!(counter.mint(client.parse().unwrap(), at).hash.as_str(), hash);
    assert_eq!(counter.verify(client, expires, hash, at).unwrap().verdict, Verdict::Valid);
}

#[test]
fn the_token_in_the_docs_is_right() {
    let desk = Desk::new(Suite::Aes256Gcm, &bytes::<32>("key"));
    let (user, payload) = (value("username"), value("payload"));
    let contents = Contents { kind: PayloadKind::UserId, payload: payload.as_bytes(), ..Contents::default() };
    let bindings = Bindings { username: Some(user), hub_login_token: None };
    let (now, expires) = (value("issued_at").parse().unwrap(), value("expires_at").parse().unwrap());
    let entropy = Entropy { salt: bytes("salt"), grant_id: bytes("grant_id") };
    let life = Life { now, expires: Some(expires) };
    assert_eq!(value("app"), desk.app.name);
    let sealed = desk.seal(Purpose::HubAuth, &contents, &bindings, life, entropy);
    assert_eq!(sealed.token, value("token"));
    let Ok(found) = desk.open(value("token"), Purpose::HubAuth, &bindings, now) else { panic!("malformed") };
    assert_eq!((found.verdict, found.payload(&desk.may())), (Verdict::Valid, Some(payload.as_bytes())));

    let inside = crate::hat1_text::unwrap(value("token"));
    let context = base16ct::lower::decode_vec(
        FORMATS.split('`').find(|text| text.starts_with("686174315f ")).unwrap().replace(' ', ""),
    )
    .unwrap();
    let block =
        |i| *kdf::block(&MacKey::new(&bytes::<32>("key")), i, kdf::Purpose::new("hat1/seal", 512), &context).expose();
    assert_eq!((block(1), block(2)), (bytes("aead key"), bytes("commit")));
    assert_eq!(context[5..39], inside[..34]);
    assert_eq!(
        (inside[2..10].to_vec(), inside[34..66].to_vec()),
        (bytes::<8>("kid").into(), bytes::<32>("commit").into())
    );
    assert_eq!(base16ct::lower::encode_string(&inside[66..]), value("ciphertext || tag"));
}
