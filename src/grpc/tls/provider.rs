//! The one cryptographic provider of TLS: AWS-LC, TLS 1.3 suites alone, the post-quantum hybrid X25519MLKEM768 first
//! (draft-ietf-tls-ecdhe-mlkem). Every configuration names it; nothing here relies on what a process has by default. By
//! default it has the same with the suites of TLS 1.2 besides, for calls to vendors, whose servers are what they are.

use std::sync::{Arc, LazyLock};

use rustls::{
    ProtocolVersion,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, kx_group},
    },
};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut ours = of_both_versions();
    ours.cipher_suites.retain(|suite| suite.version().version == ProtocolVersion::TLSv1_3);
    Arc::new(ours)
});

fn of_both_versions() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

/// Ours.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Makes ours, with TLS 1.2, the default of the process: what a library gets that asks for the default, as the one that calls
/// vendors does.
///
/// # Errors
/// Another one is there already: two providers are at work in this process.
pub fn claim_provider() -> Result<(), String> {
    match of_both_versions().install_default() {
        Ok(()) => Ok(()),
        Err(_) if CryptoProvider::get_default().is_some_and(|there| same(there, &PROVIDER)) => Ok(()),
        Err(_) => {
            Err("two TLS providers are at work in this process: something else has installed one; build without it"
                .into())
        }
    }
}

/// Whether both do the same with the same library.
fn same(one: &CryptoProvider, other: &CryptoProvider) -> bool {
    let groups = |provider: &CryptoProvider| provider.kx_groups.iter().map(|group| group.name()).collect::<Vec<_>>();
    groups(one) == groups(other) && format!("{:?}", one.key_provider) == format!("{:?}", other.key_provider)
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    #[test]
    fn the_hybrid_comes_first_and_no_suite_is_older_than_tls_1_3() {
        assert_eq!(provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
        assert!(provider().cipher_suites.iter().all(|suite| suite.version().version == ProtocolVersion::TLSv1_3));
    }

    #[test]
    fn claiming_twice_is_one_provider() {
        assert_eq!(claim_provider().and_then(|()| claim_provider()), Ok(()));
    }
}
