//! What holds for every input, tried on many.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "fixture/desk.rs"]
mod desk;
#[path = "vectors/hat1_text.rs"]
mod hat1_text;
#[path = "properties/histories.rs"]
mod histories;

use countersign::{
    crypto::{
        aead::Suite,
        frame::{DecimalPair, Frame},
    },
    hub::token::{self, Bindings, Contents, Entropy, PAYLOAD_MAX, PLAINTEXT_MAX, PayloadKind, Purpose},
    liveauth::{domain::HostName, hash},
    verdict::Verdict,
};
use desk::{Desk, Life};
use proptest::{collection::vec, option, prelude::*, sample::select, string::string_regex};

const NOW: i64 = 1_700_000_000;
const LIFE: Life = Life { now: NOW, expires: Some(NOW + 1) };

fn text(most: usize) -> impl Strategy<Value = String> {
    vec(any::<char>().prop_filter("no control characters", |c| !c.is_control()), 0..most)
        .prop_map(move |chars| chars.into_iter().collect::<String>())
}

fn binding() -> impl Strategy<Value = Option<String>> {
    option::of(text(40).prop_filter("not empty", |text| !text.is_empty()))
}

fn suite() -> impl Strategy<Value = Suite> {
    select(Suite::ALL.to_vec())
}

