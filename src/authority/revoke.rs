//! Cutting off tokens, grants, users and apps, and showing what is cut off. Both wait for the ledger, and so are for
//! threads that may wait.

use super::{
    Authority, Call, Kept, Refusal, State,
    allowance::Due,
    answer::{Cut, ListRevocations, Listed, Revocation, Revoke, id_text},
    desk::{self, Admitted},
};
use crate::{
    audit::{self, Entry, Op, Outcome, Subject},
    clock::UnixSeconds,
    hub::{
        app::{App, Ttl},
        revocation::{self, AHEAD_MAX, Kind, Revoked},
        token::{Bindings, Claims, Purpose, Unverified},
    },
    ledger,
    policy::{Object, VerbName, verb},
    verdict::{Hint, Verdict},
};

/// Entries of a page where the request does not say, and the most that it may ask for.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

impl Authority {
    /// Cuts something off. Durable, and in force here, once it returns; within seconds in other processes on the ledger.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has changed then.
    pub fn revoke(&self, call: Call<'_>, request: &Revoke<'_>) -> Result<Revocation, Refusal> {
        let subject =
            if let Some(Cut::User(name)) = request.what { Subject::user(Some(name)) } else { Subject::NOBODY };
        self.unary(call, Op::Revoke, subject, |state, now| {
            let admitted: Admitted<'_, App, verb::Revoke> = match desk::app(state, call.caller, request.app) {
                Ok(admitted) => admitted,
                Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
            };
            let mut entry = Entry {
                object: &admitted.object.name,
                rule: &admitted.permit.rule().name,
                ..Entry::bare(Outcome::Done)
            };
            let planned = Due::Unit(&state.policy, call).pay(&admitted.permit).and_then(|()| {
                let kept = self.ledger.as_ref().ok_or(Refusal::NoLedger)?;
                Ok((kept, plan(state, kept, &admitted, request, now)?))
            });
            let done = planned.and_then(|(kept, plan)| {
                entry.key = admitted.object.key.name.as_str();
                (entry.token_id, entry.cut) = (plan.token_id(), Some(plan.cut()));
                let receipt = kept.ledger.revoke(plan.entry.clone(), now, &kept.keyring_id);
                kept.ledger.wait(receipt).map_err(|ledger::Unkept| Refusal::Unkept)?;
                Ok(plan.made(now))
            });
            if let Err(refusal) = &done {
                entry.outcome = refusal.outcome();
            }
            (entry, done)
        })
    }

    /// Shows what is cut off, the newest first: of one app, or of all that the caller may cut off.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn list_revocations(&self, call: Call<'_>, request: &ListRevocations<'_>) -> Result<Listed, Refusal> {
        self.unary(call, Op::ListRevocations, Subject::NOBODY, |state, now| {
            let mut entry = Entry::bare(Outcome::Done);
            let listed = self.apps_to_list(state, call, request.app, &mut entry);
            let listed = listed.and_then(|apps| self.page(apps, request, now));
            if let Err(refusal) = &listed {
                entry.outcome = refusal.outcome();
            }
            (entry, listed)
        })
    }

    fn apps_to_list<'s>(
        &self,
        state: &'s State,
        call: Call<'_>,
        app: &str,
        entry: &mut Entry<'s>,
    ) -> Result<Vec<Box<str>>, Refusal> {
        if !app.is_empty() {
            let admitted: Admitted<'s, App, verb::Revoke> = desk::app(state, call.caller, app)?;
            (entry.object, entry.rule) = (&admitted.object.name, &admitted.permit.rule().name);
            Due::Unit(&state.policy, call).pay(&admitted.permit)?;
            return Ok(vec![app.into()]);
        }
        let kept = self.ledger.as_ref().map(|kept| kept.ledger.denied());
        let known = kept.iter().flat_map(|denied| denied.apps()).chain(state.apps.keys().map(String::as_str));
        let may = |name: &&str| state.policy.permit::<verb::Revoke>(call.caller, Object::App(name)).is_ok();
        let apps: Vec<Box<str>> = known.filter(may).map(Into::into).collect();
        if apps.is_empty() { Err(Refusal::NoRule(VerbName::Revoke)) } else { Ok(apps) }
    }

    fn page(&self, apps: Vec<Box<str>>, request: &ListRevocations<'_>, now: UnixSeconds) -> Result<Listed, Refusal> {
        let kept = self.ledger.as_ref().ok_or(Refusal::NoLedger)?;
        let limit = match usize::try_from(request.page_size) {
            Ok(0) => PAGE,
            Ok(size) if size <= PAGE_MAX => size,
            _ => return Err(Refusal::invalid("page_size", format!("0 to {PAGE_MAX}; 0 means {PAGE}"))),
        };
        let before = match request.page_token {
            "" => u64::MAX,
            token => token.parse().map_err(|_| Refusal::invalid("page_token", "send the next_page_token of a page"))?,
        };
        let wanted =
            move |kept: &ledger::Kept| kept.entry.ends.is_none_or(|ends| now < ends) && apps.contains(&kept.entry.app);
        let page = kept.ledger.list(before, limit, wanted).map_err(|ledger::Unkept| Refusal::Unkept)?;
        Ok(Listed {
            revocations: page.found.into_iter().map(|kept| shown(kept.entry, kept.made_at)).collect(),
            next_page_token: page.next.map_or_else(String::new, |next| next.to_string()),
        })
    }
}

/// What is to be cut off.
struct Plan {
    entry: revocation::Entry,
    /// The token's grant, where the token was there and could be opened.
    grant_id: Option<[u8; 16]>,
}

impl Plan {
    fn token_id(&self) -> Option<[u8; 16]> {
        (self.entry.kind == Kind::Token).then_some(self.entry.subject)
    }

