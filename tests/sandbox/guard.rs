//! These are servers on somebody's laptop: what pages of other sites could do to them.

use crate::run::{Sandbox, ask, get};

#[test]
fn a_name_that_leads_to_loopback_is_not_served() {
    let sandbox = Sandbox::start();
    for origin in [&sandbox.front, &sandbox.liveauth, &sandbox.social, &sandbox.hub, &sandbox.acme] {
        let port = origin.rsplit(':').next().unwrap();
        for (host, status) in [
            (format!("127.0.0.1:{port}"), 200),
            (format!("localhost:{port}"), 200),
            ("127.0.0.1".to_owned(), 421),
            (format!("rebound.example:{port}"), 421),
            (format!("127.0.0.1.example:{port}"), 421),
        ] {
            assert_eq!(get(origin, "/", &[("Host", &host)]).status, status, "{origin} as {host}");
        }
    }
}

#[test]
fn another_site_switches_no_faults() {
    let sandbox = Sandbox::start();
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let switch = |origin: &str| {
        ask("POST", &sandbox.front, "/faults", &[form, ("Origin", origin)], "liveauth=slow&hub=none").status
    };
    assert_eq!(switch("https://evil.example"), 403);
    assert_eq!(switch("null"), 403);
    assert_eq!(get(&sandbox.front, "/faults.json", &[]).json()["liveauth"], "none");
    assert_eq!(switch(&sandbox.front), 303);
    assert_eq!(get(&sandbox.front, "/faults.json", &[]).json()["liveauth"], "slow");
}

#[test]
fn pages_have_a_policy_and_no_markup_from_requests() {
    let sandbox = Sandbox::start();
    for path in ["/", "/liveauth/test", "/liveauth/test-on-load", "/liveauth/browser", "/faults"] {
        let answer = get(&sandbox.front, path, &[]);
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}: {policy}");
    }
    let markup = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    for (origin, path) in [
        (&sandbox.front, format!("/liveauth/browser?hash={markup}")),
        (&sandbox.social, format!("/oauth/{markup}")),
        (&sandbox.liveauth, format!("/clients/api/liveauth/{markup}?callback={markup}&client={markup}")),
        (&sandbox.front, format!("/trace.json?topic={markup}")),
    ] {
        let answer = get(origin, &path, &[]);
        let html = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        assert!(!(html && answer.body.contains("<script>alert")), "{path}: {}", answer.body);
    }
}

#[test]
fn what_went_over_the_wire_is_shown_without_what_is_secret() {
    let sandbox = Sandbox::start();
    let [client, expires, hash] = sandbox.minted();
    let query = format!("client={client}&expires={expires}&hash={hash}");
    let referer = [("Referer", "https://jobs.example.com/")];
    let begun = get(&sandbox.liveauth, &format!("/clients/api/liveauth/login?{query}&portal=4"), &referer).json();
    let token = begun["token"].as_str().unwrap();
    get(&sandbox.liveauth, &format!("/clients/api/liveauth/complete-info?{query}&token={token}"), &referer);
    let shown = get(&sandbox.front, "/trace.json?topic=liveauth", &[]);
    assert_eq!(shown.json()["exchanges"].as_array().unwrap().len(), 2);
    assert!(shown.body.contains("complete-info") && shown.body.contains("(64 characters)"), "{}", shown.body);
    for secret in [hash.as_str(), token, "whatissixtimesnine"] {
        assert!(!shown.body.contains(secret), "{}", shown.body);
    }
}
