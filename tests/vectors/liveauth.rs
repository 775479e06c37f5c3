//! The LiveAuth hash, by the vendor's example and others.

use countersign::verdict::{Hint, Verdict};
use serde_json::Value;

use crate::{desk::Counter, vectors};

const LIVEAUTH: &str = include_str!("liveauth.json");

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member].as_str().unwrap()
}

#[test]
fn each_vector_is_minted_to_the_byte_and_verified() {
    for vector in vectors(LIVEAUTH)["vectors"].as_array().unwrap() {
        let counter = Counter::new(text(vector, "secret_utf8").as_bytes());
        let (client, expires, hash) = (text(vector, "client"), text(vector, "expires"), text(vector, "hash"));
        let at: i64 = expires.parse().unwrap();
        assert_eq!(counter.mint(client.parse().unwrap(), at).hash.as_str(), hash);
        let found = counter.verify(client, expires, hash, at).unwrap();
        assert_eq!((found.verdict, found.key_version, found.expires), (Verdict::Valid, Some(1), at));
        assert_eq!(Counter::new(b"another").verify(client, expires, hash, at).unwrap().verdict, Verdict::BadSignature);
    }
}

#[test]
fn what_the_vendors_document_prints_wrongly_is_refused() {
    let file = vectors(LIVEAUTH);
    let [other_expiry, other_hash] = &file["rejected"].as_array().unwrap()[..] else { panic!("two are listed") };
    let verify = |vector: &Value| {
        let counter = Counter::new(text(vector, "secret_utf8").as_bytes());
        counter.verify(text(vector, "client"), text(vector, "expires"), text(vector, "hash"), 989_539_200)
    };
    assert_eq!(verify(other_expiry).unwrap().verdict, Verdict::BadSignature);
    assert_eq!(verify(other_hash).unwrap_err(), Hint::Truncated.into());
}

#[test]
fn every_digit_of_a_hash_counts() {
    let counter = Counter::new(b"whatissixtimesnine");
    let good = counter.mint(42, 989_539_200).hash.as_str().to_owned();
    for place in 0..64 {
        let other = if &good[place..=place] == "0" { "1" } else { "0" };
        let mut hash = good.clone();
        hash.replace_range(place..=place, other);
        assert_eq!(counter.verify("42", "989539200", &hash, 989_539_200).unwrap().verdict, Verdict::BadSignature);
    }
}
