//! The closed lists of the domain and their numbers in the API, mapped exhaustively.

use super::proto;
use crate::{
    authority::PayloadKind,
    verdict::{Hint, Hints, Verdict},
};

pub(super) fn verdict(verdict: Verdict) -> i32 {
    let number = match verdict {
        Verdict::Valid => proto::Verdict::Valid,
        Verdict::Expired => proto::Verdict::Expired,
        Verdict::NotYetValid => proto::Verdict::NotYetValid,
        Verdict::TooFarAhead => proto::Verdict::TooFarAhead,
        Verdict::BadSignature => proto::Verdict::BadSignature,
        Verdict::Malformed => proto::Verdict::Malformed,
        Verdict::UnknownKey => proto::Verdict::UnknownKey,
        Verdict::WrongContext => proto::Verdict::WrongContext,
        Verdict::Revoked => proto::Verdict::Revoked,
    };
    number.into()
}

pub(super) fn hints(hints: &Hints) -> Vec<i32> {
    hints.iter().map(hint).collect()
}

fn hint(hint: Hint) -> i32 {
    let number = match hint {
        Hint::LooksLikeMilliseconds => proto::Hint::LooksLikeMilliseconds,
        Hint::Truncated => proto::Hint::Truncated,
        Hint::Oversized => proto::Hint::Oversized,
        Hint::ResealRecommended => proto::Hint::ResealRecommended,
        Hint::KeyVersionNotActive => proto::Hint::KeyVersionNotActive,
        Hint::Uppercase => proto::Hint::Uppercase,
        Hint::Whitespace => proto::Hint::Whitespace,
        Hint::NotCanonical => proto::Hint::NotCanonical,
        Hint::Quoted => proto::Hint::Quoted,
        Hint::WrongPrefix => proto::Hint::WrongPrefix,
        Hint::ChecksumMismatch => proto::Hint::ChecksumMismatch,
        Hint::UnknownSuiteOrFlags => proto::Hint::UnknownSuiteOrFlags,
        Hint::KeyNotFound => proto::Hint::KeyNotFound,
        Hint::KeyOfAnotherApp => proto::Hint::KeyOfAnotherApp,
        Hint::KeyOfAnotherSuite => proto::Hint::KeyOfAnotherSuite,
        Hint::KeySuspended => proto::Hint::KeySuspended,
        Hint::KeyCompromised => proto::Hint::KeyCompromised,
        Hint::KeyDestroyed => proto::Hint::KeyDestroyed,
        Hint::BindingValueMissing => proto::Hint::BindingValueMissing,
        Hint::BindingAbsent => proto::Hint::BindingAbsent,
        Hint::NotRevocableByUser => proto::Hint::NotRevocableByUser,
        Hint::DomainNotFound => proto::Hint::DomainNotFound,
        Hint::OldTokenNotRevoked => proto::Hint::OldTokenNotRevoked,
    };
    number.into()
}

pub(super) fn kind(kind: PayloadKind) -> i32 {
    let number = match kind {
        PayloadKind::Opaque => proto::PayloadKind::Unspecified,
        PayloadKind::OauthAccessToken => proto::PayloadKind::OauthAccessToken,
        PayloadKind::OauthRefreshToken => proto::PayloadKind::OauthRefreshToken,
        PayloadKind::UserId => proto::PayloadKind::UserId,
        PayloadKind::Json => proto::PayloadKind::Json,
    };
    number.into()
}

/// The kind with that number; `None` for a number that the API does not have.
pub(super) fn kind_of(number: i32) -> Option<PayloadKind> {
    proto::PayloadKind::try_from(number).ok().map(|kind| match kind {
        proto::PayloadKind::Unspecified => PayloadKind::Opaque,
        proto::PayloadKind::OauthAccessToken => PayloadKind::OauthAccessToken,
        proto::PayloadKind::OauthRefreshToken => PayloadKind::OauthRefreshToken,
        proto::PayloadKind::UserId => PayloadKind::UserId,
        proto::PayloadKind::Json => PayloadKind::Json,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_number_and_name() {
        for (place, value) in Verdict::ALL.into_iter().enumerate() {
            let number = verdict(value);
            assert_eq!(number, i32::try_from(place).unwrap() + 1);
            let name = proto::Verdict::try_from(number).unwrap().as_str_name();
            assert_eq!(name.strip_prefix("VERDICT_"), Some(value.name()));
        }
    }

    #[test]
    fn every_kind_survives_the_way_there_and_back() {
        for number in 0..5 {
            assert_eq!(kind_of(number).map(kind), Some(number));
        }
        assert_eq!(kind_of(5), None);
        assert_eq!(kind_of(-1), None);
    }
}
