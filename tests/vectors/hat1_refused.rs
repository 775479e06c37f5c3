//! What must be refused, and how: each way in which a token can be wrong, made out of the good vectors.

use countersign::{
    crypto::aead::Suite,
    hub::token::{Bindings, Contents, Entropy, Purpose},
    keyring::Mark,
    verdict::{Hint, Verdict},
};

use crate::{
    desk::{Desk, Life},
    hat1::{HAT1, suite},
    hat1_text::{signed, unwrap, wrap},
    hex, vectors,
};

const NOW: i64 = 1_700_000_000;
const EXPIRES: i64 = 1_707_776_000;

/// A good token, and the desk it opens at.
struct Case {
    name: String,
    token: String,
    username: Option<String>,
    suite: Suite,
    key: Vec<u8>,
}

impl Case {
    fn all() -> Vec<Self> {
        let file = vectors(HAT1);
        let cases = file["vectors"].as_array().unwrap().iter().map(|vector| Self {
            name: vector["name"].as_str().unwrap().into(),
            token: vector["token"].as_str().unwrap().into(),
            username: vector["username"].as_str().map(Into::into),
            suite: suite(vector),
            key: hex(&file["inputs_common"]["key"]),
        });
        cases.collect()
    }

    fn desk(&self) -> Desk {
        Desk::new(self.suite, &self.key)
    }

    fn bindings(&self) -> Bindings<'_> {
        Bindings { username: self.username.as_deref(), hub_login_token: None }
    }

    /// What an altered body comes to: a bound token does not tell it from another user.
    fn altered(&self) -> Verdict {
        if self.username.is_some() { Verdict::WrongContext } else { Verdict::BadSignature }
    }

    fn found(&self, token: &str) -> (Verdict, Vec<Hint>) {
        judged(&self.desk(), token, Purpose::HubAuth, &self.bindings(), NOW)
    }

    fn verdict(&self, token: &str) -> Verdict {
        self.found(token).0
    }

    fn alone(&self, verdict: Verdict) -> (Verdict, Vec<Hint>) {
        assert!(self.verdict(&self.token) == Verdict::Valid, "{}: the unaltered token opens", self.name);
        (verdict, Vec::new())
    }
}

fn judged(desk: &Desk, token: &str, purpose: Purpose, bindings: &Bindings<'_>, now: i64) -> (Verdict, Vec<Hint>) {
    match desk.open(token, purpose, bindings, now) {
        Ok(found) => {
            assert_eq!(
                found.payload(&desk.may()).is_some(),
                found.verdict == Verdict::Valid,
                "no payload but of VALID"
            );
            (found.verdict, found.hints.iter().collect())
        }
        Err(hints) => (Verdict::Malformed, hints.iter().collect()),
    }
}

#[test]
fn every_single_bit_flipped_with_the_check_digits_put_right_is_refused() {
    let mut flips = 0;
    for case in Case::all() {
        let desk = case.desk();
        let good = unwrap(&case.token);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                1 if bit % 8 < 2 => Verdict::BadSignature,
                0 | 1 => Verdict::Malformed,
                2..10 => Verdict::UnknownKey,
                10..66 => Verdict::BadSignature,
                _ => case.altered(),
            };
            let verdict = judged(&desk, &wrap(&bytes), Purpose::HubAuth, &case.bindings(), NOW).0;
            // A flipped flag asks for a login token that was not supplied; it is still only a bad signature.
            assert_eq!(verdict, expected, "{}: bit {bit}", case.name);
            flips += 1;
        }
    }
    crate::tell(&format!("hat1: {flips} single-bit flips refused"));
}

#[test]
fn wrong_check_digits_are_malformed() {
    for case in Case::all() {
        for digit in case.token.len() - 6..case.token.len() {
            let other = if &case.token[digit..=digit] == "x" { "y" } else { "x" };
            let mut token = case.token.clone();
            token.replace_range(digit..=digit, other);
            assert_eq!(case.found(&token), (Verdict::Malformed, vec![Hint::ChecksumMismatch]));
        }
    }
}

#[test]
fn upper_and_lower_case_are_malformed() {
    for case in Case::all() {
        assert_eq!(case.found(&case.token.to_uppercase()), (Verdict::Malformed, vec![Hint::WrongPrefix]));
        assert_eq!(case.found(&case.token.to_lowercase()), (Verdict::Malformed, vec![Hint::ChecksumMismatch]));
    }
}

