//! Why a token is judged as it is, for operators: every check of opening in its order, passed, failed or not reached, and
//! in words. It is the judgement of [`Unverified::examine`] itself, told, and not a second one. Nothing secret is in it: no
//! payload, no username, no claim that the app made for itself.

use super::{Bindings, Examined, Purpose, Unverified};
use crate::{
    clock::UnixSeconds,
    crypto::aead::Suite,
    hub::{
        app::App,
        revocation::{Kind, Revoked},
    },
    keyring::{KeyName, Keyring, Kid, State},
    policy::{Permit, Verb},
    verdict::{Hint, Hints, Verdict},
};

/// One check of opening.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Check {
    /// The text is as long as a token can be.
    Length,
    /// It begins as tokens do.
    Prefix,
    /// Its check digits fit.
    Checksum,
    /// It is base64url, in the one spelling.
    Encoding,
    /// Its suite and flags are known.
    Head,
    /// Its key is known, the app's, of its suite, and usable.
    Key,
    /// It is not cut off by its id.
    TokenRevoked,
    /// It was sealed by this key for this app.
    Commitment,
    /// It has the bindings that it must have, and their values were given.
    Bindings,
    /// It opens with those values.
    Seal,
    /// What is inside is of a known form.
    Body,
    /// It has not expired.
    Expiry,
    /// It was not issued in the future.
    IssuedAt,
    /// Neither its grant, nor its user, nor the app is cut off.
    Revoked,
}

impl Check {
    /// All of them, in the order in which they are made.
    pub const ALL: [Self; 14] = [
        Self::Length,
        Self::Prefix,
        Self::Checksum,
        Self::Encoding,
        Self::Head,
        Self::Key,
        Self::TokenRevoked,
        Self::Commitment,
        Self::Bindings,
        Self::Seal,
        Self::Body,
        Self::Expiry,
        Self::IssuedAt,
        Self::Revoked,
    ];
}

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Well.
    Passed,
    /// It decided.
    Failed,
    /// An earlier one had decided.
    NotReached,
}

/// A check and how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Which.
    pub check: Check,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in words; empty where it was not reached.
    pub reason: String,
}

/// What anybody can read in a token of the right form. None of it is to be believed unless the token is authentic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// What it says it is sealed with.
    pub suite: Suite,
    /// Bound to a username.
    pub username_bound: bool,
    /// Bound to a hubLoginToken.
    pub hub_login_token_bound: bool,
    /// The public id of its key version.
    pub kid: Kid,
    /// Its own public id.
    pub token_id: [u8; 16],
    /// Most bytes of payload and claims that one of its length holds.
    pub holds: usize,
}

/// The key version that a token names, whosever it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The key.
    pub key: KeyName,
    /// The version's number.
    pub version: u32,
    /// Where it stands.
    pub state: State,
}

/// The judgement on a token, told.
pub struct Explanation {
    /// The judgement; its claims are there where the token is authentic.
    pub examined: Examined,
    /// Every check, in order.
    pub checks: Vec<Checked>,
    /// Where the text is of the right form.
    pub facts: Option<Facts>,
    /// Where the keyring has its key version.
    pub named: Option<Named>,
    /// What cuts it off, as far as that can be known: what is about its grant, its user and the app only where it is
    /// authentic.
    pub revoked_by: Vec<(Kind, UnixSeconds)>,
}

