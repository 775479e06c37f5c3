//! SHA-256 (FIPS 180-4) of framed input, for what is chained rather than authenticated.

use sha2::{Digest as _, Sha256};

/// Bytes of a digest.
pub const DIGEST_LEN: usize = 32;

/// The SHA-256 of `bytes` alone, as other programs show it of a file.
#[must_use]
pub fn of_file(bytes: &[u8]) -> [u8; DIGEST_LEN] {
    Sha256::digest(bytes).into()
}

/// The SHA-256 of `Frame::labelled(label).document(document)`, without building the frame: `document` may be long.
///
/// # Panics
/// On a document of 4 GiB or more.
#[must_use]
pub fn of_document(label: &'static str, document: &[u8]) -> [u8; DIGEST_LEN] {
    let label_len = u16::try_from(label.len()).expect("a label is a few words");
    let len = u32::try_from(document.len()).expect("a framed document is below 4 GiB");
    let mut hash = Sha256::new();
    hash.update(label_len.to_be_bytes());
    hash.update(label.as_bytes());
    hash.update(len.to_be_bytes());
    hash.update(document);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::frame::Frame;

    #[test]
    fn it_is_the_digest_of_the_frame() {
        for document in [&b""[..], b"one line", &[7; 1000]] {
            let framed = Frame::labelled("test/label").document(document);
            let expected: [u8; 32] = Sha256::digest(framed.as_bytes()).into();
            assert_eq!(of_document("test/label", document), expected);
        }
        assert_ne!(of_document("a", b"bc"), of_document("ab", b"c"));
    }
}