#[test]
fn truncation_by_1_3_and_64_is_malformed() {
    for case in Case::all() {
        let cut = |by| case.found(&case.token[..case.token.len() - by]);
        assert_eq!(cut(1), (Verdict::Malformed, vec![Hint::Truncated]));
        assert_eq!(cut(3), (Verdict::Malformed, vec![Hint::Truncated]));
        assert_eq!(cut(64).0, Verdict::Malformed);
    }
}

#[test]
fn a_token_cut_to_another_length_class_with_check_digits_put_right_is_not_believed() {
    for case in Case::all().iter().filter(|case| case.token.len() > 183) {
        let bytes = unwrap(&case.token);
        assert_eq!(case.verdict(&wrap(&bytes[..bytes.len() - 48])), case.altered());
    }
}

#[test]
fn an_equals_sign_the_other_alphabet_and_a_newline_are_malformed() {
    for case in Case::all() {
        let signed_part = &case.token[..case.token.len() - 6];
        let other_alphabet = signed_part[5..].replace('-', "+").replace('_', "/");
        assert_ne!(other_alphabet, signed_part[5..]);
        for token in [
            format!("{}=", case.token),
            signed(&format!("{signed_part}=")),
            signed(&format!("{}=", &signed_part[..signed_part.len() - 1])),
            signed(&format!("hat1_{other_alphabet}")),
            format!("{}\n", case.token),
            format!("{}\n", &case.token[..case.token.len() - 1]),
            signed(&format!("{}\n", &signed_part[..signed_part.len() - 1])),
            format!("\n{}", case.token),
            format!(" {}", &case.token[1..]),
        ] {
            assert_eq!(case.verdict(&token), Verdict::Malformed, "{}", case.name);
        }
        assert_eq!(case.found(&format!("{}\n", case.token)), (Verdict::Malformed, vec![Hint::Whitespace]));
    }
}

#[test]
fn another_prefix_is_malformed_even_with_check_digits_put_right() {
    for case in Case::all() {
        for prefix in ["hat2_", "HAT1_", "hat1-", "ghp_1"] {
            let token = signed(&format!("{prefix}{}", &case.token[5..case.token.len() - 6]));
            assert_eq!(case.found(&token), (Verdict::Malformed, vec![Hint::WrongPrefix]), "{prefix}");
        }
    }
}

#[test]
fn every_flag_value_but_the_right_one_is_refused() {
    for case in Case::all() {
        let good = unwrap(&case.token);
        for flags in (0..=255).filter(|&flags| flags != good[1]) {
            let mut bytes = good.clone();
            bytes[1] = flags;
            let expected = if flags < 4 {
                (Verdict::BadSignature, Vec::new())
            } else {
                (Verdict::Malformed, vec![Hint::UnknownSuiteOrFlags])
            };
            assert_eq!(case.found(&wrap(&bytes)), expected, "{}: flags {flags}", case.name);
        }
    }
}

#[test]
fn every_suite_value_but_the_right_one_is_refused() {
    for case in Case::all() {
        let good = unwrap(&case.token);
        for id in (0..=255).filter(|&id| id != good[0]) {
            let mut bytes = good.clone();
            bytes[0] = id;
            let expected = match id {
                1 | 2 => (Verdict::UnknownKey, vec![Hint::KeyOfAnotherSuite]),
                _ => (Verdict::Malformed, vec![Hint::UnknownSuiteOrFlags]),
            };
            assert_eq!(case.found(&wrap(&bytes)), expected, "{}: suite {id}", case.name);
        }
    }
}

#[test]
fn the_suite_swapped_together_with_the_key_id_is_a_bad_signature() {
    let cases = Case::all();
    for case in &cases {
        let other = cases.iter().find(|other| other.suite != case.suite).unwrap();
        let mut bytes = unwrap(&case.token);
        let donor = unwrap(&other.token);
        bytes[0] = donor[0];
        bytes[2..10].copy_from_slice(&donor[2..10]);
        assert_eq!(case.found(&wrap(&bytes)), case.alone(Verdict::BadSignature));
    }
}

#[test]
fn a_disabled_key_opens_nothing_and_a_hint_says_how_it_stands() {
    for case in Case::all() {
        for (mark, hint) in [
            (Mark::Suspended, Hint::KeySuspended),
            (Mark::Compromised, Hint::KeyCompromised),
            (Mark::Destroyed, Hint::KeyDestroyed),
        ] {
            let desk = Desk::marked(case.suite, &case.key, Some(mark));
            let found = judged(&desk, &case.token, Purpose::HubAuth, &case.bindings(), NOW);
            assert_eq!(found, (Verdict::UnknownKey, vec![hint]));
        }
        let found = judged(&Desk::new(case.suite, &[7; 32]), &case.token, Purpose::HubAuth, &case.bindings(), NOW);
        assert_eq!(found, (Verdict::UnknownKey, vec![Hint::KeyNotFound]));
    }
}

