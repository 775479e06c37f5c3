//! A Hub app, as configured: whose key seals its tokens, how long they live and how large they may be.

use std::{borrow::Cow, sync::Arc};

use crate::{
    hub::{login::Settings, token},
    keyring::{Key, KeyKind},
};

const DAY: i64 = 86_400;

/// How long a token lives where neither the request nor the app says.
pub const DEFAULT_TTL: Ttl = Ttl::Seconds(90 * DAY);
/// How long a token may live where the app does not say; no app may allow more, but for ever.
pub const MAX_TTL_CEILING: i64 = 400 * DAY;
/// How many characters a token may have where the app does not say: generation 2 of Hub carries it in a URL.
pub const DEFAULT_MAX_CHARS: usize = 4000;

/// A span of time that may have no end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// So many seconds.
    Seconds(i64),
    /// No end.
    Never,
}

impl Ttl {
    /// The longer of two.
    #[must_use]
    pub fn longer(self, other: Self) -> Self {
        match (self, other) {
            (Self::Seconds(one), Self::Seconds(other)) => Self::Seconds(one.max(other)),
            _ => Self::Never,
        }
    }
}

/// How usernames are compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum UsernameForm {
    /// Byte for byte.
    #[default]
    Exact,
    /// With the letters A to Z taken for a to z, and nothing else folded.
    AsciiLower,
}

impl UsernameForm {
    /// The name in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::AsciiLower => "ascii_lower",
        }
    }

    /// The form of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Exact, Self::AsciiLower].into_iter().find(|form| form.name() == name)
    }

    /// The username as tokens are bound to it.
    #[must_use]
    pub fn canonical(self, username: &str) -> Cow<'_, str> {
        match self {
            Self::Exact => username.into(),
            Self::AsciiLower => username.to_ascii_lowercase().into(),
        }
    }
}

/// One configured app.
pub struct App {
    /// Its name: see [`is_app_name`].
    pub name: String,
    /// Its key.
    pub key: Arc<Key>,
    /// Lifetime of a token where the request does not say.
    pub ttl: Ttl,
    /// Longest lifetime that a request may ask for.
    pub max_ttl: Ttl,
    /// Pads what is sealed to at least so many bytes, to hide its length; 0 to 6047.
    pub pad_to: usize,
    /// Longest token, characters; 183 to 8183.
    pub max_chars: usize,
    /// Whether every token must be bound to a username.
    pub require_username: bool,
    /// How usernames are compared.
    pub username_form: UsernameForm,
    /// Whether resealing a token gives it a new lifetime; else it keeps its expiry.
    pub reseal_extends: bool,
    /// The Hubs that it deals with.
    pub login: Settings,
}

impl App {
    /// Whether the settings fit together.
    ///
    /// # Errors
    /// What does not, and what to do.
    pub fn check(&self) -> Result<(), String> {
        let refused = |why: String| Err(format!("app {:?}: {why}", self.name));
        if !is_app_name(&self.name) {
            return Err(format!("{:?} is no app name: 1 to 64 of a-z 0-9 . _ -", self.name));
        }
        if self.key.kind != KeyKind::Hat1 {
            return refused(format!("key {} is no hat1 key: name one, or create it", self.key.name));
        }
        match (self.ttl, self.max_ttl) {
            (_, Ttl::Seconds(max)) if !(1..=MAX_TTL_CEILING).contains(&max) => {
                return refused(format!("max_ttl is {max} s: choose 1 to {MAX_TTL_CEILING} (400 days), or \"never\""));
            }
            (Ttl::Seconds(ttl), _) if ttl < 1 => return refused(format!("ttl is {ttl} s: choose at least 1")),
            (Ttl::Seconds(ttl), Ttl::Seconds(max)) if ttl > max => {
                return refused(format!("ttl is {ttl} s, above max_ttl, {max} s: lower it"));
            }
            (Ttl::Seconds(ttl), Ttl::Never) if ttl > MAX_TTL_CEILING => {
                return refused(format!("ttl is {ttl} s: choose 1 to {MAX_TTL_CEILING} (400 days), or \"never\""));
            }
            (Ttl::Never, Ttl::Seconds(_)) => {
                return refused("ttl is \"never\" but max_ttl is not: make it \"never\" too".into());
            }
            _ => {}
        }
        if self.pad_to > token::PLAINTEXT_MAX {
            return refused(format!("pad_to is {}: choose 0 to {}", self.pad_to, token::PLAINTEXT_MAX));
        }
        if !(token::CHARS_MIN..=token::CHARS_MAX).contains(&self.max_chars) {
            let (least, most) = (token::CHARS_MIN, token::CHARS_MAX);
            return refused(format!("max_chars is {}: choose {least} to {most}", self.max_chars));
        }
        let padded = token::chars_for(self.pad_to);
        if padded > self.max_chars {
            return refused(format!(
                "pad_to makes every token {padded} characters long, above max_chars, {}: change one of them",
                self.max_chars
            ));
        }
        self.login.check().or_else(refused)
    }