    fn cut(&self) -> audit::Cut {
        let grant_id = if self.entry.kind == Kind::Grant { Some(self.entry.subject) } else { self.grant_id };
        audit::Cut { kind: self.entry.kind.name(), grant_id, until: self.entry.until }
    }

    fn made(self, now: UnixSeconds) -> Revocation {
        let grant_id = self.grant_id.as_ref().map(id_text);
        let shown = shown(self.entry, now);
        Revocation { grant_id: grant_id.unwrap_or(shown.grant_id), ..shown }
    }
}

fn plan(
    state: &State,
    kept: &Kept,
    admitted: &Admitted<'_, App, verb::Revoke>,
    request: &Revoke<'_>,
    now: UnixSeconds,
) -> Result<Plan, Refusal> {
    let app = admitted.object;
    let until = match request.issued_until {
        None => kept.ledger.denied().of(app, None).until_now(now),
        Some(at) if (0..=now.plus(AHEAD_MAX).0).contains(&at) => UnixSeconds(at),
        Some(_) => {
            return Err(Refusal::invalid(
                "issued_until",
                format!("Unix seconds, no later than {AHEAD_MAX} s from now; leave it out to cut off all until now"),
            ));
        }
    };
    // By then whatever was issued so far has expired; resealing may have made it last longer than its own age tells.
    let longest = app.ttl.longer(app.max_ttl);
    let longest = kept.ledger.longest(&app.name).map_or(longest, |noted| noted.longer(longest));
    let ends = match longest {
        Ttl::Never => None,
        Ttl::Seconds(seconds) => Some(until.max(now).plus(seconds)),
    };
    let entry = |kind, subject| revocation::Entry { app: app.name.as_str().into(), kind, subject, until, ends };
    let plan = |kind, subject| Plan { entry: entry(kind, subject), grant_id: None };
    match request.what {
        None => Err(Refusal::invalid("what", "name a token, a token_id, a grant_id, a username, or all")),
        Some(Cut::All(false)) => Err(Refusal::invalid("all", "true, or leave it out")),
        Some(Cut::All(true)) => Ok(plan(Kind::App, [0; 16])),
        Some(Cut::TokenId(text)) => Ok(plan(Kind::Token, id("token_id", text)?)),
        Some(Cut::Grant(text)) => Ok(plan(Kind::Grant, id("grant_id", text)?)),
        Some(Cut::User(name)) => {
            let bindings = Bindings { username: Some(name), hub_login_token: None };
            bindings.check().map_err(|problem| Refusal::invalid(problem.field(), problem.to_string()))?;
            Ok(plan(Kind::User, kept.digests.of(app, name).0))
        }
        Some(Cut::Token { auth, username, hub_login_token }) => {
            let bindings = Bindings { username, hub_login_token };
            bindings.check().map_err(|problem| Refusal::invalid(problem.field(), problem.to_string()))?;
            let (token_id, claims) = token(state, admitted, auth, &bindings, now)?;
            let mut plan = plan(Kind::Token, token_id);
            if let Some(claims) = claims {
                plan.entry.ends = claims.expires_at;
                plan.grant_id = Some(claims.grant_id);
            }
            Ok(plan)
        }
    }
}

/// The id of a token that is there whole, and what it says of itself where it can be opened: where it is bound, that takes
/// what it is bound to. Its id alone is enough to cut it off; what is certainly no token of the app is refused, so that
/// nobody takes a token for cut off that was mangled on the way.
fn token(
    state: &State,
    admitted: &Admitted<'_, App, verb::Revoke>,
    auth: &str,
    bindings: &Bindings<'_>,
    now: UnixSeconds,
) -> Result<([u8; 16], Option<Claims>), Refusal> {
    let refused = |why: &str| Err(Refusal::invalid("auth", why));
    let Ok(token) = Unverified::parse(auth) else {
        return refused("no token, or not all of it; check that it was copied whole");
    };
    let app = admitted.object;
    let found = token.examine(&admitted.permit, &state.ring, app, Purpose::HubAuth, bindings, Revoked::NOTHING, now);
    // A key version that does not open anything now may do so again.
    let resting = [Hint::KeySuspended, Hint::KeyCompromised, Hint::KeyDestroyed];
    match found.verdict {
        Verdict::UnknownKey if !resting.iter().any(|&hint| found.hints.contains(hint)) => {
            refused("a token of another app, or of none here; name the app that it was sealed for")
        }
        Verdict::BadSignature | Verdict::Malformed => {
            refused("no token of this app, or one that was altered: as it is, it opens nowhere")
        }
        _ => Ok((token.token_id(), found.claims)),
    }
}

fn id(field: &'static str, text: &str) -> Result<[u8; 16], Refusal> {
    let mut id = [0; 16];
    let whole = base16ct::mixed::decode(text, &mut id).is_ok_and(|decoded| decoded.len() == 16);
    if whole { Ok(id) } else { Err(Refusal::invalid(field, "32 hexadecimal digits")) }
}

fn shown(entry: revocation::Entry, made_at: UnixSeconds) -> Revocation {
    let id = id_text(&entry.subject);
    let (token_id, grant_id, user) = match entry.kind {
        Kind::Token => (id, String::new(), String::new()),
        Kind::Grant => (String::new(), id, String::new()),
        Kind::User => (String::new(), String::new(), id),
        Kind::App => Default::default(),
    };
    Revocation {
        app: entry.app.into(),
        kind: entry.kind,
        token_id,
        grant_id,
        user,
        issued_until: entry.until.0,
        ends_at: entry.ends.map_or(0, |at| at.0),
        revoked_at: made_at.0,
    }
}
