//! What Hub keeps: logins that it began, and for each generation the app's `auth`, with the username it came for.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::world::random;

/// Logins under way; the oldest goes.
const UNDER_WAY: usize = 100;

/// Which of Hub's two protocols. In a path or a form it is `1` or `2`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Generation {
    #[serde(rename = "1")]
    One,
    #[serde(rename = "2")]
    Two,
}

impl Generation {
    pub(crate) const BOTH: [Self; 2] = [Self::One, Self::Two];

    pub(crate) fn number(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// Where the app has this generation's pages, below its origin.
    pub(crate) fn base(self) -> &'static str {
        match self {
            Self::One => "/acme-contacts",
            Self::Two => "/gen2",
        }
    }
}

/// What an app has delivered.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) auth: String,
    pub(crate) username: String,
    pub(crate) renewals: u32,
    /// The hubLoginToken that it came with, in generation 1.
    pub(crate) login_token: Option<String>,
}

/// All of it.
pub(crate) struct Memory {
    secret: String,
    logins: Vec<String>,
    stored: [Option<Stored>; 2],
    pushes: [u32; 2],
}

impl Default for Memory {
    fn default() -> Self {
        Self { secret: random::<32>(), logins: Vec::new(), stored: [None, None], pushes: [0, 0] }
    }
}

impl Memory {
    /// The name of a login that begins now.
    pub(crate) fn begin(&mut self) -> String {
        let login = random::<16>();
        if self.logins.len() == UNDER_WAY {
            self.logins.remove(0);
        }
        self.logins.push(login.clone());
        login
    }

    /// A hubLoginToken, as Express signs cookies: `s:NAME.SIGNATURE`, with a `+` and a `/` in it, as it may have.
    pub(crate) fn begin_with_token(&mut self) -> String {
        loop {
            let login = random::<16>();
            let token = format!("s:{login}.{}", STANDARD_NO_PAD.encode(self.mac(&login).finalize().into_bytes()));
            if token.contains('+') && token.contains('/') {
                self.logins.push(login);
                return token;
            }
        }
    }

    /// Whether this is a hubLoginToken of a login under way, byte for byte.
    pub(crate) fn knows_token(&self, token: &str) -> bool {
        let parts = token.strip_prefix("s:").and_then(|rest| rest.split_once('.'));
        parts.is_some_and(|(login, signature)| {
            let signature = STANDARD_NO_PAD.decode(signature).unwrap_or_default();
            self.mac(login).verify_slice(&signature).is_ok() && self.knows(login)
        })
    }

    pub(crate) fn knows(&self, login: &str) -> bool {
        self.logins.iter().any(|known| known == login)
    }

    pub(crate) fn stored(&self, generation: Generation) -> Option<&Stored> {
        self.stored[generation.number() - 1].as_ref()
    }

    pub(crate) fn store(&mut self, generation: Generation, stored: Option<Stored>) {
        self.stored[generation.number() - 1] = stored;
    }

    /// Puts a new token in the old one's place. False where the old one is not what is stored for that user.
    pub(crate) fn renew(&mut self, generation: Generation, username: &str, old: &str, new: &str) -> bool {
        match &mut self.stored[generation.number() - 1] {
            Some(stored) if stored.auth == old && stored.username == username => {
                new.clone_into(&mut stored.auth);
                stored.renewals += 1;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn push(&mut self, generation: Generation) {
        self.pushes[generation.number() - 1] += 1;
    }

    pub(crate) fn pushes(&self, generation: Generation) -> u32 {
        self.pushes[generation.number() - 1]
    }

    fn mac(&self, login: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(login.as_bytes());
        mac
    }
}