    /// What Hub calls it.
    #[must_use]
    pub fn hub_name(&self) -> &str {
        if self.login.hub_name.is_empty() { &self.name } else { &self.login.hub_name }
    }
}

/// Whether `text` can name an app: 1 to 64 of `[a-z0-9._-]`.
#[must_use]
pub fn is_app_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::KeyName;

    fn changed(change: impl FnOnce(&mut App)) -> Result<(), String> {
        let mut app = App {
            name: "acme-contacts".into(),
            key: Arc::new(Key::new(KeyName::new("k").unwrap(), KeyKind::Hat1, Vec::new())),
            ttl: DEFAULT_TTL,
            max_ttl: Ttl::Seconds(MAX_TTL_CEILING),
            pad_to: 0,
            max_chars: DEFAULT_MAX_CHARS,
            require_username: true,
            username_form: UsernameForm::Exact,
            reseal_extends: false,
            login: Settings::default(),
        };
        change(&mut app);
        app.check()
    }

    #[test]
    fn limits_out_of_range_are_refused() {
        assert!(changed(|_| {}).is_ok());
        assert!(changed(|a| (a.ttl, a.max_ttl) = (Ttl::Never, Ttl::Never)).is_ok());
        assert!(changed(|a| (a.pad_to, a.max_chars) = (6047, 8183)).is_ok());
        assert!(changed(|a| a.max_chars = 183).is_ok());
        for refused in [
            changed(|a| a.name = "Acme".into()),
            changed(|a| a.name = String::new()),
            changed(|a| a.name = "a".repeat(65)),
            changed(|a| a.ttl = Ttl::Seconds(0)),
            changed(|a| a.ttl = Ttl::Never),
            changed(|a| a.max_ttl = Ttl::Seconds(MAX_TTL_CEILING + 1)),
            changed(|a| a.max_ttl = Ttl::Seconds(60)),
            changed(|a| (a.ttl, a.max_ttl) = (Ttl::Seconds(MAX_TTL_CEILING + 1), Ttl::Never)),
            changed(|a| (a.pad_to, a.max_chars) = (6048, 8183)),
            changed(|a| a.pad_to = 2880),
            changed(|a| a.max_chars = 182),
            changed(|a| a.max_chars = 8184),
            changed(|a| a.key = Arc::new(Key::new(KeyName::new("k").unwrap(), KeyKind::LiveAuth, Vec::new()))),
        ] {
            assert!(refused.is_err());
        }
    }

    #[test]
    fn ascii_lower_folds_a_to_z_and_nothing_else() {
        assert_eq!(UsernameForm::AsciiLower.canonical("Jo.ÄÉ@X.com"), "jo.ÄÉ@x.com");
        assert_eq!(UsernameForm::Exact.canonical("Jo@X.com"), "Jo@X.com");
    }
}
