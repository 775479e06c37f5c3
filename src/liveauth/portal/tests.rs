use std::sync::Arc;

use super::*;
use crate::{
    crypto::mac::MacKey,
    keyring::{Key, KeyKind, KeyName, Version},
    liveauth::domain::HostName,
    policy::{Caller, CallerPattern, Object, ObjectPattern, Policy, Rule, RuleLimits, VerbName, verb},
};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn domain(max_ttl: i64) -> Domain {
    let version = Version::new(3, UnixSeconds(0), 18, Some(MacKey::new(b"whatissixtimesnine")));
    Domain {
        name: HostName::from_config("jobs.example.com").unwrap(),
        key: Arc::new(Key::new(KeyName::new("k").unwrap(), KeyKind::LiveAuth, vec![version])),
        default_ttl: 900.min(max_ttl),
        max_ttl,
        leeway: 0,
        subdomains: false,
        referer: None,
    }
}

fn policy(max_ttl: Option<i64>) -> Policy {
    Policy::new(vec![Rule {
        name: "r".into(),
        callers: vec![CallerPattern::Any],
        verbs: vec![VerbName::PortalRead, VerbName::PortalLogin, VerbName::PortalLogout],
        domains: vec![ObjectPattern::Any],
        apps: Vec::new(),
        keys: Vec::new(),
        limits: RuleLimits { max_ttl, rate: None },
    }])
    .unwrap()
}

fn signed<A: Ask>(ask: &A) -> String {
    let (policy, domain) = (policy(None), domain(3600));
    let permit = policy.permit::<A::Verb>(&Caller::Named("c".into()), Object::Domain("jobs.example.com")).unwrap();
    let endpoint = Endpoint::parse(ENDPOINT).unwrap();
    let signed = sign(&permit, &domain, &endpoint, ClientId::new(42).unwrap(), ask, NOW).unwrap();
    assert_eq!(signed.key_version, 3);
    signed.url.clone()
}

fn id(number: i64) -> PortalId {
    PortalId::new(number).unwrap()
}

fn link(kind: LinkKind, id: Option<i64>) -> Option<Link> {
    Link::of(Some(kind), id).unwrap()
}

/// HMAC-SHA256 of "42-1800000120" under the document's secret, by `openssl dgst -sha256 -hmac`.
const HASH: &str = "a9af207ee17777235f7ee1e9c37baf20effd8e31c5cf8e2a3449104c80faf192";

#[test]
fn each_action_is_the_request_that_the_document_describes() {
    let start = |action: &str| format!("{ENDPOINT}{action}?client=42&expires=1800000120&hash={HASH}");
    assert_eq!(signed(&Test), start("test"));
    let status = Status { portal: id(4), profile: id(2) };
    assert_eq!(signed(&status), start("status") + "&portal=4&profile=2");
    let login = |link| Login { portal: id(4), link };
    assert_eq!(signed(&login(None)), start("login") + "&portal=4");
    assert_eq!(signed(&login(link(LinkKind::Global, None))), start("login") + "&portal=4&link=global");
    for (kind, name) in [(LinkKind::Office, "office"), (LinkKind::Team, "team"), (LinkKind::Profile, "profile")] {
        let expected = start("login") + "&portal=4&link=" + name + "&id=2";
        assert_eq!(signed(&login(link(kind, Some(2)))), expected);
    }
    let logout = Logout { portal: id(6), link: link(LinkKind::Profile, Some(9)).unwrap() };
    assert_eq!(signed(&logout), start("logout") + "&portal=6&link=profile&id=9");
    let complete = CompleteInfo::of("161bc25962da8fed6d2f59922fb642aa").unwrap();
    assert_eq!(signed(&complete), start("complete-info") + "&token=161bc25962da8fed6d2f59922fb642aa");
}

