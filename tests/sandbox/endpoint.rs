//! The stand-in for the LiveAuth endpoint, request by request.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::run::{Answer, Sandbox, ask, get};

const PATH: &str = "/clients/api/liveauth/";
const REFERER: (&str, &str) = ("Referer", "https://jobs.example.com/");

#[expect(clippy::disallowed_methods, reason = "the vendor's clock is the machine's")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What the document's PHP would make, with the secret it prints.
fn signed(client: &str, expires: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"whatissixtimesnine").unwrap();
    mac.update(format!("{client}-{expires}").as_bytes());
    let hash = base16ct::lower::encode_string(&mac.finalize().into_bytes());
    format!("client={client}&expires={expires}&hash={hash}")
}

fn good() -> String {
    signed("42", &(now() + 60).to_string())
}

fn call(sandbox: &Sandbox, action: &str, query: &str) -> Answer {
    get(&sandbox.liveauth, &format!("{PATH}{action}?{query}"), &[REFERER])
}

#[test]
fn a_good_hash_is_answered_in_json_and_in_jsonp() {
    let sandbox = Sandbox::start();
    let answer = call(&sandbox, "test", &good());
    assert_eq!((answer.status, answer.body.as_str()), (200, "\"hello world\""), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    // The one that Countersign minted, too.
    let [client, expires, hash] = sandbox.minted();
    assert_eq!(call(&sandbox, "test", &format!("client={client}&expires={expires}&hash={hash}")).status, 200);

    let longest = "a".repeat(128);
    for name in ["f", "_f", "$", "jQuery1102_33", "liveAuthCallback_1_x7", "a.b.c", &longest] {
        let answer = call(&sandbox, "test", &format!("{}&callback={name}", good()));
        assert_eq!(answer.body, format!("/**/{name}(\"hello world\");"), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn a_callback_that_is_more_than_a_name_is_refused_in_plain_json() {
    let sandbox = Sandbox::start();
    let longer = "a".repeat(129);
    for name in [
        "",
        "1f",
        "a.",
        ".a",
        "a..b",
        "a-b",
        "alert(1)",
        "a%3Bb",
        "a%20b",
        "a%0Ab",
        "%3Cscript%3E",
        "a[0]",
        "%C3%A4",
        "a%E2%80%A8b",
        "a/**/",
        &longer,
    ] {
        let answer = call(&sandbox, "test", &format!("{}&callback={name}", good()));
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json(), json!({ "error": "callback is no name of a function" }));
    }
}

#[test]
fn a_hash_is_refused_that_is_wrong_or_out_of_time_or_from_elsewhere() {
    let sandbox = Sandbox::start();
    let (soon, late) = ((now() + 60).to_string(), (now() - 60).to_string());
    let of_another = signed("43", &soon).replace("client=43", "client=42");
    let (plain, hash) = signed("42", &soon).split_once("&hash=").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let upper = format!("{plain}&hash={}", hash.to_uppercase());
    for (query, status, why) in [
        (signed("42", &late), 403, "the hash has expired"),
        // The document's: once right and long out of time, once misprinted, once no HMAC-SHA256.
        (signed("42", "989539200"), 403, "the hash has expired"),
        (
            "client=42&expires=1580608922&hash=6b1a62617de259688c021c6d98efaca588c772f9ee8ea3092fb3d5323e66ba29".into(),
            403,
            "wrong hash",
        ),
        (format!("client=42&expires={soon}&hash=f4a04f87cabf65ed55a2db9da2159cd7"), 403, "wrong hash"),
        (of_another, 403, "wrong hash"),
        (upper, 403, "wrong hash"),
        // Other spellings of the same number are other texts.
        (good().replace("client=42", "client=042"), 403, "wrong hash"),
        (good().replace("client=42", "client=%2B42"), 400, "not an integer: client"),
        (good().replace("client=42&", ""), 400, "missing parameter: client"),
        (format!("client=42&expires={soon}"), 400, "missing parameter: hash"),
        (good().replace("expires=", "expires=-"), 400, "not an integer: expires"),
    ] {
        let answer = call(&sandbox, "test", &query);
        assert_eq!((answer.status, answer.json()), (status, json!({ "error": why })), "{query}");
        // As JSONP it must be a script that runs.
        let answer = call(&sandbox, "test", &format!("{query}&callback=f"));
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, &*format!("/**/f({{\"error\":\"{why}\"}});")),
            "{query}"
        );
    }
    for (referer, why) in [
        (None, "no Referer: send one with your domain"),
        (Some("jobs.example.com"), "no Referer: send one with your domain"),
        (Some("https://user@jobs.example.com/"), "no Referer: send one with your domain"),
        (Some("https://www.example.com/"), "no secret for the domain of the Referer"),
        (Some("https://jobs.example.com.evil.example/"), "no secret for the domain of the Referer"),
        (Some("https://evil.example/?jobs.example.com"), "no secret for the domain of the Referer"),
    ] {
        let headers: Vec<(&str, &str)> = referer.map(|referer| ("Referer", referer)).into_iter().collect();
        let answer = get(&sandbox.liveauth, &format!("{PATH}test?{}", good()), &headers);
        assert_eq!((answer.status, answer.json()), (403, json!({ "error": why })), "{referer:?}");
    }
    for referer in ["https://jobs.example.com/", "http://jobs.example.com:8080/a?b", "http://127.0.0.1:1/"] {
        let answer = get(&sandbox.liveauth, &format!("{PATH}test?{}", good()), &[("Referer", referer)]);
        assert_eq!(answer.status, 200, "{referer}");
    }
}

#[test]
fn a_login_goes_from_url_and_token_to_credentials_and_ends_with_logout() {
    let sandbox = Sandbox::start();
    let on = |action: &str, more: &str| call(&sandbox, action, &format!("{}&{more}", good()));
    let begin = |more: &str| {
        let begun = on("login", more).json();
        let (url, token) = (begun["url"].as_str().unwrap(), begun["token"].as_str().unwrap());
        assert_eq!(begun.as_object().unwrap().len(), 2, "{begun}");
        let page = url.strip_prefix(&sandbox.social).unwrap().to_owned();
        assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
        (page, token.to_owned())
    };
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let decide =
        |page: &str, what: &str| ask("POST", &sandbox.social, page, &[form], &format!("decision={what}")).status;
    let complete = |token: &str| on("complete-info", &format!("token={token}"));

    // By a portal alone: handed over, not kept.
    let (page, token) = begin("portal=4");
    assert_eq!(decide(&page, "allow"), 200);
    let credentials = complete(&token).json();
    assert!(credentials["portal_4_token"].as_str().unwrap().len() == 30, "{credentials}");
    assert_eq!(complete(&token).status, 403, "once");
    assert_eq!(on("status", "portal=4&profile=2").json(), json!({ "signed": false, "isProfile": false }));

    // Refused, not yet decided, another client's.
    let (page, token) = begin("portal=4");
    assert_eq!(decide(&page, "deny"), 200);
    assert_eq!(complete(&token).json(), json!({ "error": "the user did not allow it" }));
    let (page, token) = begin("portal=4&link=global");
    let theirs = format!("{}&token={token}", signed("43", &(now() + 60).to_string()));
    assert_eq!(call(&sandbox, "complete-info", &theirs).status, 403);
    assert_eq!(decide(&page, "allow"), 200);
    assert_eq!(complete(&token).status, 200);
    // Of all, so a profile's parent is used.
    let status = on("status", "portal=4&profile=2").json();
    assert_eq!((&status["signed"], &status["isProfile"]), (&json!(true), &json!(false)));

    let (page, token) = begin("portal=4&link=profile&id=2");
    assert_eq!(decide(&page, "allow"), 200);
    assert_eq!(complete(&token).status, 200);
    let status = on("status", "portal=4&profile=2").json();
    let picture = status["picture"].as_str().unwrap().strip_prefix(&sandbox.social).unwrap();
    assert_eq!(get(&sandbox.social, picture, &[]).header("content-type"), Some("image/svg+xml"));
    assert_eq!((&status["isProfile"], &status["name"]), (&json!(true), &json!("John Doe")));
    assert_eq!(on("status", "portal=4&profile=3").json()["isProfile"], json!(false));
    for (level, signed) in [("link=profile&id=2", true), ("link=global", false)] {
        assert_eq!(on("logout", &format!("portal=4&{level}")).status, 200);
        assert_eq!(on("status", "portal=4&profile=2").json()["signed"], json!(signed));
    }

    for (action, more, why) in [
        ("login", "link=profile&id=2", "missing parameter: portal"),
        ("login", "portal=x", "not an integer: portal"),
        ("login", "portal=4&link=profile", "missing parameter: id"),
        ("login", "portal=4&link=everybody&id=2", "link is none of global, office, team, profile"),
        ("login", "portal=4&id=2", "id without link"),
        ("logout", "portal=4", "missing parameter: link"),
        ("status", "portal=4", "missing parameter: profile"),
        ("complete-info", "", "missing parameter: token"),
    ] {
        let answer = on(action, more);
        assert_eq!((answer.status, answer.json()), (400, json!({ "error": why })), "{action} {more}");
    }
    assert_eq!(on("steal", "").status, 404);
}

#[test]
fn faults_are_switched_on_and_off() {
    let sandbox = Sandbox::start();
    let json = ("Content-Type", "application/json");
    let switch = |body: &str| ask("PUT", &sandbox.front, "/faults.json", &[json], body);
    assert_eq!(get(&sandbox.front, "/faults.json", &[]).json(), json!({ "liveauth": "none", "hub": "none" }));
    let asked = |fault: &str| {
        assert_eq!(switch(&format!("{{\"liveauth\":\"{fault}\"}}")).status, 200, "{fault}");
        call(&sandbox, "status", &format!("{}&portal=4&profile=2", good()))
    };
    assert_eq!(asked("error500").status, 500);
    assert_eq!(asked("wrong_json").body, "<h1>It works!</h1>");
    let elsewhere = asked("redirect");
    assert_eq!((elsewhere.status, elsewhere.header("location")), (307, Some(&*format!("{}/elsewhere", sandbox.front))));
    let short = asked("truncated").body;
    assert!(short.starts_with('{') && !short.ends_with('}'), "{short}");
    assert_eq!(asked("wrong_user").json()["name"], json!("Somebody Else"));
    let slow = asked("slow");
    assert_eq!(slow.json(), asked("none").json(), "late, and right");
    assert_eq!(switch("{\"liveauth\":\"nonsense\"}").status, 422);
    assert_eq!(switch("{\"idibu\":\"slow\"}").status, 422);
    assert_eq!(get(&sandbox.front, "/faults.json", &[]).json()["liveauth"], json!("none"));
}
