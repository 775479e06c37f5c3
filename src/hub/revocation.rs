//! What is cut off: single tokens, grants, users and whole apps. [`Denied`] is all of it as a value that never changes;
//! whoever adds to it makes another, which shares what is large with the one before, and swaps it in. So calls look
//! things up without a lock.
//!
//! Two entries about the same thing are one, with the later time and the later end: adding is the same in any order, and
//! adding twice does nothing.

mod digest;
mod set;

pub use digest::{Digest, UserDigests};

use std::{collections::HashMap, sync::Arc};

use self::set::{Row, Set};
use crate::{clock::UnixSeconds, hub::app::App};

/// Seconds past now for which a revocation holds unless it says otherwise: what clocks of replicas may differ by.
pub const SKEW: i64 = 2;
/// Most seconds past now for which a revocation may hold: a token sealed until then would be stillborn.
pub const AHEAD_MAX: i64 = 30;

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// One token, by its id, whenever it was issued.
    Token,
    /// One grant, by its id: a token and all that it was resealed into.
    Grant,
    /// One user, by a keyed digest of the name.
    User,
    /// Every token of the app.
    App,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Token, Self::Grant, Self::User, Self::App];

    /// The name in metrics and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Grant => "grant",
            Self::User => "user",
            Self::App => "app",
        }
    }
}

/// One thing that is cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The app whose tokens it is about.
    pub app: Box<str>,
    /// What it is about.
    pub kind: Kind,
    /// The token's id, the grant's, or the digest of the username; zeros for an app.
    pub subject: [u8; 16],
    /// Cut off is what was issued at this moment or before. A single token is cut off whatever it says.
    pub until: UnixSeconds,
    /// From when on there is no token left that it covers; `None`: it stays for ever.
    pub ends: Option<UnixSeconds>,
}

/// All that is cut off.
#[derive(Clone, Default)]
pub struct Denied(HashMap<Box<str>, Arc<OfApp>>);

/// What is cut off of one app.
#[derive(Clone, Default)]
struct OfApp {
    tokens: Set,
    grants: Set,
    users: Set,
    whole: Option<Row>,
    /// The latest time of any user's entry and of the app's own: just after it, the latest token was issued that there can
    /// be. Never falls.
    latest: Option<i64>,
}

impl OfApp {
    fn add(&self, entries: &[&Entry]) -> Self {
        let rows = |kind| entries.iter().filter(|entry| entry.kind == kind).map(|entry| row(entry)).collect::<Vec<_>>();
        let whole = rows(Kind::App).into_iter().chain(self.whole).reduce(Row::with);
        Self {
            tokens: self.tokens.with(rows(Kind::Token)),
            grants: self.grants.with(rows(Kind::Grant)),
            users: self.users.with(rows(Kind::User)),
            whole,
            latest: entries.iter().filter_map(|entry| stamping(entry.kind, entry.until.0)).max().max(self.latest),
        }
    }

    fn without_ended(&self, now: UnixSeconds) -> Self {
        Self {
            tokens: self.tokens.without_ended(now),
            grants: self.grants.without_ended(now),
            users: self.users.without_ended(now),
            whole: self.whole.filter(|row| row.lasts(now)),
            latest: self.latest,
        }
    }

    fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Token => self.tokens.len(),
            Kind::Grant => self.grants.len(),
            Kind::User => self.users.len(),
            Kind::App => usize::from(self.whole.is_some()),
        }
    }
}

/// The time of an entry that later tokens are issued after.
fn stamping(kind: Kind, until: i64) -> Option<i64> {
    matches!(kind, Kind::User | Kind::App).then_some(until)
}

fn row(entry: &Entry) -> Row {
    Row { id: entry.subject, until: entry.until.0, ends: entry.ends.map_or(i64::MAX, |at| at.0) }
}

impl Denied {
    /// Begins with what was kept, of which there may be much.
    #[must_use]
    pub fn load() -> Loading {
        Loading::default()
    }

    /// The same with these.
    #[must_use]
    pub fn with(&self, entries: &[Entry]) -> Self {
        let mut by_app: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for entry in entries {
            by_app.entry(&entry.app).or_default().push(entry);
        }
        let mut next = self.clone();
        for (app, entries) in by_app {
            let of_app = next.0.entry(app.into()).or_default();
            *of_app = Arc::new(of_app.add(&entries));
        }
        next
    }

    /// The same without what has ended by `now`.
    #[must_use]
    pub fn without_ended(&self, now: UnixSeconds) -> Self {
        Self(self.0.iter().map(|(app, of_app)| (app.clone(), Arc::new(of_app.without_ended(now)))).collect())
    }

    /// The apps of which something is cut off, or was.
    pub fn apps(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|app| &**app)
    }

    /// How many entries of a kind there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.0.values().map(|of_app| of_app.count(kind)).sum()
    }

    /// What concerns one app. Without the key of the digests, no user is found.
    #[must_use]
    pub fn of<'a>(&'a self, app: &'a App, digests: Option<&'a UserDigests>) -> Revoked<'a> {
        Revoked { of_app: self.0.get(app.name.as_str()).map(Arc::as_ref), app: Some(app), digests }
    }
}

