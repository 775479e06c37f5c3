//! Who may ask, and what is refused before anybody is asked.

use serde_json::json;

use crate::{
    desk::{CLIENT, DOMAIN, Desk, asked, each},
    vendor::Plan,
};

#[test]
fn each_verb_allows_its_own_methods_and_no_other_not_even_to_mint() {
    for (verb, allowed) in [
        ("portal_read", ["Test", "GetStatus"].as_slice()),
        ("portal_login", &["Login", "CompleteInfo"]),
        ("portal_logout", &["Logout"]),
        ("mint", &[]),
    ] {
        let desk = Desk::with(&format!("\"{verb}\""), &[]);
        for (method, request) in each() {
            if allowed.contains(&method) {
                desk.ok(method, &request);
                assert_eq!(desk.vendor.heard().len(), 1);
            } else {
                desk.fails(method, &request, "permission_denied", "NO_RULE");
            }
        }
        if verb != "mint" {
            desk.service.fails("MintHash", &json!({"domain": DOMAIN, "client": 1}), "permission_denied", "NO_RULE", "");
        }
        assert_eq!(desk.vendor.heard(), []);
    }
}

#[test]
fn policy_comes_before_existence_and_before_form() {
    let desk = Desk::with("\"portal_read\"", &[("domains = [\"*\"]", "domains = [\"jobs.example.com\"]")]);
    let wrong = json!({"domain": "other.example.com", "client": 0, "portal": -1, "profile": 0});
    desk.fails("GetStatus", &wrong, "permission_denied", "NO_RULE");
    let desk = Desk::open();
    desk.fails("GetStatus", &wrong, "not_found", "UNKNOWN_DOMAIN");
    assert_eq!(desk.vendor.heard(), []);
}

#[test]
fn what_the_document_does_not_allow_is_refused_with_its_field_and_nobody_is_asked() {
    let desk = Desk::open();
    let long = "x".repeat(513);
    let refused = [
        ("Test", json!({"client": 0}), "client"),
        ("Test", json!({"client": -7}), "client"),
        ("Test", json!({"domain": "jobs.example.com/../x"}), "domain"),
        ("Test", json!({"domain": "jobs.example.com\r\nX: y"}), "domain"),
        ("Test", json!({"domain": "žluť.example.com"}), "domain"),
        ("GetStatus", json!({"portal": 0, "profile": 2}), "portal"),
        ("GetStatus", json!({"portal": 4}), "profile"),
        ("Login", json!({"portal": -1}), "portal"),
        ("Login", json!({"portal": 4, "id": 2}), "id"),
        ("Login", json!({"portal": 4, "link": "PROFILE_LINK_GLOBAL", "id": 2}), "id"),
        ("Login", json!({"portal": 4, "link": "PROFILE_LINK_OFFICE"}), "id"),
        ("Login", json!({"portal": 4, "link": "PROFILE_LINK_TEAM", "id": 0}), "id"),
        ("Logout", json!({"portal": 4}), "link"),
        ("Logout", json!({"portal": 4, "link": "PROFILE_LINK_PROFILE"}), "id"),
        ("CompleteInfo", json!({}), "token"),
        ("CompleteInfo", json!({"token": "a\r\nReferer: https://other.example.com/"}), "token"),
        ("CompleteInfo", json!({"token": "a\u{0}"}), "token"),
        ("CompleteInfo", json!({"token": long}), "token"),
    ];
    for (method, request, field) in refused {
        let method = format!("LiveAuthPortalService/{method}");
        desk.service.fails(&method, &asked(request), "invalid_argument", "INVALID_FIELD", field);
    }
    assert_eq!(desk.vendor.heard(), []);
}

#[test]
fn a_rule_limits_rate_and_lifetime() {
    let desk = Desk::with(
        "\"portal_read\"",
        &[("domains = [\"*\"]", "domains = [\"*\"]\nmax_ttl = \"30s\"\nrate = 1\nburst = 1")],
    );
    let before = crate::service::now();
    desk.ok("Test", &asked(json!({})));
    let lives = desk.vendor.heard_one().value("expires").unwrap().parse::<i64>().unwrap() - before;
    assert!((30..60).contains(&lives), "{lives}");
    // One of those that follow at once is above it, however slow the machine.
    let limited = (0..50).any(|_| desk.call("Test", &asked(json!({}))).1["code"] == "resource_exhausted");
    assert!(limited);
}

#[test]
fn a_key_without_an_active_version_asks_nobody() {
    let desk = Desk::open();
    let at = desk.service.dir.path();
    crate::service::keys(at, &["suspend", "--key", "jobs", "--key-version", "1"], b"");
    desk.service.signal("HUP");
    desk.service.await_log("reloaded", 1);
    desk.fails("Test", &asked(json!({})), "failed_precondition", "NO_ACTIVE_VERSION");
    assert_eq!(desk.vendor.heard(), []);
}

#[test]
fn as_many_as_may_be_under_way_are_and_one_more_is_refused_while_others_are_served() {
    let desk = Desk::with("\"portal_read\", \"mint\"", &[]);
    desk.vendor.plan(Plan::Silence);
    let (arrived, arrivals) = std::sync::mpsc::channel();
    desk.vendor.watch(move |_| arrived.send(()).unwrap());
    let request = asked(json!({}));
    let waiting: Vec<_> = (0..64).map(|_| desk.begin("Test", &request)).collect();
    for _ in &waiting {
        arrivals.recv_timeout(crate::service::PATIENCE).unwrap();
    }
    desk.fails("Test", &request, "unavailable", "OVERLOADED");
    // A vendor that hangs holds up nobody else.
    desk.service.ok("MintHash", &json!({"domain": DOMAIN, "client": CLIENT}));
}
