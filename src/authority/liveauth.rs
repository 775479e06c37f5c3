//! Minting and judging LiveAuth hashes.

use super::{
    Authority, Batch, Call, JudgedHash, MintHash, MintedHash, Origin, Refusal, State, VerifyHash,
    allowance::{Due, pay_for_batch},
    desk::{self, Admitted, Memo},
};
use crate::{
    audit::{Entry, Op, Outcome, Subject},
    clock::UnixSeconds,
    crypto::frame::DecimalPair,
    liveauth::{
        domain::{Domain, HostName},
        hash::{self, ClientId, ExpiryProblem, MintProblem, Unverified, Validity},
    },
    policy::{Caller, Meter, VerbName, verb},
    verdict::{Hint, Hints, Verdict},
};

type Answer<'s, T> = (Entry<'s>, Result<T, Refusal>);

/// A domain to mint for, with the Referer that belongs to the name that was asked for.
type Minter<'s> = (Admitted<'s, Domain, verb::Mint>, String);

impl Authority {
    /// Mints a hash.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn mint_hash(&self, call: Call<'_>, request: &MintHash<'_>) -> Result<MintedHash, Refusal> {
        self.unary(call, Op::MintHash, Subject::client(request.client), |state, now| {
            let minter = minter(state, call.caller, request.domain);
            mint(minter, request, Due::Unit(&state.policy, call), now)
        })
    }

    /// Mints many.
    ///
    /// # Errors
    /// A [`Refusal`] of the whole batch: 0 or more than 1,000 items.
    pub fn batch_mint_hash(&self, call: Call<'_>, items: &[MintHash<'_>]) -> Batch<MintedHash> {
        self.batch(
            call,
            Op::BatchMintHash,
            items,
            |item| Subject::client(item.client),
            |state, now| {
                let mut memo = Memo::new();
                let mut admit = |name| memo.get(name, |name| minter(state, call.caller, name));
                if state.policy.is_metered() {
                    let meters = items.iter().map(|item| admit(item.domain).ok()?.0.permit.meter());
                    pay_for_batch(&state.policy, call, meters)?;
                }
                Ok(items.iter().map(|item| mint(admit(item.domain), item, Due::Nothing, now)).collect())
            },
        )
    }

    /// Judges a hash.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn verify_hash(&self, call: Call<'_>, request: &VerifyHash<'_>) -> Result<JudgedHash, Refusal> {
        self.unary(call, Op::VerifyHash, Subject::client_text(request.client), |state, now| {
            judge(verifier(state, call.caller, &request.origin), request, Due::Unit(&state.policy, call), now)
        })
    }

    /// Judges many.
    ///
    /// # Errors
    /// A [`Refusal`] of the whole batch: 0 or more than 1,000 items.
    pub fn batch_verify_hash(&self, call: Call<'_>, items: &[VerifyHash<'_>]) -> Batch<JudgedHash> {
        self.batch(
            call,
            Op::BatchVerifyHash,
            items,
            |item| Subject::client_text(item.client),
            |state, now| {
                let mut memo = Memo::new();
                let mut admit = |origin| memo.get(origin, |origin| verifier(state, call.caller, &origin));
                if state.policy.is_metered() {
                    let meters = items.iter().map(|item| admit(item.origin).ok()?.meter());
                    pay_for_batch(&state.policy, call, meters)?;
                }
                Ok(items.iter().map(|item| judge(admit(item.origin), item, Due::Nothing, now)).collect())
            },
        )
    }
}

fn minter<'s>(state: &'s State, caller: &Caller, name: &str) -> Result<Minter<'s>, Refusal> {
    let host = HostName::from_request(name).map_err(|problem| Refusal::invalid("domain", problem.to_string()))?;
    let admitted = desk::domain(state, caller, &host)?;
    Ok((admitted, admitted.object.referer_for(&host)))
}

fn mint<'s>(
    minter: Result<Minter<'s>, Refusal>,
    request: &MintHash<'_>,
    due: Due<'_>,
    now: UnixSeconds,
) -> Answer<'s, MintedHash> {
    let (admitted, referer) = match minter {
        Ok(minter) => minter,
        Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
    };
    let mut entry = entry(&admitted);
    let paid = due.pay(&admitted.permit);
    let result = paid.and_then(|()| mint_admitted(&admitted, request, now)).map(|minted| {
        entry.key_version = minted.key_version;
        let client = i64::try_from(minted.client.number()).unwrap_or(i64::MAX);
        let (expires, hash) = (minted.expires.0, minted.hash.as_str());
        let query = query(minted.client.number(), expires.unsigned_abs(), hash);
        MintedHash { client, expires, hash: hash.to_owned(), referer, query, key_version: minted.key_version }
    });
    entry.outcome = result.as_ref().map_or_else(Refusal::outcome, |_| Outcome::Done);
    (entry, result)
}