/// Entries that come one by one, in any order, each of them once.
#[derive(Default)]
pub struct Loading(HashMap<Box<str>, [Vec<Row>; Kind::ALL.len()]>);

impl Loading {
    /// Makes room for so many, so that a long list does not grow by doubling.
    pub fn expect(&mut self, app: &str, kind: Kind, entries: usize) {
        self.rows(app, kind).reserve_exact(entries);
    }

    /// Takes one.
    pub fn add(&mut self, entry: &Entry) {
        self.rows(&entry.app, entry.kind).push(row(entry));
    }

    /// All that came.
    #[must_use]
    pub fn finish(self) -> Denied {
        let of_app = |[tokens, grants, users, whole]: [Vec<Row>; Kind::ALL.len()]| OfApp {
            latest: users.iter().chain(&whole).map(|row| row.until).max(),
            tokens: Set::of(tokens),
            grants: Set::of(grants),
            users: Set::of(users),
            whole: whole.into_iter().reduce(Row::with),
        };
        Denied(self.0.into_iter().map(|(app, rows)| (app, Arc::new(of_app(rows)))).collect())
    }

    fn rows(&mut self, app: &str, kind: Kind) -> &mut Vec<Row> {
        if !self.0.contains_key(app) {
            self.0.insert(app.into(), Default::default());
        }
        &mut self.0.get_mut(app).expect("it was put there if it was not")[kind as usize]
    }
}

/// What is cut off of one app, as one call sees it.
#[derive(Clone, Copy)]
pub struct Revoked<'a> {
    of_app: Option<&'a OfApp>,
    app: Option<&'a App>,
    digests: Option<&'a UserDigests>,
}

impl Revoked<'_> {
    /// Nothing at all.
    pub const NOTHING: Self = Self { of_app: None, app: None, digests: None };

    /// Whether this token is cut off by its id.
    #[must_use]
    pub fn has_token(&self, token_id: &[u8; 16]) -> bool {
        self.of_app.is_some_and(|of_app| of_app.tokens.until(token_id).is_some())
    }

    /// Whether a token of this grant, bound to this user and issued then, is cut off by one of the three.
    #[must_use]
    pub fn covers(&self, grant_id: &[u8; 16], username: Option<&str>, issued_at: UnixSeconds) -> bool {
        let Some(of_app) = self.of_app else { return false };
        let covered = |until: Option<i64>| until.is_some_and(|until| issued_at.0 <= until);
        covered(of_app.grants.until(grant_id))
            || covered(self.until_of_user(username))
            || covered(of_app.whole.map(|row| row.until))
    }

    /// All that cuts a token off, and up to when: by its id, and where it is authentic, by its grant, its user and the app.
    #[must_use]
    pub fn covering(
        &self,
        token_id: &[u8; 16],
        authentic: Option<(&[u8; 16], Option<&str>, UnixSeconds)>,
    ) -> Vec<(Kind, UnixSeconds)> {
        let Some(of_app) = self.of_app else { return Vec::new() };
        let by_id = of_app.tokens.until(token_id).map(|until| (Kind::Token, until));
        let by_claims = authentic.into_iter().flat_map(|(grant_id, username, issued_at)| {
            let entries = [
                (Kind::Grant, of_app.grants.until(grant_id)),
                (Kind::User, self.until_of_user(username)),
                (Kind::App, of_app.whole.map(|row| row.until)),
            ];
            entries
                .into_iter()
                .filter_map(move |(kind, until)| Some((kind, until.filter(|&until| issued_at.0 <= until)?)))
        });
        by_id.into_iter().chain(by_claims).map(|(kind, until)| (kind, UnixSeconds(until))).collect()
    }

    /// The time of a revocation made now that does not say: as late as the clocks of replicas may differ, and no earlier than
    /// any token can have been issued by now, which one made just before may have put ahead.
    #[must_use]
    pub fn until_now(&self, now: UnixSeconds) -> UnixSeconds {
        let ahead = self.of_app.and_then(|of_app| of_app.latest).map_or(now, |latest| UnixSeconds(latest).plus(1));
        now.plus(SKEW).max(ahead.min(now.plus(AHEAD_MAX)))
    }

    /// The moment at which a token for this user can be issued without being cut off at once: now, or just after the
    /// time of an entry that would cover it. So a fresh login works at once.
    #[must_use]
    pub fn issue_at(&self, username: Option<&str>, now: UnixSeconds) -> UnixSeconds {
        let whole = self.of_app.and_then(|of_app| of_app.whole).map(|row| row.until);
        let until = self.until_of_user(username).max(whole);
        until.map_or(now, |until| now.max(UnixSeconds(until).plus(1)))
    }

    fn until_of_user(&self, username: Option<&str>) -> Option<i64> {
        let users = &self.of_app?.users;
        // Where no user is cut off, no digest is computed.
        if users.is_empty() {
            return None;
        }
        users.until(&self.digests?.of(self.app?, username?).0)
    }
}

#[cfg(test)]
mod tests;
