//! Protobuf between tonic and the messages. It differs from the stock codec in three things: a request that does not
//! decode is the caller's fault, not ours; a batch is never decoded past the first item too many, so that
//! a megabyte of empty items cannot grow to a hundred; and buffers fit messages of a few hundred bytes.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::{Message, encoding::decode_varint};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{proto, status};
use crate::authority::Refusal;

/// Items that a batch is decoded to at most: one more than the use cases take, so that it is they who refuse.
pub(super) const DECODED_ITEMS: usize = 1001;

/// A message of ours, with what decoding must know about it.
pub trait Decodable: Message + Default {
    /// How many elements of field 1 are decoded at most.
    const MOST_ITEMS: usize = usize::MAX;

    /// Whether it holds key material, so that what it was read from is wiped as far as it is ours to wipe.
    const HOLDS_KEYS: bool = false;

    /// Decodes, up to [`Self::MOST_ITEMS`]. `None`: it does not decode; why is not for the outside.
    #[must_use]
    fn from_wire(bytes: &[u8]) -> Option<Self> {
        let bytes = if Self::MOST_ITEMS == usize::MAX { bytes } else { first_items(bytes, Self::MOST_ITEMS)? };
        Self::decode(bytes).ok()
    }
}

macro_rules! decodable {
    ($most:expr => $($message:ident)+) => { $(
        impl Decodable for proto::$message {
            const MOST_ITEMS: usize = $most;
        }
    )+ };
}

decodable! { usize::MAX =>
    MintHashRequest MintHashResponse VerifyHashRequest VerifyHashResponse
    BatchMintHashResponse BatchVerifyHashResponse
    BeginLoginRequest BeginLoginResponse CompleteLoginRequest CompleteLoginResponse
    RenewAuthRequest RenewAuthResponse ResolveLoginRequest ResolveLoginResponse
    NotifyUpdateRequest NotifyUpdateResponse
    TestRequest TestResponse GetStatusRequest GetStatusResponse LoginRequest LoginResponse
    CompleteInfoRequest CompleteInfoResponse LogoutRequest LogoutResponse
    SealRequest SealResponse OpenRequest OpenResponse VerifyRequest VerifyResponse ResealRequest ResealResponse
    RevokeRequest RevokeResponse ListRevocationsRequest ListRevocationsResponse
    BatchSealResponse BatchOpenResponse BatchVerifyResponse BatchResealResponse
    ListKeysRequest ListKeysResponse GetKeyRequest GetKeyResponse ExplainTokenRequest ExplainTokenResponse
    CreateKeyRequest CreateKeyResponse ImportKeyVersionResponse RotateKeyResponse
    SuspendKeyVersionRequest SuspendKeyVersionResponse ResumeKeyVersionRequest ResumeKeyVersionResponse
    MarkKeyVersionCompromisedRequest MarkKeyVersionCompromisedResponse
    DestroyKeyVersionRequest DestroyKeyVersionResponse ReloadRequest ReloadResponse
}
decodable! { DECODED_ITEMS =>
    BatchMintHashRequest BatchVerifyHashRequest
    BatchSealRequest BatchOpenRequest BatchVerifyRequest BatchResealRequest
}

impl Decodable for proto::ImportKeyVersionRequest {
    const HOLDS_KEYS: bool = true;
}

impl Decodable for proto::RotateKeyRequest {
    const HOLDS_KEYS: bool = true;
}

/// The codec that `build.rs` names for every RPC.
#[derive(Debug)]
pub struct UnaryCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for UnaryCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for UnaryCodec<T, U>
where
    T: Message + Send + 'static,
    U: Decodable + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ToWire<T>;
    type Decoder = FromWire<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ToWire(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        FromWire(PhantomData)
    }
}

/// Encodes `T`.
#[derive(Debug)]
pub struct ToWire<T>(PhantomData<T>);

