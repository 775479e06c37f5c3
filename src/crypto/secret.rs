//! Secret bytes that stay where they were put: in the key arena, filled in place, never grown or copied, wiped on drop.

use crate::crypto::arena::Slot;

/// Secret bytes. No `Clone`, `Debug`, `PartialEq` or serialisation: what reads them says `expose`.
pub struct Secret {
    /// All the room there is; what lies behind `len` is spare or was taken away.
    room: Slot<[u8]>,
    len: usize,
}

impl Secret {
    /// No bytes yet, and room for so many.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        Self { room: Slot::zeroed(room), len: 0 }
    }

    /// `len` bytes that `fill` writes in place.
    pub fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut secret = Self { room: Slot::zeroed(len), len };
        fill(&mut secret.room);
        secret
    }

    /// Like [`Secret::filled`], for a fill that can fail; what was written by then is wiped.
    ///
    /// # Errors
    /// The error of `fill`.
    pub fn try_filled<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self { room: Slot::zeroed(len), len };
        fill(&mut secret.room)?;
        Ok(secret)
    }

    /// A copy of `bytes`, which the caller then wipes.
    #[must_use]
    pub fn copied(bytes: &[u8]) -> Self {
        Self::filled(bytes.len(), |to| to.copy_from_slice(bytes))
    }

    /// The bytes. Search for this word to see who reads secrets.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.room[..self.len]
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The room that is left, to be read into; [`Secret::take_in`] then says how much was.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.room[self.len..]
    }

    /// Counts the first `read` bytes of the spare room in.
    ///
    /// # Panics
    /// Where there is not so much room.
    pub fn take_in(&mut self, read: usize) {
        assert!(read <= self.room.len() - self.len, "no more can be read than there was room for");
        self.len += read;
    }

    /// Adds a byte; whether there was room for it.
    pub fn push(&mut self, byte: u8) -> bool {
        let room = self.spare().first_mut();
        let fits = room.map(|place| *place = byte).is_some();
        self.len += usize::from(fits);
        fits
    }

    /// Takes the last byte off.
    pub fn pop(&mut self) -> Option<u8> {
        self.len = self.len.checked_sub(1)?;
        Some(std::mem::take(&mut self.room[self.len]))
    }

    /// Takes all bytes off; the room stays.
    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_takes_what_it_has_room_for_and_keeps_nothing_that_was_taken_off() {
        let mut secret = Secret::with_room(3);
        secret.spare()[..2].copy_from_slice(b"ab");
        secret.take_in(2);
        assert!(secret.push(b'c') && !secret.push(b'd'));
        assert_eq!(secret.expose(), b"abc");
        assert_eq!(secret.pop(), Some(b'c'));
        assert_eq!(secret.expose(), b"ab");
        assert_eq!(secret.spare(), [0]);
        secret.clear();
        assert!(secret.is_empty() && secret.spare() == [0; 3] && secret.pop().is_none());
    }
}
