//! What goes to Hub, field by field, and what comes of it.

use serde_json::{Value, json};

use crate::{
    asking::{JANE, begun, completing, fails, logged_in, ok, post, records, resolved, started},
    hub::{Hub, LOGIN_TOKEN, parameter},
    service::{self, unbase64},
};

const GENERATION_1: &str = "generation = 1";

fn opened(service: &service::Service, auth: &str, username: &str) -> Value {
    service.ok("Open", &json!({"app": "acme", "auth": auth, "username": username}))
}

#[test]
fn generation_1_posts_the_token_with_the_login_token_byte_for_byte_and_sends_the_browser_where_hub_says() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    let begun = ok(&service, "BeginLogin", &json!({"app": "acme", "authenticateUrl": hub.authenticate_1()}));
    assert_eq!((&begun["generation"], &begun["hubOrigin"]), (&json!("HUB_GENERATION_1"), &json!(hub.origin())));
    let lasts = begun["expiresAt"].as_str().unwrap().parse::<i64>().unwrap() - service::now();
    assert!((880..=900).contains(&lasts), "{lasts}");
    let state = begun["loginState"].as_str().unwrap();
    assert!(state.starts_with("hat1_") && state.len() < 2200 && !state.contains(LOGIN_TOKEN));
    assert_eq!(hub.heard().len(), 0, "nothing is sent before the user has logged in");

    let done = ok(&service, "CompleteLogin", &completing(state, JANE));
    assert_eq!(done["redirectUrl"], json!(format!("{}/success?app=acme", hub.origin())));
    assert_eq!((&done["generation"], &done["callback"]), (&json!("HUB_GENERATION_1"), &Value::Null));
    let heard = hub.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!((heard[0].method.as_str(), heard[0].target.as_str()), ("POST", "/v1/acme/jane+hub@example.com/auth"));
    assert_eq!(heard[0].header("content-type"), Some("application/json"));
    assert_eq!(heard[0].header("referer"), None);
    let auth = hub.kept(JANE).unwrap();
    assert_eq!(heard[0].json(), json!({"hubLoginToken": LOGIN_TOKEN, "auth": auth}));

    let found = opened(&service, &auth, JANE);
    assert_eq!((&found["verdict"], &found["claims"]["grantId"]), (&json!("VERDICT_VALID"), &done["grantId"]));
    assert_eq!(unbase64(found["payload"].as_str().unwrap()), b"refresh-token");
    assert_eq!(found["claims"]["kind"], "PAYLOAD_KIND_OAUTH_REFRESH_TOKEN");
    assert_eq!((&found["claims"]["hubOrigin"], &found["claims"]["tokenId"]), (&json!(hub.origin()), &done["tokenId"]));
    assert_eq!(opened(&service, &auth, "eve@example.com")["verdict"], "VERDICT_WRONG_CONTEXT");
    // As JSON text, too.
    assert_eq!(opened(&service, &format!("\"{auth}\""), JANE)["verdict"], "VERDICT_VALID");
}

