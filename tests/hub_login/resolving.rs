//! Whose a hubLoginToken is.

use serde_json::{Value, json};

use crate::{
    asking::{JANE, fails, logged_in, ok, records, resolved, start, started},
    hub::{Hub, LOGIN_TOKEN},
};

const GENERATION_1: &str = "generation = 1";

#[test]
fn a_login_token_resolves_to_who_logged_in_with_it_also_after_a_restart() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    let unknown = resolved(&service, LOGIN_TOKEN);
    assert_eq!(
        (&unknown["verdict"], &unknown["found"], &unknown["username"]),
        (&json!("VERDICT_UNKNOWN_KEY"), &Value::Null, &Value::Null)
    );
    let done = logged_in(&service, &hub.authenticate_1(), JANE);
    let found = resolved(&service, LOGIN_TOKEN);
    assert_eq!(
        (&found["verdict"], &found["username"], &found["grantId"], &found["expiresAt"]),
        (&json!("VERDICT_VALID"), &json!(JANE), &done["grantId"], &done["expiresAt"])
    );
    // Byte for byte.
    for other in
        [LOGIN_TOKEN.replace('+', " "), LOGIN_TOKEN.to_lowercase(), format!("{LOGIN_TOKEN} "), LOGIN_TOKEN[1..].into()]
    {
        assert_eq!(resolved(&service, &other)["found"], Value::Null, "{other}");
    }
    for wrong in [String::new(), "t".repeat(1025), "a\nb".into()] {
        assert_eq!(resolved(&service, &wrong)["verdict"], "VERDICT_MALFORMED");
    }
    let of_other = ok(&service, "ResolveLogin", &json!({"app": "other", "hubLoginToken": LOGIN_TOKEN}));
    assert_eq!(of_other["found"], Value::Null, "it was given to another app");
    service.signal("TERM");
    let (_, _, dir) = service.wait();
    std::fs::remove_file(dir.path().join("log")).unwrap();
    let service = start(dir);
    assert_eq!(resolved(&service, LOGIN_TOKEN)["username"], JANE);
    let record = records(service.dir.path(), "resolve_login");
    assert!(
        record.iter().any(|record| record["outcome"] == "VALID") && record.iter().all(|record| record["object"] != "")
    );
}

#[test]
fn what_was_cut_off_does_not_resolve() {
    let hub = Hub::open();
    let service = started(&hub, GENERATION_1);
    let cuts = |grant: &str| {
        [
            json!({"app": "acme", "grantId": grant}),
            json!({"app": "acme", "username": JANE}),
            json!({"app": "acme", "all": true}),
        ]
    };
    for cut in 0..3 {
        let done = logged_in(&service, &hub.authenticate_1(), JANE);
        assert_eq!(resolved(&service, LOGIN_TOKEN)["verdict"], "VERDICT_VALID");
        service.ok("Revoke", &cuts(done["grantId"].as_str().unwrap())[cut]);
        let found = resolved(&service, LOGIN_TOKEN);
        assert_eq!((&found["verdict"], &found["found"]), (&json!("VERDICT_REVOKED"), &json!(true)));
        assert_eq!((&found["username"], &found["grantId"]), (&Value::Null, &done["grantId"]));
    }
}

#[test]
fn nobody_resolves_without_the_right_to() {
    let hub = Hub::open();
    let dir = crate::asking::folder(&hub, GENERATION_1);
    let text = crate::asking::config(&hub, GENERATION_1, "20s").replace("\"resolve\", ", "");
    std::fs::write(dir.path().join("config.toml"), text).unwrap();
    let service = start(dir);
    let whose = json!({"app": "acme", "hubLoginToken": LOGIN_TOKEN});
    fails(&service, "ResolveLogin", &whose, "permission_denied", "NO_RULE", "");
}