/// Judges a text as [`Unverified::examine`] does, and tells why.
#[expect(clippy::too_many_arguments, reason = "each is one ingredient, and a struct would only rename the list")]
#[must_use]
pub fn explain<V: Verb>(
    permit: &Permit<'_, V>,
    ring: &Keyring,
    app: &App,
    purpose: Purpose,
    text: &str,
    bindings: &Bindings<'_>,
    revoked: Revoked<'_>,
    now: UnixSeconds,
) -> Explanation {
    let chars = text.len();
    let token = match Unverified::checked(text) {
        Ok(token) => token,
        Err((failed, hints)) => {
            let tale = Tale { chars, hints, facts: None, named: None, examined: None, revoked_by: &[] };
            let checks = tale.checks(Some(failed));
            return Explanation {
                examined: Examined::malformed(hints),
                checks,
                facts: None,
                named: None,
                revoked_by: Vec::new(),
            };
        }
    };
    let examined = token.examine(permit, ring, app, purpose, bindings, revoked, now);
    let flags = token.header.flags;
    let facts = Facts {
        suite: token.header.suite,
        username_bound: flags.username,
        hub_login_token_bound: flags.hub_login_token,
        kid: token.header.kid,
        token_id: token.token_id(),
        holds: token.holds(),
    };
    let named = ring.by_kid(&facts.kid).map(|(key, version)| Named {
        key: key.name.clone(),
        version: version.number,
        state: key.state(version, now),
    });
    let username = bindings.username.filter(|_| flags.username);
    let authentic = examined.claims.as_ref().map(|claims| (&claims.grant_id, username, claims.issued_at));
    let revoked_by = revoked.covering(&facts.token_id, authentic);
    let tale = Tale {
        chars,
        hints: examined.hints,
        facts: Some(&facts),
        named: named.as_ref(),
        examined: Some(&examined),
        revoked_by: &revoked_by,
    };
    let checks = tale.checks(examined.failed);
    Explanation { examined, checks, facts: Some(facts), named, revoked_by }
}

/// What reasons are made of.
struct Tale<'a> {
    chars: usize,
    hints: Hints,
    facts: Option<&'a Facts>,
    named: Option<&'a Named>,
    examined: Option<&'a Examined>,
    revoked_by: &'a [(Kind, UnixSeconds)],
}