#[test]
fn generation_1_posts_a_form_under_the_name_that_hub_knows_where_it_is_told_to() {
    let hub = Hub::open();
    let app = "generation = 1\ndelivery = \"form\"\nhub_name = \"acme\"\nbind_hub_login_token = true";
    let service = started(&hub, app);
    for username in ["+49 (30) 901820", "o'brien/../x@example.com", "ü%2f@example.com"] {
        logged_in(&service, &hub.authenticate_1(), username);
        let heard = hub.heard().pop().unwrap();
        assert_eq!(heard.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(parameter(&heard.body, "hubLoginToken").as_deref(), Some(LOGIN_TOKEN));
        let auth = parameter(&heard.body, "auth").unwrap();
        assert_eq!(hub.kept(username), Some(auth.clone()), "{}", heard.target);
        // Bound to the hubLoginToken, too.
        let unbound = opened(&service, &auth, username);
        assert_eq!(unbound["verdict"], "VERDICT_WRONG_CONTEXT");
        let bound = json!({"app": "acme", "auth": auth, "username": username, "hubLoginToken": LOGIN_TOKEN});
        assert_eq!(service.ok("Open", &bound)["verdict"], "VERDICT_VALID");
    }
}

#[test]
fn generation_2_sends_the_browser_with_the_token_and_the_callback_s_own_query() {
    let hub = Hub::open();
    let service = started(&hub, "");
    let done = logged_in(&service, &hub.authenticate_2("a%252Bb"), JANE);
    assert_eq!(done["callback"], json!(format!("{}/callback?session=a%2Bb", hub.origin())));
    let url = done["redirectUrl"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/callback?session=a%2Bb&auth=%22hat1_", hub.origin())), "{url}");
    assert!(url.ends_with("&username=jane%2Bhub%40example.com"), "{url}");
    assert_eq!(hub.heard().len(), 0, "the browser brings it");
    assert_eq!(hub.browse(url), 200);
    let auth = hub.kept(JANE).unwrap();
    assert_eq!(opened(&service, &auth, JANE)["claims"]["grantId"], done["grantId"]);
    let record = &records(service.dir.path(), "complete_login")[0];
    assert_eq!(
        (&record["outcome"], &record["token"], &record["object"]),
        (&json!("OK"), &done["tokenId"], &json!("acme"))
    );
}

#[test]
fn the_record_of_a_delivery_is_there_before_hub_hears_of_it() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    let state = begun(&service, &hub.authenticate_1());
    hub.misbehaves(crate::hub::Fault::Silent);
    let waiting = crate::asking::send(&service, "CompleteLogin", &completing(&state, JANE));
    hub.await_heard(1);
    let record = records(service.dir.path(), "complete_login");
    assert_eq!((record.len(), &record[0]["outcome"]), (1, &json!("OK")), "granted, and on record");
    let token = service.ok("Verify", &json!({"app": "acme", "auth": hub.heard()[0].json()["auth"], "username": JANE}));
    assert_eq!(token["claims"]["tokenId"], record[0]["token"]);
    // Nobody knows yet whether Hub has it.
    assert_eq!(resolved(&service, LOGIN_TOKEN)["found"], Value::Null);
    hub.behaves();
    drop(waiting);
}

#[test]
fn a_state_may_be_used_again_and_hub_keeps_what_it_gets_last() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    let state = begun(&service, &hub.authenticate_1());
    let first = ok(&service, "CompleteLogin", &completing(&state, JANE));
    let second = ok(&service, "CompleteLogin", &completing(&state, "john@example.com"));
    assert_ne!(first["grantId"], second["grantId"]);
    let whose = resolved(&service, LOGIN_TOKEN);
    assert_eq!((&whose["username"], &whose["grantId"]), (&json!("john@example.com"), &second["grantId"]));
    for (username, verdict) in [(JANE, "VERDICT_VALID"), ("john@example.com", "VERDICT_VALID")] {
        assert_eq!(opened(&service, &hub.kept(username).unwrap(), username)["verdict"], verdict);
    }
}

#[test]
fn a_login_ends_in_the_generation_that_it_began_in() {
    let hub = Hub::open();
    let dir = crate::asking::folder(&hub, GENERATION_1);
    let service = crate::asking::start(dir);
    let state = begun(&service, &hub.authenticate_1());
    std::fs::write(service.dir.path().join("config.toml"), crate::asking::config(&hub, "", "20s")).unwrap();
    service.signal("HUP");
    let again = json!({"app": "acme", "authenticateUrl": hub.authenticate_1()});
    let begin = std::time::Instant::now();
    while post(&service, "BeginLogin", &again).0 == 200 {
        assert!(begin.elapsed() < service::PATIENCE, "not reloaded: {}", service.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = fails(&service, "BeginLogin", &again, "invalid_argument", "INVALID_FIELD", "authenticate_url");
    assert!(said.contains("generation = 1"), "{said}");
    let done = ok(&service, "CompleteLogin", &completing(&state, JANE));
    assert_eq!(done["generation"], "HUB_GENERATION_1");
    assert_eq!(hub.heard()[0].target, "/v1/acme/jane+hub@example.com/auth");
}

#[test]
fn hub_is_told_of_news_in_the_form_of_its_generation() {
    let hub = Hub::open();
    let other = Hub::open();
    for (app, path) in [(GENERATION_1, "/v1/acme/+4930901820/push"), ("", "/+4930901820/push")] {
        let service = started(&hub, app);
        let told = json!({"app": "acme", "username": "+4930901820", "hubOrigin": hub.origin()});
        assert_eq!(ok(&service, "NotifyUpdate", &told)["httpStatus"], 200);
        let heard = hub.heard().pop().unwrap();
        assert_eq!((heard.method.as_str(), heard.target.as_str(), heard.body.as_str()), ("POST", path, ""));
        assert_eq!(heard.header("content-length"), Some("0"));
        let elsewhere = json!({"app": "acme", "username": "jane", "hubOrigin": other.origin()});
        fails(&service, "NotifyUpdate", &elsewhere, "invalid_argument", "ORIGIN_NOT_ALLOWED", "hub_origin");
        hub.misbehaves(crate::hub::Fault::Answer(500, String::new()));
        fails(&service, "NotifyUpdate", &told, "unavailable", "VENDOR_FAILED", "");
        hub.misbehaves(crate::hub::Fault::Answer(404, String::new()));
        fails(&service, "NotifyUpdate", &told, "failed_precondition", "VENDOR_REFUSED", "");
        hub.behaves();
    }
    assert_eq!(other.heard().len(), 0);
}
