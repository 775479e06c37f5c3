//! The gRPC room: everything that touches the wire of the API. It finds out who calls, keeps limits, decodes, calls the
//! authority and encodes what comes back; it decides nothing about hashes or tokens and never sees a key.
//!
//! A request's way: [`listen`] owns the sockets, `serve` deals connections out to one thread per core, [`connection`]
//! speaks HTTP/2 or HTTP/1.1, `front` admits and routes, `liveauth`, `portal`, `hub_token` and `key` call the use cases, and `status`
//! words every refusal. [`connect`] is a translation in front of the same services, not a second API.

mod answer;
pub mod client;
pub mod codec;
mod connect;
pub mod connection;
mod front;
mod health;
mod host;
mod http2;
mod hub_login;
mod hub_token;
mod key;
mod later;
mod limit;
pub mod listen;
mod liveauth;
mod message;
mod peer;
mod portal;
mod presence;
pub mod proto;
mod reflection;
mod request_id;
mod revocation;
mod route;
mod rpc;
mod serve;
mod session;
mod status;
mod timeout;
pub mod tls;
mod turns;
mod verdicts;
mod worker;
mod write_through;

pub use limit::Limits;
pub use listen::Listener;
pub use serve::{Server, start};
pub use session::{Gate, Reach, Session, Transport};