fn bound<'a>(username: Option<&'a String>, login: Option<&'a String>) -> Bindings<'a> {
    Bindings { username: username.map(String::as_str), hub_login_token: login.map(String::as_str) }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_opens_to_the_same(
        suite in suite(), key: [u8; 32], salt: [u8; 24], grant_id: [u8; 16],
        kind in select(PayloadKind::ALL.to_vec()), payload in vec(any::<u8>(), 0..=PAYLOAD_MAX),
        origin in option::of("[!-~]{1,255}"), reseal_count: u32, labels in vec((text(8), text(40)), 0..4),
        username in binding(), login in binding(), pad_to in 0..=PLAINTEXT_MAX,
    ) {
        let mut desk = Desk::new(suite, &key);
        desk.app.pad_to = pad_to;
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (&name[..], &value[..])).filter(|(name, _)| !name.is_empty()).collect();
        let contents = Contents { kind, payload: &payload, hub_origin: origin.as_deref(), reseal_count, labels: &labels };
        let bindings = bound(username.as_ref(), login.as_ref());
        let sealed = desk.seal(Purpose::HubAuth, &contents, &bindings, LIFE, Entropy { salt, grant_id });
        prop_assert_eq!(sealed.token.len() % 64, 183 % 64);
        prop_assert!(sealed.token.len() >= token::chars_for(pad_to));

        let found = desk.open(&sealed.token, Purpose::HubAuth, &bindings, NOW).unwrap_or_else(|_| panic!("malformed"));
        prop_assert_eq!((found.verdict, found.payload(&desk.may())), (Verdict::Valid, Some(&payload[..])));
        let claims = found.claims.unwrap();
        prop_assert_eq!((claims.token_id.as_slice(), claims.grant_id, claims.kind), (&salt[..16], grant_id, kind));
        prop_assert_eq!((claims.hub_origin, claims.reseal_count), (origin, reseal_count));
        prop_assert_eq!((claims.username_bound, claims.hub_login_token_bound), (username.is_some(), login.is_some()));
        prop_assert!(claims.labels.iter().map(|(name, value)| (&name[..], &value[..])).eq(labels));
    }

    #[test]
    fn a_token_with_any_one_bit_or_character_changed_does_not_open(
        suite in suite(), payload in vec(any::<u8>(), 0..100), username in binding(), login in binding(),
        place: prop::sample::Index, bit: prop::sample::Index, character in "[A-Za-z0-9_-]|.",
    ) {
        let desk = Desk::new(suite, &[7; 32]);
        let contents = Contents { payload: &payload, ..Contents::default() };
        let bindings = bound(username.as_ref(), login.as_ref());
        let entropy = Entropy { salt: [1; 24], grant_id: [2; 16] };
        let good = desk.seal(Purpose::HubAuth, &contents, &bindings, LIFE, entropy).token;
        let opens = |text: &str| {
            let found = desk.open(text, Purpose::HubAuth, &bindings, NOW);
            found.is_ok_and(|found| found.verdict == Verdict::Valid || found.payload(&desk.may()).is_some())
        };
        prop_assert!(opens(&good));

        let mut inside = hat1_text::unwrap(&good);
        let bit = bit.index(inside.len() * 8);
        inside[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!opens(&hat1_text::wrap(&inside)), "bit {bit}");

        let place = place.index(good.len());
        if good[place..].starts_with(&character) {
            return Ok(());
        }
        let changed = format!("{}{character}{}", &good[..place], &good[place + 1..]);
        prop_assert!(!opens(&changed), "character {place}");
        // With the check digits put right; a changed check digit would come out as it was.
        if place < good.len() - 6 {
            prop_assert!(!opens(&hat1_text::signed(&changed[..changed.len() - 6])), "character {place}");
        }
    }

    #[test]
    fn a_token_opens_in_no_other_context(
        one in (binding(), binding()), other in (binding(), binding()), apps in ("[a-z0-9._-]{1,64}", "[a-z0-9._-]{1,64}"),
    ) {
        let mut desk = Desk::new(Suite::Aes256Gcm, &[7; 32]);
        desk.app.name = apps.0.clone();
        let sealed_for = bound(one.0.as_ref(), one.1.as_ref());
        let entropy = Entropy { salt: [1; 24], grant_id: [2; 16] };
        let token = desk.seal(Purpose::HubAuth, &Contents::default(), &sealed_for, LIFE, entropy).token;
        let verdict = |desk: &Desk, as_: &(Option<String>, Option<String>)| {
            desk.open(&token, Purpose::HubAuth, &bound(as_.0.as_ref(), as_.1.as_ref()), NOW).map(|found| found.verdict)
        };
        prop_assert_eq!(verdict(&desk, &one), Ok(Verdict::Valid));
        let fits = (one.0.is_none() || one.0 == other.0) && (one.1.is_none() || one.1 == other.1);
        prop_assert_eq!(verdict(&desk, &other), Ok(if fits { Verdict::Valid } else { Verdict::WrongContext }));
        if apps.0 != apps.1 {
            desk.app.name = apps.1;
            prop_assert_eq!(verdict(&desk, &one), Ok(Verdict::BadSignature));
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text: String, inside in vec(any::<u8>(), 0..40)) {
        let _ = token::Unverified::parse(&text);
        let _ = HostName::from_config(&text);
        let _ = HostName::from_referer(&text);
        let _ = hash::Unverified::parse(&text, &text, &text);
        let mut bytes = [&[1, 0][..], &inside].concat();
        bytes.resize(129, 0);
        prop_assert!(token::Unverified::parse(&hat1_text::wrap(&bytes)).is_ok());
    }

    #[test]
    fn two_lists_of_parts_give_one_frame_only_if_they_are_one(
        one in vec(vec(0_u8..3, 0..5), 0..5), other in vec(vec(0_u8..3, 0..5), 0..5),
    ) {
        let frame = |parts: &[Vec<u8>]| {
            let frame = parts.iter().fold(Frame::labelled("t"), |frame, part| frame.part(part));
            frame.as_bytes().to_vec()
        };
        prop_assert_eq!(frame(&one) == frame(&other), one == other);
    }

    #[test]
    fn a_decimal_pair_is_what_the_standard_library_prints(one: u64, other: u64, shift in (0_u32..64, 0_u32..64)) {
        let (one, other) = (one >> shift.0, other >> shift.1);
        prop_assert_eq!(DecimalPair::new(one, other).as_bytes().to_vec(), format!("{one}-{other}").into_bytes());
    }

    #[test]
    fn a_canonical_host_name_stays_as_it_is_however_it_comes(text in "[a-zA-Z0-9.:_@ \\\\-]{0,40}|[a-zA-Z0-9]{1,9}(-?\\.[a-zA-Z0-9]{1,9}){0,4}\\.?(:[0-9]{0,6})?") {
        let Ok(name) = HostName::from_request(&text) else { return Ok(()) };
        prop_assert!(name.as_str().bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')));
        prop_assert_eq!(HostName::from_request(name.as_str()), Ok(name.clone()));
        prop_assert_eq!(HostName::from_config(name.as_str()), Ok(name.clone()));
        let referers = [format!("https://{text}"), format!("HTTP://{text}/a?b#c"), format!("https://{name}:1?x")];
        for referer in referers {
            prop_assert_eq!(HostName::from_referer(&referer), Ok(name.clone()));
        }
    }

    #[test]
    fn a_hash_is_taken_for_one_exactly_where_the_grammar_says(
        client in number(19), expires in number(12), hash in "[0-9a-f]{64}|[0-9a-fA-F]{64}|[0-9a-f]{63,65}|[0-9a-g]{64}|.{64}",
    ) {
        let expected = is_number(&client, 19) && is_number(&expires, 12) && is_hash(&hash);
        prop_assert_eq!(hash::Unverified::parse(&client, &expires, &hash).is_ok(), expected);
    }
}

/// Numbers, and what is nearly one.
fn number(digits: usize) -> impl Strategy<Value = String> {
    let good = string_regex(&format!("[1-9][0-9]{{0,{}}}", digits - 1)).unwrap();
    let near = string_regex(&format!("[-+ ]?[0-9]{{0,{}}}[.e\\n]?[0-9]?|[0-9٠-٩]{{1,3}}", digits + 1)).unwrap();
    prop_oneof![4 => good, 3 => near, 1 => any::<u64>().prop_map(|n| n.to_string())]
}

/// `[1-9][0-9]{0,n-1}` and below 2^63, as an automaton over the characters.
fn is_number(text: &str, digits: usize) -> bool {
    let mut value = 0_i128;
    for (place, character) in text.chars().enumerate() {
        match character {
            '1'..='9' => {}
            '0' if place > 0 => {}
            _ => return false,
        }
        if place == digits {
            return false;
        }
        value = value * 10 + i128::from(character as u32 - '0' as u32);
    }
    value > 0 && value < 1 << 63
}

/// `[0-9a-f]{64}`, likewise.
fn is_hash(text: &str) -> bool {
    let mut length = 0;
    text.chars().all(|character| {
        length += 1;
        character.is_ascii_digit() || ('a'..='f').contains(&character)
    }) && length == 64
}
