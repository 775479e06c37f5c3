//! Renewing what Hub keeps.

use serde_json::{Value, json};

use crate::{
    asking::{JANE, fails, logged_in, ok, records, started},
    hub::{Fault, Hub},
    service::{Service, base64, unbase64},
};

/// A user who has logged in, and what a renewal asks then.
fn logged_in_browser(service: &Service, hub: &Hub) -> (String, Value) {
    let done = logged_in(service, &hub.authenticate_2("7"), JANE);
    assert_eq!(hub.browse(done["redirectUrl"].as_str().unwrap()), 200);
    let auth = hub.kept(JANE).unwrap();
    // As Hub hands it round: JSON text.
    let asked = json!({"app": "acme", "username": JANE, "auth": format!("\"{auth}\""), "callback": done["callback"]});
    (auth, asked)
}

fn opened(service: &Service, auth: &str) -> Value {
    service.ok("Open", &json!({"app": "acme", "auth": auth, "username": JANE}))
}

#[test]
fn hub_takes_the_new_token_and_the_old_one_is_revoked() {
    let hub = Hub::open();
    let service = started(&hub, "");
    let (old, asked) = logged_in_browser(&service, &hub);
    let before = opened(&service, &old);
    let done = ok(&service, "RenewAuth", &asked);
    assert_eq!((&done["verdict"], &done["hints"]), (&json!("VERDICT_VALID"), &json!(["HINT_QUOTED"])));
    let new = done["auth"].as_str().unwrap();
    let put = hub.heard().pop().unwrap();
    assert_eq!((put.method.as_str(), put.target.as_str()), ("PUT", "/callback?session=7"));
    assert_eq!(put.json(), json!({"auth": old, "newAuth": new, "username": JANE}));
    assert_eq!(hub.kept(JANE).as_deref(), Some(new));
    let after = opened(&service, new);
    assert_eq!((&after["verdict"], &after["payload"]), (&json!("VERDICT_VALID"), &before["payload"]));
    assert_eq!(
        (&after["claims"]["grantId"], &after["claims"]["kind"]),
        (&before["claims"]["grantId"], &before["claims"]["kind"])
    );
    assert_eq!(opened(&service, &old)["verdict"], "VERDICT_REVOKED");
    assert_eq!(ok(&service, "RenewAuth", &asked)["verdict"], "VERDICT_REVOKED");

    let mut again = asked.clone();
    again["auth"] = json!(new);
    again["payload"] = json!(base64(b"{}"));
    again["kind"] = json!("PAYLOAD_KIND_JSON");
    again["ttl"] = json!(600);
    let third = ok(&service, "RenewAuth", &again)["auth"].as_str().unwrap().to_owned();
    let found = opened(&service, &third);
    assert_eq!(unbase64(found["payload"].as_str().unwrap()), b"{}");
    assert_eq!(
        (&found["claims"]["kind"], &found["claims"]["grantId"]),
        (&json!("PAYLOAD_KIND_JSON"), &before["claims"]["grantId"])
    );
    let record = &records(service.dir.path(), "renew_auth")[0];
    assert_eq!((&record["outcome"], &record["token"]), (&json!("OK"), &after["claims"]["tokenId"]));
}

#[test]
fn what_is_not_the_user_s_or_not_whole_is_judged_and_hub_hears_nothing() {
    let hub = Hub::open();
    let service = started(&hub, "");
    let (auth, asked) = logged_in_browser(&service, &hub);
    let judged = |name: &str, value: &str| {
        let mut body = asked.clone();
        body[name] = json!(value);
        let answer = ok(&service, "RenewAuth", &body);
        assert_eq!((&answer["auth"], &answer["tokenId"]), (&Value::Null, &Value::Null));
        answer["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(judged("username", "eve@example.com"), "VERDICT_WRONG_CONTEXT");
    assert_eq!(judged("auth", &auth[..100]), "VERDICT_MALFORMED");
    assert_eq!(judged("auth", &format!("{}AAAAAA", &auth[..auth.len() - 6])), "VERDICT_MALFORMED");
    let mut kind = asked.clone();
    kind["kind"] = json!("PAYLOAD_KIND_JSON");
    fails(&service, "RenewAuth", &kind, "invalid_argument", "INVALID_FIELD", "kind");
    assert_eq!(hub.heard().len(), 1, "only the browser was there");
}

#[test]
fn in_doubt_both_stay_valid_and_the_error_says_so() {
    let hub = Hub::open();
    let service = started(&hub, "");
    let (auth, asked) = logged_in_browser(&service, &hub);
    for fault in [
        Fault::Answer(500, String::new()),
        Fault::Truncated,
        Fault::HangUp,
        Fault::Redirect("https://evil.example/".into()),
    ] {
        hub.misbehaves(fault.clone());
        let said = fails(&service, "RenewAuth", &asked, "unknown", "RENEWAL_UNCERTAIN", "");
        assert!(said.contains("both stay valid"), "{said}");
        let new = hub.heard().pop().unwrap().json()["newAuth"].as_str().unwrap().to_owned();
        assert_eq!(opened(&service, &auth)["verdict"], "VERDICT_VALID", "{fault:?}");
        assert_eq!(opened(&service, &new)["verdict"], "VERDICT_VALID", "{fault:?}");
        hub.behaves();
        // Hub goes on with whichever it has.
        if hub.kept(JANE).as_deref() == Some(&new) {
            let mut back = asked.clone();
            back["auth"] = json!(new);
            assert_eq!(ok(&service, "RenewAuth", &back)["verdict"], "VERDICT_VALID");
            return;
        }
    }
    panic!("Hub never took one");
}

#[test]
fn a_hub_that_refuses_keeps_the_old_one() {
    let hub = Hub::open();
    let service = started(&hub, "");
    let (auth, asked) = logged_in_browser(&service, &hub);
    hub.misbehaves(Fault::Answer(403, "no".into()));
    fails(&service, "RenewAuth", &asked, "failed_precondition", "VENDOR_REFUSED", "");
    assert_eq!(opened(&service, &auth)["verdict"], "VERDICT_VALID");
    hub.behaves();
    assert_eq!(ok(&service, "RenewAuth", &asked)["verdict"], "VERDICT_VALID");
}
