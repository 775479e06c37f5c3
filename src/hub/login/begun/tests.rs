use proptest::prelude::*;

use super::*;

/// As an Express server signs a session's id.
const TOKEN: &str = "s:4Xk9dUqYp0wLz1Rm3Vn5Bt7Hc2Jf8Ga6.mNq/PcVfWb+Xe9sTyLr0KuDh3iOj5Zg7A1nE4wQx8M";
const TOKEN_ENCODED: &str = "s%3A4Xk9dUqYp0wLz1Rm3Vn5Bt7Hc2Jf8Ga6.mNq%2FPcVfWb%2BXe9sTyLr0KuDh3iOj5Zg7A1nE4wQx8M";

fn one(query: &str) -> Result<(String, String), BegunProblem> {
    Begun::parse(&format!("/acme/authenticate?{query}"), Generation::One).map(|begun| match &begun {
        Begun::One { hub, token } => (hub.to_string(), token.clone()),
        Begun::Two { .. } => panic!("generation 2"),
    })
}

fn two(query: &str) -> Result<String, BegunProblem> {
    Begun::parse(&format!("https://app.example/authenticate?{query}"), Generation::Two).map(|begun| match &begun {
        Begun::Two { callback } => callback.as_str().to_owned(),
        Begun::One { .. } => panic!("generation 1"),
    })
}

#[test]
fn the_document_s_request_is_read_with_its_token_byte_for_byte() {
    for hub_url in [
        "core.broadsoftlabs.com",
        "core.broadsoftlabs.com/v1",
        "core.broadsoftlabs.com%2Fv1",
        "https%3A%2F%2Fcore.broadsoftlabs.com",
        "https://core.broadsoftlabs.com/",
        "https://core.broadsoftlabs.com/v1",
        "CORE.broadsoftlabs.com:443",
    ] {
        let query = format!("hubUrl={hub_url}&hubLoginToken={TOKEN_ENCODED}");
        assert_eq!(one(&query), Ok(("https://core.broadsoftlabs.com".into(), TOKEN.into())), "{hub_url}");
        // Raw, too: a plus sign stays a plus sign.
        assert_eq!(one(&format!("lang=de&hubLoginToken={TOKEN}&hubUrl={hub_url}&&")).unwrap().1, TOKEN);
    }
    assert_eq!(one("hubUrl=h.example&hubLoginToken=%2525%2B+").unwrap().1, "%25++");
    assert_eq!(one("hubUrl=h.example&hubLoginToken=a=b").unwrap().1, "a=b");
    assert_eq!(one("h%75bUrl=h.example&hubLoginToken=%C3%BC").unwrap().1, "ü");
}

#[test]
fn a_callback_is_decoded_once_and_keeps_its_own_query() {
    assert_eq!(
        two("callback=https%3A%2F%2Fhub.example.com%2Fcb%3Fs%3Da%252Bb%26t%3D1").as_deref(),
        Ok("https://hub.example.com/cb?s=a%2Bb&t=1")
    );
    assert_eq!(two("callback=https://hub.example.com/cb").as_deref(), Ok("https://hub.example.com/cb"));
    // What is not encoded ends at the ampersand, as in every query.
    assert_eq!(two("callback=https://hub.example.com/cb?a=1&b=2").as_deref(), Ok("https://hub.example.com/cb?a=1"));
}

