//! What comes through a browser is not to be trusted: no token, and no user, goes to a Hub that is not the app's.

use serde_json::{Value, json};

use crate::{
    asking::{JANE, begun, completing, fails, logged_in, ok, started},
    hub::{Hub, LOGIN_TOKEN_ENCODED},
};

#[test]
fn a_hub_that_is_not_the_app_s_begins_no_login() {
    let (hub, evil) = (Hub::open(), Hub::open());
    let service = started(&hub, "generation = 1");
    let begin = |url: String| json!({"app": "acme", "authenticateUrl": url});
    let host = hub.origin().replace("http://", "");
    for hub_url in [
        evil.origin(),
        format!("{}@127.0.0.1:1", hub.origin()),
        format!("{}.evil.example", hub.origin()),
        format!("{}%2F..%2Fx", hub.origin()),
        format!("{}%23", hub.origin()),
        format!("{}%5C%40evil.example", hub.origin()),
        format!("{}%0d%0aHost:evil.example", hub.origin()),
        format!("https://{host}"),
        host.clone(),
        hub.origin().replace("127.0.0.1", "127.1"),
        hub.origin().replace("127.0.0.1", "2130706433"),
        hub.origin().replace("127.0.0.1", "localhost"),
        hub.origin().replace("127.0.0.1", "%5B::ffff:127.0.0.1%5D"),
        "http://169.254.169.254".into(),
        "file:///etc/passwd".into(),
        "gopher://127.0.0.1".into(),
    ] {
        let url = format!("/acme/authenticate?hubUrl={hub_url}&hubLoginToken={LOGIN_TOKEN_ENCODED}");
        let (status, answer) = crate::asking::post(&service, "BeginLogin", &begin(url));
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_argument")), "{hub_url}: {answer}");
        let said = answer.to_string();
        assert!(!said.contains("evil") && !said.contains("169.254"), "{said}");
    }
    let allowed = format!("/a?hubUrl={}%2Fv1&hubLoginToken={LOGIN_TOKEN_ENCODED}", hub.origin());
    assert!(!begun(&service, &allowed).is_empty());
    let other = begin(format!("/a?hubUrl={}&hubLoginToken=t", evil.origin()));
    fails(&service, "BeginLogin", &other, "invalid_argument", "ORIGIN_NOT_ALLOWED", "authenticate_url");
    fails(&service, "BeginLogin", &begin(String::new()), "invalid_argument", "INVALID_FIELD", "authenticate_url");
    let long = begin(format!("{allowed}&x={}", "x".repeat(8192)));
    fails(&service, "BeginLogin", &long, "invalid_argument", "INVALID_FIELD", "authenticate_url");
    assert_eq!((hub.heard().len(), evil.heard().len()), (0, 0));
}

#[test]
fn a_callback_that_leads_elsewhere_is_refused_at_both_ends() {
    let (hub, evil) = (Hub::open(), Hub::open());
    let service = started(&hub, "");
    for callback in [
        format!("{}%2Fcallback", evil.origin()),
        "javascript:alert(1)".into(),
        "data:text%2Fhtml,x".into(),
        format!("{}@evil.example%2F", hub.origin()),
        format!("%2F%2F{}%2Fcb", hub.origin().replace("http://", "")),
        format!("{}%2Fcb%3Fauth%3Dx", hub.origin()),
        format!("{}%2Fcb%23x", hub.origin()),
        format!("{}%2F..%2Fcb", hub.origin()),
        format!("{}%2Fcb%0d%0aSet-Cookie:x", hub.origin()),
    ] {
        let begin = json!({"app": "acme", "authenticateUrl": format!("/authenticate?callback={callback}")});
        let (status, answer) = crate::asking::post(&service, "BeginLogin", &begin);
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_argument")), "{callback}: {answer}");
    }
    let done = logged_in(&service, &hub.authenticate_2("1"), JANE);
    hub.browse(done["redirectUrl"].as_str().unwrap());
    let renew = |callback: &str| json!({"app": "acme", "username": JANE, "auth": hub.kept(JANE), "callback": callback});
    let elsewhere = renew(&format!("{}/callback", evil.origin()));
    fails(&service, "RenewAuth", &elsewhere, "invalid_argument", "ORIGIN_NOT_ALLOWED", "callback");
    fails(&service, "RenewAuth", &renew("/callback"), "invalid_argument", "INVALID_FIELD", "callback");
    assert_eq!((hub.heard().len(), evil.heard().len()), (1, 0), "only the browser was there");
}

