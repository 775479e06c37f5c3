//! Keys through a running service: from what is asked to messages, and from messages to what is printed.

use super::{
    used::Known,
    way::{Listed, Service},
};
use crate::{
    authority::{Changed, Edit, KeyShown, UsageLedger, VersionShown},
    cli::Failure,
    clock::UnixSeconds,
    crypto::{aead::Suite, secret::Secret},
    grpc::proto::{self, KeyVersionState},
    keyring::{Destruction, Evidence, KeyKind, KeyName, NEVER, Span, State},
};

pub(super) fn list(service: &Service) -> Result<Listed, Failure> {
    let answer = service.client.list_keys(proto::ListKeysRequest {}).map_err(|error| service.failed(error))?;
    let proto::ListKeysResponse { keyring_id, generation, keys, ledger, .. } = answer;
    let keys = keys.into_iter().map(key).collect::<Result<_, _>>()?;
    Ok(Listed { keyring_id, generation, keys, known: known_by(ledger) })
}

pub(super) fn show(service: &Service, name: &KeyName) -> Result<(KeyShown, Known), Failure> {
    let request = proto::GetKeyRequest { key: name.as_str().to_owned() };
    let answer = service.client.get_key(request).map_err(|error| service.failed(error))?;
    Ok((key(answer.key.ok_or_else(unknown)?)?, known_by(answer.ledger)))
}

pub(super) fn reload(service: &Service) -> Result<u64, Failure> {
    let answer = service.client.reload(proto::ReloadRequest {}).map_err(|error| service.failed(error))?;
    Ok(answer.generation)
}

/// Sends the one of the requests that is due, and takes the answer apart: they differ in name alone.
macro_rules! changed {
    ($service:ident.$rpc:ident($request:expr)) => {{
        let answer = $service.client.$rpc($request).map_err(|error| $service.failed(error))?;
        (answer.key, answer.kind, answer.version, answer.generation, answer.warnings)
    }};
}

pub(super) fn change(service: &Service, name: &KeyName, edit: Edit) -> Result<Changed, Failure> {
    let key = name.as_str().to_owned();
    let at = |asked: Option<i64>| asked.unwrap_or(0);
    let (key, kind, shown, generation, warnings) = match edit {
        Edit::Create { suite, activates_at } => changed!(service.create_key(proto::CreateKeyRequest {
            key,
            kind: proto::KeyKind::Hat1.into(),
            suite: suite_number(Some(suite)),
            activates_at: at(activates_at),
        })),
        Edit::Import { kind, secret, suite, activates_at } => {
            changed!(service.import_key_version(proto::ImportKeyVersionRequest {
                key,
                kind: kind_number(kind),
                secret: secret.expose().to_vec(),
                suite: suite_number(suite),
                activates_at: at(activates_at),
            }))
        }
        Edit::Rotate { secret, suite, activates_at } => changed!(service.rotate_key(proto::RotateKeyRequest {
            key,
            secret: secret.as_ref().map(|secret: &Secret| secret.expose().to_vec()),
            suite: suite_number(suite),
            activates_at: at(activates_at),
        })),
        Edit::Suspend(version) => {
            changed!(service.suspend_key_version(proto::SuspendKeyVersionRequest { key, version }))
        }
        Edit::Resume(version) => changed!(service.resume_key_version(proto::ResumeKeyVersionRequest { key, version })),
        Edit::MarkCompromised(version) => {
            changed!(service.mark_key_version_compromised(proto::MarkKeyVersionCompromisedRequest { key, version }))
        }
        Edit::Destroy { number: version, force } => {
            changed!(service.destroy_key_version(proto::DestroyKeyVersionRequest { key, version, force }))
        }
    };
    let version = version(shown.ok_or_else(unknown)?)?;
    Ok(Changed { key, kind: kind_of(kind)?, version, generation, warnings })
}

fn key(shown: proto::Key) -> Result<KeyShown, Failure> {
    let proto::Key { name, kind, active_version, versions } = shown;
    let versions = versions.into_iter().map(version).collect::<Result<_, _>>()?;
    Ok(KeyShown { name, kind: kind_of(kind)?, active_version, versions })
}

