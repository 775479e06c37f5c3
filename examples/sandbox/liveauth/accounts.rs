//! What idibu keeps: logins that have begun, and who posts as whom.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Refused;
use crate::world::random;

/// Logins under way; the oldest goes.
const UNDER_WAY: usize = 100;

/// Whom a login is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Global,
    Office(i64),
    Team(i64),
    Profile(i64),
}

/// A login that was begun, and what the user has said to it on the portal.
struct Login {
    page: String,
    token: String,
    client: i64,
    portal: i64,
    level: Option<Level>,
    allowed: Option<bool>,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Accounts {
    logins: Vec<Login>,
    /// By client, portal and level: the credentials.
    saved: BTreeMap<(i64, i64, Level), Value>,
}

impl Accounts {
    /// The name of the portal's page, and the token of the login.
    pub(crate) fn begin(&mut self, client: i64, portal: i64, level: Option<Level>) -> (String, String) {
        let (page, token) = (random::<8>(), random::<16>());
        if self.logins.len() == UNDER_WAY {
            self.logins.remove(0);
        }
        self.logins.push(Login { page: page.clone(), token: token.clone(), client, portal, level, allowed: None });
        (page, token)
    }

    /// The portal that a page is about.
    pub(crate) fn portal(&self, page: &str) -> Option<i64> {
        self.logins.iter().find(|login| login.page == page).map(|login| login.portal)
    }

    /// What the user says. False where there is no such page.
    pub(crate) fn decide(&mut self, page: &str, allowed: bool) -> bool {
        let login = self.logins.iter_mut().find(|login| login.page == page);
        login.map(|login| login.allowed = Some(allowed)).is_some()
    }

    /// The credentials, once; saved too, where the login said for whom.
    pub(super) fn complete(&mut self, client: i64, token: &str) -> Result<Value, Refused> {
        let refused = |why: &str| Refused::new(StatusCode::FORBIDDEN, why);
        let at = self.logins.iter().position(|login| login.token == token && login.client == client);
        let login = self.logins.remove(at.ok_or_else(|| refused("no such login, or completed before"))?);
        if login.allowed != Some(true) {
            return Err(refused("the user did not allow it"));
        }
        let credentials = json!({ format!("portal_{}_token", login.portal): random::<15>() });
        if let Some(level) = login.level {
            self.saved.insert((client, login.portal, level), credentials.clone());
        }
        Ok(credentials)
    }

    pub(super) fn status(&self, client: i64, portal: i64, profile: i64, social: &str) -> Value {
        let own = self.saved.contains_key(&(client, portal, Level::Profile(profile)));
        let any = self.saved.keys().any(|(c, p, level)| {
            (*c, *p) == (client, portal) && !matches!(level, Level::Profile(other) if *other != profile)
        });
        if !any {
            return json!({ "signed": false, "isProfile": false });
        }
        let name = if own { "John Doe" } else { "Acme Recruiting" };
        json!({ "signed": true, "isProfile": own, "name": name, "picture": format!("{social}/img/john.svg") })
    }

    pub(super) fn end(&mut self, client: i64, portal: i64, level: Level) {
        self.saved.remove(&(client, portal, level));
    }
}