#[test]
fn what_does_not_begin_a_login_is_told_apart() {
    use BegunProblem::{
        Address, Both, Control, Encoding, Fragment, Missing, NoQuery, Other, Raw, TokenTooLong, TooLong, Twice,
    };
    let good = "hubUrl=h.example&hubLoginToken=t";
    for (query, problem) in [
        ("", Missing(HUB_URL)),
        ("hubUrl=h.example", Missing(HUB_LOGIN_TOKEN)),
        ("hubLoginToken=t", Missing(HUB_URL)),
        ("hubUrl=&hubLoginToken=t", Missing(HUB_URL)),
        ("huburl=h.example&hubLoginToken=t", Missing(HUB_URL)),
        ("hubUrl=h.example&hubLoginToken=t&hubLoginToken=t", Twice(HUB_LOGIN_TOKEN)),
        ("hubUrl=h.example&hubLoginToken=t&%68ubUrl=evil.example", Twice(HUB_URL)),
        ("hubUrl=h.example&hubLoginToken=%", Encoding(HUB_LOGIN_TOKEN)),
        ("hubUrl=h.example&hubLoginToken=%4", Encoding(HUB_LOGIN_TOKEN)),
        ("hubUrl=h.example&hubLoginToken=%zz", Encoding(HUB_LOGIN_TOKEN)),
        ("hubUrl=h.example&hubLoginToken=%ff", Encoding(HUB_LOGIN_TOKEN)),
        ("hubUrl=h.example&hubLoginToken=a%0d%0ab", Control(HUB_LOGIN_TOKEN)),
        ("hubUrl=h.example&hubLoginToken=a%00", Control(HUB_LOGIN_TOKEN)),
        ("hubUrl=h.example%0d%0a&hubLoginToken=t", Control(HUB_URL)),
        ("hubUrl=h.example&hubLoginToken=t#x", Fragment),
        ("hubUrl=h.example&hubLoginToken=a b", Raw),
        ("hubUrl=h.example&hubLoginToken=ü", Raw),
        ("callback=https://h.example/", Other(Generation::Two)),
        ("hubUrl=h.example&hubLoginToken=t&callback=https://h.example/", Both),
        ("hubUrl=http://h.example&hubLoginToken=t", Address(HUB_URL, AddressProblem::NotHttps)),
        ("hubUrl=h.example%5C%40evil.example&hubLoginToken=t", Address(HUB_URL, AddressProblem::Forbidden)),
        ("hubUrl=h.example%40evil.example&hubLoginToken=t", Address(HUB_URL, AddressProblem::Userinfo)),
        ("hubUrl=h.example%252f&hubLoginToken=t", Address(HUB_URL, AddressProblem::Host)),
        ("hubUrl=h.example/v2&hubLoginToken=t", Address(HUB_URL, AddressProblem::Path)),
        ("hubUrl=h.example/v1/v1&hubLoginToken=t", Address(HUB_URL, AddressProblem::Path)),
        ("hubUrl=h.example/v1/&hubLoginToken=t", Address(HUB_URL, AddressProblem::Path)),
        ("hubUrl=h.example//&hubLoginToken=t", Address(HUB_URL, AddressProblem::Path)),
        ("hubUrl=h.example?x&hubLoginToken=t", Address(HUB_URL, AddressProblem::Path)),
        ("hubUrl=//h.example&hubLoginToken=t", Address(HUB_URL, AddressProblem::Path)),
        ("hubUrl=%68%C3%BC&hubLoginToken=t", Address(HUB_URL, AddressProblem::Forbidden)),
    ] {
        assert_eq!(one(query), Err(problem), "{query}");
    }
    assert_eq!(one(&format!("hubUrl=h.example&hubLoginToken={}", "t".repeat(1025))), Err(TokenTooLong));
    assert!(one(&format!("hubUrl=h.example&hubLoginToken={}", "t".repeat(1024))).is_ok());
    assert_eq!(one(&format!("{good}&x={}", "x".repeat(AUTHENTICATE_URL_MAX))), Err(TooLong));
    assert_eq!(Begun::parse("/acme/authenticate", Generation::One).err(), Some(NoQuery));
    assert_eq!(two(good), Err(Other(Generation::One)));
    assert_eq!(two("callback=https://h.example/&callback=https://h.example/"), Err(Twice(CALLBACK)));
    assert_eq!(two("callback=https://h.example/%2523x%23"), Err(Address(CALLBACK, AddressProblem::Fragment)));
}

#[test]
fn a_login_state_carries_it_whole_and_nothing_else_is_read_from_one() {
    let begun = [
        Begun::parse(&format!("/?hubUrl=h.example:8443&hubLoginToken={TOKEN_ENCODED}"), Generation::One).unwrap(),
        Begun::parse("/?callback=https%3A%2F%2Fh.example%2Fcb%3Fs%3D1", Generation::Two).unwrap(),
    ];
    for begun in begun {
        let payload = begun.to_payload();
        assert!(Begun::from_payload(&payload).is_some_and(|read| read == begun));
        for len in 0..payload.len() {
            assert!(Begun::from_payload(&payload[..len]).is_none(), "cut to {len}");
        }
        for (at, byte) in [(0, 0), (0, 2), (1, 0), (1, 3), (2, 0x80), (4, b'H')] {
            let mut altered = payload.to_vec();
            altered[at] = byte;
            assert!(Begun::from_payload(&altered).is_none(), "byte {at} set to {byte}");
        }
        assert!(Begun::from_payload(&[&payload[..], b"\0"].concat()).is_none());
    }
    let elsewhere = [&[1, 2, 0, 17][..], b"https://h.example", &[0, 18], b"https://e.example/"].concat();
    assert!(Begun::from_payload(&elsewhere).is_none(), "the callback is on another Hub");
}

proptest! {
    /// Whatever the token's bytes, encoded in whatever places: it comes out as it was, and survives its state.
    #[test]
    fn every_token_comes_through(token in "[ -~\u{a1}-\u{2fff}]{1,200}", mask in any::<u64>()) {
        let encoded: String = token.bytes().enumerate().map(|(at, byte)| {
            let must = !byte.is_ascii_graphic() || matches!(byte, b'%' | b'&' | b'#');
            if must || mask >> (at % 64) & 1 == 1 { format!("%{byte:02x}") } else { char::from(byte).to_string() }
        }).collect();
        let begun = Begun::parse(&format!("/a?hubLoginToken={encoded}&hubUrl=h.example"), Generation::One).unwrap();
        let read = Begun::from_payload(&begun.to_payload()).unwrap();
        match &read {
            Begun::One { token: carried, .. } => prop_assert_eq!(carried, &token),
            Begun::Two { .. } => prop_assert!(false),
        }
    }

    /// No text makes the parser do anything but answer, and no payload either.
    #[test]
    fn any_text_is_judged(text in "\\PC{0,60}", query in "[hubUrlLoginTokencallback=&%?#/:.@a-f0-9]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for generation in [Generation::One, Generation::Two] {
            let _ = Begun::parse(&text, generation);
            let _ = Begun::parse(&format!("/?{query}"), generation);
        }
        let _ = Begun::from_payload(&bytes);
    }
}