impl Tale<'_> {
    fn checks(&self, failed: Option<Check>) -> Vec<Checked> {
        let mut decided = false;
        let checked = |check| {
            let (outcome, reason) = match failed {
                _ if decided => (Outcome::NotReached, String::new()),
                Some(failed) if failed == check => (Outcome::Failed, self.why_failed(check)),
                _ => (Outcome::Passed, self.why_passed(check)),
            };
            decided |= outcome == Outcome::Failed;
            Checked { check, outcome, reason }
        };
        Check::ALL.into_iter().map(checked).collect()
    }

    fn why_passed(&self, check: Check) -> String {
        match check {
            Check::Length => format!("{} characters, as some tokens have", self.chars),
            Check::Prefix => "begins with hat1_".into(),
            Check::Checksum => "the check digits fit: nothing was lost or changed by accident".into(),
            Check::Encoding => "base64url without padding".into(),
            Check::Head => format!("says it is sealed with {} and bound to {}", self.suite(), self.bound_to()),
            Check::Key => match self.named {
                Some(Named { key, version, state }) => format!("key {key}, version {version}, {}", state.name()),
                None => String::new(),
            },
            Check::TokenRevoked => "not cut off by its id".into(),
            Check::Commitment => "sealed by this key, for this app".into(),
            Check::Bindings => match self.bound_to() {
                "nothing" => "bound to nothing, which the app takes".into(),
                what => format!("bound to {what}, and a value was given"),
            },
            Check::Seal => match self.bound_to() {
                "nothing" => "what is inside is as it was sealed".into(),
                _ => "what is inside is as it was sealed, and the values are those that it is bound to".into(),
            },
            Check::Body => "what is inside is well formed".into(),
            Check::Expiry => match self.claims().map(|claims| claims.expires_at) {
                Some(Some(at)) => format!("expires at {}", at.0),
                _ => "never expires".into(),
            },
            Check::IssuedAt => format!("issued at {}", self.issued_at()),
            Check::Revoked if self.facts.is_some_and(|facts| facts.username_bound) => {
                "neither its grant, nor its user, nor the app is cut off".into()
            }
            Check::Revoked => "neither its grant nor the app is cut off; bound to no user, it cannot be by user".into(),
        }
    }

    fn why_failed(&self, check: Check) -> String {
        let has = |hint| self.hints.contains(hint);
        match check {
            Check::Length => {
                let what = match (has(Hint::Oversized), has(Hint::Truncated)) {
                    (true, _) => "more than any token has",
                    (_, true) => "as if something were missing",
                    _ => "which no token has",
                };
                let white = if has(Hint::Whitespace) { "; there is white space in it" } else { "" };
                let other = if has(Hint::WrongPrefix) { "; it does not begin with hat1_ either" } else { "" };
                format!("{} characters, {what}{white}{other}", self.chars)
            }
            Check::Prefix => "does not begin with hat1_: another kind of token, or none".into(),
            Check::Checksum if has(Hint::Whitespace) => {
                "the check digits do not fit: there is white space in it".into()
            }
            Check::Checksum => "the check digits do not fit: it was mangled on its way, by accident or by hand".into(),
            Check::Encoding => "has a character that base64url does not have, though its check digits fit".into(),
            Check::Head => "names a suite or flags that this version does not know".into(),
            Check::Key => self.why_no_key(),
            Check::TokenRevoked => "cut off by its id".into(),
            Check::Commitment => {
                "not sealed by this key for this app: altered by hand, forged, or sealed for another app or purpose"
                    .into()
            }
            Check::Bindings if has(Hint::BindingAbsent) => {
                "bound to no username, and the app insists on one (require_username)".into()
            }
            Check::Bindings if has(Hint::BindingValueMissing) => {
                format!("bound to {}, and no value was given for it", self.bound_to())
            }
            Check::Bindings => {
                "no token can be bound to the values that were given: empty, too long, or control characters".into()
            }
            Check::Seal if self.bound_to() == "nothing" => "what is inside was altered".into(),
            Check::Seal => format!(
                "another value of {} than it is bound to, or altered inside: the two cannot be told apart",
                self.bound_to()
            ),
            Check::Body => "what is inside is of no form that this version knows".into(),
            Check::Expiry => {
                let at = self.claims().and_then(|claims| claims.expires_at).map_or(0, |at| at.0);
                format!("expired at {at}")
            }
            Check::IssuedAt => {
                format!("issued at {}: the clock of whoever sealed it is ahead of ours", self.issued_at())
            }
            Check::Revoked => {
                let by = self.revoked_by.iter().filter(|(kind, _)| *kind != Kind::Token);
                let by: Vec<String> =
                    by.map(|(kind, until)| format!("its {} up to {}", kind.name(), until.0)).collect();
                format!("cut off: {}; it was issued at {}", by.join(", "), self.issued_at())
            }
        }
    }

    fn why_no_key(&self) -> String {
        let has = |hint| self.hints.contains(hint);
        if has(Hint::KeyNotFound) {
            return "no key of this keyring has its id: sealed with another keyring, or made up".into();
        }
        if has(Hint::KeyOfAnotherApp) {
            return "its key is not this app's: sealed for another app".into();
        }
        if has(Hint::KeyOfAnotherSuite) {
            return "its key is for another suite: its head was altered".into();
        }
        match self.named {
            Some(Named { key, version, state }) => format!("key {key}, version {version}, is {}", state.name()),
            None => String::new(),
        }
    }

    fn suite(&self) -> &'static str {
        self.facts.map_or("", |facts| facts.suite.name())
    }

    fn bound_to(&self) -> &'static str {
        match self.facts.map(|facts| (facts.username_bound, facts.hub_login_token_bound)) {
            Some((true, true)) => "a username and a hubLoginToken",
            Some((true, false)) => "a username",
            Some((false, true)) => "a hubLoginToken",
            _ => "nothing",
        }
    }

    fn claims(&self) -> Option<&super::Claims> {
        self.examined?.claims.as_ref()
    }

    fn issued_at(&self) -> i64 {
        self.claims().map_or(0, |claims| claims.issued_at.0)
    }
}

impl Explanation {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.examined.verdict
    }
}
