//! The id that a request goes by in metadata, logs and records: the caller's if it is one we can print, else ours.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header, and gRPC metadata key, of the id.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Makes the ids of one connection: 12 random hexadecimal digits, then 10 that count.
#[derive(Debug)]
pub(super) struct RequestIds {
    prefix: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// With a prefix of its own. Ids only have to be told apart, so a machine without randomness still gets some.
    pub(super) fn new() -> Self {
        static FALLBACK: AtomicU64 = AtomicU64::new(0);
        let prefix = getrandom::u64().unwrap_or_else(|_| FALLBACK.fetch_add(1, Ordering::Relaxed));
        Self { prefix, next: AtomicU64::new(0) }
    }

    /// The id of a request with these headers.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(&X_REQUEST_ID) {
            Some(theirs) if is_printable(theirs.as_bytes()) => theirs.clone(),
            _ => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 22];
        let (prefix, count) = (self.prefix.to_be_bytes(), count.to_be_bytes());
        for (digits, byte) in text.chunks_exact_mut(2).zip(prefix[2..].iter().chain(&count[3..])) {
            digits[0] = HEX[usize::from(byte >> 4)];
            digits[1] = HEX[usize::from(byte & 15)];
        }
        let mut id = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"));
        // No secret, but never the same again: a place in the compression table of HTTP/2 would be wasted on it.
        id.set_sensitive(true);
        id
    }
}

/// 1 to 64 of `[A-Za-z0-9._-]`.
fn is_printable(id: &[u8]) -> bool {
    (1..=64).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(theirs: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(theirs.as_bytes()).unwrap());
        RequestIds::new().of(&headers).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_printable_id_of_the_caller_is_kept() {
        for id in ["a", "A-b_c.9", &"x".repeat(64)] {
            assert_eq!(id_for(id), id);
        }
    }

    #[test]
    fn any_other_id_is_replaced_by_ours() {
        for id in ["", "a b", "a\"b", "é", "a,b", &"x".repeat(65)] {
            let ours = id_for(id);
            assert_eq!(ours.len(), 22, "{id}");
            assert!(ours.bytes().all(|b| b.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn our_ids_count_within_a_connection_and_differ_between_connections() {
        let ids = RequestIds { prefix: 0x0123_4567_89ab_cdef, next: AtomicU64::new(0x1f) };
        assert_eq!(ids.make(), "456789abcdef000000001f");
        assert_eq!(ids.make(), "456789abcdef0000000020");
        assert_ne!(RequestIds::new().make(), RequestIds::new().make());
    }
}