#[test]
fn a_token_stays_one_parameter_whatever_is_in_it() {
    for (token, encoded) in [
        ("../../../etc/passwd", "..%2F..%2F..%2Fetc%2Fpasswd"),
        ("a&hash=b#c?d", "a%26hash%3Db%23c%3Fd"),
        ("a b+c%20", "a%20b%2Bc%2520"),
        ("žluť", "%C5%BElu%C5%A5"),
    ] {
        let url = signed(&CompleteInfo::of(token).unwrap());
        assert!(url.ends_with(&format!("&token={encoded}")), "{url}");
    }
    for refused in ["", "a\r\nX: y", "a\u{0}", &"a".repeat(TOKEN_MAX + 1)] {
        assert!(CompleteInfo::of(refused).is_none(), "{refused:?}");
    }
}

#[test]
fn the_hash_lives_for_two_minutes_or_as_long_as_domain_and_rule_allow() {
    let expires = |max_ttl, of_rule| {
        let (policy, domain) = (policy(of_rule), domain(max_ttl));
        let permit =
            policy.permit::<verb::PortalRead>(&Caller::Named("c".into()), Object::Domain("x.example")).unwrap();
        let endpoint = Endpoint::parse(ENDPOINT).unwrap();
        let signed = sign(&permit, &domain, &endpoint, ClientId::new(42).unwrap(), &Test, NOW).unwrap();
        let (_, rest) = signed.url.split_once("&expires=").unwrap();
        rest.split('&').next().unwrap().parse::<i64>().unwrap() - NOW.0
    };
    assert_eq!((expires(3600, None), expires(60, None), expires(3600, Some(30))), (120, 60, 30));
}

#[test]
fn an_id_goes_with_a_level_that_has_one() {
    assert!(Link::of(None, None) == Ok(None) && Link::of(Some(LinkKind::Global), None).is_ok());
    for (kind, id, problem) in [
        (None, Some(2), LinkProblem::LinkMissing),
        (Some(LinkKind::Global), Some(2), LinkProblem::GlobalWithId),
        (Some(LinkKind::Office), None, LinkProblem::IdMissing),
        (Some(LinkKind::Team), Some(0), LinkProblem::TooSmall),
        (Some(LinkKind::Profile), Some(-1), LinkProblem::TooSmall),
    ] {
        assert_eq!(Link::of(kind, id), Err(problem));
    }
}

fn unlike<T>(read: &Result<T, Misread>) -> bool {
    matches!(read, Err(Misread::Unlike(_)))
}

fn complains<T>(read: &Result<T, Misread>, words: &str) -> bool {
    matches!(read, Err(Misread::Complaint(said)) if said == words)
}

