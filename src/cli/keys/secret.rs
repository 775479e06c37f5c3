//! Reads a secret and decodes it, in constant time for its content, in the key arena from the first byte on.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
};

use base64ct::{Base64, Base64Unpadded, Encoding as _};

use super::prompt;
use crate::{
    cli::Failure,
    crypto::secret::Secret,
    keyring::KeyName,
    keystore::{SECRET_MAX, is_open_to_others, read_secret, strip_newline},
};

/// Most bytes of input: the longest secret in hexadecimal, and a line ending.
const INPUT_MAX: usize = 2 * SECRET_MAX + 2;

/// How a secret is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Encoding {
    /// The bytes themselves
    Raw,
    /// Hexadecimal digits, in upper or lower case
    Hex,
    /// Base64, on one line
    Base64,
}

/// Reads the secret for `name` from the file, the terminal or standard input.
pub(super) fn read(from: Option<&Path>, encoding: Encoding, name: &KeyName) -> Result<Secret, Failure> {
    let mut stderr = io::stderr();
    let mut input = match from {
        Some(path) => {
            let failed = |error: io::Error| refused(format!("cannot read the secret from {}: {error}", path.display()));
            let mut file = File::open(path).map_err(failed)?;
            if is_open_to_others(&file.metadata().map_err(failed)?) {
                let _ = writeln!(
                    stderr,
                    "warning: others can read or write {}: chmod 0600 it, remove it when it is imported, and think \
                     about who has read it",
                    path.display()
                );
            }
            limited(read_secret(&mut file, INPUT_MAX).map_err(failed)?)?
        }
        None if io::stdin().is_terminal() => {
            prompt::ask(&format!("Secret for key {name}"), INPUT_MAX, "give it on standard input or with --from")?
        }
        None => {
            let stdin = io::stdin();
            let read = read_secret(&mut Unbuffered(stdin.as_fd()), INPUT_MAX);
            limited(read.map_err(|error| refused(format!("cannot read the secret from standard input: {error}")))?)?
        }
    };
    if strip_newline(&mut input) {
        let _ = writeln!(stderr, "note: one trailing newline was taken off the secret");
    }
    decode(encoding, input)
}

fn decode(encoding: Encoding, secret: Secret) -> Result<Secret, Failure> {
    let input = secret.expose();
    match encoding {
        Encoding::Raw => Ok(secret),
        Encoding::Hex => Secret::try_filled(input.len() / 2, |bytes| base16ct::mixed::decode(input, bytes).map(|_| ()))
            .map_err(|_| {
                refused("the secret is not hexadecimal (an even number of 0-9 a-f A-F, on one line): check --encoding")
            }),
        Encoding::Base64 => {
            // How many padding characters there are follows from the length; they tell nothing of the content.
            let padding = input.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
            let digits = input.len() - padding;
            Secret::try_filled(digits / 4 * 3 + (digits % 4).saturating_sub(1), |bytes| {
                if padding == 0 { Base64Unpadded::decode(input, bytes) } else { Base64::decode(input, bytes) }
                    .map(|_| ())
            })
            .map_err(|_| refused("the secret is not base64 (A-Z a-z 0-9 + /, on one line): check --encoding"))
        }
    }
}

fn limited(read: Option<Secret>) -> Result<Secret, Failure> {
    read.ok_or_else(|| refused(format!("the secret is too long: at most {SECRET_MAX} bytes")))
}

fn refused(message: impl Into<String>) -> Failure {
    Failure { exit: 2, message: message.into() }
}

/// Standard input without the standard library's buffer, which nobody wipes.
struct Unbuffered<'a>(BorrowedFd<'a>);

impl io::Read for Unbuffered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_encodings_give_the_same_secret() {
        let secret = |encoding, text: &[u8]| {
            decode(encoding, Secret::copied(text)).map(|secret| secret.expose().to_vec()).unwrap()
        };
        assert_eq!(secret(Encoding::Raw, b"any carnal pleas"), b"any carnal pleas");
        assert_eq!(secret(Encoding::Hex, b"616E79206361726e616c20706c656173"), b"any carnal pleas");
        assert_eq!(secret(Encoding::Base64, b"YW55IGNhcm5hbCBwbGVhcw=="), b"any carnal pleas");
        assert_eq!(secret(Encoding::Base64, b"YW55IGNhcm5hbCBwbGVhcw"), b"any carnal pleas");
        assert_eq!(secret(Encoding::Base64, b"YW55IGNhcm5hbCBwbGVhc3U="), b"any carnal pleasu");
        assert_eq!(secret(Encoding::Base64, b"YW55IGNhcm5hbCBwbGVhc3Vy"), b"any carnal pleasur");
    }

    #[test]
    fn text_that_is_not_of_the_encoding_is_refused() {
        for text in [&b"616"[..], b"zz", b"61 62", b"61\n"] {
            assert!(decode(Encoding::Hex, Secret::copied(text)).is_err());
        }
        for text in [&b"YW5"[..], b"Y", b"YW55IGNhcm5hbCBwbGVhcw=", b"YW55====", b"-_-_", b"YW55\n"] {
            let refused = decode(Encoding::Base64, Secret::copied(text)).is_err();
            assert!(refused || text == b"YW5", "{text:?}");
        }
    }
}
