//! What the configuration of an app says of its Hubs.

use super::{Origin, request};

/// Most origins that an app may list.
const ORIGINS_MAX: usize = 64;

/// Which of the two published ways of logging in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Generation {
    /// 2016 to May 2017: Hub is posted a hubLoginToken and the `auth` value, and answers where the browser goes next.
    One,
    /// From May 2017 on: the `auth` value goes to Hub through the browser, in a redirect.
    #[default]
    Two,
}

impl Generation {
    /// The number in configuration and output.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The generation of that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::One, Self::Two].into_iter().find(|generation| generation.number() == number)
    }
}

/// How generation 1 posts to Hub.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Delivery {
    /// `application/json`, as the document says.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`, as some Hubs were seen to take.
    Form,
}

impl Delivery {
    /// The name in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
        }
    }

    /// The delivery of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Json, Self::Form].into_iter().find(|delivery| delivery.name() == name)
    }
}

/// The Hubs that an app deals with, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Which way of logging in.
    pub generation: Generation,
    /// The Hubs. None: nobody logs in.
    pub origins: Vec<Origin>,
    /// What Hub calls the app; empty: its own name.
    pub hub_name: String,
    /// How generation 1 posts.
    pub delivery: Delivery,
    /// Whether generation 1 binds tokens to the hubLoginToken, besides the username.
    pub bind_hub_login_token: bool,
    /// Where updates are announced; `None`: at the first of the Hubs.
    pub notify_origin: Option<Origin>,
}

impl Settings {
    /// Whether this is one of the Hubs.
    #[must_use]
    pub fn allows(&self, origin: &Origin) -> bool {
        self.origins.contains(origin)
    }

    /// Where updates are announced.
    #[must_use]
    pub fn notified(&self) -> Option<&Origin> {
        self.notify_origin.as_ref().or(self.origins.first())
    }

    /// Whether the settings fit together.
    ///
    /// # Errors
    /// What does not, and what to do.
    pub fn check(&self) -> Result<(), String> {
        if self.origins.len() > ORIGINS_MAX {
            return Err(format!("origins has {} entries: name at most {ORIGINS_MAX}", self.origins.len()));
        }
        if let Some(twice) =
            self.origins.iter().enumerate().find_map(|(at, one)| self.origins[..at].iter().find(|other| *other == one))
        {
            return Err(format!("origins names {twice} twice: remove one"));
        }
        if !self.hub_name.is_empty() {
            request::segment(&self.hub_name).map_err(|problem| format!("hub_name {problem}"))?;
        }
        match &self.notify_origin {
            Some(origin) if !self.allows(origin) => {
                Err(format!("notify_origin {origin} is not among origins: add it there, or leave it out"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused() {
        let hubs = vec![origin("https://hub.example.com"), origin("https://other.example.com")];
        let good = Settings { origins: hubs.clone(), notify_origin: Some(hubs[1].clone()), ..Settings::default() };
        assert_eq!((good.check(), good.notified()), (Ok(()), Some(&hubs[1])));
        let first = Settings { notify_origin: None, ..good.clone() };
        assert_eq!((first.check(), first.notified()), (Ok(()), Some(&hubs[0])));
        let refused = |settings: Settings| settings.check().unwrap_err();
        assert!(refused(Settings { origins: vec![hubs[0].clone(); 2], ..good.clone() }).contains("twice"));
        assert!(refused(Settings { hub_name: "..".into(), ..good.clone() }).contains("hub_name"));
        assert!(refused(Settings { hub_name: "a\nb".into(), ..good.clone() }).contains("hub_name"));
        assert!(refused(Settings { origins: hubs[..1].into(), ..good.clone() }).contains("notify_origin"));
        let many = (0..=ORIGINS_MAX).map(|n| origin(&format!("https://h{n}.example"))).collect();
        assert!(refused(Settings { origins: many, notify_origin: None, ..good }).contains("64"));
    }
}