#[test]
fn a_state_that_is_not_one_of_the_app_s_is_judged_and_gives_nothing() {
    let hub = Hub::open();
    let service = started(&hub, "generation = 1");
    let state = begun(&service, &hub.authenticate_1());
    let judged = |state: &str| -> Value {
        let answer = ok(&service, "CompleteLogin", &completing(state, JANE));
        assert_eq!(
            (&answer["redirectUrl"], &answer["tokenId"], &answer["generation"]),
            (&Value::Null, &Value::Null, &Value::Null),
            "{answer}"
        );
        answer["verdict"].clone()
    };
    let two = json!({"app": "other", "authenticateUrl": hub.authenticate_2("1")});
    let of_other = ok(&service, "BeginLogin", &two)["loginState"].as_str().unwrap().to_owned();
    assert_eq!(judged(&of_other), "VERDICT_UNKNOWN_KEY");
    assert_eq!(judged(&service.seal(b"x", JANE)), "VERDICT_BAD_SIGNATURE", "a token is no state");
    assert_eq!(service.open(&state, JANE)["verdict"], "VERDICT_BAD_SIGNATURE", "nor a state a token");
    let mangled = format!("{}{}", &state[..60], state[60..].replacen(|c: char| c != 'A', "A", 1));
    for wrong in ["", "hat1_", &state[..state.len() - 1], &mangled, &"x".repeat(20_000)] {
        assert_eq!(judged(wrong), "VERDICT_MALFORMED", "{wrong}");
    }
    service.ok("Revoke", &json!({"app": "acme", "all": true}));
    assert_eq!(judged(&state), "VERDICT_REVOKED");
    assert_eq!(hub.heard().len(), 0);
}

#[test]
fn a_name_that_leaves_its_place_in_the_path_or_the_query_does_not_get_out() {
    let hub = Hub::open();
    let service = started(&hub, "generation = 1");
    let state = begun(&service, &hub.authenticate_1());
    for username in ["", ".", "..", "a\r\nX: y", "a\u{0}", "a\u{85}b", &"u".repeat(1025)] {
        let complete = completing(&state, username);
        fails(&service, "CompleteLogin", &complete, "invalid_argument", "INVALID_FIELD", "username");
        let notify = json!({"app": "acme", "username": username});
        fails(&service, "NotifyUpdate", &notify, "invalid_argument", "INVALID_FIELD", "username");
    }
    assert_eq!(hub.heard().len(), 0);
    for username in ["../../admin", "%2e%2e", "a?b=c#d", "a/b\\c", "\u{202e}nus", "日本@例え.jp"] {
        ok(&service, "CompleteLogin", &completing(&state, username));
        assert!(hub.kept(username).is_some(), "{username} arrived as {}", hub.heard().pop().unwrap().target);
    }
}

#[test]
fn what_is_misspelt_or_not_allowed_is_refused() {
    let hub = Hub::open();
    let service = started(&hub, "generation = 1");
    let state = begun(&service, &hub.authenticate_1());
    let with = |name: &str, value: Value| {
        let mut body = completing(&state, JANE);
        body[name] = value;
        body
    };
    fails(&service, "CompleteLogin", &with("ttl", json!(1_i64 << 40)), "invalid_argument", "TTL_TOO_LONG", "ttl");
    fails(&service, "CompleteLogin", &with("kind", json!(77)), "invalid_argument", "UNDECODABLE", "kind");
    fails(&service, "CompleteLogin", &with("user", json!("x")), "invalid_argument", "UNDECODABLE", "");
    fails(&service, "CompleteLogin", &with("app", json!("nobody")), "not_found", "UNKNOWN_APP", "");
    let renew = json!({"app": "acme", "username": JANE, "auth": "x", "callback": format!("{}/cb", hub.origin())});
    fails(&service, "RenewAuth", &renew, "failed_precondition", "WRONG_GENERATION", "");
    assert_eq!(hub.heard().len(), 0);
}
