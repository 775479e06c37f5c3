//! From a name to the addresses that may be dialled. What a name leads to is judged here, on what is really dialled, so
//! that no name, and no change of its record between two looks, leads inside.

use std::{fmt, net::ToSocketAddrs as _, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::address::Allowed;

/// Names that are looked up at a time: the system does so by blocking a thread, and a DNS that is gone must not take all
/// of them.
pub(super) const LOOKUPS: usize = 16;

/// Looks names up as the system does, and gives of what it finds only what may be dialled.
pub(super) struct Resolver {
    allowed: Allowed,
    lookups: Arc<Semaphore>,
}

/// Why there is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lookup {
    /// There is none that may be dialled.
    Refused,
    /// The name cannot be looked up.
    Failed,
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "no address that may be dialled",
            Self::Failed => "the name cannot be looked up",
        })
    }
}

impl std::error::Error for Lookup {}

impl Resolver {
    pub(super) fn new(allowed: Allowed, lookups: Arc<Semaphore>) -> Self {
        Self { allowed, lookups }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, lookups) = (self.allowed, Arc::clone(&self.lookups));
        Box::pin(async move {
            let turn = lookups.acquire_owned().await.map_err(|_| Lookup::Failed)?;
            let looked = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                // The port is put in by whoever dials.
                (name.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>)
            });
            let found = looked.await.map_err(|_| Lookup::Failed)?.map_err(|_| Lookup::Failed)?;
            let mut may_be_dialled = found.into_iter().filter(move |found| allowed.allows(found.ip())).peekable();
            if may_be_dialled.peek().is_none() {
                return Err(Lookup::Refused.into());
            }
            let addresses: Addrs = Box::new(may_be_dialled);
            Ok(addresses)
        })
    }
}
