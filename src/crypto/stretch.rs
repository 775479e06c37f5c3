//! Argon2id (RFC 9106): a key from a passphrase, slow and hungry on purpose, so that guessing is dear.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize as _;

use crate::crypto::secret::Secret;

/// Bytes of a salt.
pub const SALT_LEN: usize = 16;

/// Bytes of a stretched key.
const KEY_LEN: usize = 32;

/// Bytes of stack wiped afterwards: the passphrase goes through the hash's blocks.
const USE_STACK: usize = 16 * 1024;

/// What stretching costs whoever does it, and whoever guesses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes that it is filled in.
    pub lanes: u32,
}

impl Cost {
    /// What new keys are stretched with: the second choice of RFC 9106, section 4 (64 MiB, 3 passes, 4 lanes).
    pub const DEFAULT: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };

    /// The most that is believed of a document whose MAC is not checked yet.
    const MOST: Self = Self { memory_kib: 1 << 20, passes: 16, lanes: 16 };

    /// Whether it lies within what a sound document can state.
    #[must_use]
    pub fn is_bearable(self) -> bool {
        let within = |value, least, most| (least..=most).contains(&value);
        within(self.lanes, 1, Self::MOST.lanes)
            && within(self.passes, 1, Self::MOST.passes)
            && within(self.memory_kib, 8 * self.lanes, Self::MOST.memory_kib)
    }
}

/// There is not so much memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooDear;

/// The key of a passphrase.
///
/// # Errors
/// [`TooDear`].
///
/// # Panics
/// Where the cost is not bearable, which the caller asks first.
pub fn stretch(passphrase: &Secret, salt: &[u8; SALT_LEN], cost: Cost) -> Result<Secret, TooDear> {
    let stretched = stretch_inner(passphrase, salt, cost);
    zeroize::zeroize_stack::<USE_STACK>();
    stretched
}

#[inline(never)]
fn stretch_inner(passphrase: &Secret, salt: &[u8], cost: Cost) -> Result<Secret, TooDear> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_LEN)).expect("the cost is bearable");
    let mut memory = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|_| TooDear)?;
    memory.resize(params.block_count(), Block::new());
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let key = Secret::filled(KEY_LEN, |key| {
        let hashed = argon.hash_password_into_with_memory(passphrase.expose(), salt, key, &mut memory);
        hashed.expect("passphrase, salt and key are of lengths that Argon2 takes");
    });
    memory.iter_mut().for_each(Block::zeroize);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test suite of the reference implementation, for Argon2id, version 0x13.
    #[test]
    fn the_known_answers_of_the_reference_implementation_hold() {
        for (memory_kib, passes, lanes, hash) in [
            (1 << 16, 2, 1, "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"),
            (1 << 8, 2, 1, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"),
            (1 << 8, 2, 2, "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"),
        ] {
            let key = stretch_inner(&Secret::copied(b"password"), b"somesalt", Cost { memory_kib, passes, lanes });
            assert_eq!(base16ct::lower::encode_string(key.unwrap().expose()), hash);
        }
    }

    #[test]
    fn a_cost_that_no_one_asked_for_is_not_believed() {
        assert!(Cost::DEFAULT.is_bearable());
        for cost in [
            Cost { memory_kib: u32::MAX, ..Cost::DEFAULT },
            Cost { memory_kib: 31, ..Cost::DEFAULT },
            Cost { passes: 0, ..Cost::DEFAULT },
            Cost { passes: 17, ..Cost::DEFAULT },
            Cost { lanes: 0, ..Cost::DEFAULT },
            Cost { lanes: u32::MAX, ..Cost::DEFAULT },
        ] {
            assert!(!cost.is_bearable(), "{cost:?}");
        }
    }
}
