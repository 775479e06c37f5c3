//! The primitives everything else stands on: secrets that stay put, framed inputs, MAC, AEAD and KDF.
//! Pure: no time, no I/O, no knowledge of what a token is. Randomness is handed in.

pub mod aead;
pub mod frame;
pub mod kdf;
pub mod mac;
pub mod secret;
