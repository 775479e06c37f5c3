//! The primitives everything else stands on: secrets that stay put, framed inputs, MAC, AEAD and KDF.
//! Pure but for one thing: the memory that keys lie in is asked of the system (`arena`), and what must go through the heap
//! is given back wiped (`heap`). No time, no I/O, no knowledge of what a token is. Randomness is handed in.

pub mod aead;
pub mod arena;
pub mod digest;
pub mod frame;
pub mod heap;
pub mod kdf;
pub mod mac;
pub mod secret;
pub mod stretch;