#[test]
fn another_app_or_purpose_is_a_bad_signature() {
    for case in Case::all() {
        let mut desk = case.desk();
        let found = judged(&desk, &case.token, Purpose::HubLogin, &case.bindings(), NOW);
        assert_eq!(found, case.alone(Verdict::BadSignature));
        desk.app.name = "acme-calendar".into();
        let found = judged(&desk, &case.token, Purpose::HubAuth, &case.bindings(), NOW);
        assert_eq!(found, case.alone(Verdict::BadSignature));
    }
}

#[test]
fn another_username_or_another_case_of_it_is_the_wrong_context_and_none_is_missing() {
    for case in Case::all().iter().filter(|case| case.username.is_some()) {
        let desk = case.desk();
        let as_user =
            |username| judged(&desk, &case.token, Purpose::HubAuth, &Bindings { username, hub_login_token: None }, NOW);
        for other in ["jdoe@broadsoft.com", "Jodonnell@broadsoft.com", "JODONNELL@BROADSOFT.COM", ""] {
            assert_eq!(as_user(Some(other)), case.alone(Verdict::WrongContext), "{other:?}");
        }
        assert_eq!(as_user(None), (Verdict::WrongContext, vec![Hint::BindingValueMissing]));
    }
}

#[test]
fn a_missing_or_another_hub_login_token_is_the_wrong_context() {
    for suite in Suite::ALL {
        let desk = Desk::new(suite, &[7; 32]);
        let right = Bindings { username: Some("jo@example.com"), hub_login_token: Some("login") };
        let (life, entropy) = (Life { now: NOW, expires: Some(EXPIRES) }, Entropy { salt: [1; 24], grant_id: [2; 16] });
        let token = desk.seal(Purpose::HubAuth, &Contents::default(), &right, life, entropy).token;
        let with =
            |hub_login_token| judged(&desk, &token, Purpose::HubAuth, &Bindings { hub_login_token, ..right }, NOW);
        assert_eq!(with(Some("login")), (Verdict::Valid, Vec::new()));
        assert_eq!(with(None), (Verdict::WrongContext, vec![Hint::BindingValueMissing]));
        assert_eq!(with(Some("Login")), (Verdict::WrongContext, Vec::new()));
    }
}

#[test]
fn an_expiry_equal_to_now_is_over_and_an_issue_time_in_the_future_is_not_yet() {
    for case in Case::all() {
        let at = |now| judged(&case.desk(), &case.token, Purpose::HubAuth, &case.bindings(), now).0;
        assert_eq!(
            (at(EXPIRES - 1), at(EXPIRES), at(EXPIRES + 1)),
            (Verdict::Valid, Verdict::Expired, Verdict::Expired)
        );
        assert_eq!((at(NOW - 60), at(NOW - 61)), (Verdict::Valid, Verdict::NotYetValid));
    }
}

#[test]
fn bodies_swapped_between_two_tokens_are_refused() {
    for case in Case::all() {
        let desk = case.desk();
        let seal = |salt| {
            let (life, entropy) = (Life { now: NOW, expires: Some(EXPIRES) }, Entropy { salt, grant_id: [2; 16] });
            desk.seal(Purpose::HubAuth, &Contents::default(), &case.bindings(), life, entropy).token
        };
        let (one, other) = (unwrap(&seal([1; 24])), unwrap(&seal([2; 24])));
        for boundary in [66, 34] {
            let chimera = [&one[..boundary], &other[boundary..]].concat();
            let expected = if boundary == 66 { case.altered() } else { Verdict::BadSignature };
            assert_eq!(case.found(&wrap(&chimera)), case.alone(expected), "swapped from byte {boundary}");
        }
    }
}

#[test]
fn other_kinds_of_text_are_malformed() {
    let case = &Case::all()[0];
    for text in ["", "\"\"", "hat1_", "jodonnell@broadsoft.com", "null", "é", &"é".repeat(100), &"hat1_".repeat(37)] {
        assert_eq!(case.verdict(text), Verdict::Malformed, "{text:?}");
    }
}
