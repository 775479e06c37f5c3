//! The five actions. Each says which verb it takes, what it sends besides the hash, and what it makes of an answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroize as _;

use super::{
    link::{Link, PortalId},
    read::{Misread, fields, is_web_page, value},
};
use crate::policy::{Verb, verb};

/// Longest token of a login, bytes.
pub const TOKEN_MAX: usize = 512;

/// What `test` answers.
const HELLO: &str = "hello world";

/// One of the actions.
pub trait Ask {
    /// What the caller must be allowed.
    type Verb: Verb;
    /// What the answer says.
    type Answer;
    /// The last segment of the URL's path.
    const ACTION: &'static str;

    /// Whether asking twice changes nothing that asking once does not.
    const IS_REPEATABLE: bool = false;

    /// Names and values to send, besides those that every request has.
    fn parameters(&self, add: &mut dyn FnMut(&str, &str));

    /// Reads the answer of a request that went well.
    ///
    /// # Errors
    /// [`Misread`].
    fn read(body: &[u8]) -> Result<Self::Answer, Misread>;

    /// What else nobody shall see of it.
    fn secret(&self) -> Option<&str> {
        None
    }
}

/// Whether authentication works.
pub struct Test;

impl Ask for Test {
    type Verb = verb::PortalRead;
    type Answer = String;
    const ACTION: &'static str = "test";
    const IS_REPEATABLE: bool = true;

    fn parameters(&self, _add: &mut dyn FnMut(&str, &str)) {}

    fn read(body: &[u8]) -> Result<String, Misread> {
        match value(body)? {
            serde_json::Value::String(said) if said.eq_ignore_ascii_case(HELLO) => Ok(said),
            // It may well say in a mere string what is wrong.
            serde_json::Value::String(said) => Err(Misread::Complaint(said)),
            _ => Err(Misread::Unlike("test answers a string")),
        }
    }
}

/// As whom a user posts on a portal.
pub struct Status {
    /// The portal.
    pub portal: PortalId,
    /// The user.
    pub profile: PortalId,
}

/// That: some or all of it.
#[derive(Default, Deserialize)]
pub struct StatusAnswer {
    /// Whether the profile can be used.
    pub signed: Option<bool>,
    /// Whether it is the user's own.
    #[serde(rename = "isProfile")]
    pub is_profile: Option<bool>,
    /// Its name.
    pub name: Option<String>,
    /// Where its picture is.
    pub picture: Option<String>,
}

impl Ask for Status {
    type Verb = verb::PortalRead;
    type Answer = StatusAnswer;
    const ACTION: &'static str = "status";
    const IS_REPEATABLE: bool = true;

    fn parameters(&self, add: &mut dyn FnMut(&str, &str)) {
        add("portal", &self.portal.text());
        add("profile", &self.profile.text());
    }

    fn read(body: &[u8]) -> Result<StatusAnswer, Misread> {
        fields(body, "status answers an object with signed and isProfile as booleans, name and picture as strings")
    }
}

/// Begins a login.
pub struct Login {
    /// The portal.
    pub portal: PortalId,
    /// For whom the credentials are saved; `None`: for nobody.
    pub link: Option<Link>,
}

/// A login that was begun. Both sign somebody in.
#[derive(Deserialize)]
pub struct Began {
    /// The page to show to the user.
    pub url: String,
    /// What ends the login.
    pub token: String,
}

impl Ask for Login {
    type Verb = verb::PortalLogin;
    type Answer = Began;
    const ACTION: &'static str = "login";

    fn parameters(&self, add: &mut dyn FnMut(&str, &str)) {
        add("portal", &self.portal.text());
        if let Some(link) = self.link {
            link.parameters(add);
        }
    }

    fn read(body: &[u8]) -> Result<Began, Misread> {
        let began: Began = fields(body, "login answers an object with url and token as strings")?;
        if !is_web_page(&began.url) {
            return Err(Misread::Unlike("the url that login answers is no http or https URL"));
        }
        if !CompleteInfo::takes(&began.token) {
            return Err(Misread::Unlike("the token that login answers is empty, too long, or has control characters"));
        }
        Ok(began)
    }
}

/// Ends a login.
pub struct CompleteInfo {
    token: String,
}

impl CompleteInfo {
    /// That of this token, if it can be one.
    #[must_use]
    pub fn of(token: &str) -> Option<Self> {
        Self::takes(token).then(|| Self { token: token.to_owned() })
    }

    fn takes(token: &str) -> bool {
        (1..=TOKEN_MAX).contains(&token.len()) && !token.chars().any(char::is_control)
    }
}

impl Drop for CompleteInfo {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

impl Ask for CompleteInfo {
    type Verb = verb::PortalLogin;
    /// Credentials by the names of extra fields.
    type Answer = BTreeMap<String, String>;
    const ACTION: &'static str = "complete-info";

    fn parameters(&self, add: &mut dyn FnMut(&str, &str)) {
        add("token", &self.token);
    }

    fn read(body: &[u8]) -> Result<Self::Answer, Misread> {
        fields(body, "complete-info answers an object of strings")
    }

    fn secret(&self) -> Option<&str> {
        Some(&self.token)
    }
}

/// Removes credentials.
pub struct Logout {
    /// The portal.
    pub portal: PortalId,
    /// Whose.
    pub link: Link,
}

impl Ask for Logout {
    type Verb = verb::PortalLogout;
    type Answer = ();
    const ACTION: &'static str = "logout";

    fn parameters(&self, add: &mut dyn FnMut(&str, &str)) {
        add("portal", &self.portal.text());
        self.link.parameters(add);
    }

    /// The document says that success has nothing to say, and not how that looks.
    fn read(body: &[u8]) -> Result<(), Misread> {
        if body.trim_ascii().is_empty() {
            return Ok(());
        }
        match value(body)? {
            serde_json::Value::Null | serde_json::Value::Bool(true) | serde_json::Value::Object(_) => Ok(()),
            serde_json::Value::Array(list) if list.is_empty() => Ok(()),
            serde_json::Value::String(text) if text.is_empty() => Ok(()),
            serde_json::Value::String(said) => Err(Misread::Complaint(said)),
            _ => Err(Misread::Unlike("logout answers nothing")),
        }
    }
}
