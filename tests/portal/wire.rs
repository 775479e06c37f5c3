//! What goes over the wire, and what comes of it: as the document says, and nothing besides.

use serde_json::{Value, json};

use crate::{
    desk::{Desk, asked, each},
    service::now,
    vendor::{CREDENTIAL, PAGE, TOKEN},
};

#[test]
fn each_action_is_asked_as_the_document_says_and_its_answer_passed_on() {
    let desk = Desk::open();
    let actions = ["test", "status", "login", "complete-info", "logout"];
    let more: [&[(&str, &str)]; 5] = [
        &[],
        &[("portal", "4"), ("profile", "2")],
        &[("portal", "4"), ("link", "profile"), ("id", "2")],
        &[("token", TOKEN)],
        &[("portal", "6"), ("link", "profile"), ("id", "9")],
    ];
    let picture = "http://social.network.com/img/c82f36R2.jpg";
    let answers = [
        json!({"message": "hello world"}),
        json!({"signed": true, "isProfile": true, "name": "John Doe", "picture": picture}),
        json!({"url": PAGE, "token": TOKEN}),
        json!({"credentials": {"portal_6_token": CREDENTIAL}}),
        json!({}),
    ];
    for (((method, request), action), (more, answer)) in each().iter().zip(actions).zip(more.iter().zip(answers)) {
        let before = now();
        assert_eq!(desk.ok(method, request), answer, "{method}");
        let heard = desk.vendor.heard_one();
        assert!(
            heard.line.starts_with(&format!("GET /clients/api/liveauth/{action}?client=424242&expires=")),
            "{heard:?}"
        );
        let query = heard.query();
        let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..3], ["client", "expires", "hash"]);
        let rest: Vec<(&str, &str)> = query[3..].iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(rest, **more, "{method}");
        let hash = heard.value("hash").unwrap();
        assert!(hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{hash}");
        let lives: i64 = heard.value("expires").unwrap().parse::<i64>().unwrap() - before;
        assert!((120..120 + 30).contains(&lives), "{lives}");
        let headers: Vec<(&str, &str)> =
            heard.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let host = format!("localhost:{}", desk.vendor.port);
        assert_eq!(
            headers,
            [
                ("accept", "application/json"),
                ("host", host.as_str()),
                ("referer", "https://jobs.example.com/"),
                ("user-agent", "countersign"),
            ]
        );
        assert_eq!(heard.body, "");
    }
}

#[test]
fn a_login_goes_with_or_without_a_link_and_only_some_links_have_an_id() {
    let desk = Desk::open();
    let sent = |more: Value| {
        desk.ok("Login", &asked(more));
        let query = desk.vendor.heard_one().query();
        query[3..].iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    };
    assert_eq!(sent(json!({"portal": 4})), "portal=4");
    assert_eq!(sent(json!({"portal": 4, "link": "PROFILE_LINK_UNSPECIFIED"})), "portal=4");
    assert_eq!(sent(json!({"portal": 4, "link": "PROFILE_LINK_GLOBAL"})), "portal=4&link=global");
    for (link, name) in [("OFFICE", "office"), ("TEAM", "team"), ("PROFILE", "profile")] {
        let request = json!({"portal": "9223372036854775807", "link": format!("PROFILE_LINK_{link}"), "id": 2});
        assert_eq!(sent(request), format!("portal=9223372036854775807&link={name}&id=2"));
    }
    desk.ok("Logout", &asked(json!({"portal": 4, "link": "PROFILE_LINK_GLOBAL"})));
    assert!(desk.vendor.heard_one().line.contains("&portal=4&link=global HTTP"));
}

#[test]
fn the_referer_is_that_of_the_domain_that_was_asked_for() {
    let change = ("key = \"jobs\"\n", "key = \"jobs\"\nreferer = \"https://www.jobs.example.com/apply\"\n");
    let desk = Desk::with(crate::desk::ALL, &[change]);
    // The stand-in knows another.
    let known = desk.fails("Test", &asked(json!({})), "failed_precondition", "VENDOR_REFUSED");
    assert_eq!(known["vendor_message"], "no such domain");
    assert_eq!(desk.vendor.heard_one().header("referer"), Some("https://www.jobs.example.com/apply"));
}

#[test]
fn a_token_stays_one_parameter_whatever_is_in_it() {
    let desk = Desk::open();
    for (token, encoded) in [
        ("../../logout?portal=1", "..%2F..%2Flogout%3Fportal%3D1"),
        ("x&client=1&hash=y#z", "x%26client%3D1%26hash%3Dy%23z"),
        ("a b+c%41", "a%20b%2Bc%2541"),
        ("žluť😀", "%C5%BElu%C5%A5%F0%9F%98%80"),
    ] {
        let known =
            desk.fails("CompleteInfo", &asked(json!({"token": token})), "failed_precondition", "VENDOR_REFUSED");
        assert_eq!((known["http_status"].as_str(), known["vendor_message"].as_str()), ("404", "no such login"));
        let heard = desk.vendor.heard_one();
        assert_eq!((heard.path(), heard.query().len()), ("/clients/api/liveauth/complete-info", 4));
        assert_eq!(heard.value("token").as_deref(), Some(encoded));
    }
}