impl<T: Message> Encoder for ToWire<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|_| status::unrecorded(Refusal::Internal))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(512, 32 * 1024)
    }
}

/// Decodes `U`.
#[derive(Debug)]
pub struct FromWire<U>(PhantomData<U>);

impl<U: Decodable> Decoder for FromWire<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let length = buffer.remaining();
        let contiguous = buffer.chunk();
        let decoded = if contiguous.len() == length {
            U::from_wire(contiguous)
        } else {
            U::from_wire(&buffer.copy_to_bytes(length))
        };
        buffer.advance(buffer.remaining());
        decoded.map(Some).ok_or_else(|| status::unrecorded(Refusal::Undecodable))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(512, 32 * 1024)
    }
}

/// The start of an encoded message that holds at most `most` elements of field 1. `None`: it is torn, or has a group
/// before their end. The real decoder would take a group, but then nothing would bound the items behind it.
fn first_items(bytes: &[u8], most: usize) -> Option<&[u8]> {
    let mut rest = bytes;
    let mut items = 0;
    while items < most && !rest.is_empty() {
        let (is_item, after) = skip_field(rest)?;
        rest = after;
        items += usize::from(is_item);
    }
    Some(&bytes[..bytes.len() - rest.len()])
}

/// Whether the first field is an element of field 1, and what follows it. `None`: torn, or a group.
fn skip_field(mut bytes: &[u8]) -> Option<(bool, &[u8])> {
    let key = decode_varint(&mut bytes).ok()?;
    let length = match key & 7 {
        0 => {
            decode_varint(&mut bytes).ok()?;
            0
        }
        1 => 8,
        2 => usize::try_from(decode_varint(&mut bytes).ok()?).ok()?,
        5 => 4,
        _ => return None,
    };
    Some((key >> 3 == 1, bytes.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_decoded_to_one_item_too_many_and_no_further() {
        let batch = |n| proto::BatchOpenRequest { items: vec![proto::OpenRequest::default(); n] }.encode_to_vec();
        let decoded = |n| proto::BatchOpenRequest::from_wire(&batch(n)).unwrap().items.len();
        assert_eq!(decoded(0), 0);
        assert_eq!(decoded(1000), 1000);
        assert_eq!(decoded(1001), 1001);
        assert_eq!(decoded(300_000), 1001);
    }

    #[test]
    fn unknown_fields_neither_stop_the_count_nor_count() {
        let item = [10, 0];
        let mut bytes =
            vec![(15 << 3) | 2, 1, b'x', 16, 1, (3 << 3) | 1, 0, 0, 0, 0, 0, 0, 0, 0, (4 << 3) | 5, 0, 0, 0, 0];
        bytes.extend(item.repeat(3));
        assert_eq!(proto::BatchOpenRequest::from_wire(&bytes).unwrap().items.len(), 3);
        bytes.extend(item.repeat(5000));
        assert_eq!(proto::BatchOpenRequest::from_wire(&bytes).unwrap().items.len(), 1001);
    }

    #[test]
    fn a_group_does_not_lift_the_bound_but_is_refused() {
        let items = [10, 0].repeat(5000);
        let group = [0x7b, 0x7c];
        let from_wire = |bytes: &[u8]| proto::BatchOpenRequest::from_wire(bytes);
        assert!(from_wire(&[&group[..], &items].concat()).is_none());
        assert!(from_wire(&[&items[..20], &group, &items].concat()).is_none());
        assert!(from_wire(&group[..1]).is_none());
        assert!(from_wire(&group[1..]).is_none());
    }

    #[test]
    fn a_torn_batch_does_not_decode() {
        assert!(proto::BatchOpenRequest::from_wire(&[10, 200, 1, 7]).is_none());
        assert!(proto::BatchOpenRequest::from_wire(&[10]).is_none());
        assert!(proto::BatchOpenRequest::from_wire(&[0xff; 20]).is_none());
    }
}
