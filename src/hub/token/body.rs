//! The plaintext of a token: version, kind, times, grant, payload, claims, and zeros to the end.

use super::{CLAIMS_MAX, PAYLOAD_MAX, PayloadKind};

/// The only version there is.
const VERSION: u8 = 1;
/// Where the payload starts: behind 34 fixed bytes and its length.
pub(super) const PAYLOAD_AT: usize = 36;
/// Bytes besides payload, claims and padding.
const OVERHEAD: usize = 38;

/// What a plaintext says.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    pub(super) kind: PayloadKind,
    /// Unix seconds.
    pub(super) issued_at: i64,
    /// Unix seconds; 0 is never.
    pub(super) expires_at: i64,
    pub(super) grant_id: [u8; 16],
    pub(super) payload: &'a [u8],
    pub(super) claims: &'a [u8],
}

impl<'a> Body<'a> {
    /// Bytes without padding.
    pub(super) fn len(&self) -> usize {
        OVERHEAD + self.payload.len() + self.claims.len()
    }

    /// Adds the bytes, without padding, to a buffer that has room for them: a wiped buffer must not grow.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&[VERSION, self.kind.id()]);
        to.extend_from_slice(&self.issued_at.to_be_bytes());
        to.extend_from_slice(&self.expires_at.to_be_bytes());
        to.extend_from_slice(&self.grant_id);
        for part in [self.payload, self.claims] {
            write_part(part, to);
        }
    }

    /// Reads a padded plaintext; `None` where it is not exactly of the form.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let ([version, kind], rest) = bytes.split_first_chunk()?;
        let (issued_at, rest) = rest.split_first_chunk()?;
        let (expires_at, rest) = rest.split_first_chunk()?;
        let (grant_id, rest) = rest.split_first_chunk()?;
        let (payload, rest) = read_part(rest)?;
        let (claims, padding) = read_part(rest)?;
        let body = Self {
            kind: PayloadKind::from_id(*kind)?,
            issued_at: i64::from_be_bytes(*issued_at),
            expires_at: i64::from_be_bytes(*expires_at),
            grant_id: *grant_id,
            payload,
            claims,
        };
        let fits = *version == VERSION
            && body.issued_at >= 0
            && body.expires_at >= 0
            && payload.len() <= PAYLOAD_MAX
            && claims.len() <= CLAIMS_MAX
            && padding.iter().all(|&byte| byte == 0);
        fits.then_some(body)
    }
}

/// Writes `u16(len) || part`.
///
/// # Panics
/// On a part above 65535 bytes: everything in a token was checked against a smaller limit.
pub(super) fn write_part(part: &[u8], to: &mut Vec<u8>) {
    let len = u16::try_from(part.len()).expect("parts of a token are far below 65536 bytes");
    to.extend_from_slice(&len.to_be_bytes());
    to.extend_from_slice(part);
}

/// Reads `u16(len) || part`, and gives what follows with it.
pub(super) fn read_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: Body<'_> =
        Body { kind: PayloadKind::Json, issued_at: 7, expires_at: 0, grant_id: [9; 16], payload: b"{}", claims: b"" };

    fn plaintext() -> Vec<u8> {
        let mut bytes = Vec::new();
        BODY.write(&mut bytes);
        assert_eq!(bytes.len(), BODY.len());
        bytes.resize(47, 0);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = plaintext();
        let body = Body::read(&bytes).unwrap();
        assert_eq!((body.kind, body.issued_at, body.expires_at, body.grant_id), (BODY.kind, 7, 0, [9; 16]));
        assert_eq!((body.payload, body.claims), (&b"{}"[..], &b""[..]));
        assert_eq!(&bytes[PAYLOAD_AT..][..2], b"{}");
    }

    #[test]
    fn every_departure_from_the_form_is_noticed() {
        for (at, byte) in [(0, 0), (0, 2), (1, 5), (2, 0x80), (10, 0x80), (34, 1), (38, 1), (39, 9), (40, 1), (46, 1)] {
            let mut bytes = plaintext();
            bytes[at] = byte;
            assert!(Body::read(&bytes).is_none(), "byte {at} set to {byte}");
        }
        for len in 0..40 {
            assert!(Body::read(&plaintext()[..len]).is_none(), "cut to {len}");
        }
    }
}
