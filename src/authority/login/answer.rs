//! What logging in takes and gives: plain values. None of them is `Debug`: nearly every one holds a credential.

use std::time::Instant;

use crate::{
    hub::{login::Generation, token::PayloadKind},
    verdict::{Hints, Verdict},
};

/// Asks for a login to be begun.
pub struct BeginLogin<'a> {
    /// The app.
    pub app: &'a str,
    /// What Hub opened.
    pub authenticate_url: &'a str,
}

/// A login that was begun.
pub struct BegunLogin {
    /// What completes it.
    pub login_state: String,
    /// Until when, Unix seconds.
    pub expires_at: i64,
    /// In which generation.
    pub generation: Generation,
    /// The Hub.
    pub hub_origin: String,
}

/// Asks for a login to be completed.
pub struct CompleteLogin<'a> {
    /// The app.
    pub app: &'a str,
    /// What beginning it gave.
    pub login_state: &'a str,
    /// Who has logged in.
    pub username: &'a str,
    /// What Hub shall remember.
    pub payload: &'a [u8],
    /// What that is; `None` for a number the API does not know.
    pub kind: Option<PayloadKind>,
    /// Seconds; `None` for the app's default.
    pub ttl: Option<i64>,
    /// Names and values to carry.
    pub labels: Vec<(&'a str, &'a str)>,
    /// From when on it is not begun any more.
    pub deadline: Instant,
}

/// A login that was completed, or why not. All but verdict and hints is empty unless the verdict is `VALID`.
pub struct CompletedLogin {
    /// The verdict on the state.
    pub verdict: Verdict,
    /// Remarks.
    pub hints: Hints,
    /// Where the browser goes next.
    pub redirect_url: String,
    /// The token's public id, hexadecimal.
    pub token_id: String,
    /// The grant's id, hexadecimal.
    pub grant_id: String,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds; 0 is never.
    pub expires_at: i64,
    /// In which generation.
    pub generation: Option<Generation>,
    /// What a renewal needs.
    pub callback: String,
}

impl CompletedLogin {
    /// One that was not.
    pub(super) fn not(verdict: Verdict, hints: Hints) -> Self {
        Self {
            verdict,
            hints,
            redirect_url: String::new(),
            token_id: String::new(),
            grant_id: String::new(),
            issued_at: 0,
            expires_at: 0,
            generation: None,
            callback: String::new(),
        }
    }
}

/// Asks for a token to be renewed.
pub struct RenewAuth<'a> {
    /// The app.
    pub app: &'a str,
    /// The user.
    pub username: &'a str,
    /// The old token.
    pub auth: &'a str,
    /// Where Hub takes the new one.
    pub callback: &'a str,
    /// What Hub shall remember; `None` for the same as before.
    pub payload: Option<&'a [u8]>,
    /// What that is; `None` for a number the API does not know.
    pub kind: Option<PayloadKind>,
    /// Seconds; `None` for the app's default.
    pub ttl: Option<i64>,
    /// Names and values to carry.
    pub labels: Vec<(&'a str, &'a str)>,
    /// From when on it is not begun any more.
    pub deadline: Instant,
}

/// A token that was renewed, or why not. All but verdict and hints is empty unless the verdict is `VALID`.
pub struct RenewedAuth {
    /// The verdict on the old token.
    pub verdict: Verdict,
    /// Remarks.
    pub hints: Hints,
    /// The new token.
    pub auth: String,
    /// Its public id, hexadecimal.
    pub token_id: String,
    /// The grant's id, hexadecimal.
    pub grant_id: String,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds; 0 is never.
    pub expires_at: i64,
}

impl RenewedAuth {
    /// One that was not.
    pub(super) fn not(verdict: Verdict, hints: Hints) -> Self {
        let (auth, token_id, grant_id) = Default::default();
        Self { verdict, hints, auth, token_id, grant_id, issued_at: 0, expires_at: 0 }
    }
}

/// Asks whose a hubLoginToken is.
pub struct ResolveLogin<'a> {
    /// The app.
    pub app: &'a str,
    /// The hubLoginToken.
    pub hub_login_token: &'a str,
}

/// Whose it is.
pub struct ResolvedLogin {
    /// The verdict.
    pub verdict: Verdict,
    /// The user; empty unless valid.
    pub username: String,
    /// The grant's id, hexadecimal; empty unless found.
    pub grant_id: String,
    /// Unix seconds; 0 unless found.
    pub bound_at: i64,
    /// Unix seconds; 0 is never.
    pub expires_at: i64,
    /// Whether anything is kept of it.
    pub found: bool,
}

/// Asks for Hub to be told that there is news.
pub struct NotifyUpdate<'a> {
    /// The app.
    pub app: &'a str,
    /// The user.
    pub username: &'a str,
    /// The Hub; `None` for the configured one.
    pub hub_origin: Option<&'a str>,
    /// From when on it is not begun any more.
    pub deadline: Instant,
}