#[test]
fn the_documents_answers_are_read() {
    assert!(Test::read(b"\"hello world\"").is_ok_and(|said| said == "hello world"));
    let status = Status::read(
        br#"{"signed": true, "isProfile": true, "name": "John Doe", "picture": "http://social.network.com/img/c82f36R2.jpg"}"#,
    );
    let status = status.ok().unwrap();
    assert_eq!((status.signed, status.is_profile, status.name.as_deref()), (Some(true), Some(true), Some("John Doe")));
    let some = Status::read(br#"{"signed": false, "name": null, "new": [1]}"#).ok().unwrap();
    assert_eq!((some.signed, some.is_profile, some.name, some.picture), (Some(false), None, None, None));
    assert!(Status::read(b"[]").is_ok_and(|status| status.signed.is_none()), "how PHP writes an empty object");
    let began =
        Login::read(br#"{"url": "https://example.com/oauth/123456", "token": "161bc25962da8fed6d2f59922fb642aa"}"#)
            .ok()
            .unwrap();
    assert_eq!((began.url.as_str(), began.token.len()), ("https://example.com/oauth/123456", 32));
    let credentials = CompleteInfo::read(br#"{"portal_6_token": "NDa3rcnc33y983v983bv9y9223c9y3"}"#).ok().unwrap();
    assert_eq!(credentials["portal_6_token"], "NDa3rcnc33y983v983bv9y9223c9y3");
    for nothing in ["", " \n", "null", "true", "{}", "[]", "\"\"", "{\"done\": 1}"] {
        assert!(Logout::read(nothing.as_bytes()).is_ok(), "{nothing}");
    }
}

#[test]
fn what_is_not_as_the_document_says_is_no_answer() {
    for wrong in [
        "",
        "hello world",
        "{}",
        "[1]",
        "1",
        "callback(\"hello world\")",
        "<html></html>",
        "\"hello",
        "\u{feff}\"hello world\"",
    ] {
        assert!(unlike(&Test::read(wrong.as_bytes())), "{wrong}");
    }
    for wrong in [
        r#"{"signed": "true"}"#,
        r#"{"signed": 1}"#,
        r#"{"name": 1}"#,
        r#"{"signed": true, "signed": false}"#,
        "[1]",
        "1",
        "null",
    ] {
        assert!(unlike(&Status::read(wrong.as_bytes())), "{wrong}");
    }
    for wrong in [
        r#"{"url": "https://example.com/"}"#,
        r#"{"token": "t"}"#,
        r#"{"url": 1, "token": "t"}"#,
        r#"{"url": "https://example.com/", "token": ""}"#,
        r#"{"url": "https://example.com/", "token": "a\nb"}"#,
        r#"{"url": "javascript:alert(1)", "token": "t"}"#,
        r#"{"url": "/oauth", "token": "t"}"#,
        r#"{"url": "https://example.com/\t", "token": "t"}"#,
        r#"{"url": "https:\\example.com", "token": "t"}"#,
        "[]",
    ] {
        assert!(unlike(&Login::read(wrong.as_bytes())), "{wrong}");
    }
    for wrong in [r#"{"a": 1}"#, r#"{"a": null}"#, r#"{"a": {"b": "c"}}"#, "[\"a\"]"] {
        assert!(unlike(&CompleteInfo::read(wrong.as_bytes())), "{wrong}");
    }
    for wrong in ["1", "[1]", "Done!"] {
        assert!(unlike(&Logout::read(wrong.as_bytes())), "{wrong}");
    }
}

#[test]
fn what_looks_like_an_error_is_one_and_its_words_are_found() {
    for (error, words) in [
        (r#"{"error": "no such portal"}"#, "no such portal"),
        (r#"{"error": {"code": 7, "message": "no such portal"}}"#, "no such portal"),
        (r#"{"error": true, "message": "no such portal"}"#, "no such portal"),
        (r#"{"errors": ["no such portal", "x"]}"#, "no such portal"),
        (r#"{"error": 7}"#, ""),
        ("false", ""),
    ] {
        assert!(complains(&Status::read(error.as_bytes()), words), "{error}");
        assert!(complains(&CompleteInfo::read(error.as_bytes()), words), "{error}");
        assert!(complains(&Logout::read(error.as_bytes()), words), "{error}");
    }
    assert!(complains(&Test::read(b"\"Invalid hash\""), "Invalid hash"), "a mere string may say what is wrong");
    assert!(complains(&Login::read(b"\"Invalid hash\""), "Invalid hash"));
    for fine in [r#"{"error": null}"#, r#"{"error": false, "signed": true}"#, r#"{"errors": []}"#, r#"{"error": ""}"#] {
        assert!(Status::read(fine.as_bytes()).is_ok(), "{fine}");
    }
}

#[test]
fn an_http_errors_words_are_found_where_they_are_for_people() {
    for (body, words) in [
        (r#"{"message": "hash expired"}"#, "hash expired"),
        ("\"hash expired\"", "hash expired"),
        ("hash expired", "hash expired"),
        ("<html><body>500</body></html>", ""),
        ("{\"truncated\": ", ""),
        ("[1]", ""),
        ("", ""),
    ] {
        assert_eq!(complaint(body.as_bytes()), words, "{body}");
    }
    assert_eq!(complaint(b"\xff\xfe"), "");
}

#[test]
fn an_endpoint_is_a_url_that_actions_are_appended_to() {
    let default = Endpoint::parse(ENDPOINT).unwrap();
    assert_eq!((default.origin(), default.port(), default.is_plain()), ("https://www.idibu.com", 443, false));
    let other = Endpoint::parse("http://127.0.0.1:8080/api").unwrap();
    assert_eq!((other.base.as_str(), other.port(), other.is_plain()), ("http://127.0.0.1:8080/api/", 8080, true));
    for wrong in ["", "www.idibu.com/", "ftp://a/", "https://u@a/", "https://a/?b", "https://a/#b", "data:x"] {
        assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
    }
}
