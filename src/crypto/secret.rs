//! Secret bytes that stay where they were put: boxed, filled in place, never grown or copied, wiped on drop.

use zeroize::{Zeroize as _, Zeroizing};

/// Secret bytes. No `Clone`, `Debug`, `PartialEq` or serialisation: what reads them says `expose`.
pub struct Secret(Box<[u8]>);

impl Secret {
    /// `len` bytes that `fill` writes in place.
    pub fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = vec![0; len].into_boxed_slice();
        fill(&mut bytes);
        Self(bytes)
    }

    /// Like [`Secret::filled`], for a fill that can fail; what was written by then is wiped.
    ///
    /// # Errors
    /// The error of `fill`.
    pub fn try_filled<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(vec![0; len].into_boxed_slice());
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// A copy of `bytes`, which the caller then wipes.
    #[must_use]
    pub fn copied(bytes: &[u8]) -> Self {
        Self::filled(bytes.len(), |to| to.copy_from_slice(bytes))
    }

    /// The first bytes of a wiped-on-drop buffer, moved into a box of exactly that size.
    #[must_use]
    pub fn from_buffer(buffer: &Zeroizing<Vec<u8>>) -> Self {
        Self::copied(buffer)
    }

    /// The bytes. Search for this word to see who reads secrets.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
