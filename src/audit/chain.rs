//! What holds the journal together: the hash of each record, which the next one carries, and the MAC of a seal.
//! Pure. The keys come from whoever opens the keyring, and leave in no form.

use std::{fmt, str::FromStr};

use super::event::{Subject, Who};
use crate::crypto::{digest, frame::Frame, mac::MacKey};

const RECORD: &str = "countersign/journal/record";
const SEAL: &str = "countersign/journal/seal";
const USER: &str = "countersign/journal/user";
const CLIENT: &str = "countersign/journal/client";

/// Longest name that a pseudonym is made of, bytes; a longer one is no user's.
const NAME_MAX: usize = 1024;

/// A record's place and hash: all that proves what stands before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The record's sequence number, from 1; 0 before there is a record.
    pub sequence: u64,
    /// Its hash; zeros before there is a record.
    pub hash: [u8; 32],
}

impl Head {
    /// Before the first record.
    pub const NONE: Self = Self { sequence: 0, hash: [0; 32] };

    /// The head once `line`, without its newline, is the record `sequence`.
    #[must_use]
    pub(super) fn of(sequence: u64, line: &[u8]) -> Self {
        Self { sequence, hash: digest::of_document(RECORD, line) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, base16ct::lower::encode_string(&self.hash))
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is no head: write SEQ:HASH, a number and 64 hexadecimal digits");
        let (sequence, hex) = text.split_once(':').ok_or_else(malformed)?;
        let mut hash = [0; 32];
        let decoded = base16ct::lower::decode(hex, &mut hash).map_err(|_| malformed())?;
        if decoded.len() != hash.len() {
            return Err(malformed());
        }
        Ok(Self { sequence: sequence.parse().map_err(|_| malformed())?, hash })
    }
}

/// The keys of a journal, all derived from the keyring's service secret: the same for all who hold the keyring.
pub struct JournalKeys {
    seal: MacKey,
    pseudonym: MacKey,
    keyring_id: String,
}

impl JournalKeys {
    /// Keys for the seals and the pseudonyms of the keyring of this id.
    #[must_use]
    pub fn new(seal: MacKey, pseudonym: MacKey, keyring_id: &str) -> Self {
        Self { seal, pseudonym, keyring_id: keyring_id.to_owned() }
    }

    /// The id of the keyring that they belong to.
    #[must_use]
    pub fn keyring_id(&self) -> &str {
        &self.keyring_id
    }

    /// The MAC over a sealed record up to where the MAC itself stands. It covers the sequence number and, by the hash of
    /// the record before, all that stands before.
    pub(super) fn seal(&self, body: &[u8]) -> [u8; 32] {
        *self.seal.tag(&Frame::labelled(SEAL).document(body)).expose()
    }

    /// Whether `mac` seals `body`, in constant time.
    pub(super) fn sealed(&self, body: &[u8], mac: &[u8]) -> bool {
        self.seal.verify(&Frame::labelled(SEAL).document(body), mac)
    }

    /// The pseudonym of whom an entry is about; nothing for nobody, and for what is too long to be a name.
    #[must_use]
    pub fn pseudonym(&self, subject: Subject<'_>) -> Option<[u8; 16]> {
        let framed = match subject.0 {
            Who::Nobody => return None,
            Who::User(name) if name.len() > NAME_MAX => return None,
            Who::User(name) => Frame::labelled(USER).part(name.as_bytes()),
            Who::Client(number) => Frame::labelled(CLIENT).fixed_part(&number.to_be_bytes()),
        };
        let tag = self.pseudonym.tag(&framed);
        tag.expose().first_chunk().copied()
    }
}

#[cfg(test)]
pub(super) fn test_keys(byte: u8) -> JournalKeys {
    JournalKeys::new(MacKey::new(&[byte; 32]), MacKey::new(&[byte + 1; 32]), "00112233445566778899aabbccddeeff")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = Head::of(7, b"{}");
        assert_eq!(head.to_string().parse(), Ok(head));
        for bad in ["", "7", "7:", "7:00", "x:00", &format!("{head}0"), &head.to_string().to_uppercase()] {
            assert!(bad.parse::<Head>().is_err(), "{bad}");
        }
    }

    #[test]
    fn pseudonyms_tell_users_from_clients_and_keys_from_keys() {
        let keys = test_keys(1);
        let of = |subject| keys.pseudonym(subject);
        assert_eq!(of(Subject::user(Some("42"))), of(Subject::user(Some("42"))));
        assert_ne!(of(Subject::user(Some("42"))), of(Subject::client(42)));
        assert_eq!(of(Subject::client_text("42")), of(Subject::client(42)));
        assert_ne!(of(Subject::client(42)), test_keys(3).pseudonym(Subject::client(42)));
        for nobody in [Subject::NOBODY, Subject::user(None), Subject::client(0), Subject::client(-1)] {
            assert_eq!(of(nobody), None);
        }
        for text in ["", "042", "+42", "4 2", "99999999999999999999"] {
            assert_eq!(of(Subject::client_text(text)), None, "{text}");
        }
        assert_eq!(of(Subject::user(Some(&"u".repeat(NAME_MAX + 1)))), None);
    }
}