/// `client=…&expires=…&hash=…`, without the formatting machinery, which would cost a batch a tenth of its time.
fn query(client: u64, expires: u64, hash: &str) -> String {
    let pair = DecimalPair::new(client, expires);
    let pair = pair.as_bytes();
    let hyphen = pair.iter().position(|&b| b == b'-').unwrap_or(pair.len());
    let mut query = String::with_capacity(128);
    query.push_str("client=");
    query.extend(pair[..hyphen].iter().copied().map(char::from));
    query.push_str("&expires=");
    query.extend(pair[hyphen..].iter().skip(1).copied().map(char::from));
    query.push_str("&hash=");
    query.push_str(hash);
    query
}

fn mint_admitted(
    admitted: &Admitted<'_, Domain, verb::Mint>,
    request: &MintHash<'_>,
    now: UnixSeconds,
) -> Result<hash::Minted, Refusal> {
    let client = ClientId::new(request.client)
        .ok_or_else(|| Refusal::invalid("client", "the numeric idibu client id, 1 or above, is needed"))?;
    let expires = hash::expiry(&admitted.permit, admitted.object, request.validity, now)
        .map_err(|problem| not_that_long(request.validity, problem))?;
    hash::mint(&admitted.permit, &admitted.object.key, client, expires, now).map_err(|problem| match problem {
        MintProblem::NoActiveVersion => Refusal::NoActiveVersion,
        MintProblem::Unreserved => Refusal::Unreserved,
    })
}

fn not_that_long(validity: Validity, problem: ExpiryProblem) -> Refusal {
    let field = if matches!(validity, Validity::Until(_)) { "expires" } else { "ttl" };
    match problem {
        ExpiryProblem::TooLong { limit, whose } => Refusal::TtlTooLong { field, limit, whose },
        ExpiryProblem::NotPositive | ExpiryProblem::InThePast | ExpiryProblem::Milliseconds => {
            Refusal::invalid(field, problem.to_string())
        }
    }
}

/// The domain to judge against; or the verdict that is due without one; or a refusal.
#[derive(Clone)]
enum Verifier<'s> {
    Against(Admitted<'s, Domain, verb::Verify>),
    Nobody(Verdict, Hints),
}

impl Verifier<'_> {
    fn meter(&self) -> Option<Meter> {
        match self {
            Self::Against(admitted) => admitted.permit.meter(),
            Self::Nobody(..) => None,
        }
    }
}

fn verifier<'s>(state: &'s State, caller: &Caller, origin: &Origin<'_>) -> Result<Verifier<'s>, Refusal> {
    match origin {
        Origin::Missing => Err(Refusal::invalid("domain", "name the domain, or pass on the referer as received")),
        Origin::Domain(name) => {
            let host =
                HostName::from_request(name).map_err(|problem| Refusal::invalid("domain", problem.to_string()))?;
            desk::domain(state, caller, &host).map(Verifier::Against)
        }
        Origin::Referer(url) => {
            // An end user's value: it is judged, and a domain the caller has no rule for looks like one that is not there.
            if !state.policy.allows_on_some_domain(caller, VerbName::Verify) {
                return Err(Refusal::NoRule(VerbName::Verify));
            }
            let Ok(host) = HostName::from_referer(url) else {
                return Ok(Verifier::Nobody(Verdict::Malformed, Hints::none()));
            };
            Ok(desk::domain(state, caller, &host)
                .map_or(Verifier::Nobody(Verdict::UnknownKey, Hint::DomainNotFound.into()), Verifier::Against))
        }
    }
}

fn judge<'s>(
    verifier: Result<Verifier<'s>, Refusal>,
    request: &VerifyHash<'_>,
    due: Due<'_>,
    now: UnixSeconds,
) -> Answer<'s, JudgedHash> {
    let nothing =
        |verdict, hints| JudgedHash { verdict, hints, key_version: 0, domain: String::new(), client: 0, expires: 0 };
    let admitted = match verifier {
        Ok(Verifier::Against(admitted)) => admitted,
        Ok(Verifier::Nobody(verdict, hints)) => {
            return (Entry::bare(Outcome::Judged(verdict)), Ok(nothing(verdict, hints)));
        }
        Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
    };
    let mut entry = entry(&admitted);
    if let Err(refusal) = due.pay(&admitted.permit) {
        return (Entry { outcome: refusal.outcome(), ..entry }, Err(refusal));
    }
    let mut judged = match Unverified::parse(request.client, request.expires, request.hash) {
        Err(hints) => nothing(Verdict::Malformed, hints),
        Ok(unverified) => {
            let found = unverified.verify(&admitted.permit, admitted.object, now);
            JudgedHash {
                key_version: found.key_version.unwrap_or(0),
                client: i64::try_from(found.client).unwrap_or(i64::MAX),
                expires: found.expires,
                ..nothing(found.verdict, found.hints)
            }
        }
    };
    admitted.object.name.as_str().clone_into(&mut judged.domain);
    entry.key_version = judged.key_version;
    entry.outcome = Outcome::Judged(judged.verdict);
    (entry, Ok(judged))
}

fn entry<'s, V: crate::policy::Verb>(admitted: &Admitted<'s, Domain, V>) -> Entry<'s> {
    Entry {
        object: admitted.object.name.as_str(),
        rule: &admitted.permit.rule().name,
        key: admitted.object.key.name.as_str(),
        ..Entry::bare(Outcome::Done)
    }
}