fn known_by(ledger: Option<proto::UsageLedger>) -> Known {
    let none = Known::ByNone("the service has none (ledger.path), and knows what it saw since its start");
    ledger.map_or(none, |proto::UsageLedger { id, path }| Known::By(UsageLedger { id, path }))
}

/// What is known of a version's use, and what follows from it.
fn usage(told: &proto::VersionUsage) -> Result<(Evidence, Destruction), Failure> {
    let known = |at: i64| (at != 0).then_some(UnixSeconds(at));
    let span = |first, last| Some(Span { first: known(first)?, last: known(last)? });
    let (seals, at) = (told.seals, told.destruction_at);
    let destruction = match told.destruction() {
        proto::Destruction::Done => Destruction::Done,
        proto::Destruction::Safe => Destruction::Safe { since: known(at) },
        proto::Destruction::Active => Destruction::Active,
        proto::Destruction::PreActive => Destruction::PreActive { activates_at: UnixSeconds(at) },
        proto::Destruction::Issued => Destruction::Issued { until: UnixSeconds(at), seals },
        proto::Destruction::NeverExpires => Destruction::NeverExpires { seals },
        proto::Destruction::Unknown => Destruction::Unknown { known_since: known(at) },
        proto::Destruction::Unspecified => return Err(unknown()),
    };
    let evidence = Evidence {
        known_since: known(told.known_since),
        minted: span(told.first_minted_at, told.last_minted_at),
        verified: span(told.first_verified_at, told.last_verified_at),
        seals,
        latest_expiry: if told.never_expires { Some(NEVER) } else { known(told.latest_expiry) },
    };
    Ok((evidence, destruction))
}

fn version(shown: proto::KeyVersion) -> Result<VersionShown, Failure> {
    let known = |at: i64| (at != 0).then_some(at);
    let (usage, destruction) = usage(shown.usage.as_ref().ok_or_else(unknown)?)?;
    Ok(VersionShown {
        number: shown.number,
        state: match shown.state() {
            KeyVersionState::PreActive => State::PreActive,
            KeyVersionState::Active => State::Active,
            KeyVersionState::Deactivated => State::Deactivated,
            KeyVersionState::Suspended => State::Suspended,
            KeyVersionState::Compromised => State::Compromised,
            KeyVersionState::Destroyed => State::Destroyed,
            KeyVersionState::Unspecified => return Err(unknown()),
        },
        suite: match shown.suite() {
            proto::Suite::Unspecified => None,
            proto::Suite::Aes256Gcm => Some(Suite::Aes256Gcm),
            proto::Suite::Chacha20Poly1305 => Some(Suite::ChaCha20Poly1305),
        },
        created_at: shown.created_at,
        activates_at: shown.activates_at,
        deactivates_at: known(shown.deactivates_at),
        suspended_at: known(shown.suspended_at),
        compromised_at: known(shown.compromised_at),
        destroyed_at: known(shown.destroyed_at),
        kid: shown.kid,
        usage,
        destruction,
    })
}

fn kind_of(number: i32) -> Result<KeyKind, Failure> {
    match proto::KeyKind::try_from(number) {
        Ok(proto::KeyKind::Liveauth) => Ok(KeyKind::LiveAuth),
        Ok(proto::KeyKind::Hat1) => Ok(KeyKind::Hat1),
        Ok(proto::KeyKind::Unspecified) | Err(_) => Err(unknown()),
    }
}

fn kind_number(kind: KeyKind) -> i32 {
    match kind {
        KeyKind::LiveAuth => proto::KeyKind::Liveauth.into(),
        KeyKind::Hat1 => proto::KeyKind::Hat1.into(),
    }
}

fn suite_number(suite: Option<Suite>) -> i32 {
    match suite {
        None => proto::Suite::Unspecified.into(),
        Some(Suite::Aes256Gcm) => proto::Suite::Aes256Gcm.into(),
        Some(Suite::ChaCha20Poly1305) => proto::Suite::Chacha20Poly1305.into(),
    }
}

fn unknown() -> Failure {
    Failure::ours("the service's answer holds something that this version does not know; use the service's own version")
}
