//! `KeyService`: from its messages to the authority and back.

mod change;
mod explain;

use tonic::Status;

use super::{
    proto::{self, KeyVersionState},
    rpc::Rpc,
    session::Exchange,
};
use crate::{
    authority::{
        Authority, Call, Destruction, Evidence, KeyKind, KeyShown, KeyState, NEVER, Span, Suite, UsageLedger,
        VersionShown,
    },
    clock::UnixSeconds,
};

impl Rpc for proto::ListKeysRequest {
    type Answer = proto::ListKeysResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let shown = exchange.work(Authority::list_keys)?;
        Ok(proto::ListKeysResponse {
            keyring_id: shown.keyring_id,
            generation: shown.generation,
            writable: shown.writable,
            keys: shown.keys.into_iter().map(key).collect(),
            ledger: shown.ledger.map(ledger),
        })
    }
}

impl Rpc for proto::GetKeyRequest {
    type Answer = proto::GetKeyResponse;

    fn run(&self, exchange: &Exchange<'_>) -> Result<Self::Answer, Status> {
        let look =
            |authority: &Authority, call: Call<'_>| Ok((authority.key(call, &self.key)?, authority.usage_ledger()));
        let (shown, from) = exchange.work(look)?;
        Ok(proto::GetKeyResponse { key: Some(key(shown)), ledger: from.map(ledger) })
    }
}

fn key(shown: KeyShown) -> proto::Key {
    let KeyShown { name, kind, active_version, versions } = shown;
    let versions = versions.into_iter().map(version).collect();
    proto::Key { name, kind: kind_of(kind).into(), active_version, versions }
}

fn version(shown: VersionShown) -> proto::KeyVersion {
    proto::KeyVersion {
        number: shown.number,
        state: state_of(shown.state).into(),
        created_at: shown.created_at,
        activates_at: shown.activates_at,
        deactivates_at: shown.deactivates_at.unwrap_or(0),
        suspended_at: shown.suspended_at.unwrap_or(0),
        compromised_at: shown.compromised_at.unwrap_or(0),
        destroyed_at: shown.destroyed_at.unwrap_or(0),
        kid: shown.kid,
        suite: shown.suite.map_or(proto::Suite::Unspecified, suite_of).into(),
        usage: Some(usage(&shown.usage, shown.destruction)),
    }
}

fn usage(known: &Evidence, means: Destruction) -> proto::VersionUsage {
    let seconds = |at: Option<UnixSeconds>| at.map_or(0, |at| at.0);
    let first = |span: Option<Span>| seconds(span.map(|span| span.first));
    let last = |span: Option<Span>| seconds(span.map(|span| span.last));
    let destruction = match means {
        Destruction::Done => proto::Destruction::Done,
        Destruction::Safe { .. } => proto::Destruction::Safe,
        Destruction::Active => proto::Destruction::Active,
        Destruction::PreActive { .. } => proto::Destruction::PreActive,
        Destruction::Issued { .. } => proto::Destruction::Issued,
        Destruction::NeverExpires { .. } => proto::Destruction::NeverExpires,
        Destruction::Unknown { .. } => proto::Destruction::Unknown,
    };
    proto::VersionUsage {
        known_since: seconds(known.known_since),
        first_minted_at: first(known.minted),
        last_minted_at: last(known.minted),
        first_verified_at: first(known.verified),
        last_verified_at: last(known.verified),
        seals: known.seals,
        latest_expiry: seconds(known.latest_expiry.filter(|at| *at != NEVER)),
        never_expires: known.latest_expiry == Some(NEVER),
        destruction: destruction.into(),
        destruction_at: seconds(means.at()),
        judgement: means.to_string(),
    }
}

fn ledger(from: UsageLedger) -> proto::UsageLedger {
    proto::UsageLedger { id: from.id, path: from.path }
}

const fn kind_of(kind: KeyKind) -> proto::KeyKind {
    match kind {
        KeyKind::LiveAuth => proto::KeyKind::Liveauth,
        KeyKind::Hat1 => proto::KeyKind::Hat1,
    }
}

const fn suite_of(suite: Suite) -> proto::Suite {
    match suite {
        Suite::Aes256Gcm => proto::Suite::Aes256Gcm,
        Suite::ChaCha20Poly1305 => proto::Suite::Chacha20Poly1305,
    }
}

const fn state_of(state: KeyState) -> KeyVersionState {
    match state {
        KeyState::PreActive => KeyVersionState::PreActive,
        KeyState::Active => KeyVersionState::Active,
        KeyState::Deactivated => KeyVersionState::Deactivated,
        KeyState::Suspended => KeyVersionState::Suspended,
        KeyState::Compromised => KeyVersionState::Compromised,
        KeyState::Destroyed => KeyVersionState::Destroyed,
    }
}
